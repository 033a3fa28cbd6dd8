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
        let (engine, clock) = open(secret, Duration::from_millis(CAPACITY as u64));
        let mut first_window = 0;
        for arrival in 0..5 * CAPACITY {
            if arrival == CAPACITY {
                first_window = engine.stats().expect("not forked").evicted_early;
            }
            clock.advance(Duration::from_millis(1));
            assert!(runs(&engine, arrival), "request {arrival} is new");
        }
        let evicted = engine.stats().expect("not forked").evicted_early - first_window;
        let insertions = 4 * CAPACITY;
        println!("secret {secret}: {evicted} evicted early in {insertions} insertions");
        assert!(evicted as f64 <= 0.000_2 * insertions as f64, "{evicted} of {insertions}");
        assert_eq!(first_window, 0, "in the first fill, below capacity");
    }
}

/// Goal: in a table that is full of records which all should stay, a retry is remembered while nine
/// tenths of the capacity came after it: 99 in 100 at that distance, 999 in 1,000 at eight tenths.
/// Method: one record a millisecond, three times as many as there is room for; then those again
/// that are that old. Three secrets, so three placements. Counted, not timed.
#[test]
fn retries_are_remembered_in_a_full_table() {
    let mut forgotten = [0; 2];
    for secret in [1, 2, 3] {
        let (engine, clock) = open(secret, Duration::from_secs(86_400));
        let arrivals = 4 * CAPACITY;
        for arrival in 0..arrivals {
            clock.advance(Duration::from_millis(1));
            assert!(runs(&engine, arrival), "request {arrival} is new");
        }
        for (at, share) in [80, 90].into_iter().enumerate() {
            let age = CAPACITY * share / 100;
            forgotten[at] += (age - ASKED..age).filter(|age| runs(&engine, arrivals - age)).count();
        }
    }
    let asked = 3 * ASKED;
    println!("at eight and nine tenths of the capacity {forgotten:?} of {asked} were forgotten");
    assert!(forgotten[0] <= asked / 1_000, "{} of {asked} at eight tenths", forgotten[0]);
    assert!(forgotten[1] <= asked / 100, "{} of {asked} at nine tenths", forgotten[1]);
}

fn open(secret: u8, window: Duration) -> (Engine, ManualClock) {
    let clock = ManualClock::new();
    let builder = Engine::builder().capacity(CAPACITY).dedup_window(window);
    let secret = Secret::from_bytes(&[secret; 32]).expect("32 bytes");
    let builder = builder.fingerprint_mode(FingerprintMode::FastTrusted).secret(secret);
    (builder.clock(clock.clone()).build().expect("valid"), clock)
}

/// Whether the request of that number ran, and did not run before.
fn runs(engine: &Engine, number: usize) -> bool {
    let key = (number as u64).to_le_bytes();
    let request = Request::new(Scope::single_tenant(), "op", &key).expect("short");
    match engine.begin(&request).expect("room") {
        Admission::Admitted(lease) => {
            lease.complete(&Outcome::new(200, b"done")).expect("held");
            true
        }
        Admission::Replayed(_) => false,
        other => panic!("{number}: {other:?}"),
    }
}

const CAPACITY: usize = 20_000;
/// How many retries of an age are made.
const ASKED: usize = 1_000;
