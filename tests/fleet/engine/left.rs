//! Ends whose callers leave, and what becomes of the answer. Until an answer that had come was
//! looked at, one that left after a refusal kept its outcome here.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use oncegate::{Admission, Engine, Outcome, TierStats};
use oncegate_rig::until;

use super::told_twice::{Told, counted};
use super::{Hosts, LEASE, admitted, prepare, request};

fn stats(engine: &Engine) -> TierStats {
    engine.tier_stats().expect("open").expect("a tier")
}

/// Goal: an end that the tier has refused, since another host has run the request, is not kept here
/// because its caller left without a look at the answer: all hosts give one outcome (I4). Method: a
/// completion after its lease, which is polled once, before the tier answers, and dropped after it.
#[test]
fn who_leaves_after_a_refusal_keeps_nothing() {
    let hosts = Hosts::new(1);
    let (counted, one) = counted(&hosts);
    let [other] = &hosts.engines[..] else { unreachable!() };
    [&one, other].into_iter().for_each(prepare);
    let late = admitted(&one, &request("key"));
    hosts.clock.advance(LEASE);
    admitted(other, &request("key")).complete(&Outcome::new(201, b"there")).expect("held");
    let told = Arc::new(Told(AtomicBool::new(false)));
    let outcome = Outcome::new(200, b"late");
    {
        let mut completing = pin!(late.complete_async(&outcome));
        let waker = Waker::from(Arc::clone(&told));
        let shut = counted.gate.lock().unwrap();
        assert!(completing.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(shut);
        // The thread of the engine runs in real time. Relaxed: as in `wake`.
        let woken = || told.0.load(Ordering::Relaxed).then_some(());
        until("the answer", woken).expect("in time");
    }
    one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
    let answer = one.begin(&request("key"));
    assert!(matches!(&answer, Ok(Admission::Replayed(left)) if left.status() == 201), "{answer:?}");
    assert_eq!(stats(&one).conflicts, 0);
}

/// Goal: an end whose caller leaves before the answer, which is a refusal then, is told once more.
/// Method: a completion that is polled once, while nothing is answered, and dropped.
#[test]
fn who_leaves_before_a_refusal_is_told_again() {
    let hosts = Hosts::new(1);
    let (counted, one) = counted(&hosts);
    let [other] = &hosts.engines[..] else { unreachable!() };
    [&one, other].into_iter().for_each(prepare);
    counted.claimed.lock().unwrap().clear();
    let lease = admitted(&one, &request("key"));
    counted.away.lock().unwrap().append(&mut counted.claimed.lock().unwrap());
    let outcome = Outcome::new(200, b"done");
    {
        let _shut = counted.gate.lock().unwrap();
        let mut completing = Box::pin(lease.complete_async(&outcome));
        let polled = completing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        drop(completing);
    }
    // In real time, as above.
    until("the refusal", || (stats(&one).unanswered > 0).then_some(())).expect("in time");
    counted.away.lock().unwrap().clear();
    one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
    assert!(matches!(other.begin(&request("key")), Ok(Admission::Replayed(_))));
}
