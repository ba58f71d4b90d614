//! A server on this machine that does as it is told: each connection plays the next part of a script.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the server does to one request.
#[derive(Clone)]
pub(crate) enum Play {
    /// Serves the bytes, or the range that is asked for, as a good server does.
    Serve,
    /// The same, but stops in the middle, after so many bytes of the body.
    BreakAfter(usize),
    /// The same, but falls silent there.
    SilentAfter(usize),
    /// Serves all, whatever range is asked for.
    IgnoreRange,
    /// Serves all of something else, under another `ETag`.
    Other(Vec<u8>),
    /// Says that there are more bytes than there are.
    LieLength(u64),
    /// Says nothing of the length and sends these bytes, until the connection ends.
    Unsized(Vec<u8>),
    /// Says nothing of the length and sends pieces of so many bytes, one each few milliseconds, for ever.
    Endless(usize),
    /// Answers with a status and a further header line.
    Status(&'static str, String),
}

/// A running server; its thread ends with the test's process.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves `bytes` at every path; each request plays the next of `plays`, and the last one for ever.
    pub(crate) fn start(bytes: &[u8], plays: Vec<Play>) -> Self {
        let bytes = bytes.to_vec();
        Self::choosing(move |_, at| (bytes.clone(), plays[at.min(plays.len() - 1)].clone()))
    }

    /// Serves what is chosen by the path of a request, and by how many there were before it.
    pub(crate) fn choosing(choose: impl Fn(&str, usize) -> (Vec<u8>, Play) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file.bin", listener.local_addr().unwrap());
        let (choose, requests) = (Arc::new(choose), Arc::new(Mutex::new(Vec::new())));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for (at, stream) in listener.incoming().enumerate() {
                let (choose, seen) = (Arc::clone(&choose), Arc::clone(&seen));
                thread::spawn(move || serve(stream.unwrap(), &|path| choose(path, at), &seen));
            }
        });
        Self { url, requests }
    }

    /// What stands before the paths.
    pub(crate) fn endpoint(&self) -> &str {
        self.url.trim_end_matches("/file.bin")
    }

    /// The path of each request so far.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|request| path(request).to_owned()).collect()
    }

    /// The `Range` of each request so far, or nothing.
    pub(crate) fn ranges(&self) -> Vec<String> {
        let range = |request: &String| {
            let line = request.lines().find(|line| line.to_lowercase().starts_with("range:"));
            line.map_or_else(String::new, |line| line["range:".len()..].trim().to_owned())
        };
        self.requests.lock().unwrap().iter().map(range).collect()
    }
}

/// The path in `GET /path HTTP/1.1`.
fn path(request: &str) -> &str {
    request.split(' ').nth(1).unwrap_or_default()
}

fn serve(mut stream: TcpStream, choose: &dyn Fn(&str) -> (Vec<u8>, Play), seen: &Mutex<Vec<String>>) {
    let mut head = String::new();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    while lines.read_line(&mut head).unwrap_or(0) > 2 {}
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with(name));
        line.map(|line| line[name.len()..].trim().to_owned())
    };
    let same = header("if-range:").is_none_or(|etag| etag == "\"one\"");
    let from = header("range:").filter(|_| same).and_then(|range| range[6..].trim_end_matches('-').parse().ok());
    seen.lock().unwrap().push(head.clone());
    let (bytes, play) = choose(path(&head));
    let bytes = bytes.as_slice();
    let whole = |etag: &str, length: usize| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nETag: \"{etag}\"\r\nConnection: close\r\n\r\n")
    };
    let ranged = || match from {
        Some(from) if from >= bytes.len() => ("HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n".to_owned(), bytes.len()),
        Some(from) => {
            let (length, last) = (bytes.len() - from, bytes.len() - 1);
            let range = format!("Content-Range: bytes {from}-{last}/{}\r\nETag: \"one\"", bytes.len());
            (format!("HTTP/1.1 206 Partial\r\nContent-Length: {length}\r\n{range}\r\nConnection: close\r\n\r\n"), from)
        }
        None => (whole("one", bytes.len()), 0),
    };
    // A client that has heard enough hangs up; that is no fault here.
    let mut send =
        |head: &str, body: &[u8]| drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)));
    match &play {
        Play::Serve => {
            let (head, from) = ranged();
            send(&head, &bytes[from..]);
        }
        Play::BreakAfter(count) | Play::SilentAfter(count) => {
            let (head, from) = ranged();
            send(&head, &bytes[from..bytes.len().min(from + count)]);
            if matches!(play, Play::SilentAfter(_)) {
                thread::sleep(Duration::from_secs(20));
            }
        }
        Play::IgnoreRange => send(&whole("one", bytes.len()), bytes),
        Play::Other(other) => send(&whole("two", other.len()), other),
        Play::LieLength(length) => {
            send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"), bytes);
        }
        Play::Endless(piece) => {
            send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", &[]);
            while stream.write_all(&vec![0; *piece]).is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
        }
        Play::Unsized(all) => send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", all),
        Play::Status(status, line) => {
            send(&format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{line}Connection: close\r\n\r\n"), &[]);
        }
    }
}
