//! Failure of others: a retry library schedules attempt n+1 without knowing whether attempt n has
//! ended, and forgets it with its process; a queue redelivers what still runs.

use std::time::Duration;

use crate::support::*;
use oncegate::{
    Admission, Attempt, AttemptError, BackoffPolicy, Buried, Engine, Later, LeaseToken,
    ManualClock, Outcome, RetryContext, RetryPolicy,
};

fn engine(clock: &ManualClock) -> Engine {
    let backoff = BackoffPolicy::constant(Duration::from_secs(10));
    Engine::builder()
        .capacity(1_000)
        .clock(clock.clone())
        .retry_policy(RetryPolicy::new(backoff).max_attempts(3))
        .build()
        .expect("small")
}

fn fail_later(engine: &Engine, key: &str, context: &[u8]) -> Later {
    let lease = begin(engine, key);
    let context = RetryContext::new("charge", context);
    lease.retry_later(&AttemptError::new("503"), &context).expect("room")
}

fn begin<'e>(engine: &'e Engine, key: &str) -> oncegate::Lease<'e> {
    match engine.begin(&request(key)).expect("answered") {
        Admission::Admitted(lease) => lease,
        other => panic!("{other:?}"),
    }
}

fn next(engine: &Engine) -> Option<Attempt<'_>> {
    engine.next_attempt(Duration::ZERO).expect("answered")
}

/// Goal: a failed request runs again when it is due, with what it needs, and not before. Method:
/// one failure, looked for before and at its time; duplicates on the way.
#[test]
fn worker_gets_the_next_attempt_when_it_is_due() {
    let clock = ManualClock::new();
    let engine = engine(&clock);
    let later = fail_later(&engine, "key", b"what to do");
    let Later::Scheduled { next_attempt: 2, due_in } = later else { panic!("{later:?}") };
    assert_eq!(due_in, Duration::from_secs(10));
    assert!(next(&engine).is_none());
    clock.advance(Duration::from_millis(9_999));
    assert!(next(&engine).is_none());
    let Admission::Scheduled { next_attempt: 2, due_in } = engine.begin(&request("key")).unwrap()
    else {
        panic!("not scheduled");
    };
    assert_eq!(due_in, Duration::from_millis(1));
    clock.advance(Duration::from_millis(1));
    let attempt = next(&engine).expect("due");
    assert_eq!((attempt.operation(), attempt.context()), ("charge", &b"what to do"[..]));
    assert_eq!(attempt.lease().attempt(), 2);
    assert!(next(&engine).is_none(), "nobody else gets it");
    let running = engine.begin(&request("key")).unwrap();
    assert!(matches!(running, Admission::InProgress { attempt: 2, .. }), "{running:?}");
    attempt.into_lease().complete(&Outcome::new(200, b"done")).expect("holds the lease");
    let replayed = engine.begin(&request("key")).unwrap();
    assert!(matches!(replayed, Admission::Replayed(outcome) if outcome.body() == b"done"));
    clock.advance(Duration::from_secs(3600));
    assert!(next(&engine).is_none());
}

/// Goal: a worker that dies does not take its record with it. Method: the lease of attempt 2
/// lapses; attempt 3 comes after the backoff, with the same context; the late holder is fenced.
#[test]
fn lapsed_attempt_comes_again() {
    let clock = ManualClock::new();
    let engine = engine(&clock);
    let _ = fail_later(&engine, "key", b"context");
    clock.advance(Duration::from_secs(10));
    let late: LeaseToken = next(&engine).expect("due").into_lease().into_token();
    clock.advance(Duration::from_secs(30));
    assert!(next(&engine).is_none(), "it backs off");
    clock.advance(Duration::from_secs(10));
    let attempt = next(&engine).expect("due again");
    assert_eq!((attempt.lease().attempt(), attempt.context()), (3, &b"context"[..]));
    let context = RetryContext::new("charge", b"stale");
    let refused = engine.retry_later(&late, &AttemptError::new("late"), &context).unwrap_err();
    assert!(refused.is_fenced());
    assert!(engine.complete(&late, &Outcome::new(200, b"late")).unwrap_err().is_fenced());
    attempt.into_lease().complete(&Outcome::new(200, b"")).expect("holds the lease");
}

