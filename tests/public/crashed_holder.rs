//! A holder that never comes back.
//!
//! Seen in middleware with one expiry for lock and record: a crash leaves the key in progress
//! for a day, or for ever where no deadline was known.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use oncegate::{
    Admission, AttemptError, BeginOptions, Engine, Failure, Later, OnLapse, Resolution,
    RetryContext, Status,
};

use crate::support::{
    LEASE, WINDOW, Woken, admitted, build, done, engine, poll, replayed, request, token,
};

const MS: Duration = Duration::from_millis(1);

/// Goal: a crashed holder keeps its key for its lease and no longer.
/// Method: leak a lease; ask one millisecond before its end, and at its end.
#[test]
fn key_is_free_after_the_lease() {
    let (engine, clock) = engine();
    let _leaked = token(&engine, &request("k"));
    clock.advance(LEASE - MS);
    let met = engine.begin(&request("k")).expect("an answer");
    assert!(matches!(met, Admission::InProgress { attempt: 1, remaining } if remaining == MS));
    clock.advance(MS);
    let lease = admitted(&engine, &request("k"));
    assert_eq!((lease.status(), lease.attempt()), (Status::Expired, 2));
    assert_eq!(engine.stats().expect("not forked").lapsed, 1);
}

/// Goal: a lease without a duration of its own has a deadline all the same: the engine's.
/// Method: begin with empty options; the remaining time is known at once.
#[test]
fn no_duration_given_is_the_default() {
    let (engine, _clock) = engine();
    let Ok(Admission::Admitted(lease)) = engine.begin_with(&request("k"), &BeginOptions::new())
    else {
        panic!("not admitted")
    };
    assert_eq!(lease.remaining(), LEASE);
    let met = engine.begin(&request("k")).expect("an answer");
    assert!(matches!(met, Admission::InProgress { remaining, .. } if remaining == LEASE));
}

/// Goal: a holder that renews keeps its key; nothing left is not taken for no deadline.
/// Method: renew at the last millisecond; let the time run out; renew after somebody noticed.
#[test]
fn renewal_keeps_the_key() {
    let (engine, clock) = engine();
    let mut lease = admitted(&engine, &request("k"));
    clock.advance(LEASE - MS);
    lease.renew(LEASE).expect("held");
    clock.advance(LEASE);
    assert_eq!(lease.remaining(), Duration::ZERO);
    engine.sweep(usize::MAX).expect("not forked");
    assert!(lease.renew(LEASE).expect_err("noticed").is_fenced());
}

/// Goal: a future tells an event loop when it notices a crashed holder by itself, and then does.
/// Method: ask it before it waits, while it does, and after a renewal; poll it when it said. Then
/// one that waits for what a worker gets: once that is due, only a change of the record ends it.
#[test]
fn future_tells_when_it_looks_again() {
    let (engine, clock) = engine();
    let mut lease = admitted(&engine, &request("k"));
    let woken = Arc::new(Woken::default());
    let mut join = pin!(engine.join(&request("k"), &BeginOptions::new()));
    assert_eq!(join.looks_again_in(), None);
    assert!(poll(join.as_mut(), &woken).is_pending());
    clock.advance(MS);
    assert_eq!(join.looks_again_in(), Some(LEASE - MS));
    lease.renew(LEASE).expect("held");
    let _leaked = lease.into_token();
    clock.advance(LEASE - MS);
    assert_eq!(join.looks_again_in(), Some(Duration::ZERO));
    assert!(poll(join.as_mut(), &woken).is_pending());
    assert_eq!(join.looks_again_in(), Some(MS));
    clock.advance(MS);
    let Poll::Ready(Ok(Admission::Admitted(next))) = poll(join.as_mut(), &woken) else {
        panic!("the lease is over")
    };
    assert_eq!((next.attempt(), woken.times(), join.looks_again_in()), (2, 0, None));
    let context = RetryContext::new("op", b"");
    let Ok(Later::Scheduled { due_in, .. }) = next.retry_later(&AttemptError::new("503"), &context)
    else {
        panic!("there is room")
    };
    let mut late = pin!(engine.join(&request("k"), &BeginOptions::new()));
    assert!(poll(late.as_mut(), &woken).is_pending());
    assert_eq!(late.looks_again_in(), Some(due_in));
    clock.advance(due_in);
    assert!(poll(late.as_mut(), &woken).is_pending());
    assert_eq!(late.looks_again_in(), None);
}

/// Goal: what nobody knows is never run again, however long it lasts, until it is resolved.
/// Method: lapse under `OnLapse::Unknown`, and fail as unknown; ask for days; resolve.
#[test]
fn unknown_is_never_run_again() {
    let (engine, clock) = build(Engine::builder().capacity(1_000).on_lapse(OnLapse::Unknown));
    let lapsed = token(&engine, &request("lapsed"));
    let failed = token(&engine, &request("failed"));
    engine.fail(&failed, Failure::unknown()).expect("held");
    for _ in 0..20 {
        clock.advance(WINDOW);
        engine.sweep(usize::MAX).expect("not forked");
        for key in ["lapsed", "failed"] {
            let met = engine.begin(&request(key)).expect("an answer");
            assert!(matches!(met, Admission::Unresolved), "{met:?}");
        }
    }
    engine.resolve(&request("lapsed"), Resolution::Succeeded(done("it did"))).expect("unknown");
    assert_eq!(replayed(&engine, &request("lapsed")), done("it did"));
    assert!(engine.complete(&lapsed, &done("late")).expect_err("resolved").is_fenced());
    engine.resolve(&request("failed"), Resolution::RunAgain).expect("unknown");
    assert_eq!(admitted(&engine, &request("failed")).attempt(), 2);
    let again = engine.resolve(&request("lapsed"), Resolution::RunAgain).expect_err("resolved");
    assert_eq!(again.code(), oncegate::ErrorCode::NotFound);
}

/// Goal: a lapse that counts as failure is final, and says so.
/// Method: lapse under `OnLapse::Failed`; the duplicate gets status 504 and no bytes.
#[test]
fn lapse_as_failure_is_final() {
    let (engine, clock) = build(Engine::builder().capacity(1_000).on_lapse(OnLapse::Failed));
    let _leaked = token(&engine, &request("k"));
    clock.advance(LEASE);
    let outcome = replayed(&engine, &request("k"));
    assert_eq!((outcome.status(), outcome.body()), (504, &b""[..]));
}
