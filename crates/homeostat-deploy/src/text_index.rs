//! Texts with their vectors, in a folder that can be asked for the nearest ones. It does not know the network that makes the vectors,
//! but holds whose they are.

use std::{collections::BTreeMap, fs, io, path::Path};

use burn::tensor::TensorData;
use homeostat_artifact::{ArtifactError, atomic, sha256};
use homeostat_search::{Graph, GraphConfig, Hit, Vectors};
use homeostat_task::Weights;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{DeployError, Endpoint};

const HEAD: &str = "index.json";
const VECTORS: &str = "vectors.safetensors";
const ROWS: &str = "rows.jsonl";
const FORMAT: u64 = 1;
/// Texts in one batch.
const BATCH: usize = 64;

/// Texts with their vectors.
#[derive(Debug)]
pub struct TextIndex {
    artifact: String,
    rows: Vec<IndexRow>,
    vectors: Vectors,
    cut: usize,
    graph: Option<Graph>,
}

/// A text of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexRow {
    /// What it is called.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A text that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<'a> {
    /// The text.
    pub row: &'a IndexRow,
    /// The cosine of the angle between its vector and that of the question.
    pub score: f32,
}

/// What was found for a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearest<'a> {
    /// The texts, the nearest first.
    pub found: Vec<Found<'a>>,
    /// Whether the end of the question was cut off, for it was too long.
    pub cut: bool,
}

/// `index.json`
#[derive(Serialize, Deserialize)]
struct Head {
    format: u64,
    /// The digest of the artifact whose vectors these are.
    artifact: String,
    rows: usize,
    /// Texts whose ends were cut off.
    #[serde(default)]
    cut: usize,
    /// SHA-256 of the other files.
    files: BTreeMap<String, String>,
}

impl TextIndex {
    /// Lets an endpoint make the vector of each text; `watch` is told how many are done.
    ///
    /// # Errors
    /// There is no text, or the endpoint refuses one or gives no vector.
    pub fn build(
        endpoint: &dyn Endpoint,
        artifact: &str,
        rows: Vec<IndexRow>,
        watch: &mut dyn FnMut(usize),
    ) -> Result<Self, DeployError> {
        let mut values = Vec::new();
        let (mut done, mut cut) = (0, 0);
        for batch in rows.chunks(BATCH) {
            let requests: Vec<&[u8]> = batch.iter().map(|row| row.text.as_bytes()).collect();
            for (row, answer) in batch.iter().zip(endpoint.answer(&requests)) {
                let refused = |reason: String| DeployError::NotIndexed { name: row.name.clone(), reason };
                let vector = vector(&answer.map_err(|error| refused(error.to_string()))?);
                let Some(Vector { embedding, cut: is_cut }) = vector else {
                    return Err(refused("the network gives no vector: it is of another task".to_owned()));
                };
                values.extend(embedding);
                cut += usize::from(is_cut);
            }
            done += batch.len();
            watch(done);
        }
        if rows.is_empty() {
            return Err(DeployError::Index {
                path: "an index".to_owned(),
                reason: "there is no text to be put into it".to_owned(),
            });
        }
        let vectors = Vectors::new(values.len() / rows.len(), values)
            .map_err(|error| DeployError::Index { path: "an index".to_owned(), reason: error.to_string() })?;
        Ok(Self { artifact: artifact.to_owned(), rows, vectors, cut, graph: None })
    }

