//! What a user buys next, by what they and others have bought and by what is said of the items. It does not know the loop, the server,
//! or where purchases come from.

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::{
    DType, Device, Tensor, TensorData,
    activation::{log_softmax, softmax},
};
use homeostat_data::{Assortment, DataError, TextPrepare, TokenBatch, Tokenizer, Tokens};
use homeostat_metrics::{Measurements, ndcg_at};
use homeostat_models::{ItemWords, ModelError, TwoTower, TwoTowerConfig};
use homeostat_task::{InputError, Outcome, Task, TaskError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text_classification::check_tokenizer;

/// What a user buys next, of the items on offer that they have not bought yet. The items and the tokenizer lie beside the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecommendationConfig {
    /// The number of items on offer; taken from the data when absent.
    pub items: Option<usize>,
    /// The number of tokens that the tokenizer knows; taken from it when absent.
    pub vocabulary: Option<usize>,
    /// How an item's text becomes words.
    pub prepare: TextPrepare,
    /// The network.
    pub model: TwoTowerConfig,
    /// The share of a user's purchases that is hidden in training, anew in each epoch, and is to be foretold by the rest; between 0
    /// and 1.
    pub hidden: f64,
    /// Days after which a purchase counts half as much among those to be foretold in training: what is bought changes with the year.
    /// Absent: all count alike.
    pub half_life: Option<f64>,
    /// Items of an answer.
    pub top: usize,
}

impl Default for RecommendationConfig {
    fn default() -> Self {
        Self {
            items: None,
            vocabulary: None,
            prepare: TextPrepare { max_length: 32, special_tokens: false, ..TextPrepare::default() },
            model: TwoTowerConfig::default(),
            hidden: 0.5,
            half_life: None,
            top: 10,
        }
    }
}

const KEY: &str = "task.recommendation";
/// How deep lists are looked at.
const DEPTH: usize = 10;

impl RecommendationConfig {
    /// What is measured: the loss in nats a user; the share of users of whom something to be foretold is among the first ten, and how
    /// high it stands there (Järvelin & Kekäläinen 2002); and the same of what most have bought.
    pub const FIGURES: [(&'static str, bool); 5] = [
        ("loss", false),
        ("hit-rate-10", true),
        ("ndcg-10", true),
        ("popular-hit-rate-10", true),
        ("popular-ndcg-10", true),
    ];

    /// Refuses settings that make no task, whatever the data.
    ///
    /// # Errors
    /// Names the first of them.
    pub fn check(&self) -> Result<(), TaskError> {
        self.prepare.check(&format!("{KEY}.prepare")).map_err(|error| TaskError::new(error.to_string()))?;
        self.model.check().map_err(|error| wrong(&error))?;
        let refuse = |setting: &str, problem: String| Err(TaskError::new(format!("`{KEY}.{setting}` {problem}")));
        if !(self.hidden > 0.0 && self.hidden < 1.0) {
            return refuse("hidden", format!("is {}, but must lie between 0 and 1", self.hidden));
        }
        match self.half_life {
            Some(days) if !(days > 0.0 && days.is_finite()) => {
                return refuse("half-life", format!("is {days}, but must be above 0 days"));
            }
            _ => {}
        }
        match self.top {
            0 => refuse("top", "is 0, but an answer has at least one item".to_owned()),
            _ => Ok(()),
        }
    }

    /// The living task; all that training chooses by itself must be there.
    ///
    /// # Errors
    /// Something is missing or does not fit together; names it.
    pub fn init(&self, tokenizer: &Tokenizer, assortment: Arc<Assortment>) -> Result<Recommendation, TaskError> {
        self.check()?;
        let missing = |what: &str| TaskError::new(format!("{KEY}.{what} is not known yet: training fills it in"));
        let vocabulary = self.vocabulary.ok_or_else(|| missing("vocabulary"))?;
        let items = self.items.ok_or_else(|| missing("items"))?;
        check_tokenizer(KEY, vocabulary, &self.prepare, tokenizer)?;
        let known = assortment.items().len();
        if items != known {
            let problem = format!("is {items}, but there are {known} items: they do not belong together");
            return Err(TaskError::new(format!("`{KEY}.items` {problem}")));
        }
        let words = Arc::new(Words::of(&self.prepare, tokenizer, &assortment)?);
        let mut popular: Vec<u32> = (0..).take(items).collect();
        popular.sort_by_key(|&item| std::cmp::Reverse(assortment.items()[item as usize].buyers));
        let tokenizer = tokenizer.clone();
        Ok(Recommendation { config: self.clone(), vocabulary, tokenizer, assortment, words, popular: popular.into() })
    }
}

/// The words of all items on the host, `[items, length]`.
#[derive(Debug)]
struct Words {
    ids: Vec<i32>,
    /// One over the root of the number of an item's words; 0 where filled up.
    shares: Vec<f32>,
    length: usize,
    /// Items whose text was cut.
    cut: usize,
}

impl Words {
    fn of(prepare: &TextPrepare, tokenizer: &Tokenizer, assortment: &Assortment) -> Result<Self, TaskError> {
        let tokens = assortment.items().iter().map(|item| {
            let fault = |error: DataError| TaskError::new(format!("the text of the item `{}`: {error}", item.code));
            // Nothing may be said of an item: then those who bought it tell what it is.
            if tokenizer.encode(&item.text).map_err(fault)?.is_empty() {
                return Ok(Tokens::default());
            }
            prepare.apply(tokenizer, &item.text, None).map_err(fault)
        });
        let tokens = tokens.collect::<Result<Vec<_>, TaskError>>()?;
        let cut = tokens.iter().filter(|tokens| tokens.is_cut).count();
        let batch = TokenBatch::new(&tokens, tokenizer.pad(), 1);
        let length = batch.length();
        let share = |(at, is_padding): (usize, &bool)| {
            let words = batch.lengths[at / length].max(1) as f32;
            if *is_padding { 0.0 } else { words.sqrt().recip() }
        };
        Ok(Self {
            shares: batch.is_padding.iter().enumerate().map(share).collect(),
            ids: batch.ids.into_iter().map(u32::cast_signed).collect(),
            length,
            cut,
        })
    }

