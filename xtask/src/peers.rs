//! `cargo xtask bench peers`: our program and those of other systems take turns on the same works, on this machine.
//!
//! It knows the command lines and the JSON lines of both sides, and nothing of networks. Absolute times are those of the
//! machine; the claim is the ratio: in each round the sides follow each other, and the median over rounds counts.

use std::{
    fs,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    python::environment,
    say,
    workspace::{Workspace, status},
};

pub(crate) const HELP: &str = "\
Usage: cargo xtask bench peers [--works main|zoo|texts] [--only TEXT] [--rounds N] [--seconds S] [--scripts DIR]

Installs PyTorch, TensorFlow and ONNX Runtime into target/peers (once; needs python3 and a network), then lets ours and
theirs take turns on the same works with 1 and 2 threads, and prints a table. Without --only the table goes into
docs/benchmarks.md too.

  --works zoo     a training step of each network of the zoo against torchvision's, timm's or plain PyTorch's, with 2 threads
  --works texts   training of MiniLM and of a small GPT, and its writing, against transformers, with 2 threads
  --only TEXT     only works whose line holds TEXT, such as `resnet18` or `infer`
  --rounds N      turns of each side (default 3)
  --seconds S     how long a turn measures (default 5)
  --scripts DIR   the peers' side: train_step.py, infer.py, requirements.txt (default ../shared/peers)";

const PAGE: &str = "docs/benchmarks.md";
const END: &str = "<!-- end -->";

/// A work on which sides are compared, for any number of threads.
struct Work {
    /// The command line of our side; that of the peers is the same but for its first word.
    line: &'static str,
    /// Each peer with the ratio of times, ours to theirs, that is wanted at most.
    peers: &'static [(&'static str, f64)],
    /// Billions of multiplications with an addition; a backward pass counts as two forward passes.
    giga_macs: f64,
}

const WORKS: &[Work] = &[
    Work {
        line: "train-step --work cnn --batch 32 --size 32",
        peers: &[("torch", 0.55), ("tensorflow", 0.95)],
        giga_macs: 3.0 * 32.0 * 0.004_04,
    },
    Work {
        line: "train-step --work resnet18 --batch 64 --size 32",
        peers: &[("torch", 1.0), ("torch-compile", 1.0), ("tensorflow", 1.0)],
        giga_macs: 3.0 * 64.0 * 0.5554,
    },
    Work {
        line: "train-step --work transformer --batch 16 --length 128",
        peers: &[("torch", 1.0)],
        giga_macs: 3.0 * 16.0 * 0.436,
    },
    Work { line: "infer --work cnn --batch 1 --size 32", peers: &[("onnxruntime", 1.1)], giga_macs: 0.004_04 },
    Work { line: "infer --work cnn --batch 32 --size 32", peers: &[("onnxruntime", 1.1)], giga_macs: 32.0 * 0.004_04 },
    Work { line: "infer --work resnet18-224 --batch 1", peers: &[("onnxruntime", 1.2)], giga_macs: 1.814 },
    Work { line: "infer --work resnet18-224 --batch 8", peers: &[("onnxruntime", 1.2)], giga_macs: 8.0 * 1.814 },
    Work { line: "infer --work minilm --batch 1 --length 64", peers: &[("onnxruntime", 1.1)], giga_macs: 0.698 },
    Work {
        line: "infer --work minilm --batch 16 --length 64",
        peers: &[("onnxruntime", 1.1)],
        giga_macs: 16.0 * 0.698,
    },
];

