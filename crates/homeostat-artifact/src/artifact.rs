//! All that serving may read, in one folder that checks itself. Does not know tensors, tasks or the server.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::manifest::{Manifest, stays_inside};
use crate::{ArtifactError, Run, RunState, atomic, digest};

const MANIFEST: &str = "artifact.json";
const TASK: &str = "task.toml";
const MODEL: &str = "model.safetensors";
const ASSETS: &str = "assets/";
const GOLDEN: &str = "golden/";
const REQUEST: &str = ".request";
const ANSWER: &str = ".answer.json";
/// The most that is taken into memory of a text, in bytes.
const TEXT_LIMIT: u64 = 16 << 20;
/// The most that is taken into memory of an asset or a raw request, in bytes.
const ASSET_LIMIT: u64 = 1 << 30;

/// What becomes an artifact.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The kind of task: `image-classification`.
    pub kind: String,
    /// When it was made, in UTC.
    pub created: String,
    /// The text of `task.toml`: the `[task]` table and nothing else.
    pub task: String,
    /// The weights, in the format safetensors.
    pub model: Weights,
    /// Further files by name: `tokenizer.json`.
    pub assets: BTreeMap<String, Vec<u8>>,
    /// Requests with the answers at the end of training.
    pub golden: Vec<Golden>,
}

/// Where the weights come from.
#[derive(Clone, Debug)]
pub enum Weights {
    /// From memory.
    Bytes(Vec<u8>),
    /// From a file, which is copied.
    File(PathBuf),
}

/// A raw request with the answer that the network gave at the end of training.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// Its name, which can be a file's.
    pub name: String,
    /// The request's bytes as they come in.
    pub request: Vec<u8>,
    /// The answer.
    pub answer: serde_json::Value,
}

/// What `artifact.json` says beside the files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    created: String,
    task: String,
    homeostat: String,
}

/// An artifact whose every file was as it was written when this was made; [`Artifact::asset`] and the like check again as they read.
///
/// Files that are not listed in `artifact.json` are never read; [`Artifact::open`] warns of them.
#[derive(Clone, Debug)]
pub struct Artifact {
    path: PathBuf,
    manifest: Manifest<Head>,
    digest: String,
}

impl Parts {
    /// Everything that is in memory, by its place in the artifact.
    fn files(&self) -> Vec<(String, Cow<'_, [u8]>)> {
        let mut files = vec![(TASK.to_owned(), self.task.as_bytes().into())];
        if let Weights::Bytes(bytes) = &self.model {
            files.push((MODEL.to_owned(), bytes.into()));
        }
        files.extend(self.assets.iter().map(|(name, bytes)| (format!("{ASSETS}{name}"), bytes.into())));
        for Golden { name, request, answer } in &self.golden {
            files.push((format!("{GOLDEN}{name}{REQUEST}"), request.into()));
            files.push((format!("{GOLDEN}{name}{ANSWER}"), answer.to_string().into_bytes().into()));
        }
        files
    }
}

impl Artifact {
    /// Writes an artifact to `path`, whole or not at all, in the place of one that was there; then opens it.
    ///
    /// # Errors
    /// [`ArtifactError::Write`] or [`ArtifactError::Read`], and [`ArtifactError::Escapes`] for the name of an asset or of a golden request that is not
    /// a file's; what was there is intact.
    pub fn publish(path: &Path, parts: &Parts) -> Result<Self, ArtifactError> {
        let files = parts.files();
        if let Some((file, _)) = files.iter().find(|(file, _)| !stays_inside(file)) {
            return Err(ArtifactError::Escapes { path: path.to_owned(), file: file.clone() });
        }
        atomic::write_dir(path, |folder| {
            for (file, bytes) in &files {
                write(&folder.join(file), bytes)?;
            }
            if let Weights::File(file) = &parts.model {
                copy(file, &folder.join(MODEL))?;
            }
            let (created, task) = (parts.created.clone(), parts.kind.clone());
            Manifest::write(folder, MANIFEST, Head { created, task, homeostat: env!("CARGO_PKG_VERSION").to_owned() })
        })?;
        Self::open(path)
    }

    /// Opens the artifact at `path`, or that of the run at `path` (`runs/latest`), and checks every listed file.
    ///
    /// # Errors
    /// [`ArtifactError::NotThere`], [`ArtifactError::NotAnArtifact`], [`ArtifactError::Format`], [`ArtifactError::Escapes`],
    /// [`ArtifactError::Missing`], [`ArtifactError::Changed`], [`ArtifactError::Malformed`], [`ArtifactError::TooLarge`], [`ArtifactError::Read`].
    pub fn open(path: &Path) -> Result<Self, ArtifactError> {
        let places = [path.to_owned(), path.join("artifact")];
        let Some(folder) = places.into_iter().find(|folder| folder.join(MANIFEST).exists()) else {
            return Err(no_artifact(path));
        };
        // `runs/latest` may point elsewhere tomorrow: what is open stays what it is.
        let folder = folder.canonicalize().map_err(ArtifactError::read(&folder))?;
        let manifest: Manifest<Head> = Manifest::read(&folder, MANIFEST)?;
        for file in [TASK, MODEL] {
            if !manifest.files.contains_key(file) {
                return Err(ArtifactError::Missing { path: folder, file: file.to_owned() });
            }
        }
        manifest.verify(&folder)?;
        for file in atomic::files(&folder)?.iter().filter(|file| *file != MANIFEST) {
            if !manifest.files.contains_key(file) {
                tracing::warn!(artifact = %folder.display(), file, "this file is not listed in artifact.json and is ignored");
            }
        }
        let listing: String =
            manifest.files.iter().map(|(file, entry)| format!("{}  {file}\n", entry.sha256)).collect();
        let digest = digest::sha256(listing.as_bytes());
        Ok(Self { path: folder, manifest, digest })
    }

