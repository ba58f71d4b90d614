//! Mirroring. It does not know which pictures have a meaning that a mirror changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Image;

/// How often a picture is mirrored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Flip {
    /// The share of pictures that are mirrored, 0 to 1.
    pub probability: f64,
}

impl Default for Flip {
    fn default() -> Self {
        Self { probability: 0.5 }
    }
}

pub(super) fn mirror(image: &Image) -> Image {
    let channels = image.channels();
    let mut pixels = Vec::with_capacity(image.pixels().len());
    for row in image.pixels().chunks_exact(image.width() * channels) {
        match channels {
            1 => pixels.extend(row.iter().rev()),
            3 => reverse_pixels::<3>(row, &mut pixels),
            _ => reverse_pixels::<4>(row, &mut pixels),
        }
    }
    Image::new(image.shape(), pixels)
}

fn reverse_pixels<const CHANNELS: usize>(row: &[u8], into: &mut Vec<u8>) {
    let (row, _) = row.as_chunks::<CHANNELS>();
    row.iter().rev().for_each(|pixel| into.extend_from_slice(pixel));
}

pub(super) fn upside_down(image: &Image) -> Image {
    let rows = image.pixels().chunks_exact(image.width() * image.channels());
    Image::new(image.shape(), rows.rev().flatten().copied().collect())
}
