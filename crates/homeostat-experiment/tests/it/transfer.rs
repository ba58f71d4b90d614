//! Training that begins with the weights of another one.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::atomic::AtomicBool,
    thread,
};

use burn::module::Module;
use homeostat_artifact::{Artifact, Run};
use homeostat_config::Resolved;
use homeostat_data::{TestViews, with_mirrored};
use homeostat_experiment::{Experiment, ExperimentError, Stage, evaluate_ensemble};
use homeostat_models::{
    DecoderConfig, GoogLeNetConfig, ImageModelConfig, ImageShape, KnownNetwork, LanguageNetworkConfig, ResNetConfig,
    SequenceEncoder, SequenceModelConfig, TransformerConfig, VitConfig,
};
use homeostat_task::{Task, Weights};
use homeostat_tasks::TaskConfig;
use homeostat_train::{Event, OptimizerConfig};

use crate::place::{Place, digits, pets, published, recorded};

/// The largest difference of a tensor.
fn apart(name: &str, [a, b]: [&Weights; 2]) -> f32 {
    let values = |weights: &Weights| weights.tensors()[name].as_slice::<f32>().unwrap().to_vec();
    let apart: Vec<f32> = values(a).iter().zip(values(b)).map(|(a, b)| (a - b).abs()).collect();
    // The larger of a number and NaN is the number.
    assert!(apart.iter().all(|value| value.is_finite()), "{name}");
    apart.into_iter().fold(0.0, f32::max)
}

#[test]
fn a_run_begins_with_the_weights_of_another_and_what_is_frozen_stays() {
    let place = Place::new();
    let (first, _) = place.train(digits(&[]));
    let folder = first.path().join("artifact");
    let from = |allow: &str| {
        format!("train.pretrained={{ from = '{}/model.safetensors', allow = [{allow}] }}", folder.display())
    };
    let (second, _) = place.train(digits(&[&from(""), "train.freeze=['hidden.*']"]));
    let weights = [&published(&first), &published(&second)];
    assert!(apart("hidden.0.weight", weights) < 1e-6, "frozen");
    assert!(apart("head.weight", weights) > 1e-4, "learnt");

    // The folder of a run is enough, and the name of a network is no file.
    let run = format!("train.pretrained.from='{}'", first.path().display());
    let (same, _) = place.train(digits(&[&run, "train.epochs=0"]));
    assert!(apart("head.weight", [&published(&first), &published(&same)]) < 1e-6);
    let refused = |words: &[&str]| place.try_train(digits(words)).unwrap_err().to_string();
    let known = refused(&["train.pretrained.from=resnet18"]);
    assert!(
        known.contains("no file `resnet18`, but a network of that name; its weights are from = \"https:"),
        "{known}"
    );
    let deeper = refused(&[&from(""), "model.mlp.hidden=[16, 12]"]);
    assert!(deeper.contains("model.safetensors: the weights are of another network"), "{deeper}");
    let slip = refused(&[&from("'heed.*'")]);
    assert!(slip.contains("allow: `heed.*` matches no tensor of the network, nor of "), "{slip}");
    let (third, _) = place.train(digits(&[&from("'*'"), "model.mlp.hidden=[16, 12]"]));
    assert_eq!(published(&third).tensors()["hidden.1.weight"].shape().to_vec(), [16, 12]);
    let runs = || fs::read_dir(place.out().join("digits")).unwrap().count();
    let before = runs();
    assert!(refused(&["train.freeze=['nothing.*']"]).contains("`nothing.*` matches no parameter"));
    assert!(refused(&["train.freeze=['*']"]).contains("leaves nothing to learn"));
    assert_eq!(runs(), before, "what fits no network makes no run");
}

/// A server with what this gives for a path; after so many bytes it hangs up.
pub(crate) fn served(answer: impl Fn(&str) -> Vec<u8> + Send + 'static, most: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut head, mut lines) = (String::new(), BufReader::new(stream.try_clone().unwrap()));
            while lines.read_line(&mut head).unwrap_or(0) > 2 {}
            let body = answer(head.split(' ').nth(1).unwrap_or_default());
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let part = &body[..body.len().min(most)];
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(part)).ok();
        }
    });
    address
}

