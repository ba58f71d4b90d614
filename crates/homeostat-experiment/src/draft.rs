//! From a description of data to the file of an experiment that can be trained at once: each choice with its reason, each doubt
//! as a warning. It reads no data and writes no file.

use homeostat_config::to_inline_toml;
use homeostat_data::{ClassCount, Description, ImageFacts, SourceConfig};

use crate::doubts::{IMBALANCE, doubts};

/// Pictures up to this side are learnt from as they are.
const SMALL: f64 = 64.0;
/// The side to which larger ones are brought: what a processor learns from in minutes.
const SIDE: usize = 64;

/// The file of an experiment, and what a person should look at before it is trained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The experiment's name.
    pub name: String,
    /// The file, with the reason of each choice as a comment.
    pub text: String,
    /// What is suspicious, a sentence each.
    pub doubts: Vec<String>,
}

/// Drafts an experiment for a source that was described.
///
/// Which flips suit is told by the names of the classes and by the colours. Nothing is mirrored where the classes are characters
/// (`0`, `b`, ...), or have a side or a direction in their names, or where all pictures are grey: letters, digits and scans have a
/// left and a right. Photographs are mirrored left to right, never upside down.
#[must_use]
pub fn draft(source: &SourceConfig, description: &Description) -> Draft {
    let data = Data::of(description);
    let name = safe_name(&description.title);
    let mut doubts = doubts(description);
    doubts.extend(groups_doubt(description));
    let mut file = Lines::default();
    file.line(&format!(
        "# An experiment for {}, drafted by `homeostat init`. Each choice can be changed.",
        description.title
    ));
    for doubt in &doubts {
        file.line(&format!("# DOUBT: {doubt}"));
    }
    file.line(&format!("name = {}", quoted(&name)));
    file.line("seed = 1");
    file.table("task.image-classification");
    task(&mut file, &data);
    file.table("data");
    parts(&mut file, source, &data);
    file.table("train");
    train(&mut file, &data);
    Draft { name, text: file.text, doubts }
}

/// What choices depend on.
struct Data<'a> {
    description: &'a Description,
    /// Nothing is known of pictures of which none can be read.
    images: ImageFacts,
    /// The samples to learn from, before validation is taken from them.
    learnt: usize,
    /// Whether the data come with a training part and another one.
    divided: bool,
    /// Why nothing may be mirrored, if so.
    sided: Option<String>,
    grey: bool,
    /// The one size of all pictures, or nothing.
    size: Option<[usize; 2]>,
    /// The shorter side of what the network sees.
    side: usize,
    unequal: bool,
}

impl<'a> Data<'a> {
    fn of(description: &'a Description) -> Self {
        let classes = &description.classes;
        let sum = |count: &dyn Fn(&ClassCount) -> usize| classes.iter().map(count).sum::<usize>();
        let (train, others) = (sum(&|class| class.train), sum(&|class| class.valid + class.test));
        let divided = train > 0 && others > 0;
        let learnt = if divided { train } else { description.samples };
        let images = description.images.clone().unwrap_or_default();
        let grey = images.levels.iter().all(|levels| levels.mean.len() == 1 || levels.colorless == levels.count);
        let size = match &images.shapes[..] {
            [first, rest @ ..]
                if rest.iter().all(|shape| (shape.height, shape.width) == (first.height, first.width)) =>
            {
                Some([first.height, first.width])
            }
            _ => None,
        };
        let of_class = |class: &ClassCount| if divided { class.train } else { class.train + class.unassigned };
        let least = classes.iter().map(of_class).min().unwrap_or(0);
        let most = classes.iter().map(of_class).max().unwrap_or(0);
        let side = match size {
            Some([height, width]) if (height.max(width) as f64) <= SMALL => height.min(width).max(16),
            _ => SIDE,
        };
        Self {
            description,
            images,
            learnt,
            divided,
            sided: sided(description, grey),
            grey,
            size,
            side,
            unequal: most >= IMBALANCE * least.max(1),
        }
    }

    /// Whether pictures go into the network in their own size.
    fn keeps_size(&self) -> bool {
        self.size.is_some_and(|[height, width]| height.min(width) >= 16 && (height.max(width) as f64) <= SMALL)
    }

    fn channels(&self) -> usize {
        if self.grey { 1 } else { 3 }
    }
}

