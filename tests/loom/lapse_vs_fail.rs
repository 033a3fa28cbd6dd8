//! A lapse that ends the attempt meets its holder, who ends it too.
//!
//! Threads: two. Bound: two preemptions. Property: duplicates get one outcome, always the same
//! (I4), and a holder who was fenced wrote nothing (I3); where both say that nobody knows, both
//! come to an end, and the record is unknown. Left out: takeover.

use crate::support::*;
use oncegate::{Failure, OnLapse, Outcome};
use std::sync::Arc;

fn lapsed_or_declined() {
    let Small { engine, clock } = small_with(|builder| builder.on_lapse(OnLapse::Failed));
    let token = begin(&engine, "k").token().expect("new");
    clock.advance(LEASE);
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let declined = Failure::terminal(Outcome::new(402, "declined"));
    let (failed, seen) =
        race(move || left.fail(&token, declined).is_ok(), move || begin(&right, "k"));
    let after = begin(&engine, "k");
    assert_eq!(seen, after, "the outcome changed");
    let expected: &[u8] = if failed { b"declined" } else { b"" };
    assert_eq!(after, Got::Replayed(expected.to_vec()));
}

/// Goal: the lapse or the holder decides. Method: every schedule of a late failure and a
/// duplicate that notices the lapse.
#[test]
fn the_lapse_or_the_holder_decides() {
    model(lapsed_or_declined);
}

fn unknown_to_both() {
    let Small { engine, clock } = small_with(|builder| builder.on_lapse(OnLapse::Unknown));
    let token = begin(&engine, "k").token().expect("new");
    clock.advance(LEASE);
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (given_up, swept) = race(
        move || left.fail(&token, Failure::unknown()),
        move || right.sweep(usize::MAX).map(|_| ()),
    );
    assert_eq!((given_up.is_ok(), swept.is_ok()), (true, true));
    assert_eq!(begin(&engine, "k"), Got::Other("Unresolved".into()));
}

/// Goal: a holder that gives up comes to an end where the lapse did the same. Method: every
/// schedule of both. It went round for ever once: it took the state that it wanted for one to
/// start from.
#[test]
fn a_holder_gives_up_while_it_lapses() {
    model(unknown_to_both);
}

/// Goal: the model bites. Method: the lapse leaves the reference to whoever comes.
#[cfg(oncegate_loom)]
#[test]
fn broken_lapse_unarbitrated() {
    broken(oncegate::Bug::LapseUnarbitrated, lapsed_or_declined);
}
