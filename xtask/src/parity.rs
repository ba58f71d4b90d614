//! `cargo xtask parity`: do the networks of the zoo answer as torchvision's and timm's? Knows the script and the tests by name only.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::{
    no_more,
    python::environment,
    workspace::{Workspace, exit_code, status},
};

pub(crate) const HELP: &str = "\
Usage: cargo xtask parity

Installs PyPI's torch, torchvision and timm into target/parity-python (once), lets the originals of the full
configurations answer with weights at random, and compares: our answers with theirs, our count of parameters and products,
and theirs with the weights that we export, loaded strictly. Needs python3, 6 GB of disk and, the first time, a network.";

const PACKAGES: [&str; 5] = ["torch", "torchvision", "timm", "safetensors", "numpy"];

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    no_more(args)?;
    let python = environment(&workspace.root.join("target/parity-python"), &PACKAGES)?;
    let script = workspace.root.join("crates/homeostat-models/tests/fixtures/originals.py");
    let folder = workspace.root.join("target/parity");
    let originals =
        |verb: &str| Command::new(&python).arg(&script).arg(verb).arg(&folder).status().context("cannot start python");
    let written = originals("full")?;
    if !written.success() {
        return Ok(exit_code(written));
    }
    // The whole workspace, as everywhere: with one crate alone, cargo would build Burn again with other features.
    let mut tests =
        workspace.cargo(["test", "--workspace", "--test", "it", "full_configurations", "--", "--nocapture"]);
    let compared = status(tests.env("HOMEOSTAT_PARITY", &folder))?;
    Ok(exit_code(if compared.success() { originals("check")? } else { compared }))
}
