//! The input of the page: what a run leaves, as plain data. It does not know how the page looks, nor where the data came from.

/// Ranges of lengths.
const RANGES: usize = 5;

/// A run, ready to be written as one page with [`Report::render`]. An empty list leaves its section out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The experiment's name, the page's headline.
    pub title: String,
    /// When the run began, as a person reads it.
    pub when: String,
    /// How the run ended.
    pub state: State,
    /// The few figures that stand large at the top, the most telling one first.
    pub headlines: Vec<Headline>,
    /// The measured curves. Series of one `name` share a chart; the name `loss` leads and carries the decisions.
    pub curves: Vec<Series>,
    /// The learning rate by step.
    pub rate: Vec<Point>,
    /// The step whose weights were published, marked on the validation curves.
    pub chosen_step: Option<u64>,
    /// What the controllers decided, in order.
    pub decisions: Vec<Decision>,
    /// How the chosen weights answer; of a task without classes all tables of classes are empty.
    pub classification: Option<Classification>,
    /// Training samples as the network saw them.
    pub augmented: Vec<Picture>,
    /// Sheets of pictures that the network makes.
    pub made: Vec<Picture>,
    /// What the network writes.
    pub written: Vec<Written>,
    /// What the network answers to some requests.
    pub answered: Vec<Written>,
    /// The number of samples by class and part.
    pub data: DataSummary,
    /// Samples that could not be read and were left out.
    pub skipped: Vec<Skipped>,
    /// Every effective setting with where it came from, as `homeostat config show` prints it.
    pub config: String,
    /// Versions, device, seed, hashes: a name and a value each.
    pub environment: Vec<(String, String)>,
    /// What to do with the run now.
    pub next: Vec<Command>,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// The whole of the experiment was run.
    #[default]
    Finished,
    /// Stopped from outside; it can be resumed.
    Interrupted,
    /// Given up, for this reason.
    Failed(String),
}

/// A figure that stands large at the top of the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Headline {
    /// What it is: "test accuracy".
    pub label: String,
    /// The figure.
    pub value: Value,
    /// A few words below it ("360 samples, touched once"), or nothing.
    pub note: String,
}

/// A figure and how it is read; the page formats it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A share in `0..=1`, shown in percent.
    Share(f64),
    /// A number without a unit.
    Number(f64),
    /// A count of things.
    Count(u64),
    /// A duration in seconds.
    Seconds(f64),
    /// Words.
    Text(String),
}

/// One line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The figure: "loss", "accuracy".
    pub name: String,
    /// The part of the data that it was measured on: "train", "valid", "test".
    pub part: String,
    /// The points in the order of their steps. Values that are not finite interrupt the line.
    pub points: Vec<Point>,
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The optimiser step, from 1.
    pub step: u64,
    /// The epoch, fractions included.
    pub epoch: f64,
    /// The figure.
    pub value: f64,
}

/// What a controller decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The optimiser step.
    pub step: u64,
    /// The controller's name: "guard".
    pub controller: String,
    /// What it did: "rewind".
    pub action: String,
    /// Why, in words.
    pub reason: String,
}

/// How the chosen weights classify one part of the data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Classification {
    /// The part measured: "test".
    pub part: String,
    /// The names of the classes, in the order of the network's outputs.
    pub classes: Vec<String>,
    /// Counts `[truth][predicted]`, both in the order of `classes`.
    pub confusion: Vec<Vec<u64>>,
    /// One row a class.
    pub per_class: Vec<ClassRow>,
    /// Confidence against accuracy; `None` when it was not measured.
    pub reliability: Option<Reliability>,
    /// The most confident errors, worst first; the page shows the first 32.
    pub mistakes: Vec<Mistake>,
    /// How the share of right answers depends on the length of texts.
    pub lengths: Lengths,
}

/// How the share of right answers depends on the length of texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lengths {
    /// What the share is called: "accuracy".
    pub figure: String,
    /// Short texts first; empty where samples have no length.
    pub rows: Vec<LengthRow>,
}

