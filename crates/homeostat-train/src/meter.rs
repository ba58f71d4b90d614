//! What the loop needs of a set of metrics. It does not know which there are.

use std::collections::BTreeMap;

use homeostat_artifact::Figures;
use homeostat_control::Goal;
use homeostat_metrics::{
    LanguageFigures, MeanFigures, Measurements, MetricSet, PairFigures, PairVectors, Predictions, TokenLosses,
};
use serde::{Serialize, de::DeserializeOwned};

/// A running measurement that a checkpoint can hold exactly.
pub trait Meter: Clone + Serialize + DeserializeOwned {
    /// What an outcome gives.
    type Record;

    /// Takes in a batch.
    fn update(&mut self, record: &Self::Record);

    /// The figures over all batches so far, `loss` among them.
    fn figures(&self) -> Figures;

    /// Whether a larger value of this figure is a better one; `None` if there is no such figure.
    fn higher_is_better(&self, figure: &str) -> Option<bool>;

    /// Every figure with the direction in which it is good: what controllers may watch.
    fn goals(&self) -> BTreeMap<String, Goal> {
        let goal =
            |name: &str| if self.higher_is_better(name) == Some(false) { Goal::Minimize } else { Goal::Maximize };
        self.figures().iter().map(|(name, _)| (name.to_owned(), goal(name))).collect()
    }
}

impl Meter for MeanFigures {
    type Record = Measurements;

    fn update(&mut self, record: &Measurements) {
        Self::update(self, record);
    }

    fn figures(&self) -> Figures {
        Self::figures(self).into_iter().collect()
    }

    fn higher_is_better(&self, figure: &str) -> Option<bool> {
        Self::higher_is_better(self, figure)
    }
}

impl Meter for LanguageFigures {
    type Record = TokenLosses;

    fn update(&mut self, record: &TokenLosses) {
        Self::update(self, record);
    }

    fn figures(&self) -> Figures {
        Self::figures(self).into_iter().collect()
    }

    fn higher_is_better(&self, figure: &str) -> Option<bool> {
        Self::higher_is_better(self, figure)
    }
}

impl Meter for PairFigures {
    type Record = PairVectors;

    fn update(&mut self, record: &PairVectors) {
        Self::update(self, record);
    }

    fn figures(&self) -> Figures {
        Self::figures(self).into_iter().collect()
    }

    fn higher_is_better(&self, figure: &str) -> Option<bool> {
        Self::higher_is_better(self, figure)
    }
}

impl Meter for MetricSet {
    type Record = Predictions;

    fn update(&mut self, record: &Predictions) {
        Self::update(self, record);
    }

    fn figures(&self) -> Figures {
        Self::figures(self).into_iter().collect()
    }

    fn higher_is_better(&self, figure: &str) -> Option<bool> {
        Self::higher_is_better(self, figure)
    }
}
