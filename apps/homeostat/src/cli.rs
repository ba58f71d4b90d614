//! What can be typed. It does not know what it does.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
};

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand, ValueEnum, builder::TypedValueParser};
use homeostat_data::DataRoot;
use homeostat_fetch::Cache;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Trains networks on pictures and texts, measures them, and keeps what can be served.
#[derive(Debug, Parser)]
#[command(name = "homeostat", version, max_term_width = 110, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options of every verb.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// How much is logged to standard error: off, error, warn, info, debug, trace, or a filter such as
    /// homeostat_data=debug. By default warn, with --quiet error.
    #[arg(long, global = true, value_name = "LEVEL", display_order = 900)]
    pub(crate) log_level: Option<String>,
    /// Threads that compute on the CPU. By default one a core.
    #[arg(long, global = true, value_name = "N", display_order = 901, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, read once")]
pub(crate) enum Verb {
    /// Trains an experiment: a built-in one (digits, mnist, ...) or a file.
    Train(Train),
    /// Looks at data of yours and writes an experiment for them that can be trained at once.
    Init(Init),
    /// Goes on with a run that was stopped, as if nothing had happened.
    Resume(Resume),
    /// Measures a run on its test part, or on other data.
    Eval(Eval),
    /// Answers for pictures, folders of pictures, or texts.
    Predict(Predict),
    /// Makes pictures with a network that has learnt to, and lays them on one sheet.
    Sample(Sample),
    /// Goes on with a text, and prints it as it is written.
    Generate(Generate),
    /// Makes an index of the texts of a table, and finds those that are nearest to a question.
    #[command(subcommand)]
    Search(Search),
    /// Checks that an artifact still answers as at the end of its training.
    Verify(Verify),
    /// Answers requests over HTTP by the Open Inference Protocol (KServe V2), until it is told to stop.
    Serve(Serve),
    /// Lists, shows and compares runs.
    #[command(subcommand)]
    Runs(Runs),
    /// Shows or checks an experiment without running it.
    #[command(subcommand)]
    Config(Config),
    /// Walks one picture through an experiment and tells what each step makes of it.
    Inspect(Inspect),
    /// Looks at data, fetches public ones, and packs them.
    #[command(subcommand)]
    Data(Data),
    /// Knows networks by name: lists them, shows their layers, and writes weights for other programs.
    #[command(subcommand)]
    Models(Models),
    /// Lists the devices of this build and this machine.
    Devices(Output),
    /// Prints a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// An experiment with what the command line says on top.
#[derive(Debug, Args)]
pub(crate) struct ExperimentArgs {
    /// A built-in experiment (digits, mnist, banking77, ...), a file that ends in .toml, or a run.
    #[arg(value_name = "EXPERIMENT")]
    pub(crate) experiment: String,
    /// Settings on top of the experiment: train.epochs=3 model.cnn.dropout=0.1 (see `homeostat config show`).
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

/// Where to compute and where data lie: all that an experiment does not say.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// Where to compute: cpu, cuda, cuda:1, ndarray, auto. By default auto; a run is resumed where it began.
    #[arg(long)]
    pub(crate) device: Option<String>,
    #[command(flatten)]
    pub(crate) roots: Roots,
    /// Threads that prepare data; results do not depend on it. By default one a core.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..).map(usize::from))]
    pub(crate) workers: Option<usize>,
    /// Whose CPU operations compute: our own, or Burn's, to compare.
    #[arg(long, default_value = "own")]
    pub(crate) kernels: KernelChoice,
}

/// Whose CPU operations compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KernelChoice {
    /// Those of Homeostat.
    Own,
    /// Burn's.
    Burn,
}

/// Where data are looked for.
#[derive(Clone, Debug, Args)]
pub(crate) struct Roots {
    /// The folder below which data are looked for; also HOMEOSTAT_DATA, then the current folder, then what `homeostat data
    /// fetch` has fetched. A run that is resumed or measured knows where its data were.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_root: Vec<PathBuf>,
}

