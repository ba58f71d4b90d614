//! Parameters that keep their values, and statistics that stay as they are, epoch by epoch. It does not know why.

use std::collections::BTreeSet;

use burn::{
    module::{Flag, Module, ModuleVisitor, Param, ParamGroup, ParamId},
    tensor::Tensor,
};
use homeostat_config::nearest_names;
use homeostat_task::{ParamPath, Weights, name_fits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{TrainConfig, TrainError};

/// Parameters of `freeze` that learn after all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct UnfreezeConfig {
    /// The epochs after which they begin to learn.
    pub after_epochs: usize,
    /// Which parameters, as in `freeze`.
    pub parameters: String,
}

impl UnfreezeConfig {
    /// What to say where it never happens in so many epochs.
    pub(crate) fn never_in(&self, epochs: usize) -> Option<String> {
        let Self { after_epochs, parameters } = self;
        let never = epochs > 0 && *after_epochs >= epochs;
        never.then(|| {
            format!("train.unfreeze: `{parameters}` never learns: after-epochs is {after_epochs} of {epochs} epochs")
        })
    }
}

/// What becomes of the running statistics of batch normalisation in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StatisticsConfig {
    /// They stay where the scale and shift of their layer are frozen, and follow the batches elsewhere.
    #[default]
    WithWeights,
    /// They stay everywhere, and the layers use them in training, too.
    Frozen,
    /// They follow the batches everywhere, also where weights are frozen.
    Running,
}

/// Whether a name fits a pattern of `freeze` or `learn`: one after a `!` fits all other names.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix('!') {
        Some(others) => !name_fits(others, name),
        None => name_fits(pattern, name),
    }
}

/// Refuses a pattern that fits no parameter. One that names what it leaves out (`!head.*`) has to fit what it names, too: all
/// others fit it by a slip as well.
pub(crate) fn check_pattern<'a, M: Module>(
    key: &'static str,
    pattern: &str,
    module: &M,
    mut names: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), TrainError> {
    let named = pattern.strip_prefix('!').unwrap_or(pattern);
    let missed = if !names.clone().any(|name| name_fits(named, name)) {
        named
    } else if !names.any(|name| fits(pattern, name)) {
        pattern
    } else {
        return Ok(());
    };
    Err(TrainError::setting(key, no_parameter(module, missed)))
}

/// What to say of a pattern that fits no parameter: one like it that fits, and some names.
fn no_parameter<M: Module>(module: &M, pattern: &str) -> String {
    let mut reader = Reader::default();
    module.visit(&mut reader);
    let is_parameter = |leaf: &&Leaf| leaf.kind == LeafKind::Parameter;
    let names: Vec<&str> = reader.leaves.iter().filter(is_parameter).map(|leaf| leaf.name.as_str()).collect();
    let some = match names.as_slice() {
        [first @ .., last] if first.len() > 5 => format!("{}, ... {last}", first[..5].join(", ")),
        all => all.join(", "),
    };
    match like(pattern, &names) {
        Some(like) => format!("`{pattern}` matches no parameter: did you mean `{like}`? There are {some}"),
        None => format!("`{pattern}` matches no parameter: there are {some}"),
    }
}

/// The pattern that was meant: of a whole module, of a name wherever it stands, or of what is spelt nearly so.
fn like(pattern: &str, names: &[&str]) -> Option<String> {
    let bare = pattern.trim_matches(['!', '*', '.']);
    let wider = [format!("{bare}.*"), format!("*.{bare}"), format!("*.{bare}.*")];
    let fits_one = |pattern: &String| names.iter().any(|name| name_fits(pattern, name));
    wider.into_iter().find(fits_one).or_else(|| {
        let ends = |name: &str| name.match_indices('.').map(|(at, _)| at).chain([name.len()]).collect::<Vec<_>>();
        let modules: BTreeSet<&str> =
            names.iter().flat_map(|&name| ends(name).into_iter().map(move |end| &name[..end])).collect();
        let near = nearest_names(bare, &modules.into_iter().collect::<Vec<_>>()).first().cloned()?;
        Some(if names.contains(&near.as_str()) { near } else { format!("{near}.*") })
    })
}

/// The tensors whose names fit one of these patterns, as in `learn`, and the others.
#[must_use]
pub fn divided(weights: &Weights, learners: &[String]) -> [Weights; 2] {
    let learns = |name: &str| learners.iter().any(|pattern| fits(pattern, name));
    let (own, others) = weights.tensors().clone().into_iter().partition(|(name, _)| learns(name));
    [own, others].map(Weights::from_tensors)
}

/// What of a network can be frozen.
#[derive(Clone, Debug)]
pub(crate) struct Freezing {
    leaves: Vec<Leaf>,
}

