//! `homeostat data`: looks at data.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::Context;
use homeostat_data::{
    ClassCount, Contradiction, DataRoot, Description, OnCorrupt, SourceConfig, Tokenizer, TokenizerConfig,
    TokenizerKind, describe,
};
use homeostat_experiment::{Experiment, training_texts};

use super::{Done, table::print_table};
use crate::{
    args,
    cli::{Data, Kind},
};

pub(crate) fn run(arguments: &Data) -> anyhow::Result<Done> {
    let (source, roots, json) = match arguments {
        Data::Describe { source, roots, json } => (source, roots, json),
        Data::Tokenizer { source, kind, size, cased, out, roots } => {
            let kind = match kind {
                Kind::Wordpiece => TokenizerKind::Wordpiece,
                Kind::Bpe => TokenizerKind::Bpe,
                Kind::Unigram => TokenizerKind::Unigram,
                Kind::Characters => TokenizerKind::Characters,
            };
            let config = TokenizerConfig { kind, size: *size, lowercase: !cased };
            return learn(&config, source, &roots.find()?, out);
        }
    };
    let description = describe(&find(source)?.open_with(&roots.find()?, OnCorrupt::Skip)?)?;
    let mut out = io::stdout().lock();
    if *json {
        writeln!(out, "{}", serde_json::to_string(&description)?)?;
        return Ok(Done::Well);
    }
    print(&mut out, &description)?;
    Ok(Done::Well)
}

/// Learns a tokenizer and writes it.
fn learn(config: &TokenizerConfig, source: &str, roots: &DataRoot, out: &Path) -> anyhow::Result<Done> {
    let texts = if Path::new(source).is_file() && !source.ends_with(".toml") {
        let text = std::fs::read_to_string(source).with_context(|| format!("cannot read {source}"))?;
        text.split_inclusive('\n').map(str::to_owned).collect()
    } else {
        training_texts(&args::find(source)?.load()?.value, roots)?
    };
    let tokenizer = Tokenizer::train(config, &texts)?;
    std::fs::write(out, tokenizer.to_json()).with_context(|| format!("cannot write {}", out.display()))?;
    let counts = format!("{} tokens from {} texts", tokenizer.size(), texts.len());
    writeln!(io::stdout().lock(), "{}: {counts}", out.display())?;
    Ok(Done::Well)
}

/// A part of the data set, and how many samples of a class it has.
type Part = (&'static str, fn(&ClassCount) -> usize);

/// Names of samples that are shown of a longer list.
const SHOWN: usize = 10;

fn print(out: &mut dyn Write, description: &Description) -> io::Result<()> {
    let Description { title, samples, classes, duplicates, across, contradictions, corrupt, .. } = description;
    writeln!(out, "{title}: {samples} samples, {} classes", classes.len())?;
    for shape in &description.shapes {
        let channels = if shape.channels == 1 { "channel" } else { "channels" };
        let size = format!("{} x {} pixels", shape.height, shape.width);
        writeln!(out, "{} of {size}, {} {channels}", shape.count, shape.channels)?;
    }
    let counts: [Part; 4] =
        [("train", |c| c.train), ("valid", |c| c.valid), ("test", |c| c.test), ("samples", |c| c.unassigned)];
    let counts: Vec<_> = counts.into_iter().filter(|(_, count)| classes.iter().any(|class| count(class) > 0)).collect();
    let header: Vec<&str> = std::iter::once("class").chain(counts.iter().map(|(title, _)| *title)).collect();
    let row = |class: &ClassCount| {
        std::iter::once(class.name.clone()).chain(counts.iter().map(|(_, count)| count(class).to_string())).collect()
    };
    print_table(out, &header, &classes.iter().map(row).collect::<Vec<_>>())?;
    writeln!(
        out,
        "duplicates: {duplicates} with the content of another sample{}",
        match across {
            0 => String::new(),
            _ => format!("; contents in several parts: {across}, so what is learnt from is measured with"),
        }
    )?;
    writeln!(out, "contradictions: {} of the same content under several classes", contradictions.len())?;
    for Contradiction { samples, .. } in contradictions.iter().take(SHOWN) {
        writeln!(out, "  {}", samples.join(" = "))?;
    }
    print_rest(out, contradictions.len())?;
    writeln!(
        out,
        "broken: {} that cannot be read{}",
        corrupt.len(),
        if corrupt.is_empty() { "" } else { "; data.on-corrupt=skip leaves such out" }
    )?;
    for skipped in corrupt.iter().take(SHOWN) {
        writeln!(out, "  {}: {}", skipped.name, skipped.reason)?;
    }
    print_rest(out, corrupt.len())
}

fn print_rest(out: &mut dyn Write, count: usize) -> io::Result<()> {
    if count > SHOWN { writeln!(out, "  and {} more; --json lists all", count - SHOWN) } else { Ok(()) }
}

/// A source, or that of an experiment.
fn find(word: &str) -> anyhow::Result<SourceConfig> {
    if Experiment::builtin(word).is_ok() || word.ends_with(".toml") {
        return Ok(args::find(word)?.load()?.value.data.source);
    }
    args::source(word)
}
