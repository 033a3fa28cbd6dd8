//! A duplicate copies the outcome that lies beside its record while the record is evicted and
//! another request's outcome is written to the same place.
//!
//! Threads: two. Sizes: two sets, all ways used, one word beside each record. Bound: two
//! preemptions. Property: a replay is byte for byte what was completed (I4). Left out: expiry.

use crate::support::*;
use oncegate::Outcome;
use std::sync::Arc;

const SLOTS: usize = if cfg!(oncegate_loom) { 8 } else { 64 };

fn reader_meets_the_next_record() {
    let Small { engine, .. } = small_with(|builder| builder.inline_outcome(8));
    for i in 1..SLOTS {
        assert!(begin(&engine, &format!("r{i}")).token().is_some());
    }
    finish(&engine, "victim");
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (read, written) = race(
        move || left.begin(&request("victim")).map(got),
        move || {
            let token = right.begin(&request("new")).map(got).ok()?.token()?;
            Some(right.complete(&token, &Outcome::new(200, "new")).is_ok())
        },
    );
    match (read, written) {
        (Ok(Got::Replayed(bytes)), _) => assert_eq!(bytes, b"victim"),
        // Evicted before it was found: there is no second slot that may go, or it is the new
        // one's again.
        (Ok(Got::Admitted(_)) | Err(_), _) => {}
        (other, _) => panic!("{other:?}"),
    }
}

/// Goal: no reader gets another record's bytes. Method: every schedule of a replay and an
/// insertion that takes the slot.
#[test]
fn a_reader_gets_its_own_bytes() {
    model(reader_meets_the_next_record);
}

/// Goal: the model bites. Method: the reader does not look at the record again.
#[cfg(oncegate_loom)]
#[test]
fn broken_inline_not_rechecked() {
    broken(oncegate::Bug::InlineNotRechecked, reader_meets_the_next_record);
}
