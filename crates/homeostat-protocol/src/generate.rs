//! The generate extension: a text to be gone on with, and what comes behind it. It does not know who writes, nor which values
//! make sense to him.

use std::time::Duration;

use crate::{
    Limits, ProtocolError,
    json::{Reader, write_string},
};

/// The most stop strings of a request.
const MOST_STOPS: usize = 16;

/// A request to go on with a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerateRequest {
    /// What the answer is to be recognised by.
    pub id: Option<String>,
    /// The text.
    pub text: String,
    /// How it is gone on with.
    pub settings: GenerateSettings,
    /// How long the answer may take.
    pub timeout: Option<Duration>,
    /// Whether the answer is wanted piece by piece, where the caller says so besides by the path.
    pub stream: Option<bool>,
}

/// How a text is gone on with; what is nothing is left to the model. Types are checked, ranges are not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerateSettings {
    /// The most tokens that are written.
    pub max_tokens: Option<u64>,
    /// What scores are divided by before a token is drawn.
    pub temperature: Option<f64>,
    /// Draws among so many of the likeliest tokens alone.
    pub top_k: Option<u64>,
    /// Draws among the fewest tokens that have this probability together.
    pub top_p: Option<f64>,
    /// What makes repetitions rarer.
    pub repetition_penalty: Option<f64>,
    /// Where one of these comes up, the text ends before it.
    pub stop: Option<Vec<String>>,
    /// The seed of the draws.
    pub seed: Option<u64>,
}

/// An answer, or a piece of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenerateResponse<'a> {
    /// The model that wrote it.
    pub model_name: &'a str,
    /// Its version.
    pub model_version: &'a str,
    /// The id of the request.
    pub id: Option<&'a str>,
    /// The text.
    pub text: &'a str,
    /// Whether the beginning of what is gone on with was cut off, for it was too long; said where it was.
    pub cut: bool,
}

impl GenerateSettings {
    /// The names of the settings, in the order of a request's documentation.
    pub const NAMES: [&str; 7] = ["max_tokens", "temperature", "top_k", "top_p", "repetition_penalty", "stop", "seed"];
}

impl GenerateRequest {
    /// Reads the body of a request: `{"text_input": ..., "parameters": {...}}`; parameters may stand beside the text, too.
    ///
    /// # Errors
    ///
    /// The body is no such JSON, a parameter is none or has another type, or the body is above the limits.
    pub fn decode(body: &[u8], limits: &Limits) -> Result<Self, ProtocolError> {
        let mut reader = Reader::new(body, limits.depth);
        let (mut request, mut text) = (Self::default(), None);
        reader.object(|reader, field| {
            if reader.null() {
                return Ok(());
            }
            match field {
                "id" => once(&mut request.id, short_text(reader, field, limits)?, field),
                "text_input" => once(&mut text, long_text(reader, limits)?, field),
                "parameters" if reader.peek() == Some(b'{') => reader.object(|reader, name| {
                    if reader.null() {
                        return Ok(());
                    }
                    request.parameter(reader, name, &format!("parameters.{name}"), limits)
                }),
                "parameters" => Err(ProtocolError::field(field, "must be an object")),
                name => request.parameter(reader, name, name, limits),
            }
        })?;
        reader.end()?;
        request.text = text.ok_or_else(|| ProtocolError::field("text_input", "is missing"))?;
        Ok(request)
    }

    fn parameter(
        &mut self,
        reader: &mut Reader<'_>,
        name: &str,
        path: &str,
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        let settings = &mut self.settings;
        match name {
            "max_tokens" => once(&mut settings.max_tokens, whole(reader, path)?, path),
            "temperature" => once(&mut settings.temperature, number(reader, path)?, path),
            "top_k" => once(&mut settings.top_k, whole(reader, path)?, path),
            "top_p" => once(&mut settings.top_p, number(reader, path)?, path),
            "repetition_penalty" => once(&mut settings.repetition_penalty, number(reader, path)?, path),
            "stop" => once(&mut settings.stop, stops(reader, path, limits)?, path),
            "seed" => once(&mut settings.seed, whole(reader, path)?, path),
            "timeout" => once(&mut self.timeout, Duration::from_micros(whole(reader, path)?), path),
            "stream" => {
                let problem = |_| ProtocolError::field(path, "must be true or false");
                once(&mut self.stream, reader.boolean().map_err(problem)?, path)
            }
            _ => {
                let known = GenerateSettings::NAMES.join(", ");
                Err(ProtocolError::field(path, format!("is no parameter of a text: there are {known}, timeout")))
            }
        }
    }
}

impl GenerateResponse<'_> {
    /// The answer as JSON, in one line.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.len() + self.model_name.len() + 64);
        let id = self.id.map(|id| ("id", id));
        let fields = [("model_name", self.model_name), ("model_version", self.model_version)];
        for (name, value) in fields.into_iter().chain(id).chain([("text_output", self.text)]) {
            out.push(if out.is_empty() { b'{' } else { b',' });
            write_string(&mut out, name);
            out.push(b':');
            write_string(&mut out, value);
        }
        if self.cut {
            out.extend_from_slice(b",\"cut\":true");
        }
        out.push(b'}');
        out
    }
}

fn once<T>(place: &mut Option<T>, value: T, path: &str) -> Result<(), ProtocolError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ProtocolError::field(path, "is there twice")),
    }
}

fn whole(reader: &mut Reader<'_>, path: &str) -> Result<u64, ProtocolError> {
    let problem = |_| ProtocolError::field(path, "must be a whole number, not below zero");
    reader.integer("whole number").map_err(problem)
}

fn number(reader: &mut Reader<'_>, path: &str) -> Result<f64, ProtocolError> {
    match reader.float64() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(ProtocolError::field(path, "must be a number")),
    }
}

fn stops(reader: &mut Reader<'_>, path: &str, limits: &Limits) -> Result<Vec<String>, ProtocolError> {
    let mut stops = Vec::new();
    match reader.peek() {
        Some(b'[') => reader.array(|reader| {
            if stops.len() == MOST_STOPS {
                return Err(ProtocolError::Limit { what: "stop strings", limit: MOST_STOPS });
            }
            stops.push(short_text(reader, path, limits)?);
            Ok(())
        })?,
        Some(b'"') => stops.push(short_text(reader, path, limits)?),
        _ => return Err(ProtocolError::field(path, "must be a text, or a list of texts")),
    }
    Ok(stops)
}

fn short_text(reader: &mut Reader<'_>, path: &str, limits: &Limits) -> Result<String, ProtocolError> {
    if reader.peek() != Some(b'"') {
        return Err(ProtocolError::field(path, "must be text"));
    }
    let text = reader.string()?;
    if text.len() > limits.name {
        return Err(ProtocolError::Limit { what: "bytes in an id or a stop string", limit: limits.name });
    }
    Ok(text.into_owned())
}

fn long_text(reader: &mut Reader<'_>, limits: &Limits) -> Result<String, ProtocolError> {
    if reader.peek() != Some(b'"') {
        return Err(ProtocolError::field("text_input", "must be text"));
    }
    let text = reader.string()?;
    if text.len() > limits.text {
        return Err(ProtocolError::Limit { what: "bytes in `text_input`", limit: limits.text });
    }
    Ok(text.into_owned())
}
