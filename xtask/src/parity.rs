//! `cargo xtask parity`: do the networks of the zoo answer as torchvision's and timm's, and are photographs changed as by Pillow and
//! torchvision? Knows the scripts and the tests by name only.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus},
};

use anyhow::{Context, Result, ensure};

use crate::{
    no_more,
    python::environment,
    say,
    workspace::{Workspace, exit_code, status},
};

pub(crate) const HELP: &str = "\
Usage: cargo xtask parity [PHOTOGRAPHS]

Installs PyPI's torch, torchvision and timm into target/parity-python (once), lets the originals of the full
configurations answer with weights at random, and compares: our answers with theirs, our count of parameters and products,
and theirs with the weights that we export, loaded strictly. Then Pillow and torchvision change 20 of the photographs below
PHOTOGRAPHS (default: flowers5-224 in HOMEOSTAT_DATA, or in ../shared/data beside the checkout), and so do our operations.
Needs python3, 6 GB of disk and, the first time, a network.";

const PACKAGES: [&str; 6] = ["torch", "torchvision", "timm", "safetensors", "numpy", "pillow"];

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    let (photographs, rest) = match args.split_first() {
        Some((folder, rest)) => (Some(PathBuf::from(folder)), rest),
        None => (photographs(workspace), args),
    };
    no_more(rest)?;
    ensure!(
        photographs.as_ref().is_none_or(|folder| folder.is_dir()),
        "the folder of photographs is not there: give another one"
    );
    let python = environment(&workspace.root.join("target/parity-python"), &PACKAGES)?;
    let networks = networks(workspace, &python)?;
    if !networks.success() {
        return Ok(exit_code(networks));
    }
    let Some(photographs) = photographs else {
        say("No photographs found, so our changes of them are not compared: cargo xtask parity PHOTOGRAPHS");
        return Ok(ExitCode::SUCCESS);
    };
    Ok(exit_code(pictures(workspace, &python, &photographs)?))
}

fn photographs(workspace: &Workspace) -> Option<PathBuf> {
    let data = env::var_os("HOMEOSTAT_DATA").map(PathBuf::from).or_else(|| workspace.shared_data())?;
    Some(data.join("flowers5-224")).filter(|folder| folder.is_dir())
}

/// The zoo against its originals.
fn networks(workspace: &Workspace, python: &Path) -> Result<ExitStatus> {
    let script = workspace.root.join("crates/homeostat-models/tests/fixtures/originals.py");
    let folder = workspace.root.join("target/parity");
    let originals =
        |verb: &str| Command::new(python).arg(&script).arg(verb).arg(&folder).status().context("cannot start python");
    let written = originals("full")?;
    if !written.success() {
        return Ok(written);
    }
    // The whole workspace, as everywhere: with one crate alone, cargo would build Burn again with other features.
    let mut tests =
        workspace.cargo(["test", "--workspace", "--test", "it", "full_configurations", "--", "--nocapture"]);
    let compared = status(tests.env("HOMEOSTAT_PARITY", &folder))?;
    if compared.success() { originals("check") } else { Ok(compared) }
}

/// Our changes of photographs against Pillow's and torchvision's.
fn pictures(workspace: &Workspace, python: &Path, photographs: &Path) -> Result<ExitStatus> {
    let folder = workspace.root.join("target/parity-photographs");
    let mut script = Command::new(python);
    script.arg(workspace.root.join("benches/photograph_parity.py")).arg(photographs).arg(&folder);
    let made = script.status().context("cannot start python")?;
    if !made.success() {
        return Ok(made);
    }
    let mut tests = workspace.cargo(["test", "--workspace", "--test", "it", "photographs_are", "--", "--nocapture"]);
    status(tests.env("HOMEOSTAT_PHOTOGRAPHS", &folder))
}