/// The zoo: a batch and a size for each network, so that a step takes about a second or less.
const ZOO: &[Work] = &[
    zoo("train-zoo --network lenet5 --batch 256 --size 32", 256.0 * 0.000_42),
    zoo("train-zoo --network alexnet --batch 32 --size 224", 32.0 * 0.715),
    zoo("train-zoo --network vgg11 --batch 4 --size 224", 4.0 * 7.610),
    zoo("train-zoo --network vgg11_bn --batch 4 --size 224", 4.0 * 7.610),
    zoo("train-zoo --network vgg13_bn --batch 2 --size 224", 2.0 * 11.309),
    zoo("train-zoo --network vgg16 --batch 2 --size 224", 2.0 * 15.471),
    zoo("train-zoo --network vgg16_bn --batch 2 --size 224", 2.0 * 15.471),
    zoo("train-zoo --network vgg19_bn --batch 2 --size 224", 2.0 * 19.633),
    zoo("train-zoo --network resnet18 --batch 16 --size 224", 16.0 * 1.815),
    zoo("train-zoo --network resnet34 --batch 8 --size 224", 8.0 * 3.664),
    zoo("train-zoo --network resnet50 --batch 8 --size 224", 8.0 * 4.090),
    zoo("train-zoo --network resnet101 --batch 4 --size 224", 4.0 * 7.802),
    zoo("train-zoo --network resnet152 --batch 4 --size 224", 4.0 * 11.514),
    zoo("train-zoo --network wide_resnet50_2 --batch 4 --size 224", 4.0 * 11.399),
    zoo("train-zoo --network seresnet18 --batch 16 --size 224", 16.0 * 1.815),
    zoo("train-zoo --network cifar_resnet20 --batch 128 --size 32", 128.0 * 0.041),
    zoo("train-zoo --network cifar_resnet56 --batch 128 --size 32", 128.0 * 0.126),
    zoo("train-zoo --network wide_resnet16_8 --batch 32 --size 32", 32.0 * 1.549),
    zoo("train-zoo --network preact_resnet112 --batch 64 --size 32", 64.0 * 0.254),
    zoo("train-zoo --network googlenet --batch 16 --size 224", 16.0 * 1.499),
    zoo("train-zoo --network inception_v3 --batch 4 --size 299", 4.0 * 5.714),
    zoo("train-zoo --network mobilenet_v2 --batch 16 --size 224", 16.0 * 0.301),
    zoo("train-zoo --network efficientnet_lite0 --batch 16 --size 224", 16.0 * 0.386),
    zoo("train-zoo --network convnext_tiny --batch 8 --size 224", 8.0 * 4.456),
    zoo("train-zoo --network convnext_small --batch 4 --size 224", 4.0 * 8.684),
    zoo("train-zoo --network vit_tiny_patch16_224 --batch 16 --size 224", 16.0 * 1.254),
    zoo("train-zoo --network vit_small_patch16_224 --batch 8 --size 224", 8.0 * 4.599),
    zoo("train-zoo --network vit_tiny_patch4_32 --batch 64 --size 32", 64.0 * 0.366),
];

/// Networks of texts; the last rows tell how memory grows with the length.
const TEXTS: &[Work] = &[
    zoo("train-text --work minilm --batch 16 --length 64", 16.0 * 0.698),
    zoo("train-text --work gpt --batch 8 --length 256", 8.0 * 1.40),
    Work { line: "write --work gpt --batch 1 --length 256", peers: &[("transformers", 0.5)], giga_macs: 1.40 },
    zoo("train-text --work gpt --batch 1 --length 512", 2.93),
    zoo("train-text --work gpt --batch 1 --length 1024", 6.40),
    zoo("train-text --work gpt --batch 1 --length 2048", 14.94),
];

/// A table of works.
struct Table {
    /// As `--works` names it.
    name: &'static str,
    works: &'static [Work],
    threads: &'static [&'static str],
    /// The folder of the peers' environment below `target`, and the packages in it; none for those of `requirements.txt`.
    packages: Option<(&'static str, &'static [&'static str])>,
}

static TABLES: [Table; 3] = [
    Table { name: "main", works: WORKS, threads: &["1", "2"], packages: None },
    Table {
        name: "zoo",
        works: ZOO,
        threads: &["2"],
        packages: Some(("zoo-peers", &["torch", "torchvision", "timm"])),
    },
    Table { name: "texts", works: TEXTS, threads: &["2"], packages: None },
];

impl Table {
    fn named(name: &str) -> Result<&'static Self> {
        let names = || TABLES.each_ref().map(|table| table.name).join(", ");
        TABLES
            .iter()
            .find(|table| table.name == name)
            .with_context(|| format!("--works {name}: give one of {}", names()))
    }

    /// The mark of its place in the page.
    fn mark(&self) -> String {
        if self.name == "main" { "peers".to_owned() } else { format!("peers --works {}", self.name) }
    }
}

