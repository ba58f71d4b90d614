//! Scanned as files, a folder a class, perhaps below `train`, `val` and `test`, each of which may be an archive. It does not decode.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use super::archive::Archive;
use super::pictures::{Held, Pictures};
use super::{Catalog, Given, Part, Source, title_of};
use crate::error::short;
use crate::labels::Labels;
use crate::strings::Strings;
use crate::{DataError, DataRoot};

const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "gif"];
pub(super) const ARCHIVE_ENDINGS: [&str; 3] = [".tar", ".tar.gz", ".tgz"];

/// A folder of pictures, one folder a class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImageFolderConfig {
    /// The folder, relative to the data root. Below it lie either the classes, or `train`, `val` (or `valid`, `validation`) and
    /// `test` with the classes below those; or one archive of all that.
    pub folder: String,
}

impl ImageFolderConfig {
    pub(super) fn open(&self, root: &DataRoot) -> Result<Source, DataError> {
        let folder = root.find(&self.folder)?;
        let mut ignored = Ignored::default();
        let mut parts = Vec::new();
        for entry in entries(&folder)? {
            let Some((stem, given)) = given_by(&entry) else { continue };
            let pictures = if entry.is_dir() {
                scan_folder(&folder, &entry, &mut ignored)?
            } else {
                scan_archive(&entry, &stem, None, &mut ignored)?
            };
            parts.push((Some(given), pictures));
        }
        if parts.is_empty() {
            parts = match only_archive(&folder)? {
                Some((path, stem)) => scan_whole(&path, &stem, &mut ignored)?,
                None => vec![(None, scan_folder(&folder, &folder, &mut ignored)?)],
            };
        }
        parts.sort_by_key(|(given, _)| *given);
        ignored.warn(&folder);
        if let Some(pair) = parts.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let why = format!("both {} and {} are there; keep one of them", pair[0].1.name, pair[1].1.name);
            return Err(DataError::format(&folder, why));
        }
        assemble(folder, parts)
    }
}

/// The pictures of one part: names as they are shown, each with the class in which it lies.
struct Scanned {
    name: String,
    /// The class of each picture, a place in `classes`, and its name.
    files: Vec<(u32, String)>,
    classes: Vec<String>,
    archive: Option<Archive>,
}

/// The part that an entry of the folder is by its name, if it is one, and the name without ending.
fn given_by(path: &Path) -> Option<(String, Given)> {
    let name = title_of(path);
    let stem = if path.is_dir() { &name } else { archive_stem(&name)? };
    part_of(stem).map(|given| (stem.to_owned(), given))
}

fn archive_stem(name: &str) -> Option<&str> {
    ARCHIVE_ENDINGS.iter().find_map(|ending| name.strip_suffix(ending))
}

fn part_of(name: &str) -> Option<Given> {
    match name {
        "train" => Some(Given::Train),
        "val" | "valid" | "validation" => Some(Given::Valid),
        "test" => Some(Given::Test),
        _ => None,
    }
}

/// The archive that is the whole data set, and its name without ending: the only one, beside which there are no folders.
fn only_archive(folder: &Path) -> Result<Option<(PathBuf, String)>, DataError> {
    let entries = entries(folder)?;
    let mut archives =
        entries.iter().filter_map(|path| Some((path.clone(), archive_stem(&title_of(path))?.to_owned())));
    Ok(match (archives.next(), archives.next()) {
        (Some(only), None) if !entries.iter().any(|path| path.is_dir()) => Some(only),
        _ => None,
    })
}

/// The pictures of an archive with classes inside, or with parts and the classes in those.
fn scan_whole(path: &Path, stem: &str, ignored: &mut Ignored) -> Result<Vec<(Option<Given>, Scanned)>, DataError> {
    let whole = scan_archive(path, stem, None, ignored)?;
    if whole.classes.is_empty() || whole.classes.iter().any(|class| part_of(class).is_none()) {
        return Ok(vec![(None, whole)]);
    }
    let scan = |part: &String| Ok((part_of(part), scan_archive(path, stem, Some(part), &mut Ignored::default())?));
    whole.classes.iter().map(scan).collect()
}

fn assemble(folder: PathBuf, parts: Vec<(Option<Given>, Scanned)>) -> Result<Source, DataError> {
    for (_, pictures) in &parts {
        if pictures.files.is_empty() {
            let why = format!(
                "no pictures in {}; it should hold a folder for each class, with {} files in it",
                pictures.name,
                ENDINGS.join(", ")
            );
            return Err(DataError::format(&folder, why));
        }
    }
    let classes = agree_on_classes(&folder, &parts)?;
    let (mut labels, mut names, mut marks, mut archives) = (Vec::new(), Strings::default(), Vec::new(), Vec::new());
    for (given, pictures) in parts {
        let places: Vec<u32> = pictures.classes.iter().map(|class| place(&classes, class)).collect();
        marks.push(Part { name: pictures.name, given, start: labels.len() });
        archives.push(pictures.archive);
        for (class, name) in &pictures.files {
            labels.push(places[*class as usize]);
            names.push(name);
        }
    }
    let (labels, groups, left_out) = (Labels::One(labels), Vec::new(), Vec::new());
    let catalog = Catalog { title: title_of(&folder), classes, labels, groups, parts: marks, left_out };
    Ok(Source::new(catalog, Pictures::new(Held::Files { folder, names, archives })))
}

fn place(classes: &[String], class: &str) -> u32 {
    let place = classes.iter().position(|known| known == class);
    place.and_then(|place| u32::try_from(place).ok()).expect("every class was agreed on")
}

