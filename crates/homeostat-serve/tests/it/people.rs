//! What people send, and the pages that they see.

use homeostat_serve::HttpOptions;
use hyper::Method;
use serde_json::json;

use crate::place::{LABELS, Place, opening, picture, pictures, texts, words};

#[tokio::test]
async fn a_picture_gets_its_label_however_it_is_sent() {
    let place = Place::new().await;
    let file = picture(7);
    let plain =
        place.ask(Method::POST, "/predict/pictures", &[("content-type", "image/png")], file.clone()).await.json(200);
    let prediction = &plain["predictions"][0];
    assert!(LABELS.contains(&prediction["label"].as_str().unwrap()));
    let top = prediction["top"].as_array().unwrap();
    assert_eq!(top.len(), 3);
    assert!(top.windows(2).all(|pair| pair[0]["probability"].as_f64() >= pair[1]["probability"].as_f64()));
    let sum: f64 = top.iter().map(|of| of["probability"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-4);
    // As curl sends a file, and without any type.
    for headers in [&[("content-type", "application/x-www-form-urlencoded")][..], &[]] {
        let same = place.ask(Method::POST, "/predict/pictures", headers, file.clone()).await.json(200);
        assert_eq!(same, plain);
    }
    let best = place.ask(Method::POST, "/predict/pictures?top=1&version=1", &[], file.clone()).await.json(200);
    assert_eq!(best["predictions"][0]["top"].as_array().unwrap().len(), 1);
    // As a form, with two files.
    let part = |name: &str, file: &[u8]| {
        let head = format!(
            "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\nContent-Type: image/png\r\n\r\n"
        );
        [head.as_bytes(), file, b"\r\n"].concat()
    };
    let form = [part("a.png", &file), part("b.png", &picture(8)), b"--x--\r\n".to_vec()].concat();
    let answer = place
        .ask(Method::POST, "/predict/pictures", &[("content-type", "multipart/form-data; boundary=x")], form)
        .await
        .json(200);
    let predictions = answer["predictions"].as_array().unwrap();
    assert_eq!(
        (predictions.len(), &predictions[0]["name"], &predictions[1]["name"]),
        (2, &json!("a.png"), &json!("b.png"))
    );
    assert_eq!(predictions[0]["label"], prediction["label"]);
}

#[tokio::test]
async fn a_text_gets_its_label_however_it_is_sent() {
    let place = Place::new().await;
    let json_type = [("content-type", "application/json")];
    let ask =
        async |body: serde_json::Value| place.ask(Method::POST, "/predict/texts", &json_type, body.to_string()).await;
    let one = ask(json!({ "text": "the cat" })).await.json(200);
    let plain = place
        .ask(Method::POST, "/predict/texts", &[("content-type", "text/plain; charset=utf-8")], "the cat")
        .await
        .json(200);
    assert_eq!(one, plain);
    let many = ask(json!({ "texts": ["the cat", "a rat"] })).await.json(200);
    assert_eq!(many["predictions"][0], one["predictions"][0]);
    assert_eq!(many["predictions"].as_array().unwrap().len(), 2);
    let pair = ask(json!({ "text": "the cat", "pair": "a rat" })).await.json(200);
    assert_ne!(pair["predictions"], one["predictions"]);
    // Who sends more than is read is told so.
    let long = ask(json!({ "texts": ["the cat ".repeat(100), "the cat"] })).await.json(200);
    assert_eq!(long["predictions"][0]["cut"], true);
    assert_eq!(long["predictions"][1], one["predictions"][0]);
    assert_eq!(one["predictions"][0].get("cut"), None);
    for body in [json!({}), json!({ "texts": [] }), json!([1]), json!({ "text": 3 })] {
        ask(body).await.error(400);
    }
}

#[tokio::test]
async fn a_model_with_requests_of_its_own_takes_them_as_json() {
    let place = Place::of(&[("words", words(1))], opening(), HttpOptions::default()).await;
    let json_type = [("content-type", "application/json")];
    let body = json!({ "prompt": "the cat", "temperature": 0, "max-tokens": 8 }).to_string();
    let plain = place.post("/predict/words", body.clone()).await.json(200);
    let told = place.ask(Method::POST, "/predict/words", &json_type, body).await.json(200);
    assert_eq!(told, plain);
    for broken in [r#"{"prompt": "the cat",}"#, r#"{"texts": []}"#, r#"{"pair": "x"}"#, "7"] {
        place.ask(Method::POST, "/predict/words", &json_type, broken.to_owned()).await.error(400);
    }
}

#[tokio::test]
async fn the_page_knows_what_each_kind_of_model_takes() {
    let models = [("pictures", pictures(1)), ("texts", texts(1)), ("words", words(1))];
    let place = Place::of(&models, opening(), HttpOptions::default()).await;
    let page = String::from_utf8(place.get("/").await.body.to_vec()).unwrap();
    // By this the page chooses what it shows.
    let kinds = [("pictures", "image-classification"), ("texts", "text-classification"), ("words", "language-model")];
    for (model, kind) in kinds {
        let config = place.get(&format!("/v2/models/{model}/config")).await.json(200);
        assert_eq!(config["parameters"]["task"]["string_value"], kind);
    }
    for shown in ["parameters.task.string_value", "image-classification", "image-generation", "language-model"] {
        assert!(page.contains(shown), "{shown}");
    }
    for shown in ["Type how a text begins", "type=\"number\"", "data:image/png;base64,", "white-space: pre-wrap"] {
        assert!(page.contains(shown), "{shown}");
    }
    for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"] {
        assert!(!page.contains(markup), "what a model answers stays text: {markup}");
    }
}