/// A training step, whose forward pass has so many products.
const fn zoo(line: &'static str, giga_macs: f64) -> Work {
    Work { line, peers: &[("torch", 1.0)], giga_macs: 3.0 * giga_macs }
}

pub(crate) struct Options {
    table: &'static Table,
    pub(crate) only: String,
    pub(crate) rounds: usize,
    pub(crate) seconds: String,
    pub(crate) scripts: PathBuf,
}

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    let options = Options::parse(workspace, args, "peers")?;
    let python = options.install_and_build(workspace)?;
    let own_scripts = workspace.root.join("benches");
    let sides = Sides { ours: workspace.root.join("target/release/peer"), python, own_scripts, options };
    let (mut table, mut limits) = (sides.heading()?, String::new());
    let &Table { name, works, threads, .. } = sides.options.table;
    for threads in threads {
        let (limit, measured) = sides.sgemm(threads)?;
        say(&measured);
        limits += &format!("\n{measured}\n");
        for work in works.iter().filter(|work| work.line.contains(&sides.options.only)) {
            for row in sides.compare(work, threads, limit)? {
                say(&row);
                table += &format!("{row}\n");
            }
        }
    }
    if name == "main" && "epoch".contains(&sides.options.only) {
        let row = sides.epoch(workspace)?;
        say(&row);
        table += &format!("{row}\n");
    }
    if sides.options.only.is_empty() {
        put(workspace, &sides.options.table.mark(), &format!("{table}{limits}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Options {
    /// The options of `cargo xtask bench WHAT`.
    pub(crate) fn parse(workspace: &Workspace, args: &[String], what: &str) -> Result<Self> {
        let scripts = workspace.root.join("../shared/peers");
        let mut options = Self { table: &TABLES[0], only: String::new(), rounds: 3, seconds: "5".to_owned(), scripts };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let value = args.next().with_context(|| format!("`{arg}` needs a value"))?;
            match arg.as_str() {
                "--works" => options.table = Table::named(value)?,
                "--only" => options.only.clone_from(value),
                "--rounds" => options.rounds = value.parse().with_context(|| format!("--rounds {value}: no number"))?,
                "--seconds" => options.seconds.clone_from(value),
                "--scripts" => options.scripts = PathBuf::from(value),
                _ => bail!("unexpected argument `{arg}`; `cargo xtask bench {what} --help` lists them"),
            }
        }
        ensure!(options.rounds > 0, "--rounds 0 measures nothing");
        let missing = || format!("{} has no train_step.py: --scripts names the peers' side", options.scripts.display());
        ensure!(options.scripts.join("train_step.py").is_file(), missing());
        Ok(options)
    }

    /// Makes both sides ready, and gives the peers' Python.
    pub(crate) fn install_and_build(&self, workspace: &Workspace) -> Result<PathBuf> {
        let requirements = self.scripts.join("requirements.txt").display().to_string();
        let all = ["--requirement", &requirements];
        let (folder, packages) = self.table.packages.unwrap_or(("peers", &all));
        let python = environment(&workspace.root.join("target").join(folder), packages)?;
        let built = status(&mut workspace.cargo(["build", "--release", "--workspace"]))?;
        ensure!(built.success(), "the build failed, see above");
        Ok(python)
    }
}

/// Both programs.
struct Sides {
    ours: PathBuf,
    python: PathBuf,
    /// The peers' side that is ours: the zoo's and the texts'.
    own_scripts: PathBuf,
    options: Options,
}

/// What a turn printed.
struct Turn {
    time: f64,
    megabytes: f64,
}

impl Sides {
    fn compare(&self, work: &Work, threads: &str, limit: f64) -> Result<Vec<String>> {
        let mut ours: Vec<Turn> = Vec::new();
        let mut theirs: Vec<Vec<Turn>> = work.peers.iter().map(|_| Vec::new()).collect();
        for _ in 0..self.options.rounds {
            ours.push(turn(self.our_side(work, threads), "median_ms")?);
            for ((peer, _), turns) in work.peers.iter().zip(&mut theirs) {
                turns.push(turn(self.their_side(work, threads, peer), "median_ms")?);
            }
        }
        let share = 2.0 * work.giga_macs / (time(&ours) / 1e3) / limit;
        let what = format!("{} | {threads}", work.line.replace("--", ""));
        let row = |(peer, turns): (&(&str, f64), &Vec<Turn>)| {
            format!("{} {:.0} % |", row(&what, &ours, *peer, turns), 100.0 * share)
        };
        Ok(work.peers.iter().zip(&theirs).map(row).collect())
    }

    /// The whole program, from the files on the disk to the measured network: our wall time with start, publishing and
    /// report, against what the peer says of itself, which leaves out its start.
    fn epoch(&self, workspace: &Workspace) -> Result<String> {
        let data = workspace.shared_data().context("an epoch needs ../shared/data")?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.options.rounds {
            let mut command = Command::new(&self.python);
            command.current_dir(&workspace.root).args(["-c", WHOLE]).arg(self.ours.with_file_name("homeostat"));
            command.args(["train", "benches/epoch.toml", "--quiet", "--out", "target/epoch", "--data-root"]).arg(&data);
            ours.push(turn(command, "seconds")?);
            let mut command = Command::new(&self.python);
            command.current_dir(&self.options.scripts).args(["epoch.py", "--data"]).arg(data.join("fashion-mnist"));
            theirs.push(turn(command, "total_seconds")?);
        }
        let row = row("a whole epoch of Fashion-MNIST, in s | 2", &ours, ("torch", 0.4), &theirs);
        Ok(format!("{row} |"))
    }

    fn our_side(&self, work: &Work, threads: &str) -> Command {
        let mut command = Command::new(&self.ours);
        command.args(work.line.split(' ')).args(["--threads", threads, "--seconds", &self.options.seconds]);
        command
    }

    fn their_side(&self, work: &Work, threads: &str, peer: &str) -> Command {
        let (verb, line) = work.line.split_once(' ').unwrap_or((work.line, ""));
        let mut command = Command::new(&self.python);
        let (scripts, script): (_, &[&str]) = match verb {
            "train-zoo" => (&self.own_scripts, &["train_zoo.py"]),
            "train-text" | "write" => (&self.own_scripts, &["text.py", verb]),
            "infer" => (&self.options.scripts, &["infer.py"]),
            _ => (&self.options.scripts, &["train_step.py"]),
        };
        command.current_dir(scripts).args(script);
        command.args(["--system", peer]).args(line.split(' '));
        command.args(["--threads", threads, "--seconds", &self.options.seconds]);
        command
    }

    /// Billions of floating-point operations a second of a large product of matrices, by the faster side: the machine's
    /// own limit; and both in a line.
    fn sgemm(&self, threads: &str) -> Result<(f64, String)> {
        let mut command = Command::new(&self.python);
        command.args(["-c", SGEMM, threads]);
        let theirs: f64 = output(command)?.trim().parse().context("the time of the product is no number")?;
        let product = Work { line: "infer --work product --size 2048", peers: &[], giga_macs: 2.048_f64.powi(3) };
        let ours = 2.0 * product.giga_macs / (turn(self.our_side(&product, threads), "median_ms")?.time / 1e3);
        let measured = format!(
            "A product of 2048 x 2048 matrices, {threads} thread(s): PyTorch {theirs:.0}, ours {ours:.0} GFLOP/s."
        );
        Ok((ours.max(theirs), measured))
    }

    /// What the table was measured on, and its head.
    fn heading(&self) -> Result<String> {
        let mut python = Command::new(&self.python);
        python.args(["-c", VERSIONS]);
        let mut rustc = Command::new("rustc");
        rustc.arg("--version");
        Ok(format!(
            "{}; {}; {} rounds of {} s.\n\n\
             | work | threads | ours, ms | peer, ms | ours / peer | wanted | peak memory, MB | of sgemm |\n\
             |---|---|---|---|---|---|---|---|\n",
            output(python)?.trim(),
            output(rustc)?.trim(),
            self.options.rounds,
            self.options.seconds
        ))
    }
}

const SGEMM: &str = "\
import sys, time, torch
torch.set_num_threads(int(sys.argv[1]))
a, b, times = torch.randn(2048, 2048), torch.randn(2048, 2048), []
for _ in range(12):
    t = time.perf_counter(); a @ b; times.append(time.perf_counter() - t)
print(2 * 2048 ** 3 / sorted(times)[6] / 1e9)";

const VERSIONS: &str = "\
import datetime, importlib.metadata as m
cpu = next(l.split(':')[1].strip() for l in open('/proc/cpuinfo') if l.startswith('model name'))
names = [('PyTorch', 'torch'), ('TensorFlow', 'tensorflow-cpu'), ('ONNX Runtime', 'onnxruntime'), ('torchvision', 'torchvision'), ('timm', 'timm'), ('transformers', 'transformers')]
there = {d.metadata['Name'].replace('_', '-') for d in m.distributions()}
print(f'{datetime.date.today()}, {cpu}; ' + ', '.join(f'{n} {m.version(p)}' for n, p in names if p in there))";

/// Runs a command line, and tells its wall time and memory.
const WHOLE: &str = "\
import json, resource, subprocess, sys, time
t = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
s = time.perf_counter() - t
print(json.dumps({'seconds': s, 'peak_rss_mb': resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024}))";

fn turn(command: Command, time: &str) -> Result<Turn> {
    let line: Value = serde_json::from_str(&output(command)?).context("the side's line is no JSON")?;
    let number = |key: &str| line[key].as_f64().with_context(|| format!("the side's line has no {key}: {line}"));
    Ok(Turn { time: number(time)?, megabytes: number("peak_rss_mb")? })
}

fn time(turns: &[Turn]) -> f64 {
    median(turns.iter().map(|turn| turn.time))
}

/// A row of the table, but for its last column.
fn row(what: &str, ours: &[Turn], (peer, wanted): (&str, f64), theirs: &[Turn]) -> String {
    let memory = |turns: &[Turn]| median(turns.iter().map(|turn| turn.megabytes));
    format!(
        "| {what} | {:.3} | {peer} {:.3} | **{:.2}** | {wanted} | {:.0} / {:.0} |",
        time(ours),
        time(theirs),
        median(ours.iter().zip(theirs).map(|(ours, theirs)| ours.time / theirs.time)),
        memory(ours),
        memory(theirs),
    )
}

/// The standard output of a command that must succeed; its errors are shown as they are.
pub(crate) fn output(mut command: Command) -> Result<String> {
    let program = command.get_program().display().to_string();
    let output = command.stderr(Stdio::piped()).output().with_context(|| format!("cannot start {program}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let line = command.get_args().map(|arg| arg.display().to_string()).collect::<Vec<_>>().join(" ");
    ensure!(output.status.success(), "`{program} {line}` failed:\n{errors}");
    String::from_utf8(output.stdout).context("the output is no UTF-8")
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Puts the table between the marks of `cargo xtask bench WHAT` in the page.
pub(crate) fn put(workspace: &Workspace, what: &str, table: &str) -> Result<()> {
    let page = workspace.root.join(PAGE);
    let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    let mark = format!("<!-- begin: cargo xtask bench {what} -->\n");
    let begin = text.find(&mark).map(|begin| begin + mark.len());
    let marks = begin.and_then(|begin| text[begin..].find(END).map(|end| (begin, begin + end)));
    let (begin, end) = marks.with_context(|| format!("{} has lost the marks of the table", page.display()))?;
    fs::write(&page, [&text[..begin], table, &text[end..]].concat())
        .with_context(|| format!("cannot write {}", page.display()))?;
    say(format!("written to {PAGE}"));
    Ok(())
}
