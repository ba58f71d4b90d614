//! Networks by name, their weights on the way out and in, and weights that are none.

use std::{fs, path::Path};

use homeostat_task::read_foreign;

use crate::place::{Place, runs_in, says, text};

/// A network that has names elsewhere, barely trained.
const NETWORK: [&str; 3] = ["digits", "model.cifar-resnet={ depth = 20, width = 4 }", "train.max-steps=3"];

fn train<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["train", "--quiet", "--out", "runs"], &NETWORK[..], words].concat()
}

#[test]
fn networks_are_found_by_name() {
    let place = Place::with_run();
    let listed = place.json(&["models", "list", "*efficientnet_lite0", "--json"]);
    let names: Vec<_> = listed.iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["efficientnet_lite0", "tf_efficientnet_lite0"]);
    assert_eq!(listed[0]["weights"], "hf:timm/efficientnet_lite0.ra_in1k");
    // LeNet-5's products are far fewer than a million.
    let lenet = place.json(&["models", "list", "lenet5", "--json"]);
    assert_eq!(lenet[0]["macs"], 416_520);
    says(&place.well(&["models", "show", "lenet5"]), &["416520"]);
    let shown = place.well(&["models", "show", "cifar_resnet20"]);
    for words in
        ["269722", "in an experiment: task.image-classification.model = { cifar-resnet = {", "airplane to truck"]
    {
        says(&shown, &[words]);
    }
    says(&place.refused(&["models", "show", "resnet19"]), &["no network's name is `resnet19`", "did you mean resnet1"]);
    // A beginning, or an end, is meant sooner than what is spelt nearly so.
    says(&place.refused(&["models", "show", "vit_tiny"]), &["did you mean vit_tiny_patch16_224"]);
    says(&place.refused(&["models", "show", "resnet20"]), &["did you mean cifar_resnet20"]);
    let nothing = place.refused(&["models", "list", "nothing*"]);
    says(&nothing, &["no network's name is `nothing*` (see homeostat models list)"]);
    says(&place.refused(&["models", "list", "*reznet*"]), &["did you mean resnet18"]);
}

#[test]
fn exported_weights_come_back() {
    let place = Place::new();
    place.well(&train(&[]));
    place.well(&["models", "export", "runs/latest", "first.safetensors"]);
    // The head learns on, and all else stays.
    place.well(&train(&["train.pretrained.from='first.safetensors'", "train.freeze=['!head.*']", "--data-root", "."]));
    place.well(&["models", "export", "runs/latest", "second.safetensors"]);
    let [first, second] =
        ["first", "second"].map(|name| read_foreign(&place.path(&format!("{name}.safetensors"))).unwrap());
    assert!(first.tensors().keys().eq(second.tensors().keys()));
    assert!(first.tensors().contains_key("layer3.2.conv2.weight"), "in the names of the original");
    let differing: Vec<_> = first.tensors().iter().filter(|(name, data)| second.tensors()[*name] != **data).collect();
    assert!(differing.iter().all(|(name, _)| name.starts_with("linear.")), "{differing:?}");
    assert!(!differing.is_empty());
    // Of a network of another width, one tensor fits.
    let network = "model.cifar-resnet={ depth = 20, width = 8 }";
    let from = "train.pretrained={ from='first.safetensors', allow=['*'] }";
    let words = ["train", "digits", network, from, "train.max-steps=1", "--data-root", ".", "--out", "wide"];
    let said = text(&place.run(&words).stderr);
    let line = said.lines().find(|line| line.contains("tensors applied from")).expect(&said);
    assert!(line.starts_with("1 of "), "{line}");
    says(line, &[" tensors applied from first.safetensors; kept fresh: head.weight, ", " and ", " more"]);

    says(
        &place.refused(&["models", "export", "runs/latest", "first.safetensors"]),
        &["cannot write first.safetensors"],
    );
    says(&place.refused(&["models", "export", "runs/latest", "third.pth"]), &["does not end in .safetensors"]);
    let names = place.refused(&["models", "export", "runs/latest", "third.safetensors", "--names", "keras"]);
    says(&names, &["has the names of pytorch_resnet_cifar10"]);
    place.well(&train(&["train.calibrate=true"]));
    let said = place.well(&["models", "export", "runs/latest", "calibrated.safetensors"]);
    says(&said, &["pytorch_resnet_cifar10, without the temperature ", " of its answers"]);
    let ours = Place::with_run();
    says(&ours.refused(&["models", "export", "runs/latest", "mlp.safetensors"]), &["`mlp` has no names but ours"]);
}

