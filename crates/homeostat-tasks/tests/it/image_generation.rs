//! Making pictures: the bound against float64 and its own differences, requests and their answers, and that every network learns.

use burn::{
    module::Module,
    optim::{AdamConfig, GradientsParams},
    tensor::{DType, Tensor, TensorData},
};
use homeostat_data::{Image, ImagePrepare, Normalize, PrepareStep, Rng, Shape};
use homeostat_models::{Posterior, VaeConfig};
use homeostat_task::{Outcome, Task};
use homeostat_tasks::{
    AutoencoderConfig, Chance, Elbo, GeneratedImage, GenerativeConfig, ImageGeneration, ImageGenerationConfig,
    InputShape, PictureInput, PictureRequest, PictureSample, elbo,
};

use crate::{device, in_one_of_three_draws, line, noise, seeded};

const SHAPE: InputShape = InputShape { channels: 1, height: 12, width: 8 };

fn config(model: GenerativeConfig) -> ImageGenerationConfig {
    ImageGenerationConfig { input: Some(SHAPE), prepare: ImagePrepare::default(), model }
}

fn autoencoder(network: VaeConfig) -> AutoencoderConfig {
    AutoencoderConfig { network, ..AutoencoderConfig::default() }
}

/// A small network of each kind.
fn models() -> Vec<GenerativeConfig> {
    VaeConfig::examples().into_iter().map(|network| GenerativeConfig::Vae(autoencoder(network))).collect()
}

fn vae() -> ImageGeneration {
    config(models()[1].clone()).init().unwrap()
}

/// Pictures of bars, one at another place in each.
fn bars(count: usize) -> Vec<Image> {
    let InputShape { channels, height, width } = SHAPE;
    let shape = Shape { height, width, channels };
    let level = |at: usize, bar: usize| if at / width == bar || at % width == bar { 255 } else { 0 };
    (0..count).map(|bar| Image::new(shape, (0..shape.len()).map(|at| level(at, bar)).collect())).collect()
}

fn inputs(task: &ImageGeneration, images: &[Image]) -> Vec<PictureInput> {
    images.iter().map(|image| task.prepare(PictureSample::Picture(image.clone())).unwrap()).collect()
}

fn chances(count: usize, epoch: f64) -> Vec<Chance> {
    (0..count as u64).map(|seed| Chance { seed, epoch, batch: 0 }).collect()
}

/// Scores, levels, means and logarithms of variances of two pictures.
struct Numbers {
    scores: Vec<f64>,
    levels: Vec<f64>,
    mean: Vec<f64>,
    log_variance: Vec<f64>,
}

fn numbers() -> Numbers {
    let mut rng = Rng::keyed(5, [0, 0, 0]);
    let mut some = |count: usize, low, high| (0..count).map(|_| rng.between(low, high)).collect::<Vec<f64>>();
    let (mut scores, mut levels) = (some(14, -4.0, 4.0), some(14, 0.0, 1.0));
    (scores[0], scores[1], levels[2], levels[3]) = (-40.0, 40.0, 0.0, 1.0);
    Numbers { scores, levels, mean: some(6, -2.0, 2.0), log_variance: some(6, -3.0, 1.5) }
}

fn rows(values: &[f64], dtype: DType) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [2, values.len() / 2]);
    Tensor::from_data(data, (&device().autodiff(), dtype))
}

fn of(numbers: &Numbers, dtype: DType) -> ([Tensor<2>; 3], Elbo) {
    let leaves = [&numbers.scores, &numbers.mean, &numbers.log_variance].map(|v| rows(v, dtype).require_grad());
    let [scores, mean, log_variance] = leaves.clone();
    (leaves, elbo(scores, rows(&numbers.levels, dtype), Posterior { mean, log_variance }))
}

/// Minus the logarithm of how likely a level is, from the probability itself.
fn unlikely(score: f64, level: f64) -> f64 {
    let softplus = |x: f64| if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() };
    level * softplus(-score) + (1.0 - level) * softplus(score)
}

/// The divergence of a normal distribution from the standard one, as the sum over narrow strips.
fn strips(mean: f64, log_variance: f64) -> f64 {
    const STRIP: f64 = 1e-3;
    let deviation = (0.5 * log_variance).exp();
    let log_density = |x: f64, mean: f64, deviation: f64| {
        let z = (x - mean) / deviation;
        -0.5 * z * z - deviation.ln() - 0.5 * (2.0 * std::f64::consts::PI).ln()
    };
    let strip = |at: i32| {
        let x = mean + deviation * STRIP * f64::from(at);
        let own = log_density(x, mean, deviation);
        own.exp() * (own - log_density(x, 0.0, 1.0)) * STRIP * deviation
    };
    (-9000..=9000).map(strip).sum()
}

