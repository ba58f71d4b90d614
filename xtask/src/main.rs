//! What one would write a shell script for: a `match` on the verb, and one file a verb. Depends on no crate of ours.

use std::{
    env,
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use anyhow::{Result, bail};

use workspace::Workspace;

mod bench;
mod ci;
mod docs;
mod loading;
mod parity;
mod peers;
mod python;
mod serving;
mod test;
mod tidy;
mod train;
mod workspace;

const HELP: &str = "\
Usage: cargo xtask VERB [ARGS]      (`cargo xtask VERB --help` says more)

  train   build homeostat in release, then train an experiment
  test    run all tests
  tidy    check the house rules
  ci      run everything that must hold before a change goes in
  docs    regenerate the reference pages and build the API docs
  bench   run the benches
  parity  compare the networks of the zoo with torchvision's and timm's, and changes of photographs with Pillow's
  python  read a run's event files and weights with their Python libraries";

type Verb = fn(&Workspace, &[String]) -> Result<ExitCode>;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    dispatch(&args).unwrap_or_else(|error| {
        // Nobody is left to tell when stderr is closed.
        let _ = writeln!(io::stderr(), "error: {error:#}");
        ExitCode::from(2)
    })
}

fn dispatch(args: &[String]) -> Result<ExitCode> {
    let Some((verb, args)) = args.split_first() else { bail!("no verb given; `cargo xtask --help` lists them") };
    let (help, run): (&str, Verb) = match verb.as_str() {
        "train" => (train::HELP, train::run),
        "test" => (test::HELP, test::run),
        "tidy" => (tidy::HELP, tidy::run),
        "ci" => (ci::HELP, ci::run),
        "docs" => (docs::HELP, docs::run),
        "bench" if args.first().is_some_and(|name| name == "peers") => (peers::HELP, bench::run),
        "bench" if args.first().is_some_and(|name| name == "data") => (loading::HELP, bench::run),
        "bench" if args.first().is_some_and(|name| name == "serve") => (serving::HELP, bench::run),
        "bench" => (bench::HELP, bench::run),
        "parity" => (parity::HELP, parity::run),
        "python" => (python::HELP, python::run),
        "-h" | "--help" | "help" => {
            say(HELP);
            return Ok(ExitCode::SUCCESS);
        }
        _ => bail!("no verb `{verb}`; `cargo xtask --help` lists them"),
    };
    if wants_help(args) {
        say(help);
        return Ok(ExitCode::SUCCESS);
    }
    run(&Workspace::open()?, args)
}

/// What follows `--` is for the program below, its `--help` too.
fn wants_help(args: &[String]) -> bool {
    args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "-h" || arg == "--help")
}

/// Prints a line; a closed pipe (`| head`) is no reason to panic.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// For a verb that takes no arguments.
fn no_more(args: &[String]) -> Result<()> {
    match args.first() {
        Some(arg) => bail!("unexpected argument `{arg}`"),
        None => Ok(()),
    }
}