/// Why the pictures may not be mirrored, if they may not.
fn sided(description: &Description, grey: bool) -> Option<String> {
    const SIDES: [&str; 8] = ["left", "right", "up", "down", "arrow", "letter", "digit", "text"];
    let names = || description.classes.iter().map(|class| class.name.as_str());
    let is_character = |name: &str| name.chars().count() == 1 || name.parse::<u64>().is_ok();
    if names().all(is_character) && !description.classes.is_empty() {
        return Some("the classes are characters, and a mirrored character is none".to_owned());
    }
    let words = |name: &str| name.to_lowercase().split(|c: char| !c.is_alphabetic()).any(|word| SIDES.contains(&word));
    if let Some(name) = names().find(|name| words(name)) {
        return Some(format!("the class `{name}` has a side, which a mirror would swap"));
    }
    grey.then(|| "the pictures are grey: scans, letters and X-rays have a left and a right; add \"flip-horizontal\" where yours have none".to_owned())
}

fn task(file: &mut Lines, data: &Data<'_>) {
    let images = &data.images;
    let classes = data.description.classes.len();
    file.line(&format!("# {classes} classes, one a folder or label; their names are taken from the data."));
    let mut steps = Vec::new();
    let channels: Vec<usize> = images.shapes.iter().map(|shape| shape.channels).collect();
    if channels.iter().any(|&found| found != data.channels()) {
        let what = if data.grey { "no picture has any colour" } else { "most pictures have colour" };
        file.line(&format!("# Channels {}: {what}.", data.channels()));
        steps.push(format!("{{ channels = {} }}", data.channels()));
    }
    if data.keeps_size() {
        file.line(&format!(
            "# All pictures are of {} x {} pixels, and stay so.",
            images.height.median, images.width.median
        ));
    } else {
        let sizes = match data.size {
            Some([height, width]) => format!("All pictures are of {height} x {width} pixels"),
            None => format!(
                "Pictures are of {} to {} rows and {} to {} columns",
                images.height.least, images.height.most, images.width.least, images.width.most
            ),
        };
        let why = if data.side < SIDE {
            "larger ones suit the network"
        } else {
            "a processor learns from these in minutes, a GPU takes 128 or 224"
        };
        file.line(&format!("# {sizes}; {} x {0}: {why}.", data.side));
        steps.push(format!("{{ resize = {{ size = {} }} }}", data.side));
    }
    steps.push("\"normalize-from-train\"".to_owned());
    file.line(&format!("prepare = [{}]", steps.join(", ")));
    // Each stage halves the sides; four pixels or so are left for the dense layer.
    let widths: &[usize] = match data.side {
        0..=31 => &[32, 64],
        32..=47 => &[32, 64, 128],
        _ => &[32, 64, 128, 128],
    };
    file.line(&format!(
        "# The reference network; {} stages bring {} pixels a side down to {}.",
        widths.len(),
        data.side,
        data.side >> widths.len()
    ));
    let dropout = if data.learnt < 5_000 { 0.4 } else { 0.3 };
    file.line(&format!(
        "model.cnn = {{ padding = \"same\", widths = {widths:?}, hidden = [128], dropout = {dropout} }}"
    ));
    if data.unequal {
        file.line("# The classes are unequal: each counts as if they were not.");
        file.line("loss.cross-entropy = { class-weights = \"balanced\" }");
    }
}

fn parts(file: &mut Lines, source: &SourceConfig, data: &Data<'_>) {
    file.line(&format!("source = {}", to_inline_toml(source)));
    let classes = &data.description.classes;
    let has = |count: fn(&ClassCount) -> usize| classes.iter().any(|class| count(class) > 0);
    if data.divided {
        file.line("# As the data come divided.");
        if has(|class| class.valid) {
            file.line("split = \"given\"");
        } else {
            file.line("# They have no validation part; a tenth of training becomes it.");
            file.line("split.given = { valid = 0.1 }");
        }
    } else {
        let share = if data.learnt < 1_000 { 0.15 } else { 0.1 };
        file.line("# The data come undivided: at random, by class and seed; the same content never on both sides.");
        file.line(&format!("split.stratified = {{ valid = {share}, test = {share} }}"));
    }
    if !(data.description.corrupt.is_empty()) {
        file.line(&format!("# {} samples cannot be decoded.", data.description.corrupt.len()));
        file.line("on-corrupt = \"skip\"");
    }
    augment(file, data);
}

