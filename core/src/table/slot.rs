//! A slot: one cache line that holds one record.
//!
//! ```text
//! word 0..2   fingerprint, first 192 bits
//! word 3      fingerprint, next 32 bits | scope entry (16) | attempt (16)
//! word 4      control word
//! word 5      deadline in ms (40) | lapse policy (2) | kind (2) | low bits of the fence (20)
//! word 6      payload digest (56) | digest version (4) | key id (4)
//! word 7      outcome reference (see `outcome::reference`)
//! ```
//!
//! The lines that follow hold the outcome, if it is small enough (rule 6).
//!
//! The record is identified by 224 bits of its fingerprint; the last 32 bits give their place to
//! scope and attempt, which keeps a record within one line. A truncated HMAC-SHA-256 of that
//! length is as strong as SHA-224.

use super::control::{ControlWord, Fence};
use crate::region::SLOT_WORDS;
use crate::sync::planted::Bug;
use crate::sync::{AtomicU64, Ordering};

/// What a record's fields say, apart from its control word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) identity: Identity,
    pub(crate) scope: u16,
    pub(crate) attempt: u16,
    pub(crate) deadline: Deadline,
    pub(crate) digest: DigestWord,
}

/// The part of a fingerprint that a slot stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity([u64; 4]);

impl Identity {
    pub(crate) fn new(fingerprint: [u64; 4]) -> Self {
        let [a, b, c, d] = fingerprint;
        Self([a, b, c, d & IDENTITY_MASK])
    }
}

/// A payload digest as a slot stores it: 56 bits of it, its version, and the key's short id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DigestWord(u64);

impl DigestWord {
    #[inline]
    pub(crate) fn new(digest: u64, version: u8, key_id: u8) -> Self {
        Self(digest & !0xff | u64::from(version & 0xf) << 4 | u64::from(key_id & 0xf))
    }

    /// The word as another table compares it: without the short id, which is this table's own.
    pub(crate) fn without_key(self) -> u64 {
        self.0 & !0xf
    }

    /// The word as this table keeps it, with the short id of its key.
    pub(crate) fn with_key(self, key_id: u8) -> Self {
        Self(self.0 & !0xf | u64::from(key_id & 0xf))
    }

    /// The copy of a word that another table has told.
    pub(crate) fn of_word(word: u64) -> Self {
        Self(word)
    }

    pub(crate) fn version(self) -> u8 {
        (self.0 >> 4 & 0xf) as u8
    }

    pub(crate) fn key_id(self) -> u8 {
        (self.0 & 0xf) as u8
    }
}

/// What a deadline means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The lease lasts until then.
    Lease = 0,
    /// The lease has lapsed and can no longer be renewed.
    Closed = 1,
    /// The finished record answers duplicates until then.
    Window = 2,
    /// The next attempt may start then.
    Due = 3,
}

/// What happens to an attempt whose lease lapsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Lapse {
    Reclaim = 0,
    Unknown = 1,
    Failed = 2,
    /// What nobody writes: it counts as `Unknown`, which runs nothing again.
    Other = 3,
}

/// A point in time with its meaning, tied to one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// Milliseconds since the region was opened.
    pub(crate) at_ms: u64,
    pub(crate) lapse: Lapse,
    pub(crate) kind: Kind,
    low: u64,
}

impl Deadline {
    /// The latest time that fits, 34 years after the region was opened.
    pub(crate) const MAX_MS: u64 = (1 << 40) - 1;

    pub(crate) fn new(at_ms: u64, lapse: Lapse, kind: Kind, fence: Fence) -> Self {
        Self { at_ms: at_ms.min(Self::MAX_MS), lapse, kind, low: fence.low() }
    }

    /// Whether it was written for the attempt that holds `fence`.
    pub(crate) fn belongs_to(self, fence: Fence) -> bool {
        self.low == fence.low()
    }

