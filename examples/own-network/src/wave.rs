//! The task: a number in 0..1, and the height of a wave there. It does not know files or the loop.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor, TensorData, activation::relu},
};
use homeostat_artifact::Figures;
use homeostat_data::{DataError, Rng, stream};
use homeostat_task::{InputError, Outcome, Task, TaskError};
use homeostat_train::{Draw, Examples, Meter, Rows};
use serde::{Deserialize, Serialize};

/// The task as data: it travels with the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// Sines and cosines, of 1, 2, 3 ... turns, that the network sees of a number.
    pub waves: usize,
    /// Units of the hidden layer.
    pub hidden: usize,
}

/// The network: `[batch, 2 * waves] -> [batch, 1]`.
#[derive(Module, Debug)]
pub struct Net {
    hidden: Linear,
    head: Linear,
}

impl Net {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.head.forward(relu(self.hidden.forward(x)))
    }
}

/// What is answered to a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The height of the wave.
    pub height: f32,
}

/// The mean squared error of a batch.
#[derive(Debug)]
pub struct Squares {
    mean: Tensor<1>,
    samples: usize,
}

impl Outcome for Squares {
    /// The mean, and the number of samples.
    type Record = (f64, usize);

    fn loss(&self) -> Tensor<1> {
        self.mean.clone()
    }

    fn weight(&self) -> f64 {
        self.samples as f64
    }

    fn record(self) -> (f64, usize) {
        (self.mean.into_scalar::<f64>(), self.samples)
    }
}

impl Task for Wave {
    type Sample = f32;
    type Truth = f32;
    type Input = Vec<f32>;
    type Batch = Tensor<2>;
    type Model = Net;
    type Outcome = Squares;
    type Response = Answer;

    fn init(&self, device: &Device) -> Result<Net, TaskError> {
        if self.waves == 0 || self.hidden == 0 {
            return Err(TaskError::new("waves and hidden must be at least 1"));
        }
        Ok(Net {
            hidden: LinearConfig::new(2 * self.waves, self.hidden).init(device),
            head: LinearConfig::new(self.hidden, 1).init(device),
        })
    }

    fn read(&self, bytes: &[u8]) -> Result<f32, InputError> {
        let number = std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse::<f32>().ok());
        number.filter(|number| number.is_finite()).ok_or_else(|| InputError::new("this is no number"))
    }

    fn prepare(&self, number: f32) -> Result<Vec<f32>, InputError> {
        let turns = (1..=self.waves).map(|turns| number * turns as f32 * std::f32::consts::TAU);
        Ok(turns.flat_map(|angle| [angle.sin(), angle.cos()]).collect())
    }

    fn collate(&self, inputs: &[Vec<f32>], device: &Device) -> Tensor<2> {
        Tensor::from_data(TensorData::new(inputs.concat(), [inputs.len(), 2 * self.waves]), device)
    }

    fn loss(&self, model: &Net, batch: Tensor<2>, truths: &[f32]) -> Squares {
        let truth = Tensor::from_data(TensorData::new(truths.to_vec(), [truths.len(), 1]), &batch.device());
        let apart = model.forward(batch) - truth;
        Squares { mean: (apart.clone() * apart).mean(), samples: truths.len() }
    }

    fn respond(&self, model: &Net, batch: Tensor<2>) -> Vec<Answer> {
        model.forward(batch).into_data().iter::<f32>().map(|height| Answer { height }).collect()
    }

    fn agree(&self, expected: &Answer, found: &Answer, tolerance: f64) -> bool {
        f64::from((expected.height - found.height).abs()) <= tolerance
    }
}

/// The mean squared error over all batches.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MeanSquares {
    sum: f64,
    samples: usize,
}

impl Meter for MeanSquares {
    type Record = (f64, usize);

    fn update(&mut self, &(mean, samples): &(f64, usize)) {
        self.sum += mean * samples as f64;
        self.samples += samples;
    }

    fn figures(&self) -> Figures {
        [("loss".to_owned(), self.sum / self.samples as f64)].into_iter().collect()
    }

    fn higher_is_better(&self, figure: &str) -> Option<bool> {
        (figure == "loss").then_some(false)
    }
}

/// Numbers with the height of the wave there, a little noisy.
#[derive(Clone, Debug)]
pub struct Samples(Vec<(f32, f32)>);

impl Samples {
    /// So many, drawn from this seed.
    #[must_use]
    pub fn new(count: u64, seed: u64) -> Self {
        let sample = |index| {
            let mut rng = Rng::keyed(seed, [0, index, stream("wave", 0)]);
            let number = rng.uniform();
            (number, Self::height(number) + 0.05 * (2.0 * rng.uniform() - 1.0))
        };
        Self((0..count).map(sample).collect())
    }

    /// The wave itself.
    #[must_use]
    pub fn height(number: f32) -> f32 {
        (number * std::f32::consts::TAU).sin() + 0.5 * (number * 3.0 * std::f32::consts::TAU).cos()
    }
}

impl Examples<Wave> for Samples {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn rows(&self, positions: &[usize], _: Option<Draw>) -> Result<Rows<Wave>, DataError> {
        let task = Wave { waves: 6, hidden: 32 };
        let corrupt = |error: InputError| DataError::Corrupt { name: "a sample".to_owned(), why: error.reason };
        let sample = |&at: &usize| Ok((task.prepare(self.0[at].0).map_err(corrupt)?, self.0[at].1));
        let (inputs, truths) = positions.iter().map(sample).collect::<Result<(Vec<_>, Vec<_>), DataError>>()?;
        let bytes = inputs.len() * 12 * size_of::<f32>();
        Ok(Rows { inputs, truths, positions: positions.to_vec(), skipped: Vec::new(), bytes })
    }
}
