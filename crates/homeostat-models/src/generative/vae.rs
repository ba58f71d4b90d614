//! The variational autoencoder (Kingma & Welling 2014): an encoder that tells where in a space of few numbers an image lies, and
//! how surely, and a decoder that makes an image of any point of that space. It does not know the loss.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig, conv::Conv2d},
    tensor::{Device, Tensor},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layers::{Dense, Doubling, check_halvings, halving, plain};
use crate::{
    ImageShape, ModelError,
    image::{
        blocks::{Then, convolve, row},
        check_width, check_widths,
    },
    size,
};

const NAME: &str = "vae";

/// The variational autoencoder; the decoder mirrors the encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct VaeConfig {
    /// How many numbers an image becomes.
    pub latent: usize,
    /// Output channels of each convolution of the encoder, of which each halves the sides; without any, all layers are dense.
    pub widths: Vec<usize>,
    /// Widths of the dense layers between the convolutions, or the pixels, and the latent.
    pub hidden: Vec<usize>,
}

impl Default for VaeConfig {
    fn default() -> Self {
        Self { latent: 20, widths: vec![32, 64], hidden: vec![256] }
    }
}

impl VaeConfig {
    /// Small networks of both kinds, for tests of all.
    #[must_use]
    pub fn examples() -> Vec<Self> {
        vec![
            Self { latent: 8, widths: vec![], hidden: vec![64] },
            Self { latent: 8, widths: vec![8, 16], hidden: vec![64] },
            Self { latent: 8, widths: vec![8], hidden: vec![] },
        ]
    }

    /// Refuses settings that make no network, whatever the images.
    ///
    /// # Errors
    /// Names the first setting out of range.
    pub fn check(&self) -> Result<(), ModelError> {
        check_width(NAME, "latent", self.latent)?;
        check_widths(NAME, "widths", &self.widths)?;
        check_widths(NAME, "hidden", &self.hidden)
    }

    /// Makes the network live, its weights drawn from the device's seeded generator.
    ///
    /// # Errors
    /// The images do not fit the network, a setting is out of range, or there would be too many parameters.
    pub fn init(&self, shape: ImageShape, device: &Device) -> Result<Vae, ModelError> {
        self.check()?;
        shape.check(NAME)?;
        check_halvings(NAME, shape, self.widths.len())?;
        let network = self.undrawn(shape, device);
        size::check(NAME, &network)?;
        size::draw(&network);
        Ok(network)
    }

    fn undrawn(&self, shape: ImageShape, device: &Device) -> Vae {
        let channels: Vec<usize> = std::iter::once(shape.channels).chain(self.widths.iter().copied()).collect();
        let pairs = || channels.windows(2).map(|pair| [pair[0], pair[1]]);
        let scale = 1 << self.widths.len();
        let inner = [channels[channels.len() - 1], shape.height / scale, shape.width / scale];
        let outer: usize = inner.iter().product();
        let dense: Vec<usize> = std::iter::once(outer).chain(self.hidden.iter().copied()).collect();
        let mirrored: Vec<usize> = std::iter::once(self.latent).chain(self.hidden.iter().rev().copied()).collect();
        Vae {
            encoder: Encoder {
                stages: pairs().map(|pair| halving(pair, device)).collect(),
                dense: Dense::new(&dense, device),
                head: LinearConfig::new(dense[dense.len() - 1], 2 * self.latent).init(device),
            },
            decoder: Decoder {
                dense: Dense::new(&mirrored, device),
                spread: LinearConfig::new(mirrored[mirrored.len() - 1], outer).init(device),
                stages: doublings(pairs(), device),
                inner,
            },
        }
    }
}

/// See [`VaeConfig`].
#[derive(Module, Debug)]
pub struct Vae {
    encoder: Encoder,
    decoder: Decoder,
}

#[derive(Module, Debug)]
struct Encoder {
    stages: Vec<Conv2d>,
    dense: Dense,
    head: Linear,
}

#[derive(Module, Debug)]
struct Decoder {
    dense: Dense,
    spread: Linear,
    stages: Vec<Doubling>,
    /// Channels, height and width of what the dense layers give.
    #[module(skip)]
    inner: [usize; 3],
}

/// Where images lie among the latents: a normal distribution each, without correlations.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// Its middle, `[batch, latent]`.
    pub mean: Tensor<2>,
    /// The logarithm of its variance, `[batch, latent]`.
    pub log_variance: Tensor<2>,
}

impl Vae {
    /// `[batch, channels, height, width]` to where the images lie.
    #[must_use]
    pub fn encode(&self, images: Tensor<4>) -> Posterior {
        let Encoder { stages, dense, head } = &self.encoder;
        let x = stages.iter().fold(images, |x, conv| convolve(conv, x, Then::Relu));
        let [mean, log_variance] = halves(plain(head, dense.forward(row(x))));
        Posterior { mean, log_variance }
    }

    /// `[batch, latent] -> [batch, channels, height, width]`, where numbers are any: what is made of them is the task's.
    #[must_use]
    pub fn decode(&self, latents: Tensor<2>) -> Tensor<4> {
        let Decoder { dense, spread, stages, inner: [channels, height, width] } = &self.decoder;
        let [batch, _] = latents.dims();
        let x = plain(spread, dense.forward(latents)).reshape([batch, *channels, *height, *width]);
        let x = if stages.is_empty() { x } else { burn::tensor::activation::relu(x) };
        stages.iter().fold(x, |x, stage| stage.forward(x))
    }
}

/// From the innermost of these pairs of channels, outside and inside, to the outermost.
fn doublings(pairs: impl Iterator<Item = [usize; 2]>, device: &Device) -> Vec<Doubling> {
    let doubling = |(at, [outside, inside]): (usize, [usize; 2])| match at {
        0 => Doubling::last([inside, outside], device),
        _ => Doubling::new([inside, outside], device),
    };
    let mut stages: Vec<Doubling> = pairs.enumerate().map(doubling).collect();
    stages.reverse();
    stages
}

/// The left and the right half of each row.
fn halves(x: Tensor<2>) -> [Tensor<2>; 2] {
    let [_, width] = x.dims();
    [x.clone().narrow(1, 0, width / 2), x.narrow(1, width / 2, width / 2)]
}
