//! Defaults, file and overrides: what wins, and what is known of its origin.

use homeostat_config::{Layers, Origin, Resolved};

use crate::experiment::{
    Cnn, Divide, Experiment, Mlp, Model, Normalize, Padding, Plateau, Prepare, Resize, Size, Step,
};

const FILE: &str = r#"
name = "digits"
prepare = [{ resize = { size = [8, 8] } }, "normalize-from-train"]

[train]
epochs = 10
batch-size = 16

[model.cnn]
width = 8
padding = "valid"
"#;

fn load(overrides: &[&str]) -> Resolved<Experiment> {
    Layers::new().file("digits.toml", FILE).overrides(overrides).load().unwrap()
}

fn line(line: usize) -> Origin {
    Origin::File { name: "digits.toml".to_owned(), line }
}

#[test]
fn without_layers_there_are_the_defaults() {
    let resolved = Layers::new().load::<Experiment>().unwrap();
    assert_eq!(resolved.value, Experiment::default());
    assert_eq!(resolved.provenance.get("train.epochs"), &Origin::Default);
}

#[test]
fn a_file_stands_over_the_defaults() {
    let Resolved { value, provenance } = load(&[]);
    assert_eq!(value.model, Model::Cnn(Cnn { width: 8, padding: Padding::Valid }));
    assert_eq!((value.train.epochs, value.train.batch_size, value.train.learning_rate), (10, 16, 0.1));
    for (key, origin) in [
        ("name", line(2)),
        ("prepare.0.resize.size", line(3)),
        ("prepare.0.resize.size.1", line(3)),
        ("prepare.1", line(3)),
        ("train.epochs", line(6)),
        ("train.learning-rate", Origin::Default),
        ("model.cnn", line(9)),
        ("model.cnn.padding", line(11)),
        ("seed", Origin::Default),
        ("train.max-steps", Origin::Default),
    ] {
        assert_eq!(provenance.get(key), &origin, "{key}");
    }
}

#[test]
fn an_override_changes_what_it_names_and_nothing_else() {
    let base = load(&[]).value;
    let check = |text: &str, change: fn(&mut Experiment)| {
        let mut expected = base.clone();
        change(&mut expected);
        let changed = load(&[text]);
        assert_eq!(changed.value, expected, "{text}");
        assert_ne!(changed.value, base, "{text}");
        let key = text.split_once('=').unwrap().0.trim();
        assert_eq!(changed.provenance.get(key), &Origin::CommandLine, "{text}");
        assert_eq!(changed.provenance.get("train.batch-size"), &line(7), "{text}");
    };
    check("train.epochs=3", |e| e.train.epochs = 3);
    check("train.epochs = 3", |e| e.train.epochs = 3);
    check("train.learning-rate=1e-3", |e| e.train.learning_rate = 1e-3);
    check("train.learning-rate=1", |e| e.train.learning_rate = 1.0);
    check("train.max-steps=100", |e| e.train.max_steps = Some(100));
    check("train.offset=-inf", |e| e.train.offset = f64::NEG_INFINITY);
    check("name=digits-2", |e| e.name = "digits-2".to_owned());
    check("name=2024-01-01", |e| e.name = "2024-01-01".to_owned());
    check("name=7", |e| e.name = "7".to_owned());
    check("name=\"a = b\"", |e| e.name = "a = b".to_owned());
    check("name=a=b c", |e| e.name = "a=b c".to_owned());
    check("name=[draft", |e| e.name = "[draft".to_owned());
    check("name=", |e| e.name = String::new());
    check("model.cnn.padding=same", |e| e.model = Model::Cnn(Cnn { width: 8, padding: Padding::Same }));
    check("model.mlp.dropout=0.5", |e| e.model = Model::Mlp(Mlp { dropout: 0.5, ..Mlp::default() }));
    check("model=mlp", |e| e.model = Model::Mlp(Mlp::default()));
    check("model=cnn", |e| e.model = Model::Cnn(Cnn::default()));
    check("model.cnn={ width = 9 }", |e| e.model = Model::Cnn(Cnn { width: 9, ..Cnn::default() }));
    check("model.file=weights/a.bin", |e| e.model = Model::File("weights/a.bin".into()));
    check("model.ensemble=[\"mlp\", { cnn = { width = 1 } }]", |e| {
        e.model =
            Model::Ensemble(vec![Model::Mlp(Mlp::default()), Model::Cnn(Cnn { width: 1, padding: Padding::Same })]);
    });
    check("teacher.mlp.hidden=[3, 4]", |e| {
        e.teacher = Some(Model::Mlp(Mlp { hidden: vec![3, 4], ..Mlp::default() }));
    });
    check("train.plateau=divide", |e| e.train.plateau = Plateau::Divide(Divide::default()));
    check("train.plateau.divide.by=4", |e| e.train.plateau = Plateau::Divide(Divide { by: 4.0 }));
    check("prepare.0.resize.size=32", |e| e.prepare.0[0] = Step::Resize(Resize { size: Size::Square(32) }));
    check("prepare.0.resize.size.1=9", |e| e.prepare.0[0] = Step::Resize(Resize { size: Size::Sides([8, 9]) }));
    check("prepare.1.normalize.std=[0.5]", |e| {
        e.prepare.0[1] = Step::Normalize(Normalize { mean: Vec::new(), std: vec![0.5] });
    });
    check("prepare=[]", |e| e.prepare = Prepare(Vec::new()));
    check("weights.\"class 1.5\"=2", |e| {
        e.weights.insert("class 1.5".to_owned(), 2.0);
    });
}

