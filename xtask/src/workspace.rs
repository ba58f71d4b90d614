//! The checkout that xtask works on, and the cargo that started it. Knows no verb.

use std::{
    env,
    path::PathBuf,
    process::{Command, ExitCode, ExitStatus, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The folder of the root manifest.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
}

impl Workspace {
    /// Finds the checkout by the variable that `cargo run` sets.
    pub(crate) fn open() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR").context("start xtask through cargo: `cargo xtask`")?;
        let root = PathBuf::from(manifest).parent().context("xtask has no folder above it")?.to_owned();
        Ok(Self { root })
    }

    /// A cargo command in the root folder, by the same cargo.
    pub(crate) fn cargo<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Build scripts that look at what cargo says of ourselves would run again, and all that is built on them.
        for (name, _) in env::vars_os() {
            let is_of_us = |name: &str| name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_");
            if name.to_str().is_some_and(is_of_us) {
                command.env_remove(name);
            }
        }
        command.current_dir(&self.root).args(args);
        command
    }

    /// `cargo metadata` without the dependencies of others.
    pub(crate) fn metadata(&self) -> Result<Value> {
        let mut command = self.cargo(["metadata", "--no-deps", "--format-version", "1"]);
        let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
        ensure!(output.status.success(), "`cargo metadata` failed: mend the manifest that it names above");
        serde_json::from_slice(&output.stdout).context("cannot read what `cargo metadata` answered")
    }

    /// The folder of data sets beside the checkout, where there is one.
    pub(crate) fn shared_data(&self) -> Option<PathBuf> {
        self.root.join("../shared/data").canonicalize().ok()
    }
}

/// Runs to the end, with our standard streams.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    command.status().with_context(|| format!("cannot start `{}`", shown(command)))
}

/// The code of a child as our own; a signal as a shell would tell it.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    let code = status.code().or(signal.map(|signal: i32| 128 + signal)).unwrap_or(1);
    // Windows codes can be larger than a byte; a failure must stay one.
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// The command as one would type it in the root folder.
pub(crate) fn shown(command: &Command) -> String {
    let variables = command
        .get_envs()
        .filter_map(|(key, value)| value.map(|value| format!("{}={}", key.display(), value.display())));
    let args = command.get_args().map(|arg| arg.display().to_string());
    variables.chain(["cargo".to_owned()]).chain(args).collect::<Vec<_>>().join(" ")
}
