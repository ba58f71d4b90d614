//! Data that are broken: one line each that says what and where, and no run begins.

use std::{fs, io::Cursor};

use crate::place::{Place, says};

const PARTS: [&str; 3] = ["train", "val", "test"];

/// A place with `pets.toml`, and in `pets/` four pictures of each class for each part.
fn pets(classes: &[&str]) -> Place {
    let place = Place::new();
    for (turn, part) in (0u8..).zip(PARTS) {
        for class in classes {
            let level = |at: u8| 60 * turn + 10 * at + class.as_bytes()[0];
            (0..4).for_each(|at| place.picture(&format!("pets/{part}/{class}/{at}.png"), level(at)));
        }
    }
    place.write(
        "pets.toml",
        r#"name = "pets"
[task.image-classification]
prepare = [{ resize = { size = 8 } }, "normalize-from-train"]
model.mlp.hidden = [8]
[data]
source.image-folder.folder = "pets"
split.given = {}
[train]
epochs = 1
batch-size = 4
"#,
    );
    place
}

/// A JPEG that ends in its middle, a PNG of no bytes, a text that says it is a PNG.
fn broken() -> [(&'static str, Vec<u8>); 3] {
    let mut whole = Cursor::new(Vec::new());
    let picture = image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([x as u8 * 8, y as u8 * 8, (x * y) as u8]));
    picture.write_to(&mut whole, image::ImageFormat::Jpeg).unwrap();
    let whole = whole.into_inner();
    [("cut.jpg", whole[..whole.len() / 2].to_vec()), ("zero.png", Vec::new()), ("text.png", b"no picture".to_vec())]
}

#[track_caller]
fn refused(place: &Place, words: &[&str], wanted: &[&str]) {
    says(&place.refused(&[&["train", "--quiet"], words].concat()), wanted);
    assert!(!place.path("runs").exists(), "no run has begun");
}

#[test]
fn folders_without_pictures_or_with_one_class() {
    let place = pets(&["cat", "dog"]);
    place.well(&["train", "pets.toml", "--quiet", "--out", "good"]);
    fs::rename(place.path("pets"), place.path("moved")).unwrap();
    refused(&place, &["pets.toml"], &["cannot find the folder `pets`", "./pets", "--data-root"]);
    fs::create_dir(place.path("pets")).unwrap();
    refused(&place, &["pets.toml"], &["./pets", "no pictures", "folder for each class"]);
    fs::create_dir_all(place.path("pets/cat")).unwrap();
    refused(&place, &["pets.toml"], &["./pets", "no pictures"]);
    place.picture("pets/stray.png", 1);
    refused(&place, &["pets.toml"], &["stray.png lies directly in it", "folder of its own"]);
    fs::remove_dir_all(place.path("pets")).unwrap();
    place.write("pets", "a file");
    refused(&place, &["pets.toml"], &["cannot find the folder `pets`"]);

    refused(&pets(&["cat"]), &["pets.toml"], &["pets", "only one class, `cat`"]);
    let place = pets(&["cat", "dog"]);
    fs::remove_dir_all(place.path("pets/train/dog")).unwrap();
    refused(&place, &["pets.toml"], &["val has the class `dog`, which train has not"]);
    fs::create_dir_all(place.path("pets/train")).unwrap();
    place.picture("pets/train/dog/0.png", 3);
    ["val", "test"].iter().for_each(|part| fs::remove_dir_all(place.path(&format!("pets/{part}"))).unwrap());
    refused(&place, &["pets.toml", "split=stratified"], &["the class `dog` has 1 different samples", "3 are needed"]);
}

#[test]
fn a_broken_picture_ends_the_training_with_its_name() {
    for (name, bytes) in broken() {
        let place = pets(&["cat", "dog"]);
        let file = place.write(&format!("pets/train/cat/{name}"), &bytes);
        let wanted = [&format!("train/cat/{name}: "), "remove it in ./pets", "data.on-corrupt=skip"];
        refused(&place, &["pets.toml"], &wanted);
        fs::remove_file(file).unwrap();

        // Also where it would be needed when the training is done.
        for part in ["val", "test"] {
            let file = place.write(&format!("pets/{part}/dog/{name}"), &bytes);
            refused(&place, &["pets.toml"], &[&format!("{part}/dog/{name}: ")]);
            fs::remove_file(file).unwrap();
        }
    }
}

#[test]
fn broken_pictures_that_are_left_out_are_counted_and_listed() {
    let place = pets(&["cat", "dog"]);
    let mut names = Vec::new();
    for (part, (name, bytes)) in PARTS.iter().flat_map(|part| broken().map(|broken| (part, broken))) {
        names.push(format!("{part}/cat/{name}"));
        place.write(&format!("pets/{part}/cat/{name}"), bytes);
    }
    let described = place.well(&["data", "describe", "pets.toml"]);
    says(&described, &["pets: 33 samples, 2 classes", "broken: 9 that cannot be read", "\n  train/cat/cut.jpg: "]);
    says(&described, &["data.on-corrupt=skip", "duplicates: 6 ", "leaks: 3 groups in several parts"]);

    let lines = place.json(&["train", "--json", "pets.toml", "data.on-corrupt=skip"]);
    let mut skipped: Vec<&str> =
        lines.iter().filter(|line| line["event"] == "skipped").map(|line| line["name"].as_str().unwrap()).collect();
    skipped.sort_unstable();
    names.sort();
    assert_eq!(skipped, names, "each once, of every part");
    let report = fs::read_to_string(place.path("runs/latest/report.html")).unwrap();
    for name in &names {
        says(&report, &[name]);
    }
    let result = &lines.last().unwrap()["result"];
    assert_eq!((&result["state"], &result["samples"]["test"]), (&"finished".into(), &8.into()), "3 of 11 are left out");
    says(&report, &["8 samples, measured once; 95 % interval "]);
    let measured = place.well(&["eval", "runs/latest"]);
    says(&measured, &["on      8 samples; accuracy with 95 % confidence ", "without 3 samples: they cannot be used"]);
}

