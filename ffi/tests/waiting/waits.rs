//! Waits: one thread, many requests, and each answer once.

use std::sync::atomic::{AtomicUsize, Ordering};

use oncegate_ffi::*;

use crate::set::{Set, set_of_manual};
use crate::support::{Engine, Room, SOON, bytes, is_readable, options, refused, request};

/// Goal: who waits gets the outcome of the running attempt, and with it what it gave.
/// Method: two wait, one of them twice; the leader completes; each answer once, and its bytes.
#[test]
fn waiters_get_the_outcome() {
    let (engine, set) = set_of_manual();
    let leader = engine.admitted("k");
    let ids = [set.submit("k", 70), set.submit("k", 71)];
    assert!(set.is_empty(), "it runs");
    engine.complete(&leader.lease, b"charged").expect("held");
    let mut room = Room::new(64);
    let taken = set.take_into(0, 8, &mut room).expect("open");
    let mut told: Vec<_> = taken.iter().map(|one| (one.id, one.user_data)).collect();
    told.sort_unstable();
    assert_eq!(told, [(ids[0], 70), (ids[1], 71)]);
    for one in &taken {
        let outcome = one.admission.outcome;
        assert_eq!((one.admission.status, one.admission.verdict), (ONCEGATE_OK, ONCEGATE_REPLAYED));
        assert_eq!(room.part(outcome.body_offset, outcome.body_len), b"charged");
    }
    assert_eq!(room.needed(), 2 * b"charged".len(), "what was written");
    assert!(set.is_empty() && set.cancel(ids[0]).is_err(), "each answer once");
}

/// Goal: what needs no wait is answered at once. Method: a new request, a finished one, and one
/// with another payload; the lease that comes is as good as one of `oncegate_begin`.
#[test]
fn answers_at_once() {
    let (engine, set) = set_of_manual();
    set.submit("new", 1);
    let new = set.take_one(0);
    assert_eq!((new.user_data, new.admission.verdict), (1, ONCEGATE_ADMITTED));
    assert_eq!((new.admission.attempt, new.admission.how), (1, ONCEGATE_HOW_CREATED));
    assert_eq!(new.admission.time_ms, 30_000);
    engine.complete(&new.admission.lease, b"done").expect("the lease is the caller's");
    set.submit("new", 2);
    assert_eq!(set.take_one(0).admission.verdict, ONCEGATE_REPLAYED);
    let payload = bytes(b"other");
    let other = RawRequest { payload_kind: ONCEGATE_PAYLOAD_RAW, payload, ..request("new") };
    set.submit_with(&other, 0, 3).expect("submitted");
    assert_eq!(set.take_one(0).admission.verdict, ONCEGATE_MISMATCHED);
}

/// Goal: when the leader fails, exactly one of those who wait gets the next attempt, and the others
/// go on waiting. Method: three wait; the leader fails, then the next one, then one completes.
#[test]
fn one_waiter_is_handed_the_next_attempt() {
    let (engine, set) = set_of_manual();
    let mut leader = engine.admitted("k");
    (0..3).for_each(|data| _ = set.submit("k", data));
    for attempt in 2..4 {
        engine.fail(&leader.lease, 0).expect("held");
        leader = set.take_one(0).admission;
        assert_eq!((leader.verdict, leader.attempt), (ONCEGATE_ADMITTED, attempt));
        assert_eq!(leader.how, ONCEGATE_HOW_RETRIED);
        assert!(set.is_empty(), "the others wait on");
    }
    engine.complete(&leader.lease, b"").expect("held");
    assert_eq!(set.take_one(0).admission.verdict, ONCEGATE_REPLAYED);
}

/// Goal: a crashed leader's lapse is noticed when the manual clock passes it, by whoever polls the
/// descriptor, without a ticker. Method: the clock stops a millisecond before; then at it.
#[test]
fn a_lapse_is_noticed_by_a_manual_clock() {
    let (engine, set) = set_of_manual();
    engine.admitted("k");
    set.submit("k", 7);
    let fd = set.descriptor().expect("open");
    assert!(!is_readable(fd, 0), "nothing to look at");
    engine.advance_clock(29_999);
    assert!(is_readable(fd, 0) && set.is_empty(), "somebody looks, and it still runs");
    assert!(!is_readable(fd, 0), "somebody has looked");
    engine.advance_clock(1);
    assert!(is_readable(fd, 0));
    let next = set.take_one(0);
    assert_eq!((next.user_data, next.admission.verdict), (7, ONCEGATE_ADMITTED));
    assert_eq!((next.admission.attempt, next.admission.how), (2, ONCEGATE_HOW_EXPIRED));
    assert!(!is_readable(fd, 0), "it was taken");
}

/// Goal: the same by a real clock, for an event loop and for a thread that blocks. Method: leases
/// of some milliseconds whose holders never end them; nothing else wakes anybody.
#[test]
fn a_lapse_is_noticed_by_a_real_clock() {
    let precise = RawOptions { clock: ONCEGATE_CLOCK_PRECISE, lease_ms: 20, ..options() };
    for clock in [precise, RawOptions { clock: ONCEGATE_CLOCK_COARSE, ..precise }] {
        let engine = Engine::open(&clock);
        let set = Set::open(&engine);
        engine.admitted("loop");
        set.submit("loop", 1);
        let fd = set.descriptor().expect("open");
        // A coarse clock may show less than has passed.
        let next = loop {
            assert!(is_readable(fd, SOON as i32), "never");
            let mut taken = set.take_into(0, 1, &mut Room::new(0)).expect("open");
            if let Some(one) = taken.pop() {
                break one;
            }
        };
        assert_eq!((next.admission.verdict, next.admission.attempt), (ONCEGATE_ADMITTED, 2));
        engine.admitted("thread");
        set.submit("thread", 2);
        assert_eq!(set.take_one(SOON).admission.attempt, 2);
    }
}

