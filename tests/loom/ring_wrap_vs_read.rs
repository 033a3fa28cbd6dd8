//! A duplicate reads an outcome while the chunk that holds it is recycled.
//!
//! Threads: two. Sizes: two chunks of two outcomes. Bound: two preemptions. Property: what is
//! replayed is byte for byte what was completed, or `OutcomeGone` (I4). Left out: carrying on.

use crate::support::*;
use oncegate::Outcome;
use std::sync::Arc;

/// Two chunks of two outcomes: this many further ones overwrite the first. On real threads the
/// records must stay in a table of 64 slots.
const OVERWRITES: usize = if cfg!(oncegate_loom) { 4 } else { 24 };

fn reader_meets_recycling() {
    let Small { engine, .. } = small();
    finish(&engine, "first");
    for i in 1..OVERWRITES - 1 {
        finish(&engine, &format!("n{i}"));
    }
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (read, ()) = race(
        move || begin(&left, "first"),
        move || {
            finish(&right, "last-1");
            finish(&right, "last-2");
        },
    );
    match read {
        Got::Replayed(bytes) => assert_eq!(bytes, b"first"),
        Got::Gone => {}
        other => panic!("{other:?}"),
    }
}

/// Goal: no reader sees another record's bytes. Method: every schedule of one replay and the
/// completions that recycle its chunk.
#[test]
fn a_reader_gets_its_bytes_or_none() {
    model(reader_meets_recycling);
}

fn writers_meet_recycling() {
    let Small { engine, .. } = small();
    let slow = begin(&engine, "slow").token().expect("new");
    let quick: Vec<_> = (0..OVERWRITES)
        .map(|i| (format!("q{i}"), begin(&engine, &format!("q{i}")).token().expect("new")))
        .collect();
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let ((), ()) = race(
        move || {
            left.complete(&slow, &Outcome::new(200, "slow")).expect("the holder");
        },
        move || {
            for (key, token) in &quick {
                right.complete(token, &Outcome::new(200, key)).expect("the holder");
            }
        },
    );
    for key in ["slow".to_owned(), format!("q{}", OVERWRITES - 1)] {
        match begin(&engine, &key) {
            Got::Replayed(bytes) => assert_eq!(bytes, key.as_bytes()),
            Got::Gone => {}
            other => panic!("{key}: {other:?}"),
        }
    }
}

/// Goal: a slow writer spoils nobody's outcome. Method: every schedule of one completion and
/// enough others to come round to its chunk.
#[test]
fn a_slow_writer_spoils_nothing() {
    bounded(1, writers_meet_recycling);
}

/// Goal: the model bites. Method: the reader does not look at the chunk again.
#[cfg(oncegate_loom)]
#[test]
fn broken_reads_without_revalidation() {
    broken(oncegate::Bug::ReadsWithoutRevalidation, reader_meets_recycling);
}

/// Goal: the model bites. Method: outcomes are written without release.
#[cfg(oncegate_loom)]
#[test]
fn broken_relaxed_outcome() {
    broken(oncegate::Bug::RelaxedOutcome, reader_meets_recycling);
}

/// Goal: the model bites. Method: a chunk is recycled while somebody writes to it.
#[cfg(oncegate_loom)]
#[test]
fn broken_recycles_under_writer() {
    broken(oncegate::Bug::RecyclesUnderWriter, writers_meet_recycling);
}
