//! Whatever a client sends that is wrong: 4xx in one line, never 5xx, and no panic.

use homeostat_data::Rng;
use hyper::Method;
use serde_json::{Value, json};

use crate::place::{Place, infer_body, values};

const INFER: &str = "/v2/models/pictures/infer";

/// The body of one picture, with this done to it.
fn changed(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut body = infer_body(&values(1));
    change(&mut body);
    body.to_string().into_bytes()
}

fn input(field: &str, value: Value) -> Vec<u8> {
    changed(|body| body["inputs"][0][field] = value)
}

/// Bodies that are wrong, each in its own way.
fn bodies() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "{",
        "}",
        "[]",
        "null",
        "1",
        "\"x\"",
        "{\"inputs\":[",
        "{\"inputs\":{}}",
        "{\"inputs\":null}",
        "{\"inputs\":[1]}",
        "{\"inputs\":[[]]}",
        "{\"inputs\":[{}]}",
        "{\"inputs\":[]}",
        "{}",
        "{\"inputs\":[],\"inputs\":[]}",
        "\u{feff}{}",
        "{\"a\":1}}",
        "nul",
        "+1",
        "{'inputs':[]}",
        "{\"inputs\":[{\"name\":\"image\"}]}",
        "{\"inputs\":[{\"name\":\"image\",\"shape\":[1,3,2,3],\"datatype\":\"FP32\"}]}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    bodies.push("[".repeat(100_000).into_bytes());
    bodies.push(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes());
    bodies.push(format!("{{\"inputs\":{}", "{\"a\":".repeat(100_000)).into_bytes());
    bodies.push(vec![0xff, 0xfe, 0x00]);
    bodies.push(b"{\"inputs\":[{\"name\":\"\xff\"}]}".to_vec());
    for shape in [
        json!([]),
        json!([1]),
        json!([1, 3, 2]),
        json!([1, 3, 2, 3, 1]),
        json!([0, 3, 2, 3]),
        json!([1, -3]),
        json!([-1, 3, 2, 3]),
        json!([4_611_686_018_427_387_904_u64, 3, 2, 3]),
        json!([18_446_744_073_709_551_615_u64]),
        json!([1.5, 3, 2, 3]),
        json!("x"),
        json!(null),
        json!([null]),
        json!([[1]]),
        json!([2, 3, 2, 3]),
        json!([1, 2, 3, 3]),
        json!(vec![1; 40]),
        json!([9_000_000, 3, 2, 3]),
        json!([1e300]),
        json!({}),
    ] {
        bodies.push(input("shape", shape));
    }
    for datatype in [
        json!("FOO"),
        json!("fp32"),
        json!("INT32"),
        json!("FP64"),
        json!("BYTES"),
        json!("BOOL"),
        json!(""),
        json!(1),
        json!(null),
    ] {
        bodies.push(input("datatype", datatype));
    }
    for name in
        [json!("none"), json!(""), json!(1), json!(null), json!("a\u{0}b\n"), json!("x".repeat(10_000)), json!("file")]
    {
        bodies.push(input("name", name));
    }
    for data in [
        json!([]),
        json!([1.0]),
        json!("x"),
        json!(null),
        json!({}),
        json!([[1.0, 2.0], [3.0]]),
        json!(vec!["a"; 18]),
        json!(vec![true; 18]),
        json!(vec![Value::Null; 18]),
        json!(vec![1e300; 18]),
        json!(vec![0.5; 19]),
        json!(vec![vec![0.5; 6]; 3].concat().chunks(5).collect::<Vec<_>>()),
    ] {
        bodies.push(input("data", data));
    }
    for parameters in [
        json!(1),
        json!([]),
        json!({ "binary_data_size": 4 }),
        json!({ "binary_data_size": -1 }),
        json!({ "a": {} }),
        json!({ "shared_memory_region": "x", "shared_memory_byte_size": 8 }),
    ] {
        bodies.push(input("parameters", parameters));
    }
    for outputs in [
        json!([{ "name": "none" }]),
        json!([{}]),
        json!([1]),
        json!({}),
        json!([{ "name": "probabilities" }, { "name": "probabilities" }]),
        json!([{ "name": "probabilities", "parameters": { "classification": -1 } }]),
        json!([{ "name": "probabilities", "parameters": { "binary_data": 3 } }]),
    ] {
        bodies.push(changed(|body| body["outputs"] = outputs));
    }
    for parameters in [
        json!({ "timeout": -1 }),
        json!({ "priority": "x" }),
        json!({ "binary_data_output": 3 }),
        json!(3),
        json!({ "timeout": 1.5 }),
    ] {
        bodies.push(changed(|body| body["parameters"] = parameters));
    }
    bodies.push(changed(|body| body["id"] = json!(3)));
    bodies.push(changed(|body| body["inputs"] = json!(vec![body["inputs"][0].clone(); 2])));
    bodies.push(changed(|body| body["inputs"] = json!(vec![body["inputs"][0].clone(); 70])));
    let nan = |word: &str| {
        String::from_utf8(input("data", json!(vec![0.5; 18]))).unwrap().replacen("0.5", word, 1).into_bytes()
    };
    bodies.extend(["NaN", "Infinity", "-", "0x1", "1e", ".5", "01", "1e999"].map(nan));
    bodies.push(infer_body(&values(101)).to_string().into_bytes());
    bodies
}