/// A part in the format of MNIST: a header that claims `count`, and what follows it.
fn idx(magic: u32, count: u32, bytes: &[u8]) -> Vec<u8> {
    let sizes: &[u32] = if magic == 0x803 { &[count, 2, 2] } else { &[count] };
    let header = [magic].iter().chain(sizes).flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
    [&header, bytes].concat()
}

#[test]
fn files_in_the_format_of_mnist() {
    const IMAGES: &str = "idx/train-images-idx3-ubyte";
    const LABELS: &str = "idx/train-labels-idx1-ubyte";
    let pixels: Vec<u8> = (0..80).map(|at| (at * 37 % 251) as u8).collect();
    let labels: Vec<u8> = (0..20).map(|at| at % 2).collect();
    let place = Place::new();
    let words = [
        "digits",
        "source.idx={folder=\"idx\",classes=[\"a\",\"b\"]}",
        "model=mlp",
        "train.metrics=[]",
        "split=stratified",
    ];
    place.write(IMAGES, idx(0x803, 20, &pixels));
    for (file, bytes, wanted) in [
        (LABELS, idx(0x802, 20, &labels), "magic number at byte 0 is 0x00000802"),
        (LABELS, idx(0x801, 19, &labels[..19]), "19 labels for 20 pictures"),
        (LABELS, idx(0x801, 21, &labels), "should take 21 bytes"),
        (LABELS, idx(0x801, 19, &labels), "more bytes follow"),
        (LABELS, idx(0x801, 20, &[&labels[..19], &[2]].concat()), "label 2 at index 19 is out of range"),
        (LABELS, Vec::new(), "the magic number should take 4 bytes"),
        (IMAGES, idx(0x801, 20, &pixels), "magic number"),
        (IMAGES, idx(0x803, 21, &pixels), "should take 84 bytes"),
        (IMAGES, idx(0x803, u32::MAX, &pixels), "at most 80 are there"),
        (IMAGES, idx(0x803, 0, &[]), "0 pictures"),
    ] {
        if file == IMAGES {
            place.write(LABELS, idx(0x801, 20, &labels));
        }
        place.write(file, bytes);
        refused(&place, &words, &[file, wanted]);
    }
    fs::remove_file(place.path(LABELS)).unwrap();
    refused(&place, &words, &["./idx", "no train-labels-idx1-ubyte"]);
    fs::remove_file(place.path(IMAGES)).unwrap();
    refused(&place, &words, &["./idx", "no train-images-idx3-ubyte"]);
    place.write(IMAGES, idx(0x803, 20, &pixels));
    place.write(LABELS, idx(0x801, 20, &labels));
    place.well(&[&["train", "--quiet"], &words[..]].concat());
}

#[test]
fn files_in_the_format_of_cifar10() {
    const FILE: &str = "cifar/data_batch_1.bin";
    let place = Place::new();
    let words = ["digits", "source.cifar10.folder=cifar", "model=mlp", "epochs=1", "split.stratified.test=0"];
    let record = |at: u8| (0..3073).map(move |byte: u32| if byte == 0 { at % 10 } else { (byte % 200) as u8 + at });
    let good: Vec<u8> = (0..40).flat_map(record).collect();
    let mut label = good.clone();
    label[3073 * 3] = 10;
    for (bytes, wanted) in [
        (&good[..good.len() - 1], "cut short"),
        (&[][..], "cut short"),
        (&label, "label 10 of record 3 (byte 9219) is out of range"),
    ] {
        place.write(FILE, bytes);
        refused(&place, &words, &[FILE, wanted]);
    }
    fs::remove_file(place.path(FILE)).unwrap();
    refused(&place, &words, &["./cifar", "no data_batch_1.bin"]);
    place.write(FILE, good);
    place.well(&[&["train", "--quiet"], &words[..]].concat());
}

#[test]
fn a_table_is_described_with_its_options_and_its_broken_rows() {
    let place = pets(&["cat", "dog"]);
    let rows = ["train/cat/0.png,cat", "train/dog/1.png,dog", "train/dog/99.png,dog"].join("\n");
    fs::write(place.path("pets/all.csv"), format!("file,kind\n{rows}\n")).unwrap();
    let describe = |options: &str| {
        let word = format!("image-table:pets/all.csv,{options}");
        let root = place.path("");
        place.run(&["data", "describe", &word, "--data-root", root.to_str().unwrap()])
    };
    let output = describe("image=file,label=kind");
    let shown = String::from_utf8(output.stdout).unwrap();
    says(&shown, &["2 samples, 2 classes", "broken: 1", "all.csv, line 4: there is no file `train/dog/99.png`"]);
    let said = String::from_utf8(describe("image=file,lable=kind").stderr).unwrap();
    says(&said, &["unknown field `lable`"]);
    let said = String::from_utf8(describe("image=fil,label=kind").stderr).unwrap();
    says(&said, &["has no column `fil` (did you mean `file`?)"]);
}
