//! Failure of others: a language that runs attempts in a way of its own retries beside the budgets,
//! and keeps a service down that all others spare.

use std::time::Duration;

use crate::support::*;
use oncegate::{
    AdaptiveBackoff, AttemptError, BackoffPolicy, CallAttempts, Engine, Failure, FailureKind,
    GivenUp, Hint, LeaseToken, RetryBudget, RetryPolicy,
};

const NOW: Duration = Duration::ZERO;
const BACKOFF: Duration = Duration::from_secs(10);

fn policy() -> RetryPolicy {
    RetryPolicy::new(BackoffPolicy::constant(BACKOFF)).max_attempts(4)
}

fn error() -> AttemptError {
    AttemptError::new("503")
}

fn call(engine: &Engine, policy: &RetryPolicy) -> CallAttempts {
    engine.call_attempts(&request("key"), policy).expect("valid")
}

/// An attempt that has begun.
fn began(attempts: &mut CallAttempts, engine: &Engine) -> LeaseToken {
    let token = token(engine, &request("key"));
    attempts.began(engine, &token);
    token
}

/// An attempt that fails, and what follows it.
fn failed(attempts: &mut CallAttempts, engine: &Engine) -> Result<Duration, GivenUp> {
    let token = began(attempts, engine);
    let next = attempts.failed(engine, &token, &error());
    let failure = next
        .as_ref()
        .map_or_else(|_| Failure::retryable(), |delay| Failure::retryable_after(*delay));
    engine.fail(&token, failure).expect("holds the lease");
    next
}

fn bucket(tokens: f64) -> RetryBudget {
    let bucket = RetryBudget::bucket().name("payments").capacity(tokens).refund_cost(true);
    let bucket = FailureKind::ALL.into_iter().fold(bucket, |bucket, kind| bucket.cost(kind, 1.0));
    bucket.build().expect("valid")
}

/// Goal: retries of such a call are paid for, and end with their budget, which is named.
/// Method: two tokens and four attempts; then the record is the next caller's.
#[test]
fn retries_are_paid_for() {
    let (engine, clock) = engine();
    let budget = bucket(2.0);
    engine.set_retry_budget(budget.clone()).expect("set");
    let mut attempts = call(&engine, &policy());
    for left in [1.0, 0.0] {
        assert_eq!(failed(&mut attempts, &engine), Ok(BACKOFF));
        assert_eq!(budget.left(NOW), left);
        clock.advance(BACKOFF);
    }
    let Err(GivenUp::Budget(spent)) = failed(&mut attempts, &engine) else { panic!("not refused") };
    assert_eq!((spent.budget(), attempts.count()), ("payments", 3));
    assert_eq!(admitted(&engine, &request("key")).attempt(), 4, "it is free");
}

/// Goal: a retry that succeeds gives back what it cost, and one that fails does not; one that never
/// starts gives it back, too. Method: each of them, by what is left.
#[test]
fn what_was_paid_is_settled() {
    let (engine, clock) = engine();
    let budget = bucket(5.0);
    engine.set_retry_budget(budget.clone()).expect("set");
    let mut attempts = call(&engine, &policy());
    failed(&mut attempts, &engine).expect("the first");
    clock.advance(BACKOFF);
    failed(&mut attempts, &engine).expect("the second");
    assert_eq!(budget.left(NOW), 3.0);
    attempts.give_back();
    assert_eq!(budget.left(NOW), 4.0, "the third does not come to be");
    clock.advance(BACKOFF);
    let mut attempts = call(&engine, &policy());
    failed(&mut attempts, &engine).expect("the first");
    drop(attempts);
    assert_eq!(budget.left(NOW), 4.0, "nobody goes on with it");
    clock.advance(BACKOFF);
    let mut attempts = call(&engine, &policy());
    failed(&mut attempts, &engine).expect("the first");
    clock.advance(BACKOFF);
    let token = began(&mut attempts, &engine);
    drop(attempts);
    assert_eq!(budget.left(NOW), 3.0, "it runs");
    engine.complete(&token, &done("")).expect("holds the lease");
    assert_eq!(budget.left(NOW), 4.0, "a success brings what it cost");
}

/// Goal: a retry that is followed by another makes place for it. Method: one retry at a time.
#[test]
fn one_retry_at_a_time_is_enough() {
    let (engine, clock) = engine();
    let one = RetryBudget::envoy().share(0.0).min_retries(1).build().expect("valid");
    engine.set_retry_budget(one.clone()).expect("set");
    let mut attempts = call(&engine, &policy());
    for _ in 0..3 {
        assert_eq!(failed(&mut attempts, &engine), Ok(BACKOFF));
        assert_eq!(one.left(NOW), 0.0);
        clock.advance(BACKOFF);
    }
    assert_eq!(failed(&mut attempts, &engine), Err(GivenUp::Attempts));
    assert_eq!(one.left(NOW), 1.0);
}

/// Goal: kinds, hints, refusals and the load of the process count as in the engine's own calls.
/// Method: one attempt for each of them.
#[test]
fn what_is_known_of_a_failure_counts() {
    let builder = Engine::builder().capacity(1_000).adaptive_backoff(AdaptiveBackoff::builder());
    let (engine, clock) = build(builder);
    let budget = RetryBudget::aws_standard().build().expect("valid");
    engine.set_retry_budget(budget.clone()).expect("set");
    let after = |error: AttemptError| {
        let mut attempts = call(&engine, &policy());
        let token = began(&mut attempts, &engine);
        let next = attempts.failed(&engine, &token, &error);
        attempts.give_back();
        engine.abandon(&token).expect("holds the lease");
        next
    };
    let hint = Hint::retry_after("3", Duration::ZERO);
    assert_eq!(after(error().hint(hint)), Ok(Duration::from_secs(3)));
    assert_eq!(after(error().terminal()), Err(GivenUp::Refused));
    clock.advance(Duration::from_secs(1));
    engine.set_load(1.0).expect("a load");
    assert_eq!(after(error()), Ok(2 * BACKOFF));
    let mut attempts = call(&engine, &policy());
    let token = began(&mut attempts, &engine);
    let timeout = error().kind(FailureKind::Timeout);
    attempts.failed(&engine, &token, &timeout).expect("paid for");
    assert_eq!(budget.left(NOW), 490.0, "a timeout costs ten");
}

/// Goal: a call knows how much of its time is left. Method: a deadline of which the first attempt
/// and what follows use up a part, and then all.
#[test]
fn time_is_counted_from_the_first_attempt() {
    let (engine, clock) = engine();
    let policy = policy().deadline(5 * BACKOFF);
    let mut attempts = call(&engine, &policy);
    clock.advance(BACKOFF);
    assert_eq!(attempts.left(&engine), Some(5 * BACKOFF), "it has not begun");
    failed(&mut attempts, &engine).expect("in time");
    clock.advance(2 * BACKOFF);
    assert_eq!(attempts.left(&engine), Some(3 * BACKOFF));
    assert!(!attempts.is_late(&engine));
    clock.advance(3 * BACKOFF + Duration::from_millis(1));
    assert!(attempts.is_late(&engine));
    assert_eq!(failed(&mut attempts, &engine), Err(GivenUp::Deadline));
}
