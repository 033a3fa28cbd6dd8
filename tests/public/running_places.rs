//! Failure of others: the place of a worker that is lost is never given to another, until a
//! bulkhead lets nothing through; or it is given away twice, and too much comes through.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::*;
use oncegate::{
    Admission, AttemptError, BackoffPolicy, BeginOptions, Engine, EngineBuilder, ManualClock,
    OperationSettings, Reach, RetryContext, RetryPolicy,
};

fn builder() -> EngineBuilder {
    let backoff = BackoffPolicy::constant(Duration::from_secs(1));
    Engine::builder().capacity(64).retry_policy(RetryPolicy::new(backoff)).max_in_flight(1)
}

fn fail(engine: &Engine, key: &str) {
    fail_as(engine, key, "charge");
}

fn fail_as(engine: &Engine, key: &str, operation: &str) {
    let context = RetryContext::new(operation, key.as_bytes());
    let lease = admitted(engine, &request(key));
    let _ = lease.retry_later(&AttemptError::new("503"), &context).expect("room");
}

/// A table that two processes share, as far as the table can tell. Its files go with it.
struct Shared(PathBuf);

impl Shared {
    fn new(name: &str) -> Self {
        let file = format!("oncegate-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(file))
    }

    fn two(&self) -> (Engine, Engine, ManualClock) {
        let own = || builder().reach(Reach::Host(self.0.clone()));
        let (one, clock) = build(own());
        let other = own().lease_duration(LEASE).dedup_window(WINDOW).clock(clock.clone());
        (one, other.build().expect("the same options"), clock)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for file in [self.0.clone(), self.0.with_extension("key")] {
            // A test that failed before may have made none.
            let _ = std::fs::remove_file(file);
        }
    }
}

fn in_flight(engine: &Engine) -> u64 {
    engine.stats().expect("not forked").retries.in_flight
}

/// Goal: an attempt that another process has ended counts no more where it was handed out. Method:
/// it lapses in one process, and comes to its end in another.
///
/// Cause: whoever gave the entry up told nobody, and who handed the attempt out looked no more.
#[test]
fn attempt_that_ended_elsewhere_runs_no_more() {
    let shared = Shared::new("places");
    let (one, other, clock) = shared.two();
    fail(&one, "key");
    clock.advance(Duration::from_secs(1));
    let lost = one.next_attempt(Duration::ZERO).expect("answered").expect("due");
    let _lost = lost.into_lease().into_token();
    assert_eq!(in_flight(&one), 1);
    clock.advance(LEASE);
    assert!(other.next_attempt(Duration::ZERO).expect("answered").is_none(), "it backs off");
    clock.advance(Duration::from_secs(1));
    let next = other.next_attempt(Duration::ZERO).expect("answered").expect("due");
    next.into_lease().complete(&done("")).expect("holds the lease");
    one.advance(100).expect("answered");
    assert_eq!([&one, &other].map(in_flight), [0, 0]);
}

/// Goal: a fenced holder does not give its successor's place away (I3). Method: an attempt with a
/// step lapses, and the next one runs; the late holder completes; no second attempt is handed out.
///
/// Cause: the end of an attempt freed the place of whichever attempt of its record ran.
#[test]
fn fenced_holder_frees_no_place() {
    let (engine, clock) = build(builder());
    fail(&engine, "one");
    fail(&engine, "two");
    clock.advance(Duration::from_secs(1));
    let mut late = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    let step = late.lease_mut().step("charge", || Ok::<_, ()>(Vec::new()));
    assert!(step.is_ok(), "{step:?}");
    let key = String::from_utf8(late.context().to_vec()).expect("a key");
    clock.advance(LEASE);
    engine.sweep(usize::MAX).expect("answered");
    clock.advance(Duration::from_secs(1));
    let other = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    if other.context() != key.as_bytes() {
        other.into_lease().complete(&done("")).expect("holds the lease");
        fail(&engine, "three");
        clock.advance(Duration::from_secs(1));
    } else {
        other.into_lease().abandon().expect("holds the lease");
    }
    let next = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    assert_eq!((next.context(), in_flight(&engine)), (key.as_bytes(), 1));
    assert!(late.into_lease().complete(&done("")).unwrap_err().is_fenced());
    assert_eq!(in_flight(&engine), 1, "the next attempt runs");
    assert!(engine.next_attempt(Duration::ZERO).expect("answered").is_none(), "one at a time");
    next.into_lease().complete(&done("")).expect("holds the lease");
    assert_eq!(in_flight(&engine), 0);
}

/// Goal: a bulkhead holds whichever record's place in the table a failed one comes to have. Method:
/// of two places one is taken by an attempt that fills the bulkhead; the other was that of a record
/// of another operation, which was ready for a worker when a caller ran it.
///
/// Cause: what was ready was handed out as what it had been when it was filed.
#[test]
fn bulkhead_holds_in_a_place_of_another_operation() {
    let (engine, clock) = build(builder().max_in_flight(64).max_retrying(2));
    let narrow = OperationSettings::new().max_in_flight(1);
    engine.set_operation("narrow", narrow).expect("valid");
    fail_as(&engine, "first", "narrow");
    clock.advance(Duration::from_secs(1));
    let first = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    fail_as(&engine, "other", "charge");
    clock.advance(Duration::from_secs(1));
    assert_eq!(engine.advance(10).expect("answered").ready, 1);
    let now = BeginOptions::new().run_due();
    match engine.begin_with(&request("other"), &now).expect("answered") {
        Admission::Admitted(lease) => lease.complete(&done("")).expect("holds the lease"),
        answer => panic!("{answer:?}"),
    };
    fail_as(&engine, "second", "narrow");
    clock.advance(Duration::from_secs(1));
    assert!(engine.next_attempt(Duration::ZERO).expect("answered").is_none(), "one at a time");
    first.into_lease().complete(&done("")).expect("holds the lease");
    let second = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    assert_eq!((second.operation(), second.context()), ("narrow", &b"second"[..]));
    second.into_lease().complete(&done("")).expect("holds the lease");
}

/// Goal: an attempt that lapses is retried by the policy of its operation, whichever process comes
/// by. Method: of two processes one knows the policy; the other one begins the request when the
/// lease has ended.
///
/// Cause: whoever noticed the lapse first decided by the policy that it had.
#[test]
fn lapse_is_left_to_who_knows_the_policy() {
    let shared = Shared::new("lapses");
    let (worker, web, clock) = shared.two();
    let slow = RetryPolicy::new(BackoffPolicy::constant(Duration::from_secs(60)));
    worker.set_operation("charge", OperationSettings::new().policy(slow)).expect("valid");
    fail(&worker, "key");
    clock.advance(Duration::from_secs(60));
    let lost = worker.next_attempt(Duration::ZERO).expect("answered").expect("due");
    let _lost = lost.into_lease().into_token();
    clock.advance(LEASE);
    let answer = web.begin(&request("key")).expect("answered");
    assert!(matches!(answer, Admission::Scheduled { next_attempt: 3, .. }), "{answer:?}");
    let next = || worker.next_attempt(Duration::ZERO).expect("answered").is_some();
    assert!(!next(), "it backs off");
    clock.advance(Duration::from_secs(59));
    assert!(!next(), "for a minute");
    clock.advance(Duration::from_secs(1));
    assert!(next(), "and not longer");
}
