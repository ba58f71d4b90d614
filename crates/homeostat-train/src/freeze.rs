//! Parameters that keep their values. It does not know why.

use burn::{
    module::{Flag, Module, ModuleVisitor, Param, ParamGroup, ParamId},
    tensor::Tensor,
};
use homeostat_task::{ParamPath, name_fits};

use crate::TrainError;

/// The module with the parameters that fit a pattern frozen, and the layers' flags among them.
pub(crate) fn frozen<M: Module>(module: M, patterns: &[String]) -> Result<M, TrainError> {
    let mut chosen = Vec::new();
    for pattern in patterns {
        let mut fitting = Fitting { pattern, path: ParamPath::default(), ids: Vec::new(), rest: 0 };
        module.visit(&mut fitting);
        if fitting.ids.is_empty() {
            return Err(TrainError::setting("train.freeze", format!("`{pattern}` matches no parameter")));
        }
        if fitting.rest == 0 {
            return Err(TrainError::setting("train.freeze", format!("`{pattern}` leaves nothing to learn")));
        }
        chosen.extend(fitting.ids);
    }
    Ok(if chosen.is_empty() { module } else { module.freeze_group(ParamGroup::from_ids(chosen)) })
}

struct Fitting<'a> {
    pattern: &'a str,
    path: ParamPath,
    ids: Vec<ParamId>,
    /// Parameters that do not fit.
    rest: usize,
}

impl ModuleVisitor for Fitting<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if name_fits(self.pattern, &self.path.name()) {
            self.ids.push(param.id);
        } else {
            self.rest += 1;
        }
    }

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        if name_fits(self.pattern, &self.path.name()) {
            self.ids.push(flag.id);
        }
    }
}
