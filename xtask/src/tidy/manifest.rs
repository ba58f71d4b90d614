//! Rules of manifests, and of the table of crates in `ARCHITECTURE.md`. Knows no floors.

use super::{
    Breach,
    tree::{Package, Tree, key_of},
};

const BURN: &str = "\"=0.22.1\"";

/// Libraries have errors of their own; `anyhow` is for programs.
pub(super) fn anyhow_in_libraries(tree: &Tree) -> Vec<Breach> {
    let using =
        libraries(tree).filter(|package| package.dependencies.iter().any(|dependency| dependency.name == "anyhow"));
    let message = "`anyhow` in a library: a caller cannot tell its errors apart; use the crate's `thiserror` enum";
    using.map(|package| Breach::new(package.manifest(), tree.manifest_line(package, "anyhow"), message)).collect()
}

/// Every library has the lints of the workspace.
pub(super) fn lints(tree: &Tree) -> Vec<Breach> {
    let without = libraries(tree).filter(|package| {
        let text = tree.text(&package.manifest()).unwrap_or_default();
        let set = |(section, line): (&str, &str)| section == "[lints]" && line.replace(' ', "") == "workspace=true";
        !lines(text).any(|(_, section, line)| set((section, line)))
    });
    without.map(|package| Breach::new(package.manifest(), 1, "no `[lints]` with `workspace = true`: add it")).collect()
}

/// Every library has a row in the table of `ARCHITECTURE.md`.
pub(super) fn architecture(tree: &Tree) -> Vec<Breach> {
    const PAGE: &str = "ARCHITECTURE.md";
    let Some(page) = tree.text(PAGE) else {
        return vec![Breach::new(PAGE, 1, "missing: it holds the table of the crates and what each does not know")];
    };
    let has_row = |name: &str| page.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
    let without = libraries(tree).filter(|package| !has_row(&package.name));
    without.map(|package| Breach::new(PAGE, 1, format!("no row for `{}` in the table: add it", package.name))).collect()
}

/// The version of Burn is said once, exactly, for the whole workspace.
pub(super) fn burn_version(tree: &Tree) -> Vec<Breach> {
    const ROOT: &str = "Cargo.toml";
    let root = tree.text(ROOT).unwrap_or_default();
    let shared = lines(root).filter(|(_, section, line)| *section == "[workspace.dependencies]" && names_burn(line));
    let mut breaches = Vec::new();
    let mut pinned = false;
    for (line, _, text) in shared {
        pinned |= key_of(text) == Some("burn");
        if !text.contains(BURN) {
            breaches.push(Breach::new(ROOT, line, format!("Burn must be exact: {BURN}")));
        }
    }
    if !pinned {
        breaches.push(Breach::new(ROOT, 1, format!("no `burn` in [workspace.dependencies]: pin it to {BURN}")));
    }
    for package in &tree.packages {
        let path = package.manifest();
        for (line, section, text) in lines(tree.text(&path).unwrap_or_default()) {
            let own = names_burn(text)
                && section.contains("dependencies")
                && !text.replace(' ', "").contains("workspace=true");
            if own || text.starts_with('[') && text.contains("dependencies.burn") {
                breaches.push(Breach::new(
                    &path,
                    line,
                    "Burn's version stands in the root only: `burn.workspace = true`",
                ));
            }
        }
    }
    breaches
}

/// A crate is found by its name.
pub(super) fn directories(tree: &Tree) -> Vec<Breach> {
    let folder = |package: &Package| package.folder.rsplit('/').next().map(str::to_owned);
    let other = tree.packages.iter().filter(|package| folder(package).as_ref() != Some(&package.name));
    let breach = |package: &Package| {
        let message = format!("the folder is not named `{}`: rename one of them", package.name);
        Breach::new(package.manifest(), tree.manifest_line(package, "name"), message)
    };
    other.map(breach).collect()
}

fn libraries(tree: &Tree) -> impl Iterator<Item = &Package> {
    tree.packages.iter().filter(|package| package.is_library())
}

fn names_burn(line: &str) -> bool {
    key_of(line).is_some_and(|key| key == "burn" || key.starts_with("burn-"))
}

