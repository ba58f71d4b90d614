//! Experiments with language models: from plain text to an artifact that writes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::TensorData;
use homeostat_artifact::{Artifact, Run};
use homeostat_config::Resolved;
use homeostat_data::{AnySource, SourceConfig, Tokenizer};
use homeostat_experiment::Experiment;
use homeostat_task::{PEFT_FILES, PeftAdapter, PeftPrefix, Weights, read_foreign};
use homeostat_tasks::TaskConfig;

use crate::place::{Place, published, recorded};

const TEXT: &str = "name = \"plays\"
[task.language-model]
length = 16
model.decoder = { width = 16, depth = 1, heads = 2, hidden = 32, positions = 32, place = \"rotary\", norm = \"rms\", dropout = 0.1 }
[data]
split.sequential = { valid = 0.15, test = 0.15 }
[data.corpus]
source.text-folder = { folder = \"plays\" }
stride = 12
overlap = 8
[train]
epochs = 3
batch-size = 8
optimizer.adamw = { learning-rate = 1e-2 }
schedule.constant = {}
";

/// A play of some thousand characters, in two files: a line is never the same, but much alike.
fn play(place: &Place) {
    let folder = place.data().join("plays");
    fs::create_dir_all(&folder).unwrap();
    let act = |number: usize| -> String {
        let line =
            |at: usize| format!("KING: the {} day of {} comes\n", ["first", "next", "last"][at % 3], at * number);
        (0..70).map(line).collect()
    };
    fs::write(folder.join("a.txt"), act(3)).unwrap();
    fs::write(folder.join("b.txt"), act(7)).unwrap();
}

fn plays(words: &[&str]) -> Resolved<Experiment> {
    Experiment::text("plays.toml", TEXT).overrides(words).load().unwrap()
}

fn remains(run: &Run) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let read = |file: &str| fs::read(run.path().join(file)).unwrap();
    (read("artifact/model.safetensors"), read("artifact/assets/tokenizer.json"), read("events.jsonl"))
}

#[test]
fn a_language_model_is_learnt_published_verified_and_measured_again() {
    let place = Place::new();
    play(&place);
    let (run, result) = place.train(plays(&[]));
    let names: Vec<&str> = result.test.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["loss", "perplexity", "nats-per-character", "bits-per-character"]);
    let figure = |name: &str| result.test.get(name).unwrap();
    assert!(figure("loss") < 2.6, "less than the characters alone say: {:?}", result.test);
    assert!((figure("perplexity").ln() - figure("loss")).abs() < 1e-9);
    assert_eq!(figure("loss"), figure("nats-per-character"), "a token is a character");
    assert_eq!(result.best.as_ref().unwrap().monitor, "loss");
    let artifact = Artifact::open(run.path()).unwrap();
    assert_eq!((artifact.kind(), artifact.assets().collect::<Vec<_>>()), ("language-model", vec!["tokenizer.json"]));
    let golden = artifact.golden().unwrap();
    assert!(!golden.is_empty() && golden.iter().all(|golden| golden.answer["tokens"].as_array().unwrap().len() == 24));
    let task = artifact.task().unwrap();
    assert!(!task.contains("corpus") && !task.contains("plays"), "{task}");
    assert_eq!(place.evaluate(&run, None).unwrap().figures, result.test);
    let TaskConfig::LanguageModel(task) = recorded(&run).value.task else { panic!("a language model") };
    let tokenizer = Tokenizer::from_json(&artifact.asset("tokenizer.json").unwrap()).unwrap();
    assert_eq!(task.vocabulary, Some(tokenizer.size()));
    let page = fs::read_to_string(run.report_file()).unwrap();
    for words in ["What it writes", "temperature 0.8, seed 1", "homeostat generate", "perplexity", "learnt from"] {
        assert!(page.contains(words), "{words}");
    }
    let error = place.evaluate(&run, Some(AnySource::Pictures(SourceConfig::default()))).unwrap_err().to_string();
    assert!(error.contains("the run has no classes"), "{error}");
}

#[test]
fn a_run_that_was_stopped_ends_as_one_that_was_not() {
    let place = Place::new();
    play(&place);
    let (straight, result) = place.train(plays(&[]));
    for step in [3, 40] {
        let stopped = place.train_until(plays(&[]), step);
        assert_eq!(place.resume(&stopped).unwrap().test, result.test);
        assert!(remains(&stopped) == remains(&straight), "stopped at step {step}");
    }
    let (other, _) = place.train(plays(&["data.corpus.stride=16"]));
    assert!(remains(&other) != remains(&straight), "the stride is of no effect");
}