impl Roots {
    /// The folders in which sources are looked for, the first that has them wins.
    pub(crate) fn find(&self) -> anyhow::Result<DataRoot> {
        if let Some(missing) = self.data_root.iter().find(|folder| !folder.is_dir()) {
            bail!("--data-root {}: there is no such folder", missing.display());
        }
        let environment = std::env::var_os("HOMEOSTAT_DATA").map(PathBuf::from);
        let fetched = Cache::find(|name| std::env::var_os(name)).map(|cache| cache.data());
        let roots = self.data_root.iter().cloned().chain(environment).chain([PathBuf::from(".")]);
        Ok(DataRoot::new(roots.chain(fetched.filter(|folder| folder.is_dir()))))
    }

    /// Looks in this folder before all others.
    pub(crate) fn prepend(&mut self, folder: Option<PathBuf>) {
        self.data_root.splice(..0, folder);
    }
}

/// How a verb talks.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Output {
    /// JSON for machines, one line an event or a result.
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
    /// Nothing but errors.
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Train {
    #[command(flatten)]
    pub(crate) experiment: ExperimentArgs,
    /// The folder below which the run's directory is made.
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// A folder of pictures, a table of texts or a folder with one, digits, or KIND:FOLDER,KEY=VALUE,... such as
    /// table:FOLDER,text=COLUMN,label=COLUMN.
    pub(crate) source: String,
    /// The file to write; by default the folder's name with .toml, here.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Trains it straight away, below runs/.
    #[arg(long)]
    pub(crate) train: bool,
    /// Settings on top, where it is trained straight away: epochs=3 (see `homeostat config show`).
    #[arg(value_name = "KEY=VALUE", requires = "train")]
    pub(crate) overrides: Vec<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The run's directory, or runs/latest.
    pub(crate) run: PathBuf,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// The run's directory, or runs/latest; several are measured alone and together, as the mean of their probabilities.
    #[arg(required = true, value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// Another source to measure on. Of pictures: a folder, digits, packed:FILE, or KIND:FOLDER,KEY=VALUE,... with the kind idx, cifar10,
    /// cifar100, numpy, image-folder, image-table or web-dataset. Of texts: a file or a folder like that of the run's own, or
    /// table:FOLDER,KEY=VALUE,... or text-folder:FOLDER,... What the run has learnt from is left out.
    #[arg(long, value_name = "SOURCE")]
    pub(crate) data: Option<String>,
    /// Averages the answers over several views of each picture (test-time augmentation).
    #[arg(long, value_name = "VIEWS")]
    pub(crate) tta: Option<Tta>,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Views of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tta {
    /// As it is, and mirrored left to right.
    Mirror,
    /// The four corners and the middle, each of 7/8 of the sides.
    FiveCrop,
}

#[derive(Debug, Args)]
pub(crate) struct Predict {
    /// A run, or an artifact.
    pub(crate) artifact: PathBuf,
    /// Pictures or folders of pictures; for a network of texts, files with a text in each line, or with a request of JSON, such as
    /// {"text": "...", "pair": "..."} or {"prompt": "...", "max-tokens": 20}; for one that recommends, with the codes of what a user has in each
    /// line, commas between them.
    #[arg(required_unless_present = "text", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// A text to be answered, or the codes of what a user has; may be given several times.
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Vec<String>,
    /// How answers are written: a table for people, one JSON object a line, or comma-separated values with a header.
    #[arg(long, default_value = "table")]
    pub(crate) format: Format,
    /// The number of classes shown, the most probable first: 3 if nothing is said; of items recommended, all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) top: Option<u16>,
    /// Where to compute: cpu, cuda, cuda:1, ndarray, auto.
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Jsonl,
    Csv,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Search {
    /// Gives each text of a table its vector, and writes them to a folder.
    Index {
        /// A run of a sentence embedding, or an artifact.
        artifact: PathBuf,
        /// The table: .csv, .tsv, .jsonl, .json or .parquet.
        table: PathBuf,
        /// The folder of the index: a new or empty one, or an index, which is replaced.
        index: PathBuf,
        /// The columns that make the text, one after the other.
        #[arg(long, value_name = "COLUMN", default_value = "text")]
        text: Vec<String>,
        /// The column of the names of the texts; by default a text is called after its row.
        #[arg(long, value_name = "COLUMN")]
        name: Option<String>,
        /// Where to compute: cpu, cuda, cuda:1, ndarray, auto.
        #[arg(long, default_value = "auto")]
        device: String,
    },
    /// Finds the texts of an index that are nearest to a question.
    Ask {
        /// The run or the artifact that the index was made with.
        artifact: PathBuf,
        /// The folder of the index.
        index: PathBuf,
        /// What is asked.
        #[arg(required = true, value_name = "QUESTION")]
        questions: Vec<String>,
        /// How many texts are shown of each.
        #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        top: u16,
        /// Walks along a graph of neighbours (HNSW) in the place of looking at every text: quicker for many questions, and now and
        /// then misses one.
        #[arg(long)]
        graph: bool,
        /// One JSON object a question, for programs.
        #[arg(long)]
        json: bool,
        /// Where to compute: cpu, cuda, cuda:1, ndarray, auto.
        #[arg(long, default_value = "auto")]
        device: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Sample {
    /// A run that makes pictures, or an artifact.
    pub(crate) artifact: PathBuf,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) png: PathBuf,
    /// The seed of the first picture; each further one has the next. The same seed gives the same picture.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
    /// How many pictures.
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) count: u16,
    /// How many stand in a row.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) columns: u16,
    /// Each row is a way from the picture of one seed to that of the next.
    #[arg(long)]
    pub(crate) between: bool,
    /// Where to compute: cpu, cuda, cuda:1, ndarray, auto.
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// A run of a language model, or an artifact.
    pub(crate) artifact: PathBuf,
    /// The text to go on with; by default what stands on standard input.
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,
    /// The most tokens that are written. What is not said here and below is as the artifact has it.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole())]
    pub(crate) max_tokens: Option<usize>,
    /// What scores are divided by before a token is drawn: the lower, the more likely the likeliest one; 0 always takes that.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) temperature: Option<f64>,
    /// Draws among so many of the likeliest tokens alone.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole())]
    pub(crate) top_k: Option<usize>,
    /// Draws among the fewest tokens alone that have this probability together, above 0 to 1.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub(crate) top_p: Option<f64>,
    /// What makes repetitions rarer the more it is above 1.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) repetition_penalty: Option<f64>,
    /// Ends the text before this comes up; may be given several times.
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
    /// The seed of the draws: the same one gives the same text.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// One JSON object with the text, its tokens and their probabilities, at the end.
    #[arg(long)]
    pub(crate) json: bool,
    /// Where to compute: cpu, cuda, cuda:1, ndarray, auto.
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A run, or an artifact.
    pub(crate) artifact: PathBuf,
    /// Where to compute: cpu, cuda, cuda:1, ndarray, auto.
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("models").required(true).args(["artifacts", "repository"]))]
pub(crate) struct Serve {
    /// Runs or artifacts, each as RUN or NAME=RUN; several of one name are its versions 1, 2, ... A run is named after its
    /// experiment.
    #[arg(value_name = "RUN")]
    pub(crate) artifacts: Vec<String>,
    /// A folder with a folder for each model, and in it one for each version, named by its number, with an artifact.
    #[arg(long, value_name = "DIR")]
    pub(crate) repository: Option<PathBuf>,
    /// Which versions of the repository are served: latest (the default), latest:N, all, or numbers such as 1,3.
    #[arg(long, value_name = "VERSIONS")]
    pub(crate) versions: Option<String>,
    /// Sends so many of a hundred requests to another version: MODEL:VERSION=PERCENT.
    #[arg(long, value_name = "CANARY")]
    pub(crate) canary: Vec<String>,
    /// Asks another version too, and compares its answers: MODEL:VERSION.
    #[arg(long, value_name = "SHADOW")]
    pub(crate) shadow: Vec<String>,
    #[command(flatten)]
    pub(crate) listeners: Listeners,
    #[command(flatten)]
    pub(crate) batching: Batching,
    #[command(flatten)]
    pub(crate) writing: Writing,
    #[command(flatten)]
    pub(crate) admission: Admission,
    /// Looks so often, in seconds, whether models or keys have changed, and loads what has.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) poll: Option<f64>,
    /// How long all is answered as before once it is told to stop, in seconds; it is not ready any more.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) pre_stop: f64,
    /// How long what was taken may take to be answered after that, in seconds.
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) drain: f64,
    /// Where to compute: cpu, cuda, cuda:1, ndarray, auto.
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// Sends a trace of each request to this collector by OTLP over HTTP: http://HOST:4318.
    #[arg(long, value_name = "URL")]
    pub(crate) otlp: Option<String>,
    /// How the log is written to standard error.
    #[arg(long, default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// Where it listens.
#[derive(Debug, Args)]
pub(crate) struct Listeners {
    /// Where clients come; only this machine by default.
    #[arg(long, default_value = "127.0.0.1:8000", value_name = "ADDR")]
    pub(crate) http: String,
    /// Where clients of gRPC come: an address, or off.
    #[arg(long, default_value = "127.0.0.1:8001", value_name = "ADDR")]
    pub(crate) grpc: String,
    /// Where Prometheus comes: an address, or off.
    #[arg(long, default_value = "127.0.0.1:8002", value_name = "ADDR")]
    pub(crate) metrics: String,
    /// Where models are loaded and unloaded, whatever clients may do: an address, or off.
    #[arg(long, default_value = "off", value_name = "ADDR")]
    pub(crate) control: String,
    /// A chain of certificates (PEM): connections of clients are encrypted.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The private key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,
}

/// How requests are put together.
#[derive(Debug, Args)]
pub(crate) struct Batching {
    /// Instances of each model, with a thread each; the weights are in memory once.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) instances: u16,
    /// The most samples that are computed together.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) largest_batch: u16,
    /// Sizes that batches are cut to, such as 4,8,16.
    #[arg(long, value_name = "SIZES", value_delimiter = ',')]
    pub(crate) preferred_batches: Vec<u16>,
    /// How long a request may wait for others, in microseconds; an idle instance waits for nobody.
    #[arg(long, default_value_t = 500, value_name = "MICROS", allow_negative_numbers = true)]
    pub(crate) longest_wait: u32,
    /// Holds the 99th percentile of the time of answers below so many milliseconds: a controller moves how long requests wait
    /// for others and how many may wait, the latter up to --queue. Off by default.
    #[arg(long, value_name = "MILLIS", allow_negative_numbers = true)]
    pub(crate) target_p99: Option<f64>,
    /// Levels of priority.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) priorities: u8,
}

/// How language models write.
#[derive(Debug, Args)]
pub(crate) struct Writing {
    /// Texts that a language model writes at once, each in a thread of its own beside those that answer batches.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) texts: u16,
    /// The most texts that wait to be begun; the next one is refused with 429.
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub(crate) texts_queue: u16,
    /// The most tokens of a text.
    #[arg(long, default_value_t = 4096, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1048576))]
    pub(crate) tokens: u32,
}

/// What is let in.
#[derive(Debug, Args)]
pub(crate) struct Admission {
    /// Lets clients load and unload models where they ask; --control is a listener of its own for that.
    #[arg(long)]
    pub(crate) allow_control: bool,
    /// The most requests that wait for a model; the next one is refused with 429.
    #[arg(long, default_value_t = 1024, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) queue: u32,
    /// How long a request may take that does not say so itself, in milliseconds; forever by default.
    #[arg(long, value_name = "MILLIS", allow_negative_numbers = true)]
    pub(crate) deadline: Option<u32>,
    /// An instance that takes longer than this for a batch is replaced, in seconds.
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) stuck_after: f64,
    /// The largest body, in megabytes (MiB).
    #[arg(long, default_value_t = 64, value_name = "MB", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) body: u16,
    /// The most samples of a request.
    #[arg(long, default_value_t = 4096, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) samples: u32,
    /// A file with a line NAME KEY for each caller; without a key nothing is answered but whether the server is well.
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,
    /// Requests that a caller may send: N a second, or N:M with M at once.
    #[arg(long, value_name = "RATE")]
    pub(crate) rate: Option<String>,
}

