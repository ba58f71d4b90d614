//! From a [`Remote`] to a file on the disk: mirrors, attempts, limits, and one process at a time. It does not know what is in a file.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ureq::Agent;

use crate::partial::{Origin, Partial, hidden, sha256_of};
use crate::request::{self, Answer, Bytes};
use crate::{FetchError, Remote, Tried};

/// A request that brought less than this counts as a failed one.
const HEADWAY: u64 = 1 << 20;
/// A server that sends less than this in the time that it may be silent is as good as silent.
const TRICKLE: u64 = 4 << 10;
/// The longest wait that a server can ask for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The limits of a [`Fetcher`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchOptions {
    /// How long a connection may take.
    pub connect: Duration,
    /// How long a server may be silent, or send less than 4 KiB.
    pub stall: Duration,
    /// How long a file may take in all.
    pub longest: Duration,
    /// Failed requests at a place before the next one is tried; one that brought a mebibyte is none.
    pub attempts: u32,
    /// The wait after the first of them, doubled after each.
    pub pause: Duration,
    /// The most bytes of a file.
    pub limit: u64,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            longest: Duration::from_secs(6 * 3600),
            attempts: 4,
            pause: Duration::from_secs(1),
            limit: 64 << 30,
        }
    }
}

/// What is happening, for whoever watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// Another process fetches the same; its end is waited for.
    Waiting,
    /// So many bytes of the file are there.
    Bytes {
        /// The file.
        name: &'a str,
        /// What is there.
        have: u64,
        /// Its length, if known.
        total: Option<u64>,
    },
    /// A request failed; the same place or the next one is tried.
    Failed {
        /// The file.
        name: &'a str,
        /// The place, and what was wrong.
        tried: &'a Tried,
    },
}

/// Fetches files.
#[derive(Debug)]
pub struct Fetcher {
    options: FetchOptions,
    agent: Agent,
}

/// How a transfer ended that did not bring the whole file.
struct Fault {
    why: String,
    /// Whether another request at this place may go better, and after how long at least.
    again: Option<Duration>,
}

impl Fault {
    fn never(why: String) -> Self {
        Self { why, again: None }
    }

    fn later(why: String) -> Self {
        Self { why, again: Some(Duration::ZERO) }
    }
}

/// Where the file is to go, and who watches.
struct Job<'a, 'w> {
    remote: &'a Remote,
    target: PathBuf,
    since: Instant,
    watch: &'a mut (dyn FnMut(Progress<'_>) + 'w),
}

impl Fetcher {
    /// With these limits. The proxy of the environment is used (`HTTPS_PROXY`, `NO_PROXY`).
    #[must_use]
    pub fn new(options: FetchOptions) -> Self {
        Self { agent: request::agent(&options), options }
    }

