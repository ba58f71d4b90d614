use std::path::Path;
use std::sync::Arc;

use homeostat_data::{
    AugmentStep, DataRoot, Description, Filter, Image, ImageAugment, ImageFolderConfig, JpegArtefacts, LoaderOptions,
    Rng, SampleKey, Shape, Source, SourceConfig, TextSourceConfig, TextTableConfig, describe, describe_texts, resize,
};

use crate::fixture;

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn open(folder: &Path) -> Arc<Source> {
    let config = SourceConfig::ImageFolder(ImageFolderConfig { folder: "set".into() });
    Arc::new(config.open(&DataRoot::new([folder])).unwrap())
}

fn look(source: &Arc<Source>) -> Description {
    describe(source, LoaderOptions::default(), &mut |_| ()).unwrap()
}

/// A scene of soft blots, another one for each number.
fn scene(number: u64, side: usize) -> Image {
    let mut rng = Rng::keyed(number, [0, 0, 0]);
    let blots = (0..8 * 8 * 3).map(|_| rng.next_u64() as u8).collect();
    resize(&Image::new(Shape { height: 8, width: 8, channels: 3 }, blots), side, side, Filter::Bicubic)
}

/// The same picture as a browser would save it again: smaller, of low quality, a little brighter.
fn saved_again(image: &Image) -> Image {
    let steps = vec![AugmentStep::JpegArtefacts(JpegArtefacts { probability: 1.0, ..JpegArtefacts::default() })];
    let small = resize(image, image.height() * 3 / 4, image.width() * 3 / 4, Filter::Bicubic);
    let mut again = ImageAugment(steps).apply(small, SampleKey { seed: 1, epoch: 0, sample: 0 });
    again.pixels_mut().iter_mut().for_each(|level| *level = level.saturating_add(6));
    again
}

#[test]
fn a_description_counts_everything() {
    let folder = tempfile::tempdir().unwrap();
    let jpeg = fixture("baseline.jpg");
    for (name, bytes) in [
        ("set/cat/a.png", fixture("decoded.png")),
        ("set/cat/b.jpg", jpeg[..jpeg.len() / 2].to_vec()),
        ("set/dog/c.png", fixture("decoded.png")),
        ("set/dog/d.png", Vec::new()),
        ("set/dog/e.jpg", fixture("grey.jpg")),
    ] {
        write(folder.path(), name, &bytes);
    }
    let mut reports = Vec::new();
    let source = open(folder.path());
    let description = describe(&source, LoaderOptions::default(), &mut |done| reports.push(done)).unwrap();
    assert_eq!(reports, [5]);
    let text = serde_json::to_value(&description).unwrap();
    let class =
        |name, count| serde_json::json!({ "name": name, "train": 0, "valid": 0, "test": 0, "unassigned": count });
    assert_eq!(text["classes"], serde_json::json!([class("cat", 2), class("dog", 3)]));
    let images = description.images.as_ref().unwrap();
    assert_eq!(
        text["images"]["shapes"][0],
        serde_json::json!({ "height": 16, "width": 24, "channels": 3, "count": 2 })
    );
    assert_eq!((images.shapes.len(), images.levels.len(), images.levels[1].count), (2, 2, 2));
    assert_eq!((images.aspect.least, images.aspect.bins.iter().map(|bin| bin.count).sum::<usize>()), (1.5, 3));
    assert_eq!((description.samples, description.repeated(), description.missing.len()), (5, 1, 0));
    assert_eq!(description.corrupt[1].name, "dog/d.png");
    let [twice] = &description.contradictions().collect::<Vec<_>>()[..] else { panic!("{description:?}") };
    assert_eq!(
        (&twice.samples[..], &twice.names[..]),
        (&[0, 2][..], &["cat/a.png".to_owned(), "dog/c.png".into()][..])
    );
    assert_eq!(description.leaks().count(), 0);
    assert_eq!(description.fingerprint, Some(source.fingerprint().unwrap()));
}

