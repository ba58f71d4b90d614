//! Networks for sequences against torch and transformers, and the promises that all of them keep.

use std::{collections::BTreeMap, fs, path::Path};

use crate::device;
use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{DType, Device, Distribution, Gradients, Int, Tensor, TensorData},
};
use homeostat_models::{
    NormPlace, Pooling, RecurrentConfig, SequenceClassifier, SequenceInput, SequenceModel, SequenceModelConfig,
    TransformerConfig, bert_weights,
};
use homeostat_task::{PEFT_FILES, ParamPath, PeftAdapter, PeftFolder, PeftPrefix, PeftTask, Weights, read_foreign};

/// What `tests/fixtures/sequences.py` has made.
struct Fixture(BTreeMap<String, TensorData>);

impl Fixture {
    fn read(name: &str) -> Self {
        Self::of(&format!("sequences/{name}"))
    }

    fn of(name: &str) -> Self {
        let path = format!("{}/tests/fixtures/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        Self(Weights::from_safetensors(&fs::read(path).unwrap()).unwrap().0.tensors().clone())
    }

    fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        Tensor::from_data(self.0[name].clone(), device)
    }

    fn input(&self, device: &Device) -> SequenceInput {
        SequenceInput {
            ids: self.tensor::<2>("ids", device).int(),
            types: Some(self.tensor::<2>("types", device).int()),
            padding: Some(self.tensor::<2>("mask", device).equal_elem(0.0)),
        }
    }

    /// The tensors below a name.
    fn below(&self, prefix: &str) -> BTreeMap<String, TensorData> {
        let own = self.0.iter().filter_map(|(name, data)| Some((name.strip_prefix(prefix)?.to_owned(), data.clone())));
        own.collect()
    }
}

fn values(data: &TensorData) -> Vec<f32> {
    data.as_slice::<f32>().unwrap().to_vec()
}

/// The largest difference, relative to the largest value.
fn difference(found: &TensorData, expected: &TensorData) -> f32 {
    assert_eq!(found.shape(), expected.shape());
    let (found, expected) = (values(found), values(expected));
    let largest = expected.iter().fold(1e-6_f32, |largest, value| largest.max(value.abs()));
    found.iter().zip(&expected).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f32::max)
}

/// Compares the output, and the gradient of each parameter; `ours` gives their tensors our names and shapes.
fn check(
    name: &str,
    config: &SequenceModelConfig,
    ours: fn(BTreeMap<String, TensorData>) -> BTreeMap<String, TensorData>,
) {
    let (fixture, device) = (Fixture::read(name), device().autodiff());
    let network = config.init(23, &device).unwrap();
    let network = Weights::from_tensors(ours(fixture.below("weights."))).apply(network).unwrap();
    let real = fixture.tensor::<2>("mask", &device).unsqueeze_dim::<3>(2);
    let output = network.forward(&fixture.input(&device)) * real;
    let apart = difference(&output.clone().inner().into_data_dtype(DType::F32), &fixture.0["output"]);
    assert!(apart <= 1e-4, "{name}: {apart}");
    let gradients = (output * fixture.tensor::<3>("probe", &device)).sum().backward();
    let found = GradientReader::read(&network, &gradients);
    for (parameter, expected) in ours(fixture.below("gradients.")) {
        let apart = difference(&found[&parameter], &expected);
        assert!(apart <= 1e-3, "{name}, gradient of {parameter}: {apart}");
    }
}

/// The gradient of each parameter, by its path.
struct GradientReader<'a> {
    path: ParamPath,
    gradients: &'a Gradients,
    found: BTreeMap<String, TensorData>,
}

impl<'a> GradientReader<'a> {
    fn read<M: Module>(network: &M, gradients: &'a Gradients) -> BTreeMap<String, TensorData> {
        let mut reader = Self { path: ParamPath::default(), gradients, found: BTreeMap::new() };
        network.visit(&mut reader);
        reader.found
    }
}

impl ModuleVisitor for GradientReader<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let gradient = parameter.val().grad(self.gradients);
        let gradient = gradient.unwrap_or_else(|| panic!("{} has no gradient", self.path.name()));
        self.found.insert(self.path.name(), gradient.into_data_dtype(DType::F32));
    }
}

#[test]
fn bert_is_that_of_transformers() {
    let config = TransformerConfig {
        width: 12,
        depth: 2,
        heads: 3,
        hidden: 20,
        positions: 9,
        dropout: 0.0,
        ..TransformerConfig::default()
    };
    check("bert", &SequenceModelConfig::Transformer(config), |theirs| bert_weights(&theirs).unwrap());
}

