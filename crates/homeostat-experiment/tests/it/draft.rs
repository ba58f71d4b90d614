//! From data to an experiment: what is chosen, that it can be trained, and what is doubted.

#![allow(clippy::print_stderr, reason = "who runs the tests should see what is skipped")]

use std::{fs, path::Path, sync::Arc};

use homeostat_artifact::RunState;
use homeostat_data::{
    AnySource, DataRoot, Description, Image, LoaderOptions, Shape, SourceConfig, TextSourceConfig, TextTableConfig,
    describe, describe_texts,
};
use homeostat_experiment::{Draft, Experiment, draft, report_of_data};

use crate::place::Place;

fn look(config: &SourceConfig, root: &Path) -> (Arc<homeostat_data::Source>, Description) {
    let source = Arc::new(config.open(&DataRoot::new([root])).unwrap());
    let description = describe(&source, LoaderOptions::default(), &mut |_| ()).unwrap();
    (source, description)
}

fn drafted(config: &SourceConfig, root: &Path) -> Draft {
    draft(&AnySource::Pictures(config.clone()), &look(config, root).1)
}

/// A folder with pictures of these classes, so many of each, no two alike.
fn folder(place: &Place, name: &str, classes: &[(&str, usize)], shape: Shape) -> SourceConfig {
    let mut number = 0_u32;
    for (class, count) in classes {
        fs::create_dir_all(place.data().join(name).join(class)).unwrap();
        for at in 0..*count {
            number += 1;
            let mixed = number.wrapping_mul(2_654_435_761).to_le_bytes();
            let levels = (0..=250_u8).cycle().zip(mixed.into_iter().cycle());
            let levels = levels.take(shape.len()).map(|(at, mixed)| mixed.rotate_left(u32::from(at % 7))).collect();
            let bytes = Image::new(shape, levels).encode_png();
            fs::write(place.data().join(name).join(class).join(format!("{at:03}.png")), bytes).unwrap();
        }
    }
    SourceConfig::of_folder(&place.data().join(name), name)
}

const COLOUR: Shape = Shape { height: 40, width: 52, channels: 3 };

#[test]
fn a_drafted_experiment_trains_as_it_is() {
    let place = Place::new();
    let config = folder(&place, "pets", &[("cat", 40), ("dog", 40)], COLOUR);
    let Draft { name, text, doubts } = drafted(&config, place.data());
    assert_eq!((name.as_str(), doubts.as_slice()), ("pets", &[][..]), "{text}");
    let resolved =
        Experiment::text("pets.toml", &text).overrides(&["epochs=1", "model.cnn.widths=[4, 4]"]).load().unwrap();
    let (run, result) = place.train(resolved);
    assert_eq!(result.state, RunState::Finished);
    assert!(run.artifact_dir().exists());
}

#[test]
fn validation_and_test_are_not_counted_among_the_samples_to_learn_from() {
    let place = Place::new();
    let config = folder(&place, "pets", &[("cat", 40), ("dog", 40)], COLOUR);
    let text = drafted(&config, place.data()).text;
    let Experiment { data, seed, .. } = Experiment::text("pets.toml", &text).load().unwrap().value;
    let splits = data.split.split(&look(&config, place.data()).0, seed).unwrap();
    assert_eq!(splits.train.len(), 56);
    assert!(text.contains("About 56 samples to learn from"), "{text}");
    for class in ["cat", "dog"] {
        let class_of = |part: &str| place.data().join("pets").join(part).join(class);
        fs::create_dir_all(class_of("train").parent().unwrap()).unwrap();
        fs::rename(class_of(""), class_of("train")).unwrap();
        fs::create_dir_all(class_of("test")).unwrap();
        fs::rename(class_of("train").join("000.png"), class_of("test").join("000.png")).unwrap();
    }
    let text = drafted(&SourceConfig::of_folder(&place.data().join("pets"), "pets"), place.data()).text;
    assert!(text.contains("About 71 samples to learn from"), "of 78, a tenth of which becomes validation: {text}");
}

