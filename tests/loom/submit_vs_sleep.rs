//! A timer is submitted while the driver goes to sleep.
//!
//! Threads: two or three. Sizes: lanes of two slots. Bound: two preemptions, one with three
//! threads. Property: whatever is due before the driver wakes by itself was either seen by it, or
//! its submitter is told to wake it. Left out: the sleep itself, which is the caller's.

use crate::submit_vs_advance::{fire, timers};
use crate::support::*;
use oncegate::{Rest, Submitted, Timers};
use std::sync::Arc;

/// Whether the driver wakes in time for a timer that is due at `due`.
fn is_met(rest: Rest, submitted: &Submitted, due: u64) -> bool {
    match rest {
        Rest::Until(tick) => tick <= due || submitted.wakes,
        Rest::Forever => submitted.wakes,
        // Then it does not sleep.
        Rest::Busy => true,
    }
}

fn submission_meets_sleep() {
    let timers = timers(1);
    let (left, right) = (Arc::clone(&timers), Arc::clone(&timers));
    let (submitted, rest) =
        race(move || left.insert(5).expect("room"), move || right.prepare_sleep());
    assert!(is_met(rest, &submitted, 5), "{rest:?}, {submitted:?}");
    assert_eq!(fire(&timers, 5), [submitted.handle]);
}

/// Goal: no wake-up is lost. Method: every schedule of one submission and a driver that goes to
/// sleep.
#[test]
fn a_wake_up_is_not_lost() {
    model(submission_meets_sleep);
}

/// Goal: the same where the driver sleeps already, wakes, and goes to sleep again. Method: it
/// fires what is due in between.
#[test]
fn a_wake_up_is_not_lost_between_two_sleeps() {
    model(|| {
        let timers = timers(1);
        timers.insert(3).map(drop).expect("room");
        assert_eq!(timers.prepare_sleep(), Rest::Until(3));
        let (left, right) = (Arc::clone(&timers), Arc::clone(&timers));
        let (submitted, (fired, rest)) = race(
            move || left.insert(5).expect("room"),
            move || {
                right.awake();
                (fire(&right, 3), right.prepare_sleep())
            },
        );
        assert_eq!(fired.len(), 1);
        assert!(is_met(rest, &submitted, 5), "{rest:?}, {submitted:?}");
    });
}

/// Goal: none of two submitters relies on the other. Method: every schedule of two submissions and
/// a driver that goes to sleep.
#[test]
fn every_submitter_is_told() {
    bounded(1, || {
        let timers = timers(2);
        let run = |due: u64| {
            let timers: Arc<Timers> = Arc::clone(&timers);
            thread::spawn(move || timers.insert(due).expect("room"))
        };
        let (one, two) = (run(5), run(7));
        let rest = timers.prepare_sleep();
        for (thread, due) in [(one, 5), (two, 7)] {
            let submitted = thread.join().expect("no panic");
            assert!(is_met(rest, &submitted, due), "{due}: {rest:?}, {submitted:?}");
        }
    });
}

/// Goal: the model bites. Method: the driver only reads what was submitted.
#[cfg(oncegate_loom)]
#[test]
fn broken_wake_up_lost() {
    broken(oncegate::Bug::WakeUpLost, submission_meets_sleep);
}