#[test]
fn the_bound_is_that_of_float64() {
    let numbers = numbers();
    let reconstruction: f64 = numbers.scores.iter().zip(&numbers.levels).map(|(&s, &l)| unlikely(s, l)).sum::<f64>() / 2.0;
    let divergence: f64 = numbers.mean.iter().zip(&numbers.log_variance).map(|(&m, &v)| strips(m, v)).sum::<f64>() / 2.0;
    for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 1e-5)] {
        let (_, found) = of(&numbers, dtype);
        for (found, expected) in [(found.reconstruction, reconstruction), (found.divergence, divergence)] {
            let found = found.into_scalar::<f64>();
            assert!((found - expected).abs() < tolerance * expected, "{found}, expected {expected} in {dtype:?}");
        }
    }
}

#[test]
fn the_gradient_of_the_bound_is_that_of_finite_differences() {
    const STEP: f64 = 1e-5;
    let value = |numbers: &Numbers| {
        let (_, Elbo { reconstruction, divergence }) = of(numbers, DType::F64);
        (reconstruction + divergence).into_scalar::<f64>()
    };
    let (leaves, Elbo { reconstruction, divergence }) = of(&numbers(), DType::F64);
    let gradients = (reconstruction + divergence).backward();
    let places: [fn(&mut Numbers) -> &mut Vec<f64>; 3] = [|n| &mut n.scores, |n| &mut n.mean, |n| &mut n.log_variance];
    for (leaf, place) in leaves.iter().zip(places) {
        let gradient = leaf.grad(&gradients).unwrap().into_data_dtype(DType::F64);
        for (at, &gradient) in gradient.as_slice::<f64>().unwrap().iter().enumerate() {
            let moved = |by: f64| {
                let mut numbers = numbers();
                place(&mut numbers)[at] += by;
                value(&numbers)
            };
            let difference = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            assert!((gradient - difference).abs() < 1e-7, "{at}: {gradient}, differences give {difference}");
        }
    }
}

#[test]
fn beta_and_its_warmup_weigh_the_divergence_alone() {
    let (device, _guard) = seeded(1);
    let measured = |beta: f64, warmup_epochs: f64, epoch: f64| {
        let model = AutoencoderConfig { beta, warmup_epochs, ..autoencoder(VaeConfig::examples()[0].clone()) };
        let task = config(GenerativeConfig::Vae(model)).init().unwrap();
        device.seed(4);
        let network = task.init(&device).unwrap();
        let batch = task.collate(&inputs(&task, &bars(3)), &device);
        task.loss(&network, batch, &chances(3, epoch)).record().means
    };
    let plain = measured(1.0, 0.0, 0.0);
    let [loss, bound, reconstruction, divergence] = plain[..] else { panic!("{plain:?}") };
    assert!((loss - reconstruction - divergence).abs() < 1e-4 * loss && (loss + bound).abs() < 1e-4 * loss, "{plain:?}");
    assert!(divergence > 0.0, "{plain:?}");
    for (beta, warmup, epoch, weight) in
        [(4.0, 0.0, 0.0, 4.0), (1.0, 2.0, 0.0, 0.0), (4.0, 2.0, 0.5, 1.0), (4.0, 2.0, 7.0, 4.0), (0.5, 2.0, f64::INFINITY, 0.5)]
    {
        let found = measured(beta, warmup, epoch);
        let expected = reconstruction + weight * divergence;
        assert!((found[0] - expected).abs() < 1e-4 * expected, "beta {beta}, {warmup} epochs, at {epoch}: {found:?}");
        assert_eq!(found[1..], plain[1..], "the figures are those of the bound");
    }
}

#[test]
fn what_is_drawn_depends_on_the_chance_alone() {
    let (device, _guard) = seeded(1);
    let task = vae();
    let network = task.init(&device).unwrap();
    let batch = || task.collate(&inputs(&task, &bars(3)), &device);
    let means = |chances: &[Chance]| task.loss(&network, batch(), chances).record().means;
    let first = means(&chances(3, 0.0));
    device.seed(77);
    assert_eq!(means(&chances(3, 0.0)), first);
    assert_ne!(means(&chances(4, 0.0)[1..]), first);
}

#[test]
fn every_autoencoder_learns_eight_pictures_by_heart() {
    let (device, _guard) = seeded(3);
    let device = device.autodiff();
    for model in models() {
        let task = config(model.clone()).init().unwrap();
        if !task.reconstructs() {
            continue;
        }
        let (images, pure) = (bars(8), device.clone().inner());
        in_one_of_three_draws(|| {
            let mut network = task.init(&device).unwrap();
            let mut optimizer = AdamConfig::new().init();
            for step in 0..300 {
                let batch = task.collate(&inputs(&task, &images), &device);
                let chances: Vec<Chance> = (0..8).map(|at| Chance { seed: 8 * step + at, epoch: 0.0, batch: step }).collect();
                let gradients = task.loss(&network, batch, &chances).loss().backward();
                network = optimizer.step(5e-3, network.clone(), GradientsParams::from_grads(gradients, &network));
            }
            let network = network.valid();
            let found = task.reconstruct(&network, &images, &pure).unwrap();
            let off = |(a, b): (&Image, &Image)| {
                let wrong = a.pixels().iter().zip(b.pixels()).filter(|(a, b)| a.abs_diff(**b) > 100);
                wrong.count()
            };
            let wrong: usize = images.iter().zip(&found).map(off).sum();
            if wrong <= 4 { Ok(()) } else { Err(format!("{model:?}: {wrong} pixels are wrong")) }
        });
    }
}

