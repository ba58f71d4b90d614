//! A tensor as it travels: name, type, shape and contents, which always fit each other. It does not know devices or models.

use bytes::Bytes;
use half::{bf16, f16};

use crate::{Datatype, Parameters, ProtocolError};

/// What a tensor holds, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Numbers, each of the type's size, little-endian.
    Raw(Bytes),
    /// The elements of a tensor of [`Datatype::Bytes`].
    Elements(Vec<Bytes>),
}

/// A named tensor. Its contents fit its type and shape; no other value can be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    name: String,
    datatype: Datatype,
    shape: Vec<usize>,
    contents: Contents,
    parameters: Parameters,
}

/// How many elements a shape has; `None` where that number, or one that a zero hides, is above the machine's.
#[must_use]
pub fn element_count(shape: &[usize]) -> Option<usize> {
    let without_zeros = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size.max(1)))?;
    Some(if shape.contains(&0) { 0 } else { without_zeros })
}

impl Tensor {
    /// A tensor of these parts.
    ///
    /// # Errors
    ///
    /// Where the contents have another kind or length than type and shape say, or a BOOL is neither 0 nor 1.
    pub fn new(
        name: impl Into<String>,
        datatype: Datatype,
        shape: impl Into<Vec<usize>>,
        contents: Contents,
    ) -> Result<Self, ProtocolError> {
        let (name, shape) = (name.into(), shape.into());
        let error = |problem: String| Err(ProtocolError::tensor(&name, problem));
        let Some(elements) = element_count(&shape) else {
            return error(format!("has a shape beyond any memory: {}", words(&shape)));
        };
        match (&contents, datatype.size()) {
            (Contents::Raw(bytes), Some(size)) => {
                let Some(wanted) = elements.checked_mul(size) else {
                    return error(format!("has a shape beyond any memory: {}", words(&shape)));
                };
                if bytes.len() != wanted {
                    let shape = words(&shape);
                    return error(format!("has {} bytes, {datatype} of {shape} has {wanted}", bytes.len()));
                }
                if datatype == Datatype::Bool && bytes.iter().any(|&byte| byte > 1) {
                    return error("is BOOL, but has a byte above 1".to_owned());
                }
            }
            (Contents::Elements(found), None) if found.len() != elements => {
                return error(format!("has {} elements, its shape {} has {elements}", found.len(), words(&shape)));
            }
            (Contents::Elements(_), None) => {}
            (Contents::Raw(_), None) => return error("is BYTES, but has numbers".to_owned()),
            (Contents::Elements(_), Some(_)) => return error(format!("is {datatype}, but has elements of bytes")),
        }
        Ok(Self { name, datatype, shape, contents, parameters: Parameters::new() })
    }

    /// A tensor of [`Datatype::Fp32`].
    ///
    /// # Errors
    ///
    /// Where there are more or fewer values than the shape says.
    pub fn from_f32(
        name: impl Into<String>,
        shape: impl Into<Vec<usize>>,
        values: &[f32],
    ) -> Result<Self, ProtocolError> {
        Self::new(name, Datatype::Fp32, shape, raw(values.iter().map(|value| value.to_le_bytes())))
    }

    /// A tensor of [`Datatype::Int64`].
    ///
    /// # Errors
    ///
    /// Where there are more or fewer values than the shape says.
    pub fn from_i64(
        name: impl Into<String>,
        shape: impl Into<Vec<usize>>,
        values: &[i64],
    ) -> Result<Self, ProtocolError> {
        Self::new(name, Datatype::Int64, shape, raw(values.iter().map(|value| value.to_le_bytes())))
    }

    /// A tensor of [`Datatype::Int32`].
    ///
    /// # Errors
    ///
    /// Where there are more or fewer values than the shape says.
    pub fn from_i32(
        name: impl Into<String>,
        shape: impl Into<Vec<usize>>,
        values: &[i32],
    ) -> Result<Self, ProtocolError> {
        Self::new(name, Datatype::Int32, shape, raw(values.iter().map(|value| value.to_le_bytes())))
    }

    /// A tensor of [`Datatype::Bytes`].
    ///
    /// # Errors
    ///
    /// Where there are more or fewer elements than the shape says.
    pub fn from_elements<B: Into<Bytes>>(
        name: impl Into<String>,
        shape: impl Into<Vec<usize>>,
        elements: impl IntoIterator<Item = B>,
    ) -> Result<Self, ProtocolError> {
        Self::new(name, Datatype::Bytes, shape, Contents::Elements(elements.into_iter().map(Into::into).collect()))
    }

