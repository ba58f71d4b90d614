//! The files in `experiments/` and the built-in ones are the same, and each of them is right.

use std::{collections::BTreeMap, fs, path::Path};

use homeostat_experiment::{BUILTIN, Experiment};

fn files() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn every_file_is_built_in_and_nothing_else_is() {
    let built_in = BUILTIN.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(BTreeMap::from(built_in), files(), "add the file to BUILTIN in experiment.rs");
}

#[test]
fn every_experiment_loads_is_named_after_its_file_and_reads_back_from_what_is_shown_and_written() {
    for (name, text) in BUILTIN {
        let resolved = Experiment::builtin(name).unwrap().load().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(resolved.value.name, name);
        assert!(text.starts_with("# "), "{name} opens with what it is");
        for again in [resolved.show(), homeostat_config::to_toml(&resolved.value)] {
            let read = Experiment::text("again", &again).load().unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(read.value, resolved.value, "{name}");
        }
    }
}

#[test]
fn an_empty_file_is_an_experiment_too() {
    assert_eq!(Experiment::text("empty.toml", "").load().unwrap().value, Experiment::default());
}
