//! Every mistake is one line that says where it is, what it is, and how to mend it.

use homeostat_config::Layers;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::Experiment;

fn error(file: &str, overrides: &[&str]) -> String {
    Layers::new().file("d.toml", file).overrides(overrides).load::<Experiment>().unwrap_err().to_string()
}

#[test]
fn in_a_file() {
    for (file, message) in [
        // Unknown keys.
        ("[train]\nepoch = 3", "d.toml:2: unknown key `train.epoch`; did you mean `train.epochs`?"),
        ("[train]\nbatch_size = 3", "d.toml:2: unknown key `train.batch_size`; did you mean `train.batch-size`?"),
        ("lr = 3", "d.toml:1: unknown key `lr`; did you mean `train.learning-rate`?"),
        ("[train]\nrate = 3", "d.toml:2: unknown key `train.rate`; did you mean `train.learning-rate`?"),
        ("\n[trian]\nepochs = 3", "d.toml:2: unknown key `trian`; did you mean `train`?"),
        ("\n\n[modle.cnn]", "d.toml:3: unknown key `modle`; did you mean `model`?"),
        ("epochs = 3", "d.toml:1: unknown key `epochs`; did you mean `train.epochs`?"),
        (
            "[train]\nhidden = [3]",
            "d.toml:2: unknown key `train.hidden`; did you mean `model.mlp.hidden` or `teacher.mlp.hidden`?",
        ),
        (
            "[teacher.mlp]\n[train]\nhidden = [3]",
            "d.toml:3: unknown key `train.hidden`; did you mean `teacher.mlp.hidden` or `model.mlp.hidden`?",
        ),
        ("model.cnn = { widht = 3 }", "d.toml:1: unknown key `model.cnn.widht`; did you mean `model.cnn.width`?"),
        (
            "prepare = [\n{ resize = { sizes = 3 } }]",
            "d.toml:2: unknown key `prepare.0.resize.sizes`; did you mean `prepare.0.resize.size`?",
        ),
        ("[model.cnn]\nqqq = 1", "d.toml:2: unknown key `model.cnn.qqq`; the keys here are `width`, `padding`"),
        (
            "\"a\\nb\" = 1",
            "d.toml:1: unknown key `\"a\\nb\"`; the keys here are `name`, `seed`, `train`, `model`, `teacher`, `prepare`, `weights`",
        ),
        // Unknown names.
        (
            "model = \"cmn\"",
            "d.toml:1: `cmn` is no choice for `model`; it is one of `mlp`, `cnn`, `file`, `ensemble`; did you mean `cnn`?",
        ),
        (
            "[model.resnet]",
            "d.toml:1: `resnet` is no choice for `model`; it is one of `mlp`, `cnn`, `file`, `ensemble`",
        ),
        ("[model]\nwidth = 3", "d.toml:2: unknown key `model.width`; did you mean `model.cnn.width`?"),
        (
            "prepare = [\"normalise\"]",
            "d.toml:1: `normalise` is no choice for `prepare.0`; it is one of `resize`, `normalize`, `normalize-from-train`; did you mean `normalize`?",
        ),
        (
            "[model.cnn]\npadding = \"vaild\"",
            "d.toml:2: `vaild` is no choice for `model.cnn.padding`; it is one of `same`, `valid`; did you mean `valid`?",
        ),
        // Wrong types.
        (
            "[train]\nepochs = \"three\"",
            "d.toml:2: `train.epochs` must be a whole number from 0 to 65535, not the text \"three\"",
        ),
        ("[train]\nepochs = 2.5", "d.toml:2: `train.epochs` must be a whole number from 0 to 65535, not 2.5"),
        ("[train]\nbatch-size = -1", "d.toml:2: `train.batch-size` must be a whole number from 0 to 255, not -1"),
        ("[train]\nlearning-rate = 11", "d.toml:2: `train.learning-rate` must be a number from 0 to 10, not 11"),
        ("[train]\nlearning-rate = nan", "d.toml:2: `train.learning-rate` must be a number from 0 to 10, not NaN"),
        ("train = 3", "d.toml:1: `train` must be a table, not 3"),
        ("name = 2024-01-01", "d.toml:1: `name` must be text, not the date 2024-01-01"),
        ("name = true", "d.toml:1: `name` must be text, not true"),
        (
            "[model.mlp]\nhidden = [1,\n\"a\"]",
            "d.toml:3: `model.mlp.hidden.1` must be a whole number from 0, not the text \"a\"",
        ),
        (
            "model = { cnn = {}, mlp = {} }",
            "d.toml:1: `model` must be one of `mlp`, `cnn`, `file`, `ensemble`, not a table of cnn, mlp",
        ),
        ("model = {}", "d.toml:1: `model` must be one of `mlp`, `cnn`, `file`, `ensemble`, not an empty table"),
        ("model = \"file\"", "d.toml:1: `model`: the choice `file` needs a value, text: { file = ... }"),
        ("train.plateau.off = {}", "d.toml:1: `train.plateau`: the choice `off` has no options: write \"off\""),
        (
            "prepare = [{ resize = { size = [1] } }]",
            "d.toml:1: `prepare.0.resize.size` must be a whole number from 0, or a list of 2, each a whole number from 0, not a list of 1",
        ),
        // No TOML.
        ("seed = 1\nname = yes\n", "d.toml:2:8: string values must be quoted, expected literal string"),
        ("\u{feff}seed = 1\r\nsede = 2\r\n", "d.toml:2: unknown key `sede`; did you mean `seed`?"),
        ("seed = 1\nseed = 2\n", "d.toml:2:1: duplicate key"),
        ("[train\nepochs = 1", "d.toml:1:7: unclosed table, expected `]`"),
    ] {
        assert_eq!(error(file, &[]), message, "{file}");
    }
}

