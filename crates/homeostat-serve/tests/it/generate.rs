//! Texts that a model writes: the same whole and piece by piece, a few at once, none for nobody, and never in the way of others.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use homeostat_deploy::WritersConfig;
use homeostat_serve::{Engine, HttpOptions, Keys, Opening, Rate};
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    lifecycle::{Running, options, start_with},
    place::{Answer, Place, infer_body, opening, pictures, values, words},
};

const GENERATE: &str = "/v2/models/words/generate";
const STREAM: &str = "/v2/models/words/generate_stream";
const INFER: &str = "/v2/models/pictures/infer";

async fn place(writers: WritersConfig, options: HttpOptions) -> Place {
    let models = [("pictures", pictures(1)), ("words", words(1))];
    Place::of(&models, Opening { writers, ..opening() }, options).await
}

/// One thread a text, and as many tokens as one likes.
fn writers() -> WritersConfig {
    WritersConfig { threads: 1, most_tokens: 1 << 20, ..WritersConfig::default() }
}

fn ask(text: &str, parameters: Value) -> String {
    let fields = [("text_input".to_owned(), text.into()), ("parameters".to_owned(), parameters)];
    Value::Object(fields.into_iter().collect()).to_string()
}

/// The JSON of each event.
fn events(answer: &Answer) -> Vec<Value> {
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["content-type"]),
        (200, &"text/event-stream; charset=utf-8".parse().unwrap())
    );
    let text = std::str::from_utf8(&answer.body).unwrap();
    assert!(text.ends_with("\n\n"), "{text:?}");
    let event = |event: &str| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
    text.trim_end().split("\n\n").map(event).collect()
}

fn texts(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["text_output"].as_str().unwrap()).collect()
}

/// The value of a metric of the model.
fn told(engine: &Arc<Engine>, name: &str, more: &str) -> f64 {
    let start = format!("{name}{{model=\"words\"{more},version=\"1\"}} ");
    let text = engine.metrics_text();
    let value = text.lines().find_map(|line| line.strip_prefix(&start));
    value.unwrap_or_else(|| panic!("{start} in {text}")).parse().unwrap()
}

