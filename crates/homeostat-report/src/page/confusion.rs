//! Which class is taken for which: a matrix as far as one can be read, and the most frequent confusions for any number of classes.

use super::{
    figures,
    html::{Html, Name},
};
use crate::Classification;

/// Up to so many classes the counts are legible.
const LEGIBLE: usize = 24;
/// Up to so many classes a map without names still shows blocks and stripes.
const MAPPED: usize = 200;
/// Rows of the table of confusions.
const FREQUENT: usize = 12;

/// One cell off the diagonal that is not empty.
struct Confusion {
    truth: usize,
    predicted: usize,
    count: u64,
}

/// The matrix and the table.
pub(super) fn render(classification: &Classification) -> Html {
    let mut confusions = confusions(classification);
    let mut html = Html::of("<div class=\"confusions\">", &[]);
    let classes = classification.classes.len();
    if classes <= LEGIBLE {
        html.put("{}", &[&table(classification, &confusions)]);
    } else if classes <= MAPPED {
        html.put("{}", &[&map(classification, &confusions)]);
    }
    confusions.sort_by_key(|confusion| std::cmp::Reverse(confusion.count));
    html.put("{}</div>", &[&frequent(classification, &confusions)]);
    html
}

fn confusions(classification: &Classification) -> Vec<Confusion> {
    let rows = classification.confusion.iter().enumerate();
    rows.flat_map(|(truth, row)| {
        row.iter().enumerate().map(move |(predicted, &count)| Confusion { truth, predicted, count })
    })
    .filter(|confusion| confusion.truth != confusion.predicted && confusion.count > 0)
    .collect()
}

fn class(classification: &Classification, index: usize) -> String {
    classification.classes.get(index).cloned().unwrap_or_else(|| format!("class {index}"))
}

fn support(classification: &Classification, truth: usize) -> u64 {
    classification.confusion.get(truth).map_or(0, |row| row.iter().sum())
}

/// Tints show errors, not hits: a good network's diagonal would drown them.
fn table(classification: &Classification, confusions: &[Confusion]) -> Html {
    let worst = confusions.iter().map(|confusion| confusion.count).max().unwrap_or(1) as f64;
    let short = classification.classes.iter().all(|name| name.chars().count() <= 3);
    let mut html = Html::of("<div class=\"scroll\"><table class=\"matrix{}\">", &[&if short { " short" } else { "" }]);
    html.put("<caption>Rows are the truth, columns the prediction.</caption><thead><tr><td></td>", &[]);
    for name in &classification.classes {
        html.put("<th scope=\"col\" title=\"{}\"><span>{}</span></th>", &[name, name]);
    }
    html.put("</tr></thead><tbody>", &[]);
    for (truth, name) in classification.classes.iter().enumerate() {
        html.put("<tr><th scope=\"row\" title=\"{}\">{}</th>", &[name, name]);
        for predicted in 0..classification.classes.len() {
            let count = classification.confusion.get(truth).and_then(|row| row.get(predicted)).copied().unwrap_or(0);
            match (count, truth == predicted) {
                (count, true) => html.put("<td class=\"hit\">{}</td>", &[&figures::count(count)]),
                (0, false) => html.put("<td class=\"none\">·</td>", &[]),
                (count, false) => {
                    let heat = 20.0 + 80.0 * (count as f64 / worst).sqrt();
                    html.put(
                        "<td class=\"miss\" style=\"--heat:{}%\">{}</td>",
                        &[&heat.round(), &figures::count(count)],
                    );
                }
            }
        }
        html.put("</tr>", &[]);
    }
    html.put("</tbody></table></div>", &[]);
    html
}

/// A pixel a cell; a cell's title names it.
fn map(classification: &Classification, confusions: &[Confusion]) -> Html {
    let classes = classification.classes.len();
    let worst = confusions.iter().map(|confusion| confusion.count).max().unwrap_or(1) as f64;
    let mut html = Html::of(
        "<figure class=\"map\"><svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"confusion matrix of {} classes; \
         the most frequent confusions are in the table\"><rect class=\"ground\" width=\"{}\" height=\"{}\"/>",
        &[&classes, &classes, &classes, &classes, &classes],
    );
    html.put("<path class=\"diagonal\" d=\"M0 0L{} {}\"/>", &[&classes, &classes]);
    let inside = |confusion: &&Confusion| confusion.truth < classes && confusion.predicted < classes;
    for confusion in confusions.iter().filter(inside) {
        let heat = 30.0 + 70.0 * (confusion.count as f64 / worst).sqrt();
        let place: [&dyn super::html::Show; 3] = [&confusion.predicted, &confusion.truth, &heat.round()];
        html.put("<rect x=\"{}\" y=\"{}\" width=\"1\" height=\"1\" style=\"--heat:{}%\">", &place);
        let names = [class(classification, confusion.truth), class(classification, confusion.predicted)];
        html.put(
            "<title>{} taken for {}: {}</title></rect>",
            &[&names[0], &names[1], &figures::count(confusion.count)],
        );
    }
    html.put(
        "</svg><figcaption>{} classes from top to bottom (truth) and from left to right (prediction); the stronger ",
        &[&classes],
    );
    html.put("a cell, the more frequent the confusion. Point at a cell to read its names.</figcaption></figure>", &[]);
    html
}

fn frequent(classification: &Classification, confusions: &[Confusion]) -> Html {
    if confusions.is_empty() {
        return Html::of("<p>Every sample was classified rightly.</p>", &[]);
    }
    let total: u64 = confusions.iter().map(|confusion| confusion.count).sum();
    let mut html = Html::of(
        "<div class=\"scroll\"><table><caption>Most frequent confusions ({} {})</caption>",
        &[&figures::count(total), &if total == 1 { "error" } else { "errors" }],
    );
    html.put("<thead><tr><th scope=\"col\">truth</th><th scope=\"col\">taken for</th><th scope=\"col\" class=\"n\">count</th>", &[]);
    html.put("<th scope=\"col\" class=\"n\">of the class</th></tr></thead><tbody>", &[]);
    for Confusion { truth, predicted, count } in confusions.iter().take(FREQUENT) {
        let share = *count as f64 / support(classification, *truth) as f64;
        let names = [*truth, *predicted].map(|index| class(classification, index));
        html.put("<tr><td>{}</td><td>{}</td>", &[&Name(&names[0]), &Name(&names[1])]);
        html.put(
            "<td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            &[&figures::count(*count), &figures::percent(share)],
        );
    }
    html.put("</tbody></table></div>", &[]);
    html
}