    /// Puts the file into `folder`, and gives its path. One that is there already and has the right length and hash is left as it is;
    /// a transfer that broke is gone on with, also one of a process that was killed.
    ///
    /// # Errors
    /// [`FetchError::Unreachable`] if no place gives the right bytes; [`FetchError::Refused`] for a wish that cannot be right;
    /// [`FetchError::Disk`].
    pub fn file(
        &self,
        remote: &Remote,
        folder: &Path,
        watch: &mut dyn FnMut(Progress<'_>),
    ) -> Result<PathBuf, FetchError> {
        let target = folder.join(&remote.name);
        remote.check()?;
        let lock = lock(&target, watch)?;
        self.locked(remote, &target, watch)?;
        drop(lock);
        Ok(target)
    }

    /// Puts the files into a folder that appears when all of them are there and `finish`, which may unpack them, is done with it. A
    /// folder that is there already is left as it is.
    ///
    /// # Errors
    /// As [`file`](Self::file), and [`FetchError::Disk`] with the error of `finish`.
    pub fn folder(
        &self,
        remotes: &[Remote],
        folder: &Path,
        finish: &dyn Fn(&Path) -> io::Result<()>,
        watch: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), FetchError> {
        let lock = lock(folder, watch)?;
        if folder.is_dir() {
            return Ok(());
        }
        let staging = hidden(folder, "part");
        for remote in remotes {
            remote.check()?;
            self.locked(remote, &staging.join(&remote.name), watch)?;
        }
        finish(&staging).and_then(|()| fs::rename(&staging, folder)).map_err(FetchError::disk(folder))?;
        drop(lock);
        Ok(())
    }

    /// What only the holder of the lock may do.
    fn locked(&self, remote: &Remote, target: &Path, watch: &mut dyn FnMut(Progress<'_>)) -> Result<(), FetchError> {
        if target.is_file() {
            let (hash, length) = sha256_of(target)?;
            if remote.verify(length, &hash).is_ok() {
                return Ok(());
            }
        }
        let folder = target.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(FetchError::disk(folder))?;
        self.transfer(&mut Job { remote, target: target.to_owned(), since: Instant::now(), watch })
    }

    /// Tries one place after the other.
    fn transfer(&self, job: &mut Job<'_, '_>) -> Result<(), FetchError> {
        let mut partial = Partial::open(&job.target)?;
        let mut tried = Vec::new();
        for url in &job.remote.urls {
            match self.from(url, &mut partial, job)? {
                Ok(()) => return partial.publish(&job.target),
                Err(why) => tried.push(Tried { url: url.clone(), why }),
            }
        }
        if partial.length() == 0 {
            partial.remove(&job.target)?;
        }
        Err(FetchError::Unreachable { name: job.remote.name.clone(), tried })
    }

    /// Asks one place again and again while that is of use; the inner error is why it did not give the file.
    fn from(&self, url: &str, partial: &mut Partial, job: &mut Job<'_, '_>) -> Result<Result<(), String>, FetchError> {
        let (mut failed, mut pause) = (0, self.options.pause);
        loop {
            let before = partial.length();
            let Err(fault) = self.request(url, partial, job)? else { return Ok(Ok(())) };
            let tried = Tried { url: url.to_owned(), why: fault.why.clone() };
            (job.watch)(Progress::Failed { name: &job.remote.name, tried: &tried });
            failed = if partial.length() >= before + HEADWAY { 0 } else { failed + 1 };
            match fault.again {
                Some(least) if failed < self.options.attempts => {
                    sleep(pause.max(least.min(PATIENCE)));
                    pause = (2 * pause).min(PATIENCE);
                }
                _ => return Ok(Err(fault.why)),
            }
        }
    }

    /// One request, and its bytes.
    fn request(
        &self,
        url: &str,
        partial: &mut Partial,
        job: &mut Job<'_, '_>,
    ) -> Result<Result<(), Fault>, FetchError> {
        let known = job.remote.sha256.is_some();
        // With a hash, a rest from any place will do, for what does not fit is found out. Without one, only the same version will.
        let same = partial.origin().url == url && partial.origin().etag.is_some();
        let etag = partial.origin().etag.clone().filter(|_| same);
        let origin = Origin { url: url.to_owned(), etag };
        if partial.length() > 0 && !known && !same {
            partial.restart(&job.target, origin.clone())?;
        }
        if job.remote.bytes == Some(partial.length()) && known {
            return Self::conclude(partial, job, true);
        }
        let start = partial.length();
        let https_only = !job.remote.is_certain() && url.starts_with("https:");
        let bytes = match request::ask(&self.agent, &origin, start, https_only) {
            Answer::Bytes(bytes) => bytes,
            Answer::Never(why) => return Ok(Err(Fault::never(why))),
            Answer::Later(why, after) => return Ok(Err(Fault { why, again: Some(after.unwrap_or_default()) })),
            Answer::NoRest => {
                partial.restart(&job.target, Origin { url: url.to_owned(), etag: None })?;
                return Ok(Err(Fault::later("the rest is not to be had".into())));
            }
        };
        if bytes.start == 0 {
            partial.restart(&job.target, Origin { url: url.to_owned(), etag: bytes.etag.clone() })?;
        }
        let resumed = bytes.start > 0;
        match self.receive(bytes, partial, job)? {
            Ok(()) => Self::conclude(partial, job, resumed),
            Err(fault) => Ok(Err(fault)),
        }
    }

    /// Takes bytes until the end, or until they are too many.
    fn receive(
        &self,
        mut bytes: Bytes,
        partial: &mut Partial,
        job: &mut Job<'_, '_>,
    ) -> Result<Result<(), Fault>, FetchError> {
        let wanted = job.remote.bytes;
        if let (Some(wanted), Some(total)) = (wanted, bytes.total)
            && wanted != total
        {
            return Ok(Err(Fault::never(format!("the server has {total} bytes instead of {wanted}"))));
        }
        let (total, most) = (wanted.or(bytes.total), wanted.unwrap_or(self.options.limit).min(self.options.limit));
        if total.is_some_and(|total| total > self.options.limit) {
            let limit = self.options.limit;
            return Ok(Err(Fault::never(format!("it is larger than the limit of {limit} bytes"))));
        }
        let mut block = vec![0; 1 << 16];
        let mut trickle = (Instant::now(), partial.length());
        loop {
            (job.watch)(Progress::Bytes { name: &job.remote.name, have: partial.length(), total });
            if job.since.elapsed() > self.options.longest {
                let seconds = self.options.longest.as_secs_f64();
                return Ok(Err(Fault::never(format!("it has not come in {seconds} s; the next try goes on there"))));
            }
            if trickle.0.elapsed() > self.options.stall {
                if partial.length() < trickle.1 + TRICKLE {
                    return Ok(Err(Fault::later("the server sends next to nothing".into())));
                }
                trickle = (Instant::now(), partial.length());
            }
            let read = match bytes.next(&mut block) {
                Ok(0) => break,
                Ok(read) => read,
                Err(why) => return Ok(Err(Fault::later(why))),
            };
            if partial.length() + read as u64 > most {
                partial.restart(&job.target, Origin::default())?;
                return Ok(Err(Fault::never(format!("more than {most} bytes came"))));
            }
            partial.append(&block[..read])?;
        }
        match total {
            Some(total) if partial.length() < total => {
                Ok(Err(Fault::later(format!("broken off after {} of {total} bytes", partial.length()))))
            }
            _ => Ok(Ok(())),
        }
    }

    /// Checks what is there. Pieces of two versions of a file make neither: then it is fetched again as a whole.
    fn conclude(partial: &mut Partial, job: &Job<'_, '_>, resumed: bool) -> Result<Result<(), Fault>, FetchError> {
        let Err(why) = job.remote.verify(partial.length(), &partial.sha256()) else { return Ok(Ok(())) };
        partial.restart(&job.target, Origin::default())?;
        Ok(Err(if resumed { Fault::later(why) } else { Fault::never(why) }))
    }
}

/// Holds what is being made for this process; it is free again when the file is closed, however the process ends.
fn lock(target: &Path, watch: &mut dyn FnMut(Progress<'_>)) -> Result<File, FetchError> {
    let path = hidden(target, "lock");
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut open = || {
        fs::create_dir_all(folder)?;
        let file = File::create(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                watch(Progress::Waiting);
                file.lock()?;
                Ok(file)
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    };
    open().map_err(FetchError::disk(&path))
}
