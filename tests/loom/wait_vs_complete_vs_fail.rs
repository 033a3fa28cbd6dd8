//! Callers wait for a running attempt that completes, fails, or loses a waiter.
//!
//! Threads: two or three. Bound: two preemptions, one with three threads. Property: no wake-up is
//! lost (a lost one is a deadlock that the checker reports); of several waiters exactly one gets
//! the next attempt; a waiter that leaves hurts nobody. Left out: time limits, which a model has
//! not.

use crate::support::*;
use oncegate::{BeginOptions, Engine, Failure, OnConflict, Outcome};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

fn waits(engine: &Engine) -> Got {
    let options = BeginOptions::new().on_conflict(OnConflict::Wait(LEASE));
    got(engine.begin_with(&request("k"), &options).expect("an answer"))
}

fn waiter_gets_the_outcome() {
    let Small { engine, .. } = small();
    let leader = begin(&engine, "k").token().expect("new");
    let other = Arc::clone(&engine);
    let (completed, waited) = race(
        move || engine.complete(&leader, &Outcome::new(200, "done")).is_ok(),
        move || waits(&other),
    );
    assert!(completed);
    assert_eq!(waited, Got::Replayed(b"done".to_vec()));
}

/// Goal: a waiter gets the outcome. Method: every schedule of waiting and completing.
#[test]
fn a_waiter_gets_the_outcome() {
    model(waiter_gets_the_outcome);
}

fn one_waiter_follows_a_failure() {
    let Small { engine, .. } = small();
    let leader = begin(&engine, "k").token().expect("new");
    let run = |engine: Arc<Engine>| {
        move || {
            let waited = waits(&engine);
            if let Some(token) = waited.token() {
                assert_eq!(token.attempt(), 2);
                engine.complete(&token, &Outcome::new(200, "second")).expect("the holder");
            }
            waited
        }
    };
    let (one, two) =
        (thread::spawn(run(Arc::clone(&engine))), thread::spawn(run(Arc::clone(&engine))));
    engine.fail(&leader, Failure::retryable()).expect("the holder");
    let all = [one.join().expect("no panic"), two.join().expect("no panic")];
    assert_eq!(all.iter().filter(|got| got.token().is_some()).count(), 1, "{all:?}");
    assert!(all.contains(&Got::Replayed(b"second".to_vec())), "{all:?}");
}

fn waiter_follows_a_failure() {
    let Small { engine, .. } = small();
    let leader = begin(&engine, "k").token().expect("new");
    let other = Arc::clone(&engine);
    let (failed, waited) = race(
        move || engine.fail(&leader, Failure::retryable()).is_ok(),
        move || waits(&other).token().map(|token| token.attempt()),
    );
    assert!(failed);
    assert_eq!(waited, Some(2));
}

/// Goal: a waiter gets the attempt after a failure. Method: every schedule of both.
#[test]
fn a_waiter_gets_the_next_attempt() {
    model(waiter_follows_a_failure);
}

/// Goal: exactly one waiter gets the next attempt, and the other its outcome. Method: every
/// schedule of a failing leader and two waiters.
#[test]
fn one_waiter_gets_the_next_attempt() {
    bounded(1, one_waiter_follows_a_failure);
}

/// Goal: a waiter that leaves passes its wake-up on. Method: a future that is polled once and
/// dropped, a blocked waiter, and a leader that fails.
#[test]
fn a_leaving_waiter_hurts_nobody() {
    bounded(1, || {
        let Small { engine, .. } = small();
        let leader = begin(&engine, "k").token().expect("new");
        let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
        let leaves = thread::spawn(move || {
            let key = request("k");
            let mut join = pin!(left.join(&key, &BeginOptions::new()));
            let polled = join.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            // An attempt that it got is given back when the lease is dropped.
            drop(polled);
        });
        let stays = thread::spawn(move || waits(&right));
        engine.fail(&leader, Failure::retryable()).expect("the holder");
        leaves.join().expect("no panic");
        let waited = stays.join().expect("no panic");
        assert!(waited.token().is_some(), "{waited:?}");
    });
}

/// Goal: the model bites. Method: a waiter sleeps without announcing itself.
#[cfg(oncegate_loom)]
#[test]
fn broken_waiter_unannounced() {
    broken_by_deadlock(
        oncegate::Bug::WaiterUnannounced,
        "wait_vs_complete_vs_fail::broken_waiter_unannounced",
        2,
        waiter_gets_the_outcome,
    );
}

/// Goal: the model bites. Method: a failing leader wakes nobody.
#[cfg(oncegate_loom)]
#[test]
fn broken_hand_off_lost() {
    broken_by_deadlock(
        oncegate::Bug::HandOffLost,
        "wait_vs_complete_vs_fail::broken_hand_off_lost",
        2,
        waiter_follows_a_failure,
    );
}

/// Goal: the model bites. Method: a waiter is handed the attempt before the record says so.
#[cfg(oncegate_loom)]
#[test]
fn broken_woken_too_early() {
    broken_by_deadlock(
        oncegate::Bug::WokenTooEarly,
        "wait_vs_complete_vs_fail::broken_woken_too_early",
        2,
        waiter_follows_a_failure,
    );
}
