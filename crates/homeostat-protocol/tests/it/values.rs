//! The values: tensors that fit themselves, and the JSON of what a server says.

use bytes::Bytes;
use homeostat_protocol::{
    ConfigParameter, ConfigTensor, Contents, Datatype, DynamicBatching, InstanceGroup, InstanceKind, ModelConfig,
    ModelReady, ModelState, ModelStatistics, Parameter, Parameters, RepositoryEntry, RepositoryQuery, Tensor,
    TensorMetadata, VersionPolicy, VersionStatistics, element_count,
};
use serde_json::{json, to_value};

use crate::body::{metadata, model};

#[test]
fn a_datatype_has_one_name_everywhere() {
    for datatype in Datatype::ALL {
        assert_eq!(datatype.name().parse(), Ok(datatype));
        assert_eq!(to_value(datatype).unwrap(), json!(datatype.name()));
        assert_eq!(serde_json::from_value::<Datatype>(json!(datatype.name())).unwrap(), datatype);
    }
    assert_eq!(
        (Datatype::Bytes.config_name().as_str(), Datatype::Fp32.config_name().as_str()),
        ("TYPE_STRING", "TYPE_FP32")
    );
}

#[test]
fn a_tensor_fits_itself() {
    assert_eq!(element_count(&[]), Some(1));
    assert_eq!(element_count(&[2, 0, 3]), Some(0));
    assert_eq!(element_count(&[usize::MAX, 2]), None);
    assert_eq!(element_count(&[usize::MAX, 2, 0]), None);
    let bytes = |length| Contents::Raw(Bytes::from(vec![0; length]));
    for (datatype, shape, contents) in [
        (Datatype::Fp32, vec![2], bytes(7)),
        (Datatype::Fp32, vec![2], bytes(12)),
        (Datatype::Fp32, vec![2], Contents::Elements(vec![Bytes::new(); 2])),
        (Datatype::Bytes, vec![2], Contents::Elements(vec![Bytes::new()])),
        (Datatype::Bytes, vec![2], bytes(2)),
        (Datatype::Bool, vec![1], Contents::Raw(Bytes::from_static(&[2]))),
        (Datatype::Fp64, vec![usize::MAX / 4], bytes(0)),
    ] {
        assert!(Tensor::new("t", datatype, shape, contents).is_err());
    }
}

#[test]
fn numbers_come_out_as_they_went_in() {
    let raw = |datatype, bytes: Vec<u8>, size: usize| {
        Tensor::new("t", datatype, [size], Contents::Raw(bytes.into())).unwrap()
    };
    assert_eq!(Tensor::from_f32("t", [2], &[1.5, -0.1]).unwrap().to_f32().unwrap(), [1.5, -0.1]);
    assert_eq!(raw(Datatype::Fp64, 0.1_f64.to_le_bytes().to_vec(), 1).to_f32().unwrap(), [0.1]);
    assert_eq!(raw(Datatype::Fp16, vec![0, 0x3C, 1, 0], 2).to_f32().unwrap(), [1.0, 5.960_464_5e-8]);
    assert_eq!(raw(Datatype::Bf16, vec![0x80, 0x3F], 1).to_f32().unwrap(), [1.0]);
    assert_eq!(raw(Datatype::Int8, vec![0xFF], 1).to_i64().unwrap(), [-1]);
    assert_eq!(raw(Datatype::Uint32, vec![0xFF; 4], 1).to_i64().unwrap(), [4_294_967_295]);
    assert!(raw(Datatype::Uint32, vec![0xFF; 4], 1).to_i32().is_err());
    assert!(raw(Datatype::Uint64, vec![0xFF; 8], 1).to_i64().is_err());
    assert_eq!(Tensor::from_i32("t", [2], &[i32::MIN, 7]).unwrap().to_i32().unwrap(), [i32::MIN, 7]);
    assert_eq!(Tensor::from_i64("t", [1], &[i64::MIN]).unwrap().to_i64().unwrap(), [i64::MIN]);
    let texts = Tensor::from_elements("t", [1], ["é"]).unwrap();
    assert!(texts.to_f32().is_err() && texts.to_i64().is_err() && texts.to_i32().is_err());
    let numbers = Tensor::from_f32("t", [1], &[1.0]).unwrap();
    assert!(numbers.to_elements().is_err() && numbers.to_i64().is_err());
}

