//! The Open Inference Protocol, route by route.

use homeostat_artifact::Artifact;
use homeostat_protocol::{Datatype, Tensor};
use hyper::Method;
use serde_json::{Value, json};

use crate::place::{LABELS, Place, infer_body, picture, values};

const INFER: &str = "/v2/models/pictures/infer";

fn floats(output: &Value) -> Vec<f64> {
    output["data"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[tokio::test]
async fn the_server_and_its_models_say_what_they_are() {
    let place = Place::new().await;
    assert_eq!(place.get("/v2/health/live").await.json(200), json!({ "live": true }));
    assert_eq!(place.get("/v2/health/ready").await.json(200), json!({ "ready": true }));
    let head = place.ask(Method::HEAD, "/v2/health/ready", &[], "").await;
    assert!(head.status == 200 && head.body.is_empty());
    let server = place.get("/v2").await.json(200);
    assert_eq!(server["name"], "homeostat");
    assert!(server["extensions"].as_array().unwrap().contains(&json!("binary_tensor_data")));
    for path in ["/v2/models/pictures", "/v2/models/pictures/versions/1"] {
        let model = place.get(path).await.json(200);
        assert_eq!(model["inputs"][0], json!({ "name": "image", "datatype": "FP32", "shape": [-1, 3, 2, 3] }));
        assert_eq!(model["inputs"][1], json!({ "name": "file", "datatype": "BYTES", "shape": [-1, 1] }));
        assert_eq!(model["outputs"], json!([{ "name": "probabilities", "datatype": "FP32", "shape": [-1, 3] }]));
        assert_eq!((&model["name"], &model["versions"]), (&json!("pictures"), &json!(["1"])));
        place.get(&format!("{path}/ready")).await.json(200);
        assert_eq!(place.get(&format!("{path}/config")).await.json(200)["max_batch_size"], 32);
    }
    let texts = place.get("/v2/models/texts").await.json(200);
    assert_eq!(texts["inputs"][0], json!({ "name": "input_ids", "datatype": "INT64", "shape": [-1, -1] }));
    assert_eq!(texts["outputs"][0]["name"], "probabilities", "what a client finds that asks for the first");
    assert_eq!(texts["outputs"][1], json!({ "name": "cut", "datatype": "INT64", "shape": [-1, 1] }));
    for unknown in
        ["/v2/models/none", "/v2/models/none/ready", "/v2/models/pictures/versions/2", "/v2/models/pictures/versions/x"]
    {
        assert!(place.get(unknown).await.error(404).contains("no model"), "{unknown}");
    }
    assert!(place.get("/v2/nope").await.error(404).contains("nothing"));
    assert!(place.get(INFER).await.error(405).contains("method"));
}

#[tokio::test]
async fn forms_of_one_request_have_one_answer() {
    let place = Place::new().await;
    let values = values(2);
    let flat = infer_body(&values);
    let answer = place.post(INFER, flat.to_string()).await.json(200);
    assert_eq!((&answer["model_name"], &answer["model_version"]), (&json!("pictures"), &json!("1")));
    let plain = &answer["outputs"][0];
    assert_eq!(
        (&plain["name"], &plain["datatype"], &plain["shape"]),
        (&json!("probabilities"), &json!("FP32"), &json!([2, 3]))
    );
    let wanted = floats(plain);
    assert!((wanted[..3].iter().sum::<f64>() - 1.0).abs() < 1e-5, "{wanted:?}");
    // Nested.
    let nested: Vec<_> =
        values.chunks(18).map(|p| p.chunks(6).map(|c| c.chunks(3).collect::<Vec<_>>()).collect::<Vec<_>>()).collect();
    let mut body = flat.clone();
    body["inputs"][0]["data"] = json!(nested);
    assert_eq!(floats(&place.post(INFER, body.to_string()).await.json(200)["outputs"][0]), wanted);
    // With an id, parameters and named outputs; of a version.
    let mut body = flat.clone();
    body["id"] = json!("a-1");
    body["parameters"] = json!({ "priority": 1, "timeout": 5_000_000, "own": "x" });
    body["outputs"] = json!([{ "name": "probabilities" }]);
    let answer = place.post("/v2/models/pictures/versions/1/infer", body.to_string()).await.json(200);
    assert_eq!((&answer["id"], floats(&answer["outputs"][0])), (&json!("a-1"), wanted.clone()));
    // As bytes, in and out.
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut body = flat.clone();
    body["inputs"][0].as_object_mut().unwrap().remove("data");
    body["inputs"][0]["parameters"] = json!({ "binary_data_size": bytes.len() });
    body["outputs"] = json!([{ "name": "probabilities", "parameters": { "binary_data": true } }]);
    let head = body.to_string();
    let length = head.len().to_string();
    let answer = place
        .ask(Method::POST, INFER, &[("inference-header-content-length", &length)], [head.as_bytes(), &bytes].concat())
        .await;
    assert_eq!(answer.headers["content-type"], "application/octet-stream");
    let length: usize = answer.headers["inference-header-content-length"].to_str().unwrap().parse().unwrap();
    let found: Vec<f64> =
        answer.body[length..].chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect();
    assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {wanted:?}");
    // The tensor's bytes and nothing else.
    let answer = place.ask(Method::POST, INFER, &[("inference-header-content-length", "0")], bytes).await;
    assert_eq!(answer.status, 200);
    // As halves: each value is one.
    let halves: Vec<u8> = (0..36_u16).flat_map(|at| (0x3c00 + at).to_le_bytes()).collect();
    let wide: Vec<f32> = (0..36_u16).map(|at| 1.0 + f32::from(at) / 1024.0).collect();
    let mut body = infer_body(&wide);
    let wanted = floats(&place.post(INFER, body.to_string()).await.json(200)["outputs"][0]);
    body["inputs"][0].as_object_mut().unwrap().remove("data");
    body["inputs"][0]["datatype"] = json!("FP16");
    body["inputs"][0]["parameters"] = json!({ "binary_data_size": halves.len() });
    let head = body.to_string();
    let length = head.len().to_string();
    let answer = place
        .ask(Method::POST, INFER, &[("inference-header-content-length", &length)], [head.as_bytes(), &halves].concat())
        .await;
    assert_eq!(floats(&answer.json(200)["outputs"][0]), wanted);
}

#[tokio::test]
async fn bodies_are_packed_both_ways() {
    let place = Place::new().await;
    let body = infer_body(&values(40)).to_string();
    let plain = place.post(INFER, body.clone()).await;
    assert_eq!(plain.status, 200);
    for coding in ["gzip", "deflate"] {
        let packed = pack(coding, body.as_bytes());
        let headers = [("content-encoding", coding), ("accept-encoding", coding)];
        let answer = place.ask(Method::POST, INFER, &headers, packed).await;
        assert_eq!(answer.headers["content-encoding"], coding);
        assert_eq!(unpack(coding, &answer.body), plain.body);
        assert!(answer.body.len() < plain.body.len());
    }
    let wrong = place.ask(Method::POST, INFER, &[("content-encoding", "gzip")], body.clone()).await;
    assert!(wrong.error(400).contains("not packed"));
    place.ask(Method::POST, INFER, &[("content-encoding", "br")], body).await.error(415);
}

fn pack(coding: &str, plain: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let level = flate2::Compression::default();
    if coding == "gzip" {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), level);
        writer.write_all(plain).unwrap();
        return writer.finish().unwrap();
    }
    let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), level);
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

