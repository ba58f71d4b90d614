//! How much each item suits each user: a tower for what a user has, one for what is on offer, and the product of what they give. It
//! does not know what items are, nor what a user is asked about.

use burn::{
    module::{Module, Param},
    nn::{Embedding, EmbeddingConfig, Initializer},
    tensor::{Device, Int, Tensor},
};
use homeostat_kernels::{Kernels, embedding};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ModelError, size};

/// Two towers (Yi et al. 2019: "Sampling-bias-corrected neural modeling for large corpus item recommendations"). A user is the sum of the
/// items that they have, over the root of their number (as in a linear autoencoder: Liang et al. 2018); an item is a vector of its own,
/// the sum of its words over the root of their number, or both. The towers share nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TwoTowerConfig {
    /// Features of a user and of an item.
    pub width: usize,
    /// What an item is known by.
    pub items: ItemFeatures,
}

/// What an item is known by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ItemFeatures {
    /// A vector of its own, and its words.
    #[default]
    Both,
    /// A vector of its own, which only those who have it tell.
    Behaviour,
    /// Its words: items of the same words are the same.
    Texts,
}

impl Default for TwoTowerConfig {
    fn default() -> Self {
        Self { width: 128, items: ItemFeatures::Both }
    }
}

/// The most features, items or words.
const MOST: usize = 10_000_000;

impl TwoTowerConfig {
    /// Refuses values that make no network.
    ///
    /// # Errors
    /// [`ModelError::Setting`].
    pub fn check(&self) -> Result<(), ModelError> {
        in_range("width", self.width, 1 << 20)
    }

    /// Fresh weights for so many items, and words below `vocabulary`.
    ///
    /// # Errors
    /// [`ModelError::Setting`] for what makes no network, [`ModelError::TooLarge`] for one of too many parameters.
    pub fn init(&self, items: usize, vocabulary: usize, device: &Device) -> Result<TwoTower, ModelError> {
        self.check()?;
        in_range("items", items, MOST)?;
        in_range("vocabulary", vocabulary, MOST)?;
        let tower = || Tower {
            items: (self.items != ItemFeatures::Texts).then(|| table(items, self.width, device)),
            words: (self.items != ItemFeatures::Behaviour).then(|| table(vocabulary, self.width, device)),
        };
        let zeros = |length| Initializer::Zeros.init([length], device);
        let network = TwoTower { users: tower(), offers: tower(), start: zeros(self.width), demand: zeros(items) };
        size::check("two-tower", &network)?;
        size::draw(&network);
        Ok(network)
    }
}

fn table(rows: usize, width: usize, device: &Device) -> Embedding {
    let initializer = Initializer::Normal { mean: 0.0, std: 0.1 };
    EmbeddingConfig::new(rows, width).with_initializer(initializer).init(device)
}

fn in_range(setting: &'static str, value: usize, most: usize) -> Result<(), ModelError> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    let problem = format!("is {value}, but must lie in 1..={most}");
    Err(ModelError::Setting { network: "two-tower", setting, problem })
}

/// The words of all items, filled up to the longest.
#[derive(Clone, Debug)]
pub struct ItemWords {
    /// `[items, length]`
    pub ids: Tensor<2, Int>,
    /// What each word counts; 0 where filled up. `[items, length]`
    pub shares: Tensor<2>,
}

/// See [`TwoTowerConfig`].
#[derive(Module, Debug)]
pub struct TwoTower {
    users: Tower,
    offers: Tower,
    /// What is known of a user who has nothing, `[width]`
    start: Param<Tensor<1>>,
    /// How much each item is asked for by all, `[items]`
    demand: Param<Tensor<1>>,
}

/// What items are to one side.
#[derive(Module, Debug)]
struct Tower {
    items: Option<Embedding>,
    words: Option<Embedding>,
}

impl Tower {
    /// `[items, width]`
    fn forward(&self, words: &ItemWords) -> Tensor<2> {
        let of_words = self.words.as_ref().map(|table| {
            let each = embedding(table.weight.val(), words.ids.clone(), Kernels::selected());
            (each * words.shares.clone().unsqueeze_dim(2)).sum_dim(1).squeeze_dim(1)
        });
        match (&self.items, of_words) {
            (Some(items), Some(words)) => items.weight.val() + words,
            (Some(items), None) => items.weight.val(),
            (None, Some(words)) => words,
            (None, None) => panic!("a tower has items or words"),
        }
    }
}

