//! The sweep clears a record that is over while a caller begins it anew.
//!
//! Threads: two. Bound: two preemptions. Property: the new attempt is not swept away (I6), and a
//! record is found as long as it lives. Left out: waiting callers.

use crate::support::*;
use oncegate::Outcome;
use std::sync::Arc;

fn sweep_meets_begin() {
    let Small { engine, clock } = small();
    finish(&engine, "k");
    clock.advance(WINDOW);
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (_, new) =
        race(move || left.sweep(usize::MAX).expect("not forked"), move || begin(&right, "k"));
    let token = new.token().expect("the window is over");
    assert_eq!(begin(&engine, "k"), Got::InProgress(1));
    engine.complete(&token, &Outcome::new(200, "new")).expect("the holder");
    assert_eq!(begin(&engine, "k"), Got::Replayed(b"new".to_vec()));
}

/// Goal: the sweep takes only what is over. Method: every schedule of one sweep and one begin.
#[test]
fn the_sweep_spares_the_new_record() {
    model(sweep_meets_begin);
}

/// Goal: a lapse is decided once. Method: the sweep closes a lapsed lease while its holder
/// completes; the policy says unknown.
#[test]
fn the_sweep_or_the_holder_decides() {
    model(|| {
        let unknown =
            |builder: oncegate::EngineBuilder| builder.on_lapse(oncegate::OnLapse::Failed);
        let Small { engine, clock } = small_with(unknown);
        let token = begin(&engine, "k").token().expect("new");
        clock.advance(LEASE);
        let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
        let (_, completed) = race(
            move || left.sweep(usize::MAX).expect("not forked"),
            move || right.complete(&token, &Outcome::new(200, "a")),
        );
        let after = engine.begin(&request("k")).expect("an answer");
        let oncegate::Admission::Replayed(outcome) = after else {
            panic!("{after:?}");
        };
        assert_eq!(outcome.status(), if completed.is_ok() { 200 } else { 504 });
    });
}

/// Goal: the model bites. Method: the sweep clears the tag before it has claimed the slot.
#[cfg(oncegate_loom)]
#[test]
fn broken_sweep_without_claim() {
    broken(oncegate::Bug::SweepWithoutClaim, sweep_meets_begin);
}
