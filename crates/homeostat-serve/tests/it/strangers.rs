//! Thousands of strange requests over real sockets, each made by a generator from a key of its own: HTTP, JSON, binary tensors and
//! texts that are wrong in any way that the generator knows, and good ones among them. No answer is a 5xx, none of the server's
//! threads panics, its memory stays bounded, and it answers the good ones all the while.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    panic,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use homeostat_data::Rng;
use homeostat_deploy::WritersConfig;
use homeostat_protocol::Limits;
use homeostat_serve::{HttpOptions, Opening, ServerOptions};
use serde_json::{Value, json};

use crate::{
    lifecycle::{ask, options, start_with},
    place::{infer_body, opening, picture, pictures, texts, values, words},
};

const SEED: u64 = 20_261_129;
const CASES: usize = 4000;
const CLIENTS: usize = 16;
/// What a request may bring, so small that the generator goes beyond it.
const BODY: usize = 64 << 10;
/// How long a client waits for an answer that may never come, where the server waits for the rest of what is announced.
const PATIENCE: Duration = Duration::from_millis(250);

/// What a stranger sends.
struct Case {
    bytes: Vec<u8>,
    /// Whether it is a request that must be answered with 200.
    is_good: bool,
    /// Whether he closes his side behind it.
    hangs_up: bool,
}

struct Draw(Rng);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0.range(0..end.max(1))
    }

    fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn noise(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.0.next_u64().to_le_bytes()[0]).collect()
    }

    /// Any JSON at all.
    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 8 } else { 10 }) {
            0 => Value::Null,
            1 => json!(self.once_in(2)),
            2 => json!(self.below(300)),
            3 => json!(-1 - i64::try_from(self.below(300)).unwrap()),
            4 => json!(self.0.between(-1e3, 1e3)),
            5 => json!(*self.one_of(&[1e300, -1e300, 1e-300, 0.0, 9.3e18])),
            6 => json!(*self.one_of(&["", "image", "FP32", "BYTES", "x", "\u{0}\u{7f}\n\u{2028}", "\u{1f980}", "1"])),
            7 => json!(self.0.next_u64()),
            8 => Value::Array((0..self.below(4)).map(|_| self.value(depth - 1)).collect()),
            _ => {
                let names = ["name", "shape", "datatype", "data", "parameters", "inputs", "text_input", "seed", ""];
                let member = |draw: &mut Self| ((*draw.one_of(&names)).to_owned(), draw.value(depth - 1));
                Value::Object((0..self.below(4)).map(|_| member(self)).collect())
            }
        }
    }

    /// A value of the tree, wherever it lies, becomes another, is lost, or comes twice.
    fn spoil(&mut self, tree: &mut Value) {
        match tree {
            Value::Object(fields) if !fields.is_empty() && !self.once_in(4) => {
                let at = self.below(fields.len());
                let name = fields.keys().nth(at).unwrap().clone();
                match self.below(8) {
                    0 => drop(fields.remove(&name)),
                    1 => {
                        let value = fields.remove(&name).unwrap();
                        fields.insert(format!("{name}s"), value);
                    }
                    _ => self.spoil(&mut fields[&name]),
                }
            }
            Value::Array(items) if !items.is_empty() && !self.once_in(4) => {
                let at = self.below(items.len());
                match self.below(8) {
                    0 => drop(items.remove(at)),
                    1 => items.insert(at, items[at].clone()),
                    _ => self.spoil(&mut items[at]),
                }
            }
            other => *other = self.value(3),
        }
    }

    /// Bytes are changed, lost, doubled, or cut off.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        const TOKENS: [&[u8]; 14] = [
            b"[",
            b"}",
            b",",
            b"\"",
            b"\\u",
            b"\r\n",
            b"\r\n\r\n",
            b":",
            b"\0",
            b"\xff",
            b"-1",
            b"1e99",
            b"null",
            b" ",
        ];
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => {
                    bytes.remove(at);
                }
                2 => {
                    let end = (at + self.below(60)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
                3 if self.once_in(3) => bytes.truncate(at),
                _ => drop(bytes.splice(at..at, self.one_of(&TOKENS).iter().copied())),
            }
        }
    }

    fn packed(&mut self, body: &[u8]) -> (&'static str, Vec<u8>) {
        let level = flate2::Compression::fast();
        if self.once_in(2) {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), level);
            writer.write_all(body).unwrap();
            return ("gzip", writer.finish().unwrap());
        }
        let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), level);
        writer.write_all(body).unwrap();
        ("deflate", writer.finish().unwrap())
    }
}

