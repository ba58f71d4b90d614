//! `homeostat serve`, from its first line to its exit code.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::place::{Place, copy, says, text};

/// A server on free ports.
pub(crate) struct Served {
    child: Child,
    http: String,
    metrics: String,
}

fn serve(words: &[&str]) -> Served {
    serve_in(Place::with_run(), words)
}

pub(crate) fn serve_in(place: &Place, words: &[&str]) -> Served {
    let ports = ["--http", "127.0.0.1:0", "--grpc", "off", "--metrics", "127.0.0.1:0", "--pre-stop", "0.1"];
    let mut command = place.command(&[&["serve"], &ports[..], words].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut address = |name: &str| {
        let line = lines.next().unwrap().unwrap();
        assert!(line.starts_with(name), "{line}");
        line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned()
    };
    let served = Served { http: address("http"), metrics: address("metrics"), child };
    let begun = Instant::now();
    while served.ask("GET", "/v2/health/ready", b"").0 != 200 {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(10));
    }
    served
}

impl Served {
    pub(crate) fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        ask(&self.http, method, path, body)
    }

    /// Stops it by a signal, and gives its exit code.
    pub(crate) fn stop(mut self, signal: &str) -> Option<i32> {
        self.tell(&[signal]);
        self.child.wait().unwrap().code()
    }

    /// Sends it signals, one right after the other.
    fn tell(&self, signals: &[&str]) {
        let kills: Vec<String> = signals.iter().map(|signal| format!("kill -{signal} {}", self.child.id())).collect();
        assert!(Command::new("sh").args(["-c", &kills.join("; ")]).status().unwrap().success());
    }
}

