//! Weights that others wrote find their places, and what does not fit is said.

use std::{collections::BTreeMap, path::Path};

use burn::{
    module::Module,
    nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig},
    tensor::TensorData,
};
use homeostat_task::{ForeignNames, Weights, WeightsError, name_fits, read_checkpoint, read_foreign};

use crate::device;

#[derive(Module, Debug)]
struct Net {
    blocks: Vec<Linear>,
    norm: BatchNorm,
}

fn net() -> Net {
    let device = device();
    Net {
        blocks: vec![LinearConfig::new(2, 3).init(&device), LinearConfig::new(3, 3).init(&device)],
        norm: BatchNormConfig::new(3).init(&device),
    }
}

fn rows() -> Vec<(String, String)> {
    [("blocks.{b}", "layer{b+1}.fc"), ("norm", "bn{x}")].map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec()
}

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn a_table_renames_transposes_and_comes_back() {
    let net = net();
    let names = ForeignNames::of(&net, &rows()).unwrap();
    let ours = Weights::of(&net);
    let theirs = names.export(&ours);
    let found: Vec<&str> = theirs.tensors().keys().map(String::as_str).collect();
    let norm = ["bn{x}.bias", "bn{x}.running_mean", "bn{x}.running_var", "bn{x}.weight"];
    assert_eq!(
        found,
        [&norm[..], &["layer1.fc.bias", "layer1.fc.weight", "layer2.fc.bias", "layer2.fc.weight"]].concat()
    );
    assert_eq!(theirs.tensors()["layer1.fc.weight"].shape().to_vec(), [3, 2]);
    assert!(names.lies_as_ours("norm.gamma") && !names.lies_as_ours("blocks.0.weight"));
    let as_ours = names.clone().lying_as_ours(&["*1.fc.weight".to_owned()]);
    assert_eq!(["blocks.0.weight", "blocks.1.weight"].map(|name| as_ours.lies_as_ours(name)), [true, false]);
    let adopted = names.adopt(&theirs, &[]).unwrap();
    assert_eq!((&adopted.weights, adopted.kept.len(), adopted.unused.len()), (&ours, 0, 0));
    let error = ForeignNames::of(&net, &rows()[..1]).unwrap_err().to_string();
    assert!(error.contains("`norm.gamma` has no name"), "{error}");
}

