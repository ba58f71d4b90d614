//! Weights that other programs wrote, in their names and layout: read from safetensors or PyTorch's files (whose pickles are
//! read, never run), and put into a module by a table of names. It does not know which network it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{DType, Tensor, TensorData},
};
use pytorch_reader::{PytorchError, PytorchReader};
use safetensors::{Dtype, SafeTensors};

use crate::{ParamPath, Weights, WeightsError, pickle};

/// Counters that PyTorch's batch normalisation keeps, and nobody needs.
const COUNTER: &str = "num_batches_tracked";
/// Under what checkpoints of trainings hide the weights, and what wrappers of modules put before all names.
const WRAPPERS: &[&str] = &["state_dict.", "model_state_dict.", "model.", "module."];

/// How another program calls and lays out the tensors of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignNames {
    tensors: BTreeMap<String, Foreign>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Foreign {
    name: String,
    /// Whether their rows are our columns: dense layers.
    transposed: bool,
    shape: Vec<usize>,
}

/// Weights in a module's own names, and what of them or of the module was left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Adopted {
    /// What the file has for the module.
    pub weights: Weights,
    /// Our tensors that keep what they have.
    pub kept: Vec<String>,
    /// Their tensors that found no place.
    pub unused: Vec<String>,
}

impl ForeignNames {
    /// The names of a module's tensors by a table: in each row the start of our name and of theirs, in whole parts, where `{s}`
    /// stands for a number, and `{s+1}` for the next one. The first row that fits counts.
    ///
    /// # Errors
    /// A tensor has no row, or two have one name.
    pub fn of<M: Module>(module: &M, rows: &[(String, String)]) -> Result<Self, WeightsError> {
        let mut reader = Reader::default();
        module.visit(&mut reader);
        let mut problems = Vec::new();
        let mut taken = BTreeSet::new();
        let mut tensors = BTreeMap::new();
        for Leaf { name, container, shape } in reader.leaves {
            let Some(theirs) = rows.iter().find_map(|(ours, theirs)| rename(&name, ours, theirs)) else {
                problems.push(format!("`{name}` has no name in the table"));
                continue;
            };
            let theirs = in_their_words(&theirs, &container);
            if !taken.insert(theirs.clone()) {
                problems.push(format!("`{theirs}` is the name of two tensors, one of them `{name}`"));
            }
            let transposed = container == "Struct:Linear" && shape.len() == 2;
            tensors.insert(name, Foreign { name: theirs, transposed, shape });
        }
        if problems.is_empty() { Ok(Self { tensors }) } else { Err(WeightsError::mismatch(&problems)) }
    }

    /// The same, where these tensors of theirs lie as ours do; in the patterns a `*` stands for anything.
    #[must_use]
    pub fn lying_as_ours(mut self, patterns: &[String]) -> Self {
        for foreign in self.tensors.values_mut() {
            foreign.transposed &= !patterns.iter().any(|pattern| name_fits(pattern, &foreign.name));
        }
        self
    }

    /// Our own names and layout: those of what a run publishes.
    #[must_use]
    pub fn own<M: Module>(module: &M) -> Self {
        let mut reader = Reader::default();
        module.visit(&mut reader);
        let own = |Leaf { name, shape, .. }: Leaf| (name.clone(), Foreign { name, transposed: false, shape });
        Self { tensors: reader.leaves.into_iter().map(own).collect() }
    }

    /// Their name of one of our tensors.
    #[must_use]
    pub fn theirs(&self, ours: &str) -> Option<&str> {
        self.tensors.get(ours).map(|foreign| foreign.name.as_str())
    }

    /// Whether they keep one of our tensors as we do: not so a dense layer whose rows are our columns.
    #[must_use]
    pub fn lies_as_ours(&self, ours: &str) -> bool {
        self.tensors.get(ours).is_some_and(|foreign| !foreign.transposed)
    }