/// A hub with the repository `owner/digits` of these files with their hashes.
fn hub_of(files: Vec<(&'static str, Vec<u8>, String)>, most: usize) -> String {
    let sibling = |(name, bytes, sha256): &(&str, Vec<u8>, String)| {
        let lfs = serde_json::json!({ "sha256": sha256 });
        serde_json::json!({ "rfilename": name, "size": bytes.len(), "lfs": lfs })
    };
    let siblings: Vec<_> = files.iter().map(sibling).collect();
    let list = serde_json::json!({ "sha": format!("{:040}", 7), "siblings": siblings }).to_string();
    let answer = move |path: &str| {
        if path == "/api/models/owner/digits/revision/main?blobs=true" {
            return list.clone().into_bytes();
        }
        let file = files.iter().find(|(name, ..)| path.ends_with(&format!("7/{name}")));
        file.map_or_else(Vec::new, |(_, bytes, _)| bytes.clone())
    };
    served(answer, most)
}

fn hub(bytes: Vec<u8>, sha256: &str, most: usize) -> String {
    hub_of(vec![("model.safetensors", bytes, sha256.to_owned())], most)
}

#[test]
fn weights_come_from_a_hub_and_what_it_spoils_makes_no_run() {
    let place = Place::new();
    let (first, _) = place.train(digits(&[]));
    let bytes = fs::read(first.path().join("artifact/model.safetensors")).unwrap();
    let hash = homeostat_artifact::sha256(&bytes);
    let words = ["train.pretrained.from='hf:owner/digits'", "train.freeze=['hidden.*']"];
    let runs = || fs::read_dir(place.out().join("digits")).unwrap().count();
    let before = runs();
    assert!(place.try_train(digits(&words)).unwrap_err().to_string().contains("set HOMEOSTAT_CACHE"));
    let other = |endpoint: &str| place_with(&place, endpoint, &words).unwrap_err().to_string();
    let broken = other(&hub(bytes.clone(), &hash, 1000));
    assert!(broken.contains("model.safetensors") && broken.contains("broken off"), "{broken}");
    let lie = other(&hub(bytes.clone(), &hash.replace('a', "b"), usize::MAX));
    assert!(lie.contains("its SHA-256 is ") && !lie.contains('\n'), "{lie}");
    let torn = bytes[..bytes.len() - 8].to_vec();
    let torn_hash = homeostat_artifact::sha256(&torn);
    let torn = other(&hub(torn, &torn_hash, usize::MAX));
    assert!(torn.contains("not a file of weights"), "{torn}");
    assert_eq!(runs(), before, "what fails before it learns leaves nothing");
    let second = place_with(&place, &hub(bytes, &hash, usize::MAX), &words).unwrap();
    assert!(apart("hidden.0.weight", [&published(&first), &published(&second)]) < 1e-6);
}

fn place_with(place: &Place, endpoint: &str, words: &[&str]) -> Result<Run, ExperimentError> {
    train_from(place, endpoint, digits(words))
}

/// Trains where there is a hub.
pub(crate) fn train_from(
    place: &Place,
    endpoint: &str,
    resolved: Resolved<Experiment>,
) -> Result<Run, ExperimentError> {
    let hub = place.hub(endpoint);
    let stop = AtomicBool::new(false);
    let setting = homeostat_experiment::Setting { hub: Some(&hub), ..place.setting(&stop) };
    let (path, _) =
        homeostat_experiment::train(resolved, (&place.out(), "2026-11-23T19-00-00Z"), &setting, &mut |_| ())?;
    Ok(Run::open(&path).unwrap())
}

#[test]
fn what_was_taken_of_weights_is_told() {
    let place = Place::new();
    let (first, _) = place.train(digits(&["epochs=1"]));
    let bias = published(&first).tensors()["head.bias"].clone();
    let tensors = [("head.bias", bias.clone()), ("other", bias)].map(|(name, data)| (name.to_owned(), data));
    let file = Weights::from_tensors(tensors.into()).to_safetensors(&std::collections::BTreeMap::new());
    fs::write(place.data().join("bias.safetensors"), file).unwrap();
    let told = std::cell::RefCell::new(Vec::new());
    let watch = |stage: &Stage<'_>| {
        if let Stage::Adopted { from, applied, kept, unused } = stage {
            told.borrow_mut().push(format!("{from}: {applied} applied, {kept:?} kept, {unused:?} unused"));
        }
        false
    };
    let words = ["epochs=1", "train.pretrained={ from='bias.safetensors', allow=['*'] }"];
    place.train_while(digits(&words), watch).unwrap();
    let kept = r#"["head.weight", "hidden.0.bias", "hidden.0.weight"]"#;
    assert_eq!(told.into_inner(), [format!("bias.safetensors: 1 applied, {kept} kept, [\"other\"] unused")]);
}

