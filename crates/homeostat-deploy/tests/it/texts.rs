//! Texts of different lengths, put together: each answer is the one that it has alone, to the bit.

use std::collections::BTreeMap;

use bytes::Bytes;
use homeostat_artifact::{Parts, Weights as ArtifactWeights};
use homeostat_config::to_toml;
use homeostat_data::{TOKENIZER_FILE, TextPrepare, Tokenizer, TokenizerConfig};
use homeostat_deploy::{Endpoint, Query, Reply};
use homeostat_models::SequenceModelConfig;
use homeostat_task::{HostTensor, Signature, Task, Values, Weights};
use homeostat_tasks::{TaskConfig, TextClassificationConfig};

use crate::{DRAWING, device, open, publish};

fn tokenizer() -> Tokenizer {
    let config = TokenizerConfig { size: 60, ..TokenizerConfig::default() };
    Tokenizer::train(&config, ["The cat sat.", "The cat ate the rat.", "A dog saw the cat and the rat."]).unwrap()
}

fn prepare() -> TextPrepare {
    TextPrepare { max_length: 16, ..TextPrepare::default() }
}

fn parts(model: SequenceModelConfig) -> Parts {
    let tokenizer = tokenizer();
    let config = TextClassificationConfig {
        labels: vec!["ant".into(), "bee".into(), "cat".into()],
        vocabulary: Some(tokenizer.size()),
        model,
        prepare: prepare(),
        ..TextClassificationConfig::default()
    };
    let task = config.init(tokenizer.clone()).unwrap();
    let weights = {
        let _guard = DRAWING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        device().seed(1);
        Weights::of(&task.init(&device()).unwrap())
    };
    Parts {
        kind: "text-classification".into(),
        created: "2026-11-23T17:13:05Z".into(),
        task: to_toml(&TaskConfig::TextClassification(config)),
        model: ArtifactWeights::Bytes(weights.to_safetensors(&BTreeMap::new())),
        assets: BTreeMap::from([(TOKENIZER_FILE.to_owned(), tokenizer.to_json().into())]),
        golden: Vec::new(),
    }
}

const TEXTS: [&str; 7] =
    ["the cat", "a", "the dog saw the cat and the rat and the dog", "ate the rat", "a rat", "cat cat", "."];

fn raw(texts: &[&str]) -> Query {
    Query::Raw(texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect())
}

/// A text by its tokens, filled up by so many places.
fn prepared(signature: &Signature, text: &str, filled: usize) -> Query {
    let tokens = prepare().apply(&tokenizer(), text, None).unwrap();
    let count = tokens.ids.len();
    let tensor = |values: Vec<i64>| Some(HostTensor::new([1, count + filled], Values::I64(values)));
    let ids = tokens.ids.iter().map(|&id| i64::from(id)).chain(vec![0; filled]).collect();
    let mask = (0..count + filled).map(|place| i64::from(place < count)).collect();
    let mask = if filled > 0 { tensor(mask) } else { None };
    Query::Tensors(signature.request(vec![tensor(ids), mask, None]).unwrap())
}

#[test]
fn a_text_is_answered_alike_in_any_company() {
    for model in SequenceModelConfig::examples() {
        let name = model.name();
        let (_root, artifact) = publish(&parts(model));
        let endpoint = open(&artifact).unwrap();
        let signature = endpoint.signature().unwrap();
        let mut queries: Vec<Query> = TEXTS.iter().map(|text| raw(&[text])).collect();
        queries.push(raw(&TEXTS));
        for (filled, text) in TEXTS.iter().enumerate() {
            queries.push(prepared(&signature, text, 0));
            queries.push(prepared(&signature, text, filled % 3));
        }
        let alone: Vec<Reply> = queries.iter().map(|query| answer(endpoint.as_ref(), query)).collect();
        for largest in [1, 2, 5, 64] {
            let served = endpoint.serve(&queries, largest);
            for (at, (reply, alone)) in served.replies.into_iter().zip(&alone).enumerate() {
                assert_eq!(&reply.unwrap(), alone, "{name} in batches of {largest}, query {at}");
            }
        }
        // Both doors, to the bit where nothing is filled up.
        assert_eq!(alone[0], answer(endpoint.as_ref(), &prepared(&signature, TEXTS[0], 0)), "{name}");
    }
}

fn answer(endpoint: &dyn Endpoint, query: &Query) -> Reply {
    endpoint.serve(std::slice::from_ref(query), 64).replies.remove(0).unwrap()
}
