//! A network's tensors by name, on the host: the way of weights between a living module and a safetensors file.
//! It does not know which network it is, nor where the file lies.

use std::collections::{BTreeMap, HashMap};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{DType, Tensor, TensorData},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// The float tensors of a module, by path (`stages.0.weight`), as 32-bit floats.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    tensors: BTreeMap<String, TensorData>,
}

/// Weights that cannot be read, or do not fit the network.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The bytes are no file of weights.
    #[error("not a file of weights: {reason}")]
    Format {
        /// What the reader said.
        reason: String,
    },
    /// A tensor of another type than 32-bit floats.
    #[error("tensor `{name}` holds {dtype}, not 32-bit floats")]
    Type {
        /// The tensor.
        name: String,
        /// What it holds.
        dtype: String,
    },
    /// Names or shapes differ from the network's.
    #[error("the weights are of another network: {details}")]
    Mismatch {
        /// How much is missing, misshapen and unused, and the first of each.
        details: String,
        /// All of it.
        problems: Vec<String>,
    },
    /// A value that is not a number.
    #[error("tensor `{name}` holds NaN or infinity at element {index}: these weights are broken")]
    NotFinite {
        /// The tensor.
        name: String,
        /// The first such element, in row-major order.
        index: usize,
    },
}

impl Weights {
    /// Copies the float tensors of a module to the host.
    #[must_use]
    pub fn of<M: Module>(module: &M) -> Self {
        let mut reader = Reader::default();
        module.visit(&mut reader);
        Self { tensors: reader.tensors }
    }

    /// Weights from tensors by name; each must hold 32-bit floats.
    #[must_use]
    pub fn from_tensors(tensors: BTreeMap<String, TensorData>) -> Self {
        assert!(tensors.values().all(|data| data.dtype() == DType::F32), "weights are 32-bit floats");
        Self { tensors }
    }

    /// The tensors by name.
    #[must_use]
    pub fn tensors(&self) -> &BTreeMap<String, TensorData> {
        &self.tensors
    }

    /// Puts the weights into a module with the same names and shapes; parameters keep their identity.
    ///
    /// # Errors
    /// A name or a shape differs: then nothing of the module was changed (it is lost, as it was moved in).
    pub fn apply<M: Module>(&self, module: M) -> Result<M, WeightsError> {
        self.check_fit(&Self::shapes_of(&module))?;
        Ok(module.map(&mut Applier { path: ParamPath::default(), weights: self }))
    }

    /// Refuses NaN and infinity.
    ///
    /// # Errors
    /// Names the first tensor and element that is not finite.
    pub fn check_finite(&self) -> Result<(), WeightsError> {
        for (name, data) in &self.tensors {
            let values = data.as_slice::<f32>().unwrap_or(&[]);
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                return Err(WeightsError::NotFinite { name: name.clone(), index });
            }
        }
        Ok(())
    }

    /// A safetensors file with these tensors and metadata; the same bytes for the same content.
    #[must_use]
    pub fn to_safetensors(&self, metadata: &BTreeMap<String, String>) -> Vec<u8> {
        let views = self.tensors.iter().map(|(name, data)| {
            let view = TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes());
            (name, view.unwrap_or_else(|error| panic!("tensor `{name}` with its own shape: {error}")))
        });
        // The crate writes metadata from a hash map, in random order: one entry keeps the bytes the same.
        let metadata = (!metadata.is_empty()).then(|| {
            let text = serde_json::to_string(metadata).unwrap_or_default();
            HashMap::from([("homeostat".to_owned(), text)])
        });
        safetensors::serialize(views, metadata).unwrap_or_else(|error| panic!("tensors with distinct names: {error}"))
    }

    /// Reads a safetensors file: the tensors, and the metadata that [`to_safetensors`](Self::to_safetensors) wrote.
    ///
    /// # Errors
    /// The bytes are no safetensors file, or a tensor is not of 32-bit floats.
    pub fn from_safetensors(bytes: &[u8]) -> Result<(Self, BTreeMap<String, String>), WeightsError> {
        let format = |error: &dyn std::fmt::Display| WeightsError::Format { reason: error.to_string() };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| format(&error))?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| format(&error))?;
        let metadata = match header.metadata().as_ref().and_then(|map| map.get("homeostat")) {
            Some(text) => serde_json::from_str(text).map_err(|error| format(&error))?,
            None => BTreeMap::new(),
        };
        let tensors = file.iter().map(|(name, view)| tensor(name, &view)).collect::<Result<_, _>>()?;
        Ok((Self { tensors }, metadata))
    }

    /// Puts the weights of a safetensors file into a module: read, found finite, and applied.
    ///
    /// # Errors
    /// As [`from_safetensors`](Self::from_safetensors), [`check_finite`](Self::check_finite) and [`apply`](Self::apply).
    pub fn restore<M: Module>(module: M, bytes: &[u8]) -> Result<M, WeightsError> {
        let (weights, _) = Self::from_safetensors(bytes)?;
        weights.check_finite()?;
        weights.apply(module)
    }

    fn shapes_of<M: Module>(module: &M) -> BTreeMap<String, Vec<usize>> {
        let mut reader = Shapes::default();
        module.visit(&mut reader);
        reader.shapes
    }

    fn check_fit(&self, shapes: &BTreeMap<String, Vec<usize>>) -> Result<(), WeightsError> {
        let missing =
            shapes.keys().filter(|name| !self.tensors.contains_key(*name)).map(|name| format!("`{name}` is missing"));
        let unused =
            self.tensors.keys().filter(|name| !shapes.contains_key(*name)).map(|name| format!("`{name}` is not used"));
        let misshapen = shapes.iter().filter_map(|(name, shape)| {
            let found = self.tensors.get(name)?.shape().to_vec();
            (&found != shape).then(|| format!("`{name}` has shape {found:?}, needed {shape:?}"))
        });
        WeightsError::none_of(&[
            ("missing", missing.collect()),
            ("misshapen", misshapen.collect()),
            ("unused", unused.collect()),
        ])
    }
}

