//! Two calls end one attempt at once: its holder twice, its holder and a lapse, or its holder and
//! a sweep.
//!
//! Threads: two. Bound: two preemptions. Property: what both were told, and what is there then,
//! could have come of one call after the other (I3): one end counts, or the attempt was given up
//! first and then ended. Left out: takeover, which `complete_vs_takeover` has.

use crate::support::*;
use oncegate::{BeginOptions, Engine, Failure, LeaseToken, OnLapse, Outcome, Resolution};
use std::sync::Arc;

/// How a holder ends its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    CompleteWithoutBytes,
    Decline,
    Retry,
    GiveUp,
}

const ENDS: [End; 5] =
    [End::Complete, End::CompleteWithoutBytes, End::Decline, End::Retry, End::GiveUp];

impl End {
    /// Whether it was accepted.
    fn call(self, engine: &Engine, token: &LeaseToken) -> bool {
        match self {
            Self::Complete => engine.complete(token, &Outcome::new(200, "done")).is_ok(),
            Self::CompleteWithoutBytes => engine.complete(token, &Outcome::withheld(200)).is_ok(),
            Self::Decline => {
                let outcome = Outcome::new(402, "declined");
                engine.fail(token, Failure::terminal(outcome)).is_ok()
            }
            Self::Retry => engine.fail(token, Failure::retryable()).is_ok(),
            Self::GiveUp => engine.fail(token, Failure::unknown()).is_ok(),
        }
    }

    /// Whether `got` is what duplicates get after it.
    fn leaves(self, got: &Got) -> bool {
        match self {
            Self::Complete => *got == Got::Replayed(b"done".to_vec()),
            Self::CompleteWithoutBytes => *got == Got::Gone,
            Self::Decline => *got == Got::Replayed(b"declined".to_vec()),
            Self::Retry => got.token().is_some(),
            Self::GiveUp => *got == Got::Other("Unresolved".to_owned()),
        }
    }
}

/// What was accepted of `one` and `two`, and what is there then, come of an order of both.
fn explained(one: (End, bool), two: (End, bool), got: &Got) -> bool {
    match (one, two) {
        ((end, true), (_, false)) | ((_, false), (end, true)) => end.leaves(got),
        ((End::GiveUp, true), (end, true)) | ((end, true), (End::GiveUp, true)) => end.leaves(got),
        _ => false,
    }
}

fn both_end(one: End, two: End) {
    let Small { engine, .. } = small();
    let token = begin(&engine, "k").token().expect("new");
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let told = race(move || one.call(&left, &token), move || two.call(&right, &token));
    let got = begin(&engine, "k");
    let explained = explained((one, told.0), (two, told.1), &got);
    assert!(explained, "{one:?} and {two:?} were told {told:?}, and then came {got:?}");
}

/// Goal: of two ends of one attempt one counts. Method: every schedule of every pair of ends.
#[test]
fn one_end_counts() {
    for one in ENDS {
        for two in ENDS {
            model(move || both_end(one, two));
        }
    }
}

/// Goal: the model bites. Method: the window is opened after the end was said.
#[cfg(oncegate_loom)]
#[test]
fn broken_window_opened_late() {
    broken(oncegate::Bug::WindowOpenedLate, || both_end(End::Complete, End::Retry));
}

fn given_up_or_lapsed(policy: OnLapse) {
    let Small { engine, clock } = small_with(|builder| builder.on_lapse(policy));
    let token = begin(&engine, "k").token().expect("new");
    clock.advance(LEASE);
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (given_up, met) = race(move || End::GiveUp.call(&left, &token), move || begin(&right, "k"));
    let unknown = given_up || policy == OnLapse::Unknown;
    let expected =
        if unknown { Got::Other("Unresolved".to_owned()) } else { Got::Replayed(Vec::new()) };
    assert_eq!(met, expected, "given up: {given_up}");
    assert_eq!(begin(&engine, "k"), expected, "given up: {given_up}");
    assert!(given_up || policy == OnLapse::Failed, "of an unknown attempt it is no news");
}

/// Goal: what a holder gave up is unknown, whoever notices then that its lease had lapsed.
/// Method: every schedule of a holder that gives up and a duplicate that notices the lapse, for
/// both policies that end the attempt.
#[test]
fn given_up_or_lapsed_decides() {
    for policy in [OnLapse::Failed, OnLapse::Unknown] {
        model(move || given_up_or_lapsed(policy));
    }
}

/// Goal: the model bites. Method: a lapse that counts as failure ends what was given up.
#[cfg(oncegate_loom)]
#[test]
fn broken_lapse_ends_unknown() {
    broken(oncegate::Bug::LapseEndsUnknown, || given_up_or_lapsed(OnLapse::Failed));
}

/// Goal: an unknown attempt that is to run again does so by whoever says it, though a duplicate
/// helps. Method: every schedule of the holder, or a resolver, and a duplicate.
#[test]
fn running_again_is_told() {
    for by_holder in [true, false] {
        model(move || {
            let Small { engine, .. } = small();
            let token = begin(&engine, "k").token().expect("new");
            assert!(End::GiveUp.call(&engine, &token));
            let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
            let again = move || {
                if by_holder {
                    return End::Retry.call(&left, &token);
                }
                left.resolve(&request("k"), Resolution::RunAgain).is_ok()
            };
            let (told, met) = race(again, move || begin(&right, "k"));
            assert!(told, "the duplicate got {met:?}");
        });
    }
}

/// Goal: the window of a record without bytes is the one its caller asked for, though a sweep
/// meets it half finished. Method: every schedule of a late completion and a sweep.
#[test]
fn a_sweep_cuts_no_window_short() {
    model(|| {
        let Small { engine, clock } = small();
        let options = BeginOptions::new().dedup_window(2 * WINDOW);
        let admission = engine.begin_with(&request("k"), &options).expect("room");
        let token = got(admission).token().expect("new");
        clock.advance(LEASE);
        let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
        let (completed, _) = race(
            move || End::CompleteWithoutBytes.call(&left, &token),
            move || right.sweep(usize::MAX).is_ok(),
        );
        assert!(completed);
        clock.advance(WINDOW);
        assert_eq!(begin(&engine, "k"), Got::Gone, "a second run inside the window");
    });
}