#[test]
fn weights_bring_their_preparation() {
    let place = Place::new();
    place.pictures();
    let (first, _) = place.train(pets(&["prepare=[{resize={size=8}}, {normalize={mean=[0.4], std=[0.3]}}]"]));
    let folder = first.path().join("artifact");
    let from = format!("train.pretrained.from='{}/model.safetensors'", folder.display());
    // What `SMALL` sets is taken out again.
    let text = "name = \"more\"\n[task.image-classification]\nmodel.mlp.hidden = [16]\n[data]\nsource.image-folder = { folder = \"pets\" }\n\
                split.stratified = { valid = 0.25, test = 0.25 }\n[train]\nepochs = 1\n";
    let more = |from: &str| Experiment::text("more.toml", text).overrides(&[from]).load().unwrap();
    let (second, _) = place.train(more(&from));
    let prepare_of = |run: &Run| match recorded(run).value.task {
        TaskConfig::ImageClassification(config) => config.prepare,
        _ => unreachable!("of pictures that are sorted"),
    };
    assert_eq!(prepare_of(&first), prepare_of(&second));
    assert!(second.experiment().unwrap().contains("chosen: what the weights of "));

    // A hub's, which nobody has listed: what timm writes beside them.
    let config = r#"{"pretrained_cfg": {"input_size": [3, 8, 8], "interpolation": "bicubic", "crop_pct": 0.5,
                     "mean": [0.4, 0.4, 0.5], "std": [0.3, 0.3, 0.3]}}"#;
    let weights = fs::read(folder.join("model.safetensors")).unwrap();
    let files = [("model.safetensors", weights), ("config.json", config.into())].map(|(name, bytes)| {
        let hash = homeostat_artifact::sha256(&bytes);
        (name, bytes, hash)
    });
    let third = train_from(&place, &hub_of(files.into(), usize::MAX), more("train.pretrained.from='hf:owner/digits'"));
    let third = serde_json::json!(prepare_of(&third.unwrap())).to_string();
    for words in [
        r#"{"resize":{"size":16,"mode":"shorter-side","filter":"bicubic"}}"#,
        r#"{"center-crop":{"size":8,"fill":0}}"#,
        r#""mean":[0.4,0.4,0.5]"#,
    ] {
        assert!(third.contains(words), "{third}");
    }

    let known = KnownNetwork::find("cifar_resnet20").unwrap();
    let words = format!(
        "name = \"known\"\n[task.image-classification]\nmodel.cifar-resnet = {{ depth = 20 }}\n[data]\n\
         source.image-folder = {{ folder = \"pets\" }}\n[train]\npretrained.from = \"{}\"\n",
        known.weights.unwrap()
    );
    let known = Experiment::text("known.toml", &words).load().unwrap();
    let steps = homeostat_experiment::inspect(known, 0, &place.setting(&AtomicBool::new(false))).unwrap().steps;
    let prepared = steps.iter().find(|step| step.step == "prepare").unwrap();
    assert!(prepared.shape.contains("32"), "{prepared:?}");
}

/// Trains, and says of how many samples features were computed once.
fn features_of(place: &Place, words: &[&str]) -> (Run, usize) {
    let seen = std::cell::Cell::new(0);
    let watch = |stage: &Stage<'_>| {
        if let Stage::Training(Event::Features { done, .. }) = stage {
            seen.set(*done);
        }
        false
    };
    let (run, _) = place.train_while(digits(words), watch).unwrap();
    (run, seen.get())
}

