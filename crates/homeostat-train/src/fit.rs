//! The loop. It does not know concrete tasks, files of data, or who listens.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use burn::{module::Module, optim::GradientsParams, tensor::Device};
use homeostat_artifact::{Best, Checkpoint, Figures, MetricsLine, Part, RunWriter};
use homeostat_control::{Action, ControlConfig, ControlEvent, Decision, Monitor, Observation};
use homeostat_data::{Rng, Skipped};
use homeostat_task::{Adopted, Outcome, Task};

use crate::{
    Accumulation, AverageConfig, Event, Examples, Meter, Rows, Schedule, StepReport, TrainConfig, TrainError, Workers,
    average, clip, evaluate,
    examples::training_batches,
    freeze::{Freezing, learning, parameters},
    global_norm,
    state::{Memory, Moving, Place, Snapshot, State, load_chosen, load_weights},
};

/// A good snapshot is taken every so many steps while the guard is steady: copies of weights are not free.
const SNAPSHOT_STEPS: usize = 25;

/// What is to be trained, on what, and how.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "a bundle of borrows, made and used on one line")]
pub struct Job<'a, T: Task, M> {
    /// The task.
    pub task: &'a T,
    /// What is learnt from.
    pub train: &'a Arc<dyn Examples<T>>,
    /// What choices are made by.
    pub valid: &'a Arc<dyn Examples<T>>,
    /// Weights to begin with, in the place of drawn ones.
    pub initial: Option<&'a Adopted>,
    /// The `[train]` table.
    pub config: &'a TrainConfig,
    /// The `[control]` table.
    pub control: &'a ControlConfig,
    /// What is measured.
    pub meters: &'a Meters<M>,
    /// The experiment's seed.
    pub seed: u64,
    /// Where to compute; without gradients, the loop adds them.
    pub device: &'a Device,
    /// Who prepares batches.
    pub workers: Workers,
    /// Set from outside to end after the step under way, with a checkpoint.
    pub stop: &'a AtomicBool,
}

impl<'a, T: Task, M> Job<'a, T, M> {
    /// The same job for another form of the task and its data.
    #[must_use]
    pub fn on<U: Task>(
        &self,
        task: &'a U,
        train: &'a Arc<dyn Examples<U>>,
        valid: &'a Arc<dyn Examples<U>>,
    ) -> Job<'a, U, M> {
        let Job { initial, config, control, meters, seed, device, workers, stop, .. } = *self;
        Job { task, train, valid, initial, config, control, meters, seed, device, workers, stop }
    }
}

/// Untouched meters: a fresh copy starts each pass.
#[derive(Clone, Debug)]
pub struct Meters<M> {
    /// Runs beside training.
    pub train: M,
    /// Measures validation and test.
    pub valid: M,
}

/// How a training ended.
#[derive(Debug)]
pub enum End<N> {
    /// At its end, with the best weights.
    Finished(Finished<N>),
    /// By the stop flag; the checkpoint of this step resumes it, also if only the evaluation is left.
    Interrupted {
        /// Optimiser steps done.
        step: usize,
    },
}

/// A training at its end.
#[derive(Debug)]
pub struct Finished<N> {
    /// The network with the weights of the best evaluation, without gradients; changes of low rank are merged into them.
    pub model: N,
    /// The same network with its changes of low rank apart, where it has them.
    pub unmerged: Option<N>,
    /// That evaluation.
    pub best: Option<Best>,
    /// Epochs done.
    pub epochs: usize,
    /// Optimiser steps done.
    pub steps: usize,
    /// Wall time over all sessions.
    pub seconds: f64,
    /// Why it ended before its last epoch, if so.
    pub reason: Option<String>,
    /// Samples that could not be read.
    pub skipped: Vec<Skipped>,
}