#[tokio::test]
async fn every_malformed_body_is_the_clients_fault() {
    let place = Place::new().await;
    let bodies = bodies();
    assert!(bodies.len() >= 90, "{}", bodies.len());
    for body in bodies {
        let answer = place.post(INFER, body.clone()).await;
        let status = answer.status.as_u16();
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        assert!((400..500).contains(&status), "{status} for {shown}");
        answer.error(status);
    }
    place.post(INFER, infer_body(&values(1)).to_string()).await.json(200);
}

#[tokio::test]
async fn every_malformed_header_is_the_clients_fault() {
    let place = Place::new().await;
    let good = infer_body(&values(1)).to_string();
    for length in ["-5", "99999999", "x", "", "1.5", "99999999999999999999999", "3", "0x10"] {
        let answer = place.ask(Method::POST, INFER, &[("inference-header-content-length", length)], good.clone()).await;
        let status = answer.status.as_u16();
        assert!((400..500).contains(&status), "{status} for {length}");
        answer.error(status);
    }
    for path in [
        "/v2/models/%00/infer",
        "/v2/models/a%0ab/infer",
        "/v2/models/../infer",
        "/v2/models/pictures/versions/0/infer",
        "/v2/models/pictures/versions/-1/infer",
        "/v2/models/pictures/versions/%2e/infer",
        "/v2/models/%ff/infer",
    ] {
        let answer = place.post(path, good.clone()).await;
        let status = answer.status.as_u16();
        assert!(matches!(status, 400 | 404 | 405), "{status} for {path}");
        answer.error(status);
    }
    // A model with several inputs: which of them the bytes are, nobody can know.
    for length in ["0", "00"] {
        let headers = [("inference-header-content-length", length)];
        let answer = place.ask(Method::POST, "/v2/models/texts/infer", &headers, vec![0; 16]).await;
        let error = answer.error(400);
        assert!(
            error.contains("needs a model with one input, this one has") && error.contains("`input_ids`, `"),
            "{error}"
        );
        place.ask(Method::POST, INFER, &headers, vec![0; 72]).await;
        let answer = place.ask(Method::POST, INFER, &headers, vec![0; 71]).await;
        assert!(answer.error(400).contains("71 bytes"));
    }
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::GET] {
        place.ask(method, INFER, &[], good.clone()).await.error(405);
    }
}

/// Good requests with bytes changed, cut and doubled: no answer is the server's fault.
#[tokio::test]
async fn mutated_requests_never_break_it() {
    let place = Place::new().await;
    let json = infer_body(&values(1)).to_string().into_bytes();
    let head =
        br#"{"inputs":[{"name":"image","shape":[1,3,2,3],"datatype":"FP32","parameters":{"binary_data_size":72}}]}"#;
    let binary = [&head[..], &[7; 72]].concat();
    let length = head.len().to_string();
    let mut rng = Rng::keyed(3, [0, 0, 0]);
    let mut below = |limit: usize| usize::try_from(rng.next_u64() % limit as u64).unwrap();
    for round in 0..600 {
        let is_binary = round % 2 == 1;
        let mut body = if is_binary { binary.clone() } else { json.clone() };
        for _ in 0..=below(4) {
            let at = below(body.len());
            match below(5) {
                0 => body[at] = u8::try_from(below(256)).unwrap(),
                1 => body.truncate(at.max(1)),
                2 => body.insert(at, b"0123456789-.[]{}\",:eE"[below(21)]),
                3 => {
                    body.remove(at);
                    if body.is_empty() {
                        body.push(b'{');
                    }
                }
                _ => body.extend_from_within(at..),
            }
        }
        let headers = [("inference-header-content-length", length.as_str())];
        let answer = place.ask(Method::POST, INFER, if is_binary { &headers } else { &[] }, body.clone()).await;
        let status = answer.status.as_u16();
        assert!(status == 200 || (400..500).contains(&status), "{status} for {}", String::from_utf8_lossy(&body));
    }
}
