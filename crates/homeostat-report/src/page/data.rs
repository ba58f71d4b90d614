//! The page about data. It does not know who counted.

use super::{class_counts, document, figures, headlines, html::Html, next, pairs, pictures, section, skipped};
use crate::{AlikeSection, DataReport, Histogram, PictureRow};

impl DataReport {
    /// The data as one HTML page, in the style of a run's: one file that fetches nothing.
    #[must_use]
    pub fn render(&self) -> String {
        let mut body = Html::of("<header><p class=\"when\">{}</p><h1>{}</h1></header>", &[&self.when, &self.title]);
        body.put("{}", &[&headlines(&self.headlines)]);
        section(&mut body, "Doubts", (!self.doubts.is_empty()).then(|| doubts(&self.doubts)));
        section(&mut body, "Classes", (!self.classes.classes.is_empty()).then(|| class_counts(&self.classes)));
        section(&mut body, "Samples", (!self.samples.is_empty()).then(|| rows(&self.samples)));
        section(&mut body, "Sizes", (!self.histograms.is_empty()).then(|| histograms(&self.histograms)));
        for alike in &self.alike {
            section(&mut body, &alike.title, (!alike.groups.is_empty()).then(|| alike_groups(alike)));
        }
        section(&mut body, "Broken", (!self.broken.is_empty()).then(|| skipped(&self.broken)));
        section(&mut body, "Facts", (!self.facts.is_empty()).then(|| pairs(&self.facts)));
        section(&mut body, "Next", (!self.next.is_empty()).then(|| next(&self.next)));
        document(&self.title, &self.when, &body)
    }
}

fn doubts(doubts: &[String]) -> Html {
    let mut html = Html::of("<ul class=\"doubts\">", &[]);
    doubts.iter().for_each(|doubt| html.put("<li>{}</li>", &[doubt]));
    html.put("</ul>", &[]);
    html
}

fn rows(rows: &[PictureRow]) -> Html {
    let mut html = Html::new();
    for PictureRow { title, pictures } in rows {
        let is_text = pictures.iter().all(|picture| picture.png.is_empty());
        let shown = if is_text { pictures::grid(pictures) } else { pictures::strip(pictures) };
        html.put("<div class=\"row\"><h3>{}</h3>{}</div>", &[title, &shown]);
    }
    html
}

fn histograms(histograms: &[Histogram]) -> Html {
    let mut html = Html::of("<div class=\"charts\">", &[]);
    for Histogram { title, bins } in histograms {
        let most = bins.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
        html.put("<table class=\"bars histogram\"><caption>{}</caption><tbody>", &[title]);
        for (range, count) in bins {
            let width = 100.0 * *count as f64 / most as f64;
            html.put("<tr><th scope=\"row\" class=\"n\">{}</th>", &[range]);
            html.put("<td class=\"n bar\" style=\"--share:{}\">{}</td></tr>", &[&width, &figures::count(*count)]);
        }
        html.put("</tbody></table>", &[]);
    }
    html.put("</div>", &[]);
    html
}

fn alike_groups(AlikeSection { meaning, groups, all, .. }: &AlikeSection) -> Html {
    let mut html = Html::of("<p>{}", &[meaning]);
    if *all > groups.len() as u64 {
        html.put(" Shown: {} of {}.", &[&groups.len(), &figures::count(*all)]);
    }
    html.put("</p><div class=\"groups\">", &[]);
    for PictureRow { title, pictures } in groups {
        html.put("<div class=\"group\"><h3>{}</h3>{}</div>", &[title, &pictures::grid(pictures)]);
    }
    html.put("</div>", &[]);
    html
}