/// Goal: attempts end. Method: every attempt fails; the third is the last, and the record answers
/// duplicates with the outcome of its error.
#[test]
fn used_up_attempts_end_in_failure() {
    let clock = ManualClock::new();
    let engine = engine(&clock);
    let _ = fail_later(&engine, "key", b"");
    for attempt in 2..=3 {
        clock.advance(Duration::from_secs(10));
        let lease = next(&engine).expect("due").into_lease();
        assert_eq!(lease.attempt(), attempt);
        let error = AttemptError::new("503").outcome(Outcome::new(502, b"sorry"));
        let later = lease.retry_later(&error, &RetryContext::new("charge", b"")).expect("room");
        assert_eq!(matches!(later, Later::Buried { kept: true, .. }), attempt == 3, "{later:?}");
    }
    clock.advance(Duration::from_secs(1_000));
    assert!(next(&engine).is_none());
    let failed = engine.begin(&request("key")).unwrap();
    assert!(
        matches!(&failed, Admission::Replayed(outcome) if outcome.status() == 502),
        "{failed:?}"
    );
}

/// Goal: an attempt whose effect nobody knows is a worker's again when it is resolved so, and never
/// before (nobody told the workers of it). Method: attempt 2 is given up as unknown; a look; the
/// resolution; a look.
#[test]
fn resolved_attempt_runs_again() {
    let clock = ManualClock::new();
    let engine = engine(&clock);
    let _ = fail_later(&engine, "key", b"context");
    clock.advance(Duration::from_secs(10));
    let second = next(&engine).expect("due").into_lease();
    second.fail(oncegate::Failure::unknown()).expect("held");
    clock.advance(Duration::from_secs(3600));
    assert!(next(&engine).is_none(), "nobody knows");
    engine.resolve(&request("key"), oncegate::Resolution::RunAgain).expect("unknown");
    let third = next(&engine).expect("resolved");
    assert_eq!((third.lease().attempt(), third.context()), (3, &b"context"[..]));
}

/// Goal: a lease that its holder makes shorter lapses when it says (workers looked when it was to
/// end before). Method: attempt 2 is renewed for less than it had, and lapses; attempt 3 comes
/// after the backoff.
#[test]
fn shorter_lease_lapses_in_time() {
    let clock = ManualClock::new();
    let engine = engine(&clock);
    let _ = fail_later(&engine, "key", b"context");
    clock.advance(Duration::from_secs(10));
    let mut second = next(&engine).expect("due").into_lease();
    assert!(next(&engine).is_none(), "it runs");
    second.renew(Duration::from_secs(5)).expect("held");
    let _lost = second.into_token();
    clock.advance(Duration::from_secs(5));
    assert!(next(&engine).is_none(), "it backs off");
    clock.advance(Duration::from_secs(10));
    assert_eq!(next(&engine).expect("due again").lease().attempt(), 3);
}

/// Goal: attempts that are given back count: whoever gives one back again and again does not keep
/// its record beyond its policy once it fails. Method: attempt 2 of three is given back, which
/// makes the third due at once; its failure is the last.
#[test]
fn attempts_given_back_count() {
    let clock = ManualClock::new();
    let engine = engine(&clock);
    let _ = fail_later(&engine, "key", b"context");
    clock.advance(Duration::from_secs(10));
    next(&engine).expect("due").into_lease().abandon().expect("held");
    let third = next(&engine).expect("at once").into_lease();
    assert_eq!(third.attempt(), 3);
    let context = RetryContext::new("charge", b"context");
    let later = third.retry_later(&AttemptError::new("503"), &context).expect("room");
    assert!(matches!(later, Later::Buried { reason: Buried::Attempts, .. }), "{later:?}");
}
