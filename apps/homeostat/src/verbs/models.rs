//! `homeostat models`: networks by name.

use std::io::Write;

use anyhow::{Context, ensure};
use homeostat_config::nearest_names;
use homeostat_device::DeviceChoice;
use homeostat_models::{KnownNetwork, Layer, summarize};
use homeostat_task::name_fits;
use serde_json::json;

use super::{Done, table::print_aligned};
use crate::cli::Models;

pub(crate) fn run(arguments: &Models) -> anyhow::Result<Done> {
    match arguments {
        Models::List { pattern, json } => list(pattern, *json)?,
        Models::Show { name, json } => show(name, *json)?,
        Models::Export { artifact, out, names } => super::export::export(artifact, out, names.as_deref())?,
    }
    Ok(Done::Well)
}

fn list(pattern: &str, json: bool) -> anyhow::Result<()> {
    let device = homeostat_device::open(DeviceChoice::Cpu)?;
    let mut known = KnownNetwork::all();
    known.retain(|known| name_fits(pattern, known.name));
    ensure!(!known.is_empty(), "no network's name is `{pattern}`{}", meant(pattern));
    let mut out = std::io::stdout().lock();
    let mut rows = Vec::new();
    for network in known {
        let parameters = network.config.parameters(network.input, network.classes, &device)?;
        let input = [network.input.channels, network.input.height, network.input.width];
        if json {
            let line = json!({
                "name": network.name, "parameters": parameters, "macs": network.macs,
                "input": input, "classes": network.classes, "weights": network.weights,
            });
            writeln!(out, "{line}")?;
            continue;
        }
        let [channels, height, width] = input;
        rows.push(vec![
            network.name.to_owned(),
            millions(parameters),
            millions(network.macs),
            format!("{channels}x{height}x{width}"),
            network.weights.unwrap_or("-").to_owned(),
        ]);
    }
    if !json {
        let header = ["name", "parameters", "MACs", "input", "weights"];
        print_aligned(&mut out, &header, &rows, &|at| matches!(at, 1 | 2))?;
    }
    Ok(())
}

fn show(name: &str, json: bool) -> anyhow::Result<()> {
    let known = KnownNetwork::find(name).with_context(|| format!("no network's name is `{name}`{}", meant(name)))?;
    let device = homeostat_device::open(DeviceChoice::Cpu)?;
    let network = known.config.init(known.input, known.classes, &device)?;
    let layers = summarize(&network, known.input, &device);
    let mut out = std::io::stdout().lock();
    if json {
        for layer in &layers {
            writeln!(out, "{}", serde_json::to_string(layer)?)?;
        }
        return Ok(());
    }
    let row = |layer: &Layer| {
        let shape: Vec<String> = layer.output.iter().skip(1).map(ToString::to_string).collect();
        vec![
            layer.name.clone(),
            layer.kind.to_owned(),
            shape.join("x"),
            layer.parameters.to_string(),
            layer.macs.to_string(),
            (layer.activation_bytes() / 1024).to_string(),
        ]
    };
    let mut rows: Vec<Vec<String>> = layers.iter().map(row).collect();
    let sum = |of: &dyn Fn(&Layer) -> u64| layers.iter().map(of).sum::<u64>();
    rows.push(vec![
        "total".to_owned(),
        String::new(),
        String::new(),
        sum(&|layer| layer.parameters).to_string(),
        sum(&|layer| layer.macs).to_string(),
        (sum(&Layer::activation_bytes) / 1024).to_string(),
    ]);
    let header = ["layer", "kind", "output", "parameters", "MACs", "KiB out"];
    print_aligned(&mut out, &header, &rows, &|at| at > 2)?;
    let config = serde_json::to_value(&known.config)?;
    writeln!(out, "in an experiment: task.image-classification.model = {}", toml(&config))?;
    if let Some(weights) = known.weights {
        let (first, last) = (known.labels().first().copied(), known.labels().last().copied());
        let [first, last] = [first, last].map(Option::unwrap_or_default);
        writeln!(out, "its weights:      train.pretrained = {{ from = \"{weights}\" }}")?;
        writeln!(out, "their classes:    {}, {first} to {last}", known.classes)?;
    }
    Ok(())
}

/// Some names that a name or pattern which fits none is a part of, else the nearest ones, and where all of them stand.
fn meant(name: &str) -> String {
    let names: Vec<&str> = KnownNetwork::all().iter().map(|known| known.name).collect();
    let name = name.trim_matches('*');
    let longer = names.iter().filter(|longer| longer.contains(name)).take(3).map(|longer| (*longer).to_owned());
    let longer: Box<[String]> = longer.collect();
    let meant = if longer.is_empty() { nearest_names(name, &names) } else { longer };
    let meant = match meant.as_ref() {
        [] => String::new(),
        names => format!("; did you mean {}?", names.join(" or ")),
    };
    format!("{meant} (see homeostat models list)")
}

fn millions(count: u64) -> String {
    format!("{:.2} M", count as f64 / 1e6)
}

/// A JSON value as TOML has it in a line.
fn toml(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(entries) if entries.is_empty() => "{}".to_owned(),
        serde_json::Value::Object(entries) => {
            let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}
