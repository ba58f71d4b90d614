//! `homeostat init`: from data to an experiment.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use homeostat_data::{AnySource, DataRoot, Description, Source, Store, TextSourceConfig};
use homeostat_experiment::{Draft, Experiment, draft};

use super::{
    Done,
    data::{look, look_at_texts},
    table::counted,
    train,
};
use crate::{
    args,
    cli::{ExperimentArgs, Init, Train},
};

pub(crate) fn run(arguments: &Init) -> anyhow::Result<Done> {
    let mut place = arguments.place.clone();
    let (source, above) = find(&arguments.source, &place.roots.find()?)?;
    place.roots.prepend(above);
    let talks = !arguments.output.quiet && !arguments.output.json;
    let roots = place.roots.find()?;
    let (description, draft) = match &source {
        AnySource::Pictures(config) => {
            let (opened, description) = look(config, &roots, !talks)?;
            let draft = drafted(&source, (&*opened, &description), &arguments.overrides)?;
            (description, draft)
        }
        AnySource::Texts(config) => {
            let (opened, description) = look_at_texts(config, &roots, !talks)?;
            let draft = drafted(&source, (&*opened, &description), &arguments.overrides)?;
            (description, draft)
        }
    };
    let file = arguments.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.toml", draft.name)));
    write(&file, &draft.text)?;
    if talks {
        print(&file, &draft, &description)?;
    }
    if !arguments.train {
        if talks {
            print_next(&file, &draft, &description, &place.roots.data_root)?;
        }
        return Ok(Done::Well);
    }
    let experiment = ExperimentArgs { experiment: file.display().to_string(), overrides: arguments.overrides.clone() };
    train::run(&Train { experiment, out: PathBuf::from("runs"), place, output: arguments.output })
}

/// The source as an experiment names it, and the folder above it where that is not the current one: an experiment says what, not
/// where.
fn find(word: &str, roots: &DataRoot) -> anyhow::Result<(AnySource, Option<PathBuf>)> {
    let (kind, place) = word.split_once(':').map_or((None, word), |(kind, place)| (Some(kind), place));
    let path = Path::new(place);
    let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if plain || !path.exists() {
        return Ok((args::any_source(word, roots)?, None));
    }
    let full = path.canonicalize().with_context(|| format!("cannot open {place}"))?;
    let folder = if full.is_file() { full.parent().unwrap_or(&full) } else { &full };
    let Some(above) = folder.parent() else { bail!("{place} has no name; give a folder below it") };
    let name = full.strip_prefix(above).unwrap_or(&full).display().to_string();
    let source = match kind {
        Some(kind) => format!("{kind}:{name}").parse()?,
        None => AnySource::guess(&full, &name)?,
    };
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).is_ok_and(|here| here == above);
    Ok((source, (!here).then(|| above.to_owned())))
}

/// A draft that can be read, of data that can be divided as it says: what training would refuse is refused here.
fn drafted<S: Store>(
    source: &AnySource,
    (opened, description): (&Source<S>, &Description),
    overrides: &[String],
) -> anyhow::Result<Draft> {
    let (is_plain, has_classes) =
        (matches!(source, AnySource::Texts(TextSourceConfig::TextFolder(_))), !description.classes.is_empty());
    if !has_classes && !is_plain {
        bail!("{} has no labels to learn: name their column, as in table:FOLDER,label=COLUMN", description.title);
    }
    let draft = draft(source, description);
    let experiment = Experiment::text("the draft", &draft.text).overrides(overrides).load()?.value;
    if has_classes {
        experiment.data.split.split(opened, experiment.seed)?;
    }
    Ok(draft)
}

/// Writes a new file; what is there may hold somebody's changes.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    args::check_ending(file, &["toml"])?;
    let name = file.display();
    match File::create_new(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{name} is there already: remove it, or name another file with --out")
        }
        Err(error) => Err(error).with_context(|| format!("cannot write {name}")),
        Ok(_) => fs::write(file, text).with_context(|| format!("cannot write {name}")),
    }
}

fn print(file: &Path, draft: &Draft, description: &Description) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let (file, samples) = (file.display(), counted(description.samples, "sample"));
    writeln!(out, "{file}: an experiment for {samples}, with the reason of each choice")?;
    for doubt in &draft.doubts {
        writeln!(out, "doubt: {doubt}")?;
    }
    Ok(())
}

/// What can be typed next; the experiment says what, this line where.
fn print_next(file: &Path, draft: &Draft, description: &Description, roots: &[PathBuf]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let file = file.display();
    let roots: String = roots.iter().map(|root| format!(" --data-root {}", root.display())).collect();
    writeln!(out, "next    homeostat train {file}{roots}")?;
    if description.images.is_some() {
        writeln!(out, "        homeostat inspect {file}{roots} --png {}.png", draft.name)?;
    }
    Ok(())
}
