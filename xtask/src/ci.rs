//! `cargo xtask ci`: everything that must hold before a change goes in, the quick steps first.

use std::{
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    no_more, say, test, tidy,
    workspace::{Workspace, shown, status},
};

pub(crate) const HELP: &str = "\
Usage: cargo xtask ci

Runs fmt, tidy, build tests, test, clippy, doc, cuda and (where cargo-deny is installed) deny, and stops at the first
step that fails.";

struct Step {
    name: &'static str,
    work: Work,
}

enum Work {
    Run(Command),
    Tests(Command),
    Tidy,
    Skip(&'static str),
}

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    no_more(args)?;
    let mut table = Vec::new();
    for mut step in steps(workspace) {
        say(format!("\n=== {} ===", step.name));
        let start = Instant::now();
        let passed = perform(workspace, &mut step.work)?;
        table.push(row(&step, passed, start.elapsed()));
        if !passed {
            finish(&table);
            say(format!("ci: `{}` failed; to see it again: {}", step.name, again(&step.work)));
            return Ok(ExitCode::FAILURE);
        }
    }
    finish(&table);
    say("ci: all steps passed");
    Ok(ExitCode::SUCCESS)
}

fn steps(workspace: &Workspace) -> Vec<Step> {
    let cargo = |args: &[&'static str]| {
        let mut command = workspace.cargo(args.iter().copied());
        command.env("CARGO_INCREMENTAL", "0");
        command
    };
    let mut tests = test::command(workspace, &[]);
    tests.env("CARGO_INCREMENTAL", "0");
    let mut doc = cargo(&["doc", "--no-deps", "--workspace"]);
    doc.env("RUSTDOCFLAGS", "-Dwarnings");
    vec![
        Step { name: "fmt", work: Work::Run(cargo(&["fmt", "--all", "--check"])) },
        Step { name: "tidy", work: Work::Tidy },
        Step { name: "build tests", work: Work::Run(cargo(&["test", "--workspace", "--no-run"])) },
        Step { name: "test", work: Work::Tests(tests) },
        Step {
            name: "clippy",
            work: Work::Run(cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
        },
        Step { name: "doc", work: Work::Run(doc) },
        Step {
            name: "backends",
            work: Work::Run(cargo(&["check", "--package", "homeostat", "--features", "cuda,ndarray"])),
        },
        Step {
            name: "deny",
            work: deny(cargo(&["deny", "--version"]), cargo(&["deny", "check", "bans", "licenses", "sources"])),
        },
    ]
}

/// Advisories are left out: they change by the day, not by the change at hand, and asking for them needs a network.
fn deny(mut probe: Command, check: Command) -> Work {
    match probe.stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => Work::Run(check),
        _ => Work::Skip("skipped: cargo-deny is not installed (cargo install cargo-deny)"),
    }
}

fn perform(workspace: &Workspace, work: &mut Work) -> Result<bool> {
    Ok(match work {
        Work::Run(command) => status(command)?.success(),
        Work::Tests(command) => {
            let (status, tally) = test::count(command)?;
            say(tally);
            status.success()
        }
        Work::Tidy => tidy::check(workspace)?,
        Work::Skip(why) => {
            say(why);
            true
        }
    })
}

fn row(step: &Step, passed: bool, time: Duration) -> String {
    let outcome = match step.work {
        Work::Skip(_) => "skipped",
        _ if passed => "passed",
        _ => "FAILED",
    };
    format!("{:<12} {outcome:<8} {:>7.1} s", step.name, time.as_secs_f64())
}

fn again(work: &Work) -> String {
    match work {
        Work::Run(command) => shown(command),
        Work::Tests(_) => "cargo xtask test".to_owned(),
        Work::Tidy => "cargo xtask tidy".to_owned(),
        Work::Skip(why) => (*why).to_owned(),
    }
}

fn finish(table: &[String]) {
    say("\n=== steps ===");
    table.iter().for_each(say);
}