/// A request in its parts, good as it stands.
struct Parts {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// How HTTP/2 begins: a line that no older server takes, and settings without a value.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const INFER: &str = "/v2/models/pictures/infer";

/// One of the good requests.
fn good(draw: &mut Draw) -> Parts {
    let post = |path: &str, body: Vec<u8>| Parts { method: "POST", path: path.to_owned(), headers: Vec::new(), body };
    let tree = |draw: &mut Draw| {
        let mut tree = infer_body(&values(1 + draw.below(3)));
        if draw.once_in(2) {
            tree["id"] = json!("a");
            tree["outputs"] =
                json!([{ "name": "probabilities", "parameters": { "classification": 1 + draw.below(3) } }]);
        }
        tree
    };
    match draw.below(9) {
        0 | 1 => post(INFER, tree(draw).to_string().into_bytes()),
        2 => {
            let floats: Vec<u8> = values(2).iter().flat_map(|value| value.to_le_bytes()).collect();
            let mut tree = infer_body(&values(2));
            tree["inputs"][0].as_object_mut().unwrap().remove("data");
            tree["inputs"][0]["parameters"] = json!({ "binary_data_size": floats.len() });
            let head = tree.to_string();
            let length = ("inference-header-content-length", head.len().to_string());
            Parts { headers: vec![length], ..post(INFER, [head.as_bytes(), &floats].concat()) }
        }
        3 => {
            let floats = values(1).iter().flat_map(|value| value.to_le_bytes()).collect();
            Parts { headers: vec![("inference-header-content-length", "0".to_owned())], ..post(INFER, floats) }
        }
        4 => {
            let plain = tree(draw).to_string();
            let (coding, body) = draw.packed(plain.as_bytes());
            Parts { headers: vec![("content-encoding", coding.to_owned())], ..post(INFER, body) }
        }
        5 => post("/predict/pictures", picture(draw.below(5) as u64)),
        6 => {
            let text =
                json!({ "inputs": [{ "name": "text", "shape": [1, 1], "datatype": "BYTES", "data": ["the cat"] }] });
            post("/v2/models/texts/infer", text.to_string().into_bytes())
        }
        7 => {
            let path =
                *draw.one_of(&["/v2", "/v2/models/texts", "/v2/models/pictures/config", "/v2/models/stats", "/"]);
            Parts { method: "GET", ..post(path, Vec::new()) }
        }
        _ => {
            let parameters =
                json!({ "max_tokens": 1 + draw.below(8), "temperature": 1.0, "top_k": 3, "seed": draw.below(9) });
            let text = json!({ "text_input": "the cat", "parameters": parameters });
            let path = *draw.one_of(&["/v2/models/words/generate", "/v2/models/words/generate_stream"]);
            post(path, text.to_string().into_bytes())
        }
    }
}

/// As it goes over the wire; `length` in the place of the body's.
fn written(parts: &Parts, length: Option<&str>) -> Vec<u8> {
    let Parts { method, path, headers, body } = parts;
    let own = body.len().to_string();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = length.unwrap_or(&own);
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// The case of a key.
fn case(number: usize) -> Case {
    let mut draw = Draw(Rng::keyed(SEED, [number as u64, 0, 0]));
    let draw = &mut draw;
    let mut parts = good(draw);
    let is_text = parts.path.contains("words");
    let mut length = None;
    let mut wire = None;
    match draw.below(16) {
        // As it is: a text may find no place, where as many as may are being written.
        0..3 => return Case { bytes: written(&parts, None), is_good: !is_text, hangs_up: false },
        3..7 => {
            if let Ok(mut tree) = serde_json::from_slice::<Value>(&parts.body) {
                (0..=draw.below(3)).for_each(|_| draw.spoil(&mut tree));
                parts.body = tree.to_string().into_bytes();
            } else {
                draw.damage(&mut parts.body);
            }
        }
        7 | 8 => draw.damage(&mut parts.body),
        9 => {
            let lengths = ["0", "-1", "99999999999", "18446744073709551616", "x", "", "1", "7", "50", "+3", "0x1"];
            parts.headers.retain(|(name, _)| *name != "inference-header-content-length");
            parts.headers.push(("inference-header-content-length", (*draw.one_of(&lengths)).to_owned()));
        }
        10 => length = Some(*draw.one_of(&["-1", "99999999", "18446744073709551617", "", "1", "3, 4", "x", "70000"])),
        11 => {
            let name = *draw.one_of(&[
                "content-encoding",
                "transfer-encoding",
                "content-length",
                "authorization",
                "expect",
                "upgrade",
                "accept-encoding",
                "x-request-id",
                "traceparent",
                "content-type",
            ]);
            let value = *draw.one_of(&[
                "gzip",
                "deflate",
                "br",
                "chunked",
                "chunked, gzip",
                "identity",
                "0",
                "17",
                "Bearer x",
                "100-continue",
                "h2c",
                "gzip;q=x",
                "multipart/form-data; boundary=x",
                "text/plain",
                "\u{e4}",
                "a\tb",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ]);
            (0..=draw.below(3)).for_each(|_| parts.headers.push((name, value.to_owned())));
        }
        12 => {
            parts.path = match draw.below(8) {
                0 => "/v2/models/%00/infer".to_owned(),
                1 => format!("/v2/models/{}/infer", "x".repeat(draw.below(70_000))),
                2 => "/v2/models/pictures/versions/99999999999999999999/infer".to_owned(),
                3 => "/v2/repository/models/../load".to_owned(),
                4 => "/v2/systemsharedmemory/region/a/register".to_owned(),
                5 => "http://other/v2".to_owned(),
                6 => String::from_utf8_lossy(&draw.noise(40)).replace(['\r', '\n', ' '], "%"),
                _ => "/predict/pictures?top=99999999999999999999&version=%ff".to_owned(),
            };
            parts.method = *draw.one_of(&["GET", "POST", "PUT", "DELETE", "HEAD", "CONNECT", "BREW", "get", ""]);
        }
        13 => {
            // In chunks, which may lie.
            let mut chunks = Vec::new();
            for chunk in parts.body.chunks(1 + draw.below(400)) {
                let size = if draw.once_in(6) { draw.below(3000) } else { chunk.len() };
                chunks.extend(format!("{size:x}\r\n").into_bytes());
                chunks.extend_from_slice(chunk);
                chunks.extend(b"\r\n");
            }
            let end: &[u8] =
                draw.one_of(&["0\r\n\r\n", "0\r\na: b\r\n\r\n", "0", "-1\r\n", "fffffffffffffffff\r\n"]).as_bytes();
            chunks.extend_from_slice(end);
            let text = String::from_utf8(written(&Parts { body: Vec::new(), ..parts }, None)).unwrap();
            let head = text.replace("content-length: 0", "transfer-encoding: chunked");
            wire = Some([head.as_bytes(), &chunks].concat());
            parts = good(draw);
        }
        14 => {
            // What unpacks to more than may be, is deeper than may be, or no pack at all.
            let plain = match draw.below(3) {
                0 => vec![b' '; 4 * BODY],
                1 => b"[".repeat(BODY / 2),
                _ => draw.noise(500),
            };
            let (coding, mut packed) = draw.packed(&plain);
            if draw.once_in(3) {
                draw.damage(&mut packed);
            }
            parts.headers.push(("content-encoding", coding.to_owned()));
            parts.body = packed;
        }
        _ => wire = Some(draw.noise(600)),
    }
    let mut bytes = wire.unwrap_or_else(|| written(&parts, length));
    if draw.once_in(5) {
        draw.damage(&mut bytes);
    }
    Case { bytes, is_good: false, hangs_up: draw.once_in(3) }
}

/// All that comes back.
fn send(address: SocketAddr, case: &Case) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(if case.is_good { Duration::from_secs(60) } else { PATIENCE })).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    // The server may have had enough before the end.
    let _ = stream.write_all(&case.bytes);
    if case.hangs_up {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..count]);
    }
    answer
}

