//! The header `traceparent` (W3C Trace Context, level 1). It does not know spans.

/// The span that a request was sent from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
    /// Whether the caller keeps this trace.
    pub(super) is_sampled: bool,
}

impl Context {
    /// Reads `VERSION-TRACE-SPAN-FLAGS`; nothing where it is malformed, which counts as not there. A later version may have more
    /// behind its flags.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.trim().split('-');
        let [version] = hex(words.next()?)?;
        let (trace, span) = (hex(words.next()?)?, hex(words.next()?)?);
        let [flags] = hex(words.next()?)?;
        let is_fit = version != 0xFF && (version > 0 || words.next().is_none());
        let is_named = trace != [0; 16] && span != [0; 8];
        (is_fit && is_named).then_some(Self { trace, span, is_sampled: flags & 1 == 1 })
    }
}

/// Bytes of two lower-case digits each.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(digits[0])? << 4 | digit(digits[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::Context;

    #[test]
    fn a_header_is_read_or_counts_as_not_there() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let found = Context::parse(text).unwrap();
        assert_eq!((found.trace[..2].to_vec(), found.span[7], found.is_sampled), (vec![0x0a, 0xf7], 0x31, true));
        assert!(!Context::parse(&text.replace("-01", "-00")).unwrap().is_sampled);
        assert!(Context::parse(&text.replace("-01", "-03")).unwrap().is_sampled);
        assert!(Context::parse(&format!("{}-more", text.replace("00-0a", "01-0a"))).is_some(), "a later version");
        for wrong in [
            "",
            "00",
            "x",
            &text[1..],
            &text.to_uppercase(),
            &text.replace("00-0a", "ff-0a"),
            &format!("{text}-more"),
            &text.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            &text.replace("b7ad6b7169203331", "0000000000000000"),
            &text.replace("-01", "-1"),
            &text.replace('b', "\u{e4}"),
        ] {
            assert_eq!(Context::parse(wrong), None, "{wrong}");
        }
    }
}