#[test]
fn the_weights_of_a_bert_go_back_as_they_came() {
    let mut theirs = Fixture::read("bert").below("weights.");
    theirs.retain(|name, _| !name.starts_with("pooler."));
    let ours = bert_weights(&theirs).unwrap();
    let bert = SequenceModelConfig::Transformer(TransformerConfig::default());
    assert_eq!(bert.to_bert(&ours).unwrap(), theirs);
    let refused = |change: &dyn Fn(&mut BTreeMap<String, TensorData>)| {
        let mut changed = ours.clone();
        change(&mut changed);
        bert.to_bert(&changed).unwrap_err()
    };
    let missing = refused(&|ours| drop(ours.remove("types.weight")));
    assert_eq!(missing, "a BERT needs `types.weight`, which is not there");
    let more = refused(&|ours| drop(ours.insert("blocks.0.prefix.keys".to_owned(), ours["norm.beta"].clone())));
    assert_eq!(more, "a BERT has no place for `blocks.0.prefix.keys`");
    let odd = TensorData::new(vec![0.0_f32; 35], [35]);
    let uneven = refused(&|ours| drop(ours.insert("blocks.0.qkv.bias".to_owned(), odd.clone())));
    assert_eq!(uneven, "`blocks.0.qkv.bias` does not fall into 3 equal parts");
}

#[test]
fn a_bert_alone_has_the_names_of_hugging_face() {
    let wanted = ["query", "key", "value"].map(|part| format!("encoder.layer.1.attention.self.{part}")).to_vec();
    for config in SequenceModelConfig::examples() {
        let is_bert = matches!(&config, SequenceModelConfig::Transformer(config) if config.norm == NormPlace::After);
        assert_eq!(config.bert_modules("blocks.1.qkv.weight"), is_bert.then(|| wanted.clone()), "{config:?}");
        assert_eq!(config.bert_modules("tokens.weight"), None);
        let refused = config.to_bert(&BTreeMap::new()).unwrap_err();
        let why = if is_bert { "a BERT needs `tokens.weight`" } else { "has no names but ours" };
        assert!(refused.contains(why), "{config:?}: {refused}");
    }
}

/// What `tests/fixtures/peft.py` has made: PEFT's adapter in our network.
#[test]
fn an_adapter_of_peft_computes_here_what_it_computes_there() {
    let device = device();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/peft");
    let base = read_foreign(&folder.join("base.safetensors")).unwrap();
    let adapter = PeftAdapter::read(&folder).unwrap();
    let expected = Fixture::of("peft/expected");
    let config = TransformerConfig {
        width: 12,
        depth: 2,
        heads: 3,
        hidden: 20,
        positions: 9,
        dropout: 0.0,
        ..TransformerConfig::default()
    };
    let apart = |weights: &Weights| {
        let network = SequenceModelConfig::Transformer(config.clone()).init(23, &device).unwrap();
        let ours = Weights::from_tensors(bert_weights(weights.tensors()).unwrap());
        let real = expected.tensor::<2>("mask", &device).unsqueeze_dim::<3>(2);
        let output = ours.apply(network).unwrap().forward(&expected.input(&device)) * real;
        difference(&output.into_data_dtype(DType::F32), &expected.0["output"])
    };
    assert!(apart(&base) > 0.1, "the adapter matters");
    let merged = adapter.merged_into(&base, &[]).unwrap();
    assert!(apart(&merged) <= 1e-5, "{}", apart(&merged));
    // Written by us, it is the same.
    let scratch = tempfile::tempdir().unwrap();
    for (name, bytes) in PEFT_FILES.into_iter().zip(adapter.to_files()) {
        fs::write(scratch.path().join(name), bytes).unwrap();
    }
    assert_eq!(PeftAdapter::read(scratch.path()).unwrap().merged_into(&base, &[]).unwrap(), merged);
}

