//! `homeostat models export`: published weights in the names and the layout of another program. It does not know which names
//! these are.

use std::{collections::BTreeMap, io::Write, path::Path};

use anyhow::{anyhow, bail, ensure};
use homeostat_artifact::{Artifact, ArtifactError, atomic::write_new_file};
use homeostat_data::{TOKENIZER_FILE, Tokenizer};
use homeostat_deploy::published;
use homeostat_device::DeviceChoice;
use homeostat_models::{NameTable, SequenceModelConfig};
use homeostat_task::{ForeignNames, Weights};
use homeostat_tasks::TaskConfig;

/// Who gives the encoders of texts their names.
const HUGGING_FACE: &str = "transformers";

/// A network's weights as another program has them.
struct Exported {
    origin: &'static str,
    weights: Weights,
    /// Our tensors that have no place there.
    without: Vec<String>,
}

pub(super) fn export(artifact: &Path, out: &Path, names: Option<&str>) -> anyhow::Result<()> {
    ensure!(out.extension().is_some_and(|end| end == "safetensors"), "{} does not end in .safetensors", out.display());
    let artifact = Artifact::open(artifact)?;
    let Exported { origin, weights, without } = exported(&artifact, names)?;
    ensure!(!out.exists(), "cannot write {}: there is such a file already", out.display());
    write_new_file(out, &weights.to_safetensors(&BTreeMap::new())).map_err(|error| match error {
        ArtifactError::Write { path, source } => anyhow!("cannot write {}: {source}", path.display()),
        other => other.into(),
    })?;
    let count = weights.tensors().len();
    let without = if without.is_empty() { String::new() } else { format!(", without {}", without.join(", ")) };
    writeln!(std::io::stdout(), "{}: {count} tensors in the names of {origin}{without}", out.display())?;
    Ok(())
}

fn exported(artifact: &Artifact, names: Option<&str>) -> anyhow::Result<Exported> {
    let device = homeostat_device::open(DeviceChoice::Cpu)?;
    let only_ours = |what: &str| anyhow!("{what} no names but ours: read {} itself", artifact.model().display());
    let tokenizer = || anyhow::Ok(Tokenizer::from_json(&artifact.asset(TOKENIZER_FILE)?)?);
    match TaskConfig::parse(artifact.kind(), &artifact.task()?)? {
        TaskConfig::ImageClassification(config) => {
            let network = published(&config.init()?, artifact, &device)?;
            let table = chosen(config.model.name(), config.model.names(), names)?;
            let table = table.ok_or_else(|| only_ours(&format!("`{}` has", config.model.name())))?;
            Ok(by_table(ForeignNames::of(&network, &table.rows)?, &Weights::of(&network), &table))
        }
        TaskConfig::LanguageModel(config) => {
            let network = published(&config.init(tokenizer()?)?, artifact, &device)?;
            let table = chosen(config.model.name(), config.names(), names)?;
            let table = table.ok_or_else(|| only_ours(&format!("`{}` has", config.model.name())))?;
            Ok(by_table(ForeignNames::of(&network, &table.rows)?, &Weights::of(&network), &table))
        }
        TaskConfig::TextClassification(config) => {
            let network = published(&config.init(tokenizer()?)?, artifact, &device)?;
            as_bert(&Weights::of(&network), &config.model, names)
        }
        TaskConfig::SentenceEmbedding(config) => {
            let network = published(&config.init(tokenizer()?)?, artifact, &device)?;
            as_bert(&Weights::of(&network), &config.model, names)
        }
        TaskConfig::ImageGeneration(_) => Err(only_ours("networks that make pictures have")),
        TaskConfig::Recommendation(_) => Err(only_ours("networks that recommend have")),
    }
}

/// The table of the program that is asked for, else the first; nothing where there is none.
fn chosen(network: &str, tables: Vec<NameTable>, asked: Option<&str>) -> anyhow::Result<Option<NameTable>> {
    let origins: Vec<&str> = tables.iter().map(|table| table.origin).collect();
    let is_asked = |origin: &str| asked.is_none_or(|asked| origin.split(", ").any(|known| known == asked));
    match origins.iter().position(|origin| is_asked(origin)) {
        None if !origins.is_empty() => bail!("`{network}` has the names of {}", origins.join(", ")),
        at => Ok(at.and_then(|at| tables.into_iter().nth(at))),
    }
}

fn by_table(names: ForeignNames, ours: &Weights, table: &NameTable) -> Exported {
    let weights = names.lying_as_ours(&table.as_ours).export(ours);
    Exported { origin: table.origin, weights, without: Vec::new() }
}

/// The encoder of a network of texts; its head is ours alone.
fn as_bert(ours: &Weights, model: &SequenceModelConfig, asked: Option<&str>) -> anyhow::Result<Exported> {
    let (mut encoder, mut without) = (BTreeMap::new(), Vec::new());
    for (name, data) in ours.tensors() {
        match name.strip_prefix("network.") {
            Some(name) => drop(encoder.insert(name.to_owned(), data.clone())),
            None => without.push(name.clone()),
        }
    }
    let theirs = model.to_bert(&encoder).map_err(|problem| anyhow!(problem))?;
    ensure!(asked.is_none_or(|asked| asked == HUGGING_FACE), "`{}` has the names of {HUGGING_FACE}", model.name());
    Ok(Exported { origin: HUGGING_FACE, weights: Weights::from_tensors(theirs), without })
}
