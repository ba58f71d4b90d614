//! Files of a hub of models, by the paths of huggingface.co: which commit a revision is, what is in it, and one file of that; and files
//! from other addresses into the same cache. It does not know what is in a file.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::partial::sha256_of_text;
use crate::{Cache, FetchError, FetchOptions, Fetcher, Progress, Remote};

/// The hub, where the environment names no other one.
const ENDPOINT: &str = "https://huggingface.co";
/// The most bytes of a list of files.
const LIST_LIMIT: u64 = 16 << 20;
/// The most bytes of any other file: more weights than a network that is read here has.
const FILE_LIMIT: u64 = 16 << 30;

/// A file of a repository on the hub: `hf:OWNER/NAME[@REVISION][:FILE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubFile {
    /// `OWNER/NAME`.
    pub repository: String,
    /// A branch, a tag, or a commit; a commit alone names the same bytes for ever.
    pub revision: String,
    /// The file, with folders before it; where it is not named, whoever fetches says which may be meant.
    pub file: Option<String>,
}

impl FromStr for HubFile {
    type Err = FetchError;

    fn from_str(word: &str) -> Result<Self, FetchError> {
        let refuse = |why: &str| Err(FetchError::Refused { name: word.to_owned(), why: why.to_owned() });
        let Some(rest) = word.strip_prefix("hf:") else { return refuse("it does not begin with hf:") };
        let (rest, file) = rest.split_once(':').map_or((rest, None), |(rest, file)| (rest, Some(file.to_owned())));
        let (repository, revision) = rest.split_once('@').unwrap_or((rest, "main"));
        let plain = |part: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed)
        };
        match repository.split_once('/') {
            Some((owner, name)) if plain(owner) && plain(name) && revision.split('/').all(plain) => {}
            _ => return refuse("give hf:OWNER/NAME, hf:OWNER/NAME@REVISION or hf:OWNER/NAME@REVISION:FILE"),
        }
        Ok(Self { repository: repository.to_owned(), revision: revision.to_owned(), file })
    }
}

/// A hub, and the folder in which its files are kept: a folder a repository and commit.
#[derive(Debug)]
pub struct Hub {
    endpoint: String,
    folder: PathBuf,
    /// Of files that are not from the hub.
    others: PathBuf,
    lists: Fetcher,
    beside: Fetcher,
    files: Fetcher,
}

/// What the hub says of a revision.
#[derive(Deserialize)]
struct Revision {
    /// The commit.
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

/// Of large files, the hub knows the hash.
#[derive(Deserialize)]
struct Lfs {
    sha256: String,
}

impl Hub {
    /// The hub that `HF_ENDPOINT` names, else huggingface.co, with its files below `cache`. `variable` is [`std::env::var_os`] but in
    /// tests.
    #[must_use]
    pub fn find(variable: impl Fn(&str) -> Option<OsString>, cache: &Cache, options: &FetchOptions) -> Self {
        let named = variable("HF_ENDPOINT").and_then(|word| word.into_string().ok()).filter(|word| !word.is_empty());
        let endpoint = named.map_or_else(|| ENDPOINT.to_owned(), |word| word.trim_end_matches('/').to_owned());
        let lists = Fetcher::new(FetchOptions { limit: LIST_LIMIT, ..options.clone() });
        let beside = Fetcher::new(FetchOptions { limit: LIST_LIMIT, attempts: 1, ..options.clone() });
        let files = Fetcher::new(FetchOptions { limit: options.limit.min(FILE_LIMIT), ..options.clone() });
        Self { endpoint, folder: cache.hub(), others: cache.weights(), lists, beside, files }
    }

