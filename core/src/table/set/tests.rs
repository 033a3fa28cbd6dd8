//! One set's line: tags, ages, arbitration and clock, without threads.

use super::*;

fn words() -> Vec<AtomicU64> {
    (0..crate::region::LINE_WORDS).map(|_| AtomicU64::new(0)).collect()
}

/// Goal: the lane comparison has neither false positives nor misses. Method: values around the
/// borders of a lane, in every lane, against a plain comparison.
#[test]
fn lanes_are_compared_exactly() {
    let values = [0_u16, 1, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff, 0x0100, 0x00ff];
    for a in values {
        for b in values {
            for c in values {
                let lanes = [a, b, c, a ^ b];
                let word = lanes.iter().rev().fold(0, |word, lane| word << 16 | u64::from(*lane));
                let plain = (0..4).filter(|i| lanes[*i] == 0).fold(0, |bits, i| bits | 1 << i);
                assert_eq!(zero_lanes(word), plain, "{lanes:x?}");
            }
        }
    }
}

/// Goal: a tag is found in its way and nowhere else. Method: each way in turn.
#[test]
fn tags_name_their_way() {
    let words = words();
    let line = SetLine::new(&words);
    for way in 0..WAYS {
        line.set_tag(way, 0x1000 + way as u16);
    }
    assert!(line.vacant().is_empty());
    for way in 0..WAYS {
        assert_eq!(line.matching(0x1000 + way as u16).collect::<Vec<_>>(), [way]);
        line.set_tag(way, 0);
        assert!(line.vacant().contains(way));
    }
    assert_eq!(line.vacant().count() as usize, WAYS);
}

/// Goal: the search for a way starts where it is told and comes round. Method: each start.
#[test]
fn ways_come_round() {
    let ways = Ways(0b1000_0000_0010_0001);
    for (from, first) in [(0, 0), (1, 5), (5, 5), (6, 15), (15, 15)] {
        assert_eq!(ways.first_from(from), Some(first));
    }
    assert_eq!(ways.without(15).first_from(6), Some(0));
    assert_eq!(Ways(0).first_from(3), None);
}

/// Goal: ages never step backwards. Method: a late stamp with an older clock changes nothing.
#[test]
fn a_late_stamp_changes_nothing() {
    let words = words();
    let line = SetLine::new(&words);
    for start in [0_u8, 100, 250] {
        line.stamp(3, start);
        line.touch(3, start.wrapping_add(7));
        assert_eq!(line.ages(start.wrapping_add(7))[3], 0);
        line.touch(3, start.wrapping_add(2));
        assert_eq!(line.ages(start.wrapping_add(7))[3], 0, "stepped back from {start}");
    }
}

/// Goal: a record that is used while somebody looks at the ages is not taken for the oldest.
/// Method: stamps a little ahead of the clock that the ages are told by.
#[test]
fn a_stamp_ahead_is_the_newest() {
    let words = words();
    let line = SetLine::new(&words);
    for clock in [0_u8, 100, 255] {
        line.stamp(1, clock.wrapping_sub(5));
        line.stamp(2, clock.wrapping_add(1));
        line.stamp(3, clock.wrapping_add(9));
        let ages = line.ages(clock);
        assert_eq!((ages[1], ages[2], ages[3]), (5, 0, 0), "at clock {clock}");
    }
}

/// Goal: an unused record stays the oldest however many insertions pass. Method: thousands of
/// versions with the aging call as often as the insertion makes it.
#[test]
fn unused_records_stay_old() {
    let words = words();
    let line = SetLine::new(&words);
    line.stamp(2, 0);
    for version in 1..5_000_u32 {
        let clock = version as u8;
        line.touch(1, clock);
        if clock.is_multiple_of(AGING_PERIOD) {
            line.limit_ages(clock);
        }
        let ages = line.ages(clock);
        assert!(ages[2] > ages[1], "at version {version}: {} and {}", ages[2], ages[1]);
        assert!(ages[2] <= OLDEST + AGING_PERIOD);
    }
    line.touch(2, 5_000_u32 as u8);
    assert_eq!(line.ages(5_000_u32 as u8)[2], 0, "the oldest can be used again");
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
    assert_eq!((won.pending, won.slot, won.fence_low), (true, MAX_SLOTS - 1, fence.low()));
    line.settle(won);
    assert!(!line.arbitration().pending);
    let disturbed = line.disturb(line.arbitration()).expect("nobody else");
    assert!(line.arbitrate(Arbitration { pending: false, ..won }, 4, fence).is_err());
    assert!(line.arbitrate(disturbed, 4, fence).is_ok());
}

/// Goal: versions wrap without touching their neighbours. Method: more swaps than versions.
#[test]
fn versions_wrap() {
    let words = words();
    let line = SetLine::new(&words);
    for _ in 0..=VERSION_MASK + 1 {
        let seen = line.arbitration();
        line.disturb(seen).expect("nobody else");
    }
    let last = line.arbitration();
    assert_eq!((last.version, last.pending, last.slot, last.fence_low), (1, false, 0, 0));
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
