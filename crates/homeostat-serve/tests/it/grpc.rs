//! gRPC in process: the same answers as over HTTP, refusals with the right codes, streams, deadlines, compression.

use std::time::Duration;

use axum::Router;
use homeostat_protocol::Limits;
use homeostat_serve::{
    HttpOptions, apps,
    grpc::{
        DESCRIPTORS,
        messages::{
            InferParameter, InferTensorContents, ModelConfigRequest, ModelInferRequest, ModelMetadataRequest,
            ModelReadyRequest, ModelStatisticsRequest, RepositoryIndexRequest, RepositoryModelLoadRequest,
            RepositoryModelUnloadRequest, ServerLiveRequest, ServerMetadataRequest, ServerReadyRequest,
            SystemSharedMemoryStatusRequest, TraceSettingRequest,
            grpc_inference_service_client::GrpcInferenceServiceClient as Client,
            infer_parameter::ParameterChoice,
            model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
        },
    },
};
use tokio_stream::StreamExt;
use tonic::{Code, Request, Status, codec::CompressionEncoding};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::place::{LABELS, Place, infer_body, opening, picture, values};

fn client(place: &Place) -> Client<Router> {
    client_with(place, HttpOptions { allow_control: true, ..HttpOptions::default() })
}

fn client_with(place: &Place, options: HttpOptions) -> Client<Router> {
    Client::new(apps(std::sync::Arc::clone(&place.engine), options).unwrap().grpc)
}

fn input(name: &str, datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..InferInputTensor::default()
    }
}

fn little_endian(values: &[f32]) -> bytes::Bytes {
    values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>().into()
}

/// Prepared pictures as they lie in memory.
fn raw(values: &[f32]) -> ModelInferRequest {
    let rows = i64::try_from(values.len() / 18).unwrap();
    ModelInferRequest {
        model_name: "pictures".to_owned(),
        id: "a-1".to_owned(),
        inputs: vec![input("image", "FP32", &[rows, 3, 2, 3])],
        raw_input_contents: vec![little_endian(values)],
        ..ModelInferRequest::default()
    }
}

/// The same in the field of their type.
fn typed(values: &[f32]) -> ModelInferRequest {
    let mut request = raw(values);
    request.raw_input_contents.clear();
    let fp32_contents = values.to_vec();
    request.inputs[0].contents = Some(InferTensorContents { fp32_contents, ..InferTensorContents::default() });
    request
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)).collect()
}

#[tokio::test]
async fn the_answers_are_those_of_http() {
    let place = Place::new().await;
    let mut client = client(&place);
    let values = values(2);
    let answer = place.post("/v2/models/pictures/infer", infer_body(&values).to_string()).await.json(200);
    let wanted: Vec<f32> = serde_json::from_value(answer["outputs"][0]["data"].clone()).unwrap();

    let answer = client.model_infer(raw(&values)).await.unwrap().into_inner();
    assert_eq!(
        (answer.id.as_str(), answer.model_name.as_str(), answer.model_version.as_str()),
        ("a-1", "pictures", "1")
    );
    assert_eq!((answer.outputs[0].shape.as_slice(), answer.outputs[0].datatype.as_str()), ([2, 3].as_slice(), "FP32"));
    assert_eq!(floats(&answer.raw_output_contents[0]), wanted);

    let answer = client.model_infer(typed(&values)).await.unwrap().into_inner();
    assert!(answer.raw_output_contents.is_empty());
    assert_eq!(answer.outputs[0].contents.as_ref().unwrap().fp32_contents, wanted);
}

