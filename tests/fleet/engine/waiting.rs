//! Duplicates that wait for an attempt of another host, in threads and as futures.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use oncegate::tier::{Fault, TierOptions};
use oncegate::{
    Admission, BeginOptions, Completed, Engine, Error, ErrorCode, Failure, Lease, OnConflict,
    Outcome, Ran, RunOptions,
};

use super::{Hosts, admitted, prepare, request};

/// Wakes the thread that waits for a future.
struct Unpark(Thread, AtomicBool);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        // Relaxed: unparking publishes it.
        self.1.store(true, Ordering::Relaxed);
        self.0.unpark();
    }
}

/// Drives `future` to its end, woken by nobody but whom it waits for.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let unpark = Arc::new(Unpark(std::thread::current(), AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&unpark));
    loop {
        // Relaxed: see `wake`.
        while !unpark.1.swap(false, Ordering::Relaxed) {
            std::thread::park();
        }
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
    }
}

pub(super) fn patient() -> BeginOptions {
    BeginOptions::new().on_conflict(OnConflict::Wait(Duration::from_secs(3600)))
}

/// Whether a future that has just been polled is on its way to wait elsewhere: the tier has been
/// asked by it, and has said that another host runs the request.
fn until_it_waits(engine: &Engine) {
    // A record of the waiting host's own stands for all who wait there.
    while engine.stats().expect("open").live.running == 0 {
        std::thread::yield_now();
    }
}

/// Goal: a thread that waits on one host gets what another host's attempt leaves, soon after it is
/// stored (I4). Method: a waiter, and a completion elsewhere; the clock stands still, so that only
/// the notice can have woken it.
#[test]
fn a_thread_hears_of_the_end_elsewhere() {
    let hosts = Hosts::with(2, |builder| {
        builder.tier_options(TierOptions::new().poll_every(Duration::from_secs(60)))
    });
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let lease = admitted(one, &request("key"));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| match other.begin_with(&request("key"), &patient()) {
            Ok(Admission::Replayed(outcome)) => outcome,
            answer => panic!("{answer:?}"),
        });
        until_it_waits(other);
        lease.complete(&Outcome::new(200, b"done")).expect("held");
        assert_eq!(waiter.join().expect("no panic").body(), b"done");
    });
}

/// Goal: of all who wait on all hosts, exactly one gets the attempt after one that failed (I1).
/// Method: three waiters on two hosts, a failure on the third host, and a count of who runs.
#[test]
fn one_waiter_of_the_fleet_is_handed_the_next_attempt() {
    let hosts = Hosts::new(3);
    let lease = admitted(&hosts.engines[0], &request("key"));
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        for engine in [&hosts.engines[1], &hosts.engines[1], &hosts.engines[2]] {
            let tell = tell.clone();
            scope.spawn(move || {
                let runs = |lease: Lease<'_>| {
                    tell.send(lease.attempt()).expect("heard");
                    lease.complete(&Outcome::new(200, b"second")).expect("held");
                };
                match engine.begin_with(&request("key"), &patient()) {
                    Ok(Admission::Admitted(lease)) => runs(lease),
                    Ok(Admission::Replayed(outcome)) => assert_eq!(outcome.body(), b"second"),
                    answer => panic!("{answer:?}"),
                }
            });
        }
        until_it_waits(&hosts.engines[1]);
        until_it_waits(&hosts.engines[2]);
        lease.fail(Failure::retryable()).expect("held");
    });
    drop(tell);
    assert_eq!(told.iter().collect::<Vec<_>>(), [2], "one, and the second attempt");
}

/// Goal: a waiter whose time is over is told that the work is in progress elsewhere, and leaves
/// nothing behind. Method: a limit that a jump of the clock ends.
#[test]
fn a_waiter_gives_up() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let _lease = admitted(one, &request("key"));
    std::thread::scope(|scope| {
        let limit = OnConflict::Wait(Duration::from_secs(1));
        let options = BeginOptions::new().on_conflict(limit);
        let waiter = scope.spawn(move || {
            let answer = other.begin_with(&request("key"), &options).expect("an answer");
            assert!(matches!(answer, Admission::InProgress { attempt: 1, .. }), "{answer:?}");
        });
        until_it_waits(other);
        hosts.clock.advance(Duration::from_secs(1));
        waiter.join().expect("no panic");
    });
    assert_eq!(other.stats().expect("open").live.total(), 0);
}

