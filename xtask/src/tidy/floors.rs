//! Who may know whom: the floors of the house, and where backends and feature switches may stand.

use super::{
    Breach,
    rust_code::{code_only, words},
    tree::{Dependency, Package, Tree},
};

/// A crate's floor, and what it never reaches: not itself, and not through our other crates.
struct Room {
    name: &'static str,
    floor: u8,
    never: &'static [&'static str],
}

const fn room(name: &'static str, floor: u8, never: &'static [&'static str]) -> Room {
    Room { name, floor, never }
}

/// The house. A dependency goes to a lower floor, always; `ARCHITECTURE.md` has the same table in words.
const FLOORS: &[Room] = &[
    room("homeostat-artifact", 1, &["burn"]),
    room("homeostat-config", 1, &["burn"]),
    room("homeostat-control", 1, &["burn"]),
    room("homeostat-data", 1, &["burn"]),
    room("homeostat-device", 1, &[]),
    room("homeostat-fetch", 1, &["burn"]),
    room("homeostat-kernels", 1, &[]),
    room("homeostat-metrics", 1, &["burn"]),
    room("homeostat-search", 1, &["burn"]),
    room("homeostat-protocol", 1, &["burn"]),
    room("homeostat-models", 2, &["homeostat-data", "homeostat-device"]),
    room("homeostat-task", 2, &[]),
    room("homeostat-deploy", 3, &["homeostat-train"]),
    room("homeostat-explain", 3, &["homeostat-serve"]),
    room("homeostat-report", 3, &["burn"]),
    room("homeostat-tasks", 3, &["homeostat-train", "homeostat-serve"]),
    room("homeostat-train", 3, &["homeostat-tasks", "homeostat-serve"]),
    room("homeostat-experiment", 4, &["homeostat-serve"]),
    room("homeostat-serve", 4, &["homeostat-train"]),
];

const APPS: u8 = 5;
/// Benches compare everything with everything.
const BENCHES: u8 = 6;

/// The arrows that do not go down, each with its reason.
const LEVEL_ARROWS: &[(&str, &str, &str)] =
    &[("homeostat-device", "homeostat-kernels", "the device opens the backends that the kernels extend")];

/// The only crates with backends.
const BACKEND_ROOMS: &[&str] = &["homeostat-device", "homeostat-kernels"];

const BACKEND_CRATES: &[&str] = &[
    "burn-candle",
    "burn-cpu",
    "burn-cuda",
    "burn-flex",
    "burn-ndarray",
    "burn-remote",
    "burn-rocm",
    "burn-router",
    "burn-tch",
    "burn-wgpu",
];

/// Features that build a backend: those of `burn`, and ours.
const BACKEND_FEATURES: &[&str] =
    &["cpu", "cuda", "flex", "metal", "ndarray", "remote", "rocm", "tch", "vulkan", "webgpu", "wgpu"];

/// A crate uses crates of lower floors only, and reaches nothing that it must not know. What only tests use is free.
pub(super) fn arrows(tree: &Tree) -> Vec<Breach> {
    tree.packages.iter().flat_map(|package| from(tree, package)).collect()
}

fn from(tree: &Tree, package: &Package) -> Vec<Breach> {
    let breach = |key: &str, message| Breach::new(package.manifest(), tree.manifest_line(package, key), message);
    let name = &package.name;
    let Some(floor) = floor(package) else {
        return vec![breach("name", format!("no floor for {name}: add it to FLOORS in xtask/src/tidy/floors.rs"))];
    };
    let mut breaches = Vec::new();
    for dependency in shipped(package) {
        let below = tree.package(&dependency.name).and_then(self::floor);
        let level = LEVEL_ARROWS.iter().any(|(a, b, _)| a == name && *b == dependency.name);
        if below.is_some_and(|below| below >= floor) && !level {
            let wanted = format!("{name} (floor {floor}) must not use {}, which is not below it", dependency.name);
            breaches.push(breach(&dependency.key, format!("{wanted}: move the code down, or to a crate above both")));
        }
    }
    for unknown in FLOORS.iter().filter(|room| room.name == name).flat_map(|room| room.never) {
        if let Some(path) = path_to(tree, package, unknown) {
            let line = path.split(" -> ").nth(1).unwrap_or(unknown);
            breaches.push(breach(line, format!("{name} must not know {unknown} ({path}): remove that dependency")));
        }
    }
    breaches.extend(burn_in_tests(package).map(|key| {
        breach(
            key,
            format!("{name} must not know burn, in its tests neither: test what needs tensors in a crate above"),
        )
    }));
    breaches
}

/// xtask is below everything: it may use no crate of ours.
fn floor(package: &Package) -> Option<u8> {
    match package.folder.split('/').next()? {
        "xtask" => Some(0),
        "apps" => Some(APPS),
        "benches" => Some(BENCHES),
        "examples" => Some(APPS),
        _ => FLOORS.iter().find(|room| room.name == package.name).map(|room| room.floor),
    }
}

fn shipped(package: &Package) -> impl Iterator<Item = &Dependency> {
    package.dependencies.iter().filter(|dependency| !dependency.dev)
}

/// How `package` reaches `goal` over shipped dependencies: `a -> b -> goal`. Cargo refuses cycles, so this ends.
fn path_to(tree: &Tree, package: &Package, goal: &str) -> Option<String> {
    shipped(package).find_map(|dependency| {
        if dependency.name == goal {
            return Some(format!("{} -> {goal}", package.name));
        }
        let rest = path_to(tree, tree.package(&dependency.name)?, goal)?;
        Some(format!("{} -> {rest}", package.name))
    })
}

fn burn_in_tests(package: &Package) -> impl Iterator<Item = &str> {
    let without = FLOORS.iter().any(|room| room.name == package.name && room.never.contains(&"burn"));
    let tests = package.dependencies.iter().filter(move |dependency| without && dependency.dev);
    tests.filter(|dependency| dependency.name == "burn").map(|dependency| dependency.key.as_str())
}

/// No crate but the backend rooms names a backend, as a crate or as a feature of a dependency.
pub(super) fn backend_dependencies(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for package in outside_backend_rooms(tree) {
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let is_backend = BACKEND_CRATES.contains(&name) || name.starts_with("cubecl");
            // A library's tests need a device to run on.
            let may_choose = BACKEND_ROOMS.contains(&name) && (dependency.dev || !package.is_library());
            let has_features = (name == "burn" || BACKEND_ROOMS.contains(&name)) && !may_choose;
            if is_backend || has_features && dependency.features.iter().any(|on| is_backend_feature(on)) {
                let message = format!("{name} brings a backend in: only homeostat-device and homeostat-kernels may");
                breaches.push(Breach::new(package.manifest(), tree.manifest_line(package, &dependency.key), message));
            }
        }
    }
    breaches
}

