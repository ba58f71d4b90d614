//! Any value, written as TOML, reads back as the same value.

use homeostat_config::{Layers, to_toml};

use crate::experiment::{
    Cnn, Divide, Experiment, Mlp, Model, Normalize, Padding, Plateau, Prepare, Resize, Size, Step, Train,
};

/// SplitMix64 (Steele, Lea and Flood 2014): enough to make values up.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(4)).map(|_| item(self)).collect()
    }

    /// Any bits but those of NaN, which equals nothing.
    fn single(&mut self) -> f32 {
        let number = f32::from_bits(self.next() as u32);
        if number.is_nan() { 0.1 } else { number }
    }

    fn double(&mut self) -> f64 {
        let number = f64::from_bits(self.next());
        if number.is_nan() { -0.0 } else { number }
    }

    fn text(&mut self) -> String {
        let pieces =
            ["a", "B-c", "\"", "'", "\\", "\n", "\t", "\u{1}", "#", "=", ".", " ", "é", "\u{1f600}", "\u{7f}", "[x]"];
        self.list(|random| pieces[random.below(pieces.len())]).concat()
    }
}

fn experiment(random: &mut Random) -> Experiment {
    Experiment {
        name: random.text(),
        seed: random.next() as u32,
        train: Train {
            epochs: random.next() as u16,
            batch_size: random.next() as u8,
            learning_rate: (random.next() as u32) as f32 / u32::MAX as f32 * 10.0,
            max_steps: (random.below(2) == 0).then(|| random.next() >> 1),
            offset: random.double(),
            plateau: if random.below(2) == 0 { Plateau::Off } else { Plateau::Divide(Divide { by: random.double() }) },
        },
        model: model(random, 3),
        teacher: (random.below(2) == 0).then(|| model(random, 3)),
        prepare: Prepare(random.list(step)),
        weights: random.list(|random| (random.text(), random.single())).into_iter().collect(),
    }
}

fn model(random: &mut Random, depth: usize) -> Model {
    match random.below(if depth == 0 { 3 } else { 4 }) {
        0 => Model::Mlp(Mlp { hidden: random.list(|random| random.next() as u32), dropout: random.single() }),
        1 => Model::Cnn(Cnn {
            width: random.next() as u32,
            padding: if random.below(2) == 0 { Padding::Same } else { Padding::Valid },
        }),
        2 => Model::File(random.text().into()),
        _ => Model::Ensemble(random.list(|random| model(random, depth - 1))),
    }
}

fn step(random: &mut Random) -> Step {
    match random.below(4) {
        0 => Step::Resize(Resize { size: Size::Square(random.next() as u32) }),
        1 => Step::Resize(Resize { size: Size::Sides([random.next() as u32, random.next() as u32]) }),
        2 => Step::Normalize(Normalize { mean: random.list(Random::single), std: random.list(Random::single) }),
        _ => Step::NormalizeFromTrain,
    }
}

#[test]
fn any_value_survives_the_file_and_the_show() {
    let mut random = Random(0);
    for _ in 0..500 {
        let value = experiment(&mut random);
        let text = to_toml(&value);
        let plain: Experiment = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(plain, value, "serde alone\n{text}");
        let resolved =
            Layers::new().file("a.toml", &text).load::<Experiment>().unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(resolved.value, value, "\n{text}");
        assert_eq!(to_toml(&resolved.value), text, "the same value is the same text");

        let shown = resolved.show();
        let again =
            Layers::new().file("b.toml", &shown).load::<Experiment>().unwrap_or_else(|e| panic!("{e}\n{shown}"));
        assert_eq!(again.value, value, "\n{shown}");
    }
}

#[test]
fn an_enum_may_be_the_top() {
    let model = Model::Cnn(Cnn { width: 3, padding: Padding::Valid });
    let text = to_toml(&model);
    assert_eq!(text, "[cnn]\nwidth = 3\npadding = \"valid\"\n");
    assert_eq!(Layers::new().file("task.toml", &text).load::<Model>().unwrap().value, model);
}
