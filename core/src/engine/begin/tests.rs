use std::time::Duration;

use super::nanos_since;
use crate::clock::{Clock, ManualClock, PreciseClock};
use crate::{Admission, BeginOptions, Engine, Outcome, Request, Scope};

/// Goal: a clock that goes back costs a latency, and not the call. Method: a call that began when
/// the clock showed more than now, and one that began a millisecond ago.
#[test]
fn a_clock_may_go_back() {
    let now = PreciseClock.now();
    assert_eq!(nanos_since(now + Duration::from_secs(3_600)), 0);
    assert!(nanos_since(now.saturating_sub(Duration::from_millis(1))) >= 1_000_000);
}

const WINDOW: Duration = Duration::from_secs(1);

/// An engine in which this many records are over.
fn with_records_that_are_over(count: u64, clock: &ManualClock) -> Engine {
    let builder = Engine::builder().capacity(64).clock(clock.clone()).dedup_window(WINDOW);
    let engine = builder.build().expect("valid");
    for number in 0..count {
        finish(&engine, &format!("over-{number}"));
    }
    clock.advance(2 * WINDOW);
    engine
}

fn finish(engine: &Engine, key: &str) {
    let request = Request::new(Scope::single_tenant(), "op", key).expect("short");
    let Ok(Admission::Admitted(lease)) = engine.begin(&request) else { panic!("{key} is new") };
    lease.complete(&Outcome::new(200, b"done")).expect("held");
}

/// Goal: new records tend the table, also where each takes the place of one that was over. Method:
/// tables with as many records as any phase of the sampling has, all of them over, and then one
/// request that comes again and again, always too late: nothing else is left in the end.
#[test]
fn records_that_take_the_place_of_others_tend() {
    for count in 32..64 {
        let clock = ManualClock::new();
        let engine = with_records_that_are_over(count, &clock);
        for _ in 0..1_000 {
            finish(&engine, "again");
            clock.advance(2 * WINDOW);
        }
        assert_eq!(engine.stats().expect("own").live.succeeded, 1, "of {count}");
    }
}

/// Goal: whoever takes over an attempt makes no new record, and tends nothing. Method: the same
/// tables, and an attempt whose lease lapses again and again: what is over stays.
#[test]
fn attempts_that_are_taken_over_do_not_tend() {
    for count in 32..63 {
        let clock = ManualClock::new();
        let engine = with_records_that_are_over(count, &clock);
        let request = Request::new(Scope::single_tenant(), "op", "again").expect("short");
        let options = BeginOptions::new().lease_duration(WINDOW / 2);
        let cleared_by_one_more = || {
            let Ok(Admission::Admitted(lease)) = engine.begin_with(&request, &options) else {
                panic!("its lease has lapsed");
            };
            let _ = lease.into_token();
            clock.advance(WINDOW / 2 + Duration::from_millis(1));
            engine.stats().expect("own").evicted_expired
        };
        // The first one is a new record.
        let cleared = cleared_by_one_more();
        for _ in 0..100 {
            assert_eq!(cleared_by_one_more(), cleared, "of {count}");
        }
    }
}