/// The status of each answer.
fn statuses(answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    let status = |(at, _): (usize, &str)| text.get(at + 9..at + 12)?.parse().ok();
    text.match_indices("HTTP/1.1 ").filter_map(status).collect()
}

fn check(number: usize, case: &Case, answer: &[u8]) {
    let shown = || {
        format!("case {number}: {:?} -> {:?}", case.bytes.escape_ascii().to_string(), answer.escape_ascii().to_string())
    };
    let statuses = statuses(answer);
    assert!(statuses.iter().all(|status| (100..500).contains(status)), "{}", shown());
    if case.is_good {
        assert_eq!(statuses, [200], "{}", shown());
    }
    // What our part of the server refuses, it refuses in one line.
    let body = answer.windows(4).position(|end| end == b"\r\n\r\n").map_or(&[][..], |at| &answer[at + 4..]);
    if statuses.len() == 1 && statuses[0] >= 400 && !body.is_empty() {
        let error: Value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error} {}", shown()));
        let line = error["error"].as_str().unwrap();
        assert!(!line.chars().any(char::is_control) && line.len() < 400, "{}", shown());
    }
}

/// Kilobytes of this process that are resident.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse().unwrap()
}

/// Counts the panics of threads that belong to a server.
fn count_panics() -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let (counter, before) = (Arc::clone(&count), panic::take_hook());
    panic::set_hook(Box::new(move |about| {
        let thread = thread::current();
        let name = thread.name().unwrap_or_default();
        if ["serve", "instance", "writer", "watchdog"].contains(&name) || name.starts_with("compute-") {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        before(about);
    }));
    count
}

