//! Spans on their way to a collector: OTLP over HTTP/1.1, a message a second or for so many spans. It does not know what they are
//! about.

use std::{str::FromStr, time::Duration};

use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

use super::otlp::{Span, message};

/// Spans of one message.
const MOST_SPANS: usize = 2048;
/// How long spans wait for others.
const WAIT: Duration = Duration::from_secs(1);
/// How long a collector may take for a message.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often is told that a collector does not answer.
const COMPLAINT: Duration = Duration::from_secs(60);
/// Bytes of an answer that are read: its first line says all.
const MOST_ANSWER: usize = 4096;

/// What goes to whoever sends.
#[derive(Debug)]
pub(super) enum Parcel {
    Spans(Vec<Span>),
    Flush(oneshot::Sender<()>),
}

/// Where traces go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// `HOST:PORT`
    authority: String,
    path: String,
}

/// It is no address of a collector.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no address of a collector: give http://HOST:PORT, to which /v1/traces is added, or with another path"
)]
pub struct CollectorError(String);

impl FromStr for Collector {
    type Err = CollectorError;

    /// `http://HOST[:PORT][/PATH]`: port 4318 and `/v1/traces` where they are not said.
    fn from_str(text: &str) -> Result<Self, CollectorError> {
        let wrong = || CollectorError(text.to_owned());
        let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let port = authority.rsplit_once(':').filter(|(host, _)| !host.starts_with('[') || host.ends_with(']'));
        let (host, has_port) = port.map_or((authority, Ok(4318)), |(host, port)| (host, port.parse::<u16>()));
        let is_fit =
            |word: &str| word.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'@' | b'?' | b'#'));
        let port = has_port.map_err(|_| wrong())?;
        if host.is_empty() || !is_fit(host) || !is_fit(path) {
            return Err(wrong());
        }
        let path = if path.len() > 1 { path } else { "/v1/traces" };
        Ok(Self { authority: format!("{host}:{port}"), path: path.to_owned() })
    }
}

/// Sends what comes, until nobody can send any more.
pub(super) async fn send(collector: Collector, mut parcels: mpsc::Receiver<Parcel>, dropped: prometheus::IntCounter) {
    let mut complained: Option<Instant> = None;
    let mut is_open = true;
    while is_open {
        let mut spans = Vec::new();
        let mut flushed = None;
        let due = match parcels.recv().await {
            Some(parcel) => {
                take(parcel, &mut spans, &mut flushed);
                Instant::now() + WAIT
            }
            None => break,
        };
        while spans.len() < MOST_SPANS && flushed.is_none() {
            match tokio::time::timeout_at(due, parcels.recv()).await {
                Ok(Some(parcel)) => take(parcel, &mut spans, &mut flushed),
                Ok(None) => {
                    is_open = false;
                    break;
                }
                Err(_) => break,
            }
        }
        let count = spans.len();
        if count > 0
            && let Err(problem) = collector.post(message(spans)).await
        {
            dropped.inc_by(count as u64);
            if complained.is_none_or(|when| when.elapsed() > COMPLAINT) {
                complained = Some(Instant::now());
                tracing::warn!(collector = collector.authority, problem, spans = count, "traces were dropped");
            }
        }
        if let Some(flushed) = flushed {
            // Whoever asked may have given up.
            let _ = flushed.send(());
        }
    }
}

fn take(parcel: Parcel, spans: &mut Vec<Span>, flushed: &mut Option<oneshot::Sender<()>>) {
    match parcel {
        Parcel::Spans(more) => spans.extend(more),
        Parcel::Flush(done) => *flushed = Some(done),
    }
}

impl Collector {
    async fn post(&self, body: Vec<u8>) -> Result<(), String> {
        let answer = timeout(PATIENCE, self.ask(&body)).await.map_err(|_| "it does not answer".to_owned())?;
        let answer = answer.map_err(|error| error.to_string())?;
        // `HTTP/1.1 200 OK`
        let status = answer.get(9..12).and_then(|status| std::str::from_utf8(status).ok()?.parse::<u16>().ok());
        match status {
            Some(200..300) => Ok(()),
            Some(status) => Err(format!("it answers with {status}")),
            None => Err("it does not speak HTTP".to_owned()),
        }
    }

    /// The beginning of the answer to one message.
    async fn ask(&self, body: &[u8]) -> std::io::Result<Vec<u8>> {
        let Self { authority, path } = self;
        let mut stream = TcpStream::connect(authority).await?;
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/x-protobuf\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        let mut answer = Vec::new();
        while answer.len() < 12 {
            if stream.read_buf(&mut answer).await? == 0 || answer.len() > MOST_ANSWER {
                break;
            }
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::Collector;

    #[test]
    fn an_address_is_read_or_refused_in_one_line() {
        for (text, authority, path) in [
            ("http://collector", "collector:4318", "/v1/traces"),
            ("http://127.0.0.1:9/", "127.0.0.1:9", "/v1/traces"),
            ("http://[::1]:9/otlp/v1/traces", "[::1]:9", "/otlp/v1/traces"),
            ("http://[::1]", "[::1]:4318", "/v1/traces"),
        ] {
            let found: Collector = text.parse().unwrap();
            assert_eq!((found.authority.as_str(), found.path.as_str()), (authority, path));
        }
        for wrong in [
            "",
            "collector:4318",
            "https://collector",
            "http://",
            "http://a:b",
            "http://a b",
            "http://a/b c",
            "http://u@h",
        ] {
            let error = wrong.parse::<Collector>().unwrap_err().to_string();
            assert!(error.contains("give http://HOST:PORT") && !error.contains('\n'), "{error}");
        }
    }
}
