//! Rules of Rust files: printing, `unsafe`, names and first lines. Knows no dependencies.

use super::{
    Breach,
    rust_code::{code_only, shipped_code, words},
    tree::Tree,
};

const PRINTS: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];

const UNSAFE_ROOM: &str = "crates/homeostat-kernels/";

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["base", "common", "helper", "helpers", "manager", "misc", "util", "utils"];

/// Libraries never print. Their tests and examples may.
pub(super) fn prints(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let library = |path: &str| path.starts_with("crates/") && path.contains("/src/") && !path.ends_with("/tests.rs");
    for (path, text) in tree.rust().filter(|(path, _)| library(path)) {
        let code = shipped_code(text);
        for (line, word, rest) in words(&code) {
            if PRINTS.contains(&word) && rest.starts_with('!') {
                let message = format!("`{word}!` in a library: return the value, or use `tracing`");
                breaches.push(Breach::new(path, line, message));
            }
        }
    }
    breaches
}

/// `unsafe` stands in the kernels only, and says there why it is sound.
pub(super) fn unsafe_code(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, text) in tree.rust() {
        let code = code_only(text);
        let lines: Vec<&str> = text.lines().collect();
        for (line, _, rest) in words(&code).filter(|(_, word, _)| *word == "unsafe") {
            if !path.starts_with(UNSAFE_ROOM) {
                breaches.push(Breach::new(path, line, "`unsafe` stands in homeostat-kernels only: find a safe way"));
            } else if !says_why(&lines, line - 1, rest) {
                breaches.push(Breach::new(path, line, "`unsafe` without a reason: a `SAFETY:` comment above it"));
            }
        }
    }
    breaches
}

/// Whether the line itself, or the comments and attributes right above it, justify an `unsafe`; a function's docs
/// may do it under `# Safety`, for there the caller promises. The contract of a method stands once, on its trait or
/// type; the `unsafe` blocks in its body are asked all the same.
fn says_why(lines: &[&str], at: usize, rest: &str) -> bool {
    let promised = ["fn", "trait", "extern"].contains(&rest.split_whitespace().next().unwrap_or_default());
    let method = promised && lines[at].starts_with(char::is_whitespace);
    let reason = |line: &str| method || line.contains("SAFETY:") || promised && line.trim_end().ends_with("# Safety");
    let above = lines[..at].iter().rev().map(|line| line.trim_start());
    let mut above = above.take_while(|line| line.starts_with("//") || line.starts_with("#["));
    reason(lines[at]) || above.any(reason)
}

/// A file, and a folder of code, is named after what is in it.
pub(super) fn names(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, _) in tree.rust() {
        if let Some(name) = path.split('/').find(|part| EMPTY_NAMES.contains(&part.trim_end_matches(".rs"))) {
            breaches.push(Breach::new(path, 1, format!("`{name}` says nothing: name it after its main type")));
        }
    }
    breaches
}

/// A source file begins by saying what it is.
pub(super) fn openings(tree: &Tree) -> Vec<Breach> {
    let source = |path: &str| path.starts_with("src/") || path.contains("/src/");
    let silent = tree.rust().filter(|(path, text)| source(path) && !text.starts_with("//!"));
    silent.map(|(path, _)| Breach::new(path, 1, "no `//!`: say what the file is, and what it does not know")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    #[test]
    fn libraries_do_not_print_and_others_may() {
        let tree = Tree::of_files(&[
            ("crates/a/src/lib.rs", "//! `println!(1)`\nfn a() {\n    println!(\"x\");\n    dbg!(1);\n}\n"),
            (
                "crates/a/src/b.rs",
                "fn b() { writeln!(out, \"print!\") }\n#[cfg(test)]\nmod tests { fn c() { eprintln!() } }",
            ),
            ("crates/a/src/b/tests.rs", "fn c() { println!() }"),
            ("crates/a/tests/it/main.rs", "fn c() { println!() }"),
            ("crates/a/examples/e.rs", "fn main() { println!() }"),
            ("apps/homeostat/src/main.rs", "fn main() { println!() }"),
        ]);
        assert_eq!(places(&prints(&tree)), ["crates/a/src/lib.rs:3", "crates/a/src/lib.rs:4"]);
    }

    #[test]
    fn unsafe_is_refused_outside_the_kernels() {
        let tree = Tree::of_files(&[
            ("crates/homeostat-data/src/lib.rs", "#![deny(unsafe_code)] // no unsafe\nfn a() { \"unsafe\" }"),
            ("crates/homeostat-data/tests/it/main.rs", "\nfn a() { unsafe { b() } }"),
        ]);
        assert_eq!(places(&unsafe_code(&tree)), ["crates/homeostat-data/tests/it/main.rs:2"]);
    }

    #[test]
    fn unsafe_in_the_kernels_needs_a_reason_right_above() {
        for (text, sound) in [
            ("// SAFETY: in bounds\nunsafe { a() }", true),
            ("// SAFETY: in bounds,\n// as asserted\n#[inline]\nlet b = unsafe { a() };", true),
            ("let b = unsafe { a() }; // SAFETY: in bounds", true),
            (
                "/// Reads.\n///\n/// # Safety\n/// `at` is in bounds.\n#[inline]\npub unsafe fn read(at: usize) {}",
                true,
            ),
            ("impl V for A {\n    unsafe fn a() {}\n}", true),
            ("impl V for A {\n    unsafe fn a() { unsafe { b() } }\n}", false),
            ("unsafe fn a() {}", false),
            ("unsafe { a() }", false),
            ("// SAFETY: in bounds\nlet c = 1;\nunsafe { a() }", false),
            ("// # Safety\nunsafe { a() }", false),
        ] {
            let tree = Tree::of_files(&[("crates/homeostat-kernels/src/lib.rs", text)]);
            assert_eq!(unsafe_code(&tree).is_empty(), sound, "{text}");
        }
    }

    #[test]
    fn names_that_say_nothing_are_refused() {
        let tree = Tree::of_files(&[
            ("crates/a/src/loader.rs", ""),
            ("crates/a/src/database.rs", ""),
            ("crates/a/src/utils.rs", ""),
            ("crates/a/tests/it/common/mod.rs", ""),
            ("docs/base.md", ""),
        ]);
        assert_eq!(places(&names(&tree)), ["crates/a/src/utils.rs:1", "crates/a/tests/it/common/mod.rs:1"]);
    }

    #[test]
    fn a_source_file_opens_with_what_it_is() {
        let tree = Tree::of_files(&[
            ("crates/a/src/lib.rs", "//! All of a.\n"),
            ("crates/a/tests/it/main.rs", "mod b;\n"),
            ("xtask/src/main.rs", "use std::env;\n//! Late.\n"),
            ("crates/a/src/b/mod.rs", ""),
        ]);
        assert_eq!(places(&openings(&tree)), ["xtask/src/main.rs:1", "crates/a/src/b/mod.rs:1"]);
    }
}
