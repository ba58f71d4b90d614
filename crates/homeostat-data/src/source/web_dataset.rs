//! Pictures in the shards of a WebDataset: tar files in which the files of a sample stand side by side and differ in their endings
//! (<https://github.com/webdataset/webdataset>). It does not decode.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::archive::Archive;
use super::image_folder::{ARCHIVE_ENDINGS, is_picture};
use super::pictures::{Held, Pictures};
use super::{Source, title_of};
use crate::gathered::{Gathered, LabelRule};
use crate::strings::Strings;
use crate::table::json_cell;
use crate::tabled::given_by;
use crate::{Cell, DataError, DataRoot, Given, OnCorrupt};

/// A folder with the shards of a WebDataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct WebDatasetConfig {
    /// The folder, relative to the data root.
    pub folder: String,
    /// The shards in it; `train-{000..012}.tar` is thirteen of them. Without them, all `.tar`, `.tar.gz` and `.tgz` files. The words
    /// `train`, `val`, `valid`, `validation`, `dev` and `test` in a name tell the part.
    pub shards: Vec<String>,
    /// The ending of the file with the label: its text, or a value in it as with `json.category`.
    pub label: String,
    /// The classes in the order of their labels; a number is a place in this list. Without them, the labels of the training part by
    /// number, or by name.
    pub classes: Vec<String>,
    /// The ending of the file that tells which samples belong together, as with `json.patient`. Empty: there is none.
    pub group: String,
}

impl Default for WebDatasetConfig {
    fn default() -> Self {
        let (folder, shards, classes, group) = (String::new(), Vec::new(), Vec::new(), String::new());
        Self { folder, shards, label: "cls".into(), classes, group }
    }
}

/// One file in a shard, in the order of the shard.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    number: usize,
    key: String,
    ending: String,
}

impl WebDatasetConfig {
    pub(super) fn open(&self, root: &DataRoot, on_corrupt: OnCorrupt) -> Result<Source, DataError> {
        if self.label.is_empty() {
            return Err(DataError::config("label", "is empty; name the ending of the files with labels"));
        }
        let folder = root.find(&self.folder)?;
        let rule = LabelRule { column: &self.label, separator: "", classes: &self.classes, names_only: false };
        let mut gathered = Gathered::new(&rule);
        let (mut names, mut archives) = (Strings::default(), Vec::new());
        for (path, given) in self.paths(&folder)? {
            let title = title_of(&path);
            let mut number = 0;
            let (mut archive, members) = Archive::open(&path, |inside| {
                number += 1;
                member(inside).map(|(key, ending)| Member { number, key, ending })
            })?;
            gathered.begin(title.clone(), given);
            let (mut kept, mut start) = (Vec::new(), 0);
            for sample in members.chunk_by(|a, b| a.key == b.key) {
                let name = format!("{title}/{}", sample[0].key);
                match self.read(&archive, start, sample, &gathered) {
                    Ok((picture, checked)) => {
                        gathered.push(checked, || name.clone()).map_err(|why| DataError::format(&path, why))?;
                        names.push(&format!("{name}.{}", sample[picture].ending));
                        kept.push(start + picture);
                    }
                    Err(DataError::Corrupt { why, .. }) => {
                        gathered.leave_out(on_corrupt.judge(&name, &why, Some(&folder))?);
                    }
                    Err(error) => return Err(error),
                }
                start += sample.len();
            }
            if members.is_empty() {
                return Err(DataError::format(&path, "has no files"));
            }
            archive.keep(&kept);
            archives.push(Some(archive));
        }
        let catalog = gathered.finish(title_of(&folder), &folder)?;
        Ok(Source::new(catalog, Pictures::new(Held::Files { folder, names, archives })))
    }