#[test]
fn overrides_apply_in_order() {
    let resolved =
        load(&["model=mlp", "model.mlp.hidden=[5]", "model.mlp.hidden.0=6", "train.epochs=1", "train.epochs=2"]);
    assert_eq!(resolved.value.model, Model::Mlp(Mlp { hidden: vec![6], ..Mlp::default() }));
    assert_eq!(resolved.value.train.epochs, 2);
    assert_eq!(load(&["train.plateau=divide", "train.plateau=off"]).value.train.plateau, Plateau::Off);
}

#[test]
fn an_element_of_a_default_list_can_be_overridden() {
    let resolved = Layers::new().overrides(&["prepare.0.resize.size=32"]).load::<Experiment>().unwrap();
    assert_eq!(resolved.value.prepare.0, [Step::Resize(Resize { size: Size::Square(32) }), Step::NormalizeFromTrain]);
    assert_eq!(resolved.provenance.get("prepare.0.resize.size"), &Origin::CommandLine);
    assert_eq!(resolved.provenance.get("prepare.1"), &Origin::Default);
}

#[test]
fn a_bare_name_in_a_file_is_the_choice_with_its_defaults() {
    let resolved = Layers::new().file("a.toml", "\nmodel = \"mlp\"").load::<Experiment>().unwrap();
    assert_eq!(resolved.value.model, Model::Mlp(Mlp::default()));
    assert_eq!(resolved.provenance.get("model.mlp"), &Origin::File { name: "a.toml".to_owned(), line: 2 });
    assert_eq!(resolved.provenance.get("model.mlp.dropout"), &Origin::Default);
}

#[test]
fn all_ways_to_write_a_table_have_lines() {
    let text =
        "[[prepare]]\n[prepare.resize]\nsize = 3\n[[prepare]]\nnormalize.mean = [\n  1,\n  2,\n]\n[weights]\na = 1\n";
    let resolved = Layers::new().file("digits.toml", text).load::<Experiment>().unwrap();
    for (key, at) in [
        ("prepare.0", 1),
        ("prepare.0.resize", 2),
        ("prepare.0.resize.size", 3),
        ("prepare.1", 4),
        ("prepare.1.normalize.mean", 5),
        ("prepare.1.normalize.mean.1", 7),
        ("weights.a", 10),
    ] {
        assert_eq!(resolved.provenance.get(key), &line(at), "{key}");
    }
}

#[test]
fn a_choice_of_the_program_is_recorded() {
    let mut resolved = load(&["seed=3"]);
    let step = Step::Normalize(Normalize { mean: vec![0.1], std: vec![0.3] });
    resolved.choose("prepare.1", &step, "from the training split").unwrap();
    resolved.choose("train.batch-size", 8, "fits the memory").unwrap();
    assert_eq!(resolved.value.prepare.0[1], step);
    assert_eq!(resolved.value.train.batch_size, 8);
    let chosen = Origin::Chosen("from the training split".to_owned());
    assert_eq!(resolved.provenance.get("prepare.1.normalize.mean.0"), &chosen);
    assert_eq!(resolved.provenance.get("prepare.0"), &line(3));
    assert_eq!(resolved.provenance.get("seed"), &Origin::CommandLine);

    let before = resolved.clone();
    let error = resolved.choose("train.batch-size", 1000, "fits the memory").unwrap_err();
    assert_eq!(
        error.to_string(),
        "chosen: fits the memory: `train.batch-size` must be a whole number from 0 to 255, not 1000"
    );
    assert_eq!(resolved, before);
}
