//! A server at work: started on its cores, waited for, asked, stopped. It does not know what it serves.

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    num::NonZero,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::Bench;

/// How long a server may take to be ready, and to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// Who runs where.
#[derive(Clone, Copy)]
pub(super) enum Core {
    Server,
    Client,
}

impl Core {
    /// The cores, as taskset takes them.
    pub(super) fn numbers(self) -> String {
        let last = thread::available_parallelism().map_or(1, NonZero::get) - 1;
        match (self, last) {
            (_, 0) => "0".to_owned(),
            (Self::Client, last) => last.to_string(),
            (Self::Server, 1) => "0".to_owned(),
            (Self::Server, last) => format!("0-{}", last - 1),
        }
    }
}

/// A program on its cores; it keeps the process that is started.
pub(super) fn pinned(core: Core, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.numbers()]).arg(program);
    command
}

/// A server.
pub(super) struct Side {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) pid: u32,
    /// From its start to its being ready.
    pub(super) took: Duration,
    /// Where Prometheus comes, if it does.
    pub(super) metrics: Option<String>,
    child: Child,
}

impl Side {
    /// A program of ours that says where it listens.
    pub(super) fn of_ours(bench: &Bench, program: &str, args: &[&str]) -> Result<Self> {
        let mut command = pinned(Core::Server, &bench.ours.join(program));
        command.args(args).stdout(Stdio::piped()).stderr(bench.log()?);
        let begun = Instant::now();
        let mut child = command.spawn().context("cannot start taskset (of util-linux)")?;
        let mut out = BufReader::new(child.stdout.take().context("a server without an output")?);
        let (mut line, mut address, mut metrics) = (String::new(), None, None);
        while address.is_none() {
            line.clear();
            ensure!(out.read_line(&mut line)? > 0, "{program} did not start; target/serve/servers.log says why");
            let found = line.split_once("http://").map(|(_, rest)| rest.split('/').next().unwrap_or(rest).to_owned());
            match line.split(' ').next() {
                Some("http") => address = found,
                Some("metrics") => metrics = found,
                _ => {}
            }
        }
        let (name, pid) = (program.to_owned(), child.id());
        let mut side = Self { name, address: address.unwrap_or_default(), pid, took: Duration::ZERO, metrics, child };
        side.wait_until_ready()?;
        side.took = begun.elapsed();
        Ok(side)
    }

    /// A program of others that is told where to listen.
    pub(super) fn of_others(bench: &Bench, name: &str, mut command: Command, port: u16) -> Result<Self> {
        let begun = Instant::now();
        let child = command.stdout(bench.log()?).stderr(bench.log()?).spawn().context("cannot start taskset")?;
        let (address, pid) = (format!("127.0.0.1:{port}"), child.id());
        let mut side = Self { name: name.to_owned(), address, pid, took: Duration::ZERO, metrics: None, child };
        side.wait_until_ready()?;
        side.took = begun.elapsed();
        Ok(side)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.get("/v2/health/ready").is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}); target/serve/servers.log says why", self.name);
            }
            thread::sleep(Duration::from_millis(1));
        }
        bail!("{} was not ready after {} s; target/serve/servers.log may say why", self.name, PATIENCE.as_secs())
    }

    pub(super) fn get(&self, path: &str) -> Result<(u16, String)> {
        ask(&self.address, "GET", path)
    }

    pub(super) fn post(&self, path: &str) -> Result<(u16, String)> {
        ask(&self.address, "POST", path)
    }

    /// What Prometheus would read, where there is a door for it.
    pub(super) fn metrics_text(&self) -> Result<String> {
        let address = self.metrics.as_deref().with_context(|| format!("{} has no metrics", self.name))?;
        Ok(ask(address, "GET", "/metrics")?.1)
    }

    /// Resident memory, in MB.
    pub(super) fn megabytes(&self) -> Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid)).context("needs Linux's /proc")?;
        let kilobytes: Option<f64> =
            text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        Ok(kilobytes.context("no VmRSS")? * 1024.0 / 1e6)
    }

    pub(super) fn terminate(&self) -> Result<()> {
        let told =
            Command::new("kill").args(["-s", "TERM", &self.pid.to_string()]).status().context("cannot start kill")?;
        ensure!(told.success(), "{} is gone before its time", self.name);
        Ok(())
    }

    /// Waits until it has ended by itself.
    pub(super) fn ended(mut self) -> Result<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        bail!("{} did not end within {} s", self.name, PATIENCE.as_secs())
    }
}

impl Drop for Side {
    /// Gently, for some have children to end.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = self.terminate();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(40) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on this machine")?;
    Ok(listener.local_addr()?.port())
}

/// One request without a body, on a connection of its own: status and body.
fn ask(address: &str, method: &str, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        // Some servers hang up without a goodbye.
        Err(error) if error.kind() != ErrorKind::ConnectionReset => return Err(error.into()),
        _ => {}
    }
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).context("an answer without a status")?;
    Ok((status, body.to_owned()))
}
