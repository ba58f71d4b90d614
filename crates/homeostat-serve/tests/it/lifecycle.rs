//! From the first connection to the last answer, over real sockets.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use homeostat_artifact::Parts;
use homeostat_protocol::VersionPolicy;
use homeostat_serve::{Addresses, Engine, HttpOptions, Opening, ServerOptions, Source, serve};
use tempfile::TempDir;

use crate::place::{infer_body, opening, pictures, published, values};

/// A server on free ports, in a thread of its own.
pub(crate) struct Running {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) metrics: SocketAddr,
    control: Option<SocketAddr>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
    _folder: TempDir,
}

pub(crate) fn options() -> ServerOptions {
    ServerOptions {
        http: SocketAddr::from(([127, 0, 0, 1], 0)),
        grpc: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        metrics: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        pre_stop: Duration::from_millis(300),
        ..ServerOptions::default()
    }
}

pub(crate) fn start(options: ServerOptions) -> Running {
    start_with(&[("pictures", pictures(1))], opening(), options)
}

pub(crate) fn start_with(models: &[(&str, Parts)], opening: Opening, options: ServerOptions) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(published(folder.path(), models), opening);
    let watched = Arc::clone(&engine);
    let stop = Arc::new(AtomicBool::new(false));
    let (told, heard) = std::sync::mpsc::channel();
    let of_thread = Arc::clone(&stop);
    let thread = thread::spawn(move || {
        serve(engine, options, true, |addresses| told.send(addresses).unwrap(), &of_thread).unwrap();
    });
    let Addresses { http, grpc, metrics, control } = heard.recv().unwrap();
    let (grpc, metrics) = (grpc.unwrap(), metrics.unwrap());
    let begun = Instant::now();
    while !watched.is_ready() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(5));
    }
    Running { http, grpc, metrics, control, engine: watched, stop, thread, _folder: folder }
}

impl Running {
    /// Stops it, and waits for its end.
    pub(crate) fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// One request on a connection of its own: status and body.
pub(crate) fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()))
}

