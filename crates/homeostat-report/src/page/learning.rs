//! How the run learned: the charts, what the controllers decided, and the figures as a table.

use super::{
    chart::{Chart, Size},
    figures, fold,
    html::Html,
};
use crate::{Decision, Point, Report, Series};

/// Rows of the table of figures.
const ROWS: usize = 40;

/// The charts, the decisions, and the figures as a table.
pub(super) fn render(report: &Report) -> Option<Html> {
    let rate = Series { name: "learning rate".into(), part: String::new(), points: report.rate.clone() };
    let mut charts = charts(report);
    charts.push(Chart { name: &rate.name, series: vec![&rate], decisions: &[], chosen: None, may_log: false });
    charts.retain(|chart| chart.series.iter().any(|series| !series.points.is_empty()));
    let mut html = Html::new();
    let lead = charts.iter().position(|chart| chart.name == "loss").map(|index| charts.remove(index));
    if let Some(lead) = &lead {
        html.put("{}", &[&figure(lead, &[("wide", (900.0, 340.0)), ("narrow", (400.0, 270.0))])]);
    }
    html.put("{}", &[&decisions(&report.decisions)]);
    if !charts.is_empty() {
        html.put("<div class=\"charts\">", &[]);
        for chart in &charts {
            html.put("{}", &[&figure(chart, &[("", (440.0, 240.0))])]);
        }
        html.put("</div>", &[]);
    }
    html.put("{}", &[&table(report)]);
    (lead.is_some() || !charts.is_empty() || !report.decisions.is_empty()).then_some(html)
}

/// One chart a name, in the order of appearance.
fn charts(report: &Report) -> Vec<Chart<'_>> {
    let mut charts: Vec<Chart<'_>> = Vec::new();
    for series in &report.curves {
        if let Some(chart) = charts.iter_mut().find(|chart| chart.name == series.name) {
            chart.series.push(series);
            continue;
        }
        let loss = series.name == "loss";
        let decisions = if loss { report.decisions.as_slice() } else { &[] };
        charts.push(Chart {
            name: &series.name,
            series: vec![series],
            decisions,
            chosen: report.chosen_step,
            may_log: loss,
        });
    }
    charts
}

/// The measured figures at the steps at which something other than training was measured.
fn table(report: &Report) -> Html {
    let measured = report.curves.iter().filter(|series| series.part != "train").flat_map(|series| &series.points);
    let mut moments: Vec<&Point> = measured.collect();
    moments.sort_by_key(|point| point.step);
    moments.dedup_by_key(|point| point.step);
    if moments.is_empty() {
        return Html::new();
    }
    let every = moments.len().div_ceil(ROWS);
    let kept = moments.iter().enumerate().filter(|(index, _)| (moments.len() - 1 - index).is_multiple_of(every));
    let mut html = Html::of("<details><summary>The figures as a table</summary><div class=\"scroll\"><table>", &[]);
    html.put("<thead><tr><th scope=\"col\" class=\"n\">step</th><th scope=\"col\" class=\"n\">epoch</th>", &[]);
    for series in &report.curves {
        html.put("<th scope=\"col\" class=\"n\">{}<br>{}</th>", &[&series.name, &series.part]);
    }
    html.put("</tr></thead><tbody>", &[]);
    for (_, moment) in kept {
        let chosen = report.chosen_step == Some(moment.step);
        html.put("<tr class=\"{}\">", &[&if chosen { "chosen" } else { "" }]);
        html.put(
            "<td class=\"n\">{}</td><td class=\"n\">{}</td>",
            &[&figures::count(moment.step), &figures::epoch(moment.epoch)],
        );
        for series in &report.curves {
            let value = series.points.iter().rev().find(|point| point.step <= moment.step);
            let text = value.map_or_else(|| "–".to_owned(), |point| figures::number(point.value));
            html.put("<td class=\"n\">{}</td>", &[&text]);
        }
        html.put("</tr>", &[]);
    }
    html.put("</tbody></table></div></details>", &[]);
    html
}

/// A chart under its name, drawn once for each width of the page that needs its own drawing.
fn figure(chart: &Chart<'_>, sizes: &[(&'static str, Size)]) -> Html {
    let scale = if chart.is_log() { "logarithmic scale" } else { "" };
    let mut html =
        Html::of("<figure><figcaption><h3>{}</h3><span class=\"label\">{}</span></figcaption>", &[&chart.name, &scale]);
    for (class, size) in sizes {
        html.put("<div class=\"drawing {}\">{}</div>", &[class, &chart.draw(*size)]);
    }
    html.put("<p class=\"readout\">{}</p></figure>", &[&chart.legend()]);
    html
}

fn decisions(decisions: &[Decision]) -> Html {
    if decisions.is_empty() {
        return Html::new();
    }
    let mut html = Html::of("<div class=\"scroll\"><table><caption>What the controllers decided</caption>", &[]);
    html.put("<thead><tr><th scope=\"col\" class=\"n\">mark</th><th scope=\"col\" class=\"n\">step</th>", &[]);
    html.put("<th scope=\"col\">controller</th><th scope=\"col\">decision</th><th scope=\"col\">why</th></tr></thead><tbody>", &[]);
    for (mark, decision) in (1_usize..).zip(decisions) {
        html.put("<tr><td class=\"n\">{}</td><td class=\"n\">{}</td>", &[&mark, &figures::count(decision.step)]);
        html.put("<td>{}</td><td>{}</td><td>{}</td></tr>", &[&decision.controller, &decision.action, &decision.reason]);
    }
    html.put("</tbody></table></div>", &[]);
    fold(html, decisions.len(), "What the controllers decided")
}
