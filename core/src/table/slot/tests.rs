//! One slot's words: every field at its corners, and who may change them.

use super::*;
use crate::table::control::Step;
use crate::table::tests::{running, table};

const KINDS: [Kind; 4] = [Kind::Lease, Kind::Closed, Kind::Window, Kind::Due];
const LAPSES: [Lapse; 3] = [Lapse::Reclaim, Lapse::Unknown, Lapse::Failed];

fn words() -> [AtomicU64; SLOT_WORDS] {
    std::array::from_fn(|_| AtomicU64::new(!0))
}

fn fields(fingerprint: [u64; 4]) -> Fields {
    let fence = Fence::new(5).expect("small");
    Fields {
        identity: Identity::new(fingerprint),
        scope: 0x8001,
        attempt: 0x4002,
        deadline: Deadline::new(77, Lapse::Failed, Kind::Due, fence),
        digest: DigestWord::new(!0, 3, 9),
    }
}

/// Goal: a record is known by the first 224 bits of its fingerprint, all of them. Method: each bit
/// changed in turn, in a slot whose other fields are at their corners.
#[test]
fn identity_is_224_bits() {
    for fingerprint in [[0; 4], [!0; 4], [1, 2, 3, 4 << 32]] {
        let words = words();
        let slot = Slot::new(&words);
        slot.write(fields(fingerprint));
        assert!(slot.holds(&fingerprint));
        for bit in 0..256 {
            let mut other = fingerprint;
            other[bit / 64] ^= 1 << (bit % 64);
            // The last 32 bits are the low half of the last word.
            let stored = bit / 64 < 3 || bit % 64 >= 32;
            assert_eq!(slot.holds(&other), !stored, "bit {bit}");
        }
    }
}

/// Goal: the fields of a new record come back. Method: corners of scope, attempt and digest, over
/// words that held something else.
#[test]
fn fields_read_back() {
    for (scope, attempt) in [(0, 0), (0, 1), (1, 0), (0, u16::MAX), (u16::MAX, 0)] {
        let words = words();
        let slot = Slot::new(&words);
        let written = Fields { scope, attempt, ..fields([7; 4]) };
        slot.write(written);
        assert_eq!((slot.scope(), slot.attempt()), (scope, u32::from(attempt)));
        assert_eq!((slot.digest(), slot.deadline()), (written.digest, written.deadline));
        assert_eq!(slot.outcome(), 0);
    }
}

/// Goal: a digest word tells digest, version and key apart, and keeps the digest's upper 56 bits.
/// Method: corners of each; a digest that differs in a bit that is kept, or in one that is not.
#[test]
fn digest_words_pack() {
    for (version, key) in [(0, 0), (0, 15), (15, 0), (5, 10)] {
        for digest in [0, !0, 0x1234_5678_9abc_def0] {
            let word = DigestWord::new(digest, version, key);
            assert_eq!((word.version(), word.key_id()), (version, key));
            for bit in 0..64 {
                let other = DigestWord::new(digest ^ 1 << bit, version, key);
                assert_eq!(other == word, bit < 8, "bit {bit}");
            }
            // What is too large for its place spoils no other.
            assert_eq!(DigestWord::new(digest, version | 0xf0, key | 0xf0), word);
        }
    }
}

/// Goal: a deadline reads back whole, and belongs to one attempt. Method: every kind and policy
/// with corners of time and counter; counters that differ in one bit.
#[test]
fn deadlines_read_back() {
    for (kind, lapse) in KINDS.into_iter().flat_map(|kind| LAPSES.map(|lapse| (kind, lapse))) {
        for at_ms in [0, 1, Deadline::MAX_MS, Deadline::MAX_MS + 1, u64::MAX] {
            for counter in [0, 1, (1 << 20) - 1, 1 << 20, Fence::MAX] {
                let fence = Fence::new(counter).expect("in range");
                let deadline = Deadline::new(at_ms, lapse, kind, fence);
                let words = words();
                let slot = Slot::new(&words);
                slot.write(Fields { deadline, ..fields([7; 4]) });
                let read = slot.deadline();
                assert_eq!((read, read.at_ms), (deadline, at_ms.min((1 << 40) - 1)));
                assert_eq!((read.kind, read.lapse), (kind, lapse));
                let window = (kind == Kind::Window).then_some(read.at_ms);
                for bit in 0..44 {
                    let other = Fence::new(counter ^ 1 << bit).expect("in range");
                    assert_eq!(read.belongs_to(other), bit >= 20, "bit {bit}");
                    let end = slot.window_end(other);
                    assert_eq!(end, window.filter(|_| bit >= 20), "bit {bit}");
                }
                assert!(read.belongs_to(fence) && slot.window_end(fence) == window);
            }
        }
    }
}

/// Goal: a policy that nobody wrote is told apart, and the deadline that carries it can be changed.
/// Method: its bits.
#[test]
fn a_broken_policy_is_told_apart() {
    let words = words();
    let slot = Slot::new(&words);
    let broken = slot.deadline();
    assert_eq!((broken.lapse, broken.kind), (Lapse::Other, Kind::Due));
    assert_eq!(slot.change_deadline(broken, broken.with_kind(Kind::Closed)), Ok(()));
}

/// Goal: deadline and outcome are changed by comparing. Method: from what is there, and from what
/// is not.
#[test]
fn words_are_changed_by_comparing() {
    let words = words();
    let slot = Slot::new(&words);
    slot.write(fields([7; 4]));
    let before = slot.deadline();
    let after = before.with_kind(Kind::Closed);
    assert_eq!(slot.change_deadline(after, before), Err(before));
    assert_eq!((slot.change_deadline(before, after), slot.deadline()), (Ok(()), after));
    assert_eq!((slot.change_outcome(1, 2), slot.outcome()), (Err(0), 0));
    assert_eq!((slot.change_outcome(0, 2), slot.outcome()), (Ok(()), 2));
}

/// Goal: the attempt number only rises, for its own record, and hurts no other field. Method:
/// lower, equal and higher numbers, one that is too large, and a counter that is over.
#[test]
fn the_attempt_number_only_rises() {
    let table = table();
    let mut mine = running(&table, 1, Lapse::Reclaim);
    let slot = table.slot(mine.slot);
    let (scope, fingerprint) = (slot.scope(), [1 << 26, 1 << 48, 1, 1 << 32]);
    let fence = mine.seen.fence();
    for (attempt, expected) in [(0, 1), (1, 1), (5, 5), (4, 5), (5, 5), (6, 6)] {
        slot.raise_attempt(fence, attempt);
        assert_eq!(slot.attempt(), expected);
    }
    let next = fence.next_for(2).expect("small");
    mine.step(&table, Step::Take { fence: next, owner: 0 });
    slot.raise_attempt(fence, 9);
    assert_eq!(slot.attempt(), 6, "it is over");
    slot.raise_attempt(next, u32::MAX);
    assert_eq!(slot.attempt(), 0xffff);
    assert!(slot.scope() == scope && slot.holds(&fingerprint));
}
