//! What is shipped for operations speaks of metrics that a server has.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use crate::place::{Place, infer_body, values};

/// Labels that Prometheus, or the cluster, adds.
const ADDED: [&str; 4] = ["instance", "job", "le", "namespace"];

/// The labels of each metric that a server tells: a histogram has the three names of its parts.
async fn told() -> BTreeMap<String, BTreeSet<String>> {
    let place = Place::new().await;
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