fn unpack(coding: &str, packed: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut plain = Vec::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(packed).read_to_end(&mut plain).unwrap(),
        _ => flate2::read::ZlibDecoder::new(packed).read_to_end(&mut plain).unwrap(),
    };
    plain
}

#[tokio::test]
async fn classes_are_named_best_first() {
    let place = Place::new().await;
    let mut body = infer_body(&values(2));
    let scores = floats(&place.post(INFER, body.to_string()).await.json(200)["outputs"][0]);
    body["outputs"] = json!([{ "name": "probabilities", "parameters": { "classification": 2 } }]);
    let output = &place.post(INFER, body.to_string()).await.json(200)["outputs"][0];
    assert_eq!((&output["datatype"], &output["shape"]), (&json!("BYTES"), &json!([2, 2])));
    for (row, scores) in output["data"].as_array().unwrap().chunks(2).zip(scores.chunks(3)) {
        let mut order = [0, 1, 2];
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        for (text, class) in row.iter().zip(order) {
            let words: Vec<&str> = text.as_str().unwrap().split(':').collect();
            assert_eq!(words[1..], [class.to_string().as_str(), LABELS[class]]);
            assert!((words[0].parse::<f64>().unwrap() - scores[class]).abs() < 1e-6);
        }
    }
}

