//! How a generator and its critic learn from each other. It does not know their layers.
//!
//! Both learn in one step, from the same weights: the loss is the sum of what each loses, where what the one loses has no gradient in
//! the other. So each may have an optimiser of its own (`train.groups` with `critic.*`), and one checkpoint holds both.

use burn::{
    module::Module,
    tensor::{
        Tensor, TensorData,
        activation::{softplus, tanh},
    },
};
use homeostat_data::{Rng, stream};
use homeostat_models::{Gan, GanConfig};
use homeostat_task::TaskError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Chance, GenerationOutcome, normal_rows, wrong};

/// Two networks that play against each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AdversaryConfig {
    /// The networks.
    pub network: GanConfig,
    /// What each of them loses.
    pub loss: AdversarialLoss,
    /// Steps of the critic for each of the generator, at least 1.
    pub critic_steps: u64,
}

/// What two networks that play against each other lose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdversarialLoss {
    /// The critic tells true from made by a logistic regression, and the generator is to be taken for true (Goodfellow et al. 2014).
    #[default]
    NonSaturating,
    /// The critic measures how far apart true and made pictures are, and is kept from being steep (Gulrajani et al. 2017).
    WassersteinPenalty(PenaltyConfig),
}

/// How a critic is kept from being steep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PenaltyConfig {
    /// What the square of the slope's distance from 1 counts, above 0.
    pub weight: f64,
}

impl Default for PenaltyConfig {
    fn default() -> Self {
        Self { weight: 10.0 }
    }
}

impl Default for AdversaryConfig {
    fn default() -> Self {
        Self { network: GanConfig::default(), loss: AdversarialLoss::default(), critic_steps: 1 }
    }
}

/// The sum of both losses, each of them, and how much truer the critic takes true pictures to be than made ones.
pub(super) const FIGURES: &[(&str, bool)] = &[("loss", false), ("critic", false), ("generator", false), ("gap", false)];

impl AdversaryConfig {
    pub(super) fn check(&self, key: &str) -> Result<(), TaskError> {
        self.network.check().map_err(|error| wrong(&error))?;
        if self.critic_steps == 0 {
            return Err(TaskError::new(format!("`{key}.critic-steps` is 0, but has to be at least 1")));
        }
        match &self.loss {
            AdversarialLoss::WassersteinPenalty(PenaltyConfig { weight }) if !(*weight > 0.0 && weight.is_finite()) => {
                Err(TaskError::new(format!(
                    "`{key}.loss.wasserstein-penalty.weight` is {weight}, but has to be above 0"
                )))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn outcome(&self, gan: &Gan, pictures: Tensor<4>, truths: &[Chance]) -> GenerationOutcome {
        let device = pictures.device();
        let pictures = pictures * 2.0 - 1.0;
        let made = tanh(gan.generate(normal_rows(truths, "latent", self.network.latent, &device)));
        let [on_true, on_made] = [pictures.clone(), made.clone().detach()].map(|images| gan.critic().judge(images));
        let gap = (on_true.clone() - on_made.clone()).mean();
        let critic = match &self.loss {
            AdversarialLoss::NonSaturating => (softplus(on_true.neg(), 1.0) + softplus(on_made.clone(), 1.0)).mean(),
            AdversarialLoss::WassersteinPenalty(_) if !device.is_autodiff() => gap.clone().neg(),
            AdversarialLoss::WassersteinPenalty(penalty) => {
                gap.clone().neg() + self.steepness(gan, pictures, made.clone(), truths) * penalty.weight
            }
        };
        // All of a batch have one turn; to the generator, the critic stands still.
        let is_its_turn = truths.first().is_none_or(|chance| (chance.batch + 1).is_multiple_of(self.critic_steps));
        let generator = if is_its_turn {
            self.to_be_taken_for_true(gan.critic().clone().no_grad().judge(made))
        } else {
            self.to_be_taken_for_true(on_made).detach()
        };
        let figures = [critic.clone(), generator.clone(), gap].map(Tensor::inner).to_vec();
        GenerationOutcome { loss: critic + generator, figures, samples: truths.len() }
    }

    fn to_be_taken_for_true(&self, scores: Tensor<2>) -> Tensor<1> {
        match &self.loss {
            AdversarialLoss::NonSaturating => softplus(scores.neg(), 1.0).mean(),
            AdversarialLoss::WassersteinPenalty(_) => scores.mean().neg(),
        }
    }

    /// The mean square of how far the critic's slope is from 1, between true pictures and made ones.
    fn steepness(&self, gan: &Gan, pictures: Tensor<4>, made: Tensor<4>, truths: &[Chance]) -> Tensor<1> {
        let share = |chance: &Chance| Rng::keyed(chance.seed, [0, 0, stream("between", 0)]).uniform();
        let shares: Vec<f32> = truths.iter().map(share).collect();
        let shares = Tensor::<4>::from_data(TensorData::new(shares, [truths.len(), 1, 1, 1]), &pictures.device());
        let between = (made.clone() + (pictures - made) * shares).detach();
        let frozen = gan.critic().clone().no_grad();
        let steep = slopes(between, |images| frozen.judge(images), |images| gan.critic().judge(images)) - 1.0;
        (steep.clone() * steep).mean()
    }
}

/// Half of the way over which a slope is measured.
const REACH: f64 = 0.05;

/// How steep a judgement is at each of these images, `[batch, 1]`: the length of its gradient, in a form whose own gradient needs no
/// derivative of a derivative. Along its direction `v` the length of the gradient `g` is `v g`, and to the first order also when the
/// weights move; that is the derivative along `v`, which is measured on both sides. `still` is the same judgement without gradients
/// of its weights.
///
/// # Panics
/// If the images are on a device without gradients.
#[must_use]
pub fn slopes(
    images: Tensor<4>,
    still: impl Fn(Tensor<4>) -> Tensor<2>,
    judge: impl Fn(Tensor<4>) -> Tensor<2>,
) -> Tensor<2> {
    let images = images.require_grad();
    let gradients = still(images.clone()).sum().backward();
    let gradient = images.grad(&gradients).unwrap_or_else(|| panic!("a judgement depends on its image"));
    let [batch, channels, height, width] = gradient.dims();
    let length = (gradient.clone() * gradient.clone()).reshape([batch, channels * height * width]).sum_dim(1).sqrt();
    let direction = gradient / length.clamp_min(1e-12).reshape([batch, 1, 1, 1]);
    let step = Tensor::from_inner(direction * REACH);
    let images = images.detach();
    (judge(images.clone() + step.clone()) - judge(images - step)) * (0.5 / REACH)
}

/// Latents to levels from 0 to 1.
pub(super) fn made(gan: &Gan, latents: Tensor<2>) -> Tensor<4> {
    (tanh(gan.generate(latents)) + 1.0) * 0.5
}