#[test]
fn what_looks_the_same_is_found_across_parts_and_what_does_not_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..60 {
        let class = if number % 2 == 0 { "a" } else { "b" };
        write(folder.path(), &format!("set/train/{class}/{number:02}.png"), &scene(number, 64).encode_png());
    }
    let again = saved_again(&scene(8, 64)).encode_png();
    write(folder.path(), "set/test/a/again.png", &again);
    write(folder.path(), "set/test/b/again.png", &again);
    write(folder.path(), "set/test/b/flat.png", &scene(1, 64).encode_png());
    let description = look(&open(folder.path()));
    let names = |groups: &[homeostat_data::Alike]| groups.iter().map(|group| group.names.clone()).collect::<Vec<_>>();
    assert_eq!(
        names(&description.near_duplicates),
        [["train/a/08.png", "test/a/again.png", "test/b/again.png"].map(str::to_owned)],
    );
    assert_eq!(names(&description.duplicates).len(), 2, "the copy of 01, and the copy that is there twice");
    let near = &description.near_duplicates[0];
    assert!(near.across && near.contradict);
    assert_eq!((description.leaks().count(), description.contradictions().count()), (2, 2));
}

#[test]
fn a_picture_that_is_gone_is_listed_and_the_rest_described() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..4 {
        write(folder.path(), &format!("set/a/{number}.png"), &scene(number, 16).encode_png());
    }
    let source = open(folder.path());
    std::fs::remove_file(folder.path().join("set/a/2.png")).unwrap();
    let description = look(&source);
    assert_eq!(description.missing.iter().map(|missing| missing.name.as_str()).collect::<Vec<_>>(), ["a/2.png"]);
    assert_eq!(
        (description.samples, description.images.as_ref().unwrap().shapes[0].count, description.fingerprint),
        (4, 3, None)
    );
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let source = Arc::new(SourceConfig::Digits.open(&DataRoot::default()).unwrap());
    let with = |workers| describe(&source, LoaderOptions { workers, ..LoaderOptions::default() }, &mut |_| ()).unwrap();
    let alone = with(0);
    assert_eq!(alone, with(3));
    let images = alone.images.unwrap();
    assert_eq!((images.levels[0].count, images.height.median), (1797, 8.0));
}

fn texts(rows: &[(&str, &str)], part: &str) -> String {
    std::iter::once("text,label\n".to_owned())
        .chain(rows.iter().map(|(text, label)| format!("\"{text}\",{label}\n")))
        .collect::<String>()
        + part
}

#[test]
fn texts_are_counted_and_those_that_are_almost_the_same_are_found() {
    let long = "The card that I ordered two weeks ago has not arrived yet, could you please tell me where it is now?";
    let almost = "the card that I ordered two weeks ago has not arrived yet. Could you please tell me where it is now";
    let folder = tempfile::tempdir().unwrap();
    let train = texts(
        &[(long, "card"), ("How do I top up?", "top-up"), ("How do I top up?", "top-up"), ("My rate is wrong", "rate")],
        "",
    );
    write(folder.path(), "set/train.csv", train.as_bytes());
    write(folder.path(), "set/test.csv", texts(&[(almost, "rate"), ("What is my rate?", "rate")], "").as_bytes());
    let config = TextTableConfig { folder: "set".into(), ..TextTableConfig::default() };
    let source = TextSourceConfig::Table(config).open(&DataRoot::new([folder.path()])).unwrap();
    let description = describe_texts(&Arc::new(source), LoaderOptions::default(), &mut |_| ()).unwrap();
    assert_eq!((description.samples, description.repeated(), description.images), (6, 1, None));
    let [near] = &description.near_duplicates[..] else { panic!("{:?}", description.near_duplicates) };
    assert_eq!((&near.samples[..], near.across, near.contradict), (&[0, 4][..], true, true));
    let facts = description.texts.unwrap();
    assert_eq!((facts.words.least, facts.words.most, facts.characters.least), (4.0, 21.0, 16.0));
    assert_eq!((facts.vocabulary, facts.frequent[0].clone()), (29, ("i".to_owned(), 4)));
}
