//! The body of a request into memory: bounded in size, time and number of pieces. It does not know what it holds.

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use homeostat_protocol::ProtocolError;
use http_body_util::BodyExt;

use super::{App, coding::Coding};
use crate::{ServeError, budget::Taken};

/// Pieces that a body may come in; each costs more than its bytes.
const MOST_PIECES: usize = 65_536;

/// Bodies above this size are decompressed and parsed on a thread that may block.
pub(super) const LARGE: usize = 512 << 10;

/// A body, decompressed.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) bytes: Bytes,
    /// Gives its memory back once the request is answered.
    pub(super) hold: Taken,
}

/// Reads a body.
pub(super) async fn read(app: &App, headers: &HeaderMap, body: Body) -> Result<Read, ServeError> {
    let limit = app.options.limits.body;
    let mut hold = app.budget.nothing();
    let coding = Coding::of_request(headers)?;
    let promised = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if promised.is_some_and(|promised| promised > limit) {
        return Err(ServeError::TooLarge { limit });
    }
    let allowed = app.options.body_time;
    let collected = tokio::time::timeout(allowed, collect(body, limit, &mut hold)).await;
    let bytes = collected.map_err(|_| ServeError::Slow(allowed))??;
    let Some(coding) = coding else { return Ok(Read { bytes, hold }) };
    // What comes out is not known before: the whole limit is taken for as long as it is unpacked.
    if !hold.grow(limit) {
        return Err(no_memory());
    }
    let unpack = move || coding.unpack(&bytes, limit);
    let unpacked = tokio::task::spawn_blocking(unpack).await;
    let bytes = unpacked.unwrap_or_else(|_| Err(ServeError::Failed("the body could not be unpacked".into())))?;
    Ok(Read { bytes, hold })
}

async fn collect(mut body: Body, limit: usize, hold: &mut Taken) -> Result<Bytes, ServeError> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut pieces = 0_usize;
    while let Some(frame) = body.frame().await {
        let cut_short = |_| ServeError::Input("the body ended before it was whole".to_owned());
        let Ok(data) = frame.map_err(cut_short)?.into_data() else { continue };
        pieces += 1;
        if pieces > MOST_PIECES {
            return Err(ProtocolError::Limit { what: "pieces of a body", limit: MOST_PIECES }.into());
        }
        let length = first.len() + rest.len() + data.len();
        if length > limit {
            return Err(ServeError::TooLarge { limit });
        }
        if !hold.grow_to(length) {
            return Err(no_memory());
        }
        // A body of one piece is not copied.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if !first.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn no_memory() -> ServeError {
    let after = std::time::Duration::from_secs(1);
    ServeError::Overloaded { reason: "the bodies of others fill the memory", after }
}