/// The promise of the whole project: what training answered, the router answers, through the raw door.
#[tokio::test]
async fn golden_requests_are_answered_as_at_the_end_of_training() {
    let place = Place::new().await;
    for (name, raw) in [("pictures", "file"), ("texts", "text")] {
        let golden = Artifact::open(&place.folder.path().join(name)).unwrap().golden().unwrap();
        let elements: Vec<Vec<u8>> = golden.iter().map(|golden| golden.request.clone()).collect();
        let count = elements.len();
        let tensor = Tensor::from_elements(raw, [count, 1], elements.clone()).unwrap();
        assert_eq!(tensor.datatype(), Datatype::Bytes);
        let bytes: Vec<u8> = elements
            .iter()
            .flat_map(|element| [&u32::try_from(element.len()).unwrap().to_le_bytes()[..], element].concat())
            .collect();
        let head = json!({ "inputs": [{ "name": raw, "shape": [count], "datatype": "BYTES", "parameters": { "binary_data_size": bytes.len() } }] }).to_string();
        let length = head.len().to_string();
        let path = format!("/v2/models/{name}/infer");
        let headers = [("inference-header-content-length", length.as_str())];
        let answer = place.ask(Method::POST, &path, &headers, [head.as_bytes(), &bytes].concat()).await.json(200);
        let rows = floats(&answer["outputs"][0]);
        for (row, golden) in rows.chunks(3).zip(&golden) {
            let wanted = golden.answer["probabilities"].as_array().unwrap();
            assert!(
                row.iter().zip(wanted).all(|(a, b)| (a - b.as_f64().unwrap()).abs() < 1e-5),
                "{name} {row:?} {wanted:?}"
            );
        }
    }
}

