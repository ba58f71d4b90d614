//! The page: one HTML file with everything in it. It does not know where the figures come from.

mod chart;
mod classes;
mod confusion;
mod data;
mod figures;
mod html;
mod learning;
mod lengths;
mod pictures;
mod reliability;
mod scale;

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

use crate::{Classification, Command, DataSummary, Headline, Report, Skipped, State, Written};
use html::{Html, Name};

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// A longer table is folded.
const LONG: usize = 30;

impl Report {
    /// The run as one HTML page. It needs no network, no
    /// font and, to be read, no script; whatever the data says, it stays text: no name in it can become markup, and the page forbids
    /// every script but its own.
    #[must_use]
    pub fn render(&self) -> String {
        let mut body = self.header();
        section(&mut body, "Learning", learning::render(self));
        if let Some(classification) = &self.classification {
            body.put("{}", &[&measured(classification)]);
        }
        section(&mut body, "What it saw", (!self.augmented.is_empty()).then(|| pictures::augmented(&self.augmented)));
        section(&mut body, "What it makes", (!self.made.is_empty()).then(|| pictures::sheets(&self.made)));
        section(&mut body, "What it writes", (!self.written.is_empty()).then(|| written(&self.written)));
        section(&mut body, "What it answers", (!self.answered.is_empty()).then(|| written(&self.answered)));
        section(&mut body, "Data", (!self.data.classes.is_empty()).then(|| class_counts(&self.data)));
        section(&mut body, "Left out", (!self.skipped.is_empty()).then(|| skipped(&self.skipped)));
        section(&mut body, "Settings", (!self.config.is_empty()).then(|| settings(&self.config)));
        section(&mut body, "Environment", (!self.environment.is_empty()).then(|| pairs(&self.environment)));
        section(&mut body, "Next", (!self.next.is_empty()).then(|| next(&self.next)));
        document(&self.title, &self.when, &body)
    }

    fn header(&self) -> Html {
        let mut html = Html::of("<header><p class=\"when\">{}</p><h1>{}</h1>", &[&self.when, &self.title]);
        match &self.state {
            State::Finished => html.put("<p class=\"state\">Finished.</p>", &[]),
            State::Interrupted => html.put("<p class=\"state\">Interrupted; it can be resumed.</p>", &[]),
            State::Failed(reason) => html.put("<p class=\"state\"><strong>Failed:</strong> {}</p>", &[reason]),
        }
        html.put("</header>", &[]);
        html.put("{}", &[&headlines(&self.headlines)]);
        html
    }
}

