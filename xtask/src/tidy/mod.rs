//! `cargo xtask tidy`: the house rules as code. Each rule reads the [`Tree`] and lists its breaches; none touches a disk.

use std::{
    fmt::{self, Display, Formatter},
    process::ExitCode,
};

use anyhow::Result;

use crate::{no_more, say, workspace::Workspace};
use tree::Tree;

mod content;
mod floors;
mod manifest;
mod rust_code;
mod source;
mod tree;

pub(crate) const HELP: &str = "\
Usage: cargo xtask tidy

Checks the house rules (which crate may know which, where printing, `unsafe`, features and anyhow may stand, names of
files, what may be tracked) and prints each breach as `path:line: rule, how to mend`.";

const RULES: &[fn(&Tree) -> Vec<Breach>] = &[
    floors::arrows,
    floors::backend_dependencies,
    floors::backend_features,
    floors::feature_switches,
    source::prints,
    source::unsafe_code,
    source::names,
    source::openings,
    content::sizes,
    content::weights,
    content::machine_paths,
    content::registry_hosts,
    manifest::anyhow_in_libraries,
    manifest::lints,
    manifest::architecture,
    manifest::burn_version,
    manifest::directories,
];

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    no_more(args)?;
    Ok(if check(workspace)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints what breaks a rule; true when nothing does.
pub(crate) fn check(workspace: &Workspace) -> Result<bool> {
    let tree = Tree::read(workspace)?;
    let mut breaches: Vec<Breach> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    breaches.sort();
    breaches.iter().for_each(say);
    say(format!("tidy: {} files, {} packages, breaches: {}", tree.files.len(), tree.packages.len(), breaches.len()));
    Ok(breaches.is_empty())
}

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Breach {
    path: String,
    line: usize,
    message: String,
}

impl Breach {
    fn new(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.into(), line, message: message.into() }
    }
}

impl Display for Breach {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// The places that a rule complains about, `path:line` each.
#[cfg(test)]
fn places(breaches: &[Breach]) -> Vec<String> {
    breaches.iter().map(|breach| format!("{}:{}", breach.path, breach.line)).collect()
}
