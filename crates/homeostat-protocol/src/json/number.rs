//! Numbers as JSON writes them. It does not know where they stand.

/// A number's parts: `digits` times ten to the `power`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal {
    negative: bool,
    /// All digits as one integer; the lower 64 bits of it, where `exact` is false.
    digits: u64,
    power: i64,
    exact: bool,
    /// Without a point and an exponent.
    whole: bool,
    /// Where the number ends.
    pub(crate) end: usize,
}

/// As many digits always fit an `u64`.
const EXACT_DIGITS: usize = 19;
/// Above any exponent that matters, so that no sum overflows.
const LARGEST_EXPONENT: i64 = 1_000_000_000;

/// The powers of ten that a float64 has exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// The powers of ten up to eight digits.
const SCALES: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

impl Decimal {
    /// The number that starts at `start`; `None` where there is none.
    #[inline(always)]
    pub(crate) fn scan(bytes: &[u8], start: usize) -> Option<Self> {
        let negative = bytes.get(start) == Some(&b'-');
        let first = start + usize::from(negative);
        let mut digits = 0_u64;
        let (mut end, mut significant) = match bytes.get(first)? {
            b'0' => (first + 1, 0),
            // One digit and a point, as most floats: a guess that lets the processor go on with the next bytes.
            digit @ b'1'..=b'9' if bytes.get(first + 1) == Some(&b'.') => {
                digits = u64::from(digit - b'0');
                (first + 1, 1)
            }
            b'1'..=b'9' => {
                let end = read_digits(bytes, first, &mut digits);
                (end, end - first)
            }
            _ => return None,
        };
        let (mut power, mut whole) = (0, true);
        if bytes.get(end) == Some(&b'.') {
            let fraction = end + 1;
            let mut begin = fraction;
            while significant == 0 && bytes.get(begin) == Some(&b'0') {
                begin += 1;
            }
            end = read_digits(bytes, begin, &mut digits);
            if end == fraction {
                return None;
            }
            significant += end - begin;
            power = -i64::try_from(end - fraction).ok()?;
            whole = false;
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let (exponent, after) = read_exponent(bytes, end + 1)?;
            power = power.saturating_add(exponent);
            end = after;
            whole = false;
        }
        Some(Self { negative, digits, power, exact: significant <= EXACT_DIGITS, whole, end })
    }

    /// The nearest `f32`; `None` where it is above all. `text` is the number's own.
    #[inline]
    pub(crate) fn to_f32(self, text: &[u8]) -> Option<f32> {
        if let Some(near) = self.near() {
            // `near` is at most two units in its last place off, and a float32 keeps all but the last 29 bits. Only next to
            // the middle between two float32 could those two units change which one is the nearest.
            let beyond = near.to_bits() & ((1 << 29) - 1);
            let decided = beyond.abs_diff(1 << 28) > 4;
            let normal = near >= f64::from(f32::MIN_POSITIVE) && near <= f64::from(f32::MAX);
            if decided && normal {
                #[allow(clippy::cast_possible_truncation, reason = "the nearest is meant")]
                let value = near as f32;
                return Some(if self.negative { -value } else { value });
            }
        }
        parse(text).filter(|value: &f32| value.is_finite())
    }

    /// The nearest `f64`; `None` where it is above all. `text` is the number's own.
    #[inline]
    pub(crate) fn to_f64(self, text: &[u8]) -> Option<f64> {
        // Both the digits and the power are exact, so the one operation rounds once.
        match self.near().filter(|_| self.digits <= 1 << 53) {
            Some(value) => Some(if self.negative { -value } else { value }),
            None => parse(text).filter(|value: &f64| value.is_finite()),
        }
    }

    /// The integer, where it is written as one and not longer than any type's.
    #[inline]
    pub(crate) fn to_integer(self, text: &[u8]) -> Option<i128> {
        match (self.whole, self.exact) {
            (false, _) => None,
            (true, true) => Some(if self.negative { -i128::from(self.digits) } else { i128::from(self.digits) }),
            (true, false) => parse(text),
        }
    }

    /// The size as a float64, at most two units in the last place off; `None` where that is not known.
    #[inline]
    fn near(self) -> Option<f64> {
        let scale = *POWERS.get(usize::try_from(self.power.unsigned_abs()).ok()?)?;
        #[allow(clippy::cast_precision_loss, reason = "half a unit in the last place, which is counted")]
        let digits = self.digits as f64;
        self.exact.then_some(if self.power < 0 { digits / scale } else { digits * scale })
    }
}

fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Adds the digits from `at` on to `value`, modulo 2^64, and tells where they end.
#[inline(always)]
fn read_digits(bytes: &[u8], mut at: usize, value: &mut u64) -> usize {
    // How many digits a number has is different each time: a loop over the last ones would be guessed wrong by the processor
    // for nearly every number.
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*eight);
        let count = leading_digits(word);
        if count == 8 {
            *value = value.wrapping_mul(SCALES[8]).wrapping_add(eight_digits(word));
            at += 8;
            continue;
        }
        // What is no digit falls out at the top, and zeros come in before the digits.
        let digits = if count == 0 { 0 } else { word << (64 - 8 * count) };
        *value = value.wrapping_mul(SCALES[count]).wrapping_add(eight_digits(digits));
        return at + count;
    }
    while let Some(&digit @ b'0'..=b'9') = bytes.get(at) {
        *value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        at += 1;
    }
    at
}

