//! A dead letter is redriven by one caller and discarded by another.
//!
//! Threads: two, and a worker afterwards. Sizes: one record, two entries. Bound: two preemptions.
//! Property: one of both happens: it runs again with its context, or it has failed for good. Left
//! out: filters, overflow.

use crate::support::*;
use oncegate::{AttemptError, BackoffPolicy, LetterFilter, RetryContext, RetryPolicy};
use std::sync::Arc;
use std::time::Duration;

fn either() {
    let world = small_with(|builder| {
        let once = RetryPolicy::new(BackoffPolicy::constant(Duration::from_secs(1)));
        builder.max_retrying(2).retry_policy(once.max_attempts(1))
    });
    let engine = world.engine;
    let token = begin(&engine, "k").token().expect("new");
    let context = RetryContext::new("op", b"c");
    let later = engine.retry_later(&token, &AttemptError::new("e"), &context);
    assert!(matches!(later, Ok(oncegate::Later::Buried { kept: true, .. })), "{later:?}");
    let page = engine.dead_letters(&LetterFilter::all(), None, 9).expect("answered");
    let id = page.letters[0].id;
    let (one, two) = (Arc::clone(&engine), Arc::clone(&engine));
    let (redriven, discarded) =
        race_roomy(move || one.redrive(id).is_ok(), move || two.discard(id).is_ok());
    assert!(redriven != discarded, "redriven: {redriven}, discarded: {discarded}");
    let letters = engine.dead_letters(&LetterFilter::all(), None, 9).expect("answered").letters;
    assert!(letters.is_empty());
    let next = engine.next_attempt(Duration::ZERO).expect("answered");
    let next = next.map(|next| (next.context().to_vec(), next.into_lease().into_token().attempt()));
    assert_eq!(next, redriven.then(|| (b"c".to_vec(), 2)));
}

/// Goal: a letter is redriven or discarded. Method: every schedule of both.
#[test]
fn redriven_or_discarded() {
    roomy(2, either);
}

/// Goal: the model bites. Method: whoever comes second does not notice.
#[cfg(oncegate_loom)]
#[test]
fn broken_letter_settled_twice() {
    broken_roomy(oncegate::Bug::LetterSettledTwice, 2, either);
}
