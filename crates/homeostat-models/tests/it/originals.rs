//! Ours against torchvision's and timm's: the same weights give the same answers, gradients and running statistics.
//! `fixtures/originals.py` made the fixtures; `cargo xtask parity` compares the full configurations, too.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Device, Gradients, Tensor, TensorData},
};
use homeostat_models::{ImageModel, ImageModelConfig, ImageShape};
use homeostat_task::{ForeignNames, ParamPath, Weights};

use crate::{apart, device, floats, largest};

/// What the original said.
struct Case {
    name: String,
    config: ImageModelConfig,
    side: usize,
    classes: usize,
    parameters: u64,
    theirs: Weights,
    scores: TensorData,
    /// What the head and further heads say in training, where there are any: `[batch, classes]` each.
    heads: Vec<TensorData>,
}

/// Numbers in -1..1: SplitMix64, seeded with FNV-1a of the name, as the script has it.
fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let seed = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |seed, byte| (seed ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (1..=count as u64).map(move |at| {
        let x = seed.wrapping_add(at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    })
}

#[expect(clippy::cast_possible_truncation, reason = "weights are of single precision")]
fn drawn(name: &str, shape: &[usize]) -> TensorData {
    let of: Box<dyn Fn(f64) -> f64> = if name.ends_with("running_var") {
        Box::new(|u| 1.0 + 0.4 * u)
    } else if matches!(shape.len(), 2 | 4) {
        let bound = (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
        Box::new(move |u| bound * u)
    } else if shape.len() == 1 && (name.ends_with("weight") || name.ends_with("gamma")) {
        Box::new(|u| 1.0 + 0.2 * u)
    } else {
        Box::new(|u| 0.1 * u)
    };
    let values: Vec<f32> = uniform(name, shape.iter().product()).map(|u| of(u) as f32).collect();
    TensorData::new(values, shape.to_vec())
}

#[expect(clippy::cast_possible_truncation, reason = "images are of single precision")]
fn images(batch: usize, side: usize, device: &Device) -> Tensor<4> {
    let values: Vec<f32> = uniform("images", batch * 3 * side * side).map(|u| 2.0 * u as f32).collect();
    Tensor::from_data(TensorData::new(values, [batch, 3, side, side]), device)
}

impl Case {
    fn read(path: &Path) -> Self {
        let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let tensors: BTreeMap<String, Vec<usize>> = serde_json::from_value(json["tensors"].clone()).unwrap();
        let tensors = tensors.into_iter().map(|(name, shape)| (name.clone(), drawn(&name, &shape)));
        let table = |value: &serde_json::Value| {
            let rows: Vec<Vec<f32>> = serde_json::from_value(value.clone()).unwrap();
            TensorData::new(rows.concat(), [rows.len(), rows[0].len()])
        };
        let scores = table(&json["scores"]);
        let classes = scores.shape()[1];
        Self {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            config: serde_json::from_value(json["config"].clone()).unwrap(),
            side: serde_json::from_value(json["side"].clone()).unwrap(),
            classes,
            parameters: serde_json::from_value(json["parameters"].clone()).unwrap(),
            theirs: Weights::from_tensors(tensors.collect()),
            scores,
            heads: json["heads"].as_array().into_iter().flatten().map(table).collect(),
        }
    }

    fn shape(&self) -> ImageShape {
        ImageShape { channels: 3, height: self.side, width: self.side }
    }

    /// Our network with their weights.
    fn network(&self, device: &Device) -> (ImageModel, ForeignNames) {
        let network = self.config.init(self.shape(), self.classes, device).unwrap();
        let tables = self.config.names().into_iter().map(|table| ForeignNames::of(&network, &table.rows).unwrap());
        // LeNet-5 has no names but ours, in which the script writes it.
        let parts = ["convs", "hidden", "head"].map(|part| (part.to_owned(), part.to_owned()));
        let names = tables.max_by_key(|names| names.hits(&self.theirs));
        let names = names.unwrap_or_else(|| ForeignNames::of(&network, &parts).unwrap());
        let adopted = names.adopt(&self.theirs, &[]).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        (adopted.apply(network).unwrap(), names)
    }
}

/// Weights with further heads, as they are published, fit a network that learns without them.
#[test]
fn further_heads_are_not_needed() {
    let device = device();
    for (name, key) in [("googlenet", "googlenet"), ("inception_v3", "inception-v3")] {
        let case = Case::read(&fixtures().join(format!("{name}.json")));
        let mut config = serde_json::to_value(&case.config).unwrap();
        config[key]["auxiliary"] = false.into();
        let config: ImageModelConfig = serde_json::from_value(config).unwrap();
        let network = config.init(case.shape(), case.classes, &device).unwrap();
        let [table] = &config.names()[..] else { panic!("one table") };
        let names = ForeignNames::of(&network, &table.rows).unwrap();
        assert!(names.adopt(&case.theirs, &[]).is_err(), "{name}");
        assert!(names.adopt(&case.theirs, &table.ignored).is_ok(), "{name}");
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    cases.sort();
    assert!(!cases.is_empty(), "no case in {}", folder.display());
    cases
}

fn compare(case: &Case) -> (ImageModel, ForeignNames) {
    let device = device();
    let (network, names) = case.network(&device);
    assert_eq!(case.config.parameters(case.shape(), case.classes, &device).unwrap(), case.parameters, "{}", case.name);
    let scores = network.forward(images(2, case.side, &device)).into_data();
    let apart = apart(&scores, &case.scores, 0.0);
    assert!(apart <= 1e-4, "{}: scores are {apart} apart", case.name);
    assert_eq!(names.export(&Weights::of(&network)), case.theirs, "{}: exported", case.name);
    (network, names)
}

#[test]
fn the_weights_of_an_original_give_its_answers_and_come_back_as_they_were() {
    for path in cases(&fixtures()) {
        compare(&Case::read(&path));
    }
}

#[test]
fn further_heads_say_in_training_what_those_of_the_original_say() {
    let device = device().autodiff();
    let cases = cases(&fixtures()).into_iter().map(|path| Case::read(&path)).filter(|case| !case.heads.is_empty());
    let mut compared = vec![];
    for case in cases {
        let (network, _) = case.network(&device);
        let said = network.training_scores(images(4, case.side, &device));
        let found: Vec<Tensor<2>> = [said.main].into_iter().chain(said.auxiliary.into_iter().map(|(_, x)| x)).collect();
        assert_eq!(found.len(), case.heads.len(), "{}", case.name);
        for (head, (found, wanted)) in found.into_iter().zip(&case.heads).enumerate() {
            let apart = apart(&found.into_data(), wanted, 0.0);
            assert!(apart <= 1e-3, "{}: what head {head} says is {apart} apart", case.name);
        }
        compared.push((case.name, case.heads.len() - 1));
    }
    assert_eq!(compared, [("googlenet".to_owned(), 2), ("inception_v3".to_owned(), 1)]);
}

/// Gradients by our names, and the rest of the tensors, the running statistics.
struct Learnt<'a> {
    path: ParamPath,
    gradients: &'a Gradients,
    found: BTreeMap<String, TensorData>,
}

impl ModuleVisitor for Learnt<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad(self.gradients).map(Tensor::into_data);
        self.found.insert(self.path.name(), gradient.unwrap_or_else(|| param.val().into_data()));
    }
}