/// The lines of a manifest, each with its number and the section it stands in.
fn lines(manifest: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let mut section = "";
    manifest.lines().enumerate().map(move |(at, line)| {
        let line = line.trim();
        if line.starts_with('[') {
            section = line;
        }
        (at + 1, section, line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    const ROOT: &str = "[workspace.dependencies]\nburn = { version = \"=0.22.1\" }\n";

    fn tree(root: &str, package: Package, manifest: &str) -> Tree {
        let path = package.manifest();
        Tree { packages: vec![package], ..Tree::of_files(&[("Cargo.toml", root), (&path, manifest)]) }
    }

    #[test]
    fn libraries_do_without_anyhow() {
        let manifest = "[dependencies]\nanyhow.workspace = true\n";
        let library = tree(ROOT, Package::at("crates/a").needs(&["anyhow"]), manifest);
        assert_eq!(places(&anyhow_in_libraries(&library)), ["crates/a/Cargo.toml:2"]);
        for clean in [Package::at("apps/a").needs(&["anyhow"]), Package::at("crates/a").needs(&["thiserror"])] {
            assert_eq!(anyhow_in_libraries(&tree(ROOT, clean, manifest)), []);
        }
    }

    #[test]
    fn libraries_share_the_lints() {
        for (manifest, clean) in [
            ("[package]\n\n[lints]\nworkspace = true\n", true),
            ("[package]\n\n[lints]\n", false),
            ("[lints.rust]\nworkspace = true\n", false),
            ("[dependencies]\nworkspace = true\n", false),
        ] {
            assert_eq!(lints(&tree(ROOT, Package::at("crates/a"), manifest)).is_empty(), clean, "{manifest}");
        }
    }

    #[test]
    fn the_table_of_crates_is_whole() {
        let page = "`b` and `c` are crates.\n| crate |\n|---|\n| `a` | says |\n| `cc` | uses b |\n";
        let packages = ["crates/a", "crates/b", "crates/c", "apps/d"].map(Package::at);
        let mut tree = Tree::of_packages(packages);
        assert_eq!(places(&architecture(&tree)), ["ARCHITECTURE.md:1"]);
        tree.files = Tree::of_files(&[("ARCHITECTURE.md", page)]).files;
        let found: Vec<String> = architecture(&tree).iter().map(|breach| breach.message.clone()).collect();
        assert_eq!(found, ["no row for `b` in the table: add it", "no row for `c` in the table: add it"]);
    }

    #[test]
    fn burn_is_pinned_once() {
        for (root, manifest, wanted) in [
            (ROOT, "[dependencies]\nburn.workspace = true\n", None),
            (ROOT, "[dependencies]\nburn = { workspace = true, features = [\"store\"] }\n", None),
            (ROOT, "[features]\nburn = []\n", None),
            ("[workspace.dependencies]\nburn = \"0.22.1\"\n", "", Some("Cargo.toml:2")),
            ("[workspace.dependencies]\nserde = \"1\"\n", "", Some("Cargo.toml:1")),
            ("[workspace.dependencies]\nburn = \"=0.22.1\"\nburn-flex = \"0.22\"\n", "", Some("Cargo.toml:3")),
            (ROOT, "[dev-dependencies]\nburn = \"=0.22.1\"\n", Some("crates/a/Cargo.toml:2")),
            (ROOT, "[dependencies]\n\n[dependencies.burn]\n", Some("crates/a/Cargo.toml:3")),
        ] {
            let found = places(&burn_version(&tree(root, Package::at("crates/a"), manifest)));
            assert_eq!(found.first().map(String::as_str), wanted, "{root}{manifest}");
        }
    }

    #[test]
    fn a_folder_has_the_name_of_its_crate() {
        let moved = Package { name: "b".to_owned(), ..Package::at("crates/a") };
        let breaches = directories(&tree(ROOT, moved, "[package]\nname = \"b\"\n"));
        assert_eq!(places(&breaches), ["crates/a/Cargo.toml:2"]);
        assert_eq!(directories(&tree(ROOT, Package::at("crates/a"), "")), []);
    }
}
