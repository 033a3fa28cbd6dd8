//! The creation race: all threads begin the same new keys at the same moment.
//!
//! Sixteen keys are one heat. The threads meet, begin the sixteen in the same order, and meet
//! again; then whoever got a record completes it. Only the begins are timed. Each key must have
//! been created once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::FIRST_NEW;
use crate::contender::{Contender, Kind, Sample};
use crate::pin;
use crate::store::{Begun, Store};

/// A store, and keys that nobody has had.
pub struct Race<S> {
    store: S,
    next: AtomicU64,
}

impl<S: Store> Race<S> {
    /// Opens the store.
    #[must_use]
    pub fn new() -> Self {
        Self { store: S::open(RECORDS), next: AtomicU64::new(FIRST_NEW) }
    }
}

impl<S: Store> Default for Race<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Store> Contender for Race<S> {
    fn name(&self) -> String {
        S::NAME.to_owned()
    }

    fn kind(&self) -> Kind {
        Kind::of::<S>()
    }

    /// `operations` counts each key once, so that it must equal `created`; the time is that of
    /// one begin.
    fn slice(&self, threads: usize, time: Duration, _: u64, _: bool) -> Sample {
        let processors = pin::processors();
        // Relaxed: slices follow each other.
        let first = self.next.fetch_add(HEATS_AT_MOST * HEAT, Ordering::Relaxed);
        let meeting = Meeting::new(threads);
        let last_heat = AtomicU64::new(HEATS_AT_MOST);
        let began = Instant::now();
        let one = |thread: usize| {
            pin::pin(&processors, thread);
            let mut runner = Runner::new(&self.store);
            let mut heat = 0;
            // Relaxed: the meeting of the heat orders this store before the next look at it.
            while heat < last_heat.load(Ordering::Relaxed) {
                if thread == 0 && began.elapsed() >= time {
                    // Relaxed: as above.
                    last_heat.store(heat + 1, Ordering::Relaxed);
                }
                runner.heat(first + heat * HEAT, &meeting, thread == 0);
                heat += 1;
            }
            (runner.heats, runner.created, heat)
        };
        let parts: Vec<_> = std::thread::scope(|scope| {
            let one = &one;
            let handles: Vec<_> =
                (0..threads).map(|thread| scope.spawn(move || one(thread))).collect();
            handles.into_iter().map(|handle| handle.join().expect("no worker panics")).collect()
        });
        let keys = parts.first().map_or(0, |part| part.2) * HEAT;
        let heats = parts.iter().flat_map(|part| part.0.iter().copied()).collect();
        let created = parts.iter().map(|part| part.1).sum();
        let ns = undisturbed(heats) / HEAT as f64;
        Sample { ns, created, operations: keys, latency: None }
    }
}

struct Runner<'s, S: Store> {
    store: &'s S,
    leases: Vec<S::Lease<'s>>,
    outcome: S::Outcome,
    buffer: S::Outcome,
    /// Nanoseconds of each heat.
    heats: Vec<f64>,
    created: u64,
}

impl<'s, S: Store> Runner<'s, S> {
    fn new(store: &'s S) -> Self {
        let leases = Vec::with_capacity(HEAT as usize);
        let (outcome, buffer) = (S::outcome(7), S::outcome(0));
        Self { store, leases, outcome, buffer, heats: Vec::new(), created: 0 }
    }

    fn heat(&mut self, first: u64, meeting: &Meeting, tidies: bool) {
        let keys: [S::Key; HEAT as usize] = std::array::from_fn(|at| S::key(first + at as u64));
        meeting.meet();
        let began = Instant::now();
        for key in &keys {
            if let Begun::Created(lease) = self.store.begin(key, &mut self.buffer) {
                self.leases.push(lease);
            }
        }
        self.heats.push(began.elapsed().as_nanos() as f64);
        self.created += self.leases.len() as u64;
        for lease in self.leases.drain(..) {
            self.store.complete(lease, &self.outcome);
        }
        meeting.meet();
        if tidies && !S::BOUNDED && first >= FIRST_NEW + KEPT {
            for number in first - KEPT..first - KEPT + HEAT {
                self.store.remove(&S::key(number));
            }
        }
    }
}

/// The mean of the heats without the slowest hundredth, in which a thread lost its processor to
/// another program.
fn undisturbed(mut heats: Vec<f64>) -> f64 {
    heats.sort_unstable_by(f64::total_cmp);
    heats.truncate((heats.len() * 99).div_ceil(100));
    heats.iter().sum::<f64>() / heats.len().max(1) as f64
}

/// A barrier that spins: its threads leave it within one hand-over of a cache line.
struct Meeting {
    threads: u64,
    arrived: AtomicU64,
}

impl Meeting {
    fn new(threads: usize) -> Self {
        Self { threads: threads as u64, arrived: AtomicU64::new(0) }
    }

    fn meet(&self) {
        // AcqRel: what a thread did before it arrived is seen by whoever leaves after it.
        let ticket = self.arrived.fetch_add(1, Ordering::AcqRel);
        let full = (ticket / self.threads + 1) * self.threads;
        let mut spins = 0_u32;
        // Acquire: pairs with the arrivals above.
        while self.arrived.load(Ordering::Acquire) < full {
            spins += 1;
            if spins.is_multiple_of(1_024) {
                // More threads than processors: the one that is missing needs one.
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
    }
}

/// Keys of one heat.
const HEAT: u64 = 16;
/// More heats than any slice has time for.
const HEATS_AT_MOST: u64 = 1 << 24;
/// What a store is opened for.
const RECORDS: usize = 1 << 18;
/// How many keys are kept in stores that do not evict.
const KEPT: u64 = 1 << 17;
