//! Who is let in, and what is too much.

use std::{fs, sync::Arc};

use homeostat_protocol::Limits;
use homeostat_serve::{HttpOptions, Keys, Rate, apps};
use hyper::Method;

use crate::place::{Place, infer_body, opening, values};

const INFER: &str = "/v2/models/pictures/infer";

#[tokio::test]
async fn without_leave_nothing_is_loaded_or_unloaded() {
    let place = Place::with(opening(), HttpOptions::default()).await;
    for verb in ["load", "unload"] {
        let error = place.post(&format!("/v2/repository/models/pictures/{verb}"), "").await.error(403);
        assert!(error.contains("--allow-control"), "{error}");
    }
    place.get("/v2/models/pictures/ready").await.json(200);
}

/// The listener of its own has what the one of the clients refuses, and nothing else.
#[tokio::test]
async fn whoever_runs_the_server_loads_and_unloads_at_another_door() {
    let place = Place::with(opening(), HttpOptions::default()).await;
    let clients = place.router.clone();
    let control = apps(Arc::clone(&place.engine), HttpOptions::default()).unwrap().control;
    let place = Place { router: control, ..place };
    assert_eq!(place.post("/v2/repository/index", "").await.json(200).as_array().unwrap().len(), 2);
    place.post("/v2/repository/models/pictures/unload", "").await.json(200);
    let asked = Place { router: clients, engine: Arc::clone(&place.engine), folder: tempfile::tempdir().unwrap() };
    asked.get("/v2/models/pictures/ready").await.json(503);
    place.post("/v2/repository/models/pictures/load", "").await.json(200);
    asked.get("/v2/models/pictures/ready").await.json(200);
    place.get("/v2/health/ready").await.json(200);
    place.post("/v2/repository/models/none/load", "").await.error(404);
    for path in ["/v2/models/pictures", "/v2", "/", "/predict/pictures"] {
        place.get(path).await.error(404);
    }
    assert!(asked.post("/v2/repository/models/pictures/load", "").await.error(403).contains("--control"));
    // The same keys open it.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    fs::write(&path, "ann 0123456789abcdef\n").unwrap();
    let options = HttpOptions { keys: Some(Arc::new(Keys::open(&path).unwrap())), ..HttpOptions::default() };
    let place = Place { router: apps(Arc::clone(&place.engine), options).unwrap().control, ..place };
    place.post("/v2/repository/models/pictures/unload", "").await.error(401);
    let key = [("authorization", "Bearer 0123456789abcdef")];
    place.ask(Method::POST, "/v2/repository/models/pictures/unload", &key, "").await.json(200);
}

#[tokio::test]
async fn with_keys_only_who_has_one_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    fs::write(&path, "ann 0123456789abcdef\n").unwrap();
    let keys = Some(Arc::new(Keys::open(&path).unwrap()));
    let place = Place::with(opening(), HttpOptions { keys, ..HttpOptions::default() }).await;
    let body = infer_body(&values(1)).to_string();
    for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", "Basic 0123456789abcdef")]] {
        let answer = place.ask(Method::POST, INFER, headers, body.clone()).await;
        answer.error(401);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    place.get("/v2").await.error(401);
    place.ask(Method::POST, INFER, &[("authorization", "Bearer 0123456789abcdef")], body).await.json(200);
    // Whoever shares out requests has no key.
    place.get("/v2/health/live").await.json(200);
    place.get("/v2/health/ready").await.json(200);
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let rate = Some(Rate { a_second: 0.25, at_once: 2.0 });
    let place = Place::with(opening(), HttpOptions { rate, ..HttpOptions::default() }).await;
    let body = infer_body(&values(1)).to_string();
    for _ in 0..2 {
        place.post(INFER, body.clone()).await.json(200);
    }
    let answer = place.post(INFER, body).await;
    answer.error(429);
    assert!(matches!(answer.headers["retry-after"].to_str().unwrap(), "3" | "4"));
    assert!(place.engine.metrics_text().contains("homeostat_rejections_total{reason=\"overload\"} 1"));
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let limits = Limits { body: 4000, ..Limits::default() };
    let options = HttpOptions { limits, memory: 10_000, ..HttpOptions::default() };
    let place = Place::with(opening(), options).await;
    place.post(INFER, infer_body(&values(2)).to_string()).await.json(200);
    assert!(place.post(INFER, " ".repeat(4001)).await.error(413).contains("4000"));
    // A body that grows when it is unpacked.
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::copy(&mut std::io::Read::take(std::io::repeat(b' '), 3_000_000), &mut writer).unwrap();
    let bomb = writer.finish().unwrap();
    assert!(bomb.len() < 4000);
    place.ask(Method::POST, INFER, &[("content-encoding", "gzip")], bomb).await.error(413);
    // The memory has come back.
    for _ in 0..10 {
        place.post(INFER, infer_body(&values(2)).to_string()).await.json(200);
    }
    let none = HttpOptions { limits, memory: 100, ..HttpOptions::default() };
    let place = Place::with(opening(), none).await;
    let answer = place.post(INFER, infer_body(&values(2)).to_string()).await;
    assert!(answer.error(429).contains("memory"));
}

#[tokio::test]
async fn a_time_that_is_over_is_told() {
    let place = Place::with(opening(), HttpOptions::default()).await;
    let mut body = infer_body(&values(1));
    body["parameters"] = serde_json::json!({ "timeout": 1 });
    let mut expired = 0;
    for _ in 0..20 {
        let status = place.post(INFER, body.to_string()).await.status.as_u16();
        assert!(matches!(status, 200 | 504), "{status}");
        expired += u16::from(status == 504);
    }
    assert!(expired > 0, "a microsecond is not enough");
    body["parameters"] = serde_json::json!({ "timeout": 30_000_000 });
    place.post(INFER, body.to_string()).await.json(200);
}

#[tokio::test]
async fn requests_have_names() {
    let place = Place::with(opening(), HttpOptions::default()).await;
    let named = place.ask(Method::GET, "/v2", &[("x-request-id", "mine-7")], "").await;
    assert_eq!(named.headers["x-request-id"], "mine-7");
    let (first, second) = (place.get("/v2").await, place.get("/v2").await);
    assert_ne!(first.headers["x-request-id"], second.headers["x-request-id"]);
    let long = place.ask(Method::GET, "/v2", &[("x-request-id", &"x".repeat(200))], "").await;
    assert!(long.headers["x-request-id"].len() < 100);
}
