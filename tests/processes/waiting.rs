//! Waiting for an attempt that another process runs.

use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use oncegate::{Admission, BeginOptions, Engine, OnConflict, Payload, Reach, Request, Scope};

use crate::crew::{Folder, Worker};

const LONG: &str = "lease=3600000";
/// Far less than the lease, and more than any machine needs.
const SOON: Duration = Duration::from_secs(30);

/// Goal: whoever waits gets the outcome from another process, soon after it is stored. Method: two
/// processes wait, a third completes.
#[test]
fn waiters_of_other_processes_get_the_outcome() {
    let folder = Folder::new();
    let mut leader = Worker::of(&folder, LONG);
    leader.admitted("k");
    let mut waiters: Vec<Worker> = (0..2).map(|_| Worker::of(&folder, LONG)).collect();
    waiters.iter_mut().for_each(|waiter| waiter.waits("k"));
    assert_eq!(leader.ask("complete k done"), "stored");
    for waiter in &mut waiters {
        assert!(waiter.is_ready(SOON), "it waits for the lease to end");
        assert_eq!(waiter.answer(), "replayed done");
    }
}

/// Goal: a failed attempt is handed to one of those who wait, whichever process it is in. Method:
/// two processes wait, the leader fails; one gets the attempt, and the other its outcome.
#[test]
fn a_failed_attempt_is_handed_over() {
    let folder = Folder::new();
    let mut leader = Worker::of(&folder, LONG);
    leader.admitted("k");
    let [mut one, mut two] = [Worker::of(&folder, LONG), Worker::of(&folder, LONG)];
    one.waits("k");
    two.waits("k");
    assert_eq!(leader.ask("fail k"), "ok");
    let soon = Duration::from_millis(10);
    let (mut first, mut second) = loop {
        match (one.is_ready(soon), two.is_ready(soon)) {
            (true, true) => panic!("{} and {}", one.answer(), two.answer()),
            (true, false) => break (one, two),
            (false, true) => break (two, one),
            (false, false) => {}
        }
    };
    let answer = first.answer();
    assert!(answer.starts_with("admitted 2 "), "{answer}");
    assert_eq!(first.ask("complete k done"), "stored");
    assert_eq!(second.answer(), "replayed done");
}

/// Goal: waiters notice that the leader was killed, at once and not when its lease ends. Method:
/// SIGKILL while another process waits.
#[test]
fn a_killed_leader_is_noticed_by_who_waits() {
    let folder = Folder::new();
    let (mut leader, mut waiter) = (Worker::of(&folder, LONG), Worker::of(&folder, LONG));
    leader.admitted("k");
    waiter.waits("k");
    leader.kill();
    assert!(waiter.is_ready(SOON), "it waits for the lease to end");
    let answer = waiter.answer();
    assert!(answer.starts_with("admitted 2 "), "{answer}");
}

/// Says that it was woken.
struct Bell(Sender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // Nobody listens any more at the end of the test.
        let _ = self.0.send(());
    }
}

/// Goal: a future is woken by another process: when the attempt has failed, to take it over, and
/// when its holder was killed. It is not woken for nothing. Method: a future of this process; a
/// worker that fails, and one that is killed; between them a worker that renews.
#[test]
fn futures_are_woken_by_other_processes() {
    let folder = Folder::new();
    let hour = Duration::from_secs(3_600);
    let builder = Engine::builder().lease_duration(hour).precise_clock();
    let engine = builder.reach(Reach::Host(folder.table())).build().expect("a table");
    let request = Request::new(Scope::single_tenant(), "POST /charges", "k").expect("valid");
    let request = request.payload(Payload::raw(b"{}"));
    let (woken, wakes) = channel();
    let waker = Waker::from(Arc::new(Bell(woken)));
    let mut context = Context::from_waker(&waker);
    let mut leader = Worker::of(&folder, LONG);
    leader.admitted("k");
    for killed in [false, true] {
        let mut join = pin!(engine.join(&request, &BeginOptions::new()));
        assert!(join.as_mut().poll(&mut context).is_pending());
        assert_eq!(leader.ask("renew k 7200000"), "ok");
        assert!(wakes.try_recv().is_err(), "woken for a lease that lasts longer");
        if killed {
            leader.kill();
        } else {
            assert_eq!(leader.ask("fail k"), "ok");
        }
        wakes.recv_timeout(SOON).expect("it sleeps until the lease ends");
        let answer = join.poll(&mut context);
        let Poll::Ready(Ok(Admission::Admitted(lease))) = answer else { panic!("{answer:?}") };
        lease.abandon().expect("the holder");
        leader = Worker::of(&folder, LONG);
        leader.admitted("k");
    }
}

