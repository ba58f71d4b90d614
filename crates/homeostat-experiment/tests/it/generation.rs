//! Experiments whose networks make pictures: from the digits to an artifact that answers with pictures.

use std::fs;

use homeostat_artifact::{Artifact, MetricsLine, Run, RunState};
use homeostat_config::Resolved;
use homeostat_data::{AnySource, SourceConfig};
use homeostat_experiment::Experiment;
use homeostat_tasks::{GeneratedImage, TaskConfig};

use crate::place::{Place, recorded};

/// A small network of each kind, with an optimiser each for what plays against each other.
const MODELS: [&str; 3] = [
    "model.vae = { network = { latent = 4, widths = [8], hidden = [32] }, warmup-epochs = 1.0 }",
    "model.gan = { network = { latent = 4, widths = [8, 16] }, loss.wasserstein-penalty = {}, critic-steps = 2 }",
    "model.diffusion = { network = { widths = [8, 16] }, steps = 4, fresh = 0.5 }",
];

fn digits(model: &str, words: &[&str]) -> Resolved<Experiment> {
    let groups = match model.starts_with("model.gan") {
        true => "groups = [{ parameters = \"critic.*\", optimizer.adam = { learning-rate = 1e-3, beta-1 = 0.5 } }]",
        false => "",
    };
    let text = format!(
        "name = \"made\"
[task.image-generation]
{model}
[data]
source = \"digits\"
fraction = 0.25
[train]
epochs = 2
batch-size = 32
optimizer.adamw = {{ learning-rate = 3e-3 }}
{groups}
schedule.constant = {{}}
ema = {{ decay = 0.9 }}
frechet = {{ samples = 64 }}
"
    );
    Experiment::text("made.toml", &text).overrides(words).load().unwrap()
}

/// What two runs must have in common to the byte.
fn remains(run: &Run) -> (Vec<Vec<u8>>, Vec<MetricsLine>) {
    let last = run.checkpoints().unwrap().latest().unwrap().unwrap();
    let mut files =
        ["model", "optimizer", "average"].map(|name| last.file(&format!("{name}.safetensors")).unwrap()).to_vec();
    files.extend(["artifact/model.safetensors", "events.jsonl"].map(|name| run.path().join(name)));
    let mut metrics = run.metrics().unwrap();
    metrics.iter_mut().for_each(|line| line.seconds = 0.0);
    (files.iter().map(|path| fs::read(path).unwrap()).collect(), metrics)
}

#[test]
fn every_network_is_learnt_published_verified_and_measured_again() {
    for model in MODELS {
        let place = Place::new();
        let (run, result) = place.train(digits(model, &[]));
        let names: Vec<&str> = result.test.iter().map(|(name, _)| name).collect();
        assert!(names[0] == "loss" && names.last() == Some(&"frechet"), "{names:?}");
        assert!(result.test.iter().all(|(_, value)| value.is_finite()), "{:?}", result.test);
        assert_eq!(result.best.is_none(), model.starts_with("model.gan"), "the last weights are no best ones");
        let artifact = Artifact::open(run.path()).unwrap();
        let golden = artifact.golden().unwrap();
        assert_eq!((artifact.kind(), golden.len()), ("image-generation", 16));
        let pictures = golden.iter().filter(|golden| !golden.request.starts_with(b"{")).count();
        assert_eq!(
            pictures > 0,
            model.starts_with("model.vae"),
            "{pictures} of {} requests are pictures",
            golden.len()
        );
        let answer: GeneratedImage = serde_json::from_value(golden[0].answer.clone()).unwrap();
        assert_eq!(answer.image().unwrap().height(), 8);
        assert_eq!(place.evaluate(&run, None).unwrap().figures, result.test, "{model}");
        let TaskConfig::ImageGeneration(task) = recorded(&run).value.task else { panic!("pictures are made") };
        assert!(task.input.is_some());
        let page = fs::read_to_string(run.report_file()).unwrap();
        for words in ["What it makes", "Made of the seeds 1 to 64", "homeostat sample", "Fréchet distance"] {
            assert!(page.contains(words), "{model}: {words}");
        }
        let error = place.evaluate(&run, Some(AnySource::Pictures(SourceConfig::default()))).unwrap_err().to_string();
        assert!(error.contains("the run has no classes"), "{error}");
    }
}

#[test]
fn a_run_that_was_stopped_ends_as_one_that_was_not() {
    for model in MODELS {
        let place = Place::new();
        let (straight, result) = place.train(digits(model, &[]));
        for step in [3, 17] {
            let stopped = place.train_until(digits(model, &[]), step);
            let resumed = place.resume(&stopped).unwrap();
            assert_eq!((&resumed.test, resumed.steps), (&result.test, result.steps), "{model}");
            assert!(remains(&stopped) == remains(&straight), "{model}, stopped at step {step}, ended otherwise");
        }
    }
}

#[test]
fn pictures_become_likelier_with_the_epochs() {
    let place = Place::new();
    let (run, result) = place.train(digits(MODELS[0], &["epochs=12", "data.fraction=1.0"]));
    let bound = |line: &MetricsLine| line.figures.get("elbo").unwrap();
    let lines = run.metrics().unwrap();
    let (first, last) = (bound(&lines[1]), result.valid.get("elbo").unwrap());
    assert!(last > first + 2.0, "nats a picture: from {first} to {last}");
    assert!(last > -30.0, "64 pixels of an average level alone have 64 x 0.4 nats and more: {last}");
}

