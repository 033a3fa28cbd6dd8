//! The leader fails while others wait.
//!
//! Seen in coalescing layers: every waiter gets the leader's error, or all of them run at once,
//! or they spin.

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::time::Duration;

use oncegate::{Admission, BeginOptions, Engine, ErrorCode, Failure, OnConflict};

use crate::support::{
    LEASE, Woken, admitted, build, done, engine, poll, replayed, request, token, until,
    until_waiting,
};

const WAITERS: u64 = 6;

fn patient() -> BeginOptions {
    BeginOptions::new().on_conflict(OnConflict::Wait(Duration::from_secs(60)))
}

/// Goal: when the leader fails, exactly one waiter becomes the next attempt, and the others get
/// its outcome. Method: blocked threads wait; the leader fails; the one that is admitted
/// completes.
#[test]
fn one_waiter_runs_next() {
    let (engine, _clock) = engine();
    let leader = admitted(&engine, &request("k"));
    let (ran, replays) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..WAITERS {
            scope.spawn(|| match engine.begin_with(&request("k"), &patient()) {
                Ok(Admission::Admitted(lease)) => {
                    assert_eq!(lease.attempt(), 2);
                    ran.fetch_add(1, Ordering::Relaxed);
                    lease.complete(&done("second")).expect("held");
                }
                Ok(Admission::Replayed(outcome)) => {
                    assert_eq!(outcome, done("second"));
                    replays.fetch_add(1, Ordering::Relaxed);
                }
                other => panic!("{other:?}"),
            });
        }
        until_waiting(&engine, WAITERS);
        leader.fail(Failure::retryable()).expect("held");
    });
    assert_eq!((ran.into_inner(), u64::from(replays.into_inner())), (1, WAITERS - 1));
    let stats = engine.stats().expect("not forked");
    assert_eq!((stats.hand_offs, stats.waiters, stats.retried), (1, 0, 1));
}

/// Goal: the same for futures: one is woken when the leader fails, all when it succeeds.
/// Method: poll futures by hand, and count their wake-ups.
#[test]
fn one_future_runs_next() {
    let (engine, _clock) = engine();
    let asked = request("k");
    let leader = admitted(&engine, &asked);
    let options = BeginOptions::new();
    let woken: Vec<_> = (0..3).map(|_| Arc::new(Woken::default())).collect();
    let mut joins: Vec<_> = (0..3).map(|_| Box::pin(engine.join(&asked, &options))).collect();
    for (join, woken) in joins.iter_mut().zip(&woken) {
        assert!(poll(join.as_mut(), woken).is_pending());
    }
    leader.fail(Failure::retryable()).expect("held");
    let times = || woken.iter().map(|woken| woken.times()).collect::<Vec<_>>();
    assert_eq!(times(), [1, 0, 0], "the one that waited longest");
    let Poll::Ready(Ok(Admission::Admitted(second))) = poll(joins[0].as_mut(), &woken[0]) else {
        panic!("not admitted")
    };
    assert!(poll(joins[1].as_mut(), &woken[1]).is_pending());
    second.complete(&done("second")).expect("held");
    assert_eq!(times(), [1, 1, 1]);
    for at in [1, 2] {
        let answer = poll(joins[at].as_mut(), &woken[at]);
        let Poll::Ready(Ok(Admission::Replayed(outcome))) = answer else { panic!("{answer:?}") };
        assert_eq!(outcome, done("second"));
    }
}

/// Goal: a waiter that is cancelled affects neither the leader nor the other waiters, not even
/// when it was the one to run next. Method: drop a waiting future, and one that was woken.
#[test]
fn cancelled_waiter_passes_its_turn_on() {
    let (engine, _clock) = engine();
    let asked = request("k");
    let leader = admitted(&engine, &asked);
    let options = BeginOptions::new();
    let woken: Vec<_> = (0..3).map(|_| Arc::new(Woken::default())).collect();
    let mut joins: Vec<_> = (0..3).map(|_| Some(Box::pin(engine.join(&asked, &options)))).collect();
    for (join, woken) in joins.iter_mut().zip(&woken) {
        assert!(poll(join.as_mut().expect("kept").as_mut(), woken).is_pending());
    }
    joins[0] = None;
    assert_eq!(engine.stats().expect("not forked").waiters, 2);
    leader.fail(Failure::retryable()).expect("untouched by the waiter that left");
    assert_eq!(woken[1].times(), 1);
    joins[1] = None;
    assert_eq!(woken[2].times(), 1, "the turn was passed on");
    let answer = poll(joins[2].as_mut().expect("kept").as_mut(), &woken[2]);
    assert!(matches!(answer, Poll::Ready(Ok(Admission::Admitted(_)))), "{answer:?}");
}

