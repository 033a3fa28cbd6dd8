//! Attempts that one process leaves to the engine, and that others run.

use std::time::Duration;

use oncegate::{
    Admission, AttemptError, BackoffPolicy, Clock as _, Engine, EngineBuilder, FileAccess, Outcome,
    PreciseClock, Reach, RegionFile, Request, RetryContext, RetryPolicy, Scope,
};

use crate::crew::{Folder, Worker};
use crate::forked::Forked;

/// Far less than the lease, and more than any machine needs.
const SOON: Duration = Duration::from_secs(30);
/// An answer to `next` as long as that.
const NEXT: &str = "next 60000";

/// An attempt that a worker was handed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) number: u32,
    pub(crate) fence: u64,
    pub(crate) key: String,
}

impl Next {
    /// What was answered, if it is an attempt. Its context has to be whole.
    pub(crate) fn parse(answer: &str) -> Option<Self> {
        let mut words = answer.strip_prefix("attempt ")?.split_whitespace();
        let (number, fence) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let _operation = words.next()?;
        let context = words.next().unwrap_or_default();
        let (key, needs) = context.split_once('/').unwrap_or_default();
        assert_eq!(needs, "all-that-it-needs".repeat(3), "{answer}");
        Some(Self { number, fence, key: key.to_owned() })
    }

    #[track_caller]
    pub(crate) fn of(worker: &mut Worker) -> Self {
        assert!(worker.is_ready(SOON), "it waits in vain");
        let answer = worker.answer();
        Self::parse(&answer).unwrap_or_else(|| panic!("no attempt: {answer}"))
    }
}

#[track_caller]
fn scheduled(worker: &mut Worker, key: &str) {
    assert!(worker.ask(&format!("begin {key}")).starts_with("admitted "));
    assert_eq!(worker.ask(&format!("later {key}")), "scheduled 2");
}

/// Goal: what one process has scheduled is run by another at its time, once, whatever becomes of
/// the first: it stays and takes nothing, it exits, it is killed. Method: three processes wait; one
/// gets the record, and each of the others one of two that come later.
#[test]
fn whoever_scheduled_it_others_run_it() {
    // The table's time is in whole milliseconds, and the first had begun.
    const BACKOFF: Duration = Duration::from_millis(199);
    for end in ["stays", "exits", "is killed"] {
        let folder = Folder::new();
        let options = "capacity=64 lease=3600000 retry=200";
        let mut first = Worker::of(&folder, options);
        let mut others: Vec<Worker> = (0..3).map(|_| Worker::of(&folder, options)).collect();
        others.iter_mut().for_each(|other| other.tell(NEXT));
        let began = PreciseClock.now();
        scheduled(&mut first, "a");
        let mut stays = None;
        match end {
            "exits" => assert_eq!(first.ended(), None),
            "is killed" => first.kill(),
            _ => stays = Some(first),
        }
        let soon = Duration::from_millis(5);
        let at = loop {
            if let Some(at) = others.iter_mut().position(|other| other.is_ready(soon)) {
                break at;
            }
            assert!(PreciseClock.now() - began < SOON, "{end}: nobody gets it");
        };
        assert!(PreciseClock.now() - began >= BACKOFF, "{end}: before its time");
        let mut holder = others.swap_remove(at);
        let next = Next::of(&mut holder);
        assert_eq!((next.number, next.key.as_str()), (2, "a"), "{end}");
        let mut late = Worker::of(&folder, options);
        assert_eq!(late.ask("begin a"), "in-progress 2");
        scheduled(&mut late, "b");
        scheduled(&mut late, "c");
        let mut keys: Vec<String> = others.iter_mut().map(|other| Next::of(other).key).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["b", "c"], "{end}: one of them was handed out twice");
        assert_eq!(holder.ask("complete a done"), "stored");
        assert_eq!(late.ask("begin a"), "replayed done");
        drop(stays);
    }
}

/// Goal: a worker that is killed takes its record with it no further than to the next attempt, as
/// soon as its death is known, with the same context; and what became of each attempt is told.
/// Method: leases of an hour; attempt 2 is killed, while another process waits, and while one only
/// looks now and then, and buries the dead.
#[test]
fn killed_worker_is_followed() {
    for waits in [true, false] {
        let folder = Folder::new();
        let options = "capacity=64 lease=3600000 retry=20x3";
        let [mut one, mut two] = [Worker::of(&folder, options), Worker::of(&folder, options)];
        scheduled(&mut one, "k");
        let second = Next::parse(&one.ask(NEXT)).expect("it is due");
        assert_eq!(two.ask("next 0"), "none", "it runs");
        let third = if waits {
            two.tell(NEXT);
            one.kill();
            Next::of(&mut two)
        } else {
            one.kill();
            assert_eq!(two.ask("bury"), "buried 1");
            assert_eq!(two.ask("pass 25"), "passed");
            Next::parse(&two.ask("next 0")).expect("it is due")
        };
        assert_eq!((third.number, third.key.as_str()), (3, "k"));
        assert!(third.fence > second.fence);
        assert_eq!(two.ask("later k"), "buried Attempts true");
        let letters = two.ask("letters");
        assert!(letters.ends_with(",3,Attempts,1Failed+2Lapsed+3Failed"), "{letters}");
    }
}