/// A whole page. It needs no network, no font and, to be read, no script; whatever the data says, it stays text: no name in it can
/// become markup, and the page forbids every script but its own.
fn document(title: &str, when: &str, body: &Html) -> String {
    let mut page = Html::of("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">", &[]);
    page.put("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">", &[]);
    page.put("<meta name=\"color-scheme\" content=\"light dark\">", &[]);
    page.put("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; ", &[]);
    page.put(
        "style-src 'unsafe-inline'; script-src 'sha256-{}'\">",
        &[&BASE64_STANDARD.encode(Sha256::digest(SCRIPT))],
    );
    page.put("<title>{} · {}</title><style>", &[&title, &when]);
    page.put(STYLE, &[]);
    page.put("</style></head>\n<body><main>{}</main><script>", &[body]);
    page.put(SCRIPT, &[]);
    page.put("</script></body></html>\n", &[]);
    page.into_string()
}

/// The figures that stand large at the top.
fn headlines(headlines: &[Headline]) -> Html {
    let mut html = Html::new();
    if headlines.is_empty() {
        return html;
    }
    html.put("<dl class=\"headlines\">", &[]);
    for headline in headlines {
        html.put("<div><dt>{}</dt><dd class=\"figure\">{}</dd>", &[&headline.label, &figures::value(&headline.value)]);
        html.put("<dd class=\"label\">{}</dd></div>", &[&headline.note]);
    }
    html.put("</dl>", &[]);
    html
}

/// The number of samples by class and part.
fn class_counts(data: &DataSummary) -> Html {
    let count = |row: &[u64], part: usize| row.get(part).copied().unwrap_or(0);
    let most = data.classes.iter().map(|(_, counts)| counts.iter().sum::<u64>()).max().unwrap_or(0).max(1);
    let mut html = Html::of(
        "<div class=\"scroll\"><table class=\"bars\" data-sortable><thead><tr><th scope=\"col\">class</th>",
        &[],
    );
    for part in &data.parts {
        html.put("<th scope=\"col\" class=\"n\">{}</th>", &[part]);
    }
    html.put("<th scope=\"col\" class=\"n\">all</th></tr></thead><tbody>", &[]);
    for (name, counts) in &data.classes {
        let all = counts.iter().sum::<u64>();
        html.put("<tr><td>{}</td>", &[&Name(name)]);
        for part in 0..data.parts.len() {
            html.put("<td class=\"n\">{}</td>", &[&figures::count(count(counts, part))]);
        }
        let width = 100.0 * all as f64 / most as f64;
        html.put("<td class=\"n bar\" style=\"--share:{}\">{}</td></tr>", &[&width, &figures::count(all)]);
    }
    html.put("</tbody><tfoot><tr><th scope=\"row\">together</th>", &[]);
    let mut together = 0;
    for part in 0..data.parts.len() {
        let sum: u64 = data.classes.iter().map(|(_, counts)| count(counts, part)).sum();
        together += sum;
        html.put("<td class=\"n\">{}</td>", &[&figures::count(sum)]);
    }
    html.put("<td class=\"n\">{}</td></tr></tfoot></table></div>", &[&figures::count(together)]);
    fold(html, data.classes.len(), "Samples of each class")
}

/// Texts that the network has written, each behind what it was to go on with.
fn written(written: &[Written]) -> Html {
    let mut html = Html::new();
    for Written { prompt, text, how } in written {
        html.put("<p class=\"label\">{}</p><pre class=\"written\"><b>{}</b>{}</pre>", &[how, prompt, text]);
    }
    html
}

fn skipped(skipped: &[Skipped]) -> Html {
    let mut html = Html::of("<div class=\"scroll\"><table><thead><tr><th scope=\"col\">file</th>", &[]);
    html.put("<th scope=\"col\">why</th></tr></thead><tbody>", &[]);
    for Skipped { name, reason } in skipped {
        html.put("<tr><td><code>{}</code></td><td>{}</td></tr>", &[name, reason]);
    }
    html.put("</tbody></table></div>", &[]);
    let count = figures::count(skipped.len() as u64);
    Html::of("<p>Samples that could not be read: {}.</p>{}", &[&count, &fold(html, skipped.len(), "The files")])
}

/// Names and values.
fn pairs(pairs: &[(String, String)]) -> Html {
    let mut html = Html::of("<table class=\"pairs\"><tbody>", &[]);
    for (name, value) in pairs {
        html.put("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", &[name, value]);
    }
    html.put("</tbody></table>", &[]);
    html
}

fn next(commands: &[Command]) -> Html {
    let mut html = Html::of("<dl class=\"next\">", &[]);
    for command in commands {
        html.put("<dt>{}</dt><dd><code>{}</code></dd>", &[&command.what, &command.line]);
    }
    html.put("</dl>", &[]);
    html
}

/// The sections on how the published weights answer.
fn measured(measured: &Classification) -> Html {
    let mut html = Html::of("<p class=\"part\">The published weights on the {} samples</p>", &[&measured.part]);
    section(&mut html, "Confusions", (!measured.confusion.is_empty()).then(|| confusion::render(measured)));
    section(&mut html, "Classes", (!measured.per_class.is_empty()).then(|| classes::render(&measured.per_class)));
    section(&mut html, "Confidence", measured.reliability.as_ref().map(reliability::render));
    section(&mut html, "Length", (!measured.lengths.rows.is_empty()).then(|| lengths::render(&measured.lengths)));
    section(
        &mut html,
        "Worst mistakes",
        (!measured.mistakes.is_empty()).then(|| pictures::mistakes(&measured.mistakes)),
    );
    html
}

fn section(body: &mut Html, title: &str, content: Option<Html>) {
    if let Some(content) = content {
        body.put("<section><h2>{}</h2><div class=\"content\">{}</div></section>", &[&title, &content]);
    }
}

/// Hides a long table behind a line that opens it.
fn fold(table: Html, rows: usize, summary: &'static str) -> Html {
    if rows <= LONG {
        return table;
    }
    let rows = figures::count(rows as u64);
    Html::of("<details><summary>{} ({} rows)</summary>{}</details>", &[&summary, &rows, &table])
}

/// The text with its trailing comments dimmed, but for those of settings that somebody chose; what is not set is dimmed as a whole. Each
/// line is an element, so that one that is too long goes on below its own beginning.
fn settings(config: &str) -> Html {
    let mut html = Html::of("<pre class=\"settings\" tabindex=\"0\" aria-label=\"settings\">", &[]);
    for line in config.lines() {
        match line.rsplit_once(" # ") {
            Some((_, "not set")) => html.put("<span class=\"default\">{}\n</span>", &[&line]),
            Some((setting, "default")) => {
                html.put("<span>{}<span class=\"default\"> # default</span>\n</span>", &[&setting]);
            }
            Some((setting, origin)) => {
                html.put("<span><b>{}</b><span class=\"origin\"> # {}</span>\n</span>", &[&setting, &origin]);
            }
            None => html.put("<span>{}\n</span>", &[&line]),
        }
    }
    html.put("</pre>", &[]);
    html
}
