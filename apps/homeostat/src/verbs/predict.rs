//! `homeostat predict`: answers for files.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use homeostat_artifact::Artifact;
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
    let files = files(&arguments.files)?;
    let endpoint = super::verify::open(&artifact, &arguments.device)?;
    let mut answers = Vec::with_capacity(files.len());
    for batch in files.chunks(BATCH) {
        let bytes = batch
            .iter()
            .map(|file| std::fs::read(file).with_context(|| format!("cannot read {}", file.display())))
            .collect::<Result<Vec<_>, _>>()?;
        let requests: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        for (file, answer) in batch.iter().zip(endpoint.answer(&requests)) {
            let typed = answer
                .map_err(|error| error.to_string())
                .and_then(|value| serde_json::from_value(value).map_err(|error| error.to_string()));
            answers.push(Answer { file: file.clone(), response: typed });
        }
    }
    print(&answers, &task.labels, arguments)?;
    match answers.iter().filter(|answer| answer.response.is_err()).count() {
        0 => Ok(Done::Well),
        count => bail!("{count} of {} files could not be answered, see above", answers.len()),
    }
}

/// The files named, and all pictures in the folders named, sorted.
fn files(named: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in named {
        if path.is_dir() {
            let before = files.len();
            pictures(path, &mut files)?;
            if files.len() == before {
                bail!("{} has no pictures (png, jpg, jpeg, webp, bmp, gif)", path.display());
            }
            files[before..].sort();
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
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
    match arguments.format {
        Format::Jsonl => {
            for Answer { file, response } in answers {
                let value = match response {
                    Ok(response) => {
                        let top: serde_json::Map<_, _> = top(response, labels, arguments.top)
                            .map(|(label, p)| (label.to_owned(), p.into()))
                            .collect();
                        serde_json::json!({ "file": file.display().to_string(), "label": response.label, "confidence": response.confidence, "top": top })
                    }
                    Err(reason) => serde_json::json!({ "file": file.display().to_string(), "error": reason }),
                };
                writeln!(out, "{value}")?;
            }
        }
        Format::Csv => {
            writeln!(out, "file,label,confidence,error")?;
            for Answer { file, response } in answers {
                let file = csv(&file.display().to_string());
                match response {
                    Ok(response) => writeln!(out, "{file},{},{},", csv(&response.label), response.confidence)?,
                    Err(reason) => writeln!(out, "{file},,,{}", csv(reason))?,
                }
            }
        }
        Format::Table => {
            let rows = answers.iter().map(|Answer { file, response }| {
                let answer = match response {
                    Ok(response) => top(response, labels, arguments.top)
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

/// A field of a CSV file (RFC 4180).
fn csv(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
