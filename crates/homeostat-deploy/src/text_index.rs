//! Texts with their vectors, in a folder that can be asked for the nearest ones. It does not know the network that makes the vectors,
//! but holds whose they are.

use std::{collections::BTreeMap, fs, path::Path};

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

/// `index.json`
#[derive(Serialize, Deserialize)]
struct Head {
    format: u64,
    /// The digest of the artifact whose vectors these are.
    artifact: String,
    rows: usize,
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
        let mut done = 0;
        for batch in rows.chunks(BATCH) {
            let requests: Vec<&[u8]> = batch.iter().map(|row| row.text.as_bytes()).collect();
            for (row, answer) in batch.iter().zip(endpoint.answer(&requests)) {
                let refused = |reason: String| DeployError::NotIndexed { name: row.name.clone(), reason };
                let vector = embedding(&answer.map_err(|error| refused(error.to_string()))?);
                values.extend(
                    vector.ok_or_else(|| refused("the network gives no vector: it is of another task".to_owned()))?,
                );
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
        Ok(Self { artifact: artifact.to_owned(), rows, vectors, graph: None })
    }

    /// Writes the index to a folder, whole or not at all, in the place of one that was there.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), DeployError> {
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
        Ok(Self { artifact: head.artifact, rows, vectors, graph: None })
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

    /// For each question the nearest texts, the nearest first.
    ///
    /// # Errors
    /// The endpoint refuses a question, or gives no vector of the index's width.
    pub fn ask(
        &self,
        endpoint: &dyn Endpoint,
        questions: &[&str],
        count: usize,
    ) -> Result<Vec<Vec<Found<'_>>>, DeployError> {
        let requests: Vec<&[u8]> = questions.iter().map(|question| question.as_bytes()).collect();
        let answers = requests.chunks(BATCH).flat_map(|batch| endpoint.answer(batch));
        let nearest = |(question, answer): (&&str, Result<Value, _>)| {
            let refused = |reason: String| DeployError::NotIndexed { name: (*question).to_owned(), reason };
            let vector = embedding(&answer.map_err(|error: homeostat_task::InputError| refused(error.to_string()))?);
            let vector =
                vector.ok_or_else(|| refused("the network gives no vector: it is of another task".to_owned()))?;
            let hits = match &self.graph {
                Some(graph) => graph.nearest(&vector, count),
                None => self.vectors.nearest(&vector, count),
            };
            let found = |Hit { index, score }| Found { row: &self.rows[index], score };
            Ok(hits.map_err(|error| refused(error.to_string()))?.into_iter().map(found).collect())
        };
        questions.iter().zip(answers).map(nearest).collect()
    }
}

/// The vector of an answer, if it has one.
fn embedding(answer: &Value) -> Option<Vec<f32>> {
    serde_json::from_value(answer.get("embedding")?.clone()).ok()
}