#[test]
fn on_the_command_line() {
    let file = "[model.cnn]\nwidth = 3";
    for (text, message) in [
        ("train.epoch=3", "command line: unknown key `train.epoch`; did you mean `train.epochs`?"),
        ("epochs=3", "command line: unknown key `epochs`; did you mean `train.epochs`?"),
        ("model.cnn.depth=3", "command line: unknown key `model.cnn.depth`; the keys here are `width`, `padding`"),
        (
            "model=cmn",
            "command line: `cmn` is no choice for `model`; it is one of `mlp`, `cnn`, `file`, `ensemble`; did you mean `cnn`?",
        ),
        ("model.width=3", "command line: unknown key `model.width`; did you mean `model.cnn.width`?"),
        ("model=3", "command line: `model` must be one of `mlp`, `cnn`, `file`, `ensemble`, not 3"),
        (
            "train.epochs=three",
            "command line: `train.epochs` must be a whole number from 0 to 65535, not the text \"three\"",
        ),
        ("train.epochs=", "command line: `train.epochs` must be a whole number from 0 to 65535, not the text \"\""),
        ("train.epochs=70000", "command line: `train.epochs` must be a whole number from 0 to 65535, not 70000"),
        ("model.mlp.hidden=[1, 2", "command line: cannot read `model.mlp.hidden=[1, 2`: unclosed array, expected `]`"),
        ("prepare.2.resize.size=3", "command line: `prepare`: its elements are counted from 0, and it has 2"),
        ("prepare.first=3", "command line: `prepare`: its elements are counted from 0, and it has 2"),
        ("teacher.ensemble.0=3", "command line: `teacher.ensemble`: it has no elements yet"),
        ("prepare.0.resize.size.0.x=3", "command line: `prepare.0.resize.size`: it has no elements yet"),
        ("a\nb", "command line: cannot read `a b`: it is no `key=value`"),
        ("seed.low=3", "command line: `seed`: it is a whole number from 0 and has nothing below it"),
        ("train.plateau.off.x=3", "command line: `train.plateau`: the choice `off` has no options"),
        ("train.epochs", "command line: cannot read `train.epochs`: it is no `key=value`"),
        ("=3", "command line: cannot read `=3`: what is before `=` is no dotted key"),
        ("train..epochs=3", "command line: cannot read `train..epochs=3`: what is before `=` is no dotted key"),
    ] {
        assert_eq!(error(file, &[text]), message, "{text}");
    }
}

/// A type that refuses some values itself, and one that must be given.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Strict {
    inner: Inner,
    source: Option<Source>,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Inner {
    even: Even,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Source {
    folder: String,
    limit: u32,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u32", into = "u32")]
#[schemars(with = "u32")]
struct Even(u32);

impl TryFrom<u32> for Even {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, String> {
        if number.is_multiple_of(2) { Ok(Self(number)) } else { Err(format!("{number} is odd\nand that is bad")) }
    }
}

impl From<Even> for u32 {
    fn from(even: Even) -> Self {
        even.0
    }
}

#[test]
fn what_the_type_itself_refuses_has_a_place() {
    let error = |file: &str, overrides: &[&str]| {
        Layers::new().file("d.toml", file).overrides(overrides).load::<Strict>().unwrap_err().to_string()
    };
    assert_eq!(error("[inner]\neven = 3", &[]), "d.toml:2: `inner.even`: 3 is odd, and that is bad");
    assert_eq!(error("", &["inner.even=5"]), "command line: `inner.even`: 5 is odd, and that is bad");
    assert_eq!(error("\n[source]\nlimit = 3", &[]), "d.toml:2: `source`: missing field `folder`");
}

#[test]
fn an_override_may_mend_the_file() {
    let layers = Layers::new().file("d.toml", "[source]\nlimit = 3").overrides(&["source.folder=images"]);
    let source = layers.load::<Strict>().unwrap().value.source.unwrap();
    assert_eq!((source.folder.as_str(), source.limit), ("images", 3));
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Unsettable {
    limit: Option<u32>,
}

impl Default for Unsettable {
    fn default() -> Self {
        Self { limit: Some(3) }
    }
}

#[test]
#[should_panic(expected = "the option `limit` has a default and could not be unset in TOML")]
fn an_option_with_a_default_breaks_the_promise() {
    let _ = Layers::new().load::<Unsettable>();
}

/// Whatever is written, there is a value or one line.
#[test]
fn garbage_gives_one_line() {
    let pieces = [
        "train",
        "model",
        "cnn",
        "prepare",
        "0",
        ".",
        ".",
        "=",
        "=",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "'",
        "\n",
        "3",
        "-",
        "1e9",
        "width",
        "size",
        ",",
        " ",
        "\u{7f}",
        "é",
        "#",
        "\\n",
        "\u{1b}",
        "true",
        "resize",
        "[[",
        "]]",
        "99999999999999999999",
    ];
    let mut random = crate::round_trip::Random(1);
    let mut errors = 0;
    for _ in 0..1000 {
        let mut text =
            |longest| (0..random.below(longest)).map(|_| pieces[random.below(pieces.len())]).collect::<String>();
        let (file, one) = (text(9), text(9));
        for layers in [Layers::new().file("d.toml", &file), Layers::new().overrides(&[one.as_str()])] {
            if let Err(error) = layers.load::<Experiment>() {
                let message = error.to_string();
                assert!(!message.contains(char::is_control), "{file:?} {one:?} {message:?}");
                errors += 1;
            }
        }
    }
    assert!(errors > 1000, "the pieces make too many valid files for a test of errors: {errors}");
}
