//! Texts that are told while they are written: piece by piece, a few at once, and none for nobody.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use homeostat_deploy::{
    Draft, Endpoint, Failure, Finished, Order, Outcome, Query, Served, Writers, WritersConfig, Written,
};
use homeostat_task::{InputError, Say, Signature};
use serde_json::Value;

/// Writes the words of its prompt, and does what some of them say.
#[derive(Clone, Default)]
struct Puppet {
    is_held: Arc<(Mutex<bool>, Condvar)>,
    said: Arc<AtomicUsize>,
}

impl Puppet {
    fn hold(&self, is_held: bool) {
        *self.is_held.0.lock().unwrap() = is_held;
        self.is_held.1.notify_all();
    }

    fn wait(&self) {
        let held = self.is_held.0.lock().unwrap();
        drop(self.is_held.1.wait_while(held, |is_held| *is_held).unwrap());
    }
}

impl Endpoint for Puppet {
    fn answer(&self, _: &[&[u8]]) -> Vec<Result<Value, InputError>> {
        Vec::new()
    }

    fn agree(&self, expected: &Value, found: &Value, _: f64) -> bool {
        expected == found
    }

    fn signature(&self) -> Option<Signature> {
        None
    }

    fn serve(&self, _: &[Query], _: usize) -> Served {
        panic!("a writer answers no batches")
    }

    fn is_writer(&self) -> bool {
        true
    }

    fn write(&self, request: &[u8], say: Say<'_>) -> Result<Written, InputError> {
        let mut tokens = 0;
        for word in std::str::from_utf8(request).unwrap().split(' ') {
            match word {
                "refuse" => return Err(InputError::new("as it was told")),
                "panic" => panic!("as it was told"),
                "stuck" => thread::sleep(Duration::from_millis(600)),
                "hold" => self.wait(),
                _ => {}
            }
            let mut said = |piece: &str| {
                tokens += 1;
                self.said.fetch_add(1, Ordering::SeqCst);
                say(piece)
            };
            if word == "forever" {
                while said("x").is_continue() {
                    thread::sleep(Duration::from_millis(1));
                }
                break;
            }
            // Nothing is certain yet of the first half.
            if said("").is_break() || said(word).is_break() {
                break;
            }
        }
        Ok(Written { tokens, ..Written::default() })
    }

    fn replicate(&self) -> Box<dyn Endpoint> {
        Box::new(self.clone())
    }
}

/// Writers of a puppet, and what they told.
struct Room {
    puppet: Puppet,
    writers: Writers,
    told: Arc<Mutex<Vec<Finished>>>,
}

fn room(mut config: WritersConfig) -> Room {
    let (puppet, told) = (Puppet::default(), Arc::new(Mutex::new(Vec::new())));
    let heard = Arc::clone(&told);
    let listener = Box::new(move |finished: &Finished| heard.lock().unwrap().push(*finished));
    config.threads = 1;
    Room { writers: Writers::start(puppet.replicate(), config, listener).unwrap(), puppet, told }
}

impl Room {
    fn ask(&self, words: &str) -> Draft {
        self.try_ask(words, None).unwrap()
    }

    fn try_ask(&self, words: &str, deadline: Option<Instant>) -> Result<Draft, Failure> {
        self.writers.submit(Order { request: Bytes::copy_from_slice(words.as_bytes()), deadline })
    }

