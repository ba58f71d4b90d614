//! What is read from a body and written into one, against values made by hand and against `serde_json`.

use bytes::Bytes;
use homeostat_protocol::{
    Contents, Datatype, InferResponse, Limits, OutputForms, Parameter, Parameters, ProtocolError, RequestedOutput,
    Tensor, decode_request, encode_response, split_elements,
};
use serde_json::{Value, json};

use crate::body::{decode, decode_binary, decode_bytes, input, metadata, model, tensor};

/// For each type: elements as JSON, and as little-endian bytes made by NumPy.
const NUMBERS: [(Datatype, &str, &[u8]); 13] = [
    (Datatype::Bool, "[true,false]", &[1, 0]),
    (Datatype::Uint8, "[0,255]", &[0, 255]),
    (Datatype::Uint16, "[1,65535]", &[1, 0, 255, 255]),
    (Datatype::Uint32, "[1,4294967295]", &[1, 0, 0, 0, 255, 255, 255, 255]),
    (Datatype::Uint64, "[1,18446744073709551615]", &[1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]),
    (Datatype::Int8, "[-128,127]", &[128, 127]),
    (Datatype::Int16, "[-32768,258]", &[0, 128, 2, 1]),
    (Datatype::Int32, "[-2,67305985]", &[254, 255, 255, 255, 1, 2, 3, 4]),
    (Datatype::Int64, "[-9223372036854775808,-1]", &[0, 0, 0, 0, 0, 0, 0, 128, 255, 255, 255, 255, 255, 255, 255, 255]),
    (Datatype::Fp16, "[1.5,-65504.0]", &[0x00, 0x3E, 0xFF, 0xFB]),
    (Datatype::Bf16, "[1.5,-0.0078125]", &[0xC0, 0x3F, 0x00, 0xBC]),
    (Datatype::Fp32, "[0.1,-3.4028235e38]", &[0xCD, 0xCC, 0xCC, 0x3D, 0xFF, 0xFF, 0x7F, 0xFF]),
    (
        Datatype::Fp64,
        "[0.1,-1.7976931348623157e308]",
        &[0x9A, 0x99, 0x99, 0x99, 0x99, 0x99, 0xB9, 0x3F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xEF, 0xFF],
    ),
];

#[test]
fn each_type_travels_as_json_and_as_bytes() {
    for (datatype, json, bytes) in NUMBERS {
        let read = decode(&tensor(datatype.name(), "[2]", json)).unwrap();
        assert_eq!(read.inputs[0].contents(), &Contents::Raw(Bytes::from_static(bytes)), "{datatype}");

        let size = bytes.len();
        let head = input(&format!(
            r#""name":"x","shape":[2],"datatype":"{datatype}","parameters":{{"binary_data_size":{size}}}"#
        ));
        assert_eq!(decode_binary(&head, bytes).unwrap(), read, "{datatype}");

        for binary in [false, true] {
            let body = answer(read.inputs[0].clone(), binary);
            let output = &body.0["outputs"][0];
            assert_eq!(output["datatype"], datatype.name());
            assert_eq!(output["shape"], json!([2]));
            if binary {
                assert_eq!((body.1.as_slice(), &output["parameters"]["binary_data_size"]), (bytes, &json!(size)));
            } else {
                let again = decode(&tensor(datatype.name(), "[2]", &output["data"].to_string())).unwrap();
                assert_eq!(again, read, "{datatype}");
            }
        }
    }
}

