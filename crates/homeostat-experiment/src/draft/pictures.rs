//! The draft for pictures.

use homeostat_config::to_inline_toml;
use homeostat_data::{Description, ImageFacts, ImageTableConfig, SourceConfig};

use super::{Data, Lines};

/// Pictures up to this side are learnt from as they are.
const SMALL: f64 = 64.0;
/// The side to which larger ones are brought: what a processor learns from in minutes.
const SIDE: usize = 64;

pub(super) fn draft(file: &mut Lines, source: &SourceConfig, data: &Data<'_>) {
    let pictures = Pictures::of(data.description);
    file.table("task.image-classification");
    task(file, data, &pictures);
    file.table("data");
    let is_table = matches!(source, SourceConfig::ImageTable(_));
    let usual = is_table.then(|| SourceConfig::ImageTable(ImageTableConfig::default()));
    file.line(&format!("source = {}", to_inline_toml(source, usual.as_ref())));
    let grouped = matches!(source, SourceConfig::ImageTable(table) if !table.group.is_empty());
    data.parts(file, grouped);
    augment(file, &pictures);
    file.table("train");
    train(file, data);
}

/// What choices depend on.
struct Pictures {
    /// Nothing is known of pictures of which none can be read.
    images: ImageFacts,
    /// Why nothing may be mirrored, if so.
    sided: Option<String>,
    grey: bool,
    /// The one size of all pictures, or nothing.
    size: Option<[usize; 2]>,
    /// The shorter side of what the network sees.
    side: usize,
}

impl Pictures {
    fn of(description: &Description) -> Self {
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
        let side = match size {
            Some([height, width]) if (height.max(width) as f64) <= SMALL => height.min(width).max(16),
            _ => SIDE,
        };
        Self { images, sided: sided(description, grey), grey, size, side }
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

fn task(file: &mut Lines, data: &Data<'_>, pictures: &Pictures) {
    let images = &pictures.images;
    let classes = data.description.classes.len();
    file.line(&format!("# {classes} classes, one a folder or label; their names are taken from the data."));
    let mut steps = Vec::new();
    let channels: Vec<usize> = images.shapes.iter().map(|shape| shape.channels).collect();
    if channels.iter().any(|&found| found != pictures.channels()) {
        let what = if pictures.grey { "no picture has any colour" } else { "most pictures have colour" };
        file.line(&format!("# Channels {}: {what}.", pictures.channels()));
        steps.push(format!("{{ channels = {} }}", pictures.channels()));
    }
    if pictures.keeps_size() {
        file.line(&format!(
            "# All pictures are of {} x {} pixels, and stay so.",
            images.height.median, images.width.median
        ));
    } else {
        let sizes = match pictures.size {
            Some([height, width]) => format!("All pictures are of {height} x {width} pixels"),
            None => format!(
                "Pictures are of {} to {} rows and {} to {} columns",
                images.height.least, images.height.most, images.width.least, images.width.most
            ),
        };
        let why = if pictures.side < SIDE {
            "larger ones suit the network"
        } else {
            "a processor learns from these in minutes, a GPU takes 128 or 224"
        };
        file.line(&format!("# {sizes}; {} x {0}: {why}.", pictures.side));
        steps.push(format!("{{ resize = {{ size = {} }} }}", pictures.side));
    }
    steps.push("\"normalize-from-train\"".to_owned());
    file.line(&format!("prepare = [{}]", steps.join(", ")));
    // Each stage halves the sides; four pixels or so are left for the dense layer.
    let widths: &[usize] = match pictures.side {
        0..=31 => &[32, 64],
        32..=47 => &[32, 64, 128],
        _ => &[32, 64, 128, 128],
    };
    file.line(&format!(
        "# The reference network; {} stages bring {} pixels a side down to {}.",
        widths.len(),
        pictures.side,
        pictures.side >> widths.len()
    ));
    let dropout = if data.pool < 5_000 { 0.4 } else { 0.3 };
    file.line(&format!(
        "model.cnn = {{ padding = \"same\", widths = {widths:?}, hidden = [128], dropout = {dropout} }}"
    ));
    if data.unequal {
        file.line("# The classes are unequal: each counts as if they were not.");
        file.line("loss.cross-entropy = { class-weights = \"balanced\" }");
    }
}

fn augment(file: &mut Lines, pictures: &Pictures) {
    let mut steps: Vec<String> = Vec::new();
    if let Some(why) = &pictures.sided {
        file.line(&format!("# Nothing is mirrored: {why}. Small motions instead."));
        steps.extend(
            ["rotate = { degrees = 10.0 }", "scale = { min = 0.9, max = 1.1 }", "translate = { fraction = 0.08 }"]
                .map(String::from),
        );
    } else if pictures.keeps_size() {
        file.line("# Small colour pictures: moved by an eighth, mirrored (He et al. 2016).");
        steps.push(format!("random-crop = {{ padding = {} }}", pictures.side.div_ceil(8)));
        steps.push("flip-horizontal = {}".to_owned());
    } else {
        file.line("# Photographs: a part of random size, mirrored, in another light (Szegedy et al. 2015).");
        steps.push(format!("random-resized-crop = {{ size = {}, scale = [0.35, 1.0] }}", pictures.side));
        steps.push("flip-horizontal = {}".to_owned());
        steps.push("color-jitter = {}".to_owned());
    }
    let steps: Vec<String> = steps.iter().map(|step| format!("    {{ {step} }},\n")).collect();
    file.line(&format!("augment = [\n{}]", steps.concat()));
}

fn train(file: &mut Lines, data: &Data<'_>) {
    let (batch, epochs, rate) = match data.pool {
        0..=2_999 => (32, 40, 1e-3),
        3_000..=19_999 => (64, 20, 1.5e-3),
        _ => (128, 10, 2e-3),
    };
    file.line(&format!("# About {} samples to learn from: {epochs} times in batches of {batch}.", data.learnt()));
    file.line(&format!("epochs = {epochs}"));
    file.line(&format!("batch-size = {batch}"));
    file.line("# Up and down again over the whole training (Smith and Topin 2018); AdamW forgives a rate that is not quite right.");
    file.line(&format!("optimizer.adamw = {{ learning-rate = {rate:e}, weight-decay = 0.05 }}"));
    file.line("schedule.one-cycle = {}");
    let steps = epochs * data.learnt() / batch;
    let decay = if steps < 2_000 { 0.99 } else { 0.999 };
    file.line("# The mean of the last weights is measured and published: smoother than any of them.");
    file.line(&format!("ema = {{ decay = {decay} }}"));
    data.metrics(file, false);
}
