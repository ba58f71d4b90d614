//! Texts in a row, as language models read them: one long text in pieces. It does not know tokens, nor how long a window is.

use std::path::{Path, PathBuf};

use crate::labels::Labels;
use crate::source::{Catalog, Part};
use crate::{DataError, Digest, Place, Source, Store, TextSource};

/// The most characters of a piece: so exactly can a corpus be divided by position.
const PIECE: usize = 256;

/// All texts of a source, one behind the other, in pieces: what one piece breaks off, the next goes on with.
///
/// ```
/// use homeostat_data::{Corpus, DataRoot, TextFolderConfig, TextSourceConfig};
///
/// # let root = tempfile::tempdir()?;
/// # std::fs::create_dir(root.path().join("plays"))?;
/// std::fs::write(root.path().join("plays/a.txt"), "To be, or not to be\n")?;
/// std::fs::write(root.path().join("plays/b.txt"), "that is the question\n")?;
/// let folder = TextFolderConfig { folder: "plays".into(), ..TextFolderConfig::default() };
/// let texts = TextSourceConfig::TextFolder(folder).open(&DataRoot::new([root.path()]))?;
/// let corpus = Corpus::of(&texts, "\n")?;
/// assert_eq!((corpus.len(), corpus.get(0)?.as_str()), (1, "To be, or not to be\n\nthat is the question\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Corpus {
    folder: Option<PathBuf>,
    text: String,
    /// The byte at which each piece begins.
    starts: Vec<usize>,
}

impl Corpus {
    /// The texts in their order, with this between two of them; those that came as parts of their own stay apart.
    ///
    /// # Errors
    /// [`DataError::Format`] where there is no text, or where texts come in pairs.
    pub fn of(texts: &TextSource, between: &str) -> Result<Source<Self>, DataError> {
        let mut corpus = Self { folder: texts.folder().map(Path::to_owned), text: String::new(), starts: Vec::new() };
        let mut parts: Vec<Part> = Vec::new();
        let mut first = 0;
        for index in 0..texts.len() {
            let sample = texts.get(index)?;
            if sample.pair.is_some() {
                return Err(corpus.fault("has pairs of texts, but a language model reads one after the other"));
            }
            let given = texts.given(index);
            match parts.last_mut().filter(|part| part.given == given) {
                Some(part) => {
                    corpus.text.push_str(between);
                    texts.title().clone_into(&mut part.name);
                }
                None => {
                    corpus.cut(first);
                    first = corpus.text.len();
                    parts.push(Part { name: texts.name(index), given, start: corpus.starts.len() });
                }
            }
            corpus.text.push_str(&sample.text);
        }
        corpus.cut(first);
        if corpus.text.trim().is_empty() {
            return Err(corpus.fault("there is no text in it"));
        }
        let catalog = Catalog {
            title: texts.title().to_owned(),
            classes: Vec::new(),
            labels: Labels::None(corpus.starts.len()),
            groups: Vec::new(),
            parts,
            left_out: texts.left_out().to_vec(),
        };
        Ok(Source::new(catalog, corpus))
    }

    /// Cuts what was added from this byte on into pieces.
    fn cut(&mut self, first: usize) {
        let added = &self.text[first..];
        self.starts.extend(added.char_indices().step_by(PIECE).map(|(at, _)| first + at));
    }

    fn fault(&self, why: &str) -> DataError {
        DataError::format(self.folder.as_deref().unwrap_or(Path::new("texts")), why)
    }

    fn piece(&self, index: usize) -> &str {
        let end = self.starts.get(index + 1).copied().unwrap_or(self.text.len());
        &self.text[self.starts[index]..end]
    }
}

impl Store for Corpus {
    type Sample = String;

    fn sample(&self, place: Place<'_>) -> Result<String, DataError> {
        Ok(self.piece(place.index).to_owned())
    }

    fn digest(&self, place: Place<'_>) -> Result<Digest, DataError> {
        Ok(Digest::of(self.piece(place.index).as_bytes()))
    }

    fn name(&self, place: Place<'_>) -> String {
        format!("{}, from character {}", place.part, place.within * PIECE)
    }

    fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    fn amount(&self, place: Place<'_>) -> usize {
        self.piece(place.index).chars().count()
    }
}

impl Source<Corpus> {
    /// The pieces as one text; those that do not lie side by side are put side by side.
    #[must_use]
    pub fn text(&self, indices: &[usize]) -> String {
        indices.iter().map(|&index| self.store().piece(index)).collect()
    }
}

impl std::fmt::Debug for Corpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Corpus({} bytes)", self.text.len())
    }
}
