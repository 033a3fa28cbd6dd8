//! Failure of others: a pool whose workers poll for due work, each in its own rhythm; a wake-up
//! that goes to a worker who is just leaving, and the work lies there until somebody comes by.

use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::task::Poll;
use std::thread::{Builder, Scope};
use std::time::Duration;

use oncegate::{
    AttemptError, BackoffPolicy, Clock as _, Engine, Later, OperationSettings, PreciseClock,
    RetryContext, RetryPolicy,
};

use crate::support::{Woken, admitted, poll, request, until};
use crate::threads::{asleep, named};

/// Longer than any machine needs, and shorter than a worker waits.
const SOON: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(30);

/// An engine with a real clock.
fn engine() -> Arc<Engine> {
    let builder = Engine::builder().capacity(1_000).precise_clock();
    let builder = builder.lease_duration(Duration::from_secs(3_600));
    Arc::new(builder.build().expect("a valid configuration"))
}

/// Leaves the next attempt of a new record to the engine, to be made in `ms` milliseconds.
fn leave(engine: &Engine, key: &str, ms: u64) {
    let operation = format!("in {ms} ms");
    let backoff = BackoffPolicy::constant(Duration::from_millis(ms));
    let settings = OperationSettings::new().policy(RetryPolicy::new(backoff));
    engine.set_operation(&operation, settings).expect("few");
    let context = RetryContext::new(&operation, key.as_bytes());
    let later = admitted(engine, &request(key)).retry_later(&AttemptError::new("503"), &context);
    assert!(matches!(later, Ok(Later::Scheduled { next_attempt: 2, .. })), "{later:?}");
}

/// A worker that waits for one attempt, is seen to sleep, and then tells what it got.
fn worker<'s>(
    scope: &'s Scope<'s, '_>,
    engine: &Arc<Engine>,
    name: &str,
    timeout: Duration,
) -> Receiver<Option<Vec<u8>>> {
    let (told, tell) = channel();
    let engine = Arc::clone(engine);
    let work = move || {
        let attempt = engine.next_attempt(timeout).expect("not forked");
        let context = attempt.as_ref().map(|attempt| attempt.context().to_vec());
        // It goes on running: nobody is woken by its end.
        attempt.map(|attempt| attempt.into_lease().into_token());
        told.send(context).expect("somebody listens");
    };
    Builder::new().name(name.to_owned()).spawn_scoped(scope, work).expect("a thread");
    until("a worker that sleeps", || asleep(name));
    tell
}

#[track_caller]
fn got(tell: &Receiver<Option<Vec<u8>>>) -> String {
    let context = tell.recv_timeout(SOON).expect("nobody wakes it");
    String::from_utf8(context.expect("an attempt")).expect("a key")
}

/// Goal: a blocked worker gets an attempt when it is due, and not before. Method: real time.
#[test]
fn blocked_worker_gets_it_when_it_is_due() {
    let engine = engine();
    let began = PreciseClock.now();
    leave(&engine, "k", 50);
    let attempt = engine.next_attempt(LONG).expect("not forked").expect("it is due");
    let waited = PreciseClock.now() - began;
    // The table's time is in whole milliseconds, and the first had begun.
    assert!(waited > Duration::from_millis(49) && waited < SOON, "{waited:?}");
    assert_eq!((attempt.context(), attempt.lease().attempt()), (&b"k"[..], 2));
    let none = engine.next_attempt(Duration::from_millis(5)).expect("not forked");
    assert!(none.is_none(), "it is handed out once");
}

/// Goal: whoever schedules something for before a worker looks wakes it. Method: a worker sleeps
/// until something that is due in an hour, and one for ever.
#[test]
fn earlier_attempt_wakes_a_sleeper() {
    for hour in [false, true] {
        let engine = engine();
        if hour {
            leave(&engine, "hour", 3_600_000);
        }
        std::thread::scope(|scope| {
            let tell = worker(scope, &engine, "earlier", LONG);
            leave(&engine, "now", 1);
            assert_eq!(got(&tell), "now");
        });
    }
}

/// Goal: a worker that gives up leaves to another what it would have looked after (it left, and all
/// others slept on, until the next thing was scheduled). Method: the one that waited the longest is
/// told of an attempt that is due after its timeout; another one waits for longer.
#[test]
fn worker_that_gives_up_is_relieved() {
    let engine = engine();
    std::thread::scope(|scope| {
        let first = worker(scope, &engine, "relieved-1", Duration::from_millis(300));
        let second = worker(scope, &engine, "relieved-2", LONG);
        leave(&engine, "k", 600);
        until("a worker that sleeps until then", || asleep("relieved-1"));
        assert_eq!(first.recv_timeout(SOON), Ok(None));
        assert_eq!(got(&second), "k");
    });
}

