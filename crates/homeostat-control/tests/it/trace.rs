//! Made-up traces: noise of several kinds around a level that may move. They do not know controllers.

use std::collections::BTreeMap;

use homeostat_control::{ControlConfig, Controllers, Goal, Observation};

/// The figures that the made-up evaluations give.
pub(crate) fn goals() -> BTreeMap<String, Goal> {
    BTreeMap::from([("loss".to_string(), Goal::Minimize), ("accuracy".to_string(), Goal::Maximize)])
}

/// Controllers from the text of a `[control]` table.
pub(crate) fn controllers(toml: &str) -> Controllers {
    let config: ControlConfig = toml::from_str(toml).expect("a [control] table");
    config.init(&goals()).expect("settings in range")
}

pub(crate) fn step(loss: f64, gradient_norm: f64) -> Observation {
    Observation::Step { loss, gradient_norm, rate: 0.1 }
}

pub(crate) fn evaluation(figure: &str, value: f64) -> Observation {
    Observation::Evaluation { figures: BTreeMap::from([(figure.to_string(), value)]) }
}

/// SplitMix64 (Steele, Lea, and Flood, Fast splittable pseudorandom number generators, 2014).
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Strictly between 0 and 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// Standard normal (Box and Muller, 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Student's t with three degrees of freedom: its fourth moment is infinite.
    pub(crate) fn student(&mut self) -> f64 {
        let chi_squared: f64 = (0..3).map(|_| self.normal().powi(2)).sum();
        self.normal() / (chi_squared / 3.0).sqrt()
    }

    /// At least 1, with an infinite variance.
    pub(crate) fn pareto(&mut self) -> f64 {
        self.uniform().powf(-0.5)
    }
}
