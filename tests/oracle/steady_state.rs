//! The steady state: a table that holds exactly what it promised to hold.

use std::time::Duration;

use oncegate::{Admission, Engine, FingerprintMode, ManualClock, Outcome, Request, Scope, Secret};

/// Goal: a table of capacity N holds N live records: at most 0.02 in 100 insertions take the
/// place of a record inside its window.
/// Method: records arrive and run out in order, one a millisecond, N of them alive at any time,
/// for four windows after the first; three secrets, so three placements. Counted, not timed.
#[test]
fn the_capacity_holds_in_the_steady_state() {
    for secret in [1, 2, 3] {
        let clock = ManualClock::new();
        let engine = Engine::builder()
            .capacity(CAPACITY)
            .dedup_window(Duration::from_millis(CAPACITY as u64))
            .fingerprint_mode(FingerprintMode::FastTrusted)
            .secret(Secret::from_bytes(&[secret; 32]).expect("32 bytes"))
            .clock(clock.clone())
            .build()
            .expect("valid");
        let mut first_window = 0;
        for arrival in 0..5 * CAPACITY {
            if arrival == CAPACITY {
                first_window = engine.stats().expect("not forked").evicted_early;
            }
            clock.advance(Duration::from_millis(1));
            let key = (arrival as u64).to_le_bytes();
            let request = Request::new(Scope::single_tenant(), "op", &key).expect("short");
            let Admission::Admitted(lease) = engine.begin(&request).expect("room") else {
                panic!("request {arrival} is new")
            };
            lease.complete(&Outcome::new(200, b"done")).expect("held");
        }
        let evicted = engine.stats().expect("not forked").evicted_early - first_window;
        let insertions = 4 * CAPACITY;
        println!("secret {secret}: {evicted} evicted early in {insertions} insertions");
        assert!(evicted as f64 <= 0.000_2 * insertions as f64, "{evicted} of {insertions}");
        assert_eq!(first_window, 0, "in the first fill, below capacity");
    }
}

const CAPACITY: usize = 20_000;
