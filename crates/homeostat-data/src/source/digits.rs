//! The digits that are built in, so that the first training needs no download. It does not know the file system.

use std::io::Read;

use flate2::read::GzDecoder;

use super::Source;
use super::pictures::LabelledArrays;
use crate::Shape;

/// scikit-learn's copy of the UCI ML hand-written digits (CC BY 4.0); see `data/digits.rst` and `data/COPYING` beside it.
const DIGITS: &[u8] = include_bytes!("../../data/digits.csv.gz");

/// 64 levels from 0 to 16 and the label in each line.
pub(super) fn open() -> Source {
    let mut text = String::new();
    GzDecoder::new(DIGITS).read_to_string(&mut text).expect("the embedded digits are whole");
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let numbers: Vec<u8> = line.split(',').map(|n| n.parse().expect("the embedded digits are numbers")).collect();
        let (label, levels) = numbers.split_last().expect("a line of the embedded digits is not empty");
        pixels.extend(levels.iter().map(|&level| u8::try_from((u32::from(level) * 255 + 8) / 16).unwrap_or(u8::MAX)));
        labels.push(u32::from(*label));
    }
    let classes = (0..10).map(|digit| digit.to_string()).collect();
    let arrays = LabelledArrays { name: "digits".into(), given: None, pixels, labels };
    Source::of_arrays("digits", classes, Shape { height: 8, width: 8, channels: 1 }, vec![arrays])
}
