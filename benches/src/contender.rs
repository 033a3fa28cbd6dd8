//! Contender: a store at work on a workload, for a slice of time.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::meter::{Meter, OneInEight, Untimed, empty_histogram};
use crate::pin;
use crate::process;
use crate::store::{Begun, Store};
use crate::workloads::{FIRST_NEW, NewKeys, Stream, Workload, fill};

/// Something that can be measured next to others.
pub trait Contender {
    /// Its name in tables.
    fn name(&self) -> String;
    /// What it is.
    fn kind(&self) -> Kind;
    /// Works for `time` on that many threads. `seed` chooses the keys.
    fn slice(&self, threads: usize, time: Duration, seed: u64, timed: bool) -> Sample;
}

/// What a contender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Whether it is the engine.
    pub ours: bool,
    /// How many requests it begins at once.
    pub batch: usize,
    /// Whether it keeps to its capacity by itself.
    pub bounded: bool,
    /// Whether its duplicates take a lock.
    pub locks: bool,
    /// How many threads it is measured with at most.
    pub threads: usize,
}

impl Kind {
    /// Of a store that begins one request at a time.
    #[must_use]
    pub fn of<S: Store>() -> Self {
        let ours = S::NAME.starts_with("oncegate");
        let (bounded, locks, threads) = (S::BOUNDED, S::LOCKS, S::THREADS);
        Self { ours, batch: 1, bounded, locks, threads }
    }
}

/// What one slice came to.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Nanoseconds of a processor for one operation: wall time, times the processors that the
    /// threads had, through all operations. What other programs took of the processors is not
    /// counted, unless there are more threads than processors. It is the same for any number of
    /// threads that do not disturb each other.
    pub ns: f64,
    /// Records that were created.
    pub created: u64,
    /// Operations in all.
    pub operations: u64,
    /// Nanoseconds of single operations, where they were timed.
    pub latency: Option<Histogram<u64>>,
}

/// A store and a workload.
pub struct Single<'w, S, W> {
    store: S,
    workload: &'w W,
    news: NewKeys,
}

impl<'w, S: Store, W: Workload> Single<'w, S, W> {
    /// Opens the store, and fills it as the workload wants.
    pub fn new(workload: &'w W) -> Self {
        let store = S::open(workload.capacity());
        let news = fill_for(&store, workload);
        Self { store, workload, news }
    }
}

/// Fills a store as `workload` wants. Gives the new keys that are left.
pub fn fill_for<S: Store, W: Workload>(store: &S, workload: &W) -> NewKeys {
    let mut taken = 0;
    for numbers in workload.filled(S::BOUNDED) {
        taken = taken.max(numbers.end.saturating_sub(FIRST_NEW));
        let middle = numbers.start + (numbers.end - numbers.start) / 2;
        let alone = S::THREADS == 1 || numbers.end - numbers.start < ONE_THREAD_FILLS;
        if alone {
            fill(store, numbers);
        } else {
            std::thread::scope(|scope| {
                scope.spawn(|| fill(store, numbers.start..middle));
                fill(store, middle..numbers.end);
            });
        }
    }
    NewKeys::after(taken)
}

impl<S: Store, W: Workload> Contender for Single<'_, S, W> {
    fn name(&self) -> String {
        S::NAME.to_owned()
    }

    fn kind(&self) -> Kind {
        Kind::of::<S>()
    }

    fn slice(&self, threads: usize, time: Duration, seed: u64, timed: bool) -> Sample {
        let stream = |thread: u64| {
            self.workload.stream::<S>(&self.news, seed.wrapping_mul(31).wrapping_add(thread))
        };
        if timed {
            let worker =
                |thread| SingleWorker::new(&self.store, stream(thread), OneInEight::default());
            run(threads, time, worker, |worker| Some(worker.meter.histogram()))
        } else {
            let worker = |thread| SingleWorker::new(&self.store, stream(thread), Untimed);
            run(threads, time, worker, |_| None)
        }
    }
}

/// One thread's part of a slice.
pub trait Worker {
    /// Does [`BLOCK`] operations. Gives how many of them created a record.
    fn block(&mut self) -> u64;
}

