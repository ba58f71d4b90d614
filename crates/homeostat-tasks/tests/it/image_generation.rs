//! Making pictures: the bound against float64 and its own differences, requests and their answers, and that every network learns.

use burn::{
    module::Module,
    optim::{AdamConfig, GradientsParams},
    tensor::{DType, Tensor, TensorData},
};
use homeostat_data::{Image, ImagePrepare, Normalize, PrepareStep, Rng, Shape};
use homeostat_models::{GanConfig, Posterior, UnetConfig, VaeConfig};
use homeostat_task::{Outcome, Task, Weights};
use homeostat_tasks::{
    AdversarialLoss, AdversaryConfig, AutoencoderConfig, Chance, DiffusionConfig, Elbo, GeneratedImage,
    GenerativeConfig, GenerativeModel, ImageGeneration, ImageGenerationConfig, InputShape, PenaltyConfig, PictureInput,
    PictureRequest, PictureSample, elbo, slopes,
};

use crate::{device, in_one_of_three_draws, line, noise, seeded};

const SHAPE: InputShape = InputShape { channels: 1, height: 12, width: 8 };

fn config(model: GenerativeConfig) -> ImageGenerationConfig {
    ImageGenerationConfig { input: Some(SHAPE), prepare: ImagePrepare::default(), model }
}

fn autoencoder(network: VaeConfig) -> AutoencoderConfig {
    AutoencoderConfig { network, ..AutoencoderConfig::default() }
}

