//! Real pretrained weights the whole way, from the bytes of pictures to scores, if the variable `HOMEOSTAT_DATA` names a folder
//! that has them; skipped otherwise. (`homeostat-models` feeds the same networks with the tensors of their references.)

#![allow(clippy::print_stderr, reason = "who runs the tests should see what is skipped, and what was found")]

use std::path::{Path, PathBuf};

use burn::{
    module::Module,
    nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, conv::Conv2d, conv::Conv2dConfig},
    tensor::{
        DType, Device, Tensor, TensorData,
        activation::{log_softmax, relu},
    },
};
use homeostat_data::{
    CenterCrop, Cifar10Config, DataRoot, Filter, Given, IdxConfig, Image, ImagePrepare, Normalize, PrepareStep, Resize,
    ResizeMode, Shape, Size, Source, SourceConfig,
};
use homeostat_models::{Expects, ImageModel, KnownNetwork};
use homeostat_task::{ForeignNames, Task, read_foreign};
use homeostat_tasks::{ImageBatch, ImageClassification, ImageClassificationConfig, InputShape};
use safetensors::SafeTensors;

use crate::device;

const BATCH: usize = 100;

/// A path below the folder of data, if it is there.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(&std::env::var_os("HOMEOSTAT_DATA").unwrap_or_default()).join(name);
    if !path.exists() {
        eprintln!("skipped: {name} is not below HOMEOSTAT_DATA");
    }
    path.exists().then_some(path)
}

/// A tensor of a file that holds others, too.
fn tensor(path: &Path, name: &str) -> TensorData {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor(name).unwrap();
    let dtype = match view.dtype() {
        safetensors::Dtype::U8 => DType::U8,
        safetensors::Dtype::I64 => DType::I64,
        other => {
            assert_eq!(other, safetensors::Dtype::F32);
            DType::F32
        }
    };
    TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype)
}

/// The pictures of levels `[count, channels, height, width]`, as files.
fn files(levels: &[u8], shape: &[usize]) -> Vec<Vec<u8>> {
    let &[_, channels, height, width] = shape else { panic!("{shape:?}") };
    let plane = height * width;
    let picture = |planes: &[u8]| {
        let pixels = (0..plane).flat_map(|at| (0..channels).map(move |channel| planes[channel * plane + at]));
        Image::new(Shape { height, width, channels }, pixels.collect()).encode_png()
    };
    levels.chunks_exact(channels * plane).map(picture).collect()
}

/// Resized, cropped and normalised, as published weights expect it.
fn expected(known: &KnownNetwork) -> ImagePrepare {
    let Expects { resize, bicubic, mean, std } = known.expects;
    let filter = if bicubic { Filter::Bicubic } else { Filter::Bilinear };
    ImagePrepare(vec![
        PrepareStep::Resize(Resize { size: Size::Square(resize), mode: ResizeMode::ShorterSide, filter }),
        PrepareStep::CenterCrop(CenterCrop { size: Size::Square(known.input.height), fill: 0 }),
        PrepareStep::Normalize(Normalize { mean: mean.to_vec(), std: std.to_vec() }),
    ])
}

/// A known network's task with its published weights.
fn open(name: &str, weights: &Path, prepare: ImagePrepare) -> (ImageClassification, ImageModel) {
    let known = KnownNetwork::find(name).unwrap();
    let task = ImageClassificationConfig {
        labels: known.labels().into_iter().map(str::to_owned).collect(),
        input: Some(InputShape {
            channels: known.input.channels,
            height: known.input.height,
            width: known.input.width,
        }),
        prepare,
        model: known.config.clone(),
        ..ImageClassificationConfig::default()
    };
    let task = task.init().unwrap();
    let network = task.init(&device()).unwrap();
    let theirs = read_foreign(weights).unwrap();
    let tables = known.config.names().into_iter().map(|table| ForeignNames::of(&network, &table.rows).unwrap());
    let names = tables.max_by_key(|names| names.hits(&theirs)).unwrap();
    let network = names.adopt(&theirs, &[]).unwrap().apply(network).unwrap();
    (task, network)
}

/// What a network says of files: read, prepared, collated, sent through.
fn said(
    task: &ImageClassification,
    files: impl IntoIterator<Item = Vec<u8>>,
    forward: impl Fn(Tensor<4>) -> Tensor<2>,
) -> Vec<Vec<f32>> {
    let inputs: Vec<Image> = files.into_iter().map(|file| task.prepare(task.read(&file).unwrap()).unwrap()).collect();
    let batches = inputs.chunks(BATCH).map(|batch| {
        let ImageBatch(images) = task.collate(batch, &device());
        forward(images)
    });
    batches.flat_map(rows).collect()
}