/// Trains. With `resume` it goes on from that checkpoint of this run, as if nothing had happened.
///
/// # Errors
/// Settings, data or files are broken, the disk is full, or a controller gave up; the last checkpoint is intact.
pub fn fit<T, M>(
    job: &Job<'_, T, M>,
    run: &RunWriter,
    resume: Option<&Checkpoint>,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<End<T::Model>, TrainError>
where
    T: Task,
    M: Meter<Record = <T::Outcome as Outcome>::Record>,
{
    let mut fitting = Fitting::start(job, run, resume)?;
    fitting.begin(observe);
    while !fitting.is_over() {
        let reason = match fitting.epoch(observe)? {
            Flow::EpochDone => None,
            Flow::Limit(reason) => Some(reason),
            Flow::Interrupted => return fitting.interrupted(),
        };
        let Some(valid) = fitting.evaluate(observe)? else { return fitting.interrupted() };
        fitting.close_epoch(&valid, reason, observe)?;
        if !fitting.is_over() && job.stop.load(Ordering::Relaxed) {
            return fitting.interrupted();
        }
    }
    fitting.finish().map(End::Finished)
}

/// The network that a job begins with, drawn from its seed or of its initial weights, and frozen as in the first epoch; with `resume`
/// that of the checkpoint.
pub(crate) fn first_model<T: Task, M>(
    job: &Job<'_, T, M>,
    resume: Option<&Checkpoint>,
    device: &Device,
) -> Result<T::Model, TrainError> {
    let (model, freezing) = drawn(job, device)?;
    let model = match resume {
        Some(checkpoint) => load_weights(model, checkpoint, "model.safetensors")?,
        None => model,
    };
    Ok(freezing.apply(model, job.config, 0))
}

/// The network with its first weights, nothing of it frozen yet.
fn drawn<T: Task, M>(job: &Job<'_, T, M>, device: &Device) -> Result<(T::Model, Freezing), TrainError> {
    device.seed(job.seed);
    let model = job.task.init(device)?;
    // Burn draws a weight when it is first looked at: looked at now, it comes from this seed whatever else is on.
    drop(model.valid());
    let model = match job.initial {
        Some(initial) => {
            initial.apply(model).map_err(|error| TrainError::setting("train.pretrained", error.to_string()))?
        }
        None => model,
    };
    let model = job.config.adapted(model)?;
    let freezing = Freezing::of(&model, job.config)?;
    Ok((model, freezing))
}

/// Why an epoch is over.
enum Flow {
    EpochDone,
    Limit(String),
    Interrupted,
}

/// What becomes of a step; where controllers differ, the last of these.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    GoOn,
    Skip,
    Rewind,
}

/// What a window of batches gives.
struct Computed<R> {
    /// The mean over all batches.
    gradients: GradientsParams,
    /// The mean over all batches.
    loss: f64,
    /// What meters need, a batch each.
    records: Vec<R>,
}

struct Fitting<'a, T: Task, M> {
    job: &'a Job<'a, T, M>,
    run: &'a RunWriter,
    device: Device,
    schedule: Schedule,
    monitor: Monitor,
    freezing: Freezing,
    state: State<T::Model, M>,
    since: Instant,
}