    /// Puts a file from any address into the cache, and gives its path. `sha256` is as in [`Remote::sha256`].
    ///
    /// # Errors
    /// As [`Fetcher::file`].
    pub fn from_address(
        &self,
        url: &str,
        sha256: Option<&str>,
        watch: &mut dyn FnMut(Progress<'_>),
    ) -> Result<PathBuf, FetchError> {
        self.by(&self.files, (url, sha256), watch)
    }

    /// The same of a small file that may not be there: it is asked for once.
    ///
    /// # Errors
    /// As [`Fetcher::file`].
    pub fn small_from_address(&self, url: &str) -> Result<PathBuf, FetchError> {
        self.by(&self.beside, (url, None), &mut |_| ())
    }

    fn by(
        &self,
        fetcher: &Fetcher,
        (url, sha256): (&str, Option<&str>),
        watch: &mut dyn FnMut(Progress<'_>),
    ) -> Result<PathBuf, FetchError> {
        let name = url.split(['?', '#']).next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        let remote = Remote {
            name: name.to_owned(),
            urls: vec![url.to_owned()],
            sha256: sha256.map(str::to_owned),
            bytes: None,
        };
        fetcher.file(&remote, &self.others.join(&sha256_of_text(url)[..16]), watch)
    }

    /// Puts a file into the cache, and gives its path; of a repository whose file is not named, the first of `usual` that it has.
    ///
    /// The hub is asked for the commit of the revision. Where it does not answer, what it said last time counts; a revision that is a
    /// commit is asked for once.
    ///
    /// # Errors
    /// [`FetchError::Refused`] if the repository has no such file; else as [`Fetcher::file`].
    pub fn file(
        &self,
        wanted: &HubFile,
        usual: &[&str],
        watch: &mut dyn FnMut(Progress<'_>),
    ) -> Result<PathBuf, FetchError> {
        let repository = self.folder.join(&wanted.repository);
        let revision = self.revision(wanted, &repository, watch)?;
        let refuse = |why: String| Err(FetchError::Refused { name: wanted.repository.clone(), why });
        let find = |name: &str| revision.siblings.iter().find(|sibling| sibling.rfilename == name);
        let found = match &wanted.file {
            Some(file) => find(file),
            None => usual.iter().find_map(|name| find(name)),
        };
        let Some(Sibling { rfilename: name, size, lfs }) = found else {
            let missing = wanted.file.clone().unwrap_or_else(|| usual.join(" nor "));
            let files: Vec<&str> =
                revision.siblings.iter().map(|sibling| sibling.rfilename.as_str()).take(20).collect();
            return refuse(format!("it has no {missing}; name one of its files after a colon: {}", files.join(", ")));
        };
        let url = format!("{}/{}/resolve/{}/{name}", self.endpoint, wanted.repository, revision.sha);
        let sha256 = lfs.as_ref().map(|lfs| lfs.sha256.clone());
        let remote = Remote { name: name.clone(), urls: vec![url], sha256, bytes: *size };
        self.files.file(&remote, &repository.join(&revision.sha), watch)
    }

    fn revision(
        &self,
        wanted: &HubFile,
        repository: &Path,
        watch: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Revision, FetchError> {
        let escaped = wanted.revision.replace('/', "%2F");
        let url = format!("{}/api/models/{}/revision/{escaped}?blobs=true", self.endpoint, wanted.repository);
        let (known, fresh) = (format!("{escaped}.json"), format!("{escaped}.new.json"));
        let folder = repository.join("revisions");
        let path = folder.join(&known);
        if !(is_commit(&wanted.revision) && path.is_file()) {
            let remote = Remote { name: fresh.clone(), urls: vec![url], sha256: None, bytes: None };
            match self.lists.file(&remote, &folder, watch) {
                Ok(new) => fs::rename(&new, &path).map_err(FetchError::disk(&path))?,
                // Without a network, what was fetched before can be used again.
                Err(FetchError::Unreachable { .. }) if path.is_file() => {}
                Err(FetchError::Unreachable { tried, .. }) => {
                    return Err(FetchError::Unreachable { name: wanted.repository.clone(), tried });
                }
                Err(error) => return Err(error),
            }
        }
        let text = fs::read(&path).map_err(FetchError::disk(&path))?;
        let revision: Option<Revision> = serde_json::from_slice(&text).ok();
        revision.filter(|revision| is_commit(&revision.sha)).ok_or_else(|| {
            let why = format!("{} did not answer with a list of files", self.endpoint);
            fs::remove_file(&path).ok();
            FetchError::Refused { name: wanted.repository.clone(), why }
        })
    }
}

fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}
