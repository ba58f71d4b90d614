//! One HTTP request for a file or the rest of it, and what the server makes of that. It does not know files on the disk.

use std::io::{self, Read};
use std::time::Duration;

use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use crate::FetchOptions;
use crate::partial::Origin;

/// What a request came to.
pub(crate) enum Answer {
    /// The bytes from `start` on, which is 0 or what was asked for.
    Bytes(Bytes),
    /// The place does not have the file, and will not in a moment.
    Never(String),
    /// It may have it later; the server may say when.
    Later(String, Option<Duration>),
    /// It does not have the rest, so all is to be asked for.
    NoRest,
}

/// The bytes of a file as they come.
pub(crate) struct Bytes {
    pub(crate) start: u64,
    /// The length of the whole file, if the server says so.
    pub(crate) total: Option<u64>,
    pub(crate) etag: Option<String>,
    body: Box<dyn Read>,
}

/// The client, with its limits of time.
pub(crate) fn agent(options: &FetchOptions) -> Agent {
    Agent::config_builder()
        .timeout_connect(Some(options.connect))
        .timeout_recv_response(Some(options.stall))
        .timeout_per_read(Some(options.stall))
        .http_status_as_error(false)
        .user_agent(concat!("homeostat/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// Asks for the file from `have` on. With an `ETag`, all of it comes if the file has changed since.
pub(crate) fn ask(agent: &Agent, origin: &Origin, have: u64, https_only: bool) -> Answer {
    // Packed on its way, a rest would not begin where ours ends.
    let mut request = agent.get(&origin.url).header(header::ACCEPT_ENCODING, "identity");
    if have > 0 {
        request = request.header(header::RANGE, format!("bytes={have}-"));
        if let Some(etag) = &origin.etag {
            request = request.header(header::IF_RANGE, etag);
        }
    }
    match request.config().https_only(https_only).build().call() {
        Ok(response) => answer(response, have),
        Err(error @ (ureq::Error::BadUri(_) | ureq::Error::TooManyRedirects | ureq::Error::RequireHttpsOnly(_))) => {
            Answer::Never(error.to_string())
        }
        Err(ureq::Error::Timeout(ureq::Timeout::Connect)) => Answer::Later("no connection in time".into(), None),
        Err(ureq::Error::Timeout(_)) => Answer::Later("no answer in time".into(), None),
        Err(error) => Answer::Later(error.to_string(), None),
    }
}

fn answer(response: Response<Body>, have: u64) -> Answer {
    let text = |name: header::HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
    let status = response.status();
    let start = match status {
        StatusCode::OK => 0,
        StatusCode::PARTIAL_CONTENT => match text(header::CONTENT_RANGE).and_then(content_range) {
            Some((start, _)) if start == have => start,
            _ => return Answer::NoRest,
        },
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => return Answer::NoRest,
        _ => {
            let again = status.is_server_error()
                || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
            let why = format!("HTTP {status}");
            let after = text(header::RETRY_AFTER).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
            return if again { Answer::Later(why, after) } else { Answer::Never(why) };
        }
    };
    let length = text(header::CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
    let total = match text(header::CONTENT_RANGE).and_then(content_range) {
        Some((_, total)) if start > 0 => total,
        _ => length,
    };
    // A weak one does not promise the same bytes.
    let etag = text(header::ETAG).filter(|etag| !etag.starts_with("W/")).map(str::to_owned);
    Answer::Bytes(Bytes { start, total, etag, body: Box::new(response.into_body().into_reader()) })
}

/// The first byte and the length of the whole, of `bytes 5-9/10`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.trim().parse().ok()?, total.trim().parse().ok()))
}

impl Bytes {
    /// The next bytes; none at the end.
    pub(crate) fn next(&mut self, block: &mut [u8]) -> Result<usize, String> {
        loop {
            match self.body.read(block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err("the server went silent".into()),
                Err(error) => return Err(format!("broken off: {error}")),
                Ok(read) => return Ok(read),
            }
        }
    }
}
