//! The draft for texts.

use homeostat_config::to_inline_toml;
use homeostat_data::{TextFolderConfig, TextSourceConfig, TextTableConfig};

use super::{Data, Lines};

/// The most tokens of a text that are read.
const LONGEST: usize = 256;

pub(super) fn draft(file: &mut Lines, source: &TextSourceConfig, data: &Data<'_>) {
    let facts = data.description.texts.clone().unwrap_or_default();
    file.table("task.text-classification");
    file.line(&format!("# {} classes; their names are taken from the data.", data.description.classes.len()));
    // A word is a token and a half or so.
    let holds = |length: &usize| *length as f64 >= 1.5 * facts.words.high + 2.0;
    let length = (16..LONGEST).step_by(16).find(holds).unwrap_or(LONGEST);
    file.line(&format!(
        "# 95 in 100 texts have at most {} words, the longest has {}; what is longer than {length} tokens loses its end.",
        facts.words.high, facts.words.most
    ));
    file.line(&format!("prepare = {{ max-length = {length} }}"));
    file.line(
        "# Finds telling phrases wherever they stand (Kim 2014), and learns from few texts in minutes on a processor.",
    );
    file.line("model.text-cnn = { width = 256, filters = 256, sizes = [1, 2, 3], dropout = 0.3 }");
    file.line("pooling = \"max\"");
    file.line("dropout = 0.5");
    let several = matches!(source, TextSourceConfig::Table(table) if !table.label_separator.is_empty());
    if several {
        file.line("# A text may have several classes: each is a question of its own.");
        file.line("loss.binary-cross-entropy = {}");
    } else if data.unequal {
        file.line("# The classes are unequal: each counts as if they were not.");
        file.line("loss.cross-entropy = { label-smoothing = 0.1, class-weights = \"balanced\" }");
    } else {
        file.line("loss.cross-entropy = { label-smoothing = 0.1 }");
    }
    file.table("data");
    let grouped = matches!(source, TextSourceConfig::Table(table) if !table.group.is_empty());
    data.parts(file, grouped);
    file.table("data.text");
    let usual = match source {
        TextSourceConfig::Table(_) => TextSourceConfig::Table(TextTableConfig::default()),
        TextSourceConfig::TextFolder(_) => TextSourceConfig::TextFolder(TextFolderConfig::default()),
    };
    file.line(&format!("source = {}", to_inline_toml(source, Some(&usual))));
    let size = facts.vocabulary.next_multiple_of(500).clamp(500, 8_000);
    file.line(&format!(
        "# The texts have {} different words; rarer ones are put together from pieces.",
        facts.vocabulary
    ));
    file.line(&format!("tokenizer.train = {{ kind = \"wordpiece\", size = {size} }}"));
    if facts.words.median >= 5.0 {
        file.line("# A text means the same without some of its words (Wei and Zou 2019).");
        file.line("augment = [{ random-deletion = { share = 0.1 } }, { random-swap = { share = 0.1 } }]");
    }
    file.table("train");
    let (batch, epochs) = match data.pool {
        0..=2_999 => (32, 30),
        3_000..=19_999 => (32, 20),
        _ => (64, 6),
    };
    file.line(&format!("# About {} texts to learn from: {epochs} times in batches of {batch}.", data.learnt()));
    file.line(&format!("epochs = {epochs}"));
    file.line(&format!("batch-size = {batch}"));
    file.line("optimizer.adamw = { learning-rate = 1e-3 }");
    data.metrics(file, several);
}
