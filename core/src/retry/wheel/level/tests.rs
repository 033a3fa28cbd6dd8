//! The bitmap against the buckets.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::retry::wheel::tests::seeded;

/// Goal: the bitmap finds the first full bucket, and no other. Method: buckets filled and emptied
/// at random beside a set, in levels of one, of several and of 64 words.
#[test]
fn the_bitmap_says_what_is_full() {
    let steps = prop::collection::vec((any::<bool>(), any::<u16>()), 1..100);
    proptest!(seeded(256), |(bits in 1_u32..=12, steps in steps)| {
        let (mut pool, mut level, mut model) =
            (Pool::default(), Level::new(3, bits), BTreeSet::new());
        for (fills, at) in steps {
            let digit = at as usize % (1 << bits);
            if fills {
                level.push(&mut pool, digit, 7);
                model.insert(digit);
            } else {
                while level.pop(&mut pool, digit).is_some() {}
                model.remove(&digit);
            }
            for from in [0, digit, digit + 1, 63, 64, (1 << bits) - 1, 1 << bits] {
                let expected = model.range(from..).next().copied();
                prop_assert_eq!(level.first_from(from), expected, "from {}", from);
            }
        }
    });
}

/// Goal: buckets start where their digit does. Method: a level in the middle of a tick.
#[test]
fn buckets_start_at_their_digit() {
    let level = Level::new(10, 10);
    let at = 0x1234_5678_9abc_u64;
    assert_eq!(level.digit(at), (0x789abc >> 10) & 1_023);
    assert_eq!(level.start(at, level.digit(at)), at & !1_023);
    assert_eq!(level.start(at, 0), at & !0xf_ffff);
}
