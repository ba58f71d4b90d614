//! Lines over seconds as an SVG file, panel below panel. It does not know what was measured.

use std::fmt::Write;

/// Width of the picture and height of a panel, in its own units.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 220.0;
/// Room for labels: left of a panel, right, above, below.
const MARGIN: [f64; 4] = [64.0, 110.0, 34.0, 24.0];
const TOP: f64 = 30.0;
/// Told apart by who sees no difference of red and green, too (Okabe and Ito 2008).
const COLOURS: [&str; 4] = ["#0072b2", "#e69f00", "#cc79a7", "#777777"];

/// Panels over the same seconds.
pub(crate) struct Chart {
    pub(super) title: String,
    pub(super) panels: Vec<Panel>,
    pub(super) bands: Vec<Band>,
}

pub(super) struct Panel {
    label: &'static str,
    lines: Vec<Line>,
    is_log: bool,
    mark: Option<(f64, &'static str)>,
}

#[derive(Clone)]
pub(super) struct Line {
    name: &'static str,
    /// Seconds with values.
    points: Vec<(f64, f64)>,
}

/// A time that is shaded.
pub(super) struct Band {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) label: &'static str,
}

impl Line {
    pub(super) fn new(name: &'static str, points: Vec<(f64, f64)>) -> Self {
        Self { name, points }
    }
}

impl Panel {
    pub(super) fn new(label: &'static str, lines: Vec<Line>) -> Self {
        Self { label, lines, is_log: false, mark: None }
    }

    pub(super) fn logarithmic(mut self) -> Self {
        self.is_log = true;
        self
    }

    /// With a line across at a value.
    pub(super) fn mark(mut self, value: f64, label: &'static str) -> Self {
        self.mark = Some((value, label));
        self
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let values = self.lines.iter().flat_map(|line| line.points.iter().map(|point| point.1));
        values.chain(self.mark.map(|mark| mark.0)).filter(|value| !self.is_log || *value > 0.0)
    }

