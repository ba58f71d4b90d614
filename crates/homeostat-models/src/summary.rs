//! What a network is made of, layer by layer, and what each layer costs for one image. It does not know how that is shown.

use std::collections::HashMap;

use burn::{
    module::{Module, ModuleVisitor, Param, ParamId},
    tensor::{Device, Tensor},
};

use crate::{
    ImageModel, ImageShape,
    image::trace::{self, Step},
};

/// A layer, in the order of computation.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Layer {
    /// Where it is in the network: `stages.0.1.convs.0.conv`.
    pub name: String,
    /// What it does: `convolution`, `dense`, `normalisation`, `attention`, or `parameter` for what is only added or multiplied.
    pub kind: &'static str,
    /// The shape of its output for one image, the batch's axis first; none for a bare parameter.
    pub output: Vec<usize>,
    /// Numbers that learn.
    pub parameters: u64,
    /// Products that are summed.
    pub macs: u64,
}

impl Layer {
    /// Bytes of its output as 32-bit floats, which training keeps.
    #[must_use]
    pub fn activation_bytes(&self) -> u64 {
        if self.output.is_empty() { 0 } else { 4 * self.output.iter().product::<usize>() as u64 }
    }
}

/// The layers that an image of this shape goes through; one of zeros goes through them.
#[must_use]
pub fn summarize(network: &ImageModel, shape: ImageShape, device: &Device) -> Vec<Layer> {
    let image = Tensor::zeros([1, shape.channels, shape.height, shape.width], device);
    let steps = trace::of(|| drop(network.forward(image)));
    let mut places = Places::default();
    network.visit(&mut places);
    let mut layers: Vec<Layer> = Vec::new();
    for Step { kind, weight, shape, macs } in steps {
        let name = places.layers.get(&weight).cloned().unwrap_or_default();
        // A layer's parameters count once, also where it is used twice.
        let parameters = places.parameters.iter_mut().find(|(layer, _)| *layer == name);
        let parameters = parameters.map_or(0, |(_, count)| std::mem::take(count));
        layers.push(Layer { name, kind, output: shape, parameters, macs });
    }
    let rest = places.parameters.into_iter().filter(|(_, count)| *count > 0);
    layers.extend(rest.map(|(name, parameters)| Layer {
        name,
        kind: "parameter",
        output: vec![],
        parameters,
        macs: 0,
    }));
    layers
}

/// The layer of each parameter, and the parameters of each layer.
#[derive(Default)]
struct Places {
    path: Vec<String>,
    layers: HashMap<ParamId, String>,
    parameters: Vec<(String, u64)>,
}

impl ModuleVisitor for Places {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push(if container.starts_with("Enum:") { String::new() } else { name.to_owned() });
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let mut parts: Vec<&str> = self.path.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        let last = parts.last().copied().unwrap_or_default();
        if last.starts_with("running_") {
            return;
        }
        if matches!(last, "weight" | "bias" | "gamma" | "beta") {
            parts.pop();
        }
        let layer = parts.join(".");
        let count = param.lazy_shape().num_elements() as u64;
        self.layers.insert(param.id, layer.clone());
        match self.parameters.iter_mut().find(|(name, _)| *name == layer) {
            Some((_, sum)) => *sum += count,
            None => self.parameters.push((layer, count)),
        }
    }
}
