use std::collections::{BTreeMap, BTreeSet, HashMap};

use homeostat_data::{
    DataRoot, GivenSplit, GroupBy, GroupKFoldSplit, GroupSplit, ImageFolderConfig, KFoldSplit, Source, SourceConfig,
    SplitConfig, SplitRecord, Splits, StratifiedSplit,
};

use crate::picture;

fn digits() -> Source {
    SourceConfig::Digits.open(&DataRoot::default()).unwrap()
}

fn stratified(valid: f64, test: f64) -> SplitConfig {
    SplitConfig::Stratified(StratifiedSplit { valid, test })
}

fn k_fold(folds: usize, fold: usize, test: f64) -> SplitConfig {
    SplitConfig::KFold(KFoldSplit { folds, fold, test })
}

/// A folder of tiny pictures: `(path, level)`; the same level is the same content.
fn folder(files: &[(String, u8)]) -> (tempfile::TempDir, Source) {
    let folder = tempfile::tempdir().unwrap();
    for (name, level) in files {
        let path = folder.path().join("set").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, picture(2, 2, 1, |_, _, _| *level).encode_png()).unwrap();
    }
    let config = SourceConfig::ImageFolder(ImageFolderConfig { folder: "set".into() });
    let source = config.open(&DataRoot::new([folder.path()])).unwrap();
    (folder, source)
}

#[track_caller]
fn check_partition(splits: &Splits, samples: usize) {
    let all: BTreeSet<usize> = [&splits.train, &splits.valid, &splits.test].into_iter().flatten().copied().collect();
    assert_eq!(splits.train.len() + splits.valid.len() + splits.test.len(), samples, "no sample twice");
    assert_eq!(all, (0..samples).collect(), "no sample lost");
}

fn share_by_class(source: &Source, part: &[usize]) -> Vec<f64> {
    let count = |indices: &mut dyn Iterator<Item = usize>| {
        indices.fold(vec![0.0; source.classes().len()], |mut counts, i| {
            counts[source.label(i)] += 1.0;
            counts
        })
    };
    let (own, all) = (count(&mut part.iter().copied()), count(&mut (0..source.len())));
    own.iter().zip(all).map(|(own, all)| own / all).collect()
}

#[test]
fn fractions_hold_in_each_class() {
    let source = digits();
    let splits = stratified(0.1, 0.2).split(&source, 1).unwrap();
    check_partition(&splits, 1797);
    for (part, fraction) in [(&splits.valid, 0.1), (&splits.test, 0.2), (&splits.train, 0.7)] {
        assert!(share_by_class(&source, part).iter().all(|share| (share - fraction).abs() < 0.005));
    }
    assert!(stratified(0.1, 0.0).split(&source, 1).unwrap().test.is_empty());
}

#[test]
fn the_seed_alone_determines_the_parts() {
    let source = digits();
    let split = |seed| SplitConfig::default().split(&source, seed).unwrap();
    assert_eq!(split(1), SplitConfig::default().split(&digits(), 1).unwrap());
    assert_ne!(split(1).test, split(2).test);
}

#[test]
fn folds_divide_all_that_is_not_for_the_test() {
    let source = digits();
    let folds: Vec<Splits> = (0..4).map(|fold| k_fold(4, fold, 0.1).split(&source, 1).unwrap()).collect();
    let mut seen = BTreeSet::new();
    for splits in &folds {
        check_partition(splits, 1797);
        assert_eq!(splits.test, folds[0].test);
        assert!(splits.valid.iter().all(|&i| seen.insert(i)), "each sample is for validation once");
        assert!(share_by_class(&source, &splits.valid).iter().all(|share| (share - 0.225).abs() < 0.01));
        assert!(splits.valid.len().abs_diff(1618 / 4) <= 3);
    }
    assert_eq!(seen.len() + folds[0].test.len(), 1797);
}

