//! A text between who writes it and who reads it. The writer never waits for the reader, and the reader holds no more than the
//! text. It does not know what is written.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::sync::Notify;

use super::Finished;
use crate::{Failure, batcher::held};

/// Pieces that wait for a slow reader one by one; further ones are put together, for each by itself costs more than its letters.
const MOST_PIECES: usize = 256;

/// What is written and not yet read.
#[derive(Debug, Default)]
pub(super) struct Page {
    state: Mutex<State>,
    news: Notify,
    is_left: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<String>,
    end: Option<Result<(), Failure>>,
    finished: Option<Finished>,
}

impl Page {
    /// Whether the reader has gone.
    pub(super) fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Relaxed)
    }

    pub(super) fn push(&self, piece: &str) {
        let mut state = held(&self.state);
        let is_full = state.pieces.len() >= MOST_PIECES;
        match state.pieces.back_mut() {
            Some(last) if is_full => last.push_str(piece),
            _ => state.pieces.push_back(piece.to_owned()),
        }
        drop(state);
        self.news.notify_one();
    }

    pub(super) fn end(&self, end: Result<(), Failure>, finished: Finished) {
        let mut state = held(&self.state);
        (state.end, state.finished) = (Some(end), Some(finished));
        drop(state);
        self.news.notify_one();
    }
}

/// A text to come. Dropping it ends the writing at the next token.
#[derive(Debug)]
pub struct Draft {
    page: Arc<Page>,
    deadline: Option<Instant>,
}

impl Draft {
    pub(super) fn new(page: Arc<Page>, deadline: Option<Instant>) -> Self {
        Self { page, deadline }
    }

    /// When its time is over, whatever is written by then.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What became of the text; nothing as long as it is being written.
    #[must_use]
    pub fn finished(&self) -> Option<Finished> {
        held(&self.page.state).finished
    }

    /// The next piece of the text; nothing at its end.
    ///
    /// # Errors
    /// Why it ends here, and is not whole.
    pub async fn next(&mut self) -> Option<Result<String, Failure>> {
        loop {
            {
                let mut state = held(&self.page.state);
                if let Some(piece) = state.pieces.pop_front() {
                    return Some(Ok(piece));
                }
                match state.end.take() {
                    None => {}
                    Some(end) => {
                        // Whoever asks again is told that it is over.
                        state.end = Some(Ok(()));
                        return end.err().map(Err);
                    }
                }
            }
            self.page.news.notified().await;
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.page.is_left.store(true, Ordering::Relaxed);
    }
}
