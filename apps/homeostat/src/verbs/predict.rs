//! `homeostat predict`: answers for pictures and texts.

use std::{
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use homeostat_artifact::Artifact;
use homeostat_deploy::Endpoint;
use homeostat_tasks::{
    ClassificationResponse, EmbeddingResponse, LanguageResponse, LossConfig, Probabilities, RecommendationResponse,
    Recommended, TaskConfig,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Done, table::print_table};
use crate::cli::{Format, Predict};

/// Requests answered in one batch.
const BATCH: usize = 64;

/// What is asked.
enum Request {
    /// The bytes of this file.
    File(PathBuf),
    /// This text.
    Text(String),
    /// Nothing: here is why.
    Broken(String),
}

/// The answer to what goes by this name, or why there is none.
struct Answer<R> {
    name: String,
    response: Result<R, String>,
}

type Classified = Answer<ClassificationResponse>;
type Continuation = Answer<LanguageResponse>;

/// What is sorted into which classes.
struct Sorted {
    what: &'static str,
    labels: Vec<String>,
    /// Whether each class is a question of its own, so that an answer names all that are answered with yes.
    any_of: bool,
}

impl Sorted {
    fn new(what: &'static str, labels: Vec<String>, loss: &LossConfig) -> Self {
        Self { what, labels, any_of: loss.probabilities() == Probabilities::AnyOf }
    }
}

/// What a text that was too long has lost.
const ENDS: &str = "ends";
const BEGINNINGS: &str = "beginnings";

pub(crate) fn run(arguments: &Predict) -> anyhow::Result<Done> {
    let artifact = Artifact::open(&arguments.artifact)?;
    let (sorted, most, requests) = match TaskConfig::parse(artifact.kind(), &artifact.task()?)? {
        TaskConfig::ImageClassification(_) if !arguments.text.is_empty() => {
            bail!("--text: this network takes pictures")
        }
        TaskConfig::ImageClassification(task) => {
            // No picture has tokens.
            (Sorted::new("file", task.labels, &task.loss), 0, pictures_of(&arguments.files))
        }
        TaskConfig::ImageGeneration(_) => bail!(
            "{} makes pictures: `homeostat sample {} --png FILE` shows some",
            arguments.artifact.display(),
            arguments.artifact.display()
        ),
        TaskConfig::TextClassification(task) => {
            let sorted = Sorted::new("text", task.labels, &task.loss);
            (sorted, task.prepare.max_length, texts(&arguments.text, &arguments.files))
        }
        TaskConfig::LanguageModel(task) => {
            let endpoint = super::verify::open(&artifact, &arguments.device)?;
            return continuations(arguments, endpoint.as_ref(), task.model.positions());
        }
        TaskConfig::SentenceEmbedding(task) => {
            let endpoint = super::verify::open(&artifact, &arguments.device)?;
            return embeddings(arguments, endpoint.as_ref(), task.prepare.max_length);
        }
        TaskConfig::Recommendation(_) => {
            return recommendations(arguments, super::verify::open(&artifact, &arguments.device)?.as_ref());
        }
    };
    let endpoint = super::verify::open(&artifact, &arguments.device)?;
    let answers: Vec<Classified> = requests.chunks(BATCH).flat_map(|batch| answer(endpoint.as_ref(), batch)).collect();
    print(&answers, &sorted, arguments)?;
    warn_of_cut(&answers, |response| response.cut, (most, ENDS));
    done(&answers, sorted.what)
}

/// As [`warn_of_cut`](super::warn_of_cut), of answers.
fn warn_of_cut<R>(answers: &[Answer<R>], is_cut: fn(&R) -> bool, how: (usize, &str)) {
    let count = answers.iter().filter(|answer| answer.response.as_ref().is_ok_and(is_cut)).count();
    super::warn_of_cut(count, (answers.len(), "texts"), how);
}

/// An object that says so where the text of the answer was cut.
pub(super) fn with_cut(mut object: Value, cut: bool) -> Value {
    if cut {
        object["cut"] = true.into();
    }
    object
}

/// What a language model writes behind each text, as it does where nothing is asked.
fn continuations(arguments: &Predict, endpoint: &dyn Endpoint, most: usize) -> anyhow::Result<Done> {
    let requests = texts(&arguments.text, &arguments.files);
    let answers: Vec<Continuation> = requests.chunks(BATCH).flat_map(|batch| answer(endpoint, batch)).collect();
    let mut out = io::stdout().lock();
    match arguments.format {
        Format::Jsonl => {
            for Answer { name, response } in &answers {
                let value = match response {
                    Ok(LanguageResponse { text, ended, cut, .. }) => {
                        with_cut(serde_json::json!({ "text": name, "continuation": text, "ended": ended }), *cut)
                    }
                    Err(reason) => serde_json::json!({ "text": name, "error": reason }),
                };
                writeln!(out, "{value}")?;
            }
        }
        Format::Csv => {
            writeln!(out, "text,continuation,error")?;
            for Answer { name, response } in &answers {
                match response {
                    Ok(response) => writeln!(out, "{},{},", csv(name), csv(&response.text))?,
                    Err(reason) => writeln!(out, "{},,{}", csv(name), csv(reason))?,
                }
            }
        }
        Format::Table => {
            for Answer { name, response } in &answers {
                match response {
                    Ok(response) => writeln!(out, "{name}{}\n", response.text)?,
                    Err(reason) => writeln!(out, "{}: error: {reason}\n", shown(name))?,
                }
            }
        }
    }
    warn_of_cut(&answers, |response| response.cut, (most, BEGINNINGS));
    done(&answers, "text")
}

/// The vector of each text.
fn embeddings(arguments: &Predict, endpoint: &dyn Endpoint, most: usize) -> anyhow::Result<Done> {
    if arguments.format != Format::Jsonl {
        bail!("vectors of texts are no table: ask for --format jsonl, or look for neighbours with `homeostat search`");
    }
    let requests = texts(&arguments.text, &arguments.files);
    let answers: Vec<Answer<EmbeddingResponse>> =
        requests.chunks(BATCH).flat_map(|batch| answer(endpoint, batch)).collect();
    let mut out = io::stdout().lock();
    for Answer { name, response } in &answers {
        let value = match response {
            Ok(EmbeddingResponse { embedding, cut }) => {
                with_cut(serde_json::json!({ "text": name, "embedding": embedding }), *cut)
            }
            Err(reason) => serde_json::json!({ "text": name, "error": reason }),
        };
        writeln!(out, "{value}")?;
    }
    warn_of_cut(&answers, |response| response.cut, (most, ENDS));
    done(&answers, "text")
}

/// What suits each user who has what the codes of a request say.
fn recommendations(arguments: &Predict, endpoint: &dyn Endpoint) -> anyhow::Result<Done> {
    let requests = texts(&arguments.text, &arguments.files);
    let mut answers: Vec<Answer<RecommendationResponse>> =
        requests.chunks(BATCH).flat_map(|batch| answer(endpoint, batch)).collect();
    let most = arguments.top.map_or(usize::MAX, usize::from);
    answers.iter_mut().filter_map(|answer| answer.response.as_mut().ok()).for_each(|found| found.items.truncate(most));
    let mut out = io::stdout().lock();
    match arguments.format {
        Format::Jsonl => {
            for Answer { name, response } in &answers {
                let item = |Recommended { item, score, text }: &Recommended| serde_json::json!({ "item": item, "score": rounded(*score), "text": text });
                let value = match response {
                    Ok(RecommendationResponse { items, unknown }) => {
                        let items: Vec<_> = items.iter().map(item).collect();
                        serde_json::json!({ "bought": name, "items": items, "unknown": unknown })
                    }
                    Err(reason) => serde_json::json!({ "bought": name, "error": reason }),
                };
                writeln!(out, "{value}")?;
            }
        }
        Format::Csv => {
            writeln!(out, "bought,item,score,text,error")?;
            for Answer { name, response } in &answers {
                match response {
                    Ok(response) => {
                        for Recommended { item, score, text } in &response.items {
                            writeln!(out, "{},{},{score:.6},{},", csv(name), csv(item), csv(text))?;
                        }
                    }
                    Err(reason) => writeln!(out, "{},,,,{}", csv(name), csv(reason))?,
                }
            }
        }
        Format::Table => {
            for Answer { name, response } in &answers {
                match response {
                    Ok(RecommendationResponse { items, .. }) => {
                        writeln!(out, "{name}")?;
                        let row = |Recommended { item, score, text }: &Recommended| {
                            vec![item.clone(), format!("{:.2} %", 100.0 * score), text.clone()]
                        };
                        print_table(&mut out, &["item", "score", "text"], &items.iter().map(row).collect::<Vec<_>>())?;
                    }
                    Err(reason) => writeln!(out, "{}: error: {reason}", shown(name))?,
                }
            }
        }
    }
    drop(out);
    // What was passed over is told beside the answers, so that these stay a table.
    for Answer { name, response } in &answers {
        let unknown = response.as_ref().map_or(&[][..], |response| &response.unknown);
        if !unknown.is_empty() {
            writeln!(io::stderr(), "{name}: no such item on offer: {}", unknown.join(", "))?;
        }
    }
    done(&answers, "request")
}

/// Whether there was something to answer, and all could be answered.
fn done<R>(answers: &[Answer<R>], what: &str) -> anyhow::Result<Done> {
    if answers.is_empty() {
        bail!("there is nothing to answer: no line has a {what}");
    }
    match answers.iter().filter(|answer| answer.response.is_err()).count() {
        0 => Ok(Done::Well),
        count => bail!("{count} of {} {what}s could not be answered, see above", answers.len()),
    }
}

/// The answers to some requests, those that cannot be read among them.
fn answer<R: DeserializeOwned>(endpoint: &dyn Endpoint, batch: &[(String, Request)]) -> Vec<Answer<R>> {
    let read = |(_, request): &(String, Request)| match request {
        Request::File(file) => std::fs::read(file).map_err(|error| format!("cannot be read: {error}")),
        Request::Text(text) => Ok(text.clone().into_bytes()),
        Request::Broken(reason) => Err(reason.clone()),
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
    batch.iter().zip(responses).map(|((name, _), response)| Answer { name: name.clone(), response }).collect()
}

/// The texts of the command line, and each line of the files named that is not empty.
fn texts(given: &[String], files: &[PathBuf]) -> Vec<(String, Request)> {
    let text = |text: &str| (text.to_owned(), Request::Text(text.to_owned()));
    let lines = |file: &PathBuf| match std::fs::read_to_string(file) {
        Ok(content) => content.lines().filter(|line| !line.trim().is_empty()).map(text).collect(),
        Err(error) => vec![(file.display().to_string(), Request::Broken(unreadable(&error)))],
    };
    given.iter().map(|given| text(given)).chain(files.iter().flat_map(lines)).collect()
}

/// Why a file gives no texts.
fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::InvalidData => "this is no text (UTF-8), and this network takes texts, one a line".to_owned(),
        ErrorKind::IsADirectory => "this is a folder, and this network takes files of texts, one a line".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

/// The files named, and all pictures in the folders named, sorted; a folder that gives none, with the reason.
fn pictures_of(named: &[PathBuf]) -> Vec<(String, Request)> {
    let file = |path: PathBuf| (path.display().to_string(), Request::File(path));
    let of_folder = |path: &PathBuf| {
        let mut found = Vec::new();
        let problem = match pictures(path, &mut found) {
            Ok(()) if found.is_empty() => Some("has no pictures (png, jpg, jpeg, webp, bmp, gif)".to_owned()),
            Ok(()) => None,
            Err(error) => Some(format!("{error:#}")),
        };
        found.sort();
        let broken = problem.map(|problem| (path.display().to_string(), Request::Broken(problem)));
        found.into_iter().map(file).chain(broken).collect()
    };
    let of_one = |path: &PathBuf| if path.is_dir() { of_folder(path) } else { vec![file(path.clone())] };
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

fn print(
    answers: &[Classified],
    &Sorted { what, ref labels, any_of }: &Sorted,
    arguments: &Predict,
) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let most = usize::from(arguments.top.unwrap_or(3)).min(labels.len());
    match arguments.format {
        Format::Jsonl => {
            for Answer { name, response } in answers {
                let value = match response {
                    Ok(response) => {
                        let top: serde_json::Map<_, _> = top(response, labels, most)
                            .map(|(label, p)| (label.to_owned(), rounded(p).into()))
                            .collect();
                        let mut value = serde_json::json!({ what: name, "label": response.label, "confidence": rounded(response.confidence), "top": top });
                        if any_of {
                            value["labels"] = serde_json::json!(response.labels);
                        }
                        with_cut(value, response.cut)
                    }
                    Err(reason) => serde_json::json!({ what: name, "error": reason }),
                };
                writeln!(out, "{value}")?;
            }
        }
        Format::Csv => {
            let later: String = (2..=most).map(|place| format!(",label-{place},confidence-{place}")).collect();
            let (column, empty) = if any_of { (",labels", ",") } else { ("", "") };
            writeln!(out, "{what},label,confidence{later}{column},error")?;
            for Answer { name, response } in answers {
                let name = csv(name);
                match response {
                    Ok(response) => {
                        let cells = top(response, labels, most).map(|(label, p)| format!(",{},{p:.6}", csv(label)));
                        let all = if any_of { format!(",{}", csv(&response.labels.join(";"))) } else { String::new() };
                        writeln!(out, "{name}{}{all},", cells.collect::<String>())?;
                    }
                    Err(reason) => writeln!(out, "{name}{}{empty},{}", ",,".repeat(most), csv(reason))?,
                }
            }
        }
        Format::Table => {
            let rows = answers.iter().map(|Answer { name, response }| {
                let answer = match response {
                    Ok(response) => top(response, labels, most)
                        .map(|(label, p)| format!("{label} {:.1} %", 100.0 * p))
                        .collect::<Vec<_>>()
                        .join(", "),
                    Err(reason) => format!("error: {reason}"),
                };
                let all = response.as_ref().map_or_else(|_| String::new(), |response| response.labels.join(", "));
                [shown(name).to_owned(), answer].into_iter().chain(any_of.then_some(all)).collect::<Vec<_>>()
            });
            let header = [what, "answer"].into_iter().chain(any_of.then_some("labels"));
            print_table(&mut out, &header.collect::<Vec<_>>(), &rows.collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

/// The most probable classes, the first among equals first.
fn top<'a>(
    response: &'a ClassificationResponse,
    labels: &'a [String],
    count: usize,
) -> impl Iterator<Item = (&'a str, f32)> {
    let mut order: Vec<usize> = (0..response.probabilities.len()).collect();
    order.sort_by(|&a, &b| response.probabilities[b].total_cmp(&response.probabilities[a]));
    order.into_iter().take(count).map(|class| (labels[class].as_str(), response.probabilities[class]))
}

/// A probability to six decimals: more digits would be those of the conversion to another width.
fn rounded(probability: f32) -> f64 {
    (f64::from(probability) * 1e6).round() / 1e6
}

/// What goes by this name, for people: a blank would look like nothing.
fn shown(name: &str) -> &str {
    if name.trim().is_empty() { "(empty)" } else { name }
}

/// A field of a CSV file (RFC 4180).
fn csv(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
