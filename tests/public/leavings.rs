//! Failure of others: what was kept for a retry outlives the work. It fills the queue, or a later
//! request of the same name goes on with it.

use std::time::Duration;

use crate::support::*;
use oncegate::{
    AttemptError, BackoffPolicy, Engine, EngineBuilder, Failure, Lease, ManualClock, OnLapse,
    Reach, Resolution, RetryContext, RetryPolicy, Step,
};

fn retrying(engine: &Engine) -> u64 {
    engine.stats().expect("not forked").retries.retrying
}

/// An attempt with a step fails, and a worker gets the next one.
fn second_attempt<'e>(engine: &'e Engine, clock: &ManualClock) -> Lease<'e> {
    let mut lease = admitted(engine, &request("key"));
    let _ = lease.step("charge", || Ok::<_, ()>(b"before".to_vec())).expect("room");
    let context = RetryContext::new("order", b"context");
    let _ = lease.retry_later(&AttemptError::new("503"), &context).expect("room");
    clock.advance(Duration::from_secs(1));
    engine.next_attempt(Duration::ZERO).expect("answered").expect("due").into_lease()
}

fn builder() -> EngineBuilder {
    let backoff = BackoffPolicy::constant(Duration::from_secs(1));
    Engine::builder().capacity(64).retry_policy(RetryPolicy::new(backoff))
}

/// Goal: a new record of a request knows nothing of the one before. Method: the attempt of a worker
/// lapses, which counts as failure, and nobody drives; after its window the same request comes.
///
/// Cause: the journal was sealed for the worker's attempt, as it is when a takeover has not come
/// further; so the new record in the same slot seemed to be that one.
#[test]
fn new_record_does_not_go_on_with_the_one_before() {
    let (engine, clock) = build(builder().on_lapse(OnLapse::Failed));
    let _lost = second_attempt(&engine, &clock).into_token();
    clock.advance(LEASE);
    assert_eq!(replayed(&engine, &request("key")).status(), 504);
    clock.advance(WINDOW);
    let mut lease = admitted(&engine, &request("key"));
    for first in [true, false] {
        let step = lease.step("charge", || Ok::<_, ()>(b"now".to_vec())).expect("room");
        assert_eq!(matches!(step, Step::Ran(_)), first, "{step:?}");
        assert_eq!(step.result(), Ok(b"now".to_vec()));
    }
    lease.complete(&done("")).expect("holds the lease");
    assert_eq!(retrying(&engine), 0);
}

/// Goal: a record that an operator has ended is retried no more. Method: a worker's attempt of
/// which nobody knows the effect, and each verdict.
///
/// Cause: `resolve` told nobody of those who look after the record.
#[test]
fn resolved_record_is_retried_no_more() {
    let verdicts = [Resolution::Failed(done("no")), Resolution::Succeeded(done("yes"))];
    for verdict in verdicts {
        let (engine, clock) = build(builder());
        let lease = second_attempt(&engine, &clock);
        lease.fail(Failure::unknown()).expect("holds the lease");
        assert_eq!(retrying(&engine), 1);
        engine.resolve(&request("key"), verdict).expect("it is unknown");
        assert_eq!(retrying(&engine), 0);
    }
}

/// Goal: what was kept goes, even if the process that ended the record did not see to it. Method:
/// an attempt with a step is ended by its token; its process goes; another one drives.
///
/// Cause: a process that came later found the record ended, and filed nothing to look at.
#[test]
fn next_process_gives_up_what_is_left() {
    let path = std::env::temp_dir().join(format!("oncegate-leavings-{}", std::process::id()));
    let open = || build(Engine::builder().capacity(64).reach(Reach::Host(path.clone())));
    let (engine, _) = open();
    let lease = token(&engine, &request("key"));
    engine.finish_step(&lease, "charge", b"7").expect("room");
    engine.complete(&lease, &done("")).expect("holds the lease");
    drop(engine);
    let (engine, _) = open();
    engine.advance(100).expect("answered");
    let left = retrying(&engine);
    drop(engine);
    std::fs::remove_file(&path).expect("it is there");
    let key = path.with_file_name(format!("oncegate-leavings-{}.key", std::process::id()));
    std::fs::remove_file(key).expect("it is beside it");
    assert_eq!(left, 0);
}

/// Goal: what was kept goes with a record that goes. Method: an attempt with a step lapses, which
/// counts as failure; its window is over before anybody looks again.
///
/// Cause: whoever looked at an entry whose slot was vacant took it for one that changes.
#[test]
fn what_was_kept_goes_with_its_record() {
    let builder = Engine::builder().capacity(64).on_lapse(OnLapse::Failed);
    let (engine, clock) = build(builder);
    let lease = token(&engine, &request("key"));
    engine.finish_step(&lease, "charge", b"7").expect("room");
    engine.advance(100).expect("answered");
    clock.advance(LEASE);
    engine.sweep(usize::MAX).expect("answered");
    clock.advance(WINDOW);
    engine.sweep(usize::MAX).expect("answered");
    engine.advance(100).expect("answered");
    assert_eq!(retrying(&engine), 0);
}
