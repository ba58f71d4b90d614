//! How pictures are made out of noise, a little at a time: a network learns to tell the noise in a picture, and is then asked again and
//! again (Ho et al. 2020; Song et al. 2021). It does not know the network's layers.

use burn::tensor::{Device, Tensor, TensorData};
use homeostat_data::{Rng, stream};
use homeostat_models::{Unet, UnetConfig};
use homeostat_task::TaskError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Chance, GenerationOutcome, normal, normal_rows, wrong};
use crate::InputShape;

/// A network that takes noise away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DiffusionConfig {
    /// The network.
    pub network: UnetConfig,
    /// Steps in which a picture is made, at least 1; more make it better.
    pub steps: usize,
    /// How much of the noise that a step takes away is replaced by fresh noise, from 0 (DDIM: the noise at the start determines the
    /// picture) to 1 (DDPM).
    pub fresh: f64,
}

impl Default for DiffusionConfig {
    fn default() -> Self {
        Self { network: UnetConfig::default(), steps: 50, fresh: 0.0 }
    }
}

/// The mean square of what the network takes for noise and is none, a number of a pixel.
pub(super) const FIGURES: &[(&str, bool)] = &[("loss", false)];

/// Times at which noise is looked at: strips of 0..=1, each met by as many samples of a part that is measured.
const STRIPS: u64 = 1000;

impl DiffusionConfig {
    pub(super) fn check(&self, key: &str) -> Result<(), TaskError> {
        self.network.check().map_err(|error| wrong(&error))?;
        if !(1..=1000).contains(&self.steps) {
            return Err(TaskError::new(format!("`{key}.steps` is {}, but must lie in 1..=1000", self.steps)));
        }
        if !(0.0..=1.0).contains(&self.fresh) {
            return Err(TaskError::new(format!("`{key}.fresh` is {}, but must lie in 0..=1", self.fresh)));
        }
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "the network computes in single precision")]
    pub(super) fn outcome(&self, unet: &Unet, pictures: Tensor<4>, truths: &[Chance]) -> GenerationOutcome {
        let device = pictures.device();
        let [_, channels, height, width] = pictures.dims();
        let noise = normal_rows(truths, "noise", channels * height * width, &device).reshape(pictures.dims());
        let time = |chance: &Chance| {
            let strip = Rng::keyed(chance.seed, [0, 0, stream("time", 0)]).next_u64() % STRIPS;
            (strip as f64 + 0.5) / STRIPS as f64
        };
        let times: Vec<f64> = truths.iter().map(time).collect();
        let column = |of: fn(f64) -> f64| {
            let values: Vec<f32> = times.iter().map(|&time| of(time) as f32).collect();
            Tensor::<4>::from_data(TensorData::new(values, [truths.len(), 1, 1, 1]), &device)
        };
        let noisy = (pictures * 2.0 - 1.0) * column(|time| kept(time).sqrt())
            + noise.clone() * column(|time| (1.0 - kept(time)).sqrt());
        let off = unet.forward(noisy, row(&times, &device)) - noise;
        GenerationOutcome { loss: (off.clone() * off).mean(), figures: Vec::new(), samples: truths.len() }
    }

    /// Noise to levels from 0 to 1.
    pub(super) fn made(&self, unet: &Unet, noise: Tensor<2>, (input, seeds): (InputShape, &[u64])) -> Tensor<4> {
        let (device, batch) = (noise.device(), seeds.len());
        let InputShape { channels, height, width } = input;
        let shape = [batch, channels, height, width];
        let mut x: Tensor<4> = noise.reshape(shape);
        for step in (0..self.steps).rev() {
            let [from, to] = [step + 1, step].map(|at| self.time(at));
            let [before, after] = [kept(from), kept(to)];
            let found = unet.forward(x.clone(), row(&vec![from; batch], &device));
            let picture = ((x.clone() - found * (1.0 - before).sqrt()) * (1.0 / before.sqrt())).clamp(-1.0, 1.0);
            // What is cut away was no picture: so it counts as noise.
            let found = (x - picture.clone() * before.sqrt()) * (1.0 / (1.0 - before).sqrt());
            let fresh = self.fresh_noise(before, after);
            x = picture * after.sqrt() + found * (1.0 - after - fresh * fresh).max(0.0).sqrt();
            if fresh > 0.0 {
                let what = format!("step-{step}");
                let rows: Vec<f32> =
                    seeds.iter().flat_map(|&seed| normal(seed, &what, channels * height * width)).collect();
                x = x + Tensor::<4>::from_data(TensorData::new(rows, shape), &device) * fresh;
            }
        }
        ((x + 1.0) * 0.5).clamp(0.0, 1.0)
    }

    /// The time before the steps from this one on: 0 where a picture is done, and nearly 1 at the start.
    fn time(&self, step: usize) -> f64 {
        const START: f64 = 1.0 - 0.5 / STRIPS as f64;
        START * step as f64 / self.steps as f64
    }

    /// The deviation of the noise that a step adds, between the shares of the picture before and after it (Song et al. 2021, eq. 16).
    fn fresh_noise(&self, before: f64, after: f64) -> f64 {
        self.fresh * ((1.0 - after) / (1.0 - before) * (1.0 - before / after)).max(0.0).sqrt()
    }
}

/// What is left of the picture's variance at a time: a cosine (Nichol & Dhariwal 2021), 1 at 0 and next to nothing at 1.
fn kept(time: f64) -> f64 {
    const OFFSET: f64 = 0.008;
    let curve = |time: f64| ((time + OFFSET) / (1.0 + OFFSET) * std::f64::consts::FRAC_PI_2).cos().powi(2);
    curve(time) / curve(0.0)
}

#[expect(clippy::cast_possible_truncation, reason = "the network computes in single precision")]
fn row(times: &[f64], device: &Device) -> Tensor<1> {
    let values: Vec<f32> = times.iter().map(|&time| time as f32).collect();
    Tensor::from_data(TensorData::new(values, [times.len()]), device)
}