#[test]
fn files_may_say_which_part_they_are_and_tokens_may_be_more_than_characters() {
    let place = Place::new();
    play(&place);
    let folder = place.data().join("plays");
    fs::rename(folder.join("a.txt"), folder.join("train.txt")).unwrap();
    fs::rename(folder.join("b.txt"), folder.join("valid.txt")).unwrap();
    let words = [
        "data.split=auto",
        "data.corpus.tokenizer={ train = { kind = \"bpe\", size = 280, lowercase = false } }",
        "epochs=1",
    ];
    let (run, result) = place.train(plays(&words));
    assert!(result.test.is_empty(), "there is no file to test with");
    let figure = |name: &str| result.valid.get(name).unwrap();
    assert!(figure("loss") > 1.2 * figure("nats-per-character"), "{:?}", result.valid);
    let shown = run.experiment().unwrap();
    assert!(shown.contains("the texts come divided"), "{shown}");
    // What is there to test with is not learnt from.
    fs::rename(folder.join("valid.txt"), folder.join("test.txt")).unwrap();
    let error = place.try_train(plays(&words)).map(drop).unwrap_err().to_string();
    assert!(error.contains("`data.split`: finds texts of some parts alone"), "{error}");
}

fn are_near(a: &TensorData, b: &TensorData) -> bool {
    let [a, b] = [a, b].map(|data| data.as_slice::<f32>().unwrap());
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6)
}

/// Texts for the GPT-2 of the tasks' fixtures, whose weights lie beside them.
fn letters_for_gpt2(place: &Place) -> PathBuf {
    play(place);
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../homeostat-tasks/tests/fixtures");
    fs::copy(fixtures.join("gpt2/model.safetensors"), place.data().join("gpt2.safetensors")).unwrap();
    // 29 characters, and two that stand for none.
    let letters: String = ('a'..='z').chain(" .\n".chars()).collect();
    for (name, count) in [("a.txt", 120), ("b.txt", 60)] {
        fs::write(place.data().join("plays").join(name), letters.repeat(count)).unwrap();
    }
    fixtures
}

#[test]
fn a_network_begins_with_the_weights_of_gpt2() {
    let place = Place::new();
    let fixture = letters_for_gpt2(&place).join("gpt2");
    let words = [
        "model={ decoder = { width = 16, depth = 2, heads = 4, hidden = 64, positions = 64 } }",
        "train.pretrained={ from = \"gpt2.safetensors\" }",
        "train.max-steps=1",
        "optimizer={ sgd = { learning-rate = 1e-12, momentum = 0.0 } }",
    ];
    let (run, _) = place.train(plays(&words));
    let ours = published(&run);
    let theirs = read_foreign(&fixture.join("model.safetensors")).unwrap();
    for (name, other) in [
        ("decoder.blocks.1.qkv.weight", "transformer.h.1.attn.c_attn.weight"),
        ("decoder.tokens.weight", "transformer.wte.weight"),
    ] {
        assert!(are_near(&ours.tensors()[name], &theirs.tensors()[other]), "{name}");
    }
    // Where the experiment says nothing of the network, the file beside the weights does.
    fs::copy(fixture.join("config.json"), place.data().join("config.json")).unwrap();
    let silent = TEXT.replacen("model.decoder", "# model.decoder", 1);
    let silent = |words: &[&str]| Experiment::text("plays.toml", &silent).overrides(words).load().unwrap();
    let (run, _) = place.train(silent(&words[1..]));
    let TaskConfig::LanguageModel(task) = recorded(&run).value.task else { panic!("a language model") };
    assert_eq!(task.model.positions(), 64);
    assert!(run.experiment().unwrap().contains("config.json beside gpt2.safetensors"));
    fs::write(place.data().join("config.json"), "{\"model_type\": \"bert\"}").unwrap();
    let error = place.try_train(silent(&words[1..])).map(drop).unwrap_err().to_string();
    assert!(error.contains("config.json is of the network `bert`"), "{error}");
    let fails = |words: &[&str]| place.try_train(plays(words)).map(drop).unwrap_err().to_string();
    let error = fails(&["train.pretrained={ from = \"gpt2.safetensors\" }"]);
    assert!(error.contains("train.pretrained") && error.lines().count() == 1, "{error}");
}

