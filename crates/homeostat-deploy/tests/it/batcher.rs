//! Many callers, few instances: answers to the bit, in time, or a reason why not.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use homeostat_deploy::{Batcher, BatcherConfig, Endpoint, Failure, Job, Phases, Query, Reply, Served, Ticket};
use homeostat_task::{HostTensor, InputError, Signature, Values};
use serde_json::{Value, json};

use crate::{config, mlp, networks, open, parts, publish, request};

/// An endpoint that answers how many queries it was asked together, and does as it is told.
#[derive(Clone, Default)]
struct Puppet(Arc<Strings>);

#[derive(Default)]
struct Strings {
    /// Held as long as this is false.
    is_free: Mutex<bool>,
    freed: Condvar,
    begun: AtomicUsize,
    batches: Mutex<Vec<Vec<String>>>,
}

impl Puppet {
    fn free() -> Self {
        let puppet = Self::default();
        puppet.release();
        puppet
    }

    fn release(&self) {
        *self.0.is_free.lock().unwrap() = true;
        self.0.freed.notify_all();
    }

    fn hold(&self) {
        *self.0.is_free.lock().unwrap() = false;
    }

    fn wait_until_begun(&self, batches: usize) {
        while self.0.begun.load(Ordering::SeqCst) < batches {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// What was asked together, batch after batch.
    fn batches(&self) -> Vec<Vec<String>> {
        self.0.batches.lock().unwrap().clone()
    }
}

impl Endpoint for Puppet {
    fn answer(&self, _: &[&[u8]]) -> Vec<Result<Value, InputError>> {
        Vec::new()
    }

    fn agree(&self, _: &Value, _: &Value, _: f64) -> bool {
        true
    }

    fn signature(&self) -> Option<Signature> {
        None
    }

    fn serve(&self, queries: &[Query], _: usize) -> Served {
        let words: Vec<String> = queries
            .iter()
            .map(|query| match query {
                Query::Raw(items) => String::from_utf8(items[0].to_vec()).unwrap(),
                Query::Tensors(_) => String::new(),
            })
            .collect();
        self.0.batches.lock().unwrap().push(words.clone());
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        if words.iter().any(|word| word == "stuck") {
            thread::sleep(Duration::from_secs(2));
        }
        let mut is_free = self.0.is_free.lock().unwrap();
        while !*is_free {
            is_free = self.0.freed.wait(is_free).unwrap();
        }
        drop(is_free);
        assert!(!words.iter().any(|word| word == "panic"), "as it was told");
        let reply = |word: &String| match word.as_str() {
            "refuse" => Err(InputError::new("as it was told")),
            _ => Ok(Reply::Json(vec![json!(words.len())])),
        };
        Served { replies: words.iter().map(reply).collect(), phases: Phases::default() }
    }

    fn replicate(&self) -> Box<dyn Endpoint> {
        Box::new(self.clone())
    }
}

fn start(puppet: &Puppet, config: BatcherConfig) -> Batcher {
    Batcher::start(puppet.replicate(), BatcherConfig { threads: 1, ..config }).unwrap()
}

fn job(word: &str) -> Job {
    Job { query: Query::Raw(vec![Bytes::copy_from_slice(word.as_bytes())]), priority: 0, deadline: None }
}

fn ask(batcher: &Batcher, word: &str) -> Ticket {
    batcher.submit(job(word)).unwrap()
}

/// How many were asked together.
fn together(ticket: Ticket) -> usize {
    match ticket.wait().unwrap().reply {
        Reply::Json(values) => usize::try_from(values[0].as_u64().unwrap()).unwrap(),
        Reply::Tensors(_) => panic!("a puppet has no tensors"),
    }
}

/// Raw and prepared queries, of several rows and of one, in any company: each answer has the bits that it has alone.
#[test]
fn a_batched_answer_is_the_unbatched_one_to_the_bit() {
    for model in networks() {
        let (_root, artifact) = publish(&parts(&config(model.clone()), 1));
        let endpoint = open(&artifact).unwrap();
        let signature = endpoint.signature().unwrap();
        let image = |rows: usize, seed: u32| {
            let noise =
                |at: u32| f32::from(u16::try_from(at.wrapping_mul(2_654_435_761) >> 18).unwrap()) / 8192.0 - 1.0;
            let count = u32::try_from(rows * 3 * 12 * 12).unwrap();
            let values = (0..count).map(|at| noise(at + 1000 * seed)).collect();
            let tensor = HostTensor::new([rows, 3, 12, 12], Values::F32(values));
            Query::Tensors(signature.request(vec![Some(tensor)]).unwrap())
        };
        let raw = |numbers: std::ops::Range<u64>| Query::Raw(numbers.map(|number| request(number).into()).collect());
        let queries = [raw(0..1), image(1, 1), raw(1..4), image(5, 2), raw(4..5), image(3, 3), raw(0..1), image(1, 4)];
        let alone: Vec<Reply> = queries
            .iter()
            .map(|query| endpoint.serve(std::slice::from_ref(query), 64).replies.remove(0).unwrap())
            .collect();
        assert_ne!(alone[0], alone[1]);
        assert_eq!(alone[0], alone[6]);
        for largest in [1, 2, 3, 4, 7, 64] {
            let served = endpoint.serve(&queries, largest);
            for (at, (reply, alone)) in served.replies.into_iter().zip(&alone).enumerate() {
                assert_eq!(&reply.unwrap(), alone, "{} in batches of {largest}, query {at}", model.name());
            }
        }
    }
}

/// What a picture is prepared to comes through the tensor door to the same answer.
#[test]
fn both_doors_lead_to_the_same_answer() {
    let (_root, artifact) = publish(&parts(&config(mlp()), 1));
    let endpoint = open(&artifact).unwrap();
    let signature = endpoint.signature().unwrap();
    assert_eq!((signature.raw, &signature.labels[..]), ("file", &["ant".to_owned(), "bee".into(), "cat".into()][..]));
    // Of one colour, so that cropping and resizing leave it as it is; then (level / 255 - mean) / std.
    let shape = homeostat_data::Shape { height: 20, width: 20, channels: 3 };
    let colour = [10_u8, 100, 240];
    let picture = homeostat_data::Image::new(shape, colour.repeat(400)).encode_png();
    let (mean, std) = ([0.5_f32, 0.4, 0.6], [0.25_f32, 0.2, 0.3]);
    let values = (0..3).flat_map(|c| vec![(f32::from(colour[c]) / 255.0 - mean[c]) / std[c]; 144]).collect();
    let tensor = HostTensor::new([1, 3, 12, 12], Values::F32(values));
    let queries = [Query::Raw(vec![picture.into()]), Query::Tensors(signature.request(vec![Some(tensor)]).unwrap())];
    let found: Vec<Vec<f32>> = endpoint
        .serve(&queries, 8)
        .replies
        .into_iter()
        .map(|reply| match reply.unwrap() {
            Reply::Tensors(outputs) => outputs[0].floats().to_vec(),
            Reply::Json(_) => panic!("there is a signature"),
        })
        .collect();
    assert_eq!(found[0].len(), 3);
    assert!(found[0].iter().zip(&found[1]).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?}");
}

#[test]
fn a_fault_of_one_query_is_no_other_ones() {
    let (_root, artifact) = publish(&parts(&config(mlp()), 1));
    let endpoint = open(&artifact).unwrap();
    let signature = endpoint.signature().unwrap();
    let tensor = |value: f32| HostTensor::new([1, 3, 12, 12], Values::F32(vec![value; 432]));
    let prepared = |value| Query::Tensors(signature.request(vec![Some(tensor(value))]).unwrap());
    let broken = Query::Raw(vec![request(1).into(), Bytes::from_static(b"no picture"), request(2).into()]);
    let good = Query::Raw(vec![request(1).into()]);
    let replies = endpoint.serve(&[broken, good, prepared(f32::NAN), prepared(0.5)], 8).replies;
    let said = replies[0].as_ref().unwrap_err().to_string();
    assert!(said.starts_with("element 1: ") && said.contains("neither PNG"), "{said}");
    assert!(replies[2].as_ref().unwrap_err().to_string().contains("NaN"));
    assert!(replies[1].is_ok() && replies[3].is_ok());
    for wrong in [vec![], vec![None], vec![Some(HostTensor::new([1, 12, 12, 3], Values::F32(vec![0.0; 432])))]] {
        assert!(signature.request(wrong).is_err());
    }
}

#[test]
fn an_idle_instance_waits_for_nobody() {
    let batcher =
        start(&Puppet::free(), BatcherConfig { longest_wait: Duration::from_secs(5), ..BatcherConfig::default() });
    for _ in 0..3 {
        let begun = Instant::now();
        assert_eq!(together(ask(&batcher, "a")), 1);
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
}

#[test]
fn what_waits_is_answered_together_up_to_the_largest_batch() {
    let puppet = Puppet::default();
    let batcher = start(&puppet, BatcherConfig { largest_batch: 4, ..BatcherConfig::default() });
    let first = ask(&batcher, "first");
    puppet.wait_until_begun(1);
    let others: Vec<Ticket> = (0..6).map(|_| ask(&batcher, "a")).collect();
    assert_eq!(batcher.level().queries, 6);
    puppet.release();
    assert_eq!(together(first), 1);
    assert_eq!(others.into_iter().map(together).collect::<Vec<_>>(), [4, 4, 4, 4, 2, 2]);
    let statistics = batcher.statistics();
    assert_eq!((statistics.succeeded.count, statistics.rows, statistics.batches), (7, 7, 3));
    assert_eq!(statistics.by_size.keys().copied().collect::<Vec<_>>(), [1, 2, 4]);
}

/// After a batch of several, an instance waits for as many again, but not for ever.
#[test]
fn a_busy_instance_waits_for_as_many_as_before() {
    let puppet = Puppet::default();
    let wait = Duration::from_millis(300);
    let batcher = start(&puppet, BatcherConfig { longest_wait: wait, ..BatcherConfig::default() });
    let first = ask(&batcher, "first");
    puppet.wait_until_begun(1);
    let three: Vec<Ticket> = (0..3).map(|_| ask(&batcher, "a")).collect();
    puppet.release();
    together(first);
    three.into_iter().for_each(|ticket| assert_eq!(together(ticket), 3));
    // Three again: answered as soon as the third is there.
    let begun = Instant::now();
    let again: Vec<Ticket> = (0..3)
        .map(|_| {
            thread::sleep(Duration::from_millis(10));
            ask(&batcher, "a")
        })
        .collect();
    again.into_iter().for_each(|ticket| assert_eq!(together(ticket), 3));
    assert!(begun.elapsed() < wait);
    // Two only: answered once the first has waited for its time.
    let begun = Instant::now();
    let two = [ask(&batcher, "a"), ask(&batcher, "a")];
    two.into_iter().for_each(|ticket| assert_eq!(together(ticket), 2));
    assert!(begun.elapsed() >= wait - Duration::from_millis(5), "{:?}", begun.elapsed());
    // Changed while it runs.
    batcher.set_longest_wait(Duration::ZERO);
    let begun = Instant::now();
    together(ask(&batcher, "a"));
    assert!(begun.elapsed() < wait);
}

#[test]
fn preferred_sizes_cut_a_batch() {
    let puppet = Puppet::default();
    let config =
        BatcherConfig { preferred_batches: vec![2, 4], longest_wait: Duration::ZERO, ..BatcherConfig::default() };
    let batcher = start(&puppet, config);
    let first = ask(&batcher, "first");
    puppet.wait_until_begun(1);
    let others: Vec<Ticket> = (0..7).map(|_| ask(&batcher, "a")).collect();
    puppet.release();
    together(first);
    assert_eq!(others.into_iter().map(together).collect::<Vec<_>>(), [4, 4, 4, 4, 2, 2, 1]);
}

#[test]
fn the_urgent_come_first() {
    let puppet = Puppet::default();
    let batcher = start(&puppet, BatcherConfig { largest_batch: 1, ..BatcherConfig::default() });
    let first = ask(&batcher, "first");
    puppet.wait_until_begun(1);
    let order = [("late", 3), ("beyond", 99), ("plain", 0), ("middle", 2), ("urgent", 1)];
    let tickets = order.map(|(word, priority)| batcher.submit(Job { priority, ..job(word) }).unwrap());
    puppet.release();
    together(first);
    tickets.into_iter().for_each(|ticket| {
        together(ticket);
    });
    assert_eq!(puppet.batches().concat(), ["first", "urgent", "plain", "middle", "late", "beyond"]);
}

#[test]
fn a_full_queue_refuses_at_once_and_who_has_gone_frees_his_place() {
    let puppet = Puppet::default();
    let batcher = start(&puppet, BatcherConfig { queue: 2, ..BatcherConfig::default() });
    let first = ask(&batcher, "first");
    puppet.wait_until_begun(1);
    let (second, third) = (ask(&batcher, "second"), ask(&batcher, "third"));
    let begun = Instant::now();
    assert_eq!(batcher.submit(job("fourth")).unwrap_err(), Failure::Full);
    assert_eq!(batcher.check_room().unwrap_err(), Failure::Full);
    assert!(begun.elapsed() < Duration::from_millis(10));
    assert_eq!(batcher.pressure().refused, 2);
    drop(second);
    assert_eq!(batcher.check_room(), Ok(()), "a place that is looked at is not taken");
    let fifth = ask(&batcher, "fifth");
    batcher.set_queue(1);
    assert_eq!(batcher.submit(job("sixth")).unwrap_err(), Failure::Full);
    puppet.release();
    [first, third, fifth].into_iter().for_each(|ticket| {
        together(ticket);
    });
    assert_eq!(puppet.batches().concat(), ["first", "third", "fifth"], "what nobody waits for is not computed");
}

#[test]
fn an_instance_rests_while_it_waits_for_queries_and_only_then() {
    let puppet = Puppet::default();
    let batcher = start(&puppet, BatcherConfig { instances: 2, ..BatcherConfig::default() });
    let tickets = [1, 2].map(|number| {
        let ticket = ask(&batcher, "a");
        puppet.wait_until_begun(number);
        ticket
    });
    let _ = batcher.pressure();
    thread::sleep(Duration::from_millis(10));
    assert_eq!(batcher.pressure().rested, Duration::ZERO);
    puppet.release();
    tickets.into_iter().for_each(|ticket| {
        together(ticket);
    });
    let begun = Instant::now();
    loop {
        let slice = Instant::now();
        let _ = batcher.pressure();
        thread::sleep(Duration::from_millis(10));
        let rested = batcher.pressure().rested;
        assert!(rested <= 2 * slice.elapsed(), "{rested:?}");
        if 2 * rested > 3 * slice.elapsed() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "two that rest, rest twice as long as one: {rested:?}");
    }
}

#[test]
fn who_has_gone_frees_his_place_in_a_long_queue_soon() {
    let puppet = Puppet::default();
    let batcher = start(&puppet, BatcherConfig { queue: 64, ..BatcherConfig::default() });
    let first = ask(&batcher, "first");
    puppet.wait_until_begun(1);
    let waiting: Vec<_> = (0..64).map(|_| ask(&batcher, "waiting")).collect();
    assert_eq!(batcher.check_room(), Err(Failure::Full));
    drop(waiting);
    let refused = (0..64).take_while(|_| batcher.check_room().is_err()).count();
    assert!(refused <= 4, "{refused} refusals, and all had gone");
    puppet.release();
    together(first);
}

#[test]
fn what_is_too_late_is_never_computed() {
    let puppet = Puppet::default();
    let batcher = start(&puppet, BatcherConfig { deadline: Some(Duration::from_secs(60)), ..BatcherConfig::default() });
    let first = ask(&batcher, "first");
    puppet.wait_until_begun(1);
    let now = Instant::now();
    let soon = Job { deadline: Some(now + Duration::from_millis(30)), ..job("soon") };
    let (soon, later) = (batcher.submit(soon).unwrap(), ask(&batcher, "later"));
    assert_eq!(batcher.submit(Job { deadline: Some(now), ..job("never") }).unwrap_err(), Failure::Expired);
    thread::sleep(Duration::from_millis(60));
    puppet.release();
    together(first);
    assert_eq!(soon.wait().unwrap_err(), Failure::Expired);
    together(later);
    assert_eq!(puppet.batches().concat(), ["first", "later"]);
    assert_eq!(batcher.statistics().expired, 1);
}

#[test]
fn an_instance_that_panics_is_replaced_and_its_batch_told() {
    let puppet = Puppet::free();
    let batcher = start(&puppet, BatcherConfig::default());
    for _ in 0..2 {
        assert_eq!(ask(&batcher, "panic").wait().unwrap_err(), Failure::Crashed);
        assert!(batcher.health().is_well);
    }
    assert_eq!(ask(&batcher, "panic").wait().unwrap_err(), Failure::Crashed);
    assert!(!batcher.health().is_well, "three in a row");
    assert_eq!(together(ask(&batcher, "a")), 1);
    assert!(batcher.health().is_well);
    assert_eq!(batcher.health().panics, 3);
    assert_eq!(ask(&batcher, "refuse").wait().unwrap_err(), Failure::Input("as it was told".into()));
    assert_eq!(batcher.statistics().failed.count, 4);
}

#[test]
fn an_instance_that_is_stuck_is_replaced_and_its_batch_told() {
    let puppet = Puppet::free();
    let batcher = start(&puppet, BatcherConfig { stuck_after: Duration::from_millis(100), ..BatcherConfig::default() });
    let begun = Instant::now();
    assert_eq!(ask(&batcher, "stuck").wait().unwrap_err(), Failure::Stuck);
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(together(ask(&batcher, "a")), 1);
    assert_eq!(batcher.health().stuck, 1);
    // The old instance comes back, and finds that it is not needed.
    thread::sleep(Duration::from_millis(2200));
    assert_eq!(together(ask(&batcher, "a")), 1);
}

#[test]
fn instances_work_side_by_side() {
    let puppet = Puppet::default();
    let batcher = start(&puppet, BatcherConfig { instances: 3, largest_batch: 1, ..BatcherConfig::default() });
    let tickets: Vec<Ticket> = (0..3).map(|_| ask(&batcher, "a")).collect();
    puppet.wait_until_begun(3);
    puppet.release();
    tickets.into_iter().for_each(|ticket| {
        together(ticket);
    });
}

#[test]
fn what_was_taken_is_answered_before_the_end() {
    let puppet = Puppet::default();
    let batcher = start(&puppet, BatcherConfig { largest_batch: 2, ..BatcherConfig::default() });
    let tickets: Vec<Ticket> = (0..9).map(|_| ask(&batcher, "a")).collect();
    batcher.close();
    assert_eq!(batcher.submit(job("late")).unwrap_err(), Failure::Closed);
    puppet.release();
    drop(batcher);
    assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
}

/// Eight callers, each with as many queries as it can send: all are answered, and each with its own answer.
#[test]
fn callers_side_by_side_get_their_own_answers() {
    let (_root, artifact) = publish(&parts(&config(mlp()), 1));
    let endpoint = open(&artifact).unwrap();
    let queries: Vec<Query> = (0..8).map(|number| Query::Raw(vec![request(number).into()])).collect();
    let alone: Vec<Reply> =
        queries.iter().map(|query| endpoint.serve(std::slice::from_ref(query), 1).replies.remove(0).unwrap()).collect();
    let config = BatcherConfig { instances: 2, largest_batch: 5, threads: 1, ..BatcherConfig::default() };
    let batcher = Batcher::start(endpoint, config).unwrap();
    thread::scope(|scope| {
        for (query, alone) in queries.iter().zip(&alone) {
            let batcher = &batcher;
            scope.spawn(move || {
                for _ in 0..50 {
                    let job = Job { query: query.clone(), priority: 0, deadline: None };
                    assert_eq!(&batcher.submit(job).unwrap().wait().unwrap().reply, alone);
                }
            });
        }
    });
    let statistics = batcher.statistics();
    assert_eq!((statistics.succeeded.count, statistics.failed.count), (400, 0));
    assert!(statistics.batches <= 400);
}

#[test]
fn it_is_drained_once_all_is_answered() {
    let puppet = Puppet::free();
    let batcher = start(&puppet, BatcherConfig::default());
    together(ask(&batcher, "a"));
    puppet.hold();
    let ticket = ask(&batcher, "b");
    puppet.wait_until_begun(2);
    assert!(!batcher.is_drained());
    puppet.release();
    together(ticket);
    while !batcher.is_drained() {
        thread::sleep(Duration::from_millis(1));
    }
}