#[test]
fn a_probe_on_features_is_the_probe_on_samples() {
    let place = Place::new();
    let network = "model.cifar-resnet={ depth = 20, width = 4 }";
    for words in [vec!["train.freeze=['!head.*']"], vec!["train.freeze=['!head.*']", network, "train.max-steps=20"]] {
        let (quick, count) = features_of(&place, &words);
        let record: homeostat_data::SplitRecord = quick.split().unwrap().unwrap();
        assert_eq!(count, record.train.len() + record.valid.len());
        // A turn that never happens: features cannot be computed once, and nothing else changes.
        let still = "augment=[{flip-horizontal={probability=0.0}}]";
        let (plain, none) = features_of(&place, &[words.as_slice(), &[still]].concat());
        assert_eq!(none, 0);
        let [a, b] = [published(&quick), published(&plain)];
        for name in a.tensors().keys() {
            let bound = if name.starts_with("head") { 1e-5 } else { f32::MIN_POSITIVE };
            assert!(apart(name, [&a, &b]) < bound, "{name} {}", apart(name, [&a, &b]));
        }
        let [a, b] = [&quick, &plain].map(|run| run.result().unwrap().unwrap());
        assert_eq!(a.test.get("accuracy"), b.test.get("accuracy"));
    }
    let (_, none) = features_of(&place, &["train.freeze=['hidden.0.weight']"]);
    assert_eq!(none, 0, "more than the head learns");
}

#[test]
fn a_probe_that_was_stopped_goes_on() {
    let place = Place::new();
    let words = ["train.freeze=['!head.*']"];
    let (whole, _) = place.train(digits(&words));
    let cut = place.train_until(digits(&words), 30);
    place.resume(&cut).unwrap();
    assert_eq!(published(&whole), published(&cut));
}

#[test]
fn statistics_follow_the_batches_or_stay() {
    let place = Place::new();
    let moved = |words: &[&str]| {
        let network = ["model.cifar-resnet={ depth = 20, width = 4 }", "train.max-steps=2", "train.ema={decay=0.0}"];
        let weights = published(&place.train(digits(&[&network, words].concat())).0);
        let moved = |end: &str, start: f32| {
            weights.tensors().iter().any(|(name, data)| {
                name.starts_with("stem")
                    && name.ends_with(end)
                    && data.as_slice::<f32>().unwrap().iter().any(|value| (value - start).abs() > 1e-6)
            })
        };
        [moved("running_mean", 0.0), moved("gamma", 1.0)]
    };
    assert_eq!(moved(&[]), [true, true]);
    assert_eq!(moved(&["train.freeze=['stem.*']"]), [false, false]);
    assert_eq!(moved(&["train.batch-norm='frozen'"]), [false, true]);
    assert_eq!(moved(&["train.freeze=['stem.*']", "train.batch-norm='running'"]), [true, false]);
}

#[test]
fn answers_are_calibrated_where_that_is_asked_for() {
    let place = Place::new();
    let (plain, before) = place.train(digits(&[]));
    let (run, after) = place.train(digits(&["train.calibrate=true"]));
    let artifact = Artifact::open(run.path()).unwrap();
    let task = TaskConfig::parse(artifact.kind(), &artifact.task().unwrap()).unwrap();
    assert!((task.temperature() - 1.0).abs() > 1e-3, "{}", task.temperature());
    assert_eq!(published(&plain), published(&run), "the weights are the same");
    assert_eq!(after.valid.get("accuracy"), before.valid.get("accuracy"));
    assert!(after.valid.get("loss") < before.valid.get("loss"), "{after:?} {before:?}");
    assert_eq!(place.evaluate(&run, None).unwrap().figures, after.test, "answers as they were published");
    let page = fs::read_to_string(run.report_file()).unwrap();
    assert!(page.contains("test calibration error") && page.contains("before scores were divided by"));
    let error = place.try_train(digits(&["train.calibrate=true", "loss.binary-cross-entropy={}"])).unwrap_err();
    assert!(error.to_string().contains("`train.calibrate`"), "{error}");
}

