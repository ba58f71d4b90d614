//! Plain tables and figures for a terminal. It does not know what they mean.

use std::io::{self, Write};

use homeostat_artifact::Figures;

/// Columns as wide as their widest cell, two spaces between.
pub(super) fn print_table(out: &mut dyn Write, header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut line = |cells: &[&str]| {
        let padded = cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    line(header)?;
    rows.iter().try_for_each(|row| line(&row.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// Columns that every terminal has.
const WIDTH: usize = 80;
/// The width of the names before what is told of a run.
const INDENT: usize = 8;

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
