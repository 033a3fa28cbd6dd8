//! Path: what is counted, each with an engine that makes it the same every time.

use std::hint::black_box;
use std::path::Path as FilePath;
use std::time::Duration;

use oncegate::{
    Admission, AttemptError, BeginOptions, Engine, Fingerprint, FingerprintMode, ManualClock,
    Outcome, Prepared, Reach, Request, RetryContext, Scope, Secret,
};
use oncegate_paths::{BATCH, FULL, fingerprint, measured};

/// A hot path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// A duplicate of a finished request that is prepared: its 64 bytes go into a buffer.
    ReplayPrepared,
    /// The same, and the fingerprint is handed over each time.
    ReplayHashed,
    /// The same, and the outcome goes into memory of its own.
    ReplayAllocated,
    /// The same into the buffer, and the outcome has 256 bytes, too many to lie beside its record.
    ReplayLarge,
    /// Sixteen duplicates at once; counted for each.
    ReplayBatch,
    /// [`ReplayPrepared`](Self::ReplayPrepared) in a file that processes share.
    ReplayShared,
    /// A new request from begin to complete, and the table has room.
    New,
    /// The same, and the table is full: an old record goes.
    NewInFullTable,
    /// The same in a file that processes share.
    NewShared,
    /// Sixteen new requests at once in a full table, then completed; counted for each.
    NewBatch,
    /// A duplicate of a running request.
    InProgress,
    /// A lease that is renewed.
    Renew,
    /// An attempt that failed is put off, with 64 bytes to run it again.
    RetryLater,
    /// The next attempt is handed out with its lease, of many that are due.
    NextAttempt,
    /// An attempt that was handed out is completed.
    CompleteRetried,
    /// The keyed digests of a request with a key of 36 bytes.
    HashKeyed,
    /// The digests of the fast mode.
    HashFast,
}

impl Path {
    /// All of them.
    pub(crate) const ALL: [Self; 17] = [
        Self::ReplayPrepared,
        Self::ReplayHashed,
        Self::ReplayAllocated,
        Self::ReplayLarge,
        Self::ReplayBatch,
        Self::ReplayShared,
        Self::New,
        Self::NewInFullTable,
        Self::NewShared,
        Self::NewBatch,
        Self::InProgress,
        Self::Renew,
        Self::RetryLater,
        Self::NextAttempt,
        Self::CompleteRetried,
        Self::HashKeyed,
        Self::HashFast,
    ];

    /// Its name in the baseline.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ReplayPrepared => "replay-prepared",
            Self::ReplayHashed => "replay-hashed",
            Self::ReplayAllocated => "replay-allocated",
            Self::ReplayLarge => "replay-large",
            Self::ReplayBatch => "replay-batch-16",
            Self::ReplayShared => "replay-shared",
            Self::New => "new",
            Self::NewInFullTable => "new-in-full-table",
            Self::NewShared => "new-shared",
            Self::NewBatch => "new-batch-16",
            Self::InProgress => "in-progress",
            Self::Renew => "renew",
            Self::RetryLater => "retry-later",
            Self::NextAttempt => "next-attempt",
            Self::CompleteRetried => "complete-retried",
            Self::HashKeyed => "hash-keyed",
            Self::HashFast => "hash-fast",
        }
    }

    /// Prepares what it needs, and runs it that many times inside `measured`.
    pub(crate) fn run(self, iterations: usize) {
        match self {
            Self::ReplayPrepared => replay(iterations, Replay::Prepared, 64, Reach::Process),
            Self::ReplayHashed => replay(iterations, Replay::Hashed, 64, Reach::Process),
            Self::ReplayAllocated => replay(iterations, Replay::Allocated, 64, Reach::Process),
            Self::ReplayLarge => replay(iterations, Replay::Prepared, 256, Reach::Process),
            Self::ReplayBatch => replay(iterations, Replay::Batch, 64, Reach::Process),
            Self::ReplayShared => shared(|reach| replay(iterations, Replay::Prepared, 64, reach)),
            Self::New => new(iterations, 8 * iterations, 0, Reach::Process),
            Self::NewInFullTable => new(iterations, FULL, 3 * FULL, Reach::Process),
            Self::NewShared => shared(|reach| new(iterations, FULL, 3 * FULL, reach)),
            Self::NewBatch => new_batch(iterations),
            Self::InProgress => in_progress(iterations),
            Self::Renew => renew(iterations),
            Self::RetryLater | Self::NextAttempt | Self::CompleteRetried => {
                retried(iterations, self);
            }
            Self::HashKeyed => hash(iterations, FingerprintMode::Keyed),
            Self::HashFast => hash(iterations, FingerprintMode::FastTrusted),
        }
    }
}