    /// Whether an index may be written to this folder: it is not there, is empty, or holds an index and nothing else.
    ///
    /// # Errors
    /// It may not.
    pub fn check_place(folder: &Path) -> Result<(), DeployError> {
        let refused =
            |reason: &str| DeployError::Index { path: folder.display().to_string(), reason: reason.to_owned() };
        if folder.file_name().is_none() {
            return Err(refused("give the index a folder of its own"));
        }
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(refused("is a file: name a new folder"));
            }
            entries => entries.map_err(ArtifactError::read(folder))?,
        };
        let names = entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>();
        let names = names.map_err(ArtifactError::read(folder))?;
        let is_head = |bytes: Vec<u8>| serde_json::from_slice::<Head>(&bytes).is_ok();
        let is_index = names.iter().all(|name| [HEAD, VECTORS, ROWS].iter().any(|ours| name == ours))
            && fs::read(folder.join(HEAD)).is_ok_and(is_head);
        if names.is_empty() || is_index { Ok(()) } else { Err(refused("holds other files: name a new folder")) }
    }

    /// Writes the index to a folder, whole or not at all, in the place of one that was there.
    ///
    /// # Errors
    /// As [`check_place`](Self::check_place), or the folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), DeployError> {
        Self::check_place(folder)?;
        let shape = [self.vectors.len(), self.vectors.width()];
        let tensor = TensorData::new(self.vectors.values().to_vec(), shape);
        let vectors = Weights::from_tensors([("vectors".to_owned(), tensor)].into()).to_safetensors(&BTreeMap::new());
        let line = |row: &IndexRow| format!("{}\n", serde_json::json!(row));
        let rows: String = self.rows.iter().map(line).collect();
        let files = [(VECTORS, vectors.as_slice()), (ROWS, rows.as_bytes())];
        let head = Head {
            format: FORMAT,
            artifact: self.artifact.clone(),
            rows: self.rows.len(),
            cut: self.cut,
            files: files.iter().map(|(name, bytes)| ((*name).to_owned(), sha256(bytes))).collect(),
        };
        let head = serde_json::to_vec_pretty(&head).unwrap_or_else(|error| panic!("plain data as JSON: {error}"));
        atomic::write_dir(folder, |folder| {
            for (name, bytes) in files.into_iter().chain([(HEAD, head.as_slice())]) {
                let path = folder.join(name);
                fs::write(&path, bytes).map_err(ArtifactError::write(&path))?;
            }
            Ok::<(), ArtifactError>(())
        })?;
        Ok(())
    }

    /// Opens an index, every byte checked, for the artifact with this digest.
    ///
    /// # Errors
    /// It is broken, or its vectors are those of another artifact.
    pub fn open(folder: &Path, artifact: &str) -> Result<Self, DeployError> {
        let broken = |reason: String| DeployError::Index { path: folder.display().to_string(), reason };
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(ArtifactError::read(&path))
        };
        let head: Head = serde_json::from_slice(&read(HEAD)?).map_err(|error| broken(format!("{HEAD}: {error}")))?;
        if head.format != FORMAT {
            return Err(broken(format!("has the format {}, but {FORMAT} is known", head.format)));
        }
        if head.artifact != artifact {
            return Err(broken("has the vectors of another artifact: make it anew with this one".to_owned()));
        }
        let checked = |name: &str| {
            let bytes = read(name)?;
            match head.files.get(name) {
                Some(hash) if *hash == sha256(&bytes) => Ok(bytes),
                _ => Err(broken(format!("{name} is not as it was written: make the index anew"))),
            }
        };
        let (weights, _) = Weights::from_safetensors(&checked(VECTORS)?).map_err(|error| broken(error.to_string()))?;
        let rows = String::from_utf8(checked(ROWS)?).map_err(|error| broken(error.to_string()))?;
        let rows: Vec<IndexRow> = rows
            .lines()
            .map(|line| serde_json::from_str(line).map_err(|error| broken(format!("{ROWS}: {error}"))))
            .collect::<Result<_, _>>()?;
        let tensor = weights.tensors().get("vectors").filter(|tensor| tensor.shape().len() == 2);
        let tensor = tensor.ok_or_else(|| broken("has no vectors".to_owned()))?;
        let [count, width] = [tensor.shape()[0], tensor.shape()[1]];
        if count != rows.len() || count != head.rows {
            return Err(broken(format!("has {count} vectors for {} texts", rows.len())));
        }
        let values = tensor.as_slice::<f32>().unwrap_or_default().to_vec();
        let vectors = Vectors::new(width, values).map_err(|error| broken(error.to_string()))?;
        Ok(Self { artifact: head.artifact, rows, vectors, cut: head.cut, graph: None })
    }

    /// The same, asked by a graph of neighbours in the place of looking at every vector.
    #[must_use]
    pub fn with_graph(mut self, config: GraphConfig) -> Self {
        self.graph = Some(Graph::new(&self.vectors, config));
        self
    }

    /// How many texts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none; an index has one at least.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many texts were too long for the network, so that their vectors do not know their ends.
    #[must_use]
    pub fn cut_texts(&self) -> usize {
        self.cut
    }

    /// For each question the nearest texts.
    ///
    /// # Errors
    /// The endpoint refuses a question, or gives no vector of the index's width.
    pub fn ask(
        &self,
        endpoint: &dyn Endpoint,
        questions: &[&str],
        count: usize,
    ) -> Result<Vec<Nearest<'_>>, DeployError> {
        let requests: Vec<&[u8]> = questions.iter().map(|question| question.as_bytes()).collect();
        let answers = requests.chunks(BATCH).flat_map(|batch| endpoint.answer(batch));
        let nearest = |(question, answer): (&&str, Result<Value, _>)| {
            let refused = |reason: String| DeployError::NotIndexed { name: (*question).to_owned(), reason };
            let vector = vector(&answer.map_err(|error: homeostat_task::InputError| refused(error.to_string()))?);
            let Some(Vector { embedding, cut }) = vector else {
                return Err(refused("the network gives no vector: it is of another task".to_owned()));
            };
            let hits = match &self.graph {
                Some(graph) => graph.nearest(&embedding, count),
                None => self.vectors.nearest(&embedding, count),
            };
            let hits = hits.map_err(|error| refused(error.to_string()))?;
            let found = |Hit { index, score }| Found { row: &self.rows[index], score };
            Ok(Nearest { found: hits.into_iter().map(found).collect(), cut })
        };
        questions.iter().zip(answers).map(nearest).collect()
    }
}

/// What an index reads of an answer.
#[derive(Deserialize)]
struct Vector {
    embedding: Vec<f32>,
    #[serde(default)]
    cut: bool,
}

/// The vector of an answer, if it has one.
fn vector(answer: &Value) -> Option<Vector> {
    Vector::deserialize(answer).ok()
}