#[test]
fn an_answer_is_the_same_alone_and_in_a_mixed_batch() {
    let (device, _guard) = seeded(5);
    for model in models() {
        let task = config(model).init().unwrap();
        let network = task.init(&device).unwrap();
        let between = PictureRequest::Between { seeds: [3, 4], at: 0.25 };
        let mut requests = vec![PictureRequest::Seed(7).to_bytes(), between.to_bytes()];
        requests.push(PictureRequest::Latent(task.latent_of(7)).to_bytes());
        if task.reconstructs() {
            requests.insert(1, bars(1)[0].encode_png());
        }
        let ready = |request: &Vec<u8>| task.prepare(task.read(request).unwrap()).unwrap();
        let together: Vec<PictureInput> = requests.iter().map(ready).collect();
        let together = task.respond(&network, task.collate(&together, &device));
        let first = &together[0];
        assert!(task.agree(first, &together[requests.len() - 1], 1e-4), "a seed is its latent");
        for (request, expected) in requests.iter().zip(&together) {
            let alone = task.respond(&network, task.collate(&[ready(request)], &device)).remove(0);
            assert!(task.agree(expected, &alone, 1e-4));
            let json: GeneratedImage = serde_json::from_str(&serde_json::to_string(&alone).unwrap()).unwrap();
            assert_eq!(InputShape::from(json.image().unwrap().shape()), SHAPE);
        }
        let other = ready(&PictureRequest::Seed(8).to_bytes());
        let other = task.respond(&network, task.collate(&[other], &device)).remove(0);
        assert!(!task.agree(first, &other, 1e-4), "another seed is another picture");
    }
}

#[test]
fn a_way_begins_and_ends_at_its_seeds() {
    let task = vae();
    let place = |request| match task.prepare(PictureSample::Asked(request)).unwrap() {
        PictureInput::Latent { values, .. } => values,
        PictureInput::Picture(_) => panic!("a request is no picture"),
    };
    let between = |at| place(PictureRequest::Between { seeds: [1, 2], at });
    let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(near(&between(0.0), &place(PictureRequest::Seed(1))) && near(&between(1.0), &place(PictureRequest::Seed(2))));
    let length = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
    let [start, middle, end] = [0.0, 0.5, 1.0].map(|at| length(&between(at)));
    assert!(middle > 0.9 * start.min(end), "an arc, not a line: {start} {middle} {end}");
}

#[test]
fn what_cannot_be_answered_is_refused_in_one_line() {
    let task = vae();
    let ask = |bytes: &[u8]| line(&task.read(bytes).and_then(|sample| task.prepare(sample)).unwrap_err());
    for (request, words) in [
        (r#"{"sed": 7}"#, "sed"),
        (r#"{"seed": -1}"#, "-1"),
        (r#"{"latent": [1.0]}"#, "has 1 numbers, but the network takes 8"),
        (r#"{"between": {"seeds": [1, 2], "at": 1.5}}"#, "from 0 to 1"),
        ("no picture", "picture"),
    ] {
        let found = ask(request.as_bytes());
        assert!(found.contains(words), "{request}: {found}");
    }
    let found = ask(&noise(1, 9, 9, 1)[0].encode_png());
    assert!(found.contains("9 x 9") && found.contains("12 x 8"), "{found}");
}

#[test]
fn settings_that_make_no_task_are_refused_in_one_line() {
    let vae = |model| config(GenerativeConfig::Vae(model));
    let beta = AutoencoderConfig { beta: 0.0, ..AutoencoderConfig::default() };
    let warmup = AutoencoderConfig { warmup_epochs: f64::NAN, ..AutoencoderConfig::default() };
    let latent = autoencoder(VaeConfig { latent: 0, ..VaeConfig::default() });
    let normalized = ImageGenerationConfig {
        prepare: ImagePrepare(vec![PrepareStep::Normalize(Normalize::default())]),
        ..vae(AutoencoderConfig::default())
    };
    let unknown = ImageGenerationConfig { input: None, ..vae(AutoencoderConfig::default()) };
    for (config, words) in [
        (vae(beta), "beta"),
        (vae(warmup), "warmup-epochs"),
        (vae(latent), "latent"),
        (normalized, "normalises"),
        (unknown, "input"),
    ] {
        let found = line(&config.init().unwrap_err());
        assert!(found.contains(words), "{found}");
    }
    let three = autoencoder(VaeConfig { widths: vec![4, 4, 4], ..VaeConfig::default() });
    let found = line(&vae(three).init().unwrap().init(&device()).unwrap_err());
    assert!(found.contains("12 x 8") && found.contains("halved"), "{found}");
}
