//! A model: its versions, which of them answers a request, and how they are exchanged. It does not know where they lie.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use homeostat_deploy::{Job, Query, Reply};
use homeostat_protocol::{ModelState, RepositoryEntry, VersionPolicy};
use homeostat_task::HostTensor;

use crate::{
    ServeError,
    loaded::{Loaded, Place, Shared, fingerprint},
    metrics::Shadowed,
    read,
    source::{Folder, Traffic},
    written,
};

/// A model by its name.
#[derive(Debug)]
pub(crate) struct Model {
    name: String,
    traffic: Traffic,
    policy: VersionPolicy,
    versions: RwLock<Versions>,
    /// Held while versions are exchanged, one exchange at a time; requests never take it.
    turn: Mutex<()>,
    requests: AtomicU64,
}

#[derive(Debug, Default)]
struct Versions {
    ready: BTreeMap<u64, Shared>,
    /// Why versions that are wanted do not answer.
    troubles: BTreeMap<u64, (ModelState, String)>,
    is_unloaded: bool,
}

/// What an update changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The versions that were loaded, or why they were not.
    pub(crate) results: Vec<Result<u64, ServeError>>,
    /// The versions that are gone.
    pub(crate) gone: Vec<u64>,
}

impl Model {
    pub(crate) fn new(name: &str, traffic: Traffic, policy: VersionPolicy) -> Self {
        Self {
            name: name.to_owned(),
            traffic,
            policy,
            versions: RwLock::default(),
            turn: Mutex::default(),
            requests: AtomicU64::new(0),
        }
    }

    pub(crate) fn policy(&self) -> &VersionPolicy {
        &self.policy
    }

    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_unloaded(&self) -> bool {
        read(&self.versions).is_unloaded
    }

    /// Whether requests that name no version are answered, or the model was unloaded on purpose.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_unloaded() || self.peek(None).is_ok_and(|loaded| loaded.is_well())
    }

    /// The versions that answer, in order.
    pub(crate) fn ready(&self) -> Vec<Shared> {
        read(&self.versions).ready.values().cloned().collect()
    }

    /// The version that answers a request: the one named, else the newest, or the canary for its share.
    pub(crate) fn pick(&self, version: Option<&str>) -> Result<Shared, ServeError> {
        let versions = read(&self.versions);
        let canary = if named(version).is_none() { self.canary(&versions).cloned() } else { None };
        canary.map_or_else(|| self.find(&versions, version), Ok)
    }

    /// The version that stands for the model: the one named, else the newest.
    pub(crate) fn peek(&self, version: Option<&str>) -> Result<Shared, ServeError> {
        self.find(&read(&self.versions), version)
    }

    fn find(&self, versions: &Versions, version: Option<&str>) -> Result<Shared, ServeError> {
        let found = match named(version) {
            Some(named) => {
                let unknown = || ServeError::unknown(&self.name, Some(named));
                let number: u64 = named.parse().map_err(|_| unknown())?;
                if !versions.ready.contains_key(&number) && !versions.troubles.contains_key(&number) {
                    return Err(unknown());
                }
                versions.ready.get(&number)
            }
            None => self.newest(versions),
        };
        found.cloned().ok_or_else(|| {
            let reason = versions.troubles.values().next().map(|(state, _)| match state {
                ModelState::Loading => "it is being loaded",
                _ => "it could not be loaded",
            });
            let reason = if versions.is_unloaded { Some("it was unloaded") } else { reason };
            ServeError::NotReady { model: self.name.clone(), reason: reason.unwrap_or("it is being loaded").to_owned() }
        })
    }

    /// The newest version that is neither tried out nor a shadow, or else the newest.
    fn newest<'a>(&self, versions: &'a Versions) -> Option<&'a Shared> {
        let Traffic { canary, shadow } = self.traffic;
        let is_plain = |version: u64| canary.is_none_or(|(canary, _)| canary != version) && shadow != Some(version);
        let plain = versions.ready.iter().rev().find(|&(&version, _)| is_plain(version));
        plain.or_else(|| versions.ready.iter().next_back()).map(|(_, loaded)| loaded)
    }

    /// The canary, where this request is one of its share: they are spread evenly.
    fn canary<'a>(&self, versions: &'a Versions) -> Option<&'a Shared> {
        let (version, percent) = self.traffic.canary?;
        let loaded = versions.ready.get(&version).filter(|loaded| loaded.is_well())?;
        let (number, share) = (self.requests.fetch_add(1, Ordering::Relaxed) % 100, u64::from(percent));
        ((number + 1) * share / 100 > number * share / 100).then_some(loaded)
    }

    /// The version that is asked too.
    pub(crate) fn shadow(&self) -> Option<Shared> {
        read(&self.versions).ready.get(&self.traffic.shadow?).cloned()
    }

    /// Loads the wanted versions that are new or have changed, and then lets go of those that are not wanted any more. Blocks.
    pub(crate) fn update(&self, wanted: &[Folder], open: &dyn Fn(Place<'_>) -> Result<Loaded, ServeError>) -> Changes {
        let mut changes = Changes::default();
        written(&self.versions).is_unloaded = false;
        for Folder { version, path } in wanted {
            let print = fingerprint(path);
            let has_changed = |loaded: &Shared| print.as_ref().is_ok_and(|print| *print != loaded.fingerprint);
            if read(&self.versions).ready.get(version).is_some_and(|loaded| !has_changed(loaded)) {
                continue;
            }
            self.trouble(*version, ModelState::Loading, String::new());
            match open(Place { model: &self.name, version: *version, path }) {
                Ok(loaded) => {
                    let mut versions = written(&self.versions);
                    versions.troubles.remove(version);
                    // Requests that the old one has taken still hold it.
                    let old = versions.ready.insert(*version, Arc::new(loaded));
                    drop(versions);
                    drop(old);
                    changes.results.push(Ok(*version));
                }
                Err(error) => {
                    self.trouble(*version, ModelState::Unavailable, error.to_string());
                    changes.results.push(Err(error));
                }
            }
        }
        changes.gone = self.keep_only(wanted);
        changes
    }

    fn trouble(&self, version: u64, state: ModelState, reason: String) {
        written(&self.versions).troubles.insert(version, (state, reason));
    }

    /// Lets go of versions that are not wanted, unless nothing of what is wanted answers.
    fn keep_only(&self, wanted: &[Folder]) -> Vec<u64> {
        let is_wanted = |version: &u64| wanted.iter().any(|folder| folder.version == *version);
        let mut versions = written(&self.versions);
        versions.troubles.retain(|version, _| is_wanted(version));
        if !versions.ready.keys().any(is_wanted) {
            return Vec::new();
        }
        let gone: Vec<u64> = versions.ready.keys().copied().filter(|version| !is_wanted(version)).collect();
        let old: Vec<Option<Shared>> = gone.iter().map(|version| versions.ready.remove(version)).collect();
        drop(versions);
        drop(old);
        gone
    }

    /// Takes all versions out of service.
    pub(crate) fn unload(&self) -> Vec<Shared> {
        let mut versions = written(&self.versions);
        versions.is_unloaded = true;
        versions.troubles.clear();
        std::mem::take(&mut versions.ready).into_values().collect()
    }

    pub(crate) fn index(&self) -> Vec<RepositoryEntry> {
        let versions = read(&self.versions);
        let entry = |version: u64, state, reason: &str| RepositoryEntry {
            name: self.name.clone(),
            version: version.to_string(),
            state: Some(state),
            reason: reason.to_owned(),
        };
        let ready = versions.ready.keys().map(|&version| entry(version, ModelState::Ready, ""));
        let troubles = versions.troubles.iter().filter(|(version, _)| !versions.ready.contains_key(version));
        let mut all: Vec<_> =
            ready.chain(troubles.map(|(&version, (state, reason))| entry(version, *state, reason))).collect();
        if versions.is_unloaded {
            let (state, reason) = (Some(ModelState::Unavailable), "unloaded".to_owned());
            all.push(RepositoryEntry { name: self.name.clone(), version: String::new(), state, reason });
        }
        all
    }
}

