//! A text that a model writes: from the protocol's request to the task's, and from the pieces of a draft to an answer. It does not
//! know how the text travels.

use std::time::Instant;

use bytes::Bytes;
use homeostat_deploy::{Draft, Failure};
use homeostat_protocol::{GenerateRequest, GenerateSettings};
use serde_json::{Map, Value};

use crate::{ServeError, loaded::Shared, metrics::InFlight, traces::Traced};

/// A text on its way. Dropping it ends the writing at the next token.
#[derive(Debug)]
pub(crate) struct Generation {
    loaded: Shared,
    draft: Draft,
    since: Instant,
    deadline: Option<Instant>,
    _in_flight: InFlight,
}

impl Generation {
    /// A draft that was asked for `since` then.
    pub(crate) fn new(loaded: Shared, draft: Draft, since: Instant, in_flight: InFlight) -> Self {
        Self { loaded, since, deadline: draft.deadline(), draft, _in_flight: in_flight }
    }

    /// The model and the version that write.
    pub(crate) fn by(&self) -> (&str, String) {
        (&self.loaded.model, self.loaded.version.to_string())
    }

    /// Whether the beginning of what is gone on with was cut off; not known before the text is over.
    pub(crate) fn is_cut(&self) -> bool {
        self.draft.finished().is_some_and(|finished| finished.cut)
    }

    /// Tells a trace what the text took, once it is over.
    pub(crate) fn trace(&self, traced: &Traced) {
        if let Some(finished) = self.draft.finished() {
            traced.written(&self.loaded, self.since, &finished);
        }
    }

    /// The next piece of the text; nothing at its end.
    ///
    /// # Errors
    /// Why it ends here, and is not whole.
    pub(crate) async fn next(&mut self) -> Option<Result<String, ServeError>> {
        let next = self.draft.next();
        let piece = match self.deadline {
            None => next.await,
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), next).await {
                Ok(piece) => piece,
                Err(_) => return Some(Err(ServeError::Expired)),
            },
        };
        piece.map(|piece| piece.map_err(in_words_of_the_protocol))
    }
}

/// What the task reads: the text, and the settings beside it as the task calls them.
pub(crate) fn raw_request(request: &GenerateRequest) -> Bytes {
    let GenerateSettings { max_tokens, temperature, top_k, top_p, repetition_penalty, stop, seed } = &request.settings;
    let mut raw = Map::from_iter([("prompt".to_owned(), Value::from(request.text.as_str()))]);
    let values = [
        max_tokens.map(Value::from),
        temperature.map(Value::from),
        top_k.map(Value::from),
        top_p.map(Value::from),
        repetition_penalty.map(Value::from),
        stop.clone().map(Value::from),
        seed.map(Value::from),
    ];
    let named = GenerateSettings::NAMES.into_iter().zip(values);
    raw.extend(named.filter_map(|(name, value)| Some((name.replace('_', "-"), value?))));
    Value::Object(raw).to_string().into()
}

/// The task names its settings as files do, the protocol as programs do.
fn in_words_of_the_protocol(failure: Failure) -> ServeError {
    let Failure::Input(mut reason) = failure else { return failure.into() };
    for name in GenerateSettings::NAMES {
        reason = reason.replace(&format!("`{}`", name.replace('_', "-")), &format!("`{name}`"));
    }
    ServeError::Input(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_go_to_the_task_in_its_words_and_faults_come_back_in_the_protocols() {
        let settings = GenerateSettings {
            max_tokens: Some(5),
            top_p: Some(0.5),
            stop: Some(vec!["x".into()]),
            seed: Some(u64::MAX),
            ..GenerateSettings::default()
        };
        let request = GenerateRequest { text: "a\"b".into(), settings, ..GenerateRequest::default() };
        let raw: Value = serde_json::from_slice(&raw_request(&request)).unwrap();
        let wanted =
            serde_json::json!({ "prompt": "a\"b", "max-tokens": 5, "top-p": 0.5, "stop": ["x"], "seed": u64::MAX });
        assert_eq!(raw, wanted);
        let error = in_words_of_the_protocol(Failure::Input("`max-tokens` is 0".into()));
        assert_eq!(error, ServeError::Input("`max_tokens` is 0".into()));
        assert_eq!(in_words_of_the_protocol(Failure::Expired), ServeError::Expired);
    }
}