/// Goal: a waiter that gives up gets `InProgress`, and the leader goes on.
/// Method: wait for 20 ms of real time for a leader that does not end.
#[test]
fn timeout_says_in_progress() {
    let engine = Engine::builder().capacity(100).precise_clock().build().expect("valid");
    let leader = admitted(&engine, &request("k"));
    let short = BeginOptions::new().on_conflict(OnConflict::Wait(Duration::from_millis(20)));
    let met = engine.begin_with(&request("k"), &short).expect("an answer");
    assert!(matches!(met, Admission::InProgress { attempt: 1, .. }), "{met:?}");
    assert_eq!(engine.stats().expect("not forked").waiters, 0);
    leader.complete(&done("in time")).expect("held");
    assert_eq!(replayed(&engine, &request("k")), done("in time"));
}

/// Goal: time is the injected clock's for a blocked thread too. Method: one waiter whose limit is
/// before the lapse and one that waits beyond it; the clock jumps twice, and nobody sweeps.
#[test]
fn blocked_threads_follow_the_clock() {
    let (engine, clock) = engine();
    let _leaked = token(&engine, &request("k"));
    let waits = |limit| {
        let options = BeginOptions::new().on_conflict(OnConflict::Wait(limit));
        engine.begin_with(&request("k"), &options).expect("an answer")
    };
    std::thread::scope(|scope| {
        let short = scope.spawn(|| waits(LEASE / 2));
        let long = scope.spawn(|| waits(LEASE * 2));
        until_waiting(&engine, 2);
        clock.advance(LEASE / 2);
        let met = short.join().expect("no panic");
        assert!(matches!(met, Admission::InProgress { attempt: 1, .. }), "{met:?}");
        clock.advance(LEASE / 2);
        let met = long.join().expect("no panic");
        assert!(matches!(&met, Admission::Admitted(lease) if lease.attempt() == 2), "{met:?}");
    });
}

/// Goal: waiters follow a lease that ends sooner than the one they began to wait for. Method: the
/// leader fails, and the future that is woken takes the next attempt for a shorter time: then the
/// other is called to look again, and not where the time is the same.
#[test]
fn waiters_follow_a_shorter_lease() {
    for (lease, called) in [(LEASE, 0), (LEASE / 2, 1)] {
        let (engine, _clock) = engine();
        let leader = admitted(&engine, &request("k"));
        let (asked, options) = (request("k"), BeginOptions::new().lease_duration(lease));
        let mut first = pin!(engine.join(&asked, &options));
        let mut second = pin!(engine.join(&asked, &options));
        let woken = [(); 2].map(|()| Arc::new(Woken::default()));
        assert!(poll(first.as_mut(), &woken[0]).is_pending());
        assert!(poll(second.as_mut(), &woken[1]).is_pending());
        leader.fail(Failure::retryable()).expect("held");
        assert_eq!([woken[0].times(), woken[1].times()], [1, 0]);
        let answer = poll(first, &woken[0]);
        assert!(matches!(&answer, Poll::Ready(Ok(Admission::Admitted(_)))), "{answer:?}");
        assert_eq!(woken[1].times(), called);
        assert!(poll(second, &woken[1]).is_pending());
    }
}

