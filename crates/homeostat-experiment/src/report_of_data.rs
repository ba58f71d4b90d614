//! Gathers what a page about data shows. It does not know how the page looks.

use homeostat_data::{
    Alike, Description, Distribution, Filter, Image, Levels, Skipped, Source, Store, TextSource, resize,
};
use homeostat_report::{
    AlikeSection, Command, DataReport, DataSummary, Headline, Histogram, Picture, PictureRow, Skipped as Broken, Value,
};

use crate::doubts::doubts;

/// Classes of which samples are shown, and how many of each.
const CLASSES: usize = 24;
const OF_A_CLASS: usize = 12;
/// Groups of alike samples that are shown in a section, and how many of each.
const GROUPS: usize = 12;
const OF_A_GROUP: usize = 6;
/// Shapes that are listed.
const SHAPES: usize = 8;
/// The longer side of a picture on the page, at most.
const SIDE: usize = 128;
/// The letters of a text on the page, at most.
const LETTERS: usize = 160;

/// The page about a source that was described; `when` is the time, as a person reads it, and `word` is what the source is called on
/// the command line.
#[must_use]
pub fn report_of_data(source: &Source, description: &Description, when: &str, word: &str) -> DataReport {
    // A broken sample is listed elsewhere.
    let show = |i, caption| Some(Picture { png: shrunk(&source.get(i).ok()?).encode_png(), caption });
    DataReport {
        next: vec![
            command("make an experiment of it", format!("homeostat init {word}")),
            command("train it straight away", format!("homeostat init {word} --train")),
        ],
        ..gather(source, description, when, &show)
    }
}

/// The same of texts.
#[must_use]
pub fn report_of_texts(source: &TextSource, description: &Description, when: &str) -> DataReport {
    let show = |i, caption: String| {
        let sample = source.get(i).ok()?;
        let text = [Some(sample.text), sample.pair].into_iter().flatten().collect::<Vec<_>>().join(" / ");
        let start: String = text.chars().take(LETTERS).collect();
        let rest = if start.len() < text.len() { " ..." } else { "" };
        Some(Picture { png: Vec::new(), caption: format!("{start}{rest} ({caption})") })
    };
    gather(source, description, when, &show)
}

/// A sample, as it is shown, from its number and its caption.
type Show<'a> = &'a dyn Fn(usize, String) -> Option<Picture>;

fn gather<S: Store>(source: &Source<S>, description: &Description, when: &str, show: Show<'_>) -> DataReport {
    let Description { samples, classes, missing, corrupt, .. } = description;
    let count = |label: &str, count: usize, note: &str| Headline {
        label: label.to_owned(),
        value: Value::Count(count as u64),
        note: note.to_owned(),
    };
    let broken = |of: &[Skipped], what: &str| -> Vec<Broken> {
        of.iter().map(|one| Broken { name: one.name.clone(), reason: format!("{what}{}", one.reason) }).collect()
    };
    DataReport {
        title: description.title.clone(),
        when: when.to_owned(),
        headlines: vec![
            count("samples", *samples, ""),
            count("classes", classes.len(), ""),
            count("duplicates", description.repeated(), "with the content of another sample"),
            count("look-alikes", description.near_duplicates.len(), "groups of samples that look the same"),
            count("broken", missing.len() + corrupt.len(), "missing, or not to be decoded"),
        ],
        doubts: doubts(description),
        classes: summary(description),
        samples: samples_of_classes(source, show),
        histograms: histograms(description),
        facts: facts(description),
        alike: alike(description, show),
        broken: [broken(missing, "missing: "), broken(corrupt, "")].concat(),
        next: Vec::new(),
    }
}

fn command(what: &str, line: String) -> Command {
    Command { what: what.to_owned(), line }
}

fn summary(description: &Description) -> DataSummary {
    type Count = fn(&homeostat_data::ClassCount) -> usize;
    let parts: [(&str, Count); 4] =
        [("train", |c| c.train), ("valid", |c| c.valid), ("test", |c| c.test), ("undivided", |c| c.unassigned)];
    let classes = &description.classes;
    let parts: Vec<_> = parts.into_iter().filter(|(_, count)| classes.iter().any(|class| count(class) > 0)).collect();
    let row = |class: &homeostat_data::ClassCount| {
        (class.name.clone(), parts.iter().map(|(_, count)| count(class) as u64).collect())
    };
    DataSummary {
        parts: parts.iter().map(|(name, _)| (*name).to_owned()).collect(),
        classes: classes.iter().map(row).collect(),
    }
}

