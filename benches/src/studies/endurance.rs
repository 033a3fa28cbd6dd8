//! Endurance: whether memory stays what it was at the start, over very many operations.

use std::time::{Duration, Instant};

use oncegate::{Admission, BeginOptions, Engine, Failure, ManualClock, Outcome, Scope};

use super::{Row, Study, prepared};
use crate::process::{probe, resident_bytes};
use crate::rng::Rng;

/// `operations` in ten parts: new requests, duplicates, failures and expiry, around the capacity.
///
/// # Errors
///
/// The process failed.
pub(super) fn endurance(capacity: usize, operations: u64) -> Result<Study, String> {
    let question = ["endurance".to_owned(), capacity.to_string(), operations.to_string()];
    let answer = probe(&question)?;
    let names = [
        "resident, as a share of the budget, %",
        "ns for each operation",
        "expired records cleared, millions",
        "evicted inside the window, millions",
        "outcomes dropped for room, millions",
    ];
    let rows = names.iter().enumerate().map(|(at, name)| {
        let figures = answer.iter().skip(at).step_by(names.len());
        Row { name: (*name).to_owned(), figures: figures.map(|figure| Some(*figure)).collect() }
    });
    Ok(Study {
        name: "endurance",
        about: "new requests, duplicates, failures and expiry around the capacity; resident bytes \
                since before the engine was opened, against those that it states",
        unit: "see each row",
        axis: "operations, millions",
        columns: (1..=PARTS).map(|part| (operations / PARTS * part) as f64 / 1e6).collect(),
        log_axis: false,
        rows: rows.collect(),
    })
}

/// Answers the question: the figures of each part.
pub(super) fn answer(capacity: usize, operations: u64) -> Vec<f64> {
    let before = resident_bytes();
    let clock = ManualClock::new();
    let builder = Engine::builder().capacity(capacity).clock(clock.clone()).prefault(true);
    // Failed requests that nobody retries are kept for that long too.
    let builder = builder.dedup_window(Duration::from_millis(capacity as u64 * 2));
    let engine = builder.outcome_limit(1_024).build().expect("a valid configuration");
    let mut load = Load::new(&engine, &clock, capacity as u64);
    let mut figures = Vec::new();
    for _ in 0..PARTS {
        let began = Instant::now();
        (0..operations / PARTS).for_each(|_| load.operation());
        let ns = began.elapsed().as_nanos() as f64 / (operations / PARTS) as f64;
        let stats = engine.stats().expect("not forked");
        let resident = resident_bytes().saturating_sub(before);
        figures.extend([
            resident as f64 / stats.bytes as f64 * 100.0,
            ns,
            stats.evicted_expired as f64 / 1e6,
            stats.evicted_early as f64 / 1e6,
            stats.outcomes_evicted as f64 / 1e6,
        ]);
    }
    figures
}

/// One caller, who holds each lease for a while.
struct Load<'e> {
    engine: &'e Engine,
    clock: &'e ManualClock,
    capacity: u64,
    rng: Rng,
    /// The number of the next new request.
    next: u64,
    outcomes: [Outcome; 3],
    buffer: Outcome,
}

impl<'e> Load<'e> {
    fn new(engine: &'e Engine, clock: &'e ManualClock, capacity: u64) -> Self {
        // Beside their records, and in the store.
        let outcomes = [40, 150, 600].map(|bytes| Outcome::new(200, vec![7; bytes]));
        let buffer = Outcome::new(200, vec![0; 1_024]);
        Self { engine, clock, capacity, rng: Rng::new(0xe4d), next: 0, outcomes, buffer }
    }

    /// A millisecond passes, and a request is begun. Half of them are new; so windows of twice the
    /// capacity in milliseconds keep the table full. They are half to one and a half times as
    /// long.
    fn operation(&mut self) {
        self.clock.advance(Duration::from_millis(1));
        let number = if self.rng.below(2) == 0 {
            self.next += 1;
            self.next
        } else {
            self.next.saturating_sub(self.rng.below(self.capacity))
        };
        let window = Duration::from_millis(self.capacity + self.rng.below(self.capacity * 2));
        let options = BeginOptions::new().dedup_window(window);
        let asked = prepared(self.engine, Scope::single_tenant(), number);
        match self.engine.begin_into(&asked, &options, &mut self.buffer) {
            Ok(Admission::Admitted(lease)) => {
                if self.rng.below(16) == 0 {
                    lease.fail(Failure::retryable()).expect("held");
                } else {
                    let outcome = &self.outcomes[self.rng.below(3) as usize];
                    lease.complete(outcome).expect("held");
                }
            }
            Ok(Admission::Replayed(_) | Admission::OutcomeGone) => {}
            other => panic!("request {number} was answered {other:?}"),
        }
    }
}

const PARTS: u64 = 10;
