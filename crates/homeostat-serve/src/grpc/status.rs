//! An error as gRPC says it. It does not know what was asked.

use std::time::Duration;

use homeostat_protocol::ProtocolError;
use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};

use crate::ServeError;

/// The status of an error, with the time to wait where the server is full.
pub(crate) fn status(error: &ServeError) -> Status {
    let code = match error {
        ServeError::Protocol(ProtocolError::Unsupported { .. })
        | ServeError::Unsupported(_)
        | ServeError::Nothing(_) => Code::Unimplemented,
        ServeError::Protocol(_) | ServeError::Input(_) | ServeError::MediaType { .. } => Code::InvalidArgument,
        ServeError::UnknownModel { .. } => Code::NotFound,
        ServeError::NotReady { .. } => Code::Unavailable,
        ServeError::Overloaded { .. } | ServeError::TooLarge { .. } => Code::ResourceExhausted,
        ServeError::Expired | ServeError::Slow(_) => Code::DeadlineExceeded,
        ServeError::Failed(_) => Code::Internal,
        ServeError::Unauthorized => Code::Unauthenticated,
        ServeError::Forbidden { .. } => Code::PermissionDenied,
        ServeError::Load { .. } => Code::FailedPrecondition,
    };
    let mut metadata = MetadataMap::new();
    if let ServeError::Overloaded { after, .. } = error {
        metadata
            .insert("grpc-retry-pushback-ms", MetadataValue::from(after.as_millis().try_into().unwrap_or(u64::MAX)));
    }
    Status::with_metadata(code, error.to_string(), metadata)
}

/// The value of the header `grpc-timeout`: at most eight digits, and the letter of a unit. `None` where it is none.
pub(crate) fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_digits_and_a_unit() {
        for (text, wanted) in [
            ("1S", Some(Duration::from_secs(1))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("7u", Some(Duration::from_micros(7))),
            ("7n", Some(Duration::from_nanos(7))),
            ("", None),
            ("S", None),
            ("1", None),
            ("1s", None),
            ("-1S", None),
            ("+1S", None),
            ("123456789S", None),
        ] {
            assert_eq!(timeout(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn a_full_server_says_when_to_come_again() {
        let full = ServeError::Overloaded { reason: "the queue is full", after: Duration::from_secs(2) };
        let status = status(&full);
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.metadata().get("grpc-retry-pushback-ms").and_then(|value| value.to_str().ok()), Some("2000"));
    }
}
