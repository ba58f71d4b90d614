//! What the rules read: the packages of the workspace and the files that git knows or would take. Knows no rule.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::workspace::Workspace;

/// A file above this size (bytes) is not read.
pub(super) const LARGE: u64 = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) packages: Vec<Package>,
    pub(super) files: Vec<File>,
}

#[derive(Debug, Default)]
pub(super) struct Package {
    pub(super) name: String,
    /// Relative to the root, with `/`.
    pub(super) folder: String,
    pub(super) dependencies: Vec<Dependency>,
    pub(super) features: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Default)]
pub(super) struct Dependency {
    pub(super) name: String,
    /// The name in the manifest, which differs for a renamed one.
    pub(super) key: String,
    /// Only tests, examples and benches see it.
    pub(super) dev: bool,
    pub(super) features: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct File {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    pub(super) bytes: u64,
    /// Absent for what is large or no text.
    pub(super) text: Option<String>,
}

impl Tree {
    pub(super) fn read(workspace: &Workspace) -> Result<Self> {
        let metadata = workspace.metadata()?;
        // Both from cargo, so that a link on the way to the checkout changes nothing.
        let root = text(&metadata["workspace_root"])?;
        let packages = list(&metadata["packages"])?;
        let packages = packages.iter().map(|package| Package::read(package, root)).collect::<Result<_>>()?;
        Ok(Self { packages, files: files(workspace)? })
    }

    /// The Rust files, with their text.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// All files that are text.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|file| Some((file.path.as_str(), file.text.as_deref()?)))
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.texts().find(|(other, _)| *other == path).map(|(_, text)| text)
    }

    pub(super) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// The first line of a package's manifest that sets `key`; 1 if none does.
    pub(super) fn manifest_line(&self, package: &Package, key: &str) -> usize {
        let text = self.text(&package.manifest()).unwrap_or_default();
        text.lines().position(|line| key_of(line) == Some(key)).map_or(1, |at| at + 1)
    }
}

impl Package {
    fn read(value: &Value, root: &str) -> Result<Self> {
        let manifest = text(&value["manifest_path"])?.strip_prefix(root).context("a package outside the workspace")?;
        let folder = manifest.replace('\\', "/");
        let features = value["features"].as_object().context("a package without features")?;
        Ok(Self {
            name: text(&value["name"])?.to_owned(),
            folder: folder.trim_start_matches('/').trim_end_matches("/Cargo.toml").to_owned(),
            dependencies: list(&value["dependencies"])?.iter().map(Dependency::read).collect::<Result<_>>()?,
            features: features.iter().map(|(name, on)| Ok((name.clone(), texts(on)?))).collect::<Result<_>>()?,
        })
    }

    pub(super) fn manifest(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }

    /// A library, which stands under `crates/`.
    pub(super) fn is_library(&self) -> bool {
        self.folder.starts_with("crates/")
    }
}

impl Dependency {
    fn read(value: &Value) -> Result<Self> {
        let name = text(&value["name"])?;
        Ok(Self {
            name: name.to_owned(),
            key: value["rename"].as_str().unwrap_or(name).to_owned(),
            dev: value["kind"] == "dev",
            features: texts(&value["features"])?,
        })
    }
}

/// The key that a line of TOML sets: `burn` of `burn.workspace = true`.
pub(super) fn key_of(line: &str) -> Option<&str> {
    let (before, _) = line.split_once('=')?;
    let key = before.split('.').next()?.trim().trim_matches('"');
    (!key.is_empty() && !key.starts_with('#')).then_some(key)
}

