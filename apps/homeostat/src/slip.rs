//! A slip of the pen that clap cannot know of: a setting that was given as an option. It does not know verbs.

use std::{
    error::Error,
    io::Write,
    num::{IntErrorKind, ParseFloatError, ParseIntError},
};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use homeostat_config::ConfigError;
use homeostat_experiment::{Experiment, ExperimentError};

/// What a shell expects of a program that was called wrongly.
const USAGE: i32 = 2;

/// Says what is wrong with the command line, and ends the program.
pub(crate) fn explain(error: &clap::Error) -> ! {
    if let (ErrorKind::UnknownArgument, Some(ContextValue::String(option))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
        && let Some(setting) = setting(option, &std::env::args().collect::<Vec<_>>())
    {
        // A closed standard error leaves nobody to tell.
        let _ = writeln!(
            std::io::stderr(),
            "error: there is no option `{option}`; a setting is a word key=value: {setting}\n\nFor more information, try '--help'."
        );
        std::process::exit(USAGE);
    }
    if let Some(text) = wanted(error) {
        let _ = write!(std::io::stderr(), "{text}");
        std::process::exit(USAGE);
    }
    error.exit()
}

/// The error of what is no number, with what is wanted in the place of the standard library's words.
fn wanted(error: &clap::Error) -> Option<String> {
    let source = error.source()?;
    let wanted = match source.downcast_ref::<ParseIntError>().map(ParseIntError::kind) {
        Some(IntErrorKind::InvalidDigit | IntErrorKind::Empty) => "give a whole number",
        None if source.is::<ParseFloatError>() => "give a number",
        _ => return None,
    };
    Some(error.to_string().replace(&source.to_string(), wanted))
}

/// The setting that was meant by an option, with its value among the words; nothing where no key is like it.
fn setting(option: &str, words: &[String]) -> Option<String> {
    let key = option.strip_prefix("--")?;
    let at = words.iter().position(|word| word.split('=').next() == Some(option))?;
    let given = words[at].split_once('=').map(|(_, value)| value);
    let value = given.or(words.get(at + 1).map(String::as_str)).filter(|value| !value.starts_with('-'));
    let keys: Box<[String]> =
        match Experiment::text("", "").overrides(&[format!("{key}={}", value.unwrap_or("1"))]).load() {
            Err(ExperimentError::Config(ConfigError::UnknownKey { nearest, .. })) => nearest,
            Err(ExperimentError::Config(ConfigError::Override { .. })) => return None,
            _ => [key.to_owned()].into(),
        };
    let settings: Vec<String> = keys.iter().map(|key| format!("{key}={}", value.unwrap_or("..."))).collect();
    (!settings.is_empty()).then(|| settings.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::setting;

    #[test]
    fn an_option_that_is_a_setting() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (option, line, expected) in [
            ("--epochs", "homeostat train digits --epochs 3", Some("epochs=3")),
            ("--epochs", "homeostat train digits --epochs=3 --quiet", Some("epochs=3")),
            ("--batch_size", "homeostat train digits --batch_size", Some("train.batch-size=...")),
            ("--frobnicate", "homeostat train digits --frobnicate", None),
            ("epochs", "homeostat resume run epochs", None),
        ] {
            assert_eq!(setting(option, &words(line)).as_deref(), expected, "{line}");
        }
        let rates = setting("--lr", &words("homeostat train digits --lr 0.1")).unwrap_or_default();
        assert!(rates.contains("train.optimizer.adamw.learning-rate=0.1"), "{rates}");
    }
}
