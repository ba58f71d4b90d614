//! What a collector of OpenTelemetry gets: read off the wire by the numbers of OTLP, with nothing of the server's own messages.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, SystemTime},
};

use homeostat_serve::{
    Apps, Collector, HttpOptions, ServerOptions, apps,
    grpc::messages::{
        ModelInferRequest, grpc_inference_service_client::GrpcInferenceServiceClient as Client,
        model_infer_request::InferInputTensor,
    },
};
use hyper::Method;
use serde_json::json;

use crate::{
    lifecycle::{ask, options, start},
    place::{Place, infer_body, opening, pictures, values, words},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const INFER: &str = "/v2/models/pictures/infer";

/// A span as it came.
#[derive(Debug, Default)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: u64,
    begun: u64,
    ended: u64,
    attributes: BTreeMap<String, String>,
    /// The code of its status, where it has one.
    status: Option<u64>,
}

/// The value of a field: a number, or bytes.
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

/// The fields of a message of protocol buffers, in their order.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (&byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
        let (taken, rest) = bytes.split_at(count);
        *bytes = rest;
        taken
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => Field::Number(u64::from_le_bytes(take(&mut bytes, 8).try_into().unwrap())),
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                Field::Bytes(take(&mut bytes, length).to_vec())
            }
            5 => Field::Number(u32::from_le_bytes(take(&mut bytes, 4).try_into().unwrap()).into()),
            other => panic!("wire type {other}"),
        };
        fields.push((key >> 3, field));
    }
    fields
}

/// The messages in a field.
fn messages(bytes: &[u8], number: u64) -> Vec<Vec<u8>> {
    let inside = |(found, field)| match field {
        Field::Bytes(bytes) if found == number => Some(bytes),
        _ => None,
    };
    fields(bytes).into_iter().filter_map(inside).collect()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// `KeyValue { key = 1, value = 2: AnyValue { string_value = 1 | int_value = 3 } }`
fn attribute(bytes: &[u8]) -> (String, String) {
    let value = fields(&messages(bytes, 2)[0]).remove(0);
    let value = match value {
        (1, Field::Bytes(bytes)) => text(bytes),
        (3, Field::Number(number)) => number.to_string(),
        (number, _) => panic!("a value of the kind {number}"),
    };
    (text(messages(bytes, 1).remove(0)), value)
}

/// `Span`
fn span(bytes: &[u8]) -> Span {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut span = Span::default();
    for field in fields(bytes) {
        match field {
            (1, Field::Bytes(bytes)) => span.trace = hex(bytes),
            (2, Field::Bytes(bytes)) => span.id = hex(bytes),
            (4, Field::Bytes(bytes)) => span.parent = hex(bytes),
            (5, Field::Bytes(bytes)) => span.name = text(bytes),
            (6, Field::Number(kind)) => span.kind = kind,
            (7, Field::Number(nanos)) => span.begun = nanos,
            (8, Field::Number(nanos)) => span.ended = nanos,
            (9, Field::Bytes(bytes)) => drop(span.attributes.insert(attribute(&bytes).0, attribute(&bytes).1)),
            (15, Field::Bytes(bytes)) => {
                let code = fields(&bytes).into_iter().find(|(number, _)| *number == 3);
                span.status = code.map(|(_, code)| if let Field::Number(code) = code { code } else { 0 });
            }
            (16, Field::Number(flags)) => assert_eq!(flags & 1, 1),
            (number, _) => panic!("a span has no field {number}"),
        }
    }
    assert_eq!((span.trace.len(), span.id.len()), (32, 16));
    span
}

/// Takes messages by HTTP, one a connection, and hands their spans over.
fn collector() -> (Collector, Receiver<Span>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let head: Vec<String> =
                reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            assert_eq!(head[0], "POST /v1/traces HTTP/1.1");
            assert!(head.contains(&"content-type: application/x-protobuf".to_owned()), "{head:?}");
            let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            // `ExportTraceServiceRequest.resource_spans = 1`, of which `resource = 1`, `scope_spans = 2`, of which `spans = 2`.
            for resource_spans in messages(&body, 1) {
                let about: BTreeMap<_, _> =
                    messages(&messages(&resource_spans, 1)[0], 1).iter().map(|bytes| attribute(bytes)).collect();
                assert_eq!(about["service.name"], "homeostat");
                for spans in messages(&resource_spans, 2) {
                    for bytes in messages(&spans, 2) {
                        if sender.send(span(&bytes)).is_err() {
                            return;
                        }
                    }
                }
            }
        }
    });
    (format!("http://{address}").parse().unwrap(), receiver)
}

/// The next spans of the server, so many.
fn spans(receiver: &Receiver<Span>, count: usize) -> Vec<Span> {
    (0..count).map(|_| receiver.recv_timeout(Duration::from_secs(20)).unwrap()).collect()
}

struct Watched {
    place: Place,
    apps: Apps,
    spans: Receiver<Span>,
}

async fn watched() -> Watched {
    let (collector, spans) = collector();
    let models = [("pictures", pictures(1)), ("words", words(1))];
    let options = HttpOptions { traces: Some(collector), ..HttpOptions::default() };
    let place = Place::of(&models, opening(), HttpOptions::default()).await;
    let apps = apps(place.engine.clone(), options).unwrap();
    Watched { place: Place { router: apps.http.clone(), ..place }, apps, spans }
}

