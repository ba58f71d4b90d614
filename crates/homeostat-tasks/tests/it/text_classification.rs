//! Texts through the whole task: what training and serving see, and what is refused.

use burn::{
    module::Module,
    optim::{AdamConfig, GradientsParams},
};
use homeostat_data::{TextSample, Tokenizer, TokenizerConfig, TokenizerKind};
use homeostat_models::{SequenceModelConfig, TransformerConfig};
use homeostat_task::{HostTensor, Outcome, Task, TaskError, Values};
use homeostat_tasks::{
    ClassificationResponse, Target, TaskConfig, TextClassification, TextClassificationConfig, text_request,
};

use crate::{device, in_one_of_three_draws, losses, seeded};

const TEXTS: [&str; 8] = [
    "where is my card",
    "my card is lost",
    "the card has not come",
    "what is the rate",
    "is the rate good today",
    "the rate of the euro",
    "close my account",
    "i want to close it",
];

fn tokenizer() -> Tokenizer {
    let config = TokenizerConfig { kind: TokenizerKind::Wordpiece, size: 80, lowercase: true };
    Tokenizer::train(&config, TEXTS).unwrap()
}

fn config(model: SequenceModelConfig) -> TextClassificationConfig {
    let mut config = TextClassificationConfig {
        labels: ["card", "rate", "account"].map(str::to_owned).to_vec(),
        vocabulary: Some(tokenizer().size()),
        model,
        dropout: 0.0,
        ..TextClassificationConfig::default()
    };
    config.prepare.max_length = 16;
    config
}

fn small() -> SequenceModelConfig {
    SequenceModelConfig::examples().remove(1)
}

fn task(config: &TextClassificationConfig) -> TextClassification {
    config.init(tokenizer()).unwrap()
}

#[test]
fn every_network_overfits_eight_texts_and_every_loss_does() {
    let (device, _guard) = seeded(3);
    let device = device.autodiff();
    let truths = [0, 0, 0, 1, 1, 1, 2, 2].map(Target::Class);
    let all = SequenceModelConfig::examples().into_iter().map(|model| (model, losses().remove(0)));
    let all = all.chain(losses().into_iter().map(|loss| (small(), loss)));
    for (model, loss) in all {
        let what = format!("{model:?} under {loss:?}");
        let task = task(&TextClassificationConfig { loss, ..config(model) });
        let inputs: Vec<_> =
            TEXTS.iter().map(|text| task.prepare(task.read(text.as_bytes()).unwrap()).unwrap()).collect();
        in_one_of_three_draws(|| {
            let mut network = task.init(&device).unwrap();
            let mut optimizer = AdamConfig::new().init();
            for _ in 0..150 {
                let loss = task.loss(&network, task.collate(&inputs, &device), &truths).loss();
                let gradients = GradientsParams::from_grads(loss.backward(), &network);
                network = optimizer.step(2e-2, network, gradients);
            }
            let answers = task.respond(&network.valid(), task.collate(&inputs, &device.clone().inner()));
            let is_wrong =
                |answer: &ClassificationResponse, truth: &Target| answer.label != task.labels()[truth.label() as usize];
            let wrong = answers.into_iter().zip(&truths).find(|(answer, truth)| is_wrong(answer, truth));
            wrong.map_or(Ok(()), |(answer, truth)| Err(format!("{what}: {truth:?} is {answer:?}")))
        });
    }
}

