//! One set's line: tags, ages, arbitration and clock, without threads.

mod arbitration;

use super::*;

fn words() -> [AtomicU64; LINE_WORDS] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

/// Goal: a tag is found in its way and nowhere else. Method: each way in turn.
#[test]
fn tags_name_their_way() {
    let words = words();
    let line = SetLine::new(&words);
    for way in 0..WAYS {
        line.set_tag(way, 0x40 + way as u8);
    }
    assert_eq!(line.vacant().count(), 0);
    for way in 0..WAYS {
        assert_eq!(line.matching(0x40 + way as u8).collect::<Vec<_>>(), [way]);
        let having = (0..WAYS).filter(|other| line.has_tag(*other, 0x40 + way as u8));
        assert_eq!(having.collect::<Vec<_>>(), [way]);
        line.set_tag(way, 0);
        assert!(line.vacant().contains(way));
    }
    assert_eq!(line.vacant().count() as usize, WAYS);
}

/// Goal: the search for a way starts where it is told and comes round. Method: each start.
#[test]
fn ways_come_round() {
    let ways = Ways(1 << 31 | 0b10_0001);
    for (from, first) in [(0, 0), (1, 5), (5, 5), (6, 31), (31, 31)] {
        assert_eq!(ways.first_from(from), Some(first));
    }
    assert_eq!(ways.without(31).first_from(6), Some(0));
    assert_eq!(ways.with(7).first_from(6), Some(7));
    assert_eq!((ways.with(5), ways.without(7)), (ways, ways));
    assert_eq!(Ways(0).first_from(3), None);
    assert!(Ways(0).is_empty() && !ways.is_empty() && !Ways(1).is_empty());
}

/// Goal: ages never step backwards. Method: a late stamp with an older clock changes nothing.
#[test]
fn a_late_stamp_changes_nothing() {
    let words = words();
    let line = SetLine::new(&words);
    for start in 0..16_u8 {
        let late = |ticks: u8| (start + ticks) & STAMP_MASK;
        line.stamp(3, start);
        line.touch(3, late(3));
        assert_eq!(line.age(3, late(3)), 0);
        line.touch(3, late(1));
        assert_eq!(line.age(3, late(4)), 1, "stepped back from {start}");
    }
}

/// Goal: a record that is used while somebody looks at the ages is not taken for the oldest.
/// Method: stamps a little ahead of the clock that the ages are told by, for every clock.
#[test]
fn a_stamp_ahead_is_the_newest() {
    let words = words();
    let line = SetLine::new(&words);
    for clock in 0..16_u8 {
        for (way, stamp) in [(1, clock.wrapping_sub(5)), (2, clock + 1), (20, clock + 3)] {
            line.stamp(way, stamp & STAMP_MASK);
        }
        let ages = [1, 2, 20].map(|way| line.age(way, clock));
        assert_eq!(ages, [5, 0, 0], "at clock {clock}");
    }
}

/// Goal: the ways are given out from the oldest to the newest, the unused never. Method: random
/// stamps, against a sort of the ages told one by one.
#[test]
fn the_oldest_come_first() {
    let words = words();
    let line = SetLine::new(&words);
    let mut state = 0x5eed_u64;
    for round in 0..2_000 {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(round);
        for way in 0..WAYS {
            line.stamp(way, (state >> (way + 13)) as u8 & STAMP_MASK);
        }
        let clock = (state >> 60) as u8;
        let version = u64::from(clock) << TICK_SHIFT;
        // Relaxed: one thread.
        words[ARBITRATION].store(version << VERSION_SHIFT, Ordering::Relaxed);
        let used = Ways((state >> 7) as u32);
        for way in 0..WAYS {
            line.set_tag(way, u8::from(used.contains(way)) * (0x80 + way as u8));
        }
        let mut plain: Vec<_> = used.map(|way| (way, line.age(way, clock))).collect();
        plain.sort_by_key(|(way, age)| (std::cmp::Reverse(*age), *way));
        let (vacant, mut oldest) = line.vacant_and_oldest();
        assert_eq!(vacant, !used);
        for (at, expected) in plain.iter().enumerate() {
            assert_eq!(oldest.peek(), Some(*expected), "in round {round}");
            assert_eq!(oldest.peek_second(), plain.get(at + 1).copied(), "in round {round}");
            oldest.skip_one();
        }
        assert_eq!((oldest.peek(), oldest.peek_second()), (None, None));
    }
}

/// Goal: an unused record stays the oldest however many insertions pass, and no other seems older
/// than it is. Method: thousands of ticks with the aging call at each; ways of both words, of which
/// some are used every few ticks.
#[test]
fn unused_records_stay_old() {
    let words = words();
    let line = SetLine::new(&words);
    for way in [2, 5, 20, 21] {
        line.stamp(way, 0);
    }
    for tick in 1..5_000_u32 {
        let clock = tick as u8 & STAMP_MASK;
        line.limit_ages(clock);
        line.touch(1, clock);
        assert_eq!(line.age(1, clock), 0);
        for (way, every) in [(5, 5), (21, 11)] {
            if tick.is_multiple_of(every) {
                line.touch(way, clock);
            }
            assert_eq!(u32::from(line.age(way, clock)), tick % every, "at tick {tick}");
        }
        let old = [2, 20].map(|way| line.age(way, clock));
        assert_eq!(old, [tick.min(11) as u8; 2], "at tick {tick}");
    }
    let clock = 4_999_u32 as u8 & STAMP_MASK;
    line.touch(2, clock);
    assert_eq!(line.age(2, clock), 0, "the oldest can be used again");
}

/// Goal: one arbitration of two that read the same version wins. Method: both swap.
#[test]
fn one_arbitration_of_a_version_wins() {
    let words = words();
    let line = SetLine::new(&words);
    let seen = line.arbitration();
    let fence = Fence::new(0x12_3456).expect("small");
    let won = line.arbitrate(seen, MAX_SLOTS - 1, fence).expect("first");
    assert!(line.arbitrate(seen, 4, fence).is_err());
    assert_eq!((won.pending(), won.slot(), won.fence_low()), (true, MAX_SLOTS - 1, fence.low()));
    line.settle(won);
    assert!(!line.arbitration().pending());
    let disturbed = line.disturb(line.arbitration()).expect("nobody else");
    assert!(line.arbitrate(won.settled(), 4, fence).is_err());
    assert!(line.arbitrate(disturbed, 4, fence).is_ok());
}

/// Goal: versions wrap without touching their neighbours. Method: more swaps than versions.
#[test]
fn versions_wrap() {
    let words = words();
    let line = SetLine::new(&words);
    for _ in 0..=1_u64 << (u64::BITS - VERSION_SHIFT) {
        let seen = line.arbitration();
        line.disturb(seen).expect("nobody else");
    }
    let last = line.arbitration();
    assert_eq!(last, Arbitration(1 << VERSION_SHIFT));
}

/// Goal: a home's counters grow, whatever the slot brings. Method: slots ahead and behind.
#[test]
fn the_fencing_clock_only_grows() {
    let words = words();
    let line = SetLine::new(&words);
    let mut last = 0;
    for (slot, attempt) in [(0, 1), (0, 2), (500, 1), (3, 7), (501, 1), (9, 1)] {
        let above = Fence::new(slot).expect("small");
        let next = line.next_fence(above, attempt).expect("small").get();
        assert!(next > last && next > slot, "{next} after {last} and {slot}");
        assert_eq!(line.fence_clock(), next);
        last = next;
    }
}
