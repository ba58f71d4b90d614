//! From figures to pixels: an axis with ticks at round numbers. It does not know what is drawn along it.

use super::figures;

/// Beyond this, differences would overflow; such values count as not finite.
const LARGEST: f64 = 1e300;
/// A range under this has no room for ticks.
const SMALLEST: f64 = 1e-290;

/// Whether a value has a place on an axis.
pub(super) fn drawable(value: f64) -> bool {
    value.abs() <= LARGEST
}

/// An axis: an interval of figures laid on an interval of pixels.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    log: bool,
    pixels: (f64, f64),
    /// Where a label stands, and the label.
    ticks: Vec<(f64, String)>,
}

impl Scale {
    /// The linear axis of drawable `values`, widened to about `count` round ticks.
    pub(super) fn linear(values: impl IntoIterator<Item = f64>, count: f64) -> Self {
        let (mut low, mut high) = range(values).unwrap_or((0.0, 1.0));
        if high - low <= 1e-9 * high.abs().max(low.abs()) {
            (low, high) = (low.min(0.0), high.max(0.0));
        }
        if high - low < SMALLEST {
            (low, high) = (0.0, 1.0);
        }
        if low > 0.0 && low < 0.4 * high {
            low = 0.0;
        }
        let step = round_up((high - low) / count);
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        let ticks = multiples(first, last).map(|i| (i * step, tick_label(i * step, step))).collect();
        Self { from: first * step, to: last * step, log: false, pixels: (0.0, 1.0), ticks }
    }

    /// The logarithmic axis of `values`, when all are positive and they span a factor of more than 30.
    pub(super) fn logarithmic(values: impl IntoIterator<Item = f64>, count: f64) -> Option<Self> {
        let (low, high) = range(values)?;
        if low < SMALLEST || high <= 30.0 * low {
            return None;
        }
        let ticks = log_ticks(low, high, count);
        let (from, to) = (ticks.first()?.log10(), ticks.last()?.log10());
        let ticks = ticks.into_iter().map(|value| (value, tick_label(value, value))).collect();
        Some(Self { from, to, log: true, pixels: (0.0, 1.0), ticks })
    }

    /// The axis of steps: from 0 to the last one, with ticks at whole numbers.
    pub(super) fn steps(last: u64, count: f64) -> Self {
        let last = (last as f64).max(1.0);
        let step = round_up(last / count).max(1.0);
        let ticks = multiples(0.0, (last / step).floor())
            .map(|i| (i * step, figures::grouped(format!("{:.0}", i * step))))
            .collect();
        Self { from: 0.0, to: last, log: false, pixels: (0.0, 1.0), ticks }
    }

    /// Lays the axis on the pixels `from..=to`.
    pub(super) fn onto(self, from: f64, to: f64) -> Self {
        Self { pixels: (from, to), ..self }
    }

    pub(super) fn pixel(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        let share = (value - self.from) / (self.to - self.from);
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    pub(super) fn ticks(&self) -> &[(f64, String)] {
        &self.ticks
    }

    pub(super) fn is_log(&self) -> bool {
        self.log
    }
}

fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|value| drawable(*value)).fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

/// The least of 1, 2, 5 times a power of ten that is not under `value`.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0].map(|digit| digit * power).into_iter().find(|round| *round >= value * 0.999).unwrap_or(10.0 * power)
}

/// The whole numbers `first..=last`; at most a few dozen by construction.
fn multiples(first: f64, last: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(first), |i| Some(i + 1.0)).take_while(move |i| *i <= last).take(64)
}

/// The densest set of round numbers with no more than `count` intervals that encloses `low..=high`.
fn log_ticks(low: f64, high: f64, count: f64) -> Vec<f64> {
    let sets: [&[f64]; 3] = [&[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
    let enclosing = |digits: &[f64], every: i32| {
        #[expect(clippy::cast_possible_truncation, reason = "a logarithm of a double is small")]
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let first = first.div_euclid(every) * every;
        let all: Vec<f64> = (first..=last + every)
            .step_by(every.unsigned_abs() as usize)
            .flat_map(|power| digits.iter().map(move |digit| digit * 10_f64.powi(power)))
            .collect();
        let from = all.iter().rposition(|tick| *tick <= low * 1.001).unwrap_or(0);
        let to = all.iter().position(|tick| *tick >= high * 0.999).unwrap_or(all.len() - 1);
        all[from..=to].to_vec()
    };
    let dense = sets.iter().map(|digits| enclosing(digits, 1));
    let sparse = [2, 5, 10, 20, 50, 100, 200].into_iter().map(|every| enclosing(&[1.0], every));
    dense.chain(sparse).find(|ticks| ticks.len() as f64 <= count + 1.0).unwrap_or_else(|| vec![low, high])
}

/// The label of a tick among ticks that are `step` apart: as many decimals as that needs.
fn tick_label(value: f64, step: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.abs() >= 1e6 || step.abs() < 1e-4 {
        return format!("{value:.2e}").replace(".00e", "e").replace("0e", "e").replace('-', "−");
    }
    let decimals = (0..5).find(|&places| step >= 0.999 / 10_f64.powi(places)).unwrap_or(5);
    format!("{value:.*}", usize::try_from(decimals).unwrap_or(0)).replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<&str> {
        scale.ticks().iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(&Scale::linear([0.1, 0.97], 5.0)), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&Scale::linear([0.9, 0.99], 5.0)), ["0.90", "0.92", "0.94", "0.96", "0.98", "1.00"]);
        assert_eq!(labels(&Scale::linear([-3.0, 4.0], 4.0)), ["−4", "−2", "0", "2", "4"]);
        assert_eq!(labels(&Scale::linear([0.001, 0.001], 4.0)).first(), Some(&"0"));
        assert_eq!(labels(&Scale::steps(675, 5.0)), ["0", "200", "400", "600"]);
        assert_eq!(labels(&Scale::steps(23_450, 3.0)), ["0", "10\u{202f}000", "20\u{202f}000"]);
        assert_eq!(labels(&Scale::steps(1, 5.0)), ["0", "1"]);
    }

    #[test]
    fn logarithms_from_a_factor_of_thirty() {
        assert!(Scale::logarithmic([0.1, 2.9], 6.0).is_none());
        assert!(Scale::logarithmic([0.0, 9.0], 6.0).is_none());
        let scale = Scale::logarithmic([0.02, 2.3], 7.0).expect("a factor of 115");
        assert_eq!(labels(&scale), ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5"]);
        let scale = Scale::logarithmic([0.02, 2.3], 5.0).expect("a factor of 115").onto(0.0, 1.0);
        assert_eq!(labels(&scale), ["0.01", "0.03", "0.1", "0.3", "1", "3"]);
        assert!((scale.pixel(0.01)).abs() < 1e-12 && (scale.pixel(3.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn every_drawable_value_has_a_finite_place() {
        let values =
            [0.0, 5e-324, -5e-324, 1e-310, 1e-300, 1e-9, 0.3, 1.0, 7e5, 1e200, LARGEST, -1e-300, -2.0, -LARGEST];
        for low in values {
            for high in values {
                for count in [2.0, 4.0, 7.0] {
                    let scales = [Some(Scale::linear([low, high], count)), Scale::logarithmic([low, high], count)];
                    for scale in scales.into_iter().flatten() {
                        let place = [scale.pixel(low), scale.pixel(high)];
                        assert!(place.iter().all(|p| (-0.01..=1.01).contains(p)), "{low} {high} {place:?} {scale:?}");
                        assert!((2..=20).contains(&scale.ticks().len()), "{low} {high} {scale:?}");
                    }
                }
            }
        }
    }
}
