//! Waits that are given up, and leases that nobody took: none is lost on the way.

use std::sync::atomic::{AtomicUsize, Ordering};

use oncegate_ffi::*;

use crate::set::{Set, set_of_manual};
use crate::support::{Refused, Room, first_wrong, in_child, is_readable, refused, request};

/// Goal: a wait that is cancelled is told nothing, affects nobody, and keeps no attempt. Method:
/// one that waits, one that was admitted and not taken, one that was handed over and not taken.
#[test]
fn cancelling_gives_back() {
    let (engine, set) = set_of_manual();
    let leader = engine.admitted("k");
    let waits = set.submit("k", 1);
    set.cancel(waits).expect("it waits");
    refused(set.cancel(waits), ONCEGATE_NOT_FOUND, "id");
    let others = [set.submit("k", 2), set.submit("k", 3)];
    engine.fail(&leader.lease, 0).expect("the leader knows nothing of it");
    set.cancel(others[0]).expect("the first was woken, and has not looked");
    let next = set.take_one(0);
    assert_eq!((next.id, next.admission.attempt), (others[1], 2), "the wake-up went on");
    let admitted = set.submit("new", 4);
    set.cancel(admitted).expect("it was not taken");
    assert_eq!(engine.admitted("new").attempt, 2, "it was given back");
    assert!(set.is_empty());
    refused(set.cancel(u64::MAX), ONCEGATE_NOT_FOUND, "id");
}

/// Goal: of a cancellation and a call that takes the answer at once, one has it: no lease is lost
/// and none is given twice. Method: two threads race for answers of new requests, several hundred
/// times; whoever has it, the record can be begun when he has given it back.
#[test]
fn cancel_races_take() {
    const ROUNDS: usize = 500;
    let (engine, set) = set_of_manual();
    let (taken, cancelled) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for round in 0..ROUNDS {
        let key = format!("key-{round}");
        let id = set.submit(&key, 0);
        let start = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                if set.cancel(id).is_ok() {
                    cancelled.fetch_add(1, Ordering::Relaxed);
                }
            });
            start.wait();
            let answers = set.take_into(0, 1, &mut Room::new(0)).expect("open");
            for answer in answers {
                assert_eq!((answer.id, answer.admission.verdict), (id, ONCEGATE_ADMITTED));
                taken.fetch_add(1, Ordering::Relaxed);
                engine.fail(&answer.admission.lease, 0).expect("held");
            }
        });
        let next = engine.admitted(&key);
        assert_eq!(next.attempt, 2, "it was given back");
        engine.complete(&next.lease, b"").expect("held");
        assert!(set.is_empty());
    }
    let (taken, cancelled) = (taken.into_inner(), cancelled.into_inner());
    assert_eq!(taken + cancelled, ROUNDS, "{taken} taken, {cancelled} cancelled");
}

/// Goal: a set that is closed keeps nothing: its attempts can be begun at once, and who waited in
/// it is passed over. Method: an answer that was not taken, a wait that was woken, one that waits;
/// then the leader fails, and nobody is woken in vain.
#[test]
fn closing_gives_back() {
    let (engine, set) = set_of_manual();
    let other = Set::open(&engine);
    let leader = engine.admitted("k");
    set.submit("k", 1);
    other.submit("k", 2);
    set.submit("new", 3);
    engine.fail(&leader.lease, 0).expect("held");
    set.close().expect("open");
    refused(set.close(), ONCEGATE_BAD_HANDLE, "waits");
    assert_eq!(engine.admitted("new").attempt, 2);
    let next = other.take_one(0);
    assert_eq!((next.user_data, next.admission.attempt), (2, 2), "the wake-up went on");
}

/// Goal: closing a set ends calls that block on it. Method: two threads block; they are seen to by
/// the set alone, since nothing happens in the engine.
#[test]
fn closing_ends_those_who_block() {
    let (engine, set) = set_of_manual();
    engine.admitted("k");
    set.submit("k", 1);
    std::thread::scope(|scope| {
        let block = || set.take_into(u64::MAX, 1, &mut Room::new(0));
        let blocked = [scope.spawn(block), scope.spawn(block)];
        // Whether they block yet does not matter: those who come late are refused too.
        set.close().expect("open");
        for one in blocked {
            let status = one.join().expect("no panic").expect_err("closed").status;
            assert!([ONCEGATE_CLOSED, ONCEGATE_BAD_HANDLE].contains(&status), "{status}");
        }
    });
}

/// Goal: a lease that lapsed before anybody took it is not handed out as if it were held. Method:
/// it lapses, and somebody else begins the record, or nobody does.
#[test]
fn a_lease_that_was_lost_is_asked_for_anew() {
    let (engine, set) = set_of_manual();
    set.submit("taken over", 1);
    set.submit("free", 2);
    engine.advance_clock(30_000);
    let other = engine.admitted("taken over");
    let again = set.take_one(0);
    assert_eq!((again.user_data, again.admission.attempt), (2, 2));
    assert_eq!(again.admission.time_ms, 30_000);
    engine.complete(&again.admission.lease, b"").expect("held");
    engine.complete(&other.lease, b"").expect("held by the other");
    let told = set.take_one(0);
    assert_eq!((told.user_data, told.admission.verdict), (1, ONCEGATE_REPLAYED));
}

/// Goal: a lease that is taken late says how long it still lasts. Method: it is taken after ten
/// seconds.
#[test]
fn a_lease_tells_what_is_left() {
    let (engine, set) = set_of_manual();
    set.submit("k", 1);
    engine.advance_clock(10_000);
    let late = set.take_one(0);
    assert_eq!((late.admission.attempt, late.admission.time_ms), (1, 20_000));
    engine.complete(&late.admission.lease, b"").expect("held");
}

/// Goal: the engine lives until the last set is closed. Method: its handle is closed; the set goes
/// on, and its leases can no more be ended but by closing it.
#[test]
fn a_set_outlives_the_engine_s_handle() {
    let (engine, set) = set_of_manual();
    drop(engine);
    set.submit("k", 1);
    set.submit("k", 2);
    assert_eq!(set.take_one(0).admission.verdict, ONCEGATE_ADMITTED);
    assert!(set.is_empty());
    set.close().expect("open");
}

/// Goal: a set is its process's own; a forked child changes nothing of it. Method: the child makes
/// every call, closes the set, and is gone; the parent's waits and descriptor are as they were.
#[test]
fn a_forked_child_has_no_part_in_it() {
    let (engine, set) = set_of_manual();
    let leader = engine.admitted("k");
    let waiting = set.submit("k", 1);
    let answered = set.submit("new", 2);
    let fd = set.descriptor().expect("open");
    in_child(|| {
        let forked = |made: Result<(), Refused>| {
            made.is_err_and(|found| found.status == ONCEGATE_FORKED && found.field == "waits")
        };
        first_wrong(&[
            forked(set.submit_with(&request("k"), 0, 0).map(drop)),
            forked(set.cancel(waiting)),
            forked(set.take_into(0, 1, &mut Room::new(0)).map(drop)),
            forked(set.descriptor().map(drop)),
            set.close().is_ok(),
            set.close().is_err_and(|found| found.status == ONCEGATE_BAD_HANDLE),
        ])
    });
    assert!(is_readable(fd, 0));
    assert_eq!(set.take_one(0).id, answered);
    assert!(!is_readable(fd, 0), "only what the parent does counts");
    engine.complete(&leader.lease, b"").expect("held");
    assert!(is_readable(fd, 0));
    assert_eq!(set.take_one(0).id, waiting);
}
