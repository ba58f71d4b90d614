//! `cargo xtask python`: do the Python libraries of others read what a run leaves? Knows the run's files by name only.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, ensure};

use crate::{
    no_more, say,
    workspace::{Workspace, exit_code},
};

pub(crate) const HELP: &str = "\
Usage: cargo xtask python [RUN]

Installs PyPI's tensorboard and safetensors into target/python (once), then reads with them the event files and the
weights of RUN (default: runs/latest), and prints what they found. Needs python3 and, the first time, a network.";

const PACKAGES: [&str; 3] = ["tensorboard", "safetensors", "numpy"];

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    let (run, rest) = match args.split_first() {
        Some((run, rest)) => (PathBuf::from(run), rest),
        None => (PathBuf::from("runs/latest"), args),
    };
    no_more(rest)?;
    let python = environment(&workspace.root.join("target/python"), &PACKAGES)?;
    let benches = workspace.root.join("benches");
    for (script, file) in [
        ("tensorboard_reads.py", run.join("tensorboard")),
        ("safetensors_reads.py", run.join("artifact/model.safetensors")),
    ] {
        let status =
            Command::new(&python).arg(benches.join(script)).arg(file).status().context("cannot start python")?;
        if !status.success() {
            return Ok(exit_code(status));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The python of a virtual environment that has the packages, made where it is not there: `what` is what pip is told.
pub(crate) fn environment(folder: &Path, what: &[&str]) -> Result<PathBuf> {
    let python = folder.join("bin/python");
    let complete = folder.join("complete");
    if !complete.exists() {
        say(format!("Installing {} into {}.", what.join(" "), folder.display()));
        let step = |program: &Path, args: &[&str]| {
            let status = Command::new(program).args(args).status();
            let status = status.with_context(|| format!("cannot start {}: install Python 3", program.display()))?;
            ensure!(status.success(), "`{} {}` failed, see above", program.display(), args.join(" "));
            Ok(())
        };
        step(Path::new("python3"), &["-m", "venv", &folder.display().to_string()])?;
        step(&python, &[&["-m", "pip", "install", "--quiet"], what].concat())?;
        std::fs::write(&complete, "").with_context(|| format!("cannot write {}", complete.display()))?;
    }
    Ok(python)
}