fn ask(address: &str, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn a_run_is_served_until_it_is_told_to_stop() {
    let place = Place::with_run();
    // A copy goes by the same name.
    copy(&place.path("runs/latest"), &place.path("rel/x/prod"));
    for (signal, run) in [("TERM", "runs/latest"), ("INT", "rel/x/prod")] {
        let served = serve(&[run]);
        let picture = std::fs::read(place.path("pictures/b.png")).unwrap();
        let (status, answer) = served.ask("POST", "/predict/digits?top=10", &picture);
        assert_eq!(status, 200, "{answer}");
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        // As `predict` answers.
        let wanted = &place.json(&["predict", "runs/latest", "pictures/b.png", "--format", "jsonl", "--top", "10"])[0];
        let found = &answer["predictions"][0];
        assert_eq!((&found["label"], &answer["version"]), (&wanted["label"], &"1".into()));
        for of in found["top"].as_array().unwrap() {
            let wanted = wanted["top"][of["label"].as_str().unwrap()].as_f64().unwrap();
            assert!((of["probability"].as_f64().unwrap() - wanted).abs() < 1e-5);
        }
        let (status, metrics) = ask(&served.metrics, "GET", "/metrics", b"");
        assert_eq!(status, 200);
        says(&metrics, &["homeostat_model_ready{model=\"digits\",version=\"1\"} 1"]);
        says(&served.ask("POST", "/v2/repository/models/digits/unload", b"").1, &["--allow-control"]);
        assert_eq!(served.stop(signal), Some(0));
    }
}

#[test]
fn signals_that_come_together_are_one_and_a_later_one_ends_at_once() {
    let mut served = serve(&["runs/latest"]);
    served.tell(&["TERM", "INT"]);
    assert_eq!(served.child.wait().unwrap().code(), Some(0));

    let served = serve(&["runs/latest"]);
    // A body that does not come to its end is waited for.
    let mut stream = TcpStream::connect(&served.http).unwrap();
    stream.write_all(b"POST /predict/digits HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf").unwrap();
    served.tell(&["TERM"]);
    std::thread::sleep(Duration::from_millis(800));
    assert_eq!(served.stop("TERM"), Some(130));
}

#[test]
fn a_repository_is_served_by_the_names_of_its_folders() {
    let place = Place::with_run();
    let version = place.path("models/numbers/3");
    let _ = std::fs::remove_dir_all(place.path("models"));
    std::fs::create_dir_all(version.join("golden")).unwrap();
    let artifact = place.path("runs/latest/artifact");
    for entry in ["", "golden"] {
        for file in std::fs::read_dir(artifact.join(entry)).unwrap().map(Result::unwrap) {
            if file.path().is_file() {
                std::fs::copy(file.path(), version.join(entry).join(file.file_name())).unwrap();
            }
        }
    }
    let served = serve(&["--repository", "models", "--versions", "3", "--allow-control", "--instances", "2"]);
    says(&served.ask("GET", "/v2/models/numbers", b"").1, &["\"versions\":[\"3\"]"]);
    assert_eq!(served.ask("POST", "/v2/repository/models/numbers/unload", b"").0, 200);
    assert_eq!(served.ask("GET", "/v2/models/numbers/ready", b"").0, 503);
    assert_eq!(served.stop("TERM"), Some(0));
}

#[test]
fn what_cannot_be_served_is_refused_in_one_line() {
    let place = Place::with_run();
    place.write("keys", "ann short\n");
    for (words, said) in [
        (&["none"][..], "error: none: there is no such folder\n"),
        (&["runs/latest", "--versions", "all"], "--repository"),
        (&["--repository", "none"], "none: there is no such folder"),
        (&["--repository", "runs", "--versions", "some"], "--versions some: give latest"),
        (&["a/b=runs/latest"], "`a/b` is no name of a model"),
        (&["runs/latest", "--canary", "digits:2"], "MODEL:VERSION=PERCENT"),
        (&["runs/latest", "--shadow", "none:2"], "no model `none`"),
        (&["runs/latest", "--shadow", "digits:2"], "`digits` has no version 2"),
        (&["runs/latest", "--canary", "digits:2=50"], "`digits` has no version 2"),
        (&["runs/latest", "--http", "8000"], "--http 8000: give an address such as 127.0.0.1:8000\n"),
        (&["runs/latest", "--http", ":8000"], "--http :8000: give an address such as 127.0.0.1:8000\n"),
        (&["runs/latest", "--longest-wait", "-1"], "-1 is not in 0..="),
        (&["runs/latest", "--preferred-batches", "4,64"], "64 is not within 1 to 32"),
        (&["runs/latest", "--keys", "keys"], "line 1: a key has at least 16 characters"),
        (&["runs/latest", "--rate", "fast"], "`fast`"),
        (&["runs/latest", "--target-p99", "0"], "--target-p99 0: latency.target"),
        (&["runs/latest", "--metrics", "here"], "--metrics here"),
        (&["runs/latest", "--control", "here"], "--control here"),
        (&["runs/latest", "--otlp", "collector:4318"], "--otlp: `collector:4318` is no address of a collector"),
        (&["runs/latest", "--tokens", "0"], "0 is not in 1..=1048576"),
        (&["runs/latest", "--tls-certificate", "keys", "--tls-key", "keys"], "no certificate"),
        (&["runs/latest", "--poll", "0"], "--poll 0: give seconds"),
    ] {
        let output = place.run(&[&["serve"], words].concat());
        assert_ne!(output.status.code(), Some(0), "{words:?}");
        let line = String::from_utf8(output.stderr).unwrap();
        says(&line, &[said]);
    }
    // It listens already, and then cannot load: that is said once, and never that it serves.
    for (words, said) in [
        (&["other=pictures"][..], "error: the model `other` cannot be loaded: pictures is not an artifact"),
        (&["--repository", "pictures"], "error: nothing can be served: there is no model in the repository"),
    ] {
        let ports = ["--http", "localhost:0", "--grpc", "off", "--metrics", "off"];
        let output = place.run(&[&["serve"], words, &ports[..]].concat());
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""));
        let lines = text(&output.stderr);
        says(&lines, &[said]);
        assert_eq!(lines.matches("ERROR").count(), 0, "{lines}");
    }
}
