//! From a description of data to the file of an experiment that can be trained at once: each choice with its reason, each doubt
//! as a warning. It reads no data and writes no file.

mod language;
mod pictures;
mod texts;

use homeostat_data::{AnySource, ClassCount, Description};

use crate::doubts::{IMBALANCE, doubts};

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
/// Texts without classes are for a language model.
///
/// Which flips suit pictures is told by the names of the classes and by the colours. Nothing is mirrored where the classes are
/// characters (`0`, `b`, ...), or have a side or a direction in their names, or where all pictures are grey: letters, digits and scans
/// have a left and a right. Photographs are mirrored left to right, never upside down.
#[must_use]
pub fn draft(source: &AnySource, description: &Description) -> Draft {
    let data = Data::of(description);
    let name = safe_name(&description.title);
    let mut doubts = doubts(description);
    doubts.extend(data.groups_doubt());
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
    match source {
        AnySource::Pictures(source) => pictures::draft(&mut file, source, &data),
        AnySource::Texts(source) if description.classes.is_empty() => language::draft(&mut file, source, &data),
        AnySource::Texts(source) => texts::draft(&mut file, source, &data),
    }
    Draft { name, text: file.text, doubts }
}

/// What choices depend on.
struct Data<'a> {
    description: &'a Description,
    /// The samples before any part is taken from them; of divided data those of the training part.
    pool: usize,
    /// Whether the data come with a training part and another one.
    divided: bool,
    unequal: bool,
}

impl<'a> Data<'a> {
    fn of(description: &'a Description) -> Self {
        let classes = &description.classes;
        let sum = |count: &dyn Fn(&ClassCount) -> usize| classes.iter().map(count).sum::<usize>();
        let (train, others) = (sum(&|class| class.train), sum(&|class| class.valid + class.test));
        let divided = train > 0 && others > 0;
        let pool = if divided { train } else { description.samples };
        let of_class = |class: &ClassCount| if divided { class.train } else { class.train + class.unassigned };
        let least = classes.iter().map(of_class).min().unwrap_or(0);
        let most = classes.iter().map(of_class).max().unwrap_or(0);
        Self { description, pool, divided, unequal: most >= IMBALANCE * least.max(1) }
    }

    /// Whether the data come with a validation part.
    fn has_valid(&self) -> bool {
        self.description.classes.iter().any(|class| class.valid > 0)
    }

    /// Of undivided data the share, in 100, of the validation part, and that of the test part.
    fn percent(&self) -> usize {
        if self.pool < 1_000 { 15 } else { 10 }
    }

    /// About how many samples are left to learn from.
    fn learnt(&self) -> usize {
        let percent = match (self.divided, self.has_valid()) {
            (true, true) => 0,
            (true, false) => 10,
            (false, _) => 2 * self.percent(),
        };
        self.pool - self.pool * percent / 100
    }

    /// How the data are divided, and what is done about broken samples; `grouped` where the source names groups itself.
    fn parts(&self, file: &mut Lines, grouped: bool) {
        let share = self.percent() as f64 / 100.0;
        let by_group = |by: &str| format!("split.group = {{ by = \"{by}\", valid = {share:?}, test = {share:?} }}");
        if self.divided {
            file.line("# As the data come divided.");
            if self.has_valid() {
                file.line("split = \"given\"");
            } else {
                file.line("# They have no validation part; a tenth of training becomes it.");
                file.line("split.given = { valid = 0.1 }");
            }
        } else if grouped {
            file.line("# The data come undivided and tell of groups: at random by seed, a group never on both sides.");
            file.line(&by_group("data"));
        } else if let Some(groups) = &self.description.groups {
            file.line(&format!(
                "# The data come undivided, and their names tell of {} groups, such as `{}` with {} samples: at random by seed, a group \
                 never on both sides.",
                groups.count, groups.largest, groups.size
            ));
            file.line(&by_group("name-before-number"));
        } else {
            file.line("# The data come undivided: at random, by class and seed; the same content never on both sides.");
            file.line(&format!("split.stratified = {{ valid = {share:?}, test = {share:?} }}"));
        }
        if !(self.description.corrupt.is_empty()) {
            file.line(&format!("# {} samples cannot be read.", self.description.corrupt.len()));
            file.line("on-corrupt = \"skip\"");
        }
    }

    /// What is measured, and by what the best epoch is known; of samples with `several` classes less can be measured.
    fn metrics(&self, file: &mut Lines, several: bool) {
        let mut metrics = vec!["\"accuracy\"", "\"macro-f1\""];
        if self.description.classes.len() >= 10 && !several {
            metrics.push("{ top-k = { k = 3 } }");
        }
        if !several {
            metrics.push("\"calibration-error\"");
        }
        if self.unequal {
            file.line("# The classes are unequal: accuracy alone would forget the small ones.");
            file.line("monitor = \"macro-f1\"");
        } else if self.pool < 5_000 {
            file.line("# With few validation samples many epochs tie in accuracy; the loss tells them apart.");
            file.line("monitor = \"loss\"");
        }
        file.line(&format!("metrics = [{}]", metrics.join(", ")));
    }

    /// Names that tell of groups on both sides of a division that is not ours.
    fn groups_doubt(&self) -> Option<String> {
        let groups = self.description.groups.as_ref().filter(|_| self.divided)?;
        Some(format!(
            "the names tell of {} groups, such as `{}` with {} samples; where those of a group are alike (one patient, one film), see that \
             each is in one part only, or divide anew: data.split.group.by=name-before-number.",
            groups.count, groups.largest, groups.size
        ))
    }
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
