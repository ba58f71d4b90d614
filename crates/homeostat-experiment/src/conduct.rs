//! A run from its beginning to its end: trained, tested once, published, verified, reported. It does not know who
//! watches.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Instant,
};

use burn::tensor::Device;
use homeostat_artifact::{
    Artifact, Checkpoint, Figures, Golden, Hashes, Parts, Provenance, Run, RunResult, RunState, RunWriter, Samples,
    Weights as ArtifactWeights, sha256,
};
use homeostat_config::{Resolved, to_toml};
use homeostat_data::{DataError, DataRoot, Skipped, SplitRecord};
use homeostat_deploy::{Endpoint, OpenEndpoint, Predictor, verify, verify_merged};
use homeostat_fetch::Hub;
use homeostat_task::{Adopted, Task, Weights};
use homeostat_tasks::TaskConfig;
use homeostat_train::{End, Event, Finished, Job, Reached, Workers};

use crate::{
    Experiment, ExperimentError, ExperimentText,
    adapter::{check_targets, write_adapter, write_alone},
    embeddings::Embeddings,
    evaluate_run::Measured,
    generation::Generation,
    images::Images,
    kind::Kind,
    language::Language,
    plan::Plan,
    pretrained::{Initial, initial as initial_weights, roots_with_tokenizer},
    recommendations::Recommendations,
    report_of_run::{pictures, report_of_run},
    tensorboard::TensorBoard,
    texts::Texts,
};

/// Golden requests in an artifact.
const GOLDEN: usize = 16;

/// Where and with what a run is made: all that an experiment does not say.
#[derive(Debug)]
pub struct Setting<'a> {
    /// Where to compute.
    pub device: &'a Device,
    /// The device's name, for the record.
    pub device_name: &'a str,
    /// Who prepares batches.
    pub workers: Workers,
    /// Where sources are looked for.
    pub roots: DataRoot,
    /// Where weights that are not on this machine come from; nothing where there is no place to keep them.
    pub hub: Option<&'a Hub>,
    /// Set from outside to end after the step under way, with a checkpoint, or after the batch that is being measured
    /// with the trained network. Looked at from [`Stage::Prepared`] on: before it there is nothing to be kept.
    pub stop: &'a AtomicBool,
    /// The features of this build, for the record.
    pub features: Vec<String>,
    /// The git revision of the folder that this runs in, for the record.
    pub git: Option<String>,
}