/// PEFT's prefixes for a GPT-2 find their blocks under its foreign names, learn, and go back into PEFT's files.
#[test]
fn a_gpt2_begins_with_prefixes_of_peft_and_leaves_such() {
    let place = Place::new();
    let theirs = letters_for_gpt2(&place).join("peft_prefix_gpt2");
    fs::create_dir(place.data().join("prefixes")).unwrap();
    for file in PEFT_FILES {
        fs::copy(theirs.join(file), place.data().join("prefixes").join(file)).unwrap();
    }
    let train = |rate: &str| {
        let words = [
            "model={ decoder = { width = 16, depth = 2, heads = 4, hidden = 64, positions = 64, prefix = 3 } }",
            "train.pretrained={ from = \"gpt2.safetensors\", adapter = \"prefixes\" }",
            "train.learn=['*prefix*']",
            "train.max-steps=1",
            rate,
        ];
        let (run, _) = place.train(plays(&words));
        let config = fs::read(run.path().join("adapter").join(PEFT_FILES[0])).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        assert_eq!(config["task_type"], "CAUSAL_LM", "else PEFT computes without them");
        (PeftPrefix::read(&run.path().join("adapter")).unwrap(), published(&run))
    };
    let begun = PeftPrefix::read(&theirs).unwrap();
    let (still, weights) = train("optimizer={ sgd = { learning-rate = 1e-12, momentum = 0.0 } }");
    assert_eq!((still.heads, still.layers.len(), still.base.as_deref()), (4, 2, Some("gpt2.safetensors")));
    for (layer, (found, expected)) in still.layers.iter().zip(&begun.layers).enumerate() {
        for (part, name) in ["keys", "values"].into_iter().enumerate() {
            assert_eq!(found[part], weights.tensors()[&format!("decoder.blocks.{layer}.prefix.{name}")]);
            assert!(are_near(&found[part], &expected[part]), "{name} of block {layer}");
        }
    }
    let (learnt, others) = train("optimizer={ sgd = { learning-rate = 1.0, momentum = 0.0 } }");
    assert!(learnt.layers.iter().flatten().zip(still.layers.iter().flatten()).all(|(a, b)| a != b), "all learn");
    let rest = |weights: &Weights| {
        let mut tensors = weights.tensors().clone();
        tensors.retain(|name, _| !name.contains("prefix"));
        tensors
    };
    assert!(rest(&weights) == rest(&others), "the rest stays");
}

/// Changes of a GPT-2 have the names of its file and lie as that does, and are merged into it again.
#[test]
fn changes_of_a_gpt2_are_merged_into_it_again() {
    let place = Place::new();
    letters_for_gpt2(&place);
    let model = "model={ decoder = { width = 16, depth = 2, heads = 4, hidden = 64, positions = 64 } }";
    let begun = "train.pretrained={ from = \"gpt2.safetensors\" }";
    // What learns beside them is not said: there is no head, for tokens are scored by what they are looked up by.
    let lora = "train.lora={ rank = 2, alpha = 4.0, targets = ['*.qkv.weight', '*.out.weight', '*.down.weight'] }";
    let (run, result) = place.train(plays(&[model, begun, lora, "train.max-steps=20"]));
    let folder = run.path().join("adapter");
    let adapter = PeftAdapter::read(&folder).unwrap();
    let modules: Vec<&str> = adapter.layers.iter().map(|layer| layer.module.as_str()).take(3).collect();
    let first = ["attn.c_attn", "attn.c_proj", "mlp.c_proj"].map(|layer| format!("transformer.h.0.{layer}"));
    assert_eq!(modules, first);
    assert!(adapter.config.fan_in_fan_out, "as PEFT says it of such a network");
    let with = format!("train.pretrained.adapter='{}'", folder.display());
    let (again, measured) = place.train(plays(&[model, begun, &with, "epochs=0"]));
    let (ours, base) = (published(&run), read_foreign(&place.data().join("gpt2.safetensors")).unwrap());
    let merged = published(&again);
    assert!(ours.tensors().iter().all(|(name, data)| are_near(data, &merged.tensors()[name])));
    let (square, at_first) = ("decoder.blocks.1.out.weight", "transformer.h.1.attn.c_proj.weight");
    assert!(!are_near(&ours.tensors()[square], &base.tensors()[at_first]), "it has learnt");
    let [loss, of_merged] = [&result, &measured].map(|result| result.test.get("loss").unwrap());
    assert!((loss - of_merged).abs() < 1e-5, "{loss} {of_merged}");

    let words = [
        model,
        "task.language-model.tied=false",
        "train.pretrained={ from = \"gpt2.safetensors\", allow = ['head.*'] }",
        "train.lora={ rank = 2, targets = ['*.qkv.weight', 'head.weight'], beside = [] }",
    ];
    let error = place.try_train(plays(&words)).map(drop).unwrap_err().to_string();
    let told = "`train.lora.targets`: has `head.weight`, which the base keeps as [out, in], and `decoder.blocks.0.qkv";
    assert!(error.contains(told) && error.lines().count() == 1, "{error}");
}