/// Goal: who clears up after dead processes does not decide about retries, of which he knows no
/// policy: the record goes on by that of the processes that use the table. Method: attempts are
/// killed one after the other, more than an engine's defaults allow, and each time the table is
/// collected before a worker looks.
#[test]
fn collecting_leaves_retries_to_their_policy() {
    let folder = Folder::new();
    let options = "capacity=64 lease=3600000 retry=1x20";
    let mut stays = Worker::of(&folder, options);
    scheduled(&mut stays, "k");
    for number in 2..10 {
        let mut dies = Worker::of(&folder, options);
        let next = Next::parse(&dies.ask(NEXT)).expect("due");
        assert_eq!((next.number, next.key.as_str()), (number, "k"));
        dies.kill();
        let done = RegionFile::collect(folder.table(), FileAccess::owner_only()).expect("a table");
        assert_eq!(done.buried, 1);
    }
    assert_eq!(Next::parse(&stays.ask(NEXT)).expect("due").number, 10);
    assert_eq!(stays.ask("complete k done"), "stored");
    assert_eq!(stays.ask("letters"), "letters");
}

/// Goal: a worker that sleeps until something is due, or for ever, is woken by another process
/// that schedules something for before that. Method: one process waits, again and again; another
/// one schedules, a while later; beside it lies a record that is due in an hour.
#[test]
fn waiting_worker_is_woken_by_another_process() {
    let folder = Folder::new();
    let options = "capacity=64 lease=3600000 retry=10";
    let [mut one, mut two] = [Worker::of(&folder, options), Worker::of(&folder, options)];
    for round in 0..10 {
        if round == 5 {
            assert!(one.ask("begin slow").starts_with("admitted "));
            assert_eq!(one.ask("later slow slow"), "scheduled 2");
        }
        two.tell(NEXT);
        assert_eq!(one.ask("pass 30"), "passed");
        let key = format!("key-{round}");
        scheduled(&mut one, &key);
        assert_eq!(Next::of(&mut two).key, key);
        assert_eq!(two.ask(&format!("complete {key} done")), "stored");
    }
}

/// Goal: an attempt that another process ended counts no more against the limit of the one that
/// handed it out (it did, until its lease would have ended, or for good). Method: a limit of one.
/// The other process ends the attempt by its token, while a worker of the first waits for another
/// record, or before it asks; or takes the record over when the lease has lapsed, and ends it.
#[test]
fn places_become_free_wherever_attempts_end() {
    for (lapses, waits) in [(false, false), (false, true), (true, false)] {
        let folder = Folder::new();
        let lease = if lapses { 200 } else { 3_600_000 };
        let limited = format!("capacity=64 lease={lease} retry=1 in-flight=1");
        let mut one = Worker::of(&folder, &limited);
        let mut two = Worker::of(&folder, "capacity=64 lease=3600000 retry=1");
        scheduled(&mut one, "a");
        let first = Next::parse(&one.ask(NEXT)).expect("due");
        assert_eq!((first.number, first.key.as_str()), (2, "a"));
        let token = one.ask("token a");
        if waits {
            one.tell(NEXT);
            assert!(!one.is_ready(Duration::from_millis(50)), "above the limit");
        }
        if lapses {
            two.tell(NEXT);
            assert_eq!(Next::of(&mut two).number, 3);
        } else {
            assert_eq!(two.ask(&format!("take-token a {token}")), "taken");
        }
        scheduled(&mut two, "b");
        assert_eq!(two.ask("complete a done"), "stored");
        if !waits {
            assert_eq!(one.ask("pass 5"), "passed");
            one.tell("next 0");
        }
        assert_eq!(Next::of(&mut one).key, "b", "lapses: {lapses}");
    }
}

fn inherited() -> EngineBuilder {
    let backoff = BackoffPolicy::constant(Duration::from_millis(1));
    Engine::builder()
        .capacity(64)
        .precise_clock()
        .reach(Reach::HostInherited)
        .lease_duration(Duration::from_secs(3_600))
        .retry_policy(RetryPolicy::new(backoff))
        .max_in_flight(1)
}

fn leave(engine: &Engine, key: &str) {
    let request = Request::new(Scope::single_tenant(), "POST /charges", key).expect("valid");
    let Ok(Admission::Admitted(lease)) = engine.begin(&request) else { panic!("a new key") };
    let context = RetryContext::new("charge", key.as_bytes());
    let later = lease.retry_later(&AttemptError::new("503"), &context);
    assert!(matches!(later, Ok(oncegate::Later::Scheduled { .. })), "{later:?}");
}

/// Goal: a forked child has a scheduler of its own: what its parent runs does not count against its
/// limit, and each hears of what the other one schedules. Method: a limit of one attempt; the
/// parent holds one; the child takes another, and leaves a third to its parent.
#[test]
fn forked_child_has_a_scheduler_of_its_own() {
    let engine = inherited().build().expect("memory");
    leave(&engine, "parents");
    let held = engine.next_attempt(SOON).expect("answered").expect("due");
    leave(&engine, "childs");
    let moment = Duration::from_millis(20);
    assert!(engine.next_attempt(moment).expect("answered").is_none(), "above the limit");
    let child = Forked::new(|| {
        let attempt = engine.next_attempt(SOON).expect("answered").expect("of its own");
        assert_eq!(attempt.context(), b"childs");
        attempt.into_lease().complete(&Outcome::new(200, b"done")).expect("the holder");
        leave(&engine, "left to the parent");
        0
    });
    assert_eq!(child.status(), Some(0));
    assert!(engine.next_attempt(Duration::ZERO).expect("answered").is_none(), "it still runs");
    held.into_lease().complete(&Outcome::new(200, b"done")).expect("the holder");
    let attempt = engine.next_attempt(SOON).expect("answered").expect("the child's");
    assert_eq!(attempt.context(), b"left to the parent");
    attempt.into_lease().complete(&Outcome::new(200, b"done")).expect("the holder");
}
