//! Vectors of texts: of length 1, near for pairs that belong together, and those of sentence-transformers.

#![allow(clippy::print_stderr, reason = "who runs the tests should see what is skipped")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use burn::{
    module::Module,
    optim::{AdamConfig, GradientsParams},
    tensor::Device,
};
use homeostat_data::{Table, TableFormat, TextPrepare, TextSample, Tokenizer, TokenizerConfig};
use homeostat_metrics::{Judgements, PairFigures, ndcg_at};
use homeostat_models::{Pooling, SequenceEncoder, SequenceModelConfig, TransformerConfig, bert_weights};
use homeostat_task::{Outcome, Task, Weights, read_foreign};
use homeostat_tasks::{SentenceEmbedding, SentenceEmbeddingConfig};

use crate::{device, seeded};

const PAIRS: [[&str; 2]; 8] = [
    ["where is my card", "the card is on its way"],
    ["my card is lost", "we block a card that is lost"],
    ["what is the rate", "the rate of the euro is one"],
    ["close my account", "we close it today"],
    ["how do i pay", "you pay by phone"],
    ["who are you", "a bank in the city"],
    ["is it free", "there is no fee"],
    ["can my son join", "children join from ten years"],
];

fn task(model: SequenceModelConfig) -> SentenceEmbedding {
    let config = TokenizerConfig { size: 120, ..TokenizerConfig::default() };
    let tokenizer = Tokenizer::train(&config, PAIRS.as_flattened().iter().map(|text| (*text).to_owned())).unwrap();
    let prepare = TextPrepare { max_length: 16, ..TextPrepare::default() };
    let vocabulary = Some(tokenizer.size());
    SentenceEmbeddingConfig { vocabulary, prepare, model, ..SentenceEmbeddingConfig::default() }
        .init(tokenizer)
        .unwrap()
}

fn small() -> SequenceModelConfig {
    SequenceModelConfig::Transformer(TransformerConfig {
        width: 16,
        depth: 1,
        heads: 2,
        hidden: 32,
        positions: 16,
        dropout: 0.0,
        ..TransformerConfig::default()
    })
}

fn pair([text, pair]: [&str; 2]) -> TextSample {
    TextSample { text: text.to_owned(), pair: Some(pair.to_owned()) }
}

#[test]
fn eight_pairs_are_learnt_by_heart() {
    let (device, _guard) = seeded(1);
    let device = device.autodiff();
    let task = task(small());
    let mut network = task.init(&device).unwrap();
    let inputs: Vec<_> = PAIRS.into_iter().map(|texts| task.prepare(pair(texts)).unwrap()).collect();
    let mut optimizer = AdamConfig::new().init();
    let figures = |network: &_| {
        let mut figures = PairFigures::whole();
        figures.update(&task.loss(network, task.collate(&inputs, &device), &[(); 8]).record());
        figures.figures()
    };
    let before = figures(&network);
    for _ in 0..120 {
        let outcome = task.loss(&network, task.collate(&inputs, &device), &[(); 8]);
        let gradients = GradientsParams::from_grads(outcome.loss().backward(), &network);
        network = optimizer.step(1e-2, network, gradients);
    }
    let after = figures(&network);
    assert!(before[0].1 > 1.0 && after[0].1 < 0.1, "{before:?} {after:?}");
    assert_eq!(after[2], ("mrr".to_owned(), 1.0), "{after:?}");
    let vectors = task.respond(&network.valid(), task.collate(&inputs, &device.inner()));
    for vector in vectors {
        let length = vector.embedding.iter().map(|value| value * value).sum::<f32>();
        assert!((length - 1.0).abs() < 1e-5);
    }
}

