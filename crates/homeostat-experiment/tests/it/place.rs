//! A place to make runs in: a folder that goes away, a CPU, and the right to draw from its generator. It does not know
//! what is tested.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use burn::tensor::Device;
use homeostat_artifact::{Run, RunResult};
use homeostat_config::Resolved;
use homeostat_data::{DataRoot, Image, Shape};
use homeostat_device::DeviceChoice;
use homeostat_experiment::{Evaluation, Experiment, ExperimentError, Outcome, Setting, Stage};
use homeostat_fetch::{Cache, FetchOptions, Hub};
use homeostat_task::{Weights, read_foreign};
use homeostat_train::{Event, Workers};
use tempfile::TempDir;

/// Burn's generator of random numbers belongs to the whole process, so only one test at a time may train.
static GENERATOR: Mutex<()> = Mutex::new(());

/// The smallest experiment that learns something: about a second.
pub(crate) const SMALL: [&str; 6] = [
    "model.mlp.hidden=[16]",
    "epochs=2",
    "prepare=[\"normalize-from-train\"]",
    "augment=[]",
    "schedule.constant={}",
    "train.ema.decay=0.9",
];

pub(crate) struct Place {
    folder: TempDir,
    device: Device,
    _generator: MutexGuard<'static, ()>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let generator = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
        let device = homeostat_device::open(DeviceChoice::Cpu).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), device, _generator: generator }
    }

    /// The hub at this address, with a cache of its own.
    pub(crate) fn hub(&self, endpoint: &str) -> Hub {
        let folder = self.data().join(format!("cache-{}", endpoint.replace(['/', ':'], "-")));
        let cache = Cache::find(|name| (name == "HOMEOSTAT_CACHE").then(|| folder.clone().into())).unwrap();
        let options = FetchOptions { attempts: 2, pause: Duration::from_millis(1), ..FetchOptions::default() };
        Hub::find(|name| (name == "HF_ENDPOINT").then(|| endpoint.into()), &cache, &options)
    }

    /// Where runs are made.
    pub(crate) fn out(&self) -> PathBuf {
        self.folder.path().join("runs")
    }

    /// Where data are looked for.
    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn setting<'a>(&'a self, stop: &'a AtomicBool) -> Setting<'a> {
        Setting {
            device: &self.device,
            device_name: "cpu",
            workers: Workers { threads: 2, prefetch_bytes: 1 << 20 },
            roots: DataRoot::new([self.data()]),
            hub: None,
            stop,
            features: vec!["cpu".to_owned()],
            git: None,
        }
    }

    pub(crate) fn try_train(&self, resolved: Resolved<Experiment>) -> Result<(Run, Outcome), ExperimentError> {
        let stop = AtomicBool::new(false);
        let out = self.out();
        let (path, outcome) =
            homeostat_experiment::train(resolved, (&out, "2026-11-23T17-13-05Z"), &self.setting(&stop), &mut |_| ())?;
        Ok((Run::open(&path).unwrap(), outcome))
    }

    /// Trains to the end.
    pub(crate) fn train(&self, resolved: Resolved<Experiment>) -> (Run, RunResult) {
        let (run, outcome) = self.try_train(resolved).unwrap();
        (run, finished(outcome))
    }

    /// Trains, and is stopped from outside where this says so.
    pub(crate) fn train_while(
        &self,
        resolved: Resolved<Experiment>,
        stops: impl Fn(&Stage<'_>) -> bool,
    ) -> Result<(Run, Outcome), ExperimentError> {
        let (stop, out) = (AtomicBool::new(false), self.out());
        let mut watch = |stage: Stage<'_>| stop.store(stop.load(Relaxed) || stops(&stage), Relaxed);
        let setting = self.setting(&stop);
        let (path, outcome) =
            homeostat_experiment::train(resolved, (&out, "2026-11-23T18-00-00Z"), &setting, &mut watch)?;
        Ok((Run::open(&path).unwrap(), outcome))
    }

    /// Trains, and is stopped from outside after this step.
    pub(crate) fn train_until(&self, resolved: Resolved<Experiment>, last: usize) -> Run {
        let stops = |stage: &Stage<'_>| matches!(stage, Stage::Training(Event::Step(report)) if report.step == last);
        let (run, outcome) = self.train_while(resolved, stops).unwrap();
        assert!(matches!(outcome, Outcome::Interrupted), "{outcome:?}");
        run
    }

    pub(crate) fn resume(&self, run: &Run) -> Result<RunResult, ExperimentError> {
        let stop = AtomicBool::new(false);
        homeostat_experiment::resume(run, &self.setting(&stop), &mut |_| ()).map(finished)
    }

    pub(crate) fn evaluate(
        &self,
        run: &Run,
        source: Option<homeostat_data::AnySource>,
    ) -> Result<Evaluation, ExperimentError> {
        homeostat_experiment::evaluate_run(run, source, None, &self.setting(&AtomicBool::new(false)))
    }

    pub(crate) fn evaluate_in(&self, run: &Run, views: homeostat_data::TestViews) -> Evaluation {
        homeostat_experiment::evaluate_run(run, None, Some(views), &self.setting(&AtomicBool::new(false))).unwrap()
    }

    /// A folder of pictures below the data root: 12 cats, which are dark, and 6 dogs, which are light.
    pub(crate) fn pictures(&self) -> PathBuf {
        let folder = self.data().join("pets");
        for (class, count, level) in [("cat", 12, 40), ("dog", 6, 190)] {
            fs::create_dir_all(folder.join(class)).unwrap();
            (0..count)
                .for_each(|at| fs::write(folder.join(class).join(format!("{at:02}.png")), png(level + at)).unwrap());
        }
        folder
    }
}

fn finished(outcome: Outcome) -> RunResult {
    match outcome {
        Outcome::Finished(result) => result,
        Outcome::Interrupted => panic!("nobody stopped this run"),
    }
}

/// A picture of 5 x 6 pixels in colour, no two of which are equal for different levels.
pub(crate) fn png(level: u8) -> Vec<u8> {
    let shape = Shape { height: 5, width: 6, channels: 3 };
    Image::new(shape, (0..90).map(|at| level + at % 7 * 3).collect()).encode_png()
}

/// The digits, small, with these words on top.
pub(crate) fn digits(words: &[&str]) -> Resolved<Experiment> {
    Experiment::builtin("digits").unwrap().overrides(&SMALL).overrides(words).load().unwrap()
}

/// The pictures of [`Place::pictures`], small, with these words on top.
pub(crate) fn pets(words: &[&str]) -> Resolved<Experiment> {
    let text = "name = \"pets\"\n[data]\nsource.image-folder = { folder = \"pets\" }\nsplit.stratified = { valid = 0.25, test = 0.25 }\n[train]\nbatch-size = 4\n";
    Experiment::text("pets.toml", text).overrides(&SMALL).overrides(words).load().unwrap()
}

/// The weights that a run has published.
pub(crate) fn published(run: &Run) -> Weights {
    read_foreign(&run.path().join("artifact/model.safetensors")).unwrap()
}

/// The experiment that a run has recorded.
pub(crate) fn recorded(run: &Run) -> Resolved<Experiment> {
    Experiment::text("experiment.toml", &run.experiment().unwrap()).load().unwrap()
}