fn rows(scores: Tensor<2>) -> Vec<Vec<f32>> {
    let [_, classes] = scores.dims();
    let data = scores.into_data();
    data.as_slice::<f32>().unwrap().chunks_exact(classes).map(<[f32]>::to_vec).collect()
}

/// The largest difference, in parts of the largest score; all are finite, for `f32::max` passes over NaN.
fn apart(found: &[Vec<f32>], wanted: &TensorData) -> f32 {
    let (found, wanted) = (found.concat(), wanted.as_slice::<f32>().unwrap());
    assert_eq!(found.len(), wanted.len());
    assert!(found.iter().chain(wanted).all(|score| score.is_finite()), "not all is finite");
    let apart = found.iter().zip(wanted).map(|(found, wanted)| (found - wanted).abs()).fold(0.0, f32::max);
    apart / wanted.iter().fold(0.0, |largest: f32, score| largest.max(score.abs()))
}

fn best(scores: &[f32]) -> usize {
    let largest = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    largest.unwrap().0
}

/// How many samples of a source, each written as a file, get the right class.
fn right(
    task: &ImageClassification,
    source: &Source,
    samples: impl Iterator<Item = usize> + Clone,
    forward: impl Fn(Tensor<4>) -> Tensor<2>,
) -> usize {
    let files = samples.clone().map(|sample| source.get(sample).unwrap().encode_png());
    let found = said(task, files, forward);
    found.iter().zip(samples).filter(|(scores, sample)| best(scores) == source.label(*sample)).count()
}

#[test]
fn resnets_for_cifar_answer_files_as_their_references_and_know_what_they_were_trained_on() {
    let Some(folder) = shared("models/resnet-cifar10") else { return };
    for (depth, wanted) in [(20, 3992), (56, 4000)] {
        let name = format!("cifar_resnet{depth}");
        let prepare = expected(&KnownNetwork::find(&name).unwrap());
        let (task, network) = open(&name, &folder.join(format!("resnet{depth}.safetensors")), prepare);
        let reference = folder.join(format!("resnet{depth}-reference.safetensors"));
        let images = tensor(&reference, "images_u8");
        let files = files(images.as_slice::<u8>().unwrap(), &images.shape().to_vec());
        let found = said(&task, files, |images| network.forward(images));
        let apart = apart(&found, &tensor(&reference, "logits"));
        assert!(apart <= 1e-4, "{name}: {apart} apart");

        if shared("cifar10-lossless-4000").is_none() {
            continue;
        }
        let config = Cifar10Config { folder: "cifar10-lossless-4000".into() };
        let source = SourceConfig::Cifar10(config).open(&DataRoot::new(std::env::var_os("HOMEOSTAT_DATA"))).unwrap();
        let found = right(&task, &source, 0..source.len(), |images| network.forward(images));
        eprintln!("{name}: {apart:.1e} apart, {found} of {} right", source.len());
        assert_eq!((found, source.len()), (wanted, 4000), "{name}");
    }
}

/// The reference was made with Pillow, and with (level - 127) / 128; timm, and so the registry, has the levels in -1..1.
#[test]
fn efficientnet_lite0_answers_files_as_its_reference() {
    let Some(folder) = shared("models/efficientnet-lite0") else { return };
    let mut known = KnownNetwork::find("tf_efficientnet_lite0").unwrap();
    (known.expects.mean, known.expects.std) = ([127.0 / 255.0; 3], [128.0 / 255.0; 3]);
    let (weights, reference) = (folder.join("efficientnet-lite0.safetensors"), folder.join("reference.safetensors"));
    let (input, logits) = (tensor(&reference, "input"), tensor(&reference, "logits"));

    // Its pictures as they were after resizing: nothing but the weights and the normalisation is left to differ.
    let levels = input.as_slice::<f32>().unwrap().iter().map(|value| value * 128.0 + 127.0);
    #[expect(clippy::cast_possible_truncation, reason = "levels, checked to be whole")]
    let levels: Vec<u8> = levels
        .map(|level| {
            assert!((level - level.round()).abs() < 1e-3 && (0.0..=255.0).contains(&level), "{level}");
            level.round() as u8
        })
        .collect();
    let normalize = ImagePrepare(expected(&known).0.split_off(2));
    let (task, network) = open(known.name, &weights, normalize);
    let found = said(&task, files(&levels, &input.shape().to_vec()), |images| network.forward(images));
    let apart_of_pixels = apart(&found, &logits);
    assert!(apart_of_pixels <= 1e-4, "{apart_of_pixels} apart");

    // The four photographs themselves, resized and cropped by us; decoders of JPEG differ by a few levels.
    let daisies =
        ["102841525_bd6628ae3c", "10712722853_5632165b04", "11834945233_a53b7a92ac_m", "13826249325_f61cb15f86_n"];
    let Some(flowers) = shared("flowers5-224/val/daisy") else { return };
    let (task, network) = open(known.name, &weights, expected(&known));
    let files = daisies.map(|name| std::fs::read(flowers.join(format!("{name}.jpg"))).unwrap());
    let found = said(&task, files, |images| network.forward(images));
    let first = logits.as_slice::<f32>().unwrap()[..4 * 1000].to_vec();
    let apart_of_files = apart(&found, &TensorData::new(first.clone(), [4, 1000]));
    eprintln!("efficientnet-lite0: {apart_of_pixels:.1e} apart from pixels, {apart_of_files:.1e} from files");
    assert!(apart_of_files <= 0.02, "{apart_of_files} apart");
    for (found, wanted) in found.iter().zip(first.chunks_exact(1000)) {
        assert_eq!(task.labels()[best(found)], task.labels()[best(wanted)]);
    }
}