#[tokio::test]
async fn a_file_goes_through_the_other_door_and_classes_come_back() {
    let place = Place::new().await;
    let mut client = client(&place);
    let file = picture(9);
    let bytes_contents = vec![file.clone().into()];
    let mut by_type = ModelInferRequest {
        model_name: "pictures".to_owned(),
        model_version: "1".to_owned(),
        inputs: vec![input("file", "BYTES", &[1, 1])],
        ..ModelInferRequest::default()
    };
    let choice = Some(ParameterChoice::Int64Param(2));
    by_type.outputs.push(InferRequestedOutputTensor {
        name: "probabilities".to_owned(),
        parameters: [("classification".to_owned(), InferParameter { parameter_choice: choice })].into(),
    });
    let mut by_bytes = by_type.clone();
    by_type.inputs[0].contents = Some(InferTensorContents { bytes_contents, ..InferTensorContents::default() });
    let mut joined = u32::try_from(file.len()).unwrap().to_le_bytes().to_vec();
    joined.extend(file);
    by_bytes.raw_input_contents.push(joined.into());

    let typed = client.model_infer(by_type).await.unwrap().into_inner();
    let classes = &typed.outputs[0].contents.as_ref().unwrap().bytes_contents;
    assert_eq!((typed.outputs[0].datatype.as_str(), typed.outputs[0].shape.as_slice()), ("BYTES", [1, 2].as_slice()));
    let best = String::from_utf8(classes[0].to_vec()).unwrap();
    let fields: Vec<_> = best.split(':').collect();
    assert_eq!(fields[2], LABELS[fields[1].parse::<usize>().unwrap()], "{best}");

    let raw = client.model_infer(by_bytes).await.unwrap().into_inner();
    let mut wanted = Vec::new();
    for class in classes {
        wanted.extend(u32::try_from(class.len()).unwrap().to_le_bytes());
        wanted.extend_from_slice(class);
    }
    assert_eq!(raw.raw_output_contents[0], wanted);
}

