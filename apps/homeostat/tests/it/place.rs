//! A folder in which the program runs, and how its answers are judged. It does not know verbs.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
};

use serde_json::Value;
use tempfile::TempDir;

/// A training that takes a second.
pub(crate) const SMALL: [&str; 3] = ["digits", "epochs=1", "model=mlp"];

pub(crate) struct Place {
    root: PathBuf,
    _kept: Option<TempDir>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { root: folder.path().to_owned(), _kept: Some(folder) }
    }

    /// A place with a finished run, for all tests that only look.
    pub(crate) fn with_run() -> &'static Self {
        static PLACE: OnceLock<Place> = OnceLock::new();
        PLACE.get_or_init(|| {
            let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("homeostat-run");
            let _ = fs::remove_dir_all(&root);
            fs::create_dir_all(root.join("pictures")).unwrap();
            let place = Self { root, _kept: None };
            for (name, level) in [("a.png", 0), ("b.png", 128), ("c, d.png", 255)] {
                place.picture(&format!("pictures/{name}"), level);
            }
            place.train("runs", &[]);
            place
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A grey picture of 8 x 8 pixels whose content depends on the level; the ending is the format.
    pub(crate) fn picture(&self, name: &str, level: u8) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::GrayImage::from_fn(8, 8, |x, y| image::Luma([level.wrapping_add((x * y) as u8)])).save(path).unwrap();
    }

    pub(crate) fn command(&self, words: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_homeostat"));
        // A backtrace would show, and nothing of the caller's shows.
        command.args(words).current_dir(&self.root).env("RUST_BACKTRACE", "1").stdin(Stdio::null());
        command.env_remove("HOMEOSTAT_DATA").env_remove("RUST_LOG").env("HOMEOSTAT_CACHE", self.path("cache"));
        command
    }

    pub(crate) fn run(&self, words: &[impl AsRef<OsStr>]) -> Output {
        self.command(words).output().unwrap()
    }

    /// What it prints when all is well.
    #[track_caller]
    pub(crate) fn well(&self, words: &[impl AsRef<OsStr>]) -> String {
        let output = self.run(words);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
        out
    }

    /// What it prints when all is well, a JSON value a line.
    #[track_caller]
    pub(crate) fn json(&self, words: &[impl AsRef<OsStr>]) -> Vec<Value> {
        self.well(words)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    /// The one line that says what is wrong.
    #[track_caller]
    pub(crate) fn refused(&self, words: &[impl AsRef<OsStr>]) -> String {
        let output = self.run(words);
        assert_eq!(text(&output.stdout), "");
        refusal(&output)
    }

    /// Trains quietly with these words on top of [`SMALL`], and gives the run, a new one below `out`.
    #[track_caller]
    pub(crate) fn train(&self, out: &str, words: &[&str]) -> PathBuf {
        self.well(&[&["train", "--quiet", "--out", out], &SMALL[..], words].concat());
        fs::canonicalize(self.path(out).join("latest")).unwrap()
    }

    /// Starts the program with its standard error to be read.
    pub(crate) fn start(&self, words: &[&str]) -> (Child, impl Iterator<Item = String> + use<>) {
        let mut child = self.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        (child, lines.map_while(Result::ok))
    }
}

/// The one line of a program that refused, whatever it said before on standard output.
#[track_caller]
pub(crate) fn refusal(output: &Output) -> String {
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.starts_with("error: ") && err.ends_with('\n'), "{err}");
    for word in ["panicked", "RUST_BACKTRACE", "src/", ".rs:"] {
        assert!(!err.contains(word), "{err}");
    }
    err.trim_end().to_owned()
}

/// Checks that a line has all these words.
#[track_caller]
pub(crate) fn says(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "`{word}` is not in: {line}");
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The runs below a folder, in order.
pub(crate) fn runs_in(folder: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| {
        let found = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap());
        let mut found: Vec<PathBuf> =
            found.filter(|entry| entry.file_type().unwrap().is_dir()).map(|entry| entry.path()).collect();
        found.sort();
        found
    };
    entries(folder).iter().flat_map(|name| entries(name)).collect()
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            let _ = fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Deterministic numbers (Steele, Lea, Flood 2014: SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