    /// The same tensor with these parameters.
    #[must_use]
    pub fn with_parameters(self, parameters: Parameters) -> Self {
        Self { parameters, ..self }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type of element.
    #[must_use]
    pub fn datatype(&self) -> Datatype {
        self.datatype
    }

    /// Its sizes, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its contents.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Its contents, without a copy.
    #[must_use]
    pub fn into_contents(self) -> Contents {
        self.contents
    }

    /// Its parameters.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// How many elements it has.
    #[must_use]
    pub fn elements(&self) -> usize {
        element_count(&self.shape).unwrap_or(0)
    }

    /// The numbers of a tensor of floats (FP16, BF16, FP32, FP64), FP64 rounded to the nearest.
    ///
    /// # Errors
    ///
    /// Where the type is none of these.
    pub fn to_f32(&self) -> Result<Vec<f32>, ProtocolError> {
        let bytes = self.numbers("FP16, BF16, FP32 or FP64")?;
        #[allow(clippy::cast_possible_truncation, reason = "the nearest is meant")]
        match self.datatype {
            Datatype::Fp32 => Ok(each(bytes, f32::from_le_bytes).collect()),
            Datatype::Fp64 => Ok(each(bytes, |value| f64::from_le_bytes(value) as f32).collect()),
            Datatype::Fp16 => Ok(each(bytes, |value| f16::from_le_bytes(value).to_f32()).collect()),
            Datatype::Bf16 => Ok(each(bytes, |value| bf16::from_le_bytes(value).to_f32()).collect()),
            _ => Err(self.other_type("FP16, BF16, FP32 or FP64")),
        }
    }

    /// The numbers of a tensor of integers.
    ///
    /// # Errors
    ///
    /// Where the type is none, or a UINT64 is above the largest `i64`.
    pub fn to_i64(&self) -> Result<Vec<i64>, ProtocolError> {
        let bytes = self.numbers("an integer")?;
        match self.datatype {
            Datatype::Int64 => Ok(each(bytes, i64::from_le_bytes).collect()),
            Datatype::Int32 => Ok(each(bytes, |value| i32::from_le_bytes(value).into()).collect()),
            Datatype::Int16 => Ok(each(bytes, |value| i16::from_le_bytes(value).into()).collect()),
            Datatype::Int8 => Ok(each(bytes, |value| i8::from_le_bytes(value).into()).collect()),
            Datatype::Uint32 => Ok(each(bytes, |value| u32::from_le_bytes(value).into()).collect()),
            Datatype::Uint16 => Ok(each(bytes, |value| u16::from_le_bytes(value).into()).collect()),
            Datatype::Uint8 => Ok(each(bytes, |value| u8::from_le_bytes(value).into()).collect()),
            Datatype::Uint64 => each(bytes, |value| i64::try_from(u64::from_le_bytes(value)))
                .collect::<Result<_, _>>()
                .map_err(|_| ProtocolError::tensor(&self.name, format!("has a value above {}", i64::MAX))),
            _ => Err(self.other_type("an integer")),
        }
    }

    /// The numbers of a tensor of integers.
    ///
    /// # Errors
    ///
    /// Where the type is none, or a value does not fit.
    pub fn to_i32(&self) -> Result<Vec<i32>, ProtocolError> {
        if let (Datatype::Int32, Contents::Raw(bytes)) = (self.datatype, &self.contents) {
            return Ok(each(bytes, i32::from_le_bytes).collect());
        }
        let values = self.to_i64()?;
        values
            .into_iter()
            .map(i32::try_from)
            .collect::<Result<_, _>>()
            .map_err(|_| ProtocolError::tensor(&self.name, format!("has a value outside {} to {}", i32::MIN, i32::MAX)))
    }

    /// The elements of a tensor of bytes.
    ///
    /// # Errors
    ///
    /// Where it has numbers.
    pub fn to_elements(&self) -> Result<&[Bytes], ProtocolError> {
        match &self.contents {
            Contents::Elements(elements) => Ok(elements),
            Contents::Raw(_) => Err(self.other_type("BYTES")),
        }
    }

    fn numbers(&self, wanted: &str) -> Result<&[u8], ProtocolError> {
        match &self.contents {
            Contents::Raw(bytes) => Ok(bytes),
            Contents::Elements(_) => Err(self.other_type(wanted)),
        }
    }

    fn other_type(&self, wanted: &str) -> ProtocolError {
        ProtocolError::tensor(&self.name, format!("has type {}, wanted is {wanted}", self.datatype))
    }
}

fn raw<const N: usize>(values: impl Iterator<Item = [u8; N]>) -> Contents {
    let mut bytes = Vec::with_capacity(values.size_hint().0.saturating_mul(N));
    values.for_each(|value| bytes.extend_from_slice(&value));
    Contents::Raw(bytes.into())
}

pub(crate) fn each<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> impl Iterator<Item = T> {
    bytes.as_chunks::<N>().0.iter().map(move |&value| read(value))
}

/// A shape for people, cut where it is long.
pub(crate) fn words<T: std::fmt::Display>(shape: &[T]) -> String {
    const MOST: usize = 8;
    let sizes: Vec<_> = shape.iter().take(MOST).map(ToString::to_string).collect();
    format!("[{}{}]", sizes.join(", "), if shape.len() > MOST { ", …" } else { "" })
}