/// A network that is not of the zoo: Burn's example for digits.
#[derive(Module, Debug)]
struct Digits {
    convs: Vec<Conv2d>,
    norm1: BatchNorm,
    dense: Vec<Linear>,
    norm2: BatchNorm,
}

impl Digits {
    fn new(device: &Device) -> Self {
        let conv = |channels| Conv2dConfig::new(channels, [3, 3]).init(device);
        Self {
            convs: vec![conv([1, 8]), conv([8, 16]), conv([16, 24])],
            norm1: BatchNormConfig::new(24).init(device),
            dense: vec![LinearConfig::new(11_616, 32).init(device), LinearConfig::new(32, 10).init(device)],
            norm2: BatchNormConfig::new(10).init(device),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.convs.iter().fold(images, |x, conv| relu(conv.forward(x)));
        let x: Tensor<2> = self.norm1.forward(x).flatten(1, 3);
        let x = self.dense[1].forward(relu(self.dense[0].forward(x)));
        log_softmax(self.norm2.forward(x), 1)
    }
}

#[test]
fn a_network_of_ones_own_takes_weights_by_a_table_of_its_own() {
    let Some(folder) = shared("models/burn-mnist-cnn") else { return };
    let rows = [("convs.{c}", "conv{c+1}"), ("dense.{d}", "fc{d+1}"), ("norm1", "norm1"), ("norm2", "norm2")];
    let rows = rows.map(|(ours, theirs)| (ours.to_owned(), theirs.to_owned()));
    let network = Digits::new(&device());
    let names = ForeignNames::of(&network, &rows).unwrap();
    let theirs = read_foreign(&folder.join("mnist.safetensors")).unwrap();
    let network = names.adopt(&theirs, &[]).unwrap().apply(network).unwrap();
    let reference = folder.join("reference.safetensors");
    let wanted = tensor(&reference, "log_softmax");
    let images = Tensor::<4>::from_data(tensor(&reference, "input"), &device());
    let of_tensor = apart(&self::rows(network.forward(images)), &wanted);
    assert!(of_tensor <= 1e-4, "{of_tensor} apart");

    if shared("mnist").is_none() {
        return;
    }
    let normalize = Normalize { mean: vec![0.1307], std: vec![0.3081] };
    let task = ImageClassificationConfig {
        labels: (0..10).map(|digit| digit.to_string()).collect(),
        input: Some(InputShape { channels: 1, height: 28, width: 28 }),
        prepare: ImagePrepare(vec![PrepareStep::Normalize(normalize)]),
        ..ImageClassificationConfig::default()
    };
    let task = task.init().unwrap();
    let root = DataRoot::new(std::env::var_os("HOMEOSTAT_DATA"));
    let source = SourceConfig::Idx(IdxConfig::default()).open(&root).unwrap();
    let test = (0..source.len()).filter(|&sample| source.given(sample) == Some(Given::Test));
    let test: Vec<usize> = test.collect();
    // The reference is of the first 16 pictures of the test part.
    let files = test[..16].iter().map(|&sample| source.get(sample).unwrap().encode_png());
    let of_files = apart(&said(&task, files, |images| network.forward(images)), &wanted);
    assert!(of_files <= 1e-4, "{of_files} apart");
    let found = right(&task, &source, test.iter().copied(), |images| network.forward(images));
    eprintln!("digits: {of_files:.1e} apart, {found} of {} right", test.len());
    assert_eq!((found, test.len()), (9917, 10_000));
}
