//! The figures of each class.

use super::{
    LONG, figures, fold,
    html::{Html, Name},
};
use crate::ClassRow;

/// A table; of many classes, the worst ones first.
pub(super) fn render(rows: &[ClassRow]) -> Html {
    if rows.len() <= LONG {
        return table(&rows.iter().collect::<Vec<_>>(), "");
    }
    let mut worst: Vec<&ClassRow> = rows.iter().collect();
    worst.sort_by(|a, b| a.f1.total_cmp(&b.f1));
    worst.truncate(LONG / 2);
    let all = fold(table(&rows.iter().collect::<Vec<_>>(), ""), rows.len(), "All classes");
    Html::of("{}{}", &[&table(&worst, "The classes with the lowest F1"), &all])
}

fn table(rows: &[&ClassRow], caption: &'static str) -> Html {
    let mut html = Html::of("<div class=\"scroll\"><table class=\"bars\" data-sortable>", &[]);
    if !caption.is_empty() {
        html.put("<caption>{}</caption>", &[&caption]);
    }
    html.put("<thead><tr><th scope=\"col\">class</th>", &[]);
    for name in ["precision", "recall", "F1", "samples"] {
        html.put("<th scope=\"col\" class=\"n\">{}</th>", &[&name]);
    }
    html.put("</tr></thead><tbody>", &[]);
    for row in rows {
        let width = if row.f1.is_finite() { 100.0 * row.f1.clamp(0.0, 1.0) } else { 0.0 };
        html.put("<tr><td>{}</td><td class=\"n\">{}</td>", &[&Name(&row.name), &figures::share(row.precision)]);
        html.put("<td class=\"n\">{}</td><td class=\"n bar\" ", &[&figures::share(row.recall)]);
        html.put("style=\"--share:{}\">{}</td>", &[&width, &figures::share(row.f1)]);
        html.put("<td class=\"n\">{}</td></tr>", &[&figures::count(row.support)]);
    }
    html.put("</tbody></table></div>", &[]);
    html
}
