use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use homeostat_data::{DataError, Loader, LoaderOptions, Rng, Weigh};

fn options(workers: usize, prefetch_bytes: usize) -> LoaderOptions {
    LoaderOptions { workers, prefetch_bytes }
}

fn corrupt(batch: usize) -> DataError {
    DataError::Corrupt { name: format!("sample {batch}"), why: "broken".into() }
}

/// A made-up piece of work: it takes a random time, gives a random number of bytes, and may fail or panic at one place.
#[derive(Clone, Copy, Debug)]
struct Case {
    seed: u64,
    batches: usize,
    prefetch_bytes: usize,
    fails_at: Option<usize>,
    panics_at: Option<usize>,
}

impl Case {
    fn random(seed: u64) -> Self {
        let mut rng = Rng::keyed(seed, [0; 3]);
        let batches = rng.range(0..40);
        let somewhere = |rng: &mut Rng| rng.chance(0.3).then(|| rng.range(0..50));
        let (fails_at, panics_at) = (somewhere(&mut rng), somewhere(&mut rng));
        Self { seed, batches, prefetch_bytes: rng.range(0..3000), fails_at, panics_at }
    }

    fn make(self, batch: usize) -> Result<Vec<u8>, DataError> {
        let mut rng = Rng::keyed(self.seed, [1, batch as u64, 0]);
        std::thread::sleep(Duration::from_micros(rng.range(0..300) as u64));
        if self.fails_at == Some(batch) {
            return Err(corrupt(batch));
        }
        assert!(self.panics_at != Some(batch), "panic at {batch}");
        Ok(vec![u8::try_from(batch).unwrap(); rng.range(0..1000)])
    }

    fn run(self, workers: usize) -> Vec<Result<Vec<u8>, String>> {
        let loader =
            Loader::start(3..3 + self.batches, options(workers, self.prefetch_bytes), Arc::new(move |i| self.make(i)));
        loader.map(|item| item.map_err(|error| error.to_string())).collect()
    }
}

#[test]
fn any_number_of_workers_gives_the_same_batches_errors_and_panics() {
    for seed in 0..40 {
        let case = Case::random(seed);
        let alone = case.run(0);
        let end =
            [case.fails_at, case.panics_at].into_iter().flatten().filter(|at| (3..3 + case.batches).contains(at)).min();
        assert_eq!(alone.len(), end.map_or(case.batches, |end| end - 2), "{case:?}");
        assert_eq!(alone.iter().filter(|item| item.is_err()).count(), usize::from(end.is_some()), "{case:?}");
        for workers in [1, 2, 8] {
            assert_eq!(case.run(workers), alone, "{workers} workers, {case:?}");
        }
    }
}

#[test]
fn a_panic_becomes_an_error_that_says_where_and_why() {
    for workers in [0, 2] {
        let make = |batch: usize| if batch == 2 { panic!("the number {batch}") } else { Ok(vec![0]) };
        let items: Vec<_> = Loader::start(0..9, options(workers, 1000), Arc::new(make)).collect();
        assert_eq!(items.len(), 3);
        assert!(
            matches!(&items[2], Err(DataError::Panicked { batch: 2, message }) if message == "the number 2"),
            "{:?}",
            items[2]
        );
    }
}

/// A batch that cannot be weighed.
struct Weightless;

impl Weigh for Weightless {
    fn bytes(&self) -> usize {
        panic!("no weight")
    }
}

#[test]
fn a_panic_while_a_batch_is_weighed_is_no_silence_either() {
    let items: Vec<_> = Loader::start(0..9, options(2, 1000), Arc::new(|_| Ok(Weightless))).collect();
    assert!(matches!(&items[..], [Err(DataError::Panicked { batch: 0, message })] if message == "no weight"));
}

/// A batch of 100 bytes that knows how many of its kind are alive.
struct Counted(Arc<AtomicUsize>);

impl Weigh for Counted {
    fn bytes(&self) -> usize {
        100
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[test]
fn no_more_batches_are_alive_than_the_bound_allows() {
    for (bound, most) in [(450, 4), (100, 1), (0, 1)] {
        let (alive, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let make = {
            let (alive, peak) = (Arc::clone(&alive), Arc::clone(&peak));
            move |_| {
                peak.fetch_max(alive.fetch_add(1, SeqCst) + 1, SeqCst);
                Ok(Counted(Arc::clone(&alive)))
            }
        };
        for batch in Loader::start(0..60, options(8, bound), Arc::new(make)) {
            std::thread::sleep(Duration::from_micros(500));
            drop(batch);
        }
        let peak = peak.load(SeqCst);
        // Beyond the bound there is the batch that was handed out.
        assert!(peak <= most + 1, "{peak} batches of 100 bytes with a bound of {bound}");
        assert!(bound != 450 || peak >= 3, "the bound is made use of: {peak}");
        assert_eq!(alive.load(SeqCst), 0);
    }
}

#[test]
fn a_dropped_loader_stops_its_threads() {
    let made = Arc::new(AtomicUsize::new(0));
    let make = {
        let made = Arc::clone(&made);
        move |batch: usize| {
            made.fetch_add(1, SeqCst);
            Ok(vec![0u8; batch.min(10)])
        }
    };
    let make = Arc::new(make);
    let mut loader = Loader::start(0..usize::MAX, options(4, 100), Arc::clone(&make) as _);
    assert!(loader.next().is_some_and(|batch| batch.is_ok()));
    drop(loader);
    assert_eq!(Arc::strong_count(&make), 1, "no thread is left that could make a batch");
    assert!(made.load(SeqCst) < 100);
}