    /// Our names, each with theirs.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tensors.iter().map(|(ours, foreign)| (ours.as_str(), foreign.name.as_str()))
    }

    /// How many of their names are among these tensors: the table that has most is theirs.
    #[must_use]
    pub fn hits(&self, theirs: &Weights) -> usize {
        self.tensors.values().filter(|foreign| theirs.tensors().contains_key(&foreign.name)).count()
    }

    /// Their weights in our names and layout.
    ///
    /// `allowed` are names, ours or theirs, of which a `*` stands for anything: such a tensor of ours may be missing or of another
    /// shape, and is kept; such a tensor of theirs may be without use.
    ///
    /// # Errors
    /// Lists what is missing, unused or misshapen without being allowed.
    pub fn adopt(&self, theirs: &Weights, allowed: &[String]) -> Result<Adopted, WeightsError> {
        let may = |name: &str| allowed.iter().any(|pattern| name_fits(pattern, name));
        let (mut missing, mut misshapen) = (Vec::new(), Vec::new());
        let (mut kept, mut tensors) = (Vec::new(), BTreeMap::new());
        for (ours, foreign) in &self.tensors {
            let name = &foreign.name;
            let both = if ours == name { format!("`{name}`") } else { format!("`{name}` (our `{ours}`)") };
            // Compared as they have it: what is no matrix cannot be turned.
            let (problems, problem) = match (theirs.tensors().get(name), foreign.their_shape()) {
                (Some(data), needed) if data.shape().to_vec() == needed => {
                    tensors.insert(ours.clone(), foreign.turned(data));
                    continue;
                }
                (Some(data), needed) => {
                    (&mut misshapen, format!("{both} has shape {:?}, needed {needed:?}", data.shape().to_vec()))
                }
                (None, _) => (&mut missing, format!("{both} is missing")),
            };
            if may(ours) || may(name) {
                kept.push(ours.clone());
            } else {
                problems.push(problem);
            }
        }
        let used: BTreeSet<&String> = self.tensors.values().map(|foreign| &foreign.name).collect();
        let unused: Vec<String> = theirs.tensors().keys().filter(|name| !used.contains(name)).cloned().collect();
        let unwanted = unused.iter().filter(|name| !may(name)).map(|name| format!("`{name}` is not used")).collect();
        WeightsError::none_of(&[("missing", missing), ("misshapen", misshapen), ("unused", unwanted)])?;
        if tensors.is_empty() {
            return Err(WeightsError::mismatch(&["nothing of the file fits the network".to_owned()]));
        }
        Ok(Adopted { weights: Weights::from_tensors(tensors), kept, unused })
    }

    /// Our weights in their names and layout.
    #[must_use]
    pub fn export(&self, ours: &Weights) -> Weights {
        let tensors =
            self.tensors.iter().map(|(name, foreign)| (foreign.name.clone(), foreign.turned(&ours.tensors()[name])));
        Weights::from_tensors(tensors.collect())
    }
}

impl Foreign {
    fn their_shape(&self) -> Vec<usize> {
        let mut shape = self.shape.clone();
        if self.transposed {
            shape.reverse();
        }
        shape
    }

    /// The tensor from their layout into ours, or back.
    fn turned(&self, data: &TensorData) -> TensorData {
        if self.transposed { transpose(data) } else { data.clone() }
    }
}

impl Adopted {
    /// Puts the weights into the module; what was kept stays as it is.
    ///
    /// # Errors
    /// The module is not the one whose names these are.
    pub fn apply<M: Module>(&self, module: M) -> Result<M, WeightsError> {
        let mut all = Weights::of(&module).tensors().clone();
        all.extend(self.weights.tensors().iter().map(|(name, data)| (name.clone(), data.clone())));
        Weights::from_tensors(all).apply(module)
    }
}

/// Reads weights that another program wrote; the file's ending says how: `.safetensors`, or `.pth`, `.pt`, `.bin`, `.th` of PyTorch.
/// Numbers of other precision become 32-bit floats, and whole numbers are left out.
///
/// # Errors
/// The file cannot be read, is no such file, holds something else than plain tensors of finite floats, or a pickle in it asks for
/// what is no part of weights, such as a command of the system.
pub fn read_foreign(path: &Path) -> Result<Weights, WeightsError> {
    read_checkpoint(path).map(|(weights, _)| weights)
}

/// The same, and the names of what stands beside the weights in the checkpoint of a training: the memory of its optimiser, say.
///
/// # Errors
/// As [`read_foreign`].
pub fn read_checkpoint(path: &Path) -> Result<(Weights, Vec<String>), WeightsError> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let tensors = match ending {
        "safetensors" => {
            let bytes = std::fs::read(path).map_err(|error| WeightsError::Format { reason: error.to_string() })?;
            of_safetensors(&bytes)?
        }
        "pth" | "pt" | "bin" | "th" => of_pytorch(path)?,
        _ => {
            let reason = format!("`{ending}` is no ending of weights: .safetensors, .pth, .pt, .bin and .th are read");
            return Err(WeightsError::Format { reason });
        }
    };
    let (tensors, beside) = unwrapped(tensors);
    let weights = Weights::from_tensors(tensors);
    weights.check_finite()?;
    Ok((weights, beside))
}

fn of_safetensors(bytes: &[u8]) -> Result<BTreeMap<String, TensorData>, WeightsError> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        let reason = format!("no whole file of safetensors, but cut short or damaged ({error}): fetch it again");
        WeightsError::Format { reason }
    })?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter().filter(|(name, _)| !name.ends_with(COUNTER)) {
        let dtype = match view.dtype() {
            Dtype::F64 => DType::F64,
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            // Counters, and positions that BERT numbers.
            Dtype::I64 | Dtype::I32 | Dtype::U8 | Dtype::BOOL => continue,
            other => return Err(WeightsError::Type { name: name.to_owned(), dtype: format!("{other:?}") }),
        };
        tensors.insert(name.to_owned(), floats(view.data().to_vec(), view.shape().to_vec(), dtype));
    }
    Ok(tensors)
}