/// A version that was named; gRPC has an empty text where none was.
fn named(version: Option<&str>) -> Option<&str> {
    version.filter(|version| !version.is_empty())
}

/// How far outputs may be apart until a shadow counts as differing.
const TOLERANCE: f64 = 1e-3;

/// Asks a shadow what was asked, behind all others, and compares; nobody waits for it.
pub(crate) fn compare(shadow: Shared, query: Query, given: Reply) {
    tokio::spawn(async move {
        let begun = Instant::now();
        // Behind all others, and not at all where the queue is long.
        let deadline = begun.checked_add(std::time::Duration::from_secs(10));
        let answer = shadow.ask(Job { query, priority: usize::MAX, deadline }).await;
        let (result, difference) = match answer.map(|answer| apart(&given, &answer.reply)) {
            Ok(Some(difference)) if difference <= TOLERANCE => (Shadowed::Agrees, Some(difference)),
            Ok(difference) => (Shadowed::Differs, difference),
            Err(_) => (Shadowed::Failed, None),
        };
        shadow.metrics.shadowed(result, difference, begun.elapsed());
    });
}

/// The largest difference between the outputs of two answers; nothing where they cannot be compared.
fn apart(given: &Reply, found: &Reply) -> Option<f64> {
    match (given, found) {
        (Reply::Tensors(given), Reply::Tensors(found)) if given.len() == found.len() => given
            .iter()
            .zip(found)
            .map(|(given, found)| tensors_apart(given, found))
            .try_fold(0.0, |a: f64, b| Some(a.max(b?))),
        (Reply::Json(given), Reply::Json(found)) => (given == found).then_some(0.0),
        _ => None,
    }
}

fn tensors_apart(given: &HostTensor, found: &HostTensor) -> Option<f64> {
    if given.shape() != found.shape() || given.kind() != found.kind() {
        return None;
    }
    let floats = given.floats().iter().zip(found.floats()).map(|(a, b)| f64::from((a - b).abs()));
    let integers = given.integers().iter().zip(found.integers()).map(|(a, b)| a.abs_diff(*b) as f64);
    Some(floats.chain(integers).fold(0.0, f64::max))
}
