//! Failure of others: a retry loop whose deadline is looked at before it sleeps for its own delay,
//! and not before it sleeps for anybody else's, nor when it wakes late.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use crate::support::*;
use oncegate::{
    Admission, AttemptError, BackoffPolicy, BeginOptions, Engine, Failure, GivenUp, Lease,
    ManualClock, OnConflict, Outcome, Ran, RetryContext, RetryPolicy, RunOptions,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// A second before each retry, and ten in all.
fn policy() -> RetryPolicy {
    RetryPolicy::new(BackoffPolicy::constant(SECOND)).max_attempts(10).deadline(10 * SECOND)
}

fn engine() -> (Engine, ManualClock) {
    build(Engine::builder().capacity(1_000))
}

/// The timers of a runtime: each ends when the test says so.
#[derive(Default)]
struct Timers {
    asked: RefCell<Vec<Duration>>,
    ended: Cell<usize>,
}

impl Timers {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + '_ {
        let number = self.asked.borrow().len();
        self.asked.borrow_mut().push(duration);
        poll_fn(move |_| if self.ended.get() > number { Poll::Ready(()) } else { Poll::Pending })
    }

    /// All that were asked for so far end.
    fn end(&self) {
        self.ended.set(self.asked.borrow().len());
    }
}

fn take(engine: &Engine) -> Lease<'_> {
    admitted(engine, &request("k"))
}

/// Polls once, and expects it to wait.
#[track_caller]
fn waits<F: Future>(run: Pin<&mut F>) {
    assert!(poll(run, &Arc::new(Woken::default())).is_pending());
}

/// Polls once, and gives how many attempts there were, and why there were no more.
#[track_caller]
fn gives_up<F>(run: Pin<&mut F>) -> (u32, Option<GivenUp>)
where
    F: Future<Output = Result<oncegate::Retried<&'static str>, oncegate::Error>>,
{
    match poll(run, &Arc::new(Woken::default())) {
        Poll::Ready(Ok(retried)) => {
            assert!(matches!(retried.ran, Ran::Failed("503")), "{retried:?}");
            (retried.attempts, retried.given_up)
        }
        other => panic!("{other:?}"),
    }
}

const fn late(attempts: u32) -> (u32, Option<GivenUp>) {
    (attempts, Some(GivenUp::Deadline))
}

/// Goal: a call does not sleep for another's delay that ends after its own deadline. Method:
/// another caller takes the record when it is due, and puts it off for an hour: the call goes at
/// once, or, where it waits for what others do, when its own time is over.
///
/// Cause: only the call's own delays were decided by its policy.
#[test]
fn delays_of_others_are_held_to_the_deadline() {
    for conflict in [Some(OnConflict::Conflict), None] {
        let (engine, clock) = engine();
        let begin = BeginOptions::new();
        let begin = conflict.map_or(begin, |conflict| begin.on_conflict(conflict));
        let (asked, options, retries, timers) =
            (request("k"), RunOptions::new().begin(begin), policy(), Timers::default());
        let work = |_| async { Err::<Outcome, _>("503") };
        let sleep = |duration| timers.sleep(duration);
        let mut run = pin!(engine.run_with_retries_async(&asked, &options, &retries, sleep, work));
        waits(run.as_mut());
        clock.advance(SECOND);
        take(&engine).fail(Failure::retryable_after(HOUR)).expect("held");
        timers.end();
        if conflict.is_none() {
            waits(run.as_mut());
            clock.advance(9 * SECOND);
            timers.end();
        }
        assert_eq!(gives_up(run.as_mut()), late(1));
        let slept: Duration = timers.asked.borrow().iter().sum();
        assert!(slept <= 10 * SECOND, "{slept:?}");
    }
}

/// Goal: it waits for another's attempt as long as its deadline lets it, and no longer. Method:
/// another caller runs the record; the timer for what is left ends, and the call with it.
#[test]
fn attempts_of_others_are_waited_for_until_the_deadline() {
    let (engine, clock) = engine();
    let (asked, options, retries, timers) =
        (request("k"), RunOptions::new(), policy(), Timers::default());
    let work = |_| async { Err::<Outcome, _>("503") };
    let sleep = |duration| timers.sleep(duration);
    let mut run = pin!(engine.run_with_retries_async(&asked, &options, &retries, sleep, work));
    waits(run.as_mut());
    clock.advance(SECOND);
    let other = take(&engine);
    timers.end();
    waits(run.as_mut());
    assert_eq!(*timers.asked.borrow(), [SECOND, 9 * SECOND]);
    clock.advance(9 * SECOND);
    timers.end();
    assert_eq!(gives_up(run.as_mut()), late(1));
    other.complete(&done("another's")).expect("it is his");
}

