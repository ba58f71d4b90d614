//! The third door of a task: an answer that is a text, and is told while it is written. It does not know who reads it.

use std::ops::ControlFlow;

use crate::Task;

/// Takes pieces of a text as they are written, and may break off.
pub type Say<'a> = &'a mut dyn FnMut(&str) -> ControlFlow<()>;

/// What was told of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Tokens that were written.
    pub tokens: usize,
    /// Whether the beginning of the prompt was cut off, for it was too long.
    pub cut: bool,
}

/// A task whose answers are texts that a network writes token by token.
pub trait TextDoor<T: Task> {
    /// Answers an input as [`Task::respond`] does, and tells the text on the way.
    ///
    /// `say` is called behind each token with what has become certain of the text, which may be nothing, and perhaps once more
    /// at the end. Where it breaks off, no further token is written.
    fn write(&self, model: &T::Model, input: &T::Input, say: Say<'_>) -> Told;
}