#[test]
fn what_does_not_fit_is_an_error_unless_it_is_allowed_by_name() {
    let net = net();
    let names = ForeignNames::of(&net, &rows()).unwrap();
    let mut tensors: BTreeMap<String, TensorData> = names.export(&Weights::of(&net)).tensors().clone();
    tensors.remove("layer1.fc.bias");
    tensors.insert("layer2.fc.weight".to_owned(), TensorData::zeros::<f32, _>([7, 3]));
    tensors.insert("extra".to_owned(), TensorData::zeros::<f32, _>([1]));
    let theirs = Weights::from_tensors(tensors);
    let error = names.adopt(&theirs, &[]).unwrap_err().to_string();
    for words in
        ["`layer1.fc.bias` (our `blocks.0.bias`) is missing", "shape [7, 3], needed [3, 3]", "`extra` is not used"]
    {
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(error.lines().count(), 1);
    let adopted = names.adopt(&theirs, &["blocks.*".to_owned(), "ext*".to_owned()]).unwrap();
    assert_eq!(
        (adopted.kept, adopted.unused),
        (vec!["blocks.0.bias".into(), "blocks.1.weight".into()], vec!["extra".into()])
    );
    // Weights of something else altogether are never taken for a success.
    let other = Weights::from_tensors(BTreeMap::from([("other".to_owned(), TensorData::zeros::<f32, _>([1]))]));
    assert!(names.adopt(&other, &["*".to_owned()]).is_err());
}

#[test]
fn a_matrix_with_other_than_two_sides_is_no_matrix() {
    let net = net();
    let names = ForeignNames::of(&net, &rows()).unwrap();
    let shapes: [Vec<usize>; 5] = [vec![], vec![6], vec![2, 3], vec![3, 2, 2], vec![3, 2, 1, 1]];
    for shape in shapes {
        let mut tensors = names.export(&Weights::of(&net)).tensors().clone();
        tensors.insert("layer1.fc.weight".to_owned(), TensorData::zeros::<f32, _>(shape.clone()));
        let theirs = Weights::from_tensors(tensors);
        let error = names.adopt(&theirs, &[]).unwrap_err().to_string();
        let said = format!("`layer1.fc.weight` (our `blocks.0.weight`) has shape {shape:?}, needed [3, 2]");
        assert!(error.ends_with(&said), "{error}");
        assert_eq!(names.adopt(&theirs, &["blocks.0.*".to_owned()]).unwrap().kept, ["blocks.0.weight"]);
    }
}

#[test]
fn much_that_does_not_fit_is_counted_by_kind_and_shown_of_each() {
    let net = net();
    let names = ForeignNames::of(&net, &rows()).unwrap();
    let mut tensors = names.export(&Weights::of(&net)).tensors().clone();
    tensors.retain(|name, _| !name.starts_with("bn"));
    tensors.extend((0..9).map(|at| (format!("extra.{at}"), TensorData::zeros::<f32, _>([1]))));
    tensors.insert("layer2.fc.bias".to_owned(), TensorData::zeros::<f32, _>([2]));
    let error = names.adopt(&Weights::from_tensors(tensors), &[]).unwrap_err();
    let line = error.to_string();
    for words in [
        "another network: 4 missing, 1 misshapen, 9 unused: `bn{x}.bias` (our `norm.beta`) is missing; ",
        "`layer2.fc.bias` (our `blocks.1.bias`) has shape [2], needed [3]; `extra.0` is not used",
        "; and 7 more",
    ] {
        assert!(line.contains(words), "{line}");
    }
    let WeightsError::Mismatch { problems, .. } = error else { panic!("{line}") };
    assert_eq!((problems.len(), line.lines().count()), (14, 1));
}

/// Writes tensors of these names and reads them again: the names that are left, and those that stand beside.
fn unwrapped(names: &[&str]) -> (Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let tensors = names.iter().map(|name| ((*name).to_owned(), TensorData::zeros::<f32, _>([1])));
    let bytes = Weights::from_tensors(tensors.collect()).to_safetensors(&BTreeMap::new());
    std::fs::write(&path, bytes).unwrap();
    let (weights, beside) = read_checkpoint(&path).unwrap();
    (weights.tensors().keys().cloned().collect(), beside)
}

#[test]
fn a_wrapper_comes_off_and_takes_no_weight_with_it() {
    let cases: [(&[&str], &[&str], &[&str]); 6] = [
        (&["module.a", "module.b"], &["a", "b"], &[]),
        // Half of a language model has a wrapper, and its head has none.
        (&["lm_head.w", "model.a"], &["a", "lm_head.w"], &[]),
        (&["epoch", "optimizer.0", "state_dict.module.a"], &["a"], &["epoch", "optimizer.0"]),
        (&["model.a", "optimizer.0"], &["a"], &["optimizer.0"]),
        // Without the wrapper, two would be one.
        (&["a", "module.a"], &["a", "module.a"], &[]),
        (&["a"], &["a"], &[]),
    ];
    for (names, weights, beside) in cases {
        let found = unwrapped(names);
        assert!(found.0 == weights && found.1 == beside, "{names:?} {found:?}");
    }
    let (_, beside) = read_checkpoint(&fixture("checkpoint.pt")).unwrap();
    assert_eq!(beside, ["optimizer.state"]);
}

#[test]
fn files_of_pytorch_are_read_and_their_code_is_not_run() {
    // A plain state dict of half precision, one within a checkpoint, and one of the oldest format: see `weights.py`.
    let (wanted, _) = Weights::from_safetensors(&std::fs::read(fixture("weights.safetensors")).unwrap()).unwrap();
    for name in ["weights.safetensors", "weights.pth", "checkpoint.pt", "legacy.bin"] {
        assert_eq!(read_foreign(&fixture(name)).unwrap(), wanted, "{name}");
    }
    // Without a tensor; beside all the right ones, new and old; and before them, with its result thrown away.
    for name in ["code.pth", "tainted.pth", "tainted.bin", "hidden.pth"] {
        let error = read_foreign(&fixture(name)).unwrap_err().to_string();
        assert!(error.contains("not weights of PyTorch: its pickle asks for `posix.system`"), "{name}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    // All there is.
    let root = folder.path().join("root.pth");
    std::fs::write(&root, b"cposix\nsystem\n(S'touch homeostat-was-here'\ntR.").unwrap();
    let error = read_foreign(&root).unwrap_err().to_string();
    assert!(error.contains("its pickle asks for `posix.system`"), "{error}");
    assert!(!Path::new("homeostat-was-here").exists());
    let cut = folder.path().join("cut.safetensors");
    let whole = std::fs::read(fixture("weights.safetensors")).unwrap();
    std::fs::write(&cut, &whole[..whole.len() - 1]).unwrap();
    let error = read_foreign(&cut).unwrap_err().to_string();
    assert!(error.contains("cut short or damaged") && error.ends_with("fetch it again"), "{error}");
    for (name, bytes) in
        [("cut.pth", &std::fs::read(fixture("weights.pth")).unwrap()[..300]), ("none.safetensors", b"")]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = read_foreign(&path).unwrap_err().to_string();
        assert!(error.contains("not") && error.lines().count() == 1, "{error}");
    }
    assert!(read_foreign(Path::new("weights.onnx")).unwrap_err().to_string().contains("`onnx` is no ending"));
    assert!(read_foreign(Path::new("nowhere.safetensors")).is_err());
}

#[test]
fn a_star_stands_for_any_characters() {
    for (pattern, text, expected) in [
        ("*", "a.b", true),
        ("a.*", "a.b.c", true),
        ("*.bias", "a.0.bias", true),
        ("*.bias", "a.0.weight", false),
        ("a.*.w*", "a.0.weight", true),
        ("a", "ab", false),
    ] {
        assert_eq!(name_fits(pattern, text), expected, "{pattern} {text}");
    }
}