/// What git tracks, and what it would take: a breach shows before it is committed.
fn files(workspace: &Workspace) -> Result<Vec<File>> {
    let mut git = Command::new("git");
    git.current_dir(&workspace.root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.output().context("cannot start git, which lists the files")?;
    ensure!(output.status.success(), "git cannot list files: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    let listed = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    let mut paths: Vec<&str> = listed.split_terminator('\0').collect();
    paths.sort_unstable();
    paths.dedup();
    paths.into_iter().filter_map(|path| file(workspace, path).transpose()).collect()
}

/// `None` for a link, and for a file that was removed since git saw it.
fn file(workspace: &Workspace, path: &str) -> Result<Option<File>> {
    let on_disk = workspace.root.join(path);
    let Ok(metadata) = fs::symlink_metadata(&on_disk) else { return Ok(None) };
    if !metadata.is_file() {
        return Ok(None);
    }
    let bytes = metadata.len();
    let text = if bytes > LARGE {
        None
    } else {
        let content = fs::read(&on_disk).with_context(|| format!("cannot read {path}"))?;
        String::from_utf8(content).ok().filter(|text| !text.contains('\0'))
    };
    Ok(Some(File { path: path.to_owned(), bytes, text }))
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("`cargo metadata` has {value} in place of a string"))
}

fn list(value: &Value) -> Result<&[Value]> {
    value.as_array().map(Vec::as_slice).with_context(|| format!("`cargo metadata` has {value} in place of a list"))
}

fn texts(value: &Value) -> Result<Vec<String>> {
    list(value)?.iter().map(|entry| Ok(text(entry)?.to_owned())).collect()
}

/// Made-up trees for the tests of the rules.
#[cfg(test)]
impl Tree {
    pub(super) fn of_files(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| File::of(path, text)).collect(), ..Self::default() }
    }

    pub(super) fn of_packages(packages: impl IntoIterator<Item = Package>) -> Self {
        Self { packages: packages.into_iter().collect(), ..Self::default() }
    }
}

#[cfg(test)]
impl File {
    pub(super) fn of(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), bytes: text.len() as u64, text: Some(text.to_owned()) }
    }
}

#[cfg(test)]
impl Package {
    /// A package named after its folder.
    pub(super) fn at(folder: &str) -> Self {
        let name = folder.rsplit('/').next().unwrap().to_owned();
        Self { name, folder: folder.to_owned(), ..Self::default() }
    }

    pub(super) fn needs(mut self, names: &[&str]) -> Self {
        self.dependencies.extend(names.iter().map(|name| Dependency::of(name)));
        self
    }

    pub(super) fn needs_in_tests(mut self, name: &str) -> Self {
        self.dependencies.push(Dependency { dev: true, ..Dependency::of(name) });
        self
    }

    pub(super) fn needs_with(mut self, name: &str, feature: &str) -> Self {
        self.dependencies.push(Dependency { features: vec![feature.to_owned()], ..Dependency::of(name) });
        self
    }

    pub(super) fn feature(mut self, name: &str, on: &[&str]) -> Self {
        self.features.insert(name.to_owned(), on.iter().map(|&on| on.to_owned()).collect());
        self
    }
}

#[cfg(test)]
impl Dependency {
    fn of(name: &str) -> Self {
        Self { name: name.to_owned(), key: name.to_owned(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_read_as_cargo_tells_it() {
        let value = serde_json::json!({
            "name": "homeostat-data",
            "manifest_path": "/checkout/crates/homeostat-data/Cargo.toml",
            "features": { "fast": ["burn/flex"] },
            "dependencies": [
                { "name": "burn", "rename": "b", "kind": "dev", "features": ["std"] },
                { "name": "serde", "rename": null, "kind": null, "features": [] },
            ],
        });
        let package = Package::read(&value, "/checkout").unwrap();
        assert_eq!((package.name.as_str(), package.folder.as_str()), ("homeostat-data", "crates/homeostat-data"));
        assert_eq!(package.features["fast"], ["burn/flex"]);
        let [burn, serde] = &package.dependencies[..] else { panic!("{package:?}") };
        assert_eq!((burn.name.as_str(), burn.key.as_str(), burn.dev), ("burn", "b", true));
        assert_eq!((serde.key.as_str(), serde.dev), ("serde", false));
    }

    #[test]
    fn a_line_of_toml_gives_its_key() {
        for (line, key) in [
            ("burn.workspace = true", Some("burn")),
            ("burn = { version = \"1\" }", Some("burn")),
            ("\"burn\" = \"1\"", Some("burn")),
            ("burn-flex=\"1\"", Some("burn-flex")),
            ("# burn = 1", None),
            ("[dependencies]", None),
        ] {
            assert_eq!(key_of(line), key, "{line}");
        }
    }
}