impl TwoTower {
    /// What each user has, 1 or 0, to how much each item suits them: `[users, items] -> [users, items]`
    #[must_use]
    pub fn forward(&self, has: Tensor<2>, words: &ItemWords) -> Tensor<2> {
        let root = has.clone().sum_dim(1).clamp_min(1.0).sqrt();
        let users = has.matmul(self.users.forward(words)) / root + self.start.val().unsqueeze();
        users.matmul(self.offers.forward(words).transpose()) + self.demand.val().unsqueeze()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    fn words(device: &Device) -> ItemWords {
        ItemWords {
            ids: Tensor::from_data([[1, 2], [2, 0], [3, 0]], device),
            shares: Tensor::from_data([[0.7, 0.7], [1.0, 0.0], [0.0, 0.0]], device),
        }
    }

    fn config(items: ItemFeatures) -> TwoTowerConfig {
        TwoTowerConfig { width: 4, items }
    }

    #[test]
    fn every_parameter_gets_a_gradient_whatever_items_are_known_by() {
        let device = Device::flex().autodiff();
        for (items, parameters) in
            [(ItemFeatures::Both, 2 * (12 + 16)), (ItemFeatures::Behaviour, 24), (ItemFeatures::Texts, 32)]
        {
            let network = config(items).init(3, 4, &device).unwrap();
            assert_eq!(network.num_params(), parameters + 4 + 3, "{items:?}");
            let has = Tensor::from_data([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], &device);
            let scores = network.forward(has, &words(&device));
            assert_eq!(scores.dims(), [2, 3]);
            let gradients = scores.powf_scalar(2.0).sum().backward();
            let towers = [&network.users, &network.offers];
            for table in towers.into_iter().flat_map(|tower| [&tower.items, &tower.words]).flatten() {
                let gradient = table.weight.val().grad(&gradients).unwrap();
                assert!(gradient.abs().sum().into_scalar::<f32>() > 0.0, "{items:?}");
            }
            for bias in [&network.start, &network.demand] {
                let gradient = bias.val().grad(&gradients).unwrap();
                assert!(gradient.abs().sum().into_scalar::<f32>() > 0.0, "{items:?}");
            }
        }
    }

    /// The products by hand.
    #[test]
    fn scores_are_products_of_what_the_towers_give() {
        let device = Device::flex();
        let network = config(ItemFeatures::Both).init(3, 4, &device).unwrap();
        let host = |tensor: Tensor<2>| tensor.into_data().as_slice::<f32>().unwrap().to_vec();
        let of = |tower: &Tower| {
            let [items, words] = [&tower.items, &tower.words].map(|table| host(table.as_ref().unwrap().weight.val()));
            let word = |id: usize, at: usize| words[id * 4 + at];
            let vector = |item: usize| -> Vec<f32> {
                let text = |at| match item {
                    0 => 0.7 * (word(1, at) + word(2, at)),
                    1 => word(2, at),
                    _ => 0.0,
                };
                (0..4).map(|at| items[item * 4 + at] + text(at)).collect()
            };
            [vector(0), vector(1), vector(2)]
        };
        let (users, offers) = (of(&network.users), of(&network.offers));
        let user: Vec<f32> = (0..4).map(|at| (users[0][at] + users[2][at]) / 2.0_f32.sqrt()).collect();
        let expected: Vec<f32> =
            offers.iter().map(|offer| offer.iter().zip(&user).map(|(a, b)| a * b).sum::<f32>()).collect();
        let has = Tensor::from_data(TensorData::from([[1.0_f32, 0.0, 1.0], [0.0, 0.0, 0.0]]), &device);
        let found = host(network.forward(has, &words(&device)));
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
        // Who has nothing is offered what all ask for; nobody has asked yet.
        assert_eq!(found[3..], [0.0; 3]);
    }

    #[test]
    fn what_makes_no_network_is_refused() {
        let device = Device::flex();
        for (config, items, words) in [
            (TwoTowerConfig { width: 0, ..TwoTowerConfig::default() }, 3, "width is 0"),
            (TwoTowerConfig::default(), 0, "items is 0"),
            (TwoTowerConfig { width: 1 << 20, ..TwoTowerConfig::default() }, 600, "parameters"),
        ] {
            let error = config.init(items, 4, &device).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
