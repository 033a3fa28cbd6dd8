//! An unknown record is resolved while its holder still says how it went.
//!
//! Threads: two. Bound: two preemptions. Property: one of them decides, the other is told that it
//! did not, and what was decided stands (I3, I4, I5). Left out: lapse.

use crate::support::*;
use oncegate::{Engine, Failure, LeaseToken, Outcome, Resolution};
use std::sync::Arc;
use std::time::Duration;

/// A record whose holder gave up, with the holder's token.
fn unknown() -> (Small, LeaseToken) {
    let world = small();
    let token = begin(&world.engine, "k").token().expect("new");
    world.engine.fail(&token, Failure::unknown()).expect("the holder");
    (world, token)
}

fn runs_again(engine: &Engine) -> bool {
    engine.resolve(&request("k"), Resolution::RunAgain).is_ok()
}

fn completed_or_run_again() {
    let (Small { engine, clock }, token) = unknown();
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (completed, again) = race(
        move || left.complete(&token, &Outcome::new(200, "done")).is_ok(),
        move || runs_again(&right),
    );
    assert!(completed != again, "completed: {completed}, runs again: {again}");
    if completed {
        assert_eq!(begin(&engine, "k"), Got::Replayed(b"done".to_vec()));
        clock.advance(WINDOW);
        assert!(begin(&engine, "k").token().is_some(), "its window is over");
    }
}

/// Goal: a late completion and a decision to run again exclude each other, and the window of a
/// completed record ends. Method: every schedule of both.
#[test]
fn completed_or_runs_again() {
    model(completed_or_run_again);
}

fn late_delay_against_run_again() {
    let (Small { engine, .. }, token) = unknown();
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let later = Failure::retryable_after(Duration::from_secs(600));
    let (delayed, again) =
        race(move || left.fail(&token, later).is_ok(), move || runs_again(&right));
    let got = begin(&engine, "k");
    assert!(delayed != again, "delayed: {delayed}, runs again: {again}");
    assert_eq!(got.token().is_some(), again, "delayed: {delayed}, and then {got:?}");
}

/// Goal: a delay that was accepted is kept. Method: every schedule of the holder's delay and a
/// decision to run again.
#[test]
fn an_accepted_delay_is_kept() {
    model(late_delay_against_run_again);
}

/// Goal: of the holder's failure and a resolver's success one counts. Method: every schedule.
#[test]
fn failed_or_resolved() {
    model(|| {
        let (Small { engine, .. }, token) = unknown();
        let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
        let (failed, resolved) = race(
            move || left.fail(&token, Failure::retryable()).is_ok(),
            move || {
                let outcome = Outcome::new(200, "x");
                right.resolve(&request("k"), Resolution::Succeeded(outcome)).is_ok()
            },
        );
        assert!(failed != resolved, "failed: {failed}, resolved: {resolved}");
    });
}

/// Goal: the model bites. Method: the due time is written whatever was decided.
#[cfg(oncegate_loom)]
#[test]
fn broken_due_unarbitrated() {
    broken(oncegate::Bug::DueUnarbitrated, late_delay_against_run_again);
}
