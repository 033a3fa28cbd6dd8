//! A holder writes its small outcome beside the record while its lapsed lease is taken over, and
//! the next attempt completes too.
//!
//! Threads: two. Sizes: one word beside each record. Bound: two preemptions. Property: one of the
//! two ends the request, and duplicates get that one's bytes, however long the other stalls while
//! it writes (I3, I4, rule 6). Left out: outcomes that go to the store by their size.

use crate::support::*;
use oncegate::Outcome;
use std::sync::Arc;

fn two_attempts_write() {
    let Small { engine, clock } = small_with(|builder| builder.inline_outcome(8));
    let first = begin(&engine, "k").token().expect("new");
    clock.advance(LEASE);
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let complete = |engine: &oncegate::Engine, token: &oncegate::LeaseToken, bytes: &str| {
        engine.complete(token, &Outcome::new(200, bytes)).is_ok()
    };
    let (ended, taken) = race(
        move || complete(&left, &first, "one"),
        move || begin(&right, "k").token().map(|token| complete(&right, &token, "two")),
    );
    let bytes: &[u8] = match (ended, taken) {
        (true, None) => b"one",
        (false, Some(true)) => b"two",
        both => panic!("{both:?}"),
    };
    assert_eq!(begin(&engine, "k"), Got::Replayed(bytes.to_vec()));
}

/// Goal: a writer that stalls spoils no other attempt's outcome. Method: every schedule of a
/// completion and a takeover with its completion.
#[test]
fn a_stalled_writer_spoils_nothing() {
    model(two_attempts_write);
}

/// Goal: the model bites. Method: the next attempt writes where somebody is writing.
#[cfg(oncegate_loom)]
#[test]
fn broken_inline_unclaimed() {
    broken(oncegate::Bug::InlineUnclaimed, two_attempts_write);
}
