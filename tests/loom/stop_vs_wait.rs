//! A process is told to stop waiting while a thread goes to sleep.
//!
//! Threads: two. Sizes: one record, two entries. Bound: two preemptions. Property: the thread comes
//! back, whatever it waits for; one that sleeps on is a deadlock, which the checker reports. Left
//! out: futures, drivers, and other processes, which are not told.

use crate::support::*;
use oncegate::{Admission, BeginOptions, OnConflict};
use std::sync::Arc;
use std::time::Duration;

/// Longer than a model lasts.
const LONG: Duration = Duration::from_secs(3600);

fn waiter_is_told() {
    let Small { engine, .. } = small();
    let _leader = begin(&engine, "k").token().expect("new");
    let other = Arc::clone(&engine);
    let ((), waited) = race(
        move || engine.stop_waiting(),
        move || {
            let options = BeginOptions::new().on_conflict(OnConflict::Wait(LONG));
            let answer = other.begin_with(&request("k"), &options).expect("answered");
            matches!(answer, Admission::InProgress { .. })
        },
    );
    assert!(waited, "its leader goes on");
}

/// Goal: whoever waits for a running attempt comes back. Method: every schedule of one who goes to
/// sleep beside a leader that never ends, and of one who stops the waiting.
#[test]
fn who_waits_comes_back() {
    model(waiter_is_told);
}

/// Goal: the model bites. Method: who goes to sleep does not look.
#[cfg(oncegate_loom)]
#[test]
fn broken_stop_unseen() {
    let test = "stop_vs_wait::broken_stop_unseen";
    broken_by_deadlock(oncegate::Bug::StopUnseen, test, 2, waiter_is_told);
}

/// Goal: whoever waits for the next attempt comes back. Method: the same with a worker.
#[test]
fn workers_come_back() {
    roomy(2, || {
        let Small { engine, .. } = small_with(|builder| builder.max_retrying(2).jitter_seed(7));
        let other = Arc::clone(&engine);
        let ((), next) = race_roomy(
            move || engine.stop_waiting(),
            move || other.next_attempt(LONG).expect("answered").is_none(),
        );
        assert!(next, "nothing is due");
    });
}
