//! `homeostat predict`: answers for files.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use homeostat_artifact::Artifact;
use homeostat_deploy::Endpoint;
use homeostat_tasks::{ImageResponse, TaskConfig};

use super::{Done, table::print_table};
use crate::cli::{Format, Predict};

/// Files answered in one batch.
const BATCH: usize = 64;

/// The answer for a file, or why there is none.
struct Answer {
    file: PathBuf,
    response: Result<ImageResponse, String>,
}

pub(crate) fn run(arguments: &Predict) -> anyhow::Result<Done> {
    let artifact = Artifact::open(&arguments.artifact)?;
    let TaskConfig::ImageClassification(task) = TaskConfig::parse(artifact.kind(), &artifact.task()?)?;
    let files = files(&arguments.files);
    let endpoint = super::verify::open(&artifact, &arguments.device)?;
    let answers: Vec<Answer> = files.chunks(BATCH).flat_map(|batch| answer(endpoint.as_ref(), batch)).collect();
    print(&answers, &task.labels, arguments)?;
    match answers.iter().filter(|answer| answer.response.is_err()).count() {
        0 => Ok(Done::Well),
        count => bail!("{count} of {} files could not be answered, see above", answers.len()),
    }
}

/// The answers for some files, those that cannot be read among them.
fn answer(endpoint: &dyn Endpoint, batch: &[(PathBuf, Result<(), String>)]) -> Vec<Answer> {
    let read = |(file, found): &(PathBuf, Result<(), String>)| {
        found.clone().and_then(|()| std::fs::read(file).map_err(|error| format!("cannot be read: {error}")))
    };
    let bytes: Vec<Result<Vec<u8>, String>> = batch.iter().map(read).collect();
    let requests: Vec<&[u8]> = bytes.iter().flatten().map(Vec::as_slice).collect();
    let mut given = endpoint.answer(&requests).into_iter();
    let response = |bytes: &Result<Vec<u8>, String>| {
        bytes.as_ref().map_err(String::clone)?;
        let answer = given.next().unwrap_or_else(|| unreachable!("an answer a request"));
        let value = answer.map_err(|error| error.to_string())?;
        serde_json::from_value(value).map_err(|error| error.to_string())
    };
    let responses: Vec<_> = bytes.iter().map(response).collect();
    batch.iter().zip(responses).map(|((file, _), response)| Answer { file: file.clone(), response }).collect()
}

/// The files named, and all pictures in the folders named, sorted; a folder that gives none, with the reason.
fn files(named: &[PathBuf]) -> Vec<(PathBuf, Result<(), String>)> {
    let of_folder = |path: &PathBuf| {
        let mut found = Vec::new();
        let problem = match pictures(path, &mut found) {
            Ok(()) if found.is_empty() => Some("has no pictures (png, jpg, jpeg, webp, bmp, gif)".to_owned()),
            Ok(()) => None,
            Err(error) => Some(format!("{error:#}")),
        };
        found.sort();
        let found = found.into_iter().map(|file| (file, Ok(())));
        found.chain(problem.map(|problem| (path.clone(), Err(problem)))).collect()
    };
    let of_one = |path: &PathBuf| if path.is_dir() { of_folder(path) } else { vec![(path.clone(), Ok(()))] };
    named.iter().flat_map(of_one).collect()
}

fn pictures(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            pictures(&path, found)?;
        } else if path.extension().and_then(|extension| extension.to_str()).is_some_and(is_picture) {
            found.push(path);
        }
    }
    Ok(())
}

fn is_picture(extension: &str) -> bool {
    ["png", "jpg", "jpeg", "webp", "bmp", "gif"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

fn print(answers: &[Answer], labels: &[String], arguments: &Predict) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let most = usize::from(arguments.top).min(labels.len());
    match arguments.format {
        Format::Jsonl => {
            for Answer { file, response } in answers {
                let value = match response {
                    Ok(response) => {
                        let top: serde_json::Map<_, _> = top(response, labels, most)
                            .map(|(label, p)| (label.to_owned(), rounded(p).into()))
                            .collect();
                        serde_json::json!({ "file": file, "label": response.label, "confidence": rounded(response.confidence), "top": top })
                    }
                    Err(reason) => serde_json::json!({ "file": file, "error": reason }),
                };
                writeln!(out, "{value}")?;
            }
        }
        Format::Csv => {
            let later: String = (2..=most).map(|place| format!(",label-{place},confidence-{place}")).collect();
            writeln!(out, "file,label,confidence{later},error")?;
            for Answer { file, response } in answers {
                let file = csv(&file.display().to_string());
                match response {
                    Ok(response) => {
                        let cells = top(response, labels, most).map(|(label, p)| format!(",{},{p:.6}", csv(label)));
                        writeln!(out, "{file}{},", cells.collect::<String>())?;
                    }
                    Err(reason) => writeln!(out, "{file}{},{}", ",,".repeat(most), csv(reason))?,
                }
            }
        }
        Format::Table => {
            let rows = answers.iter().map(|Answer { file, response }| {
                let answer = match response {
                    Ok(response) => top(response, labels, most)
                        .map(|(label, p)| format!("{label} {:.1} %", 100.0 * p))
                        .collect::<Vec<_>>()
                        .join(", "),
                    Err(reason) => format!("error: {reason}"),
                };
                vec![file.display().to_string(), answer]
            });
            print_table(&mut out, &["file", "answer"], &rows.collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

/// The most probable classes, the first among equals first.
fn top<'a>(response: &'a ImageResponse, labels: &'a [String], count: usize) -> impl Iterator<Item = (&'a str, f32)> {
    let mut order: Vec<usize> = (0..response.probabilities.len()).collect();
    order.sort_by(|&a, &b| response.probabilities[b].total_cmp(&response.probabilities[a]));
    order.into_iter().take(count).map(|class| (labels[class].as_str(), response.probabilities[class]))
}

/// A probability to six decimals: more digits would be those of the conversion to another width.
fn rounded(probability: f32) -> f64 {
    (f64::from(probability) * 1e6).round() / 1e6
}

/// A field of a CSV file (RFC 4180).
fn csv(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
