//! Shared timers: limits, lanes, sleep, and many threads at once.

use std::collections::HashMap;
use std::sync::{Barrier, mpsc};

use proptest::prelude::*;

use super::*;
use crate::retry::wheel::TimerWheel;
use crate::retry::wheel::tests::seeded;

fn small(capacity: usize) -> Timers {
    Timers::builder().capacity(capacity).lanes(2).lane_slots(4).build().expect("valid")
}

/// Fires everything up to `now`.
fn fire(timers: &Timers, now: u64) -> Vec<TimerHandle> {
    let mut fired = Vec::new();
    let advanced = timers.advance(now, usize::MAX, |timer| fired.push(timer));
    assert_eq!(advanced, Some(Advanced { fired: fired.len(), more: false }));
    fired
}

/// Goal: settings are held to their limits. Method: one beyond each.
#[test]
fn settings_have_limits() {
    let builder = Timers::builder;
    for (settings, field) in [
        (builder().capacity(0), "capacity"),
        (builder().capacity((1 << 27) + 1), "capacity"),
        (builder().lanes(0), "lanes"),
        (builder().lanes(12), "lanes"),
        (builder().lanes(512), "lanes"),
        (builder().lane_slots(1), "lane_slots"),
        (builder().lane_slots(1 << 17), "lane_slots"),
    ] {
        let error = settings.build().expect_err(field);
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidConfig, field));
    }
}

/// Goal: as many timers as were asked for can be pending, then it says that it is full, and those
/// that were cancelled make room. Method: fill, count, cancel all but the longest, and fill again.
#[test]
fn capacity_holds() {
    let timers = small(1_000);
    let fill = || -> Vec<TimerHandle> {
        let insert = |i: u64| timers.insert(10 + i);
        let filled: Result<Vec<_>, Error> = (0..1_000).map(insert).collect();
        filled.expect("room").into_iter().map(|submitted| submitted.handle).collect()
    };
    let first = fill();
    let more = std::iter::from_fn(|| timers.insert(5).ok()).take(100).count();
    assert!(more <= 8, "{more} beyond the capacity");
    assert_eq!(timers.insert(5).expect_err("full").code(), ErrorCode::Full);
    assert_eq!(fire(&timers, 9).len(), more);
    first.iter().for_each(|timer| assert!(timers.cancel(*timer)));
    let second = fill();
    first.iter().for_each(|timer| assert!(!timers.cancel(*timer)));
    assert_eq!(fire(&timers, 2_000).len(), second.len());
}

/// Goal: while somebody advances, others submit, cancel, and are told that somebody advances.
/// Method: all of that out of the closure of an advance; the submissions fire in the next one.
#[test]
fn an_advance_keeps_nobody_waiting() {
    let timers = small(100);
    let first = timers.insert(1).expect("room").handle;
    let mut submitted = Vec::new();
    let advanced = timers.advance(5, 100, |timer| {
        assert_eq!(timer, first);
        assert_eq!(timers.advance(5, 100, |_| {}), None);
        assert_eq!(timers.prepare_sleep(), Rest::Busy);
        assert_eq!(timers.next_due(), None);
        submitted.extend(std::iter::from_fn(|| timers.insert(2).ok()));
        assert!(!timers.cancel(timer) && timers.cancel(submitted[0].handle));
    });
    assert_eq!(advanced.map(|advanced| advanced.fired), Some(1));
    assert!(submitted.len() >= 6, "{} slots", submitted.len());
    assert_eq!(fire(&timers, 5).len(), submitted.len() - 1);
}

/// Goal: whoever fires can insert as many as there are slots, in each advance, and no more; so a
/// limit of as many lets every timer file itself again. Method: four times as many timers as slots,
/// each of which does, with that limit and without one.
#[test]
fn firing_refills_what_lanes_hold() {
    const SLOTS: usize = 2 * 4;
    let timers = small(100);
    (0..4 * SLOTS).for_each(|_| _ = timers.insert(1).expect("room"));
    for now in 1..=20 {
        let again = |_| assert!(timers.insert(now + 1).is_ok(), "refused at {now}");
        let mut fired = 0;
        while let Some(advanced) = timers.advance(now, SLOTS, again)
            && advanced.fired > 0
        {
            fired += advanced.fired;
        }
        assert_eq!(fired, 4 * SLOTS);
    }
    let mut taken = 0;
    let advanced =
        timers.advance(21, usize::MAX, |_| taken += usize::from(timers.insert(22).is_ok()));
    assert_eq!(advanced.map(|advanced| advanced.fired), Some(4 * SLOTS));
    assert_eq!(taken, SLOTS);
}