#[derive(Clone, Copy)]
enum Replay {
    Prepared,
    Hashed,
    Allocated,
    Batch,
}

fn replay(iterations: usize, how: Replay, bytes: usize, reach: Reach) {
    let engine = engine_in(reach, FULL, FingerprintMode::Keyed);
    let keys: Vec<Fingerprint> = (0..BATCH as u64).map(fingerprint).collect();
    let outcome = Outcome::new(200, vec![7; bytes]);
    keys.iter().for_each(|&key| complete(&engine, key, &outcome));
    let batch: Vec<Prepared<'_>> = keys.iter().map(|&key| prepare(&engine, key)).collect();
    let (options, mut buffer) = (BeginOptions::new(), Outcome::default());
    match how {
        Replay::Prepared => measured(iterations, |i| {
            black_box(engine.begin_into(&batch[i % BATCH], &options, &mut buffer).is_ok());
        }),
        Replay::Hashed => measured(iterations, |i| {
            let prepared = prepare(&engine, keys[i % BATCH]);
            black_box(engine.begin_into(&prepared, &options, &mut buffer).is_ok());
        }),
        Replay::Allocated => measured(iterations, |i| {
            black_box(engine.begin_prepared(&batch[i % BATCH], &options).is_ok());
        }),
        Replay::Batch => measured(iterations / BATCH, |_| {
            engine.begin_batch(&batch, &options, &mut buffer, |_, answer| {
                black_box(answer.is_ok());
            });
        }),
    }
    assert_eq!(engine.stats().expect("not forked").replayed, iterations as u64);
}

/// New requests, after `before` of them.
fn new(iterations: usize, capacity: usize, before: usize, reach: Reach) {
    let engine = engine_in(reach, capacity, FingerprintMode::Keyed);
    let (options, outcome) = (BeginOptions::new(), Outcome::new(200, [7; 64]));
    (0..before).for_each(|number| complete(&engine, fingerprint(number as u64), &outcome));
    let keys: Vec<_> = (before..before + iterations).map(|n| fingerprint(n as u64)).collect();
    let mut buffer = Outcome::default();
    measured(iterations, |i| {
        let prepared = prepare(&engine, keys[i]);
        match engine.begin_into(&prepared, &options, &mut buffer).expect("room") {
            Admission::Admitted(lease) => lease.complete(&outcome).expect("held"),
            other => panic!("a new key was answered {other:?}"),
        };
    });
    let stats = engine.stats().expect("not forked");
    assert_eq!(stats.evicted_early > 0, before > capacity, "{stats:?}");
}

fn new_batch(iterations: usize) {
    let engine = engine(FULL, FingerprintMode::Keyed);
    let before = 3 * FULL;
    let (options, outcome) = (BeginOptions::new(), Outcome::new(200, [7; 64]));
    (0..before).for_each(|number| complete(&engine, fingerprint(number as u64), &outcome));
    let keys: Vec<_> = (before..before + iterations).map(|n| fingerprint(n as u64)).collect();
    let (mut batch, mut leases) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    let mut buffer = Outcome::default();
    measured(iterations / BATCH, |i| {
        batch.clear();
        batch.extend(keys[i * BATCH..][..BATCH].iter().map(|&key| prepare(&engine, key)));
        engine.begin_batch(&batch, &options, &mut buffer, |_, answer| {
            if let Ok(Admission::Admitted(lease)) = answer {
                leases.push(lease);
            }
        });
        for lease in leases.drain(..) {
            lease.complete(&outcome).expect("held");
        }
    });
    assert_eq!(engine.stats().expect("not forked").completed, (before + iterations) as u64);
}

fn in_progress(iterations: usize) {
    let engine = engine(FULL, FingerprintMode::Keyed);
    let (options, mut buffer) = (BeginOptions::new(), Outcome::default());
    let prepared = prepare(&engine, fingerprint(1));
    let Ok(Admission::Admitted(lease)) = engine.begin_prepared(&prepared, &options) else {
        panic!("a new key was not admitted");
    };
    measured(iterations, |_| {
        black_box(engine.begin_into(&prepared, &options, &mut buffer).is_ok());
    });
    assert_eq!(engine.stats().expect("not forked").in_progress, iterations as u64);
    lease.complete(&Outcome::default()).expect("held");
}

fn renew(iterations: usize) {
    let engine = engine(FULL, FingerprintMode::Keyed);
    let prepared = prepare(&engine, fingerprint(1));
    let Ok(Admission::Admitted(mut lease)) = engine.begin_prepared(&prepared, &BeginOptions::new())
    else {
        panic!("a new key was not admitted");
    };
    measured(iterations, |i| {
        // A new deadline each time, or there would be nothing to write.
        lease.renew(Duration::from_millis(60_000 + i as u64)).expect("held");
    });
    lease.complete(&Outcome::default()).expect("held");
}

