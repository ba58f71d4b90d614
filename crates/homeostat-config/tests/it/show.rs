//! What people see of a configuration.

use expect_test::expect;
use homeostat_config::{Layers, Resolved, to_toml};

use crate::experiment::{Experiment, Normalize, Prepare, Step};

fn resolved() -> Resolved<Experiment> {
    let file = "prepare = [\n  { resize = { size = 8 } },\n  \"normalize-from-train\",\n]\n\n[train]\nlearning-rate = 1e-7\noffset = inf\n\n[model.mlp]\n";
    let layers = Layers::new().file("digits.toml", file);
    let overrides =
        ["train.epochs=3", "teacher.cnn.width=7", "name=digits 2", "weights.\"a b\"=0.1", "model.mlp.hidden=[]"];
    let mut resolved = layers.overrides(&overrides).load::<Experiment>().unwrap();
    let step = Step::Normalize(Normalize { mean: vec![0.13], std: vec![0.31] });
    resolved.choose("prepare.1", step, "from the training split").unwrap();
    resolved
}

#[test]
fn every_value_stands_there_with_its_origin() {
    expect![[r#"
        name = "digits 2"                                     # command line
        seed = 0                                              # default
        prepare = [
            { resize = { size = 8 } },                        # digits.toml:2
            { normalize = { mean = [0.13], std = [0.31] } },  # chosen: from the training split
        ]

        [train]                                               # digits.toml:6
        epochs = 3                                            # command line
        batch-size = 32                                       # default
        learning-rate = 1e-7                                  # digits.toml:7
        # max-steps =                                         # not set
        offset = inf                                          # digits.toml:8
        plateau = "off"                                       # default

        [model.mlp]                                           # digits.toml:10
        hidden = []                                           # command line
        dropout = 0.0                                         # default

        [teacher.cnn]                                         # command line
        width = 7                                             # command line
        padding = "same"                                      # default

        [weights]                                             # default
        "a b" = 0.1                                           # command line
    "#]]
    .assert_eq(&resolved().show());
}

#[test]
fn a_short_list_from_one_file_is_one_line() {
    let file = "prepare = [\n  \"normalize-from-train\",\n  { resize = { size = 8 } },\n]\n";
    let shown = Layers::new().file("digits.toml", file).load::<Experiment>().unwrap().show();
    let line = shown.lines().find(|line| line.starts_with("prepare")).unwrap();
    assert_eq!(line, r#"prepare = ["normalize-from-train", { resize = { size = 8 } }]  # digits.toml:1-3"#);
}

#[test]
fn json_says_the_same() {
    let json = serde_json::to_string_pretty(&resolved().show_json()).unwrap();
    expect![[r#"
        {
          "name": {
            "value": "digits 2",
            "from": "command line"
          },
          "seed": {
            "value": 0,
            "from": "default"
          },
          "train.epochs": {
            "value": 3,
            "from": "command line"
          },
          "train.batch-size": {
            "value": 32,
            "from": "default"
          },
          "train.learning-rate": {
            "value": 1e-7,
            "from": "digits.toml:7"
          },
          "train.max-steps": {
            "value": null,
            "from": "default"
          },
          "train.offset": {
            "value": "inf",
            "from": "digits.toml:8"
          },
          "train.plateau": {
            "value": "off",
            "from": "default"
          },
          "model.mlp.hidden": {
            "value": [],
            "from": "command line"
          },
          "model.mlp.dropout": {
            "value": 0.0,
            "from": "default"
          },
          "teacher.cnn.width": {
            "value": 7,
            "from": "command line"
          },
          "teacher.cnn.padding": {
            "value": "same",
            "from": "default"
          },
          "prepare": {
            "value": [
              {
                "resize": {
                  "size": 8
                }
              },
              {
                "normalize": {
                  "mean": [
                    0.13
                  ],
                  "std": [
                    0.31
                  ]
                }
              }
            ],
            "from": "digits.toml:1-2, chosen: from the training split"
          },
          "weights.\"a b\"": {
            "value": 0.1,
            "from": "command line"
          }
        }"#]]
    .assert_eq(&json);
}

#[test]
fn a_long_list_has_a_line_for_each_element() {
    let step = Step::Normalize(Normalize { mean: vec![0.4914, 0.4822, 0.4465], std: vec![0.247, 0.2435, 0.2616] });
    let value = Experiment { prepare: Prepare(vec![step, Step::NormalizeFromTrain]), ..Experiment::default() };
    expect![[r#"
        name = ""
        seed = 0
        prepare = [
            { normalize = { mean = [0.4914, 0.4822, 0.4465], std = [0.247, 0.2435, 0.2616] } },
            "normalize-from-train",
        ]

        [train]
        epochs = 5
        batch-size = 32
        learning-rate = 0.1
        offset = 0.0
        plateau = "off"

        [model.cnn]
        width = 32
        padding = "same"

        [weights]
    "#]]
    .assert_eq(&to_toml(&value));
}
