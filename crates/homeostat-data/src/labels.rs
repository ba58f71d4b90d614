//! The labels of the samples of a source. It does not know the names of the classes.

/// How many labels a sample has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelKind {
    /// None: there is only the content, as for a language model.
    None,
    /// Exactly one.
    One,
    /// Any number, none included.
    Several,
}

/// The label or labels of each sample.
pub(crate) enum Labels {
    /// So many samples without one.
    None(usize),
    One(Vec<u32>),
    /// The labels of all samples one behind the other, and where those of each end.
    Several {
        labels: Vec<u32>,
        ends: Vec<usize>,
    },
}

impl Labels {
    pub(crate) fn kind(&self) -> LabelKind {
        match self {
            Self::None(_) => LabelKind::None,
            Self::One(_) => LabelKind::One,
            Self::Several { .. } => LabelKind::Several,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::None(count) => *count,
            Self::One(labels) => labels.len(),
            Self::Several { ends, .. } => ends.len(),
        }
    }

    pub(crate) fn of(&self, i: usize) -> &[u32] {
        match self {
            Self::None(count) => {
                assert!(i < *count, "sample {i} of {count}");
                &[]
            }
            Self::One(labels) => std::slice::from_ref(&labels[i]),
            Self::Several { labels, ends } => &labels[if i == 0 { 0 } else { ends[i - 1] }..ends[i]],
        }
    }
}
