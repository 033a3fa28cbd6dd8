//! Failure of others: a library that can only be driven by a thread of its own, and does not fit
//! into an event loop.

use std::os::fd::{AsFd, AsRawFd as _};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use oncegate::{
    AttemptError, BackoffPolicy, Clock as _, DueDescriptor, Engine, OperationSettings,
    PreciseClock, RetryContext, RetryPolicy,
};

use crate::support::{Woken, admitted, poll, request};

/// Longer than any machine needs.
const SOON: Duration = Duration::from_secs(20);

fn engine() -> Arc<Engine> {
    Arc::new(Engine::builder().capacity(100).precise_clock().build().expect("valid"))
}

fn leave(engine: &Engine, key: &str, ms: u64) {
    let operation = format!("in {ms} ms");
    let policy = RetryPolicy::new(BackoffPolicy::constant(Duration::from_millis(ms)));
    engine.set_operation(&operation, OperationSettings::new().policy(policy)).expect("few");
    let context = RetryContext::new(&operation, key.as_bytes());
    let _ = admitted(engine, &request(key))
        .retry_later(&AttemptError::new("503"), &context)
        .expect("room");
}

/// What an event loop does: it waits until the descriptor is readable, for at most `limit`.
fn is_readable(due: &DueDescriptor, limit: Duration) -> bool {
    let fd = due.as_fd().as_raw_fd();
    let mut asked = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure, which lives for the call.
    unsafe { libc::poll(&raw mut asked, 1, limit.as_millis() as libc::c_int) > 0 }
}

/// Goal: an event loop gets an attempt when it is due, without a thread of ours and without turning
/// in between. Method: a future, and a loop that polls it when the descriptor is readable.
#[test]
fn event_loop_gets_what_is_due() {
    let engine = engine();
    let due = engine.due_descriptor().expect("a descriptor");
    let woken = Arc::new(Woken::default());
    let mut next = pin!(engine.next_attempt_async());
    assert!(poll(next.as_mut(), &woken).is_pending());
    let began = PreciseClock.now();
    leave(&engine, "k", 60);
    let mut turns = 0;
    let attempt = loop {
        turns += 1;
        assert!(is_readable(&due, SOON), "nothing is due");
        let _ = due.advance(100).expect("not forked");
        if woken.times() == 0 {
            continue;
        }
        match poll(next.as_mut(), &woken) {
            Poll::Ready(attempt) => break attempt.expect("not forked"),
            Poll::Pending => assert!(PreciseClock.now() - began < SOON, "never"),
        }
    };
    assert_eq!(attempt.context(), b"k");
    // The table's time is in whole milliseconds, and the first had begun.
    assert!(PreciseClock.now() - began > Duration::from_millis(59), "before its time");
    assert!(turns < 20, "{turns} turns of the loop for one attempt");
}

/// Goal: what is scheduled for before the descriptor would become readable makes it so. Method: one
/// attempt in an hour, then one at once; the descriptor was armed for the first. Between them
/// nothing makes it readable but the sweep, once a second.
#[test]
fn descriptor_is_armed_anew() {
    let engine = engine();
    leave(&engine, "hour", 3_600_000);
    let due = engine.due_descriptor().expect("a descriptor");
    let driven = due.advance(100).expect("not forked");
    assert!(driven.ready == 0 && driven.due_in.is_some(), "{driven:?}");
    assert!(!is_readable(&due, Duration::ZERO), "nothing is due");
    leave(&engine, "now", 1);
    let ready = |due: &DueDescriptor| {
        assert!(is_readable(due, SOON), "nothing is due");
        due.advance(100).expect("not forked").ready
    };
    while ready(&due) == 0 {}
    let attempt = engine.next_attempt(Duration::ZERO).expect("not forked").expect("ready");
    assert_eq!(attempt.context(), b"now");
}

/// Goal: what a limited look left over makes the descriptor readable at once. Method: three due,
/// looked at one by one.
#[test]
fn descriptor_stays_readable_while_there_is_more() {
    let engine = engine();
    let due = engine.due_descriptor().expect("a descriptor");
    ["a", "b", "c"].iter().for_each(|key| leave(&engine, key, 1));
    let mut ready = 0;
    while ready < 3 {
        assert!(is_readable(&due, SOON), "{ready} of three");
        ready = due.advance(1).expect("not forked").ready;
    }
}
