//! `cargo xtask train`: from a fresh clone to a trained run in one command. Knows nothing of what training does.

use std::{
    env,
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};

use crate::{
    say,
    workspace::{Workspace, exit_code, status},
};

pub(crate) const HELP: &str = "\
Usage: cargo xtask train [EXPERIMENT] [key=value ...] [--device D] [flags of `homeostat train`]

Builds homeostat in release, with the feature that the device needs, and runs `homeostat train` in the current folder.

  EXPERIMENT   the name of a built-in experiment or a TOML file (default: digits)
  key=value    an override, such as train.epochs=3
  --device D   auto, cpu, cuda[:n] or ndarray

Where HOMEOSTAT_DATA is not set, the folder ../shared/data beside the checkout is used if there is one.
The exit code is that of homeostat; Ctrl-C lets it write its checkpoint.";

/// The flags of `homeostat train` whose value is a word of its own, which is then no experiment.
const VALUE_FLAGS: &[&str] =
    &["--device", "--out", "--log-level", "--data-root", "--workers", "--kernels", "--threads"];

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    let target = workspace.metadata()?["target_directory"].as_str().map(PathBuf::from);
    let target = target.context("`cargo metadata` names no target folder")?;
    let homeostat = target.join("release").join(format!("homeostat{}", env::consts::EXE_SUFFIX));
    if !homeostat.exists() {
        say("Building homeostat in release: a first build takes 6 to 9 minutes on two cores.");
    }
    let mut build = workspace.cargo(["build", "--release", "--package", "homeostat"]);
    build.args(device(args).and_then(feature).map(|feature| format!("--features={feature}")));
    let built = status(&mut build)?;
    if !built.success() {
        return Ok(exit_code(built));
    }

    let mut train = Command::new(&homeostat);
    train.arg("train").args(with_experiment(args));
    if let (None, Some(data)) = (env::var_os("HOMEOSTAT_DATA"), workspace.shared_data()) {
        train.env("HOMEOSTAT_DATA", data);
    }
    become_child(train).with_context(|| format!("cannot start {}", homeostat.display()))
}

/// The value of `--device D` or `--device=D`.
fn device(args: &[String]) -> Option<&str> {
    let at = args.iter().position(|arg| arg == "--device" || arg.starts_with("--device="))?;
    args[at].strip_prefix("--device=").or_else(|| args.get(at + 1).map(String::as_str))
}

/// The cargo feature of a device; the default build has the others. A wrong name is homeostat's to refuse.
fn feature(device: &str) -> Option<&str> {
    let kind = device.split(':').next()?;
    matches!(kind, "cuda" | "ndarray").then_some(kind)
}

/// The arguments with the default experiment first, if none is named.
fn with_experiment(args: &[String]) -> Vec<&str> {
    let is_value = |at: usize| at > 0 && VALUE_FLAGS.contains(&args[at - 1].as_str());
    let is_experiment = |(at, arg): (usize, &String)| !arg.starts_with('-') && !arg.contains('=') && !is_value(at);
    let default = (!args.iter().enumerate().any(is_experiment)).then_some("digits");
    default.into_iter().chain(args.iter().map(String::as_str)).collect()
}

/// Replaces xtask by the child, which then gets every signal itself and whose exit code is ours.
#[cfg(unix)]
fn become_child(mut command: Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    bail!(command.exec())
}

#[cfg(not(unix))]
fn become_child(mut command: Command) -> Result<ExitCode> {
    Ok(exit_code(command.status()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_default_experiment_is_added_only_where_none_is_named() {
        for (given, wanted) in [
            ("", "digits"),
            ("mnist", "mnist"),
            ("train.epochs=3 --quiet", "digits train.epochs=3 --quiet"),
            ("--device cpu", "digits --device cpu"),
            ("--device cpu mnist", "--device cpu mnist"),
            ("--device=cuda:1 runs/my.toml --out here", "--device=cuda:1 runs/my.toml --out here"),
        ] {
            assert_eq!(with_experiment(&words(given)).join(" "), wanted, "given: {given}");
        }
    }

    #[test]
    fn the_device_names_the_feature() {
        for (given, wanted) in [
            ("digits", None),
            ("--device cpu", None),
            ("--device auto", None),
            ("--device", None),
            ("digits --device cuda", Some("cuda")),
            ("--device cuda:1 digits", Some("cuda")),
            ("--device=ndarray", Some("ndarray")),
        ] {
            assert_eq!(device(&words(given)).and_then(feature), wanted, "given: {given}");
        }
    }
}
