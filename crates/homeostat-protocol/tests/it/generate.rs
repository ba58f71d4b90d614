//! The generate extension: what is read, what is refused, what is written.

use std::time::Duration;

use homeostat_protocol::{GenerateRequest, GenerateResponse, GenerateSettings, Limits, ProtocolError};

fn read(body: &str) -> Result<GenerateRequest, ProtocolError> {
    GenerateRequest::decode(body.as_bytes(), &Limits::default())
}

#[test]
fn parameters_stand_in_their_place_or_beside_the_text() {
    let inside = r#"{"text_input": "a\n\u00e4", "id": "7", "parameters": {"max_tokens": 5, "temperature": 0, "top_k": 3,
        "top_p": 0.5, "repetition_penalty": 1.5, "stop": ["x", "\n"], "seed": 18446744073709551615, "timeout": 1500, "stream": true}}"#;
    let found = read(inside).unwrap();
    let wanted = GenerateRequest {
        id: Some("7".into()),
        text: "a\n\u{e4}".into(),
        settings: GenerateSettings {
            max_tokens: Some(5),
            temperature: Some(0.0),
            top_k: Some(3),
            top_p: Some(0.5),
            repetition_penalty: Some(1.5),
            stop: Some(vec!["x".into(), "\n".into()]),
            seed: Some(u64::MAX),
        },
        timeout: Some(Duration::from_micros(1500)),
        stream: Some(true),
    };
    assert_eq!(found, wanted);
    let beside = inside.replace("\"parameters\": {", "").replace("}}", "}");
    assert_eq!(read(&beside).unwrap(), wanted);
    let plain = read(r#"{"text_input": "", "parameters": null, "seed": null, "stop": "."}"#).unwrap();
    let settings = GenerateSettings { stop: Some(vec![".".into()]), ..GenerateSettings::default() };
    assert_eq!(plain, GenerateRequest { settings, ..GenerateRequest::default() });
}

#[test]
fn what_is_wrong_is_named_in_one_line() {
    for (body, words) in [
        ("", "expected an object, but the text ends"),
        ("{}", "`text_input` is missing"),
        ("{\"text_input\": null}", "`text_input` is missing"),
        ("{\"text_input\": 3}", "`text_input` must be text"),
        ("{\"text_input\": \"a\", \"text_input\": \"b\"}", "`text_input` is there twice"),
        ("{\"text_input\": \"a\"} x", "something follows"),
        ("{\"text_input\": \"a\", \"parameters\": []}", "`parameters` must be an object"),
        ("{\"text_input\": \"a\", \"parameters\": {\"seed\": 1}, \"seed\": 2}", "`seed` is there twice"),
        ("{\"text_input\": \"a\", \"id\": 3}", "`id` must be text"),
        ("{\"text_input\": \"a\", \"prompt\": 3}", "`prompt` is no parameter of a text: there are max_tokens,"),
        ("{\"text_input\": \"\\ud800\"}", "half of a character"),
    ] {
        let error = read(body).unwrap_err();
        assert!(error.to_string().contains(words) && error.status() == 400, "{error}");
    }
    for (value, words) in [
        ("\"max_tokens\": -1", "`parameters.max_tokens` must be a whole number, not below zero"),
        ("\"max_tokens\": 1.5", "`parameters.max_tokens` must be a whole number"),
        ("\"top_k\": \"3\"", "`parameters.top_k` must be a whole number"),
        ("\"seed\": 18446744073709551616", "`parameters.seed` must be a whole number"),
        ("\"seed\": true", "`parameters.seed` must be a whole number"),
        ("\"temperature\": \"hot\"", "`parameters.temperature` must be a number"),
        ("\"temperature\": NaN", "`parameters.temperature` must be a number"),
        ("\"top_p\": 1e999", "`parameters.top_p` must be a number"),
        ("\"repetition_penalty\": []", "`parameters.repetition_penalty` must be a number"),
        ("\"stop\": 3", "`parameters.stop` must be a text, or a list of texts"),
        ("\"stop\": [3]", "`parameters.stop` must be text"),
        ("\"timeout\": \"soon\"", "`parameters.timeout` must be a whole number"),
        ("\"stream\": 1", "`parameters.stream` must be true or false"),
        ("\"temprature\": 1", "`parameters.temprature` is no parameter of a text"),
        ("\"a\\nb\": 1", "`parameters.a\u{fffd}b` is no parameter of a text"),
    ] {
        let error = read(&format!("{{\"text_input\": \"a\", \"parameters\": {{{value}}}}}")).unwrap_err();
        assert!(error.to_string().contains(words) && error.status() == 400, "{error}");
    }
    let stops = vec!["\"x\""; 17].join(",");
    let long = "x".repeat(5000);
    for body in [
        format!("{{\"text_input\": \"a\", \"stop\": [{stops}]}}"),
        format!("{{\"text_input\": \"a\", \"stop\": \"{long}\"}}"),
        format!("{{\"text_input\": \"a\", \"id\": \"{long}\"}}"),
        format!("{{\"text_input\": \"{}\"}}", "x".repeat((1 << 20) + 1)),
    ] {
        assert_eq!(read(&body).unwrap_err().status(), 413);
    }
}

#[test]
fn an_answer_is_one_line_of_json() {
    let (id, text) = (Some("a\"b"), "x\n\u{e4}\\");
    let response = GenerateResponse { model_name: "m", model_version: "2", id, text, cut: false };
    let wanted = "{\"model_name\":\"m\",\"model_version\":\"2\",\"id\":\"a\\\"b\",\"text_output\":\"x\\n\u{e4}\\\\\"}";
    assert_eq!(String::from_utf8(response.encode()).unwrap(), wanted);
    let plain = GenerateResponse { id: None, text: "", ..response }.encode();
    assert_eq!(plain, b"{\"model_name\":\"m\",\"model_version\":\"2\",\"text_output\":\"\"}");
    let cut = GenerateResponse { id: None, text: "a", cut: true, ..response }.encode();
    assert_eq!(cut, b"{\"model_name\":\"m\",\"model_version\":\"2\",\"text_output\":\"a\",\"cut\":true}");
}
