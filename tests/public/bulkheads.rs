//! Failure of others: one service hangs, and all workers with it; one tenant's backlog is worked
//! off before another's first task; a slot is lost with each worker that crashes.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use oncegate::{
    Attempt, AttemptError, BackoffPolicy, BeginOptions, Engine, EngineBuilder, ManualClock,
    OnConflict, OnDrop, OperationSettings, Request, RetryContext, RetryPolicy, Scope,
};

use crate::support::{LEASE, Woken, admitted, build, done, poll, replayed, request, until_waiting};

const BACKOFF: Duration = Duration::from_secs(10);

fn builder() -> EngineBuilder {
    let policy = RetryPolicy::new(BackoffPolicy::constant(BACKOFF)).max_attempts(10);
    Engine::builder().capacity(1_000).retry_policy(policy)
}

fn leave(engine: &Engine, asked: &Request<'_>, operation: &str, key: &str) {
    let context = RetryContext::new(operation, key.as_bytes());
    let _ = admitted(engine, asked).retry_later(&AttemptError::new("503"), &context).expect("room");
}

/// Leaves an attempt of each key to the engine, and lets time pass until they are due.
fn due(engine: &Engine, clock: &ManualClock, keys: &[(&str, &str)]) {
    for (operation, key) in keys {
        leave(engine, &request(key), operation, key);
        clock.advance(Duration::from_millis(1));
    }
    clock.advance(BACKOFF);
}

fn next(engine: &Engine) -> Option<Attempt<'_>> {
    engine.next_attempt(Duration::ZERO).expect("not forked")
}

#[track_caller]
fn key(attempt: Option<&Attempt<'_>>) -> String {
    String::from_utf8(attempt.expect("due").context().to_vec()).expect("a key")
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Completed,
    Failed,
    GivenBack,
    RetriedLater,
    Dropped,
    /// Its worker never ends it, and its lease lapses.
    Lapses,
}

/// Goal: an operation at its limit takes no worker from another one, and however an attempt ends,
/// its place is the next one's. Method: a limit of one; two records of the operation and one of
/// another; each way to end.
#[test]
fn operation_keeps_within_its_bulkhead() {
    let ends =
        [End::Completed, End::Failed, End::GivenBack, End::RetriedLater, End::Dropped, End::Lapses];
    for end in ends {
        let (engine, clock) = build(builder().on_drop(OnDrop::Failed));
        let one = OperationSettings::new().max_in_flight(1);
        engine.set_operation("hangs", one).expect("few");
        due(&engine, &clock, &[("hangs", "a"), ("hangs", "b"), ("works", "c")]);
        let first = next(&engine);
        assert_eq!(key(first.as_ref()), "a");
        let other = next(&engine);
        assert_eq!(key(other.as_ref()), "c", "{end:?}: another operation's");
        assert!(next(&engine).is_none(), "{end:?}: two at once");
        let lease = first.expect("just seen").into_lease();
        match end {
            End::Completed => drop(lease.complete(&done("a")).expect("held")),
            End::Failed => lease.fail(oncegate::Failure::terminal(done("a"))).expect("held"),
            End::GivenBack => lease.abandon().expect("held"),
            End::RetriedLater => {
                let context = RetryContext::new("hangs", b"a");
                let _ = lease.retry_later(&AttemptError::new("503"), &context).expect("room");
            }
            End::Dropped => drop(lease),
            End::Lapses => {
                let _lost = lease.into_token();
                clock.advance(LEASE);
            }
        }
        let second = next(&engine);
        assert_eq!(key(second.as_ref()), "b", "{end:?}");
        assert!(next(&engine).is_none(), "{end:?}: two at once");
    }
}

/// Goal: a limit that is taken away, or raised, lets go what it held up. Method: one more may run.
#[test]
fn limits_can_be_changed() {
    let (engine, clock) = build(builder());
    let limit = |most| OperationSettings::new().max_in_flight(most);
    engine.set_operation("op", limit(1)).expect("few");
    due(&engine, &clock, &[("op", "a"), ("op", "b")]);
    let first = next(&engine);
    assert!(first.is_some() && next(&engine).is_none());
    engine.set_operation("op", limit(2)).expect("few");
    assert!(next(&engine).is_some());
}

/// Goal: the engine's own limit holds for all operations together, and a worker that waits gets
/// the place that becomes free. Method: a limit of two; a third attempt waits in a thread, with a
/// real clock.
#[test]
fn engine_keeps_within_its_limit() {
    let backoff = BackoffPolicy::constant(Duration::from_millis(1));
    let engine = Engine::builder().capacity(100).precise_clock().max_in_flight(2);
    let engine = engine.retry_policy(RetryPolicy::new(backoff)).build().expect("valid");
    for (operation, key) in [("a", "1"), ("b", "2"), ("c", "3")] {
        leave(&engine, &request(key), operation, key);
    }
    let minute = Duration::from_secs(60);
    let [one, two] = [0, 1].map(|_| engine.next_attempt(minute).expect("not forked"));
    let (one, two) = (one.expect("due"), two.expect("due"));
    let moment = Duration::from_millis(20);
    assert!(engine.next_attempt(moment).expect("not forked").is_none(), "a third one");
    std::thread::scope(|scope| {
        let third = scope.spawn(|| engine.next_attempt(minute).expect("not forked").is_some());
        one.into_lease().complete(&done("")).expect("held");
        assert!(third.join().expect("no panic"), "nobody told it");
    });
    drop(two);
}