/// Goal: a notice that is lost costs time, and nothing else. Method: the notice of a completion is
/// lost; the waiter finds it by its own look when the period has passed.
#[test]
fn a_lost_notice_is_made_up_for() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let lease = admitted(one, &request("key"));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| match other.begin_with(&request("key"), &patient()) {
            Ok(Admission::Replayed(outcome)) => outcome,
            answer => panic!("{answer:?}"),
        });
        until_it_waits(other);
        hosts.memory.fault(Fault::LoseNotices, 1);
        lease.complete(&Outcome::new(200, b"done")).expect("held");
        while !waiter.is_finished() {
            hosts.clock.advance(Duration::from_millis(250));
            std::thread::yield_now();
        }
        assert_eq!(waiter.join().expect("no panic").body(), b"done");
    });
}

/// Goal: futures do the same as threads, and block nobody. Method: a future that joins an attempt
/// of another host; begin, complete and fail as futures.
#[test]
fn futures_do_as_threads_do() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let (wanted, options) = (request("key"), BeginOptions::new());
    let Ok(Admission::Admitted(lease)) = block_on(one.begin_async(&wanted, &options)) else {
        panic!("nobody runs it")
    };
    let elsewhere = block_on(other.begin_async(&wanted, &options));
    assert!(matches!(elsewhere, Ok(Admission::InProgress { attempt: 1, .. })), "{elsewhere:?}");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| match block_on(other.join(&wanted, &options)) {
            Ok(Admission::Replayed(outcome)) => outcome,
            answer => panic!("{answer:?}"),
        });
        until_it_waits(other);
        let completed = block_on(lease.complete_async(&Outcome::new(200, b"done")));
        assert_eq!(completed.expect("held"), Completed::Stored);
        assert_eq!(waiter.join().expect("no panic").body(), b"done");
    });
    let Ok(Admission::Admitted(lease)) = block_on(one.begin_async(&request("b"), &options)) else {
        panic!("nobody runs it")
    };
    block_on(lease.fail_async(Failure::retryable())).expect("held");
    assert_eq!(admitted(other, &request("b")).attempt(), 2);
}

/// Goal: a call as a future runs once in the fleet. Method: the same on both hosts, one after the
/// other, and one with a tier that refuses.
#[test]
fn a_call_as_a_future_runs_once() {
    let hosts = Hosts::new(2);
    let run = |engine: &Engine| {
        let wanted = request("key");
        block_on(engine.run_async(&wanted, &RunOptions::new(), |_| async {
            Ok::<_, String>(Outcome::new(200, b"done"))
        }))
    };
    assert!(matches!(run(&hosts.engines[0]), Ok(Ran::Executed(_))));
    assert!(matches!(run(&hosts.engines[1]), Ok(Ran::Replayed(_))));
    let refused: Result<Ran<String>, Error> =
        {
            prepare(&hosts.engines[1]);
            hosts.memory.fault(Fault::Refuse, 1);
            let wanted = request("other");
            block_on(hosts.engines[1].run_async(&wanted, &RunOptions::new(), |_| async {
                Ok(Outcome::new(200, b"done"))
            }))
        };
    assert_eq!(refused.unwrap_err().code(), ErrorCode::TierUnavailable);
}

/// Goal: a caller who leaves while the tier is asked keeps nothing, wherever the question is by
/// then. Method: futures that are dropped after one poll, and the same request on the other host.
#[test]
fn a_caller_who_leaves_keeps_nothing() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    for round in 0..20 {
        {
            let wanted = request("key");
            let options = BeginOptions::new();
            let mut join = pin!(one.begin_async(&wanted, &options));
            let mut context = Context::from_waker(Waker::noop());
            let _ = join.as_mut().poll(&mut context);
        }
        one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
        admitted(other, &request("key")).abandon().expect("held");
        assert_eq!(one.stats().expect("open").live.running, 0, "round {round}");
    }
}

/// Goal: an end whose caller leaves has ended the attempt all the same, and is told. Method: a
/// completion that is dropped after one poll.
#[test]
fn an_end_whose_caller_leaves_counts() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let lease = admitted(one, &request("key"));
    {
        let outcome = Outcome::new(200, b"done");
        let mut completing = pin!(lease.complete_async(&outcome));
        let mut context = Context::from_waker(Waker::noop());
        let _ = completing.as_mut().poll(&mut context);
    }
    assert!(matches!(one.begin(&request("key")), Ok(Admission::Replayed(_))));
    one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
    assert!(matches!(other.begin(&request("key")), Ok(Admission::Replayed(_))));
}

