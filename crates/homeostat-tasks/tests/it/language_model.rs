//! Language models: the numbers and the words of transformers, what serving sees, and what is refused.

use std::{collections::BTreeMap, fs, ops::ControlFlow, path::PathBuf};

use burn::{
    module::Module,
    optim::{AdamConfig, GradientsParams},
    tensor::{DType, Device, Int, Tensor, TensorData},
};
use homeostat_data::{Tokenizer, TokenizerConfig, TokenizerKind, TooLong};
use homeostat_models::{
    DecoderConfig, FeedKind, LanguageNetwork, LanguageNetworkConfig, NormKind, PlaceKind, SequenceInput,
};
use homeostat_task::{ForeignNames, Outcome, PeftPrefix, Task, Weights, read_foreign};
use homeostat_tasks::{
    Ended, GenerationConfig, LanguageInput, LanguageModel, LanguageModelConfig, NextTokens, Prompt, Sampler,
    prompt_request,
};
use serde_json::{Value, json};

use crate::{device, line, seeded};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn tensor(ids: &[u32], device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i32> = ids.iter().map(|id| id.cast_signed()).collect();
    let length = ids.len();
    Tensor::from_data(TensorData::new(ids, [1, length]), device)
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data_dtype(DType::F32).as_slice::<f32>().unwrap().to_vec()
}

/// The largest difference, relative to the largest value.
fn apart(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1e-6_f32, |largest, value| largest.max(value.abs()));
    found.iter().zip(expected).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f32::max)
}

/// The network that transformers has saved, by its own `config.json` and names.
fn gpt2(device: &Device) -> LanguageNetwork {
    let config = fs::read_to_string(fixture("gpt2/config.json")).unwrap();
    let (config, vocabulary, tied) = LanguageNetworkConfig::of_transformers(&config).unwrap();
    let network = config.init(vocabulary, tied, device).unwrap();
    let theirs = read_foreign(&fixture("gpt2/model.safetensors")).unwrap();
    let table = config.names(tied).remove(0);
    let names = ForeignNames::of(&network, &table.rows).unwrap().lying_as_ours(&table.as_ours);
    let network = names.adopt(&theirs, &table.ignored).unwrap().apply(network).unwrap();
    assert_eq!(names.export(&Weights::of(&network)), theirs, "and back again");
    network
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| u32::try_from(id.as_u64().unwrap()).unwrap()).collect()
}

/// What transformers, or PEFT, has computed for a fixture.
fn written(folder: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(folder).join("written.json")).unwrap()).unwrap()
}

fn check_scores(network: &LanguageNetwork, written: &Value, device: &Device) {
    let texts = written["ids"].as_array().unwrap().iter().zip(written["scores"].as_array().unwrap());
    for (ids, scores) in texts {
        let found = floats(network.scores(&SequenceInput::full(tensor(&numbers(ids), device))));
        let rows = scores.as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap());
        #[expect(clippy::cast_possible_truncation, reason = "they were 32-bit floats")]
        let expected: Vec<f32> = rows.map(|score| score.as_f64().unwrap() as f32).collect();
        let apart = apart(&found, &expected);
        assert!(apart <= 1e-4, "{apart}");
    }
}

/// The most likely 50 tokens behind the prompt.
fn fifty(network: &LanguageNetwork, written: &Value, repetition_penalty: f64, device: &Device) -> Vec<u32> {
    let how = GenerationConfig { temperature: 0.0, repetition_penalty, ..GenerationConfig::default() };
    let (mut writer, mut sampler) = (network.writer(), Sampler::new(&how));
    let mut all = numbers(&written["prompt"]);
    let mut scores = floats(writer.read(tensor(&all, device)));
    let mut found = Vec::new();
    while found.len() < 50 {
        let token = sampler.draw(&scores, &all);
        found.push(token);
        all.push(token);
        scores = floats(writer.read(tensor(&[token], device)));
    }
    found
}

#[test]
fn the_scores_of_gpt2_are_those_of_transformers() {
    let device = device();
    check_scores(&gpt2(&device), &written("gpt2"), &device);
}

#[test]
fn fifty_tokens_of_gpt2_are_those_of_transformers() {
    let (device, written) = (device(), written("gpt2"));
    let network = gpt2(&device);
    for (name, repetition_penalty) in [("greedy", 1.0), ("penalised", 1.3)] {
        assert_eq!(fifty(&network, &written, repetition_penalty, &device), numbers(&written[name]), "{name}");
    }
}

