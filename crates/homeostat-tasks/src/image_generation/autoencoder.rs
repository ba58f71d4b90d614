//! How a variational autoencoder learns and makes pictures: by a bound of how likely the data are. It does not know its layers.

use burn::tensor::{
    Tensor,
    activation::{log_sigmoid, sigmoid},
};
use homeostat_models::{Posterior, Vae, VaeConfig};
use homeostat_task::TaskError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Chance, GenerationOutcome, normal_rows, wrong};

/// A variational autoencoder, and what it is to learn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AutoencoderConfig {
    /// The network.
    pub network: VaeConfig,
    /// What the distance of the latents from the normal distribution counts, above 0 (Higgins et al. 2017): 1 makes the loss the bound
    /// itself; more makes latents more orderly and pictures less sharp, less the other way round.
    pub beta: f64,
    /// Epochs in which `beta` rises from nothing (Sønderby et al. 2016), so that latents are not given up at the start.
    pub warmup_epochs: f64,
}

impl Default for AutoencoderConfig {
    fn default() -> Self {
        Self { network: VaeConfig::default(), beta: 1.0, warmup_epochs: 0.0 }
    }
}

/// The loss, the evidence lower bound, and both its parts, in nats a picture.
pub(super) const FIGURES: &[(&str, bool)] =
    &[("loss", false), ("elbo", true), ("reconstruction", false), ("divergence", false)];

impl AutoencoderConfig {
    pub(super) fn check(&self, key: &str) -> Result<(), TaskError> {
        self.network.check().map_err(|error| wrong(&error))?;
        if !(self.beta > 0.0 && self.beta.is_finite()) {
            return Err(TaskError::new(format!("`{key}.beta` is {}, but has to be above 0", self.beta)));
        }
        if !(0.0..=1e6).contains(&self.warmup_epochs) {
            let problem = format!("is {}, but must lie in 0..=1000000", self.warmup_epochs);
            return Err(TaskError::new(format!("`{key}.warmup-epochs` {problem}")));
        }
        Ok(())
    }

    /// What the divergence counts at this point of the training.
    fn weight(&self, epoch: f64) -> f64 {
        if self.warmup_epochs == 0.0 { self.beta } else { self.beta * (epoch / self.warmup_epochs).min(1.0) }
    }

    pub(super) fn outcome(&self, vae: &Vae, pictures: Tensor<4>, truths: &[Chance]) -> GenerationOutcome {
        let posterior = vae.encode(pictures.clone());
        let noise = normal_rows(truths, "posterior", self.network.latent, &pictures.device());
        let latents = posterior.mean.clone() + (posterior.log_variance.clone() * 0.5).exp() * noise;
        let scores = vae.decode(latents).flatten(1, 3);
        let Elbo { reconstruction, divergence } = elbo(scores, pictures.flatten(1, 3), posterior);
        // All of a batch are met at one time.
        let weight = self.weight(truths.first().map_or(f64::INFINITY, |chance| chance.epoch));
        let loss = reconstruction.clone() + divergence.clone() * weight;
        let [reconstruction, divergence] = [reconstruction.inner(), divergence.inner()];
        let bound = (reconstruction.clone() + divergence.clone()).neg();
        GenerationOutcome { loss, figures: vec![bound, reconstruction, divergence], samples: truths.len() }
    }
}

/// Both parts of the evidence lower bound, which is the negative of their sum: nats a picture, the mean of a batch, `[1]`.
#[derive(Clone, Debug)]
pub struct Elbo {
    /// How unlikely the pictures are, given the latents: the cross-entropy of each level, as a probability of white.
    pub reconstruction: Tensor<1>,
    /// The Kullback-Leibler divergence of where the pictures lie from the standard normal distribution.
    pub divergence: Tensor<1>,
}

/// The bound of Kingma & Welling 2014, of scores (logits of white) `[batch, pixels]` and levels `[batch, pixels]` in 0..=1.
#[must_use]
pub fn elbo(scores: Tensor<2>, levels: Tensor<2>, Posterior { mean, log_variance }: Posterior) -> Elbo {
    let [batch, _] = scores.dims();
    let share = 1.0 / batch as f64;
    // -x log s(z) - (1 - x) log s(-z), where log s(-z) = log s(z) - z.
    let black = (levels.neg() + 1.0) * scores.clone();
    let reconstruction = (black - log_sigmoid(scores)).sum() * share;
    let spread = log_variance.clone().exp() - log_variance - 1.0;
    let divergence = (mean.clone() * mean + spread).sum() * (0.5 * share);
    Elbo { reconstruction, divergence }
}

/// Latents to levels from 0 to 1: of each pixel, how likely it is white.
pub(super) fn made(vae: &Vae, latents: Tensor<2>) -> Tensor<4> {
    sigmoid(vae.decode(latents))
}

/// What is made of the middle of where pictures lie.
pub(super) fn given_back(vae: &Vae, pictures: Tensor<4>) -> Tensor<4> {
    made(vae, vae.encode(pictures).mean)
}
