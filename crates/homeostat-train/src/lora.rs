//! Low-rank changes of dense layers (Hu et al. 2022) that learn in the place of their weights. What a layer computes with is its weight
//! plus the product of two narrow matrices, so no network knows of it. It does not know the loop, nor files.

use std::collections::{BTreeMap, BTreeSet};

use burn::{
    module::{Module, ModuleVisitor, Param, ParamId, Reparameterization, Reparameterizer},
    nn::{Dropout, DropoutConfig},
    tensor::{Distribution, Tensor, TensorData},
};
use homeostat_task::{ParamPath, Weights, name_fits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    TrainError,
    bound::{DECAY, POSITIVE},
    freeze::{divided, fits},
};

/// Low-rank changes of dense layers, which learn where everything else keeps its value. They are merged into the weights when they are
/// published, and stand alone in the run's folder `adapter`, in the format of the library PEFT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoraConfig {
    /// Columns of the narrow matrix: a layer from `in` to `out` features learns `rank * (in + out)` numbers.
    pub rank: usize,
    /// The change is multiplied by this over the rank.
    pub alpha: f64,
    /// Whether it is multiplied by `alpha` over the root of the rank instead, which suits high ranks (Kalajdzievski 2023).
    pub rank_stabilized: bool,
    /// Which dense layers, by the names of their weights, where a `*` stands for anything.
    pub targets: Vec<String>,
    /// Share of a layer's inputs that the change does not see in a batch, in 0..1; the same ones for all samples of the batch.
    pub dropout: f64,
    /// What else learns, as in `learn`: `["head.*", "*.bias"]`; where it is not set, the head, if the network has one.
    pub beside: Option<Vec<String>>,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 16.0,
            rank_stabilized: false,
            targets: vec!["*.qkv.weight".to_owned()],
            dropout: 0.0,
            beside: None,
        }
    }
}

/// What an adapted weight's parameters are called below its own name.
const NAME: &str = "lora";
/// What learns beside the changes where the experiment does not say.
const HEAD: &str = "head.*";

/// The change of one weight.
#[derive(Module, Debug)]
struct LowRank {
    /// `[in, rank]`
    a: Param<Tensor<2>>,
    /// `[rank, out]`
    b: Param<Tensor<2>>,
    scale: f64,
    dropout: Dropout,
}

impl Reparameterization for LowRank {
    const NAME: &'static str = NAME;

    fn apply<const D: usize>(&self, weight: Tensor<D>) -> Tensor<D> {
        let a = self.a.val();
        // An input that is dropped is a row of the first matrix that is 0.
        let a = if self.dropout.prob > 0.0 {
            let [inputs, _] = a.dims();
            let seen = self.dropout.forward(Tensor::<2>::ones([inputs, 1], &a.device()));
            a * seen
        } else {
            a
        };
        let change = a.matmul(self.b.val()).mul_scalar(self.scale);
        let shape = weight.shape();
        weight + change.reshape(shape)
    }
}

/// The two matrices of an adapted weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// `[in, rank]`
    pub a: TensorData,
    /// `[rank, out]`
    pub b: TensorData,
}

