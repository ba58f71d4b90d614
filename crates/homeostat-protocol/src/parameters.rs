//! Parameters of a request, a tensor or an answer: names with small values. It does not know what they mean.

use crate::{ProtocolError, error::printable};

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    /// `true` or `false`.
    Bool(bool),
    /// An integer that fits 64 bits with a sign.
    Int(i64),
    /// An integer above those.
    Uint(u64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
}

/// Parameters in the order of their arrival, each name once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters(Vec<(String, Parameter)>);

impl Parameters {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Parameter)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Adds a parameter, or replaces it.
    pub fn insert(&mut self, name: impl Into<String>, value: Parameter) {
        let name = name.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Removes a parameter, and gives its value.
    pub fn take(&mut self, name: &str) -> Option<Parameter> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    /// The flag of this name.
    ///
    /// # Errors
    ///
    /// Where the value is something else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ProtocolError> {
        match self.get(name) {
            None => Ok(None),
            Some(Parameter::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(wrong(name, "must be true or false")),
        }
    }

    /// The whole number of this name, not below zero.
    ///
    /// # Errors
    ///
    /// Where the value is something else.
    pub fn uint(&self, name: &str) -> Result<Option<u64>, ProtocolError> {
        let wanted = "must be a whole number, not below zero";
        match self.get(name) {
            None => Ok(None),
            Some(Parameter::Int(value)) => u64::try_from(*value).map(Some).map_err(|_| wrong(name, wanted)),
            Some(Parameter::Uint(value)) => Ok(Some(*value)),
            Some(_) => Err(wrong(name, wanted)),
        }
    }

    /// The number of this name, whole or not.
    ///
    /// # Errors
    ///
    /// Where the value is something else.
    pub fn float(&self, name: &str) -> Result<Option<f64>, ProtocolError> {
        match self.get(name) {
            None => Ok(None),
            #[allow(clippy::cast_precision_loss, reason = "a setting, not a count")]
            Some(Parameter::Int(value)) => Ok(Some(*value as f64)),
            #[allow(clippy::cast_precision_loss, reason = "a setting, not a count")]
            Some(Parameter::Uint(value)) => Ok(Some(*value as f64)),
            Some(Parameter::Float(value)) => Ok(Some(*value)),
            Some(_) => Err(wrong(name, "must be a number")),
        }
    }

    /// The text of this name.
    ///
    /// # Errors
    ///
    /// Where the value is something else.
    pub fn text(&self, name: &str) -> Result<Option<&str>, ProtocolError> {
        match self.get(name) {
            None => Ok(None),
            Some(Parameter::Text(value)) => Ok(Some(value)),
            Some(_) => Err(wrong(name, "must be text")),
        }
    }
}

impl<N: Into<String>> FromIterator<(N, Parameter)> for Parameters {
    fn from_iter<I: IntoIterator<Item = (N, Parameter)>>(items: I) -> Self {
        let mut all = Self::new();
        items.into_iter().for_each(|(name, value)| all.insert(name, value));
        all
    }
}

fn wrong(name: &str, problem: &str) -> ProtocolError {
    ProtocolError::field(format!("parameters.{}", printable(name)), problem)
}
