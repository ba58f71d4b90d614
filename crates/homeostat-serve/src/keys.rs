//! Who may ask, and how often: keys from a file that may change, and a bucket of tokens a caller. It does not know what is asked.

use std::{
    collections::HashMap,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Mutex, RwLock},
    time::{Duration, Instant, SystemTime},
};

use homeostat_protocol::ProtocolError;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{ServeError, read, written};

/// Callers whose tokens are remembered; beyond, those who have all of theirs are forgotten.
const MOST_CALLERS: usize = 65_536;

/// Keys by the names of who holds them. Only their hashes are kept.
#[derive(Debug)]
pub struct Keys {
    path: PathBuf,
    list: RwLock<List>,
}

#[derive(Debug, Default)]
struct List {
    keys: Vec<(String, [u8; 32])>,
    changed: Option<SystemTime>,
}

impl Keys {
    /// Reads a file with a line `NAME KEY` a caller; empty lines and such that begin with `#` are left out.
    ///
    /// # Errors
    /// The file cannot be read, has a line of another form, or no key. One line.
    pub fn open(path: &Path) -> Result<Self, String> {
        let list = List::read(path)?;
        Ok(Self { path: path.to_owned(), list: RwLock::new(list) })
    }

    /// Reads the file again if it has changed; a broken one leaves the keys as they are.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn refresh(&self) -> Result<(), String> {
        if changed(&self.path) == read(&self.list).changed {
            return Ok(());
        }
        let list = List::read(&self.path)?;
        tracing::info!(keys = list.keys.len(), "the keys were read again");
        *written(&self.list) = list;
        Ok(())
    }

    /// The name of who holds this key. It takes as long for each wrong key as for a right one.
    pub(crate) fn holder(&self, key: &str) -> Option<String> {
        let hash = digest(key);
        let list = read(&self.list);
        let mut found = None;
        for (name, known) in &list.keys {
            if bool::from(hash.ct_eq(known)) {
                found = Some(name);
            }
        }
        found.cloned()
    }
}

impl List {
    fn read(path: &Path) -> Result<Self, String> {
        let when = changed(path);
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut keys = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let [name, key] = words[..] else {
                return Err(format!("{}, line {number}: a line is NAME KEY", path.display()));
            };
            if key.len() < 16 {
                return Err(format!("{}, line {number}: a key has at least 16 characters", path.display()));
            }
            keys.push((name.to_owned(), digest(key)));
        }
        if keys.is_empty() {
            return Err(format!("{}: there is no key in it", path.display()));
        }
        Ok(Self { keys, changed: when })
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|about| about.modified()).ok()
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// How many requests a caller may send: so many a second for long, so many at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Requests a second, above 0.
    pub a_second: f64,
    /// Requests at once, at least 1.
    pub at_once: f64,
}

/// Who is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    Holder(String),
    Address(IpAddr),
    Unknown,
}

/// Tokens of each caller.
#[derive(Debug)]
pub(crate) struct Buckets {
    rate: Rate,
    callers: Mutex<HashMap<Caller, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    since: Instant,
}

