//! A leader that panics, is cancelled, or forgets its lease.
//!
//! Seen where only ordinary errors release the claim: a cancelled task or a panic leaves the key
//! in progress until its record expires.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use oncegate::{
    Admission, AttemptError, BackoffPolicy, BeginOptions, Buried, Engine, EngineBuilder,
    LetterFilter, ManualClock, OnDrop, Outcome, Ran, RetryBudget, RetryContext, RetryPolicy,
    RunOptions,
};

use crate::support::{Woken, admitted, build, done, engine, poll, replayed, request};

/// Goal: a panic in the work resolves the record, by policy, and goes on to the caller.
/// Method: panic inside `run` under each policy, then ask again.
#[test]
fn panic_resolves_the_record() {
    for policy in [OnDrop::Retry, OnDrop::Unknown, OnDrop::Failed, OnDrop::KeepLease] {
        let (engine, _clock) = build(Engine::builder().capacity(1_000).on_drop(policy));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            engine.run(&request("k"), || -> Result<Outcome, String> { panic!("handler") })
        }));
        assert!(panicked.is_err());
        let met = engine.begin(&request("k")).expect("an answer");
        let right = match (policy, &met) {
            (OnDrop::Retry, Admission::Admitted(lease)) => lease.attempt() == 2,
            (OnDrop::Unknown, Admission::Unresolved) => true,
            (OnDrop::Failed, Admission::Replayed(outcome)) => {
                outcome.status() == 500 && outcome.body().is_empty()
            }
            (OnDrop::KeepLease, Admission::InProgress { attempt: 1, .. }) => true,
            _ => false,
        };
        assert!(right, "{policy:?}: {met:?}");
    }
}

/// Goal: a cancelled task lets the next attempt start. Method: drop the future of `run_async`
/// while its work is pending.
#[test]
fn cancelled_task_frees_the_key() {
    let (engine, _clock) = engine();
    let asked = request("k");
    let options = RunOptions::new();
    {
        let work = |_| std::future::pending::<Result<Outcome, String>>();
        let mut run = pin!(engine.run_async(&asked, &options, work));
        assert!(poll(run.as_mut(), &Arc::new(Woken::default())).is_pending());
        let met = engine.begin(&asked).expect("an answer");
        assert!(matches!(met, Admission::InProgress { attempt: 1, .. }), "{met:?}");
    }
    assert_eq!(admitted(&engine, &asked).attempt(), 2);
}

/// Goal: an error that the work returns lets the next attempt start; a success is stored.
/// Method: `run` with an error, then with an outcome, then once more.
#[test]
fn error_is_retried_and_success_is_kept() {
    let (engine, _clock) = engine();
    let failed = engine.run(&request("k"), || Err("no route")).expect("an answer");
    assert!(matches!(failed, Ran::Failed("no route")));
    let ran = engine.run(&request("k"), || Ok::<_, ()>(done("once"))).expect("an answer");
    assert!(matches!(ran, Ran::Executed(_)));
    let again = engine.run(&request("k"), || -> Result<Outcome, ()> { panic!("a second run") });
    assert!(matches!(again.expect("an answer"), Ran::Replayed(outcome) if outcome == done("once")));
}

/// Goal: a lease that was ended, or turned into a token, is not ended again when its guard goes.
/// Method: complete, and `into_token`; then count what was fenced.
#[test]
fn ended_guard_does_nothing() {
    let (engine, _clock) = engine();
    admitted(&engine, &request("a")).complete(&done("a")).expect("held");
    let _token = admitted(&engine, &request("b")).into_token();
    assert_eq!(replayed(&engine, &request("a")), done("a"));
    assert_eq!(
        (
            engine.stats().expect("not forked").fenced,
            engine.stats().expect("not forked").live.running
        ),
        (0, 1)
    );
}

const BACKOFF: Duration = Duration::from_secs(10);

fn retrying() -> EngineBuilder {
    let policy = RetryPolicy::new(BackoffPolicy::constant(BACKOFF)).max_attempts(3);
    Engine::builder().capacity(1_000).retry_policy(policy)
}

/// Leaves the second attempt of `key` to the engine.
fn fail_later(engine: &Engine, key: &str) {
    let lease = admitted(engine, &request(key));
    let context = RetryContext::new("charge", b"poison");
    let _ = lease.retry_later(&AttemptError::new("503"), &context).expect("room");
}

/// Takes the attempt that is due, and panics in its handler.
fn panic_in_the_next(engine: &Engine) -> u32 {
    let attempt = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    let number = attempt.lease().attempt();
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let _held = attempt;
        panic!("poison")
    }));
    assert!(panicked.is_err());
    number
}

