//! Pictures that are made, from the command line: the page about them as it is written, and what is refused.

use std::fs;

use homeostat_data::Image;

use crate::{
    page::{blocks, commands},
    place::{Place, says, text},
};

#[test]
fn the_page_runs_as_it_is_written() {
    let page = include_str!("../../../../docs/generate-images.md");
    let place = Place::new();
    place.write("made.toml", blocks(page, "toml")[0]);
    let commands = commands(page);
    let lines = blocks(page, "console").into_iter().flat_map(str::lines).count();
    assert_eq!(lines, commands.len(), "each line is a command");
    assert_eq!(commands.len(), 6, "{commands:?}");
    for words in commands {
        let said = place.well(&words);
        match words[0].as_str() {
            "train" => {
                says(&said, &["elbo", "frechet", "homeostat sample"]);
                assert!(!said.contains("hardly depend on the seed"), "{said}");
            }
            "eval" => says(&said, &["elbo", "frechet"]),
            _ => {}
        }
    }
    let sheet = |name: &str| Image::decode(&fs::read(place.path(name)).unwrap()).unwrap();
    let (grid, ways) = (sheet("grid.png"), sheet("ways.png"));
    assert!(
        grid.height() == grid.width() && 2 * ways.height() < grid.height() + 20,
        "{} {}",
        grid.height(),
        ways.height()
    );
    // Where the numbers cost more than they tell, all pictures are alike; that is said.
    let collapsed =
        ["train", "made.toml", "--out", "alike", "model.vae.beta=100", "model.vae.warmup-epochs=9", "epochs=3"];
    let output = place.run(&collapsed);
    let warned = text(&output.stderr);
    says(&warned, &["warmup-epochs is 9 of 3 epochs: beta is never reached", "pictures hardly depend on the seed"]);
    let again = |name: &str, seed: &str| {
        place.well(&["sample", "runs/latest", "--png", name, "--seed", seed]);
        sheet(name)
    };
    assert_eq!(again("again.png", "1"), grid, "the same seed gives the same pictures");
    assert_ne!(again("other.png", "2"), grid, "another seed gives others");

    // What the page does not say: other experiments of it, other verbs, other kinds.
    let other = format!("{}\n{}", "name = \"other\"", blocks(page, "toml")[1]);
    place.write("other.toml", other + "\n[data]\nsource.idx = { folder = \"mnist\" }\n");
    place.well(&["config", "check", "other.toml"]);
    says(&place.refused(&["predict", "runs/latest", "grid.png"]), &["makes pictures", "homeostat sample"]);
    says(&place.refused(&["inspect", "made.toml"]), &["makes pictures"]);
    says(&place.refused(&["models", "export", "runs/latest", "w.safetensors"]), &["no names but ours"]);
    says(&place.refused(&["sample", "runs/latest", "--png", "nowhere/grid.png"]), &["cannot write"]);
    says(&place.refused(&["eval", "runs/latest", "runs/latest"]), &["makes pictures"]);
}

#[test]
fn what_makes_no_pictures_says_so() {
    let place = Place::with_run();
    says(
        &place.refused(&["sample", "runs/latest", "--png", "grid.png"]),
        &["makes no pictures", "image-classification"],
    );
}