#[tokio::test]
async fn texts_come_through_both_doors() {
    let place = Place::new().await;
    let path = "/v2/models/texts/infer";
    let raw = |text: &str| {
        json!({ "inputs": [{ "name": "text", "shape": [1, 1], "datatype": "BYTES", "data": [text] }] }).to_string()
    };
    let by_text = floats(&place.post(path, raw("the cat")).await.json(200)["outputs"][0]);
    let tokenizer = std::fs::read(place.folder.path().join("texts/assets/tokenizer.json")).unwrap();
    let tokenizer = homeostat_data::Tokenizer::from_json(&tokenizer).unwrap();
    let tokens = homeostat_data::TextPrepare::default().apply(&tokenizer, "the cat", None).unwrap();
    let tensor = |name: &str, datatype: &str, values: &[i64]| json!({ "name": name, "shape": [1, values.len()], "datatype": datatype, "data": values });
    let ids: Vec<i64> = tokens.ids.iter().map(|&id| id.into()).collect();
    for datatype in ["INT64", "INT32"] {
        let body = json!({ "inputs": [tensor("input_ids", datatype, &ids)] });
        assert_eq!(floats(&place.post(path, body.to_string()).await.json(200)["outputs"][0]), by_text);
    }
    // Filled up, with the mask that says so.
    let (mut filled, mut mask) = (ids.clone(), vec![1; ids.len()]);
    filled.extend([0, 0, 0]);
    mask.extend([0, 0, 0]);
    let body = json!({ "inputs": [tensor("attention_mask", "INT64", &mask), tensor("input_ids", "INT64", &filled)] });
    let found = floats(&place.post(path, body.to_string()).await.json(200)["outputs"][0]);
    assert!(found.iter().zip(&by_text).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {by_text:?}");
    // A text that was cut says so, beside one that was not.
    let data = json!(["the cat ".repeat(100), "the cat"]);
    let body = json!({ "inputs": [{ "name": "text", "shape": [2, 1], "datatype": "BYTES", "data": data }] });
    let cut = &place.post(path, body.to_string()).await.json(200)["outputs"][1];
    assert_eq!(cut, &json!({ "name": "cut", "datatype": "INT64", "shape": [2, 1], "data": [1, 0] }));
    for (inputs, said) in [
        (json!([tensor("input_ids", "INT64", &[1, 99_999])]), "99999"),
        (json!([tensor("input_ids", "INT64", &[1, -1])]), "-1"),
        (json!([tensor("input_ids", "INT64", &vec![1; 5000])]), "at most"),
        (json!([tensor("input_ids", "FP32", &[1])]), "INT64"),
        (json!([tensor("attention_mask", "INT64", &[1])]), "`input_ids` is missing"),
        (json!([tensor("input_ids", "INT64", &[1, 1]), tensor("attention_mask", "INT64", &[0, 1])]), "attention_mask"),
        (json!([tensor("input_ids", "INT64", &[1, 1]), tensor("attention_mask", "INT64", &[1])]), "place 1"),
        (json!([tensor("input_ids", "INT64", &[1]), tensor("token_type_ids", "INT64", &[2])]), "`token_type_ids`"),
    ] {
        let error = place.post(path, json!({ "inputs": inputs }).to_string()).await.error(400);
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn statistics_count_what_was_answered() {
    let place = Place::new().await;
    let before =
        place.get("/v2/models/pictures/stats").await.json(200)["model_stats"][0]["inference_count"].as_u64().unwrap();
    place.post(INFER, infer_body(&values(5)).to_string()).await.json(200);
    let stats = &place.get("/v2/models/pictures/stats").await.json(200)["model_stats"][0];
    assert_eq!((&stats["name"], &stats["version"]), (&json!("pictures"), &json!("1")));
    assert_eq!(stats["inference_count"].as_u64().unwrap(), before + 5);
    assert!(stats["inference_stats"]["compute_infer"]["ns"].as_u64().unwrap() > 0);
    assert_eq!(place.get("/v2/models/stats").await.json(200)["model_stats"].as_array().unwrap().len(), 2);
    let text = place.engine.metrics_text();
    for line in [
        "homeostat_requests_total{model=\"pictures\",outcome=\"success\",version=\"1\"}",
        "homeostat_request_duration_seconds_bucket{model=\"pictures\",version=\"1\",le=\"0.001\"}",
        "homeostat_phase_duration_seconds_count{model=\"pictures\",phase=\"compute\",version=\"1\"}",
        "homeostat_batch_rows_sum{model=\"pictures\",version=\"1\"}",
        "homeostat_ready 1",
        "homeostat_model_ready{model=\"texts\",version=\"1\"} 1",
        "homeostat_in_flight_requests 0",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[tokio::test]
async fn models_are_unloaded_and_loaded_where_it_is_allowed() {
    let place = Place::new().await;
    let before = place.post(INFER, infer_body(&values(1)).to_string()).await.json(200);
    place.post("/v2/repository/models/pictures/unload", "").await.json(200);
    place.get("/v2/models/pictures/ready").await.json(503);
    assert!(place.post(INFER, infer_body(&values(1)).to_string()).await.error(503).contains("unloaded"));
    let index = place.post("/v2/repository/index", "").await.json(200);
    let state = |entry: &Value| (entry["name"].clone(), entry["state"].clone());
    let states: Vec<_> = index.as_array().unwrap().iter().map(state).collect();
    assert_eq!(states, [(json!("pictures"), json!("UNAVAILABLE")), (json!("texts"), json!("READY"))]);
    let ready = place.post("/v2/repository/index", r#"{"ready":true}"#).await.json(200);
    assert_eq!(ready.as_array().unwrap().len(), 1);
    place.post("/v2/repository/models/pictures/load", "{}").await.json(200);
    place.get("/v2/models/pictures/ready").await.json(200);
    assert_eq!(place.post(INFER, infer_body(&values(1)).to_string()).await.json(200), before);
    for unknown in ["none", "..", "%2e%2e", "a%2fb"] {
        place.post(&format!("/v2/repository/models/{unknown}/load"), "").await.error(404);
    }
    let other = place.post("/v2/repository/models/pictures/load", r#"{"parameters":{"config":"{}"}}"#).await;
    assert!(other.error(400).contains("not supported"));
    for path in
        ["/v2/trace/setting", "/v2/logging", "/v2/systemsharedmemory/status", "/v2/cudasharedmemory/region/a/status"]
    {
        assert!(place.get(path).await.error(400).contains("not supported"), "{path}");
    }
}

#[tokio::test]
async fn the_raw_door_refuses_what_is_no_picture() {
    let place = Place::new().await;
    let good = String::from_utf8_lossy(&picture(1)).len();
    assert!(good > 0);
    let body = json!({ "inputs": [{ "name": "file", "shape": [1], "datatype": "BYTES", "data": ["no picture"] }] });
    assert!(place.post(INFER, body.to_string()).await.error(400).contains("neither PNG"));
    let mut both = infer_body(&values(1));
    both["inputs"].as_array_mut().unwrap().push(body["inputs"][0].clone());
    assert!(place.post(INFER, both.to_string()).await.error(400).contains("not both"));
}