#[test]
fn a_sample_is_read_from_its_request() {
    let task = task(&config(small()));
    for (text, pair) in [("is it so?", None), ("{\"text\": 1}", None), ("a \"b\"", Some("c\n\u{e4}")), ("", Some(""))] {
        let sample = TextSample { text: text.to_owned(), pair: pair.map(str::to_owned) };
        assert_eq!(task.read(&text_request(&sample)).unwrap(), sample);
    }
    let read = |text: &str| task.read(text.as_bytes()).map_err(|error| error.to_string());
    assert_eq!(read("{\"text\": \"is it so?\"}").unwrap(), read("is it so?").unwrap(), "as JSON or as it is");
    for text in ["{\"a\": 1}", "{\"text\": \"disk full\", \"level\": 3}", "{}"] {
        assert_eq!(read(text).unwrap().text, text, "JSON that is no request is a text");
    }
    for (text, why) in [
        (r#"{"text": 5}"#, "here: invalid type: integer"),
        (r#"{"pair": "a"}"#, "here: missing field `text`"),
        (r#"{"text": "a", "pairs": "b"}"#, "here: unknown field `pairs`"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.starts_with("a request of JSON is {\"text\": TEXT}") && error.contains(why), "{error}");
    }
    let half = |text: &str, pair: &str| {
        let sample = TextSample { text: text.to_owned(), pair: Some(pair.to_owned()) };
        task.prepare(sample).unwrap_err().to_string()
    };
    assert_eq!([half(" ", "so"), half("so", "")], ["the text is empty", "the second text is empty"]);
    assert_eq!(task.read(b"good \xff").unwrap_err().to_string(), "the text is no UTF-8: byte 5 is wrong");
    let empty = task.read(b"").unwrap();
    assert_eq!(task.prepare(empty).unwrap_err().to_string(), "the text is empty");
}

/// Alone, among longer ones, and with a second text.
#[test]
fn an_answer_does_not_depend_on_its_batch() {
    let device = device();
    let task = task(&config(small()));
    let network = task.init(&device).unwrap();
    let pair = |text: &str| TextSample { text: text.to_owned(), pair: Some("is it lost".to_owned()) };
    let single = TEXTS.iter().map(|text| TextSample { text: (*text).to_owned(), pair: None });
    let inputs: Vec<_> = single.chain([pair(TEXTS[0])]).map(|sample| task.prepare(sample).unwrap()).collect();
    let together = task.respond(&network, task.collate(&inputs, &device));
    for (input, found) in inputs.iter().zip(&together) {
        let alone = task.respond(&network, task.collate(std::slice::from_ref(input), &device)).remove(0);
        assert!(task.agree(&alone, found, 1e-5), "{alone:?} {found:?}");
    }
    assert_ne!(together[0], together[8], "a second text matters");
}

#[test]
fn an_answer_says_where_its_text_was_cut() {
    let device = device();
    let task = task(&config(small()));
    let network = task.init(&device).unwrap();
    let inputs = ["my card ".repeat(20), "my card".to_owned()]
        .map(|text| task.prepare(task.read(text.as_bytes()).unwrap()).unwrap());
    let answers = task.respond(&network, task.collate(&inputs, &device));
    assert_eq!([answers[0].cut, answers[1].cut], [true, false]);
    let [_, cut] = &task.tensor_door().unwrap().outputs(&answers)[..] else { panic!("two outputs") };
    assert_eq!((cut.shape(), cut.integers()), (&[2, 1][..], &[1, 0][..]));
    let json = answers.iter().map(|answer| serde_json::to_value(answer).unwrap()).collect::<Vec<_>>();
    assert_eq!((&json[0]["cut"], json[1].get("cut")), (&true.into(), None));
    let before: ClassificationResponse = serde_json::from_value(json[1].clone()).unwrap();
    assert_eq!(before, answers[1], "as answers were before");
}

/// With types of 1 a second text would be looked up where there is nothing.
#[test]
fn kinds_of_tokens_that_the_network_does_not_know_are_refused_at_both_doors() {
    let device = device();
    let with_types = |types| {
        let transformer =
            TransformerConfig { width: 8, depth: 1, heads: 2, hidden: 16, positions: 16, types, ..Default::default() };
        task(&config(SequenceModelConfig::Transformer(transformer)))
    };
    let pair = || TextSample { text: TEXTS[0].to_owned(), pair: Some("is it lost".to_owned()) };
    let tensor = |values: [i64; 3]| Some(HostTensor::new([1, 3], Values::I64(values.to_vec())));
    for (types, highest) in [(1, 0), (2, 1), (0, 1)] {
        let task = with_types(types);
        let network = task.init(&device).unwrap();
        let door = task.tensor_door().unwrap();
        let request = |kind| door.signature().request(vec![tensor([1, 2, 3]), None, tensor([0, 0, kind])]).unwrap();
        door.check(&request(highest)).unwrap();
        assert_eq!(task.respond(&network, door.collate(&[&request(highest)], &device)).len(), 1);
        let error = door.check(&request(highest + 1)).unwrap_err().to_string();
        assert_eq!(error, format!("`token_type_ids` has {}, but only 0 to {highest} are known", highest + 1));
        match task.prepare(pair()) {
            Ok(input) => {
                assert_ne!(types, 1);
                assert_eq!(task.respond(&network, task.collate(&[input], &device)).len(), 1);
            }
            Err(error) => {
                assert_eq!(types, 1);
                assert!(error.to_string().ends_with("but model.transformer.types is 1"), "{error}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_together_is_refused_in_one_line() {
    let good = config(small());
    let mut long = good.clone();
    long.prepare.max_length = 17;
    let no_labels = TextClassificationConfig { labels: vec![], ..good.clone() };
    let no_size = TextClassificationConfig { vocabulary: None, ..good.clone() };
    let other = TextClassificationConfig { vocabulary: Some(7), ..good.clone() };
    let dropout = TextClassificationConfig { dropout: 1.0, ..good };
    for (config, words) in [
        (long, "places for 16 tokens"),
        (no_labels, "labels is not known yet"),
        (no_size, "vocabulary is not known yet"),
        (other, "is 7, but the tokenizer knows"),
        (dropout, "dropout"),
    ] {
        let error = config.init(tokenizer()).unwrap_err().to_string();
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn an_artifact_without_a_tokenizer_is_refused() {
    struct Give(Option<String>);
    impl homeostat_task::TaskVisitor for Give {
        type Output = ();
        fn asset(&self, name: &str) -> Result<Vec<u8>, TaskError> {
            self.0.clone().map(String::into_bytes).ok_or_else(|| TaskError::new(format!("{name}: there is none")))
        }
        fn visit<T: Task>(self, _: T) {}
    }
    let config = TaskConfig::TextClassification(config(small()));
    let error = |given: Option<&str>| config.open(Give(given.map(str::to_owned))).unwrap_err().to_string();
    assert_eq!(error(None), "tokenizer.json: there is none");
    assert!(error(Some("{}")).starts_with("tokenizer.json: is no tokenizer"), "{}", error(Some("{}")));
    config.open(Give(Some(tokenizer().to_json()))).unwrap();
}
