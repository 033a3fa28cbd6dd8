//! References: what a record says of its outcome, in one word.
//!
//! ```text
//! in a chunk   0 | chunk (19) | offset in the chunk (16) | chunk's sequence (28), not zero
//! beside it    1 | status (16) | bytes of data (9) | window (9) | failed | metadata | fence (27)
//! no bytes     0 | fence (19) | zero (4) | failed | window (9) | kind (2) | sequence zero (28)
//! ```
//!
//! A reference of the second kind carries what a block's header would, so that the inline outcome
//! is data alone. The low bits of the fencing counter say which attempt left it: a reference of an
//! earlier attempt is never believed.

use super::Outcome;
use super::block::{UNIT_WORDS, WindowCode};
use crate::table::control::Fence;

/// Where a block lies: chunk, word in it, and the chunk's sequence at the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) chunk: usize,
    pub(super) offset: usize,
    pub(super) sequence: u64,
}

impl Place {
    pub(super) fn pack(self) -> u64 {
        (self.chunk as u64) << (UNIT_BITS + SEQUENCE_BITS)
            | ((self.offset / UNIT_WORDS) as u64) << SEQUENCE_BITS
            | self.sequence
    }

    pub(super) fn unpack(reference: u64) -> Option<Self> {
        let sequence = reference & MAX_SEQUENCE;
        let unit = reference >> SEQUENCE_BITS & UNIT_MASK;
        (sequence != 0 && reference & INLINE == 0).then_some(Self {
            chunk: (reference >> (UNIT_BITS + SEQUENCE_BITS)) as usize,
            offset: unit as usize * UNIT_WORDS,
            sequence,
        })
    }
}

/// What a reference says of an outcome that lies beside its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inline {
    pub(crate) window: WindowCode,
    pub(crate) failed: bool,
    pub(super) status: u16,
    pub(super) data_len: usize,
    pub(super) has_metadata: bool,
    low: u64,
}

impl Inline {
    pub(crate) fn new(fence: Fence, failed: bool, window: WindowCode, outcome: &Outcome) -> Self {
        Self {
            window,
            failed,
            status: outcome.status,
            data_len: outcome.data_len(),
            has_metadata: outcome.metadata_len != 0,
            low: fence.get() & LOW_MASK,
        }
    }

    #[inline]
    pub(crate) fn pack(self) -> u64 {
        INLINE
            | u64::from(self.status) << STATUS_SHIFT
            | (self.data_len as u64) << LEN_SHIFT
            | u64::from(self.window.bits()) << WINDOW_SHIFT
            | u64::from(self.failed) << FAILED_SHIFT
            | u64::from(self.has_metadata) << METADATA_SHIFT
            | self.low
    }

    /// What `reference` says, if the attempt that holds `fence` left it.
    #[inline]
    pub(crate) fn unpack(reference: u64, fence: Fence) -> Option<Self> {
        Self::compare(reference, fence, INLINE | LOW_MASK)
    }

    /// The same, if that attempt succeeded.
    #[inline(always)]
    pub(crate) fn of_success(reference: u64, fence: Fence) -> Option<Self> {
        Self::compare(reference, fence, INLINE | 1 << FAILED_SHIFT | LOW_MASK)
    }

    #[inline(always)]
    fn compare(reference: u64, fence: Fence, compared: u64) -> Option<Self> {
        let expected = INLINE | fence.get() & LOW_MASK;
        ((reference ^ expected) & compared == 0).then_some(Self {
            window: WindowCode::from_bits((reference >> WINDOW_SHIFT & 0x1ff) as u16),
            failed: reference >> FAILED_SHIFT & 1 == 1,
            status: (reference >> STATUS_SHIFT) as u16,
            data_len: (reference >> LEN_SHIFT & MAX_INLINE as u64) as usize,
            has_metadata: reference >> METADATA_SHIFT & 1 == 1,
            low: reference & LOW_MASK,
        })
    }
}

/// What a reference says of an attempt that finished without bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bare {
    pub(crate) failed: bool,
    pub(crate) window: WindowCode,
}

impl Bare {
    pub(crate) fn pack(self, fence: Fence) -> u64 {
        let window = u64::from(self.window.bits()) << BARE_WINDOW_SHIFT;
        no_bytes(fence, WITHOUT_BYTES) | window | u64::from(self.failed) << BARE_FAILED_SHIFT
    }

