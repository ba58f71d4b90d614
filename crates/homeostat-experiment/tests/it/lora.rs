//! Runs that learn changes of low rank: what they publish, what they leave for others, and how they are resumed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use burn::tensor::TensorData;
use homeostat_artifact::{Run, sha256};
use homeostat_config::Resolved;
use homeostat_data::{Rng, Tokenizer, TokenizerConfig};
use homeostat_experiment::Experiment;
use homeostat_models::bert_weights;
use homeostat_task::{PEFT_FILES, PeftAdapter, PeftPrefix, Weights, read_foreign};
use serde_json::Value;

use crate::{
    place::{Place, digits, published},
    transfer::{served, train_from},
};

const TEXT: &str = "name = \"pets\"
[task.text-classification]
prepare = { max-length = 8 }
model.transformer = { width = 16, depth = 2, heads = 2, hidden = 24, positions = 8 }
[data]
split.stratified = { valid = 0.2, test = 0.2 }
[data.text]
source.table = { folder = \"pets\" }
tokenizer.train = { size = 60 }
[train]
epochs = 6
batch-size = 8
optimizer.adamw = { learning-rate = 2e-2 }
schedule.constant = {}
pretrained = { from = \"bert.safetensors\", allow = [\"head.*\"] }
lora = { rank = 3, alpha = 6.0, dropout = 0.1, targets = [\"*.qkv.weight\", \"*.down.weight\"] }
";

/// A table of texts, and the weights of a BERT in the names of Hugging Face, drawn by a key.
fn prepared(place: &Place) -> Weights {
    let folder = place.data().join("pets");
    fs::create_dir_all(&folder).unwrap();
    let mut table = "text,label\n".to_owned();
    for number in 0..30 {
        table += &format!("the dog number {number} barks,dog\na cat of {number} years purrs,cat\n");
    }
    fs::write(folder.join("pets.csv"), table).unwrap();
    let mut shapes: Vec<(String, Vec<usize>)> = [("word", 60), ("position", 8), ("token_type", 2)]
        .map(|(name, rows)| (format!("embeddings.{name}_embeddings.weight"), vec![rows, 16]))
        .into();
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    for layer in (0..2).map(|layer| format!("encoder.layer.{layer}")) {
        for (name, [outputs, inputs]) in [
            ("attention.self.query", [16, 16]),
            ("attention.self.key", [16, 16]),
            ("attention.self.value", [16, 16]),
            ("attention.output.dense", [16, 16]),
            ("intermediate.dense", [24, 16]),
            ("output.dense", [16, 24]),
        ] {
            shapes.push((format!("{layer}.{name}.weight"), vec![outputs, inputs]));
            shapes.push((format!("{layer}.{name}.bias"), vec![outputs]));
        }
        norms.extend(["attention.output", "output"].map(|part| format!("{layer}.{part}.LayerNorm")));
    }
    shapes.extend(norms.iter().flat_map(|norm| ["weight", "bias"].map(|part| (format!("{norm}.{part}"), vec![16]))));
    let mut tensors = BTreeMap::new();
    for (at, (name, shape)) in (0..).zip(shapes) {
        let mut rng = Rng::keyed(5, [at, 0, 0]);
        let middle = if name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 };
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| middle + 0.6 * (rng.uniform() - 0.5)).collect();
        tensors.insert(name, TensorData::new(values, shape));
    }
    let weights = Weights::from_tensors(tensors);
    fs::write(place.data().join("bert.safetensors"), weights.to_safetensors(&BTreeMap::new())).unwrap();
    weights
}

fn pets(words: &[&str]) -> Resolved<Experiment> {
    Experiment::text("pets.toml", TEXT).overrides(words).load().unwrap()
}

/// The largest difference of a tensor of two networks, over those whose names begin so.
fn apart(start: &str, [a, b]: [&Weights; 2]) -> f32 {
    let of = |weights: &Weights, name: &str| weights.tensors()[name].as_slice::<f32>().unwrap().to_vec();
    let names = a.tensors().keys().filter(|name| name.starts_with(start));
    let all: Vec<f32> = names
        .flat_map(|name| of(a, name).into_iter().zip(of(b, name)).map(|(a, b)| (a - b).abs()).collect::<Vec<_>>())
        .collect();
    assert!(!all.is_empty(), "{start}");
    all.into_iter().fold(0.0, f32::max)
}

fn below_network(theirs: &Weights) -> Weights {
    let ours = bert_weights(theirs.tensors()).unwrap();
    Weights::from_tensors(ours.into_iter().map(|(name, data)| (format!("network.{name}"), data)).collect())
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_adapter_stands_alone_and_with_its_base_is_what_was_published() {
    let place = Place::new();
    let base = prepared(&place);
    let (run, result) = place.train(pets(&[]));
    assert!(result.test.get("accuracy").unwrap() > 0.8, "{:?}", result.test);
    assert_eq!(place.evaluate(&run, None).unwrap().figures, result.test, "what was measured was merged");
    let published = published(&run);
    assert!(published.tensors().keys().all(|name| !name.contains("lora")));

    let folder = run.path().join("adapter");
    let adapter = PeftAdapter::read(&folder).unwrap();
    let modules: Vec<&str> = adapter.layers.iter().map(|layer| layer.module.as_str()).collect();
    // In the order of the file.
    let of_layer = |layer| {
        ["attention.self.key", "attention.self.query", "attention.self.value", "output.dense"]
            .map(|module| format!("encoder.layer.{layer}.{module}"))
    };
    assert_eq!(modules, [of_layer(0), of_layer(1)].concat());
    let merged = below_network(&adapter.merged_into(&base, &[]).unwrap());
    assert!(apart("network.", [&merged, &published]) < 1e-6);
    assert!(apart("network.blocks.0.qkv", [&below_network(&base), &published]) > 1e-3);
    let beside = read_foreign(&folder.join("beside.safetensors")).unwrap();
    assert_eq!(beside.tensors().keys().collect::<Vec<_>>(), ["head.bias", "head.weight"]);
    assert!(apart("head.", [&beside, &published]) == 0.0);

    let config = json(&folder.join(PEFT_FILES[0]));
    assert_eq!((&config["r"], &config["base_model_name_or_path"]), (&Value::from(3), &Value::from("bert.safetensors")));
    let of_base = json(&folder.join("base.json"));
    let file = fs::read(place.data().join("bert.safetensors")).unwrap();
    assert_eq!(of_base["sha256"], Value::from(sha256(&file)));
    assert_eq!(run.provenance().unwrap().unwrap().hashes.weights, Some(sha256(&file)));

    // Another training begins where this one ended: its adapter is merged into the same base.
    let at = folder.strip_prefix(place.data()).unwrap().display().to_string();
    let begun = format!("train.pretrained.adapter=\"{at}\"");
    let (second, _) =
        place.train(pets(&[&begun, "train.lora.targets=['*.up.weight']", "train.lora.beside=['head.*']"]));
    assert!(apart("network.blocks.1.qkv", [&crate::place::published(&second), &published]) < 1e-6);
}

#[test]
fn a_run_that_was_stopped_ends_as_one_that_was_not() {
    let place = Place::new();
    prepared(&place);
    let (straight, result) = place.train(pets(&[]));
    let stopped = place.train_until(pets(&[]), 7);
    // It goes on from its checkpoint, without the file that it began with.
    fs::remove_file(place.data().join("bert.safetensors")).unwrap();
    assert_eq!(place.resume(&stopped).unwrap().test, result.test);
    let files = ["artifact/model.safetensors", "events.jsonl", "adapter/base.json", "adapter/beside.safetensors"];
    for file in files.into_iter().map(str::to_owned).chain(PEFT_FILES.map(|file| format!("adapter/{file}"))) {
        let [a, b] = [&straight, &stopped].map(|run| fs::read(run.path().join(&file)).unwrap());
        assert!(a == b, "{file}");
    }
}

#[test]
fn biases_alone_or_narrow_layers_alone_can_learn() {
    let place = Place::new();
    let base = below_network(&prepared(&place));
    let text = TEXT.lines().filter(|line| !line.starts_with("lora")).collect::<Vec<_>>().join("\n");
    let load = |words: &[&str]| Experiment::text("pets.toml", &text).overrides(words).load().unwrap();
    let train = |words: &[&str]| {
        let (run, result) = place.train(load(words));
        assert!(result.test.get("accuracy").unwrap() > 0.8, "{words:?} {:?}", result.test);
        let names: BTreeSet<_> =
            fs::read_dir(run.path().join("adapter")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["base.json", "beside.safetensors"].map(Into::into).into(), "what learnt stands alone");
        run
    };
    let learn = "train.learn=['*.bias', '*.beta', 'head.*']";
    let run = train(&[learn]);
    let bit_fit = published(&run);
    assert!(apart("network.blocks.0.qkv.weight", [&base, &bit_fit]) < 1e-6);
    assert!(apart("network.blocks.0.qkv.bias", [&base, &bit_fit]) > 1e-3);
    let alone = read_foreign(&run.path().join("adapter/beside.safetensors")).unwrap();
    assert!(
        alone
            .tensors()
            .keys()
            .all(|name| ["bias", "beta"].iter().any(|end| name.ends_with(end)) || name.starts_with("head"))
    );
    // What learns only after some epochs has learnt, too.
    let thaw = "train.unfreeze=[{ after-epochs = 1, parameters = '*.qkv.bias' }]";
    let (run, _) = place.train(load(&["train.learn=['head.*']", thaw, "epochs=2"]));
    let alone = read_foreign(&run.path().join("adapter/beside.safetensors")).unwrap();
    let blocks = ["network.blocks.0.qkv.bias", "network.blocks.1.qkv.bias"];
    assert_eq!(alone.tensors().keys().collect::<Vec<_>>(), [&["head.bias", "head.weight"][..], &blocks].concat());

    let adapter = "model.transformer.adapter=4";
    let run =
        train(&[adapter, "train.pretrained.allow=['head.*', '*adapter*']", "train.learn=['*adapter*', 'head.*']"]);
    let adapters = published(&run);
    assert!(apart("network.", [&base, &adapters]) < 1e-6, "the rest stays");
    assert_eq!(adapters.tensors()["network.blocks.1.dense_adapter.up.weight"].shape().to_vec(), [4, 16]);

    // Another run begins with the base and what has learnt: nothing has to be allowed to be missing.
    let begun = merging(&run);
    let (same, _) = place.train(load(&[adapter, &begun, "train.pretrained.allow=[]", "epochs=0"]));
    assert_eq!(apart("", [&adapters, &published(&same)]), 0.0);
    let refused = |words: &[&str]| place.try_train(load(words)).map(drop).unwrap_err().to_string();
    let error = refused(&["model.transformer.adapter=3", &begun, "epochs=0"]);
    assert!(
        error.contains("adapter: the weights are of another network") && error.contains("_adapter.down"),
        "{error}"
    );
    let error = refused(&[&begun, "train.pretrained.allow=[]", "epochs=0"]);
    assert!(error.contains("is not used"), "{error}");
}

/// Prefixes learn alone; PEFT's files hold them, and another run begins with them.
#[test]
fn prefixes_learn_alone_and_stand_alone_in_the_files_of_peft() {
    let place = Place::new();
    let base = below_network(&prepared(&place));
    let text = TEXT.lines().filter(|line| !line.starts_with("lora")).collect::<Vec<_>>().join("\n");
    let load = |words: &[&str]| Experiment::text("pets.toml", &text).overrides(words).load();
    let words = [
        "model.transformer.prefix=2",
        "task.text-classification.prepare.max-length=6",
        "train.pretrained.allow=['head.*', '*prefix*']",
        "train.learn=['*prefix*', 'head.*']",
        "epochs=12",
    ];
    let (run, result) = place.train(load(&words).unwrap());
    assert!(result.test.get("accuracy").unwrap() > 0.8, "{:?}", result.test);
    let published = published(&run);
    assert_eq!(apart("network.", [&base, &published]), 0.0, "the rest stays");
    let folder = run.path().join("adapter");
    let prefix = PeftPrefix::read(&folder).unwrap();
    assert_eq!((prefix.heads, prefix.layers.len(), prefix.base.as_deref()), (2, 2, Some("bert.safetensors")));
    for (layer, parts) in prefix.layers.iter().enumerate() {
        for (part, data) in ["keys", "values"].into_iter().zip(parts) {
            assert_eq!(published.tensors()[&format!("network.blocks.{layer}.prefix.{part}")], *data);
        }
    }
    let config = json(&folder.join(PEFT_FILES[0]));
    assert_eq!(config["peft_type"], "PREFIX_TUNING");
    assert_eq!(config["task_type"], "FEATURE_EXTRACTION", "else PEFT computes without them");
    assert_eq!((&config["num_virtual_tokens"], &config["token_dim"]), (&Value::from(2), &Value::from(16)));
    let beside = read_foreign(&folder.join("beside.safetensors")).unwrap();
    assert_eq!(beside.tensors().keys().collect::<Vec<_>>(), ["head.bias", "head.weight"]);
    assert_eq!(json(&folder.join("base.json"))["from"], Value::from("bert.safetensors"));

    let at = folder.strip_prefix(place.data()).unwrap().display().to_string();
    let begun = format!("train.pretrained.adapter=\"{at}\"");
    let again =
        [&words[..2], &["train.pretrained.allow=['head.*']", "train.learn=['head.*']", "epochs=1", &begun]].concat();
    let (second, _) = place.train(load(&again).unwrap());
    assert_eq!(
        json(&second.path().join("adapter/base.json"))["adapter"],
        Value::from(at.as_str()),
        "what it stands on"
    );
    assert_eq!(apart("network.", [&published, &crate::place::published(&second)]), 0.0);
    let fails = |words: &[&str]| place.try_train(load(words).unwrap()).map(drop).unwrap_err().to_string();
    let allow = "train.pretrained.allow=['head.*', '*prefix*']";
    for (words, told) in [
        (
            &["model.transformer.prefix=3", "task.text-classification.prepare.max-length=5", &begun][..],
            "blocks.0.prefix.keys",
        ),
        (&[allow, words[1], &begun], "has prefixes for 2 blocks, but the network has 0 with one: set its prefix = 2"),
        (&["model.transformer.prefix=2", allow], "places for 6 tokens"),
    ] {
        let error = match load(words) {
            Ok(_) => fails(words),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(told) && error.lines().count() == 1, "{told}: {error}");
    }
}

#[test]
fn a_network_for_pictures_takes_them_too() {
    let place = Place::new();
    let words = [
        "train.lora={ rank = 4, targets = ['hidden.*'], beside = ['head.*', 'hidden.0.bias'] }",
        "model.mlp.hidden=[16]",
    ];
    let (run, _) = place.train(digits(&words));
    let adapter = PeftAdapter::read(&run.path().join("adapter")).unwrap();
    assert_eq!(adapter.layers[0].module, "hidden.0");
    assert_eq!(json(&run.path().join("adapter/base.json"))["from"], Value::Null);
    let error = place.try_train(digits(&["train.lora={}"])).unwrap_err().to_string();
    assert!(error.contains("`*.qkv.weight` fits no dense layer; there are hidden.0.weight"), "{error}");
}

/// The setting that begins with what a run has published.
fn begun_with(run: &Run) -> String {
    format!("train.pretrained.from='{}'", run.path().join("artifact/model.safetensors").display())
}

/// The setting that merges the adapter of a run.
fn merging(run: &Run) -> String {
    format!("train.pretrained.adapter='{}'", run.path().join("adapter").display())
}

#[test]
fn an_adapter_is_merged_into_the_weights_that_it_belongs_to_and_into_no_others() {
    let place = Place::new();
    let train = |words: &[&str]| place.train(digits(&[&["model.mlp.hidden=[16, 16]"][..], words].concat())).0;
    let refused = |words: &[&str]| {
        let words = [&["model.mlp.hidden=[16, 16]", "epochs=0"][..], words].concat();
        let error = place.try_train(digits(&words)).map(drop).unwrap_err().to_string();
        assert!(error.starts_with("`train.pretrained`: ") && error.lines().count() == 1, "{error}");
        error
    };
    let base = train(&[]);
    let lora = "train.lora={ rank = 4, targets = ['hidden.1.weight'] }";
    let first = train(&[&begun_with(&base), lora]);
    let adapter = PeftAdapter::read(&first.path().join("adapter")).unwrap();
    // The layer is square: were it merged turned, its sides would fit all the same.
    assert_eq!((adapter.layers[0].module.as_str(), adapter.config.fan_in_fan_out), ("hidden.1", true));
    let again = train(&[&begun_with(&base), &merging(&first), "epochs=0"]);
    assert!(apart("hidden.", [&published(&first), &published(&again)]) < 1e-6);
    assert!(apart("hidden.1.weight", [&published(&first), &published(&base)]) > 1e-3);

    let error = refused(&[&begun_with(&first), &merging(&first)]);
    assert!(error.contains("but that of train.pretrained.from is ") && error.contains("base.json"), "{error}");
    let more = "train.lora={ rank = 4, targets = ['hidden.0.weight'] }";
    let second = train(&[&begun_with(&base), &merging(&first), more]);
    let error = refused(&[&begun_with(&base), &merging(&second)]);
    assert!(error.contains("adapter was put into it"), "{error}");
    let error = refused(&[&begun_with(&base), &merging(&train(&[lora]))]);
    assert!(error.contains("weights drawn by the seed 1, which no file holds"), "{error}");
    // A run that has no checkpoint yet begins again with the same adapter, or not at all.
    let words = ["model.mlp.hidden=[16, 16]", &begun_with(&base), &merging(&first), "epochs=1"];
    let stopped = place.train_until(digits(&words), 5);
    fs::remove_dir_all(stopped.checkpoints_dir()).unwrap();
    let file = first.path().join("adapter").join(PEFT_FILES[0]);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\n")).unwrap();
    let error = place.resume(&stopped).unwrap_err().to_string();
    assert!(error.contains("the files of train.pretrained.adapter have changed since the run began"), "{error}");
    fs::write(&file, text).unwrap();
    place.resume(&stopped).unwrap();
    // One that does not tell its base is taken on trust, as those of PEFT are.
    fs::remove_file(first.path().join("adapter/base.json")).unwrap();
    train(&[&begun_with(&first), &merging(&first), "epochs=0"]);
    // One that has lost a file is not the rest of it.
    fs::remove_file(&file).unwrap();
    let error = refused(&[&begun_with(&first), &merging(&first), "epochs=0"]);
    assert!(error.contains(PEFT_FILES[0]), "{error}");
}

#[test]
fn what_begins_with_our_own_weights_has_our_own_names() {
    let place = Place::new();
    prepared(&place);
    let is_kept = |line: &&str| !["model", "pretrained", "lora"].iter().any(|start| line.starts_with(start));
    let text = TEXT.lines().filter(is_kept).collect::<Vec<_>>().join("\n");
    let load = |words: &[&str]| Experiment::text("pets.toml", &text).overrides(words).load().unwrap();
    let train = |words: &[&str]| place.train(load(words)).0;
    for model in [
        "model.transformer={ width = 16, depth = 1, heads = 2, hidden = 24, positions = 8 }",
        "model.decoder={ width = 16, depth = 1, heads = 2, hidden = 24, positions = 8 }",
    ] {
        let base = train(&[model, "epochs=1"]);
        let lora = "train.lora={ rank = 2, targets = ['*.qkv.weight', '*.out.weight'] }";
        let first = train(&[model, &begun_with(&base), lora, "epochs=1"]);
        let stopped = place.train_until(load(&[model, &begun_with(&base), lora, "epochs=1"]), 2);
        place.resume(&stopped).unwrap();
        let config = |run: &Run| json(&run.path().join("adapter").join(PEFT_FILES[0]));
        assert_eq!(config(&stopped), config(&first));
        let adapter = PeftAdapter::read(&first.path().join("adapter")).unwrap();
        let modules: Vec<&str> = adapter.layers.iter().map(|layer| layer.module.as_str()).collect();
        assert_eq!(modules, ["network.blocks.0.out", "network.blocks.0.qkv"]);
        let again = train(&[model, &begun_with(&base), &merging(&first), "epochs=0"]);
        assert!(apart("network.", [&published(&first), &published(&again)]) < 1e-6, "{model}");
        assert!(apart("network.blocks.0.out.weight", [&published(&first), &published(&base)]) > 1e-3, "{model}");
    }
    // The head is ours, the rest as Hugging Face keeps it.
    let error = place.try_train(pets(&[
        "train.lora.rank=2",
        "train.lora.targets=['*.qkv.weight', 'head.weight']",
        "train.lora.beside=[]",
    ]));
    let error = error.map(drop).unwrap_err().to_string();
    let told = "has `network.blocks.0.qkv.weight`, which the base keeps as [out, in], and `head.weight` as [in, out]";
    assert!(error.contains("`train.lora.targets`: ") && error.contains(told), "{error}");
}

#[test]
fn a_bert_brings_its_settings_and_its_tokenizer_may_lie_anywhere_below_the_roots() {
    let place = Place::new();
    prepared(&place);
    let config = |text: &str| fs::write(place.data().join("config.json"), text).unwrap();
    let text = TEXT.lines().filter(|line| !line.starts_with("model") && !line.starts_with("lora"));
    let text = text.collect::<Vec<_>>().join("\n");
    let train = |words: &[&str]| place.try_train(Experiment::text("pets.toml", &text).overrides(words).load().unwrap());
    config(
        r#"{"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 24, "max_position_embeddings": 8, "layer_norm_eps": 1e-6}"#,
    );
    let (run, _) = train(&["epochs=1"]).unwrap();
    let shown = run.experiment().unwrap();
    assert!(shown.contains("config.json beside bert.safetensors"), "{shown}");
    let homeostat_tasks::TaskConfig::TextClassification(task) = crate::place::recorded(&run).value.task else {
        panic!("texts")
    };
    let homeostat_models::SequenceModelConfig::Transformer(network) = task.model else { panic!("a transformer") };
    assert_eq!((network.heads, network.hidden, network.epsilon), (2, 24, 1e-6));
    // What the experiment says of the network stays, wherever it says it, and the rest comes from there.
    let network = |experiment: Experiment| {
        let homeostat_tasks::TaskConfig::TextClassification(task) = experiment.task else { panic!("texts") };
        let homeostat_models::SequenceModelConfig::Transformer(network) = task.model else { panic!("a transformer") };
        (network.heads, network.hidden, network.dropout, network.adapter)
    };
    let (run, _) = train(&["epochs=1", "task.text-classification.model.transformer.dropout=0.3"]).unwrap();
    assert_eq!(network(crate::place::recorded(&run).value), (2, 24, 0.3, 0));
    let written = text.replace("[data]", "model.transformer = { adapter = 2, heads = 4 }\n[data]");
    let words = ["epochs=1", "train.pretrained.allow=['head.*', '*adapter*']"];
    let (run, _) = place.train(Experiment::text("pets.toml", &written).overrides(&words).load().unwrap());
    assert_eq!(network(crate::place::recorded(&run).value), (4, 24, 0.1, 2));
    for (text, words) in [
        (r#"{"model_type": "roberta"}"#, "is of the network `roberta`"),
        (r#"{"model_type": "bert", "hidden_act": "relu"}"#, "has the hidden_act `relu`"),
        ("none", "is no config.json"),
        // One that describes no network leaves it to the experiment, whose default does not fit these weights.
        (r#"{"word_embedding_dimension": 16}"#, "the weights are of another network"),
    ] {
        config(text);
        let error = train(&["task.text-classification.prepare.max-length=8"]).unwrap_err().to_string();
        assert!(error.contains("train.pretrained") && error.contains(words) && error.lines().count() == 1, "{error}");
    }
    let error =
        train(&["data.text.tokenizer={ file = \"hf:owner/name\" }", "train.pretrained={ from = \"hf:owner/name\" }"]);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("set HOMEOSTAT_CACHE"), "{error}");
}

/// Of as many tokens, so that no shape tells.
#[test]
fn a_tokenizer_that_is_not_that_of_the_weights_is_refused() {
    let place = Place::new();
    prepared(&place);
    let begin = || place.try_train(pets(&["epochs=1"])).map(drop).map_err(|error| error.to_string());
    let config = TokenizerConfig { size: 60, ..TokenizerConfig::default() };
    let learnt = |words: &str| {
        let texts = (0..30).map(|number| words.replace('#', &number.to_string()));
        let tokenizer = Tokenizer::train(&config, texts).unwrap();
        assert_eq!(tokenizer.size(), 60);
        fs::write(place.data().join("tokenizer.json"), tokenizer.to_json()).unwrap();
    };
    // Of the same letters.
    learnt("the dog number # barks, the # dogs bark, # numbers, numb the # hours");
    let error = begin().unwrap_err();
    assert!(error.contains("`train.pretrained`: the tokenizer is not that of the weights: token "), "{error}");
    assert!(error.ends_with("tokenizer.json; name that one in tokenizer.file"), "{error}");
}

#[test]
fn weights_in_a_folder_or_at_an_address_bring_their_settings_too() {
    let place = Place::new();
    let base = prepared(&place);
    let text = TEXT.lines().filter(|line| !line.starts_with("model") && !line.starts_with("lora"));
    let text = text.collect::<Vec<_>>().join("\n");
    let load = |words: &[&str]| Experiment::text("pets.toml", &text).overrides(words).load().unwrap();
    let config = r#"{"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                     "intermediate_size": 24, "max_position_embeddings": 8}"#;
    let folder = place.data().join("models/bert");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), config).unwrap();
    let words = ["epochs=1", "train.pretrained.from='models/bert'"];
    let error = place.try_train(load(&words)).unwrap_err().to_string();
    assert!(error.contains("models/bert has no model.safetensors nor pytorch_model.bin"), "{error}");
    let bytes = fs::read(place.data().join("bert.safetensors")).unwrap();
    fs::write(folder.join("model.safetensors"), &bytes).unwrap();
    let (run, _) = place.try_train(load(&words)).unwrap();
    let shown = run.experiment().unwrap();
    assert!(shown.contains("config.json beside models/bert"), "{shown}");

    let hash = format!("train.pretrained.sha256='{}'", sha256(&bytes));
    let answer = move |path: &str| match path {
        "/bert/model.safetensors" => bytes.clone(),
        "/bert/config.json" => config.into(),
        _ => Vec::new(),
    };
    let address = served(answer, usize::MAX);
    let from = format!("train.pretrained.from='{address}/bert/model.safetensors'");
    let run = train_from(&place, &address, load(&["epochs=1", &from, &hash])).unwrap();
    let shown = run.experiment().unwrap();
    assert!(shown.contains(&format!("config.json beside {address}/bert/model.safetensors")), "{shown}");

    // A part that is no matrix is refused where the three of an attention are joined.
    let mut tensors = base.tensors().clone();
    let key = "encoder.layer.0.attention.self.key.weight".to_owned();
    tensors.insert(key, TensorData::new(vec![1.0_f32], Vec::<usize>::new()));
    assert!(bert_weights(&tensors).unwrap_err().contains("different widths"));
}