#[tokio::test]
async fn the_server_and_its_models_describe_themselves() {
    let place = Place::new().await;
    let mut client = client(&place);
    assert!(client.server_live(ServerLiveRequest {}).await.unwrap().into_inner().live);
    assert!(client.server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready);
    let of = |name: &str| (name.to_owned(), String::new());
    let (name, version) = of("pictures");
    assert!(client.model_ready(ModelReadyRequest { name, version }).await.unwrap().into_inner().ready);
    let server = client.server_metadata(ServerMetadataRequest {}).await.unwrap().into_inner();
    assert!(server.name == "homeostat" && server.extensions.contains(&"statistics".to_owned()), "{server:?}");

    let (name, version) = of("pictures");
    let model = client.model_metadata(ModelMetadataRequest { name, version }).await.unwrap().into_inner();
    assert_eq!((model.versions, model.inputs[0].name.as_str()), (vec!["1".to_owned()], "image"));
    assert_eq!(
        (model.inputs[0].datatype.as_str(), model.inputs[0].shape.as_slice()),
        ("FP32", [-1, 3, 2, 3].as_slice())
    );

    client.model_infer(raw(&values(1))).await.unwrap();
    let (name, version) = of("pictures");
    let stats = client.model_statistics(ModelStatisticsRequest { name, version }).await.unwrap().into_inner();
    let stats = &stats.model_stats[0];
    assert_eq!((stats.name.as_str(), stats.version.as_str()), ("pictures", "1"));
    // The golden request that warmed it up may count, too.
    assert!(stats.inference_count >= 1 && stats.execution_count >= 1);
    assert!(stats.inference_stats.as_ref().unwrap().success.unwrap().ns > 0);

    let (name, version) = of("pictures");
    let config = client.model_config(ModelConfigRequest { name, version }).await.unwrap().into_inner().config.unwrap();
    assert_eq!((config.name.as_str(), config.input[0].name.as_str()), ("pictures", "image"));
    assert!(config.max_batch_size > 0 && config.scheduling_choice.is_some());

    let index = client.repository_index(RepositoryIndexRequest { ready: true, ..Default::default() }).await.unwrap();
    let names: Vec<_> = index.into_inner().models.into_iter().map(|entry| (entry.name, entry.state)).collect();
    assert_eq!(names, ["pictures", "texts"].map(|name| (name.to_owned(), "READY".to_owned())));
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_code() {
    let place = Place::new().await;
    let mut client = client(&place);
    let good = || raw(&values(1));
    let changed = |change: &dyn Fn(&mut ModelInferRequest)| {
        let mut request = good();
        change(&mut request);
        request
    };
    let choice = Some(ParameterChoice::StringParam("region".to_owned()));
    let region = InferParameter { parameter_choice: choice };
    let cases: Vec<(&str, ModelInferRequest, Code, &str)> = vec![
        ("no model", changed(&|r| r.model_name = "none".into()), Code::NotFound, "no model `none`"),
        ("no version", changed(&|r| r.model_version = "7".into()), Code::NotFound, "version `7`"),
        ("no input", changed(&|r| r.inputs.clear()), Code::InvalidArgument, "`inputs` is empty"),
        ("no contents", changed(&|r| r.raw_input_contents.clear()), Code::InvalidArgument, "has 0 bytes"),
        (
            "too many contents",
            changed(&|r| r.raw_input_contents.push("x".into())),
            Code::InvalidArgument,
            "2 items for 1",
        ),
        (
            "too few bytes",
            changed(&|r| r.raw_input_contents = vec!["abcd".into()]),
            Code::InvalidArgument,
            "has 4 bytes",
        ),
        ("an unknown type", changed(&|r| r.inputs[0].datatype = "F32".into()), Code::InvalidArgument, "`F32`"),
        ("another type", changed(&|r| r.inputs[0].datatype = "INT32".into()), Code::InvalidArgument, "FP32"),
        ("another name", changed(&|r| r.inputs[0].name = "x\n".into()), Code::InvalidArgument, "no input of the model"),
        ("another shape", changed(&|r| r.inputs[0].shape = vec![18]), Code::InvalidArgument, "image"),
        ("a size below zero", changed(&|r| r.inputs[0].shape[0] = -1), Code::InvalidArgument, "the size -1"),
        (
            "beyond memory",
            changed(&|r| r.inputs[0].shape = vec![i64::MAX, 16]),
            Code::InvalidArgument,
            "beyond any memory",
        ),
        (
            "too many elements",
            changed(&|r| r.inputs[0].shape = vec![1 << 40]),
            Code::InvalidArgument,
            "too many elements",
        ),
        ("17 dimensions", changed(&|r| r.inputs[0].shape = vec![1; 17]), Code::InvalidArgument, "too many dimensions"),
        ("65 inputs", changed(&|r| r.inputs = vec![r.inputs[0].clone(); 65]), Code::InvalidArgument, "too many inputs"),
        (
            "1,025 inputs",
            changed(&|r| r.inputs = vec![InferInputTensor::default(); 1025]),
            Code::InvalidArgument,
            "too many fields",
        ),
        (
            "an output of nobody",
            changed(&|r| r.outputs.push(InferRequestedOutputTensor { name: "z".into(), ..Default::default() })),
            Code::InvalidArgument,
            "no output of the model",
        ),
        (
            "contents twice",
            changed(&|r| {
                r.inputs[0].contents = Some(InferTensorContents { fp32_contents: vec![1.0], ..Default::default() });
            }),
            Code::InvalidArgument,
            "besides the raw ones",
        ),
        (
            "contents of another type",
            changed(&|r| {
                r.raw_input_contents.clear();
                r.inputs[0].contents = Some(InferTensorContents { int_contents: vec![1; 18], ..Default::default() });
            }),
            Code::InvalidArgument,
            "contents of another type",
        ),
        (
            "a value that does not fit",
            changed(&|r| {
                r.raw_input_contents.clear();
                r.inputs = vec![input("image", "INT8", &[1])];
                r.inputs[0].contents = Some(InferTensorContents { int_contents: vec![200], ..Default::default() });
            }),
            Code::InvalidArgument,
            "INT8 does not hold",
        ),
        (
            "half floats by type",
            changed(&|r| {
                r.raw_input_contents.clear();
                r.inputs[0].datatype = "FP16".into();
            }),
            Code::InvalidArgument,
            "raw_input_contents",
        ),
        (
            "shared memory",
            changed(&|r| drop(r.inputs[0].parameters.insert("shared_memory_region".into(), region.clone()))),
            Code::Unimplemented,
            "shared memory is not supported",
        ),
    ];
    for (what, request, code, wanted) in cases {
        let status = client.model_infer(request).await.unwrap_err();
        refused(what, &status, code, wanted);
    }
    let text = place.engine.metrics_text();
    assert!(text.contains("homeostat_rejections_total{reason=\"malformed\"}"), "{text}");
    assert!(client.model_infer(good()).await.is_ok());
}

#[track_caller]
fn refused(what: &str, status: &Status, code: Code, wanted: &str) {
    assert_eq!(status.code(), code, "{what}: {}", status.message());
    assert!(status.message().contains(wanted), "{what}: {} has no {wanted:?}", status.message());
    assert!(!status.message().chars().any(char::is_control), "{what}: {:?}", status.message());
}

#[tokio::test]
async fn what_is_left_out_is_refused_cleanly() {
    let place = Place::new().await;
    let mut client = client(&place);
    let status = client.system_shared_memory_status(SystemSharedMemoryStatusRequest {}).await.unwrap_err();
    refused("memory", &status, Code::Unimplemented, "shared memory is not supported");
    let status = client.trace_setting(TraceSettingRequest {}).await.unwrap_err();
    refused("trace", &status, Code::Unimplemented, "not supported");
}

#[tokio::test]
async fn a_stream_answers_in_order_and_survives_an_error() {
    let place = Place::new().await;
    let mut client = client(&place);
    let requests = (0..40).map(|number| {
        let mut request = raw(&values(1 + number % 3));
        request.id = number.to_string();
        if number == 17 {
            request.inputs[0].name = "nothing".to_owned();
        }
        request
    });
    let stream = client.model_stream_infer(tokio_stream::iter(requests.collect::<Vec<_>>())).await.unwrap();
    let answers: Vec<_> = stream.into_inner().collect::<Vec<_>>().await;
    assert_eq!(answers.len(), 40);
    for (number, answer) in answers.into_iter().enumerate() {
        let answer = answer.unwrap();
        assert_eq!(answer.error_message.is_empty(), number != 17, "{}", answer.error_message);
        let answer = answer.infer_response.unwrap();
        assert_eq!(answer.id, number.to_string());
        if number != 17 {
            assert_eq!(answer.outputs[0].shape, [1 + i64::try_from(number % 3).unwrap(), 3]);
        }
    }
}

#[tokio::test]
async fn the_callers_deadline_holds() {
    let place = Place::new().await;
    let mut client = client(&place);
    let with = |timeout: &'static str| {
        let mut request = Request::new(raw(&values(1)));
        request.metadata_mut().insert("grpc-timeout", timeout.parse().unwrap());
        request
    };
    let status = client.model_infer(with("1n")).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{}", status.message());
    let status = client.model_infer(with("soon")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(client.model_infer(with("20S")).await.is_ok());

    let mut slow = Request::new(tokio_stream::pending());
    slow.metadata_mut().insert("grpc-timeout", "20S".parse().unwrap());
    let waiting = tokio::time::timeout(Duration::from_millis(200), client.model_stream_infer(slow)).await;
    assert!(waiting.is_err() || waiting.unwrap().is_ok(), "a stream may wait for its requests");
}

#[tokio::test]
async fn messages_are_compressed_both_ways_and_have_a_largest_size() {
    let place = Place::new().await;
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Deflate] {
        let mut compressing = client(&place).send_compressed(encoding).accept_compressed(encoding);
        let plain = client(&place).model_infer(raw(&values(3))).await.unwrap();
        assert!(plain.metadata().get("grpc-encoding").is_none());
        let answer = compressing.model_infer(raw(&values(3))).await.unwrap();
        assert_eq!(
            answer.metadata().get("grpc-encoding").unwrap(),
            match encoding {
                CompressionEncoding::Gzip => "gzip",
                _ => "deflate",
            }
        );
        assert_eq!(answer.into_inner().raw_output_contents, plain.into_inner().raw_output_contents);
    }
    let limits = Limits { body: 2000, ..Limits::default() };
    let options = HttpOptions { limits, ..HttpOptions::default() };
    assert!(client_with(&place, options.clone()).model_infer(raw(&values(10))).await.is_ok());
    for client in [
        client_with(&place, options.clone()),
        client_with(&place, options.clone()).send_compressed(CompressionEncoding::Gzip),
    ] {
        // A hundred times the limit, which compresses to less than the limit.
        let status = client.clone().model_infer(raw(&vec![0.0; 50_004])).await.unwrap_err();
        assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status:?}");
    }
    let options = HttpOptions { memory: 1000, ..HttpOptions::default() };
    let status = client_with(&place, options.clone()).model_infer(raw(&values(20))).await.unwrap_err();
    refused("memory", &status, Code::ResourceExhausted, "bytes are in memory");
    // What was taken is given back, call by call and, in a stream, message by message.
    let mut client = client_with(&place, options);
    for _ in 0..20 {
        client.model_infer(raw(&values(5))).await.unwrap();
    }
    let stream = client.model_stream_infer(tokio_stream::iter(vec![raw(&values(1)); 3])).await.unwrap();
    assert!(stream.into_inner().all(|answer| answer.is_ok()).await);
}

