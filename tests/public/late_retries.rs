//! Failure of others: an attempt is started that nobody waits for any more, since it was due before
//! its deadline and a worker came after it; one slow attempt ends all retries for good.

use std::time::Duration;

use crate::support::*;
use oncegate::{
    AttemptError, BackoffPolicy, BeginOptions, Buried, Engine, Failure, FailureKind, Later,
    LetterFilter, ManualClock, RetryBudget, RetryContext, RetryPolicy,
};

const SECOND: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(60);

/// Ten seconds before each retry, and a minute in all.
fn policy() -> RetryPolicy {
    RetryPolicy::new(BackoffPolicy::constant(10 * SECOND)).max_attempts(100).deadline(DEADLINE)
}

fn engine(policy: RetryPolicy) -> (Engine, ManualClock) {
    build(Engine::builder().capacity(1_000).retry_policy(policy))
}

fn fail(engine: &Engine, key: &str) -> Later {
    let context = RetryContext::new("charge", key.as_bytes());
    let lease = admitted(engine, &request(key));
    lease.retry_later(&AttemptError::new("503"), &context).expect("room")
}

fn next(engine: &Engine) -> Option<oncegate::Lease<'_>> {
    let next = engine.next_attempt(Duration::ZERO).expect("answered");
    next.map(oncegate::Attempt::into_lease)
}

/// A retry that takes longer than its deadline, and is completed.
fn run_for_ninety_seconds(engine: &Engine, clock: &ManualClock) {
    let _ = fail(engine, "slow");
    clock.advance(10 * SECOND);
    let mut slow = next(engine).expect("due");
    slow.renew(2 * DEADLINE).expect("held");
    clock.advance(90 * SECOND);
    slow.complete(&done("")).expect("held");
}

/// Why the one dead letter was given up, and what is noted of its attempts.
fn letter(engine: &Engine) -> (Buried, Vec<String>) {
    let page = engine.dead_letters(&LetterFilter::all(), None, 10).expect("answered");
    assert_eq!(page.letters.len(), 1);
    let letter = &page.letters[0];
    (letter.reason, letter.history.iter().map(|past| past.class.clone()).collect())
}

/// Goal: a record whose attempts cannot be numbered any more is a dead letter, and neither waits
/// for ever nor ends the loop of a worker. Method: its attempts are given back as often as it is
/// handed out, and another record comes after it.
///
/// Cause: the worker who asked got an error, and nobody looked at the record any more.
#[test]
fn attempts_come_to_an_end() {
    let endless = RetryPolicy::new(BackoffPolicy::constant(10 * SECOND)).max_attempts(u32::MAX);
    let (engine, clock) = engine(endless);
    let _ = fail(&engine, "key");
    clock.advance(10 * SECOND);
    let mut last = 0;
    while let Some(lease) = next(&engine) {
        last = lease.attempt();
        lease.abandon().expect("held");
    }
    assert!(last > 65_000, "{last} attempts");
    assert_eq!(letter(&engine).0, Buried::Attempts);
    let _ = fail(&engine, "other");
    clock.advance(10 * SECOND);
    assert!(next(&engine).is_some());
}

/// Goal: what no worker asked for before its deadline is not started after it. Method: a record
/// that is due at 10 s, and a worker at 60 s: at the deadline itself nothing fits.
///
/// Cause: the deadline was looked at when the attempt was scheduled, and no more when it was taken.
#[test]
fn late_worker_starts_nothing_beyond_the_deadline() {
    let (engine, clock) = engine(policy());
    let bucket = RetryBudget::bucket().cost(FailureKind::Transient, 7.0).refund_cost(true);
    let bucket = bucket.build().expect("valid");
    engine.set_retry_budget(bucket.clone()).expect("set");
    let _ = fail(&engine, "other");
    clock.advance(10 * SECOND);
    next(&engine).expect("due").fail(Failure::terminal(done("other"))).expect("held");
    let before = bucket.left(Duration::ZERO);
    assert!(matches!(fail(&engine, "key"), Later::Scheduled { .. }));
    assert_eq!(bucket.left(Duration::ZERO), before - 7.0);
    clock.advance(DEADLINE);
    assert!(next(&engine).is_none());
    let history = ["503", "not started"].map(str::to_owned).to_vec();
    assert_eq!(letter(&engine), (Buried::Deadline, history));
    assert_eq!(replayed(&engine, &request("key")).status(), 500);
    assert_eq!(bucket.left(Duration::ZERO), before, "what did not start is not paid for");
    let retries = engine.stats().expect("not forked").retries;
    assert_eq!((retries.dead_letters, retries.in_flight, retries.ready), (1, 0, 0));
    let page = engine.dead_letters(&LetterFilter::all(), None, 10).expect("answered");
    engine.redrive(page.letters[0].id).expect("a letter");
    next(&engine).expect("its time begins anew").complete(&done("")).expect("held");
    assert_eq!(bucket.left(Duration::ZERO), before, "it is given back once");
}

