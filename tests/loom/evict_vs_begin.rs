//! A full table: a new request evicts while a duplicate looks for a record.
//!
//! Threads: two. Sizes: two sets, all ways used. Bound: two preemptions. Property: a running
//! record is never evicted (I6); a finished one is replayed byte for byte, or admitted anew after
//! its eviction, never both (I4). Left out: expiry.

use crate::support::*;
use std::sync::Arc;

const SLOTS: usize = if cfg!(oncegate_loom) { 8 } else { 32 };

/// A full table: the first record runs, the others are finished.
fn full() -> Small {
    let small = small();
    assert!(begin(&small.engine, "running").token().is_some());
    for i in 1..SLOTS {
        finish(&small.engine, &format!("f{i}"));
    }
    small
}

fn running_survives() {
    let Small { engine, .. } = full();
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (new, running) = race(move || begin(&left, "new"), move || begin(&right, "running"));
    assert!(new.token().is_some(), "{new:?}");
    assert_eq!(running, Got::InProgress(1));
    assert_eq!(begin(&engine, "running"), Got::InProgress(1));
}

/// Goal: eviction passes a running record by. Method: it is the least recently used one.
#[test]
fn running_records_are_not_evicted() {
    model(running_survives);
}

fn victim_is_replayed_or_new() {
    let Small { engine, .. } = full();
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    // The least recently used finished record is the next victim.
    let (new, victim) = race(move || begin(&left, "new"), move || begin(&right, "f1"));
    assert!(new.token().is_some(), "{new:?}");
    // Outcomes of a tiny engine are soon overwritten: gone is an answer.
    match victim {
        Got::Replayed(bytes) => assert_eq!(bytes, b"f1"),
        Got::Gone => {}
        Got::Admitted(_) => assert_eq!(begin(&engine, "f1"), Got::InProgress(1)),
        other => panic!("{other:?}"),
    }
}

/// Goal: a duplicate of the victim gets the old outcome or a new attempt. Method: as above.
#[test]
fn a_victim_is_replayed_or_new() {
    model(victim_is_replayed_or_new);
}

/// Goal: the model bites. Method: eviction claims running records too.
#[cfg(oncegate_loom)]
#[test]
fn broken_evicts_running() {
    broken(oncegate::Bug::EvictsRunning, running_survives);
}
