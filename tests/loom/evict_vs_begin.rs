//! A full table: a new request evicts while a duplicate looks for a record.
//!
//! Threads: two. Sizes: two sets, all ways used. Bound: two preemptions, one where
//! both callers insert. Property: a running
//! record is never evicted (I6); a finished one is replayed byte for byte until it is evicted, and
//! then its slot is given out once (I1, I4). Left out: expiry.

use crate::support::*;
use std::sync::Arc;

const SLOTS: usize = if cfg!(oncegate_loom) { 8 } else { 32 };

/// A full table: one record is finished, all others run.
fn full() -> Small {
    let small = small();
    for i in 1..SLOTS {
        assert!(begin(&small.engine, &format!("r{i}")).token().is_some());
    }
    finish(&small.engine, "victim");
    small
}

fn running_survives() {
    let Small { engine, .. } = full();
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (new, running) = race(move || begin(&left, "new"), move || begin(&right, "r1"));
    assert!(new.token().is_some(), "{new:?}");
    assert_eq!(running, Got::InProgress(1));
    for i in 1..SLOTS {
        assert_eq!(begin(&engine, &format!("r{i}")), Got::InProgress(1));
    }
}

/// Goal: eviction passes running records by. Method: all records run but the last used one.
#[test]
fn running_records_are_not_evicted() {
    model(running_survives);
}

fn victim_is_replayed_or_new() {
    let Small { engine, .. } = full();
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let new = move || left.begin(&request("new")).map(got);
    let victim = move || right.begin(&request("victim")).map(got);
    // There is one slot that may go: whoever comes late is told that the table is full.
    let admitted = match race(new, victim) {
        (Ok(new), Ok(Got::Replayed(bytes))) => {
            assert_eq!(bytes, b"victim");
            (new, "new")
        }
        (Ok(new), Err(_)) => (new, "new"),
        (Err(_), Ok(victim)) => (victim, "victim"),
        other => panic!("{other:?}"),
    };
    assert!(admitted.0.token().is_some(), "{admitted:?}");
    assert_eq!(begin(&engine, admitted.1), Got::InProgress(1));
}

/// Goal: a duplicate of the victim gets the old outcome or a new attempt. Method: as above.
#[test]
fn a_victim_is_replayed_or_new() {
    bounded(1, victim_is_replayed_or_new);
}

/// Goal: the model bites. Method: eviction claims running records too.
#[cfg(oncegate_loom)]
#[test]
fn broken_evicts_running() {
    broken(oncegate::Bug::EvictsRunning, running_survives);
}
