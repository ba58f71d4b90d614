//! What a process and its children take, as Linux tells it in `/proc`: processor time and memory. It does not know what they do.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs,
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// Linux counts time in hundredths of a second for programs, whatever its own clock.
const TICKS: f64 = 100.0;
/// Bytes of a page of memory.
const PAGE: f64 = 4096.0;
/// How often memory is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What was taken so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// Seconds of processor time, of all threads.
    pub(crate) seconds: f64,
    /// Resident memory; what processes share counts once each.
    pub(crate) megabytes: f64,
}

/// Megabytes at seconds after a beginning.
type Memory = Rc<RefCell<Vec<(f64, f64)>>>;

/// Watches a server from its start on.
#[derive(Debug)]
pub(crate) struct Watch {
    pid: Option<u32>,
    begun: Instant,
    usage: Usage,
    own: Usage,
    machine: f64,
    looks: Option<tokio::task::JoinHandle<()>>,
    memory: Memory,
}

/// What a server took while it was watched.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    seconds: f64,
    usage: Option<Usage>,
    /// Seconds after the beginning, with megabytes.
    memory: Vec<(f64, f64)>,
    /// Cores that neither the server nor this client kept busy.
    foreign: f64,
}

impl Watch {
    /// Begins; the process may be none.
    pub(crate) fn start(pid: Option<u32>) -> Self {
        let memory = Memory::default();
        let begun = Instant::now();
        let looks = pid.map(|pid| {
            let memory = Rc::clone(&memory);
            tokio::task::spawn_local(async move {
                loop {
                    let megabytes = usage(pid).megabytes;
                    memory.borrow_mut().push((begun.elapsed().as_secs_f64(), megabytes));
                    tokio::time::sleep(LOOK).await;
                }
            })
        });
        let of_pid = pid.map(usage).unwrap_or_default();
        Self { pid, begun, usage: of_pid, own: usage(std::process::id()), machine: machine(), looks, memory }
    }

    /// Ends, and tells what was found.
    pub(crate) fn end(self) -> Found {
        let passed = self.begun.elapsed().as_secs_f64();
        if let Some(looks) = &self.looks {
            looks.abort();
        }
        let now = self.pid.map(usage).unwrap_or_default();
        let seconds = now.seconds - self.usage.seconds;
        let own = usage(std::process::id()).seconds - self.own.seconds;
        Found {
            seconds,
            usage: self.pid.map(|_| now),
            memory: self.memory.take(),
            foreign: ((machine() - self.machine - seconds - own) / passed).max(0.0),
        }
    }
}

impl Found {
    /// Adds it to the line of a record.
    pub(crate) fn add_to(&self, line: &mut Value) {
        line["foreign_cores"] = json!(self.foreign);
        let Some(usage) = self.usage else { return };
        if let Some(responses) = line["responses"].as_u64().filter(|&count| count > 0) {
            line["cpu_us_per_response"] = json!(1e6 * self.seconds / responses as f64);
        }
        line["rss_mb"] = json!(usage.megabytes);
        // What is taken at the beginning stays: the first fifth is not looked at.
        let settled = &self.memory[self.memory.len() / 5..];
        line["rss_slope_mb_per_hour"] = json!(slope(settled).map(|a_second| 3600.0 * a_second));
        line["rss"] = json!(self.memory);
    }
}

/// The slope of the line that fits points best (least squares); nothing for fewer than two different places.
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let product: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    (spread > 0.0).then(|| product / spread)
}

/// What a process and all its descendants took so far; nothing for one that is not there.
pub(crate) fn usage(pid: u32) -> Usage {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut of: HashMap<u32, Usage> = HashMap::new();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        let Some((parent, usage)) = fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|line| stat(&line))
        else {
            continue;
        };
        children.entry(parent).or_default().push(pid);
        of.insert(pid, usage);
    }
    let (mut sum, mut left) = (Usage::default(), vec![pid]);
    while let Some(pid) = left.pop() {
        let Usage { seconds, megabytes } = of.get(&pid).copied().unwrap_or_default();
        sum = Usage { seconds: sum.seconds + seconds, megabytes: sum.megabytes + megabytes };
        left.extend(children.remove(&pid).unwrap_or_default());
    }
    sum
}

/// A line of `/proc/PID/stat`: the parent, and what the process took.
fn stat(line: &str) -> Option<(u32, Usage)> {
    // After the name, which may hold spaces and brackets.
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<f64>().ok();
    let (user, system, pages) = (number(11)?, number(12)?, number(21)?);
    let usage = Usage { seconds: (user + system) / TICKS, megabytes: pages * PAGE / 1e6 };
    Some((fields.get(1)?.parse().ok()?, usage))
}

/// Seconds that all cores together were busy so far.
fn machine() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = first.split_ascii_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; what follows is counted in user already.
    ticks.iter().take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4)).map(|(_, ticks)| ticks / TICKS).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_that_of_the_line() {
        assert_eq!(slope(&[]), None);
        assert_eq!(slope(&[(1.0, 5.0)]), None);
        assert_eq!(slope(&[(0.0, 1.0), (2.0, 5.0)]), Some(2.0));
        let noisy: Vec<(f64, f64)> =
            (0..1000).map(|x| (f64::from(x), 7.0 - 0.5 * f64::from(x) + f64::from(x % 2))).collect();
        assert!((slope(&noisy).unwrap() + 0.5).abs() < 1e-4);
    }

    #[test]
    fn a_line_of_stat_is_read_whatever_the_name() {
        let line = "7 (a ) b) S 3 7 7 0 -1 4194304 100 0 0 0 250 50 9 9 20 0 4 0 100 9000000 1000 1 1 1";
        assert_eq!(stat(line), Some((3, Usage { seconds: 3.0, megabytes: 4.096 })));
        assert_eq!(stat("7 (a) S 3"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_takes_something() {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        let usage = usage(std::process::id());
        assert!(usage.megabytes > 0.5 && usage.seconds > 0.0, "{usage:?}");
        assert_eq!(super::usage(u32::MAX), Usage::default());
    }
}