/// Every picture is there three times; no two copies may be parted.
#[test]
fn equal_content_stays_together() {
    let files: Vec<(String, u8)> =
        (0..60).flat_map(|i| (0..3).map(move |copy| (format!("class-{}/{i}-{copy}.png", i % 2), i))).collect();
    let (_folder, source) = folder(&files);
    for config in [stratified(0.2, 0.2), k_fold(3, 1, 0.2)] {
        let splits = config.split(&source, 3).unwrap();
        check_partition(&splits, 180);
        let mut homes: HashMap<_, BTreeSet<usize>> = HashMap::new();
        for (home, part) in [&splits.train, &splits.valid, &splits.test].into_iter().enumerate() {
            assert!(!part.is_empty());
            part.iter().for_each(|&i| {
                homes.entry(source.digest(i).unwrap()).or_default().insert(home);
            });
        }
        assert_eq!(homes.len(), 60);
        assert!(homes.values().all(|homes| homes.len() == 1));
    }
}

#[test]
fn given_parts_are_kept_and_a_missing_validation_part_is_taken_from_training() {
    let part = |part: &str, class: &str, from: u8| {
        (0..10).map(|i| (format!("{part}/{class}/{i}.png"), from + i)).collect::<Vec<_>>()
    };
    let three = [part("train", "a", 0), part("train", "b", 20), part("val", "a", 40), part("val", "b", 60)].concat();
    let (_folder, source) = folder(&three);
    let splits = SplitConfig::Given(GivenSplit::default()).split(&source, 1).unwrap();
    check_partition(&splits, 40);
    assert_eq!((splits.train, splits.valid, splits.test), ((0..20).collect(), (20..40).collect(), vec![]));

    let two = [part("train", "a", 0), part("train", "b", 20), part("test", "a", 0)].concat();
    let (_folder, source) = folder(&two);
    let splits = SplitConfig::Given(GivenSplit { valid: 0.2 }).split(&source, 1).unwrap();
    check_partition(&splits, 30);
    assert_eq!((splits.train.len(), splits.valid.len(), splits.test), (16, 4, (20..30).collect()));
}

#[test]
fn a_division_that_the_data_come_with_is_not_thrown_away() {
    let part = |part: &str, from: u8| {
        ["a", "b"]
            .map(|class| {
                (0..10).map(move |i| (format!("{part}{class}/{i}.png"), from + i + 40 * u8::from(class == "b")))
            })
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
    };
    let [train, test, rest] = [part("train/", 0), part("test/", 10), part("", 20)];
    for (files, expected, reason) in [
        (
            [train.clone(), test].concat(),
            SplitConfig::Given(GivenSplit::default()),
            "the data come divided: training, test",
        ),
        (train, stratified(0.1, 0.1), "the data come undivided"),
        (rest, stratified(0.1, 0.1), "the data come undivided"),
    ] {
        let (_folder, source) = folder(&files);
        assert_eq!(SplitConfig::default().resolve(&source), Some((expected.clone(), reason.to_owned())));
        assert_eq!(SplitConfig::Auto.split(&source, 1).unwrap(), expected.split(&source, 1).unwrap());
        assert_eq!(expected.resolve(&source), None, "what was said holds");
    }
}

