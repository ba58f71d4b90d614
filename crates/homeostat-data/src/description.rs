//! What is in a source, for people and for scripts: counts, sizes, levels, what is broken, what is there twice or almost twice, and
//! where labels contradict each other. It does not know how a network would use it.

mod distribution;
mod groups;
mod look;
mod near;
mod wording;
mod words;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use distribution::{Bin, Distribution};
pub use groups::NameGroups;
pub(crate) use groups::before_number;
pub use words::TextFacts;

use crate::{
    ChannelStats, DataError, Digest, Given, Image, Loader, LoaderOptions, Shape, Skipped, Source, Store, TextSample,
    TextSource, Weigh,
};
use look::Look;
use wording::Wording;
use words::{Words, words};

/// What is in a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The short name of the source.
    pub title: String,
    /// See [`Source::fingerprint`]; nothing where a sample is missing.
    pub fingerprint: Option<String>,
    /// The number of samples, broken ones included.
    pub samples: usize,
    /// How many samples there are of each class, in the order of the labels.
    pub classes: Vec<ClassCount>,
    /// The sizes and levels of the pictures, if the samples are such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<ImageFacts>,
    /// The lengths and words of the texts, if the samples are such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub texts: Option<TextFacts>,
    /// What the names of the samples tell of groups, if they do.
    pub groups: Option<NameGroups>,
    /// Samples of the very same content, a group each.
    pub duplicates: Vec<Alike>,
    /// Samples that look the same, a group each, that are not all of one content.
    pub near_duplicates: Vec<Alike>,
    /// The samples whose file is not there, or may not be read.
    pub missing: Vec<Skipped>,
    /// The samples that cannot be decoded, and what was left out when the source was opened.
    pub corrupt: Vec<Skipped>,
}

/// The samples of one class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    /// The class.
    pub name: String,
    /// In the training part that the data set gives.
    pub train: usize,
    /// In the validation part that it gives.
    pub valid: usize,
    /// In the test part that it gives.
    pub test: usize,
    /// In no part, for the data set gives none.
    pub unassigned: usize,
}

/// The sizes and levels of the pictures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// How many pictures there are of each shape, the most frequent first.
    pub shapes: Vec<ShapeCount>,
    /// Their rows.
    pub height: Distribution,
    /// Their columns.
    pub width: Distribution,
    /// Their columns for each row.
    pub aspect: Distribution,
    /// Their levels, for each number of channels that there is.
    pub levels: Vec<Levels>,
}

/// The pictures of one shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShapeCount {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 (grey), 3 (colour) or 4 (and alpha).
    pub channels: usize,
    /// How many there are.
    pub count: usize,
}

/// The levels of the pictures with as many channels, where white is 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// How many pictures.
    pub count: usize,
    /// The mean of each channel.
    pub mean: Vec<f64>,
    /// The standard deviation of each channel.
    pub std: Vec<f64>,
    /// How many of the pictures in colour have nothing but grey in them.
    pub colorless: usize,
}

/// Samples that are the same, or almost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alike {
    /// Their numbers in the source, ascending.
    pub samples: Vec<usize>,
    /// Their names.
    pub names: Vec<String>,
    /// The class of each; the classes of one with several stand behind each other.
    pub classes: Vec<String>,
    /// Whether they stand in several parts of the data set: what is learnt from is measured with.
    pub across: bool,
    /// Whether they stand under several classes: what is right cannot be learnt from them.
    pub contradict: bool,
}

impl Description {
    /// The samples of which a twin with a smaller number is there.
    #[must_use]
    pub fn repeated(&self) -> usize {
        self.duplicates.iter().map(|group| group.samples.len() - 1).sum()
    }

    /// The groups, of the same content or of the same look, that stand in several parts.
    pub fn leaks(&self) -> impl Iterator<Item = &Alike> {
        self.alike().filter(|group| group.across)
    }

    /// The groups, of the same content or of the same look, that stand under several classes.
    pub fn contradictions(&self) -> impl Iterator<Item = &Alike> {
        self.alike().filter(|group| group.contradict)
    }

