//! One version of a model at work: opened, verified, warm. It does not know which version a request gets.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use burn::tensor::Device;
use bytes::Bytes;
use homeostat_artifact::Artifact;
use homeostat_control::LatencyConfig;
use homeostat_deploy::{
    Answer, Batcher, BatcherConfig, Draft, Endpoint, Finished, Job, OpenEndpoint, Order, Query, Spent, Writers,
    WritersConfig, verify,
};
use homeostat_protocol::{
    BatchStatistics, ConfigParameter, ConfigTensor, Duration as Counted, DynamicBatching, GenerateRequest,
    InferenceStatistics, InstanceGroup, InstanceKind, ModelConfig, ModelMetadata, QueuePolicy, TensorMetadata,
    TimeoutAction, VersionPolicy, VersionStatistics,
};
use homeostat_tasks::TaskConfig;
use sha2::{Digest, Sha256};

use crate::{
    ServeError,
    door::Doors,
    generation::raw_request,
    metrics::{Metrics, VersionMetrics, VersionState},
    pace::Loop,
};

/// What our models run on, in the words of the protocol.
pub(crate) const PLATFORM: &str = "homeostat_burn";

/// How versions are opened.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Where to compute.
    pub device: Device,
    /// How queries are put together.
    pub batcher: BatcherConfig,
    /// How texts are written.
    pub writers: WritersConfig,
    /// The most samples of one request.
    pub most_rows: usize,
    /// The controller that moves the wait and the queue's limit; nothing leaves both as they are.
    pub latency: Option<LatencyConfig>,
    /// What a version's network is put into once it is verified, for who wants to see what a server does with one that fails or
    /// is slow; nothing in service.
    pub wrap: Option<Wrap>,
}

/// Puts a network into another.
pub type Wrap = fn(Box<dyn Endpoint>) -> Box<dyn Endpoint>;

/// A version of a model that answers.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) model: String,
    pub(crate) version: u64,
    /// The hash of the `artifact.json` that it was opened from.
    pub(crate) fingerprint: String,
    pub(crate) doors: Doors,
    pub(crate) metadata: ModelMetadata,
    pub(crate) metrics: VersionMetrics,
    batcher: Batcher,
    /// Where the task writes texts.
    writers: Option<Writers>,
    pace: Option<Loop>,
    /// A request that it has answered: for asking whether it is well again.
    probe: Option<Bytes>,
    /// Whether it has requests of its own in JSON, beside pictures and plain texts.
    pub(crate) takes_json: bool,
    kind: String,
    created: String,
    digest: String,
}

/// The name, version and place of what is to be loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) model: &'a str,
    pub(crate) version: u64,
    pub(crate) path: &'a Path,
}

