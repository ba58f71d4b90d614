//! `cargo xtask bench serve`: our server and others under an independent client, on this machine. It knows the command lines, the
//! addresses and the JSON lines of all of them, and nothing of networks.
//!
//! The servers have all cores but the last, the client has the last one, so that neither takes time from the other.

mod chart;
mod fire;
mod lifecycle;
mod pace;
mod side;
mod speed;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    peers::{median, output, put},
    python::environment,
    say,
    workspace::{Workspace, status},
};
use chart::Chart;
use side::{Core, Side, pinned};

pub(crate) const HELP: &str = "\
Usage: cargo xtask bench serve [--only WORK] [--rounds N] [--seconds S] [--minutes M] [--share X] [--target MS] [--scripts DIR] [--dry]

Serves the reference CNN (trained once, into target/serve) and measures it with an independent client, beside NVIDIA Triton,
MLServer and ONNX Runtime alone (installed into target/serve-peers, once; needs python3 and a network). The tables go into
docs/benchmarks.md, each between its own marks, and plots into docs/. All of it takes about an hour, on an otherwise idle machine.

  --only WORK     one of: speed      requests a second, latency and processor time, beside the peers
                          idle       one connection, batching on against off
                          start      from the start of the process to the first answer; memory
                          fire       twice the capacity for minutes: refusals, latency, memory
                          lifecycle  reloads, SIGTERMs and panics under load; clients that misbehave
                          loop       a load that steps, the controller against fixed queues and windows
  --rounds N      turns of each side (default 3)
  --seconds S     how long a turn measures (default 5)
  --minutes M     how long `fire` takes (default 10)
  --share X       does so much of the counts of `start` and `lifecycle` and of the seconds of `loop` (default 1)
  --target MS     the 99th percentile that `fire` and `loop` hold (default 25)
  --scripts DIR   the peers' work.py and requirements.txt (default ../shared/peers)
  --dry           prints only; nothing is written";

type Work = fn(&Bench) -> Result<Found>;

const WORKS: &[(&str, Work)] = &[
    ("speed", speed::speed),
    ("idle", speed::idle),
    ("start", speed::start),
    ("fire", fire::fire),
    ("lifecycle", lifecycle::lifecycle),
    ("loop", pace::run),
];

/// What a work found: the text for the page, and perhaps a plot.
pub(crate) struct Found {
    text: String,
    chart: Option<Chart>,
}

impl From<String> for Found {
    fn from(text: String) -> Self {
        Self { text, chart: None }
    }
}

struct Options {
    only: Option<&'static (&'static str, Work)>,
    rounds: usize,
    seconds: f64,
    minutes: f64,
    share: f64,
    target: f64,
    scripts: PathBuf,
    is_dry: bool,
}

impl Options {
    fn parse(workspace: &Workspace, args: &[String]) -> Result<Self> {
        let scripts = workspace.root.join("../shared/peers");
        let mut options = Self {
            only: None,
            rounds: 3,
            seconds: 5.0,
            minutes: 10.0,
            share: 1.0,
            target: 25.0,
            scripts,
            is_dry: false,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if arg == "--dry" {
                options.is_dry = true;
                continue;
            }
            let value = args.next().with_context(|| format!("`{arg}` needs a value"))?;
            let number = || {
                let number = value.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
                number.with_context(|| format!("{arg} {value}: give a number above 0"))
            };
            match arg.as_str() {
                "--only" => {
                    let names = || WORKS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
                    let work = WORKS.iter().find(|(name, _)| name == value);
                    options.only = Some(work.with_context(|| format!("--only {value}: give one of {}", names()))?);
                }
                "--rounds" => {
                    let rounds = value.parse().ok().filter(|rounds: &usize| *rounds > 0);
                    options.rounds =
                        rounds.with_context(|| format!("--rounds {value}: give a whole number above 0"))?;
                }
                "--seconds" => options.seconds = number()?,
                "--minutes" => options.minutes = number()?,
                "--share" => options.share = number()?,
                "--target" => options.target = number()?,
                "--scripts" => options.scripts = PathBuf::from(value),
                _ => bail!("unexpected argument `{arg}`; `cargo xtask bench serve --help` lists them"),
            }
        }
        Ok(options)
    }

