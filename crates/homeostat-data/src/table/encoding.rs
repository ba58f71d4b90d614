//! How bytes are characters. It does not know what the text is part of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the bytes of a text are characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// Latin-1 as browsers read it (Windows-1252): with quotes and dashes where ISO 8859-1 has control characters.
    #[serde(rename = "latin-1")]
    Latin1,
}

/// What Windows-1252 has at 0x80 to 0x9F (<https://encoding.spec.whatwg.org/#windows-1252>).
const WINDOWS: [char; 32] = [
    '\u{20AC}', '\u{81}', '\u{201A}', '\u{192}', '\u{201E}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{2C6}', '\u{2030}',
    '\u{160}', '\u{2039}', '\u{152}', '\u{8D}', '\u{17D}', '\u{8F}', '\u{90}', '\u{2018}', '\u{2019}', '\u{201C}',
    '\u{201D}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2DC}', '\u{2122}', '\u{161}', '\u{203A}', '\u{153}', '\u{9D}',
    '\u{17E}', '\u{178}',
];

impl Encoding {
    /// The text, or what is wrong with its bytes.
    pub(crate) fn decode(self, bytes: &[u8]) -> Result<String, String> {
        let text = match self {
            Self::Utf8 => std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| {
                let at = error.valid_up_to();
                format!("byte {:#04x} at {at} is not UTF-8; is the file Latin-1 (`encoding = \"latin-1\"`)?", bytes[at])
            }),
            Self::Latin1 => Ok(bytes.iter().map(|&byte| latin1(byte)).collect()),
        }?;
        match memchr::memchr(0, bytes) {
            None => Ok(text),
            Some(at) => Err(format!("a NUL byte at {at}, which no text has")),
        }
    }
}

fn latin1(byte: u8) -> char {
    match byte {
        0x80..=0x9F => WINDOWS[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}
