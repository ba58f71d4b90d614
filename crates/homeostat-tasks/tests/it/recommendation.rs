//! What a user buys next: learnt by heart, measured by the definitions, and what is unknown is told.

use std::sync::Arc;

use burn::{
    module::Module,
    optim::{AdamConfig, GradientsParams},
    tensor::{Tensor, TensorData},
};
use homeostat_data::{Assortment, Item, TextPrepare, Tokenizer, TokenizerConfig};
use homeostat_models::{ItemFeatures, TwoTowerConfig};
use homeostat_task::{Outcome, Task};
use homeostat_tasks::{Bought, Next, Recommendation, RecommendationConfig, recommendation_request};

use crate::{line, seeded};

/// Sixteen items; more have bought those of higher codes. One has no text.
fn items() -> Assortment {
    let kinds = ["red cup", "blue cup", "red pen", "blue pen"];
    let item = |at: u32| {
        let text = if at == 5 { String::new() } else { format!("a {} of the size {}", kinds[at as usize % 4], at / 4) };
        Item { code: format!("i{at:02}"), text, buyers: at }
    };
    Assortment::new((0..16).map(item).collect()).unwrap()
}

fn tokenizer() -> Tokenizer {
    let texts = items().items().iter().map(|item| item.text.clone()).collect::<Vec<_>>();
    Tokenizer::train(&TokenizerConfig { size: 90, ..TokenizerConfig::default() }, texts).unwrap()
}

fn config(features: ItemFeatures) -> RecommendationConfig {
    RecommendationConfig {
        items: Some(16),
        vocabulary: Some(tokenizer().size()),
        model: TwoTowerConfig { width: 12, items: features },
        ..RecommendationConfig::default()
    }
}

fn task(features: ItemFeatures) -> Recommendation {
    config(features).init(&tokenizer(), Arc::new(items())).unwrap()
}

/// Eight users: what they have, and what they buy next.
fn users() -> (Vec<Bought>, Vec<Next>) {
    let user = |at: u32| {
        let bought = Bought { items: vec![at, (at + 3) % 16], unknown: Vec::new() };
        (bought, Next { items: vec![((at + 7) % 16, 1.0)] })
    };
    (0..8).map(user).unzip()
}

#[test]
fn eight_users_are_learnt_by_heart() {
    let (device, _guard) = seeded(1);
    let device = device.autodiff();
    let (inputs, truths) = users();
    for features in [ItemFeatures::Both, ItemFeatures::Behaviour, ItemFeatures::Texts] {
        let task = task(features);
        let mut network = task.init(&device).unwrap();
        let mut optimizer = AdamConfig::new().init();
        let measured = |network: &_| task.loss(network, task.collate(&inputs, &device), &truths).record().means;
        let before = measured(&network);
        for _ in 0..300 {
            let outcome = task.loss(&network, task.collate(&inputs, &device), &truths);
            let gradients = GradientsParams::from_grads(outcome.loss().backward(), &network);
            network = optimizer.step(3e-2, network, gradients);
        }
        let after = measured(&network);
        // Of 14 items the loss begins near ln 14.
        assert!(before[0] > 2.0 && after[0] < 0.1, "{features:?}: {before:?} {after:?}");
        assert!(after[1] == 1.0 && after[2] > 0.99 && after[3..] == before[3..], "{features:?}: {after:?}");
        let answers = task.respond(&network.valid(), task.collate(&inputs, &device.clone().inner()));
        for ((answer, input), truth) in answers.iter().zip(&inputs).zip(&truths) {
            let codes: Vec<&str> = answer.items.iter().map(|item| item.item.as_str()).collect();
            assert_eq!(codes[0], format!("i{:02}", truth.items[0].0), "{features:?}");
            let had = input.items.iter().map(|item| format!("i{item:02}"));
            assert!(codes.len() == 10 && had.into_iter().all(|had| !codes.contains(&had.as_str())), "{codes:?}");
            assert!(answer.items[0].score > 0.9 && answer.items.is_sorted_by(|a, b| a.score >= b.score));
        }
    }
}