/// A retried record's life, of which `part` is counted.
fn retried(iterations: usize, part: Path) {
    let clock = ManualClock::new();
    let secret = Secret::from_bytes(&[7; 32]).expect("long enough");
    let builder = Engine::builder().capacity(8 * iterations).secret(secret).outcome_limit(256);
    let builder = builder.max_retrying(2 * iterations).context_limit(64).steps_limit(0);
    // Twice what all journals may take, and more for outcomes.
    let builder = builder.outcome_bytes(iterations * 8_192 + (16 << 20)).jitter_seed(1);
    let engine = builder.clock(clock.clone()).build().expect("a valid configuration");
    let (error, outcome) = (AttemptError::new("503"), Outcome::new(200, [7; 64]));
    let context = RetryContext::new("deliver", &[7; 64]);
    let lease = |number: u64| {
        let prepared = prepare(&engine, fingerprint(number));
        match engine.begin_prepared(&prepared, &BeginOptions::new()).expect("room") {
            Admission::Admitted(lease) => Some(lease),
            other => panic!("a new key was answered {other:?}"),
        }
    };
    let mut leases: Vec<_> = (0..iterations as u64).map(lease).collect();
    count(part == Path::RetryLater, iterations, |i| {
        let lease = leases[i].take().expect("once");
        black_box(lease.retry_later(&error, &context).is_ok());
    });
    clock.advance(Duration::from_secs(60));
    let mut attempts = Vec::with_capacity(iterations);
    // What was put off is filed at once by the first who looks, which is not counted.
    attempts.push(engine.next_attempt(Duration::ZERO).expect("not forked"));
    count(part == Path::NextAttempt, iterations - 1, |_| {
        attempts.push(engine.next_attempt(Duration::ZERO).expect("not forked"));
    });
    count(part == Path::CompleteRetried, iterations, |i| {
        let lease = attempts[i].take().expect("it was due").into_lease();
        black_box(lease.complete(&outcome).is_ok());
    });
    let stats = engine.stats().expect("not forked");
    assert_eq!((stats.completed, stats.retries.retrying), (iterations as u64, 0));
}

/// Runs `path` that many times, and inside `measured` if it is the one that counts.
fn count(counts: bool, iterations: usize, path: impl FnMut(usize)) {
    if counts {
        measured(iterations, path);
    } else {
        (0..iterations).for_each(path);
    }
}

fn hash(iterations: usize, mode: FingerprintMode) {
    let engine = engine(FULL, mode);
    let key = "8e03978e-40d5-43e8-bc93-6894a57f9324";
    measured(iterations, |_| {
        let request = Request::new(Scope::single_tenant(), "POST /charges", black_box(key));
        let prepared = engine.prepare(&request.expect("a valid key")).expect("not forked");
        black_box(prepared.fingerprint());
    });
}

/// Runs `path` on a file of its own.
fn shared(path: impl FnOnce(Reach)) {
    let memory = FilePath::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = base.join(format!("paths-{}-shared", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder");
    path(Reach::Host(folder.join("table")));
    std::fs::remove_dir_all(&folder).expect("own folder");
}

fn engine(capacity: usize, mode: FingerprintMode) -> Engine {
    engine_in(Reach::Process, capacity, mode)
}

fn engine_in(reach: Reach, capacity: usize, mode: FingerprintMode) -> Engine {
    let secret = Secret::from_bytes(&[7; 32]).expect("long enough");
    let reached = Engine::builder().reach(reach);
    let builder = reached.capacity(capacity).fingerprint_mode(mode).secret(secret);
    let builder = builder.outcome_limit(256).clock(ManualClock::new());
    builder.build().expect("a valid configuration")
}

fn prepare(engine: &Engine, key: Fingerprint) -> Prepared<'static> {
    engine.prepare_hashed(Scope::single_tenant(), key, 0)
}

fn complete(engine: &Engine, key: Fingerprint, outcome: &Outcome) {
    let prepared = prepare(engine, key);
    match engine.begin_prepared(&prepared, &BeginOptions::new()).expect("room") {
        Admission::Admitted(lease) => lease.complete(outcome).expect("held"),
        other => panic!("a new key was answered {other:?}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: no path breaks unseen. Method: each runs a few times; their own assertions say that
    /// they are what they are called.
    #[test]
    fn every_path_runs() {
        for path in Path::ALL {
            path.run(4 * BATCH);
        }
    }
}
