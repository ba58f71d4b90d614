//! Pictures that are made, from the command line: the page about them as it is written, and what is refused.

use std::{fs, path::Path};

use homeostat_data::Image;

use crate::place::{Place, says};

/// The blocks of a language on a page.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    page.split(&opening).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_page_runs_as_it_is_written() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/generate-images.md");
    let page = fs::read_to_string(page).unwrap();
    let place = Place::new();
    place.write("made.toml", blocks(&page, "toml")[0]);
    let commands: Vec<&str> = blocks(&page, "console").iter().flat_map(|block| block.lines()).collect();
    assert_eq!(commands.len(), 6, "{commands:?}");
    for line in commands {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[..2], ["$", "homeostat"], "{line}");
        let said = place.well(&words[2..]);
        match words[2] {
            "train" => says(&said, &["elbo", "frechet", "homeostat sample"]),
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
    let again = |name: &str, seed: &str| {
        place.well(&["sample", "runs/latest", "--png", name, "--seed", seed]);
        sheet(name)
    };
    assert_eq!(again("again.png", "1"), grid, "the same seed gives the same pictures");
    assert_ne!(again("other.png", "2"), grid, "another seed gives others");

    // What the page does not say: other experiments of it, other verbs, other kinds.
    let other = format!("{}\n{}", "name = \"other\"", blocks(&page, "toml")[1]);
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