/// A request's span, and those of its phases, which lie within it one behind the other.
fn check(spans: &[Span], phases: &[&str]) {
    let (whole, parts) = spans.split_first().unwrap();
    assert_eq!(whole.kind, 2, "a server's");
    assert_eq!(parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), phases);
    assert!(parts.iter().all(|part| part.trace == whole.trace && part.parent == whole.id && part.kind == 1));
    let mut at = whole.begun;
    for part in parts {
        assert!(at <= part.begun && part.begun <= part.ended, "{spans:?}");
        at = part.ended;
    }
    assert!(at <= whole.ended, "{spans:?}");
    let now = u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    assert!(whole.ended <= now + 1_000_000_000 && now - whole.begun < 60_000_000_000, "{whole:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_a_span_with_its_phases_under_the_callers_trace() {
    let Watched { place, spans, .. } = watched().await;
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("traceparent", parent.as_str()), ("x-request-id", "mine-7")];
    place.ask(Method::POST, INFER, &headers, infer_body(&values(2)).to_string()).await.json(200);
    let found = self::spans(&spans, 5);
    check(&found, &["queue", "prepare", "compute", "respond"]);
    let whole = &found[0];
    assert_eq!((whole.trace.as_str(), whole.parent.as_str()), (TRACE, PARENT));
    assert_eq!((whole.name.as_str(), whole.status), ("POST /v2/models/{model}/infer", None));
    let wanted = [
        ("homeostat.batch", "2"),
        ("homeostat.model", "pictures"),
        ("homeostat.request", "mine-7"),
        ("homeostat.version", "1"),
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("url.path", INFER),
    ];
    assert_eq!(whole.attributes, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).into());

    // What is refused is a span, too, without phases; and without a caller's trace each has its own.
    place.post(INFER, "{").await.error(400);
    place.get("/v2").await.json(200);
    let found = self::spans(&spans, 2);
    assert_eq!(found[0].attributes["http.response.status_code"], "400");
    assert_eq!(found[1].name, "GET /v2");
    assert!(found.iter().all(|span| span.parent.is_empty() && span.trace != "0".repeat(32)));
    assert_ne!(found[0].trace, found[1].trace);

    // A trace that the caller does not keep is not kept here; a header that is none counts as not there.
    let lost = format!("00-{TRACE}-{PARENT}-00");
    place.ask(Method::GET, "/v2", &[("traceparent", &lost)], "").await.json(200);
    place.ask(Method::GET, "/v2/models/words", &[("traceparent", "00-x-y-01")], "").await.json(200);
    let found = self::spans(&spans, 1);
    assert_eq!((found[0].name.as_str(), found[0].parent.as_str()), ("GET /v2/models/{model}", ""));
    assert_eq!(spans.recv_timeout(Duration::from_millis(1500)).unwrap_err(), RecvTimeoutError::Timeout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_a_span_until_its_last_piece() {
    let Watched { place, spans, .. } = watched().await;
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let body = json!({ "text_input": "the cat", "max_tokens": 9 }).to_string();
    for path in ["generate", "generate_stream"] {
        let path = format!("/v2/models/words/{path}");
        assert_eq!(place.ask(Method::POST, &path, &[("traceparent", &parent)], body.clone()).await.status, 200);
        let found = self::spans(&spans, 4);
        check(&found, &["queue", "prepare", "compute"]);
        assert_eq!(found[0].trace, TRACE);
        assert_eq!(
            (found[0].attributes["homeostat.tokens"].as_str(), found[0].attributes["homeostat.model"].as_str()),
            ("9", "words")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_grpc_is_a_span_too() {
    let Watched { apps, spans, place } = watched().await;
    let mut client = Client::new(apps.grpc.clone());
    let mut message = ModelInferRequest {
        model_name: "pictures".to_owned(),
        inputs: vec![InferInputTensor {
            name: "image".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![1, 3, 2, 3],
            ..InferInputTensor::default()
        }],
        ..ModelInferRequest::default()
    };
    message.raw_input_contents =
        vec![values(1).iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>().into()];
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("traceparent", format!("00-{TRACE}-{PARENT}-01").parse().unwrap());
    client.model_infer(request).await.unwrap();
    let found = self::spans(&spans, 5);
    check(&found, &["queue", "prepare", "compute", "respond"]);
    let whole = &found[0];
    assert_eq!((whole.trace.as_str(), whole.parent.as_str()), (TRACE, PARENT));
    assert_eq!(whole.name, "inference.GRPCInferenceService/ModelInfer");
    assert_eq!(whole.attributes["homeostat.model"], "pictures");
    drop(place);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_costs_spans_and_nothing_else() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let collector = format!("http://{}", nobody.local_addr().unwrap()).parse().unwrap();
    drop(nobody);
    let place = Place::with(opening(), HttpOptions::default()).await;
    let apps = apps(place.engine.clone(), HttpOptions { traces: Some(collector), ..HttpOptions::default() }).unwrap();
    let place = Place { router: apps.http.clone(), ..place };
    place.post(INFER, infer_body(&values(1)).to_string()).await.json(200);
    apps.flush().await;
    assert!(place.engine.metrics_text().contains("homeostat_dropped_spans_total 5"), "{}", place.engine.metrics_text());
    place.post(INFER, infer_body(&values(1)).to_string()).await.json(200);
}

#[test]
fn the_last_spans_are_sent_before_the_end() {
    let (collector, spans) = collector();
    let requests = HttpOptions { traces: Some(collector), ..HttpOptions::default() };
    let server = start(ServerOptions { requests, pre_stop: Duration::ZERO, ..options() });
    let http: SocketAddr = server.http;
    let body = infer_body(&values(1)).to_string();
    let head = format!("POST {INFER} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    assert_eq!(ask(http, &format!("{head}traceparent: 00-{TRACE}-{PARENT}-01\r\n\r\n{body}")).0, 200);
    server.end();
    check(&self::spans(&spans, 5), &["queue", "prepare", "compute", "respond"]);
    assert!(TcpStream::connect(http).is_err());
}