/// Goal: a call that wakes after its deadline starts nothing more, and gives what its last attempt
/// left. Method: a thread that sleeps for a second, and wakes after an hour.
#[test]
fn late_sleeper_starts_nothing() {
    let (engine, clock) = engine();
    let calls = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| {
            engine.run_with_retries(&request("k"), &policy(), || {
                // Relaxed: the count orders nothing.
                calls.fetch_add(1, Ordering::Relaxed);
                Err::<Outcome, _>("503")
            })
        });
        // Whoever asks before the call does is admitted in its place.
        // Relaxed: as above.
        until("the first attempt", || calls.load(Ordering::Relaxed) >= 1);
        until("a backoff", || {
            let answer = engine.begin(&request("k")).expect("answered");
            matches!(answer, Admission::Scheduled { next_attempt: 2, .. })
        });
        clock.advance(HOUR);
        let retried = call.join().expect("no panic").expect("answered");
        assert!(matches!(retried.ran, Ran::Failed("503")), "{retried:?}");
        assert_eq!((retried.attempts, retried.given_up), (1, Some(GivenUp::Deadline)));
    });
    // Relaxed: as above.
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(take(&engine).attempt(), 2, "it is the next caller's");
}

/// Goal: the time counts from the start of the first attempt, not from the call. Method: a call
/// that waits for another's attempt for a while; its own fails at once, and is tried again.
#[test]
fn time_before_the_first_attempt_does_not_count() {
    let (engine, clock) = engine();
    let other = take(&engine);
    let waiting = BeginOptions::new().on_conflict(OnConflict::Wait(HOUR));
    let (asked, options, retries, timers) =
        (request("k"), RunOptions::new().begin(waiting), policy(), Timers::default());
    let work = |_| async { Err::<Outcome, _>("503") };
    let sleep = |duration| timers.sleep(duration);
    let mut run = pin!(engine.run_with_retries_async(&asked, &options, &retries, sleep, work));
    waits(run.as_mut());
    clock.advance(20 * SECOND);
    other.abandon().expect("held");
    waits(run.as_mut());
    assert_eq!(*timers.asked.borrow(), [SECOND], "it backs off");
    clock.advance(8 * SECOND);
    timers.end();
    waits(run.as_mut());
    clock.advance(SECOND);
    timers.end();
    assert_eq!(gives_up(run.as_mut()), late(3), "nine seconds after the first began");
}

/// Goal: a deadline makes no lease longer, and none is too far away. Method: deadlines of a day and
/// of ten years; with a timeout; and one that is nearer than the engine's lease.
///
/// Cause: the lease was as long as what was left of the deadline, and above a year refused.
#[test]
fn deadline_makes_no_lease_longer() {
    let lease_of = |policy: RetryPolicy| {
        let (engine, _clock) = engine();
        let mut lasts = Duration::ZERO;
        let options = RunOptions::new();
        let retried = engine.run_with_retries_with(&request("k"), &options, &policy, |lease| {
            lasts = lease.remaining();
            Ok::<_, ()>(done(""))
        });
        assert!(matches!(retried.expect("within its range").ran, Ran::Executed(_)));
        lasts
    };
    assert_eq!(lease_of(policy().deadline(24 * HOUR)), LEASE);
    assert_eq!(lease_of(policy().deadline(87_600 * HOUR)), LEASE);
    assert_eq!(lease_of(policy().deadline(HOUR).attempt_timeout(2 * LEASE)), 2 * LEASE);
    assert_eq!(lease_of(policy()), 10 * SECOND);
}

/// Goal: a call knows how long attempts of its operation take, where workers run some, too. Method:
/// one of 9 s that a worker ran; a call whose first attempt has taken a second.
#[test]
fn calls_know_what_workers_have_measured() {
    let (engine, clock) = engine();
    let context = RetryContext::new("POST /charges", b"");
    let lease = admitted(&engine, &request("other"));
    let _ = lease.retry_later(&AttemptError::new("503"), &context).expect("room");
    clock.advance(HOUR);
    let worker = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    clock.advance(9 * SECOND);
    worker.into_lease().complete(&done("")).expect("held");
    let (asked, options, retries, timers) =
        (request("k"), RunOptions::new(), policy(), Timers::default());
    let work = |_| {
        clock.advance(SECOND);
        async { Err::<Outcome, _>("503") }
    };
    let sleep = |duration| timers.sleep(duration);
    let run = engine.run_with_retries_async(&asked, &options, &retries, sleep, work);
    assert_eq!(gives_up(pin!(run)), late(1));
}