/// What `tests/fixtures/peft_prefix.py` has made: they shift the places of the tokens, and each token written sees them.
#[test]
fn prefixes_of_peft_compute_in_gpt2_what_they_compute_there() {
    let (device, written) = (device(), written("peft_prefix_gpt2"));
    let prefix = PeftPrefix::read(&fixture("peft_prefix_gpt2")).unwrap();
    let config = fs::read_to_string(fixture("gpt2/config.json")).unwrap();
    let (LanguageNetworkConfig::Decoder(config), vocabulary, tied) =
        LanguageNetworkConfig::of_transformers(&config).unwrap();
    let config = LanguageNetworkConfig::Decoder(DecoderConfig { prefix: 3, ..config });
    let mut weights = Weights::of(&gpt2(&device)).tensors().clone();
    for (layer, parts) in prefix.layers.iter().enumerate() {
        for (name, data) in ["keys", "values"].into_iter().zip(parts) {
            weights.insert(format!("decoder.blocks.{layer}.prefix.{name}"), data.clone());
        }
    }
    let network = config.init(vocabulary, tied, &device).unwrap();
    let network = Weights::from_tensors(weights).apply(network).unwrap();
    check_scores(&network, &written, &device);
    assert_eq!(fifty(&network, &written, 1.0, &device), numbers(&written["greedy"]));
}

#[test]
fn rotary_places_root_mean_squares_gates_and_shared_keys_are_those_of_transformers() {
    let device = device();
    let (tensors, _) = Weights::from_safetensors(&fs::read(fixture("sequences/llama.safetensors")).unwrap()).unwrap();
    let weights = tensors
        .tensors()
        .iter()
        .filter_map(|(name, data)| Some((name.strip_prefix("weights.")?.to_owned(), data.clone())));
    let config = LanguageNetworkConfig::Decoder(DecoderConfig {
        width: 16,
        depth: 2,
        heads: 4,
        key_value_heads: Some(2),
        hidden: 24,
        positions: 32,
        place: PlaceKind::Rotary,
        norm: NormKind::Rms,
        feed: FeedKind::SwiGlu,
        bias: false,
        dropout: 0.0,
        ..DecoderConfig::default()
    });
    let network = config.init(23, false, &device).unwrap();
    let network = Weights::from_tensors(weights.collect::<BTreeMap<_, _>>()).apply(network).unwrap();
    let ids = Tensor::<2>::from_data(tensors.tensors()["ids"].clone(), &device).int();
    let found = floats(network.scores(&SequenceInput::full(ids)));
    let apart = apart(&found, tensors.tensors()["output"].as_slice::<f32>().unwrap());
    assert!(apart <= 1e-4, "{apart}");
    assert!(config.names(false).is_empty(), "the names of GPT-2 are not of such a network");
}

#[test]
fn what_is_read_bit_by_bit_is_scored_as_what_is_read_at_once_and_nothing_sees_what_comes_later() {
    let (device, _guard) = seeded(2);
    let ids: Vec<u32> = (0..16).map(|at| at * 7 % 13).collect();
    for (number, config) in LanguageNetworkConfig::examples().into_iter().enumerate() {
        let network = config.init(13, number % 2 == 0, &device).unwrap();
        let whole = floats(network.scores(&SequenceInput::full(tensor(&ids, &device))));
        let mut writer = network.writer();
        let mut read = 0;
        for more in [5, 1, 1, 3, 6] {
            let scores = floats(writer.read(tensor(&ids[read..read + more], &device)));
            read += more;
            let apart = apart(&scores, &whole[(read - 1) * 13..read * 13]);
            assert!(apart <= 1e-4, "{config:?}, {read} tokens: {apart}");
            assert_eq!(writer.room(), 16 - read);
        }
        let mut other = ids.clone();
        other[15] = (ids[15] + 1) % 13;
        let other = floats(network.scores(&SequenceInput::full(tensor(&other, &device))));
        assert_eq!(other[..15 * 13], whole[..15 * 13], "{config:?}");
        assert_ne!(other[15 * 13..], whole[15 * 13..], "{config:?}");
    }
}

