//! A chart of figures by step, as SVG. It does not know what the figures mean, nor where the chart stands.

use super::{
    figures,
    html::Html,
    scale::{Scale, drawable},
};
use crate::{Decision, Point, Series};

/// Width and height in the units of the view box; text is 13 of them high.
pub(super) type Size = (f64, f64);

/// The width of a character of a label, about.
const CHARACTER: f64 = 8.2;
/// The least distance of labels, one below the other.
const LINE: f64 = 16.0;
/// Decisions closer than this share a mark.
const MARK: f64 = 18.0;

/// A chart of figures by step.
#[derive(Clone, Debug)]
pub(super) struct Chart<'a> {
    pub(super) name: &'a str,
    pub(super) series: Vec<&'a Series>,
    pub(super) decisions: &'a [Decision],
    /// The step to mark on the series that were not measured in training.
    pub(super) chosen: Option<u64>,
    /// Whether a logarithmic axis may be used.
    pub(super) may_log: bool,
}

/// The axes, and the box that they span.
struct Plot {
    x: Scale,
    y: Scale,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Chart<'_> {
    /// Whether the axis of figures is logarithmic.
    pub(super) fn is_log(&self) -> bool {
        self.figure_scale(6.0).is_log()
    }

    /// What the signs in the chart mean, as far as they occur.
    pub(super) fn legend(&self) -> String {
        let signs = [
            (self.series.iter().any(|series| chosen(series, self.chosen).is_some()), "○ the published weights"),
            (self.points().any(|point| !drawable(point.value)), "× not finite"),
            (!self.decisions.is_empty(), "dotted: decisions, numbered as below"),
        ];
        signs.into_iter().filter(|(occurs, _)| *occurs).map(|(_, meaning)| meaning).collect::<Vec<_>>().join("  ·  ")
    }

    /// The chart as an `<svg>` element.
    pub(super) fn draw(&self, size: Size) -> Html {
        let labels: Vec<String> = self.series.iter().map(|series| end_label(series)).collect();
        let plot = self.plot(size, &labels);
        let mut svg = Html::of(
            "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">",
            &[&size.0, &size.1, &self.description()],
        );
        svg.put("{}{}", &[&plot.axes(), &self.marks(&plot)]);
        for (series, class) in self.series.iter().zip(self.classes()) {
            let name = if series.part.is_empty() { &series.name } else { &series.part };
            svg.put("<g class=\"{}\" data-name=\"{}\">{}</g>", &[&class, name, &self.line(series, &plot)]);
        }
        svg.put("{}<g class=\"pointer\"></g></svg>", &[&self.labels(&plot, &labels)]);
        svg
    }

    /// What the chart shows, for who cannot see it.
    fn description(&self) -> String {
        let ends: Vec<String> = self.series.iter().map(|series| end_label(series)).collect();
        format!("{} by step; at the end: {}", self.name, ends.join(", "))
    }