/// InfoNCE of two pairs by hand, and a text that stands twice is no negative.
#[test]
fn the_loss_is_that_of_the_definition() {
    let (device, _guard) = seeded(2);
    let task = task(small());
    let network = task.init(&device).unwrap();
    let loss = |pairs: &[[&str; 2]]| {
        let inputs: Vec<_> = pairs.iter().map(|texts| task.prepare(pair(*texts)).unwrap()).collect();
        let outcome = task.loss(&network, task.collate(&inputs, &device), &vec![(); pairs.len()]);
        outcome.record()
    };
    let found = loss(&PAIRS[..2]);
    let width = found.width;
    let product = |a: usize, b: usize| {
        let [a, b] = [&found.first[a * width..][..width], &found.second[b * width..][..width]];
        20.0 * a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
    };
    let entropy = |own: f64, other: f64| (1.0 + (other - own).exp()).ln();
    let there = entropy(product(0, 0), product(0, 1)) + entropy(product(1, 1), product(1, 0));
    let back = entropy(product(0, 0), product(1, 0)) + entropy(product(1, 1), product(0, 1));
    let wanted = (there + back) / 4.0;
    assert!((found.loss - wanted).abs() < 1e-4 * wanted.max(1.0), "{} {wanted}", found.loss);
    // Both first texts have the same second one: nothing is left to be told apart.
    let same = loss(&[PAIRS[0], [PAIRS[1][0], PAIRS[0][1]]]);
    assert!(same.loss.abs() < 1e-6, "{}", same.loss);
    // One text with two answers: both are right.
    let both = loss(&[PAIRS[0], [PAIRS[0][0], PAIRS[1][1]]]);
    assert!(both.loss.abs() < 1e-6, "{}", both.loss);
}

#[test]
fn an_answer_says_where_its_text_was_cut() {
    let device = device();
    let task = task(small());
    let network = task.init(&device).unwrap();
    let inputs = ["where is my card ".repeat(9), "where is my card".to_owned()]
        .map(|text| task.prepare(task.read(text.as_bytes()).unwrap()).unwrap());
    let answers = task.respond(&network, task.collate(&inputs, &device));
    let json = answers.iter().map(|answer| serde_json::to_value(answer).unwrap()).collect::<Vec<_>>();
    assert_eq!((&json[0]["cut"], json[1].get("cut")), (&true.into(), None));
}

#[test]
fn what_does_not_fit_together_is_refused_in_one_line() {
    let good = task(small()).config().clone();
    let tokenizer = || task(small()).tokenizer().clone();
    for (config, words) in [
        (SentenceEmbeddingConfig { scale: 0.0, ..good.clone() }, "scale"),
        (SentenceEmbeddingConfig { vocabulary: Some(7), ..good.clone() }, "is 7, but the tokenizer knows"),
        (SentenceEmbeddingConfig { vocabulary: None, ..good.clone() }, "vocabulary is not known yet"),
        (SentenceEmbeddingConfig { prepare: TextPrepare::default(), ..good }, "places for 16 tokens"),
    ] {
        let error = config.init(tokenizer()).unwrap_err().to_string();
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
    }
}

/// The folder of real data, if it has MiniLM's weights.
fn data() -> Option<PathBuf> {
    let root = std::env::var_os("HOMEOSTAT_DATA").map(PathBuf::from);
    let root = root.filter(|root| root.join("models/all-minilm-l6-v2/model.safetensors").exists());
    if root.is_none() {
        eprintln!("skipped: HOMEOSTAT_DATA has no models/all-minilm-l6-v2 with its weights");
    }
    root
}

/// MiniLM by its own files.
fn minilm(folder: &Path, device: &Device) -> (SentenceEmbedding, SequenceEncoder) {
    let model = TransformerConfig { width: 384, depth: 6, heads: 12, hidden: 1536, ..TransformerConfig::default() };
    let config = SentenceEmbeddingConfig {
        vocabulary: Some(30522),
        prepare: TextPrepare { max_length: 256, ..TextPrepare::default() },
        model: SequenceModelConfig::Transformer(model),
        pooling: Pooling::Mean,
        ..SentenceEmbeddingConfig::default()
    };
    let task = config.init(Tokenizer::open(&folder.join("tokenizer.json")).unwrap()).unwrap();
    let theirs = read_foreign(&folder.join("model.safetensors")).unwrap();
    let ours = bert_weights(theirs.tensors()).unwrap();
    let named = ours.into_iter().map(|(name, data)| (format!("network.{name}"), data)).collect();
    let network = Weights::from_tensors(named).apply(task.init(device).unwrap()).unwrap();
    (task, network)
}

