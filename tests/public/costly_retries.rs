//! Failure of others: three attempts for each request are three times the traffic, at the moment in
//! which the service below has least to spare.

use std::time::Duration;

use crate::support::*;
use oncegate::{
    AdaptiveBackoff, Admission, AttemptError, BackoffPolicy, Buried, Engine, EngineBuilder,
    Failure, FailureKind, GivenUp, Hint, Jitter, Later, LetterFilter, ManualClock,
    OperationSettings, Outcome, Ran, RetryBudget, RetryContext, RetryPolicy, Scope,
};

fn builder() -> EngineBuilder {
    let backoff = BackoffPolicy::constant(Duration::from_secs(10));
    Engine::builder().capacity(1_000).retry_policy(RetryPolicy::new(backoff).max_attempts(100))
}

fn later(engine: &Engine, key: &str, error: &AttemptError) -> Later {
    let lease = admitted(engine, &request(key));
    lease.retry_later(error, &RetryContext::new("charge", b"")).expect("room")
}

fn error() -> AttemptError {
    AttemptError::new("503")
}

/// Runs the next attempt that is due after `wait`, and ends it so.
fn next(engine: &Engine, clock: &ManualClock, wait: u64, succeeds: bool) -> Later {
    clock.advance(Duration::from_secs(wait));
    let lease = engine.next_attempt(Duration::ZERO).expect("answered").expect("due").into_lease();
    if succeeds {
        lease.complete(&done("")).expect("holds the lease");
        return Later::Scheduled { next_attempt: 0, due_in: Duration::ZERO };
    }
    lease.retry_later(&error(), &RetryContext::new("charge", b"")).expect("room")
}

/// Goal: retries stop when their budget is spent, and whoever is refused hears whose it was.
/// Method: a bucket of three retries; successes give back, failures do not, timeouts cost twice.
#[test]
fn spent_budget_ends_retries() {
    let (engine, clock) = build(builder());
    let bucket = RetryBudget::bucket()
        .name("payments")
        .capacity(6.0)
        .cost(FailureKind::Transient, 2.0)
        .cost(FailureKind::Timeout, 4.0)
        .refund_cost(true)
        .build()
        .expect("valid");
    engine.set_retry_budget(bucket.clone()).expect("set");
    assert!(matches!(later(&engine, "a", &error()), Later::Scheduled { .. }));
    assert!(matches!(later(&engine, "b", &error()), Later::Scheduled { .. }));
    assert_eq!(bucket.left(Duration::ZERO), 2.0);
    let timeout = error().kind(FailureKind::Timeout);
    let Later::Buried { reason, kept, budget } = later(&engine, "c", &timeout) else {
        panic!("not refused")
    };
    let budget = budget.expect("named");
    assert_eq!((reason, kept, budget.budget()), (Buried::Budget, true, "payments"));
    let _ = next(&engine, &clock, 10, true);
    assert_eq!(bucket.left(Duration::ZERO), 4.0, "a success gives back what it cost");
    assert!(matches!(next(&engine, &clock, 0, false), Later::Scheduled { .. }));
    assert_eq!(bucket.left(Duration::ZERO), 2.0, "a failure is spent, and its retry, too");
    let page = engine.dead_letters(&LetterFilter::all().reason(Buried::Budget), None, 10);
    assert_eq!(page.expect("answered").letters.len(), 1);
}

/// Goal: what is answered from the record costs nothing. Method: duplicates of scheduled, running
/// and finished records, of another payload, and waiting ones, beside budgets of each level.
#[test]
fn duplicates_spend_no_budget() {
    let (engine, clock) = build(builder());
    let budget = || RetryBudget::finagle().min_per_second(0).build().expect("valid");
    let (all, scope, operation) = (budget(), budget(), budget());
    engine.set_retry_budget(all.clone()).expect("set");
    engine.set_scope_budget(Scope::single_tenant(), scope.clone()).expect("set");
    engine.set_operation_budget("POST /charges", operation.clone()).expect("set");
    for number in 0..10 {
        let lease = admitted(&engine, &request(&format!("other-{number}")));
        lease.complete(&done("")).expect("holds the lease");
    }
    let left = || [&all, &scope, &operation].map(|budget| budget.left(Duration::ZERO));
    assert_eq!(left(), [2.0; 3], "a fifth of ten");
    let lease = admitted(&engine, &request("key"));
    let before = left();
    let duplicates = || {
        for _ in 0..10 {
            let _ = engine.begin(&request("key")).expect("answered");
            let _ = engine.begin(&paying("key", b"{}")).expect("answered");
            let _ = engine.begin(&request("other-1")).expect("answered");
        }
    };
    duplicates();
    assert_eq!(left(), before, "running and finished");
    let context = RetryContext::new("POST /charges", b"");
    let _ = lease.retry_later(&error(), &context).expect("room");
    let spent = left();
    assert!(spent.iter().zip(before).all(|(now, before)| *now == before - 1.0), "{spent:?}");
    duplicates();
    clock.advance(Duration::from_millis(1));
    assert_eq!(left(), spent, "scheduled");
}