    /// Training is quiet, the first other part has the accent, further ones are dashed; a lone series has the accent.
    fn classes(&self) -> Vec<&'static str> {
        let mut others = ["line accent"].into_iter();
        let alone = self.series.len() == 1;
        self.series
            .iter()
            .map(|series| match series.part.as_str() {
                "train" if !alone => "line quiet",
                _ => others.next().unwrap_or("line dashed"),
            })
            .collect()
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.series.iter().flat_map(|series| &series.points)
    }

    fn figure_scale(&self, count: f64) -> Scale {
        let values = || self.points().map(|point| point.value);
        let log = if self.may_log { Scale::logarithmic(values(), count) } else { None };
        log.unwrap_or_else(|| Scale::linear(values(), count))
    }

    fn plot(&self, (width, height): Size, labels: &[String]) -> Plot {
        let longest = |labels: &mut dyn Iterator<Item = &String>| {
            labels.map(|label| label.chars().count() as f64 * CHARACTER).fold(0.0, f64::max)
        };
        let y = self.figure_scale(if height > 300.0 { 6.0 } else { 4.0 });
        let left = 10.0 + longest(&mut y.ticks().iter().map(|(_, label)| label));
        let right = width - 14.0 - longest(&mut labels.iter()).clamp(26.0, width / 3.0);
        let (top, bottom) = (if self.decisions.is_empty() { 10.0 } else { 26.0 }, height - 28.0);
        let last =
            self.points().map(|point| point.step).chain(self.decisions.iter().map(|d| d.step)).max().unwrap_or(1);
        let x = Scale::steps(last, (width / 110.0).floor()).onto(left, right);
        Plot { x, y: y.onto(bottom, top), left, right, top, bottom }
    }

    /// A series: a line for each run of finite values, a cross where there is none, a ring at the chosen step.
    fn line(&self, series: &Series, plot: &Plot) -> Html {
        let mut html = Html::new();
        for run in series.points.chunk_by(|a, b| drawable(a.value) == drawable(b.value)) {
            if run.first().is_some_and(|point| drawable(point.value)) {
                html.put("{}", &[&polyline(&thinned(run, plot), plot)]);
            } else {
                html.put("{}", &[&crosses(run, plot)]);
            }
        }
        if let Some(point) = chosen(series, self.chosen) {
            html.put("<circle class=\"chosen\" cx=\"{}\" cy=\"{}\" r=\"4.5\"/>", &[&plot.x(point), &plot.y(point)]);
        }
        html
    }

    /// The labels at the ends of the lines, pushed apart where they would touch.
    fn labels(&self, plot: &Plot, labels: &[String]) -> Html {
        let mut placed: Vec<(f64, f64, &String, &str)> = self
            .series
            .iter()
            .zip(labels)
            .zip(self.classes())
            .filter_map(|((series, label), class)| {
                let end = series.points.iter().rev().find(|point| drawable(point.value))?;
                Some((plot.y(end), plot.x(end), label, class))
            })
            .collect();
        placed.sort_by(|a, b| a.0.total_cmp(&b.0));
        let heights = spread(&placed.iter().map(|label| label.0).collect::<Vec<_>>(), plot.top, plot.bottom);
        let mut html = Html::new();
        for ((_, x, label, class), y) in placed.iter().zip(heights) {
            html.put("<text class=\"end {}\" x=\"{}\" y=\"{}\">{}</text>", &[class, &(x + 8.0), &(y + 4.5), *label]);
        }
        html
    }

    /// A numbered mark for every decision; the numbers are those of the table below the chart.
    fn marks(&self, plot: &Plot) -> Html {
        let mut html = Html::new();
        let numbered: Vec<(usize, &Decision)> = (1..).zip(self.decisions).collect();
        let mut rest = numbered.as_slice();
        while let [(first, decision), ..] = rest {
            let x = plot.x.pixel(decision.step as f64);
            let near = rest.iter().take_while(|(_, d)| (plot.x.pixel(d.step as f64) - x).abs() < MARK).count();
            let (group, later) = rest.split_at(near);
            rest = later;
            let number = if near == 1 { first.to_string() } else { format!("{first}–{}", first + near - 1) };
            html.put("<g class=\"mark\" data-x=\"{}\"><title>{}</title>", &[&x, &mark_title(group)]);
            html.put("<line x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>", &[&x, &x, &(plot.top - 6.0), &plot.bottom]);
            html.put("<text x=\"{}\" y=\"{}\">{}</text></g>", &[&x, &(plot.top - 11.0), &number]);
        }
        html
    }
}

impl Plot {
    fn x(&self, point: &Point) -> f64 {
        self.x.pixel(point.step as f64)
    }

    fn y(&self, point: &Point) -> f64 {
        self.y.pixel(point.value)
    }

    fn axes(&self) -> Html {
        let mut html = Html::of("<g class=\"axis\">", &[]);
        for (value, label) in self.y.ticks() {
            let y = self.y.pixel(*value);
            html.put("<line x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>", &[&self.left, &self.right, &y, &y]);
            html.put("<text class=\"y\" x=\"{}\" y=\"{}\">{}</text>", &[&(self.left - 8.0), &(y + 4.5), label]);
        }
        let below = self.bottom + 19.0;
        for (value, label) in self.x.ticks() {
            let x = self.x.pixel(*value);
            html.put("<line x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>", &[&x, &x, &self.bottom, &(self.bottom + 4.0)]);
            // The label of a tick near the end makes room for the unit.
            let half = label.chars().count() as f64 * CHARACTER / 2.0;
            html.put("<text class=\"x\" x=\"{}\" y=\"{}\">{}</text>", &[&x.min(self.right - half), &below, label]);
        }
        html.put(
            "<line class=\"base\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>",
            &[&self.left, &self.right, &self.bottom, &self.bottom],
        );
        html.put("<text class=\"unit\" x=\"{}\" y=\"{}\">step</text></g>", &[&(self.right + 8.0), &below]);
        html
    }
}

/// A line through the points, or a dot at a single one; what the script reads out stands beside.
fn polyline(points: &[Point], plot: &Plot) -> Html {
    let (mut path, mut read) = (Html::new(), String::new());
    for point in points {
        path.put("{},{} ", &[&plot.x(point), &plot.y(point)]);
        read += &format!("{}|{}|{};", point.step, figures::epoch(point.epoch), figures::number(point.value));
    }
    let mut html = Html::of("<polyline points=\"{}\" data-read=\"{}\"/>", &[&path, &read]);
    if let [point] = points {
        html.put("<circle class=\"dot\" cx=\"{}\" cy=\"{}\" r=\"3\"/>", &[&plot.x(point), &plot.y(point)]);
    }
    html
}

