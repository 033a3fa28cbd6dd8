//! A holder completes while somebody takes its lapsed lease over.
//!
//! Threads: two. Bound: two preemptions. Property: either the completion holds and the other
//! caller gets its outcome, or the takeover holds and the completion is fenced (I1, I3, I4).
//! Left out: renewal.

use crate::support::*;
use oncegate::Outcome;
use std::sync::Arc;

fn lapsed_holder_completes() {
    let Small { engine, clock } = small();
    let token = begin(&engine, "k").token().expect("new");
    clock.advance(LEASE);
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (completed, other) =
        race(move || left.complete(&token, &Outcome::new(200, "a")), move || begin(&right, "k"));
    match (completed, other) {
        (Ok(_), other) => {
            assert_eq!(other, Got::Replayed(b"a".to_vec()));
            assert_eq!(begin(&engine, "k"), Got::Replayed(b"a".to_vec()));
        }
        (Err(error), Got::Admitted(second)) => {
            assert!(error.is_fenced());
            assert!(second.fencing_token() > token.fencing_token());
            assert_eq!(second.attempt(), 2);
            assert_eq!(begin(&engine, "k"), Got::InProgress(2));
            engine.complete(&second, &Outcome::new(200, "b")).expect("the holder");
            assert_eq!(begin(&engine, "k"), Got::Replayed(b"b".to_vec()));
        }
        (completed, other) => panic!("{completed:?} and {other:?}"),
    }
}

/// Goal: completion and takeover exclude each other. Method: every schedule of both.
#[test]
fn completion_or_takeover() {
    model(lapsed_holder_completes);
}

/// Goal: the model bites. Method: completion stores the control word without comparing.
#[cfg(oncegate_loom)]
#[test]
fn broken_complete_ignores_fence() {
    broken(oncegate::Bug::CompleteIgnoresFence, lapsed_holder_completes);
}