#[test]
fn weights_that_are_none_or_of_another_network_make_no_run() {
    let place = Place::new();
    place.well(&train(&[]));
    place.well(&["models", "export", "runs/latest", "good.safetensors"]);
    let good = fs::read(place.path("good.safetensors")).unwrap();
    let runs = runs_in(&place.path("runs")).len();
    let refused = |file: &str, words: &[&str]| {
        let from = format!("train.pretrained.from='{file}'");
        place.refused(&train(&[&[from.as_str(), "--data-root", "."], words].concat()))
    };
    says(&refused("nowhere.safetensors", &[]), &["nowhere.safetensors"]);
    says(
        &refused("good.safetensors", &["model.cifar-resnet.depth=32"]),
        &["weights are of another network: ", " missing: ", "is missing", "(--log-level debug lists all); choose"],
    );
    says(
        &refused("good.safetensors", &["model.cifar-resnet.width=8"]),
        &["weights are of another network", "has shape"],
    );
    // A head for other classes has to be allowed by name.
    for (class, level) in [("a", 0), ("b", 90), ("c", 200)] {
        (0..9).for_each(|at| place.picture(&format!("three/{class}/{at}.png"), level + at));
    }
    let three = [
        "source.image-folder={ folder = 'three' }",
        "split.stratified={ valid = 0.3, test = 0.3 }",
        "train.metrics=['accuracy']",
    ];
    let head = refused("good.safetensors", &three);
    says(&head, &["`linear.weight` (our `head.weight`) has shape [10, 16], needed [3, 16]"]);
    says(&head, &["for a head of its own set train.pretrained.allow = [\"head.*\"]"]);
    assert!(!head.contains("--log-level"), "{head}");

    place.write("cut.safetensors", &good[..good.len() / 2]);
    says(&refused("cut.safetensors", &[]), &["cut.safetensors: not a file of weights"]);
    let header = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    let text = String::from_utf8(good[8..8 + header].to_vec()).unwrap();
    let at = text.find("\"data_offsets\":[").unwrap();
    let mut lie = good.clone();
    // The first digit of an end: far behind the file.
    let digit = 8 + at + text[at..].find(',').unwrap() + 1;
    lie[digit] = if lie[digit] == b'9' { b'8' } else { b'9' };
    place.write("lie.safetensors", &lie);
    says(&refused("lie.safetensors", &[]), &["lie.safetensors: not a file of weights"]);
    place.write("huge.safetensors", [&u64::MAX.to_le_bytes()[..], b"{}"].concat());
    says(&refused("huge.safetensors", &[]), &["huge.safetensors: not a file of weights"]);
    let code = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/homeostat-task/tests/fixtures/code.pth");
    place.write("code.pth", fs::read(code).unwrap());
    says(&refused("code.pth", &[]), &["code.pth: not a file of weights: not weights of PyTorch"]);
    assert!(!place.path("homeostat-was-here").exists(), "what is in a pickle is not done");

    let wrong = |words: &[&str]| place.refused(&train(words));
    says(&wrong(&["train.pretrained.from='hf:nobody'"]), &["give hf:OWNER/NAME"]);
    says(&wrong(&["train.pretrained.from='http://example.org/a.pth'"]), &["give its sha256"]);
    says(&wrong(&["model=alexnet"]), &["alexnet", "at least 63x63 pixels, but gets 16x16"]);
    assert_eq!(runs_in(&place.path("runs")).len(), runs, "nothing is left of what was refused");
}