fn reason_of_the_letter(engine: &Engine) -> Option<Buried> {
    let page = engine.dead_letters(&LetterFilter::all(), None, 10).expect("answered");
    page.letters.first().map(|letter| letter.reason)
}

fn is_due(engine: &Engine) -> bool {
    engine.next_attempt(Duration::ZERO).expect("answered").is_some()
}

/// Goal: a payload on which every worker panics backs off, and comes to an end. Method: the handler
/// of each attempt panics; looks before its backoff is over, and when the attempts are used up.
///
/// Cause: a dropped lease made its record due at once, whatever its policy said, and for ever.
#[test]
fn retried_record_goes_on_by_its_policy() {
    let (engine, clock) = build(retrying());
    fail_later(&engine, "k");
    for number in 2..=3 {
        clock.advance(BACKOFF - Duration::from_millis(1));
        assert!(!is_due(&engine), "attempt {number} backs off");
        clock.advance(Duration::from_millis(1));
        assert_eq!(panic_in_the_next(&engine), number);
    }
    assert_eq!(reason_of_the_letter(&engine), Some(Buried::Attempts));
    clock.advance(Duration::from_secs(3_600));
    assert!(!is_due(&engine));
    assert_eq!(replayed(&engine, &request("k")).status(), 500);
    assert_eq!(engine.stats().expect("not forked").retries.in_flight, 0);
}

/// Goal: a dropped attempt pays for the next one as one that failed. Method: a budget of two
/// retries: that after the failure, and that after the first panic.
#[test]
fn retries_after_drops_are_paid_for() {
    let (engine, clock) = build(retrying());
    let bucket = RetryBudget::bucket().capacity(10.0).build().expect("valid");
    engine.set_retry_budget(bucket.clone()).expect("set");
    fail_later(&engine, "k");
    clock.advance(BACKOFF);
    assert_eq!(panic_in_the_next(&engine), 2);
    assert_eq!(bucket.left(Duration::ZERO), 0.0);
    clock.advance(BACKOFF);
    assert_eq!(panic_in_the_next(&engine), 3);
    assert_eq!(reason_of_the_letter(&engine), Some(Buried::Attempts), "before its budget is asked");
}

/// Goal: the other answers of `OnDrop` stay what they are for records that are retried, and so does
/// what is given back. Method: attempt 2 ends by each; a look right after it.
#[test]
fn drop_policies_hold_for_retried_records() {
    for policy in [OnDrop::Unknown, OnDrop::Failed, OnDrop::KeepLease] {
        let (engine, clock) = build(retrying().on_drop(policy));
        fail_later(&engine, "k");
        clock.advance(BACKOFF);
        assert_eq!(panic_in_the_next(&engine), 2);
        let met = engine.begin(&request("k")).expect("an answer");
        let right = match (policy, &met) {
            (OnDrop::Unknown, Admission::Unresolved) => true,
            (OnDrop::Failed, Admission::Replayed(outcome)) => outcome.status() == 500,
            (OnDrop::KeepLease, Admission::InProgress { attempt: 2, .. }) => true,
            _ => false,
        };
        assert!(right, "{policy:?}: {met:?}");
    }
    let (engine, clock) = build(retrying());
    fail_later(&engine, "k");
    clock.advance(BACKOFF);
    let attempt = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    attempt.into_lease().abandon().expect("held");
    assert!(is_due(&engine), "it did nothing");
}

/// Goal: a call that runs a retried record in its own time leaves it to its policy, too. Method: a
/// panic in `run`, and a future of `run_async` that is dropped, of a record that is due.
#[test]
fn calls_that_run_what_is_due_leave_it_to_its_policy() {
    let (engine, clock) = build(retrying());
    let options = RunOptions::new().begin(BeginOptions::new().run_due());
    let backs_off = |clock: &ManualClock| {
        assert!(!is_due(&engine), "it backs off");
        clock.advance(BACKOFF);
    };
    fail_later(&engine, "k");
    clock.advance(BACKOFF);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        engine.run_with(&request("k"), &options, |lease| -> Result<Outcome, String> {
            panic!("attempt {}", lease.attempt())
        })
    }));
    assert!(panicked.is_err());
    backs_off(&clock);
    let asked = request("k");
    {
        let work = |_| std::future::pending::<Result<Outcome, String>>();
        let mut run = pin!(engine.run_async(&asked, &options, work));
        assert!(poll(run.as_mut(), &Arc::new(Woken::default())).is_pending());
    }
    assert_eq!(reason_of_the_letter(&engine), Some(Buried::Attempts));
}