impl LoraConfig {
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        if self.rank == 0 {
            return Err(TrainError::setting("train.lora.rank", "is 0, but must be at least 1"));
        }
        if self.targets.is_empty() {
            return Err(TrainError::setting("train.lora.targets", "is empty: name the weights of dense layers"));
        }
        POSITIVE.check("train.lora.alpha", "", self.alpha)?;
        DECAY.check("train.lora.dropout", "", self.dropout)
    }

    /// What the product of the matrices is multiplied by.
    #[must_use]
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rank_stabilized { rank.sqrt() } else { rank }
    }

    /// What alone learns: the changes, and what is to learn beside them.
    pub(crate) fn learners(&self) -> Vec<String> {
        [vec![format!("*.{NAME}.*")], self.beside()].concat()
    }

    fn beside(&self) -> Vec<String> {
        self.beside.clone().unwrap_or_else(|| vec![HEAD.to_owned()])
    }

    /// The names of the weights that a change is put at, in the order of the network.
    ///
    /// # Errors
    /// A pattern fits no dense layer, a layer is narrower than the rank, or is to learn beside its change.
    pub fn target_names<M: Module>(&self, module: &M) -> Result<Vec<String>, TrainError> {
        Ok(self.target_layers(module)?.into_iter().map(|layer| layer.name).collect())
    }

    /// The network with a change at each target, which is nothing at first; the first matrix is drawn from the device's generator as PEFT
    /// draws it.
    ///
    /// # Errors
    /// A pattern fits no dense layer, a layer is narrower than the rank, or is to learn beside its change.
    pub(crate) fn attach<M: Module>(&self, module: M) -> Result<M, TrainError> {
        let ids = self.target_layers(&module)?.iter().map(|layer| layer.id).collect();
        Ok(module.apply_reparameterization(Attach { config: self, ids }))
    }

    fn target_layers<M: Module>(&self, module: &M) -> Result<Vec<DenseLayer>, TrainError> {
        let mut reader = DenseLayers::default();
        module.visit(&mut reader);
        for pattern in &self.targets {
            if !reader.weights.iter().any(|layer| name_fits(pattern, &layer.name)) {
                let known: Vec<&str> = reader.weights.iter().take(6).map(|layer| layer.name.as_str()).collect();
                let problem = format!("`{pattern}` fits no dense layer; there are {} ...", known.join(", "));
                return Err(TrainError::setting("train.lora.targets", problem));
            }
        }
        let is_target = |layer: &DenseLayer| self.targets.iter().any(|pattern| name_fits(pattern, &layer.name));
        let mut targets: Vec<DenseLayer> = reader.weights.into_iter().filter(is_target).collect();
        let beside = self.beside();
        let is_whole = |layer: &DenseLayer| beside.iter().any(|pattern| fits(pattern, &layer.name));
        let whole = targets.iter().find(|layer| is_whole(layer)).map(|layer| layer.name.clone());
        if self.beside.is_none() {
            // `*` means all but the head, which learns whole where nothing else is said.
            targets.retain(|layer| !is_whole(layer));
        }
        let is_idle = |pattern: &&String| !targets.iter().any(|layer| name_fits(pattern, &layer.name));
        if let Some(name) =
            whole.filter(|_| self.beside.is_some() || self.targets.iter().any(|pattern| is_idle(&pattern)))
        {
            let problem = format!(
                "names `{name}`, which train.lora.beside lets learn whole (unset: the head): name it in one of them"
            );
            return Err(TrainError::setting("train.lora.targets", problem));
        }
        if let Some(DenseLayer { name, sides: [inputs, outputs], .. }) =
            targets.iter().find(|layer| self.rank > layer.sides[0].min(layer.sides[1]))
        {
            let problem = format!("is {}, but `{name}` is only {inputs} x {outputs}", self.rank);
            return Err(TrainError::setting("train.lora.rank", problem));
        }
        Ok(targets)
    }

    /// The matrices of all adapted weights, by the name of the weight.
    #[must_use]
    pub fn factors<M: Module>(module: &M) -> BTreeMap<String, Factors> {
        let all = Weights::of(module);
        let of = |name: &String| {
            let weight = name.strip_suffix(&format!(".{NAME}.a"))?;
            let [a, b] = ["a", "b"].map(|part| all.tensors()[&format!("{weight}.{NAME}.{part}")].clone());
            Some((weight.to_owned(), Factors { a, b }))
        };
        all.tensors().keys().filter_map(of).collect()
    }

    /// The tensors that learnt beside the changes, and those that kept their values; each in the network's names.
    #[must_use]
    pub fn beside_and_base<M: Module>(&self, module: &M) -> [Weights; 2] {
        let own = format!("*.{NAME}.*");
        let rest = Weights::of(module).tensors().clone().into_iter().filter(|(name, _)| !name_fits(&own, name));
        divided(&Weights::from_tensors(rest.collect()), &self.beside())
    }
}

/// A dense layer's weight.
struct DenseLayer {
    id: ParamId,
    name: String,
    sides: [usize; 2],
}

#[derive(Default)]
struct DenseLayers {
    path: ParamPath,
    /// In the order of the network.
    weights: Vec<DenseLayer>,
}

impl ModuleVisitor for DenseLayers {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let of_dense = self.path.container() == "Struct:Linear";
        if let [inputs, outputs] = param.lazy_shape().to_vec()[..]
            && of_dense
        {
            let layer = DenseLayer { id: param.id, name: self.path.name(), sides: [inputs, outputs] };
            self.weights.push(layer);
        }
    }
}

struct Attach<'a> {
    config: &'a LoraConfig,
    ids: BTreeSet<ParamId>,
}

impl Reparameterizer for Attach<'_> {
    type Reparam = LowRank;

    fn reparameterize<const D: usize>(
        &mut self,
        _: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<LowRank>) {
        let [inputs, outputs] = param.lazy_shape().to_vec()[..] else { return (param, None) };
        if !self.ids.contains(&param.id) {
            return (param, None);
        }
        let (device, rank) = (param.base().device(), self.config.rank);
        let bound = 1.0 / (inputs as f64).sqrt();
        let a = Tensor::<2>::random([inputs, rank], Distribution::Uniform(-bound, bound), &device);
        let change = LowRank {
            a: Param::from_tensor(a),
            b: Param::from_tensor(Tensor::zeros([rank, outputs], &device)),
            scale: self.config.scale(),
            dropout: DropoutConfig::new(self.config.dropout).init(),
        };
        (param, Some(change))
    }
}
