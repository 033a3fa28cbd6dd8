//! A full table: a new request evicts while a duplicate looks for a record.
//!
//! Threads: two. Sizes: two sets, all ways used. Bound: two preemptions, one where
//! both callers insert. Property: a running
//! record is never evicted (I6); a finished one is replayed byte for byte until it is evicted, and
//! then its slot is given out once (I1, I4). Left out: expiry.

use crate::support::*;
use std::sync::Arc;

const SLOTS: usize = if cfg!(oncegate_loom) { 8 } else { 64 };

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

fn same_request_in_a_full_table() {
    let Small { engine, .. } = small();
    for i in 1..SLOTS {
        assert!(begin(&engine, &format!("r{i}")).token().is_some());
    }
    finish(&engine, "victim");
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let begins_and_ends = move || {
        let begun = left.begin(&request("new")).map(got);
        if let Ok(Got::Admitted(token)) = &begun {
            left.complete(token, &oncegate::Outcome::new(200, "new")).expect("the holder");
        }
        begun
    };
    let (one, two) = race(begins_and_ends, move || right.begin(&request("new")).map(got));
    let both = [&one, &two];
    let admitted = both.iter().filter(|got| matches!(got, Ok(Got::Admitted(_)))).count();
    assert_eq!(admitted, 1, "{both:?}");
}

/// Goal: two callers of one new request in a full table do not evict each other's record.
/// Method: one record may go, so both choose it; one of them finishes at once.
#[test]
fn a_new_record_is_not_taken_for_the_oldest() {
    bounded(1, same_request_in_a_full_table);
}

/// Goal: the model bites. Method: eviction trusts ages from before the other's eviction.
#[cfg(oncegate_loom)]
#[test]
fn broken_evicts_by_old_age() {
    broken(oncegate::Bug::EvictsByOldAge, same_request_in_a_full_table);
}

/// Goal: the model bites. Method: eviction claims running records too.
#[cfg(oncegate_loom)]
#[test]
fn broken_evicts_running() {
    broken(oncegate::Bug::EvictsRunning, running_survives);
}