/// Compares what a step of training leaves behind with the original's, in a file.
fn compare_training(case: &Case, theirs: &Path) {
    let device = device().autodiff();
    let (network, names) = case.network(&device);
    #[expect(clippy::cast_possible_truncation, reason = "as the script has it")]
    let weights: Vec<f32> = uniform("loss", 4 * case.classes).map(|u| u as f32).collect();
    let weights = Tensor::<2>::from_data(TensorData::new(weights, [4, case.classes]), &device);
    let gradients = (network.forward(images(4, case.side, &device)) * weights).sum().backward();
    // What was learnt of running statistics is in the network that is made ready for use.
    let statistics = Weights::of(&network.valid());
    let mut learnt = Learnt { path: ParamPath::default(), gradients: &gradients, found: BTreeMap::new() };
    network.visit(&mut learnt);
    let mut found = learnt.found;
    let running = statistics.tensors().iter().filter(|(name, _)| name.contains("running_"));
    found.extend(running.map(|(name, data)| (name.clone(), data.clone())));
    let found = names.export(&Weights::from_tensors(found));
    let (wanted, _) = Weights::from_safetensors(&std::fs::read(theirs).unwrap()).unwrap();
    let gradients = wanted.tensors().iter().filter(|(name, _)| name.starts_with("gradient."));
    let scale = largest(gradients.flat_map(|(_, data)| floats(data)));
    let name = &case.name;
    for (key, wanted) in wanted.tensors() {
        let (kind, tensor) = key.split_once('.').unwrap();
        // What is zero but for rounding, such as the gradient of a bias before a normalisation, is compared with the others.
        let is_zero = kind == "gradient" && largest(floats(wanted)) <= 1e-5 * scale;
        let floor = if is_zero { 1e-2 * scale } else { 0.0 };
        let apart = apart(&found.tensors()[tensor], wanted, floor);
        assert!(apart <= 1e-3, "{name}: {key} is {apart} apart");
    }
    assert_eq!(wanted.tensors().len(), found.tensors().len(), "{name}");
}

#[test]
fn a_step_of_training_has_the_gradients_and_statistics_of_the_original() {
    for name in ["resnet18", "vgg11_bn", "vit", "mobilenetv2"] {
        let case = Case::read(&fixtures().join(format!("{name}.json")));
        compare_training(&case, &fixtures().join(format!("{name}-training.safetensors")));
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "who runs it should see what is compared")]
fn full_configurations_where_there_are_any() {
    let Some(folder) = std::env::var_os("HOMEOSTAT_PARITY").map(PathBuf::from) else {
        eprintln!("skipped: `cargo xtask parity` makes the cases, and names their folder in HOMEOSTAT_PARITY");
        return;
    };
    for path in cases(&folder) {
        let case = Case::read(&path);
        let (network, names) = compare(&case);
        let bytes = names.export(&Weights::of(&network)).to_safetensors(&BTreeMap::new());
        std::fs::write(folder.join(format!("{}-exported.safetensors", case.name)), bytes).unwrap();
        eprintln!("{}: the same answers", case.name);
        let training = folder.join(format!("{}-training.safetensors", case.name));
        if training.is_file() {
            compare_training(&case, &training);
            eprintln!("{}: the same gradients and running statistics", case.name);
        }
    }
}