#[test]
fn thousands_of_strange_requests_are_nobody_elses_trouble() {
    let panics = count_panics();
    let limits = Limits { body: BODY, ..Limits::default() };
    let requests = HttpOptions { limits, memory: 64 * BODY, ..HttpOptions::default() };
    let options = ServerOptions { requests, ..options() };
    let models = [("pictures", pictures(1)), ("texts", texts(1)), ("words", words(1))];
    let writers = WritersConfig { threads: 1, most_tokens: 50, ..WritersConfig::default() };
    let server = start_with(&models, Opening { writers, ..opening() }, options);

    let before = resident();
    let next = AtomicUsize::new(0);
    let (answered, refused, most) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= CASES {
                        break;
                    }
                    let case = case(number);
                    // What is no HTTP at all comes to the other doors, too.
                    if number.is_multiple_of(16) {
                        let other = |bytes: Vec<u8>| Case { bytes, is_good: false, hangs_up: true };
                        send(server.grpc, &other([PREFACE, &case.bytes[..]].concat()));
                        send(server.metrics, &other(case.bytes));
                        continue;
                    }
                    let answer = send(server.http, &case);
                    check(number, &case, &answer);
                    let statuses = statuses(&answer);
                    answered.fetch_add(usize::from(statuses.contains(&200)), Ordering::Relaxed);
                    refused.fetch_add(usize::from(statuses.iter().any(|status| *status >= 400)), Ordering::Relaxed);
                    if number % 64 == 1 {
                        most.fetch_max(resident(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    // Both kinds were there in numbers, or the generator is not what it was.
    let (answered, refused) = (answered.into_inner(), refused.into_inner());
    assert!(answered > CASES / 8 && refused > CASES / 4, "{answered} answered, {refused} refused");
    let grown = most.into_inner().saturating_sub(before);
    assert!(grown < 200 << 10, "{grown} KiB more than before");
    assert_eq!(panics.load(Ordering::SeqCst), 0);

    // As well as at the beginning, through each door.
    let body = infer_body(&values(1)).to_string();
    let good = format!(
        "POST {INFER} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(ask(server.http, &good).0, 200);
    let (status, metrics) = ask(server.metrics, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert_eq!(status, 200);
    assert!(!metrics.contains("reason=\"failed\""), "{metrics}");
    assert!(
        metrics.lines().all(|line| !line.starts_with("homeostat_instances_replaced_total") || line.ends_with(" 0"))
    );
    let begun = Instant::now();
    while server.engine.in_flight() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{} are still in flight", server.engine.in_flight());
        thread::sleep(Duration::from_millis(5));
    }
    let settings = send(server.grpc, &Case { bytes: PREFACE.to_vec(), is_good: false, hangs_up: false });
    assert_eq!(settings.get(3), Some(&4), "HTTP/2 begins with settings: {}", settings.escape_ascii());
    server.end();
}