struct SingleWorker<'s, S: Store, T, M> {
    store: &'s S,
    stream: T,
    meter: M,
    outcome: S::Outcome,
    buffer: S::Outcome,
}

impl<'s, S: Store, T: Stream<S>, M: Meter> SingleWorker<'s, S, T, M> {
    fn new(store: &'s S, stream: T, meter: M) -> Self {
        Self { store, stream, meter, outcome: S::outcome(7), buffer: S::outcome(0) }
    }
}

impl<S: Store, T: Stream<S>, M: Meter> Worker for SingleWorker<'_, S, T, M> {
    fn block(&mut self) -> u64 {
        let mut created = 0;
        for _ in 0..BLOCK {
            let step = self.stream.next();
            let mark = self.meter.start();
            match self.store.begin(&step.key, &mut self.buffer) {
                Begun::Created(lease) => {
                    self.store.complete(lease, &self.outcome);
                    if !S::BOUNDED
                        && let Some(number) = step.leaves
                    {
                        self.store.remove(&S::key(number));
                    }
                    created += 1;
                }
                Begun::Replayed => {
                    std::hint::black_box(&self.buffer);
                }
                Begun::InFlight => {}
            }
            self.meter.end(mark);
        }
        created
    }
}

/// Runs workers, one on each thread, until the time is over.
pub fn run<W: Worker>(
    threads: usize,
    time: Duration,
    worker: impl Fn(u64) -> W + Sync,
    latency: impl Fn(&W) -> Option<Histogram<u64>> + Sync,
) -> Sample {
    let processors = pin::processors();
    let start = Barrier::new(threads);
    let one = |thread: usize| {
        pin::pin(&processors, thread);
        let mut worker = worker(thread as u64);
        start.wait();
        let part = Part::of(&mut worker, time, threads == 1);
        (part, latency(&worker))
    };
    let parts: Vec<_> = std::thread::scope(|scope| {
        let one = &one;
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(move || one(thread))).collect();
        handles.into_iter().map(|handle| handle.join().expect("no worker panics")).collect()
    });
    let mut merged = None;
    for histogram in parts.iter().filter_map(|(_, histogram)| histogram.as_ref()) {
        let all = merged.get_or_insert_with(empty_histogram);
        all.add(histogram).expect("equal bounds");
    }
    let parts = || parts.iter().map(|(part, _)| part);
    let spent: Duration = if threads <= processors.len() {
        // Every thread has a processor: if it waits for one, another program is there.
        parts().map(|part| part.spent).sum()
    } else {
        let wall = parts().map(|part| part.wall).max().unwrap_or_default();
        wall * u32::try_from(processors.len().max(1)).unwrap_or(1)
    };
    let operations: u64 = parts().map(|part| part.operations).sum();
    let created = parts().map(|part| part.created).sum();
    let ns = spent.as_nanos() as f64 / operations as f64;
    Sample { ns, created, operations, latency: merged }
}

/// What one thread did in a slice.
struct Part {
    wall: Duration,
    /// Without what other programs took.
    spent: Duration,
    operations: u64,
    created: u64,
}

impl Part {
    fn of(worker: &mut impl Worker, time: Duration, alone: bool) -> Self {
        let (began, waited) = (Instant::now(), process::waited());
        let spent = || began.elapsed().saturating_sub(process::waited().saturating_sub(waited));
        let (mut operations, mut created, mut until) = (0, 0, time);
        while began.elapsed() < until {
            created += worker.block();
            operations += BLOCK;
            // A thread alone gets back what other programs took, within limits. One of several
            // does not: it would go on without the others.
            if alone && began.elapsed() >= until && until < 4 * time {
                until += time.saturating_sub(spent());
            }
        }
        Self { wall: began.elapsed(), spent: spent(), operations, created }
    }
}

/// Operations between two looks at the clock.
pub const BLOCK: u64 = 1_024;
/// Below this, a second thread would only shuffle the order of a filling.
const ONE_THREAD_FILLS: u64 = 1 << 18;