#[test]
fn minilm_gives_the_vectors_of_sentence_transformers() {
    let Some(root) = data() else { return };
    let (folder, device) = (root.join("models/all-minilm-l6-v2"), device());
    let (task, network) = minilm(&folder, &device);
    let reference = read_foreign(&folder.join("reference.safetensors")).unwrap();
    let expected = reference.tensors()["embedding"].as_slice::<f32>().unwrap();
    let sentences = [
        "How do I lock my stolen card?",
        "My card was stolen, please block it.",
        "What is the exchange rate for euros?",
        "Quarterly profit rose 12 percent.",
        "The company reported a loss.",
        "a gorgeous, witty, seductive movie",
        "WHITE HANGING HEART T-LIGHT HOLDER",
        "naïve café — 東京 🙂",
    ];
    let vectors = vectors(&task, &network, &sentences, &device);
    for (vector, expected) in vectors.iter().zip(expected.chunks_exact(384)) {
        let apart = vector.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart <= 1e-4, "{apart}");
    }
}

/// The vectors of texts, similar lengths together so that little is filled up.
fn vectors(task: &SentenceEmbedding, network: &SequenceEncoder, texts: &[&str], device: &Device) -> Vec<Vec<f32>> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&at| texts[at].len());
    let mut found = vec![Vec::new(); texts.len()];
    for batch in order.chunks(32) {
        let inputs: Vec<_> =
            batch.iter().map(|&at| task.prepare(task.read(texts[at].as_bytes()).unwrap()).unwrap()).collect();
        let answers = task.respond(network, task.collate(&inputs, device));
        batch.iter().zip(answers).for_each(|(&at, answer)| found[at] = answer.embedding);
    }
    found
}

/// The cells of some columns of a table, row by row; what is empty is an empty text.
fn cells(path: &Path, columns: &[&str]) -> Vec<Vec<String>> {
    let rows = Table::open(path, &TableFormat::default()).unwrap().rows(columns).unwrap();
    rows.map(|row| row.unwrap().cells.iter().map(|cell| cell.text().unwrap_or_default()).collect()).collect()
}

#[test]
fn minilm_finds_the_abstracts_of_cranfield_as_its_reference_does() {
    let Some(root) = data().filter(|root| root.join("cranfield").exists()) else { return };
    let device = device();
    let (task, network) = minilm(&root.join("models/all-minilm-l6-v2"), &device);
    let folder = root.join("cranfield");
    let mut documents = cells(&folder.join("docs.jsonl"), &["id", "title", "text"]);
    // Two have neither title nor text, and a text without tokens has no vector.
    documents.retain(|row| !row[1..].join("").is_empty());
    let questions = cells(&folder.join("queries.jsonl"), &["id", "text"]);
    let mut judged: BTreeMap<String, Judgements<String>> = BTreeMap::new();
    for row in cells(&folder.join("qrels.csv"), &["query_id", "doc_id", "relevance"]) {
        judged.entry(row[0].clone()).or_default().insert(row[1].clone(), row[2].parse().unwrap());
    }
    let of = |rows: &[Vec<String>]| {
        let texts: Vec<String> = rows.iter().map(|row| row[1..].join(" ")).collect();
        vectors(&task, &network, &texts.iter().map(String::as_str).collect::<Vec<_>>(), &device)
    };
    let (places, asked) = (of(&documents), of(&questions));
    let ndcg = questions.iter().zip(&asked).map(|(question, vector)| {
        let mut scores: Vec<(f32, &String)> = places
            .iter()
            .zip(&documents)
            .map(|(place, row)| (place.iter().zip(vector).map(|(a, b)| a * b).sum::<f32>(), &row[0]))
            .collect();
        scores.sort_by(|a, b| b.0.total_cmp(&a.0));
        let ranked: Vec<String> = scores.into_iter().take(10).map(|(_, name)| name.clone()).collect();
        ndcg_at(&ranked, &judged[&question[0]], 10)
    });
    let mean = ndcg.sum::<f64>() / questions.len() as f64;
    eprintln!("nDCG@10 of {} questions on {} abstracts: {mean:.4}", questions.len(), documents.len());
    assert!((mean - 0.400).abs() <= 0.005, "{mean}");
}
