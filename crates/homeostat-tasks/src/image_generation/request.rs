//! What asks for a picture, and the answer. It does not know what makes it.

use base64::{Engine, prelude::BASE64_STANDARD};
use homeostat_data::Image;
use homeostat_task::InputError;
use serde::{Deserialize, Serialize};

use super::{ImageGeneration, PictureInput};

/// What asks for a picture, as JSON: `{"seed": 7}`, `{"between": {"seeds": [7, 8], "at": 0.5}}` or `{"latent": [0.1, ...]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum PictureRequest {
    /// The picture of this seed.
    Seed(u64),
    /// The picture on the way from one seed's to another's.
    Between {
        /// Where the way begins and ends.
        seeds: [u64; 2],
        /// How much of it is done, from 0 to 1.
        at: f64,
    },
    /// The picture of this place among the latents.
    Latent(Vec<f32>),
}

impl PictureRequest {
    /// Reads it from a request.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, InputError> {
        serde_json::from_slice(bytes).map_err(|error| {
            InputError::new(format!(
                "no request for a picture ({error}): write {{\"seed\": 7}}, {{\"between\": {{\"seeds\": [7, 8], \"at\": 0.5}}}} or \
                 {{\"latent\": [...]}}"
            ))
        })
    }

    /// The request's bytes.
    ///
    /// # Panics
    /// Never: such a value is JSON.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_else(|error| panic!("numbers as JSON: {error}"))
    }

    /// The place that it means.
    pub(super) fn latent(self, task: &ImageGeneration) -> Result<PictureInput, InputError> {
        match self {
            Self::Seed(seed) => Ok(PictureInput::Latent { values: task.latent_of(seed), seed }),
            Self::Between { at, .. } if !(0.0..=1.0).contains(&at) => {
                Err(InputError::new(format!("`at` is {at}, but the way goes from 0 to 1")))
            }
            Self::Between { seeds: [from, to], at } => {
                Ok(PictureInput::Latent { values: arc(&task.latent_of(from), &task.latent_of(to), at), seed: from })
            }
            Self::Latent(values) if values.len() != task.latent() => {
                let problem =
                    format!("the latent has {} numbers, but the network takes {}", values.len(), task.latent());
                Err(InputError::new(problem))
            }
            Self::Latent(values) if !values.iter().all(|value| value.is_finite()) => {
                Err(InputError::new("the latent has a number that is not finite"))
            }
            Self::Latent(values) => Ok(PictureInput::Latent { values, seed: 0 }),
        }
    }
}

/// The point of the arc between two points (Shoemake 1985): in between, a line would pass where hardly any latent lies (White 2016).
#[expect(clippy::cast_possible_truncation, reason = "latents are 32-bit floats")]
fn arc(from: &[f32], to: &[f32], at: f64) -> Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum() };
    let cosine = dot(from, to) / (dot(from, from) * dot(to, to)).sqrt();
    let angle = cosine.clamp(-1.0, 1.0).acos();
    let [first, second] = if angle.sin().abs() < 1e-6 || !angle.is_finite() {
        [1.0 - at, at]
    } else {
        [((1.0 - at) * angle).sin() / angle.sin(), (at * angle).sin() / angle.sin()]
    };
    from.iter().zip(to).map(|(&a, &b)| (first * f64::from(a) + second * f64::from(b)) as f32).collect()
}

/// The answer: a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GeneratedImage {
    /// The picture as a PNG file, in base64.
    pub png: String,
}

impl GeneratedImage {
    pub(super) fn of(image: &Image) -> Self {
        Self { png: BASE64_STANDARD.encode(image.encode_png()) }
    }

    /// The picture.
    ///
    /// # Errors
    /// It is none.
    pub fn image(&self) -> Result<Image, InputError> {
        let png = BASE64_STANDARD.decode(&self.png);
        let png = png.map_err(|error| InputError::new(format!("the picture is no base64: {error}")))?;
        Image::decode(&png).map_err(crate::classification::reason)
    }

    /// Whether no level of two pictures differs by more than what rounding to whole levels makes of a difference of `tolerance`.
    pub(super) fn agrees(&self, found: &Self, tolerance: f64) -> bool {
        let (Ok(expected), Ok(found)) = (self.image(), found.image()) else { return false };
        let room = (255.0 * tolerance).ceil().max(1.0);
        let near = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b)) <= room;
        expected.shape() == found.shape() && expected.pixels().iter().zip(found.pixels()).all(near)
    }
}