/// Small networks of each kind.
fn models() -> Vec<GenerativeConfig> {
    let gan = |loss| AdversaryConfig { network: GanConfig { latent: 8, widths: vec![16, 16] }, loss, critic_steps: 1 };
    let penalty = AdversarialLoss::WassersteinPenalty(PenaltyConfig::default());
    let diffusion = |fresh| DiffusionConfig { network: UnetConfig { widths: vec![16, 32] }, steps: 20, fresh };
    let vaes = VaeConfig::examples().into_iter().map(|network| GenerativeConfig::Vae(autoencoder(network)));
    let gans = [AdversarialLoss::NonSaturating, penalty].map(|loss| GenerativeConfig::Gan(gan(loss)));
    let diffusions = [0.0, 1.0].map(|fresh| GenerativeConfig::Diffusion(diffusion(fresh)));
    vaes.chain(gans).chain(diffusions).collect()
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
    let reconstruction: f64 =
        numbers.scores.iter().zip(&numbers.levels).map(|(&s, &l)| unlikely(s, l)).sum::<f64>() / 2.0;
    let divergence: f64 =
        numbers.mean.iter().zip(&numbers.log_variance).map(|(&m, &v)| strips(m, v)).sum::<f64>() / 2.0;
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
    assert!(
        (loss - reconstruction - divergence).abs() < 1e-4 * loss && (loss + bound).abs() < 1e-4 * loss,
        "{plain:?}"
    );
    assert!(divergence > 0.0, "{plain:?}");
    for (beta, warmup, epoch, weight) in [
        (4.0, 0.0, 0.0, 4.0),
        (1.0, 2.0, 0.0, 0.0),
        (4.0, 2.0, 0.5, 1.0),
        (4.0, 2.0, 7.0, 4.0),
        (0.5, 2.0, f64::INFINITY, 0.5),
    ] {
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
        // To know eight pictures apart, latents have to lie further apart than the bound likes it.
        let GenerativeConfig::Vae(vae) = &model else { continue };
        let task = config(GenerativeConfig::Vae(AutoencoderConfig { beta: 0.1, ..vae.clone() })).init().unwrap();
        let (images, pure) = (bars(8), device.clone().inner());
        in_one_of_three_draws(|| {
            let mut network = task.init(&device).unwrap();
            let mut optimizer = AdamConfig::new().init();
            for step in 0..600 {
                let batch = task.collate(&inputs(&task, &images), &device);
                let chances: Vec<Chance> =
                    (0..8).map(|at| Chance { seed: 8 * step + at, epoch: 0.0, batch: step }).collect();
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

/// How far made pictures are from the nearest true one, in levels a pixel.
fn strangeness(made: &[Image], images: &[Image]) -> f64 {
    let off = |a: &Image, b: &Image| -> f64 {
        let levels = a.pixels().iter().zip(b.pixels()).map(|(a, b)| f64::from(a.abs_diff(*b)));
        levels.sum::<f64>() / a.pixels().len() as f64
    };
    let nearest = |image: &Image| images.iter().map(|other| off(image, other)).fold(f64::INFINITY, f64::min);
    made.iter().map(nearest).sum::<f64>() / made.len() as f64
}

/// A black picture, and one of the mean of all in each pixel: what is nearer to these.
fn flat(images: &[Image]) -> Vec<Image> {
    let shape = Shape { height: SHAPE.height, width: SHAPE.width, channels: SHAPE.channels };
    let mean = |at: usize| images.iter().map(|image| usize::from(image.pixels()[at])).sum::<usize>() / images.len();
    let mean: Vec<u8> = (0..shape.len()).map(|at| u8::try_from(mean(at)).unwrap()).collect();
    let flat = [Image::new(shape, vec![0; shape.len()]), Image::new(shape, mean)];
    let [black, mean] = [0, 1].map(|at| strangeness(&flat[at..=at], images));
    flat.into_iter().skip(usize::from(mean < black)).take(1).collect()
}

/// How many of the true pictures are the nearest one of some that are made.
fn kinds(made: &[Image], images: &[Image]) -> usize {
    let off = |image: &Image, other: usize| strangeness(std::slice::from_ref(image), &images[other..=other]);
    let nearest = |image: &Image| (0..images.len()).min_by(|&a, &b| off(image, a).total_cmp(&off(image, b)));
    made.iter().map(nearest).collect::<std::collections::BTreeSet<_>>().len()
}

#[test]
fn what_every_network_makes_comes_to_look_like_the_pictures_it_learns_from() {
    let (device, _guard) = seeded(3);
    let device = device.autodiff();
    // What is fresh in a step is of no matter to what is learnt.
    let is_new = |model: &GenerativeConfig| !matches!(model, GenerativeConfig::Diffusion(config) if config.fresh > 0.0);
    for model in models().into_iter().filter(is_new) {
        let task = config(model.clone()).init().unwrap();
        let (images, pure) = (bars(8), device.clone().inner());
        let (shown, rate) = (images.iter().cycle().take(16).cloned().collect::<Vec<_>>(), 3e-3);
        // Of eight pictures, a generator that is to be taken for true comes to make one alone.
        let collapses = matches!(&model, GenerativeConfig::Gan(gan) if gan.loss == AdversarialLoss::NonSaturating);
        let fewest = if collapses { 1 } else { 3 };
        // What a network reaches that has learnt nothing but how bright a pixel is.
        let dull = strangeness(&flat(&images), &images);
        let requests: Vec<PictureRequest> = (0..16).map(PictureRequest::Seed).collect();
        in_one_of_three_draws(|| {
            let mut network = task.init(&device).unwrap();
            let made = |network: &GenerativeModel| task.make(&network.valid(), &requests, &pure).unwrap();
            let beta = if matches!(model, GenerativeConfig::Gan(_)) { 0.5 } else { 0.9 };
            let mut optimizer = AdamConfig::new().with_beta_1(beta).init();
            let steps = if matches!(model, GenerativeConfig::Diffusion(_)) { 1200 } else { 600 };
            for step in 0..steps {
                let batch = task.collate(&inputs(&task, &shown), &device);
                let chances: Vec<Chance> =
                    (0..16).map(|at| Chance { seed: 16 * step + at, epoch: 0.0, batch: step }).collect();
                let gradients = task.loss(&network, batch, &chances).loss().backward();
                network = optimizer.step(rate, network.clone(), GradientsParams::from_grads(gradients, &network));
            }
            let made = made(&network);
            let (after, kinds) = (strangeness(&made, &images), kinds(&made, &images));
            if after < 0.7 * dull && kinds >= fewest {
                return Ok(());
            }
            Err(format!("{model:?}: {after} levels off (flat ones: {dull}), {kinds} kinds"))
        });
    }
}

/// The judgement `sum(weights x^2) / 2`, whose slope is `weights x`.
fn bowl(images: Tensor<4>, weights: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = images.dims();
    (images.clone() * images * weights * 0.5).reshape([batch, channels * height * width]).sum_dim(1)
}

/// The length of a slope and the gradient of it, by the slope's formula in plain numbers.
#[test]
fn a_slope_and_its_gradient_are_those_of_the_formula() {
    let device = device().autodiff();
    let mut rng = Rng::keyed(6, [0, 0, 0]);
    let mut some = |count: usize| (0..count).map(|_| rng.between(-1.0, 1.0)).collect::<Vec<f64>>();
    let (images, weights) = (some(12), some(6));
    let tensor = |values: &[f64], batch: usize, dtype| -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), [batch, 1, 2, 3]), (&device, dtype))
    };
    let lengths: Vec<f64> =
        images.chunks(6).map(|x| x.iter().zip(&weights).map(|(x, w)| (x * w).powi(2)).sum::<f64>().sqrt()).collect();
    // The penalty is the mean of (length - 1)^2.
    let gradient = |at: usize| -> f64 {
        let of = |(x, length): (&[f64], &f64)| (length - 1.0) * weights[at] * x[at] * x[at] / length;
        images.chunks(6).zip(&lengths).map(of).sum()
    };
    for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 1e-4)] {
        let leaf = tensor(&weights, 1, dtype).require_grad();
        let still = leaf.clone().detach();
        let found = slopes(tensor(&images, 2, dtype), |x| bowl(x, still.clone()), |x| bowl(x, leaf.clone()));
        let near = |found: &[f64], expected: &dyn Fn(usize) -> f64, what: &str| {
            for (at, found) in found.iter().enumerate() {
                assert!((found - expected(at)).abs() < tolerance, "{what} {at}: {found}, expected {}", expected(at));
            }
        };
        let host = |data: TensorData| data.convert_dtype(DType::F64).as_slice::<f64>().unwrap().to_vec();
        near(&host(found.clone().into_data()), &|at| lengths[at], "length");
        let steep = found - 1.0;
        let gradients = (steep.clone() * steep).mean().backward();
        near(&host(leaf.grad(&gradients).unwrap().into_data()), &gradient, "gradient");
    }
}