#[test]
fn a_run_answers_in_the_views_that_its_experiment_says() {
    let place = Place::new();
    let train =
        |words: &[&str]| place.train(digits(&[&["loss.cross-entropy.label-smoothing=0.0"][..], words].concat()));
    let (plain, _) = train(&[]);
    let tta = "task.image-classification.tta=mirror";
    let (run, result) = train(&[tta]);
    assert_eq!(published(&plain), published(&run), "pictures are learnt from as they are");
    assert_eq!(place.evaluate(&run, None).unwrap().figures, result.test);
    assert_eq!(place.evaluate_in(&plain, TestViews::Mirror).figures, result.test, "as one that is asked for them");
    let [other, wanted] = [&run, &plain].map(|run| place.evaluate_in(run, TestViews::FiveCrop).figures);
    assert_eq!(other, wanted, "who asks for others gets these alone");

    let [of_plain, artifact] = [&plain, &run].map(|run| Artifact::open(run.path()).unwrap());
    assert!(!of_plain.task().unwrap().contains("tta"));
    let config = TaskConfig::parse(artifact.kind(), &artifact.task().unwrap()).unwrap();
    let TaskConfig::ImageClassification(config) = config else { panic!("pictures") };
    assert_eq!(config.tta, Some(TestViews::Mirror));
    let (task, stop) = (config.init().unwrap().in_views(None), AtomicBool::new(false));
    let device = place.setting(&stop).device;
    let network = homeostat_deploy::published(&task, &artifact, device).unwrap();
    for golden in artifact.golden().unwrap() {
        let picture = task.prepare(task.read(&golden.request).unwrap()).unwrap();
        let views = task.respond(&network, task.collate(&with_mirrored(vec![picture]), device));
        assert_ne!(views[0], views[1]);
        for (class, found) in golden.answer["probabilities"].as_array().unwrap().iter().enumerate() {
            let mean = views.iter().map(|view| f64::from(view.probabilities[class])).sum::<f64>() / 2.0;
            assert!((found.as_f64().unwrap() - mean).abs() < 1e-6, "{found} {mean}");
        }
    }

    let (calibrated, same) = train(&[tta, "train.calibrate=true"]);
    assert!(same.valid.get("loss") < result.valid.get("loss"), "{same:?} {result:?}");
    assert_eq!(place.evaluate(&calibrated, None).unwrap().figures, same.test);
}

#[test]
fn runs_answer_together() {
    let place = Place::new();
    let stop = AtomicBool::new(false);
    let given = "split.k-fold={ folds = 3, fold = 0, test = 0.2 }";
    let runs = ["16", "12", "9"].map(|width| {
        let hidden = format!("model.mlp.hidden=[{width}]");
        place.train(digits(&[given, &hidden, "train.metrics=['accuracy', 'brier']"])).0
    });
    let ensemble = evaluate_ensemble(&runs, None, None, &place.setting(&stop)).unwrap();
    let results: Vec<_> = runs.iter().map(|run| run.result().unwrap().unwrap().test).collect();
    assert_eq!(ensemble.members.iter().map(|member| member.figures.clone()).collect::<Vec<_>>(), results);
    // The Brier score is convex: the mean answer is never worse than the mean of the scores.
    let mean = results.iter().map(|figures| figures.get("brier").unwrap()).sum::<f64>() / 3.0;
    assert!(ensemble.together.figures.get("brier").unwrap() < mean);
    let twice = [&runs[0], &runs[0]].map(|run| Run::open(run.path()).unwrap());
    let alone = evaluate_ensemble(&twice, None, None, &place.setting(&stop)).unwrap().together;
    assert_eq!(alone.figures.get("brier"), results[0].get("brier"), "one run twice is that run");
    let all = evaluate_ensemble(
        &runs,
        Some(&homeostat_data::AnySource::Pictures(homeostat_data::SourceConfig::Digits)),
        None,
        &place.setting(&stop),
    );
    assert_eq!(all.unwrap().together.figures, ensemble.together.figures, "what none of them knows is the test part");

    let other = place.train(digits(&["split.k-fold={ folds = 3, fold = 0, test = 0.3 }", "seed=2"])).0;
    let refused = |other: &Run| {
        let runs = [&runs[0], other].map(|run| Run::open(run.path()).unwrap());
        evaluate_ensemble(&runs, None, None, &place.setting(&stop)).unwrap_err().to_string()
    };
    assert!(refused(&other).contains("has another test part than the first run"));
    place.pictures();
    assert!(refused(&place.train(pets(&[])).0).contains("has other classes than the first run"));
}

/// All parameters whose names start so learn at this rate, where each layer learns 0.75 times as fast as the next one.
fn rates_are<M: Module>(model: &M, wanted: &[(&str, f64)]) {
    let optimizer = OptimizerConfig::default().init(model, &[]).unwrap().with_layer_decay(model, 0.75);
    let factors = optimizer.rate_factors();
    for (start, factor) in wanted {
        let found: Vec<_> = factors.iter().filter(|(name, _)| name.starts_with(start)).collect();
        assert!(!found.is_empty(), "{start} {:?}", factors.keys());
        assert!(found.iter().all(|(_, found)| (**found - factor).abs() < 1e-9), "{start} {factor} {found:?}");
    }
}