/// Goal: a retry that comes to nothing costs nothing. Method: a lease that was lost; no room.
#[test]
fn refused_retries_are_given_back() {
    let (engine, clock) = build(builder().max_retrying(1));
    let bucket = RetryBudget::aws_standard().build().expect("valid");
    engine.set_retry_budget(bucket.clone()).expect("set");
    let stale = token(&engine, &request("lost"));
    clock.advance(LEASE);
    admitted(&engine, &request("lost")).complete(&done("")).expect("holds the lease");
    let context = RetryContext::new("charge", b"");
    assert!(engine.retry_later(&stale, &error(), &context).unwrap_err().is_fenced());
    assert_eq!(bucket.left(Duration::ZERO), 500.0);
    assert!(matches!(later(&engine, "one", &error()), Later::Scheduled { .. }));
    assert_eq!(bucket.left(Duration::ZERO), 495.0);
    let lease = admitted(&engine, &request("one more"));
    let full = engine.retry_later(lease.token(), &error(), &context).unwrap_err();
    assert_eq!(full.field(), "max_retrying");
    assert_eq!(bucket.left(Duration::ZERO), 495.0);
    lease.complete(&done("")).expect("the lease lasts");
}

/// Goal: attempts within one call are paid for, too. Method: a budget of two retries.
#[test]
fn calls_pay_for_their_retries() {
    let engine = Engine::builder().capacity(1_000).build().expect("valid");
    let bucket = FailureKind::ALL
        .into_iter()
        .fold(RetryBudget::bucket().capacity(2.0), |bucket, kind| bucket.cost(kind, 1.0));
    let bucket = bucket.build().expect("valid");
    engine.set_retry_budget(bucket.clone()).expect("set");
    let policy = RetryPolicy::new(BackoffPolicy::constant(Duration::from_millis(1)));
    let policy = policy.max_attempts(10);
    let retried = engine
        .run_with_retries(&request("key"), &policy, || Ok::<_, String>(Outcome::new(503, b"")));
    let retried = retried.expect("answered");
    assert_eq!(retried.attempts, 3);
    assert!(matches!(retried.given_up, Some(GivenUp::Budget(_))), "{:?}", retried.given_up);
    assert_eq!(bucket.left(Duration::ZERO), 0.0);
    assert!(matches!(engine.begin(&request("key")), Ok(Admission::Admitted(_))), "it is free");
}

/// Goal: gRPC charges each failure that could be retried, and so those after which no attempt comes
/// (A6, "Throttling Retry Attempts and Hedged RPCs"). Method: failures that end a record by each
/// limit, left to the engine and in one call; one that cannot be retried.
#[test]
fn last_failures_are_charged() {
    let backoff = BackoffPolicy::constant(Duration::from_secs(10));
    let once = RetryPolicy::new(backoff.clone()).max_attempts(1);
    let late = RetryPolicy::new(backoff).max_attempts(9).deadline(Duration::from_secs(5));
    for policy in [once, late] {
        let (engine, _clock) = build(builder().retry_policy(policy.clone()));
        let bucket = RetryBudget::grpc(10, 0.1).build().expect("valid");
        engine.set_retry_budget(bucket.clone()).expect("set");
        let buried = later(&engine, "a", &error());
        let by_limit = |reason| matches!(reason, Buried::Attempts | Buried::Deadline);
        assert!(matches!(buried, Later::Buried { reason, .. } if by_limit(reason)), "{buried:?}");
        assert_eq!(bucket.left(Duration::ZERO), 9.0, "left to the engine");
        let work = || Ok::<_, String>(Outcome::new(503, b""));
        let retried = engine.run_with_retries(&request("b"), &policy, work).expect("answered");
        let by_limit = matches!(retried.given_up, Some(GivenUp::Attempts | GivenUp::Deadline));
        assert!(by_limit, "{:?}", retried.given_up);
        assert_eq!(bucket.left(Duration::ZERO), 8.0, "in one call");
        let _ = later(&engine, "c", &AttemptError::new("declined").terminal());
        assert_eq!(bucket.left(Duration::ZERO), 8.0, "it could not be retried");
    }
}