/// The loss by the definition, and figures by hand.
#[test]
fn the_loss_and_the_figures_are_those_of_the_definitions() {
    let (device, _guard) = seeded(2);
    let task = task(ItemFeatures::Both);
    let network = task.init(&device).unwrap();
    let inputs =
        vec![Bought { items: vec![15, 2], unknown: Vec::new() }, Bought { items: vec![0], unknown: Vec::new() }];
    let truths = vec![Next { items: vec![(3, 0.5), (14, 1.0)] }, Next { items: vec![(1, 0.25)] }];
    let outcome = task.loss(&network, task.collate(&inputs, &device), &truths);
    assert_eq!(outcome.weight(), 2.0);
    let found = outcome.record();
    let answers = RecommendationConfig { top: 16, ..config(ItemFeatures::Both) };
    let all = answers.init(&tokenizer(), Arc::new(items())).unwrap();
    let answers = all.respond(&network, all.collate(&inputs, &device));
    let place = |user: usize, item: u32| {
        answers[user].items.iter().position(|found| found.item == format!("i{item:02}")).unwrap()
    };
    let share = |user: usize, item: u32| f64::from(answers[user].items[place(user, item)].score);
    let wanted = -(0.5 * share(0, 3).ln() + share(0, 14).ln() + 0.25 * share(1, 1).ln()) / 2.0;
    assert!((found.means[0] - wanted).abs() < 1e-4 * wanted, "{} {wanted}", found.means[0]);
    // All that a user has not is answered, and nothing else.
    assert_eq!([answers[0].items.len(), answers[1].items.len()], [14, 15]);
    let total: f32 = answers[0].items.iter().map(|item| item.score).sum();
    assert!((total - 1.0).abs() < 1e-5);
    let gain = |place: usize| if place < 10 { 1.0 / ((place + 2) as f64).log2() } else { 0.0 };
    let places = [place(0, 3), place(0, 14), place(1, 1)];
    let hits = [places[0].min(places[1]) < 10, places[2] < 10].map(f64::from);
    assert!((found.means[1] - (hits[0] + hits[1]) / 2.0).abs() < 1e-9);
    let ideal = gain(0) + gain(1);
    let ndcg = ((gain(places[0]) + gain(places[1])) / ideal + gain(places[2])) / 2.0;
    assert!((found.means[2] - ndcg).abs() < 1e-9, "{found:?}");
    // Most have bought 15, which the first user has: 14 comes first, 3 is not among the ten; 1 is not among those of the second.
    assert!((found.means[3] - 0.5).abs() < 1e-9 && (found.means[4] - gain(0) / ideal / 2.0).abs() < 1e-9);
}

#[test]
fn a_network_of_texts_knows_an_item_by_its_words_alone() {
    let (device, _guard) = seeded(3);
    let mut twins = items().items().to_vec();
    twins[9].text = twins[1].text.clone();
    let twins = Arc::new(Assortment::new(twins).unwrap());
    for (features, same) in [(ItemFeatures::Texts, true), (ItemFeatures::Both, false), (ItemFeatures::Behaviour, false)]
    {
        let config = RecommendationConfig { top: 16, ..config(features) };
        let task = config.init(&tokenizer(), Arc::clone(&twins)).unwrap();
        let network = task.init(&device).unwrap();
        let answer = task.respond(&network, task.collate(&[Bought { items: vec![3], unknown: vec![] }], &device));
        let score = |code: &str| answer[0].items.iter().find(|item| item.item == code).unwrap().score;
        assert_eq!(score("i01") == score("i09"), same, "{features:?}");
        assert_ne!(score("i01"), score("i02"), "{features:?}");
    }
}

#[test]
fn what_users_had_is_read_and_what_is_unknown_is_told() {
    let (device, _guard) = seeded(4);
    let task = task(ItemFeatures::Both);
    let ready = |bytes: &[u8]| task.prepare(task.read(bytes).unwrap()).unwrap();
    let both = Bought { items: vec![3, 1], unknown: Vec::new() };
    for text in ["i03,i01", " i03 ,\ni01\r\n,", "[\"i03\", \"i01\", \"i03\"]"] {
        assert_eq!(ready(text.as_bytes()), both, "{text}");
    }
    assert_eq!(ready(&recommendation_request(&["i03", "i01"])), both);
    let some = ready(b"i03, x1, i01, x2");
    assert_eq!(some.unknown, ["x1", "x2"]);
    let network = task.init(&device).unwrap();
    let answers = task.respond(&network, task.collate(&[some, both], &device));
    assert_eq!((answers[0].unknown.len(), &answers[0].items), (2, &answers[1].items));
    for (text, words) in [
        ("", "names no item"),
        (" , ,", "names no item"),
        ("[]", "names no item"),
        ("x1", "there is no item `x1` among the 16 on offer"),
        ("x1,x2,x3", "there is no item `x1`, nor 2 more, among"),
    ] {
        let error = line(&task.prepare(task.read(text.as_bytes()).unwrap()).unwrap_err());
        assert!(error.contains(words), "{error}");
    }
    for (bytes, words) in
        [(&b"[1, 2]"[..], "no JSON list of codes"), (b"[\"a\"", "no JSON list"), (b"\xff", "no UTF-8")]
    {
        assert!(line(&task.read(bytes).unwrap_err()).contains(words));
    }
    let everything: Vec<String> = (0..16).map(|at| format!("i{at:02}")).collect();
    let answers = task.respond(&network, task.collate(&[task.prepare(everything).unwrap()], &device));
    assert!(answers[0].items.is_empty(), "who has all is offered nothing");
}