/// Goal: a future is woken by a failure in another process after the time at which the lease that
/// it found was to end (the listener compared the new due time with that time, and kept silent).
/// Method: a lease that was renewed far past it, one that ran out and that nobody closed, and a
/// retry that is due later; each fails when the first lease would be over.
#[test]
fn futures_are_woken_after_the_lease_they_found() {
    for (renewed, failure) in [(true, "fail k"), (false, "fail k"), (true, "fail k after=100")] {
        let folder = Folder::new();
        let builder = Engine::builder().precise_clock().reach(Reach::Host(folder.table()));
        let engine = builder.build().expect("a table");
        let request = Request::new(Scope::single_tenant(), "POST /charges", "k").expect("valid");
        let request = request.payload(Payload::raw(b"{}"));
        let mut leader = Worker::of(&folder, "lease=400");
        leader.admitted("k");
        let (woken, wakes) = channel();
        let waker = Waker::from(Arc::new(Bell(woken)));
        let mut context = Context::from_waker(&waker);
        let mut join = pin!(engine.join(&request, &BeginOptions::new()));
        assert!(join.as_mut().poll(&mut context).is_pending(), "the machine is too slow");
        if renewed {
            assert_eq!(leader.ask("renew k 3600000"), "ok");
        }
        assert_eq!(leader.ask("pass 450"), "passed");
        assert!(wakes.try_recv().is_err(), "woken for nothing");
        assert_eq!(leader.ask(failure), "ok");
        wakes.recv_timeout(SOON).expect("nobody wakes it");
        let answer = join.poll(&mut context);
        let Poll::Ready(Ok(Admission::Admitted(lease))) = answer else { panic!("{answer:?}") };
        assert_eq!(lease.attempt(), 2, "renewed: {renewed}, {failure}");
    }
}

/// Goal: a killed leader is noticed however many others wait in the same process. Method: one
/// thread waits for him; another one waits for something else, again and again, for a moment each.
#[test]
fn a_killed_leader_is_noticed_among_many_waits() {
    let folder = Folder::new();
    let hour = Duration::from_secs(3_600);
    let builder = Engine::builder().lease_duration(hour).precise_clock();
    let engine = builder.reach(Reach::Host(folder.table())).build().expect("a table");
    let request = |key| {
        let request = Request::new(Scope::single_tenant(), "POST /charges", key).expect("valid");
        request.payload(Payload::raw(b"{}"))
    };
    let mut leader = Worker::of(&folder, LONG);
    leader.admitted("k");
    let Ok(Admission::Admitted(other)) = engine.begin(&request("other")) else { panic!() };
    let (told, tell) = channel();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let moment = OnConflict::Wait(Duration::from_millis(5));
            let options = BeginOptions::new().on_conflict(moment);
            // Relaxed: the flag orders nothing.
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let waited = engine.begin_with(&request("other"), &options);
                assert!(matches!(waited, Ok(Admission::InProgress { .. })));
            }
        });
        scope.spawn(|| {
            let options = BeginOptions::new().on_conflict(OnConflict::Wait(2 * SOON));
            let got = engine.begin_with(&request("k"), &options).expect("an answer");
            let taken = matches!(&got, Admission::Admitted(lease) if lease.attempt() == 2);
            told.send(taken).expect("somebody listens");
        });
        while engine.stats().expect("own").waiters < 2 {
            std::thread::yield_now();
        }
        leader.kill();
        let taken = tell.recv_timeout(SOON);
        // Relaxed: as above.
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(taken, Ok(true), "it waits for the lease to end");
    });
    other.abandon().expect("the holder");
}