/// Goal: a limited wait ends with what the record is then, by the engine's clock; one without a
/// limit does not end. Method: a clock that stops a millisecond before; a running record and one
/// that was put off; a wait of no time at all.
#[test]
fn a_limit_ends_the_wait() {
    let (engine, set) = set_of_manual();
    let leader = engine.admitted("runs");
    assert_eq!(engine.begin_waiting("runs", ONCEGATE_ZERO).verdict, ONCEGATE_IN_PROGRESS);
    let put_off = engine.admitted("put off");
    engine.fail(&put_off.lease, 60_000).expect("held");
    set.submit("runs", 1);
    set.submit_with(&request("runs"), 10_000, 2).expect("submitted");
    set.submit_with(&request("put off"), 10_000, 3).expect("submitted");
    set.submit_with(&request("runs"), ONCEGATE_ZERO, 4).expect("submitted");
    let now = set.take_one(0);
    assert_eq!((now.user_data, now.admission.verdict), (4, ONCEGATE_IN_PROGRESS));
    assert_eq!(now.admission.time_ms, 30_000);
    engine.advance_clock(9_999);
    assert!(set.is_empty());
    engine.advance_clock(1);
    let mut over = set.take_into(0, 8, &mut Room::new(0)).expect("open");
    over.sort_unstable_by_key(|one| one.user_data);
    let told = over.iter().map(|one| {
        let RawAdmission { verdict, attempt, time_ms, .. } = one.admission;
        (one.user_data, verdict, attempt, time_ms)
    });
    let expected = [(2, ONCEGATE_IN_PROGRESS, 1, 20_000), (3, ONCEGATE_SCHEDULED, 2, 50_000)];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    engine.complete(&leader.lease, b"").expect("held");
    assert_eq!(set.take_one(0).user_data, 1);
    let years = 800 * 24 * 3_600_000;
    let refusal = set.submit_with(&request("k"), years, 0);
    refused(refusal, ONCEGATE_INVALID_OPTION, "on_conflict");
}

/// Goal: no more answers are taken than there is room for, and the descriptor says that there are
/// more. Method: five answers, two at a time.
#[test]
fn the_capacity_is_kept() {
    let (_engine, set) = set_of_manual();
    (0..5).for_each(|number| _ = set.submit(&format!("key-{number}"), number));
    let fd = set.descriptor().expect("open");
    let mut taken = Vec::new();
    for expected in [2, 2, 1] {
        assert!(is_readable(fd, 0));
        let some = set.take_into(0, 2, &mut Room::new(0)).expect("open");
        assert_eq!(some.len(), expected);
        taken.extend(some.iter().map(|one| one.user_data));
    }
    assert_eq!(taken, [0, 1, 2, 3, 4], "in their turn");
    assert!(!is_readable(fd, 0));
}

/// Goal: several threads may take from one set; each answer comes once. Method: four threads block
/// and take, two submit.
#[test]
fn each_answer_is_taken_once() {
    const EACH: usize = 2_000;
    let (_engine, set) = set_of_manual();
    let taken = AtomicUsize::new(0);
    let mut seen: Vec<u64> = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let (mut mine, mut in_vain) = (Vec::new(), 0);
                    while taken.load(Ordering::Relaxed) < 2 * EACH && in_vain < 1_000 {
                        let some = set.take_into(20, 16, &mut Room::new(0)).expect("open");
                        in_vain += usize::from(some.is_empty());
                        taken.fetch_add(some.len(), Ordering::Relaxed);
                        mine.extend(some.iter().map(|one| one.user_data));
                    }
                    mine
                })
            })
            .collect();
        for half in 0..2 {
            let set = &set;
            scope.spawn(move || {
                for number in 0..EACH {
                    let data = (half * EACH + number) as u64;
                    // Few keys: most of them wait for none, since `ONCEGATE_ZERO` does not.
                    let key = format!("key-{}", number % 64);
                    set.submit_with(&request(&key), ONCEGATE_ZERO, data).expect("submitted");
                }
            });
        }
        takers.into_iter().flat_map(|taker| taker.join().expect("no panic")).collect()
    });
    seen.sort_unstable();
    assert_eq!(seen, (0..2 * EACH as u64).collect::<Vec<_>>());
}

/// Goal: a thread that blocks is woken by what another one submits, by a leader that ends, and by
/// its own timeout. Method: each in turn; the last with a timeout of a millisecond.
#[test]
fn a_blocked_thread_is_woken() {
    let (engine, set) = set_of_manual();
    let leader = engine.admitted("k");
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| set.take_one(SOON));
        set.submit("new", 1);
        assert_eq!(blocked.join().expect("no panic").user_data, 1);
        set.submit("k", 2);
        let blocked = scope.spawn(|| set.take_one(SOON));
        engine.complete(&leader.lease, b"").expect("held");
        assert_eq!(blocked.join().expect("no panic").user_data, 2);
    });
    assert!(set.take_into(1, 1, &mut Room::new(0)).expect("open").is_empty());
}