/// Goal: what the service says, and what the caller knows, is heard. Method: hints within the
/// limits, a refusal, a terminal error, and a policy of the operation.
#[test]
fn hints_and_terminal_errors_are_heard() {
    let (engine, _clock) = build(builder());
    let hint = error().hint(Hint::retry_after("120", Duration::ZERO));
    let expected = Later::Scheduled { next_attempt: 2, due_in: Duration::from_secs(120) };
    assert_eq!(later(&engine, "hint", &hint), expected);
    for (key, error) in [
        ("refused", error().hint(Some(Hint::grpc_pushback("-1")))),
        ("terminal", AttemptError::new("declined").terminal()),
    ] {
        let later = later(&engine, key, &error);
        let Later::Buried { reason: Buried::FinalError, kept: true, .. } = later else {
            panic!("{later:?}")
        };
    }
    let patient = RetryPolicy::new(BackoffPolicy::constant(Duration::from_secs(77)));
    let settings = OperationSettings::new().policy(patient);
    engine.set_operation("charge", settings).expect("valid");
    let expected = Later::Scheduled { next_attempt: 2, due_in: Duration::from_secs(77) };
    assert_eq!(later(&engine, "own", &error()), expected);
}

/// Goal: an attempt that cannot end in time is not started. Method: attempts that take 20 of the 60
/// seconds that there are.
#[test]
fn attempts_that_cannot_fit_are_not_started() {
    let backoff = BackoffPolicy::constant(Duration::from_secs(1));
    let policy = RetryPolicy::new(backoff).max_attempts(100).deadline(Duration::from_secs(60));
    let (engine, clock) = build(Engine::builder().capacity(1_000).retry_policy(policy));
    let context = RetryContext::new("charge", b"");
    let mut lease = admitted(&engine, &request("key"));
    let mut attempts = 1;
    loop {
        clock.advance(Duration::from_secs(20));
        match lease.retry_later(&error(), &context).expect("room") {
            Later::Scheduled { due_in, .. } => clock.advance(due_in),
            Later::Buried { reason, .. } => {
                assert_eq!(reason, Buried::Deadline);
                break;
            }
        }
        attempts += 1;
        lease = engine.next_attempt(Duration::ZERO).expect("answered").expect("due").into_lease();
    }
    // The time counts from the first failure, when the engine was told of the request; a third
    // attempt would end after 62 seconds, or more.
    assert!((3..=4).contains(&attempts), "{attempts}");
}

/// Goal: retries slow down while this process is behind, within bounds, and come back; each input
/// is told. Method: a load that is too high, for some intervals, and then none.
#[test]
fn load_draws_delays_out() {
    let config = AdaptiveBackoff::builder();
    let backoff = BackoffPolicy::constant(Duration::from_secs(1)).jitter(Jitter::None);
    let policy = RetryPolicy::new(backoff).max_attempts(1_000);
    let builder = Engine::builder().capacity(10_000).retry_policy(policy);
    let (engine, clock) = build(builder.adaptive_backoff(config));
    let mut number = 0;
    let mut delay = |load: f64| {
        engine.set_load(load).expect("within 0 to 1");
        clock.advance(Duration::from_secs(2));
        number += 1;
        match later(&engine, &format!("key-{number}"), &error()) {
            Later::Scheduled { due_in, .. } => due_in,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(delay(0.1), Duration::from_secs(1));
    let drawn_out: Vec<Duration> = (0..20).map(|_| delay(0.99)).collect();
    assert!(drawn_out.is_sorted() && drawn_out[19] > Duration::from_secs(4), "{drawn_out:?}");
    let stats = engine.stats().expect("not forked").retries.adaptive.expect("configured");
    assert!(stats.load.pressed && stats.factor > 4.0, "{stats:?}");
    assert_eq!(stats.load.value, Some(0.99));
    let relaxing: Vec<Duration> = (0..60).map(|_| delay(0.1)).collect();
    assert_eq!(relaxing.last(), Some(&Duration::from_secs(1)), "{relaxing:?}");
    assert!(engine.set_load(f64::NAN).is_err() && engine.set_load(1.5).is_err());
}

/// Goal: a dispatch of an attempt that has been followed by another is stale. Method: a token that
/// crossed a queue, taken up in time, and too late.
#[test]
fn stale_dispatch_is_refused() {
    let (engine, clock) = build(builder());
    let first = token(&engine, &request("key"));
    engine.take_up(&first).expect("current").fail(Failure::retryable()).expect("held");
    let second = token(&engine, &request("key"));
    assert!(engine.take_up(&first).unwrap_err().is_fenced());
    clock.advance(LEASE);
    let third = admitted(&engine, &request("key"));
    assert!(engine.take_up(&second).unwrap_err().is_fenced());
    let taken = engine.take_up(third.token()).expect("current");
    assert_eq!((taken.attempt(), taken.fencing_token()), (3, third.fencing_token()));
    let token = third.into_token();
    taken.complete(&done("")).expect("held");
    assert!(engine.take_up(&token).unwrap_err().is_fenced());
    let ran = engine.run(&request("key"), || Ok::<_, String>(done("again")));
    assert!(matches!(ran, Ok(Ran::Replayed(_))));
}
