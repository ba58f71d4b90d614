//! The small files: figures, metrics lines, results, provenance; and the hash.

use homeostat_artifact::{
    Best, Figures, MetricsLine, Part, Provenance, RunResult, RunState, Samples, sha256, sha256_stream,
};

#[test]
fn the_hash_is_sha_256() {
    // FIPS 180-4, the examples of NIST.
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(sha256(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    let million = vec![b'a'; 1_000_000];
    let known = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
    assert_eq!(sha256_stream(&million[..]).unwrap(), (known.to_owned(), 1_000_000));
}

#[test]
fn figures_keep_their_order_and_every_bit() {
    let values = [
        ("loss", 0.1 + 0.2),
        ("z", f64::NAN),
        ("accuracy", f64::NEG_INFINITY),
        ("b", f64::MIN_POSITIVE),
        ("c", f64::INFINITY),
    ];
    let figures: Figures = values.into_iter().collect();
    let text = serde_json::to_string(&figures).unwrap();
    let known = r#"{"loss":0.30000000000000004,"z":"NaN","accuracy":"-inf","b":2.2250738585072014e-308,"c":"inf"}"#;
    assert_eq!(text, known);
    let back: Figures = serde_json::from_str(&text).unwrap();
    let bits =
        |figures: &Figures| figures.iter().map(|(name, value)| (name.to_owned(), value.to_bits())).collect::<Vec<_>>();
    assert_eq!(bits(&back), bits(&figures));
    assert_eq!(back.get("accuracy"), Some(f64::NEG_INFINITY));
    assert_eq!(back.get("recall"), None);
    assert_eq!(
        serde_json::from_str::<Figures>(r#"{"a": 3}"#).unwrap().get("a"),
        Some(3.0),
        "a whole number is a number"
    );
    for bad in [r#"{"loss": "many"}"#, r#"{"loss": null}"#, "[1]"] {
        serde_json::from_str::<Figures>(bad).unwrap_err();
    }
}

#[test]
fn a_metrics_line_ends_with_the_seconds() {
    let line = MetricsLine {
        step: 12,
        epoch: 1,
        part: Part::Valid,
        rate: 0.5,
        figures: [("loss", 0.25)].into_iter().collect(),
        seconds: 1.5,
    };
    let text = serde_json::to_string(&line).unwrap();
    assert_eq!(text, r#"{"step":12,"epoch":1,"part":"valid","rate":0.5,"figures":{"loss":0.25},"seconds":1.5}"#);
    assert_eq!(serde_json::from_str::<MetricsLine>(&text).unwrap(), line);
}

#[test]
fn a_result_reads_as_scripts_expect_it() {
    let result = RunResult {
        state: RunState::Finished,
        reason: None,
        test: [("accuracy", 0.99)].into_iter().collect(),
        valid: [("accuracy", 0.98)].into_iter().collect(),
        samples: Samples { test: 100, valid: 50 },
        best: Some(Best { epoch: 3, step: 120, monitor: "loss".into(), value: 0.04 }),
        epochs: 5,
        steps: 200,
        parameters: 12_345,
        seconds: 7.25,
    };
    let value = serde_json::to_value(&result).unwrap();
    assert_eq!(value["test"]["accuracy"], 0.99);
    assert_eq!(value["best"]["epoch"], 3);
    assert_eq!((&value["state"], &value["samples"]["test"]), (&"finished".into(), &100.into()));
    assert_eq!(serde_json::from_value::<RunResult>(value).unwrap(), result);
}

#[test]
fn provenance_knows_this_machine_and_reads_what_an_older_version_wrote() {
    let provenance = Provenance { seed: 3, ..Provenance::gather() };
    assert!(provenance.rustc.starts_with("rustc 1."), "{}", provenance.rustc);
    assert!(!provenance.cpu.is_empty() && provenance.os.contains(std::env::consts::ARCH) && provenance.cores > 0);
    assert_eq!(provenance.command[0], std::env::args().next().unwrap());
    let text = serde_json::to_string(&provenance).unwrap();
    assert_eq!(serde_json::from_str::<Provenance>(&text).unwrap(), provenance);
    assert_eq!(serde_json::from_str::<Provenance>(r#"{"seed": 3}"#).unwrap().seed, 3);
}
