//! `homeostat data`: looks at data, and learns tokenizers from them.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, anyhow, bail};
use homeostat_data::{
    Alike, AnySource, ClassCount, DataError, DataRoot, Description, Distribution, ImageFacts, LoaderOptions, OnCorrupt,
    Skipped, Source, SourceConfig, TextFacts, TextSource, TextSourceConfig, Tokenizer, TokenizerConfig, TokenizerKind,
    describe, describe_texts,
};
use homeostat_experiment::{Experiment, report_of_data, report_of_texts, training_texts};
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    Done, fetch, pack,
    table::{counted, print_table},
};
use crate::{
    args,
    cli::{Data, Describe, Kind, LearnTokenizer},
};

pub(crate) fn run(arguments: &Data) -> anyhow::Result<Done> {
    match arguments {
        Data::Describe(arguments) => describe_source(arguments),
        Data::Fetch(arguments) => fetch::run(arguments),
        Data::Pack(arguments) => pack::run(arguments),
        Data::Tokenizer(arguments) => learn(arguments),
    }
}

fn describe_source(arguments: &Describe) -> anyhow::Result<Done> {
    if let Some(file) = &arguments.html {
        args::check_ending(file, &["html", "htm"])?;
    }
    let roots = arguments.roots.find()?;
    let when = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string();
    let is_quiet = arguments.json;
    let (description, page) = match find(&arguments.source, &roots)? {
        AnySource::Pictures(config) => {
            let (source, description) = look(&config, &roots, is_quiet)?;
            let page = || report_of_data(&source, &description, &when, &arguments.source).render();
            let page = arguments.html.as_ref().map(|_| page());
            (description, page)
        }
        AnySource::Texts(config) => {
            let (source, description) = look_at_texts(&config, &roots, is_quiet)?;
            let page = arguments.html.as_ref().map(|_| report_of_texts(&source, &description, &when).render());
            (description, page)
        }
    };
    // First: whoever asked for a page that cannot be written is told so, and nothing else.
    if let (Some(file), Some(page)) = (&arguments.html, page) {
        fs::write(file, page).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let mut out = io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(&description)?)?;
    } else {
        print(&mut out, &description)?;
        if let Some(file) = &arguments.html {
            writeln!(out, "{} has the page", file.display())?;
        }
    }
    Ok(Done::Well)
}

/// Opens a source of pictures and describes it.
pub(super) fn look(config: &SourceConfig, roots: &DataRoot, quiet: bool) -> anyhow::Result<(Arc<Source>, Description)> {
    let source = Arc::new(config.open_with(roots, OnCorrupt::Skip)?);
    let description = with_bar(source.len(), quiet, |bar| describe(&source, options(), bar))?;
    Ok((source, description))
}

/// Opens a source of texts and describes it.
pub(super) fn look_at_texts(
    config: &TextSourceConfig,
    roots: &DataRoot,
    quiet: bool,
) -> anyhow::Result<(Arc<TextSource>, Description)> {
    let source = Arc::new(config.open_with(roots, OnCorrupt::Skip)?);
    let description = with_bar(source.len(), quiet, |bar| describe_texts(&source, options(), bar))?;
    Ok((source, description))
}

fn options() -> LoaderOptions {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    LoaderOptions { workers, ..LoaderOptions::default() }
}