    /// Its folder, links resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kind of task: `image-classification`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.manifest.head.task
    }

    /// When it was made, in UTC.
    #[must_use]
    pub fn created(&self) -> &str {
        &self.manifest.head.created
    }

    /// The version of Homeostat that made it.
    #[must_use]
    pub fn homeostat(&self) -> &str {
        &self.manifest.head.homeostat
    }

    /// SHA-256 over the hashes and names of its files, as `sha256sum` lists them: equal for two artifacts of the same content, whenever they were made.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The text of `task.toml`.
    ///
    /// # Errors
    /// As for [`Self::asset`]; [`ArtifactError::Malformed`] if it is not UTF-8.
    pub fn task(&self) -> Result<String, ArtifactError> {
        let bytes = self.manifest.read_file(&self.path, TASK, TEXT_LIMIT)?;
        String::from_utf8(bytes).map_err(|error| self.malformed(TASK, &error))
    }

    /// Where the weights are.
    #[must_use]
    pub fn model(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    /// The names of the further files, in order.
    pub fn assets(&self) -> impl Iterator<Item = &str> {
        self.manifest.files.keys().filter_map(|file| file.strip_prefix(ASSETS))
    }

    /// The content of the further file `name`.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`] if there is none, [`ArtifactError::Changed`] if it is not as it was, [`ArtifactError::TooLarge`] over 1 GiB.
    pub fn asset(&self, name: &str) -> Result<Vec<u8>, ArtifactError> {
        self.manifest.read_file(&self.path, &format!("{ASSETS}{name}"), ASSET_LIMIT)
    }

    /// The requests with their answers, by name.
    ///
    /// # Errors
    /// As for [`Self::asset`]; [`ArtifactError::Malformed`] for an answer that is not JSON.
    pub fn golden(&self) -> Result<Vec<Golden>, ArtifactError> {
        let requests = self.manifest.files.keys().filter_map(|file| file.strip_prefix(GOLDEN)?.strip_suffix(REQUEST));
        let golden = requests.map(|name| {
            let request = self.manifest.read_file(&self.path, &format!("{GOLDEN}{name}{REQUEST}"), ASSET_LIMIT)?;
            let file = format!("{GOLDEN}{name}{ANSWER}");
            let answer = self.manifest.read_file(&self.path, &file, TEXT_LIMIT)?;
            let answer = serde_json::from_slice(&answer).map_err(|error| self.malformed(&file, &error))?;
            Ok(Golden { name: name.to_owned(), request, answer })
        });
        golden.collect()
    }

    fn malformed(&self, file: &str, error: &dyn std::error::Error) -> ArtifactError {
        ArtifactError::Malformed { path: self.path.join(file), reason: error.to_string() }
    }
}

/// Why there is no artifact at a path, and what leads to one.
fn no_artifact(path: &Path) -> ArtifactError {
    let shown = path.display();
    let reason = match Run::open(path).map(|run| run.summary().state) {
        _ if !path.exists() => return ArtifactError::NotThere { path: path.to_owned() },
        Ok(RunState::Running) => "its training has not ended yet".to_owned(),
        Ok(RunState::Interrupted) => format!("it was interrupted: go on with `homeostat resume {shown}`"),
        Ok(RunState::Failed) => format!("its training failed: `homeostat runs show {shown}` says why"),
        Ok(RunState::Finished) => "artifact.json is missing".to_owned(),
        Err(_) => match newest_run(path) {
            Some(run) => format!("it is a folder of runs: name one, such as {}", run.display()),
            None => "artifact.json is missing".to_owned(),
        },
    };
    ArtifactError::NotAnArtifact { path: path.to_owned(), reason }
}

/// The last run in a folder by its name: `latest` in `runs`, the newest in `runs/NAME`.
fn newest_run(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| Run::open(path).is_ok()).max()
}

/// The file must be new: two golden requests of one name would be one.
fn write(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
    let file = parent.and_then(|()| fs::File::create_new(path));
    file.and_then(|mut file| file.write_all(bytes)).map_err(ArtifactError::write(path))
}

/// Not `fs::copy`, which would copy the permissions, too.
fn copy(from: &Path, to: &Path) -> Result<(), ArtifactError> {
    let mut source = fs::File::open(from).map_err(ArtifactError::read(from))?;
    let target = fs::File::create(to).map_err(ArtifactError::write(to))?;
    io::copy(&mut source, &mut &target).map_err(ArtifactError::write(to))?;
    Ok(())
}
