//! Failure of others: a retry loop in the caller, beside which a second caller starts the same work
//! while the first one backs off; a loop that goes on when the work was done by somebody else.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use oncegate::{
    Admission, BackoffPolicy, Declined, Engine, GivenUp, ManualClock, Ran, RetryPolicy, RunOptions,
};

use crate::support::{Woken, build, done, poll, replayed, request, until};

const BACKOFF: Duration = Duration::from_secs(10);

fn policy(attempts: u32) -> RetryPolicy {
    RetryPolicy::new(BackoffPolicy::constant(BACKOFF)).max_attempts(attempts)
}

fn engine() -> (Engine, ManualClock) {
    build(Engine::builder().capacity(1_000))
}

/// Goal: a call tries again after its backoff, and no other caller runs the record meanwhile.
/// Method: the work fails twice; another thread moves the clock when the record waits, and asks
/// before and after.
#[test]
fn call_backs_off_and_nobody_comes_between() {
    let (engine, clock) = engine();
    let calls = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let retried = scope.spawn(|| {
            engine.run_with_retries(&request("k"), &policy(5), || {
                // Relaxed: one thread calls it.
                let call = calls.fetch_add(1, Ordering::Relaxed);
                if call < 2 { Err("503") } else { Ok(done("at last")) }
            })
        });
        // Whoever asks before the call does is admitted in its place.
        // Relaxed: the count orders nothing.
        until("the first attempt", || calls.load(Ordering::Relaxed) >= 1);
        for attempt in 2..=3 {
            until("a backoff", || {
                let answer = engine.begin(&request("k")).expect("answered");
                matches!(answer, Admission::Scheduled { next_attempt: n, .. } if n == attempt)
            });
            clock.advance(BACKOFF - Duration::from_millis(1));
            let early = engine.begin(&request("k")).expect("answered");
            assert!(
                matches!(early, Admission::Scheduled { due_in, .. } if due_in.as_millis() == 1)
            );
            clock.advance(Duration::from_millis(1));
            // Here a duplicate may be faster, as with any record that is due: none asks.
            // Relaxed: the count orders nothing.
            until("the attempt", || calls.load(Ordering::Relaxed) >= attempt);
        }
        let retried = retried.join().expect("no panic").expect("answered");
        assert!(matches!(&retried.ran, Ran::Executed(outcome) if *outcome == done("at last")));
        assert_eq!((retried.attempts, retried.given_up), (3, None));
    });
    assert_eq!(replayed(&engine, &request("k")), done("at last"));
}

/// Goal: a call gives up when its attempts are used up, and the record is the next caller's.
/// Method: two attempts; a third is another call's.
#[test]
fn call_gives_up() {
    let (engine, clock) = engine();
    let calls = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let call = || {
            engine.run_with_retries(&request("k"), &policy(2), || {
                // Relaxed: the count orders nothing.
                calls.fetch_add(1, Ordering::Relaxed);
                Err("503")
            })
        };
        let retried = scope.spawn(call);
        // Whoever asks before the call does is admitted in its place.
        // Relaxed: as above.
        until("the first attempt", || calls.load(Ordering::Relaxed) >= 1);
        until("a backoff", || {
            let answer = engine.begin(&request("k")).expect("answered");
            matches!(answer, Admission::Scheduled { next_attempt: 2, .. })
        });
        clock.advance(BACKOFF);
        let retried = retried.join().expect("no panic").expect("answered");
        assert!(matches!(retried.ran, Ran::Failed("503")), "{retried:?}");
        assert_eq!((retried.attempts, retried.given_up), (2, Some(GivenUp::Attempts)));
    });
    let next = engine.run(&request("k"), || Ok::<_, &str>(done("another"))).expect("answered");
    assert!(matches!(next, Ran::Executed(_)));
}