    fn on(&self, device: &Device) -> ItemWords {
        let shape = [self.ids.len() / self.length, self.length];
        ItemWords {
            ids: Tensor::from_data(TensorData::new(self.ids.clone(), shape), device),
            shares: Tensor::from_data(TensorData::new(self.shares.clone(), shape), device),
        }
    }
}

/// The living task.
#[derive(Clone, Debug)]
pub struct Recommendation {
    config: RecommendationConfig,
    vocabulary: usize,
    tokenizer: Tokenizer,
    assortment: Arc<Assortment>,
    words: Arc<Words>,
    /// The items that most have bought first.
    popular: Arc<[u32]>,
}

impl Recommendation {
    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The items on offer.
    #[must_use]
    pub fn assortment(&self) -> &Assortment {
        &self.assortment
    }

    /// The table that it was made from.
    #[must_use]
    pub fn config(&self) -> &RecommendationConfig {
        &self.config
    }

    /// How many items' texts have more words than are taken.
    #[must_use]
    pub fn cut_texts(&self) -> usize {
        self.words.cut
    }

    /// What a purchase so many days before the end of what is learnt from counts among those to be foretold.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "tensors have 32 bits")]
    pub fn counts(&self, age: u32) -> f32 {
        self.config.half_life.map_or(1.0, |days| (-f64::from(age) / days).exp2() as f32)
    }

    /// Scores `[users, items]`; what a user has is as good as impossible.
    fn scores(model: &TwoTower, has: &Tensor<2>, words: &ItemWords) -> Tensor<2> {
        model.forward(has.clone(), words) + has.clone().mul_scalar(-1e9)
    }
}

fn wrong(error: &ModelError) -> TaskError {
    TaskError::new(error.to_string())
}

/// What a user has bought, ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bought {
    /// The places of the items in the assortment, each once.
    pub items: Vec<u32>,
    /// Codes of which there is no item.
    pub unknown: Vec<String>,
}

/// What a user buys next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Next {
    /// The places of the items, each with what it counts in the loss.
    pub items: Vec<(u32, f32)>,
}