/// What `timm.optim.param_groups_layer_decay` gives for `vit_tiny_patch16_224` and `resnet18` with 0.75.
#[test]
fn rates_fall_by_layer_as_in_timm() {
    let device = homeostat_device::open(homeostat_device::DeviceChoice::Cpu).unwrap();
    let shape = ImageShape { channels: 3, height: 32, width: 32 };
    let check = |config: ImageModelConfig, wanted: &[(&str, f64)]| {
        rates_are(&config.init(shape, 5, &device).unwrap(), wanted);
    };
    let vit = VitConfig { patch: 16, width: 12, heads: 3, ..VitConfig::default() };
    let first = 0.023_757_264_018_058_777;
    check(
        ImageModelConfig::Vit(vit),
        &[
            ("patches", first),
            ("class", first),
            ("places", first),
            ("blocks.0.", 0.031_676_352_024_078_37),
            ("blocks.11.", 0.75),
            ("norm", 0.75),
            ("head", 1.0),
        ],
    );
    let resnet = ResNetConfig { width: 4, ..ResNetConfig::default() };
    check(
        ImageModelConfig::ResNet(resnet),
        &[
            ("stem", 0.075_084_686_279_296_88),
            ("stages.0.0.", 0.100_112_915_039_062_5),
            ("stages.1.0.", 0.177_978_515_625),
            ("stages.3.1.", 0.75),
            ("head", 1.0),
        ],
    );
}

/// Heads that learn beside the last one are no layers between it and the rest.
#[test]
fn further_heads_are_no_layers() {
    let device = homeostat_device::open(homeostat_device::DeviceChoice::Cpu).unwrap();
    let shape = ImageShape { channels: 3, height: 64, width: 64 };
    let network = |auxiliary| {
        let config = GoogLeNetConfig { width: 1, auxiliary, ..GoogLeNetConfig::default() };
        ImageModelConfig::GoogLeNet(config).init(shape, 5, &device).unwrap()
    };
    let rates = |model: &_| {
        let optimizer = OptimizerConfig::default().init(model, &[]).unwrap().with_layer_decay(model, 0.75);
        let rates = optimizer.rate_factors().into_iter().map(|(name, rate)| (name.to_owned(), rate));
        rates.collect::<std::collections::BTreeMap<_, _>>()
    };
    let (with, without) = (rates(&network(true)), rates(&network(false)));
    assert!(with.len() > without.len() && without.len() > 20);
    assert!(without.iter().all(|(name, rate)| with[name] == *rate), "{with:?} {without:?}");
    assert!(with.iter().all(|(name, rate)| !name.starts_with("auxiliary") || *rate == 1.0), "{with:?}");
}

/// Networks without a head: the last block learns at the full rate, and what comes before the first one slowest.
#[test]
fn rates_fall_by_layer_in_networks_for_texts() {
    let device = homeostat_device::open(homeostat_device::DeviceChoice::Cpu).unwrap();
    let config = TransformerConfig { width: 8, depth: 2, heads: 2, hidden: 16, ..TransformerConfig::default() };
    let model = SequenceEncoder::init(&SequenceModelConfig::Transformer(config), 20, &device).unwrap();
    let first = ["tokens", "places", "types", "norm"].map(|name| (format!("network.{name}"), 0.5625));
    rates_are(&model, &first.each_ref().map(|(name, rate)| (name.as_str(), *rate)));
    rates_are(&model, &[("network.blocks.0.", 0.75), ("network.blocks.1.", 1.0)]);
    let config = DecoderConfig { width: 8, depth: 2, heads: 2, hidden: 16, ..DecoderConfig::default() };
    for (tied, full) in [(true, 1.0), (false, 0.75)] {
        let model = LanguageNetworkConfig::Decoder(config.clone()).init(20, tied, &device).unwrap();
        let layers = [
            ("decoder.tokens", 0.5625),
            ("decoder.blocks.0.", 0.75),
            ("decoder.blocks.1.", 1.0),
            ("decoder.norm", 1.0),
        ];
        rates_are(&model, &layers.map(|(name, rate)| (name, rate * full)));
    }
}
