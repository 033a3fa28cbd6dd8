//! Timers with handles, beside a sorted list.

mod churn;
mod model;

use super::*;

/// Goal: a stale handle cancels nothing. Method: a handle of a timer that fired, and one of a
/// timer that was cancelled, while their ids are used again many times.
#[test]
fn stale_handles_cancel_nothing() {
    let mut wheel = TimerWheel::new(0);
    let fired = wheel.insert(1).expect("room");
    assert_eq!(wheel.advance(1, usize::MAX, |_| {}).fired, 1);
    let cancelled = wheel.insert(2).expect("room");
    assert!(wheel.cancel(cancelled));
    let mut met = [false; 2];
    for round in 0..1_000 {
        let timer = wheel.insert(3 + round).expect("room");
        for (stale, met) in [fired, cancelled].into_iter().zip(&mut met) {
            *met |= stale.index() == timer.index();
            assert_ne!(stale, timer);
            assert!(!wheel.cancel(stale), "{stale:?} cancels {timer:?}");
        }
        assert_eq!(wheel.len(), 1);
        assert_eq!(wheel.advance(3 + round, usize::MAX, |over| assert_eq!(over, timer)).fired, 1);
    }
    assert_eq!(met, [true; 2], "their ids were never used again");
}

/// Goal: a handle of nowhere cancels nothing. Method: one of a wheel with more timers.
#[test]
fn handles_beyond_the_ids_cancel_nothing() {
    let (mut large, mut small) = (TimerWheel::new(0), TimerWheel::new(0));
    let last = (0..100).map(|due| large.insert(due).expect("room")).last().expect("some");
    assert!(!small.cancel(last));
}

/// Goal: a panic of the caller loses no timer but the one that it was given. Method: ten timers of
/// one tick, a panic at the fourth, and another advance.
#[test]
fn a_panic_loses_one_timer() {
    let mut wheel = TimerWheel::new(0);
    (0..10).for_each(|_| drop(wheel.insert(5)));
    let mut fired = 0;
    let advance = std::panic::AssertUnwindSafe(|| {
        wheel.advance(5, usize::MAX, |_| {
            fired += 1;
            assert_ne!(fired, 4, "the fourth one fails");
        })
    });
    assert!(std::panic::catch_unwind(advance).is_err());
    assert_eq!(wheel.len(), 6);
    let rest = wheel.advance(5, usize::MAX, |_| {});
    assert_eq!((rest.fired, wheel.is_empty()), (6, true));
}

/// Goal: debug output helps. Method: its fields.
#[test]
fn debug_says_how_many() {
    let mut wheel = TimerWheel::new(3);
    let timer = wheel.insert(9).expect("room");
    assert_eq!(format!("{wheel:?}"), "TimerWheel { pending: 1, entries: 1, at: 3, .. }");
    assert_eq!(format!("{timer:?}"), "TimerHandle(0, use 0.0)");
}
