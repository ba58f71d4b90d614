//! `cargo xtask bench`: the criterion benches of `benches/`, and the comparisons with peers.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    loading, peers, serving,
    workspace::{Workspace, exit_code, status},
};

pub(crate) const HELP: &str = "\
Usage: cargo xtask bench [NAME] [ARGS of `cargo bench`]

Runs one bench of benches/, or all of them. What follows `--` goes to criterion.
`cargo xtask bench peers` compares with other systems (`cargo xtask bench peers --help`), and `cargo xtask bench data` does so
for decoding, augmentation and loading; `cargo xtask bench serve` measures the server.";

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    match args.split_first().map(|(name, rest)| (name.as_str(), rest)) {
        Some(("peers", rest)) => return peers::run(workspace, rest),
        Some(("data", rest)) => return loading::run(workspace, rest),
        Some(("serve", rest)) => return serving::run(workspace, rest),
        _ => {}
    }
    // The whole workspace, as everywhere: with one crate alone, cargo would build Burn again with other features.
    let mut command = workspace.cargo(["bench", "--workspace"]);
    match args.split_first() {
        Some((name, rest)) if !name.starts_with('-') => command.args(["--bench", name]).args(rest),
        _ => command.args(["--bench", "*"]).args(args),
    };
    Ok(exit_code(status(&mut command)?))
}