#[test]
fn what_cannot_be_divided_says_why() {
    let files = |counts: &[(&str, u8)]| {
        let class = |&(class, count): &(&str, u8)| {
            let class = class.to_owned();
            (0..count).map(move |i| (format!("{class}/{i}.png"), i + 100 * u8::from(class == "b")))
        };
        counts.iter().flat_map(class).collect::<Vec<_>>()
    };
    for (counts, config, expected) in [
        (&[("a", 9)][..], SplitConfig::default(), "cannot split set: there is only one class, `a`"),
        (&[("a", 9), ("b", 2)], SplitConfig::default(), "the class `b` has 2 different samples, but 3 are needed"),
        (&[("a", 9), ("b", 4)], k_fold(5, 0, 0.0), "the class `b` has 4 different samples, but 5 are needed"),
        (&[("a", 9), ("b", 9)], SplitConfig::Given(GivenSplit::default()), "choose `stratified` or `k-fold`"),
        (&[("a", 9), ("b", 9)], stratified(0.5, 0.5), "`split.stratified`: `valid` has to be above 0"),
        (&[("a", 9), ("b", 9)], stratified(f64::NAN, 0.1), "`split.stratified`"),
        (&[("a", 9), ("b", 9)], k_fold(3, 3, 0.1), "`split.k-fold`: `folds` has to be at least 2"),
    ] {
        let (_folder, source) = folder(&files(counts));
        let error = config.split(&source, 1).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let (_folder, source) = folder(&files(&[("a", 3), ("b", 3)]));
    let splits = stratified(0.6, 0.3).split(&source, 1).unwrap();
    assert_eq!(
        (splits.train.len(), splits.valid.len(), splits.test.len()),
        (2, 2, 2),
        "one of each is kept for each part"
    );
}

#[test]
fn a_record_survives_a_file_and_finds_what_was_learned_from() {
    let source = digits();
    let splits = SplitConfig::default().split(&source, 1).unwrap();
    let record = splits.record(&source).unwrap();
    let text = serde_json::to_string(&record).unwrap();
    let again: SplitRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(again, record);
    let mut known = [splits.train, splits.valid].concat();
    known.sort_unstable();
    assert_eq!(again.leaks(&source).unwrap(), known);
    assert!(serde_json::from_str::<SplitRecord>(r#"{"train":["+123456789abcdef"],"valid":[],"test":[]}"#).is_err());

    let (_folder, other) = folder(&[("a/1.png".into(), 1), ("b/1.png".into(), 2)]);
    assert!(again.leaks(&other).unwrap().is_empty());
    let (_copy, copy) = folder(&[("x/1.png".into(), 1), ("x/2.png".into(), 9)]);
    let learned = Splits { train: vec![0], ..Splits::default() }.record(&other).unwrap();
    assert_eq!(learned.leaks(&copy).unwrap(), [0], "content counts, not the name or the class");
}

#[test]
fn the_form_in_a_file_is_kept() {
    for (text, expected) in [
        ("split = { given = { valid = 0.25 } }", SplitConfig::Given(GivenSplit { valid: 0.25 })),
        ("split = { stratified = {} }", stratified(0.1, 0.1)),
        ("split = { k-fold = { folds = 3, fold = 2, test = 0.5 } }", k_fold(3, 2, 0.5)),
    ] {
        let parsed: BTreeMap<String, SplitConfig> = toml::from_str(text).unwrap();
        assert_eq!(parsed["split"], expected);
    }
}

/// 40 patients with 1 to 6 pictures each in two classes, `class/p7_2.png`; patients 3 and 4 share a picture.
fn patients() -> (tempfile::TempDir, Source) {
    let mut files = Vec::new();
    let mut level = 0;
    for patient in 0..40 {
        for picture in 0..1 + patient % 6 {
            let class = if (patient + picture) % 3 == 0 { "ill" } else { "well" };
            level += 1;
            let shared = if patient == 4 && picture == 0 { files.last().map_or(0, |(_, level)| *level) } else { level };
            files.push((format!("{class}/p{patient}_{picture}.png"), shared));
        }
    }
    folder(&files)
}

fn patients_of(source: &Source, part: &[usize]) -> BTreeSet<String> {
    let patient = |&i: &usize| source.name(i).split(['/', '_']).nth(1).unwrap().to_owned();
    part.iter().map(patient).collect()
}

#[test]
fn no_group_is_on_two_sides_and_classes_keep_their_proportions() {
    let (_folder, source) = patients();
    for seed in 1..6 {
        let config = SplitConfig::Group(GroupSplit { by: GroupBy::NameUntil("_".into()), valid: 0.2, test: 0.2 });
        let splits = config.split(&source, seed).unwrap();
        check_partition(&splits, source.len());
        assert_eq!(splits, config.split(&source, seed).unwrap());
        assert_ne!(splits, config.split(&source, seed + 1).unwrap());
        let parts = [(&splits.train, 0.6), (&splits.valid, 0.2), (&splits.test, 0.2)];
        let sides = parts.map(|(part, _)| patients_of(&source, part));
        let [train, valid, test] = &sides;
        assert!(train.is_disjoint(valid) && train.is_disjoint(test) && valid.is_disjoint(test), "seed {seed}");
        let together = |side: &&BTreeSet<String>| side.contains("p3") == side.contains("p4");
        assert!(sides.iter().all(|side| together(&side)), "3 and 4 have a picture in common");
        for (part, share) in parts {
            let shares = share_by_class(&source, part);
            assert!(shares.iter().all(|own| (own - share).abs() < 0.06), "seed {seed}: {shares:?} for {share}");
        }
    }
    let error = SplitConfig::Group(GroupSplit::default()).split(&source, 1).unwrap_err().to_string();
    assert!(error.contains("the data tell no groups"), "{error}");
}

#[test]
fn every_group_is_in_one_fold() {
    let (_folder, source) = patients();
    let split = |fold, test| {
        let by = GroupBy::NameUntil("_".into());
        SplitConfig::GroupKFold(GroupKFoldSplit { by, folds: 4, fold, test }).split(&source, 1).unwrap()
    };
    let mut seen = BTreeSet::new();
    for fold in 0..4 {
        let splits = split(fold, 0.2);
        check_partition(&splits, source.len());
        assert_eq!(splits.test, split(0, 0.2).test, "the same for every fold");
        let valid = patients_of(&source, &splits.valid);
        assert!(valid.is_disjoint(&patients_of(&source, &splits.train)));
        assert!(valid.is_disjoint(&patients_of(&source, &splits.test)));
        assert!(valid.iter().all(|patient| seen.insert(patient.clone())), "a patient in two folds");
        let share = splits.valid.len() as f64 / (source.len() - splits.test.len()) as f64;
        assert!((share - 0.25).abs() < 0.05, "{share}");
    }
    assert!(split(0, 0.0).test.is_empty());
}

#[test]
fn folders_can_be_groups_and_too_few_groups_are_refused() {
    let files = (0..24).map(|i| (format!("{}/visit{}/{i}.png", ["a", "b"][i % 2], i % 8), i as u8)).collect::<Vec<_>>();
    let (_folder, source) = folder(&files);
    let config = GroupSplit { by: GroupBy::Folder, valid: 0.25, test: 0.0 };
    let splits = SplitConfig::Group(config.clone()).split(&source, 1).unwrap();
    assert_eq!((splits.valid.len(), splits.train.len()), (6, 18));
    let folds = GroupKFoldSplit { by: GroupBy::Folder, folds: 9, fold: 0, test: 0.0 };
    let error = SplitConfig::GroupKFold(folds).split(&source, 1).unwrap_err().to_string();
    assert!(error.contains("there are 8 groups for 9 parts"), "{error}");
    let (_folder, source) = folder(&[("a/0.png".into(), 0), ("a/1.png".into(), 1), ("b/2.png".into(), 2)]);
    let error = SplitConfig::Group(config).split(&source, 1).unwrap_err().to_string();
    assert!(error.contains("the class `"), "{error}");
}

#[test]
fn a_smaller_fraction_is_part_of_a_larger_one() {
    let source = digits();
    let splits = stratified(0.1, 0.1).split(&source, 1).unwrap();
    let part = |fraction, seed| splits.clone().with_fraction(fraction, &source, seed);
    assert_eq!(part(1.0, 1), splits);
    let (tenth, half) = (part(0.1, 1), part(0.5, 1));
    assert_eq!((&tenth.valid, &tenth.test), (&splits.valid, &splits.test));
    assert!(tenth.train.iter().all(|i| half.train.contains(i)) && half.train.iter().all(|i| splits.train.contains(i)));
    let shares = share_by_class(&source, &half.train);
    assert!(shares.iter().all(|share| (share - 0.4).abs() < 0.02), "{shares:?}");
    assert_ne!(tenth, part(0.1, 2));
    assert_eq!(part(1e-9, 1).train.len(), 10, "one of each class at least");
}
