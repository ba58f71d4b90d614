//! What is shipped for operations speaks of metrics that a server has.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use homeostat_serve::HttpOptions;

use crate::{
    lifecycle::{ask, options, start_with},
    place::{Place, infer_body, opening, pictures, texts, values, words},
};

/// Labels that Prometheus, or the cluster, adds.
const ADDED: [&str; 4] = ["instance", "job", "le", "namespace"];

/// The labels of each metric that a server tells: a histogram has the three names of its parts.
async fn told() -> BTreeMap<String, BTreeSet<String>> {
    let models = [("pictures", pictures(1)), ("texts", texts(1)), ("words", words(1))];
    let place = Place::of(&models, opening(), HttpOptions::default()).await;
    place.post("/v2/models/pictures/infer", infer_body(&values(1)).to_string()).await.json(200);
    place.post("/v2/models/pictures/infer", "{").await.json(400);
    let mut metrics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in place.engine.metrics_text().lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        metrics.entry(name.to_owned()).or_default().extend(labels(&line[name.len()..]));
    }
    metrics
}

/// The names of the labels in the braces that the text begins with.
fn labels(text: &str) -> Vec<String> {
    let Some(inside) = text.strip_prefix('{').and_then(|text| text.split_once('}')) else { return Vec::new() };
    let names = inside.0.split(',').filter_map(|pair| pair.split(['=', '!']).next());
    names.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// The metrics that a text speaks of, each with the labels that it chooses by.
fn spoken_of(text: &str) -> Vec<(String, Vec<String>)> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    let mut found = Vec::new();
    for prefix in ["homeostat_", "process_"] {
        for (start, _) in text.match_indices(prefix) {
            if text[..start].ends_with(is_part) {
                continue;
            }
            let length = text[start..].find(|c| !is_part(c)).unwrap_or(text.len() - start);
            found.push((text[start..start + length].to_owned(), labels(&text[start + length..])));
        }
    }
    found
}

#[tokio::test]
async fn alerts_dashboard_and_autoscaler_know_only_metrics_that_there_are() {
    let told = told().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/deploy");
    let mut checked = BTreeSet::new();
    for file in
        ["prometheus/alerts.yml", "prometheus/alerts_test.yml", "grafana/homeostat.json", "kubernetes/autoscaling.yaml"]
    {
        let text = fs::read_to_string(folder.join(file)).unwrap().replace("\\\"", "\"");
        let spoken = spoken_of(&text);
        assert!(spoken.len() > 1, "{file}");
        for (name, labels) in spoken {
            let known = told.get(&name).unwrap_or_else(|| panic!("{file}: no server tells {name}"));
            for label in labels {
                let is_known = known.contains(&label) || ADDED.contains(&label.as_str());
                assert!(is_known, "{file}: {name} has no label {label}, but {known:?}");
            }
            checked.insert(name);
        }
    }
    // The other way round: what is told and never shown is not worth its memory.
    let ends = ["_bucket", "_sum", "_count"];
    let family = |name: &str| ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned();
    let shown: BTreeSet<String> = checked.iter().map(|name| family(name)).collect();
    let told: BTreeSet<String> = told.keys().map(|name| family(name)).collect();
    let unseen: Vec<_> = told.difference(&shown).filter(|name| *name != "homeostat_build_info").collect();
    assert!(unseen.is_empty(), "told, but neither on the dashboard nor in the alerts: {unseen:?}");
}

/// As `promtool check metrics` has it (Prometheus's naming practices), on what the listener for Prometheus prints.
#[test]
fn metrics_are_named_as_prometheus_wants_them() {
    let models = [("pictures", pictures(1)), ("words", words(1))];
    let server = start_with(&models, opening(), options());
    let close = "connection: close\r\n";
    let body = infer_body(&values(1)).to_string();
    for body in [body.as_str(), "{"] {
        let length = body.len();
        ask(
            server.http,
            &format!(
                "POST /v2/models/pictures/infer HTTP/1.1\r\nhost: x\r\n{close}content-length: {length}\r\n\r\n{body}"
            ),
        );
    }
    let (status, text) = ask(server.metrics, &format!("GET /metrics HTTP/1.1\r\nhost: x\r\n{close}\r\n"));
    assert_eq!(status, 200);
    server.end();
    let complaints = complaints(&text);
    assert!(complaints.is_empty(), "{complaints:#?}");
    // The rules see what is wrong.
    for (wrong, said) in [
        ("# HELP a_total A.\na_total 1\n", "no TYPE"),
        ("# TYPE a_total counter\na_total 1\n", "no HELP"),
        ("# HELP a A.\n# TYPE a counter\na 1\n", "should end in _total"),
        ("# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n", "should not end in _total"),
        ("# HELP a_milliseconds A.\n# TYPE a_milliseconds gauge\na_milliseconds 1\n", "seconds, not milliseconds"),
        ("# HELP a:b A.\n# TYPE a:b gauge\na:b 1\n", "colon"),
        ("# HELP aB A.\n# TYPE aB gauge\naB 1\n", "snake_case"),
        ("# HELP a_count A.\n# TYPE a_count gauge\na_count 1\n", "belongs to a histogram"),
        ("# HELP a_gauge A.\n# TYPE a_gauge gauge\na_gauge 1\n", "its own type"),
        ("# HELP a A.\n# TYPE a gauge\na{le=\"1\"} 1\n", "label le"),
        ("# HELP a A.\n# TYPE a gauge\na 1\na 2\n", "twice"),
        (
            "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
            "falls",
        ),
    ] {
        let found = self::complaints(wrong);
        assert!(found.iter().any(|complaint| complaint.contains(said)), "{wrong:?}: {found:?}");
    }
}

