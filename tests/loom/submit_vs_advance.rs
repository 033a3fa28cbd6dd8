//! A thread submits timers while another one advances, and a third advances too.
//!
//! Threads: two or three. Sizes: lanes of two slots, so that the second submission of a thread
//! needs what the owner refills. Bound: two preemptions, one with three threads. Property: every
//! timer that was submitted fires, once, and not before its tick; of two who advance at once, one
//! is told so, and neither waits. Left out: cancellations (see `cancel_vs_fire`).

use crate::support::*;
use oncegate::{TimerHandle, Timers};
use std::sync::Arc;

pub(crate) fn timers(lanes: usize) -> Arc<Timers> {
    let timers = Timers::builder().capacity(8).lanes(lanes).lane_slots(2).start(1).build();
    Arc::new(timers.expect("valid"))
}

/// Advances to `now`; gives what fired, or nothing if somebody else advances.
pub(crate) fn fire(timers: &Timers, now: u64) -> Vec<TimerHandle> {
    let mut fired = Vec::new();
    let advanced = timers.advance(now, usize::MAX, |timer| fired.push(timer));
    assert!(advanced.is_none_or(|advanced| advanced.fired == fired.len() && !advanced.more));
    fired
}

/// Submits as many timers as there is room for just now.
fn submit(timers: &Timers, dues: &[u64]) -> Vec<(TimerHandle, u64)> {
    let insert = |due: &u64| Some((timers.insert(*due).ok()?.handle, *due));
    dues.iter().filter_map(insert).collect()
}

fn each_fires_once(submitted: &[(TimerHandle, u64)], early: &[TimerHandle], rest: &[TimerHandle]) {
    for (timer, due) in submitted {
        let of = |fired: &[TimerHandle]| fired.iter().filter(|other| *other == timer).count();
        assert!(*due <= 5 || of(early) == 0, "due at {due}, and fired at 5");
        assert_eq!(of(early) + of(rest), 1, "{timer:?}, due at {due}");
    }
    assert_eq!(submitted.len(), early.len() + rest.len(), "{submitted:?}, {early:?}, {rest:?}");
}

fn submission_meets_advance() {
    let timers = timers(1);
    let (left, right) = (Arc::clone(&timers), Arc::clone(&timers));
    let (submitted, early) = race(move || submit(&left, &[5, 9, 5]), move || fire(&right, 5));
    assert!(submitted.len() >= 2, "the first two have slots");
    each_fires_once(&submitted, &early, &fire(&timers, 9));
}

/// Goal: a timer that is submitted during an advance is not lost. Method: every schedule of three
/// submissions and one advance; another advance fires the rest.
#[test]
fn a_submission_is_not_lost() {
    model(submission_meets_advance);
}

/// Goal: two submitters take different slots, and none waits for the other. Method: every schedule
/// of two submissions on one lane and a second one, and an advance.
#[test]
fn two_submitters_share_lanes() {
    bounded(1, || {
        let timers = timers(2);
        let run = |timers: &Arc<Timers>| {
            let timers = Arc::clone(timers);
            thread::spawn(move || submit(&timers, &[5, 7]))
        };
        let (one, two) = (run(&timers), run(&timers));
        let early = fire(&timers, 5);
        let mut submitted = one.join().expect("no panic");
        submitted.extend(two.join().expect("no panic"));
        assert!(submitted.len() >= 2, "each gets a lane");
        each_fires_once(&submitted, &early, &fire(&timers, 9));
    });
}

/// Goal: two advances at once are safe. Method: every schedule of two, and three timers; each
/// fires in one of them, or in the next.
#[test]
fn two_advances_fire_each_timer_once() {
    model(|| {
        let timers = timers(2);
        let submitted = submit(&timers, &[5, 5, 9]);
        let (left, right) = (Arc::clone(&timers), Arc::clone(&timers));
        let (mut early, two) = race(move || fire(&left, 5), move || fire(&right, 5));
        early.extend(two);
        each_fires_once(&submitted, &early, &fire(&timers, 9));
    });
}

/// Goal: the model bites. Method: the owner takes the lane for drained up to wherever its
/// submitter has come meanwhile.
#[cfg(oncegate_loom)]
#[test]
fn broken_timer_lost() {
    broken(oncegate::Bug::TimerLost, submission_meets_advance);
}

/// Goal: the model bites. Method: the slot is published without its due tick.
#[cfg(oncegate_loom)]
#[test]
fn broken_relaxed_submission() {
    broken(oncegate::Bug::RelaxedSubmission, submission_meets_advance);
}
