//! `homeostat data`: looks at data.

use std::{io::Write, path::PathBuf};

use homeostat_data::{DataRoot, SourceConfig, describe};
use homeostat_experiment::Experiment;

use super::{Done, table::print_table};
use crate::{args, cli::Data};

pub(crate) fn run(arguments: &Data) -> anyhow::Result<Done> {
    let Data::Describe { source, data_root, json } = arguments;
    let environment = std::env::var_os("HOMEOSTAT_DATA").map(PathBuf::from);
    let roots = DataRoot::new(data_root.iter().cloned().chain(environment).chain([PathBuf::from(".")]));
    let description = describe(&find(source)?.open(&roots)?)?;
    let mut out = std::io::stdout().lock();
    if *json {
        writeln!(out, "{}", serde_json::to_string(&description)?)?;
        return Ok(Done::Well);
    }
    writeln!(
        out,
        "{}: {} samples, {} classes, {} duplicates, {} that cannot be read",
        description.title,
        description.samples,
        description.classes.len(),
        description.duplicates,
        description.corrupt.len()
    )?;
    for shape in &description.shapes {
        let channels = if shape.channels == 1 { "channel" } else { "channels" };
        let size = format!("{} x {} pixels", shape.height, shape.width);
        writeln!(out, "{} of {size}, {} {channels}", shape.count, shape.channels)?;
    }
    let row = |class: &homeostat_data::ClassCount| {
        let counts = [class.train, class.valid, class.test, class.unassigned];
        std::iter::once(class.name.clone())
            .chain(counts.iter().map(|&count| if count == 0 { String::new() } else { count.to_string() }))
            .collect()
    };
    print_table(
        &mut out,
        &["class", "train", "valid", "test", "not divided"],
        &description.classes.iter().map(row).collect::<Vec<_>>(),
    )?;
    for skipped in &description.corrupt {
        writeln!(out, "broken: {}: {}", skipped.name, skipped.reason)?;
    }
    Ok(Done::Well)
}

/// A source, or that of an experiment.
fn find(word: &str) -> anyhow::Result<SourceConfig> {
    if Experiment::builtin(word).is_ok() || word.ends_with(".toml") {
        return Ok(args::find(word)?.load()?.value.data.source);
    }
    args::source(word)
}
