//! The arbitration word: its fields, and the age clock that its version drives.

use super::*;

fn of_version(version: u64) -> Arbitration {
    Arbitration(version << VERSION_SHIFT)
}

/// Goal: the age clock goes on once in four versions, says so, and wraps with them. Method: more
/// versions than a round of the clock, and the last ones there are.
#[test]
fn the_age_clock_follows_the_version() {
    let last = (1 << (u64::BITS - VERSION_SHIFT)) - 1;
    for version in (0..200).chain(last - 9..=last) {
        let next = if version == last { 0 } else { version + 1 };
        let word = of_version(version);
        assert_eq!(word.age_clock(), (version / 4 % 16) as u8, "{version}");
        assert_eq!(word.next_age_clock(), (next / 4 % 16) as u8, "{version}");
        assert_eq!(word.ticks(), version % 4 == 0, "{version}");
        assert_eq!(word.next_version(), of_version(next), "{version}");
    }
}

/// Goal: the word names the insertion that won, whoever it named before. Method: corners of slot
/// and counter, over words of all ones and all zeroes, up to the last version.
#[test]
fn a_word_names_its_insertion() {
    let last = (1 << (u64::BITS - VERSION_SHIFT)) - 1;
    for before in [0, !0, PENDING, 1 << VERSION_SHIFT, !0 >> 1] {
        let version = before >> VERSION_SHIFT;
        for slot in [0, 1, MAX_SLOTS / 2, MAX_SLOTS - 1] {
            for counter in [0, 1, (1 << 20) - 1, 1 << 20, Fence::MAX] {
                let fence = Fence::new(counter).expect("in range");
                let word = Arbitration(before).following(slot, fence);
                assert_eq!((word.pending(), word.slot()), (true, slot), "after {before:x}");
                assert_eq!(word.fence_low(), fence.low());
                let next = if version == last { 0 } else { version + 1 };
                assert_eq!(word.0 >> VERSION_SHIFT, next);
                let settled = word.settled();
                assert_eq!((settled.pending(), settled.slot()), (false, slot));
                assert_eq!(settled.fence_low(), fence.low());
                assert_eq!(settled.0 >> VERSION_SHIFT, next);
            }
        }
    }
}

/// Goal: debug text tells the fields. Method: one word with everything.
#[test]
fn debug_text_names_the_fields() {
    let word = of_version(6).following(3, Fence::new(5).expect("small"));
    let text = "Arbitration { version: 7, pending: true, slot: 3, fence_low: 5 }";
    assert_eq!(format!("{word:?}"), text);
}
