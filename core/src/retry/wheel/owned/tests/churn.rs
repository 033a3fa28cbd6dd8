//! Very many timers, most of which are cancelled.

use super::super::*;

/// Goal: timers that are cancelled long before they are due do not fill the memory. Method: few
/// live ones, a million that are cancelled at once, due in years; time stands still.
#[test]
fn cancelled_timers_are_swept() {
    const LIVE: usize = 1_000;
    let mut wheel = TimerWheel::new(0);
    let mut live: Vec<TimerHandle> =
        (0..LIVE).map(|i| wheel.insert(1 << (i % 42)).expect("room")).collect();
    for i in 0..1_000_000_u64 {
        let due = (i * 0x9e37_79b9) % (1 << (i % 42 + 1));
        let timer = wheel.insert(due + 1).expect("room");
        // Some of them last, and others go for them.
        let oldest = std::mem::replace(&mut live[i as usize % LIVE], timer);
        let goes = if i % 7 == 0 { oldest } else { timer };
        assert!(wheel.cancel(goes));
        if i % 7 != 0 {
            live[i as usize % LIVE] = oldest;
        }
        let entries = wheel.wheel.entries();
        assert!(entries <= 6 * LIVE + SLACK, "{entries} entries after {i}");
    }
    assert_eq!(wheel.len(), LIVE);
    let ids = wheel.used as usize;
    assert!(ids <= 8 * (6 * LIVE + SLACK), "{ids} ids");
    assert!(wheel.bytes() < 3_000_000, "{} bytes", wheel.bytes());
    let mut fired = Vec::new();
    assert!(!wheel.advance(1 << 45, usize::MAX, |timer| fired.push(timer)).more);
    let of = |mut timers: Vec<TimerHandle>| {
        timers.sort_unstable_by_key(|timer| timer.index());
        timers
    };
    assert_eq!(of(fired), of(live));
}

/// Goal: a pending timer takes ten bytes at most. Method: a million timers within ten minutes, and
/// again after all of them fired.
#[test]
fn a_timer_takes_ten_bytes() {
    const TIMERS: u64 = 1_000_000;
    let mut wheel = TimerWheel::new(0);
    for round in 0..3 {
        let start = round * 600_000;
        (0..TIMERS).for_each(|i| drop(wheel.insert(start + 1 + i * 7_919 % 600_000)));
        let each = wheel.bytes() as f64 / TIMERS as f64;
        assert!(each <= 10.0, "{each} bytes");
        assert_eq!(wheel.advance(start + 600_000, usize::MAX, |_| {}).fired, TIMERS as usize);
    }
}
