//! gzip and deflate, both ways. It does not know what is packed.

use std::io::{Read, Write};

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::{
    Compression,
    read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder},
    write::{GzEncoder, ZlibEncoder},
};

use crate::ServeError;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
}

/// Bodies below this size are not worth packing.
const SMALL: usize = 256;

impl Coding {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// How the body of a request is packed, if it is.
    pub(super) fn of_request(headers: &HeaderMap) -> Result<Option<Self>, ServeError> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(None) };
        match value.to_str().unwrap_or("?").trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(None),
            "gzip" | "x-gzip" => Ok(Some(Self::Gzip)),
            "deflate" => Ok(Some(Self::Deflate)),
            other => Err(ServeError::media_type(other, "it unpacked, or packed by gzip or deflate")),
        }
    }

    /// How the answer may be packed: what the caller names first among what we know and he does not refuse.
    pub(super) fn of_answer(headers: &HeaderMap, size: usize) -> Option<Self> {
        if size < SMALL {
            return None;
        }
        let accepted = headers.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
        accepted.split(',').find_map(|word| {
            let (name, weight) = word.split_once(';').unwrap_or((word, ""));
            let is_refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
            match name.trim().to_ascii_lowercase().as_str() {
                _ if is_refused => None,
                "gzip" => Some(Self::Gzip),
                "deflate" => Some(Self::Deflate),
                _ => None,
            }
        })
    }

    /// Unpacks to at most so many bytes.
    pub(super) fn unpack(self, packed: &Bytes, limit: usize) -> Result<Bytes, ServeError> {
        match self {
            Self::Gzip => bounded(MultiGzDecoder::new(&packed[..]), limit),
            // The standard means zlib (RFC 9110), but there are clients that send bare deflate; the two begin differently.
            Self::Deflate if is_zlib(packed) => bounded(ZlibDecoder::new(&packed[..]), limit),
            Self::Deflate => bounded(DeflateDecoder::new(&packed[..]), limit),
        }
    }

    /// Packs, quickly rather than tightly.
    pub(super) fn pack(self, plain: &[u8]) -> std::io::Result<Vec<u8>> {
        let room = Vec::with_capacity(plain.len() / 2);
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(room, Compression::fast());
                encoder.write_all(plain)?;
                encoder.finish()
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(room, Compression::fast());
                encoder.write_all(plain)?;
                encoder.finish()
            }
        }
    }
}

fn is_zlib(packed: &[u8]) -> bool {
    matches!(packed, [first, second, ..] if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0)
}

fn bounded(decoder: impl Read, limit: usize) -> Result<Bytes, ServeError> {
    let mut plain = Vec::new();
    let most = (limit as u64).saturating_add(1);
    let read = decoder.take(most).read_to_end(&mut plain);
    read.map_err(|_| ServeError::Input("the body is not packed as its Content-Encoding says".to_owned()))?;
    if plain.len() > limit { Err(ServeError::TooLarge { limit }) } else { Ok(plain.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back_and_bombs_do_not() {
        let plain: Vec<u8> = (0..50_000_u32).flat_map(|value| (value % 97).to_le_bytes()).collect();
        for coding in [Coding::Gzip, Coding::Deflate] {
            let packed = Bytes::from(coding.pack(&plain).unwrap());
            assert!(packed.len() < plain.len() / 2);
            assert_eq!(coding.unpack(&packed, plain.len()).unwrap(), plain);
            let over = coding.unpack(&packed, plain.len() - 1).unwrap_err();
            assert_eq!(over, ServeError::TooLarge { limit: plain.len() - 1 });
            let cut = packed.slice(..packed.len() / 2);
            assert_eq!(coding.unpack(&cut, plain.len()).unwrap_err().status(), 400);
        }
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
        bare.write_all(&plain).unwrap();
        assert_eq!(Coding::Deflate.unpack(&bare.finish().unwrap().into(), plain.len()).unwrap(), plain);
    }

    #[test]
    fn headers_are_read() {
        let headers = |name, value: &str| HeaderMap::from_iter([(name, value.parse().unwrap())]);
        let asked = |value: &str| Coding::of_request(&headers(header::CONTENT_ENCODING, value));
        assert_eq!(asked("GZIP").unwrap(), Some(Coding::Gzip));
        assert_eq!(asked("identity").unwrap(), None);
        assert_eq!(asked("br").unwrap_err().status(), 415);
        let wanted = |value: &str| Coding::of_answer(&headers(header::ACCEPT_ENCODING, value), 1000);
        assert_eq!(wanted("br, deflate;q=0.5, gzip"), Some(Coding::Deflate));
        assert_eq!(wanted("gzip;q=0, br"), None);
        assert_eq!(Coding::of_answer(&headers(header::ACCEPT_ENCODING, "gzip"), 10), None);
    }
}
