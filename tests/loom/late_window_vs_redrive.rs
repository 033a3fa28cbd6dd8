//! A dead letter is redriven while whoever buried it has not said yet until when it stays.
//!
//! Threads: two, and a worker afterwards. Sizes: one record, two entries. Bound: two preemptions.
//! Property: what is redriven runs again, and what is not is a letter still: no record waits whose
//! deadline says that it has finished. Left out: overflow, hooks.

use crate::support::*;
use oncegate::{AttemptError, BackoffPolicy, LetterFilter, RetryContext, RetryPolicy};
use std::sync::Arc;
use std::time::Duration;

fn redriven_or_kept() {
    let Small { engine, clock } = small_with(|builder| {
        let twice = RetryPolicy::new(BackoffPolicy::constant(Duration::from_secs(1)));
        builder.max_retrying(2).retry_policy(twice.max_attempts(2))
    });
    let token = begin(&engine, "k").token().expect("new");
    let context = RetryContext::new("op", b"c");
    let _ = engine.retry_later(&token, &AttemptError::new("e"), &context).expect("room");
    clock.advance(Duration::from_secs(1));
    let last = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    let _ = last.into_lease().into_token();
    clock.advance(Duration::from_secs(3_600));
    let (buries, redrives) = (Arc::clone(&engine), Arc::clone(&engine));
    let ((), redriven) = race_roomy(
        move || while buries.advance(2).expect("answered").more {},
        move || redrives.redrive_all(&LetterFilter::all(), 9).expect("answered") == 1,
    );
    let letters = engine.dead_letters(&LetterFilter::all(), None, 9).expect("answered").letters;
    assert_eq!(letters.len(), usize::from(!redriven));
    let next = engine.next_attempt(Duration::ZERO).expect("answered");
    let next = next.map(|next| (next.context().to_vec(), next.into_lease().into_token().attempt()));
    assert_eq!(next, redriven.then(|| (b"c".to_vec(), 3)));
}

/// Goal: a letter that is redriven runs, however late its finisher is. Method: every schedule of
/// the burial of a lapse and of a redrive.
#[test]
fn redriven_or_a_letter() {
    roomy(2, redriven_or_kept);
}

/// Goal: the model bites. Method: whether an entry may be freed is told by what it was before.
#[cfg(oncegate_loom)]
#[test]
fn broken_redrive_left() {
    broken_roomy(oncegate::Bug::RedriveLeft, 2, redriven_or_kept);
}