#[test]
fn answers_agree_where_rounding_alone_tells_them_apart() {
    let (device, _guard) = seeded(5);
    let task = task(ItemFeatures::Both);
    let network = task.init(&device).unwrap();
    let answer = task.respond(&network, task.collate(&[Bought { items: vec![3], unknown: vec![] }], &device)).remove(0);
    let mut other = answer.clone();
    other.items[0].score += 1e-6;
    assert!(task.agree(&answer, &other, 1e-5) && !task.agree(&answer, &other, 1e-7));
    let mut other = answer.clone();
    other.items.swap(0, 9);
    assert!(!task.agree(&answer, &other, 1e-5), "another order");
    let mut other = answer.clone();
    other.items.pop();
    assert!(!task.agree(&answer, &other, 1.0));
    // Two that are as good as each other.
    let mut tied = answer.clone();
    tied.items[1].score = tied.items[0].score;
    let mut swapped = tied.clone();
    swapped.items.swap(0, 1);
    assert!(task.agree(&tied, &swapped, 1e-9));
}

#[test]
fn purchases_long_ago_count_less() {
    let task = |half_life| {
        let config = RecommendationConfig { half_life, ..config(ItemFeatures::Both) };
        config.init(&tokenizer(), Arc::new(items())).unwrap()
    };
    assert_eq!([0, 30, 60].map(|age| task(Some(30.0)).counts(age)), [1.0, 0.5, 0.25]);
    assert_eq!(task(None).counts(300), 1.0);
}

#[test]
fn what_does_not_fit_together_is_refused_in_one_line() {
    let good = config(ItemFeatures::Both);
    for (config, words) in [
        (
            RecommendationConfig { items: Some(7), ..good.clone() },
            "`task.recommendation.items` is 7, but there are 16 items",
        ),
        (RecommendationConfig { items: None, ..good.clone() }, "items is not known yet"),
        (RecommendationConfig { vocabulary: Some(7), ..good.clone() }, "is 7, but the tokenizer knows"),
        (RecommendationConfig { vocabulary: None, ..good.clone() }, "vocabulary is not known yet"),
        (RecommendationConfig { hidden: 1.0, ..good.clone() }, "hidden` is 1"),
        (RecommendationConfig { hidden: f64::NAN, ..good.clone() }, "hidden` is NaN"),
        (RecommendationConfig { half_life: Some(0.0), ..good.clone() }, "half-life` is 0"),
        (RecommendationConfig { top: 0, ..good.clone() }, "top` is 0"),
        (
            RecommendationConfig { prepare: TextPrepare { max_length: 0, ..TextPrepare::default() }, ..good.clone() },
            "max-length",
        ),
        (
            RecommendationConfig { model: TwoTowerConfig { width: 0, ..TwoTowerConfig::default() }, ..good.clone() },
            "width is 0",
        ),
    ] {
        let error = line(&config.init(&tokenizer(), Arc::new(items())).unwrap_err());
        assert!(error.contains(words), "{error}");
    }
    let refuse = TextPrepare { max_length: 3, too_long: homeostat_data::TooLong::Refuse, ..good.prepare.clone() };
    let config = RecommendationConfig { prepare: refuse, ..good.clone() };
    let error = line(&config.init(&tokenizer(), Arc::new(items())).unwrap_err());
    assert!(error.contains("the text of the item `i00`") && error.contains("at most 3 are taken"), "{error}");
    let cut = TextPrepare { max_length: 3, ..good.prepare.clone() };
    let task = RecommendationConfig { prepare: cut, ..good }.init(&tokenizer(), Arc::new(items())).unwrap();
    assert_eq!(task.cut_texts(), 15, "all but the one without a text");
}

#[test]
fn figures_are_none_where_a_score_is_none() {
    let (device, _guard) = seeded(6);
    let task = task(ItemFeatures::Behaviour);
    let network = task.init(&device).unwrap();
    let (inputs, truths) = users();
    let broken = network.map(&mut Broken);
    let record = task.loss(&broken, task.collate(&inputs, &device), &truths).record();
    assert!(record.means[0].is_nan(), "{record:?}");
}

/// Makes every weight no number.
struct Broken;

impl burn::module::ModuleMapper for Broken {
    fn map_float<const D: usize>(
        &mut self,
        parameter: burn::module::Param<Tensor<D>>,
    ) -> burn::module::Param<Tensor<D>> {
        parameter.map(|weight| {
            let (shape, device) = (weight.shape(), weight.device());
            Tensor::from_data(TensorData::new(vec![f32::NAN; shape.num_elements()], shape), &device)
        })
    }
}