#[tokio::test]
async fn models_are_loaded_and_unloaded_where_that_is_allowed() {
    let place = Place::new().await;
    let named = |name: &str| name.to_owned();
    let unload = || RepositoryModelUnloadRequest { model_name: named("pictures"), ..Default::default() };
    let load = || RepositoryModelLoadRequest { model_name: named("pictures"), ..Default::default() };
    let status = client_with(&place, HttpOptions::default()).repository_model_unload(unload()).await.unwrap_err();
    refused("unload", &status, Code::PermissionDenied, "--allow-control");
    let status = client_with(&place, HttpOptions::default()).repository_model_load(load()).await.unwrap_err();
    refused("load", &status, Code::PermissionDenied, "--allow-control");

    let mut client = client(&place);
    client.repository_model_unload(unload()).await.unwrap();
    let status = client.model_infer(raw(&values(1))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{}", status.message());
    let mut other = load();
    other.parameters.insert(named("config"), Default::default());
    refused("config", &client.repository_model_load(other).await.unwrap_err(), Code::Unimplemented, "not supported");
    client.repository_model_load(load()).await.unwrap();
    assert!(client.model_infer(raw(&values(1))).await.is_ok());
}

#[tokio::test]
async fn health_is_told_as_it_is() {
    let place = Place::with(opening(), HttpOptions::default()).await;
    let router = apps(std::sync::Arc::clone(&place.engine), HttpOptions::default()).unwrap().grpc;
    let mut health = HealthClient::new(router);
    let of = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for service in ["", "inference.GRPCInferenceService", "pictures"] {
        let answer = health.check(of(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    assert_eq!(health.check(of("none")).await.unwrap_err().code(), Code::NotFound);
    let mut watched = health.watch(of("")).await.unwrap().into_inner();
    assert_eq!(watched.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
    place.engine.begin_drain();
    assert_eq!(health.check(of("")).await.unwrap().into_inner().status(), ServingStatus::NotServing);
    assert_eq!(watched.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
}

#[tokio::test]
async fn keys_and_rates_hold_for_grpc_too() {
    let place = Place::new().await;
    let file = place.folder.path().join("keys");
    std::fs::write(&file, "somebody-else 0123456789abcdef0123456789abcdef\n").unwrap();
    let Ok(keys) = homeostat_serve::Keys::open(&file) else { panic!("keys: see the form that `Keys::open` takes") };
    let options = HttpOptions { keys: Some(std::sync::Arc::new(keys)), ..HttpOptions::default() };
    let mut client = client_with(&place, options.clone());
    let status = client.model_infer(raw(&values(1))).await.unwrap_err();
    refused("no key", &status, Code::Unauthenticated, "a key is needed");
    let mut request = Request::new(raw(&values(1)));
    request.metadata_mut().insert("authorization", "Bearer 0123456789abcdef0123456789abcdef".parse().unwrap());
    assert!(client.model_infer(request).await.is_ok());
    let health = HealthClient::new(apps(std::sync::Arc::clone(&place.engine), options).unwrap().grpc);
    let asked = HealthCheckRequest { service: String::new() };
    assert!(health.clone().check(asked).await.is_ok(), "health needs no key");
}

#[test]
fn the_descriptors_name_the_calls_of_the_protocol() {
    let calls = ["ServerLive", "ModelInfer", "ModelStreamInfer", "RepositoryModelUnload", "CudaSharedMemoryRegister"];
    for call in calls {
        assert!(DESCRIPTORS.windows(call.len()).any(|bytes| bytes == call.as_bytes()), "{call}");
    }
}