/// The answer's JSON, and the bytes behind it.
fn answer(output: Tensor, binary: bool) -> (Value, Vec<u8>) {
    let request = decode(&format!(
        r#"{{"inputs":[{{"name":"x","shape":[1],"datatype":"FP32","data":[1]}}],
            "outputs":[{{"name":"{}","parameters":{{"binary_data":{binary}}}}}]}}"#,
        output.name()
    ));
    let forms = OutputForms::of(&request.unwrap()).unwrap();
    let response = InferResponse {
        model_name: "m".to_owned(),
        model_version: "2".to_owned(),
        id: Some("a \"b\"\n\u{1}é".to_owned()),
        parameters: Parameters::from_iter([("k", Parameter::Float(0.5)), ("n", Parameter::Uint(u64::MAX))]),
        outputs: vec![output],
    };
    let encoded = encode_response(&response, &forms).unwrap();
    assert_eq!(encoded.header_length.is_some(), binary);
    let (head, tail) = encoded.body.split_at(encoded.header_length.unwrap_or(encoded.body.len()));
    let head: Value = serde_json::from_slice(head).unwrap();
    assert_eq!((&head["model_name"], &head["model_version"]), (&json!("m"), &json!("2")));
    assert_eq!(head["id"], json!("a \"b\"\n\u{1}é"));
    assert_eq!(head["parameters"], json!({"k": 0.5, "n": u64::MAX}));
    (head, tail.to_vec())
}

#[test]
fn a_number_of_json_is_the_nearest_of_its_type() {
    let text = "[16777217, 0.1, 1e-45, 1.17549435e-38, 0.30000001192092896, 1E2, -0, 3.4028235677973366e38]";
    let wanted = [16_777_216.0, 0.1, f32::from_bits(1), f32::MIN_POSITIVE, 0.3, 100.0, -0.0, f32::MAX];
    let found = decode(&tensor("FP32", "[8]", text)).unwrap().inputs[0].to_f32().unwrap();
    assert_eq!(found.map(f32::to_bits), wanted.map(f32::to_bits));
}

trait Map<T> {
    fn map<U>(self, f: impl Fn(T) -> U) -> Vec<U>;
}

impl Map<f32> for Vec<f32> {
    fn map<U>(self, f: impl Fn(f32) -> U) -> Vec<U> {
        self.into_iter().map(f).collect()
    }
}

