//! A timer is cancelled while it fires.
//!
//! Threads: two. Sizes: lanes of two slots. Bound: two preemptions. Property: each timer is fired
//! or cancelled, never both and never neither; what was cancelled does not come back; a timer that
//! gets the id afterwards is another one. Left out: sleep.

use crate::submit_vs_advance::{fire, timers};
use crate::support::*;
use std::sync::Arc;

fn cancellation_meets_fire() {
    let timers = timers(1);
    let timer = timers.insert(5).expect("room").handle;
    let other = timers.insert(5).expect("room").handle;
    let (left, right) = (Arc::clone(&timers), Arc::clone(&timers));
    let (cancelled, fired) = race(move || left.cancel(timer), move || fire(&right, 5));
    let has_fired = fired.contains(&timer);
    assert!(cancelled != has_fired, "cancelled: {cancelled}, fired: {has_fired}");
    assert_eq!(fired.iter().filter(|fired| **fired == other).count(), 1);
    assert!(!timers.cancel(timer) && fire(&timers, 9).is_empty());
}

/// Goal: each timer is fired or cancelled. Method: every schedule of both, with a neighbour whose
/// stamp lies in the same word.
#[test]
fn a_timer_is_fired_or_cancelled() {
    model(cancellation_meets_fire);
}

/// Goal: of two who cancel, one is told that it did. Method: every schedule of two cancellations
/// of one timer and of its neighbour.
#[test]
fn a_timer_is_cancelled_once() {
    model(|| {
        let timers = timers(1);
        let timer = timers.insert(5).expect("room").handle;
        let other = timers.insert(5).expect("room").handle;
        let (left, right) = (Arc::clone(&timers), Arc::clone(&timers));
        let (one, two) =
            race(move || left.cancel(timer), move || (right.cancel(other), right.cancel(timer)));
        assert!(two.0 && one != two.1, "{one}, {two:?}");
        assert!(fire(&timers, 9).is_empty());
    });
}

/// Goal: a cancellation never comes before its insertion, nor cancels a later timer. Method: one
/// thread submits and cancels, and then submits again, while another advances.
#[test]
fn a_cancellation_follows_its_insertion() {
    model(|| {
        let timers = timers(1);
        let (left, right) = (Arc::clone(&timers), Arc::clone(&timers));
        let ((first, cancelled, second), fired) = race(
            move || {
                let first = left.insert(5).expect("room").handle;
                let cancelled = left.cancel(first);
                let second = left.insert(5).expect("room").handle;
                assert!(!left.cancel(first));
                (first, cancelled, second)
            },
            move || fire(&right, 5),
        );
        assert!(cancelled != fired.contains(&first));
        let rest = fire(&timers, 9);
        let all = fired.iter().chain(&rest).filter(|timer| **timer == second).count();
        assert!(all == 1 && !rest.contains(&first));
    });
}

/// Goal: the model bites. Method: the stamp is written without comparing it.
#[cfg(oncegate_loom)]
#[test]
fn broken_fires_after_cancel() {
    broken(oncegate::Bug::FiresAfterCancel, cancellation_meets_fire);
}
