//! Workers of two processes find the same record due.
//!
//! Threads: two, of two processes. Sizes: one record, two entries. Bound: two preemptions.
//! Property: one of them gets the next attempt, with the context, and the other gets nothing (I1,
//! I5). Left out: waiting, lapses.

use crate::support::*;
use oncegate::{AttemptError, Engine, RetryContext};
use std::sync::Arc;
use std::time::Duration;

/// The attempt that a worker gets, and what it is told to do.
fn take(engine: &Engine) -> Option<(u32, u64, Vec<u8>)> {
    let next = engine.next_attempt(Duration::ZERO).expect("answered")?;
    let context = next.context().to_vec();
    let token = next.into_lease().into_token();
    Some((token.attempt(), token.fencing_token().get(), context))
}

/// A record that process 1 has scheduled and that is due, and both processes.
fn due() -> (Small, Arc<Engine>, Arc<Engine>) {
    let retrying = |builder: oncegate::EngineBuilder| builder.max_retrying(2).jitter_seed(7);
    let world = small_with(retrying);
    #[cfg(oncegate_loom)]
    let other = beside(&world, 2, retrying);
    #[cfg(not(oncegate_loom))]
    let other = Arc::clone(&world.engine);
    let token = begin(&world.engine, "k").token().expect("new");
    let context = RetryContext::new("op", b"c");
    let later = world.engine.retry_later(&token, &AttemptError::new("e"), &context);
    assert!(later.is_ok());
    world.clock.advance(Duration::from_secs(3600));
    let home = Arc::clone(&world.engine);
    (world, home, other)
}

fn one_fires() {
    let (world, home, other) = due();
    let (one, two) = race_roomy(move || take(&home), move || take(&other));
    let got: Vec<_> = [one, two].into_iter().flatten().collect();
    assert_eq!(got.len(), 1, "{got:?}");
    assert_eq!((got[0].0, &got[0].2[..]), (2, &b"c"[..]));
    assert_eq!(begin(&world.engine, "k"), Got::InProgress(2));
}

/// Goal: whichever process scheduled it, one hands it out. Method: every schedule of both.
#[test]
fn one_of_two_processes_fires() {
    roomy(2, one_fires);
}

/// Goal: the model bites. Method: a worker takes what it found due without comparing.
#[cfg(oncegate_loom)]
#[test]
fn broken_taken_blindly() {
    broken_roomy(oncegate::Bug::TakenBlindly, 2, one_fires);
}
