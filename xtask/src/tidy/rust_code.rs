//! Rust source reduced to what the compiler acts on, line for line: enough to search words in it, no parser.

use std::iter;

/// The code of a file: comments, strings and characters become spaces, so that words in them are not found.
pub(super) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    while code.len() < bytes.len() {
        let at = code.len();
        match literal(bytes, at) {
            Some(length) => code.extend(blank(&bytes[at..at + length]).bytes()),
            None => code.push(bytes[at]),
        }
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// [`code_only`] without the items under `#[cfg(test)]`.
pub(super) fn shipped_code(text: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut code = code_only(text);
    while let Some(start) = code.find(MARK) {
        let end = start + MARK.len() + item(&code[start + MARK.len()..]);
        let spaces = blank(&code.as_bytes()[start..end]);
        code.replace_range(start..end, &spaces);
    }
    code
}

/// The words of code: each with its line (from 1) and with all that follows it.
pub(super) fn words(code: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    let (mut rest, mut line) = (code, 1);
    iter::from_fn(move || {
        let (between, from) = rest.split_at(rest.find(inside)?);
        let (word, after) = from.split_at(from.find(|c| !inside(c)).unwrap_or(from.len()));
        line += between.matches('\n').count();
        rest = after;
        Some((line, word, after))
    })
}

fn blank(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if *byte == b'\n' { '\n' } else { ' ' }).collect()
}

/// The length of the item at the start of `code`: to its closing brace, or to a semicolon before any brace.
fn item(code: &str) -> usize {
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b';' if depth == 0 => return at + 1,
            b'{' => depth += 1,
            b'}' if depth <= 1 => return at + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The length of the comment, string or character that starts at `at`, if one does.
fn literal(bytes: &[u8], at: usize) -> Option<usize> {
    let inside_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    let rest = &bytes[at..];
    match rest {
        [b'/', b'/', ..] => Some(rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())),
        [b'/', b'*', ..] => Some(block_comment(rest)),
        [b'"', ..] => Some(string(rest)),
        [b'\'', ..] => character(rest),
        [b'b' | b'c', b'r', raw @ ..] if !inside_word => raw_string(raw).map(|length| length + 2),
        [b'r', raw @ ..] if !inside_word => raw_string(raw).map(|length| length + 1),
        _ => None,
    }
}

fn block_comment(bytes: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < bytes.len() {
        match bytes[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    bytes.len()
}

fn string(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `'x'` or `'\n'`, but not the lifetime `'x`.
fn character(bytes: &[u8]) -> Option<usize> {
    if bytes.get(1) == Some(&b'\\') {
        let close = bytes.get(3..)?.iter().position(|byte| *byte == b'\'')?;
        return Some(close + 4);
    }
    let first = *bytes.get(1)?;
    // A character of UTF-8 takes as many bytes as its first byte has leading ones.
    let length = if first < 0x80 { 1 } else { first.leading_ones() as usize };
    (bytes.get(1 + length) == Some(&b'\'')).then_some(length + 2)
}

/// What follows the `r` of a raw string: its hashes, then a quote.
fn raw_string(bytes: &[u8]) -> Option<usize> {
    let hashes = bytes.iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(hashes) != Some(&b'"') {
        return None;
    }
    let body = hashes + 1;
    let closing = |at: &usize| {
        bytes[*at] == b'"' && bytes[at + 1..].iter().take(hashes).filter(|b| **b == b'#').count() == hashes
    };
    Some((body..bytes.len()).find(closing).map_or(bytes.len(), |at| at + 1 + hashes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(code: &str) -> Vec<&str> {
        words(code).map(|(_, word, _)| word).collect()
    }

    #[test]
    fn words_in_comments_and_literals_are_not_code() {
        for (text, wanted) in [
            ("a // b\nc", vec!["a", "c"]),
            ("a /* b /* c */ d */ e", vec!["a", "e"]),
            (r#"a "b \" c" d"#, vec!["a", "d"]),
            (r##"a r#"b " c"# d"##, vec!["a", "d"]),
            (r##"a br#"b " c"# d"##, vec!["a", "d"]),
            (r#"a b"c" d"#, vec!["a", "b", "d"]),
            ("a '\"' b '\\'' c 'é' d", vec!["a", "b", "c", "d"]),
            ("fn a<'b>(c: &'b str) // d", vec!["fn", "a", "b", "c", "b", "str"]),
            ("r#fn bar \"x", vec!["r", "fn", "bar"]),
        ] {
            let code = code_only(text);
            assert_eq!(code.lines().count(), text.lines().count());
            assert_eq!(found(&code), wanted, "{text}");
        }
    }

    #[test]
    fn what_only_tests_see_is_not_shipped() {
        let text = "a\n#[cfg(test)]\nmod tests;\nb\n#[cfg(test)]\nmod tests { fn c() { d } }\ne\n";
        let code = shipped_code(text);
        assert_eq!(
            words(&code).map(|(line, word, _)| (line, word)).collect::<Vec<_>>(),
            [(1, "a"), (4, "b"), (7, "e")]
        );
    }
}