/// Goal: a scope with a backlog delays another one's attempt by one of its own. Method: twelve
/// records of one scope that are due first, and two of another.
#[test]
fn scopes_take_turns() {
    let (engine, clock) = build(builder());
    fn of<'k>(scope: &'k str, key: &'k str) -> Request<'k> {
        Request::new(Scope::new(scope).expect("short"), "op", key).expect("valid")
    }
    for number in 0..12 {
        let key = format!("flood-{number:02}");
        leave(&engine, &of("flood", &key), "op", &key);
        clock.advance(Duration::from_millis(1));
    }
    for key in ["quiet-1", "quiet-2"] {
        leave(&engine, &of("quiet", key), "op", key);
        // Of those that are due in the same millisecond any may come first.
        clock.advance(Duration::from_millis(1));
    }
    clock.advance(BACKOFF);
    let attempts = engine.next_attempts(usize::MAX, Duration::ZERO).expect("not forked");
    let keys: Vec<String> = attempts.iter().map(|attempt| key(Some(attempt))).collect();
    assert_eq!(keys.len(), 14);
    let place = |wanted: &str| keys.iter().position(|key| key == wanted).expect("served");
    assert!(place("quiet-1") <= 1 && place("quiet-2") <= 3, "{keys:?}");
    let flood: Vec<&String> = keys.iter().filter(|key| key.starts_with("flood")).collect();
    assert!(flood.is_sorted(), "a scope is served by due time");
}

/// Goal: a batch is what is due, at most as many as were asked for. Method: five; batches of three.
#[test]
fn batches_are_what_is_due() {
    let (engine, clock) = build(builder());
    let keys = [("op", "a"), ("op", "b"), ("op", "c"), ("op", "d"), ("op", "e")];
    due(&engine, &clock, &keys);
    let mut sizes = Vec::new();
    for _ in 0..3 {
        let batch = engine.next_attempts(3, Duration::ZERO).expect("not forked");
        sizes.push(batch.len());
        for attempt in batch {
            attempt.into_lease().complete(&done("")).expect("held");
        }
    }
    assert_eq!(sizes, [3, 2, 0]);
    assert!(engine.next_attempts(0, Duration::ZERO).expect("not forked").is_empty());
}

/// Goal: the same for whoever does not block: a batch comes as soon as there is something. Method:
/// it is pending while nothing is due, and then has what is due, at most as many as were asked for.
#[test]
fn batches_come_to_futures() {
    let (engine, clock) = build(builder());
    let woken = Arc::new(Woken::default());
    let mut batch = Box::pin(engine.next_attempts_async(3));
    assert!(poll(batch.as_mut(), &woken).is_pending());
    due(&engine, &clock, &[("op", "a"), ("op", "b"), ("op", "c"), ("op", "d")]);
    let mut sizes = Vec::new();
    for _ in 0..2 {
        let Poll::Ready(ready) = poll(batch.as_mut(), &woken) else { panic!("some are due") };
        let attempts = ready.expect("not forked");
        sizes.push(attempts.len());
        for attempt in attempts {
            attempt.into_lease().complete(&done("")).expect("held");
        }
        batch = Box::pin(engine.next_attempts_async(3));
    }
    assert_eq!(sizes, [3, 1]);
    assert!(poll(batch.as_mut(), &woken).is_pending());
    let none = poll(Box::pin(engine.next_attempts_async(0)).as_mut(), &woken);
    assert!(matches!(none, Poll::Ready(Ok(none)) if none.is_empty()));
}

/// Goal: a duplicate may run a record here and now whose time has come, and not before; a worker
/// then does not get it. Method: `run_due`, before and after.
#[test]
fn duplicate_may_run_what_is_due() {
    let (engine, clock) = build(builder());
    leave(&engine, &request("k"), "op", "k");
    let here = BeginOptions::new().run_due();
    let early = engine.begin_with(&request("k"), &here).expect("answered");
    assert!(matches!(early, oncegate::Admission::Scheduled { next_attempt: 2, .. }), "{early:?}");
    clock.advance(BACKOFF);
    let plain = engine.begin(&request("k")).expect("answered");
    assert!(matches!(plain, oncegate::Admission::Scheduled { .. }), "a worker gets it: {plain:?}");
    let now = engine.begin_with(&request("k"), &here).expect("answered");
    let oncegate::Admission::Admitted(lease) = now else { panic!("{now:?}") };
    assert_eq!(lease.attempt(), 2);
    assert!(next(&engine).is_none(), "it runs");
    // It is still retried: its next attempt is a worker's.
    let context = RetryContext::new("op", b"k");
    let _ = lease.retry_later(&AttemptError::new("503"), &context).expect("room");
    clock.advance(BACKOFF);
    assert_eq!(next(&engine).expect("due").into_lease().attempt(), 3);
}

/// Goal: duplicates that wait for a scheduled record get what a worker makes of it. Method: three
/// threads wait; a worker takes the attempt when it is due, and completes it.
#[test]
fn waiting_duplicates_get_the_workers_outcome() {
    let (engine, clock) = build(builder());
    let engine = Arc::new(engine);
    leave(&engine, &request("k"), "op", "k");
    let wait = OnConflict::Wait(Duration::from_secs(600));
    let options = BeginOptions::new().on_conflict(wait);
    std::thread::scope(|scope| {
        let duplicates: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| engine.begin_with(&request("k"), &options).expect("answered")))
            .collect();
        until_waiting(&engine, 3);
        clock.advance(BACKOFF);
        let attempt = next(&engine).expect("due").into_lease();
        attempt.complete(&done("by a worker")).expect("held");
        for duplicate in duplicates {
            let answer = duplicate.join().expect("no panic");
            let oncegate::Admission::Replayed(outcome) = answer else { panic!("{answer:?}") };
            assert_eq!(outcome, done("by a worker"));
        }
    });
    assert_eq!(replayed(&engine, &request("k")), done("by a worker"));
}
