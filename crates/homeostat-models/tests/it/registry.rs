//! The known networks are what their names say.

use homeostat_models::{Expects, KnownNetwork, summarize};

use crate::device;

/// The sums over the parameters of torchvision's networks, of timm's, or, where these have none, of the layers in the papers.
const PARAMETERS: &[(&str, u64)] = &[
    ("lenet5", 61_706),
    ("alexnet", 61_100_840),
    ("vgg11", 132_863_336),
    ("vgg11_bn", 132_868_840),
    ("vgg13", 133_047_848),
    ("vgg13_bn", 133_053_736),
    ("vgg16", 138_357_544),
    ("vgg16_bn", 138_365_992),
    ("vgg19", 143_667_240),
    ("vgg19_bn", 143_678_248),
    ("resnet18", 11_689_512),
    ("resnet34", 21_797_672),
    ("resnet50", 25_557_032),
    ("resnet101", 44_549_160),
    ("resnet152", 60_192_808),
    ("wide_resnet50_2", 68_883_240),
    ("wide_resnet101_2", 126_886_696),
    ("seresnet18", 11_779_624),
    ("seresnet34", 21_960_416),
    ("seresnet50", 28_088_024),
    ("cifar_resnet20", 269_722),
    ("cifar_resnet32", 464_154),
    ("cifar_resnet44", 658_586),
    ("cifar_resnet56", 853_018),
    ("cifar_resnet110", 1_727_962),
    ("wide_resnet16_8", 10_961_370),
    ("wide_resnet28_10", 36_479_194),
    ("wide_resnet40_4", 8_949_210),
    ("preact_resnet112", 1_730_522),
    ("googlenet", 13_004_888),
    ("inception_v3", 27_161_264),
    ("mobilenet_v2", 3_504_872),
    ("mobilenetv2_050", 1_968_680),
    ("mobilenetv2_100", 3_504_872),
    ("mobilenetv2_140", 6_108_776),
    ("efficientnet_lite0", 4_652_008),
    ("tf_efficientnet_lite0", 4_652_008),
    ("efficientnet_lite1", 5_416_680),
    ("tf_efficientnet_lite1", 5_416_680),
    ("efficientnet_lite2", 6_092_072),
    ("tf_efficientnet_lite2", 6_092_072),
    ("efficientnet_lite3", 8_197_096),
    ("tf_efficientnet_lite3", 8_197_096),
    ("efficientnet_lite4", 13_006_568),
    ("tf_efficientnet_lite4", 13_006_568),
    ("convnext_tiny", 28_589_128),
    ("convnext_small", 50_223_688),
    ("vit_tiny_patch16_224", 5_717_416),
    ("vit_small_patch8_224", 22_055_272),
    ("vit_small_patch16_224", 22_050_664),
    ("vit_small_patch32_224", 22_878_952),
    ("vit_base_patch8_224", 86_576_872),
    ("vit_base_patch16_224", 86_567_656),
    ("vit_base_patch32_224", 88_224_232),
    ("vit_tiny_patch4_32", 5_362_762),
];

fn parameters(known: &KnownNetwork) -> u64 {
    known.config.parameters(known.input, known.classes, &device()).unwrap()
}

#[test]
fn every_known_network_can_be_made_and_has_its_published_parameters() {
    let all = KnownNetwork::all();
    for known in &all {
        assert!(known.macs > 0, "{}: no products counted", known.name);
        assert_eq!(KnownNetwork::find(known.name).as_ref(), Some(known), "a name stands for one network");
    }
    let found: Vec<(&str, u64)> = all.iter().map(|known| (known.name, parameters(known))).collect();
    assert_eq!(found, PARAMETERS);
}

#[test]
fn layers_add_up_to_the_network() {
    for name in ["cifar_resnet20", "lenet5", "efficientnet_lite0"] {
        let known = KnownNetwork::find(name).unwrap();
        let network = known.config.init(known.input, known.classes, &device()).unwrap();
        let layers = summarize(&network, known.input, &device());
        assert_eq!(layers.iter().map(|layer| layer.parameters).sum::<u64>(), parameters(&known), "{name}");
        assert_eq!(layers.iter().map(|layer| layer.macs).sum::<u64>(), known.macs, "{name}");
    }
    // He et al. count 41 million for the network of 20 layers.
    assert_eq!(KnownNetwork::find("cifar_resnet20").unwrap().macs.div_ceil(1_000_000), 41);
}

/// Counts the products of all known networks: `HOMEOSTAT_PARITY` asks for it, because it takes a minute.
#[test]
#[allow(clippy::print_stderr, reason = "the table in registry.rs is made of it")]
fn products_of_full_configurations_are_counted_again() {
    if std::env::var_os("HOMEOSTAT_PARITY").is_none() {
        return;
    }
    let mut wrong = vec![];
    for known in KnownNetwork::all() {
        let network = known.config.init(known.input, known.classes, &device()).unwrap();
        let layers = summarize(&network, known.input, &device());
        let found = layers.iter().map(|layer| layer.macs).sum::<u64>();
        eprintln!("    (\"{}\", {found}),", known.name);
        if found != known.macs {
            wrong.push(known.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_names_of_published_files_end_with_the_beginning_of_their_hash() {
    for known in KnownNetwork::all() {
        let from_an_address = known.weights.is_some_and(|weights| weights.starts_with("https:"));
        assert_eq!(known.weights_hash().is_some(), from_an_address, "{}", known.name);
    }
    assert_eq!(KnownNetwork::find("resnet18").unwrap().weights_hash(), Some("f37072fd"));
}

/// `tests/fixtures/expects.py` asks torchvision and timm.
#[test]
fn published_weights_expect_what_their_publishers_say() {
    let entries: Vec<serde_json::Value> =
        include_str!("../fixtures/expects.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for entry in &entries {
        let name = entry["name"].as_str().unwrap();
        let known = KnownNetwork::find(name).unwrap();
        let Expects { resize, bicubic, mean, std } = known.expects;
        assert_eq!(Some(known.weights.unwrap()), entry["weights"].as_str(), "{name}");
        let found = serde_json::json!([known.input.height, resize, bicubic, mean, std]);
        let wanted = ["side", "resize", "bicubic", "mean", "std"].map(|key| entry[key].clone());
        assert_eq!(found, serde_json::json!(wanted), "{name}");
        if let Some(labels) = entry["labels"].as_array() {
            let found: Vec<&str> = known.labels().into_iter().step_by(333).collect();
            assert_eq!(serde_json::json!(found), serde_json::json!(labels), "{name}");
        }
    }
    for known in KnownNetwork::all().iter().filter(|known| known.weights.is_some()) {
        let listed = entries.iter().any(|entry| entry["name"] == known.name);
        assert!(listed || known.name.starts_with("cifar_resnet"), "{} has no reference", known.name);
        assert_eq!(known.labels().len(), known.classes, "{}", known.name);
    }
}
