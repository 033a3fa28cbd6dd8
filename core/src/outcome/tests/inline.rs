//! Inline outcomes: what a reference and the words beside a record say together.

use super::*;
use crate::sync::AtomicU64;

fn words(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(!0)).collect()
}

/// Goal: what is written beside a record is read, and nothing longer than the words that are
/// there. Method: sizes around the word, with and without metadata, and too few words.
#[test]
fn inline_outcomes_read_back() {
    let window = WindowCode::new(1_000);
    for len in 0..=24 {
        for metadata in [false, true] {
            let mut outcome = Outcome::new(207, vec![7; len]);
            if metadata {
                outcome = outcome.with_metadata("a", "").expect("small");
            }
            let inline = Inline::new(fence(1), false, window, &outcome);
            let own = words(outcome.data_len().div_ceil(8));
            Inline::write(&outcome, &own);
            let mut into = Outcome::withheld(1);
            assert!(inline.read(&own, &mut into));
            assert_eq!(into, outcome);
            if let Some((_, fewer)) = own.split_last() {
                assert!(!inline.read(fewer, &mut into), "{len} bytes");
            }
        }
    }
}

/// Goal: the short way finds just the successes of the attempt that is asked for. Method:
/// successes, failures and references of other kinds, for attempts whose counters differ in one
/// bit, or only above what a reference carries.
#[test]
fn successes_are_told_apart() {
    let window = WindowCode::new(1_000);
    let outcome = Outcome::new(200, b"ok").with_metadata("a", "b").expect("small");
    let counters = [0, 1, 5, 1 << 26, (1 << 27) - 1, 1 << 27, Fence::MAX];
    for counter in counters {
        let held = Fence::new(counter).expect("in range");
        let success = Inline::new(held, false, window, &outcome);
        assert_eq!(Inline::of_success(success.pack(), held), Some(success));
        let failure = Inline::new(held, true, window, &outcome);
        assert_eq!(Inline::of_success(failure.pack(), held), None);
        for bit in 0..44 {
            let other = Fence::new(counter ^ 1 << bit).expect("in range");
            let same = bit >= 27;
            assert_eq!(Inline::of_success(success.pack(), other).is_some(), same, "bit {bit}");
            assert_eq!(Inline::unpack(success.pack(), other).is_some(), same, "bit {bit}");
        }
        let bare = Bare { failed: false, window };
        for reference in [0, lapsed(held), bare.pack(held), success.pack() & !(1 << 63)] {
            assert_eq!(Inline::of_success(reference, held), None);
            assert_eq!(Inline::unpack(reference, held), None);
        }
    }
}

/// Goal: what ended without bytes reads back, and no other kind takes it for its own. Method:
/// corners of the window and the counter; attempts that differ in one bit that is kept.
#[test]
fn bare_references_read_back() {
    for window in [0, 1, 7, 1_000, 1 << 30, u64::MAX].map(WindowCode::new) {
        for counter in [0, 5, (1 << 19) - 1, Fence::MAX] {
            let held = Fence::new(counter).expect("in range");
            for bare in [false, true].map(|failed| Bare { failed, window }) {
                let word = bare.pack(held);
                assert_eq!(Bare::unpack(word, held), Some(bare));
                assert_eq!(reference::Place::unpack(word), None);
                assert_eq!(Inline::unpack(word, held), None);
                for bit in 0..19 {
                    let other = Fence::new(counter ^ 1 << bit).expect("in range");
                    assert_eq!(Bare::unpack(word, other), None, "bit {bit}");
                }
            }
        }
    }
}

/// Goal: an attempt that lapsed leaves a word that is nothing else, and that names it by nineteen
/// bits. Method: attempts that differ in one bit; the words of the other kinds.
#[test]
fn a_lapse_is_told_apart() {
    let held = Fence::new(5).expect("small");
    let word = lapsed(held);
    let bare = |failed| Bare { failed, window: WindowCode::new(0) }.pack(held);
    assert!(word != 0 && word != bare(false) && word != bare(true));
    assert_eq!(reference::Place::unpack(word), None);
    assert_eq!(Bare::unpack(word, held), None);
    for bit in 0..44 {
        let other = Fence::new(5 ^ 1 << bit).expect("small");
        assert_eq!(lapsed(other) == word, bit >= 19, "bit {bit}");
    }
}

/// Goal: a reference reaches every place there may be. Method: the first and the last of each.
#[test]
fn references_reach_every_place() {
    assert_eq!((MAX_CHUNKS, MAX_CHUNK_WORDS), (1 << 19, 1 << 17));
    for chunk in [0, 1, (1 << 19) - 1] {
        for offset in [0, 2, (1 << 17) - 2] {
            for sequence in [1, reference::MAX_SEQUENCE] {
                let place = reference::Place { chunk, offset, sequence };
                assert_eq!(reference::Place::unpack(place.pack()), Some(place));
            }
        }
    }
}