impl Lengths {
    /// A figure by a few ranges, from the words of each text and whether it was answered right.
    #[must_use]
    pub fn of(figure: &str, texts: Vec<(usize, bool)>) -> Self {
        Self { figure: figure.to_owned(), rows: LengthRow::ranges(texts, RANGES) }
    }
}

/// The texts of a part whose lengths lie in one range.
#[derive(Clone, Debug, PartialEq)]
pub struct LengthRow {
    /// Words of the shortest.
    pub from: usize,
    /// Words of the longest.
    pub to: usize,
    /// How many there are.
    pub count: u64,
    /// The share of right answers.
    pub accuracy: f64,
}

impl LengthRow {
    /// About `count` ranges with as many texts each, from the words of each text and whether it was answered right. Texts of one length
    /// stand in one range.
    #[must_use]
    pub fn ranges(mut texts: Vec<(usize, bool)>, count: usize) -> Vec<Self> {
        texts.sort_unstable();
        let mut rows: Vec<Self> = Vec::new();
        let (mut start, size) = (0, texts.len().div_ceil(count.max(1)).max(1));
        while start < texts.len() {
            let last = texts[(start + size).min(texts.len()) - 1].0;
            let end = texts.partition_point(|(words, _)| *words <= last);
            let right = texts[start..end].iter().filter(|(_, right)| *right).count();
            let accuracy = right as f64 / (end - start) as f64;
            rows.push(Self { from: texts[start].0, to: last, count: (end - start) as u64, accuracy });
            start = end;
        }
        rows
    }
}

/// The figures of one class, each in `0..=1`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassRow {
    /// The class.
    pub name: String,
    /// Of the samples predicted to be in this class, the share that is.
    pub precision: f64,
    /// Of the samples in this class, the share that was found.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
    /// The number of samples in this class.
    pub support: u64,
}

/// Confidence against accuracy in bins of equal width over `0..=1`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reliability {
    /// The bins, the least confident first.
    pub bins: Vec<ReliabilityBin>,
    /// Where the accuracy over all bins lies with 95 % confidence: a gap within it may be chance.
    pub accuracy_interval: (f64, f64),
    /// The expected calibration error: the mean distance of confidence and accuracy, weighted by count (Guo et al. 2017).
    pub calibration_error: f64,
}

/// One bin of a [`Reliability`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReliabilityBin {
    /// The number of samples.
    pub count: u64,
    /// Their mean confidence; ignored when `count` is 0.
    pub confidence: f64,
    /// Their accuracy; ignored when `count` is 0.
    pub accuracy: f64,
}

/// A sample that was classified wrongly.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// What it was.
    pub shown: Shown,
    /// The sample's name: a file, or a position in the data.
    pub name: String,
    /// The class it is in, or its labels.
    pub truth: String,
    /// The class, or the labels, that it was given.
    pub predicted: String,
    /// The probability of the class it was given; of labels that of the wrong answer to one that was the surest.
    pub confidence: f64,
}

/// A sample as a page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A picture as a PNG file; a placeholder stands for bytes that are none.
    Picture(Vec<u8>),
    /// A text, or two with a line between them.
    Text(String),
}

/// A picture with a caption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The picture as a PNG file; a placeholder stands for bytes that are none.
    pub png: Vec<u8>,
    /// A few words below it.
    pub caption: String,
}

/// A text that a network has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The text that it was to go on with.
    pub prompt: String,
    /// What it wrote behind that.
    pub text: String,
    /// How it was drawn: "temperature 0.8, seed 1".
    pub how: String,
}

/// The number of samples by class and part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataSummary {
    /// The parts, the columns: "train", "valid", "test".
    pub parts: Vec<String>,
    /// One row a class: its name, and its count in each of `parts`.
    pub classes: Vec<(String, Vec<u64>)>,
}

/// A sample that could not be read and was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub name: String,
    /// What was wrong with it.
    pub reason: String,
}

/// A command that one may type next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What it does.
    pub what: String,
    /// The command line.
    pub line: String,
}