impl<'a, T, M> Fitting<'a, T, M>
where
    T: Task,
    M: Meter<Record = <T::Outcome as Outcome>::Record>,
{
    fn start(job: &'a Job<'a, T, M>, run: &'a RunWriter, resume: Option<&Checkpoint>) -> Result<Self, TrainError> {
        let config = job.config;
        config.check()?;
        let device = job.device.clone().autodiff();
        let (model, freezing) = drawn(job, &device)?;
        let optimizer = config.optimizer.init(&model, &config.groups)?;
        let optimizer = match config.layer_decay {
            Some(decay) => optimizer.with_layer_decay(&model, decay),
            None => optimizer,
        };
        let model = freezing.apply(model, config, 0);
        let goals = job.meters.valid.goals();
        let monitor = Monitor::find(&config.monitor, &goals, "train.monitor")?;
        let memory = Memory {
            place: Place::default(),
            controllers: job.control.init(&goals)?,
            best: None,
            evaluations: Vec::new(),
            meter: job.meters.train.clone(),
            skipped: Vec::new(),
            ended: None,
            logs: run.log_lengths()?,
            seconds: 0.0,
        };
        let now = Snapshot {
            average: config.ema.as_ref().map(|_| Moving::new(model.valid())),
            model: Moving::new(model),
            optimizer,
        };
        let good = job.control.guard.on().map(|_| now.copy());
        let mut state = State { now, good, memory };
        if let Some(checkpoint) = resume {
            state = state.load(run, checkpoint, &device)?;
        }
        let samples = job.train.len();
        let schedule = config.schedule.init(
            config.optimizer.learning_rate(),
            config.steps_per_epoch(samples),
            config.total_steps(samples),
        );
        Ok(Self { job, run, device, schedule, monitor, freezing, state, since: Instant::now() })
    }

    fn begin(&self, observe: &mut dyn FnMut(Event<'_>)) {
        let (config, samples) = (self.job.config, self.job.train.len());
        observe(Event::Begin {
            total_steps: config.total_steps(samples),
            steps_per_epoch: config.steps_per_epoch(samples),
            step: self.state.memory.place.step,
            parameters: parameters(&*self.state.now.model),
            learning: learning(&*self.state.now.model),
        });
    }

    fn is_over(&self) -> bool {
        let memory = &self.state.memory;
        memory.ended.is_some() || memory.place.epoch >= self.job.config.epochs
    }

    /// Goes through the rest of the epoch under way.
    fn epoch(&mut self, observe: &mut dyn FnMut(Event<'_>)) -> Result<Flow, TrainError> {
        let config = self.job.config;
        let place = self.state.memory.place;
        self.thaw();
        if place.batch == 0 && config.unfreeze.iter().any(|thaw| thaw.after_epochs == place.epoch) {
            let learning = learning(&*self.state.now.model) as u64;
            self.decide(Observation::Unfrozen { learning }, observe)?;
        }
        // A run that was stopped where a limit was reached does not go beyond it.
        if let Some(flow) = self.pause().filter(|_| place.batch > 0) {
            return Ok(flow);
        }
        let mut batches = training_batches(
            self.job.train,
            (config.batch_size, config.repeats),
            self.job.seed,
            (place.epoch, place.batch),
            self.job.workers,
        );
        loop {
            let waiting = Instant::now();
            let window: Vec<Rows<T>> = batches.by_ref().take(config.accumulate).collect::<Result<_, _>>()?;
            if window.is_empty() {
                return Ok(Flow::EpochDone);
            }
            let waited = waiting.elapsed().as_secs_f64();
            self.state.memory.place.batch += window.len();
            for rows in &window {
                self.state.memory.note_skipped(&rows.skipped, observe);
            }
            if window.iter().all(|rows| rows.inputs.is_empty()) {
                continue;
            }
            let report = self.step(&window, observe)?;
            observe(Event::Step(StepReport { waited, ..report }));
            if let Some(flow) = self.pause() {
                return Ok(flow);
            }
            if config.checkpoint.every_steps.is_some_and(|every| report.step.is_multiple_of(every)) {
                self.checkpoint(observe)?;
            }
        }
    }

    /// Lets learn what is to learn in this epoch.
    fn thaw(&mut self) {
        let (config, epoch) = (self.job.config, self.state.memory.place.epoch);
        if !config.unfreeze.is_empty() {
            self.state.now.model.change(|model| self.freezing.apply(model, config, epoch));
        }
    }

    /// One optimiser step: the mean gradient of the window, a look by the controllers, the update.
    fn step(&mut self, window: &[Rows<T>], observe: &mut dyn FnMut(Event<'_>)) -> Result<StepReport, TrainError> {
        let Place { epoch, step, .. } = self.state.memory.place;
        // Dropout draws from the device's generator; keyed by the step, it needs no place in a checkpoint.
        self.device.seed(Rng::keyed(self.job.seed, [step as u64, DROPOUT, DROPOUT]).next_u64());
        // A forward pass moves running statistics, also in a step that is refused afterwards.
        let before = self.state.good.as_ref().map(|_| self.state.now.model.valid());
        let Computed { mut gradients, loss, records } = self.compute(window);
        let gradient_norm = global_norm(&*self.state.now.model, &gradients);
        let rate = self.schedule.rate(step) * self.state.memory.controllers.rate_scale();
        match self.decide(Observation::Step { loss, gradient_norm, rate }, observe)? {
            Verdict::GoOn => {
                // The optimiser changes weights in place where nobody else holds them.
                drop(before);
                if step.is_multiple_of(SNAPSHOT_STEPS) && self.state.memory.controllers.steady() {
                    self.state.good = Some(self.state.now.copy());
                }
                clip(&*self.state.now.model, &mut gradients, &self.job.config.clip, gradient_norm);
                self.update(rate, gradients, step);
                // A step that was refused would spoil the figures of the whole epoch.
                records.iter().for_each(|record| self.state.memory.meter.update(record));
            }
            Verdict::Skip => before.into_iter().for_each(|model| self.state.now.model = Moving::new(model.train())),
            Verdict::Rewind => {
                let Some(good) = &self.state.good else {
                    panic!("only the guard rewinds, and with it there is a snapshot")
                };
                self.state.now = good.copy();
                // It may be of an epoch in which less learnt.
                self.thaw();
            }
        }
        self.state.memory.place.step += 1;
        let samples = window.iter().map(|rows| rows.inputs.len()).sum();
        Ok(StepReport { epoch, step: step + 1, rate, loss, gradient_norm, samples, waited: 0.0 })
    }

    fn compute(&self, window: &[Rows<T>]) -> Computed<M::Record> {
        let (task, model) = (self.job.task, &*self.state.now.model);
        let mut accumulation = Accumulation::default();
        let (mut losses, mut weights, mut records) = (0.0, 0.0, Vec::with_capacity(window.len()));
        for rows in window.iter().filter(|rows| !rows.inputs.is_empty()) {
            let outcome = task.loss(model, task.collate(&rows.inputs, &self.device), &rows.truths);
            let (loss, weight) = (outcome.loss(), outcome.weight());
            losses += weight * f64::from(loss.clone().into_scalar::<f32>());
            weights += weight;
            accumulation.add(model, GradientsParams::from_grads(loss.backward(), model), weight);
            records.push(outcome.record());
        }
        Computed { gradients: accumulation.mean(model), loss: losses / weights, records }
    }

    fn update(&mut self, rate: f64, gradients: GradientsParams, step: usize) {
        let Snapshot { model, optimizer, average } = &mut self.state.now;
        model.change(|model| optimizer.step(rate, model, gradients));
        if let (Some(ema), Some(average)) = (&self.job.config.ema, average) {
            average.change(|average| ema.update(average, model, step));
        }
    }

    /// Asks the controllers, logs what they saw and said, and gives what is to become of this step.
    fn decide(&mut self, observation: Observation, observe: &mut dyn FnMut(Event<'_>)) -> Result<Verdict, TrainError> {
        let memory = &mut self.state.memory;
        let decisions = memory.controllers.decide(&observation);
        let Place { step, epoch, .. } = memory.place;
        let event = ControlEvent { step: step as u64, epoch: epoch as u64, observation, decisions };
        self.run.append_event(&event)?;
        let mut verdict = Verdict::GoOn;
        for decision in &event.decisions {
            observe(Event::Decided { step, decision });
            verdict = verdict.max(self.obey(decision)?);
        }
        Ok(verdict)
    }

    fn obey(&mut self, decision: &Decision) -> Result<Verdict, TrainError> {
        let reason = || decision.reason.clone();
        match decision.action {
            Action::Fail => return Err(TrainError::Diverged { step: self.state.memory.place.step, reason: reason() }),
            Action::Rewind { .. } => return Ok(Verdict::Rewind),
            Action::SkipStep => return Ok(Verdict::Skip),
            Action::Stop => self.state.memory.ended = Some(reason()),
            // Already part of the controllers' rate scale.
            Action::ScaleRate { .. } => {}
        }
        Ok(Verdict::GoOn)
    }

    /// Whether the training is to end here, by request or by a limit.
    fn pause(&self) -> Option<Flow> {
        let (config, memory) = (self.job.config, &self.state.memory);
        if config.max_steps.is_some_and(|limit| memory.place.step >= limit) {
            return Some(Flow::Limit(format!("train.max-steps = {}", memory.place.step)));
        }
        if let Some(limit) = config.max_seconds.filter(|&limit| self.seconds() >= limit) {
            return Some(Flow::Limit(format!("train.max-seconds = {limit}")));
        }
        self.job.stop.load(Ordering::Relaxed).then_some(Flow::Interrupted)
    }

    /// Lets the controllers see the evaluation, and writes it all down.
    fn close_epoch(
        &mut self,
        valid: &Figures,
        ended: Option<String>,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), TrainError> {
        let train = self.state.memory.meter.figures();
        let memory = &mut self.state.memory;
        memory.place.epoch += 1;
        memory.place.batch = 0;
        memory.meter = self.job.meters.train.clone();
        memory.ended = ended;
        let Place { epoch, step, .. } = memory.place;
        let rate = self.schedule.rate(step.saturating_sub(1)) * memory.controllers.rate_scale();
        let improved = self.choose_best(valid);
        for (part, figures) in [(Part::Train, &train), (Part::Valid, valid)] {
            let seconds = self.seconds();
            let line =
                MetricsLine { step: step as u64, epoch: epoch as u64, part, rate, figures: figures.clone(), seconds };
            self.run.append_metrics(&line)?;
        }
        let figures = valid.iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.decide(Observation::Evaluation { figures }, observe)?;
        let best = self.state.memory.best.as_ref().filter(|_| self.job.config.takes_best());
        let improved = improved && best.is_some();
        observe(Event::Epoch { epoch, step, rate, train: &train, valid, best, improved });
        self.checkpoint(observe)
    }

    /// The figures of the validation part; nothing if it was stopped.
    fn evaluate(&mut self, observe: &mut dyn FnMut(Event<'_>)) -> Result<Option<Figures>, TrainError> {
        let (job, chosen) = (self.job, self.state.now.chosen());
        let sizing = (job.config.batch_size.max(64), job.workers);
        let (mut done, total) = (0, job.valid.len());
        let meter = job.meters.valid.clone();
        let meter = evaluate(job.task, &chosen, job.valid, meter, sizing, job.device, &mut |rows, _| {
            self.state.memory.note_skipped(&rows.skipped, observe);
            done += rows.inputs.len() + rows.skipped.len();
            observe(Event::Evaluated { done, total });
            if job.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(meter.map(|meter| meter.figures()))
    }

    /// Remembers the evaluation if it is the best so far.
    fn choose_best(&mut self, valid: &Figures) -> bool {
        let memory = &mut self.state.memory;
        let value = valid.get(&self.monitor.figure).unwrap_or(f64::NAN);
        memory.evaluations.push((memory.place.step as u64, value.is_finite().then_some(value)));
        let is_better = |best: &Best| self.monitor.better(value, best.value);
        let improved = value.is_finite() && memory.best.as_ref().is_none_or(is_better);
        if improved {
            let Place { epoch, step, .. } = memory.place;
            memory.best =
                Some(Best { epoch: epoch as u64, step: step as u64, monitor: self.monitor.figure.clone(), value });
        }
        improved
    }

    fn checkpoint(&mut self, observe: &mut dyn FnMut(Event<'_>)) -> Result<(), TrainError> {
        self.save()?;
        observe(Event::Checkpoint { step: self.state.memory.place.step });
        Ok(())
    }

    fn save(&mut self) -> Result<(), TrainError> {
        self.state.memory.seconds = self.seconds();
        self.since = Instant::now();
        let keep_last = self.job.config.checkpoint.keep_last;
        // One that is resumed from an older checkpoint averages others.
        let also = self.averaged(|count| count + keep_last - 1);
        self.state.save(self.run, keep_last, &also)
    }

    /// The steps of the checkpoints that would be averaged, if so many were.
    fn averaged(&self, count: impl Fn(usize) -> usize) -> Vec<u64> {
        let better = |a, b| self.monitor.better(a, b);
        let evaluations = &self.state.memory.evaluations;
        let first = |average: AverageConfig| average.first(evaluations, count(average.count()), better);
        self.job.config.average.map(first).unwrap_or_default()
    }

    fn interrupted(mut self) -> Result<End<T::Model>, TrainError> {
        self.save()?;
        Ok(End::Interrupted { step: self.state.memory.place.step })
    }

    fn finish(self) -> Result<Finished<T::Model>, TrainError> {
        let (seconds, averaged) = (self.seconds(), self.averaged(|count| count));
        let memory = self.state.memory;
        let checkpoints = self.run.checkpoints()?;
        let load = |checkpoint: &Checkpoint| load_chosen(self.state.now.model.valid(), checkpoint);
        let model = match checkpoints.best()? {
            Some(_) if !averaged.is_empty() => {
                let models = averaged.iter().map(|&step| load(&checkpoints.open(step)?)).collect::<Result<_, _>>()?;
                average::mean(models).unwrap_or_else(|error| panic!("weights of one network: {error}"))
            }
            Some(checkpoint) => load(&checkpoint)?,
            None => self.state.now.chosen(),
        };
        let (model, unmerged) = match &self.job.config.lora {
            Some(_) => (model.clone().materialize(), Some(model)),
            None => (model, None),
        };
        Ok(Finished {
            model,
            unmerged,
            best: memory.best.filter(|_| self.job.config.takes_best()),
            epochs: memory.place.epoch,
            steps: memory.place.step,
            seconds,
            reason: memory.ended,
            skipped: memory.skipped,
        })
    }

    fn seconds(&self) -> f64 {
        self.state.memory.seconds + self.since.elapsed().as_secs_f64()
    }
}

const DROPOUT: u64 = u64::MAX - 1;