fn infer() -> String {
    let body = infer_body(&values(1)).to_string();
    format!("POST /v2/models/pictures/infer HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Reads one answer off a connection that stays: its status, and whether the server wishes to close it; nothing at its end.
fn read_answer(stream: &mut TcpStream) -> Option<(u16, bool)> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length: usize = head.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((head.split(' ').nth(1)?.parse().unwrap(), head.contains("connection: close")))
}

#[test]
fn the_end_loses_no_request_that_was_taken() {
    let server = start(options());
    let (sent, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..6)
        .map(|_| {
            let (http, sent, answered) = (server.http, Arc::clone(&sent), Arc::clone(&answered));
            thread::spawn(move || {
                // As a client that does what it is told: who is asked to close the connection does so and comes anew.
                while let Ok(mut stream) = TcpStream::connect(http) {
                    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                    loop {
                        // What was never written was never taken.
                        if stream.write_all(infer().as_bytes()).is_err() {
                            break;
                        }
                        sent.fetch_add(1, Ordering::Relaxed);
                        match read_answer(&mut stream) {
                            Some((status, is_last)) => {
                                assert_eq!(status, 200);
                                answered.fetch_add(1, Ordering::Relaxed);
                                if is_last {
                                    break;
                                }
                            }
                            None => {
                                // Sent into a connection that had been closed meanwhile.
                                sent.fetch_sub(1, Ordering::Relaxed);
                                break;
                            }
                        }
                    }
                }
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(400));
    server.stop.store(true, Ordering::Relaxed);
    thread::sleep(Duration::from_millis(100));
    // Not ready, but as alive as before.
    let (status, _) = ask(server.http, "GET /v2/health/ready HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(status, 503);
    let (status, _) = ask(server.http, "GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(status, 200);
    server.thread.join().unwrap();
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(answered.load(Ordering::Relaxed) > 100, "{answered:?}");
    assert_eq!(sent.load(Ordering::Relaxed), answered.load(Ordering::Relaxed));
    assert!(TcpStream::connect(server.http).is_err());
}

#[test]
fn metrics_have_a_door_of_their_own() {
    let server = start(options());
    let close = "HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert_eq!(ask(server.http, &format!("GET /metrics {close}")).0, 404);
    let (status, text) = ask(server.metrics, &format!("GET /metrics {close}"));
    assert_eq!(status, 200);
    assert!(text.contains("# TYPE homeostat_request_duration_seconds histogram"), "{text}");
    assert!(text.contains("process_resident_memory_bytes "));
    assert_eq!(ask(server.metrics, &format!("GET /v2 {close}")).0, 404);
    server.end();
}

#[test]
fn control_has_a_door_of_its_own_where_it_was_asked_for() {
    let any = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = start(ServerOptions { control: any, ..options() });
    let control = server.control.unwrap();
    let post = |address, verb: &str| {
        let path = format!("/v2/repository/models/pictures/{verb}");
        ask(address, &format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")).0
    };
    assert_eq!((post(server.http, "unload"), post(server.metrics, "unload")), (403, 404));
    assert_eq!((post(control, "unload"), post(control, "load")), (200, 200));
    server.end();
    assert!(TcpStream::connect(control).is_err());
    let server = start(options());
    assert!(server.control.is_none(), "off by default");
    server.end();
}

/// Half a request, a byte now and then, and connections that say nothing: others are answered as ever.
#[test]
fn slow_clients_hold_nobody_up() {
    let requests = HttpOptions { body_time: Duration::from_millis(300), ..HttpOptions::default() };
    let server = start(ServerOptions { requests, head_time: Duration::from_millis(400), ..options() });
    let silent: Vec<_> = (0..100).map(|_| TcpStream::connect(server.http).unwrap()).collect();
    let mut half = TcpStream::connect(server.http).unwrap();
    half.write_all(&infer().as_bytes()[..200]).unwrap();
    half.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(server.http).unwrap();
        stream.write_all(infer().as_bytes()).unwrap();
        assert_eq!(read_answer(&mut stream).unwrap().0, 200);
    }
    assert_eq!(read_answer(&mut half), Some((408, true)));
    // Who says nothing is let go.
    thread::sleep(Duration::from_millis(500));
    for mut stream in silent {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
    }
    server.end();
}

#[test]
fn what_is_no_http_and_who_hangs_up_change_nothing() {
    let server = start(options());
    for bytes in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"GET",
        b"\0\0\0\0",
        b"POST /v2/models/pictures/infer HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.http).unwrap();
        stream.write_all(bytes).unwrap();
        drop(stream);
    }
    for _ in 0..20 {
        // Gone before the answer.
        TcpStream::connect(server.http).unwrap().write_all(infer().as_bytes()).unwrap();
    }
    let mut stream = TcpStream::connect(server.http).unwrap();
    stream.write_all(infer().as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().0, 200);
    server.end();
}

#[test]
fn a_model_that_cannot_be_loaded_ends_the_server() {
    let source = Source::named([("none".to_owned(), "no/such/folder".into())]).unwrap();
    let listening: fn(Addresses) = |_| panic!("it does not serve");
    let error = serve(Engine::new(source, opening()), options(), true, listening, &AtomicBool::new(false)).unwrap_err();
    assert!(error.to_string().contains("`none`") && !error.to_string().contains('\n'), "{error}");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let options = ServerOptions { http: taken.local_addr().unwrap(), ..options() };
    let source = Source::named([]).unwrap();
    let error = serve(Engine::new(source, opening()), options, true, |_| {}, &AtomicBool::new(false)).unwrap_err();
    assert!(error.to_string().contains(&format!("{} (--http): ", taken.local_addr().unwrap())), "{error}");
    assert!(error.to_string().contains("another program has it: choose another port"), "{error}");
}

#[test]
fn a_repository_without_a_model_is_refused_unless_one_can_come() {
    let folder = tempfile::tempdir().unwrap();
    for (made, said) in [("", "no model in the repository"), ("cats", "the model `cats`")] {
        std::fs::create_dir_all(folder.path().join(made)).unwrap();
        let engine = || Engine::new(Source::repository(folder.path(), VersionPolicy::default()).unwrap(), opening());
        let stop = AtomicBool::new(false);
        let error = serve(engine(), options(), false, |_| {}, &stop).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("--poll") && !error.contains('\n'), "{error}");
        let polled = ServerOptions { poll: Some(Duration::from_secs(60)), ..options() };
        serve(engine(), polled, false, |_| stop.store(true, Ordering::Relaxed), &stop).unwrap();
    }
}