/// What `tests/fixtures/peft_prefix.py` has made: PEFT's prefixes in our network.
#[test]
fn prefixes_of_peft_compute_here_what_they_compute_there() {
    let device = device();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/peft_prefix");
    let base = read_foreign(&folder.join("base.safetensors")).unwrap();
    let prefix = PeftPrefix::read(&folder).unwrap();
    let expected = Fixture::of("peft_prefix/expected");
    let config = TransformerConfig {
        width: 12,
        depth: 2,
        heads: 3,
        hidden: 20,
        positions: 12,
        dropout: 0.0,
        prefix: 4,
        ..TransformerConfig::default()
    };
    assert_eq!((prefix.heads, prefix.layers.len()), (3, 2));
    let apart = |times: f32| {
        let network = SequenceModelConfig::Transformer(config.clone()).init(23, &device).unwrap();
        let mut ours = bert_weights(base.tensors()).unwrap();
        for (layer, parts) in prefix.layers.iter().enumerate() {
            for (name, data) in ["keys", "values"].into_iter().zip(parts) {
                let values = data.as_slice::<f32>().unwrap().iter().map(|value| value * times).collect::<Vec<_>>();
                ours.insert(format!("blocks.{layer}.prefix.{name}"), TensorData::new(values, data.shape().to_vec()));
            }
        }
        let real = expected.tensor::<2>("mask", &device).unsqueeze_dim::<3>(2);
        let output = Weights::from_tensors(ours).apply(network).unwrap().forward(&expected.input(&device)) * real;
        difference(&output.into_data_dtype(DType::F32), &expected.0["output"])
    };
    assert!(apart(0.0) > 0.1, "the prefixes matter");
    assert!(apart(1.0) <= 1e-5, "{}", apart(1.0));
}