#[test]
fn nothing_is_mirrored_that_has_a_left_and_a_right() {
    let place = Place::new();
    let grey = Shape { height: 28, width: 28, channels: 1 };
    for (name, classes, shape, mirrored) in [
        ("photos", ["cat", "dog"], COLOUR, true),
        ("digits", ["0", "1"], COLOUR, false),
        ("letters", ["a", "b"], COLOUR, false),
        ("signs", ["turn left", "stop"], COLOUR, false),
        ("leftovers", ["leftover", "fresh"], COLOUR, true),
        ("scans", ["ill", "well"], grey, false),
    ] {
        let config = folder(&place, name, &classes.map(|class| (class, 20)), shape);
        let text = drafted(&config, place.data()).text;
        assert_eq!(text.contains("flip-horizontal = {}"), mirrored, "{name}: {text}");
        assert!(text.contains("Nothing is mirrored") != mirrored && !text.contains("flip-vertical"), "{text}");
        Experiment::text("draft.toml", &text).load().unwrap();
    }
}

#[test]
fn what_is_wrong_with_the_data_is_said_and_dealt_with() {
    let place = Place::new();
    let config = folder(&place, "mess", &[("many", 150), ("few", 6)], COLOUR);
    let mess = place.data().join("mess");
    fs::copy(mess.join("many/000.png"), mess.join("few/000.png")).unwrap();
    fs::copy(mess.join("many/001.png"), mess.join("many/999.png")).unwrap();
    fs::write(mess.join("many/broken.png"), b"no picture").unwrap();
    let (source, description) = look(&config, place.data());
    let Draft { text, doubts, .. } = draft(&AnySource::Pictures(config), &description);
    for part in
        ["under several classes", "1 samples are broken", "repeat the content", "unequal", "1 class has fewer than 20"]
    {
        assert!(doubts.iter().any(|doubt| doubt.contains(part)), "{part}: {doubts:?}");
        assert!(text.replace("\n# ", " ").contains(part), "{part}: {text}");
    }
    let experiment = Experiment::text("mess.toml", &text).load().unwrap().value;
    assert_eq!(
        (experiment.train.monitor.as_str(), experiment.data.on_corrupt),
        ("macro-f1", homeostat_data::OnCorrupt::Skip)
    );
    assert!(text.contains("class-weights = \"balanced\""), "{text}");
    let page = report_of_data(&source, &description, "today", "mess").render();
    for part in ["under several classes", "Contradictions", "many/broken.png", "homeostat init mess", "data:image/png"]
    {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn what_names_tell_to_be_of_one_group_stays_in_one_part() {
    let place = Place::new();
    let config = folder(&place, "scans", &[("ill", 30), ("well", 30)], COLOUR);
    for class in ["ill", "well"] {
        for at in 0..30 {
            let of = |name: String| place.data().join("scans").join(class).join(name);
            fs::rename(of(format!("{at:03}.png")), of(format!("{class}p{}_{}.png", at / 3, at % 3))).unwrap();
        }
    }
    let Draft { text, doubts, .. } = drafted(&config, place.data());
    assert!(text.contains("by = \"name-before-number\""), "{text}");
    assert!(!doubts.iter().any(|doubt| doubt.contains("groups, such as")), "{doubts:?}");
    let resolved = Experiment::text("scans.toml", &text).overrides(&["epochs=1", "model.cnn.widths=[4, 4]"]);
    assert_eq!(place.train(resolved.load().unwrap()).1.state, RunState::Finished);
}

#[test]
fn a_table_of_texts_is_drafted_and_trains_as_it_is() {
    let place = Place::new();
    fs::create_dir_all(place.data().join("mail")).unwrap();
    let lines: String = (0..120)
        .map(|at| {
            let (said, kind) = if at % 3 == 0 { ("win a free prize now", "spam") } else { ("see you at lunch", "ham") };
            format!("{kind},\"{said}, dear number {at}\",{}\n", at / 4)
        })
        .collect();
    fs::write(place.data().join("mail/all.csv"), format!("what,said,writer\n{lines}")).unwrap();
    let source = AnySource::guess(&place.data().join("mail"), "mail").unwrap();
    let AnySource::Texts(texts) = &source else { panic!("{source:?}") };
    let opened = Arc::new(texts.open(&DataRoot::new([place.data()])).unwrap());
    let description = describe_texts(&opened, LoaderOptions::default(), &mut |_| ()).unwrap();
    let Draft { name, text, .. } = draft(&source, &description);
    assert_eq!(name, "mail");
    for part in ["text = \"said\"", "label = \"what\"", "group = \"writer\"", "by = \"data\"", "text-cnn", "2 classes"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let small = ["epochs=1", "model.text-cnn.filters=4", "model.text-cnn.width=8"];
    let resolved = Experiment::text("mail.toml", &text).overrides(&small).load().unwrap();
    let (run, result) = place.train(resolved);
    assert_eq!(result.state, RunState::Finished);
    assert!(run.artifact_dir().exists());
}

/// Real data, if the variable `HOMEOSTAT_DATA` names a folder that has them.
fn shared(name: &str) -> Option<(SourceConfig, Draft)> {
    let found = std::env::var_os("HOMEOSTAT_DATA").map(|root| Path::new(&root).to_owned());
    let Some(root) = found.filter(|root| root.join(name).is_dir()) else {
        eprintln!("skipped: {name} is not below HOMEOSTAT_DATA");
        return None;
    };
    let config = SourceConfig::of_folder(&root.join(name), name);
    let draft = drafted(&config, &root);
    Some((config, draft))
}

#[test]
fn mnist_is_learnt_as_it_is_and_not_mirrored() {
    let Some((config, Draft { text, .. })) = shared("mnist") else { return };
    assert!(matches!(config, SourceConfig::Idx(_)));
    for part in ["28 x 28 pixels, and stay so", "characters", "split.given = { valid = 0.1 }", "batch-size = 128"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("resize"), "{text}");
}

#[test]
fn photographs_are_brought_to_a_size_and_mirrored() {
    let Some((_, Draft { text, doubts, .. })) = shared("flowers5-224") else { return };
    for part in
        ["resize = { size = 64 }", "random-resized-crop", "flip-horizontal", "split = \"given\"", "batch-size = 32"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(doubts, Vec::<String>::new());
}

#[test]
fn several_labels_in_a_cell_are_doubted_and_drafted_as_questions_of_their_own() {
    let place = Place::new();
    fs::create_dir_all(place.data().join("mails")).unwrap();
    let row = |n: usize| format!("the dog {n} barks,dog\nthe cat {n} purrs,cat\nboth {n} bark and purr,dog;cat\n");
    let rows: String = (0..20).map(row).collect();
    fs::write(place.data().join("mails/all.csv"), format!("text,label\n{rows}")).unwrap();
    let drafted = |separator: &str| {
        let table =
            TextTableConfig { folder: "mails".into(), label_separator: separator.into(), ..TextTableConfig::default() };
        let config = TextSourceConfig::Table(table);
        let source = Arc::new(config.open(&DataRoot::new([place.data()])).unwrap());
        let description = describe_texts(&source, LoaderOptions::default(), &mut |_| ()).unwrap();
        draft(&AnySource::Texts(config), &description)
    };
    let doubts = drafted("").doubts;
    assert!(doubts.iter().any(|doubt| doubt.contains("label-separator=\";\"")), "{doubts:?}");
    let Draft { text, doubts, .. } = drafted(";");
    assert!(!doubts.iter().any(|doubt| doubt.contains("label-separator")), "{doubts:?}");
    let (_, result) = place.train(Experiment::text("mails.toml", &text).overrides(&["epochs=1"]).load().unwrap());
    assert_eq!(result.state, RunState::Finished, "{text}");
}
