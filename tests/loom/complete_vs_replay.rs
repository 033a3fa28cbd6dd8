//! A duplicate asks while the holder completes, with the outcome beside the record or in a chunk.
//!
//! Threads: two. Sizes: one word beside each record, or none. Bound: two preemptions. Property: the
//! duplicate is told that the request runs, or gets all bytes of its outcome, and never less (I4).
//! Left out: a lapse, eviction.

use crate::support::*;
use oncegate::Outcome;
use std::sync::Arc;

fn duplicate_meets_the_end(beside: usize) {
    let Small { engine, .. } = small_with(|builder| builder.inline_outcome(beside));
    let token = begin(&engine, "k").token().expect("new");
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (ended, met) = race(
        move || left.complete(&token, &Outcome::new(200, "done")).is_ok(),
        move || begin(&right, "k"),
    );
    assert!(ended);
    let whole = Got::Replayed(b"done".to_vec());
    assert!(met == Got::InProgress(1) || met == whole, "{met:?}");
    assert_eq!(begin(&engine, "k"), whole);
}

/// Goal: an outcome beside its record is there when the record says so. Method: every schedule of
/// a completion and a begin.
#[test]
fn a_duplicate_waits_or_gets_it_whole() {
    model(|| duplicate_meets_the_end(8));
}

/// Goal: the same for one that lies in a chunk. Method: as above, with no room beside the record.
#[test]
fn a_duplicate_waits_or_gets_it_whole_from_its_chunk() {
    model(|| duplicate_meets_the_end(0));
}

/// Goal: the model bites. Method: the record refers to the bytes before they are written.
#[cfg(oncegate_loom)]
#[test]
fn broken_referred_before_written() {
    broken(oncegate::Bug::ReferredBeforeWritten, || duplicate_meets_the_end(8));
}
