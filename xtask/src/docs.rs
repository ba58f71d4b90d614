//! `cargo xtask docs`: the pages that are generated from the code. A test of the crate that owns a page writes it.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::workspace::{Workspace, exit_code, status};

pub(crate) const HELP: &str = "\
Usage: cargo xtask docs [--open]

Writes docs/reference/experiment.md anew from the doc comments, and builds the API docs.

  --open   open the API docs in the browser";

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    let open = match args {
        [] => None,
        [flag] if flag == "--open" => Some("--open"),
        _ => bail!("unexpected arguments `{}`; `cargo xtask docs --help` lists them", args.join(" ")),
    };
    // The whole workspace, as everywhere: with one crate alone, cargo would build Burn again with other features.
    let mut reference = workspace.cargo(["test", "--workspace", "--test", "it", "reference"]);
    let written = status(reference.env("UPDATE_EXPECT", "1"))?;
    if !written.success() {
        return Ok(exit_code(written));
    }
    let mut api = workspace.cargo(["doc", "--no-deps", "--workspace"]);
    Ok(exit_code(status(api.args(open))?))
}