const TEXTS: [&str; 8] = [
    "the cat sat\n",
    "a dog barked\n",
    "who is there\n",
    "my lord and king\n",
    "exit the ghost\n",
    "speak no more\n",
    "fare thee well\n",
    "now to bed all\n",
];

fn tokenizer() -> Tokenizer {
    let config = TokenizerConfig { kind: TokenizerKind::Characters, size: 80, lowercase: false };
    Tokenizer::train(&config, TEXTS).unwrap()
}

fn config(model: LanguageNetworkConfig) -> LanguageModelConfig {
    LanguageModelConfig {
        vocabulary: Some(tokenizer().size()),
        length: 12,
        model,
        generation: GenerationConfig { temperature: 0.0, max_tokens: 40, ..GenerationConfig::default() },
        ..LanguageModelConfig::default()
    }
}

fn task(config: &LanguageModelConfig) -> LanguageModel {
    config.init(tokenizer()).unwrap()
}

fn small() -> LanguageNetworkConfig {
    LanguageNetworkConfig::examples().remove(0)
}

#[test]
fn every_form_overfits_eight_texts() {
    let (device, _guard) = seeded(3);
    let device = device.autodiff();
    for (number, model) in LanguageNetworkConfig::examples().into_iter().enumerate() {
        let task = task(&LanguageModelConfig { tied: number % 2 == 0, ..config(model.clone()) });
        let (mut inputs, mut truths) = (Vec::new(), Vec::new());
        for text in TEXTS {
            let ids = task.tokenizer().encode(text).unwrap();
            inputs.push(LanguageInput { ids: ids[..11].to_vec(), how: None, is_cut: false });
            truths.push(NextTokens { ids: ids[1..12].to_vec(), from: 0, characters: 11 });
        }
        let mut network = task.init(&device).unwrap();
        let mut optimizer = AdamConfig::new().init();
        for _ in 0..250 {
            let loss = task.loss(&network, task.collate(&inputs, &device), &truths).loss();
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(2e-2, network, gradients);
        }
        let network = network.valid();
        // The first letters of the texts differ.
        for text in TEXTS {
            let how = GenerationConfig { max_tokens: 10, ..task.config().generation.clone() };
            let prompt = Prompt { text: text[..2].to_owned(), how };
            let input = task.prepare(prompt).unwrap();
            let response = task.go_on(&network, &input, &mut |_| ControlFlow::Continue(()));
            assert_eq!(response.text, text[2..12], "{model:?}");
        }
    }
}

#[test]
fn what_was_foretold_before_does_not_count() {
    let device = device();
    let task = task(&config(small()));
    let network = task.init(&device).unwrap();
    let window = |ids: &[u32], from: usize| {
        let input = LanguageInput { ids: ids[..6].to_vec(), how: None, is_cut: false };
        (input, NextTokens { ids: ids[1..7].to_vec(), from, characters: 6 - from as u64 })
    };
    let ids = task.tokenizer().encode("the cat sat\n").unwrap();
    let loss = |froms: &[usize]| {
        let (inputs, truths): (Vec<_>, Vec<_>) = froms.iter().map(|&from| window(&ids, from)).unzip();
        task.loss(&network, task.collate(&inputs, &device), &truths).record()
    };
    let (all, last) = (loss(&[0]), loss(&[4]));
    assert_eq!((all.tokens, last.tokens, last.characters), (6, 2, 2));
    let scores = floats(network.scores(&SequenceInput::full(tensor(&ids[..6], &device))));
    let said = |at: usize| {
        let row = &scores[at * task.tokenizer().size()..][..task.tokenizer().size()];
        let all: f64 = row.iter().map(|score| f64::from(*score).exp()).sum();
        all.ln() - f64::from(row[ids[at + 1] as usize])
    };
    assert!((last.mean - (said(4) + said(5)) / 2.0).abs() < 1e-5, "{last:?}");
    let both = loss(&[0, 4]);
    assert!((both.mean - (6.0 * all.mean + 2.0 * last.mean) / 8.0).abs() < 1e-5, "{both:?}");
}

