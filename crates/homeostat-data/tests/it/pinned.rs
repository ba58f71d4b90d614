//! What comes out of every step, as SHA-256: the same bytes on every machine, processor and day.
//!
//! The table is `fixtures/pinned.txt`. A difference is a change of results, to be made on purpose alone: the failing test shows the new
//! table. (Sines, logarithms and exponentials come from the platform's mathematical library; the table was made with glibc on x86-64.)

use homeostat_data::{BatchKey, Filter, Image, MixConfig, Normalize, Operation, SampleKey, resize};
use sha2::{Digest, Sha256};

use crate::operation::{STEPS, augment, source};

/// Samples that each step is shown.
const SAMPLES: u64 = 6;

/// Hashes of what operations make of a picture in colour, in grey, and with alpha.
#[derive(Default)]
struct Table(String);

impl Table {
    fn add(&mut self, name: &str, bytes: impl IntoIterator<Item = Vec<u8>>) {
        let mut hash = Sha256::new();
        bytes.into_iter().for_each(|bytes| hash.update(bytes));
        let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.push_str(&format!("{digits}  {name}\n"));
    }
}

fn pictures() -> [Image; 3] {
    let color = source();
    let alpha = color.pixels().chunks_exact(3).enumerate();
    let alpha = alpha.flat_map(|(at, pixel)| [pixel[0], pixel[1], pixel[2], (at % 256) as u8]).collect();
    let shape = homeostat_data::Shape { channels: 4, ..color.shape() };
    [color.clone(), color.to_channels(1), Image::new(shape, alpha)]
}

#[test]
fn every_step_gives_the_bytes_that_it_gave() {
    let mut table = Table::default();
    let others = [
        "{ random-crop = { padding = 4 } }",
        "{ flip-horizontal = {} }",
        "{ flip-vertical = {} }",
        "{ rotate = { degrees = 30 } }",
        "{ scale = {} }",
        "{ translate = {} }",
        "{ brightness = {} }",
        "{ contrast = {} }",
    ];
    for step in others.into_iter().chain(STEPS) {
        let steps = augment(&format!("[{step}]"));
        let of = |image: Image| {
            let key = |sample| SampleKey { seed: 20, epoch: 3, sample };
            let steps = &steps;
            (0..SAMPLES).map(move |sample| steps.apply(image.clone(), key(sample)).into_pixels())
        };
        table.add(step, pictures().into_iter().flat_map(of));
    }
    table.add("hue", pictures().map(|image| Operation::Hue(0.3).apply(image, 0).into_pixels()));
    for filter in [Filter::Nearest, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
        let sizes = |image: Image| {
            [[9, 13], [77, 50], [200, 31]].map(|[height, width]| resize(&image, height, width, filter).into_pixels())
        };
        table.add(&format!("{filter:?}"), pictures().into_iter().flat_map(sizes));
    }
    for (name, config) in [
        ("mixup", MixConfig { mixup: 0.8, ..MixConfig::default() }),
        ("cutmix", MixConfig { cutmix: 1.0, ..MixConfig::default() }),
    ] {
        let mut batch: Vec<Image> =
            [0.2, 0.5, 0.8].map(|turn| Operation::Hue(turn).apply(source(), 0)).into_iter().collect();
        let mixed = config.mix(&mut batch, BatchKey { seed: 20, epoch: 3, batch: 1 });
        let shares = mixed.iter().map(|mixed| mixed.weight.to_le_bytes().to_vec());
        table.add(name, batch.iter().map(|image| image.pixels().to_vec()).chain(shares));
    }
    let normalize = Normalize { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] };
    let planes = normalize.planes(&source());
    table.add("normalize", planes.iter().map(|value| value.to_le_bytes().to_vec()));
    let Table(found) = table;
    assert!(found == include_str!("../fixtures/pinned.txt"), "the table is now\n{found}");
}
