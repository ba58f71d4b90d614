//! The parsers of `homeostat-protocol` against bytes from anywhere: none may panic, take much memory, or say more than one line, and
//! what they take is what another parser reads. It knows no models.

use bytes::Bytes;
use homeostat_protocol::{
    Contents, Datatype, GenerateRequest, GenerateResponse, InferRequest, InferResponse, Limits, ModelMetadata,
    OutputForms, Tensor, TensorMetadata, decode_request, encode_response,
};
use serde_json::Value;

/// JSON alone. What is taken is JSON for `serde_json`, too (`NaN` and its like aside), with the same numbers.
pub fn json(bytes: &[u8]) {
    let Some(request) = check(bytes, None) else { return };
    for input in &request.inputs {
        same_after_a_journey(input);
    }
    let Ok(tree) = serde_json::from_slice::<Value>(bytes) else {
        let text = String::from_utf8_lossy(bytes);
        // Beyond RFC 8259; and `serde_json` reads what is passed over more strictly: it refuses numbers beyond float64.
        assert!(text.contains("NaN") || text.contains("Infinity") || text.contains(['e', 'E']) || bytes.len() > 300);
        return;
    };
    assert_eq!(request.id.as_deref(), tree["id"].as_str());
    for (input, tree) in request.inputs.iter().zip(tree["inputs"].as_array().expect("inputs")) {
        assert_eq!(Some(input.name()), tree["name"].as_str());
        same_data(input, &tree["data"]);
    }
}

/// The first byte is the length of the JSON, the rest the body; the whole is also read as one input without JSON.
pub fn binary(bytes: &[u8]) {
    check(bytes, Some("0"));
    let Some((&length, body)) = bytes.split_first() else { return };
    let Some(request) = check(body, Some(&length.to_string())) else { return };
    request.inputs.iter().for_each(same_after_a_journey);
}

/// A request to go on with a text. What is taken has the text that another parser reads, and an answer of it is JSON in one line.
pub fn generate(bytes: &[u8]) {
    let limits = Limits { text: 1 << 12, ..Limits::default() };
    let request = match GenerateRequest::decode(bytes, &limits) {
        Ok(request) => request,
        Err(error) => {
            one_line(&error.to_string());
            assert!((400..500).contains(&error.status()));
            return;
        }
    };
    let (text, id) = (request.text.as_str(), request.id.as_deref());
    // What is null counts as not there, also behind a value.
    let has_null = String::from_utf8_lossy(bytes).contains("null");
    if let Some(tree) = serde_json::from_slice::<Value>(bytes).ok().filter(|_| !has_null) {
        assert_eq!((Some(text), id), (tree["text_input"].as_str(), tree["id"].as_str()));
    }
    for cut in [false, true] {
        let answer = GenerateResponse { model_name: "m", model_version: "1", id, text, cut }.encode();
        assert!(!answer.contains(&b'\n') && !answer.contains(&b'\r'), "not one line");
        let tree: Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!((tree["text_output"].as_str(), tree["id"].as_str()), (Some(text), id));
        assert_eq!(tree["cut"].as_bool(), cut.then_some(true));
    }
}

/// Reads a body. What comes out is no larger than what the body can hold, and an error is one line.
fn check(body: &[u8], header_length: Option<&str>) -> Option<InferRequest> {
    let limits = Limits { elements: 1 << 16, strings: 1 << 12, ..Limits::default() };
    match decode_request(&Bytes::copy_from_slice(body), header_length, &model(), &limits) {
        Ok(request) => {
            let size = |input: &Tensor| match input.contents() {
                Contents::Raw(bytes) => bytes.len(),
                Contents::Elements(elements) => elements.iter().map(Bytes::len).sum(),
            };
            let total: usize = request.inputs.iter().map(size).sum();
            assert!(total <= 4 * body.len() + 8, "{total} bytes of a body of {}", body.len());
            if let Err(error) = model().check(&request) {
                one_line(&error.to_string());
            }
            Some(request)
        }
        Err(error) => {
            one_line(&error.to_string());
            assert!((400..500).contains(&error.status()));
            None
        }
    }
}

fn model() -> ModelMetadata {
    let tensor = |name: &str| TensorMetadata { name: name.to_owned(), datatype: Datatype::Fp32, shape: vec![-1, 2] };
    ModelMetadata {
        name: "m".to_owned(),
        versions: Vec::new(),
        platform: String::new(),
        inputs: vec![tensor("x")],
        outputs: vec![tensor("y")],
    }
}

/// An answer of this tensor, as JSON, is a request with the same tensor.
fn same_after_a_journey(tensor: &Tensor) {
    let text = |elements: &[Bytes]| elements.iter().all(|element| std::str::from_utf8(element).is_ok());
    let contents = tensor.contents();
    let plain = tensor.clone().with_parameters(Default::default());
    let response = InferResponse { outputs: vec![plain], ..InferResponse::default() };
    let encoded = match encode_response(&response, &OutputForms::default()) {
        Ok(encoded) => encoded.body,
        Err(error) => {
            assert!(matches!(contents, Contents::Elements(elements) if !text(elements)), "{error}");
            return;
        }
    };
    let body = String::from_utf8(encoded.to_vec()).expect("text").replacen("\"outputs\"", "\"inputs\"", 1);
    let again = decode_request(&Bytes::from(body.clone()), None, &model(), &Limits::default());
    let again = again.unwrap_or_else(|error| panic!("{error}: {body}"));
    // The bits of what is no number may change.
    if !body.contains("NaN") {
        assert_eq!(again.inputs[0].contents(), contents, "{body}");
    }
}

fn same_data(input: &Tensor, tree: &Value) {
    let mut leaves = Vec::new();
    flatten(tree, &mut leaves);
    assert_eq!(leaves.len(), input.elements());
    match input.datatype() {
        Datatype::Fp32 => {
            for (found, leaf) in input.to_f32().expect("floats").iter().zip(leaves) {
                let text = leaf.to_string();
                let wanted: f64 = text.parse().expect("a number");
                // `serde_json` goes by way of a float64, so that the last bit of the float32 may differ.
                assert!((f64::from(*found) - wanted).abs() <= wanted.abs() * 1e-6 + 1e-44, "{found} {wanted}");
            }
        }
        Datatype::Int64 | Datatype::Int32 | Datatype::Int16 | Datatype::Int8 => {
            for (found, leaf) in input.to_i64().expect("integers").iter().zip(leaves) {
                assert!(leaf.as_i64() == Some(*found) || *found == 0, "{found} {leaf}");
            }
        }
        Datatype::Bytes => {
            for (found, leaf) in input.to_elements().expect("elements").iter().zip(leaves) {
                assert_eq!(leaf.as_str().map(str::as_bytes), Some(found.as_ref()));
            }
        }
        _ => {}
    }
}

fn flatten<'a>(tree: &'a Value, leaves: &mut Vec<&'a Value>) {
    match tree {
        Value::Array(items) => items.iter().for_each(|item| flatten(item, leaves)),
        leaf => leaves.push(leaf),
    }
}

fn one_line(text: &str) {
    assert!(!text.chars().any(char::is_control) && text.len() < 1000, "not one line: {text:?}");
}
