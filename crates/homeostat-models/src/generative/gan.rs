//! Two networks that play against each other (Goodfellow et al. 2014), built as DCGAN (Radford et al. 2016): a generator that makes
//! images of latents, and a critic that tells made images from true ones. It does not know the loss.

use burn::{
    module::Module,
    nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, conv::Conv2d},
    tensor::{Device, Tensor, activation::leaky_relu},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layers::{Doubling, check_halvings, halving, plain};
use crate::{
    ImageShape, ModelError,
    image::{
        blocks::{Then, convolve, normalise, row},
        check_stages, check_width,
    },
    size,
};

const NAME: &str = "gan";
/// What a negative number is multiplied by.
const LEAK: f64 = 0.2;

/// A generator and its critic. The generator normalises by batches; the critic does not, so that it judges every image by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GanConfig {
    /// How many numbers an image is made of.
    pub latent: usize,
    /// Output channels of each convolution of the critic, of which each halves the sides; the generator mirrors them.
    pub widths: Vec<usize>,
}

impl Default for GanConfig {
    fn default() -> Self {
        Self { latent: 64, widths: vec![64, 128] }
    }
}

impl GanConfig {
    /// Refuses settings that make no network, whatever the images.
    ///
    /// # Errors
    /// Names the first setting out of range.
    pub fn check(&self) -> Result<(), ModelError> {
        check_width(NAME, "latent", self.latent)?;
        check_stages(NAME, "widths", &self.widths)
    }

    /// Makes the networks live, their weights drawn from the device's seeded generator.
    ///
    /// # Errors
    /// The images do not fit the networks, a setting is out of range, or there would be too many parameters.
    pub fn init(&self, shape: ImageShape, device: &Device) -> Result<Gan, ModelError> {
        self.check()?;
        shape.check(NAME)?;
        check_halvings(NAME, shape, self.widths.len())?;
        let networks = self.undrawn(shape, device);
        size::check(NAME, &networks)?;
        size::draw(&networks);
        Ok(networks)
    }

    fn undrawn(&self, shape: ImageShape, device: &Device) -> Gan {
        let scale = 1 << self.widths.len();
        let inner = [self.widths[self.widths.len() - 1], shape.height / scale, shape.width / scale];
        let outer = inner.iter().product();
        let channels: Vec<usize> = std::iter::once(shape.channels).chain(self.widths.iter().copied()).collect();
        let pairs = || channels.windows(2).map(|pair| [pair[0], pair[1]]);
        let doubling = |(at, [outside, inside]): (usize, [usize; 2])| match at {
            0 => Doubling::last([inside, outside], device),
            _ => Doubling::normalised([inside, outside], device),
        };
        let mut stages: Vec<Doubling> = pairs().enumerate().map(doubling).collect();
        stages.reverse();
        Gan {
            generator: Generator {
                spread: LinearConfig::new(self.latent, outer).with_bias(false).init(device),
                norm: BatchNormConfig::new(inner[0]).init(device),
                stages,
                inner,
            },
            critic: Critic {
                stages: pairs().map(|pair| halving(pair, device)).collect(),
                head: LinearConfig::new(outer, 1).init(device),
            },
        }
    }
}

/// See [`GanConfig`].
#[derive(Module, Debug)]
pub struct Gan {
    generator: Generator,
    critic: Critic,
}

#[derive(Module, Debug)]
struct Generator {
    spread: Linear,
    norm: BatchNorm,
    stages: Vec<Doubling>,
    /// Channels, height and width of what the dense layer gives.
    #[module(skip)]
    inner: [usize; 3],
}

/// The network that judges.
#[derive(Module, Debug)]
pub struct Critic {
    stages: Vec<Conv2d>,
    head: Linear,
}

impl Gan {
    /// `[batch, latent] -> [batch, channels, height, width]`, where numbers are any: what is made of them is the task's.
    #[must_use]
    pub fn generate(&self, latents: Tensor<2>) -> Tensor<4> {
        let Generator { spread, norm, stages, inner: [channels, height, width] } = &self.generator;
        let [batch, _] = latents.dims();
        let x = plain(spread, latents).reshape([batch, *channels, *height, *width]);
        let x = normalise(norm, x, Then::Relu);
        stages.iter().fold(x, |x, stage| stage.forward(x))
    }

    /// The network that judges.
    #[must_use]
    pub fn critic(&self) -> &Critic {
        &self.critic
    }
}

impl Critic {
    /// `[batch, channels, height, width]` to how true each image looks, `[batch, 1]`: any number, the higher the truer.
    #[must_use]
    pub fn judge(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.stages.iter().fold(images, |x, conv| leaky_relu(convolve(conv, x, Then::Nothing), LEAK));
        plain(&self.head, row(x))
    }
}
