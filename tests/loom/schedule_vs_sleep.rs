//! A record is left to the scheduler while a worker that has found nothing goes to sleep, or looks
//! at it since its lease was to end.
//!
//! Threads: two. Sizes: one record, two entries. Bound: two preemptions. Property: the worker gets
//! the attempt, or is awake; one that sleeps on is a deadlock, which the checker reports; and what
//! he reads of the record before it is left keeps nobody from it after that (I3, I5). Left out:
//! drivers and futures, and other processes.

use crate::support::*;
use oncegate::{AttemptError, BackoffPolicy, Engine, RetryContext, RetryPolicy};
use std::sync::Arc;
use std::time::Duration;

/// Longer than a model lasts.
const LONG: Duration = Duration::from_secs(3600);

fn leave(engine: &Engine, token: &oncegate::LeaseToken) {
    let context = RetryContext::new("op", b"c");
    let _ = engine.retry_later(token, &AttemptError::new("e"), &context).expect("the holder");
}

fn small_with_delays(delays: [Duration; 1]) -> Small {
    let policy = RetryPolicy::new(BackoffPolicy::list(delays));
    small_with(|builder| builder.max_retrying(2).jitter_seed(7).retry_policy(policy))
}

/// The index of the worker is made before: then whoever schedules files his record himself.
fn worker_sleeps_beside_what_is_due() {
    let Small { engine, .. } = small_with_delays([Duration::ZERO]);
    let token = begin(&engine, "k").token().expect("new");
    assert!(engine.next_attempt(Duration::ZERO).expect("answered").is_none());
    let other = Arc::clone(&engine);
    let ((), attempt) = race_roomy(
        move || leave(&engine, &token),
        move || {
            let next = other.next_attempt(LONG).expect("answered").expect("it is due");
            next.lease().attempt()
        },
    );
    assert_eq!(attempt, 2);
}

/// Goal: a worker gets what is due, whenever it looked before. Method: every schedule of one who
/// leaves a record, due at once, and of a worker that goes to sleep.
#[test]
fn what_is_due_is_not_slept_beside() {
    roomy(2, worker_sleeps_beside_what_is_due);
}

fn worker_looks_while_it_is_left() {
    let Small { engine, clock } = small_with_delays([Duration::ZERO]);
    let token = begin(&engine, "k").token().expect("new");
    leave(&engine, &token);
    let next = engine.next_attempt(Duration::ZERO).expect("answered").expect("it is due");
    let token = next.into_lease().into_token();
    engine.renew(&token, 2 * LEASE).expect("the holder");
    clock.advance(LEASE);
    let other = Arc::clone(&engine);
    let (engine, found) = race_roomy(
        move || {
            leave(&engine, &token);
            engine
        },
        move || attempt_of(&other),
    );
    assert_eq!(found.or_else(|| attempt_of(&engine)), Some(3));
}

/// The number of the attempt that is due, if one is. It runs on.
fn attempt_of(engine: &Engine) -> Option<u32> {
    let next = engine.next_attempt(Duration::ZERO).expect("answered")?;
    Some(next.into_lease().into_token().attempt())
}

/// Goal: what is left while somebody looks at it is found by the next look. Method: every schedule
/// of a holder who has renewed his lease and leaves his record, due at once, and of a worker who
/// comes when the lease was to end before.
#[test]
fn what_is_left_is_not_looked_past() {
    roomy(2, worker_looks_while_it_is_left);
}

/// Goal: the model bites. Method: the worker files what he has read, whatever came since.
#[cfg(oncegate_loom)]
#[test]
fn broken_stale_look_filed() {
    broken_roomy(oncegate::Bug::StaleLookFiled, 2, worker_looks_while_it_is_left);
}

/// Goal: the model bites. Method: whoever schedules something wakes nobody.
#[cfg(oncegate_loom)]
#[test]
fn broken_workers_not_woken() {
    let test = "schedule_vs_sleep::broken_workers_not_woken";
    let body = || {
        spawn_roomy(worker_sleeps_beside_what_is_due).join().expect("no panic");
    };
    broken_by_deadlock(oncegate::Bug::WorkersNotWoken, test, 2, body);
}
