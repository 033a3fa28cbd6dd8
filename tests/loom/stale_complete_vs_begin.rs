//! A stale holder completes while the new attempt runs and completes.
//!
//! Threads: two. Bound: two preemptions. Property: the stale call is fenced and changes nothing
//! (I3); the outcome is the new attempt's (I4). Left out: how the first lease lapsed.

use crate::support::*;
use oncegate::{Failure, Outcome};
use std::sync::Arc;

fn stale_holder_ends(end: fn(&oncegate::Engine, &oncegate::LeaseToken) -> bool) {
    let Small { engine, clock } = small();
    let stale = begin(&engine, "k").token().expect("new");
    clock.advance(LEASE);
    let second = begin(&engine, "k").token().expect("a takeover");
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (ended, completed) = race(
        move || end(&left, &stale),
        move || right.complete(&second, &Outcome::new(200, "new")).is_ok(),
    );
    assert!(!ended, "a stale holder ended the attempt of another");
    assert!(completed, "the holder was kept from completing");
    assert_eq!(begin(&engine, "k"), Got::Replayed(b"new".to_vec()));
}

fn completes(engine: &oncegate::Engine, token: &oncegate::LeaseToken) -> bool {
    engine.complete(token, &Outcome::new(500, "old")).is_ok()
}

/// Goal: a late completion changes nothing. Method: every schedule with the holder's.
#[test]
fn a_stale_completion_is_fenced() {
    model(|| stale_holder_ends(completes));
}

/// Goal: a late failure changes nothing. Method: as above.
#[test]
fn a_stale_failure_is_fenced() {
    model(|| stale_holder_ends(|engine, token| engine.fail(token, Failure::retryable()).is_ok()));
}

/// Goal: a late completion cannot touch a new record in its slot. Method: the record's window
/// is over and another caller begins it anew.
#[test]
fn a_stale_completion_misses_the_next_record() {
    model(|| {
        let Small { engine, clock } = small();
        let stale = begin(&engine, "k").token().expect("new");
        engine.complete(&stale, &Outcome::new(200, "one")).expect("the holder");
        clock.advance(WINDOW);
        let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
        let (ended, second) =
            race(move || completes(&left, &stale), move || begin(&right, "k").token());
        assert!(!ended);
        let second = second.expect("the window is over");
        engine.complete(&second, &Outcome::new(200, "two")).expect("the holder");
        assert_eq!(begin(&engine, "k"), Got::Replayed(b"two".to_vec()));
    });
}

/// Goal: the model bites. Method: completion stores the control word without comparing.
#[cfg(oncegate_loom)]
#[test]
fn broken_complete_ignores_fence() {
    broken(oncegate::Bug::CompleteIgnoresFence, || {
        let Small { engine, clock } = small();
        let stale = begin(&engine, "k").token().expect("new");
        clock.advance(LEASE);
        let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
        let (_, second) =
            race(move || completes(&left, &stale), move || begin(&right, "k").token());
        if second.is_some() {
            assert_eq!(begin(&engine, "k"), Got::InProgress(2));
        }
    });
}
