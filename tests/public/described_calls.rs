//! Failure of others: a retry loop that knows an error and not what it says, so that it comes back
//! before the service asked for it, goes on where it was told not to, and pays the wrong price.

use std::future::ready;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::support::*;
use oncegate::{
    AttemptError, BackoffPolicy, Engine, FailureKind, GivenUp, Hint, ManualClock, Outcome, Ran,
    Retried, RetryBudget, RetryPolicy, RunOptions,
};

const BACKOFF: Duration = Duration::from_secs(10);

/// What a client of some service returns.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Refusal {
    TimedOut,
    TryAfter(&'static str),
    Never,
    Declined,
}

fn describe(result: &Result<Outcome, Refusal>) -> AttemptError {
    match result {
        Err(Refusal::TimedOut) => AttemptError::new("timeout").kind(FailureKind::Timeout),
        Err(Refusal::TryAfter(header)) => AttemptError::new("throttled")
            .kind(FailureKind::Throttled)
            .hint(Hint::retry_after(header, Duration::ZERO)),
        Err(Refusal::Never) => AttemptError::new("never").hint(Some(Hint::grpc_pushback("-1"))),
        Err(Refusal::Declined) => AttemptError::new("declined").terminal(),
        Ok(_) => AttemptError::new("status"),
    }
}

fn policy() -> RetryPolicy {
    RetryPolicy::new(BackoffPolicy::constant(BACKOFF)).max_attempts(3)
}

fn engine() -> (Engine, ManualClock) {
    build(Engine::builder().capacity(1_000))
}

/// Runs a call that fails with `errors`, one after the other, and then succeeds; its sleeps take no
/// time but that of the clock. Gives what it came to, and how long it slept.
fn run(
    (engine, clock): &(Engine, ManualClock),
    errors: &[Refusal],
) -> (Retried<Refusal>, Vec<Duration>) {
    let mut slept = Vec::new();
    let (asked, options, retries) = (request("k"), RunOptions::new(), policy());
    let sleep = |duration| {
        slept.push(duration);
        clock.advance(duration);
        ready(())
    };
    let mut errors = errors.iter();
    let work = |_| ready(errors.next().map_or_else(|| Ok(done("at last")), |error| Err(*error)));
    let retried = {
        let run =
            engine.run_with_retries_async_by(&asked, &options, &retries, sleep, describe, work);
        match poll(pin!(run).as_mut(), &Arc::new(Woken::default())) {
            Poll::Ready(retried) => retried.expect("answered"),
            Poll::Pending => panic!("it waits for nobody"),
        }
    };
    (retried, slept)
}

/// Goal: a call waits as long as the service asks. Method: a hint that is shorter than the backoff,
/// one that is longer, and none.
#[test]
fn hints_are_followed() {
    let errors = [Refusal::TryAfter("3"), Refusal::TryAfter("40")];
    let (retried, slept) = run(&engine(), &errors);
    assert!(matches!(&retried.ran, Ran::Executed(outcome) if *outcome == done("at last")));
    assert_eq!(slept, [3, 40].map(Duration::from_secs));
    let (_, slept) = run(&engine(), &[Refusal::TimedOut]);
    assert_eq!(slept, [BACKOFF]);
}

/// Goal: a call stops where the service says so, or where the error cannot pass; its record is the
/// next caller's. Method: gRPC's pushback, and a terminal error, after the first attempt.
#[test]
fn refusals_end_the_call() {
    for error in [Refusal::Never, Refusal::Declined] {
        let engine = engine();
        let (retried, slept) = run(&engine, &[error]);
        assert!(matches!(retried.ran, Ran::Failed(last) if last == error), "{retried:?}");
        assert_eq!((retried.attempts, retried.given_up), (1, Some(GivenUp::Refused)));
        assert_eq!(slept, []);
        assert_eq!(admitted(&engine.0, &request("k")).attempt(), 2);
    }
}

/// Goal: an attempt costs what its failure is worth. Method: AWS's bucket, in which a timeout costs
/// more; the same without a description.
#[test]
fn kinds_have_their_prices() {
    let spent = |errors: &[Refusal]| {
        let engine = engine();
        let bucket = RetryBudget::bucket()
            .capacity(100.0)
            .success(0.0)
            .cost(FailureKind::Transient, 5.0)
            .cost(FailureKind::Timeout, 10.0)
            .cost(FailureKind::Throttled, 7.0)
            .build()
            .expect("valid");
        engine.0.set_retry_budget(bucket.clone()).expect("set");
        let _ = run(&engine, errors);
        100.0 - bucket.left(Duration::ZERO)
    };
    assert_eq!(spent(&[Refusal::TimedOut]), 10.0);
    assert_eq!(spent(&[Refusal::TryAfter("1")]), 7.0);
    assert_eq!(spent(&[Refusal::TimedOut, Refusal::TryAfter("1")]), 17.0);
}

/// Goal: the blocking form does the same, also for outcomes that may be tried again. Method: a
/// thread that does not sleep, since its hint says so; an outcome that is described as terminal.
#[test]
fn blocking_calls_are_described_too() {
    let (engine, _clock) = engine();
    let options = RunOptions::new();
    let describe = |result: &Result<Outcome, &str>| match result {
        Err(_) => AttemptError::new("soon").hint(Hint::retry_after("0", Duration::ZERO)),
        Ok(_) => AttemptError::new("over").terminal(),
    };
    let retried =
        engine.run_with_retries_by(&request("k"), &options, &policy(), describe, |lease| {
            if lease.attempt() == 1 { Err("at once") } else { Ok(Outcome::new(503, b"")) }
        });
    let retried = retried.expect("answered");
    assert!(matches!(&retried.ran, Ran::Executed(outcome) if outcome.status() == 503));
    assert_eq!((retried.attempts, retried.given_up), (2, Some(GivenUp::Refused)));
}