fn of_pytorch(path: &Path) -> Result<BTreeMap<String, TensorData>, WeightsError> {
    let format = |reason: String| WeightsError::Format { reason: format!("not weights of PyTorch: {reason}") };
    let unread = |error: PytorchError| format(pickle::asks(path).unwrap_or_else(|| error.to_string()));
    let reader = PytorchReader::new(path).map_err(unread)?;
    pickle::check(path, &reader.metadata().format_type).map_err(format)?;
    if reader.is_empty() {
        return Err(format("there is no tensor in it".to_owned()));
    }
    let mut tensors = BTreeMap::new();
    for (name, tensor) in reader.into_tensors() {
        if name.ends_with(COUNTER) {
            continue;
        }
        let dtype = match tensor.dtype() {
            pytorch_reader::DType::F64 => DType::F64,
            pytorch_reader::DType::F32 => DType::F32,
            pytorch_reader::DType::F16 => DType::F16,
            pytorch_reader::DType::BF16 => DType::BF16,
            // Of a whole checkpoint, the optimiser's counters among others.
            _ => continue,
        };
        let bytes = tensor.read().map_err(|error| format(error.to_string()))?;
        tensors.insert(name, floats(bytes, tensor.shape().to_vec(), dtype));
    }
    Ok(tensors)
}

fn floats(bytes: Vec<u8>, shape: Vec<usize>, dtype: DType) -> TensorData {
    TensorData::from_bytes_vec(bytes, shape, dtype).convert_dtype(DType::F32)
}

/// The weights without their wrappers, and the names of what stands beside a state dict, or beside weights and an optimiser. Elsewhere
/// what lacks the wrapper of the others is a weight like them.
fn unwrapped(mut tensors: BTreeMap<String, TensorData>) -> (BTreeMap<String, TensorData>, Vec<String>) {
    let mut beside = Vec::new();
    while let Some(wrapper) = WRAPPERS.iter().find(|wrapper| comes_off(wrapper, &tensors)) {
        let (inside, outside): (BTreeMap<_, _>, BTreeMap<_, _>) =
            tensors.into_iter().partition(|(name, _)| name.starts_with(*wrapper));
        let bare = inside.into_iter().map(|(name, data)| (name[wrapper.len()..].to_owned(), data));
        if wrapper.ends_with("state_dict.") || outside.keys().any(|name| name.starts_with("optimizer")) {
            beside.extend(outside.into_keys());
            tensors = bare.collect();
        } else {
            tensors = outside.into_iter().chain(bare).collect();
        }
    }
    (tensors, beside)
}

/// Whether some names begin with this wrapper, and none of them is another tensor's without it.
fn comes_off(wrapper: &str, tensors: &BTreeMap<String, TensorData>) -> bool {
    let mut bare = tensors.keys().filter_map(|name| name.strip_prefix(wrapper)).peekable();
    bare.peek().is_some() && bare.all(|name| !tensors.contains_key(name))
}

/// The name with its start replaced, if it fits the row.
fn rename(name: &str, ours: &str, theirs: &str) -> Option<String> {
    let mut parts = name.split('.');
    let mut numbers: Vec<(&str, usize)> = Vec::new();
    for part in ours.split('.') {
        let found = parts.next()?;
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(variable) => numbers.push((variable, found.parse().ok()?)),
            None if part == found => {}
            None => return None,
        }
    }
    let mut renamed = theirs.to_owned();
    for (variable, number) in numbers {
        renamed = renamed.replace(&format!("{{{variable}}}"), &number.to_string());
        renamed = renamed.replace(&format!("{{{variable}+1}}"), &(number + 1).to_string());
    }
    Some(parts.fold(renamed, |renamed, part| format!("{renamed}.{part}")))
}

/// What a normalisation calls gamma and beta is weight and bias elsewhere.
fn in_their_words(name: &str, container: &str) -> String {
    let words = [(".gamma", ".weight"), (".beta", ".bias")];
    let normalises = container.ends_with("Norm");
    let found = words
        .into_iter()
        .filter(|_| normalises)
        .find_map(|(ours, theirs)| Some(format!("{}{theirs}", name.strip_suffix(ours)?)));
    found.unwrap_or_else(|| name.to_owned())
}

/// Whether a name fits a pattern, in which a `*` stands for anything.
#[must_use]
pub fn name_fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(start) else { return false };
    (0..=name.len()).filter(|&at| name.is_char_boundary(at)).any(|at| name_fits(rest, &name[at..]))
}

/// Rows become columns.
///
/// # Panics
/// If it is no matrix of 32-bit floats.
#[must_use]
pub fn transpose(data: &TensorData) -> TensorData {
    let [rows, columns] = data.shape()[..] else { panic!("a matrix has two sides, not {:?}", data.shape().to_vec()) };
    let values = data.as_slice::<f32>().expect("weights are 32-bit floats");
    let turned = (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column]));
    TensorData::new(turned.collect(), [columns, rows])
}

/// A tensor of a module, and the type that it stands in.
struct Leaf {
    name: String,
    container: String,
    shape: Vec<usize>,
}

#[derive(Default)]
struct Reader {
    path: ParamPath,
    leaves: Vec<Leaf>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let container = self.path.container().to_owned();
        self.leaves.push(Leaf { name: self.path.name(), container, shape: param.lazy_shape().to_vec() });
    }
}