#[test]
fn what_does_not_fit_a_language_model_is_refused_in_one_line() {
    let place = Place::new();
    play(&place);
    let load = |text: &str| Experiment::text("p.toml", text).load().map(drop).unwrap_err().to_string();
    let changed = |words: &[&str]| {
        Experiment::text("plays.toml", TEXT).overrides(words).load().map(drop).unwrap_err().to_string()
    };
    let fails = |words: &[&str]| place.try_train(plays(words)).map(drop).unwrap_err().to_string();
    for (error, words) in [
        (load("task.language-model = {}"), "`data.corpus`: is missing"),
        (load("data.corpus = {}"), "the task is no language model"),
        (load(&TEXT.replacen("[data]", "[data]\nfraction = 0.5", 1)), "settings of other tasks"),
        (load(&TEXT.replacen("[data]", "[data]\ntext = {}", 1)), "settings of other tasks"),
        (changed(&["train.metrics=[\"accuracy\"]"]), "is of classes, but a language model is measured by"),
        (changed(&["train.monitor=accuracy"]), "accuracy"),
        (changed(&["train.calibrate=true"]), "train.calibrate"),
        (changed(&["task.language-model.length=33"]), "is 33, but must lie in 1..=32"),
        (
            changed(&["data.corpus.tokenizer={ file = \"/t.json\" }"]),
            "data.corpus.tokenizer.file`: is an absolute path",
        ),
        (fails(&["data.corpus.stride=17"]), "data.corpus.stride`: is 17"),
        (fails(&["data.corpus.overlap=16"]), "data.corpus.overlap`: is 16"),
        (fails(&["split={ stratified = {} }"]), "a language model reads on"),
        (fails(&["split={ given = {} }"]), "finds no validation part"),
        (fails(&["split={ sequential = { valid = 0.001, test = 0.1 } }"]), "validation part"),
        (fails(&["task.language-model.vocabulary=9"]), "is 9, but the tokenizer knows"),
    ] {
        assert!(error.contains(words) && error.lines().count() == 1, "{words}: {error}");
    }
    fs::remove_file(place.data().join("plays/b.txt")).unwrap();
    fs::write(place.data().join("plays/a.txt"), "Too little to learn from, this is.").unwrap();
    let error = fails(&[]);
    assert!(error.contains("34 characters") && error.lines().count() == 1, "{error}");
    let long = "no more than one window ".repeat(60);
    fs::write(place.data().join("plays/a.txt"), long).unwrap();
    let words = [
        "model={ decoder = { positions = 512, width = 8, heads = 1 } }",
        "task.language-model.length=400",
        "data.corpus.stride=400",
    ];
    let error = fails(&words);
    assert!(error.contains("the validation part: the text has") && error.lines().count() == 1, "{error}");
    fs::write(place.data().join("plays/a.txt"), " \n").unwrap();
    let error = fails(&[]);
    assert!(error.contains("a.txt") && error.contains("the file is empty"), "{error}");
}

/// A prompt of as many characters as are usual has more tokens than the network has places.
#[test]
fn a_model_that_refuses_long_prompts_has_golden_answers() {
    let place = Place::new();
    play(&place);
    let refuses = ["task.language-model.too-long=refuse", "epochs=1"];
    let run = place.train(plays(&refuses)).0;
    let golden = Artifact::open(run.path()).unwrap().golden().unwrap();
    assert!(!golden.is_empty());
}
