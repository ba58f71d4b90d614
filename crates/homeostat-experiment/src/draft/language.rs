//! The draft for plain texts, which a language model reads.

use homeostat_config::to_inline_toml;
use homeostat_data::{TextFolderConfig, TextSourceConfig};

use super::{Data, Lines};

pub(super) fn draft(file: &mut Lines, source: &TextSourceConfig, data: &Data<'_>) {
    let facts = data.description.texts.clone().unwrap_or_default();
    // At least so many: half of the texts have as many as the median or more.
    let characters = (facts.characters.median * data.description.samples as f64 / 2.0).max(facts.characters.most);
    let (length, epochs) = match characters {
        0.0..20_000.0 => (48, 40),
        20_000.0..200_000.0 => (64, 20),
        _ => (128, 6),
    };
    file.table("task.language-model");
    file.line(&format!("# So many characters are read at once; there are {characters:.0} or more."));
    file.line(&format!("length = {length}"));
    file.line("# As later networks than GPT-2 are: turned places, and norms without a mean.");
    file.line(&format!(
        "model.decoder = {{ width = 128, depth = 4, heads = 4, hidden = 512, positions = {length}, place = \"rotary\", norm = \"rms\", \
         bias = false, dropout = 0.1 }}"
    ));
    file.table("data.corpus");
    let usual = TextSourceConfig::TextFolder(TextFolderConfig::default());
    file.line(&format!("source = {}", to_inline_toml(source, Some(&usual))));
    file.line("# A token a character; for words and their pieces: tokenizer.train = { kind = \"bpe\", size = 4000, lowercase = false }");
    file.line("tokenizer.train = { kind = \"characters\", size = 1000, lowercase = false }");
    file.table("train");
    file.line(&format!("epochs = {epochs}"));
    file.line("batch-size = 16");
    file.line("optimizer.adamw = { learning-rate = 3e-3 }");
    file.line("schedule.one-cycle = { warmup-share = 0.05 }");
    file.line("clip = { global-norm = 1.0 }");
}