    fn alike(&self) -> impl Iterator<Item = &Alike> {
        self.duplicates.iter().chain(&self.near_duplicates)
    }
}

/// Reads every sample of a source, by several threads, and counts. `progress` is called now and then with the number that is done.
///
/// Two pictures look the same if their perceptual hashes (64 bits; Zauner 2010) differ in at most 8 bits, their thumbnails of 16 x 16
/// grey pixels correlate by 0.995 or more, and their mean colours differ by at most 16 levels: another size, another JPEG quality, or a
/// little more light. Pairs are looked for among those that share one of four quarters of the hash, so that those that differ in
/// up to 3 bits are all found, and of the others most. A picture of one flat colour looks like no other.
///
/// # Errors
/// [`DataError::Read`] if the disk fails; pictures that are broken or missing are listed instead.
pub fn describe(
    source: &Arc<Source>,
    options: LoaderOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<Description, DataError> {
    look_at(source, options, progress, |image| Picture::of(image).map(Seen::Picture))
}

/// The same for texts.
///
/// Two texts look the same if four in five of their parts do: of all runs of five letters, digits or spaces in small letters, as
/// estimated from 64 minima (MinHash; Broder 1997). Pairs are looked for among those that share one of sixteen groups of four
/// minima, which finds nearly all of them.
///
/// # Errors
/// As [`describe`].
pub fn describe_texts(
    source: &Arc<TextSource>,
    options: LoaderOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<Description, DataError> {
    look_at(source, options, progress, |sample| Ok(Seen::Text(Text::of(sample))))
}

fn look_at<S: Store + 'static>(
    source: &Arc<Source<S>>,
    options: LoaderOptions,
    progress: &mut dyn FnMut(usize),
    see: fn(&S::Sample) -> Result<Seen, DataError>,
) -> Result<Description, DataError> {
    let mut tally = Tally::default();
    let read = Arc::clone(source);
    let make = move |piece: usize| {
        let facts = (piece * PIECE..read.len().min((piece + 1) * PIECE)).map(|i| Facts::of(&read, i, see));
        facts.collect::<Result<Vec<_>, _>>().map(Piece)
    };
    for piece in Loader::start(0..source.len().div_ceil(PIECE), options, Arc::new(make)) {
        for facts in piece?.0 {
            tally.add(source, facts)?;
        }
        progress(tally.digests.len());
    }
    tally.describe(source)
}

/// Samples that a thread takes at once.
const PIECE: usize = 32;

struct Piece(Vec<Facts>);

impl Weigh for Piece {
    fn bytes(&self) -> usize {
        self.0.len() * size_of::<Facts>()
    }
}

/// What one look at a sample tells.
struct Facts {
    /// Nothing if it is missing.
    digest: Option<Digest>,
    seen: Result<Seen, Skipped>,
}

enum Seen {
    Picture(Picture),
    Text(Text),
}

struct Picture {
    shape: Shape,
    stats: ChannelStats,
    colorless: bool,
    look: Look,
}

impl Facts {
    fn of<S: Store>(
        source: &Source<S>,
        i: usize,
        see: fn(&S::Sample) -> Result<Seen, DataError>,
    ) -> Result<Self, DataError> {
        let skipped = |reason| Err(Skipped { name: source.name(i), reason });
        let seen = match source.get(i) {
            Ok(sample) => Ok(see(&sample)?),
            Err(DataError::Corrupt { why, .. }) => skipped(why),
            Err(DataError::Read { source: error, .. }) if is_missing(error.kind()) => {
                return Ok(Self { digest: None, seen: skipped(error.to_string()) });
            }
            Err(error) => return Err(error),
        };
        Ok(Self { digest: Some(source.digest(i)?), seen })
    }
}

fn is_missing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::IsADirectory)
}