/// How many of the eight bytes, from the lowest, are `0` to `9`.
#[inline]
fn leading_digits(word: u64) -> usize {
    const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    let values = word ^ 0x3030_3030_3030_3030;
    // The highest bit of a byte becomes 1, where its value is above 9; no byte carries into the next.
    let above = ((values & LOW) + 0x7676_7676_7676_7676) | values;
    (above & !LOW).trailing_zeros() as usize / 8
}

/// The number of eight digits, the first in the lowest byte: pairs, then fours, then all.
#[inline]
fn eight_digits(word: u64) -> u64 {
    let digits = word & 0x0F0F_0F0F_0F0F_0F0F;
    let pairs = (digits.wrapping_mul(10).wrapping_add(digits >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    (fours.wrapping_mul(10_000).wrapping_add(fours >> 32)) & 0xFFFF_FFFF
}

fn read_exponent(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let (negative, first) = match bytes.get(at)? {
        b'-' => (true, at + 1),
        b'+' => (false, at + 1),
        _ => (false, at),
    };
    let (mut value, mut end) = (0_i64, first);
    while let Some(&digit @ b'0'..=b'9') = bytes.get(end) {
        value = (value * 10 + i64::from(digit - b'0')).min(LARGEST_EXPONENT);
        end += 1;
    }
    (end > first).then_some((if negative { -value } else { value }, end))
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_precision_loss)]
mod tests {
    use super::*;

    /// A small generator (Steele et al. 2014, `splitmix64`), so that the cases are the same each time.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn check(text: &str) {
        let decimal = Decimal::scan(text.as_bytes(), 0).unwrap_or_else(|| panic!("{text} is a number"));
        assert_eq!(decimal.end, text.len(), "{text}");
        let finite32 = Some(text.parse::<f32>().unwrap()).filter(|value| value.is_finite());
        let finite64 = Some(text.parse::<f64>().unwrap()).filter(|value| value.is_finite());
        assert_eq!(decimal.to_f32(text.as_bytes()).map(f32::to_bits), finite32.map(f32::to_bits), "{text}");
        assert_eq!(decimal.to_f64(text.as_bytes()).map(f64::to_bits), finite64.map(f64::to_bits), "{text}");
        assert_eq!(decimal.to_integer(text.as_bytes()), text.parse().ok().filter(|_| decimal.whole), "{text}");
    }

    #[test]
    fn numbers_are_those_of_the_standard_library_to_the_last_bit() {
        let mut state = 7;
        for _ in 0..30_000 {
            let bits = random(&mut state);
            let single = f32::from_bits((bits >> 32) as u32);
            let near_one = (bits >> 11) as f64 / (1_u64 << 53) as f64;
            for text in [
                f64::from(single).to_string(),
                format!("{single:e}"),
                format!("{:e}", f64::from_bits(bits)),
                near_one.to_string(),
                format!("{:.3}", near_one * 1000.0 - 500.0),
                f64::from(near_one as f32).to_string(),
                bits.to_string(),
                (bits as i64).to_string(),
            ] {
                if !text.contains(['N', 'i']) {
                    check(&text);
                }
            }
        }
    }

    #[test]
    fn the_middle_between_two_singles_rounds_to_the_even_one() {
        let mut state = 11;
        for _ in 0..20_000 {
            let low = f32::from_bits(0x3000_0000 + (random(&mut state) >> 36) as u32);
            let high = f32::from_bits(low.to_bits() + 1);
            let middle = (f64::from(low) + f64::from(high)) / 2.0;
            for around in [middle, f64::from_bits(middle.to_bits() - 1), f64::from_bits(middle.to_bits() + 1)] {
                check(&around.to_string());
                check(&format!("{around:.17}"));
            }
        }
    }

    #[test]
    fn edges() {
        for text in [
            "0",
            "-0",
            "0.0",
            "-0.0e5",
            "1",
            "9007199254740993",
            "9007199254740992",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775808",
            "0.1",
            "1e22",
            "1e23",
            "1e-22",
            "1e-23",
            "123456789012345678901",
            "3.4028235e38",
            "3.4028236e38",
            "1e39",
            "1e400",
            "-1e400",
            "1e-400",
            "1.1754944e-38",
            "1e-45",
            "7e-46",
            "4.9e-324",
            "2.4703282292062327e-324",
            "0.000000000000000000000000000000000000000000001",
            "100000000000000000000000000000000e-20",
            "1e1000000000000000000000",
            "1e-1000000000000000000000",
            "0e99999999999",
            "12345678",
            "1234567.8",
            "0.12345678",
            "00000000".trim_start_matches("0000000"),
            "16777217",
            "16777216.99999999999",
        ] {
            check(text);
        }
    }

    #[test]
    fn what_is_no_number() {
        for text in ["", "-", "+1", ".5", "1.", "1.e5", "1e", "1e+", "-e5", "x", "--1", "-.5", "1.x", "Infinity"] {
            assert!(Decimal::scan(text.as_bytes(), 0).is_none(), "{text}");
        }
        assert_eq!(Decimal::scan(b"01", 0).unwrap().end, 1, "a zero in front ends the number");
    }
}