#[test]
fn what_python_writes_for_numbers_that_are_none_is_read_and_written() {
    let read = decode(&tensor("FP32", "[3]", "[NaN, -Infinity, Infinity]")).unwrap();
    let values = read.inputs[0].to_f32().unwrap();
    assert!(values[0].is_nan() && values[1..] == [f32::NEG_INFINITY, f32::INFINITY]);
    let response = InferResponse { outputs: vec![read.inputs[0].clone()], ..InferResponse::default() };
    let body = encode_response(&response, &OutputForms::default()).unwrap().body;
    assert!(String::from_utf8_lossy(&body).contains(r#""data":[NaN,-Infinity,Infinity]"#));
}

#[test]
fn data_may_be_flat_or_nested_and_fields_in_any_order() {
    let flat = decode(&tensor("INT32", "[2,1,2]", "[1,2,3,4]")).unwrap();
    for same in [
        tensor("INT32", "[2,1,2]", "[[[1,2]],[[3,4]]]"),
        tensor("INT32", "[2,1,2]", " [ [\n[1 ,2]\t] , [ [ 3, 4 ] ] ] "),
        input(r#""data":[1,2,3,4],"shape":[2,1,2],"name":"x","datatype":"INT32""#),
        input(r#""data":[[[1,2]],[[3,4]]],"datatype":"INT32","shape":[2,1,2],"name":"x""#),
        input(r#""shape":[2,1,2],"data":[[[1,2]],[[3,4]]],"name":"x","datatype":"INT32","more":{"a":[null,{}]}"#),
        format!(
            r#"{{"id":null,"outputs":null,"parameters":null,"x":1e5,"inputs":{}"#,
            &tensor("INT32", "[2,1,2]", "[1,2,3,4]")[10..]
        ),
        format!("  {}\n", tensor("INT32", "[2,1,2]", "[1,2,3,4]")),
    ] {
        assert_eq!(decode(&same).unwrap(), flat, "{same}");
    }
    assert_eq!(flat.inputs[0].to_i32().unwrap(), [1, 2, 3, 4]);
    assert_eq!((flat.inputs[0].shape(), flat.inputs[0].elements()), ([2, 1, 2].as_slice(), 4));

    for (shape, data) in [("[0]", "[]"), ("[2,0]", "[[],[]]"), ("[0,5]", "[]"), ("[2,0]", "[]")] {
        let empty = decode(&tensor("FP32", shape, data)).unwrap();
        assert_eq!(empty.inputs[0].elements(), 0, "{shape} {data}");
    }
    assert_eq!(decode(&tensor("FP32", "[]", "[5]")).unwrap().inputs[0].to_f32().unwrap(), [5.0]);
}

#[test]
fn a_request_keeps_its_id_its_parameters_and_what_it_asks_for() {
    let request = decode(
        r#"{"id":"a-1","parameters":{"priority":2,"timeout":1500,"s":"x","f":0.5,"b":true,"u":18446744073709551615,"z":null},
            "inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1],"parameters":{"content_type":"np"}}],
            "outputs":[{"name":"y","parameters":{"classification":3,"binary_data":true,"k":-1}},{"name":"z"},
                       {"name":"w","parameters":{"classification":0}}]}"#,
    );
    let request = request.unwrap();
    assert_eq!(request.id.as_deref(), Some("a-1"));
    assert_eq!(request.timeout().unwrap(), Some(std::time::Duration::from_micros(1500)));
    assert_eq!(request.priority().unwrap(), 2);
    let wanted = [
        ("priority", Parameter::Int(2)),
        ("timeout", Parameter::Int(1500)),
        ("s", Parameter::Text("x".to_owned())),
        ("f", Parameter::Float(0.5)),
        ("b", Parameter::Bool(true)),
        ("u", Parameter::Uint(u64::MAX)),
    ];
    assert_eq!(request.parameters, Parameters::from_iter(wanted));
    assert_eq!(request.inputs[0].parameters().text("content_type").unwrap(), Some("np"));
    let y = RequestedOutput {
        name: "y".to_owned(),
        binary_data: Some(true),
        classification: Some(3),
        parameters: Parameters::from_iter([("k", Parameter::Int(-1))]),
    };
    assert_eq!(request.outputs[0], y);
    assert_eq!((request.outputs[1].binary_data, request.outputs[2].classification), (None, None));
    assert!(request.wants("z") && !request.wants("v"));
}

#[test]
fn strings_travel_with_every_character() {
    let text = "aé😀\u{0}\u{1f}\"\\/\n\r\t\u{8}\u{c}\u{2028}";
    let escaped = r#""a\u00e9\uD83D\ude00\u0000\u001f\"\\\/\n\r\t\b\f\u2028""#;
    let written = serde_json::to_string(text).unwrap();
    for json in [escaped, &written] {
        let read = decode(&tensor("BYTES", "[1,2]", &format!("[[{json},\"plain\"]]"))).unwrap();
        let elements = read.inputs[0].to_elements().unwrap();
        assert_eq!((elements[0].as_ref(), elements[1].as_ref()), (text.as_bytes(), b"plain".as_slice()));

        let (body, _) = answer(read.inputs[0].clone(), false);
        assert_eq!(body["outputs"][0]["data"], json!([text, "plain"]));
        let (body, bytes) = answer(read.inputs[0].clone(), true);
        assert_eq!(body["outputs"][0]["parameters"]["binary_data_size"], json!(bytes.len()));
        assert_eq!(split_elements(bytes.into(), 2).unwrap(), elements);
    }
}

#[test]
fn bytes_that_are_no_text_are_written_as_bytes_only() {
    let output = Tensor::from_elements("y", [1], [vec![0xFF_u8, 0xD8]]).unwrap();
    assert_eq!(answer(output.clone(), true).1, [2, 0, 0, 0, 0xFF, 0xD8]);
    let response = InferResponse { outputs: vec![output], ..InferResponse::default() };
    let error = encode_response(&response, &OutputForms::default()).unwrap_err();
    assert!(error.to_string().contains("binary_data"), "{error}");
}

#[test]
fn several_inputs_share_what_is_behind_the_json() {
    let head = r#"{"inputs":[
        {"name":"a","shape":[2],"datatype":"UINT16","parameters":{"binary_data_size":4}},
        {"name":"b","shape":[1],"datatype":"INT8","data":[-7]},
        {"name":"c","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":11,"k":1}}]}"#;
    let request = decode_binary(head, b"\x01\0\x02\0\x03\0\0\0abc\0\0\0\0").unwrap();
    assert_eq!(request.inputs[0].to_i64().unwrap(), [1, 2]);
    assert_eq!(request.inputs[1].to_i64().unwrap(), [-7]);
    assert_eq!(request.inputs[2].to_elements().unwrap(), [Bytes::from_static(b"abc"), Bytes::new()]);
    assert_eq!(request.inputs[2].parameters(), &Parameters::from_iter([("k", Parameter::Int(1))]));
}

#[test]
fn bytes_are_not_copied() {
    let head = input(r#""name":"x","shape":[4],"datatype":"UINT8","parameters":{"binary_data_size":4}"#);
    let body = Bytes::from([head.as_bytes(), &[1, 2, 3, 4]].concat());
    let request = decode_request(&body, Some(&head.len().to_string()), &model(), &Limits::default()).unwrap();
    let Contents::Raw(bytes) = request.inputs[0].contents() else { panic!("numbers") };
    assert_eq!(bytes.as_ptr(), body[head.len()..].as_ptr());

    let body = Bytes::from(tensor("BYTES", "[1]", r#"["a long text"]"#));
    let request = decode_request(&body, None, &model(), &Limits::default()).unwrap();
    let element = &request.inputs[0].to_elements().unwrap()[0];
    assert!(body.as_ptr_range().contains(&element.as_ptr()));
}

#[test]
fn which_outputs_are_bytes() {
    let request = |parameters: &str, outputs: &str| {
        let inputs = r#"[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]"#;
        let json = format!(r#"{{"inputs":{inputs},"parameters":{parameters},"outputs":{outputs}}}"#);
        OutputForms::of(&decode(&json).unwrap())
    };
    let outputs = || ["a", "b"].map(|name| Tensor::from_i32(name, [1], &[7]).unwrap()).to_vec();
    let response = InferResponse { outputs: outputs(), ..InferResponse::default() };
    let sizes = |forms: &OutputForms| {
        let encoded = encode_response(&response, forms).unwrap();
        let end = encoded.header_length.unwrap_or(encoded.body.len());
        let head: Value = serde_json::from_slice(&encoded.body[..end]).unwrap();
        let binary = ["a", "b"].map(|name| {
            let output = head["outputs"].as_array().unwrap().iter().find(|output| output["name"] == name).unwrap();
            assert_ne!(output.get("data").is_some(), output.get("parameters").is_some());
            output.get("data").is_none()
        });
        assert_eq!(encoded.body.len() - end, 4 * binary.iter().filter(|&&is| is).count());
        binary
    };
    assert_eq!(sizes(&request("{}", "[]").unwrap()), [false, false]);
    assert_eq!(sizes(&request(r#"{"binary_data_output":true}"#, "[]").unwrap()), [true, true]);
    let a = r#"[{"name":"a","parameters":{"binary_data":false}},{"name":"b"}]"#;
    assert_eq!(sizes(&request(r#"{"binary_data_output":true}"#, a).unwrap()), [false, true]);
    let b = r#"[{"name":"a"},{"name":"b","parameters":{"binary_data":true}}]"#;
    assert_eq!(sizes(&request("{}", b).unwrap()), [false, true]);
    assert!(request(r#"{"binary_data_output":1}"#, "[]").is_err());
}

#[test]
fn a_body_without_json_is_the_one_input() {
    let bytes: Vec<u8> = (0..24).collect();
    let request = decode_bytes(&bytes, Some("0")).unwrap();
    assert_eq!((request.inputs[0].name(), request.inputs[0].shape()), ("x", [2, 3].as_slice()));
    assert_eq!(request.inputs[0].contents(), &Contents::Raw(bytes.into()));
    assert_eq!(request.parameters.flag("binary_data_output").unwrap(), Some(true));

    for (datatype, shape, length, wanted) in [
        (Datatype::Fp32, vec![2, 2], 16, vec![2, 2]),
        (Datatype::Uint8, vec![-1, 3, -1], 12, vec![1, 3, 4]),
        (Datatype::Int64, vec![-1, -1], 40, vec![1, 5]),
        (Datatype::Bytes, vec![-1, 1], 9, vec![1, 1]),
        (Datatype::Bytes, vec![-1], 0, vec![1]),
    ] {
        let model = homeostat_protocol::ModelMetadata { inputs: vec![metadata("x", datatype, &shape)], ..model() };
        let body = Bytes::from(vec![1; length]);
        let request = decode_request(&body, Some(" 0 "), &model, &Limits::default()).unwrap();
        assert_eq!(request.inputs[0].shape(), wanted, "{datatype} {shape:?}");
    }
    for (datatype, shape, length) in [
        (Datatype::Fp32, vec![-1, 3], 13),
        (Datatype::Fp32, vec![-1, 3], 0),
        (Datatype::Fp32, vec![2, 2], 12),
        (Datatype::Fp32, vec![-1, -1, -1], 12),
        (Datatype::Bytes, vec![-1, 2], 12),
        (Datatype::Bytes, vec![-1, -1], 12),
        (Datatype::Fp32, vec![-1, 0], 12),
        (Datatype::Fp32, vec![-1, i64::MAX, i64::MAX], 12),
    ] {
        let model = homeostat_protocol::ModelMetadata { inputs: vec![metadata("x", datatype, &shape)], ..model() };
        let body = Bytes::from(vec![1; length]);
        let result = decode_request(&body, Some("0"), &model, &Limits::default());
        assert!(matches!(result, Err(ProtocolError::Tensor { .. })), "{datatype} {shape:?}: {result:?}");
    }
    let two = homeostat_protocol::ModelMetadata { inputs: Vec::new(), ..model() };
    assert!(decode_request(&Bytes::new(), Some("0"), &two, &Limits::default()).is_err());
}

#[test]
fn limits_hold_to_the_last_one() {
    let item = r#"{"name":"x","shape":[1],"datatype":"FP32","data":[1]}"#;
    let with =
        |limits: Limits, json: &str| decode_request(&Bytes::copy_from_slice(json.as_bytes()), None, &model(), &limits);
    let base = Limits::default();
    let two = format!(
        r#"{{"inputs":[{item},{item}],"outputs":[{{"name":"a"}},{{"name":"b"}}],"parameters":{{"a":1,"b":2}}}}"#
    );
    let nested = tensor("FP32", "[1,2]", "[[1,2]]");
    for (what, json, enough, short) in [
        ("body", two.as_str(), Limits { body: two.len(), ..base }, Limits { body: two.len() - 1, ..base }),
        ("depth", &nested, Limits { depth: 5, ..base }, Limits { depth: 4, ..base }),
        ("tensors", &two, Limits { tensors: 2, ..base }, Limits { tensors: 1, ..base }),
        ("parameters", &two, Limits { parameters: 2, ..base }, Limits { parameters: 1, ..base }),
        ("dimensions", &nested, Limits { dimensions: 2, ..base }, Limits { dimensions: 1, ..base }),
        ("elements", &nested, Limits { elements: 2, ..base }, Limits { elements: 1, ..base }),
        ("name", &nested, Limits { name: 4, ..base }, Limits { name: 3, ..base }),
    ] {
        assert!(with(enough, json).is_ok(), "{what}");
        let error = with(short, json).unwrap_err();
        assert!(matches!(error, ProtocolError::Limit { .. }) && error.status() == 413, "{what}: {error}");
    }
    let texts = tensor("BYTES", "[2]", r#"["a","b"]"#);
    assert!(with(Limits { strings: 2, elements: 0, ..base }, &texts).is_ok());
    assert!(with(Limits { strings: 1, ..base }, &texts).is_err());
}
