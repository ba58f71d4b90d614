//! Plain tables and figures for a terminal. It does not know what they mean.

use std::io::{self, Write};

use homeostat_artifact::{Figures, RunResult};
use homeostat_train::metrics::wilson;

/// Columns that every terminal has.
const WIDTH: usize = 80;
/// The width of the names before what is told of a run.
const INDENT: usize = 8;

/// Columns as wide as their widest cell, two spaces between; those that hold numbers alone are flush right.
pub(super) fn print_table(out: &mut dyn Write, header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let is_right = |at: usize| rows.iter().filter_map(|row| row.get(at)).all(|cell| is_number(cell));
    print_aligned(out, header, rows, &is_right)
}

/// The same, with the columns that are flush right.
pub(super) fn print_aligned(
    out: &mut dyn Write,
    header: &[&str],
    rows: &[Vec<String>],
    is_right: &dyn Fn(usize) -> bool,
) -> io::Result<()> {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(String::as_str);
        cells.chain([header[at]]).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let columns: Vec<(usize, bool)> = (0..header.len()).map(|at| (width(at), is_right(at))).collect();
    let mut line = |cells: &[&str]| {
        let padded = cells.iter().zip(&columns).map(|(cell, &(width, is_right))| {
            if is_right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    line(header)?;
    rows.iter().try_for_each(|row| line(&row.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// A number, or the lack of one.
fn is_number(cell: &str) -> bool {
    matches!(cell, "" | "-") || cell.parse::<f64>().is_ok()
}

/// A name and figures behind it, in as many lines as they need.
pub(super) fn print_figures(out: &mut dyn Write, name: &str, figures: &Figures) -> io::Result<()> {
    let mut line = format!("{name:<INDENT$}");
    for (name, value) in figures.iter() {
        let figure = format!("{name} {value:.4}");
        if line.len() > INDENT && line.len() + figure.len() > WIDTH {
            writeln!(out, "{}", line.trim_end())?;
            line = " ".repeat(INDENT);
        }
        line.push_str(&figure);
        line.push_str("  ");
    }
    writeln!(out, "{}", line.trim_end())
}

/// `1 sample`, `2 samples`
pub(super) fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// On how many samples figures were measured that chose nothing, and how far their accuracy can be trusted.
pub(super) fn print_samples(out: &mut dyn Write, figures: &Figures, samples: u64) -> io::Result<()> {
    write!(out, "{:<INDENT$}{samples} samples", "on")?;
    if let Some(accuracy) = figures.get("accuracy") {
        let (low, high) = wilson(accuracy, samples);
        write!(out, "; accuracy with 95 % confidence {low:.4} to {high:.4}")?;
    }
    writeln!(out)
}

/// The same for figures of the validation part: of those that chose the weights no interval would be true.
pub(super) fn print_valid_samples(out: &mut dyn Write, result: &RunResult) -> io::Result<()> {
    let samples = result.samples.valid;
    if result.best.is_none() {
        return print_samples(out, &result.valid, samples);
    }
    writeln!(out, "{:<INDENT$}{samples} samples, by which the weights were chosen", "on")
}
