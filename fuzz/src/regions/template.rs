//! Templates: tables in which every kind of record lies, waiting to be spoilt.

use std::sync::OnceLock;
use std::time::Duration;

use oncegate::{Admission, AttemptError, Failure, ManualClock, Outcome, Quota, RetryContext};

use super::{KINDS, Place, builder, request, scope};

/// The words of a table, and nothing behind them.
#[derive(Clone)]
pub(super) struct Words {
    pub(super) all: Vec<u64>,
    /// Where those lie that its retried records are made of.
    pub(super) retries: Vec<usize>,
    bytes: usize,
}

impl Words {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.all.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.resize(self.bytes, 0);
        bytes
    }
}

/// A table in which every kind of record lies, each twice; of those that are retried, one that
/// waits, one that runs, one that is due, and two dead letters.
pub(super) fn template(kind: usize) -> &'static Words {
    static TEMPLATES: [OnceLock<Words>; KINDS] = [const { OnceLock::new() }; KINDS];
    TEMPLATES[kind].get_or_init(|| {
        let (place, clock) = (Place::new(), ManualClock::new());
        let engine = builder(kind, &clock, &place).build().expect("a table");
        engine.set_quota(scope(0), Quota::unlimited().max_live(3).rate(1.0, 2)).expect("valid");
        for number in 0..12 {
            let key = format!("key-{number}");
            let Ok(Admission::Admitted(lease)) = engine.begin(&request(&key)) else { continue };
            let outcome = Outcome::new(200, vec![number; 5]);
            let stored = Outcome::new(200, vec![number; 40]).with_metadata("name", "value");
            let _ = match number % 6 {
                0 => lease.complete(&outcome).map(|_| ()),
                1 => lease.complete(&stored.expect("small")).map(|_| ()),
                2 => lease.fail(Failure::terminal(outcome)),
                3 => lease.fail(Failure::retryable_after(Duration::from_secs(9))),
                4 => lease.fail(Failure::unknown()),
                _ => {
                    let _ = lease.into_token();
                    Ok(())
                }
            };
        }
        let read = || {
            let bytes = std::fs::read(place.table()).expect("own file");
            let words = bytes.as_chunks().0.iter().map(|b| u64::from_ne_bytes(*b));
            (words.collect::<Vec<u64>>(), bytes.len())
        };
        let (before, bytes) = read();
        let context = RetryContext::new("op", b"what it needs");
        for (key, ending) in [("r", 0), ("s", 1), ("t", 1), ("u", 2), ("v", 0)] {
            let Ok(Admission::Admitted(lease)) = engine.begin(&request(key)) else { continue };
            let error = AttemptError::new("503").outcome(Outcome::new(502, [9; 40]));
            let mut lease = Some(lease);
            for _ in 0..[1, ATTEMPTS, 1][ending] {
                let Some(lease) = lease.take().or_else(|| {
                    clock.advance(Duration::from_secs(1));
                    engine.next_attempt(Duration::ZERO).ok()?.map(oncegate::Attempt::into_lease)
                }) else {
                    break;
                };
                let _ = lease.retry_later(&error, &context);
            }
            if ending == 2 {
                clock.advance(Duration::from_secs(1));
                let next = engine.next_attempt(Duration::ZERO).expect("answered");
                let _ = next.map(|attempt| attempt.into_lease().into_token());
            }
        }
        let (mut all, _) = read();
        // What is mapped ends with the last word that the engine uses.
        let used = engine.stats().expect("own").bytes as usize / size_of::<u64>();
        all.truncate(used);
        let retries = (0..all.len()).filter(|at| all[*at] != before[*at]).collect();
        Words { all, retries, bytes }
    })
}

/// How many attempts there are before a record is given up.
pub(super) const ATTEMPTS: u32 = 2;