#[tokio::test]
async fn what_cannot_be_predicted_is_told_in_one_line() {
    let place = Place::new().await;
    let ask = async |path: &str, kind: &str, body: &str| {
        place.ask(Method::POST, path, &[("content-type", kind)], body.to_owned()).await
    };
    assert!(ask("/predict/none", "image/png", "x").await.error(404).contains("no model"));
    assert!(ask("/predict/pictures?version=9", "image/png", "x").await.error(404).contains("`9`"));
    assert!(ask("/predict/pictures", "image/png", "x").await.error(400).contains("neither PNG"));
    assert!(ask("/predict/pictures", "image/png", "").await.error(400).contains("empty"));
    assert!(ask("/predict/pictures", "video/mp4", "x").await.error(415).contains("video/mp4"));
    assert!(ask("/predict/pictures", "multipart/form-data", "x").await.error(400).contains("boundary"));
    assert!(
        ask("/predict/pictures", "multipart/form-data; boundary=x", "--x--\r\n").await.error(400).contains("no part")
    );
    assert!(ask("/predict/pictures?top=x", "image/png", "x").await.error(400).contains("top"));
    assert!(place.get("/predict/pictures").await.error(405).contains("by POST"));
}

#[tokio::test]
async fn pages_fetch_nothing_from_elsewhere() {
    let place = Place::new().await;
    assert_eq!(place.get("/docs").await.headers["location"], "/docs/");
    for path in ["/", "/docs/"] {
        let page = place.get(path).await;
        assert_eq!(page.status, 200);
        let text = String::from_utf8(page.body.to_vec()).unwrap();
        assert!(text.contains("<title>"), "{path}");
        assert!(!text.contains("http://") && !text.contains("https://"), "{path}");
        for file in text.split(['"', '\'']).filter_map(|word| word.strip_prefix("./")) {
            assert_eq!(place.get(&format!("{path}{file}")).await.status, 200, "{file}");
        }
    }
    // By default the page asks a server of others whether the description is right.
    let set_up = place.get("/docs/swagger-initializer.js").await;
    let set_up = String::from_utf8(set_up.body.to_vec()).unwrap();
    assert!(set_up.contains("\"/openapi.json\"") && set_up.contains("\"validatorUrl\": \"none\""), "{set_up}");
    let openapi = place.get("/openapi.json").await.json(200);
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3."));
    let datatypes = openapi["components"]["schemas"]["Tensor"]["properties"]["datatype"]["enum"].as_array().unwrap();
    assert!(datatypes.len() == 14 && datatypes.contains(&json!("FP32")), "{datatypes:?}");
    let described = openapi["paths"].as_object().unwrap();
    assert!(described.contains_key("/v2/models/{model}/versions/{version}/infer"));
    // Each path that is described is there, by its method, and says what stands in its path.
    for (path, methods) in described {
        for operation in methods.as_object().unwrap().values() {
            let stated = operation["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == "path");
            assert_eq!(stated.count(), path.matches('{').count(), "{path}");
        }
        let path = path.replace("{model}", "pictures").replace("{version}", "1");
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let status = place.ask(method.clone(), &path, &[], "").await.status.as_u16();
            assert!(!matches!(status, 404 | 405 | 500), "{method} {path}: {status}");
        }
    }
}
