//! What a request of the Open Inference Protocol costs before and after the model: a picture of 3 x 32 x 32 in, ten scores out.
//! It does not know sockets or models.

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use homeostat_protocol::{
    Datatype, InferResponse, Limits, ModelMetadata, OutputForms, Tensor, TensorMetadata, decode_request,
    encode_response,
};

const VALUES: usize = 3 * 32 * 32;

fn model() -> ModelMetadata {
    let tensor = |name: &str, shape: &[i64]| TensorMetadata {
        name: name.to_owned(),
        datatype: Datatype::Fp32,
        shape: shape.to_vec(),
    };
    ModelMetadata {
        name: "cnn".to_owned(),
        versions: vec!["1".to_owned()],
        platform: "bench".to_owned(),
        inputs: vec![tensor("image", &[-1, 3, 32, 32])],
        outputs: vec![tensor("probabilities", &[-1, 10])],
    }
}

/// Values as a normalised picture has them: all digits of a float32 are in use.
fn values() -> Vec<f32> {
    let step = |i: usize| u32::try_from(i).unwrap_or(0).wrapping_mul(2_654_435_761) >> 8;
    (0..VALUES).map(|i| step(i) as f32 / (1 << 22) as f32 - 2.0).collect()
}

/// `digits` are the picture's numbers, as a client writes them.
fn json(digits: &[String]) -> Bytes {
    let head = r#"{"id":"1","inputs":[{"name":"image","shape":[1,3,32,32],"datatype":"FP32","data":["#;
    Bytes::from(format!(r#"{head}{}]}}],"outputs":[{{"name":"probabilities"}}]}}"#, digits.join(", ")))
}

fn binary(values: &[f32]) -> (Bytes, String) {
    let head = r#"{"id":"1","inputs":[{"name":"image","shape":[1,3,32,32],"datatype":"FP32","parameters":{"binary_data_size":12288}}],"outputs":[{"name":"probabilities","parameters":{"binary_data":true}}]}"#;
    let mut body = head.as_bytes().to_vec();
    values.iter().for_each(|value| body.extend_from_slice(&value.to_le_bytes()));
    (body.into(), head.len().to_string())
}

fn requests(criterion: &mut Criterion) {
    let (model, limits, values) = (model(), Limits::default(), values());
    let decode = |body: &Bytes, length: Option<&str>| {
        let request = decode_request(body, length, &model, &limits).expect("a request");
        model.check(&request).expect("it fits the model");
        request.inputs[0].to_f32().expect("floats")
    };
    // Python writes a float32 with the digits of the float64 that it has become; others write the shortest.
    let python = json(&values.iter().map(|&value| f64::from(value).to_string()).collect::<Vec<_>>());
    criterion.bench_function("decode JSON, digits of float64", |bencher| bencher.iter(|| decode(&python, None)));
    let short = json(&values.iter().map(ToString::to_string).collect::<Vec<_>>());
    criterion.bench_function("decode JSON, digits of float32", |bencher| bencher.iter(|| decode(&short, None)));
    let (body, length) = binary(&values);
    criterion.bench_function("decode binary", |bencher| bencher.iter(|| decode(&body, Some(&length))));
    // What a document tree costs for the same body, to compare with.
    let tree = |body: &Bytes| serde_json::from_slice::<serde_json::Value>(body).expect("JSON");
    criterion.bench_function("serde_json's tree, digits of float64", |bencher| bencher.iter(|| tree(&python)));

    let scores = Tensor::from_f32("probabilities", [1, 10], &values[..10]).expect("ten scores");
    let response = InferResponse { model_name: "cnn".to_owned(), outputs: vec![scores], ..InferResponse::default() };
    let request = decode_request(&body, Some(&length), &model, &limits).expect("a request");
    let forms = OutputForms::of(&request).expect("forms");
    criterion.bench_function("encode binary", |bencher| bencher.iter(|| encode_response(&response, &forms)));
    let forms = OutputForms::default();
    criterion.bench_function("encode JSON", |bencher| bencher.iter(|| encode_response(&response, &forms)));
}

criterion_group!(benches, requests);
criterion_main!(benches);
