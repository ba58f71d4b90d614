//! The promises of `homeostat-data`, a module for each of its types.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, in its helpers, too")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

mod any_source;
mod augment;
mod corpus;
mod decode;
mod description;
mod fuzz;
mod interactions;
mod loader;
mod mix;
mod more_sources;
mod operation;
mod pack;
mod pinned;
mod prepare;
mod rng;
mod rows;
mod sampling;
mod shared_data;
mod source;
mod split;
mod text;
mod text_source;
mod tokenizer;

use homeostat_data::{Image, Shape};

/// A committed picture, made by `tests/fixtures/pillow.py`.
fn fixture(name: &str) -> Vec<u8> {
    fixture_of("pillow", name)
}

/// A committed picture of one of the folders of `tests/fixtures`.
fn fixture_of(folder: &str, name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A picture whose level at `(x, y, channel)` is given.
fn picture(height: usize, width: usize, channels: usize, level: impl Fn(usize, usize, usize) -> u8) -> Image {
    let positions = (0..height * width * channels).map(|i| (i / channels % width, i / channels / width, i % channels));
    Image::new(Shape { height, width, channels }, positions.map(|(x, y, channel)| level(x, y, channel)).collect())
}

/// The levels of two pictures of the same shape, side by side, as absolute differences.
fn differences(a: &Image, b: &Image) -> Vec<u8> {
    assert_eq!(a.shape(), b.shape());
    a.pixels().iter().zip(b.pixels()).map(|(a, b)| a.abs_diff(*b)).collect()
}
