//! The models by name, and what can be asked of them: the one face that HTTP and gRPC both talk to. It does not know sockets.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use homeostat_deploy::{Answer, Job, Phases, start_computing};
use homeostat_protocol::{
    GenerateRequest, InferRequest, InferResponse, ModelConfig, ModelMetadata, ModelStatistics, RepositoryEntry,
    RepositoryQuery, ServerMetadata,
};
use tokio::sync::oneshot;

use crate::{
    ServeError,
    generation::Generation,
    loaded::{Loaded, Opening, Shared},
    metrics::Metrics,
    model::Model,
    read,
    source::Source,
    written,
};

/// The parts of the protocol beyond its core.
const EXTENSIONS: [&str; 8] = [
    "binary_tensor_data",
    "classification",
    "generate",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
];

/// All models of a server.
#[derive(Debug)]
pub struct Engine {
    opening: Opening,
    source: Source,
    models: RwLock<BTreeMap<String, Arc<Model>>>,
    metrics: Metrics,
    is_draining: AtomicBool,
}

/// Who is to answer a request.
#[derive(Clone, Debug)]
pub(crate) struct Picked {
    model: Arc<Model>,
    pub(crate) loaded: Shared,
    /// Whether the caller named the version.
    is_named: bool,
}

/// What it took to answer a request.
#[derive(Clone, Debug)]
pub(crate) struct Spent {
    /// Who answered.
    pub(crate) by: Shared,
    /// When he was asked.
    pub(crate) since: Instant,
    pub(crate) queue: Duration,
    pub(crate) phases: Phases,
    /// How many samples were computed together.
    pub(crate) batch: usize,
}

impl Engine {
    /// No model is loaded yet: [`refresh`](Self::refresh) does that.
    #[must_use]
    pub fn new(source: Source, opening: Opening) -> Arc<Self> {
        Arc::new(Self {
            opening,
            source,
            models: RwLock::default(),
            metrics: Metrics::new(),
            is_draining: AtomicBool::new(false),
        })
    }