/// Goal: an attempt that is known to last longer than what is left is not started either, and one
/// that just fits is. Method: 20 s by the policy; workers at 40 s, and a millisecond later.
#[test]
fn late_worker_starts_what_still_fits() {
    for (late_ms, fits) in [(0, true), (1, false)] {
        let (engine, clock) = engine(policy().expected_duration(20 * SECOND));
        let _ = fail(&engine, "key");
        clock.advance(40 * SECOND + Duration::from_millis(late_ms));
        let lease = next(&engine);
        assert_eq!(lease.is_some(), fits, "{late_ms} ms late");
        match lease {
            Some(lease) => assert_eq!(lease.remaining(), 20 * SECOND, "it may not go beyond"),
            None => assert_eq!(letter(&engine).0, Buried::Deadline),
        }
    }
}

/// Goal: whoever runs what is due in his own call starts nothing beyond the deadline either.
/// Method: `begin` with `run_due`, at the deadline.
#[test]
fn late_caller_starts_nothing_beyond_the_deadline() {
    let (engine, clock) = engine(policy());
    let _ = fail(&engine, "key");
    clock.advance(DEADLINE);
    let options = BeginOptions::new().run_due();
    let met = engine.begin_with(&request("key"), &options).expect("answered");
    assert!(
        matches!(&met, oncegate::Admission::Replayed(outcome) if outcome.status() == 500),
        "{met:?}"
    );
    assert_eq!(letter(&engine).0, Buried::Deadline);
}

/// Goal: one attempt that took long does not end all retries of its operation. Method: an attempt
/// of 90 s, beside a deadline of 60 s; requests fail until one is tried again, and its attempt is
/// handed out.
///
/// Cause: what is refused is not run, so that no attempt ever said that they are short again.
#[test]
fn slow_attempt_ends_no_retries_for_good() {
    let (engine, clock) = engine(policy());
    run_for_ninety_seconds(&engine, &clock);
    let first = fail(&engine, "first");
    assert!(matches!(first, Later::Buried { reason: Buried::Deadline, .. }), "{first:?}");
    let tried = (0..3).any(|n| matches!(fail(&engine, &n.to_string()), Later::Scheduled { .. }));
    assert!(tried, "one is tried soon");
    clock.advance(10 * SECOND);
    next(&engine).expect("due, and started").complete(&done("")).expect("held");
}

/// Goal: the same where they are refused when they are due. Method: a first attempt of 30 s; the
/// others have 20 s left when they are asked for, one after the other.
#[test]
fn slow_attempt_ends_no_late_retries_for_good() {
    let (engine, clock) = engine(policy());
    for number in 0..6 {
        let _ = fail(&engine, &number.to_string());
    }
    clock.advance(10 * SECOND);
    let slow = next(&engine).expect("due");
    clock.advance(30 * SECOND - Duration::from_millis(1));
    slow.complete(&done("")).expect("held");
    let started = next(&engine).expect("one is tried");
    started.complete(&done("")).expect("held");
    let page = engine.dead_letters(&LetterFilter::all(), None, 10).expect("answered");
    assert!((1..=3).contains(&page.letters.len()), "{:?}", page.letters);
    assert!(page.letters.iter().all(|letter| letter.reason == Buried::Deadline));
}

/// Goal: no attempt is expected to last longer than it may. Method: the same slow attempt, and a
/// timeout of 20 s.
#[test]
fn expected_duration_is_bounded_by_the_timeout() {
    let (engine, clock) = engine(policy().attempt_timeout(20 * SECOND));
    run_for_ninety_seconds(&engine, &clock);
    let later = fail(&engine, "key");
    assert!(matches!(later, Later::Scheduled { .. }), "{later:?}");
}

/// Goal: a deadline makes no lease longer, and is none too far away. Method: deadlines of a day and
/// of ten years, without a timeout; a worker that dies holds its record for the engine's lease. And
/// with a timeout: that, or what is left.
#[test]
fn deadline_makes_no_lease_longer() {
    let lease_of = |policy: RetryPolicy| {
        let (engine, clock) = engine(policy);
        let _ = fail(&engine, "key");
        clock.advance(10 * SECOND);
        let lease = next(&engine).expect("due");
        lease.remaining()
    };
    let day = 24 * 3_600 * SECOND;
    assert_eq!(lease_of(policy().deadline(day)), LEASE);
    assert_eq!(lease_of(policy().deadline(3_650 * day)), LEASE);
    assert_eq!(lease_of(policy().deadline(day).attempt_timeout(2 * LEASE)), 2 * LEASE);
    assert_eq!(lease_of(policy().deadline(25 * SECOND)), 15 * SECOND);
    assert_eq!(lease_of(policy().deadline(25 * SECOND).attempt_timeout(2 * LEASE)), 15 * SECOND);
}