/// Shows a bar to whoever waits at a terminal.
fn with_bar<R>(samples: usize, quiet: bool, act: impl FnOnce(&mut dyn FnMut(usize)) -> R) -> R {
    let bar = if quiet || !io::stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        let style = ProgressStyle::with_template("looking {wide_bar} {pos}/{len}  {eta} left");
        ProgressBar::new(samples as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    };
    let done = act(&mut |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    done
}

/// Learns a tokenizer and writes it.
fn learn(arguments: &LearnTokenizer) -> anyhow::Result<Done> {
    let LearnTokenizer { source, kind, size, cased, out, roots } = arguments;
    args::check_ending(out, &["json"])?;
    let kind = match kind {
        Kind::Wordpiece => TokenizerKind::Wordpiece,
        Kind::Bpe => TokenizerKind::Bpe,
        Kind::Unigram => TokenizerKind::Unigram,
        Kind::Characters => TokenizerKind::Characters,
    };
    let config = TokenizerConfig { kind, size: *size, lowercase: !cased };
    let texts = if Path::new(source).is_file() && !source.ends_with(".toml") {
        let text = fs::read_to_string(source).with_context(|| format!("cannot read {source}"))?;
        text.split_inclusive('\n').map(str::to_owned).collect()
    } else {
        training_texts(&args::find(source)?.load()?.value, &roots.find()?)?
    };
    let tokenizer = Tokenizer::train(&config, &texts).map_err(|error| match error {
        DataError::Config { key, why } if key == "tokenizer.size" => anyhow!("--size: {why}"),
        error => error.into(),
    })?;
    fs::write(out, tokenizer.to_json()).with_context(|| format!("cannot write {}", out.display()))?;
    let counts = format!("{} tokens from {} texts", tokenizer.size(), texts.len());
    writeln!(io::stdout().lock(), "{}: {counts}", out.display())?;
    Ok(Done::Well)
}

/// A part of the data set, and how many samples of a class it has.
type Part = (&'static str, fn(&ClassCount) -> usize);

/// Names of samples that are shown of a longer list.
const SHOWN: usize = 10;
/// Names that are shown of a group.
const OF_A_GROUP: usize = 4;

fn print(out: &mut dyn Write, description: &Description) -> io::Result<()> {
    let Description { title, samples, classes, images, texts, .. } = description;
    let of_classes = if classes.is_empty() { String::new() } else { format!(", {} classes", classes.len()) };
    writeln!(out, "{title}: {}{of_classes}", counted(*samples, "sample"))?;
    images.as_ref().map_or(Ok(()), |images| print_images(out, images))?;
    texts.as_ref().map_or(Ok(()), |texts| print_texts(out, texts))?;
    let counts: [Part; 4] =
        [("train", |c| c.train), ("valid", |c| c.valid), ("test", |c| c.test), ("samples", |c| c.unassigned)];
    let counts: Vec<_> = counts.into_iter().filter(|(_, count)| classes.iter().any(|class| count(class) > 0)).collect();
    let header: Vec<&str> = std::iter::once("class").chain(counts.iter().map(|(title, _)| *title)).collect();
    let row = |class: &ClassCount| {
        std::iter::once(class.name.clone()).chain(counts.iter().map(|(_, count)| count(class).to_string())).collect()
    };
    if !classes.is_empty() {
        print_table(out, &header, &classes.iter().map(row).collect::<Vec<_>>())?;
    }
    writeln!(out, "duplicates: {} with the content of another sample", description.repeated())?;
    print_alike(out, "look-alikes", "that look the same", &description.near_duplicates.iter().collect::<Vec<_>>())?;
    let leaks: Vec<&Alike> = description.leaks().collect();
    let so = if leaks.is_empty() { "" } else { ", so what is learnt from is measured with" };
    print_alike(out, "leaks", &format!("in several parts{so}"), &leaks)?;
    print_alike(out, "contradictions", "under several classes", &description.contradictions().collect::<Vec<_>>())?;
    if let Some(groups) = &description.groups {
        let (count, largest, size) = (groups.count, &groups.largest, groups.size);
        writeln!(out, "names: {count} groups by the file names, the largest `{largest}` with {size} samples")?;
    }
    print_broken(out, "missing", "whose file cannot be opened", &description.missing)?;
    let mend = if description.corrupt.is_empty() { "" } else { "; data.on-corrupt=skip leaves such out" };
    print_broken(out, "broken", &format!("that cannot be read{mend}"), &description.corrupt)
}

fn print_images(out: &mut dyn Write, images: &ImageFacts) -> io::Result<()> {
    for shape in images.shapes.iter().take(SHOWN) {
        let channels = if shape.channels == 1 { "channel" } else { "channels" };
        let size = format!("{} x {} pixels", shape.height, shape.width);
        writeln!(out, "{} of {size}, {} {channels}", shape.count, shape.channels)?;
    }
    print_rest(out, images.shapes.len())?;
    if images.shapes.len() > 1 {
        print_spread(out, "rows", &images.height, 0)?;
        print_spread(out, "columns", &images.width, 0)?;
        print_spread(out, "columns / rows", &images.aspect, 2)?;
    }
    for levels in &images.levels {
        let row = |values: &[f64]| values.iter().map(|value| format!("{value:.3}")).collect::<Vec<_>>().join(" ");
        let grey =
            if levels.colorless > 0 { format!("; {} without any colour", levels.colorless) } else { String::new() };
        writeln!(out, "levels: mean {}, deviation {}{grey}", row(&levels.mean), row(&levels.std))?;
    }
    Ok(())
}

fn print_texts(out: &mut dyn Write, texts: &TextFacts) -> io::Result<()> {
    print_spread(out, "characters", &texts.characters, 0)?;
    print_spread(out, "words", &texts.words, 0)?;
    writeln!(out, "vocabulary: {} different words, {} of them in a single place", texts.vocabulary, texts.once)
}

fn print_spread(out: &mut dyn Write, name: &str, values: &Distribution, decimals: usize) -> io::Result<()> {
    let [least, median, high, most] =
        [values.least, values.median, values.high, values.most].map(|value| format!("{value:.decimals$}"));
    writeln!(out, "{name}: {least} to {most}, half of them up to {median}, 95 in 100 up to {high}")
}

fn print_alike(out: &mut dyn Write, title: &str, what: &str, groups: &[&Alike]) -> io::Result<()> {
    writeln!(out, "{title}: {} {what}", counted(groups.len(), "group"))?;
    for group in groups.iter().take(SHOWN) {
        let names = group.names.iter().take(OF_A_GROUP).map(String::as_str).collect::<Vec<_>>().join(" = ");
        let rest = group.names.len().saturating_sub(OF_A_GROUP);
        let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        writeln!(out, "  {names}{rest}")?;
    }
    print_rest(out, groups.len())
}

fn print_broken(out: &mut dyn Write, title: &str, what: &str, broken: &[Skipped]) -> io::Result<()> {
    writeln!(out, "{title}: {} {what}", broken.len())?;
    for skipped in broken.iter().take(SHOWN) {
        writeln!(out, "  {}: {}", skipped.name, skipped.reason)?;
    }
    print_rest(out, broken.len())
}

fn print_rest(out: &mut dyn Write, count: usize) -> io::Result<()> {
    if count > SHOWN { writeln!(out, "  and {} more; --json lists all", count - SHOWN) } else { Ok(()) }
}

/// A source, or that of an experiment.
fn find(word: &str, roots: &DataRoot) -> anyhow::Result<AnySource> {
    if Experiment::builtin(word).is_ok() || word.ends_with(".toml") {
        let data = args::find(word)?.load()?.value.data;
        return Ok(match (data.text, data.corpus, data.interactions) {
            (Some(text), ..) => AnySource::Texts(text.source),
            (_, Some(corpus), _) => AnySource::Texts(corpus.source),
            (.., Some(_)) => bail!("{word} is about who bought what, but samples are described: pictures and texts"),
            (None, None, None) => AnySource::Pictures(data.source),
        });
    }
    args::any_source(word, roots)
}

/// A source of pictures, or that of an experiment.
pub(super) fn pictures(word: &str, roots: &DataRoot) -> anyhow::Result<SourceConfig> {
    match find(word, roots)? {
        AnySource::Pictures(config) => Ok(config),
        AnySource::Texts(_) => bail!("{word}: a packed file holds pictures, but these are texts"),
    }
}