impl Buckets {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, callers: Mutex::default() }
    }

    /// Takes a token, or says when there will be one.
    pub(crate) fn take(&self, caller: Caller, now: Instant) -> Result<(), ServeError> {
        let Rate { a_second, at_once } = self.rate;
        let filled = |bucket: &Bucket| {
            (now.saturating_duration_since(bucket.since).as_secs_f64().mul_add(a_second, bucket.tokens)).min(at_once)
        };
        let mut callers = self.callers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if callers.len() >= MOST_CALLERS && !callers.contains_key(&caller) {
            callers.retain(|_, bucket| filled(bucket) < at_once);
            if callers.len() >= MOST_CALLERS {
                return Err(overload("there are too many callers", Duration::from_secs(1)));
            }
        }
        let bucket = callers.entry(caller).or_insert(Bucket { tokens: at_once, since: now });
        let tokens = filled(bucket);
        *bucket = Bucket { tokens, since: now };
        if tokens < 1.0 {
            let after = Duration::from_secs_f64(((1.0 - tokens) / a_second).clamp(0.001, 3600.0));
            return Err(overload("the rate that a caller may ask at is reached", after));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

fn overload(reason: &'static str, after: Duration) -> ServeError {
    ServeError::Overloaded { reason, after }
}

/// The key of a header `Authorization: Bearer KEY`.
pub(crate) fn bearer(header: Option<&str>) -> Option<&str> {
    let (scheme, key) = header?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// A rate as the command line has it: `N` a second, or `N:M` with so many at once.
///
/// # Errors
/// It is no such text.
pub fn parse_rate(text: &str) -> Result<Rate, ProtocolError> {
    let wrong = || ProtocolError::Field {
        field: "rate".into(),
        problem: format!("is `{text}`, but must be N or N:M, as in 50:100"),
    };
    let (a_second, at_once) = text.split_once(':').unwrap_or((text, text));
    let number =
        |word: &str| word.parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0).ok_or_else(wrong);
    Ok(Rate { a_second: number(a_second)?, at_once: number(at_once)?.max(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_what_it_has_and_fills_again() {
        let buckets = Buckets::new(Rate { a_second: 2.0, at_once: 3.0 });
        let begun = Instant::now();
        let caller = |name: &str| Caller::Holder(name.into());
        for _ in 0..3 {
            buckets.take(caller("a"), begun).unwrap();
        }
        let refused = buckets.take(caller("a"), begun).unwrap_err();
        assert!(
            matches!(refused, ServeError::Overloaded { after, .. } if after == Duration::from_millis(500)),
            "{refused:?}"
        );
        buckets.take(caller("b"), begun).unwrap();
        buckets.take(caller("a"), begun + Duration::from_millis(600)).unwrap();
        assert!(buckets.take(caller("a"), begun + Duration::from_millis(700)).is_err());
        // However long it waits, it holds no more than it holds.
        let late = begun + Duration::from_secs(1000);
        assert_eq!((0..10).filter(|_| buckets.take(caller("a"), late).is_ok()).count(), 3);
    }

    #[test]
    fn rates_and_headers_are_read() {
        assert_eq!(parse_rate("50").unwrap(), Rate { a_second: 50.0, at_once: 50.0 });
        assert_eq!(parse_rate("0.5:4").unwrap(), Rate { a_second: 0.5, at_once: 4.0 });
        for wrong in ["", "0", "-1", "x", "1:", "1:x", "inf", "NaN"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
        assert_eq!(bearer(Some("Bearer  abc ")), Some("abc"));
        assert_eq!(bearer(Some("bearer abc")), Some("abc"));
        for wrong in [None, Some(""), Some("abc"), Some("Basic abc")] {
            assert_eq!(bearer(wrong), None);
        }
    }

    #[test]
    fn keys_are_read_again_and_a_broken_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let at = |seconds: u64, text: &str| {
            fs::write(&path, text).unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        };
        at(1, "# who\n\nann 0123456789abcdef\nbob fedcba9876543210\n");
        let keys = Keys::open(&path).unwrap();
        assert_eq!(keys.holder("0123456789abcdef").as_deref(), Some("ann"));
        assert_eq!(keys.holder("0123456789abcdeF"), None);
        assert_eq!(keys.holder(""), None);
        at(2, "ann\n");
        assert!(keys.refresh().unwrap_err().contains("line 1"));
        assert_eq!(keys.holder("fedcba9876543210").as_deref(), Some("bob"));
        at(3, "cid 0000111122223333");
        keys.refresh().unwrap();
        assert_eq!(keys.holder("fedcba9876543210"), None);
        assert_eq!(keys.holder("0000111122223333").as_deref(), Some("cid"));
        for broken in ["", "# none", "ann short"] {
            at(4, broken);
            assert!(Keys::open(&path).is_err(), "{broken}");
        }
    }
}