#[test]
fn parameters_say_what_they_must_be() {
    let mut all = Parameters::from_iter([("n", Parameter::Int(-1)), ("t", Parameter::Text("x".to_owned()))]);
    assert!(all.uint("n").is_err() && all.flag("n").is_err() && all.text("n").is_err() && all.float("t").is_err());
    assert_eq!((all.float("n"), all.text("t"), all.uint("none")), (Ok(Some(-1.0)), Ok(Some("x")), Ok(None)));
    all.insert("n", Parameter::Bool(true));
    assert_eq!((all.len(), all.flag("n"), all.take("n")), (2, Ok(Some(true)), Some(Parameter::Bool(true))));
    assert!(!all.is_empty() && all.get("n").is_none());
}

#[test]
fn what_a_server_says_is_the_protocols_json() {
    let wanted = json!({
        "name": "m", "versions": ["1"], "platform": "test",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
    });
    assert_eq!(to_value(model()).unwrap(), wanted);
    assert_eq!(
        to_value(ModelReady { name: "m".to_owned(), ready: true }).unwrap(),
        json!({"name": "m", "ready": true})
    );

    let entry = |state, reason: &str| RepositoryEntry {
        name: "m".to_owned(),
        version: String::new(),
        state,
        reason: reason.to_owned(),
    };
    assert_eq!(to_value(entry(None, "")).unwrap(), json!({"name": "m"}));
    let unavailable = to_value(entry(Some(ModelState::Unavailable), "unloaded")).unwrap();
    assert_eq!(unavailable, json!({"name": "m", "state": "UNAVAILABLE", "reason": "unloaded"}));
    for state in [ModelState::Ready, ModelState::Unavailable, ModelState::Loading, ModelState::Unloading] {
        assert_eq!(to_value(state).unwrap(), json!(state.name()));
    }
    assert!(serde_json::from_str::<RepositoryQuery>(r#"{"ready":true}"#).unwrap().ready);
    assert!(!serde_json::from_str::<RepositoryQuery>("{}").unwrap().ready);
}

#[test]
fn statistics_and_configuration_have_the_protocols_fields() {
    let version = VersionStatistics {
        name: "m".to_owned(),
        version: "1".to_owned(),
        inference_count: 3,
        ..VersionStatistics::default()
    };
    let stats = to_value(ModelStatistics { model_stats: vec![version] }).unwrap();
    let zero = json!({"count": 0, "ns": 0});
    let phases =
        ["success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss"];
    let wanted = json!({"model_stats": [{
        "name": "m", "version": "1", "last_inference": 0, "inference_count": 3, "execution_count": 0,
        "inference_stats": phases.iter().map(|phase| (phase.to_string(), zero.clone())).collect::<serde_json::Map<_, _>>(),
        "batch_stats": [],
    }]});
    assert_eq!(stats, wanted);

    let x: TensorMetadata = metadata("x", Datatype::Bytes, &[-1, 3]);
    let config = ModelConfig {
        name: "m".to_owned(),
        max_batch_size: 8,
        version_policy: VersionPolicy::Specific { versions: vec![2] },
        input: vec![ConfigTensor::of(&x, true)],
        output: vec![ConfigTensor::of(&x, false)],
        instance_group: vec![InstanceGroup { name: "m_0".to_owned(), kind: InstanceKind::Cpu, count: 1 }],
        dynamic_batching: Some(DynamicBatching { preferred_batch_size: vec![4], ..DynamicBatching::default() }),
        parameters: [("task".to_owned(), ConfigParameter { string_value: "t".to_owned() })].into(),
        ..ModelConfig::default()
    };
    let config = to_value(config).unwrap();
    assert_eq!(config["input"], json!([{"name": "x", "data_type": "TYPE_STRING", "dims": [3]}]));
    assert_eq!(config["output"][0]["dims"], json!([-1, 3]));
    assert_eq!(config["version_policy"], json!({"specific": {"versions": [2]}}));
    assert_eq!(config["instance_group"], json!([{"name": "m_0", "kind": "KIND_CPU", "count": 1}]));
    assert_eq!(config["dynamic_batching"]["preferred_batch_size"], json!([4]));
    assert_eq!(config["dynamic_batching"]["default_queue_policy"]["timeout_action"], json!("REJECT"));
    assert_eq!(config["parameters"], json!({"task": {"string_value": "t"}}));
    assert_eq!(to_value(VersionPolicy::All {}).unwrap(), json!({"all": {}}));
}