#[test]
fn an_answer_does_not_depend_on_its_batch_and_a_seed_gives_the_same_text() {
    let (device, _guard) = seeded(4);
    let task = task(&config(small()));
    let network = task.init(&device).unwrap();
    let answer = |requests: &[Value]| {
        let read = |request: &Value| task.prepare(task.read(request.to_string().as_bytes()).unwrap()).unwrap();
        let inputs: Vec<_> = requests.iter().map(read).collect();
        task.respond(&network, task.collate(&inputs, &device))
    };
    let requests = [
        json!({ "prompt": "the cat", "temperature": 1.0, "seed": 5 }),
        json!({ "prompt": "a", "temperature": 1.0, "seed": 6, "max-tokens": 7 }),
        json!({ "prompt": "a", "temperature": 1.0, "seed": 7, "max-tokens": 7 }),
    ];
    let together = answer(&requests);
    for (request, found) in requests.iter().zip(&together) {
        let alone = answer(std::slice::from_ref(request)).remove(0);
        assert!(task.agree(&alone, found, 1e-5), "{alone:?} {found:?}");
        assert_eq!(alone.text, found.text);
    }
    assert_eq!((together[0].tokens.len(), together[1].tokens.len()), (40, 7));
    assert_ne!(together[1].text, together[2].text, "another seed gives another text");
}