/// No crate but the backend rooms has backend features; apps and benches forward them to our crates.
pub(super) fn backend_features(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for package in outside_backend_rooms(tree) {
        for (feature, on) in &package.features {
            let burn =
                on.iter().any(|on| on.split_once('/').is_some_and(|(of, on)| is_burn(of) && is_backend_feature(on)));
            if burn || package.is_library() && is_backend_feature(feature) {
                let line = tree.manifest_line(package, feature);
                let message =
                    format!("backend feature `{feature}`: only homeostat-device and homeostat-kernels have them");
                breaches.push(Breach::new(package.manifest(), line, format!("{message} (an app forwards to these)")));
            }
        }
    }
    breaches
}

fn is_backend_feature(feature: &str) -> bool {
    BACKEND_FEATURES.contains(&feature)
}

fn is_burn(name: &str) -> bool {
    name.trim_end_matches('?') == "burn"
}

fn outside_backend_rooms(tree: &Tree) -> impl Iterator<Item = &Package> {
    tree.packages.iter().filter(|package| !BACKEND_ROOMS.contains(&package.name.as_str()))
}

/// Code that differs by feature stands in the backend rooms only.
pub(super) fn feature_switches(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let in_room = |path: &str| BACKEND_ROOMS.iter().any(|room| path.starts_with(&format!("crates/{room}/")));
    for (path, text) in tree.rust().filter(|(path, _)| !in_room(path)) {
        let code = code_only(text);
        for (line, _, rest) in words(&code).filter(|(_, word, _)| matches!(*word, "cfg" | "cfg_attr")) {
            let asks = |(_, word, rest): (usize, &str, &str)| word == "feature" && rest.trim_start().starts_with('=');
            if words(in_brackets(rest)).any(asks) {
                let message = "`cfg(feature)`: only homeostat-device and homeostat-kernels may; choose at run time";
                breaches.push(Breach::new(path, line, message));
            }
        }
    }
    breaches
}