    /// So many of a count, at least one.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, and above 0")]
    fn count(&self, whole: f64) -> usize {
        (self.share * whole).ceil() as usize
    }
}

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    let options = Options::parse(workspace, args)?;
    let bench = Bench::prepare(workspace, options)?;
    let heading = bench.heading()?;
    let works = bench.options.only.map_or(WORKS, std::slice::from_ref);
    for (name, work) in works {
        say(format!("=== {name} ==="));
        let found = work(&bench)?;
        say(&found.text);
        if bench.options.is_dry {
            continue;
        }
        let mut text = format!("{heading}\n\n{}", found.text);
        if let Some(chart) = found.chart {
            let file = format!("serve-{name}.svg");
            text += &format!("\n![{}]({file})\n", chart.title);
            let path = workspace.root.join("docs").join(file);
            fs::write(&path, chart.svg()).with_context(|| format!("cannot write {}", path.display()))?;
        }
        put(workspace, &format!("serve --only {name}"), &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All that the works share.
pub(crate) struct Bench {
    /// Our programs.
    ours: PathBuf,
    /// What is made for this bench alone.
    folder: PathBuf,
    scripts: PathBuf,
    root: PathBuf,
    options: Options,
}

impl Bench {
    /// Builds our programs and trains what they serve.
    fn prepare(workspace: &Workspace, options: Options) -> Result<Self> {
        let built = status(&mut workspace.cargo(["build", "--release", "--workspace"]))?;
        ensure!(built.success(), "the build failed, see above");
        let bench = Self {
            ours: workspace.root.join("target/release"),
            folder: workspace.root.join("target/serve"),
            scripts: workspace.root.join("benches"),
            root: workspace.root.clone(),
            options,
        };
        for (name, network) in [("cnn", "model.cnn={}"), ("none", "model.mlp.hidden=[]")] {
            if bench.artifact(name).join("artifact.json").exists() {
                continue;
            }
            let data = workspace.shared_data().context("needs ../shared/data with cifar10-jpeg")?;
            say(format!("Training what is served: {name}."));
            let mut train = Command::new(bench.ours.join("homeostat"));
            train.current_dir(&workspace.root).args(["train", "benches/serve.toml", network, "--quiet", "--out"]);
            train.arg(bench.folder.join(name)).arg("--data-root").arg(data).stdout(Stdio::null());
            ensure!(status(&mut train)?.success(), "the training failed, see above");
        }
        Ok(bench)
    }

    /// The run of a network: `cnn`, or `none`, which computes next to nothing.
    fn run_of(&self, network: &str) -> PathBuf {
        self.folder.join(network).join("latest")
    }

    fn artifact(&self, network: &str) -> PathBuf {
        self.run_of(network).join("artifact")
    }

    /// `homeostat serve` of a network, on free ports.
    fn serve(&self, network: &str, args: &[&str]) -> Result<Side> {
        let run = format!("{network}={}", self.run_of(network).display());
        self.serve_what(
            &[&["serve", &run, "--http", "127.0.0.1:0", "--grpc", "off", "--metrics", "off"], args].concat(),
        )
    }

    fn serve_what(&self, args: &[&str]) -> Result<Side> {
        Side::of_ours(self, "homeostat", args)
    }

    /// The same with faults to order.
    fn serve_faulty(&self, args: &[&str]) -> Result<Side> {
        let run = format!("cnn={}", self.run_of("cnn").display());
        Side::of_ours(self, "faulty", &[&[run.as_str()], args].concat())
    }

    /// The client's line of a measurement.
    fn load(&self, side: &Side, args: &[&str]) -> Result<Value> {
        let command = self.client(side, args);
        serde_json::from_str(&output(command)?).context("the client's line is no JSON")
    }

    /// The client at work in the background.
    fn load_meanwhile(&self, side: &Side, args: &[&str]) -> Result<Child> {
        self.client(side, args).stdout(Stdio::piped()).spawn().context("cannot start the client")
    }

    fn client(&self, side: &Side, args: &[&str]) -> Command {
        let (mode, args) = args.split_first().unwrap_or((&"", &[]));
        let mut command = pinned(Core::Client, &self.ours.join("load"));
        command.args([mode, "--address", &side.address, "--pid", &side.pid.to_string()]).args(args);
        command
    }

    /// The measurement of callers that ask anew once they are answered.
    fn closed(&self, side: &Side, what: &Asked<'_>) -> Result<Value> {
        let &Asked { model, format, connections } = what;
        let (seconds, warm) = (self.options.seconds.to_string(), (0.2 * self.options.seconds).to_string());
        let connections = connections.to_string();
        let args = ["--model", model, "--format", format, "--connections", &connections, "--seconds", &seconds];
        let line = self.load(side, &[&["closed", "--warm", &warm], &args[..]].concat())?;
        let only_well = line["statuses"].as_object().is_some_and(|statuses| statuses.keys().all(|key| key == "200"));
        ensure!(only_well && line["lost"] == 0, "{} did not answer all of {model}: {line}", side.name);
        Ok(line)
    }

    /// Requests a second that a server answers when it is never out of work.
    fn capacity(&self, side: &Side) -> Result<f64> {
        let asked = Asked { model: "cnn", format: "binary", connections: 64 };
        number(&self.closed(side, &asked)?, "answers_per_second")
    }

    /// The Python of the peers' servers.
    fn peers(&self) -> Result<PathBuf> {
        environment(&self.root.join("target/serve-peers"), &["nvidia-pytriton", "mlserver", "onnxruntime"])
    }

    /// What all was measured on.
    fn heading(&self) -> Result<String> {
        let text = |mut command: Command, args: &[&str]| {
            command.args(args);
            Ok::<_, anyhow::Error>(output(command)?.trim().to_owned())
        };
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu =
            cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1)).unwrap_or("?").to_owned();
        Ok(format!(
            "{}, {cpu}; server on core {}, client on core {}; {}.",
            text(Command::new("date"), &["+%F"])?,
            Core::Server.numbers(),
            Core::Client.numbers(),
            text(Command::new("rustc"), &["--version"])?,
        ))
    }

    fn log(&self) -> Result<fs::File> {
        fs::create_dir_all(&self.folder).with_context(|| format!("cannot make {}", self.folder.display()))?;
        let path = self.folder.join("servers.log");
        fs::File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// What is asked by how many.
#[derive(Clone, Copy)]
struct Asked<'a> {
    model: &'a str,
    format: &'a str,
    connections: usize,
}

fn number(line: &Value, key: &str) -> Result<f64> {
    line[key].as_f64().with_context(|| format!("the client's line has no {key}: {line}"))
}

/// The median of a number over lines.
fn middle(lines: &[Value], key: &str) -> Result<f64> {
    let values: Vec<f64> = lines.iter().map(|line| number(line, key)).collect::<Result<_>>()?;
    Ok(median(values.into_iter()))
}

/// The median of the quotients of two sides that took turns.
fn ratio(ours: &[Value], theirs: &[Value], key: &str) -> Result<f64> {
    let quotients = ours.iter().zip(theirs).map(|(ours, theirs)| Ok(number(ours, key)? / number(theirs, key)?));
    Ok(median(quotients.collect::<Result<Vec<_>>>()?.into_iter()))
}

/// Whether what was found is what must be, in words.
fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**missed**" }
}

/// How busy the machine was with other work, for whom the figures must not be taken at their word.
fn foreign<'a>(lines: impl IntoIterator<Item = &'a Value>) -> String {
    let cores: Vec<f64> = lines.into_iter().filter_map(|line| line["foreign_cores"].as_f64()).collect();
    let most = cores.iter().copied().fold(0.0, f64::max);
    if cores.is_empty() {
        return String::new();
    }
    format!("Other work took {:.2} cores meanwhile (median; at most {most:.2}).", median(cores.into_iter()))
}

/// The line of a client that worked in the background.
fn line_of(child: Child) -> Result<Value> {
    let output = child.wait_with_output().context("the client is gone")?;
    ensure!(output.status.success(), "the client failed, see above");
    serde_json::from_slice(&output.stdout).context("the client's line is no JSON")
}

/// All files below a folder, in another one; as links, for they are only read.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::hard_link(entry.path(), &target).with_context(|| format!("cannot write {}", target.display()))?;
        }
    }
    Ok(())
}