/// Units that have a base unit, and that.
const UNITS: [(&str, &str); 13] = [
    ("milliseconds", "seconds"),
    ("microseconds", "seconds"),
    ("nanoseconds", "seconds"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("ms", "seconds"),
    ("kilobytes", "bytes"),
    ("megabytes", "bytes"),
    ("gigabytes", "bytes"),
    ("mb", "bytes"),
    ("bits", "bytes"),
    ("percent", "ratio"),
];

/// What is wrong with a text for Prometheus, a line each.
fn complaints(text: &str) -> Vec<String> {
    let (mut helps, mut types) = (BTreeMap::new(), BTreeMap::new());
    let (mut families, mut samples) = (BTreeSet::new(), BTreeSet::new());
    let mut complaints = Vec::new();
    let mut before: Option<(String, f64)> = None;
    for line in text.lines() {
        let about = line.strip_prefix("# HELP ").map(|rest| (&mut helps, rest));
        let about = about.or_else(|| line.strip_prefix("# TYPE ").map(|rest| (&mut types, rest)));
        if let Some((facts, rest)) = about {
            let (name, fact) = rest.split_once(' ').unwrap_or((rest, ""));
            if fact.is_empty() || facts.insert(name.to_owned(), fact.to_owned()).is_some() {
                complaints.push(format!("{name}: {line} is empty, or there twice"));
            }
            continue;
        }
        let name = line.split(['{', ' ']).next().unwrap();
        let is_histogram = |family: &str| types.get(family).is_some_and(|kind| kind == "histogram");
        let part = ["_bucket", "_sum", "_count"].into_iter().find_map(|end| name.strip_suffix(end));
        let family = part.filter(|family| is_histogram(family)).unwrap_or(name);
        families.insert(family.to_owned());
        let (series, value) = line.rsplit_once(' ').unwrap();
        if !samples.insert(series.to_owned()) {
            complaints.push(format!("{series} is there twice"));
        }
        let value: f64 = value.parse().unwrap();
        let labels = labels(&line[name.len()..]);
        if name.ends_with("_bucket") && is_histogram(family) {
            // Of one histogram they lie behind each other, and each counts those before it.
            let of = series.split("le=").next().unwrap().to_owned();
            if before.as_ref().is_some_and(|(other, count)| *other == of && *count > value) {
                complaints.push(format!("{series} falls"));
            }
            before = Some((of, value));
        } else if labels.iter().any(|label| label == "le" || label == "quantile") {
            complaints.push(format!("{name} has the label le or quantile"));
        }
        let is_lower = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        complaints.extend(
            labels
                .iter()
                .filter(|label| !is_lower(label))
                .map(|label| format!("{name}: label {label} is no snake_case")),
        );
        if name.contains(':') {
            complaints.push(format!("{name} has a colon, which is for rules"));
        } else if !is_lower(name) {
            complaints.push(format!("{name} is no snake_case"));
        }
    }
    for family in families {
        let (kind, words): (_, Vec<&str>) = (types.get(&family).map(String::as_str), family.split('_').collect());
        let mut complain = |problem: String| complaints.push(format!("{family} {problem}"));
        if !helps.contains_key(&family) {
            complain("has no HELP".to_owned());
        }
        let is_total = family.ends_with("_total");
        match kind {
            None => complain("has no TYPE".to_owned()),
            Some("counter") if is_total => {}
            Some("counter") => complain("is a counter, and should end in _total".to_owned()),
            Some(_) if is_total => complain("is no counter, and should not end in _total".to_owned()),
            Some(_) => {}
        }
        if ["bucket", "sum", "count"].contains(words.last().unwrap()) {
            complain("has an end that belongs to a histogram".to_owned());
        }
        if words.iter().any(|word| ["counter", "gauge", "histogram", "summary"].contains(word)) {
            complain("has its own type in its name".to_owned());
        }
        for (unit, base) in UNITS {
            if words.contains(&unit) {
                complain(format!("should be in {base}, not {unit}"));
            }
        }
    }
    complaints
}