fn augment(file: &mut Lines, data: &Data<'_>) {
    let mut steps: Vec<String> = Vec::new();
    if let Some(why) = &data.sided {
        file.line(&format!("# Nothing is mirrored: {why}. Small motions instead."));
        steps.extend(
            ["rotate = { degrees = 10.0 }", "scale = { min = 0.9, max = 1.1 }", "translate = { fraction = 0.08 }"]
                .map(String::from),
        );
    } else if data.keeps_size() {
        file.line("# Small colour pictures: moved by an eighth, mirrored (He et al. 2016).");
        steps.push(format!("random-crop = {{ padding = {} }}", data.side.div_ceil(8)));
        steps.push("flip-horizontal = {}".to_owned());
    } else {
        file.line("# Photographs: a part of random size, mirrored, in another light (Szegedy et al. 2015).");
        steps.push(format!("random-resized-crop = {{ size = {}, scale = [0.35, 1.0] }}", data.side));
        steps.push("flip-horizontal = {}".to_owned());
        steps.push("color-jitter = {}".to_owned());
    }
    let steps: Vec<String> = steps.iter().map(|step| format!("    {{ {step} }},\n")).collect();
    file.line(&format!("augment = [\n{}]", steps.concat()));
}

fn train(file: &mut Lines, data: &Data<'_>) {
    let (batch, epochs, rate) = match data.learnt {
        0..=2_999 => (32, 40, 1e-3),
        3_000..=19_999 => (64, 20, 1.5e-3),
        _ => (128, 10, 2e-3),
    };
    file.line(&format!("# {} samples to learn from: {epochs} times in batches of {batch}.", data.learnt));
    file.line(&format!("epochs = {epochs}"));
    file.line(&format!("batch-size = {batch}"));
    file.line("# Up and down again over the whole training (Smith and Topin 2018); AdamW forgives a rate that is not quite right.");
    file.line(&format!("optimizer.adamw = {{ learning-rate = {rate:e}, weight-decay = 0.05 }}"));
    file.line("schedule.one-cycle = {}");
    let steps = epochs * data.learnt / batch;
    let decay = if steps < 2_000 { 0.99 } else { 0.999 };
    file.line("# The mean of the last weights is measured and published: smoother than any of them.");
    file.line(&format!("ema = {{ decay = {decay} }}"));
    let mut metrics = vec!["\"accuracy\"", "\"macro-f1\""];
    if data.description.classes.len() >= 10 {
        metrics.push("{ top-k = { k = 3 } }");
    }
    metrics.push("\"calibration-error\"");
    if data.unequal {
        file.line("# The classes are unequal: accuracy alone would forget the small ones.");
        file.line("monitor = \"macro-f1\"");
    } else if data.learnt < 5_000 {
        file.line("# With few validation samples many epochs tie in accuracy; the loss tells them apart.");
        file.line("monitor = \"loss\"");
    }
    file.line(&format!("metrics = [{}]", metrics.join(", ")));
}

/// File names that tell of groups are no proof, so nothing is done about them but this.
fn groups_doubt(description: &Description) -> Option<String> {
    let groups = description.groups.as_ref()?;
    Some(format!(
        "the file names tell of {} groups, such as `{}` with {} samples; where those of a group are alike (one patient, one film), keep \
         each in one part: put the pictures into `train`, `val` and `test` yourself.",
        groups.count, groups.largest, groups.size
    ))
}

/// A name for a folder of runs.
fn safe_name(title: &str) -> String {
    let safe: String =
        title.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect();
    let safe = safe.trim_matches('-');
    if safe.is_empty() { "experiment".to_owned() } else { safe.to_lowercase() }
}

/// A string as TOML has it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A file that grows.
#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    /// A line, or several where it is a comment too long for a page.
    fn line(&mut self, line: &str) {
        const WIDTH: usize = 110;
        let Some(comment) = line.strip_prefix("# ") else {
            self.text.push_str(line);
            return self.text.push('\n');
        };
        let mut row = "#".to_owned();
        for word in comment.split(' ') {
            if row.len() > 1 && row.chars().count() + word.chars().count() >= WIDTH {
                self.text.push_str(&row);
                self.text.push('\n');
                row = "#".to_owned();
            }
            row.push(' ');
            row.push_str(word);
        }
        self.text.push_str(&row);
        self.text.push('\n');
    }

    fn table(&mut self, name: &str) {
        self.text.push_str(&format!("\n[{name}]\n"));
    }
}