/// How a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// An object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Runs {
    /// Lists the runs below a folder.
    List {
        #[command(flatten)]
        place: RunsPlace,
    },
    /// Shows one run.
    Show {
        /// The run's directory, or runs/latest.
        run: PathBuf,
        /// JSON for machines.
        #[arg(long)]
        json: bool,
    },
    /// Compares runs side by side: figures, and the settings that differ.
    Compare {
        /// Runs; without any, all below the folder.
        runs: Vec<PathBuf>,
        #[command(flatten)]
        place: RunsPlace,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunsPlace {
    /// The folder below which runs are.
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// JSON for machines.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Prints every effective setting with where it came from.
    Show {
        #[command(flatten)]
        experiment: ExperimentArgs,
        /// JSON for machines.
        #[arg(long)]
        json: bool,
    },
    /// Checks an experiment, without data.
    Check {
        #[command(flatten)]
        experiment: ExperimentArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    pub(crate) experiment: ExperimentArgs,
    /// Which training sample, from 0.
    #[arg(long, default_value_t = 0, value_name = "N", allow_negative_numbers = true, value_parser = whole())]
    pub(crate) sample: usize,
    /// Also draws training pictures as they are and, beside each, as augmentation makes them: a PNG.
    #[arg(long, value_name = "FILE")]
    pub(crate) png: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// JSON for machines.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    /// Counts classes, sizes, levels, duplicates and look-alikes, leaks between parts, contradicting labels and broken samples.
    Describe(Describe),
    /// Fetches a public data set into the cache (HOMEOSTAT_CACHE, or ~/.cache/homeostat), where experiments find it.
    Fetch(Fetch),
    /// Writes all pictures of a source, decoded and resized, into one file: training from it costs no decoding.
    Pack(Pack),
    /// Learns a tokenizer from texts, and writes it as a tokenizer.json.
    Tokenizer(LearnTokenizer),
}

#[derive(Debug, Args)]
pub(crate) struct Describe {
    /// A source (a folder, digits, packed:FILE, KIND:FOLDER, or KIND:FOLDER,KEY=VALUE of pictures or of texts, such as
    /// table:mails,label=kind), or an experiment.
    pub(crate) source: String,
    #[command(flatten)]
    pub(crate) roots: Roots,
    /// Also writes a page with sample grids: one HTML file that fetches nothing.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// JSON for machines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A source, and the file that it is packed into.
#[derive(Debug, Args)]
pub(crate) struct Pack {
    /// A source of pictures (a folder, digits, or KIND:FOLDER,KEY=VALUE,... with the kind idx, cifar10, cifar100, numpy, image-folder,
    /// image-table or web-dataset), or an experiment.
    pub(crate) source: String,
    /// The file to write; it ends in .pack.
    pub(crate) out: PathBuf,
    /// Stretches pictures to so many pixels on both sides.
    #[arg(long, value_name = "PIXELS", value_parser = positive())]
    pub(crate) size: Option<usize>,
    /// Resizes pictures so that the shorter side has so many pixels.
    #[arg(long, value_name = "PIXELS", conflicts_with = "size", value_parser = positive())]
    pub(crate) shorter_side: Option<usize>,
    /// Leaves out pictures that cannot be read, instead of stopping at the first.
    #[arg(long)]
    pub(crate) skip_corrupt: bool,
    #[command(flatten)]
    pub(crate) roots: Roots,
    /// JSON for machines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A tokenizer, and the texts that it is learnt from.
#[derive(Debug, Args)]
pub(crate) struct LearnTokenizer {
    /// A file of text, or an experiment about texts, of which the training part is taken.
    pub(crate) source: String,
    /// How texts are cut.
    #[arg(long, default_value = "wordpiece")]
    pub(crate) kind: Kind,
    /// The most tokens.
    #[arg(long, default_value_t = 8000, value_name = "N")]
    pub(crate) size: usize,
    /// Keeps upper and lower case apart.
    #[arg(long)]
    pub(crate) cased: bool,
    /// The file that is written; it ends in .json.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) roots: Roots,
}

/// How a tokenizer cuts texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Words, and pieces of rare ones, as BERT.
    Wordpiece,
    /// Joined pairs of bytes, as GPT-2.
    Bpe,
    /// The likeliest pieces, as SentencePiece.
    Unigram,
    /// A token a character.
    Characters,
}

/// A public data set, or all that there are.
#[derive(Debug, Args)]
pub(crate) struct Fetch {
    /// The data set: mnist, fashion-mnist, cifar10, cifar100, ag-news or banking77. Without it, they are listed.
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// JSON for machines.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Models {
    /// Lists networks: parameters, products for one image (MACs), the image, and who has published weights.
    List {
        /// Only names that fit; a * stands for anything: '*resnet*'.
        #[arg(default_value = "*")]
        pattern: String,
        /// JSON for machines, one line a network.
        #[arg(long)]
        json: bool,
    },
    /// Shows a network layer by layer: what comes out, parameters, MACs, and the memory of what comes out.
    Show {
        /// The network's name, as `models list` has it.
        name: String,
        /// JSON for machines, one line a layer.
        #[arg(long)]
        json: bool,
    },
    /// Writes the weights of a run as safetensors, in the names and layout of torchvision, timm or whoever has the original.
    Export {
        /// A run, or an artifact.
        artifact: PathBuf,
        /// The file to write; it ends in .safetensors, and is not there yet.
        out: PathBuf,
        /// Whose names, where there are several: torchvision, timm.
        #[arg(long, value_name = "ORIGIN")]
        names: Option<String>,
    },
}

impl Verb {
    /// Whether nothing but errors is to be said.
    pub(crate) fn is_quiet(&self) -> bool {
        match self {
            Self::Train(Train { output, .. })
            | Self::Init(Init { output, .. })
            | Self::Resume(Resume { output, .. })
            | Self::Eval(Eval { output, .. })
            | Self::Verify(Verify { output, .. })
            | Self::Devices(output) => output.quiet,
            _ => false,
        }
    }
}

impl Cli {
    /// Lets the libraries' events out, to standard error.
    pub(crate) fn start_log(&self) -> anyhow::Result<()> {
        let default = match &self.verb {
            Verb::Serve(_) => "info",
            verb if verb.is_quiet() => "error",
            _ => "warn",
        };
        let filter = log_filter(self.common.log_level.as_deref().unwrap_or(default))?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
        match &self.verb {
            Verb::Serve(Serve { log_format: LogFormat::Json, .. }) => log.json().flatten_event(true).init(),
            Verb::Serve(_) => log.with_ansi(std::io::stderr().is_terminal()).init(),
            _ => log.without_time().with_ansi(std::io::stderr().is_terminal()).init(),
        }
        Ok(())
    }
}

/// A number from 1 on, with its range in the error.
fn positive() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u32).range(1..).map(|number| number as usize)
}

/// A number from 0 on, with its range in the error.
fn whole() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u32).map(|number| number as usize)
}

/// The levels that the option names, each for all events or for those of a crate.
fn log_filter(words: &str) -> anyhow::Result<EnvFilter> {
    // A word that is no level would be taken for the name of a crate, and all else be silent.
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let filter =
        EnvFilter::try_new(words).ok().filter(|_| words.split(',').all(|word| word.contains('=') || is_level(word)));
    filter.with_context(|| {
        format!("unknown --log-level `{words}`: give off, error, warn, info, debug or trace, or CRATE=LEVEL such as homeostat_data=debug")
    })
}

/// Says an error in one line: what, and its causes unless they are in it already.
pub(crate) fn complain(error: &anyhow::Error) {
    let mut line = error.to_string();
    // Wherever else a bare error of the system comes from, it is said what was tried.
    if error.chain().next().is_some_and(|top| top.is::<std::io::Error>()) {
        line = format!("cannot write to standard output: {line}");
    }
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    // A closed standard error leaves nobody to tell.
    let _ = writeln!(std::io::stderr(), "error: {}", line.replace('\n', " "));
}
