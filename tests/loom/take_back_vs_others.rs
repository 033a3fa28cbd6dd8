//! An attempt that a tier does not grant is taken back, while another caller comes.
//!
//! Threads: two. Bound: two preemptions. Property: of the record nothing is left but what the other
//! caller began; whoever waits for it comes to run; an attempt that somebody else has taken over is
//! not taken back; tokens grow. Left out: what the engine retries, which is put off and not taken
//! back.

use crate::support::*;
use oncegate::{Admission, BeginOptions, OnConflict};
use std::sync::Arc;
use std::time::Duration;

/// Longer than a model lasts.
const LONG: Duration = Duration::from_secs(3600);

fn newcomer_meets_taking_back() {
    let Small { engine, .. } = small();
    let first = begin(&engine, "k").token().expect("new");
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (taken, met) = race(move || left.take_back_token(&first), move || begin(&right, "k"));
    assert!(taken, "nobody else may end it");
    match met {
        Got::InProgress(1) => {
            let next = begin(&engine, "k").token().expect("nothing is left of it");
            assert_eq!(next.attempt(), 1);
            assert!(next.fencing_token() > first.fencing_token());
        }
        Got::Admitted(next) => {
            assert_eq!(next.attempt(), 1, "as if nobody had asked");
            assert!(next.fencing_token() > first.fencing_token());
            assert_eq!(begin(&engine, "k"), Got::InProgress(1));
        }
        other => panic!("{other:?}"),
    }
    assert!(engine.complete(&first, &oncegate::Outcome::new(200, "")).is_err(), "it never was");
}

/// The lease has lapsed meanwhile: the newcomer takes it over, or finds nothing.
fn takeover_meets_taking_back() {
    let Small { engine, clock } = small();
    let first = begin(&engine, "k").token().expect("new");
    clock.advance(LEASE);
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (taken, met) = race(move || left.take_back_token(&first), move || begin(&right, "k"));
    let next = met.token().expect("either way");
    assert_eq!(next.attempt(), if taken { 1 } else { 2 });
    assert!(next.fencing_token() > first.fencing_token());
    assert_eq!(begin(&engine, "k"), Got::InProgress(next.attempt()), "it runs");
}

fn waiter_meets_taking_back() {
    let Small { engine, .. } = small();
    let first = begin(&engine, "k").token().expect("new");
    let other = Arc::clone(&engine);
    let (taken, runs) = race(
        move || engine.take_back_token(&first),
        move || {
            let options = BeginOptions::new().on_conflict(OnConflict::Wait(LONG));
            let answer = other.begin_with(&request("k"), &options).expect("answered");
            matches!(answer, Admission::Admitted(_))
        },
    );
    assert!(taken && runs);
}

/// Goal: what is taken back leaves nothing, and takes nothing of who comes then (I1, I2). Method:
/// every schedule of it beside a newcomer.
#[test]
fn nothing_is_left_of_it() {
    model(newcomer_meets_taking_back);
}

/// Goal: an attempt that was taken over is not taken back (I1, I3). Method: the same when the lease
/// has lapsed.
#[test]
fn who_has_taken_over_keeps_it() {
    model(takeover_meets_taking_back);
}

/// Goal: whoever waits for an attempt that is taken back gets the next one. Method: every schedule
/// of one who goes to sleep beside it; one that sleeps on is a deadlock.
#[test]
fn who_waits_runs() {
    model(waiter_meets_taking_back);
}

/// Goal: the models bite. Method: the attempt of another is taken back, too.
#[test]
fn broken_taken_back_blindly() {
    broken(oncegate::Bug::TakenBackBlindly, takeover_meets_taking_back);
}

/// Goal: the model of the waiter bites. Method: nobody is woken.
#[test]
fn broken_taken_back_in_silence() {
    let test = "take_back_vs_others::broken_taken_back_in_silence";
    broken_by_deadlock(oncegate::Bug::TakenBackInSilence, test, 2, waiter_meets_taking_back);
}