/// Some samples of each class, spread over all that there are.
fn samples_of_classes<S: Store>(source: &Source<S>, show: Show<'_>) -> Vec<PictureRow> {
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); source.classes().len()];
    (0..source.len()).for_each(|i| source.labels(i).iter().for_each(|&label| members[label as usize].push(i)));
    let row = |(class, members): (&String, &Vec<usize>)| {
        let stride = members.len().div_ceil(OF_A_CLASS).max(1);
        let shown = members.iter().step_by(stride).filter_map(|&i| show(i, source.name(i)));
        PictureRow { title: class.clone(), pictures: shown.collect() }
    };
    source.classes().iter().zip(&members).take(CLASSES).map(row).collect()
}

/// A picture no larger than a page needs.
fn shrunk(image: &Image) -> Image {
    let longer = image.height().max(image.width());
    if longer <= SIDE {
        return image.clone();
    }
    let side = |side: usize| (side * SIDE / longer).max(1);
    resize(image, side(image.height()), side(image.width()), Filter::Bilinear)
}

fn histograms(description: &Description) -> Vec<Histogram> {
    let histogram = |title: &str, values: &Distribution, decimals: usize| Histogram {
        title: title.to_owned(),
        bins: values
            .bins
            .iter()
            .map(|bin| (format!("{:.decimals$} – {:.decimals$}", bin.from, bin.to), bin.count as u64))
            .collect(),
    };
    let mut histograms = Vec::new();
    if let Some(images) = description.images.as_ref().filter(|images| images.shapes.len() > 1) {
        histograms.push(histogram("rows", &images.height, 0));
        histograms.push(histogram("columns", &images.width, 0));
        histograms.push(histogram("columns for each row", &images.aspect, 2));
    }
    if let Some(texts) = &description.texts {
        histograms.push(histogram("characters", &texts.characters, 0));
        histograms.push(histogram("words", &texts.words, 0));
    }
    histograms
}

fn facts(description: &Description) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
    if let Some(images) = &description.images {
        for shape in images.shapes.iter().take(SHAPES) {
            let size = format!("{} x {} pixels, channels: {}", shape.height, shape.width, shape.channels);
            fact("shape", format!("{size}, {} pictures", shape.count));
        }
        if images.shapes.len() > SHAPES {
            fact("shape", format!("and {} more", images.shapes.len() - SHAPES));
        }
        for Levels { count, mean, std, colorless } in &images.levels {
            let row = |values: &[f64]| values.iter().map(|value| format!("{value:.3}")).collect::<Vec<_>>().join(", ");
            let grey = if *colorless > 0 { format!("; {colorless} of them without any colour") } else { String::new() };
            fact("levels", format!("mean {}, standard deviation {}, {count} pictures{grey}", row(mean), row(std)));
        }
    }
    if let Some(texts) = &description.texts {
        fact("vocabulary", format!("{} different words, {} of them in a single place", texts.vocabulary, texts.once));
        let words = texts.frequent.iter().map(|(word, count)| format!("{word} ({count})")).collect::<Vec<_>>();
        fact("frequent words", words.join(", "));
    }
    fact("fingerprint", description.fingerprint.clone().unwrap_or_else(|| "none, for samples are missing".to_owned()));
    facts
}

fn alike(description: &Description, show: Show<'_>) -> Vec<AlikeSection> {
    let section = |title: &str, meaning: &str, groups: Vec<&Alike>| AlikeSection {
        title: title.to_owned(),
        meaning: meaning.to_owned(),
        groups: groups.iter().take(GROUPS).map(|group| row(group, show)).collect(),
        all: groups.len() as u64,
    };
    let rest = |groups: &'_ [Alike]| -> Vec<usize> {
        (0..groups.len()).filter(|&at| !groups[at].across && !groups[at].contradict).collect()
    };
    let (same, near) = (&description.duplicates, &description.near_duplicates);
    vec![
        section(
            "Leaks",
            "The same samples, or such that look the same, in several parts: what is learnt from is measured with.",
            description.leaks().collect(),
        ),
        section(
            "Contradictions",
            "The same samples, or such that look the same, in several classes: one of the labels is wrong.",
            description.contradictions().collect(),
        ),
        section(
            "Duplicates",
            "Samples of the same content, in one part and one class.",
            rest(same).into_iter().map(|at| &same[at]).collect(),
        ),
        section(
            "Look-alikes",
            "Samples that look the same, in one part and one class.",
            rest(near).into_iter().map(|at| &near[at]).collect(),
        ),
    ]
}

fn row(group: &Alike, show: Show<'_>) -> PictureRow {
    let shown = group.samples.iter().zip(&group.names).zip(&group.classes).take(OF_A_GROUP);
    let mut classes = group.classes.clone();
    classes.sort();
    classes.dedup();
    PictureRow {
        title: format!("{} samples, {}", group.samples.len(), classes.join(" / ")),
        pictures: shown.filter_map(|((&i, name), class)| show(i, format!("{class}: {name}"))).collect(),
    }
}