impl Loaded {
    /// Opens an artifact, verifies that it answers as at the end of its training, and warms it up. Blocks.
    ///
    /// # Errors
    /// [`ServeError::Load`]: the artifact is broken, or answers differently.
    pub(crate) fn open(place: Place<'_>, opening: &Opening, metrics: &Metrics) -> Result<Self, ServeError> {
        let Place { model, version, path } = place;
        let failed = |reason: String| ServeError::Load { model: model.to_owned(), reason };
        let artifact = Artifact::open(path).map_err(|error| failed(error.to_string()))?;
        let text = artifact.task().map_err(|error| failed(error.to_string()))?;
        let task = TaskConfig::parse(artifact.kind(), &text).map_err(|error| failed(error.to_string()))?;
        let endpoint = task
            .open(OpenEndpoint { artifact: &artifact, device: &opening.device })
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))?;
        // Its requests go alone and all together, so that what is made at the first use is made.
        verify(endpoint.as_ref(), &artifact).map_err(|error| failed(error.to_string()))?;
        let no_threads = |error: std::io::Error| failed(format!("its threads cannot be started: {error}"));
        let writers = if endpoint.is_writer() {
            let listener = metrics.writers(model, &version.to_string());
            let listener = Box::new(move |finished: &Finished| listener.finished(finished));
            let config = opening.writers.clone();
            Some(Writers::start(endpoint.replicate(), config, listener).map_err(no_threads)?)
        } else {
            None
        };
        let endpoint = match opening.wrap {
            Some(wrap) => wrap(endpoint),
            None => endpoint,
        };
        let batcher = Batcher::start(endpoint, opening.batcher.clone()).map_err(no_threads)?;
        let pace = opening.latency.as_ref().map(|config| Loop::new(config, &batcher)).transpose();
        let pace = pace.map_err(|error| failed(error.to_string()))?;
        let doors = Doors::new(batcher.signature().cloned(), opening.most_rows);
        let mut loaded = Self {
            metadata: ModelMetadata {
                name: model.to_owned(),
                versions: vec![version.to_string()],
                platform: PLATFORM.to_owned(),
                inputs: doors.inputs(),
                outputs: doors.outputs(),
            },
            metrics: metrics.version(model, &version.to_string()),
            model: model.to_owned(),
            version,
            fingerprint: fingerprint(artifact.path())?,
            doors,
            batcher,
            writers,
            pace,
            probe: None,
            takes_json: false,
            kind: artifact.kind().to_owned(),
            created: artifact.created().to_owned(),
            digest: artifact.digest().to_owned(),
        };
        loaded.warm(&artifact)?;
        Ok(loaded)
    }

    /// Sends golden requests through the queue, some for each instance, and learns from them.
    fn warm(&mut self, artifact: &Artifact) -> Result<(), ServeError> {
        let failed = |reason: String| ServeError::Load { model: self.model.clone(), reason };
        let golden = artifact.golden().map_err(|error| failed(error.to_string()))?;
        self.takes_json = self.batcher.signature().is_none() && golden.iter().any(|golden| is_json(&golden.request));
        for request in golden.into_iter().take(2 * self.batcher.config().instances) {
            let request = Bytes::from(request.request);
            self.probe = Some(request.clone());
            let query = Query::Raw(vec![request]);
            let ticket = self.batcher.submit(Job { query, priority: 0, deadline: None });
            ticket.and_then(homeostat_deploy::Ticket::wait).map_err(|error| failed(error.to_string()))?;
        }
        Ok(())
    }

    /// Asks what it has answered before; a batch that succeeds makes it well.
    pub(crate) async fn probe(&self) {
        let Some(request) = self.probe.clone() else { return };
        let job = Job { query: Query::Raw(vec![request.clone()]), priority: 0, deadline: None };
        // Their health says what came of it.
        if !self.batcher.health().is_well
            && let Ok(ticket) = self.batcher.submit(job)
        {
            let _ = ticket.await;
        }
        if let Some(writers) = self.writers.as_ref().filter(|writers| !writers.health().is_well)
            && let Ok(mut draft) = writers.submit(Order { request, deadline: None })
        {
            while draft.next().await.is_some() {}
        }
    }

    /// Who writes texts.
    ///
    /// # Errors
    /// [`ServeError::Input`]: nobody does.
    pub(crate) fn writers(&self) -> Result<&Writers, ServeError> {
        self.writers.as_ref().ok_or_else(|| {
            let model = &self.model;
            ServeError::Input(format!("the model `{model}` writes no texts: ask it by `/v2/models/{model}/infer`"))
        })
    }

    /// Lets a text be written.
    ///
    /// # Errors
    /// It asks for more tokens than are written, nobody writes, or too many texts are being written.
    pub(crate) fn write(&self, request: &GenerateRequest, deadline: Option<Instant>) -> Result<Draft, ServeError> {
        let writers = self.writers()?;
        let most = writers.config().most_tokens;
        if let Some(asked) = request.settings.max_tokens.filter(|&asked| asked > most as u64) {
            return Err(ServeError::Input(format!("`max_tokens` is {asked}, but at most {most} are written here")));
        }
        Ok(writers.submit(Order { request: raw_request(request), deadline })?)
    }

    /// Refuses a request that would find no place in the queue, before it is decoded.
    pub(crate) fn check_room(&self) -> Result<(), ServeError> {
        Ok(self.batcher.check_room()?)
    }

    /// Asks the model; dropping the future takes the query out of the queue.
    pub(crate) async fn ask(&self, job: Job) -> Result<Answer, ServeError> {
        let (begun, deadline) = (Instant::now(), job.deadline);
        let ticket = self.batcher.submit(job)?;
        let answer = match deadline {
            None => ticket.await,
            Some(deadline) => {
                let timed = tokio::time::timeout_at(deadline.into(), ticket).await;
                timed.map_err(|_| ServeError::Expired)?
            }
        };
        match answer {
            Ok(answer) => {
                self.metrics.answered(begun, &answer);
                if let Some(pace) = &self.pace {
                    pace.record(begun.elapsed());
                }
                Ok(answer)
            }
            Err(failure) => {
                self.metrics.failed.inc();
                Err(failure.into())
            }
        }
    }

    /// Lets the controller decide on what was since it did last.
    pub(crate) fn turn(&self) {
        if let Some(pace) = &self.pace {
            pace.turn(&self.model, &self.batcher);
        }
    }

    pub(crate) fn is_well(&self) -> bool {
        self.batcher.health().is_well && self.writers.as_ref().is_none_or(|writers| writers.health().is_well)
    }

    /// Tells the metrics what happened to its instances.
    pub(crate) fn tell_replaced(&self) {
        let health = self.batcher.health();
        let writers = self.writers.as_ref().map(Writers::health).unwrap_or_default();
        self.metrics.replaced(health.panics + writers.panics, health.stuck + writers.stuck);
    }

    /// How it is, for the metrics.
    pub(crate) fn state(&self) -> VersionState {
        let level = self.batcher.level();
        VersionState {
            is_ready: self.is_well(),
            waiting: level.queries,
            limit: level.limit,
            wait: self.batcher.longest_wait(),
            writers: self.writers.as_ref().map(Writers::level),
        }
    }

    pub(crate) fn config(&self, policy: &VersionPolicy) -> ModelConfig {
        let config = self.batcher.config();
        let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let input = |tensor: &TensorMetadata| ConfigTensor {
            optional: self.doors.is_optional(&tensor.name),
            ..ConfigTensor::of(tensor, true)
        };
        let facts = [("task", &self.kind), ("created", &self.created), ("digest", &self.digest)];
        ModelConfig {
            name: self.model.clone(),
            platform: PLATFORM.to_owned(),
            backend: "homeostat".to_owned(),
            version_policy: policy.clone(),
            max_batch_size: self.batcher.config().largest_batch as u64,
            input: self.metadata.inputs.iter().map(input).collect(),
            output: self.metadata.outputs.iter().map(|tensor| ConfigTensor::of(tensor, true)).collect(),
            instance_group: vec![InstanceGroup {
                name: self.model.clone(),
                kind: InstanceKind::Cpu,
                count: u32::try_from(config.instances).unwrap_or(u32::MAX),
            }],
            dynamic_batching: Some(DynamicBatching {
                preferred_batch_size: config.preferred_batches.iter().map(|&size| size as u64).collect(),
                max_queue_delay_microseconds: micros(config.longest_wait),
                priority_levels: config.priorities as u64,
                default_priority_level: config.default_priority() as u64,
                default_queue_policy: QueuePolicy {
                    timeout_action: TimeoutAction::Reject,
                    default_timeout_microseconds: config.deadline.map_or(0, micros),
                    allow_timeout_override: true,
                    max_queue_size: u32::try_from(config.queue).unwrap_or(u32::MAX),
                },
            }),
            parameters: facts
                .into_iter()
                .map(|(name, value)| (name.to_owned(), ConfigParameter { string_value: value.clone() }))
                .collect(),
        }
    }

    pub(crate) fn statistics(&self) -> VersionStatistics {
        let found = self.batcher.statistics();
        let last = found.last.and_then(|last: SystemTime| last.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        let batch = |(&rows, spent): (&usize, &homeostat_deploy::BatchSpent)| BatchStatistics {
            batch_size: rows as u64,
            compute_input: counted(spent.count, spent.phases.prepare),
            compute_infer: counted(spent.count, spent.phases.compute),
            compute_output: counted(spent.count, spent.phases.respond),
        };
        let of = |spent: Spent| counted(spent.count, spent.time);
        VersionStatistics {
            name: self.model.clone(),
            version: self.version.to_string(),
            last_inference: u64::try_from(last.as_millis()).unwrap_or(u64::MAX),
            inference_count: found.rows,
            execution_count: found.batches,
            inference_stats: InferenceStatistics {
                success: of(found.succeeded),
                fail: of(found.failed),
                queue: of(found.queue),
                compute_input: of(found.prepare),
                compute_infer: of(found.compute),
                compute_output: of(found.respond),
                cache_hit: Counted::default(),
                cache_miss: Counted::default(),
            },
            batch_stats: found.by_size.iter().map(batch).collect(),
        }
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.tell_replaced();
    }
}

/// Whether a request is an object or a list in JSON.
fn is_json(request: &[u8]) -> bool {
    serde_json::from_slice(request).is_ok_and(|value: serde_json::Value| value.is_object() || value.is_array())
}

fn counted(count: u64, time: std::time::Duration) -> Counted {
    Counted { count, ns: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) }
}

/// What tells whether the artifact at a path is another one: the hash of its `artifact.json`, which has the hash of each file.
pub(crate) fn fingerprint(path: &Path) -> Result<String, ServeError> {
    let places = [path.join("artifact.json"), path.join("artifact/artifact.json")];
    let read = places.iter().find_map(|place| fs::read(place).ok());
    let bytes = read.ok_or_else(|| ServeError::Input(format!("{} is no artifact", path.display())))?;
    Ok(Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A version that requests share; the last one to leave ends its threads.
pub(crate) type Shared = Arc<Loaded>;
