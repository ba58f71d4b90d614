//! Reads JSON from bytes, one token after the other, without a tree. It does not know what the names mean.

use std::borrow::Cow;

use super::number::Decimal;
use crate::ProtocolError;

/// Above any depth that a caller may allow, so that the stack holds.
const DEEPEST: usize = 128;

/// A place in a text of JSON.
///
/// Beyond RFC 8259 it takes `NaN`, `Infinity` and `-Infinity` for numbers, as Python's `json` writes them.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    deepest: usize,
}

impl<'a> Reader<'a> {
    /// Arrays and objects may lie `deepest` deep in each other.
    pub(crate) fn new(bytes: &'a [u8], deepest: usize) -> Self {
        Self { bytes, at: 0, depth: 0, deepest: deepest.min(DEEPEST) }
    }

    /// Bytes after the place.
    pub(crate) fn rest(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn error<T>(&self, problem: impl Into<String>) -> Result<T, ProtocolError> {
        Err(ProtocolError::Json { at: self.at, problem: problem.into() })
    }

    /// The next byte that is no blank; the place is then at it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// That nothing but blanks follows.
    pub(crate) fn end(&mut self) -> Result<(), ProtocolError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.error("something follows after the end"),
        }
    }

    /// Calls `member` at the value of each member.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &str) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        self.open(b'{', "an object")?;
        if self.closes(b'}') {
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return self.error(self.expected("a name in quotes"));
            }
            let name = self.string()?;
            if self.peek() != Some(b':') {
                return self.error(self.expected("`:`"));
            }
            self.at += 1;
            member(self, &name)?;
            if self.ends(b'}', "`,` or `}`")? {
                return Ok(());
            }
        }
    }

    /// Calls `item` at each item.
    #[inline]
    pub(crate) fn array(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        self.open(b'[', "an array")?;
        if self.closes(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.ends(b']', "`,` or `]`")? {
                return Ok(());
            }
        }
    }

    /// Whether an array comes, and its first item is one, too.
    pub(crate) fn is_nested(&mut self) -> bool {
        self.peek() == Some(b'[') && {
            let mut inside = self.clone();
            inside.at += 1;
            inside.peek() == Some(b'[')
        }
    }

    /// The text of a string, borrowed where it has no escapes.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, ProtocolError> {
        if self.peek() != Some(b'"') {
            return self.error(self.expected("a string"));
        }
        self.at += 1;
        let plain = self.plain()?;
        if self.bytes.get(self.at) == Some(&b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escaped()?);
                    text.push_str(self.plain()?);
                }
                _ => return self.error("the string has no end"),
            }
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self) -> Result<bool, ProtocolError> {
        match self.peek() {
            Some(b't') if self.word("true") => Ok(true),
            Some(b'f') if self.word("false") => Ok(false),
            _ => self.error(self.expected("`true` or `false`")),
        }
    }

    /// Whether `null` comes, and is passed over.
    pub(crate) fn null(&mut self) -> bool {
        self.peek() == Some(b'n') && self.word("null")
    }

    /// A number of an integer's type.
    #[inline]
    pub(crate) fn integer<T: TryFrom<i128>>(&mut self, kind: &str) -> Result<T, ProtocolError> {
        let (decimal, text) = self.decimal()?;
        match decimal.to_integer(text).and_then(|value| T::try_from(value).ok()) {
            Some(value) => {
                self.at = decimal.end;
                Ok(value)
            }
            None => self.error(format!("the number is no {kind}")),
        }
    }

    /// A number as the nearest float32.
    #[inline]
    pub(crate) fn float32(&mut self) -> Result<f32, ProtocolError> {
        self.float(Decimal::to_f32, f32::from, "the number is beyond FP32")
    }

    /// A number as the nearest float64.
    #[inline]
    pub(crate) fn float64(&mut self) -> Result<f64, ProtocolError> {
        self.float(Decimal::to_f64, f64::from, "the number is beyond FP64")
    }

    #[inline(always)]
    fn float<T>(
        &mut self,
        nearest: impl Fn(Decimal, &[u8]) -> Option<T>,
        special: impl Fn(f32) -> T,
        beyond: &str,
    ) -> Result<T, ProtocolError> {
        self.peek();
        let Some(decimal) = Decimal::scan(self.bytes, self.at) else {
            return match self.special() {
                Some(value) => Ok(special(value)),
                None => self.error(self.expected("a number")),
            };
        };
        match nearest(decimal, &self.bytes[self.at..decimal.end]) {
            Some(value) => {
                self.at = decimal.end;
                Ok(value)
            }
            None => self.error(beyond),
        }
    }

    /// Whether the number that comes is written as an integer.
    pub(crate) fn is_whole(&mut self) -> bool {
        self.peek();
        Decimal::scan(self.bytes, self.at)
            .is_some_and(|decimal| decimal.to_integer(&self.bytes[self.at..decimal.end]).is_some())
    }

    /// Passes over a value of any kind.
    pub(crate) fn skip(&mut self) -> Result<(), ProtocolError> {
        match self.peek() {
            Some(b'{') => self.object(|reader, _| reader.skip()),
            Some(b'[') => self.array(Self::skip),
            Some(b'"') => self.string().map(drop),
            Some(b't' | b'f') => self.boolean().map(drop),
            Some(b'n') if self.word("null") => Ok(()),
            Some(b'-' | b'0'..=b'9' | b'N' | b'I') => {
                if self.special().is_none() {
                    self.at = self.decimal()?.0.end;
                }
                Ok(())
            }
            _ => self.error(self.expected("a value")),
        }
    }

    #[inline(always)]
    fn decimal(&mut self) -> Result<(Decimal, &'a [u8]), ProtocolError> {
        self.peek();
        match Decimal::scan(self.bytes, self.at) {
            Some(decimal) => Ok((decimal, &self.bytes[self.at..decimal.end])),
            None => self.error(self.expected("a number")),
        }
    }

    /// What is no number in mathematics, but one in a float.
    #[cold]
    fn special(&mut self) -> Option<f32> {
        match self.peek()? {
            b'N' if self.word("NaN") => Some(f32::NAN),
            b'I' if self.word("Infinity") => Some(f32::INFINITY),
            b'-' if self.word("-Infinity") => Some(f32::NEG_INFINITY),
            _ => None,
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.bytes[self.at..].starts_with(word.as_bytes());
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn open(&mut self, bracket: u8, what: &str) -> Result<(), ProtocolError> {
        if self.peek() != Some(bracket) {
            return self.error(self.expected(what));
        }
        if self.depth == self.deepest {
            return Err(ProtocolError::Limit { what: "arrays and objects in each other", limit: self.deepest });
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn closes(&mut self, bracket: u8) -> bool {
        let closed = self.peek() == Some(bracket);
        if closed {
            self.at += 1;
            self.depth -= 1;
        }
        closed
    }

    #[inline]
    fn ends(&mut self, bracket: u8, wanted: &str) -> Result<bool, ProtocolError> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(false)
            }
            Some(found) if found == bracket => {
                self.at += 1;
                self.depth -= 1;
                Ok(true)
            }
            _ => self.error(self.expected(wanted)),
        }
    }

    /// Up to the next quote or escape.
    fn plain(&mut self) -> Result<&'a str, ProtocolError> {
        let start = self.at;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' | b'\\' => break,
                0..0x20 => return self.error("a control character in a string"),
                _ => self.at += 1,
            }
        }
        match std::str::from_utf8(&self.bytes[start..self.at]) {
            Ok(text) => Ok(text),
            Err(error) => {
                let at = start + error.valid_up_to();
                Err(ProtocolError::Json { at, problem: "the text is not UTF-8".to_owned() })
            }
        }
    }

    fn escaped(&mut self) -> Result<char, ProtocolError> {
        let Some(&kind) = self.bytes.get(self.at) else { return self.error("the string has no end") };
        self.at += 1;
        Ok(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => {
                self.at -= 1;
                return self.error("no such escape");
            }
        })
    }

    /// After `\u`: four digits, or two times four for what lies above 16 bits.
    fn unicode(&mut self) -> Result<char, ProtocolError> {
        let first = self.four_digits()?;
        if !(0xD800..0xDC00).contains(&first) {
            return char::from_u32(first).map_or_else(|| self.error("half of a character"), Ok);
        }
        if !self.word("\\u") {
            return self.error("half of a character");
        }
        let second = self.four_digits()?;
        if !(0xDC00..0xE000).contains(&second) {
            return self.error("half of a character");
        }
        let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        char::from_u32(code).map_or_else(|| self.error("no such character"), Ok)
    }

    fn four_digits(&mut self) -> Result<u32, ProtocolError> {
        let digits = self.bytes.get(self.at..self.at + 4).unwrap_or_default();
        let value = digits.iter().try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?));
        match value.filter(|_| digits.len() == 4) {
            Some(value) => {
                self.at += 4;
                Ok(value)
            }
            None => self.error("`\\u` needs four hexadecimal digits"),
        }
    }

    fn expected(&self, what: &str) -> String {
        match self.bytes.get(self.at) {
            None => format!("expected {what}, but the text ends"),
            Some(byte @ 0x21..0x7F) => format!("expected {what}, found `{}`", char::from(*byte)),
            Some(byte) => format!("expected {what}, found byte {byte:#04x}"),
        }
    }
}