/// Users on the device.
#[derive(Clone, Debug)]
pub struct UserBatch {
    /// 1 for what a user has, `[users, items]`
    has: Tensor<2>,
    words: ItemWords,
    inputs: Vec<Bought>,
}

/// The loss of a batch, and what is measured of it.
#[derive(Debug)]
pub struct RecommendationOutcome {
    loss: Tensor<1>,
    scores: Tensor<2>,
    inputs: Vec<Bought>,
    truths: Vec<Next>,
    popular: Arc<[u32]>,
}

/// What a caller gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecommendationResponse {
    /// The items that suit best, the best first.
    pub items: Vec<Recommended>,
    /// Codes of the request of which there is no item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// An item of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recommended {
    /// Its code.
    pub item: String,
    /// The probability that it is bought next, of all that the user has not.
    pub score: f32,
    /// What is said of it.
    pub text: String,
}

/// The request that [`Recommendation`] reads these codes from: a JSON list.
///
/// # Panics
/// Never: strings can be written.
#[must_use]
pub fn recommendation_request<S: AsRef<str>>(codes: &[S]) -> Vec<u8> {
    let codes: Vec<&str> = codes.iter().map(AsRef::as_ref).collect();
    serde_json::to_vec(&codes).unwrap_or_else(|error| panic!("strings as JSON: {error}"))
}

impl Outcome for RecommendationOutcome {
    type Record = Measurements;

    fn loss(&self) -> Tensor<1> {
        self.loss.clone()
    }

    fn weight(&self) -> f64 {
        self.truths.len() as f64
    }

    fn record(self) -> Measurements {
        let [users, items] = self.scores.dims();
        let loss = self.loss.into_scalar::<f64>();
        let scores = host(self.scores);
        let (mut means, share) = ([loss, 0.0, 0.0, 0.0, 0.0], 1.0 / users as f64);
        for ((row, input), truth) in scores.chunks_exact(items).zip(&self.inputs).zip(&self.truths) {
            let wanted: BTreeMap<u32, f64> = truth.items.iter().map(|(item, _)| (*item, 1.0)).collect();
            let best: Vec<u32> = first(row, DEPTH).map(|(item, _)| item).collect();
            let others = self.popular.iter().filter(|item| !input.items.contains(item));
            let popular: Vec<u32> = others.take(DEPTH).copied().collect();
            for (at, list) in [(1, best), (3, popular)] {
                let hits = list.iter().any(|item| wanted.contains_key(item));
                means[at] += f64::from(u8::from(hits)) * share;
                means[at + 1] += ndcg_at(&list, &wanted, DEPTH) * share;
            }
        }
        Measurements { means: means.to_vec(), weight: users as f64 }
    }
}

fn host(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data_dtype(DType::F32).as_slice::<f32>().map(<[f32]>::to_vec).unwrap_or_default()
}

/// The best of these scores, the first among equals first.
fn first(scores: &[f32], count: usize) -> impl Iterator<Item = (u32, f32)> {
    let mut order: Vec<(u32, f32)> = (0..).zip(scores.iter().copied()).collect();
    let better = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if count < order.len() {
        order.select_nth_unstable_by(count, better);
        order.truncate(count);
    }
    order.sort_unstable_by(better);
    order.into_iter()
}

/// A tensor `[users, items]` of what some items count for each user, else 0.
fn cells(
    rows: impl ExactSizeIterator<Item: IntoIterator<Item = (u32, f32)>>,
    items: usize,
    device: &Device,
) -> Tensor<2> {
    let users = rows.len();
    let mut values = vec![0.0_f32; users * items];
    for (user, row) in rows.enumerate() {
        row.into_iter().for_each(|(item, value)| values[user * items + item as usize] = value);
    }
    Tensor::from_data(TensorData::new(values, [users, items]), device)
}

impl Task for Recommendation {
    /// Codes of items.
    type Sample = Vec<String>;
    type Truth = Next;
    type Input = Bought;
    type Batch = UserBatch;
    type Model = TwoTower;
    type Outcome = RecommendationOutcome;
    type Response = RecommendationResponse;

    fn init(&self, device: &Device) -> Result<TwoTower, TaskError> {
        let items = self.assortment.items().len();
        self.config.model.init(items, self.vocabulary, device).map_err(|error| wrong(&error))
    }