/// Goal: a submitter that stalls keeps nobody waiting, and nothing that was submitted. Method: both
/// lanes are taken, one after the other, and given back.
#[test]
fn a_stalled_submitter_keeps_one_lane() {
    let timers = small(100);
    timers.insert(1).map(drop).expect("room");
    let stalled = timers.lanes[0].claim().expect("nobody has it");
    assert!(timers.lanes[0].claim().is_none());
    for _ in 0..20 {
        timers.insert(2).map(drop).expect("another lane");
    }
    let other = timers.lanes[1].claim().expect("nobody has it");
    assert_eq!(timers.insert(2).expect_err("no lane is left").code(), ErrorCode::Full);
    assert_eq!(fire(&timers, 2).len(), 21);
    drop(other);
    timers.insert(3).map(drop).expect("a lane");
    assert!(stalled.submit(3).is_ok());
    assert_eq!(fire(&timers, 3).len(), 2);
}

/// Goal: a panic of the caller loses no timer but the one that it was given, and the right to
/// advance is free. Method: ten timers of one tick, a panic at the fourth, and another advance.
#[test]
fn a_panic_loses_one_timer() {
    let timers = Timers::builder().build().expect("valid");
    (0..10).for_each(|_| timers.insert(5).map(drop).expect("room"));
    let mut fired = 0;
    let advance = std::panic::AssertUnwindSafe(|| {
        timers.advance(5, usize::MAX, |_| {
            fired += 1;
            assert_ne!(fired, 4, "the fourth one fails");
        })
    });
    assert!(std::panic::catch_unwind(advance).is_err());
    assert_eq!(fire(&timers, 5).len(), 6);
}

/// Goal: a driver that sleeps is woken for what is due earlier, and only for that. Method: one
/// thread plays both parts.
#[test]
fn who_is_due_earlier_wakes() {
    let timers = small(100);
    assert!(!timers.insert(50).expect("room").wakes);
    assert_eq!(timers.prepare_sleep(), Rest::Until(50));
    for (due, wakes) in [(49, true), (50, false), (51, false), (0, true), (49, true)] {
        assert_eq!(timers.insert(due).expect("room").wakes, wakes, "due at {due}");
    }
    timers.awake();
    assert!(!timers.insert(3).expect("room").wakes);
    assert_eq!(fire(&timers, 50).len(), 6);
    assert_eq!(timers.prepare_sleep(), Rest::Until(51));
    fire(&timers, 51);
    assert_eq!(timers.prepare_sleep(), Rest::Forever);
    assert!(timers.insert(1 << 50).expect("room").wakes);
}

/// Goal: shared timers do what the wheel of one owner does. Method: random programs on both, with
/// lanes so short that they are drained all the time; who is cancelled, and which due ticks fire.
#[test]
fn agrees_with_the_wheel_of_one_owner() {
    let span = || (0_u32..40, any::<u64>()).prop_map(|(bits, word)| word & ((1 << bits) - 1));
    let op = (0_u8..8, span(), any::<prop::sample::Index>());
    let programs = (span(), prop::collection::vec(op, 1..300));
    proptest!(seeded(256), |((start, ops) in programs)| {
        let shared = Timers::builder().lanes(2).lane_slots(2).start(start).build().expect("valid");
        let mut own = TimerWheel::new(start);
        let (mut now, mut timers, mut dues) = (start, Vec::new(), [HashMap::new(), HashMap::new()]);
        let [of_shared, of_own] = &mut dues;
        for (kind, span, which) in ops {
            match kind {
                0..4 => {
                    let due = now.saturating_add(span);
                    let pair = (shared.insert(due).expect("room").handle, own.insert(due)?);
                    of_shared.insert(pair.0, due);
                    of_own.insert(pair.1, due);
                    timers.push(pair);
                }
                4..7 if !timers.is_empty() => {
                    let (left, right) = timers[which.index(timers.len())];
                    prop_assert_eq!(shared.cancel(left), own.cancel(right));
                }
                _ => {
                    now = now.saturating_add(span);
                    let (mut left, mut right) = (Vec::new(), Vec::new());
                    let one = shared.advance(now, usize::MAX, |timer| left.push(of_shared[&timer]));
                    let two = own.advance(now, usize::MAX, |timer| right.push(of_own[&timer]));
                    prop_assert_eq!(one, Some(two));
                    prop_assert_eq!(left, right);
                }
            }
        }
    });
}

