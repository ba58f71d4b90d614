//! A number that survives JSON: exact when written, short when shown. It does not know what it counts.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A 64-bit float that JSON gives back exactly.
///
/// JSON has no word for what is not finite, so that is written as the strings `"NaN"`, `"inf"`, and `"-inf"`. Unlike a
/// bare float, a NaN equals a NaN, so that a replayed decision can be compared with the recorded one. `Display` is
/// for people: four significant digits.
#[derive(Clone, Copy, Debug)]
pub struct Number(pub f64);

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self(value)
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        Self(value.into())
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || (self.0.is_nan() && other.0.is_nan())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        let size = value.abs();
        if value == 0.0 || !value.is_finite() {
            return write!(f, "{value}");
        }
        if !(1e-4..1e5).contains(&size) {
            return write!(f, "{value:.3e}");
        }
        let decimals = [1e3, 1e2, 1e1, 1.0, 1e-1, 1e-2, 1e-3].iter().take_while(|&&power| size < power).count();
        let text = format!("{value:.decimals$}");
        f.write_str(if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text })
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() { serializer.serialize_f64(self.0) } else { serializer.collect_str(&self.0) }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, \"NaN\", \"inf\", or \"-inf\"")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Number, E> {
        Ok(Number(value))
    }

    // A log that another program wrote may hold `1` where we write `1.0`.
    fn visit_i64<E: Error>(self, value: i64) -> Result<Number, E> {
        Ok(Number(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
        Ok(Number(value as f64))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        match text {
            "NaN" => Ok(Number(f64::NAN)),
            "inf" => Ok(Number(f64::INFINITY)),
            "-inf" => Ok(Number(f64::NEG_INFINITY)),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

/// For `#[serde(with = "number")]` on a bare float: written as a [`Number`].
pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Number(*value).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Number::deserialize(deserializer).map(|number| number.0)
}

/// For `#[serde(with = "number::map")]` on named floats.
pub(crate) mod map {
    use super::{BTreeMap, Deserialize, Deserializer, Number, Serializer};

    pub(crate) fn serialize<S: Serializer>(map: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(name, value)| (name, Number(*value))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
        let numbers = BTreeMap::<String, Number>::deserialize(deserializer)?;
        Ok(numbers.into_iter().map(|(name, number)| (name, number.0)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    #[test]
    fn people_read_four_digits() {
        let shown = [
            (0.0, "0"),
            (2.3025850929940455, "2.303"),
            (10.0, "10"),
            (2000.0, "2000"),
            (23456.7, "23457"),
            (0.1, "0.1"),
            (0.000123456, "0.0001235"),
            (-0.5, "-0.5"),
            (1e-7, "1.000e-7"),
            (1.5e9, "1.500e9"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ];
        for (value, text) in shown {
            assert_eq!(Number(value).to_string(), text);
        }
    }
}