#[derive(Clone, Debug)]
struct Leaf {
    id: ParamId,
    name: String,
    kind: LeafKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeafKind {
    Parameter,
    /// Whether a batch normalisation learns its statistics.
    Statistics,
    /// Whether another layer behaves as in training: dropout.
    Flag,
}

impl Freezing {
    /// What a network offers of which nothing is frozen yet.
    ///
    /// # Errors
    /// A pattern fits nothing, nothing is left to learn, or a setting is of layers that the network has not.
    pub(crate) fn of<M: Module>(module: &M, config: &TrainConfig) -> Result<Self, TrainError> {
        let mut reader = Reader::default();
        module.visit(&mut reader);
        let freezing = Self { leaves: reader.leaves };
        let parameters = || freezing.leaves.iter().filter(|leaf| leaf.kind == LeafKind::Parameter);
        let known = |key: &'static str, pattern: &str| {
            check_pattern(key, pattern, module, parameters().map(|leaf| leaf.name.as_str()))
        };
        config.freeze.iter().try_for_each(|pattern| known("train.freeze", pattern))?;
        let (key, learners) = config.given_learners();
        learners.iter().try_for_each(|pattern| known(key, pattern))?;
        if parameters().all(|leaf| leaf.is_frozen(config, 0)) {
            let all = config.freeze.join("`, `");
            return Err(TrainError::setting("train.freeze", format!("`{all}` leaves nothing to learn")));
        }
        let has_statistics = freezing.leaves.iter().any(|leaf| leaf.kind == LeafKind::Statistics);
        if config.batch_norm != StatisticsConfig::default() && !has_statistics {
            let problem = "is set, but the network has no batch normalisation: leave it out";
            return Err(TrainError::setting("train.batch-norm", problem));
        }
        for UnfreezeConfig { parameters: pattern, .. } in &config.unfreeze {
            known("train.unfreeze", pattern)?;
            if !parameters().any(|leaf| leaf.is_held(config) && fits(pattern, &leaf.name)) {
                let problem = format!("`{pattern}` matches no parameter that train.freeze has frozen");
                return Err(TrainError::setting("train.unfreeze", problem));
            }
        }
        Ok(freezing)
    }

    /// The network as it learns in this epoch, counted from 0.
    pub(crate) fn apply<M: Module>(&self, module: M, config: &TrainConfig, epoch: usize) -> M {
        let all_learn = config.freeze.is_empty() && config.learners().is_empty();
        if all_learn && config.batch_norm != StatisticsConfig::Frozen {
            return module;
        }
        let (frozen, rest): (Vec<&Leaf>, Vec<&Leaf>) =
            self.leaves.iter().partition(|leaf| leaf.is_frozen(config, epoch));
        let group = |leaves: Vec<&Leaf>| ParamGroup::from_ids(leaves.iter().map(|leaf| leaf.id).collect::<Vec<_>>());
        module.freeze_group(group(frozen)).unfreeze_group(group(rest))
    }
}

impl Leaf {
    /// Whether it keeps its value, unless it is thawed: it is frozen by name, or others alone learn. Dropout among what does not learn
    /// stays on, unless it is frozen itself.
    fn is_held(&self, config: &TrainConfig) -> bool {
        let fits = |pattern: &String| fits(pattern, &self.name);
        let learners = config.learners();
        let others_learn = !learners.is_empty() && !learners.iter().any(fits);
        config.freeze.iter().any(fits) || (self.kind != LeafKind::Flag && others_learn)
    }

    fn is_frozen(&self, config: &TrainConfig, epoch: usize) -> bool {
        let fits = |pattern: &str| fits(pattern, &self.name);
        let thawed = |thaw: &UnfreezeConfig| thaw.after_epochs <= epoch && fits(&thaw.parameters);
        let by_name = || self.is_held(config) && !config.unfreeze.iter().any(thawed);
        match (self.kind, config.batch_norm) {
            (LeafKind::Statistics, StatisticsConfig::Frozen) => true,
            (LeafKind::Statistics, StatisticsConfig::Running) => false,
            _ => by_name(),
        }
    }
}

/// How many numbers of a network learn now.
pub(crate) fn learning<M: Module>(module: &M) -> usize {
    counted(module, |_, learns| learns)
}

/// How many numbers of a network are parameters, whether they learn or are frozen; running statistics are none.
pub fn parameters<M: Module>(module: &M) -> usize {
    counted(module, |name, _| !name.starts_with("running_"))
}

/// The numbers in the tensors that count, by their last name and whether they learn now.
fn counted<M: Module>(module: &M, counts: fn(&str, bool) -> bool) -> usize {
    struct Count {
        name: String,
        counts: fn(&str, bool) -> bool,
        sum: usize,
    }
    impl ModuleVisitor for Count {
        fn enter_module(&mut self, name: &str, _: &str) {
            name.clone_into(&mut self.name);
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if (self.counts)(&self.name, param.is_require_grad()) {
                self.sum += param.lazy_shape().num_elements();
            }
        }
    }
    let mut count = Count { name: String::new(), counts, sum: 0 };
    module.visit(&mut count);
    count.sum
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
        // Running statistics never learn by gradients.
        if param.is_require_grad() {
            self.leaves.push(Leaf { id: param.id, name: self.path.name(), kind: LeafKind::Parameter });
        }
    }

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        let of_norm = self.path.container() == "Struct:BatchNorm";
        let kind = if of_norm { LeafKind::Statistics } else { LeafKind::Flag };
        self.leaves.push(Leaf { id: flag.id, name: self.path.name(), kind });
    }
}
