//! Two callers find a finished record whose dedup window is over.
//!
//! Threads: two. Bound: one preemption; two take very long. Property: one of them gets the new
//! attempt (I1), with a higher fencing token (I2). Left out: eviction.

use crate::support::*;
use std::sync::Arc;

fn both_find_it_over() {
    let Small { engine, clock } = small();
    let first = begin(&engine, "k").token().expect("new");
    engine.complete(&first, &oncegate::Outcome::new(200, "old")).expect("the holder");
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

/// Goal: the model bites. Method: the arbitration's failure is ignored.
#[cfg(oncegate_loom)]
#[test]
fn broken_arbitration_ignored() {
    broken(oncegate::Bug::ArbitrationIgnored, both_find_it_over);
}
