//! Networks that make images: a row of numbers, the latent, becomes `[batch, channels, height, width]`. They do not know what
//! their numbers mean as pixels.

pub(crate) mod gan;
pub(crate) mod layers;
pub(crate) mod unet;
pub(crate) mod vae;
