//! Training that begins with the weights of another one.

use std::fs;

use homeostat_artifact::Run;
use homeostat_task::Weights;

use crate::place::{Place, digits};

fn published(run: &Run) -> Weights {
    Weights::from_safetensors(&fs::read(run.path().join("artifact/model.safetensors")).unwrap()).unwrap().0
}

/// The largest difference of a tensor.
fn apart(name: &str, [a, b]: [&Weights; 2]) -> f32 {
    let values = |weights: &Weights| weights.tensors()[name].as_slice::<f32>().unwrap().to_vec();
    values(a).iter().zip(values(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_run_begins_with_the_weights_of_another_and_what_is_frozen_stays() {
    let place = Place::new();
    let (first, _) = place.train(digits(&[]));
    let folder = first.path().join("artifact");
    let from = |allow: &str| {
        format!("train.pretrained={{ folder = '{}', file = 'model.safetensors', allow = [{allow}] }}", folder.display())
    };
    let (second, _) = place.train(digits(&[&from(""), "train.freeze=['hidden.*']"]));
    let weights = [&published(&first), &published(&second)];
    assert!(apart("hidden.0.weight", weights) < 1e-6, "frozen");
    assert!(apart("head.weight", weights) > 1e-4, "learnt");

    let refused = |words: &[&str]| place.try_train(digits(words)).unwrap_err().to_string();
    let deeper = refused(&[&from(""), "model.mlp.hidden=[16, 12]"]);
    assert!(deeper.contains("model.safetensors: the weights are of another network"), "{deeper}");
    let (third, _) = place.train(digits(&[&from("'*'"), "model.mlp.hidden=[16, 12]"]));
    assert_eq!(published(&third).tensors()["hidden.1.weight"].shape().to_vec(), [16, 12]);
    assert!(refused(&["train.freeze=['nothing.*']"]).contains("`nothing.*` matches no parameter"));
    assert!(refused(&["train.freeze=['*']"]).contains("leaves nothing to learn"));
}
