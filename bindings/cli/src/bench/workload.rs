//! What is measured: calls as a service makes them, one key after the other.

use std::time::{Duration, Instant};

use oncegate::{Admission, BeginOptions, Engine, Error, Outcome, Payload, Request, Scope};
use serde::Serialize;

use super::BenchError;
use crate::rng::SplitMix64;

/// What a workload asks of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Duplicates of a few finished requests.
    HotReplay,
    /// Duplicates of many finished requests, and one new request in a hundred.
    MostlyDuplicates,
    /// New requests only, begun and completed, in a table that is full.
    Unique,
}

/// Whether hashing the request is in the figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Hashing {
    /// Each call hashes identity and payload, by HMAC-SHA-256.
    Included,
    /// Each call gets its request prepared: hashed before.
    Excluded,
}

impl Kind {
    /// Every workload, in the order of the table.
    pub(crate) const ALL: [Self; 3] = [Self::HotReplay, Self::MostlyDuplicates, Self::Unique];

    /// The workload in words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HotReplay => "hot replay, 16 keys",
            Self::MostlyDuplicates => "99 % duplicates, 64 k records",
            Self::Unique => "unique begin + complete, full table",
        }
    }
}

impl Hashing {
    /// Both, in the order of the table.
    pub(crate) const ALL: [Self; 2] = [Self::Included, Self::Excluded];

    /// The choice in words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Included => "included",
            Self::Excluded => "excluded",
        }
    }
}

/// An engine, filled as its workload needs it.
pub(crate) struct Bench {
    engine: Engine,
    kind: Kind,
    /// Finished records at the start, with the keys 0 to this.
    records: u64,
}

impl Bench {
    /// Builds and fills the engine. Costs some ten milliseconds, and up to 50 MiB.
    pub(crate) fn new(kind: Kind) -> Result<Self, BenchError> {
        let (records, capacity) = match kind {
            Kind::HotReplay => (HOT, 1_024),
            // Room for the new ones: no duplicate is pushed out and runs again.
            Kind::MostlyDuplicates => (RECORDS, 2 * RECORDS),
            Kind::Unique => (RECORDS, RECORDS),
        };
        let engine = Engine::builder()
            .capacity(capacity as usize)
            .outcome_bytes(capacity as usize * OUTCOME_ROOM)
            .outcome_limit(OUTCOME_LIMIT)
            .dedup_window(DEDUP_WINDOW)
            .build()?;
        for number in 0..records {
            let key = key(number);
            finish(engine.begin(&request(&key)?)?, kind)?;
        }
        Ok(Self { engine, kind, records })
    }
}

/// One thread's calls, a batch at a time.
pub(crate) struct Worker<'a> {
    bench: &'a Bench,
    rng: SplitMix64,
    hashing: Hashing,
    fresh: u64,
    keys: Vec<[u8; 16]>,
}

impl<'a> Worker<'a> {
    /// The worker of one thread; each thread has fresh keys of its own.
    pub(crate) fn new(bench: &'a Bench, hashing: Hashing, thread: u64) -> Self {
        Self {
            bench,
            rng: SplitMix64::at(2, [bench.kind as u64, thread]),
            hashing,
            fresh: (thread + 1) << 32,
            keys: Vec::with_capacity(BATCH),
        }
    }

    /// Makes one batch of calls; gives the time that they took, without the choice of keys.
    pub(crate) fn batch(&mut self) -> Result<Duration, BenchError> {
        self.choose_keys();
        let Bench { engine, kind, .. } = self.bench;
        match self.hashing {
            Hashing::Included => {
                let start = Instant::now();
                for key in &self.keys {
                    finish(engine.begin(&request(key)?)?, *kind)?;
                }
                Ok(start.elapsed())
            }
            Hashing::Excluded => {
                let prepare = |key| engine.prepare(&request(key)?);
                let prepared = self.keys.iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
                let options = BeginOptions::new();
                let start = Instant::now();
                for prepared in &prepared {
                    finish(engine.begin_prepared(prepared, &options)?, *kind)?;
                }
                Ok(start.elapsed())
            }
        }
    }

    fn choose_keys(&mut self) {
        self.keys.clear();
        for _ in 0..BATCH {
            let is_new = match self.bench.kind {
                Kind::HotReplay => false,
                Kind::MostlyDuplicates => self.rng.below(100) == 0,
                Kind::Unique => true,
            };
            self.fresh += u64::from(is_new);
            let number = if is_new { self.fresh } else { self.rng.below(self.bench.records) };
            self.keys.push(key(number));
        }
    }
}

/// Completes what was admitted, with a small outcome; a duplicate must get the outcome.
#[inline]
fn finish(admission: Admission<'_>, kind: Kind) -> Result<(), BenchError> {
    match admission {
        Admission::Admitted(lease) => {
            lease.complete(&Outcome::new(200, BODY))?;
            Ok(())
        }
        Admission::Replayed(_) => Ok(()),
        _ => Err(BenchError::Unexpected(kind.name())),
    }
}

#[inline]
fn request(key: &[u8; 16]) -> Result<Request<'_>, Error> {
    let request = Request::new(Scope::new("bench")?, "POST /charges", key)?;
    Ok(request.payload(Payload::raw(&BODY)))
}

/// A key of 16 bytes, as a UUID has.
fn key(number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&SplitMix64::new(number).next_u64().to_le_bytes());
    key[8..].copy_from_slice(&number.to_le_bytes());
    key
}

const HOT: u64 = 16;
/// A debug build hashes so slowly that it gets a smaller table; its figures say little anyway.
const RECORDS: u64 = if cfg!(debug_assertions) { 1 << 10 } else { 1 << 16 };
/// Calls of one batch.
pub(crate) const BATCH: usize = 256;
const BODY: [u8; 64] = [7; 64];
/// Bytes of the outcome budget for each record: a body and what the engine adds to it.
const OUTCOME_ROOM: usize = 256;
const OUTCOME_LIMIT: usize = 1_024;
/// Longer than any run of this command.
const DEDUP_WINDOW: Duration = Duration::from_secs(3_600);
