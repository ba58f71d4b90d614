//! Requests that are wrong, each in its own way: all are refused with one line that says what and where.

use homeostat_protocol::ProtocolError;

use crate::body::{decode, decode_binary, decode_bytes, input, model, tensor};

/// What is wrong, the JSON, and a word of the answer.
fn json_cases() -> Vec<(&'static str, String, &'static str)> {
    let whole = tensor("FP32", "[1,3]", "[1,2,3]");
    let with = |more: &str| format!("{}{more}}}", &whole[..whole.len() - 1]);
    let strings = |data: &str| tensor("BYTES", "[1]", data);
    vec![
        ("nothing", String::new(), "expected an object"),
        ("blanks", " \n ".to_owned(), "the text ends"),
        ("no object", "[]".to_owned(), "expected an object"),
        ("a number", "7".to_owned(), "expected an object"),
        ("a string", "\"inputs\"".to_owned(), "expected an object"),
        ("null", "null".to_owned(), "expected an object"),
        ("an empty object", "{}".to_owned(), "`inputs` is missing"),
        ("cut in the object", "{\"inputs\":[".to_owned(), "the text ends"),
        ("cut in a name", "{\"inp".to_owned(), "no end"),
        ("cut in data", whole[..whole.len() - 5].to_owned(), "the text ends"),
        ("cut before the end", whole[..whole.len() - 1].to_owned(), "the text ends"),
        ("something after the end", format!("{whole} x"), "after the end"),
        ("two documents", format!("{whole}{whole}"), "after the end"),
        ("a comma at the end of an object", with(","), "a name in quotes"),
        ("a name without quotes", "{inputs:[]}".to_owned(), "a name in quotes"),
        ("quotes of another kind", "{'inputs':[]}".to_owned(), "a name in quotes"),
        ("no colon", "{\"inputs\" []}".to_owned(), "`:`"),
        ("a comment", format!("/* */{whole}"), "expected an object"),
        ("a byte order mark", format!("\u{feff}{whole}"), "expected an object"),
        ("inputs twice", format!("{},\"inputs\":[]}}", &whole[..whole.len() - 1]), "`inputs` is there twice"),
        ("inputs are null", "{\"inputs\":null}".to_owned(), "`inputs` is missing"),
        ("inputs are an object", "{\"inputs\":{}}".to_owned(), "expected an array"),
        ("no input", "{\"inputs\":[]}".to_owned(), "`inputs` is empty"),
        ("an input is a number", "{\"inputs\":[1]}".to_owned(), "expected an object"),
        ("an input is null", "{\"inputs\":[null]}".to_owned(), "expected an object"),
        ("the id is a number", with(",\"id\":7"), "expected a string"),
        ("the id twice", with(",\"id\":\"a\",\"id\":\"b\""), "`id` is there twice"),
        ("a long id", with(&format!(",\"id\":\"{}\"", "x".repeat(5000))), "too many bytes in a name"),
        ("parameters are an array", with(",\"parameters\":[]"), "expected an object"),
        ("a parameter is an object", with(",\"parameters\":{\"a\":{}}"), "`parameters.a` must be"),
        ("a parameter is an array", with(",\"parameters\":{\"a\":[1]}"), "`parameters.a` must be"),
        ("a parameter twice", with(",\"parameters\":{\"a\":1,\"a\":2}"), "`parameters.a` is there twice"),
        ("a parameter beyond 64 bits", with(",\"parameters\":{\"a\":99999999999999999999}"), "64 bits"),
        ("a parameter without a value", with(",\"parameters\":{\"a\":}"), "expected a number"),
        ("outputs are an object", with(",\"outputs\":{}"), "expected an array"),
        ("an output without a name", with(",\"outputs\":[{}]"), "`outputs[0].name` is missing"),
        ("an output is a string", with(",\"outputs\":[\"y\"]"), "expected an object"),
        (
            "binary_data is a number",
            with(",\"outputs\":[{\"name\":\"y\",\"parameters\":{\"binary_data\":1}}]"),
            "true or false",
        ),
        (
            "classification below zero",
            with(",\"outputs\":[{\"name\":\"y\",\"parameters\":{\"classification\":-1}}]"),
            "whole number",
        ),
        (
            "classification is text",
            with(",\"outputs\":[{\"name\":\"y\",\"parameters\":{\"classification\":\"2\"}}]"),
            "whole number",
        ),
        (
            "an output in shared memory",
            with(",\"outputs\":[{\"name\":\"y\",\"parameters\":{\"shared_memory_region\":\"r\"}}]"),
            "shared memory is not supported",
        ),
        (
            "an input in shared memory",
            input(
                r#""name":"x","shape":[1],"datatype":"FP32","parameters":{"shared_memory_region":"r","shared_memory_byte_size":4}"#,
            ),
            "shared memory is not supported",
        ),
        ("no name", input(r#""shape":[1],"datatype":"FP32","data":[1]"#), "`inputs[0].name` is missing"),
        ("no shape", input(r#""name":"x","datatype":"FP32","data":[1]"#), "`inputs[0].shape` is missing"),
        ("no type", input(r#""name":"x","shape":[1],"data":[1]"#), "`inputs[0].datatype` is missing"),
        ("no data", input(r#""name":"x","shape":[1],"datatype":"FP32""#), "neither `data`"),
        ("data are null", tensor("FP32", "[1]", "null"), "neither `data`"),
        (
            "the name twice",
            input(r#""name":"x","name":"x","shape":[1],"datatype":"FP32","data":[1]"#),
            "`inputs[0].name` is there twice",
        ),
        (
            "data twice",
            input(r#""name":"x","shape":[1],"datatype":"FP32","data":[1],"data":[1]"#),
            "`inputs[0].data` is there twice",
        ),
        ("an unknown type", tensor("FOO", "[1]", "[1]"), "`datatype` is `FOO`"),
        ("a type in small letters", tensor("fp32", "[1]", "[1]"), "none of BOOL"),
        ("a type with a line break", tensor("F\\nP", "[1]", "[1]"), "none of BOOL"),
        ("the shape is a number", tensor("FP32", "3", "[1]"), "expected an array"),
        ("a size below zero", tensor("FP32", "[1,-3]", "[1]"), "`inputs[0].shape` has the size -3"),
        ("a size with a point", tensor("FP32", "[1.0]", "[1]"), "no size"),
        ("a size as text", tensor("FP32", "[\"1\"]", "[1]"), "expected a number"),
        ("a size beyond 64 bits", tensor("FP32", "[99999999999999999999]", "[1]"), "has the size"),
        ("a size beyond 128 bits", tensor("FP32", "[9999999999999999999999999999999999999999]", "[1]"), "no size"),
        ("sizes whose product overflows", tensor("FP32", "[4611686018427387904,16]", "[1]"), "beyond any memory"),
        ("sizes whose product a zero hides", tensor("FP32", "[4611686018427387904,16,0]", "[]"), "beyond any memory"),
        ("a size above the limit", tensor("FP32", "[4611686018427387904]", "[1]"), "too many elements"),
        ("strings above the limit", tensor("BYTES", "[2000000]", "[\"\"]"), "too many elements of BYTES"),
        ("17 dimensions", tensor("FP32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[1]"), "too many dimensions"),
        ("data too short", tensor("FP32", "[1,3]", "[1,2]"), "has 2 elements in its data"),
        ("data too long", tensor("FP32", "[1,3]", "[1,2,3,4]"), "more data than its shape [1, 3]"),
        ("data are empty", tensor("FP32", "[1,3]", "[]"), "has 0 elements"),
        ("data are a number", tensor("FP32", "[1]", "1"), "expected an array"),
        ("data are a string", tensor("FP32", "[1]", "\"AAAA\""), "expected an array"),
        ("data nested the other way", tensor("FP32", "[2,3]", "[[1,2],[3,4],[5,6]]"), "not nested as its shape"),
        ("data of uneven rows", tensor("FP32", "[2,2]", "[[1,2],[3]]"), "not nested as its shape"),
        ("a row too long", tensor("FP32", "[2,2]", "[[1,2,3],[4]]"), "not nested as its shape"),
        ("data nested once and flat", tensor("FP32", "[2,2]", "[[1,2],3,4]"), "expected an array"),
        ("data flat and nested", tensor("FP32", "[4,1]", "[1,[2],3,4]"), "expected a number"),
        ("data nested too deep", tensor("FP32", "[1,1]", "[[[1]]]"), "expected a number"),
        ("a nested number for one dimension", tensor("FP32", "[1]", "[[1]]"), "expected a number"),
        ("a comma at the end of data", tensor("FP32", "[2]", "[1,]"), "expected a number"),
        ("two commas", tensor("FP32", "[2]", "[1,,2]"), "expected a number"),
        ("no comma", tensor("FP32", "[2]", "[1 2]"), "`,` or `]`"),
        ("a zero in front", tensor("FP32", "[1]", "[01]"), "`,` or `]`"),
        ("a plus", tensor("FP32", "[1]", "[+1]"), "expected a number"),
        ("a point in front", tensor("FP32", "[1]", "[.5]"), "expected a number"),
        ("a point at the end", tensor("FP32", "[1]", "[1.]"), "expected a number"),
        ("an exponent without digits", tensor("FP32", "[1]", "[1e]"), "expected a number"),
        ("a hexadecimal number", tensor("FP32", "[1]", "[0x10]"), "`,` or `]`"),
        ("a number in quotes", tensor("FP32", "[1]", "[\"1\"]"), "expected a number"),
        ("null for a number", tensor("FP32", "[1]", "[null]"), "expected a number"),
        ("true for a number", tensor("FP32", "[1]", "[true]"), "expected a number"),
        ("an object for a number", tensor("FP32", "[1]", "[{}]"), "expected a number"),
        ("half a NaN", tensor("FP32", "[1]", "[Na]"), "expected a number"),
        ("a NaN for an integer", tensor("INT32", "[1]", "[NaN]"), "expected a number"),
        ("beyond FP16", tensor("FP16", "[1]", "[70000]"), "beyond FP16"),
        ("beyond BF16", tensor("BF16", "[1]", "[3.4e38]"), "beyond BF16"),
        ("beyond FP32", tensor("FP32", "[1]", "[1e39]"), "beyond FP32"),
        ("beyond FP64", tensor("FP64", "[1]", "[-1e309]"), "beyond FP64"),
        ("beyond UINT8", tensor("UINT8", "[1]", "[256]"), "no UINT8"),
        ("below UINT8", tensor("UINT8", "[1]", "[-1]"), "no UINT8"),
        ("beyond INT8", tensor("INT8", "[1]", "[128]"), "no INT8"),
        ("beyond UINT64", tensor("UINT64", "[1]", "[18446744073709551616]"), "no UINT64"),
        ("beyond INT64", tensor("INT64", "[1]", "[-9223372036854775809]"), "no INT64"),
        ("a point in an integer", tensor("INT32", "[1]", "[1.5]"), "no INT32"),
        ("an exponent in an integer", tensor("INT32", "[1]", "[1e2]"), "no INT32"),
        ("a number for BOOL", tensor("BOOL", "[1]", "[1]"), "`true` or `false`"),
        ("half a word", tensor("BOOL", "[1]", "[tru]"), "`true` or `false`"),
        ("a number for BYTES", strings("[1]"), "expected a string"),
        ("a string without an end", strings("[\"abc]"), "no end"),
        ("a line break in a string", strings("[\"a\nb\"]"), "control character"),
        ("a zero byte in a string", strings("[\"a\0b\"]"), "control character"),
        ("no such escape", strings("[\"\\x41\"]"), "no such escape"),
        ("three digits of a character", strings("[\"\\u00e\"]"), "four hexadecimal digits"),
        ("a sign in the digits", strings("[\"\\u+0e9\"]"), "four hexadecimal digits"),
        ("the first half of a character", strings("[\"\\ud83d\"]"), "half of a character"),
        ("the second half of a character", strings("[\"\\ude00\"]"), "half of a character"),
        ("two first halves", strings("[\"\\ud83d\\ud83d\"]"), "half of a character"),
        (
            "bytes without the header",
            input(r#""name":"x","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}"#),
            "needs the header",
        ),
        (
            "data and bytes",
            input(r#""name":"x","shape":[1],"datatype":"FP32","data":[1],"parameters":{"binary_data_size":4}"#),
            "has both",
        ),
        ("100,000 arrays", "[".repeat(100_000) + &"]".repeat(100_000), "expected an object"),
        (
            "100,000 arrays in a field",
            format!("{{\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)),
            "in each other",
        ),
        ("100,000 objects in a field", "{\"x\":".repeat(100_000), "in each other"),
        (
            "100,000 arrays of data before the shape",
            input(&format!("\"data\":{}{}", "[".repeat(100_000), "]".repeat(100_000))),
            "in each other",
        ),
        (
            "65 inputs",
            format!("{{\"inputs\":[{}]}}", vec![&whole[11..whole.len() - 2]; 65].join(",")),
            "too many inputs",
        ),
        ("65 outputs", with(&format!(",\"outputs\":[{}]", vec!["{\"name\":\"y\"}"; 65].join(","))), "too many outputs"),
        (
            "65 parameters",
            with(&format!(
                ",\"parameters\":{{{}}}",
                (0..65).map(|i| format!("\"{i}\":1")).collect::<Vec<_>>().join(",")
            )),
            "too many parameters",
        ),
    ]
}

#[test]
fn malformed_json_is_refused_with_one_line() {
    let cases = json_cases();
    assert!(cases.len() >= 60);
    for (what, json, wanted) in cases {
        check(what, &decode(&json).unwrap_err(), wanted);
    }
}

#[test]
fn malformed_binary_requests_are_refused_with_one_line() {
    let head = |size: &str| {
        input(&format!(r#""name":"x","shape":[2],"datatype":"FP32","parameters":{{"binary_data_size":{size}}}"#))
    };
    let texts = |shape: &str, size: usize| {
        input(&format!(r#""name":"x","shape":{shape},"datatype":"BYTES","parameters":{{"binary_data_size":{size}}}"#))
    };
    for (what, json, binary, wanted) in [
        ("fewer bytes than announced", head("8"), vec![0; 7], "8 bytes are announced, 7 follow"),
        ("more bytes than announced", head("8"), vec![0; 9], "1 bytes belong to no input"),
        ("no bytes", head("8"), vec![], "0 follow"),
        ("another size than the shape's", head("4"), vec![0; 4], "has 4 bytes, FP32 of [2] has 8"),
        ("a size below zero", head("-8"), vec![0; 8], "whole number"),
        ("a size with a point", head("8.0"), vec![0; 8], "whole number"),
        ("a size as text", head("\"8\""), vec![0; 8], "whole number"),
        ("a size beyond memory", head("18446744073709551615"), vec![0; 8], "bytes are announced"),
        ("bytes of nobody", tensor("FP32", "[1]", "[1]"), vec![0; 4], "4 bytes belong to no input"),
        ("a BOOL of two", head("2").replace("FP32", "BOOL"), vec![1, 2], "has a byte above 1"),
        ("an element beyond the bytes", texts("[1]", 4), vec![1, 0, 0, 0], "not 1 elements"),
        ("an element of 4 GiB", texts("[1]", 8), vec![255, 255, 255, 255, 1, 2, 3, 4], "not 1 elements"),
        ("half a length", texts("[1]", 3), vec![0; 3], "not 1 elements"),
        ("more elements than the shape", texts("[1]", 8), vec![0; 8], "not 1 elements"),
        ("fewer elements than the shape", texts("[3]", 8), vec![0; 8], "not 3 elements"),
        ("elements of nothing", texts("[1000000]", 0), vec![], "not 1000000 elements"),
    ] {
        check(what, &decode_binary(&json, &binary).unwrap_err(), wanted);
    }
    for (header, wanted) in [
        ("-5", "no length"),
        ("+5", "no length"),
        ("", "no length"),
        ("five", "no length"),
        ("1e1", "no length"),
        ("0x10", "no length"),
        ("99999999999999999999999", "no length"),
        ("99999999", "99999999 bytes of JSON"),
        ("1", "the text ends"),
    ] {
        let error = decode_bytes(tensor("FP32", "[1]", "[1]").as_bytes(), Some(header)).unwrap_err();
        check(header, &error, wanted);
    }
    check("not UTF-8", &decode_bytes(b"{\"id\":\"\xFF\"}", None).unwrap_err(), "JSON at byte 7: the text is not UTF-8");
}

#[test]
fn what_does_not_fit_the_model_is_refused() {
    for (what, json, wanted) in [
        (
            "another name",
            tensor("FP32", "[1,3]", "[1,2,3]").replace("\"x\"", "\"no\\nx\""),
            "is no input of the model, which has `x`",
        ),
        ("another type", tensor("INT32", "[1,3]", "[1,2,3]"), "has type INT32, the model takes FP32"),
        ("another shape", tensor("FP32", "[1,2]", "[1,2]"), "has shape [1, 2], the model takes [-1, 3]"),
        ("another rank", tensor("FP32", "[3]", "[1,2,3]"), "has shape [3]"),
        ("an empty batch", tensor("FP32", "[0,3]", "[]"), "has shape [0, 3]"),
        (
            "an output that is not there",
            tensor("FP32", "[1,3]", "[1,2,3]").replace("\"inputs\"", "\"outputs\":[{\"name\":\"z\"}],\"inputs\""),
            "is no output",
        ),
        (
            "an output twice",
            tensor("FP32", "[1,3]", "[1,2,3]")
                .replace("\"inputs\"", "\"outputs\":[{\"name\":\"y\"},{\"name\":\"y\"}],\"inputs\""),
            "asked for twice",
        ),
        (
            "an input twice",
            {
                let whole = tensor("FP32", "[1,3]", "[1,2,3]");
                format!("{{\"inputs\":[{0},{0}]}}", &whole[11..whole.len() - 2])
            },
            "is there twice",
        ),
    ] {
        let request = decode(&json).unwrap_or_else(|error| panic!("{what}: {error}"));
        check(what, &model().check(&request).unwrap_err(), wanted);
    }
    let mut two = model();
    two.inputs.push(crate::body::metadata("w", homeostat_protocol::Datatype::Fp32, &[1]));
    let request = decode(&tensor("FP32", "[4,3]", "[1,2,3,4,5,6,7,8,9,10,11,12]")).unwrap();
    assert_eq!(model().check(&request), Ok(()));
    check("an input that is missing", &two.check(&request).unwrap_err(), "tensor `w` is missing");
}

#[track_caller]
fn check(what: &str, error: &ProtocolError, wanted: &str) {
    let text = error.to_string();
    assert!(text.contains(wanted), "{what}: {text:?} has no {wanted:?}");
    assert!(!text.chars().any(char::is_control) && text.len() < 300, "{what}: not one line: {text:?}");
    assert!((400..500).contains(&error.status()), "{what}");
}
