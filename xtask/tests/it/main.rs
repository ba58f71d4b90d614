//! xtask as it is called: in a made-up checkout, with scripts in place of cargo, git and homeostat.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "what a test sets up either works or fails it")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

const VERBS: [&str; 6] = ["train", "test", "tidy", "ci", "docs", "bench"];

/// Writes down what it is told, and fails at the verb that the file `fails` names. No `cargo deny` is installed.
const CARGO: &str = r#"#!/bin/sh
[ "$1" = metadata ] && exec cat metadata.json
echo "$* data=$HOMEOSTAT_DATA expect=$UPDATE_EXPECT" >> log
[ "$1" = "$(cat fails)" ] && exit 3
[ "$1" = build ] && mkdir -p target/release && cp homeostat target/release/homeostat
[ "$1" = test ] && printf 'test result: ok. 2 passed; 0 failed; 0 ignored\nx\ntest result: ok. 3 passed; 0 failed;\n'
[ "$1" != deny ]
"#;

/// `<folder>/main`, so that there is room for `../shared` beside it.
struct Checkout {
    root: PathBuf,
    _folder: TempDir,
}

impl Checkout {
    /// Without a breach of the house rules.
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let checkout = Self { root: folder.path().join("main"), _folder: folder };
        fs::create_dir(&checkout.root).unwrap();
        let target = checkout.root.join("target");
        let metadata = format!(r#"{{"packages":[],"workspace_root":"","target_directory":"{}"}}"#, target.display());
        for (name, text) in [
            ("metadata.json", metadata.as_str()),
            ("ARCHITECTURE.md", ""),
            ("Cargo.toml", "[workspace.dependencies]\nburn = \"=0.22.1\"\n"),
            ("cargo", CARGO),
            ("git", "#!/bin/sh\nprintf 'ARCHITECTURE.md\\0Cargo.toml\\0'"),
            ("homeostat", "#!/bin/sh\necho \"homeostat $* data=$HOMEOSTAT_DATA\"\nexit 7"),
            ("fails", ""),
            ("log", ""),
        ] {
            checkout.write(name, text);
        }
        checkout
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.root.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn xtask(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(line.split_whitespace()).current_dir(&self.root).env_remove("HOMEOSTAT_DATA");
        command.env("CARGO", self.root.join("cargo")).env("CARGO_MANIFEST_DIR", self.root.join("xtask"));
        command.env("PATH", format!("{}:{}", self.root.display(), env::var("PATH").unwrap()));
        command
    }

    /// What cargo was told, a line a call.
    fn log(&self) -> String {
        fs::read_to_string(self.root.join("log")).unwrap()
    }

    fn make_shared_data(&self) -> PathBuf {
        let data = self.root.parent().unwrap().join("shared/data");
        fs::create_dir_all(&data).unwrap();
        data.canonicalize().unwrap()
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn every_verb_explains_itself_without_running() {
    let checkout = Checkout::new();
    let all = stdout(&checkout.xtask("--help").output().unwrap());
    for verb in VERBS {
        assert!(all.contains(&format!("\n  {verb} ")), "{verb} not in {all}");
        let output = checkout.xtask(&format!("{verb} --help")).output().unwrap();
        assert!(output.status.success());
        assert!(stdout(&output).starts_with(&format!("Usage: cargo xtask {verb}")), "{}", stdout(&output));
    }
    assert_eq!(checkout.log(), "");
}

#[test]
fn a_wrong_call_is_one_line_and_code_2() {
    let checkout = Checkout::new();
    for (line, wanted) in [
        ("", "no verb given"),
        ("trian", "no verb `trian`"),
        ("ci --fast", "unexpected argument `--fast`"),
        ("tidy now", "unexpected argument `now`"),
        ("docs --close", "unexpected arguments `--close`"),
        ("test --data", "set HOMEOSTAT_DATA"),
        ("bench serve --only fast", "--only fast: give one of speed, idle, start, fire, lifecycle, loop"),
        ("bench serve --rounds 0", "--rounds 0: give a whole number above 0"),
        ("bench serve --share inf", "--share inf: give a number above 0"),
        ("bench serve --seconds", "`--seconds` needs a value"),
        ("bench serve speed", "needs a value"),
    ] {
        let output = checkout.xtask(line).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(
            stderr(&output).contains(wanted) && stderr(&output).lines().count() == 1,
            "{line}: {}",
            stderr(&output)
        );
    }
    assert_eq!(checkout.log(), "");
}

#[test]
fn train_builds_what_the_device_needs_and_passes_everything_on() {
    let checkout = Checkout::new();
    let data = checkout.make_shared_data();
    let output = checkout.xtask("train train.epochs=3 --device cuda:0 --quiet").output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("Building homeostat in release: a first build takes"), "{}", stdout(&output));
    let call = format!("homeostat train digits train.epochs=3 --device cuda:0 --quiet data={}\n", data.display());
    assert!(stdout(&output).ends_with(&call), "{}", stdout(&output));
    assert_eq!(checkout.log(), "build --release --package homeostat --features=cuda data= expect=\n");

    let again = checkout.xtask("train mnist").env("HOMEOSTAT_DATA", "mine").output().unwrap();
    assert_eq!(stdout(&again), "homeostat train mnist data=mine\n");
    assert!(checkout.log().ends_with("build --release --package homeostat data=mine expect=\n"));
}

#[test]
fn train_does_not_run_what_did_not_build() {
    let checkout = Checkout::new();
    checkout.write("fails", "build");
    let output = checkout.xtask("train").output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(!stdout(&output).contains("homeostat train"));
}

#[test]
fn a_signal_reaches_the_training_which_ends_in_its_own_way() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let checkout = Checkout::new();
        let script =
            format!("#!/bin/sh\ntrap 'echo saved; exit {code}' {signal}\necho ready\nwhile :; do sleep 0.05; done");
        checkout.write("homeostat", &script);
        let mut child = checkout.xtask("train").stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while line != "ready\n" {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "the training never began");
        }
        assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success());
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("saved\n", Some(code)));
    }
}