/// Goal: a worker that takes an attempt leaves the next one to another (as above). Method: two
/// attempts, one after the other; the worker that slept until the first runs it for long.
#[test]
fn worker_that_takes_one_is_relieved() {
    let engine = engine();
    std::thread::scope(|scope| {
        let tells = [1, 2].map(|n| worker(scope, &engine, &format!("taking-{n}"), LONG));
        leave(&engine, "a", 200);
        until("a worker that sleeps until then", || asleep("taking-"));
        leave(&engine, "b", 400);
        let mut keys = tells.map(|tell| got(&tell));
        keys.sort_unstable();
        assert_eq!(keys, ["a", "b"]);
    });
}

/// Goal: an attempt whose worker hangs comes again, to a worker that has slept since before it was
/// taken (nobody told it when to look). Method: one of two workers takes an attempt and never ends
/// it; its lease lapses.
#[test]
fn lapse_is_seen_by_a_sleeper() {
    let builder = Engine::builder().capacity(1_000).precise_clock();
    let engine = builder.lease_duration(Duration::from_millis(200)).build();
    let engine = Arc::new(engine.expect("a valid configuration"));
    std::thread::scope(|scope| {
        let tells = [1, 2].map(|n| worker(scope, &engine, &format!("hangs-{n}"), LONG));
        leave(&engine, "k", 1);
        assert_eq!(tells.map(|tell| got(&tell)), ["k", "k"]);
    });
}

/// Goal: a future gets an attempt when it is due, by whoever looks after what is due: a driver, or
/// a caller of `advance`. Method: it is polled when it was woken, and then only.
#[test]
fn future_is_woken() {
    for driven in [true, false] {
        let engine = engine();
        let driver = driven.then(|| engine.driver().expect("a thread"));
        let woken = Arc::new(Woken::default());
        let mut next = pin!(engine.next_attempt_async());
        assert!(poll(next.as_mut(), &woken).is_pending());
        leave(&engine, "k", 30);
        until("a wake-up", || {
            if !driven {
                let _ = engine.advance(100).expect("not forked");
            }
            woken.times() > 0
        });
        let Poll::Ready(Ok(attempt)) = poll(next.as_mut(), &woken) else { panic!("not due") };
        assert_eq!(attempt.context(), b"k");
        drop(driver);
    }
}

/// Goal: a future that was woken and is dropped takes no attempt with it. Method: of two futures
/// the first is woken, and dropped; and one is dropped that was not woken.
#[test]
fn dropped_future_passes_its_turn_on() {
    let engine = engine();
    let woken: Vec<_> = (0..3).map(|_| Arc::new(Woken::default())).collect();
    let mut futures: Vec<_> = (0..3).map(|_| Some(Box::pin(engine.next_attempt_async()))).collect();
    for (future, woken) in futures.iter_mut().zip(&woken) {
        assert!(poll(future.as_mut().expect("kept").as_mut(), woken).is_pending());
    }
    futures[1] = None;
    // Not due before it is filed, on a slow machine neither: then one would be woken to look.
    leave(&engine, "k", 300);
    until("it is due", || engine.advance(100).expect("not forked").ready == 1);
    let times = || woken.iter().map(|woken| woken.times()).collect::<Vec<_>>();
    assert_eq!(times(), [1, 0, 0], "the one that waited longest");
    futures[0] = None;
    assert_eq!(times(), [1, 0, 1], "the next one that is there");
    let future = futures[2].as_mut().expect("kept").as_mut();
    assert!(matches!(poll(future, &woken[2]), Poll::Ready(Ok(_))));
}

/// Goal: a driver is joined when it is dropped, whatever it does and whoever waits. Method: with
/// nothing to do, with something due in an hour, with a worker and a future that wait.
#[test]
fn driver_ends_when_dropped() {
    let engine = engine();
    drop(engine.driver().expect("a thread"));
    leave(&engine, "hour", 3_600_000);
    let driver = engine.driver().expect("a thread");
    let mut future = pin!(engine.next_attempt_async());
    assert!(poll(future.as_mut(), &Arc::new(Woken::default())).is_pending());
    std::thread::scope(|scope| {
        let tell = worker(scope, &engine, "beside-driver", LONG);
        until("a driver that sleeps", || asleep("oncegate-driver"));
        drop(driver);
        leave(&engine, "now", 1);
        assert_eq!(got(&tell), "now");
    });
    assert_eq!(Arc::strong_count(&engine), 1, "the thread has let go of it");
    until("the threads' end", || named("oncegate-driver") == 0);
}