    /// What `reference` says, if the attempt that holds `fence` left it.
    pub(crate) fn unpack(reference: u64, fence: Fence) -> Option<Self> {
        let window = WindowCode::from_bits((reference >> BARE_WINDOW_SHIFT & 0x1ff) as u16);
        let bare = Self { failed: reference >> BARE_FAILED_SHIFT & 1 == 1, window };
        (bare.pack(fence) == reference).then_some(bare)
    }
}

/// The reference of an attempt that failed by its lapse. It names the attempt, so that a later one
/// does not believe it.
pub(crate) fn lapsed(fence: Fence) -> u64 {
    no_bytes(fence, LAPSED)
}

/// No block has sequence zero.
fn no_bytes(fence: Fence, kind: u64) -> u64 {
    (fence.low() & CHUNK_MASK) << (UNIT_BITS + SEQUENCE_BITS) | kind << SEQUENCE_BITS
}

const WITHOUT_BYTES: u64 = 1;
const LAPSED: u64 = 2;
const BARE_WINDOW_SHIFT: u32 = SEQUENCE_BITS + 2;
const BARE_FAILED_SHIFT: u32 = BARE_WINDOW_SHIFT + 9;
/// The most words of a chunk that references can reach.
pub(crate) const MAX_CHUNK_WORDS: usize = UNIT_WORDS << UNIT_BITS;
/// The most chunks that references can name.
pub(crate) const MAX_CHUNKS: usize = 1 << CHUNK_BITS;
/// The most bytes of data that a reference can tell.
const MAX_INLINE: usize = (1 << 9) - 1;

pub(super) const SEQUENCE_BITS: u32 = 28;
pub(super) const MAX_SEQUENCE: u64 = (1 << SEQUENCE_BITS) - 1;
pub(super) const CHUNK_BITS: u32 = 19;
pub(super) const CHUNK_MASK: u64 = (1 << CHUNK_BITS) - 1;
const UNIT_BITS: u32 = 16;
const UNIT_MASK: u64 = (1 << UNIT_BITS) - 1;
const INLINE: u64 = 1 << 63;
const LOW_BITS: u32 = 27;
const LOW_MASK: u64 = (1 << LOW_BITS) - 1;
const METADATA_SHIFT: u32 = LOW_BITS;
const FAILED_SHIFT: u32 = METADATA_SHIFT + 1;
const WINDOW_SHIFT: u32 = FAILED_SHIFT + 1;
const LEN_SHIFT: u32 = WINDOW_SHIFT + 9;
const STATUS_SHIFT: u32 = LEN_SHIFT + 9;

const _: () = assert!(CHUNK_BITS + UNIT_BITS + SEQUENCE_BITS + 1 == u64::BITS);
const _: () = assert!(STATUS_SHIFT + 16 == u64::BITS - 1, "the fields fill the word");

#[cfg(all(test, not(oncegate_loom)))]
mod tests {
    use super::*;

    /// Goal: a reference reads back, for its own attempt only, and is no place in a chunk.
    /// Method: corners of every field.
    #[test]
    fn references_read_back() {
        for (status, len, failed, metadata) in
            [(0, 0, false, false), (u16::MAX, 448, true, true), (201, 64, false, true)]
        {
            for fence in [0, 1, (1 << 27) - 1, Fence::MAX] {
                let fence = Fence::new(fence).expect("in range");
                let mut outcome = Outcome::new(status, vec![1; len]);
                outcome.metadata_len = u16::from(metadata);
                let mut inline = Inline::new(fence, failed, WindowCode::new(u64::MAX), &outcome);
                inline.data_len = len;
                let word = inline.pack();
                assert_eq!(Inline::unpack(word, fence), Some(inline));
                assert_eq!(Place::unpack(word), None);
                let other = Fence::new((fence.get() + 1) & Fence::MAX).expect("in range");
                assert_eq!(Inline::unpack(word, other), None);
            }
        }
        let place = Place { chunk: MAX_CHUNKS - 1, offset: 2, sequence: MAX_SEQUENCE };
        let fence = Fence::new(5).expect("small");
        assert_eq!(Place::unpack(place.pack()), Some(place));
        let bare = Bare { failed: true, window: WindowCode::new(u64::MAX) };
        let word = bare.pack(fence);
        assert_eq!(Bare::unpack(word, fence), Some(bare));
        assert_eq!(Bare::unpack(word, Fence::new(6).expect("small")), None);
        for word in [place.pack(), word, lapsed(fence), 0] {
            assert_eq!(Inline::unpack(word, fence), None);
        }
        for word in [place.pack(), lapsed(fence), 0] {
            assert_eq!(Bare::unpack(word, fence), None);
        }
    }
}
