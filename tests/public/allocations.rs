//! Memory: fixed when the engine is opened.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use oncegate::{
    Admission, BeginOptions, Engine, ErrorCode, Failure, Fingerprint, FingerprintMode, LeaseToken,
    ManualClock, OnFull, Outcome, Payload, Prepared, Quota, Request, Scope,
};

/// Counts the allocations of the calling thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is the system allocator's, with the caller's arguments; the counter is a
// thread-local without a destructor, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the memory came from `alloc` above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations<T>(call: impl FnOnce() -> T) -> (u64, T) {
    let before = ALLOCATIONS.with(Cell::get);
    let value = call();
    (ALLOCATIONS.with(Cell::get) - before, value)
}

/// The value of a call that may not allocate.
#[track_caller]
fn free<T>(what: &str, call: impl FnOnce() -> T) -> T {
    let (count, value) = allocations(call);
    assert_eq!(count, 0, "{what} allocates");
    value
}

/// Goal: nothing on the hot path allocates (I7), and a replay that makes its own outcome allocates
/// one buffer. Method: count the thread's allocations of every call by itself, for each way to
/// make a fingerprint and each place of an outcome, while records and outcomes are evicted all the
/// time.
#[test]
fn hot_path_allocates_nothing() {
    for make in MAKES {
        for size in [48, 100, 4_000] {
            let (engine, clock) = engine(make, OnFull::EvictLru);
            let site = Site { engine: &engine, clock: &clock, make };
            let outcome = Outcome::new(200, vec![7; size]);
            let mut buffer = buffer();
            for number in 0..500 {
                site.attempts(number, &outcome, &mut buffer);
                site.replays(number, &outcome, &mut buffer);
            }
            assert!(engine.stats().expect("not forked").evicted_early > 400);
        }
    }
}

/// Goal: the same for batches. Method: batches of new requests, running ones, finished ones and
/// mismatches, answered by one call.
#[test]
fn batch_allocates_nothing() {
    for make in MAKES {
        let (engine, clock) = engine(make, OnFull::EvictLru);
        let site = Site { engine: &engine, clock: &clock, make };
        let outcome = Outcome::new(200, [7; 100]);
        let (mut buffer, options) = (buffer(), BeginOptions::new());
        for round in 0..200 {
            let keys: Vec<[u8; 8]> =
                (0..40_u64).map(|at| (round * 40 + at).to_le_bytes()).collect();
            let batch: Vec<_> = keys.iter().map(|key| site.prepared(key, b"a")).collect();
            let others: Vec<_> = keys.iter().map(|key| site.prepared(key, b"b")).collect();
            let mut held = Vec::with_capacity(batch.len());
            free("a batch of new requests", || {
                engine.begin_batch(&batch, &options, &mut buffer, |_, answer| {
                    let Ok(Admission::Admitted(lease)) = answer else { panic!("{answer:?}") };
                    held.push(lease);
                });
            });
            let mut counts = [0; 3];
            let mut ask = |what, batch: &[Prepared<'_>]| {
                free(what, || {
                    engine.begin_batch(batch, &options, &mut buffer, |_, answer| match answer {
                        Ok(Admission::InProgress { .. }) => counts[0] += 1,
                        Ok(Admission::Mismatched) => counts[1] += 1,
                        Ok(Admission::Replayed(found)) if *found == outcome => counts[2] += 1,
                        other => panic!("{other:?}"),
                    });
                });
            };
            ask("a batch of running requests", &batch);
            ask("a batch of mismatches", &others);
            for lease in held {
                lease.complete(&outcome).expect("held");
            }
            ask("a batch of replays", &batch);
            assert_eq!(counts, [40; 3]);
        }
    }
}

/// Goal: what an attacker gets for nothing costs no memory either: the refusals of a full table
/// and of a quota. Method: a table of running requests, a scope without a live record left, one
/// that used its rate up, and one more scope than may have a quota.
#[test]
fn refusals_allocate_nothing() {
    let quota = Quota::unlimited().max_live(1_000);
    let builder = Engine::builder().capacity(16).max_scopes(3).default_quota(quota);
    let engine = builder.clock(ManualClock::new()).build().expect("valid");
    for (scope, quota) in
        [("live", Quota::unlimited().max_live(1)), ("rate", Quota::unlimited().rate(0.001, 1))]
    {
        engine.set_quota(Scope::new(scope).expect("short"), quota).expect("valid");
        let _held = token(engine.begin(&of(scope, "first")));
    }
    let mut next = 0_u32;
    let mut fill = || {
        next += 1;
        let key = next.to_string();
        engine.begin(&of("filler", &key)).map(|begun| token(Ok(begun)))
    };
    fill().expect("there is room");
    let mut names = (0..32).map(|name| format!("one more {name}"));
    // There is some slack, and each name that gets in holds its entry.
    let one_more = names.find(|name| engine.begin(&of(name, "k")).map(|b| token(Ok(b))).is_err());
    let one_more = one_more.expect("max_scopes is a limit");
    while fill().is_ok() {}
    for (scope, code, field) in [
        ("filler", ErrorCode::Full, "capacity"),
        ("live", ErrorCode::QuotaExceeded, "scope"),
        ("rate", ErrorCode::QuotaExceeded, "scope"),
        (&one_more, ErrorCode::QuotaExceeded, "scopes"),
    ] {
        for _ in 0..100 {
            let refused = free(scope, || engine.begin(&of(scope, "never seen")));
            let error = refused.expect_err(scope);
            assert_eq!((error.code(), error.field()), (code, field), "{scope}");
        }
    }
}