    /// Which of the sample's files is the picture, and what the others say.
    fn read(
        &self,
        archive: &Archive,
        start: usize,
        sample: &[Member],
        gathered: &Gathered<'_>,
    ) -> Result<(usize, crate::gathered::Checked), DataError> {
        let corrupt = |why| DataError::Corrupt { name: String::new(), why };
        let pictures: Vec<usize> =
            (0..sample.len()).filter(|&at| is_picture(Path::new(&format!("x.{}", sample[at].ending)))).collect();
        let &[picture] = pictures.as_slice() else {
            return Err(corrupt(format!("has {} pictures, but should have one", pictures.len())));
        };
        let field = |name: &str| {
            let (ending, path) = name.split_once('.').unwrap_or((name, ""));
            let at = sample.iter().position(|member| member.ending == ending);
            let at = at.ok_or_else(|| corrupt(format!("has no file that ends in .{ending}")))?;
            cell(&archive.read(start + at)?, path).map_err(|why| corrupt(format!(".{ending}: {why}")))
        };
        let mut checked = gathered.check(Some(&field(&self.label)?)).map_err(corrupt)?;
        if !self.group.is_empty() {
            let group = field(&self.group)?.text();
            checked.group = Some(group.ok_or_else(|| corrupt(format!("there is no group in `{}`", self.group)))?);
        }
        Ok((picture, checked))
    }

    /// The shards, those to learn from first.
    fn paths(&self, folder: &Path) -> Result<Vec<(PathBuf, Option<Given>)>, DataError> {
        let names = if self.shards.is_empty() {
            let mut names: Vec<String> =
                super::image_folder::entries(folder)?.iter().map(|path| title_of(path)).collect();
            names.retain(|name| ARCHIVE_ENDINGS.iter().any(|ending| name.ends_with(ending)));
            names
        } else {
            let expanded = self.shards.iter().map(|shard| expand(shard)).collect::<Result<Vec<_>, _>>()?;
            expanded.concat()
        };
        if names.is_empty() {
            return Err(DataError::format(folder, "no shard in it: no .tar, .tar.gz or .tgz file"));
        }
        let mut paths: Vec<(PathBuf, Option<Given>)> =
            names.iter().map(|name| (folder.join(name), given_by(name))).collect();
        paths.sort_by(|(a, given), (b, other)| (given.is_none(), given, a).cmp(&(other.is_none(), other, b)));
        Ok(paths)
    }
}

/// The key and the ending of a file in a shard: its name up to the first dot, and what follows.
fn member(inside: &str) -> Option<(String, String)> {
    let (folder, name) = inside.rsplit_once('/').map_or(("", inside), |(folder, name)| (folder, name));
    let (stem, ending) = name.split_once('.')?;
    let folder = folder.trim_start_matches("./");
    let hidden = stem.is_empty() || name.starts_with("._");
    let key = if matches!(folder, "" | ".") { stem.to_owned() } else { format!("{folder}/{stem}") };
    (!hidden).then(|| (key, ending.to_lowercase()))
}

/// What the bytes of a file say: their text, or a value in JSON.
fn cell(bytes: &[u8], path: &str) -> Result<Cell, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    if path.is_empty() { Ok(Cell::Text(text.trim().to_owned())) } else { json_cell(text, path) }
}

/// `a-{008..010}.tar` is `a-008.tar`, `a-009.tar` and `a-010.tar`.
fn expand(shard: &str) -> Result<Vec<String>, DataError> {
    const MOST: usize = 1_000_000;
    let fault = |why: &str| Err(DataError::config("shards", format!("`{shard}` {why}")));
    if shard.is_empty() || shard.starts_with('/') || shard.split(['/', '\\']).any(|step| step == "..") {
        return fault("is not the name of a file below the folder");
    }
    let Some((before, rest)) = shard.split_once('{') else { return Ok(vec![shard.to_owned()]) };
    let range = rest.split_once('}').and_then(|(range, after)| Some((range.split_once("..")?, after)));
    let Some(((first, last), after)) = range else { return fault("has no range like {000..012} in its braces") };
    match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(from), Ok(to)) if from <= to && to - from < MOST => {
            Ok((from..=to).map(|number| format!("{before}{number:0width$}{after}", width = first.len())).collect())
        }
        _ => fault("has no range like {000..012} in its braces"),
    }
}