#[test]
fn each_of_two_that_play_learns_in_its_turn_alone() {
    let (device, _guard) = seeded(5);
    let device = device.autodiff();
    for model in models() {
        let GenerativeConfig::Gan(gan) = model else { continue };
        let task = config(GenerativeConfig::Gan(AdversaryConfig { critic_steps: 3, ..gan })).init().unwrap();
        let network = task.init(&device).unwrap();
        let learning = |batch: u64| {
            let chances: Vec<Chance> = (0..4).map(|seed| Chance { seed, epoch: 0.0, batch }).collect();
            let outcome = task.loss(&network, task.collate(&inputs(&task, &bars(4)), &device), &chances);
            let loss = outcome.loss().into_scalar::<f64>();
            let gradients = GradientsParams::from_grads(outcome.loss().backward(), &network);
            (gradients, loss)
        };
        let [(first, other), (_, _), (third, loss)] = [0, 1, 2].map(learning);
        assert!((loss - other).abs() < 1e-4 * loss.abs().max(1.0), "the loss is that of both: {loss}, {other}");
        let critic = Weights::of(&network).tensors().keys().filter(|name| name.contains("critic")).count();
        assert_eq!(first.len(), critic, "the critic alone");
        assert!(third.len() > critic, "both");
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
        let of_seed_alone = matches!(&task.config().model, GenerativeConfig::Diffusion(config) if config.fresh > 0.0);
        let is_its_latent = task.agree(first, &together[requests.len() - 1], 1e-4);
        assert!(of_seed_alone || is_its_latent, "a seed is its latent, where nothing else is drawn");
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
    assert!(
        near(&between(0.0), &place(PictureRequest::Seed(1))) && near(&between(1.0), &place(PictureRequest::Seed(2)))
    );
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
        ("no picture", "neither PNG"),
    ] {
        let found = ask(request.as_bytes());
        assert!(found.contains(words), "{request}: {found}");
    }
    for model in models().into_iter().skip(3) {
        let found = line(&config(model).init().unwrap().read(&bars(1)[0].encode_png()).unwrap_err());
        assert!(found.contains("looks at none"), "{found}");
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
    let steps = AdversaryConfig { critic_steps: 0, ..AdversaryConfig::default() };
    let weight = AdversarialLoss::WassersteinPenalty(PenaltyConfig { weight: 0.0 });
    let weight = AdversaryConfig { loss: weight, ..AdversaryConfig::default() };
    let fresh = DiffusionConfig { fresh: 1.5, ..DiffusionConfig::default() };
    let odd = DiffusionConfig { network: UnetConfig { widths: vec![12] }, ..DiffusionConfig::default() };
    for (model, words) in [
        (GenerativeConfig::Gan(steps), "critic-steps"),
        (GenerativeConfig::Gan(weight), "weight"),
        (GenerativeConfig::Diffusion(fresh), "fresh"),
        (GenerativeConfig::Diffusion(odd), "multiples of 8"),
    ] {
        let found = line(&config(model).init().unwrap_err());
        assert!(found.contains(words), "{found}");
    }
    let three = autoencoder(VaeConfig { widths: vec![4, 4, 4], ..VaeConfig::default() });
    let found = line(&vae(three).init().unwrap().init(&device()).unwrap_err());
    assert!(found.contains("12 x 8") && found.contains("halved"), "{found}");
}
