//! `homeostat search`: an index of texts, and what is nearest to a question in it.

use std::{io::Write, path::Path};

use anyhow::bail;
use homeostat_artifact::Artifact;
use homeostat_data::{Cell, Table, TableFormat};
use homeostat_deploy::{Endpoint, Found, IndexRow, Nearest, TextIndex};
use homeostat_search::GraphConfig;
use homeostat_tasks::TaskConfig;

use super::{Done, table::print_table, warn_of_cut};
use crate::cli::Search;

/// Characters of a text that a line shows.
const SHOWN: usize = 80;

pub(crate) fn run(arguments: &Search) -> anyhow::Result<Done> {
    match arguments {
        Search::Index { artifact, table, index, text, name, device } => {
            TextIndex::check_place(index)?; // before the long work
            let artifact = Artifact::open(artifact)?;
            let (endpoint, most) = open(&artifact, device)?;
            let rows = rows(table, text, name.as_deref())?;
            let count = rows.len();
            let mut told = 0;
            let index_of = TextIndex::build(endpoint.as_ref(), artifact.digest(), rows, &mut |done| {
                if done - told >= 1024 || done == count {
                    told = done;
                    tracing::info!("{done} of {count} texts have their vectors");
                }
            })?;
            index_of.write(index)?;
            warn_of_cut(index_of.cut_texts(), (count, "texts"), (most, "ends"));
            writeln!(std::io::stdout().lock(), "{count} texts in {}", index.display())?;
        }
        Search::Ask { artifact, index, questions, top, graph, json, device } => {
            let artifact = Artifact::open(artifact)?;
            let mut texts = TextIndex::open(index, artifact.digest())?;
            if *graph {
                texts = texts.with_graph(GraphConfig { search: usize::from(*top).max(100), ..GraphConfig::default() });
            }
            let (endpoint, most) = open(&artifact, device)?;
            let asked: Vec<&str> = questions.iter().map(String::as_str).collect();
            let answers = texts.ask(endpoint.as_ref(), &asked, usize::from(*top))?;
            for (question, nearest) in asked.into_iter().zip(&answers) {
                if *json { print_json(question, nearest)? } else { print(question, &nearest.found)? }
            }
            let cut = answers.iter().filter(|nearest| nearest.cut).count();
            warn_of_cut(cut, (answers.len(), "questions"), (most, "ends"));
        }
    }
    Ok(Done::Well)
}

/// Who gives texts their vectors, and the most tokens of a text.
fn open(artifact: &Artifact, device: &str) -> anyhow::Result<(Box<dyn Endpoint>, usize)> {
    let TaskConfig::SentenceEmbedding(task) = TaskConfig::parse(artifact.kind(), &artifact.task()?)? else {
        bail!(
            "{} is of the kind `{}`, but only a sentence embedding gives texts their vectors",
            artifact.path().display(),
            artifact.kind()
        );
    };
    Ok((super::verify::open(artifact, device)?, task.prepare.max_length))
}

/// The texts of a table with their names.
fn rows(path: &Path, text: &[String], name: Option<&str>) -> anyhow::Result<Vec<IndexRow>> {
    let columns: Vec<&str> = text.iter().map(String::as_str).chain(name).collect();
    let table = Table::open(path, &TableFormat::default())?;
    let mut rows = table.rows(&columns)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next() {
        let row = row?;
        let (texts, names) = row.cells.split_at(text.len());
        let text = texts.iter().filter_map(Cell::text).collect::<Vec<_>>().join(" ");
        if text.is_empty() {
            tracing::warn!("{}: the text is empty, and is left out", rows.name(row.number));
            continue;
        }
        let name = names.first().and_then(Cell::text).unwrap_or_else(|| rows.name(row.number));
        found.push(IndexRow { name, text });
    }
    Ok(found)
}

fn print(question: &str, found: &[Found<'_>]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{question}")?;
    let line = |found: &Found<'_>| {
        let text = found.row.text.replace(['\n', '\r', '\t'], " ");
        let shown: String = text.chars().take(SHOWN).collect();
        let more = if shown.len() < text.len() { " ..." } else { "" };
        vec![format!("{:.3}", found.score), found.row.name.clone(), format!("{shown}{more}")]
    };
    Ok(print_table(&mut out, &["score", "name", "text"], &found.iter().map(line).collect::<Vec<_>>())?)
}

fn print_json(question: &str, nearest: &Nearest<'_>) -> anyhow::Result<()> {
    let found: Vec<_> = nearest
        .found
        .iter()
        .map(|found| serde_json::json!({ "name": found.row.name, "score": found.score, "text": found.row.text }))
        .collect();
    let value = super::predict::with_cut(serde_json::json!({ "question": question, "found": found }), nearest.cut);
    Ok(writeln!(std::io::stdout().lock(), "{value}")?)
}