/// The classes of the part to train with, which the other parts must not exceed; of all parts if there is none to train with.
fn agree_on_classes(folder: &Path, parts: &[(Option<Given>, Scanned)]) -> Result<Vec<String>, DataError> {
    let Some((_, train)) = parts.iter().find(|(given, _)| *given == Some(Given::Train)) else {
        let all: BTreeSet<&String> = parts.iter().flat_map(|(_, pictures)| &pictures.classes).collect();
        return Ok(all.into_iter().cloned().collect());
    };
    for (_, other) in parts {
        if let Some(extra) = other.classes.iter().find(|class| !train.classes.contains(class)) {
            let why = format!("{} has the class `{}`, which {} has not", other.name, short(extra), train.name);
            return Err(DataError::format(folder, why));
        }
        let absent: Vec<&str> =
            train.classes.iter().filter(|class| !other.classes.contains(class)).map(String::as_str).collect();
        if !absent.is_empty() {
            tracing::warn!("{}: the part {} lacks the classes {}", folder.display(), other.name, absent.join(", "));
        }
    }
    Ok(train.classes.clone())
}

/// The pictures below `part`, with names relative to `folder`.
fn scan_folder(folder: &Path, part: &Path, ignored: &mut Ignored) -> Result<Scanned, DataError> {
    let mut pictures = Scanned { name: title_of(part), files: Vec::new(), classes: Vec::new(), archive: None };
    for class in entries(part)? {
        if !class.is_dir() {
            ignored.note_stray(&class);
            continue;
        }
        let files = class_files(folder, &class, ignored)?;
        if files.is_empty() {
            tracing::warn!("{}: a class folder without pictures is left out", class.display());
            continue;
        }
        let label = u32::try_from(pictures.classes.len()).unwrap_or(u32::MAX);
        pictures.classes.push(utf8(&class, class.file_name().and_then(|name| name.to_str()))?.to_owned());
        pictures.files.extend(files.into_iter().map(|file| (label, file)));
    }
    if pictures.files.is_empty()
        && let Some(stray) = &ignored.stray
    {
        let why =
            format!("{} lies directly in it; put the pictures of each class into a folder of its own", title_of(stray));
        return Err(DataError::format(part, why));
    }
    Ok(pictures)
}

/// The pictures of a class at any depth, sorted, with names relative to `folder`.
fn class_files(folder: &Path, class: &Path, ignored: &mut Ignored) -> Result<Vec<String>, DataError> {
    let visible = |entry: &walkdir::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
    let mut files = Vec::new();
    for entry in WalkDir::new(class).follow_links(true).sort_by_file_name().into_iter().filter_entry(visible) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(class).to_owned();
            DataError::Read { path, source: error.into() }
        })?;
        if entry.file_type().is_file() && ignored.accepts(entry.path()) {
            let relative = entry.path().strip_prefix(folder).unwrap_or(entry.path());
            files.push(utf8(entry.path(), relative.to_str())?.replace('\\', "/"));
        }
    }
    Ok(files)
}

/// The pictures in an archive with `class/file` inside, perhaps below one folder with the name of the archive, or below a part's.
fn scan_archive(path: &Path, stem: &str, part: Option<&str>, ignored: &mut Ignored) -> Result<Scanned, DataError> {
    let title = title_of(path);
    let (archive, files) = Archive::open(path, |inside| {
        let mut steps: Vec<&str> = inside.split('/').filter(|step| !matches!(*step, "" | ".")).collect();
        for above in [Some(stem), part].into_iter().flatten() {
            if steps.len() > 2 && steps[0] == above {
                steps.remove(0);
            } else if part == Some(above) {
                return None;
            }
        }
        let hidden = steps.iter().any(|step| step.starts_with('.'));
        let accepted = !hidden && steps.len() >= 2 && ignored.accepts(Path::new(inside));
        accepted.then(|| (steps[0].to_owned(), steps.join("/")))
    })?;
    let name = part.map_or_else(|| title.clone(), |part| format!("{title}/{part}"));
    let mut pictures = Scanned { name: name.clone(), files: Vec::new(), classes: Vec::new(), archive: Some(archive) };
    for (class, file) in files {
        if pictures.classes.last() != Some(&class) {
            pictures.classes.push(class);
        }
        let label = u32::try_from(pictures.classes.len() - 1).unwrap_or(u32::MAX);
        pictures.files.push((label, format!("{name}/{file}")));
    }
    Ok(pictures)
}

/// What is in a folder, sorted by name, without hidden entries.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let fault = |error| DataError::read(folder, error);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn utf8<'a>(path: &Path, name: Option<&'a str>) -> Result<&'a str, DataError> {
    name.ok_or_else(|| DataError::format(path, "the name is not UTF-8; give it another one"))
}

/// Files that are left out, for one warning about all of them.
#[derive(Default)]
struct Ignored {
    count: usize,
    first: Option<PathBuf>,
    /// A picture that lies beside the class folders.
    stray: Option<PathBuf>,
}

impl Ignored {
    /// Whether the ending is that of a picture; if not, the file is counted.
    fn accepts(&mut self, path: &Path) -> bool {
        let known = is_picture(path);
        if !known {
            self.count += 1;
            self.first.get_or_insert_with(|| path.to_owned());
        }
        known
    }

    fn note_stray(&mut self, path: &Path) {
        if is_picture(path) {
            self.stray.get_or_insert_with(|| path.to_owned());
        }
    }

    fn warn(&self, folder: &Path) {
        if let Some(first) = &self.first {
            let (folder, count, first) = (folder.display(), self.count, first.display());
            tracing::warn!(
                "{folder}: files that are no pictures by their ending are left out: {count}, the first is {first}"
            );
        }
        if let Some(stray) = &self.stray {
            tracing::warn!("{}: a picture outside the class folders is left out", stray.display());
        }
    }
}

pub(super) fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}