#[test]
fn a_text_may_grow_beyond_the_places_of_the_network() {
    let (device, _guard) = seeded(5);
    let task = task(&config(small()));
    let network = task.init(&device).unwrap();
    let how = GenerationConfig { max_tokens: 70, temperature: 1.0, ..GenerationConfig::default() };
    let input = task.prepare(Prompt { text: TEXTS[3][..16].to_owned(), how }).unwrap();
    assert!(!input.is_cut && input.ids.len() == 16);
    let mut said = String::new();
    let response = task.go_on(&network, &input, &mut |piece| {
        said.push_str(piece);
        ControlFlow::Continue(())
    });
    assert_eq!((response.tokens.len(), response.ended), (70, Ended::Length));
    assert_eq!(said, response.text, "what is said piece by piece is the text");
    assert_eq!(response.text.chars().count(), 70, "no token is without a character");
    let mut pieces = 0;
    let stopped = task.go_on(&network, &input, &mut |_| {
        pieces += 1;
        if pieces == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((stopped.ended, stopped.tokens.len()), (Ended::Interrupted, 3));
}

#[test]
fn a_stop_string_ends_the_text_before_it() {
    let (device, _guard) = seeded(6);
    let task = task(&config(small()));
    let network = task.init(&device).unwrap();
    let answer = |stop: &[String]| {
        let how = GenerationConfig { temperature: 1.0, stop: stop.to_vec(), ..GenerationConfig::default() };
        let input = task.prepare(Prompt { text: "the".to_owned(), how }).unwrap();
        task.go_on(&network, &input, &mut |_| ControlFlow::Continue(()))
    };
    let free = answer(&[]);
    let stop: String = free.text.chars().skip(5).take(3).collect();
    let before = free.text.find(&stop).unwrap();
    let stopped = answer(std::slice::from_ref(&stop));
    assert_eq!((stopped.text.as_str(), stopped.ended), (&free.text[..before], Ended::Stop));
}

#[test]
fn a_prompt_that_cannot_be_gone_on_with_is_refused_in_one_line() {
    let good = config(small());
    let strict = task(&LanguageModelConfig { too_long: TooLong::Refuse, ..good.clone() });
    let task = task(&good);
    let refused = |task: &LanguageModel, bytes: &[u8]| match task.read(bytes).and_then(|prompt| task.prepare(prompt)) {
        Ok(input) => panic!("{input:?}"),
        Err(error) => line(&error),
    };
    for (bytes, words) in [
        (&b"good \xff"[..], "no UTF-8: byte 5"),
        (b"", "the prompt is empty"),
        (b"{\"prompt\": 3}", "`prompt` is no string"),
        (b"{\"Prompt\": \"a\"}", "`Prompt` is unknown: the text to go on with is `prompt`"),
        (b"{\"prompt\": \"a\", \"temprature\": 1}", "unknown field `temprature`"),
        (b"{\"prompt\": \"a\", \"temperature\": -1}", "`temperature` is -1"),
        (b"{\"prompt\": \"a\", \"top-k\": 0}", "`top-k` is 0"),
        (b"{\"prompt\": \"a\", \"top-p\": 1.5}", "`top-p` is 1.5"),
        (b"{\"prompt\": \"a\", \"max-tokens\": 0}", "`max-tokens` is 0"),
        (b"{\"prompt\": \"a\", \"repetition-penalty\": 0}", "`repetition-penalty` is 0"),
        (b"{\"prompt\": \"a\", \"stop\": [\"\"]}", "`stop` has an empty string"),
    ] {
        let error = refused(&task, bytes);
        assert!(error.contains(words), "{error}");
    }
    let long = "the cat sat on the mat";
    assert_eq!(refused(&strict, long.as_bytes()), "has 22 tokens, but at most 16 are taken");
    let cut = task.prepare(task.read(long.as_bytes()).unwrap()).unwrap();
    assert!(cut.is_cut && cut.ids == task.tokenizer().encode(&long[6..]).unwrap(), "its beginning is cut off");
    let plain = task.read(b"{\"text\": 1}").unwrap();
    assert_eq!(plain.text, "{\"text\": 1}", "an object without a prompt is a text");
    let request = prompt_request("a \"b\"", &json!({ "seed": 4 })).unwrap();
    let Prompt { text, how } = task.read(&request).unwrap();
    assert_eq!((text.as_str(), how.seed), ("a \"b\"", 4));
}

#[test]
fn answers_agree_but_for_rounding() {
    let (device, _guard) = seeded(7);
    let task = task(&config(small()));
    let network = task.init(&device).unwrap();
    let input = task.prepare(task.read(b"who").unwrap()).unwrap();
    let one = task.go_on(&network, &input, &mut |_| ControlFlow::Continue(()));
    let changed = |change: &dyn Fn(&mut homeostat_tasks::LanguageResponse)| {
        let mut other = one.clone();
        change(&mut other);
        task.agree(&one, &other, 1e-4)
    };
    assert!(changed(&|_| {}) && changed(&|other| other.probabilities[3] += 5e-5));
    assert!(!changed(&|other| other.probabilities[3] += 5e-4));
    assert!(!changed(&|other| other.text.push('x')) && !changed(&|other| other.tokens.truncate(39)));
    // Another token that is as likely may come in its place, and another text behind it.
    let other_token = |other: &mut homeostat_tasks::LanguageResponse| {
        other.tokens[3] += 1;
        other.text = "other".to_owned();
    };
    assert!(changed(&other_token));
    assert!(!changed(&|other| {
        other_token(other);
        other.probabilities[3] /= 2.0;
        other.probabilities[3] -= 0.1;
    }));
}

#[test]
fn what_does_not_fit_together_is_refused_in_one_line() {
    let good = config(small());
    let decoder = |change: &dyn Fn(&mut DecoderConfig)| {
        let LanguageNetworkConfig::Decoder(mut decoder) = small();
        change(&mut decoder);
        config(LanguageNetworkConfig::Decoder(decoder))
    };
    let cold = GenerationConfig { temperature: f64::NAN, ..GenerationConfig::default() };
    for (config, words) in [
        (LanguageModelConfig { length: 17, ..good.clone() }, "is 17, but must lie in 1..=16"),
        (LanguageModelConfig { vocabulary: None, ..good.clone() }, "vocabulary is not known yet"),
        (LanguageModelConfig { vocabulary: Some(7), ..good.clone() }, "is 7, but the tokenizer knows"),
        (LanguageModelConfig { generation: cold, ..good.clone() }, "generation.temperature` is NaN"),
        (decoder(&|decoder| decoder.width = 9), "multiple of heads = 2"),
        (decoder(&|decoder| decoder.key_value_heads = Some(3)), "key-value-heads is 3, but must divide"),
        (decoder(&|decoder| (decoder.width, decoder.place) = (6, PlaceKind::Rotary)), "even number of features"),
        (decoder(&|decoder| decoder.dropout = 1.0), "dropout is 1"),
        (decoder(&|decoder| decoder.positions = 0), "positions is 0"),
    ] {
        let error = line(&config.init(tokenizer()).unwrap_err());
        assert!(error.contains(words), "{error}");
    }
    for (text, words) in [
        ("none", "is no config.json"),
        ("{\"model_type\": \"bert\"}", "of the network `bert`"),
        ("{\"model_type\": \"gpt2\", \"activation_function\": \"relu\"}", "`relu`"),
    ] {
        let error = LanguageNetworkConfig::of_transformers(text).unwrap_err();
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
    }
}