    /// Whether a lease with this deadline lasts at `now_ms`.
    #[inline]
    pub(crate) fn lasts(self, now_ms: u64) -> bool {
        self.at_ms > now_ms + u64::from(Bug::DeadlineOffByOne.is_planted())
    }

    pub(crate) fn with_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    pub(super) fn unpack(word: u64) -> Self {
        let lapse = match word >> 22 & 0b11 {
            0 => Lapse::Reclaim,
            1 => Lapse::Unknown,
            2 => Lapse::Failed,
            _ => Lapse::Other,
        };
        let kind = match word >> 20 & 0b11 {
            0 => Kind::Lease,
            1 => Kind::Closed,
            2 => Kind::Window,
            _ => Kind::Due,
        };
        Self { at_ms: word >> 24, lapse, kind, low: word & LOW_MASK }
    }

    fn pack(self) -> u64 {
        self.at_ms << 24 | (self.lapse as u64) << 22 | (self.kind as u64) << 20 | self.low
    }
}

/// One slot of the region.
#[derive(Clone, Copy)]
pub(crate) struct Slot<'a> {
    words: &'a [AtomicU64; SLOT_WORDS],
}

impl<'a> Slot<'a> {
    #[inline]
    pub(super) fn new(words: &'a [AtomicU64; SLOT_WORDS]) -> Self {
        Self { words }
    }

