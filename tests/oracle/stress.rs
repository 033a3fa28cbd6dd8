//! Real threads on few keys: what the models prove of two threads, watched over many.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use oncegate::{
    Admission, Engine, Failure, Lease, ManualClock, OnFull, Outcome, Request, Scope, Secret,
};

/// What the callers of one key know, apart from the engine.
#[derive(Default)]
struct Ledger {
    holders: AtomicU32,
    highest: AtomicU64,
}

impl Ledger {
    /// Books one attempt from its admission to its end.
    fn run(&self, lease: Lease<'_>, end: impl FnOnce(Lease<'_>)) {
        // AcqRel and Acquire: an attempt that ended before this one began is seen.
        assert_eq!(self.holders.fetch_add(1, Ordering::AcqRel), 0, "two attempts at once");
        let fence = lease.fencing_token().get();
        let before = self.highest.fetch_max(fence, Ordering::AcqRel);
        assert!(before < fence, "token {fence} after {before}");
        self.holders.fetch_sub(1, Ordering::AcqRel);
        end(lease);
    }
}

fn next(state: &mut u64) -> u64 {
    // SplitMix64 (Steele, Lea and Flood, 2014).
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn storm(keys: u64, seed: u64) {
    eprintln!("stress: {keys} keys, seed {seed}");
    let clock = ManualClock::new();
    let engine = Engine::builder()
        .tiny()
        .on_full(OnFull::EvictLru)
        .lease_duration(Duration::from_secs(1_000_000))
        .dedup_window(WINDOW)
        .secret(Secret::from_bytes(&[7; 32]).expect("32 bytes"))
        .clock(clock.clone())
        .build()
        .expect("a tiny engine");
    let ledgers: Vec<Ledger> = (0..keys).map(|_| Ledger::default()).collect();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (engine, ledgers, clock) = (&engine, &ledgers, &clock);
            scope.spawn(move || {
                let mut random = seed ^ thread;
                for _ in 0..STEPS {
                    let (key, then) = (next(&mut random) % keys, next(&mut random) % 16);
                    let bytes = key.to_le_bytes();
                    let request = Request::new(Scope::single_tenant(), "op", &bytes);
                    // Full of running records, now and then.
                    let Ok(admission) = engine.begin(&request.expect("short")) else { continue };
                    let Admission::Admitted(lease) = admission else { continue };
                    ledgers[key as usize].run(lease, |lease| match then {
                        0..4 => lease.fail(Failure::retryable()).expect("held"),
                        4 => clock.advance(WINDOW),
                        _ => {
                            lease.complete(&Outcome::new(200, b"")).expect("held");
                        }
                    });
                }
            });
        }
    });
    let live = engine.stats().expect("not forked").live;
    assert!(live.running == 0 && live.total() <= keys, "{live:?}");
}

/// Goal: one attempt at a time and rising tokens (I1, I2), where records are evicted. Method: more
/// keys than slots, ends of all kinds, and a ledger per key outside the engine.
#[test]
fn one_attempt_at_a_time_in_a_full_table() {
    storm(40, 0x0dd5_eed5);
}

/// Goal: the same where windows end all the time. Method: few keys, many jumps of the clock.
#[test]
fn one_attempt_at_a_time_across_windows() {
    storm(3, 0x5eed_0dd5);
}

const THREADS: u64 = 8;
const STEPS: u32 = 40_000;
const WINDOW: Duration = Duration::from_millis(50);