/// What stands between the bracket at the start (`!` may precede it) and the one that closes it.
fn in_brackets(code: &str) -> &str {
    let Some(inner) = code.trim_start_matches('!').strip_prefix('(') else { return "" };
    let mut depth = 1;
    let close = inner.find(|c| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 0
    });
    &inner[..close.unwrap_or(inner.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    fn library(name: &str) -> Package {
        Package::at(&format!("crates/{name}"))
    }

    fn messages(breaches: &[Breach]) -> String {
        breaches.iter().map(|breach| format!("{breach}\n")).collect()
    }

    #[test]
    fn arrows_that_go_down_pass() {
        let tree = Tree::of_packages([
            library("homeostat-data").needs(&["serde"]),
            library("homeostat-kernels").needs(&["burn"]),
            library("homeostat-device").needs(&["burn", "homeostat-kernels"]),
            library("homeostat-models").needs(&["burn", "homeostat-kernels"]).needs_in_tests("homeostat-device"),
            library("homeostat-train").needs(&["homeostat-models", "homeostat-data"]).needs_in_tests("homeostat-tasks"),
            library("homeostat-tasks").needs(&["homeostat-models"]),
            Package::at("apps/homeostat").needs(&["homeostat-train", "homeostat-tasks"]),
            Package::at("benches").needs(&["homeostat"]),
            Package::at("xtask").needs(&["anyhow"]),
        ]);
        assert_eq!(messages(&arrows(&tree)), "");
    }

    #[test]
    fn every_arrow_that_does_not_go_down_is_found() {
        for (package, wanted) in [
            (library("homeostat-data").needs(&["homeostat-train"]), "(floor 1) must not use homeostat-train"),
            (library("homeostat-data").needs(&["homeostat-config"]), "(floor 1) must not use homeostat-config"),
            (library("homeostat-kernels").needs(&["homeostat-device"]), "(floor 1) must not use homeostat-device"),
            (library("homeostat-tasks").needs(&["homeostat-train"]), "(floor 3) must not use homeostat-train"),
            (Package::at("apps/one").needs(&["two"]), "(floor 5) must not use two"),
            (Package::at("xtask").needs(&["homeostat-config"]), "(floor 0) must not use homeostat-config"),
            (library("homeostat-attic"), "no floor for homeostat-attic"),
        ] {
            let others = ["homeostat-train", "homeostat-config", "homeostat-device"].map(library);
            let tree = Tree::of_packages([package, Package::at("apps/two")].into_iter().chain(others));
            assert!(messages(&arrows(&tree)).contains(wanted), "{wanted}: {:?}", arrows(&tree));
        }
    }

    #[test]
    fn what_a_crate_must_not_know_is_found_at_any_distance() {
        let tree = Tree::of_packages([
            library("homeostat-data").needs_in_tests("burn"),
            library("homeostat-train").needs(&["burn"]),
            library("homeostat-report").needs(&["homeostat-models"]),
            library("homeostat-models").needs(&["burn"]),
            library("homeostat-explain").needs(&["homeostat-train"]),
            library("homeostat-serve").needs(&["homeostat-explain"]),
        ]);
        let found = messages(&arrows(&tree));
        for wanted in [
            "homeostat-data must not know burn, in its tests neither",
            "(homeostat-report -> homeostat-models -> burn)",
            "(homeostat-serve -> homeostat-explain -> homeostat-train)",
        ] {
            assert!(found.contains(wanted), "{wanted} not in {found}");
        }
    }

    #[test]
    fn the_breach_stands_at_the_line_of_the_dependency() {
        let manifest = "[package]\nname = \"homeostat-data\"\n[dependencies]\nserde = \"1\"\nburn.workspace = true\n";
        let mut tree = Tree::of_files(&[("crates/homeostat-data/Cargo.toml", manifest)]);
        tree.packages = vec![library("homeostat-data").needs(&["serde", "burn"])];
        assert_eq!(places(&arrows(&tree)), ["crates/homeostat-data/Cargo.toml:5"]);
    }

    #[test]
    fn the_house_has_no_way_up_in_its_exceptions() {
        let floor = |name: &str| FLOORS.iter().find(|room| room.name == name).map(|room| room.floor);
        for (from, to, reason) in LEVEL_ARROWS {
            assert!(floor(from).is_some() && floor(from) == floor(to), "{from} -> {to} is not level");
            assert!(!reason.is_empty());
        }
    }

    #[test]
    fn backends_stay_in_their_rooms() {
        let clean = Tree::of_packages([
            library("homeostat-device")
                .needs(&["burn-flex"])
                .needs_with("burn", "cuda")
                .feature("cuda", &["burn/cuda"]),
            library("homeostat-train").needs_with("burn", "autodiff").feature("slow-tests", &[]),
            library("homeostat-models").needs_in_tests("homeostat-device"),
            Package::at("apps/homeostat")
                .needs_with("homeostat-device", "cpu")
                .feature("cuda", &["homeostat-device/cuda"]),
        ]);
        assert_eq!(messages(&backend_dependencies(&clean)) + &messages(&backend_features(&clean)), "");

        for package in [
            library("homeostat-train").needs(&["burn-ndarray"]),
            library("homeostat-train").needs_in_tests("cubecl-cuda"),
            library("homeostat-train").needs_with("burn", "flex"),
            library("homeostat-train").needs_with("homeostat-device", "cuda"),
            Package::at("apps/homeostat").needs_with("burn", "ndarray"),
        ] {
            assert_eq!(backend_dependencies(&Tree::of_packages([package])).len(), 1);
        }
        for package in [
            library("homeostat-train").feature("gpu", &["burn/cuda"]),
            library("homeostat-train").feature("cuda", &["homeostat-device/cuda"]),
            Package::at("apps/homeostat").feature("cuda", &["burn?/cuda"]),
        ] {
            assert_eq!(backend_features(&Tree::of_packages([package])).len(), 1);
        }
    }

    #[test]
    fn feature_switches_stay_in_their_rooms() {
        let tree = Tree::of_files(&[
            ("crates/homeostat-device/src/lib.rs", "#[cfg(feature = \"cuda\")]\nfn open() {}"),
            ("crates/homeostat-data/src/lib.rs", "#[cfg(test)]\nlet feature = 1; // cfg(feature = \"x\")"),
            ("crates/homeostat-data/src/a.rs", "fn a() {}\n#[cfg(all(unix, feature = \"x\"))]\nfn b() {}"),
            (
                "apps/homeostat/src/main.rs",
                "#[cfg_attr(\n    feature = \"x\",\n    inline\n)]\nfn c() { if cfg!(feature = \"y\") {} }",
            ),
        ]);
        let wanted =
            ["crates/homeostat-data/src/a.rs:2", "apps/homeostat/src/main.rs:1", "apps/homeostat/src/main.rs:5"];
        assert_eq!(places(&feature_switches(&tree)), wanted);
    }
}