#[test]
fn test_ends_with_the_sum_and_needs_no_data() {
    let checkout = Checkout::new();
    let output = checkout.xtask("test").env("HOMEOSTAT_DATA", "mine").output().unwrap();
    assert!(output.status.success());
    assert!(stdout(&output).contains("test result: ok. 3 passed; 0 failed;\n"), "{}", stdout(&output));
    assert!(stdout(&output).ends_with("\n5 passed, 0 failed\n"), "{}", stdout(&output));

    let data = checkout.make_shared_data();
    for line in ["test --data -p xtask -- --data", "test -- --data"] {
        assert!(checkout.xtask(line).output().unwrap().status.success());
    }
    let calls = [
        "test --workspace data= expect=".to_owned(),
        format!("test -p xtask -- --data data={} expect=", data.display()),
        "test --workspace -- --data data= expect=".to_owned(),
    ];
    assert_eq!(checkout.log().lines().collect::<Vec<_>>(), calls);

    checkout.write("fails", "test");
    assert_eq!(checkout.xtask("test").output().unwrap().status.code(), Some(3));
}

#[test]
fn ci_runs_every_step_in_order() {
    let checkout = Checkout::new();
    let output = checkout.xtask("ci").output().unwrap();
    let text = stdout(&output);
    assert!(output.status.success(), "{text}");
    let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("===")).collect();
    let steps = ["fmt", "tidy", "build tests", "test", "clippy", "doc", "backends", "deny", "steps"];
    assert_eq!(headings, steps.map(|step| format!("=== {step} ===")));
    assert!(text.contains("\n5 passed, 0 failed\n\n=== clippy ==="), "{text}");
    assert!(text.contains("deny         skipped"), "{text}");
    assert!(text.ends_with("ci: all steps passed\n"));
}

#[test]
fn ci_stops_at_the_first_failure_and_says_how_to_see_it_again() {
    let checkout = Checkout::new();
    checkout.write("fails", "doc");
    let output = checkout.xtask("ci").output().unwrap();
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("doc          FAILED") && text.contains("clippy       passed"), "{text}");
    assert!(!text.contains("=== cuda ==="), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("ci: `doc` failed; to see it again: "), "{last}");
    assert!(last.ends_with("RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --workspace"), "{last}");
}

#[test]
fn tidy_prints_breaches_and_fails() {
    let checkout = Checkout::new();
    assert!(checkout.xtask("tidy").output().unwrap().status.success());
    checkout.write("Cargo.toml", "[workspace.dependencies]\nburn = \"0.22\"\n");
    let output = checkout.xtask("tidy").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).starts_with("Cargo.toml:2: Burn must be exact"), "{}", stdout(&output));
}

#[test]
fn docs_and_bench_call_cargo() {
    let checkout = Checkout::new();
    for line in ["docs --open", "bench", "bench loop -- --quick"] {
        assert!(checkout.xtask(line).output().unwrap().status.success(), "{line}");
    }
    let calls = [
        "test --workspace --test it reference data= expect=1",
        "doc --no-deps --workspace --open data= expect=",
        "bench --workspace --bench * data= expect=",
        "bench --workspace --bench loop -- --quick data= expect=",
    ];
    assert_eq!(checkout.log().lines().collect::<Vec<_>>(), calls);
}