/// Goal: a store that is away for a moment sends nobody home who waits for another host. Method: a
/// waiter whose host is cut off while it waits, and an end elsewhere meanwhile.
#[test]
fn a_waiter_outlasts_an_outage() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    prepare(other);
    let lease = admitted(one, &request("key"));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| match other.begin_with(&request("key"), &patient()) {
            Ok(Admission::Replayed(outcome)) => outcome,
            answer => panic!("{answer:?}"),
        });
        let stats = || other.tier_stats().expect("open").expect("a tier");
        while stats().waited == 0 {
            std::thread::yield_now();
        }
        hosts.links[1].cut_off(true);
        let before = stats().unanswered;
        while stats().unanswered == before {
            hosts.clock.advance(Duration::from_millis(250));
            std::thread::yield_now();
        }
        lease.complete(&Outcome::new(200, b"done")).expect("held");
        hosts.links[1].cut_off(false);
        while !waiter.is_finished() {
            hosts.clock.advance(Duration::from_millis(250));
            std::thread::yield_now();
        }
        assert_eq!(waiter.join().expect("no panic").body(), b"done");
    });
}

/// Goal: whoever waits looks at once when his host may have missed notices. Method: a store that
/// fails over to a replica that has all, and whose notice is lost; the clock stands still.
#[test]
fn missed_notices_are_made_up_for_at_once() {
    let options = TierOptions::new().quarantine(Duration::ZERO);
    let hosts = Hosts::with(2, |builder| builder.tier_options(options.clone()));
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    prepare(other);
    let lease = admitted(one, &request("key"));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| other.begin_with(&request("key"), &patient()).map(known));
        let waits = || other.tier_stats().expect("open").expect("a tier").waited == 1;
        while !waits() {
            std::thread::yield_now();
        }
        hosts.memory.fault(Fault::LoseNotices, 1);
        lease.complete(&Outcome::new(200, b"done")).expect("held");
        hosts.memory.fail_over(&hosts.memory.snapshot());
        assert_eq!(waiter.join().expect("no panic").expect("an answer"), Some(b"done".to_vec()));
    });
}

/// The outcome that an answer replays.
fn known(answer: Admission<'_>) -> Option<Vec<u8>> {
    match answer {
        Admission::Replayed(outcome) => Some(outcome.body().to_vec()),
        _ => None,
    }
}

/// Goal: a future that has moved on to another task wakes that one. Method: a future that waits for
/// another host, polled with a waker of nobody first; the clock stands still.
#[test]
fn the_last_task_that_polled_is_woken() {
    let hosts = Hosts::with(2, |builder| {
        builder.tier_options(TierOptions::new().poll_every(Duration::from_secs(60)))
    });
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    hosts.engines.iter().for_each(prepare);
    let lease = admitted(one, &request("key"));
    let (wanted, options) = (request("key"), BeginOptions::new());
    std::thread::scope(|scope| {
        let mut join = Box::pin(other.join(&wanted, &options));
        let waits = || other.tier_stats().expect("open").expect("a tier").waited == 1;
        while !waits() {
            let mut nobody = Context::from_waker(Waker::noop());
            assert!(join.as_mut().poll(&mut nobody).is_pending());
            std::thread::yield_now();
        }
        // Nobody has asked for notices of this record yet, or has: it is polled once more.
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(join.as_mut().poll(&mut nobody).is_pending());
        let (tell, told) = mpsc::channel();
        let waiter = scope.spawn(move || {
            block_on(async {
                let mut polled = false;
                std::future::poll_fn(|context| {
                    let answer = join.as_mut().poll(context);
                    if !std::mem::replace(&mut polled, true) {
                        tell.send(()).expect("heard");
                    }
                    answer
                })
                .await
                .map(known)
            })
        });
        told.recv().expect("it was polled");
        lease.complete(&Outcome::new(200, b"done")).expect("held");
        assert_eq!(waiter.join().expect("no panic").expect("an answer"), Some(b"done".to_vec()));
    });
}