/// What happens in a run, for whoever watches.
#[derive(Debug)]
pub enum Stage<'a> {
    /// Weights to begin with come over the network.
    Fetching(homeostat_fetch::Progress<'a>),
    /// Weights to begin with fit the network.
    Adopted {
        /// Where they are from, as the experiment says it.
        from: &'a str,
        /// The network's tensors that begin as theirs.
        applied: usize,
        /// The network's tensors that begin as they were drawn.
        kept: &'a [String],
        /// Their tensors that found no place.
        unused: &'a [String],
    },
    /// The run's directory is there, the data are divided.
    Prepared {
        /// The run's directory.
        run: &'a Path,
        /// The experiment, with all that was chosen.
        experiment: &'a Experiment,
        /// The data's folder; nothing for data that are built in.
        data: Option<&'a Path>,
        /// Samples to learn from, to choose by, to measure with.
        samples: [usize; 3],
        /// The step of the checkpoint that the run goes on from.
        resumed: Option<u64>,
    },
    /// Something in the loop.
    Training(Event<'a>),
    /// The test part is being measured, once.
    Testing,
    /// The artifact is published and verified.
    Published {
        /// Its folder.
        artifact: &'a Path,
        /// Golden requests that were answered alike.
        golden: usize,
    },
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// At its end.
    Finished(RunResult),
    /// By the stop flag; it can be resumed.
    Interrupted,
}

/// Makes a run of an experiment, below `out`.
///
/// `when` is the time at which it begins, in UTC: `2026-11-23T17-13-05Z`.
///
/// # Errors
/// The experiment does not fit the data, or training fails; the run's directory tells how far it came.
pub fn train(
    resolved: Resolved<Experiment>,
    (out, when): (&Path, &str),
    setting: &Setting<'_>,
    observe: &mut dyn FnMut(Stage<'_>),
) -> Result<(PathBuf, Outcome), ExperimentError> {
    match &resolved.value.task {
        TaskConfig::ImageClassification(_) => begin::<Images>(resolved, (out, when), setting, observe),
        TaskConfig::TextClassification(_) => begin::<Texts>(resolved, (out, when), setting, observe),
        TaskConfig::ImageGeneration(_) => begin::<Generation>(resolved, (out, when), setting, observe),
        TaskConfig::LanguageModel(_) => begin::<Language>(resolved, (out, when), setting, observe),
        TaskConfig::SentenceEmbedding(_) => begin::<Embeddings>(resolved, (out, when), setting, observe),
        TaskConfig::Recommendation(_) => begin::<Recommendations>(resolved, (out, when), setting, observe),
    }
}

fn begin<K: Kind>(
    mut resolved: Resolved<Experiment>,
    (out, when): (&Path, &str),
    setting: &Setting<'_>,
    observe: &mut dyn FnMut(Stage<'_>),
) -> Result<(PathBuf, Outcome), ExperimentError> {
    K::adopt_network(&mut resolved, setting, observe)?;
    let roots = roots_with_tokenizer(&resolved.value, setting, observe)?;
    let plan = Plan::<K>::make(resolved, &roots, setting.workers)?;
    let text = plan.resolved.show();
    plan.check(setting)?;
    let initial = initial(&plan, setting, observe)?;
    let train = &plan.experiment().train;
    train.idle().iter().for_each(|line| tracing::warn!("{line}"));
    check_targets(&plan, initial.as_ref().is_none_or(|initial| initial.own_names), setting.device)?;
    let record = plan.splits.record(&plan.source)?;
    let run = Run::create(out, &plan.experiment().name, when, &text)?;
    write_records(&plan, &run, &record, (when, initial.as_ref()), setting)?;
    let outcome = conduct(&plan, &run, Start::fresh(initial.as_ref()), setting, observe)?;
    Ok((run.path().to_owned(), outcome))
}

/// Goes on with a run from its last checkpoint, as if nothing had happened.
///
/// # Errors
/// The run is finished or broken, the data have changed, or training fails.
pub fn resume(
    run: &Run,
    setting: &Setting<'_>,
    observe: &mut dyn FnMut(Stage<'_>),
) -> Result<Outcome, ExperimentError> {
    match Experiment::of_run(run)?.load()?.value.task {
        TaskConfig::ImageClassification(_) => go_on::<Images>(run, setting, observe),
        TaskConfig::TextClassification(_) => go_on::<Texts>(run, setting, observe),
        TaskConfig::ImageGeneration(_) => go_on::<Generation>(run, setting, observe),
        TaskConfig::LanguageModel(_) => go_on::<Language>(run, setting, observe),
        TaskConfig::SentenceEmbedding(_) => go_on::<Embeddings>(run, setting, observe),
        TaskConfig::Recommendation(_) => go_on::<Recommendations>(run, setting, observe),
    }
}

fn go_on<K: Kind>(
    run: &Run,
    setting: &Setting<'_>,
    observe: &mut dyn FnMut(Stage<'_>),
) -> Result<Outcome, ExperimentError> {
    let text = run.experiment()?;
    let run = run.lock()?;
    if run.result()?.is_some_and(|result| result.state == RunState::Finished) {
        return Err(ExperimentError::run(
            run.path(),
            "the run is finished, so there is nothing to resume; train a new one instead",
        ));
    }
    if let Some(checkpoint) = run.checkpoints()?.latest()? {
        let plan = reopen::<K>(&run, &text, setting)?;
        return conduct(&plan, &run, Start::At(&checkpoint), setting, observe);
    }
    run.truncate_logs(homeostat_artifact::LogLengths::default())?;
    let (plan, initial) = if run.provenance()?.is_some() {
        let plan = reopen::<K>(&run, &text, setting)?;
        let initial = initial(&plan, setting, observe)?;
        initial.as_ref().map_or(Ok(()), |initial| check_unchanged(&run, initial))?;
        (plan, initial)
    } else {
        complete_records::<K>(&run, &text, setting, observe)?
    };
    conduct(&plan, &run, Start::fresh(initial.as_ref()), setting, observe)
}

/// What a training begins with.
#[derive(Clone, Copy)]
enum Start<'a> {
    /// Weights that are drawn, or those of a file.
    Fresh(Option<&'a Adopted>),
    /// A checkpoint.
    At(&'a Checkpoint),
}

impl<'a> Start<'a> {
    fn fresh(initial: Option<&'a Initial>) -> Self {
        Self::Fresh(initial.map(|initial| &initial.weights))
    }

    fn checkpoint(self) -> Option<&'a Checkpoint> {
        if let Self::At(checkpoint) = self { Some(checkpoint) } else { None }
    }

    fn weights(self) -> Option<&'a Adopted> {
        if let Self::Fresh(weights) = self { weights } else { None }
    }
}

/// The weights of `train.pretrained`, which are looked at before anything is written.
fn initial<K: Kind>(
    plan: &Plan<K>,
    setting: &Setting<'_>,
    observe: &mut dyn FnMut(Stage<'_>),
) -> Result<Option<Initial>, ExperimentError> {
    let from = plan.experiment().train.pretrained.as_ref();
    from.map(|from| initial_weights::<K>(&plan.task, from, setting, observe)).transpose()
}

/// Refuses weights, or an adapter, that are not those that the run began with.
fn check_unchanged(run: &RunWriter, initial: &Initial) -> Result<(), ExperimentError> {
    let Hashes { weights, adapter, .. } = run.provenance()?.unwrap_or_default().hashes;
    for (what, then, now) in [
        ("weights of train.pretrained", weights, Some(&initial.sha256)),
        ("files of train.pretrained.adapter", adapter, initial.adapter_sha256.as_ref()),
    ] {
        if let (Some(then), Some(now)) = (then, now)
            && then != *now
        {
            let problem = format!(
                "the {what} have changed since the run began (their SHA-256 is {now}, and was {then}): bring the old ones back, or \
                 train anew"
            );
            return Err(ExperimentError::run(run.path(), problem));
        }
    }
    Ok(())
}

/// What tells a run's data and making.
fn write_records<K: Kind>(
    plan: &Plan<K>,
    run: &RunWriter,
    record: &SplitRecord,
    (when, initial): (&str, Option<&Initial>),
    setting: &Setting<'_>,
) -> Result<(), ExperimentError> {
    run.write_split(record)?;
    let mut provenance = provenance(plan, record, &run.experiment()?, when, setting)?;
    provenance.own_names = initial.is_some_and(|initial| initial.own_names);
    provenance.hashes.weights = initial.map(|initial| initial.sha256.clone());
    provenance.hashes.adapter = initial.and_then(|initial| initial.adapter_sha256.clone());
    // Last: who finds this file finds both.
    Ok(run.write_provenance(&provenance)?)
}

/// Writes the records of a run that was killed before it had them; it has not learnt anything yet. Gives what they were written of.
fn complete_records<K: Kind>(
    run: &RunWriter,
    text: &str,
    setting: &Setting<'_>,
    observe: &mut dyn FnMut(Stage<'_>),
) -> Result<(Plan<K>, Option<Initial>), ExperimentError> {
    let resolved = Experiment::text("experiment.toml", text).load()?;
    let roots = roots_with_tokenizer(&resolved.value, setting, observe)?;
    let plan = Plan::<K>::make(resolved, &roots, setting.workers)?;
    let record = plan.splits.record(&plan.source)?;
    let initial = initial(&plan, setting, observe)?;
    write_records(&plan, run, &record, (&run.summary().when, initial.as_ref()), setting)?;
    Ok((plan, initial))
}

/// The plan of a run, with the data checked to be those that it began with.
pub(crate) fn reopen<K: Kind>(run: &Run, text: &str, setting: &Setting<'_>) -> Result<Plan<K>, ExperimentError> {
    let experiment: ExperimentText = Experiment::text("experiment.toml", text);
    let resolved = experiment.load()?;
    let roots = roots_with_tokenizer(&resolved.value, setting, &mut |_| ())?;
    let plan = Plan::make(resolved, &roots, setting.workers)?;
    let recorded: Option<SplitRecord> = run.split()?;
    let changed = |what| ExperimentError::DataChanged { run: run.path().display().to_string(), what };
    match recorded {
        None => Err(ExperimentError::run(
            run.path(),
            "has no split.json, so it is not known what it has learnt from; train a new run instead",
        )),
        Some(recorded) if recorded != plan.splits.record(&plan.source)? => {
            Err(changed("the samples of its parts differ"))
        }
        Some(_) => Ok(plan),
    }
}

fn provenance<K: Kind>(
    plan: &Plan<K>,
    record: &SplitRecord,
    text: &str,
    when: &str,
    setting: &Setting<'_>,
) -> Result<Provenance, ExperimentError> {
    let split =
        serde_json::to_vec(record).map_err(|error| ExperimentError::setting("data.split", error.to_string()))?;
    Ok(Provenance {
        burn: "0.22.1".to_owned(),
        features: setting.features.clone(),
        git: setting.git.clone(),
        device: setting.device_name.to_owned(),
        data_root: plan.experiment().data.folder().and_then(|folder| setting.roots.root_of(folder)),
        seed: plan.experiment().seed,
        started: when.to_owned(),
        hashes: Hashes {
            experiment: sha256(text.as_bytes()),
            data: plan.source.fingerprint()?,
            split: sha256(&split),
            ..Hashes::default()
        },
        ..Provenance::gather()
    })
}

/// Trains and concludes, and leaves a `result.json` however that ends.
fn conduct<K: Kind>(
    plan: &Plan<K>,
    run: &RunWriter,
    start: Start<'_>,
    setting: &Setting<'_>,
    observe: &mut dyn FnMut(Stage<'_>),
) -> Result<Outcome, ExperimentError> {
    let mut reached = start.checkpoint().map(Reached::at).transpose()?.unwrap_or_default();
    run.remove_result()?;
    let since = Instant::now();
    let ended = train_and_conclude(plan, run, start, setting, &mut |stage| {
        if let Stage::Training(event) = &stage {
            reached.observe(event);
        }
        observe(stage);
    });
    reached.seconds += since.elapsed().as_secs_f64();
    let unfinished = match &ended {
        Ok(Outcome::Finished(_)) => return ended,
        Ok(Outcome::Interrupted) => unfinished(RunState::Interrupted, "stopped from outside", reached),
        Err(error) => unfinished(RunState::Failed, &error.to_string(), reached),
    };
    match (run.write_result(&unfinished), &ended) {
        (Err(error), Ok(_)) => Err(error.into()),
        (Err(second), Err(_)) => {
            // The reason is of more use than a second error of the same full disk.
            tracing::warn!(%second, "result.json could not be written");
            ended
        }
        (Ok(()), _) => ended,
    }
}

fn unfinished(state: RunState, reason: &str, reached: Reached) -> RunResult {
    RunResult {
        state,
        reason: Some(reason.to_owned()),
        test: Figures::default(),
        valid: Figures::default(),
        samples: Samples::default(),
        best: reached.best,
        epochs: reached.epochs as u64,
        steps: reached.steps as u64,
        parameters: reached.parameters as u64,
        seconds: reached.seconds,
    }
}

fn train_and_conclude<K: Kind>(
    plan: &Plan<K>,
    run: &RunWriter,
    start: Start<'_>,
    setting: &Setting<'_>,
    observe: &mut dyn FnMut(Stage<'_>),
) -> Result<Outcome, ExperimentError> {
    let (experiment, checkpoint) = (plan.experiment(), start.checkpoint());
    let (train, valid) = (plan.examples(&plan.splits.train), plan.examples(&plan.splits.valid));
    let samples = [train.len(), valid.len(), plan.examples(&plan.splits.test).len()];
    let resumed = checkpoint.map(Checkpoint::step);
    let data = experiment.data.locate(&setting.roots)?;
    observe(Stage::Prepared { run: run.path(), experiment, data: data.as_deref(), samples, resumed });
    let mut tensorboard = TensorBoard::open(run, resumed);
    let meters = K::meters(plan)?;
    let job = Job {
        task: &plan.task,
        initial: start.weights(),
        train: &train,
        valid: &valid,
        config: &experiment.train,
        control: &experiment.control,
        meters: &meters,
        seed: experiment.seed,
        device: setting.device,
        workers: setting.workers,
        stop: setting.stop,
    };
    let mut listen = |event: Event<'_>| {
        tensorboard.observe(&event);
        observe(Stage::Training(event));
    };
    match K::fit(plan, &job, run, checkpoint, &mut listen)? {
        End::Finished(finished) => conclude(plan, run, finished, tensorboard, setting, observe),
        End::Interrupted { .. } => Ok(Outcome::Interrupted),
    }
}

/// Tests, publishes, verifies, reports. Stopped before anything is published, it is done anew by a resumption.
fn conclude<K: Kind>(
    plan: &Plan<K>,
    run: &RunWriter,
    finished: Finished<<K::Task as Task>::Model>,
    tensorboard: TensorBoard,
    setting: &Setting<'_>,
    observe: &mut dyn FnMut(Stage<'_>),
) -> Result<Outcome, ExperimentError> {
    let Some(valid) = K::measure(plan, &finished.model, &plan.splits.valid, setting)? else {
        return Ok(Outcome::Interrupted);
    };
    if valid.figures.get("loss").is_some_and(|loss| !loss.is_finite()) {
        let problem = "ends at a validation loss that is no number, so nothing is published: lower the learning rate";
        return Err(ExperimentError::setting("train", problem));
    }
    if let Some(settled) = K::settle(plan, &valid)? {
        let Some(valid) = K::measure(&settled, &finished.model, &plan.splits.valid, setting)? else {
            return Ok(Outcome::Interrupted);
        };
        return conclude_measured(&settled, run, finished, valid, tensorboard, setting, observe);
    }
    conclude_measured(plan, run, finished, valid, tensorboard, setting, observe)
}

/// The rest, with the validation measured.
fn conclude_measured<K: Kind>(
    plan: &Plan<K>,
    run: &RunWriter,
    finished: Finished<<K::Task as Task>::Model>,
    valid: Measured<K::Findings>,
    tensorboard: TensorBoard,
    setting: &Setting<'_>,
    observe: &mut dyn FnMut(Stage<'_>),
) -> Result<Outcome, ExperimentError> {
    if !plan.splits.test.is_empty() {
        observe(Stage::Testing);
    }
    let Some(test) = K::measure(plan, &finished.model, &plan.splits.test, setting)? else {
        return Ok(Outcome::Interrupted);
    };
    let skipped = [plan.source.left_out(), valid.skipped.as_slice(), test.skipped.as_slice()];
    let skipped = all_skipped(finished.skipped, skipped, observe);
    let parameters = homeostat_train::parameters(&finished.model) as u64;
    let (artifact, golden) = publish(plan, run, (finished.model.clone(), finished.unmerged), setting)?;
    observe(Stage::Published { artifact: artifact.path(), golden });
    let result = RunResult {
        state: RunState::Finished,
        reason: finished.reason,
        test: test.figures.clone(),
        valid: valid.figures.clone(),
        samples: Samples { test: test.samples as u64, valid: valid.samples as u64 },
        best: finished.best,
        epochs: finished.epochs as u64,
        steps: finished.steps as u64,
        parameters,
        seconds: finished.seconds,
    };
    let shown = if plan.splits.test.is_empty() { Measured { part: "validation", ..valid } } else { test };
    let report = report_of_run(plan, &finished.model, run, &result, &shown, &skipped)?;
    run.write_report(&report.render())?;
    tensorboard.finish(result.steps, &pictures(&report), &run.experiment()?);
    // Last: who finds this file finds everything else.
    run.write_result(&result)?;
    Ok(Outcome::Finished(result))
}

/// The samples that could not be read: those that training met, and others.
fn all_skipped(known: Vec<Skipped>, others: [&[Skipped]; 3], observe: &mut dyn FnMut(Stage<'_>)) -> Vec<Skipped> {
    let mut all = known;
    for skipped in others.into_iter().flatten() {
        if !all.contains(skipped) {
            observe(Stage::Training(Event::Skipped(skipped)));
            all.push(skipped.clone());
        }
    }
    all
}

/// Writes the artifact with its golden answers, opens it afresh, and verifies it.
fn publish<K: Kind>(
    plan: &Plan<K>,
    run: &RunWriter,
    (model, unmerged): (<K::Task as Task>::Model, Option<<K::Task as Task>::Model>),
    setting: &Setting<'_>,
) -> Result<(Artifact, usize), ExperimentError> {
    let bytes = Weights::of(&model).to_safetensors(&BTreeMap::from([("format".to_owned(), "homeostat".to_owned())]));
    let predictor = Predictor::new(plan.task.clone(), model.clone(), setting.device.clone());
    let experiment = plan.experiment();
    let golden = golden(plan, &predictor)?;
    if let (Some(lora), Some(unmerged)) = (&experiment.train.lora, unmerged) {
        verify_merged(&Predictor::new(plan.task.clone(), unmerged.clone(), setting.device.clone()), &golden)?;
        write_adapter(plan, run, lora, &unmerged)?;
    } else {
        write_alone(plan, run, &model)?;
    }
    let parts = Parts {
        kind: experiment.task.kind().to_owned(),
        created: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        task: to_toml(&experiment.task),
        model: ArtifactWeights::Bytes(bytes),
        assets: K::assets(&plan.task),
        golden,
    };
    let artifact = Artifact::publish(&run.artifact_dir(), &parts)?;
    let endpoint = experiment.task.open(OpenEndpoint { artifact: &artifact, device: setting.device })??;
    let verified = verify(endpoint.as_ref(), &artifact)?;
    Ok((artifact, verified.requests))
}

/// Requests spread over the test part (or validation, without one), with the answers of the published weights.
fn golden<K: Kind>(plan: &Plan<K>, predictor: &Predictor<K::Task>) -> Result<Vec<Golden>, ExperimentError> {
    let pool = if plan.splits.test.is_empty() { &plan.splits.valid } else { &plan.splits.test };
    let stride = (pool.len() / GOLDEN).max(1);
    let mut golden = Vec::new();
    for &index in pool.iter().step_by(stride) {
        let request = match K::request(plan, index) {
            Ok(request) => request,
            Err(DataError::Corrupt { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        // A broken sample is no request to be answered; the report lists it.
        let Some(Ok(answer)) = Endpoint::answer(predictor, &[&request]).pop() else { continue };
        golden.push(Golden { name: format!("{:02}", golden.len()), request, answer });
        if golden.len() == GOLDEN {
            break;
        }
    }
    Ok(golden)
}
