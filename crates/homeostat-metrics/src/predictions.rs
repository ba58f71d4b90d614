//! A batch of answers beside the truth. Does not know which network gave them, nor which loss.

use serde::{Deserialize, Serialize};

/// What may be right at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Classes {
    /// Exactly one of so many classes is right.
    OneOf(usize),
    /// Any of so many labels are right, also none or all.
    AnyOf(usize),
}

impl Classes {
    /// How many classes or labels there are.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::OneOf(count) | Self::AnyOf(count) => count,
        }
    }
}

/// What is right, for each sample of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Truth {
    /// `[samples]`: the right class. For a soft target (mixup) its largest class.
    OneOf(Vec<u32>),
    /// `[samples, labels]`, row-major: whether the label is right.
    AnyOf(Vec<bool>),
}

/// The loss of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// The (weighted) mean over the batch.
    pub mean: f64,
    /// What the batch counts for in the mean over all batches: the sum of the samples' weights, or the number of
    /// samples where they have none.
    pub weight: f64,
}

/// A batch of answers beside the truth.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    classes: usize,
    probabilities: Vec<f32>,
    truth: Truth,
    loss: Loss,
    predicted: Vec<u32>,
    finite: bool,
}

impl Predictions {
    /// Puts answers and truth together. `probabilities` is `[samples, classes]`, row-major: the classes of a row sum to
    /// one where one of them is right, and each stands for itself where any may be.
    ///
    /// # Panics
    /// When the shapes do not agree, or a class is out of range: data are checked where they are read.
    #[must_use]
    pub fn new(classes: usize, probabilities: Vec<f32>, truth: Truth, loss: Loss) -> Self {
        assert!(classes > 0, "predictions need at least one class");
        let expected = match &truth {
            Truth::OneOf(labels) => {
                let highest = labels.iter().copied().max();
                assert!(highest.is_none_or(|h| (h as usize) < classes), "truth {highest:?} of {classes} classes");
                labels.len() * classes
            }
            Truth::AnyOf(labels) => {
                assert_eq!(labels.len() % classes, 0, "{} truths for rows of {classes} labels", labels.len());
                labels.len()
            }
        };
        assert_eq!(probabilities.len(), expected, "probabilities and truth disagree, with {classes} classes");
        let predicted = probabilities.chunks_exact(classes).map(largest).collect();
        let finite = probabilities.iter().all(|p| p.is_finite());
        Self { classes, probabilities, truth, loss, predicted, finite }
    }

    /// The same of answers of which no loss is known: it is their cross-entropy, where any label may be right the mean of that of each
    /// label.
    ///
    /// # Panics
    /// As [`Self::new`].
    #[must_use]
    pub fn with_cross_entropy(classes: usize, probabilities: Vec<f32>, truth: Truth) -> Self {
        let mut predictions = Self::new(classes, probabilities, truth, Loss { mean: 0.0, weight: 0.0 });
        let nats = |p: f32| -f64::from(p.clamp(f32::MIN_POSITIVE, 1.0)).ln();
        let samples = predictions.len() as f64;
        let mean = match &predictions.truth {
            Truth::OneOf(labels) => {
                let each = predictions.rows().zip(labels);
                each.map(|(row, &label)| nats(row[label as usize])).sum::<f64>() / samples
            }
            Truth::AnyOf(labels) => {
                let each = predictions.probabilities.iter().zip(labels);
                each.map(|(&p, &right)| nats(if right { p } else { 1.0 - p })).sum::<f64>() / labels.len() as f64
            }
        };
        predictions.loss = Loss { mean, weight: samples };
        predictions
    }

    /// What may be right at once.
    #[must_use]
    pub fn classes(&self) -> Classes {
        match self.truth {
            Truth::OneOf(_) => Classes::OneOf(self.classes),
            Truth::AnyOf(_) => Classes::AnyOf(self.classes),
        }
    }

    /// The number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.predicted.len()
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.predicted.is_empty()
    }

    /// `[samples, classes]`, row-major.
    #[must_use]
    pub fn probabilities(&self) -> &[f32] {
        &self.probabilities
    }

    /// The probabilities of each sample, `[classes]`.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.probabilities.chunks_exact(self.classes)
    }

    /// What is right.
    #[must_use]
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// `[samples]`: the most probable class, the lowest among equals. NaN is never the most probable.
    #[must_use]
    pub fn predicted(&self) -> &[u32] {
        &self.predicted
    }

    /// For each sample the classes that are right, and those that are answered, both ascending: one each, or of labels any number.
    pub fn sets(&self) -> impl Iterator<Item = (Vec<u32>, Vec<u32>)> {
        self.rows().enumerate().map(move |(sample, row)| match &self.truth {
            Truth::OneOf(labels) => (vec![labels[sample]], vec![self.predicted[sample]]),
            Truth::AnyOf(labels) => {
                let right = &labels[sample * self.classes..][..self.classes];
                (chosen(right.iter().copied()), chosen(row.iter().map(|&probability| says_yes(probability))))
            }
        })
    }

    /// The loss of the batch.
    #[must_use]
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// Whether every probability is a finite number; those of a network that has diverged are not.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.finite
    }

    /// For each sample: its probabilities `[classes]`, the right class, and the predicted one.
    ///
    /// # Panics
    /// When more than one label may be right: a [`MetricSet`](crate::MetricSet) refuses such metrics at its start.
    pub(crate) fn answers(&self) -> impl Iterator<Item = (&[f32], usize, usize)> {
        let Truth::OneOf(labels) = &self.truth else {
            panic!("one right class a sample is needed, not any of {} labels", self.classes);
        };
        let classes =
            labels.iter().zip(&self.predicted).map(|(&label, &predicted)| (label as usize, predicted as usize));
        self.rows().zip(classes).map(|(row, (label, predicted))| (row, label, predicted))
    }
}

/// Whether a label is given as right where any may be.
pub(crate) fn says_yes(probability: f32) -> bool {
    probability > 0.5
}

/// The numbers of those that are true.
fn chosen(each: impl Iterator<Item = bool>) -> Vec<u32> {
    (0..).zip(each).filter_map(|(class, is_chosen)| is_chosen.then_some(class)).collect()
}

fn largest(row: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (class, &probability) in (0..).zip(row) {
        if probability > best.1 {
            best = (class, probability);
        }
    }
    best.0
}
