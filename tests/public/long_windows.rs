//! A few records answer much longer than the others.
//!
//! Seen in stores that forget in blocks: one long-lived entry in each keeps all of them, or goes
//! with its neighbours.

use std::time::Duration;

use oncegate::{Admission, BeginOptions, Completed, Engine, ManualClock, OnFull, Outcome};

use crate::support::{build, request};

const SHORT: Duration = Duration::from_secs(60);

/// Runs `records` requests, every 20th of which answers for `long`, and gives how many were kept
/// with their bytes.
fn run(engine: &Engine, clock: &ManualClock, records: u32, long: Duration) -> u32 {
    let mut stored = 0;
    for record in 0..records {
        let window = if record.is_multiple_of(20) { long } else { SHORT };
        let options = BeginOptions::new().dedup_window(window);
        let key = record.to_string();
        if let Ok(Admission::Admitted(lease)) = engine.begin_with(&request(&key), &options) {
            let kept = lease.complete(&Outcome::new(200, [7; 200])).expect("held");
            stored += u32::from(kept == Completed::Stored);
        }
        // 300 short windows and their outcomes overlap.
        clock.advance(SHORT / 300);
    }
    stored
}

/// Goal: where nothing may go, what is over makes room, although something in each chunk is not.
/// Method: many times as many outcomes as the budget holds, of which a twentieth stays.
#[test]
fn room_is_made_beside_them() {
    let builder = Engine::builder().capacity(10_000).outcome_bytes(256 << 10).outcome_limit(4_096);
    let (engine, clock) = build(builder.on_full(OnFull::Reject));
    // At the end 200 long ones live: 43 of 256 KiB.
    let records = 4_000;
    assert_eq!(run(&engine, &clock, records, Duration::from_secs(24 * 3600)), records);
    for record in (0..records).step_by(20) {
        let begun = engine.begin(&request(&record.to_string())).expect("an answer");
        assert!(matches!(begun, Admission::Replayed(_)), "{record}: {begun:?}");
    }
}

/// Goal: where outcomes may go, those of long windows do not go first. Method: the same, at two
/// fifths of the budget in the steady state; hardly any is evicted inside its window.
#[test]
fn they_outlast_their_neighbours() {
    let builder = Engine::builder().capacity(10_000).outcome_bytes(256 << 10).outcome_limit(1_024);
    let (engine, clock) = build(builder);
    let records = 40_000;
    assert_eq!(run(&engine, &clock, records, SHORT * 10), records);
    let stats = engine.stats().expect("not forked");
    assert!(stats.outcomes_carried > 1_000, "{}", stats.outcomes_carried);
    assert!(stats.outcomes_evicted < 20, "{} of 2000 went", stats.outcomes_evicted);
}