impl WeightsError {
    /// The first of the problems, and how many there are.
    pub(crate) fn mismatch(problems: &[String]) -> Self {
        Self::of_kinds(&[("problems", problems.to_vec())])
    }

    /// Refuses problems of any of these kinds.
    pub(crate) fn none_of(kinds: &[(&str, Vec<String>)]) -> Result<(), Self> {
        if kinds.iter().all(|(_, problems)| problems.is_empty()) { Ok(()) } else { Err(Self::of_kinds(kinds)) }
    }

    fn of_kinds(kinds: &[(&str, Vec<String>)]) -> Self {
        const SHOWN: usize = 3;
        let first: Vec<&str> = kinds.iter().flat_map(|(_, all)| all.iter().take(SHOWN)).map(String::as_str).collect();
        let counted = kinds.iter().filter(|(_, all)| !all.is_empty());
        let counts: Vec<String> = counted.map(|(kind, all)| format!("{} {kind}", all.len())).collect();
        let problems: Vec<String> = kinds.iter().flat_map(|(_, all)| all.clone()).collect();
        let details = match problems.len() - first.len() {
            0 => first.join("; "),
            more => format!("{}: {}; and {more} more", counts.join(", "), first.join("; ")),
        };
        Self::Mismatch { details, problems }
    }
}

fn tensor(name: &str, view: &TensorView<'_>) -> Result<(String, TensorData), WeightsError> {
    if view.dtype() != Dtype::F32 {
        return Err(WeightsError::Type { name: name.to_owned(), dtype: format!("{:?}", view.dtype()) });
    }
    let data = TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), DType::F32);
    Ok((name.to_owned(), data))
}

/// Where a traversal stands in a module: the name that a parameter has in every file.
#[derive(Debug, Default)]
pub struct ParamPath {
    parts: Vec<String>,
    containers: Vec<String>,
}

impl ParamPath {
    /// To be called from the visitor's `enter_module`.
    pub fn enter(&mut self, name: &str, container: &str) {
        // The variant of an enum is not part of a parameter's name, so weights survive a network's being wrapped.
        self.parts.push(if container.starts_with("Enum:") { String::new() } else { name.to_owned() });
        self.containers.push(container.to_owned());
    }

    /// To be called from the visitor's `exit_module`.
    pub fn exit(&mut self) {
        self.parts.pop();
        self.containers.pop();
    }

    /// The type in which the traversal stands, as the visitor is told it: `Struct:Linear`.
    #[must_use]
    pub fn container(&self) -> &str {
        self.containers.last().map_or("", String::as_str)
    }

    /// The name here: `stages.0.weight`.
    #[must_use]
    pub fn name(&self) -> String {
        self.parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(".")
    }
}

#[derive(Default)]
struct Reader {
    path: ParamPath,
    tensors: BTreeMap<String, TensorData>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.tensors.insert(self.path.name(), param.val().into_data_dtype(DType::F32));
    }
}

#[derive(Default)]
struct Shapes {
    path: ParamPath,
    shapes: BTreeMap<String, Vec<usize>>,
}

impl ModuleVisitor for Shapes {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.shapes.insert(self.path.name(), param.lazy_shape().to_vec());
    }
}

struct Applier<'a> {
    path: ParamPath,
    weights: &'a Weights,
}

impl ModuleMapper for Applier<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let data = self.weights.tensors[&self.path.name()].clone();
        let (id, old, mapper) = param.consume();
        let (device, tracked) = (old.device(), old.is_require_grad());
        let new = Tensor::from_data(data, &device).set_require_grad(tracked);
        Param::from_mapped_value(id, new, mapper)
    }
}
