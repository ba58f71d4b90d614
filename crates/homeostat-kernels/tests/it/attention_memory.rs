//! The memory that attention takes, forward and backward, in a process of its own: others would count in.

use std::{fs, process::Command};

use homeostat_kernels::{Kernels, Sight, self_attention};

use crate::random;

/// By what the process knows that it is the one to be measured.
const MARK: &str = "HOMEOSTAT_ATTENTION_LENGTH";
const NAME: &str = "attention_memory::memory_does_not_grow_with_the_square_of_the_length";

/// The largest resident set so far, in KiB; nothing where there is no Linux.
fn peak() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Four heads of 16 features; all scores at once would be 4 times the squared length.
fn attend(length: usize) {
    let qkv = random([1, length, 3 * 64]).require_grad();
    let sight = Sight { causal: true, ..Sight::default() };
    let seen = self_attention(qkv.clone(), 4, sight, Kernels::Own);
    drop(qkv.grad(&seen.sum().backward()).unwrap().into_data());
}

#[test]
fn memory_does_not_grow_with_the_square_of_the_length() {
    if let Ok(length) = std::env::var(MARK) {
        attend(64);
        let before = peak().unwrap();
        attend(length.parse().unwrap());
        println!("grown by {} KiB", peak().unwrap() - before);
        return;
    }
    if peak().is_none() {
        return;
    }
    let grown = |length: usize| -> usize {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let output = command.args([NAME, "--exact", "--nocapture"]).env(MARK, length.to_string()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let told = said.split("grown by ").nth(1).and_then(|rest| rest.split(' ').next());
        told.unwrap_or_else(|| panic!("{said}")).parse().unwrap()
    };
    let [short, long] = [2048, 4096].map(grown);
    // All scores of the longer text are 256 MiB; queries, keys, values, what came of them and all gradients are 9 MiB.
    assert!(long < 48 << 10, "{long} KiB at 4,096 tokens");
    assert!(long < 3 * short.max(4 << 10), "{short} KiB at 2,048 tokens, {long} KiB at 4,096");
}
