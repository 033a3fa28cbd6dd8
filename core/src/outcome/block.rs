//! A block: one outcome in a chunk, or the journal of a record that is retried.
//!
//! ```text
//! word 0    fencing counter (48) | status (16)
//! word 1    slot (28) | bytes of data (24) | window (9) | failed | journal | has metadata
//! word 2..  data: length of the metadata (a word, if there is any), metadata, body
//! ```
//!
//! Slot and fencing counter name the attempt that wrote it: a pair that never comes again.

use super::{Outcome, words};
use crate::sync::planted::Bug;
use crate::sync::{AtomicU64, Ordering};
use crate::table::control::Fence;

/// Who wrote a block, and what kind of end it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) slot: usize,
    pub(crate) fence: Fence,
    pub(crate) failed: bool,
    /// Whether it is no outcome but a journal: an entry refers to it, and not the record.
    pub(crate) journal: bool,
    pub(crate) window: WindowCode,
    pub(super) status: u16,
    pub(super) data_len: usize,
    pub(super) has_metadata: bool,
}

/// A dedup window in nine bits, rounded up by at most an eighth.
///
/// Whoever finds a finished record whose window was never written takes it from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowCode(u16);

impl WindowCode {
    pub(crate) fn new(window_ms: u64) -> Self {
        let power = window_ms.max(1).ilog2();
        if power < 3 {
            return Self(window_ms as u16);
        }
        let shift = power - 3;
        let mantissa = window_ms.div_ceil(1 << shift).min(15 + 1);
        // A mantissa that rounds up to the next power carries into the exponent.
        Self((((shift + 1) as u16) << 3) + (mantissa as u16 - 8))
    }

    pub(super) fn bits(self) -> u16 {
        self.0
    }

    pub(super) fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    pub(crate) fn ms(self) -> u64 {
        let (exponent, mantissa) = (self.0 >> 3, u64::from(self.0 & 0b111));
        match exponent {
            0 => mantissa,
            _ => (mantissa + 8) << (exponent - 1).min(40),
        }
    }
}

impl Header {
    pub(crate) fn new(
        slot: usize,
        fence: Fence,
        failed: bool,
        window: WindowCode,
        outcome: &Outcome,
    ) -> Self {
        Self {
            slot,
            fence,
            failed,
            journal: false,
            window,
            status: outcome.status,
            data_len: outcome.data_len(),
            has_metadata: outcome.metadata_len != 0,
        }
    }

    /// The header of a journal of `data_len` bytes.
    pub(crate) fn of_journal(slot: usize, fence: Fence, journal: &Outcome) -> Self {
        let header = Self::new(slot, fence, false, WindowCode::new(0), journal);
        Self { journal: true, ..header }
    }

    /// Words of the whole block.
    pub(super) fn words(&self) -> usize {
        words_for(self.data_len)
    }

    /// Reads the header at the start of `words`. Any bytes give some header.
    pub(super) fn read(words: &[AtomicU64]) -> Option<Self> {
        // Acquire: pairs with the Release of `write`; see `words::read`.
        let first = words.first()?.load(Ordering::Acquire);
        let second = words.get(1)?.load(Ordering::Acquire);
        Self::of_words([first, second])
    }

    /// What the words of a header say, whatever they are.
    pub(super) fn of_words([first, second]: [u64; HEADER_WORDS]) -> Option<Self> {
        Some(Self {
            fence: Fence::new(first >> 16)?,
            status: first as u16,
            slot: (second >> 36) as usize,
            data_len: (second >> 12 & MAX_DATA as u64) as usize,
            window: WindowCode((second >> 3 & 0x1ff) as u16),
            failed: second >> 2 & 1 == 1,
            journal: second >> 1 & 1 == 1,
            has_metadata: second & 1 == 1,
        })
    }

    /// Writes the block to `words`, which nobody else writes.
    pub(super) fn write(&self, outcome: &Outcome, words: &[AtomicU64]) {
        let first = self.fence.get() << 16 | u64::from(self.status);
        let second = (self.slot as u64) << 36
            | (self.data_len as u64) << 12
            | u64::from(self.window.0) << 3
            | u64::from(self.failed) << 2
            | u64::from(self.journal) << 1
            | u64::from(self.has_metadata);
        for (word, value) in words.iter().zip([first, second]) {
            // Release: a reader that sees this word sees that the chunk was recycled for it.
            word.store(value, Bug::RelaxedOutcome.weakens(Ordering::Release));
        }
        words::write(outcome, words.get(HEADER_WORDS..self.words()).unwrap_or_default());
    }

    /// Copies the data that follows the header at the start of `words`. False: impossible sizes.
    pub(super) fn read_data(&self, words: &[AtomicU64], into: &mut Outcome) -> bool {
        into.status = self.status;
        words
            .get(HEADER_WORDS..self.words())
            .is_some_and(|data| words::read(data, self.data_len, self.has_metadata, into))
    }
}

/// Words of a block with `data_len` bytes of data, rounded to the unit of references.
pub(super) fn words_for(data_len: usize) -> usize {
    (HEADER_WORDS + data_len.div_ceil(size_of::<u64>())).next_multiple_of(UNIT_WORDS)
}

pub(super) const HEADER_WORDS: usize = 2;
/// Blocks start at multiples of this many words.
pub(super) const UNIT_WORDS: usize = 2;
/// The most bytes of data that a header can tell.
pub(super) const MAX_DATA: usize = (1 << 24) - 1;

#[cfg(all(test, not(oncegate_loom)))]
mod tests {
    use super::*;

    /// Goal: a window read back is never shorter, nor longer by more than an eighth.
    /// Method: all small values, and values around each power of two.
    #[test]
    fn window_codes_round_up() {
        let around = (0..40).flat_map(|p| (0..3).map(move |d| (1_u64 << p) + d - 1));
        for ms in (0..5_000).chain(around) {
            let back = WindowCode::new(ms).ms();
            assert!(back >= ms && back <= ms + ms / 7 + 1, "{ms} became {back}");
        }
    }

    /// Goal: what is written is read. Method: sizes around the word, with and without metadata.
    #[test]
    fn blocks_read_back() {
        for len in 0..40 {
            for metadata in [false, true] {
                let mut outcome = Outcome::new(207, vec![7; len]);
                if metadata {
                    outcome = outcome.with_metadata("name", "value").expect("small");
                }
                let fence = Fence::new(99).expect("small");
                let header = Header::new(5, fence, true, WindowCode::new(3), &outcome);
                let words: Vec<AtomicU64> =
                    (0..header.words()).map(|_| AtomicU64::new(!0)).collect();
                header.write(&outcome, &words);
                let read = Header::read(&words).expect("two words");
                assert_eq!(read, header);
                let mut back = Outcome::default();
                assert!(read.read_data(&words, &mut back));
                assert_eq!(back, outcome);
            }
        }
    }
}
