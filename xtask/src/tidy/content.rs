//! What may be tracked: no large files, no weights, nothing that holds on one machine only.

use super::{
    Breach,
    tree::{File, LARGE, Tree},
};

/// Files that may be large, each with its reason beside it.
const LARGE_FILES: &[&str] = &[];

const WEIGHTS: &[&str] = &[".bin", ".onnx", ".pth", ".safetensors"];
/// The most that weights may take as a fixture of a test (bytes).
const FIXTURE: u64 = 200_000;

// The patterns are put together, so that this file does not break the rules it holds.
const MACHINE_PATHS: &[&str] =
    &[concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];

const REGISTRY_HOSTS: &[&str] = &[
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    CRATES_INDEX,
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("registry.", "npmjs.org"),
    concat!("conda.", "anaconda.org"),
    concat!("proxy.", "golang.org"),
];

const CRATES_INDEX: &str = concat!("crates.io", "-index");

pub(super) fn sizes(tree: &Tree) -> Vec<Breach> {
    let large = tree.files.iter().filter(|file| file.bytes > LARGE && !LARGE_FILES.contains(&file.path.as_str()));
    let message =
        |file: &File| format!("{} bytes, over 1 MiB: fetch it, or list it in xtask/src/tidy/content.rs", file.bytes);
    large.map(|file| Breach::new(&file.path, 1, message(file))).collect()
}

pub(super) fn weights(tree: &Tree) -> Vec<Breach> {
    let is_fixture = |file: &File| file.bytes <= FIXTURE && file.path.split('/').any(|part| part == "fixtures");
    let weights = tree.files.iter().filter(|file| WEIGHTS.iter().any(|end| file.path.ends_with(end)));
    let message = "weights are not tracked: only fixtures of tests are, up to 200 kB, in a folder `fixtures`";
    weights.filter(|file| !is_fixture(file)).map(|file| Breach::new(&file.path, 1, message)).collect()
}

pub(super) fn machine_paths(tree: &Tree) -> Vec<Breach> {
    search(tree, |line| {
        let path =
            MACHINE_PATHS.iter().find(|path| line.match_indices(**path).any(|(at, _)| starts_a_path(&line[..at])))?;
        Some(format!("`{path}` is a path of one machine: say it relative to the checkout, or as a variable"))
    })
}

/// Whether a path can begin after `before`, as it cannot within a longer path or an address.
fn starts_a_path(before: &str) -> bool {
    !before.ends_with(|c: char| c.is_alphanumeric() || "._-~$})*".contains(c))
}

pub(super) fn registry_hosts(tree: &Tree) -> Vec<Breach> {
    let locked = format!("registry+https://github.com/rust-lang/{CRATES_INDEX}");
    let mut breaches = search(tree, |line| {
        let host = REGISTRY_HOSTS.iter().find(|host| line.contains(**host))?;
        Some(format!("`{host}` is a registry's host: leave the choice of a registry to the machine"))
    });
    // The one exception: what cargo itself writes for its default registry.
    breaches.retain(|breach| {
        let line = tree.text(&breach.path).and_then(|text| text.lines().nth(breach.line - 1)).unwrap_or_default();
        breach.path != "Cargo.lock" || !line.contains(&locked)
    });
    breaches
}

/// A breach for each line of text that has a message.
fn search(tree: &Tree, message: impl Fn(&str) -> Option<String>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, text) in tree.texts() {
        let found = text.lines().enumerate().filter_map(|(at, line)| Some(Breach::new(path, at + 1, message(line)?)));
        breaches.extend(found);
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    fn of_size(path: &str, bytes: u64) -> File {
        File { path: path.to_owned(), bytes, text: None }
    }

    #[test]
    fn large_files_and_weights_are_refused() {
        let files = vec![
            of_size("docs/picture.png", LARGE),
            of_size("docs/film.webm", LARGE + 1),
            of_size("model.safetensors", 10),
            of_size("crates/a/tests/fixtures/tiny.safetensors", FIXTURE),
            of_size("crates/a/tests/fixtures/big.onnx", FIXTURE + 1),
        ];
        let tree = Tree { files, ..Tree::default() };
        assert_eq!(places(&sizes(&tree)), ["docs/film.webm:1"]);
        assert_eq!(places(&weights(&tree)), ["model.safetensors:1", "crates/a/tests/fixtures/big.onnx:1"]);
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        for (line, clean) in [
            (concat!("cd /ro", "ot/checkout"), false),
            (concat!("path = \"/ho", "me/ada/x\""), false),
            (concat!("DATA=/wo", "rk/shared"), false),
            (concat!("file:///ho", "me/ada"), false),
            (concat!("https://example.org/ho", "me/page"), true),
            (concat!("target/wo", "rk/x and ../wo", "rk/y and $HOME/wo", "rk/z"), true),
            ("network/home", true),
        ] {
            let tree = Tree::of_files(&[("docs/a.md", &format!("first\n{line}"))]);
            let wanted: &[&str] = if clean { &[] } else { &["docs/a.md:2"] };
            assert_eq!(places(&machine_paths(&tree)), wanted, "{line}");
        }
    }

    #[test]
    fn hosts_of_registries_are_found_but_for_what_cargo_locks() {
        let locked = format!("source = \"registry+https://github.com/rust-lang/{CRATES_INDEX}\"");
        let other = concat!("source = \"sparse+https://index.", "crates.io/\"");
        let pip = concat!("pip install --index-url https://pypi", ".org/simple x");
        let tree = Tree::of_files(&[
            ("Cargo.lock", &format!("{locked}\n{other}")),
            ("docs/a.md", &format!("https://docs.rs and https://crates.io/crates/burn\n{pip}\n{locked}")),
        ]);
        assert_eq!(places(&registry_hosts(&tree)), ["Cargo.lock:2", "docs/a.md:2", "docs/a.md:3"]);
    }
}