#[tokio::test]
async fn a_text_is_the_same_whole_and_piece_by_piece() {
    let place = place(writers(), HttpOptions::default()).await;
    let parameters = json!({ "max_tokens": 40, "temperature": 1.0, "seed": 7 });
    let whole = place.post(GENERATE, ask("the cat", parameters.clone())).await.json(200);
    assert_eq!((&whole["model_name"], &whole["model_version"]), (&json!("words"), &json!("1")));
    assert_eq!(whole.as_object().unwrap().len(), 3);
    let text = whole["text_output"].as_str().unwrap();
    assert_eq!(text.chars().count(), 40, "a letter a token");
    // As the other door has it.
    let raw = json!({ "prompt": "the cat", "max-tokens": 40, "temperature": 1.0, "seed": 7 }).to_string();
    let raw = json!({ "inputs": [{ "name": "input", "shape": [1, 1], "datatype": "BYTES", "data": [raw] }] });
    let raw = place.post("/v2/models/words/infer", raw.to_string()).await.json(200);
    let raw: Value = serde_json::from_str(raw["outputs"][0]["data"][0].as_str().unwrap()).unwrap();
    assert_eq!(raw["text"], text);

    let answer = place.post("/v2/models/words/versions/1/generate_stream", ask("the cat", parameters)).await;
    let events = events(&answer);
    assert_eq!(texts(&events).concat(), text);
    assert_eq!(events.len(), 40, "a piece a token");
    assert!(events.iter().all(|event| event["model_name"] == "words" && event["model_version"] == "1"));
    assert_eq!(answer.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn each_parameter_has_its_say() {
    let place = place(writers(), HttpOptions::default()).await;
    let write = async |parameters: Value| {
        let answer = place.post(GENERATE, ask("the cat", parameters)).await.json(200);
        answer["text_output"].as_str().unwrap().to_owned()
    };
    assert_eq!(write(json!({})).await.chars().count(), 20, "as the model has it");
    let free = write(json!({ "temperature": 1.5, "seed": 3 })).await;
    assert_eq!(write(json!({ "temperature": 1.5, "seed": 3 })).await, free);
    assert_ne!(write(json!({ "temperature": 1.5, "seed": 4 })).await, free);
    let likeliest = write(json!({ "temperature": 0 })).await;
    for same in [json!({ "top_k": 1 }), json!({ "top_p": 1e-9 }), json!({ "temperature": 1e-3, "top_k": 1, "seed": 9 })]
    {
        assert_eq!(write(same.clone()).await, likeliest, "{same}");
    }
    let penalised = write(json!({ "temperature": 0, "repetition_penalty": 100 })).await;
    assert_ne!(penalised, likeliest);
    let stop: String = free.chars().skip(6).take(3).collect();
    let before = &free[..free.find(&stop).unwrap()];
    for stop in [json!(stop), json!(["\u{1}", stop])] {
        assert_eq!(write(json!({ "temperature": 1.5, "seed": 3, "stop": stop })).await, before);
    }
    // Beside the text, and with an id.
    let body = json!({ "text_input": "the cat", "id": "a-1", "seed": 3, "temperature": 1.5, "max_tokens": 5, "stream": false });
    let answer = place.post(GENERATE, body.to_string()).await.json(200);
    assert_eq!(
        (&answer["id"], &answer["text_output"]),
        (&json!("a-1"), &json!(free.chars().take(5).collect::<String>()))
    );
    // A prompt of more than the network sees loses its beginning, and that is told.
    let long = ask(&"a cat ".repeat(50), json!({ "max_tokens": 3 }));
    let whole = place.post(GENERATE, long.clone()).await.json(200);
    assert_eq!((whole["text_output"].as_str().unwrap().chars().count(), &whole["cut"]), (3, &json!(true)));
    let events = events(&place.post(STREAM, long).await);
    assert_eq!(texts(&events).concat(), whole["text_output"].as_str().unwrap());
    let (last, before) = events.split_last().unwrap();
    assert_eq!((&last["text_output"], &last["cut"]), (&json!(""), &json!(true)));
    assert!(before.iter().all(|event| event.get("cut").is_none()), "{before:?}");
}

#[tokio::test]
async fn what_cannot_be_written_is_the_clients_fault_in_one_line() {
    let place = place(WritersConfig { most_tokens: 100, ..writers() }, HttpOptions::default()).await;
    for (body, words) in [
        (String::new(), "expected an object"),
        ("{}".into(), "`text_input` is missing"),
        (ask("", json!({})), "the prompt is empty"),
        (ask("a", json!({ "temperature": -1 })), "`temperature` is -1, but must lie in 0..=1000"),
        (ask("a", json!({ "top_k": 0 })), "`top_k` is 0, but must be at least 1"),
        (ask("a", json!({ "top_p": 1.5 })), "`top_p` is 1.5, but must be above 0"),
        (ask("a", json!({ "repetition_penalty": 0 })), "`repetition_penalty` is 0"),
        (ask("a", json!({ "max_tokens": 0 })), "`max_tokens` is 0"),
        (ask("a", json!({ "max_tokens": 101 })), "`max_tokens` is 101, but at most 100 are written here"),
        (ask("a", json!({ "max_tokens": "many" })), "`parameters.max_tokens` must be a whole number"),
        (ask("a", json!({ "stop": [""] })), "`stop` has an empty string"),
        (ask("a", json!({ "beams": 3 })), "`parameters.beams` is no parameter of a text: there are max_tokens"),
    ] {
        for path in [GENERATE, STREAM] {
            let error = place.post(path, body.clone()).await.error(400);
            assert!(error.contains(words), "{error}");
        }
    }
    for (path, stream) in [(GENERATE, true), (STREAM, false)] {
        let error = place.post(path, ask("a", json!({ "stream": stream }))).await.error(400);
        assert!(error.contains("`stream` says otherwise than the path"), "{error}");
        place.post(path, ask("a", json!({ "stream": !stream }))).await;
        place.get(path).await.error(405);
        place.post(&path.replace("words", "none"), ask("a", json!({}))).await.error(404);
        place.post(&path.replace("words", "words/versions/2"), ask("a", json!({}))).await.error(404);
        let error = place.post(&path.replace("words", "pictures"), ask("a", json!({}))).await.error(400);
        assert!(error.contains("`pictures` writes no texts: ask it by `/v2/models/pictures/infer`"), "{error}");
        place.post(path, ask(&"x".repeat(2 << 20), json!({}))).await.error(413);
    }
    // What the model would write beyond the most is cut there.
    let place = self::place(WritersConfig { most_tokens: 7, ..writers() }, HttpOptions::default()).await;
    let answer = place.post(GENERATE, ask("a", json!({}))).await.json(200);
    assert_eq!(answer["text_output"].as_str().unwrap().chars().count(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_excess_is_refused_and_others_are_not_held_up() {
    let place = place(WritersConfig { at_once: 1, queue: 1, ..writers() }, HttpOptions::default()).await;
    let place = Arc::new(place);
    let forever = || {
        let (place, body) = (Arc::clone(&place), ask("a", json!({ "max_tokens": 1 << 20 })));
        tokio::spawn(async move { place.post(GENERATE, body).await })
    };
    let (first, second) = (forever(), forever());
    let begun = Instant::now();
    let (writing, waiting) = ("homeostat_generations_in_progress", "homeostat_generations_waiting");
    while told(&place.engine, writing, "") + told(&place.engine, waiting, "") < 2.0 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for path in [GENERATE, STREAM] {
        let answer = place.post(path, ask("a", json!({}))).await;
        assert!(answer.error(429).contains("the queue is full"));
        assert_eq!(answer.headers["retry-after"], "1");
    }
    for _ in 0..20 {
        place.post(INFER, infer_body(&values(1)).to_string()).await.json(200);
    }
    assert!(!first.is_finished() && !second.is_finished(), "they write as long as they are wanted");
    second.abort();
    first.abort();
    // Both have gone: the place is free as soon as the next token is there.
    let begun = Instant::now();
    while told(&place.engine, writing, "") > 0.0 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    place.post(GENERATE, ask("a", json!({}))).await.json(200);
}

#[tokio::test]
async fn time_is_up_for_a_text_too() {
    let place = place(writers(), HttpOptions::default()).await;
    let parameters = json!({ "max_tokens": 1 << 20, "timeout": 400_000 });
    let begun = Instant::now();
    place.post(GENERATE, ask("a", parameters.clone())).await.error(504);
    assert!(begun.elapsed() < Duration::from_secs(10));
    // A stream has begun by then: the last event says it.
    let events = events(&place.post(STREAM, ask("a", parameters)).await);
    assert!(events.len() > 1, "{events:?}");
    let (last, before) = events.split_last().unwrap();
    assert_eq!(last["error"], "no answer within the time that the request allows");
    assert!(before.iter().all(|event| event["text_output"].is_string()));
    // And by the server's own deadline.
    let deadline = Some(Duration::from_millis(400));
    let place = self::place(WritersConfig { deadline, ..writers() }, HttpOptions::default()).await;
    place.post(GENERATE, ask("a", json!({ "max_tokens": 1 << 20 }))).await.error(504);
    assert!(place.engine.metrics_text().contains("homeostat_rejections_total{reason=\"expired\"} 1"));
}

#[tokio::test]
async fn keys_and_rates_are_as_elsewhere_and_all_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, "ann 0123456789abcdef\n").unwrap();
    let keys = Some(Arc::new(Keys::open(&path).unwrap()));
    let rate = Some(Rate { a_second: 0.01, at_once: 2.0 });
    let place = place(writers(), HttpOptions { keys, rate, ..HttpOptions::default() }).await;
    let body = ask("a", json!({ "max_tokens": 7 }));
    place.post(GENERATE, body.clone()).await.error(401);
    place.post(STREAM, body.clone()).await.error(401);
    let key = [("authorization", "Bearer 0123456789abcdef")];
    place.ask(Method::POST, GENERATE, &key, body.clone()).await.json(200);
    assert_eq!(events(&place.ask(Method::POST, STREAM, &key, body.clone()).await).len(), 7);
    place.ask(Method::POST, STREAM, &key, body).await.error(429);
    let told = |name: &str, more: &str| told(&place.engine, name, more);
    assert_eq!(told("homeostat_requests_total", ",outcome=\"success\""), 2.0);
    assert_eq!(told("homeostat_generated_tokens_total", ""), 14.0);
    assert_eq!(told("homeostat_generation_duration_seconds_count", ""), 2.0);
    assert_eq!(told("homeostat_generation_first_piece_seconds_count", ""), 2.0);
    assert!(place.engine.metrics_text().contains("homeostat_in_flight_requests 0"));
    assert!(place.engine.server().extensions.contains(&"generate".to_owned()));
}

fn running(pre_stop: Duration) -> Running {
    let models = [("pictures", pictures(1)), ("words", words(1))];
    let options = homeostat_serve::ServerOptions { pre_stop, ..options() };
    start_with(&models, Opening { writers: writers(), ..opening() }, options)
}

/// Begins a stream of so many tokens over a socket, and reads until its first event is there.
fn stream(server: &Running, tokens: usize) -> (TcpStream, Vec<u8>) {
    let body = ask("the cat", json!({ "max_tokens": tokens }));
    let mut stream = TcpStream::connect(server.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head =
        format!("POST {STREAM} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&read).contains("data: ") {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&buffer[..count]);
    }
    (stream, read)
}

#[test]
fn who_hangs_up_is_written_for_no_longer() {
    let server = running(Duration::ZERO);
    let (first, _) = stream(&server, 1 << 20);
    assert_eq!(told(&server.engine, "homeostat_generations_in_progress", ""), 1.0);
    drop(first);
    let begun = Instant::now();
    while told(&server.engine, "homeostat_generations_in_progress", "") > 0.0 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(2));
    }
    let tokens = told(&server.engine, "homeostat_generated_tokens_total", "");
    assert!((1.0..500_000.0).contains(&tokens), "{tokens}");
    server.end();
}

/// The end comes while a text is being written: it is written to its end, and nothing new is taken.
#[test]
fn a_text_that_was_taken_is_written_before_the_end() {
    let server = running(Duration::from_millis(50));
    let (mut stream, mut read) = stream(&server, 3000);
    server.stop.store(true, Ordering::Relaxed);
    stream.read_to_end(&mut read).unwrap();
    let text = String::from_utf8(read).unwrap();
    assert!(text.ends_with("0\r\n\r\n"), "the stream is whole");
    let pieces = text.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let letters: usize = pieces.map(|piece| piece["text_output"].as_str().unwrap().chars().count()).sum();
    assert_eq!(letters, 3000);
    server.end();
}