fn of<'a>(scope: &'a str, key: &'a str) -> Request<'a> {
    Request::new(Scope::new(scope).expect("short"), "op", key).expect("short")
}

/// How fingerprints are made.
#[derive(Clone, Copy, Debug)]
enum Make {
    Keyed,
    Fast,
    /// By the caller.
    Hashed,
}

const MAKES: [Make; 3] = [Make::Keyed, Make::Fast, Make::Hashed];

fn engine(make: Make, on_full: OnFull) -> (Engine, ManualClock) {
    let (fast, clock) = (matches!(make, Make::Fast), ManualClock::new());
    let mode = if fast { FingerprintMode::FastTrusted } else { FingerprintMode::Keyed };
    let builder = Engine::builder().capacity(64).on_full(on_full).fingerprint_mode(mode);
    let builder = builder.outcome_bytes(64 << 10).outcome_limit(4_096).clock(clock.clone());
    (builder.build().expect("valid"), clock)
}

/// As if it had been grown to the largest outcome: from then on it is used again.
fn buffer() -> Outcome {
    Outcome::new(200, [0; 4_096])
}

struct Site<'e> {
    engine: &'e Engine,
    clock: &'e ManualClock,
    make: Make,
}

impl Site<'_> {
    fn prepared<'k>(&self, key: &'k [u8; 8], payload: &'k [u8]) -> Prepared<'k> {
        let scope = Scope::single_tenant();
        if let Make::Hashed = self.make {
            let digest = u64::from(payload[0]) << 32;
            return self.engine.prepare_hashed(scope, spread(key), digest);
        }
        let request = Request::new(scope, "POST /charges", key).expect("short");
        self.engine.prepare(&request.payload(Payload::raw(payload))).expect("valid")
    }

    /// A request that fails until its third attempt, and what overlaps with it.
    fn attempts(&self, number: u64, outcome: &Outcome, buffer: &mut Outcome) {
        let (engine, options) = (self.engine, BeginOptions::new());
        let key = number.to_le_bytes();
        let asked = free("prepare", || self.prepared(&key, b"a"));
        let other = self.prepared(&key, b"b");
        let first = free("begin of a new record", || admitted(engine, &asked, buffer));
        free("an answer about a running attempt", || {
            let met = engine.begin_into(&asked, &options, buffer);
            assert!(matches!(met, Ok(Admission::InProgress { attempt: 1, .. })));
            let met = engine.begin_prepared(&asked, &options);
            assert!(matches!(met, Ok(Admission::InProgress { attempt: 1, .. })));
        });
        free("a mismatch", || {
            let met = engine.begin_into(&other, &options, buffer);
            assert!(matches!(met, Ok(Admission::Mismatched)));
        });
        free("renew", || engine.renew(&first, Duration::from_secs(30)).expect("held"));
        free("fail", || engine.fail(&first, Failure::retryable()).expect("held"));
        free("a stale renewal", || {
            let stale = engine.renew(&first, Duration::from_secs(30));
            assert!(stale.is_err_and(|error| error.is_fenced()));
        });
        let second = free("begin of a retry", || admitted(engine, &asked, buffer));
        free("fail for later", || {
            let later = Failure::retryable_after(Duration::from_secs(1));
            engine.fail(&second, later).expect("held");
            let met = engine.begin_into(&asked, &options, buffer);
            assert!(matches!(met, Ok(Admission::Scheduled { next_attempt: 3, .. })));
        });
        self.clock.advance(Duration::from_secs(1));
        let third = free("begin of a due retry", || admitted(engine, &asked, buffer));
        let terminal = Failure::terminal(outcome.clone());
        free("a final failure", || engine.fail(&third, terminal).expect("held"));
    }

    /// A request that is given back once, completed, and replayed.
    fn replays(&self, number: u64, outcome: &Outcome, buffer: &mut Outcome) {
        let (engine, options) = (self.engine, BeginOptions::new());
        let key = (number + (1 << 32)).to_le_bytes();
        let asked = self.prepared(&key, b"a");
        let token = admitted(engine, &asked, buffer);
        free("abandon", || engine.abandon(&token).expect("held"));
        let token = admitted(engine, &asked, buffer);
        free("complete", || engine.complete(&token, outcome).expect("held"));
        free("a replay into the caller's buffer", || {
            let met = engine.begin_into(&asked, &options, buffer);
            assert!(matches!(met, Ok(Admission::Replayed(found)) if found == outcome));
        });
        let (count, met) = allocations(|| engine.begin_prepared(&asked, &options));
        assert!(matches!(met, Ok(Admission::Replayed(found)) if found == *outcome));
        assert_eq!(count, 1, "a replay that makes its own outcome");
    }
}

/// A caller's own hash.
fn spread(key: &[u8; 8]) -> Fingerprint {
    let mut bytes = [0; 32];
    for (at, part) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let number = u64::from_le_bytes(*key) * 4 + at as u64 + 1;
        let word = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let word = (word ^ (word >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        *part = (word ^ (word >> 29)).to_le_bytes();
    }
    Fingerprint::from_bytes(bytes)
}

fn admitted(engine: &Engine, asked: &Prepared<'_>, buffer: &mut Outcome) -> LeaseToken {
    match engine.begin_into(asked, &BeginOptions::new(), buffer) {
        Ok(Admission::Admitted(lease)) => lease.into_token(),
        other => panic!("not admitted: {other:?}"),
    }
}

fn token(begun: Result<Admission<'_>, oncegate::Error>) -> LeaseToken {
    match begun {
        Ok(Admission::Admitted(lease)) => lease.into_token(),
        other => panic!("not admitted: {other:?}"),
    }
}