/// Goal: the same as a future: it sleeps by the runtime's own timer, and comes back when that has
/// ended. Method: a timer that is over when the test says so; the clock is moved by as much as was
/// asked for.
#[test]
fn future_backs_off() {
    let (engine, clock) = engine();
    let calls = AtomicU32::new(0);
    let slept = Arc::new(AtomicU32::new(0));
    let (asked, options, retries) = (request("k"), RunOptions::new(), policy(5));
    let sleep = |duration: Duration| {
        assert_eq!(duration, BACKOFF);
        let slept = Arc::clone(&slept);
        let mut began = false;
        // Pending once, as a timer is.
        poll_fn(move |_| {
            if began {
                return Poll::Ready(());
            }
            began = true;
            slept.fetch_add(1, Ordering::Relaxed);
            Poll::Pending
        })
    };
    let work = |token: oncegate::LeaseToken| {
        let call = calls.fetch_add(1, Ordering::Relaxed) + 1;
        assert_eq!(token.attempt(), call);
        async move { if call < 3 { Err("503") } else { Ok(done("at last")) } }
    };
    let mut run = pin!(engine.run_with_retries_async(&asked, &options, &retries, sleep, work));
    let woken = Arc::new(Woken::default());
    for times in 1..=2 {
        assert!(poll(run.as_mut(), &woken).is_pending());
        assert_eq!(slept.load(Ordering::Relaxed), times);
        let between = engine.begin(&request("k")).expect("answered");
        assert!(matches!(between, Admission::Scheduled { .. }), "{between:?}");
        clock.advance(BACKOFF);
    }
    let Poll::Ready(Ok(retried)) = poll(run.as_mut(), &woken) else { panic!("not done") };
    assert!(matches!(retried.ran, Ran::Executed(_)));
    assert_eq!((retried.attempts, retried.given_up), (3, None));
}

/// Goal: a future that is dropped while it backs off leaves the record to the next caller at its
/// time. Method: dropped after its first attempt.
#[test]
fn dropped_future_leaves_the_record() {
    let (engine, clock) = engine();
    let (asked, options, retries) = (request("k"), RunOptions::new(), policy(5));
    {
        let sleep = |_| std::future::pending::<()>();
        let work = |_| async { Err::<oncegate::Outcome, _>("503") };
        let run = engine.run_with_retries_async(&asked, &options, &retries, sleep, work);
        assert!(poll(pin!(run).as_mut(), &Arc::new(Woken::default())).is_pending());
    }
    let early = engine.run(&asked, || Ok::<_, &str>(done("x"))).expect("answered");
    assert!(matches!(early, Ran::Declined(Declined::Scheduled { next_attempt: 2, .. })));
    clock.advance(BACKOFF);
    let ran = engine.run(&asked, || Ok::<_, &str>(done("x"))).expect("answered");
    assert!(matches!(ran, Ran::Executed(_)));
}

/// Goal: a call whose record somebody else has finished meanwhile gets that outcome. Method:
/// another caller runs it when it is due, before the future comes back.
#[test]
fn call_takes_what_another_one_did() {
    let (engine, clock) = engine();
    let (asked, options, retries) = (request("k"), RunOptions::new(), policy(5));
    let sleep =
        |_| {
            let mut began = false;
            poll_fn(move |_| {
                if std::mem::replace(&mut began, true) { Poll::Ready(()) } else { Poll::Pending }
            })
        };
    let work = |_| async { Err::<oncegate::Outcome, _>("503") };
    let mut run = pin!(engine.run_with_retries_async(&asked, &options, &retries, sleep, work));
    let woken = Arc::new(Woken::default());
    assert!(
        Future::poll(run.as_mut(), &mut std::task::Context::from_waker(std::task::Waker::noop()))
            .is_pending()
    );
    clock.advance(BACKOFF);
    let other = engine.run(&asked, || Ok::<_, &str>(done("another's"))).expect("answered");
    assert!(matches!(other, Ran::Executed(_)));
    let Poll::Ready(Ok(retried)) = poll(run.as_mut(), &woken) else { panic!("not done") };
    assert!(matches!(&retried.ran, Ran::Replayed(outcome) if *outcome == done("another's")));
    assert_eq!((retried.attempts, retried.given_up), (1, None));
}