impl Picture {
    fn of(image: &Image) -> Result<Self, DataError> {
        let mut stats = ChannelStats::default();
        stats.add(image)?;
        let grey = |pixel: &[u8]| pixel[0] == pixel[1] && pixel[1] == pixel[2];
        let colorless = image.channels() > 1 && image.pixels().chunks_exact(image.channels()).all(grey);
        Ok(Self { shape: image.shape(), stats, colorless, look: Look::of(image) })
    }
}

struct Text {
    characters: usize,
    words: Vec<String>,
    wording: Wording,
}

impl Text {
    fn of(sample: &TextSample) -> Self {
        let mut words = words(&sample.text);
        words.extend(sample.pair.iter().flat_map(|pair| self::words(pair)));
        let characters =
            [Some(&sample.text), sample.pair.as_ref()].into_iter().flatten().map(|text| text.chars().count());
        Self { characters: characters.sum(), wording: Wording::of(&words), words }
    }
}

/// What was found so far.
#[derive(Default)]
struct Tally {
    digests: Vec<Option<Digest>>,
    shapes: BTreeMap<Shape, usize>,
    levels: BTreeMap<usize, (ChannelStats, usize, usize)>,
    /// The numbers of the pictures that could be read, and how they look.
    looks: Vec<(usize, Look)>,
    texts: Words,
    /// The same of texts.
    wordings: Vec<(usize, Wording)>,
    missing: Vec<Skipped>,
    corrupt: Vec<Skipped>,
}

impl Tally {
    fn add<S: Store>(&mut self, source: &Source<S>, Facts { digest, seen }: Facts) -> Result<(), DataError> {
        match seen {
            Ok(Seen::Text(Text { characters, words, wording })) => {
                self.texts.add(characters, words);
                self.wordings.push((self.digests.len(), wording));
            }
            Ok(Seen::Picture(Picture { shape, stats, colorless, look })) => {
                *self.shapes.entry(shape).or_default() += 1;
                let (all, count, grey) = self.levels.entry(shape.channels).or_default();
                *all = std::mem::take(all).merge(&stats);
                *count += 1;
                *grey += usize::from(colorless);
                self.looks.push((self.digests.len(), look));
            }
            Err(skipped) if digest.is_none() => self.missing.push(skipped),
            Err(skipped) => self.corrupt.push(skipped),
        }
        self.digests.push(digest);
        // All files have been read now: whoever asks for the digests later has them.
        if self.digests.len() == source.len()
            && let Some(digests) = self.digests.iter().copied().collect::<Option<Vec<_>>>()
        {
            source.remember(digests);
        }
        Ok(())
    }

    fn describe<S: Store>(self, source: &Source<S>) -> Result<Description, DataError> {
        let alike = |samples: Vec<usize>| {
            let class = |i| {
                let names = source.labels(i).iter().map(|&label| source.classes()[label as usize].as_str());
                names.collect::<Vec<_>>().join(", ")
            };
            Alike {
                names: samples.iter().map(|&i| source.name(i)).collect(),
                classes: samples.iter().map(|&i| class(i)).collect(),
                across: samples.iter().any(|&i| source.given(i) != source.given(samples[0])),
                contradict: samples.iter().any(|&i| source.labels(i) != source.labels(samples[0])),
                samples,
            }
        };
        let twins = twins(&self.digests);
        let near = self.near_twins(&twins);
        let texts = (!self.wordings.is_empty()).then(|| self.texts.facts());
        let fingerprint = self.missing.is_empty().then(|| source.fingerprint()).transpose()?;
        Ok(Description {
            title: source.title().to_owned(),
            fingerprint,
            samples: source.len(),
            classes: count_classes(source),
            images: (!self.looks.is_empty()).then(|| self.images()),
            texts,
            groups: NameGroups::of((0..source.len()).map(|i| source.name(i))),
            duplicates: twins.into_iter().map(alike).collect(),
            near_duplicates: near.into_iter().map(alike).collect(),
            missing: self.missing,
            corrupt: [source.left_out().to_vec(), self.corrupt].concat(),
        })
    }