    /// The figures of the server.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        for model in self.all() {
            for loaded in model.ready() {
                loaded.tell_replaced();
                self.metrics.set_version(&loaded.model, &loaded.version.to_string(), loaded.state());
            }
        }
        self.metrics.set_ready(self.is_ready());
        self.metrics.text()
    }

    /// Whether all models answer, and the server is not about to stop.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let models = read(&self.models);
        !self.is_draining.load(Ordering::Relaxed) && !models.is_empty() && models.values().all(|model| model.is_ready())
    }

    /// From now on the server counts as not ready; it answers as before.
    pub fn begin_drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Requests that were taken and not yet answered.
    #[must_use]
    pub fn in_flight(&self) -> i64 {
        self.metrics.in_flight()
    }

    /// What the server says of itself.
    #[must_use]
    pub fn server(&self) -> ServerMetadata {
        ServerMetadata {
            name: "homeostat".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: EXTENSIONS.map(str::to_owned).to_vec(),
        }
    }

    /// Whether a model answers.
    ///
    /// # Errors
    /// [`ServeError::UnknownModel`].
    pub fn model_ready(&self, name: &str, version: Option<&str>) -> Result<bool, ServeError> {
        let model = self.find(name)?;
        match model.peek(version) {
            Ok(loaded) => Ok(loaded.is_well()),
            Err(ServeError::NotReady { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What a model takes and gives.
    ///
    /// # Errors
    /// [`ServeError::UnknownModel`], [`ServeError::NotReady`].
    pub fn model(&self, name: &str, version: Option<&str>) -> Result<ModelMetadata, ServeError> {
        let model = self.find(name)?;
        let loaded = model.peek(version)?;
        let versions = model.ready().iter().map(|loaded| loaded.version.to_string()).collect();
        Ok(ModelMetadata { versions, ..loaded.metadata.clone() })
    }

    /// What a body that is nothing but a tensor's bytes (`is_bare`) is read as: the model with the inputs that it could be.
    /// For another body only that the model answers.
    ///
    /// # Errors
    /// [`ServeError::UnknownModel`], [`ServeError::NotReady`].
    pub(crate) fn bare_model(
        &self,
        name: &str,
        version: Option<&str>,
        is_bare: bool,
    ) -> Result<ModelMetadata, ServeError> {
        let loaded = self.find(name)?.peek(version)?;
        let inputs = if is_bare { loaded.doors.bare_inputs() } else { Vec::new() };
        let (name, platform) = (String::new(), String::new());
        Ok(ModelMetadata { name, versions: Vec::new(), platform, inputs, outputs: Vec::new() })
    }

    /// The most samples of one request.
    pub(crate) fn most_rows(&self) -> usize {
        self.opening.most_rows
    }

    /// The names of a model's classes, in the order of its scores; none where it has no classes.
    ///
    /// # Errors
    /// [`ServeError::UnknownModel`], [`ServeError::NotReady`].
    pub fn labels(&self, name: &str, version: Option<&str>) -> Result<Vec<String>, ServeError> {
        Ok(self.find(name)?.peek(version)?.doors.labels().to_vec())
    }

    /// How a model is served.
    ///
    /// # Errors
    /// [`ServeError::UnknownModel`], [`ServeError::NotReady`].
    pub fn config(&self, name: &str, version: Option<&str>) -> Result<ModelConfig, ServeError> {
        let model = self.find(name)?;
        Ok(model.peek(version)?.config(model.policy()))
    }

    /// Where time went: of one model, or of all.
    ///
    /// # Errors
    /// [`ServeError::UnknownModel`].
    pub fn statistics(&self, name: Option<&str>, version: Option<&str>) -> Result<ModelStatistics, ServeError> {
        let versions = match (name, version) {
            (None, _) => self.all().iter().flat_map(|model| model.ready()).collect(),
            (Some(name), None) => self.find(name)?.ready(),
            (Some(name), version) => vec![self.find(name)?.peek(version)?],
        };
        Ok(ModelStatistics { model_stats: versions.iter().map(|loaded| loaded.statistics()).collect() })
    }

    /// Answers a request. Dropping the future takes it out of the queue.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn infer(
        &self,
        name: &str,
        version: Option<&str>,
        request: InferRequest,
    ) -> Result<InferResponse, ServeError> {
        self.answer(&self.pick(name, version)?, request).await.map(|(response, _)| response)
    }

    /// Who is to answer a request: the version that is named, else the newest, or the canary for its share.
    pub(crate) fn pick(&self, name: &str, version: Option<&str>) -> Result<Picked, ServeError> {
        let model = self.find(name)?;
        let loaded = model.pick(version)?;
        Ok(Picked { model, loaded, is_named: version.is_some() })
    }

    /// As [`infer`](Self::infer), with what it took.
    pub(crate) async fn answer(
        &self,
        picked: &Picked,
        request: InferRequest,
    ) -> Result<(InferResponse, Spent), ServeError> {
        let loaded = &picked.loaded;
        let query = loaded.doors.query(&request, &loaded.metadata)?;
        let priority = usize::try_from(request.priority()?).unwrap_or(usize::MAX);
        let job = Job { query, priority, deadline: deadline(request.timeout()?) };
        let (reply, spent) = self.ask(picked, job).await?;
        let response = InferResponse {
            outputs: loaded.doors.outputs_of(reply, &request)?,
            model_name: loaded.model.clone(),
            model_version: loaded.version.to_string(),
            id: request.id,
            parameters: homeostat_protocol::Parameters::new(),
        };
        Ok((response, spent))
    }

    /// Refuses a model that writes no texts.
    ///
    /// # Errors
    /// [`ServeError::UnknownModel`], [`ServeError::NotReady`], [`ServeError::Input`].
    pub(crate) fn check_writes(&self, name: &str, version: Option<&str>) -> Result<(), ServeError> {
        self.find(name)?.peek(version)?.writers().map(|_| ())
    }

    /// Lets a text be written; it begins as soon as an instance is free.
    ///
    /// # Errors
    /// [`ServeError::UnknownModel`], [`ServeError::NotReady`], [`ServeError::Input`], [`ServeError::Overloaded`].
    pub(crate) fn generate(
        &self,
        name: &str,
        version: Option<&str>,
        request: &GenerateRequest,
    ) -> Result<Generation, ServeError> {
        let loaded = self.find(name)?.pick(version)?;
        let (since, in_flight) = (Instant::now(), self.metrics.enter());
        let draft = loaded.write(request, deadline(request.timeout))?;
        Ok(Generation::new(loaded, draft, since, in_flight))
    }

    /// Asks a version, and its shadow if there is one and the version was not named by the caller.
    pub(crate) async fn ask(&self, picked: &Picked, job: Job) -> Result<(homeostat_deploy::Reply, Spent), ServeError> {
        let Picked { model, loaded, is_named } = picked;
        let since = Instant::now();
        let _in_flight = self.metrics.enter();
        let shadow = if *is_named { None } else { model.shadow() };
        let copy = shadow.map(|shadow| (shadow, job.query.clone()));
        let answer = loaded.ask(job).await?;
        if let Some((shadow, query)) = copy {
            crate::model::compare(shadow, query, answer.reply.clone());
        }
        let Answer { reply, queue, phases, batch } = answer;
        Ok((reply, Spent { by: Arc::clone(loaded), since, queue, phases, batch }))
    }

    /// What can be loaded, and what is.
    #[must_use]
    pub fn index(&self, query: RepositoryQuery) -> Vec<RepositoryEntry> {
        let mut entries: Vec<RepositoryEntry> = self.all().iter().flat_map(|model| model.index()).collect();
        for name in self.source.names() {
            if !entries.iter().any(|entry| entry.name == name) {
                entries.push(RepositoryEntry { name, version: String::new(), state: None, reason: String::new() });
            }
        }
        entries.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        let is_ready = |entry: &RepositoryEntry| entry.state == Some(homeostat_protocol::ModelState::Ready);
        entries.retain(|entry| !query.ready || is_ready(entry));
        entries
    }

    /// Loads a model, or what has changed of it; the old version answers until the new one is verified and warm.
    ///
    /// # Errors
    /// [`ServeError::UnknownModel`] where there is no such folder, [`ServeError::Load`].
    pub async fn load(self: &Arc<Self>, name: &str) -> Result<(), ServeError> {
        if !self.source.has(name) {
            return Err(ServeError::unknown(name, None));
        }
        let engine = Arc::clone(self);
        let name = name.to_owned();
        let troubles = aside(move || {
            let troubles = engine.load_now(&name, true);
            // Here, because whoever hangs up ends only the waiting for it.
            troubles.iter().for_each(ServeError::log_not_loaded);
            troubles
        });
        troubles.await.into_iter().next().map_or(Ok(()), Err)
    }

    /// Takes a model out of service; what it has taken is answered.
    ///
    /// # Errors
    /// [`ServeError::UnknownModel`].
    pub fn unload(&self, name: &str) -> Result<(), ServeError> {
        let gone = self.find(name)?.unload();
        for loaded in gone {
            self.metrics.forget(&loaded.model, &loaded.version.to_string());
        }
        tracing::info!(model = name, "unloaded");
        Ok(())
    }

    /// Looks at all models: loads what is new or has changed, unloads what is gone.
    ///
    /// # Errors
    /// The first model that could not be loaded, which is in no log; the others are loaded, or in the log.
    pub async fn refresh(self: &Arc<Self>) -> Result<(), ServeError> {
        let mut troubles = self.look().await.into_iter();
        let first = troubles.next().map_or(Ok(()), Err);
        troubles.for_each(|error| error.log_not_loaded());
        first
    }

    /// As [`refresh`](Self::refresh); gives all that could not be loaded, which is in no log yet.
    pub(crate) async fn look(self: &Arc<Self>) -> Vec<ServeError> {
        let engine = Arc::clone(self);
        aside(move || engine.look_now()).await
    }

    /// Whether any version of any model is loaded.
    pub(crate) fn has_any(&self) -> bool {
        self.all().iter().any(|model| !model.ready().is_empty())
    }

    fn look_now(&self) -> Vec<ServeError> {
        let names = self.source.names();
        let gone: Vec<String> = read(&self.models).keys().filter(|known| !names.contains(known)).cloned().collect();
        for name in gone {
            // Between the two looks somebody else may have removed it.
            let _ = self.unload(&name);
            written(&self.models).remove(&name);
        }
        names.iter().flat_map(|name| self.load_now(name, false)).collect()
    }

    /// Loads what is wanted of a model and not there; `anew` also where it was unloaded on purpose. Gives what could not be loaded.
    fn load_now(&self, name: &str, anew: bool) -> Vec<ServeError> {
        let entry = || Arc::new(Model::new(name, self.source.traffic(name), self.source.policy()));
        let model = Arc::clone(written(&self.models).entry(name.to_owned()).or_insert_with(entry));
        let _turn = model.turn();
        if model.is_unloaded() && !anew {
            return Vec::new();
        }
        let wanted = match self.source.versions(name) {
            Ok(wanted) => wanted,
            Err(error) => return vec![error],
        };
        let open = |place: crate::loaded::Place<'_>| Loaded::open(place, &self.opening, &self.metrics);
        let changes = model.update(&wanted, &open);
        for gone in &changes.gone {
            self.metrics.forget(name, &gone.to_string());
        }
        for result in &changes.results {
            self.metrics.reloaded(name, result.is_ok());
            if let Ok(version) = result {
                tracing::info!(model = name, version, "loaded, verified and warm");
            }
        }
        changes.results.into_iter().filter_map(Result::err).collect()
    }

    /// Lets the controllers of all versions decide, where they have one, and asks those that count as ill whether they are well
    /// again: nobody else would, as long as they are not ready. Must be called within a runtime.
    pub fn turn(&self) {
        for loaded in self.all().iter().flat_map(|model| model.ready()) {
            loaded.turn();
            if !loaded.is_well() {
                tokio::spawn(async move { loaded.probe().await });
            }
        }
    }

    pub(crate) fn find(&self, name: &str) -> Result<Arc<Model>, ServeError> {
        read(&self.models).get(name).cloned().ok_or_else(|| ServeError::unknown(name, None))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Model>> {
        read(&self.models).values().cloned().collect()
    }
}

/// When a time that begins now is over; one beyond reckoning never is.
pub(crate) fn deadline(allowed: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(allowed?)
}

/// Loads beside the requests: it takes no more of the cores than what answers them.
async fn aside(load: impl FnOnce() -> Vec<ServeError> + Send + 'static) -> Vec<ServeError> {
    let (troubles, loaded) = oneshot::channel();
    // Nobody waits for it where the server has stopped meanwhile.
    let started = start_computing("loader", 0, move || drop(troubles.send(load())));
    if let Err(error) = started {
        return vec![ServeError::Failed(format!("no thread for loading: {error}"))];
    }
    loaded.await.unwrap_or_else(|_| vec![ServeError::Failed("loading ended early".to_owned())])
}