    #[inline]
    pub(crate) fn control(self) -> ControlWord<'a> {
        ControlWord::new(&self.words[CONTROL])
    }

    /// Whether the stored identity is that of `fingerprint`. Believe it only under rule 1.
    #[inline(always)]
    pub(super) fn holds(self, [a, b, c, d]: &[u64; 4]) -> bool {
        // Acquire: pairs with the Release stores of `write`, so that a reader who sees a later
        // record's word also sees that record's claim when it reads the control word again.
        let word = |i: usize| self.words[i].load(Ordering::Acquire);
        word(0) == *a && word(1) == *b && word(2) == *c && (word(3) ^ d) & IDENTITY_MASK == 0
    }

    /// The first word of the identity. Believe it only under rule 1.
    pub(crate) fn first_word(self) -> u64 {
        // Acquire: as in `holds`.
        self.words[0].load(Ordering::Acquire)
    }

    /// What is stored of the fingerprint; the rest is zero. Believe it only under rule 1.
    pub(crate) fn identity(self) -> [u64; 4] {
        // Acquire: as in `holds`.
        let [a, b, c, d] = [0, 1, 2, 3].map(|word: usize| self.words[word].load(Ordering::Acquire));
        [a, b, c, d & IDENTITY_MASK]
    }

    /// The payload digest. Believe it only under rule 1.
    #[inline]
    pub(crate) fn digest(self) -> DigestWord {
        // Acquire: as in `holds`.
        DigestWord(self.words[DIGEST].load(Ordering::Acquire))
    }

    /// The scope's entry. Believe it only under rule 1.
    #[inline]
    pub(crate) fn scope(self) -> u16 {
        // Acquire: as in `holds`.
        (self.words[3].load(Ordering::Acquire) >> 16) as u16
    }

    /// The attempt number as it was recorded, which may lag (rule 4). Believe it only under rule 1.
    #[inline]
    pub(crate) fn attempt(self) -> u32 {
        // Acquire: as in `holds`.
        (self.words[3].load(Ordering::Acquire) & ATTEMPT_WORD_MASK) as u32
    }

    /// Writes a new record into a slot that the caller has claimed.
    pub(super) fn write(self, fields: Fields) {
        let [a, b, c, d] = fields.identity.0;
        let last = d | u64::from(fields.scope) << 16 | u64::from(fields.attempt);
        let values = [a, b, c, last];
        // Release: pairs with the Acquire loads of `holds` and its like; a reader that sees one
        // of these words sees the claim that came before it.
        for (word, value) in self.words.iter().zip(values) {
            word.store(value, Ordering::Release);
        }
        // Release: as above.
        self.words[DEADLINE].store(fields.deadline.pack(), Ordering::Release);
        self.words[DIGEST].store(fields.digest.0, Ordering::Release);
        self.words[OUTCOME].store(0, Ordering::Release);
    }

    #[inline]
    pub(crate) fn deadline(self) -> Deadline {
        // Acquire: pairs with the AcqRel of `change_deadline`; whoever sees a closed lease also
        // sees everything that its holder did before a renewal that came earlier.
        Deadline::unpack(self.words[DEADLINE].load(Ordering::Acquire))
    }

    /// When the dedup window of the attempt `fence` ends, if it has finished and said so.
    #[inline]
    pub(crate) fn window_end(self, fence: Fence) -> Option<u64> {
        const KIND: u64 = 0b11 << 20;
        // Acquire: as in `deadline`.
        let word = self.words[DEADLINE].load(Ordering::Acquire);
        let expected = (Kind::Window as u64) << 20 | fence.low();
        ((word ^ expected) & (KIND | LOW_MASK) == 0).then_some(word >> 24)
    }

    /// Puts `to` in the place of `from` (rule 2). `Err` carries what stands there instead.
    pub(super) fn change_deadline(self, from: Deadline, to: Deadline) -> Result<(), Deadline> {
        // AcqRel, and Acquire on failure: pairs with `deadline` and with itself; renewal and
        // lapse of one lease are ordered by this word alone.
        self.words[DEADLINE]
            .compare_exchange(from.pack(), to.pack(), Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
            .map_err(Deadline::unpack)
    }

    /// Brings the recorded attempt number up to `attempt`, while `fence` is the record's (rule 4).
    /// It never goes back.
    ///
    /// A caller that stalls before the swap, while the record goes and the same request comes to
    /// lie in the same slot again, leaves a number there that is too high by four. Nothing but
    /// what callers are told depends on it: fencing counters decide.
    pub(super) fn raise_attempt(self, fence: Fence, attempt: u32) {
        let attempt = u64::from(u16::try_from(attempt).unwrap_or(u16::MAX));
        // Acquire: pairs with the Release of `write`, so that the counter that is loaded next is
        // not older than the record whose word this is.
        let mut word = self.words[3].load(Ordering::Acquire);
        while word & ATTEMPT_WORD_MASK < attempt && !Bug::AttemptNotRaised.is_planted() {
            if self.control().load().fence() != fence {
                return;
            }
            let next = word & !ATTEMPT_WORD_MASK | attempt;
            // AcqRel: a reader of this word keeps seeing the claim that wrote its identity.
            // Acquire on failure: as for the load.
            let swap =
                self.words[3].compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire);
            match swap {
                Ok(_) => return,
                Err(found) => word = found,
            }
        }
    }

    /// The outcome reference; zero for none.
    #[inline]
    pub(crate) fn outcome(self) -> u64 {
        // Acquire: pairs with the Release of `change_outcome`; the block is written before it is
        // referred to.
        self.words[OUTCOME].load(Ordering::Acquire)
    }

    /// Puts the reference `to` in the place of `from` (rule 3).
    pub(crate) fn change_outcome(self, from: u64, to: u64) -> Result<(), u64> {
        // AcqRel: publishes the block to the Acquire of `outcome`. Acquire on failure: the block
        // that stands there instead will be read.
        self.words[OUTCOME]
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
    }
}

pub(super) const CONTROL: usize = 4;
pub(super) const DEADLINE: usize = 5;
const DIGEST: usize = 6;
const OUTCOME: usize = 7;
const IDENTITY_MASK: u64 = !0 << 32;
const ATTEMPT_WORD_MASK: u64 = 0xffff;
const LOW_MASK: u64 = (1 << Fence::LOW_BITS) - 1;

const _: () = assert!(Fence::LOW_BITS == 20, "the deadline fills a word");

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
