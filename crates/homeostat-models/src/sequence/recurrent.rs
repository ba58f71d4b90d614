//! LSTM (Hochreiter & Schmidhuber 1997) and GRU (Cho et al. 2014), with the numbers of PyTorch: the same gates in the same order,
//! two biases, and texts that end where they end, however far they are filled up.

use burn::{
    module::{Module, Param},
    nn::{Dropout, DropoutConfig, Embedding, Initializer},
    tensor::{Device, Tensor},
};
use homeostat_kernels::{Curve, Kernels, dense, sigmoid, tanh};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MAX_DEPTH, MAX_WIDTH, SequenceInput, in_range, look_up, table};
use crate::{ModelError, image::check_dropout};

/// Layers that read a text token by token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecurrentConfig {
    /// Features of a token at the entrance.
    pub width: usize,
    /// Features of the memory, in each direction.
    pub features: usize,
    /// Layers, each reading what the one before gives.
    pub layers: usize,
    /// Whether a second memory reads from the end to the beginning.
    pub bidirectional: bool,
    /// Share of features dropped in training, before each layer, in 0..1.
    pub dropout: f64,
}

impl Default for RecurrentConfig {
    fn default() -> Self {
        Self { width: 128, features: 128, layers: 1, bidirectional: true, dropout: 0.3 }
    }
}

impl RecurrentConfig {
    pub(super) fn check(&self, network: &'static str) -> Result<(), ModelError> {
        in_range(network, "width", self.width, MAX_WIDTH)?;
        in_range(network, "features", self.features, MAX_WIDTH)?;
        in_range(network, "layers", self.layers, MAX_DEPTH)?;
        check_dropout(network, self.dropout)
    }

    pub(super) fn init(&self, vocabulary: usize, is_gru: bool, device: &Device) -> Recurrent {
        let directions = if self.bidirectional { 2 } else { 1 };
        let gates = if is_gru { 3 } else { 4 };
        let layer = |index: usize| {
            let inputs = if index == 0 { self.width } else { directions * self.features };
            Layer { directions: (0..directions).map(|_| Cell::new(inputs, self.features, gates, device)).collect() }
        };
        Recurrent {
            tokens: table(vocabulary, self.width, 1.0, device),
            layers: (0..self.layers).map(layer).collect(),
            dropout: DropoutConfig::new(self.dropout).init(),
            is_gru,
        }
    }
}

/// See [`RecurrentConfig`].
#[derive(Module, Debug)]
pub struct Recurrent {
    tokens: Embedding,
    layers: Vec<Layer>,
    dropout: Dropout,
    is_gru: bool,
}

#[derive(Module, Debug)]
struct Layer {
    /// Forwards, and perhaps backwards.
    directions: Vec<Cell>,
}

/// The weights of a cell, its gates side by side: input, forget, content, output of an LSTM; reset, update, content of a GRU.
#[derive(Module, Debug)]
struct Cell {
    /// `[inputs, gates * features]`
    input_weight: Param<Tensor<2>>,
    input_bias: Param<Tensor<1>>,
    /// `[features, gates * features]`
    memory_weight: Param<Tensor<2>>,
    memory_bias: Param<Tensor<1>>,
}

impl Recurrent {
    /// `[batch, length] -> [batch, length, directions * features]`, zeros where a text is filled up.
    #[must_use]
    pub fn forward(&self, input: &SequenceInput) -> Tensor<3> {
        let real = input.real();
        self.layers.iter().fold(look_up(&self.tokens, input.ids.clone()), |x, layer| {
            let x = self.dropout.forward(x);
            let read = layer.directions.iter().enumerate();
            let read = read.map(|(at, cell)| cell.read(x.clone(), real.as_ref(), self.is_gru, at == 1)).collect();
            Tensor::cat(read, 2)
        })
    }

    pub(super) fn features(&self) -> usize {
        let layer = &self.layers[self.layers.len() - 1];
        layer.directions.iter().map(Cell::features).sum()
    }
}

impl Cell {
    fn new(inputs: usize, features: usize, gates: usize, device: &Device) -> Self {
        // As PyTorch draws them.
        let bound = 1.0 / (features as f64).sqrt();
        let initializer = Initializer::Uniform { min: -bound, max: bound };
        let width = gates * features;
        Self {
            input_weight: initializer.init([inputs, width], device),
            input_bias: initializer.init([width], device),
            memory_weight: initializer.init([features, width], device),
            memory_bias: initializer.init([width], device),
        }
    }

    fn features(&self) -> usize {
        self.memory_weight.lazy_shape()[0]
    }

    fn read(&self, x: Tensor<3>, real: Option<&Tensor<3>>, is_gru: bool, backwards: bool) -> Tensor<3> {
        let [batch, length, _] = x.dims();
        let features = self.features();
        let kernels = Kernels::selected();
        // What the tokens say to the gates, for all places at once.
        let all = dense(x, self.input_weight.val(), Some(self.input_bias.val()), Curve::Straight, kernels);
        let device = all.device();
        let mut hidden = Tensor::<2>::zeros([batch, features], &device);
        let mut content = hidden.clone();
        let mut outputs = Vec::with_capacity(length);
        for step in 0..length {
            let place = if backwards { length - 1 - step } else { step };
            let said: Tensor<2> = all.clone().narrow(1, place, 1).squeeze_dim(1);
            let known =
                dense(hidden.clone(), self.memory_weight.val(), Some(self.memory_bias.val()), Curve::Straight, kernels);
            let (next, next_content) = if is_gru {
                (gru(&said, &known, hidden.clone(), features), content.clone())
            } else {
                lstm(&(said + known), content.clone(), features)
            };
            let output = match real {
                None => {
                    (hidden, content) = (next.clone(), next_content);
                    next
                }
                Some(real) => {
                    // Where a text is filled up, the memory stays as it was.
                    let real: Tensor<2> = real.clone().narrow(1, place, 1).squeeze_dim(1);
                    hidden = hidden.clone() + (next.clone() - hidden) * real.clone();
                    if !is_gru {
                        content = content.clone() + (next_content - content) * real.clone();
                    }
                    next * real
                }
            };
            outputs.push(output.unsqueeze_dim(1));
        }
        if backwards {
            outputs.reverse();
        }
        Tensor::cat(outputs, 1)
    }
}

/// The hidden state and the content, each `[batch, features]`.
fn lstm(gates: &Tensor<2>, content: Tensor<2>, features: usize) -> (Tensor<2>, Tensor<2>) {
    let gate = |index: usize| gates.clone().narrow(1, index * features, features);
    let kernels = Kernels::selected();
    let content = sigmoid(gate(1), kernels) * content + sigmoid(gate(0), kernels) * tanh(gate(2), kernels);
    (sigmoid(gate(3), kernels) * tanh(content.clone(), kernels), content)
}

/// The hidden state, `[batch, features]`.
fn gru(said: &Tensor<2>, known: &Tensor<2>, hidden: Tensor<2>, features: usize) -> Tensor<2> {
    let of = |gates: &Tensor<2>, index: usize| gates.clone().narrow(1, index * features, features);
    let kernels = Kernels::selected();
    let reset = sigmoid(of(said, 0) + of(known, 0), kernels);
    let update = sigmoid(of(said, 1) + of(known, 1), kernels);
    let content = tanh(of(said, 2) + reset * of(known, 2), kernels);
    content.clone() + update * (hidden - content)
}
