//! Parsers of others that panic: a defect of theirs, but a stranger's bytes brought it about, and these are what is refused. It does
//! not know the parsers.

use std::{
    cell::Cell,
    fmt::Display,
    panic::{self, AssertUnwindSafe},
};

use crate::{error::message, image::one_line};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What the parser gives, its error as text, or that `who` panicked.
pub(crate) fn guarded<T, E: Display>(who: &str, parse: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    let outer = GUARDED.replace(true);
    let parsed = panic::catch_unwind(AssertUnwindSafe(parse));
    GUARDED.set(outer);
    match parsed {
        Ok(parsed) => parsed.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("{who} panicked: {}", one_line(&message(&*panic)))),
    }
}

/// Keeps panics that become errors off the standard error stream; all others are told as before. For programs, once at their start.
pub fn hush_caught_panics() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |about| {
        if !GUARDED.get() {
            tell(about);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        let (row, at) = ([1_u8], 5);
        assert!(
            guarded("the decoder", || Ok::<u8, String>(row[at]))
                .unwrap_err()
                .starts_with("the decoder panicked: index")
        );
        assert_eq!(guarded("it", || Err::<u8, _>("cut short")).unwrap_err(), "cut short");
        assert!(!GUARDED.get());
    }
}
