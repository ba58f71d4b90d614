//! The second door of a task: tensors that whoever asks has prepared. It does not know how they travelled.

use std::ops::Range;

use burn::tensor::Device;

use crate::{InputError, Task};

/// The door for whoever brings prepared tensors instead of a file or a text: what [`Task::prepare`] and [`Task::collate`] would
/// have made. Behind it the way is the same: the network, and [`Task::respond`].
pub trait TensorDoor<T: Task> {
    /// What goes in and comes out.
    fn signature(&self) -> Signature;

    /// Refuses values that the network must not see; types and shapes are those of the signature already.
    ///
    /// # Errors
    /// The first value that is out of its range.
    fn check(&self, request: &TensorRequest) -> Result<(), InputError>;

    /// Puts requests that passed [`check`](Self::check), one below the other, on the device. Their sizes differ in the rows alone.
    fn collate(&self, requests: &[&TensorRequest], device: &Device) -> T::Batch;

    /// Answers as tensors, in the order of [`Signature::outputs`]: a row an answer.
    fn outputs(&self, responses: &[T::Response]) -> Vec<HostTensor>;
}

/// What a task takes and gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name of what it takes unprepared: `file` or `text`.
    pub raw: &'static str,
    /// The prepared tensors; the first size of each is the rows, which are as many in all.
    pub inputs: Vec<TensorSpec>,
    /// The answer's tensors; the first size of each is the rows.
    pub outputs: Vec<TensorSpec>,
    /// The names of the classes that the first output has a score for, in their order; empty where it has none.
    pub labels: Vec<String>,
}

/// What a tensor looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub kind: ValueKind,
    /// Its sizes; nothing stands for any size above 0.
    pub shape: Vec<Option<usize>>,
    /// Whether it may be left out.
    pub is_optional: bool,
}

/// What values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Floats of 32 bits.
    F32,
    /// Integers of 64 bits with a sign.
    I64,
}

/// A tensor on the host: as many values as its shape says.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    shape: Vec<usize>,
    values: Values,
}

/// Values, row by row.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Floats.
    F32(Vec<f32>),
    /// Integers.
    I64(Vec<i64>),
}

/// The tensors of one request, in the order of [`Signature::inputs`]; one that may be left out may be nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorRequest(Vec<Option<HostTensor>>);

impl Signature {
    /// Takes tensors that fit in number, kind and shape.
    ///
    /// # Errors
    /// Names the first that does not fit.
    pub fn request(&self, tensors: Vec<Option<HostTensor>>) -> Result<TensorRequest, InputError> {
        if tensors.len() != self.inputs.len() {
            return Err(InputError::new(format!("{} tensors, {} are wanted", tensors.len(), self.inputs.len())));
        }
        let mut free: Vec<(usize, usize, &str)> = Vec::new();
        for (spec, tensor) in self.inputs.iter().zip(&tensors) {
            let Some(tensor) = tensor else {
                if spec.is_optional {
                    continue;
                }
                return Err(InputError::new(format!("the tensor `{}` is missing", spec.name)));
            };
            spec.check(tensor)?;
            // What is free is the same in all: the rows, the length.
            for (place, (&wanted, &found)) in spec.shape.iter().zip(&tensor.shape).enumerate() {
                let other = free.iter().find(|(at, size, _)| *at == place && *size != found);
                if let (None, Some((_, size, name))) = (wanted, other) {
                    let problem = format!("has {found} at place {place} of its shape, but `{name}` has {size}");
                    return Err(InputError::new(format!("the tensor `{}` {problem}", spec.name)));
                }
                if wanted.is_none() {
                    free.push((place, found, spec.name));
                }
            }
        }
        Ok(TensorRequest(tensors))
    }
}

impl TensorSpec {
    fn check(&self, tensor: &HostTensor) -> Result<(), InputError> {
        let wrong = |problem: String| Err(InputError::new(format!("the tensor `{}` {problem}", self.name)));
        if tensor.kind() != self.kind {
            return wrong(format!("has values of the kind {:?}, but {:?} is wanted", tensor.kind(), self.kind));
        }
        let fits = |(wanted, found): (&Option<usize>, &usize)| wanted.map_or(*found > 0, |wanted| wanted == *found);
        if tensor.shape.len() == self.shape.len() && self.shape.iter().zip(&tensor.shape).all(fits) {
            return Ok(());
        }
        let wanted: Vec<String> =
            self.shape.iter().map(|size| size.map_or_else(|| "any".to_owned(), |size| size.to_string())).collect();
        wrong(format!("has the shape {:?}, but [{}] is wanted", tensor.shape, wanted.join(", ")))
    }
}

impl HostTensor {
    /// A tensor of this shape.
    ///
    /// # Panics
    /// If there are more or fewer values than the shape says.
    #[must_use]
    pub fn new(shape: impl Into<Vec<usize>>, values: Values) -> Self {
        let shape = shape.into();
        assert_eq!(shape.iter().product::<usize>(), values.len(), "values of the shape {shape:?}");
        Self { shape, values }
    }

    /// Its sizes, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its values.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// What its values are.
    #[must_use]
    pub fn kind(&self) -> ValueKind {
        match self.values {
            Values::F32(_) => ValueKind::F32,
            Values::I64(_) => ValueKind::I64,
        }
    }

    /// Its floats; none where it has integers.
    #[must_use]
    pub fn floats(&self) -> &[f32] {
        match &self.values {
            Values::F32(values) => values,
            Values::I64(_) => &[],
        }
    }

    /// Its integers; none where it has floats.
    #[must_use]
    pub fn integers(&self) -> &[i64] {
        match &self.values {
            Values::I64(values) => values,
            Values::F32(_) => &[],
        }
    }

    /// Some of its rows.
    ///
    /// # Panics
    /// If it has fewer.
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> Self {
        let width: usize = self.shape[1..].iter().product();
        let range = rows.start * width..rows.end * width;
        let values = match &self.values {
            Values::F32(values) => Values::F32(values[range].to_vec()),
            Values::I64(values) => Values::I64(values[range].to_vec()),
        };
        let mut shape = self.shape.clone();
        shape[0] = rows.len();
        Self { shape, values }
    }
}

impl Values {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl TensorRequest {
    /// The tensors, in the order of the signature.
    #[must_use]
    pub fn tensors(&self) -> &[Option<HostTensor>] {
        &self.0
    }

    /// The tensor at this place, if it is there.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&HostTensor> {
        self.0.get(place)?.as_ref()
    }

    /// How many samples it asks about.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.0.iter().flatten().next().map_or(0, |tensor| tensor.shape[0])
    }

    /// The sizes of a row of its first tensor: requests with the same can be put one below the other.
    #[must_use]
    pub fn row_shape(&self) -> &[usize] {
        self.0.iter().flatten().next().map_or(&[], |tensor| &tensor.shape[1..])
    }

    /// Some of its rows.
    ///
    /// # Panics
    /// If it has fewer.
    #[must_use]
    pub fn slice(&self, rows: Range<usize>) -> Self {
        Self(self.0.iter().map(|tensor| tensor.as_ref().map(|tensor| tensor.rows(rows.clone()))).collect())
    }
}
