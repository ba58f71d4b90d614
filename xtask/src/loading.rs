//! `cargo xtask bench data`: decoding, augmentation and loading, in turns with torchvision and albumentations on this machine.
//!
//! It knows the command lines and the JSON lines of both sides. The claim is the ratio: in each round the sides follow each other,
//! and the median over rounds counts.

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    peers::{Options, median, output, put},
    say,
    workspace::Workspace,
};

pub(crate) const HELP: &str = "\
Usage: cargo xtask bench data [--only TEXT] [--rounds N] [--seconds S] [--scripts DIR]

Installs torchvision and albumentations into target/peers (once; needs python3 and a network), then lets ours and theirs
take turns on photographs (flowers5-224 of ../shared/data) and prints a table; then a whole epoch of Fashion-MNIST against
a torch DataLoader, packed files against decoding, and the listing of a folder of a million files. Without --only the tables
go into docs/benchmarks.md too.

  --only TEXT     only works whose name holds TEXT: an operation, `workers`, `epoch`, `packed` or `index`
  --rounds N      turns of each side (default 3)
  --seconds S     how long a turn measures (default 5)
  --scripts DIR   the peers' side: data.py, epoch.py, requirements.txt (default ../shared/peers)";

/// An operation with how many times as fast as the better torchvision and as albumentations it is to be.
const OPERATIONS: &[(&str, f64, Option<f64>)] = &[
    ("decode", 2.0, Some(1.0)),
    ("resize", 2.0, Some(1.0)),
    ("rrc", 2.0, Some(1.0)),
    ("flip", 2.0, Some(1.0)),
    ("jitter", 2.0, Some(1.0)),
    ("normalize", 2.0, Some(1.0)),
    ("randaugment", 2.0, None),
    ("rotate", 2.0, Some(1.0)),
    ("erasing", 2.0, Some(1.0)),
    ("pipeline", 3.5, Some(1.5)),
    ("cifar", 2.0, Some(5.0)),
];

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    let options = Options::parse(workspace, args, "data")?;
    let data = workspace.shared_data().context("needs ../shared/data")?;
    let python = options.install_and_build(workspace)?;
    let sides = Sides { ours: workspace.root.join("target/release"), python, data, options };
    let mut table = format!(
        "{}; {} rounds of {} s, one thread.\n\n\
         | operation | ours, images/s | torchvision, PIL | torchvision, tensor | albumentations | x the better torchvision | wanted | x albumentations | wanted |\n\
         |---|---|---|---|---|---|---|---|---|\n",
        sides.versions()?,
        sides.options.rounds,
        sides.options.seconds
    );
    let mut add = |row: String| {
        say(&row);
        table += &format!("{row}\n");
    };
    for operation in OPERATIONS.iter().filter(|(name, ..)| sides.wanted(name)) {
        add(sides.operation(operation)?);
    }
    add("\n| work | ours | of what | ratio | wanted |\n|---|---|---|---|---|".to_owned());
    for (name, row) in [
        ("workers", Sides::two_workers as fn(&Sides) -> Result<String>),
        ("epoch", Sides::epoch),
        ("packed", Sides::packed),
        ("index", Sides::index),
    ] {
        if sides.wanted(name) {
            add(row(&sides)?);
        }
    }
    if sides.options.only.is_empty() {
        put(workspace, "data", &table)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Both programs.
struct Sides {
    ours: PathBuf,
    python: PathBuf,
    data: PathBuf,
    options: Options,
}

impl Sides {
    fn wanted(&self, name: &str) -> bool {
        name.contains(&self.options.only)
    }

    fn operation(&self, (name, torchvision, albumentations): &(&str, f64, Option<f64>)) -> Result<String> {
        let mut systems = vec!["torchvision-pil", "torchvision-tensor"];
        systems.extend(albumentations.map(|_| "albumentations"));
        let (mut ours, mut theirs) = (Vec::new(), vec![Vec::new(); systems.len()]);
        for _ in 0..self.options.rounds {
            ours.push(self.our_rate(name, "1")?);
            for (system, rates) in systems.iter().zip(&mut theirs) {
                rates.push(self.their_rate(name, system)?);
            }
        }
        let middle = |rates: &[f64]| median(rates.iter().copied());
        let ratio = |theirs: &[f64]| median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs));
        let better = if middle(&theirs[0]) > middle(&theirs[1]) { 0 } else { 1 };
        let (rate, last) = match (theirs.get(2), albumentations) {
            (Some(rates), Some(wanted)) => {
                (format!("{:.0}", middle(rates)), format!("**{:.2}** | {wanted}", ratio(rates)))
            }
            _ => ("-".to_owned(), "- | -".to_owned()),
        };
        Ok(format!(
            "| {name} | {:.0} | {:.0} | {:.0} | {rate} | **{:.2}** | {torchvision} | {last} |",
            middle(&ours),
            middle(&theirs[0]),
            middle(&theirs[1]),
            ratio(&theirs[better]),
        ))
    }

    /// The whole pipeline by two threads and by one.
    fn two_workers(&self) -> Result<String> {
        let (one, two) = self.turns(|| self.our_rate("pipeline", "1"), || self.our_rate("pipeline", "2"))?;
        let what = "whole pipeline, two workers, images/s";
        Ok(row(what, &two, &format!("one: {:.0}", median(one.iter().copied())), ratio(&two, &one), "at least 1.8"))
    }

    fn epoch(&self) -> Result<String> {
        let theirs = || {
            let mut command = Command::new(&self.python);
            command.current_dir(&self.options.scripts).args(["epoch.py", "--loader-only", "--batch", "128", "--data"]);
            command.arg(self.data.join("fashion-mnist"));
            number(command, "seconds")
        };
        let (theirs, ours) = self.turns(theirs, || self.loading("epoch", "seconds"))?;
        let peer = format!("torch DataLoader: {:.2}", median(theirs.iter().copied()));
        let what = "Fashion-MNIST through the loader, crop, flip, normalise, two workers, s";
        Ok(row(what, &ours, &peer, ratio(&ours, &theirs), "at most 0.1"))
    }

    fn packed(&self) -> Result<String> {
        let rate = |work| move || self.loading(work, "images_per_second");
        let (decoded, packed) = self.turns(rate("decode"), rate("packed"))?;
        let peer = format!("decoded from JPEG: {:.0}", median(decoded.iter().copied()));
        let what = "CIFAR-10 from a packed file, two workers, images/s";
        Ok(row(what, &packed, &peer, ratio(&packed, &decoded), "at least 10"))
    }

    fn index(&self) -> Result<String> {
        let line = line(self.loader("index"))?;
        let number = |key: &str| line[key].as_f64().with_context(|| format!("no {key} in {line}"));
        let (seconds, megabytes) = (number("seconds")?, number("peak_rss_mb")?);
        Ok(format!(
            "| a folder of 1,000,000 pictures listed, s | {seconds:.2} | {megabytes:.0} MB at most | - | 10 s, 150 MB |"
        ))
    }

    /// Two sides in turns.
    fn turns(&self, first: impl Fn() -> Result<f64>, second: impl Fn() -> Result<f64>) -> Result<(Vec<f64>, Vec<f64>)> {
        let pairs = (0..self.options.rounds).map(|_| Ok((first()?, second()?)));
        Ok(pairs.collect::<Result<Vec<_>>>()?.into_iter().unzip())
    }

    fn our_rate(&self, operation: &str, threads: &str) -> Result<f64> {
        let mut command = Command::new(self.ours.join("data"));
        command.args(["--op", operation, "--threads", threads, "--seconds", &self.options.seconds, "--images"]);
        command.arg(self.photographs());
        number(command, "images_per_second")
    }

    fn their_rate(&self, operation: &str, system: &str) -> Result<f64> {
        let mut command = Command::new(&self.python);
        command.current_dir(&self.options.scripts).args(["data.py", "--system", system, "--op", operation]);
        command.args(["--seconds", &self.options.seconds, "--images"]).arg(self.photographs());
        number(command, "images_per_second")
    }

    fn loading(&self, work: &str, key: &str) -> Result<f64> {
        number(self.loader(work), key)
    }

    fn loader(&self, work: &str) -> Command {
        let mut command = Command::new(self.ours.join("loader"));
        command.args(["--work", work, "--data"]).arg(&self.data);
        command
    }

    fn photographs(&self) -> PathBuf {
        self.data.join("flowers5-224")
    }

    fn versions(&self) -> Result<String> {
        let mut python = Command::new(&self.python);
        python.args(["-c", VERSIONS]);
        Ok(output(python)?.trim().to_owned())
    }
}

const VERSIONS: &str = "\
import datetime, importlib.metadata as m
cpu = next(l.split(':')[1].strip() for l in open('/proc/cpuinfo') if l.startswith('model name'))
names = ['torchvision', 'albumentations', 'pillow', 'opencv-python-headless']
print(f'{datetime.date.today()}, {cpu}; ' + ', '.join(f'{n} {m.version(n)}' for n in names))";

fn row(what: &str, ours: &[f64], peer: &str, ratio: f64, wanted: &str) -> String {
    let ours = median(ours.iter().copied());
    let ours = if ours < 100.0 { format!("{ours:.2}") } else { format!("{ours:.0}") };
    format!("| {what} | {ours} | {peer} | **{ratio:.3}** | {wanted} |")
}

fn ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs))
}

fn number(command: Command, key: &str) -> Result<f64> {
    let line = line(command)?;
    line[key].as_f64().with_context(|| format!("the side's line has no {key}: {line}"))
}

fn line(command: Command) -> Result<Value> {
    serde_json::from_str(&output(command)?).context("the side's line is no JSON")
}