/// Goal: the same where a renewal moves the end of the lease. Method: a longer and a shorter one.
#[test]
fn waiters_follow_a_shorter_renewal() {
    let (engine, _clock) = engine();
    let leader = token(&engine, &request("k"));
    let asked = request("k");
    let woken = Arc::new(Woken::default());
    let mut join = pin!(engine.join(&asked, &BeginOptions::new()));
    assert!(poll(join.as_mut(), &woken).is_pending());
    engine.renew(&leader, LEASE * 2).expect("held");
    assert_eq!(woken.times(), 0);
    engine.renew(&leader, LEASE / 2).expect("held");
    assert_eq!(woken.times(), 1);
}

/// Goal: a future that is polled after the lease notices the lapse, without a sweep. Method: move
/// the clock and poll again.
#[test]
fn polled_future_notices_the_lapse() {
    let (engine, clock) = engine();
    let asked = request("k");
    let _leaked = token(&engine, &asked);
    let woken = Arc::new(Woken::default());
    let mut join = pin!(engine.join(&asked, &BeginOptions::new()));
    assert!(poll(join.as_mut(), &woken).is_pending());
    clock.advance(LEASE - Duration::from_millis(1));
    assert!(poll(join.as_mut(), &woken).is_pending());
    clock.advance(Duration::from_millis(1));
    let answer = poll(join, &woken);
    assert!(matches!(&answer, Poll::Ready(Ok(Admission::Admitted(_)))), "{answer:?}");
    assert_eq!(engine.stats().expect("not forked").waiters, 0);
}

/// Goal: a leader that dies does not keep its waiters: after the lapse one of them takes over.
/// Method: leak the lease, move the clock, sweep; the waiting future is woken and admitted.
#[test]
fn dead_leader_is_replaced() {
    let (engine, clock) = engine();
    let asked = request("k");
    let _leaked = token(&engine, &asked);
    let woken = Arc::new(Woken::default());
    let mut join = pin!(engine.join(&asked, &BeginOptions::new()));
    assert!(poll(join.as_mut(), &woken).is_pending());
    clock.advance(LEASE);
    assert_eq!(engine.sweep(usize::MAX).expect("not forked").lapsed, 1);
    assert_eq!(woken.times(), 1);
    let answer = poll(join, &woken);
    let Poll::Ready(Ok(Admission::Admitted(lease))) = answer else { panic!("{answer:?}") };
    assert_eq!(lease.attempt(), 2);
}

/// Goal: a waiting thread costs no processor time. Method: a thread measures its own processor
/// time over a wait during which this one keeps the processor busy for much longer.
#[test]
#[cfg(target_os = "linux")]
fn waiting_costs_no_processor_time() {
    let (engine, _clock) = engine();
    let leader = admitted(&engine, &request("k"));
    let (used, spent) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let before = thread_time();
            let answer = engine.begin_with(&request("k"), &patient()).expect("an answer");
            assert!(matches!(answer, Admission::Replayed(_)));
            used.send(thread_time() - before).expect("received");
        });
        until_waiting(&engine, 1);
        let start = thread_time();
        until("300 ms of work", || thread_time() - start > Duration::from_millis(300));
        leader.complete(&done("then")).expect("held");
    });
    let used = spent.recv().expect("sent");
    assert!(used < Duration::from_millis(100), "{used:?}");
}

/// Goal: as many wait as may, and the next one is told so at once.
/// Method: an engine that lets nobody wait.
#[test]
fn too_many_waiters_is_an_answer() {
    let (engine, _clock) = build(Engine::builder().capacity(100).max_waiters(0));
    let _leader = admitted(&engine, &request("k"));
    let error = engine.begin_with(&request("k"), &patient()).expect_err("nobody may wait");
    assert_eq!(error.code(), ErrorCode::TooManyWaiters);
    assert!(error.is_retriable());
}

/// The processor time of this thread, to a tick of 10 ms.
#[cfg(target_os = "linux")]
fn thread_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("procfs");
    // The second field is a name in brackets and may hold anything; user and system time are the
    // twelfth and thirteenth after it (proc(5)).
    let (_, after) = stat.rsplit_once(')').expect("a name in brackets");
    let ticks = after.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>());
    Duration::from_millis(10 * ticks.map(|ticks| ticks.expect("a number")).sum::<u64>())
}
