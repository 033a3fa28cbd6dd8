//! Two callers find a finished record whose dedup window is over.
//!
//! Threads: two. Bound: one preemption; two take very long. Property: one of them gets the new
//! attempt (I1), with a higher fencing token (I2). Left out: eviction.

use crate::support::*;
use oncegate::{Engine, Outcome, Payload};
use std::sync::Arc;

fn both_find_it_over() {
    let Small { engine, clock } = small();
    let first = begin(&engine, "k").token().expect("new");
    engine.complete(&first, &Outcome::new(200, "old")).expect("the holder");
    clock.advance(WINDOW);
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (one, two) = race(move || begin(&left, "k"), move || begin(&right, "k"));
    let tokens: Vec<_> = [&one, &two].into_iter().filter_map(Got::token).collect();
    assert_eq!(tokens.len(), 1, "{one:?} and {two:?}");
    assert!(tokens[0].fencing_token() > first.fencing_token());
    assert_eq!(begin(&engine, "k"), Got::InProgress(1));
}

/// Goal: an expired record is begun anew once. Method: every schedule of two begins.
#[test]
fn one_begin_follows_the_window() {
    bounded(1, both_find_it_over);
}

fn slot_changes_hands() {
    // During a rotation every call takes the thorough way, which is the one at stake here.
    let Small { engine, clock } = small_with(|builder| builder.secret(secret(9)));
    engine.rotate_secret(secret(7)).expect("no rotation is pending");
    let [old, new] = lookalikes(&engine);
    let asks = |engine: &Engine, key, payload: &'static [u8]| {
        let request = request(key).payload(Payload::raw(payload));
        got(engine.begin(&request).expect("an answer"))
    };
    let token = asks(&engine, old, b"old").token().expect("a new record");
    engine.complete(&token, &Outcome::new(200, "old")).expect("the only holder");
    clock.advance(WINDOW);
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (one, two) = race(move || asks(&left, new, b"new"), move || asks(&right, new, b"new"));
    let admitted = [&one, &two].iter().filter(|got| got.token().is_some()).count();
    assert_eq!(admitted, 1, "{one:?} and {two:?}");
    assert!([one, two].contains(&Got::InProgress(1)));
}

/// Goal: nobody gets another request's outcome. Method: a new record takes the slot of one that
/// is over and looks like it, while a duplicate searches.
#[test]
fn a_slot_that_changes_hands_is_looked_at_again() {
    bounded(1, slot_changes_hands);
}

fn record_comes_and_goes() {
    let Small { engine, clock } = small();
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (one, other) = race(
        move || begin(&left, "k").token(),
        move || {
            let token = begin(&right, "k").token()?;
            right.complete(&token, &Outcome::new(200, "")).expect("the holder");
            clock.advance(WINDOW);
            right.sweep(usize::MAX).expect("not forked");
            Some(token)
        },
    );
    // Where both were admitted, the first caller came after the other's record was gone.
    if let (Some(one), Some(other)) = (one, other) {
        assert!(one.fencing_token() > other.fencing_token(), "{one:?} after {other:?}");
    }
}

/// Goal: tokens rise though the record in between is gone (I2). Method: an insertion stalls with
/// its slot claimed while another record of the request comes and goes.
#[test]
fn a_stalled_insertion_draws_a_new_counter() {
    model(record_comes_and_goes);
}

/// Goal: the model bites. Method: the stalled insertion keeps the counter of its claim.
#[cfg(oncegate_loom)]
#[test]
fn broken_counter_kept() {
    broken(oncegate::Bug::CounterKept, record_comes_and_goes);
}

/// Goal: the model bites. Method: a record is believed that changed since it was found.
#[cfg(oncegate_loom)]
#[test]
fn broken_match_not_rechecked() {
    broken(oncegate::Bug::MatchNotRechecked, slot_changes_hands);
}

/// Goal: the model bites. Method: the arbitration's failure is ignored.
#[cfg(oncegate_loom)]
#[test]
fn broken_arbitration_ignored() {
    broken(oncegate::Bug::ArbitrationIgnored, both_find_it_over);
}
