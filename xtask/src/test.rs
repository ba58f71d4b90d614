//! `cargo xtask test`: all tests, and their sum in one line. The default run reads nothing outside the checkout.

use std::{
    env,
    fmt::{self, Display, Formatter},
    io::{self, BufRead, BufReader, Write},
    process::{Command, ExitCode, ExitStatus, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{
    say,
    workspace::{Workspace, exit_code, shown},
};

pub(crate) const HELP: &str = "\
Usage: cargo xtask test [--data] [ARGS of `cargo test`]

Runs the tests of the whole workspace (or of `-p CRATE`), those of the documentation included, without network or GPU.

  --data   also the tests on real data: in HOMEOSTAT_DATA, or in ../shared/data beside the checkout";

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    let ours = args.iter().take_while(|arg| *arg != "--").position(|arg| arg == "--data");
    let rest: Vec<&str> =
        args.iter().enumerate().filter(|(at, _)| Some(*at) != ours).map(|(_, arg)| arg.as_str()).collect();
    let mut command = command(workspace, &rest);
    if ours.is_some() {
        let Some(data) = env::var_os("HOMEOSTAT_DATA").or_else(|| Some(workspace.shared_data()?.into())) else {
            bail!("no data found for --data: set HOMEOSTAT_DATA, or put the folder at ../shared/data");
        };
        command.env("HOMEOSTAT_DATA", data);
    }
    let (status, tally) = count(&mut command)?;
    say(&tally);
    Ok(exit_code(status))
}

/// `cargo test` without data; the whole workspace, if `args` choose no package.
pub(crate) fn command(workspace: &Workspace, args: &[&str]) -> Command {
    let chosen =
        args.iter().take_while(|arg| **arg != "--").any(|arg| arg.starts_with("-p") || arg.starts_with("--package"));
    let mut command = workspace.cargo(["test"]);
    command.args((!chosen).then_some("--workspace")).args(args).env_remove("HOMEOSTAT_DATA");
    command
}

/// The sum over the test programs of a run.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
}

impl Display for Tally {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

impl Tally {
    /// Adds the closing line of a test program: `test result: ok. 5 passed; 0 failed; ...`.
    fn add(&mut self, line: &str) {
        let Some(figures) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else { return };
        for figure in figures.1.split("; ") {
            match figure.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse::<u64>().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse::<u64>().unwrap_or(0),
                _ => {}
            }
        }
    }
}

/// Runs a `cargo test`, passing its output on while it counts.
pub(crate) fn count(command: &mut Command) -> Result<(ExitStatus, Tally)> {
    let cannot_start = format!("cannot start `{}`", shown(command));
    let mut child = command.stdout(Stdio::piped()).spawn().context(cannot_start)?;
    let mut tally = Tally::default();
    let mut lines = BufReader::new(child.stdout.take().context("the tests have no output")?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        let _ = io::stdout().write_all(&line);
        tally.add(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok((child.wait()?, tally))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tally_sums_the_closing_lines_and_nothing_else() {
        let mut tally = Tally::default();
        for line in [
            "running 5 tests",
            "test it::says_3 passed; 1 failed ... ok",
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.20s",
        ] {
            tally.add(line);
        }
        assert_eq!(tally.to_string(), "8 passed, 2 failed");
    }
}
