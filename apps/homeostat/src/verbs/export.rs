//! `homeostat models export`: published weights in the names and the layout of another program. It does not know what any
//! tensor is called there.

use std::{collections::BTreeMap, io::Write, path::Path};

use anyhow::{Context, anyhow, bail, ensure};
use homeostat_artifact::{Artifact, ArtifactError, atomic::write_new_file};
use homeostat_deploy::published;
use homeostat_device::DeviceChoice;
use homeostat_models::{NameTable, SequenceModelConfig};
use homeostat_task::{ForeignNames, Task, Weights};
use homeostat_tasks::TaskConfig;

use super::generate::tokenizer;

/// Who gives the encoders of texts their names.
const HUGGING_FACE: &str = "transformers";

/// A network's weights as another program has them.
struct Exported {
    origin: &'static str,
    weights: Weights,
    /// What of ours has no place there.
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
    let only_ours = || format!("no names but ours: read {} itself", artifact.model().display());
    match TaskConfig::parse(artifact.kind(), &artifact.task()?)? {
        TaskConfig::ImageClassification(config) => {
            let (name, tables) = (config.model.name(), config.model.names());
            let table = chosen(name, tables, names)?.with_context(|| format!("`{name}` has {}", only_ours()))?;
            let mut exported = by_table(&config.init()?, artifact, &table)?;
            if config.temperature != 1.0 {
                exported.without.push(format!("the temperature {:.4} of its answers", config.temperature));
            }
            Ok(exported)
        }
        TaskConfig::LanguageModel(config) => {
            let (name, tables) = (config.model.name(), config.names());
            let table = chosen(name, tables, names)?.with_context(|| format!("`{name}` has {}", only_ours()))?;
            by_table(&config.init(tokenizer(artifact)?)?, artifact, &table)
        }
        TaskConfig::TextClassification(config) => {
            as_bert(&config.init(tokenizer(artifact)?)?, artifact, &config.model, names)
        }
        TaskConfig::SentenceEmbedding(config) => {
            as_bert(&config.init(tokenizer(artifact)?)?, artifact, &config.model, names)
        }
        TaskConfig::ImageGeneration(_) => bail!("networks that make pictures have {}", only_ours()),
        TaskConfig::Recommendation(_) => bail!("networks that recommend have {}", only_ours()),
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

fn by_table<T: Task>(task: &T, artifact: &Artifact, table: &NameTable) -> anyhow::Result<Exported> {
    let network = network(task, artifact)?;
    let names = ForeignNames::of(&network, &table.rows)?.lying_as_ours(&table.as_ours);
    Ok(Exported { origin: table.origin, weights: names.export(&Weights::of(&network)), without: Vec::new() })
}

/// The encoder of a network of texts; its head is ours alone.
fn as_bert<T: Task>(
    task: &T,
    artifact: &Artifact,
    model: &SequenceModelConfig,
    asked: Option<&str>,
) -> anyhow::Result<Exported> {
    let (mut encoder, mut without) = (BTreeMap::new(), Vec::new());
    for (name, data) in Weights::of(&network(task, artifact)?).tensors() {
        match name.strip_prefix("network.") {
            Some(name) => drop(encoder.insert(name.to_owned(), data.clone())),
            None => without.push(name.clone()),
        }
    }
    let theirs = model.to_bert(&encoder);
    let theirs = theirs.map_err(|problem| anyhow!("{problem}: read {} itself", artifact.model().display()))?;
    ensure!(asked.is_none_or(|asked| asked == HUGGING_FACE), "`{}` has the names of {HUGGING_FACE}", model.name());
    Ok(Exported { origin: HUGGING_FACE, weights: Weights::from_tensors(theirs), without })
}

fn network<T: Task>(task: &T, artifact: &Artifact) -> anyhow::Result<T::Model> {
    Ok(published(task, artifact, &homeostat_device::open(DeviceChoice::Cpu)?)?)
}