    /// A JSON list of codes, or codes with commas or line ends between them.
    fn read(&self, bytes: &[u8]) -> Result<Vec<String>, InputError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| InputError::new(format!("the text is no UTF-8: byte {} is wrong", error.valid_up_to())))?;
        if text.trim_start().starts_with('[') {
            let wrong = |error| InputError::new(format!("is no JSON list of codes, such as [\"85123A\"]: {error}"));
            return serde_json::from_str(text).map_err(wrong);
        }
        let codes = text.split([',', '\n', '\r']).map(str::trim).filter(|code| !code.is_empty());
        Ok(codes.map(str::to_owned).collect())
    }

    fn prepare(&self, codes: Vec<String>) -> Result<Bought, InputError> {
        let mut bought = Bought::default();
        for code in codes {
            match self.assortment.place(&code) {
                Some(item) if bought.items.contains(&item) => {}
                Some(item) => bought.items.push(item),
                None => bought.unknown.push(code),
            }
        }
        match (bought.items.as_slice(), bought.unknown.as_slice()) {
            ([], []) => Err(InputError::new("names no item: give the codes of what was bought, with commas between")),
            ([], [first, others @ ..]) => {
                let more = if others.is_empty() { String::new() } else { format!(", nor {} more,", others.len()) };
                let all = self.assortment.items().len();
                let first: String = first.chars().take(40).collect();
                Err(InputError::new(format!("there is no item `{first}`{more} among the {all} on offer")))
            }
            _ => Ok(bought),
        }
    }

    fn collate(&self, inputs: &[Bought], device: &Device) -> UserBatch {
        let rows = inputs.iter().map(|input| input.items.iter().map(|&item| (item, 1.0)));
        let has = cells(rows, self.assortment.items().len(), device);
        UserBatch { has, words: self.words.on(device), inputs: inputs.to_vec() }
    }

    /// The cross-entropy of what is bought next against all that the user has not, summed over a user's purchases (the multinomial
    /// likelihood of Liang et al. 2018), the mean over users.
    fn loss(
        &self,
        model: &TwoTower,
        UserBatch { has, words, inputs }: UserBatch,
        truths: &[Next],
    ) -> RecommendationOutcome {
        let [users, items] = has.dims();
        let scores = Self::scores(model, &has, &words);
        let wanted = cells(truths.iter().map(|truth| truth.items.iter().copied()), items, &has.device());
        let loss = (log_softmax(scores.clone(), 1) * wanted).sum().mul_scalar(-1.0 / users as f64);
        let (truths, popular) = (truths.to_vec(), Arc::clone(&self.popular));
        RecommendationOutcome { loss, scores: scores.inner(), inputs, truths, popular }
    }

    fn respond(&self, model: &TwoTower, UserBatch { has, words, inputs }: UserBatch) -> Vec<RecommendationResponse> {
        let [_, items] = has.dims();
        let shares = host(softmax(Self::scores(model, &has, &words), 1));
        let recommended = |(item, score): (u32, f32)| {
            let item = &self.assortment.items()[item as usize];
            Recommended { item: item.code.clone(), score, text: item.text.clone() }
        };
        let answer = |(row, input): (&[f32], Bought)| {
            // Who has almost all gets what is left.
            let most = self.config.top.min(items - input.items.len());
            let items = first(row, most).map(recommended).collect();
            RecommendationResponse { items, unknown: input.unknown }
        };
        shares.chunks_exact(items).zip(inputs).map(answer).collect()
    }

    /// Items that are as good as each other may change places.
    fn agree(&self, expected: &RecommendationResponse, found: &RecommendationResponse, tolerance: f64) -> bool {
        let near = |a: f32, b: f32| f64::from((a - b).abs()) <= tolerance;
        let score = |item: &str| expected.items.iter().find(|other| other.item == item).map(|other| other.score);
        let last = expected.items.last().map(|item| item.score);
        let same = |(a, b): (&Recommended, &Recommended)| {
            near(a.score, b.score) && score(&b.item).or(last).is_some_and(|score| near(score, b.score))
        };
        expected.items.len() == found.items.len()
            && expected.unknown == found.unknown
            && expected.items.iter().zip(&found.items).all(same)
    }
}
