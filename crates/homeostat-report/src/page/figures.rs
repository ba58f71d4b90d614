//! Numbers as people read them. It does not know what they measure.

use crate::Value;

/// Four significant digits; the exponent form outside `1e-4..1e6`.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if value.is_nan() => "NaN".to_owned(),
        _ if value.is_infinite() => if value > 0.0 { "∞" } else { "−∞" }.to_owned(),
        0.0 => "0".to_owned(),
        1e-4..1e6 => {
            let decimals = (0..7).find(|&places| size >= 1000.0 / 10_f64.powi(places)).unwrap_or(7);
            minus(&grouped(format!("{value:.*}", usize::try_from(decimals).unwrap_or(0))))
        }
        _ => minus(&format!("{value:.2e}")),
    }
}

/// A share in `0..=1` in percent.
pub(super) fn percent(share: f64) -> String {
    if share.is_finite() { minus(&format!("{:.2} %", share * 100.0)).replace(' ', "\u{202f}") } else { number(share) }
}

/// A share in `0..=1` with as many decimals as a table can do with.
pub(super) fn share(share: f64) -> String {
    if share.is_finite() { minus(&format!("{share:.3}")) } else { "–".to_owned() }
}

/// An epoch, to a hundredth.
pub(super) fn epoch(epoch: f64) -> String {
    if (0.0..1e6).contains(&epoch) { format!("{epoch:.2}") } else { number(epoch) }
}

/// A count, in groups of three digits.
pub(super) fn count(count: u64) -> String {
    grouped(count.to_string())
}

/// `7.3 s`, `2 min 05 s`, `3 h 20 min`.
pub(super) fn seconds(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast saturates, and the range is checked"
    )]
    let whole = seconds.round() as u64;
    match seconds {
        0.0..60.0 => format!("{seconds:.1}\u{202f}s"),
        60.0..3600.0 => format!("{}\u{202f}min {:02}\u{202f}s", whole / 60, whole % 60),
        3600.0..1e9 => format!("{}\u{202f}h {:02}\u{202f}min", whole / 3600, whole / 60 % 60),
        _ => number(seconds),
    }
}

pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Share(share) => percent(*share),
        Value::Number(value) => number(*value),
        Value::Count(value) => count(*value),
        Value::Seconds(value) => seconds(*value),
        Value::Text(text) => text.clone(),
    }
}

/// Thin spaces between groups of three digits, from five digits on.
pub(super) fn grouped(digits: String) -> String {
    let start = usize::from(digits.starts_with('-'));
    let end = digits.find('.').unwrap_or(digits.len());
    if end - start < 5 {
        return digits;
    }
    let mut grouped = digits.clone();
    for at in (start + 1..end).rev().filter(|at| (end - at).is_multiple_of(3)) {
        grouped.insert(at, '\u{202f}');
    }
    grouped
}

/// The minus sign proper, as wide as a digit.
fn minus(text: &str) -> String {
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits() {
        let cases = [
            (0.0, "0"),
            (2.345_678, "2.346"),
            (0.012_345, "0.01235"),
            (-99.994, "−99.99"),
            (12_345.6, "12\u{202f}346"),
            (999_999.0, "999\u{202f}999"),
            (1e-5, "1.00e−5"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "−∞"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text, "{value}");
        }
    }

    #[test]
    fn counts_and_shares() {
        assert_eq!(count(121_930), "121\u{202f}930");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(1797), "1797");
        assert_eq!(percent(0.988_94), "98.89\u{202f}%");
        assert_eq!(percent(f64::NAN), "NaN");
    }

    #[test]
    fn seconds_carry_over() {
        assert_eq!(seconds(7.31), "7.3\u{202f}s");
        assert_eq!(seconds(125.0), "2\u{202f}min 05\u{202f}s");
        assert_eq!(seconds(119.7), "2\u{202f}min 00\u{202f}s");
        assert_eq!(seconds(12_000.0), "3\u{202f}h 20\u{202f}min");
    }
}
