//! A holder notes a finished step while its lease lapses and another caller begins.
//!
//! Threads: two. Sizes: one record, two entries. Bound: two preemptions. Property: what the holder
//! was told is noted, the next attempt knows; what it was fenced for, nobody knows (I3). Both where
//! the record has a journal and where this is its first step. Left out: workers, room.

use crate::support::*;
use std::sync::Arc;

fn noted_or_fenced(has_journal: bool) {
    let Small { engine, clock } = small_with(|builder| builder.max_retrying(2));
    let token = begin(&engine, "k").token().expect("new");
    if has_journal {
        engine.finish_step(&token, "a", b"1").expect("holds the lease");
    }
    clock.advance(LEASE);
    let other = Arc::clone(&engine);
    let (noted, next) = race_roomy(
        move || match engine.finish_step(&token, "b", b"2") {
            Ok(()) => true,
            Err(error) => {
                assert!(error.is_fenced(), "{error}");
                false
            }
        },
        move || {
            let next = begin(&other, "k").token()?;
            let known = |name| other.finished_step(&next, name).expect("holds the lease");
            Some((known("a"), known("b"), known("b"), other, next))
        },
    );
    let (a, b, again, other, next) = next.expect("the lease has lapsed");
    assert_eq!(a, has_journal.then(|| b"1".to_vec()));
    assert_eq!(b.is_some(), noted, "the holder was told otherwise");
    assert_eq!(b, again, "a stale holder has changed the journal");
    assert_eq!(other.finished_step(&next, "b").expect("holds the lease"), b);
}

/// Goal: a step is noted before the takeover, or never. Method: every schedule of both, with a
/// journal to change.
#[test]
fn step_is_known_or_fenced() {
    roomy(2, || noted_or_fenced(true));
}

/// Goal: the same for the first step of a record. Method: there is no journal yet.
#[test]
fn first_step_is_known_or_fenced() {
    roomy(2, || noted_or_fenced(false));
}

/// Goal: the model bites. Method: the journal is not sealed before the takeover.
#[cfg(oncegate_loom)]
#[test]
fn broken_journal_unsealed() {
    broken_roomy(oncegate::Bug::JournalUnsealed, 2, || noted_or_fenced(true));
}
