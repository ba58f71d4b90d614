//! Dotted paths such as `model.cnn.width`, as people read and write them.

/// The path in dots; a segment that is no bare key of TOML is quoted.
pub(crate) fn dotted(path: &[impl AsRef<str>]) -> String {
    path.iter().map(|segment| key(segment.as_ref())).collect::<Vec<_>>().join(".")
}

/// The segments of a path in dots, or `None` if it is none.
pub(crate) fn segments(dotted: &str) -> Option<Vec<String>> {
    let keys = toml_edit::Key::parse(dotted.trim()).ok()?;
    Some(keys.iter().map(|key| key.get().to_owned()).collect())
}

/// A key of TOML, quoted where it must be.
pub(crate) fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quote(name) }
}

/// A TOML string, always on one line.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