/// An epoch has eleven batches or less: the generator's turn comes in the second.
#[test]
fn steps_of_the_critic_are_counted_over_epochs() {
    let weights = |steps: u64| {
        let place = Place::new();
        let word = format!("task.image-generation.model.gan.critic-steps={steps}");
        fs::read(place.train(digits(MODELS[1], &[&word])).0.path().join("artifact/model.safetensors")).unwrap()
    };
    assert!(weights(14) != weights(1000), "the generator has learnt nothing");
}

/// What one network makes of numbers that are none reaches the other, and the guard sees it.
#[test]
fn what_is_no_number_is_spoken_of_by_the_guard() {
    let place = Place::new();
    let huge =
        ["train.optimizer.adamw.learning-rate=1e30", "control.guard.on.max-rewinds=1", "control.guard.on.patience=2"];
    let error = place.try_train(digits(MODELS[1], &huge)).unwrap_err().to_string();
    assert!(error.contains("diverged") && !error.contains('\n'), "{error}");
    let run = Run::open(&place.out().join("made/2026-11-23T17-13-05Z")).unwrap();
    assert_eq!(run.result().unwrap().unwrap().state, RunState::Failed);
    let events = fs::read_to_string(run.path().join("events.jsonl")).unwrap();
    assert!(events.contains("skip-step") && events.contains("rewind") && events.contains("NaN"), "{events}");
}

#[test]
fn a_network_of_no_numbers_is_not_published() {
    let place = Place::new();
    // Over before the guard gives up.
    let words = ["train.optimizer.adamw.learning-rate=1e30", "train.max-steps=2"];
    let error = place.try_train(digits(MODELS[1], &words)).unwrap_err().to_string();
    assert!(error.contains("validation loss that is no number, so nothing is published"), "{error}");
    let run = Run::open(&place.out().join("made/2026-11-23T17-13-05Z")).unwrap();
    let result = run.result().unwrap().unwrap();
    assert_eq!((result.state, result.best), (RunState::Failed, None));
    assert!(!run.path().join("artifact").exists());
}

#[test]
fn what_does_not_fit_is_refused_in_one_line() {
    let place = Place::new();
    let load = |words: &[&str]| {
        let text = "[task.image-generation]\n[data]\nsource = \"digits\"\n";
        Experiment::text("made.toml", text).overrides(words).load().map_err(|error| error.to_string())
    };
    for (word, words) in [
        ("train.metrics=[\"accuracy\"]", "train.metrics"),
        ("train.calibrate=true", "train.calibrate"),
        ("train.monitor=\"accuracy\"", "train.monitor"),
        ("model.vae.beta=-1.0", "beta"),
    ] {
        let error = load(&[word]).unwrap_err();
        assert!(error.contains(words) && !error.contains('\n'), "{word}: {error}");
    }
    for (word, words) in [
        ("data.mix={ mixup = 0.4 }", "data.mix"),
        ("data.sampling=\"class-balanced\"", "data.sampling"),
        ("train.frechet={ samples = 4 }", "train.frechet.samples"),
        ("train.frechet={ network = \"nowhere\", samples = 64 }", "nowhere"),
        ("model.vae={ network = { widths = [4, 4, 4, 4] } }", "halved"),
    ] {
        let error = place.try_train(load(&[word, "epochs=1"]).unwrap()).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains('\n'), "{word}: {error}");
    }
    let runs = fs::read_dir(place.out()).map_or(0, Iterator::count);
    assert_eq!(runs, 0, "refused before anything is learnt");
    let error = Experiment::builtin("digits").unwrap().overrides(&["train.frechet={}"]).load().unwrap_err().to_string();
    assert!(error.contains("train.frechet"), "{error}");
}

/// The eye may be a run that has learnt to sort the same pictures.
#[test]
fn a_run_that_sorts_pictures_may_be_the_eye() {
    let place = Place::new();
    let sorter = Experiment::builtin("digits").unwrap();
    let (eye, _) = place.train(
        sorter
            .overrides(&["model.mlp.hidden=[16]", "epochs=1", "prepare=[]", "augment=[]", "name=\"sorter\""])
            .load()
            .unwrap(),
    );
    let name = eye.path().strip_prefix(place.data()).unwrap().to_string_lossy().into_owned();
    let with_eye = |word: &str| digits(MODELS[0], &["epochs=1", word]);
    let (run, result) = place.train(with_eye(&format!("train.frechet.network=\"{name}\"")));
    let (_, drawn) = place.train(with_eye("train.frechet.samples=64"));
    assert_ne!(result.test.get("frechet"), drawn.test.get("frechet"));
    assert!(fs::read_to_string(run.report_file()).unwrap().contains(&format!("the network of {name}")));
    let (made, _) = place.train(with_eye("name=\"other\""));
    let made = made.path().strip_prefix(place.data()).unwrap().to_string_lossy().into_owned();
    let error = place.try_train(with_eye(&format!("train.frechet.network=\"{made}\""))).unwrap_err().to_string();
    assert!(error.contains("sorts"), "{error}");
}
