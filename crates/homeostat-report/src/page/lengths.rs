//! How the share of right answers depends on the length of texts.

use super::{figures, html::Html};
use crate::Lengths;

/// A row a range of lengths.
pub(super) fn render(lengths: &Lengths) -> Html {
    let mut html = Html::of("<div class=\"scroll\"><table class=\"bars\"><thead><tr><th scope=\"col\">words</th>", &[]);
    html.put("<th scope=\"col\" class=\"n\">{}</th><th scope=\"col\" class=\"n\">texts</th>", &[&lengths.figure]);
    html.put("</tr></thead><tbody>", &[]);
    for row in &lengths.rows {
        let range = if row.from == row.to { row.from.to_string() } else { format!("{} to {}", row.from, row.to) };
        html.put("<tr><td>{}</td><td class=\"n bar\" ", &[&range]);
        let width = if row.accuracy.is_finite() { 100.0 * row.accuracy.clamp(0.0, 1.0) } else { 0.0 };
        html.put("style=\"--share:{}\">{}</td>", &[&width, &figures::share(row.accuracy)]);
        html.put("<td class=\"n\">{}</td></tr>", &[&figures::count(row.count)]);
    }
    html.put("</tbody></table></div>", &[]);
    html
}