/// Crosses on the upper edge, no more than one a few pixels.
fn crosses(points: &[Point], plot: &Plot) -> Html {
    let mut html = Html::new();
    let mut last = f64::NEG_INFINITY;
    for point in points {
        let x = plot.x(point);
        if x - last >= 8.0 {
            last = x;
            let title = format!("step {}: {}", point.step, figures::number(point.value));
            html.put(
                "<text class=\"cross\" x=\"{}\" y=\"{}\"><title>{}</title>×</text>",
                &[&x, &(plot.top + 4.0), &title],
            );
        }
    }
    html
}

/// The least and the greatest point of every pixel and a half, so that a spike is never thinned away.
fn thinned(points: &[Point], plot: &Plot) -> Vec<Point> {
    let column = |point: &Point| (plot.x(point) / 1.5).floor();
    let mut kept = Vec::new();
    for column in points.chunk_by(|a, b| column(a) == column(b)) {
        let low = (0..column.len()).min_by(|a, b| column[*a].value.total_cmp(&column[*b].value)).unwrap_or(0);
        let high = (0..column.len()).max_by(|a, b| column[*a].value.total_cmp(&column[*b].value)).unwrap_or(0);
        let mut indices = vec![0, low, high, column.len() - 1];
        indices.sort_unstable();
        indices.dedup();
        kept.extend(indices.into_iter().map(|index| column[index]));
    }
    kept
}

/// The point of the published weights, on a series that was measured with them.
fn chosen(series: &Series, step: Option<u64>) -> Option<&Point> {
    series.points.iter().find(|point| series.part != "train" && Some(point.step) == step && drawable(point.value))
}

fn end_label(series: &Series) -> String {
    let end = series.points.iter().rev().find(|point| drawable(point.value));
    let value = end.map_or_else(|| "no finite value".to_owned(), |point| figures::number(point.value));
    format!("{} {value}", series.part).trim_start().to_owned()
}

fn mark_title(group: &[(usize, &Decision)]) -> String {
    let mut lines: Vec<String> = group
        .iter()
        .take(8)
        .map(|(_, d)| format!("step {}: {} {}: {}", d.step, d.controller, d.action, d.reason))
        .collect();
    if group.len() > 8 {
        lines.push(format!("and {} more", group.len() - 8));
    }
    lines.join("\n")
}

/// Moves sorted heights apart by at least a line, within `top..=bottom` as far as they fit.
fn spread(heights: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut spread: Vec<f64> = heights.to_vec();
    for i in 1..spread.len() {
        spread[i] = spread[i].max(spread[i - 1] + LINE);
    }
    let mut limit = bottom;
    for height in spread.iter_mut().rev() {
        *height = height.min(limit).max(top);
        limit = *height - LINE;
    }
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_spread_within_the_plot() {
        assert_eq!(spread(&[50.0, 51.0, 120.0], 10.0, 200.0), [50.0, 66.0, 120.0]);
        assert_eq!(spread(&[199.0, 200.0], 10.0, 200.0), [184.0, 200.0]);
        assert_eq!(spread(&[], 10.0, 200.0), []);
    }

    #[test]
    fn the_last_tick_leaves_room_for_the_unit() {
        for last in [1, 5, 24, 100, 200, 920, 1_000, 10_000, 400_000] {
            let points = vec![Point { step: last, epoch: 1.0, value: 1.0 }];
            let series = Series { name: "loss".into(), part: "train".into(), points };
            let chart = Chart { name: "loss", series: vec![&series], decisions: &[], chosen: None, may_log: true };
            let plot = chart.plot((440.0, 250.0), &[]);
            let axes = plot.axes().into_string();
            for label in axes.split("class=\"x\" x=\"").skip(1) {
                let (x, rest) = label.split_once('"').expect("a number");
                let text = rest.split_once('>').and_then(|(_, rest)| rest.split_once('<')).expect("a label").0;
                let end = x.parse::<f64>().expect("a number") + text.chars().count() as f64 * CHARACTER / 2.0;
                assert!(end <= plot.right + 0.1, "{text} ends at {end}, the plot at {}", plot.right);
            }
        }
    }

    #[test]
    fn a_spike_is_never_thinned_away() {
        let value = |step| if step == 7_777 { 99.0 } else { 1.0 };
        let points: Vec<Point> = (1..=10_000).map(|step| Point { step, epoch: 0.0, value: value(step) }).collect();
        let series = Series { name: "loss".into(), part: "train".into(), points };
        let chart = Chart { name: "loss", series: vec![&series], decisions: &[], chosen: None, may_log: true };
        let kept = thinned(&series.points, &chart.plot((440.0, 250.0), &[]));
        assert!(kept.len() < 1_200, "{}", kept.len());
        assert!(kept.iter().any(|point| point.step == 7_777));
        assert_eq!(kept.last().map(|point| point.step), Some(10_000));
        assert!(kept.is_sorted_by_key(|point| point.step));
    }
}