    fn images(&self) -> ImageFacts {
        let count = |(&Shape { height, width, channels }, &count)| ShapeCount { height, width, channels, count };
        let mut shapes: Vec<ShapeCount> = self.shapes.iter().map(count).collect();
        shapes.sort_by_key(|shape| std::cmp::Reverse(shape.count));
        let over = |value: &dyn Fn(&ShapeCount) -> f64| {
            Distribution::of(shapes.iter().map(|shape| (value(shape), shape.count)).collect())
        };
        let (height, width) = (over(&|shape| shape.height as f64), over(&|shape| shape.width as f64));
        let aspect = over(&|shape| shape.width as f64 / shape.height as f64);
        let levels = self.levels.values().map(|(stats, count, colorless)| Levels {
            count: *count,
            mean: stats.mean(),
            std: stats.std(),
            colorless: *colorless,
        });
        ImageFacts { height, width, aspect, levels: levels.collect(), shapes }
    }

    /// The groups of samples that look the same, except for those that are of one content.
    fn near_twins(&self, twins: &[Vec<usize>]) -> Vec<Vec<usize>> {
        // Of a content one stands for all, so that twins are not compared again.
        let mut first: Vec<usize> = (0..self.digests.len()).collect();
        twins.iter().for_each(|group| group.iter().for_each(|&i| first[i] = group[0]));
        let looks: Vec<&(usize, Look)> = self.looks.iter().filter(|(i, _)| first[*i] == *i).collect();
        let quarter = |at: usize, place: usize| looks[at].1.hash() >> (16 * place) & 0xffff;
        let alike = near::groups(looks.len(), &quarter, 4, &|a, b| looks[a].1.is_like(&looks[b].1));
        let wordings: Vec<&(usize, Wording)> = self.wordings.iter().filter(|(i, _)| first[*i] == *i).collect();
        let band = |at: usize, place: usize| wordings[at].1.band(place);
        let same = near::groups(wordings.len(), &band, Wording::BANDS, &|a, b| wordings[a].1.is_like(&wordings[b].1));
        let numbers = |groups: Vec<Vec<usize>>, number: &dyn Fn(usize) -> usize| -> Vec<Vec<usize>> {
            groups.into_iter().map(|group| group.into_iter().map(number).collect()).collect()
        };
        let groups = [numbers(alike, &|at| looks[at].0), numbers(same, &|at| wordings[at].0)].concat();
        let of = |i: &usize| {
            let twins = twins.binary_search_by_key(i, |group| group[0]).map(|at| twins[at].clone());
            twins.unwrap_or_else(|_| vec![*i])
        };
        let sorted = |group: Vec<usize>| {
            let mut samples: Vec<usize> = group.iter().flat_map(of).collect();
            samples.sort_unstable();
            samples
        };
        groups.into_iter().map(sorted).collect()
    }
}

/// The samples of each content that is there more than once, in the order of their first samples.
fn twins(digests: &[Option<Digest>]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..digests.len()).filter(|&i| digests[i].is_some()).collect();
    order.sort_by_key(|&i| digests[i]);
    let same = order.chunk_by(|&a, &b| digests[a] == digests[b]);
    let mut groups: Vec<Vec<usize>> = same.filter(|group| group.len() > 1).map(<[usize]>::to_vec).collect();
    groups.sort_unstable_by_key(|group| group[0]);
    groups
}

fn count_classes<S: Store>(source: &Source<S>) -> Vec<ClassCount> {
    let named = |name: &String| ClassCount { name: name.clone(), ..ClassCount::default() };
    let mut classes: Vec<ClassCount> = source.classes().iter().map(named).collect();
    for (i, &label) in (0..source.len()).flat_map(|i| source.labels(i).iter().map(move |label| (i, label))) {
        let class = &mut classes[label as usize];
        *match source.given(i) {
            Some(Given::Train) => &mut class.train,
            Some(Given::Valid) => &mut class.valid,
            Some(Given::Test) => &mut class.test,
            None => &mut class.unassigned,
        } += 1;
    }
    classes
}
