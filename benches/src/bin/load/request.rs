//! The bytes of a request: one picture of 3 x 32 x 32, as JSON or by the binary tensor extension. It does not know who answers.

use clap::ValueEnum;
use homeostat_data::{Rng, stream};
use serde_json::json;

use crate::Target;

const SHAPE: [usize; 4] = [1, 3, 32, 32];

/// How a tensor travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Numbers as text.
    Json,
    /// Little-endian floats after a short header in JSON; the answer's, too.
    Binary,
}

/// The whole request: head and body. Its numbers are always the same.
pub(crate) fn bytes(target: &Target) -> Vec<u8> {
    let (extra, body) = body(target.format);
    let Target { address, model, .. } = target;
    let length = body.len();
    let mut request =
        format!("POST /v2/models/{model}/infer HTTP/1.1\r\nhost: {address}\r\n{extra}content-length: {length}\r\n\r\n")
            .into_bytes();
    request.extend(body);
    request
}

/// Further headers, and the body.
fn body(format: Format) -> (String, Vec<u8>) {
    let mut rng = Rng::keyed(1, [0, 0, stream("picture", 0)]);
    let count: usize = SHAPE.iter().product();
    // Six decimals, as clients print them: both formats carry the same numbers.
    #[expect(clippy::cast_possible_truncation, reason = "a float of 32 bits is asked for")]
    let values: Vec<f32> = (0..count).map(|_| (rng.between(-2.0, 2.0) * 1e6).round() as f32 / 1e6).collect();
    let image = |key: &str, value: serde_json::Value| {
        let mut image = json!({ "name": "image", "shape": SHAPE, "datatype": "FP32" });
        image[key] = value;
        image
    };
    match format {
        Format::Json => {
            let text = json!({ "id": "1", "inputs": [image("data", json!(0))] }).to_string();
            let numbers: Vec<String> = values.iter().map(|value| format!("{value:.6}")).collect();
            let text = text.replace("\"data\":0", &format!("\"data\":[{}]", numbers.join(",")));
            ("content-type: application/json\r\n".to_owned(), text.into_bytes())
        }
        Format::Binary => {
            let mut body = json!({
                "id": "1",
                "inputs": [image("parameters", json!({ "binary_data_size": 4 * count }))],
                "parameters": { "binary_data_output": true },
            })
            .to_string()
            .into_bytes();
            let extra = format!(
                "content-type: application/octet-stream\r\ninference-header-content-length: {}\r\n",
                body.len()
            );
            body.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            (extra, body)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_carry_the_same_numbers() {
        let (_, text) = body(Format::Json);
        let text: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let data = text["inputs"][0]["data"].as_array().unwrap();
        let (extra, binary) = body(Format::Binary);
        let header: usize = extra.trim().rsplit_once(' ').unwrap().1.parse().unwrap();
        let floats: Vec<f32> =
            binary[header..].chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
        assert_eq!(floats.len(), 3072);
        assert_eq!(data.iter().map(|value| value.to_string().parse::<f32>().unwrap()).collect::<Vec<_>>(), floats);
        assert!(serde_json::from_slice::<serde_json::Value>(&binary[..header]).is_ok());
    }
}
