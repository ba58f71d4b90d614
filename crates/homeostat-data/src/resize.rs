//! Changing the size of a picture, antialiased, with the arithmetic of Pillow's `resize`, so that a network that was trained behind
//! Pillow sees the same pixels here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Image, Shape};

/// How new pixels come from old ones. All but `nearest` average over more pixels when a picture shrinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// The nearest pixel alone.
    Nearest,
    /// A triangle two pixels wide: quick, a little soft.
    #[default]
    Bilinear,
    /// Cubic convolution (Keys 1981, a = -0.5), four pixels wide: sharper.
    Bicubic,
    /// A windowed sinc, six pixels wide: sharpest, with slight ringing.
    Lanczos,
}

impl Filter {
    /// Half the width of the filter, in pixels, and its height at `x`.
    fn kernel(self) -> (f64, fn(f64) -> f64) {
        match self {
            Self::Nearest | Self::Bilinear => (1.0, |x| (1.0 - x.abs()).max(0.0)),
            Self::Bicubic => (2.0, |x| match x.abs() {
                x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
                x if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
                _ => 0.0,
            }),
            Self::Lanczos => (3.0, |x| if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }),
        }
    }
}

/// `image` with `height` rows and `width` columns. Each channel by itself, alpha included.
///
/// # Panics
/// If a side is 0.
#[must_use]
pub fn resize(image: &Image, height: usize, width: usize, filter: Filter) -> Image {
    assert!(height > 0 && width > 0, "cannot resize to {height} x {width}");
    if (image.height(), image.width()) == (height, width) {
        return image.clone();
    }
    if filter == Filter::Nearest {
        return nearest(image, height, width);
    }
    let wide = if image.width() == width { image.clone() } else { resize_rows(image, width, filter) };
    if image.height() == height { wide } else { resize_columns(&wide, height, filter) }
}

fn nearest(image: &Image, height: usize, width: usize) -> Image {
    let source = |to: usize, from: usize| {
        let scale = from as f64 / to as f64;
        (0..to).map(|i| floor((i as f64 + 0.5) * scale).min(from - 1)).collect::<Vec<_>>()
    };
    let (rows, columns) = (source(height, image.height()), source(width, image.width()));
    let mut pixels = Vec::with_capacity(height * width * image.channels());
    for &y in &rows {
        for &x in &columns {
            pixels.extend_from_slice(image.get(x, y));
        }
    }
    Image::new(Shape { height, width, channels: image.channels() }, pixels)
}

/// The old pixels `start..start + weights.len()` that make one new one, with weights in 22-bit fixed point that sum to about 1.
struct Window {
    start: usize,
    weights: Vec<i32>,
}

const FIXED_POINT: u32 = 22;

#[expect(clippy::cast_possible_truncation, reason = "weights are about 1 at most, so below 2^23")]
fn windows(from: usize, to: usize, filter: Filter) -> Vec<Window> {
    let (half_width, kernel) = filter.kernel();
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let reach = half_width * stretch;
    let one = f64::from(1u32 << FIXED_POINT);
    (0..to)
        .map(|i| {
            let center = (i as f64 + 0.5) * scale;
            let start = floor(center - reach + 0.5);
            let end = floor(center + reach + 0.5).min(from);
            let raw: Vec<f64> = (start..end).map(|x| kernel((x as f64 - center + 0.5) / stretch)).collect();
            let sum: f64 = raw.iter().sum();
            Window { start, weights: raw.iter().map(|w| (w / sum * one).round() as i32).collect() }
        })
        .collect()
}

fn resize_rows(image: &Image, width: usize, filter: Filter) -> Image {
    let channels = image.channels();
    let windows = windows(image.width(), width, filter);
    let mut pixels = Vec::with_capacity(image.height() * width * channels);
    for row in image.pixels().chunks_exact(image.width() * channels) {
        for window in &windows {
            let old = &row[window.start * channels..];
            for channel in 0..channels {
                let levels = old[channel..].iter().step_by(channels);
                pixels.push(weigh(levels.zip(&window.weights)));
            }
        }
    }
    Image::new(Shape { height: image.height(), width, channels }, pixels)
}

fn resize_columns(image: &Image, height: usize, filter: Filter) -> Image {
    let stride = image.width() * image.channels();
    let mut pixels = Vec::with_capacity(height * stride);
    for window in windows(image.height(), height, filter) {
        let old = &image.pixels()[window.start * stride..];
        for at in 0..stride {
            pixels.push(weigh(old[at..].iter().step_by(stride).zip(&window.weights)));
        }
    }
    Image::new(Shape { height, ..image.shape() }, pixels)
}

fn weigh<'a>(levels: impl Iterator<Item = (&'a u8, &'a i32)>) -> u8 {
    let half = 1 << (FIXED_POINT - 1);
    let sum: i32 = levels.map(|(&level, &weight)| i32::from(level) * weight).sum();
    ((sum + half) >> FIXED_POINT).clamp(0, 255) as u8
}

/// The whole part of a number; 0 for a negative one.
#[expect(clippy::cast_possible_truncation, reason = "positions in a picture are below 2^26")]
fn floor(x: f64) -> usize {
    x.max(0.0) as usize
}

fn sinc(x: f64) -> f64 {
    let x = x * std::f64::consts::PI;
    if x == 0.0 { 1.0 } else { x.sin() / x }
}