#[test]
fn prefixes_are_read_as_they_were_written_and_what_is_none_is_refused() {
    let part = |at: f32| TensorData::new((0_u8..6).map(|value| at + f32::from(value)).collect::<Vec<_>>(), [2, 3]);
    let prefix = PeftPrefix { base: None, heads: 3, layers: vec![[part(0.0), part(10.0)], [part(20.0), part(30.0)]] };
    let scratch = tempfile::tempdir().unwrap();
    let [config, tensors] = prefix.to_files(PeftTask::FeatureExtraction);
    let read = |config: &[u8], tensors: &[u8]| {
        fs::write(scratch.path().join(PEFT_FILES[0]), config).unwrap();
        fs::write(scratch.path().join(PEFT_FILES[1]), tensors).unwrap();
        PeftFolder::read(scratch.path())
    };
    assert_eq!(read(&config, &tensors).unwrap(), PeftFolder::Prefix(prefix));
    // A row has the keys and the values of the first block, then those of the second.
    let file = read_foreign(&scratch.path().join(PEFT_FILES[1])).unwrap();
    let row = &file.tensors()["prompt_embeddings"].as_slice::<f32>().unwrap()[..12];
    assert_eq!(row, [0.0, 1.0, 2.0, 10.0, 11.0, 12.0, 20.0, 21.0, 22.0, 30.0, 31.0, 32.0]);
    let changed = |change: &str, by: &str| String::from_utf8(config.clone()).unwrap().replace(change, by).into_bytes();
    let other = Weights::from_tensors([("other".to_owned(), part(0.0))].into()).to_safetensors(&BTreeMap::new());
    for (config, tensors, words) in [
        (changed("\"num_layers\": 2", "\"num_layers\": 3"), &tensors, "but [2, 18] was expected"),
        (changed("\"num_virtual_tokens\": 2", "\"num_virtual_tokens\": 0"), &tensors, "was expected"),
        (changed("\"token_dim\": 3", "\"token_dim\": 18446744073709551615"), &tensors, "was expected"),
        (changed("\"token_dim\": 3,", ""), &tensors, "missing field `token_dim`"),
        (changed("PREFIX_TUNING", "PROMPT_TUNING"), &tensors, "adapter_config.json: "),
        (config.clone(), &other, "there is no tensor `prompt_embeddings`"),
    ] {
        let error = read(&config, tensors).unwrap_err().to_string();
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn an_adapter_that_does_not_fit_is_refused_in_one_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/peft");
    let base = read_foreign(&folder.join("base.safetensors")).unwrap();
    let adapter = PeftAdapter::read(&folder).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let [config, weights] = PEFT_FILES.map(|name| fs::read(folder.join(name)).unwrap());
    let read = |change: &str, by: &str| {
        let text = String::from_utf8(config.clone()).unwrap();
        assert!(text.contains(change));
        fs::write(scratch.path().join(PEFT_FILES[0]), text.replace(change, by)).unwrap();
        fs::write(scratch.path().join(PEFT_FILES[1]), &weights).unwrap();
        PeftAdapter::read(scratch.path()).map(drop).unwrap_err().to_string()
    };
    let merged = |change: &dyn Fn(&mut PeftAdapter)| {
        let mut changed = adapter.clone();
        change(&mut changed);
        changed.merged_into(&base, &[]).unwrap_err().to_string()
    };
    let extra = ("base_model.model.classifier.weight".to_owned(), TensorData::from([[1.0_f32]]));
    let extra = Weights::from_tensors([extra].into());
    for (line, words) in [
        (read("\"LORA\"", "\"IA3\""), "peft_type is IA3, but only LORA is read"),
        (read("\"use_dora\": false", "\"use_dora\": true"), "use_dora is set"),
        (read("\"intermediate.dense\": 5", "\"int.*\": 5"), "alpha_pattern has `int.*`"),
        (read("\"r\": 4", "\"r\": \"four\""), "adapter_config.json: invalid type"),
        (merged(&|adapter| adapter.layers[0].module = "encoder.pooler".to_owned()), "of which the base has 0"),
        (merged(&|adapter| adapter.layers[0].a = adapter.layers[2].b.clone()), "do not fit together"),
        (
            merged(&|adapter| adapter.others = extra.clone()),
            "the adapter's `base_model.model.classifier.weight` is not used",
        ),
    ] {
        assert!(line.contains(words) && line.lines().count() == 1, "{line}");
    }
    let mut allowed = adapter.clone();
    allowed.others = extra;
    allowed.merged_into(&base, &["*classifier*".to_owned()]).unwrap();
}

#[test]
fn recurrent_networks_are_those_of_torch() {
    let config = RecurrentConfig { width: 5, features: 6, layers: 2, bidirectional: true, dropout: 0.0 };
    check("lstm", &SequenceModelConfig::Lstm(config.clone()), |ours| ours);
    check("gru", &SequenceModelConfig::Gru(config.clone()), |ours| ours);
    let forward = RecurrentConfig { layers: 1, bidirectional: false, ..config };
    check("lstm-forward", &SequenceModelConfig::Lstm(forward), |ours| ours);
}

fn ids(batch: usize, length: usize, device: &Device) -> Tensor<2, Int> {
    Tensor::<2>::random([batch, length], Distribution::Uniform(0.0, 30.0), device).int()
}

const POOLINGS: [Pooling; 4] = [Pooling::Cls, Pooling::Mean, Pooling::Max, Pooling::Last];

#[test]
fn filling_up_never_changes_an_answer() {
    let device = device();
    for config in SequenceModelConfig::examples() {
        let network = SequenceClassifier::init(&config, 0.0, [30, 3], &device).unwrap();
        for length in [1, 2, 5] {
            let text = ids(1, length, &device);
            let padded = Tensor::cat(vec![text.clone(), ids(1, 7 - length, &device)], 1);
            let places = Tensor::<1, Int>::arange(0..7, &device).unsqueeze::<2>();
            let padding = Some(places.greater_equal_elem(i64::try_from(length).unwrap()));
            for pooling in POOLINGS {
                let alone = network.forward(&SequenceInput::full(text.clone()), pooling);
                let input = SequenceInput { ids: padded.clone(), types: None, padding: padding.clone() };
                let apart = (alone - network.forward(&input, pooling)).abs().max().into_scalar::<f32>();
                assert!(apart <= 1e-5, "{config:?} {pooling:?}, {length} tokens: {apart}");
            }
        }
    }
}

#[test]
fn every_network_gives_features_to_each_token_and_a_gradient_to_each_parameter() {
    let device = device().autodiff();
    for config in SequenceModelConfig::examples() {
        let network: SequenceModel = config.init(30, &device).unwrap();
        for (batch, length) in [(1, 1), (3, 5), (5, 16)] {
            let features = network.forward(&SequenceInput::full(ids(batch, length, &device)));
            assert_eq!(features.dims(), [batch, length, network.features()], "{config:?}");
        }
        let all: Vec<i32> = (0..32).map(|id| id % 30).collect();
        let all = Tensor::<1, Int>::from_data(all.as_slice(), &device).reshape([2, 16]);
        let kinds = Tensor::<1, Int>::arange(0..32, &device).reshape([2, 16]) % 2;
        let features = network.forward(&SequenceInput { ids: all, types: Some(kinds), padding: None });
        let probe = Tensor::random(features.dims(), Distribution::Default, &device);
        let gradients = (features.powf_scalar(2.0) * probe).sum().backward();
        for (name, gradient) in GradientReader::read(&network, &gradients) {
            assert!(values(&gradient).iter().any(|value| *value != 0.0), "{config:?}: {name}");
        }
    }
}

#[test]
fn settings_out_of_range_are_said_in_one_line() {
    let transformer = TransformerConfig { width: 10, heads: 3, ..TransformerConfig::default() };
    let recurrent = RecurrentConfig { layers: 0, ..RecurrentConfig::default() };
    for (config, words) in [
        (SequenceModelConfig::Transformer(transformer), "multiple of heads = 3"),
        (SequenceModelConfig::Gru(recurrent), "`gru`: layers is 0"),
    ] {
        let error = config.init(30, &device()).unwrap_err().to_string();
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
    }
}