    fn wait_until(&self, busy: usize) {
        let begun = Instant::now();
        while self.writers.level().busy != busy {
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", self.writers.level());
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn last(&self) -> Finished {
        *self.told.lock().unwrap().last().unwrap()
    }
}

/// The pieces of a text, and why it broke off.
async fn read(mut draft: Draft) -> (Vec<String>, Option<Failure>) {
    let mut pieces = Vec::new();
    while let Some(piece) = draft.next().await {
        match piece {
            Ok(piece) => pieces.push(piece),
            Err(failure) => {
                assert_eq!(draft.next().await, None);
                return (pieces, Some(failure));
            }
        }
    }
    (pieces, None)
}

#[tokio::test]
async fn a_text_comes_piece_by_piece_while_it_is_written() {
    let room = room(WritersConfig::default());
    room.puppet.hold(true);
    let mut draft = room.ask("a b hold c");
    assert_eq!(draft.next().await, Some(Ok("a".to_owned())));
    assert_eq!(draft.next().await, Some(Ok("b".to_owned())));
    assert_eq!(room.writers.level().busy, 1);
    room.puppet.hold(false);
    assert_eq!(read(draft).await, (vec!["hold".to_owned(), "c".to_owned()], None));
    let Finished { outcome, tokens, first, whole, work, .. } = room.last();
    assert_eq!((outcome, tokens), (Outcome::Written, 8));
    assert!(first.unwrap() <= whole && work <= whole);
    assert_eq!(room.writers.level().busy, 0);
}

#[tokio::test]
async fn so_many_are_written_at_once_so_many_wait_and_the_next_is_refused_at_once() {
    let room = room(WritersConfig { at_once: 2, queue: 1, ..WritersConfig::default() });
    room.puppet.hold(true);
    let both = [room.ask("hold a"), room.ask("hold b")];
    room.wait_until(2);
    let third = room.ask("c");
    let begun = Instant::now();
    assert_eq!(room.try_ask("d", None).unwrap_err(), Failure::Full);
    assert!(begun.elapsed() < Duration::from_millis(10));
    // Who has gone frees his place, and is never written for.
    drop(third);
    let fourth = room.ask("e");
    room.puppet.hold(false);
    for (draft, word) in both.into_iter().zip(["a", "b"]) {
        assert_eq!(read(draft).await.0, ["hold", word]);
    }
    assert_eq!(read(fourth).await.0, ["e"]);
    assert_eq!(room.told.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn who_has_gone_is_written_for_until_the_next_token_only() {
    let room = room(WritersConfig { most_tokens: 1 << 20, ..WritersConfig::default() });
    let mut draft = room.ask("forever");
    draft.next().await.unwrap().unwrap();
    drop(draft);
    let said = room.puppet.said.load(Ordering::SeqCst);
    room.wait_until(0);
    assert!(room.puppet.said.load(Ordering::SeqCst) <= said + 2);
    let begun = Instant::now();
    while room.told.lock().unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(room.last().outcome, Outcome::Abandoned);
}

#[tokio::test]
async fn a_text_has_so_many_tokens_and_so_much_time() {
    let room = room(WritersConfig { most_tokens: 5, ..WritersConfig::default() });
    assert_eq!(read(room.ask("forever")).await.0.len(), 5);
    assert_eq!((room.last().outcome, room.last().tokens), (Outcome::Written, 5));

    let room = self::room(WritersConfig {
        most_tokens: 1 << 20,
        at_once: 1,
        deadline: Some(Duration::from_millis(100)),
        ..WritersConfig::default()
    });
    let begun = Instant::now();
    let (pieces, failure) = read(room.ask("forever")).await;
    assert!(!pieces.is_empty() && failure == Some(Failure::Expired), "{failure:?}");
    assert!((Duration::from_millis(100)..Duration::from_secs(5)).contains(&begun.elapsed()));
    assert_eq!(room.last().outcome, Outcome::Failed);
    assert_eq!(room.try_ask("a", Some(Instant::now())).unwrap_err(), Failure::Expired);
    // Too late once it could be begun: no token is written.
    room.puppet.hold(true);
    let first = room.ask("hold");
    room.wait_until(1);
    let second = room.try_ask("b", Some(Instant::now() + Duration::from_millis(20))).unwrap();
    thread::sleep(Duration::from_millis(40));
    room.puppet.hold(false);
    read(first).await;
    assert_eq!(read(second).await, (Vec::new(), Some(Failure::Expired)));
    assert_eq!(room.last().tokens, 0);
}

#[tokio::test]
async fn an_instance_that_fails_is_replaced_and_its_reader_told() {
    let room = room(WritersConfig { at_once: 1, stuck_after: Duration::from_millis(100), ..WritersConfig::default() });
    assert_eq!(read(room.ask("refuse")).await, (Vec::new(), Some(Failure::Input("as it was told".into()))));
    assert!(room.writers.health().is_well);
    for failed in 1..4 {
        assert_eq!(read(room.ask("a panic")).await, (vec!["a".to_owned()], Some(Failure::Crashed)));
        assert_eq!((room.writers.health().panics, room.writers.health().is_well), (failed, failed < 3));
    }
    assert_eq!(read(room.ask("a")).await.0, ["a"]);
    assert!(room.writers.health().is_well);
    let begun = Instant::now();
    assert_eq!(read(room.ask("b stuck c")).await, (vec!["b".to_owned()], Some(Failure::Stuck)));
    assert!(begun.elapsed() < Duration::from_millis(550));
    assert_eq!(room.writers.health().stuck, 1);
    assert_eq!(read(room.ask("a")).await.0, ["a"]);
    // The old instance comes back, and finds that it is not needed.
    thread::sleep(Duration::from_millis(700));
    assert_eq!(read(room.ask("a")).await.0, ["a"]);
    assert_eq!(room.writers.level().busy, 0);
}

/// Nobody reads, and the writer goes on: it holds no more than the letters.
#[tokio::test]
async fn a_slow_reader_holds_nobody_up() {
    let room = room(WritersConfig { at_once: 1, ..WritersConfig::default() });
    let words = vec!["word"; 2000].join(" ");
    let slow = room.ask(&words);
    assert_eq!(read(room.ask("a")).await.0, ["a"]);
    let (pieces, failure) = read(slow).await;
    assert_eq!((pieces.concat(), failure), (words.replace(' ', ""), None));
    assert!(pieces.len() < 300, "{}", pieces.len());
}

#[tokio::test]
async fn what_was_taken_is_written_before_the_end() {
    let Room { puppet, writers, .. } = room(WritersConfig { at_once: 1, ..WritersConfig::default() });
    puppet.hold(true);
    let ask =
        |words: &'static str| writers.submit(Order { request: Bytes::from_static(words.as_bytes()), deadline: None });
    let drafts = [ask("hold a").unwrap(), ask("b").unwrap()];
    drop(writers);
    puppet.hold(false);
    for draft in drafts {
        assert!(read(draft).await.1.is_none());
    }
}

#[test]
fn what_writes_no_texts_says_so() {
    let (_root, artifact) = crate::publish(&crate::parts(&crate::config(crate::mlp()), 1));
    let endpoint = crate::open(&artifact).unwrap();
    assert!(!endpoint.is_writer());
    let error = endpoint.write(&crate::request(1), &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(error.to_string(), "the model writes no texts");
}
