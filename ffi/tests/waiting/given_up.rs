//! Waits that are given up, and leases that nobody took: none is lost on the way.

use oncegate_ffi::*;

use crate::set::{Set, set_of_manual};
use crate::support::{
    Engine, Refused, Room, first_wrong, in_child, is_readable, options, refused, request,
};

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
/// and none is given twice. Method: two threads race through answers of new requests in the same
/// order; whoever has one, its record can be begun when it was given back.
#[test]
fn cancel_races_take() {
    const ROUNDS: usize = 100;
    const EACH: usize = 48;
    let (engine, set) = set_of_manual();
    let (mut taken, mut cancelled) = (0, 0);
    for round in 0..ROUNDS {
        let keys: Vec<String> = (0..EACH).map(|at| format!("{round}-{at}")).collect();
        let ids: Vec<u64> = keys.iter().map(|key| set.submit(key, 0)).collect();
        let start = std::sync::Barrier::new(2);
        let (mine, others) = std::thread::scope(|scope| {
            let canceller = scope.spawn(|| {
                start.wait();
                ids.iter().copied().filter(|id| set.cancel(*id).is_ok()).collect::<Vec<_>>()
            });
            start.wait();
            let mut mine = Vec::new();
            while let Some(answer) =
                set.take_into(0, 1, &mut Room::new(0)).expect("open").into_iter().next()
            {
                assert_eq!(answer.admission.verdict, ONCEGATE_ADMITTED);
                engine.fail(&answer.admission.lease, 0).expect("held");
                mine.push(answer.id);
            }
            (mine, canceller.join().expect("no panic"))
        });
        (taken, cancelled) = (taken + mine.len(), cancelled + others.len());
        let mut all = [mine, others].concat();
        all.sort_unstable();
        assert_eq!(all, ids, "each once");
        for key in &keys {
            let next = engine.admitted(key);
            assert_eq!(next.attempt, 2, "it was given back");
            engine.complete(&next.lease, b"").expect("held");
        }
    }
    assert!(taken != 0 && cancelled != 0, "{taken} taken, {cancelled} cancelled: no race");
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

/// Goal: an attempt that lapsed before anybody could start it is known to have done nothing.
/// Method: an engine that runs nothing again whose effect is unknown; the lease lapses untaken.
#[test]
fn a_lease_that_nobody_took_had_no_effect() {
    let on_lapse = ONCEGATE_LAPSE_UNKNOWN;
    let engine = Engine::open(&RawOptions { on_lapse, clock: ONCEGATE_CLOCK_MANUAL, ..options() });
    let set = Set::open(&engine);
    set.submit("k", 1);
    engine.advance_clock(30_000);
    let again = set.take_one(0).admission;
    assert_eq!((again.verdict, again.attempt), (ONCEGATE_ADMITTED, 2));
    engine.complete(&again.lease, b"").expect("held");
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
/// every call and closes the set; the parent's waits and its descriptor are as they were.
#[test]
fn a_forked_child_has_no_part_in_it() {
    let (engine, set) = set_of_manual();
    let leader = engine.admitted("k");
    let waiting = set.submit("k", 1);
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
    assert!(!is_readable(fd, 0), "only what the parent does counts");
    engine.complete(&leader.lease, b"").expect("held");
    assert!(is_readable(fd, 0));
    assert_eq!(set.take_one(0).id, waiting);
}

/// Goal: a child that has a part in the table gives up no lease of its parent's set. Method: an
/// inherited table, and an answer that the parent has not taken when the child closes the set.
#[test]
fn a_child_gives_up_no_lease_of_its_parent() {
    let reach = ONCEGATE_REACH_INHERITED;
    let engine = Engine::open(&RawOptions { reach, clock: ONCEGATE_CLOCK_MANUAL, ..options() });
    let set = Set::open(&engine);
    set.submit("k", 1);
    in_child(|| {
        let own = engine.begin("child").verdict == ONCEGATE_ADMITTED;
        first_wrong(&[own, set.close().is_ok()])
    });
    let taken = set.take_one(0).admission;
    assert_eq!((taken.verdict, taken.attempt), (ONCEGATE_ADMITTED, 1));
    engine.complete(&taken.lease, b"").expect("held");
}
