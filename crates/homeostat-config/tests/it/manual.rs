//! The reference page.

use expect_test::expect;
use homeostat_config::reference;

use crate::experiment::{Experiment, Model};

#[test]
fn the_page_says_all_of_it() {
    expect![[r##"
        # The experiment

        All that determines a run.

        | key | type | default | meaning |
        |---|---|---|---|
        | `name` | text | `""` | A name for people. |
        | `seed` | whole number from 0 | `0` | The seed of everything random. |
        | `train` | table, see [`train`](#train) |  | How to train. |
        | `model` | one of `mlp`, `cnn`, `file`, `ensemble`, see [`model`](#model) | `cnn` | The network. |
        | `teacher` | one of `mlp`, `cnn`, `file`, `ensemble`, see [`model`](#model) | not set | The network that teaches, if one does. |
        | `prepare` | list, each one of `resize`, `normalize`, `normalize-from-train`, see [`prepare[]`](#prepare) | `[{ resize = { size = 28 } }, "normalize-from-train"]` | What is done to each image, in order. |
        | `weights` | table of names, each a number | `{}` | The weight of each class. |

        ## `train`

        How to train.

        | key | type | default | meaning |
        |---|---|---|---|
        | `epochs` | whole number from 0 to 65535 | `5` | Passes over the training split. |
        | `batch-size` | whole number from 0 to 255 | `32` | Samples in a step. |
        | `learning-rate` | number from 0 to 10 | `0.1` | The first learning rate, before the warm-up.<br><br>Too large a one \| diverges. |
        | `max-steps` | whole number from 0 | not set | Stop after this many steps. |
        | `offset` | number | `0.0` | Added to every loss. |
        | `plateau` | one of `off`, `divide`, see [`train.plateau`](#trainplateau) | `off` | Watches the loss. |

        ## `train.plateau`

        What happens when the loss stays where it is.

        | choice | options | meaning |
        |---|---|---|
        | `off` | none | Nothing. |
        | `divide` | table, see [`train.plateau.divide`](#trainplateaudivide) | The learning rate is divided. |

        ## `train.plateau.divide`

        Division of the learning rate.

        | key | type | default | meaning |
        |---|---|---|---|
        | `by` | number | `2.0` | By how much. |

        ## `model`

        The networks.

        | choice | options | meaning |
        |---|---|---|
        | `mlp` | table, see [`model.mlp`](#modelmlp) | Dense layers. |
        | `cnn` | table, see [`model.cnn`](#modelcnn) | Convolutions. |
        | `file` | text | Weights in a file. |
        | `ensemble` | list, each one of `mlp`, `cnn`, `file`, `ensemble`, see [`model`](#model) | The mean of several. |

        ## `model.mlp`

        Dense layers.

        | key | type | default | meaning |
        |---|---|---|---|
        | `hidden` | list, each a whole number from 0 | `[64]` | The width of each hidden layer. |
        | `dropout` | number | `0.0` | The share of units dropped. |

        ## `model.cnn`

        Convolutions.

        | key | type | default | meaning |
        |---|---|---|---|
        | `width` | whole number from 0 | `32` | Channels of the first layer. |
        | `padding` | one of `same`, `valid`, see [`model.cnn.padding`](#modelcnnpadding) | `same` | What is beyond the border. |

        ## `model.cnn.padding`

        What is beyond the border.

        | choice | options | meaning |
        |---|---|---|
        | `same` | none | Zeros, so that the size stays. |
        | `valid` | none | Nothing. |

        ## `prepare[]`

        A step of the preparation.

        | choice | options | meaning |
        |---|---|---|
        | `resize` | table, see [`prepare[].resize`](#prepareresize) | To another size. |
        | `normalize` | table, see [`prepare[].normalize`](#preparenormalize) | To mean 0 and deviation 1. |
        | `normalize-from-train` | none | As `normalize`, with the statistics of the training split. |

        ## `prepare[].resize`

        To another size.

        | key | type | default | meaning |
        |---|---|---|---|
        | `size` | whole number from 0, or a list of 2, each a whole number from 0 | `28` | Both sides, or height and width, in pixels. |

        ## `prepare[].normalize`

        To mean 0 and deviation 1.

        | key | type | default | meaning |
        |---|---|---|---|
        | `mean` | list, each a number | `[]` | The mean of each channel. |
        | `std` | list, each a number | `[]` | The deviation of each channel. |
    "##]].assert_eq(&reference::<Experiment>("The experiment"));
}

#[test]
fn a_choice_may_be_the_top() {
    let page = reference::<Model>("Networks");
    assert!(page.starts_with("# Networks\n\nThe networks.\n\n| choice | options | meaning |"), "{page}");
    assert!(page.contains("## `cnn.padding`"), "{page}");
}

/// A choice that has but one variant so far.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Only {
    /// The first of its kind.
    ImageClassification(Options),
}

/// How.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Options {
    /// How many.
    count: usize,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Whole {
    /// The question.
    task: Only,
}

impl Default for Whole {
    fn default() -> Self {
        Self { task: Only::ImageClassification(Options::default()) }
    }
}

#[test]
fn an_enum_of_one_variant_is_a_choice_and_no_table() {
    let page = reference::<Whole>("Whole");
    let line =
        "| `task` | one of `image-classification`, see [`task`](#task) | `image-classification` | The question. |";
    assert!(page.contains(line) && !page.contains("must be given"), "{page}");
    assert!(page.contains("| `image-classification` | table, see"), "{page}");
    let loaded = homeostat_config::Layers::new().overrides(&["task.image-classification.count=3"]);
    let Only::ImageClassification(options) = loaded.load::<Whole>().unwrap().value.task;
    assert_eq!(options.count, 3);
}