    /// Round values from below all to above all.
    fn ticks(&self) -> Vec<f64> {
        let most = self.values().fold(f64::MIN_POSITIVE, f64::max);
        if self.is_log {
            let least = self.values().fold(most, f64::min);
            #[expect(clippy::cast_possible_truncation, reason = "a power of ten")]
            let powers = least.log10().floor() as i32..=most.log10().ceil() as i32;
            return powers.map(|power| 10_f64.powi(power)).collect();
        }
        let power = 10_f64.powf((most / 4.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|round| round * power).into_iter().find(|step| 4.0 * step >= most);
        let step = step.unwrap_or(10.0 * power);
        (0..=4).map(|at| step * f64::from(at)).collect()
    }
}

impl Chart {
    /// The whole file.
    pub(crate) fn svg(&self) -> String {
        let height = TOP + HEIGHT * self.panels.len() as f64 + 20.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n\
             <text x=\"{}\" y=\"20\" font-size=\"14\">{}</text>\n",
            MARGIN[0],
            escaped(&self.title)
        );
        let seconds = self.panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.points);
        let last = seconds.map(|point| point.0).fold(1.0, f64::max);
        for (panel, at) in self.panels.iter().zip(0_u8..) {
            let top = TOP + HEIGHT * f64::from(at);
            self.draw(&mut svg, panel, (top, last));
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">seconds</text>\n</svg>",
            WIDTH - MARGIN[1],
            height - 6.0
        );
        svg
    }

    fn draw(&self, svg: &mut String, panel: &Panel, (top, last): (f64, f64)) {
        let (left, right) = (MARGIN[0], WIDTH - MARGIN[1]);
        let (ceiling, bottom) = (top + MARGIN[2], top + HEIGHT - MARGIN[3]);
        let ticks = panel.ticks();
        let along = |value: f64| if panel.is_log { value.log10() } else { value };
        let (low, high) = (along(ticks[0]), along(ticks[ticks.len() - 1]));
        let x = |second: f64| left + (right - left) * second / last;
        let y = |value: f64| bottom - (bottom - ceiling) * (along(value) - low) / (high - low).max(f64::MIN_POSITIVE);
        // Writing into a string cannot fail.
        for band in &self.bands {
            let (from, width) = (x(band.from), x(band.to) - x(band.from));
            let _ = writeln!(
                svg,
                "<rect x=\"{from:.1}\" y=\"{ceiling}\" width=\"{width:.1}\" height=\"{}\" fill=\"#f0f0f0\"/>\
                 <text x=\"{:.1}\" y=\"{}\" fill=\"#555\">{}</text>",
                bottom - ceiling,
                from + 4.0,
                ceiling + 14.0,
                escaped(band.label)
            );
        }
        let _ = writeln!(svg, "<text x=\"{left}\" y=\"{}\">{}</text>", ceiling - 8.0, escaped(panel.label));
        for tick in &ticks {
            let _ = writeln!(
                svg,
                "<path d=\"M{left} {0:.1}H{right}\" stroke=\"#ddd\"/><text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{tick}</text>",
                y(*tick),
                left - 6.0,
                y(*tick) + 4.0
            );
        }
        for at in 0..=5_u8 {
            let second = last * f64::from(at) / 5.0;
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{second:.0}</text>",
                x(second),
                bottom + 15.0
            );
        }
        if let Some((value, label)) = panel.mark {
            let _ = writeln!(
                svg,
                "<path d=\"M{left} {0:.1}H{right}\" stroke=\"#d00\" stroke-dasharray=\"6 4\"/><text x=\"{1}\" y=\"{2:.1}\" fill=\"#d00\">{label}</text>",
                y(value),
                right + 6.0,
                y(value) + 4.0
            );
        }
        for ((line, colour), at) in panel.lines.iter().zip(COLOURS.iter().cycle()).zip(0_u8..) {
            let drawn = line.points.iter().filter(|point| !panel.is_log || point.1 > 0.0);
            let path: Vec<String> = drawn.map(|&(second, value)| format!("{:.1} {:.1}", x(second), y(value))).collect();
            if !path.is_empty() {
                let _ = writeln!(
                    svg,
                    "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
                    path.join("L")
                );
            }
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"{colour}\">{}</text>",
                right - 100.0 * f64::from(at),
                ceiling - 8.0,
                escaped(line.name)
            );
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_hold_all_values() {
        let ticks = |values: &[f64], is_log: bool| {
            let points = values.iter().map(|&value| (0.0, value)).collect();
            Panel { is_log, ..Panel::new("", vec![Line::new("", points)]) }.ticks()
        };
        assert_eq!(ticks(&[3.0, 70.0], false), [0.0, 20.0, 40.0, 60.0, 80.0]);
        assert_eq!(ticks(&[8_100.0], false), [0.0, 5_000.0, 10_000.0, 15_000.0, 20_000.0]);
        assert_eq!(ticks(&[0.5, 250.0, 0.0], true), [0.1, 1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(ticks(&[], false).len(), 5);
    }

    #[test]
    fn lines_lie_within_their_panel() {
        let line = Line::new("a<b", vec![(0.0, 0.0), (5.0, 40.0), (10.0, 20.0)]);
        let chart = Chart {
            title: "one & two".to_owned(),
            panels: vec![Panel::new("ms", vec![line]).mark(30.0, "target")],
            bands: vec![Band { from: 2.0, to: 4.0, label: "slow" }],
        };
        let svg = chart.svg();
        let (left, right) = (MARGIN[0], WIDTH - MARGIN[1]);
        let (ceiling, bottom) = (TOP + MARGIN[2], TOP + HEIGHT - MARGIN[3]);
        let middle = (left + right) / 2.0;
        assert!(
            svg.contains(&format!(
                "M{left:.1} {bottom:.1}L{middle:.1} {ceiling:.1}L{right:.1} {:.1}",
                (ceiling + bottom) / 2.0
            )),
            "{svg}"
        );
        assert!(svg.contains("one &amp; two") && svg.contains("a&lt;b") && svg.ends_with("</svg>\n"));
    }
}
