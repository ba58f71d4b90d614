//! A network that tells what in an image is noise (Ho et al. 2020, after the U-Net of Ronneberger et al. 2015): the image becomes small
//! and large again, and what was seen on the way down is seen again on the way up. It does not know how noise is added.

use burn::{
    module::Module,
    nn::{GroupNorm, GroupNormConfig, Initializer, Linear, LinearConfig, conv::Conv2d},
    tensor::{Device, Tensor, TensorData, activation::silu},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layers::{Doubling, check_halvings, halving, plain};
use crate::{
    ImageShape, ModelError,
    image::{
        blocks::{Then, Window, convolve, he},
        check_stages,
    },
    size,
};

const NAME: &str = "unet";
/// Channels are normalised in so many groups.
const GROUPS: usize = 8;
/// Sines and cosines of which each tells the time.
const WAVES: usize = 32;
/// Times lie in 0..=1; the fastest wave goes round so often.
const FASTEST: f64 = 1000.0;

/// A small U-Net of residual blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct UnetConfig {
    /// Channels at the full size, at half of it, and so on; multiples of 8.
    pub widths: Vec<usize>,
}

impl Default for UnetConfig {
    fn default() -> Self {
        Self { widths: vec![32, 64, 64] }
    }
}

impl UnetConfig {
    /// Refuses settings that make no network, whatever the images.
    ///
    /// # Errors
    /// Names the first setting out of range.
    pub fn check(&self) -> Result<(), ModelError> {
        check_stages(NAME, "widths", &self.widths)?;
        let Some(width) = self.widths.iter().find(|width| !width.is_multiple_of(GROUPS)) else { return Ok(()) };
        let problem = format!("has a width of {width}, but widths are multiples of {GROUPS}");
        Err(ModelError::Setting { network: NAME, setting: "widths", problem })
    }

    /// Makes the network live, its weights drawn from the device's seeded generator.
    ///
    /// # Errors
    /// The images do not fit the network, a setting is out of range, or there would be too many parameters.
    pub fn init(&self, shape: ImageShape, device: &Device) -> Result<Unet, ModelError> {
        self.check()?;
        shape.check(NAME)?;
        check_halvings(NAME, shape, self.widths.len() - 1)?;
        let network = self.undrawn(shape.channels, device);
        size::check(NAME, &network)?;
        size::draw(&network);
        Ok(network)
    }

    fn undrawn(&self, channels: usize, device: &Device) -> Unet {
        let (first, last) = (self.widths[0], self.widths[self.widths.len() - 1]);
        let time = 4 * first;
        let pairs = || self.widths.windows(2).map(|pair| [pair[0], pair[1]]);
        let zero = Initializer::Zeros;
        Unet {
            clock: vec![LinearConfig::new(2 * WAVES, time).init(device), LinearConfig::new(time, time).init(device)],
            stem: Window::same(3).conv([channels, first], true, he(), device),
            down: pairs().map(|[width, _]| Block::new([width, width], time, device)).collect(),
            smaller: pairs().map(|pair| halving(pair, device)).collect(),
            middle: Block::new([last, last], time, device),
            larger: pairs().map(|[outside, inside]| Doubling::new([inside, outside], device)).collect(),
            up: pairs().map(|[width, _]| Block::new([2 * width, width], time, device)).collect(),
            norm: GroupNormConfig::new(GROUPS, first).init(device),
            head: Window::same(3).conv([first, channels], true, zero, device),
        }
    }
}

/// See [`UnetConfig`].
#[derive(Module, Debug)]
pub struct Unet {
    clock: Vec<Linear>,
    stem: Conv2d,
    down: Vec<Block>,
    smaller: Vec<Conv2d>,
    middle: Block,
    larger: Vec<Doubling>,
    up: Vec<Block>,
    norm: GroupNorm,
    head: Conv2d,
}

/// Two convolutions that learn what to add, and in between what the time tells.
#[derive(Module, Debug)]
struct Block {
    first_norm: GroupNorm,
    first: Conv2d,
    time: Linear,
    second_norm: GroupNorm,
    second: Conv2d,
    /// Where the channels change.
    short: Option<Conv2d>,
}

impl Unet {
    /// `[batch, channels, height, width]` and the time of each image, `[batch]` in 0..=1, to the noise in it, of the same shape.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>, times: Tensor<1>) -> Tensor<4> {
        let time = self.clock.iter().fold(waves(times), |x, layer| silu(plain(layer, x)));
        let mut x = convolve(&self.stem, images, Then::Nothing);
        let mut seen = Vec::with_capacity(self.down.len());
        for (block, smaller) in self.down.iter().zip(&self.smaller) {
            x = block.forward(x, time.clone());
            seen.push(x.clone());
            x = convolve(smaller, x, Then::Nothing);
        }
        x = self.middle.forward(x, time.clone());
        for ((block, larger), seen) in self.up.iter().zip(&self.larger).zip(seen).rev() {
            x = block.forward(Tensor::cat(vec![larger.forward(x), seen], 1), time.clone());
        }
        convolve(&self.head, silu(self.norm.forward(x)), Then::Nothing)
    }
}

impl Block {
    fn new([inputs, outputs]: [usize; 2], time: usize, device: &Device) -> Self {
        let conv = |inputs, initializer| Window::same(3).conv([inputs, outputs], true, initializer, device);
        Self {
            first_norm: GroupNormConfig::new(GROUPS, inputs).init(device),
            first: conv(inputs, he()),
            time: LinearConfig::new(time, outputs).init(device),
            second_norm: GroupNormConfig::new(GROUPS, outputs).init(device),
            // A block adds nothing at first.
            second: conv(outputs, Initializer::Zeros),
            short: (inputs != outputs).then(|| Window::valid(1).conv([inputs, outputs], true, he(), device)),
        }
    }

    fn forward(&self, x: Tensor<4>, time: Tensor<2>) -> Tensor<4> {
        let y = convolve(&self.first, silu(self.first_norm.forward(x.clone())), Then::Nothing);
        let told: Tensor<4> = plain(&self.time, time).unsqueeze_dims(&[2, 3]);
        let y = convolve(&self.second, silu(self.second_norm.forward(y + told)), Then::Nothing);
        match &self.short {
            Some(short) => y + convolve(short, x, Then::Nothing),
            None => y + x,
        }
    }
}

/// Times as sines and cosines of waves from slow to fast (Vaswani et al. 2017): `[batch] -> [batch, 2 waves]`.
#[expect(clippy::cast_possible_truncation, reason = "the network computes in single precision")]
fn waves(times: Tensor<1>) -> Tensor<2> {
    let speed = |at: usize| FASTEST.powf(at as f64 / (WAVES - 1) as f64) as f32;
    let speeds: Vec<f32> = (0..WAVES).map(speed).collect();
    let speeds = Tensor::<2>::from_data(TensorData::new(speeds, [1, WAVES]), &times.device());
    let angles = times.unsqueeze_dim::<2>(1) * speeds;
    Tensor::cat(vec![angles.clone().sin(), angles.cos()], 1)
}