/// Goal: timers that are cancelled before they are due do not fill the memory. Method: a hundred
/// that last, and a million that are cancelled a little after their submission.
#[test]
fn cancelled_timers_are_swept() {
    let timers = Timers::builder().build().expect("valid");
    let lasting: Vec<_> = (0..100).map(|i| timers.insert(1 << 39 | i).expect("room")).collect();
    let mut recent = std::collections::VecDeque::new();
    for i in 0..1_000_000_u64 {
        recent.push_back(timers.insert(1 << (i % 38)).expect("room").handle);
        if recent.len() > 500 {
            assert!(timers.cancel(recent.pop_front().expect("some")));
        }
    }
    let owner = timers.drained().expect("nobody else");
    let (entries, ids) = (owner.wheel.entries(), owner.used as usize);
    drop(owner);
    let most = 6 * 600 + SLACK;
    assert!(entries <= most && ids <= 8 * most + 16 * 1_024, "{entries} entries, {ids} ids");
    assert_eq!(fire(&timers, 1 << 40).len(), lasting.len() + recent.len());
}

/// Goal: under real threads each timer fires or is cancelled, and never both. Method: three
/// threads submit, cancel their own and each other's, and a fourth advances; every handle is
/// counted.
#[test]
fn each_timer_ends_once() {
    const EACH: u64 = 30_000;
    let timers = Timers::builder().lanes(2).lane_slots(8).build().expect("valid");
    let (give, given) = mpsc::channel::<TimerHandle>();
    let barrier = Barrier::new(4);
    let work = |thread: u64, give: mpsc::Sender<TimerHandle>| {
        let (mut submitted, mut cancelled) = (0_u64, 0_u64);
        barrier.wait();
        for i in 0..EACH {
            let due = (i * 7 + thread) % 64 + i / 8;
            // Lanes are so short that all of them may be used up for a while.
            let Ok(timer) = timers.insert(due) else { continue };
            submitted += 1;
            if i % 3 == 0 {
                cancelled += u64::from(timers.cancel(timer.handle));
            } else if i % 3 == 1 {
                give.send(timer.handle).expect("somebody listens");
            }
        }
        (submitted, cancelled)
    };
    let (sums, fired) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|thread| {
                let (work, give) = (&work, give.clone());
                scope.spawn(move || work(thread, give))
            })
            .collect();
        drop(give);
        let (barrier, timers) = (&barrier, &timers);
        let canceller = scope.spawn(move || {
            barrier.wait();
            let cancelled = given.iter().filter(|timer| timers.cancel(*timer)).count();
            (0, cancelled as u64)
        });
        barrier.wait();
        let (mut fired, mut now) = (0, 0);
        while !canceller.is_finished() {
            now += 1;
            fired += timers.advance(now, 100, |_| {}).map_or(0, |advanced| advanced.fired);
        }
        let all = workers.into_iter().chain([canceller]);
        (all.map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>(), fired)
    });
    let rest = fire(&timers, EACH + 100).len();
    let submitted: u64 = sums.iter().map(|(submitted, _)| submitted).sum();
    let cancelled: u64 = sums.iter().map(|(_, cancelled)| cancelled).sum();
    assert_eq!(submitted, cancelled + (fired + rest) as u64, "{sums:?}, {fired}, {rest}");
    assert_eq!(timers.prepare_sleep(), Rest::Forever);
}

/// Goal: debug output helps, and waits for nobody. Method: its fields, and from within an advance.
#[test]
fn debug_says_how_many() {
    let timers = small(10);
    timers.insert(3).map(drop).expect("room");
    assert_eq!(format!("{timers:?}"), "Timers { lanes: 2, entries: 0, at: 0, .. }");
    let advanced = timers.advance(3, 10, |_| {
        assert_eq!(format!("{timers:?}"), "Timers { lanes: 2, .. }");
    });
    assert!(advanced.is_some());
}
