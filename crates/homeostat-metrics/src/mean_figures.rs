//! Figures that are means over samples, each with a name and a direction: of tasks that sort nothing. It does not know what they
//! measure.

use serde::{Deserialize, Serialize};

/// The means of some figures over the samples so far, the loss first. Written to JSON and read again, they go on exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MeanFigures {
    names: Vec<String>,
    higher_is_better: Vec<bool>,
    sums: Vec<f64>,
    weight: f64,
    /// JSON has no number for what is not one.
    broken: bool,
}

/// What a batch measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurements {
    /// The mean of each figure over the batch, in the order of the names.
    pub means: Vec<f64>,
    /// What the means were taken over.
    pub weight: f64,
}

impl MeanFigures {
    /// Figures before the first sample: a name each, and whether more of it is better.
    #[must_use]
    pub fn new(figures: &[(&str, bool)]) -> Self {
        Self {
            names: figures.iter().map(|(name, _)| (*name).to_owned()).collect(),
            higher_is_better: figures.iter().map(|(_, better)| *better).collect(),
            sums: vec![0.0; figures.len()],
            weight: 0.0,
            broken: false,
        }
    }

    /// Takes in a batch.
    ///
    /// # Panics
    /// When the batch has another number of figures.
    pub fn update(&mut self, batch: &Measurements) {
        assert_eq!(batch.means.len(), self.sums.len(), "a value a figure");
        self.sums.iter_mut().zip(&batch.means).for_each(|(sum, mean)| *sum += mean * batch.weight);
        self.weight += batch.weight;
        if !self.sums.iter().all(|sum| sum.is_finite()) {
            self.broken = true;
            self.sums.fill(0.0);
        }
    }

    /// The figures so far; not numbers if a batch was none.
    #[must_use]
    pub fn figures(&self) -> Vec<(String, f64)> {
        let mean = |sum: &f64| if self.broken { f64::NAN } else { sum / self.weight };
        self.names.iter().cloned().zip(self.sums.iter().map(mean)).collect()
    }

    /// Whether a larger value of this figure is a better one; nothing if there is no such figure.
    #[must_use]
    pub fn higher_is_better(&self, figure: &str) -> Option<bool> {
        self.names.iter().position(|name| name == figure).map(|at| self.higher_is_better[at])
    }
}
