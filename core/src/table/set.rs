//! A set: one cache line that finds, ages and arbitrates the slots of one home.
//!
//! ```text
//! words 0..   one 16-bit tag a way, four to a word; zero: vacant
//! words ..    one 8-bit age stamp a way, eight to a word
//! word 6      arbitration word: version (15) | pending | slot (28) | low bits of the fence (20)
//! word 7      fencing clock (48)
//! ```
//!
//! Tags are hints: a match is believed only after the slot confirms it. The age stamp is the
//! version's low byte at the record's last use, so it moves only when the set takes insertions,
//! and a record that is replayed again and again is stamped once per insertion at most.

use super::control::Fence;
use crate::region::WAYS;
use crate::sync::{AtomicU64, Ordering};

/// One set's line.
#[derive(Clone, Copy)]
pub(crate) struct SetLine<'a> {
    words: &'a [AtomicU64],
}

/// A set of ways, as a bit a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ways(u32);

impl Ways {
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn count(self) -> u32 {
        self.0.count_ones()
    }

    pub(crate) fn contains(self, way: usize) -> bool {
        self.0 >> way & 1 == 1
    }

    pub(crate) fn without(self, way: usize) -> Self {
        Self(self.0 & !(1 << way))
    }

    /// The first way at or after `way`, cyclically.
    pub(crate) fn first_from(self, way: usize) -> Option<usize> {
        let rotated = self.0 >> way | self.0 << (WAYS - way);
        (!self.is_empty()).then(|| (way + rotated.trailing_zeros() as usize) % WAYS)
    }
}

impl std::ops::Not for Ways {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0 & ((1 << WAYS) - 1))
    }
}

impl Iterator for Ways {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let way = self.first_from(0)?;
        self.0 &= self.0 - 1;
        Some(way)
    }
}

/// A plain copy of an arbitration word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arbitration {
    version: u64,
    pub(crate) pending: bool,
    pub(crate) slot: usize,
    pub(crate) fence_low: u64,
}

impl Arbitration {
    fn unpack(word: u64) -> Self {
        Self {
            version: word >> VERSION_SHIFT,
            pending: word >> PENDING_SHIFT & 1 == 1,
            slot: (word >> Fence::LOW_BITS & SLOT_MASK) as usize,
            fence_low: word & LOW_MASK,
        }
    }

    fn pack(self) -> u64 {
        self.version << VERSION_SHIFT
            | u64::from(self.pending) << PENDING_SHIFT
            | (self.slot as u64 & SLOT_MASK) << Fence::LOW_BITS
            | self.fence_low
    }

    /// The set's age clock: a byte that moves with every insertion.
    pub(crate) fn age_clock(self) -> u8 {
        self.version as u8
    }

    fn following(self, pending: bool, slot: usize, fence: Fence) -> Self {
        let version = (self.version + 1) & VERSION_MASK;
        Self { version, pending, slot, fence_low: fence.low() }
    }
}

impl<'a> SetLine<'a> {
    pub(super) fn new(words: &'a [AtomicU64]) -> Self {
        Self { words }
    }

    /// The ways whose tag is `tag`. Racy: a hint.
    #[inline]
    pub(super) fn matching(self, tag: u16) -> Ways {
        let spread = u64::from(tag) * LANES;
        let mut ways = 0;
        for (i, word) in self.words[..TAG_WORDS].iter().enumerate() {
            // Acquire: pairs with the Release of `set_tag`; a tag that is seen was set by a claim
            // whose slot is then visible. Also keeps this load after that of the arbitration word.
            let lanes = word.load(Ordering::Acquire) ^ spread;
            ways |= zero_lanes(lanes) << (i * LANES_PER_WORD);
        }
        Ways(ways)
    }

    /// The ways that look vacant. Racy: a hint.
    #[inline]
    pub(super) fn vacant(self) -> Ways {
        self.matching(0)
    }

    /// Sets the tag of a way whose slot the caller has claimed (rule 5).
    pub(super) fn set_tag(self, way: usize, tag: u16) {
        let (word, shift) = (&self.words[way / LANES_PER_WORD], way % LANES_PER_WORD * 16);
        // Relaxed: only the claimer of the slot changes this lane, so the lane cannot move.
        let old = word.load(Ordering::Relaxed) >> shift & 0xffff;
        // Release: pairs with the Acquire of `matching`; carries the claim to whoever sees it.
        word.fetch_xor((old ^ u64::from(tag)) << shift, Ordering::Release);
    }

    /// Stamps `way` as used at `clock`, unless it already is. A caller whose clock is behind the
    /// stamp changes nothing: ages never step backwards.
    #[inline]
    pub(super) fn touch(self, way: usize, clock: u8) {
        let (word, shift) = (&self.words[AGES_AT + way / 8], way % 8 * 8);
        // Relaxed, all three: an age stamp is a hint for eviction; it publishes nothing.
        let mut ages = word.load(Ordering::Relaxed);
        loop {
            let age = clock.wrapping_sub((ages >> shift) as u8);
            if age == 0 || age > OLDEST + AGING_PERIOD {
                return;
            }
            let next = ages & !(0xff << shift) | u64::from(clock) << shift;
            match word.compare_exchange_weak(ages, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(found) => ages = found,
            }
        }
    }

    /// Stamps a way afresh for a new record, whatever stamp the old one left.
    pub(super) fn stamp(self, way: usize, clock: u8) {
        let (word, shift) = (&self.words[AGES_AT + way / 8], way % 8 * 8);
        // Relaxed, both: as in `touch`.
        let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ages| {
            Some(ages & !(0xff << shift) | u64::from(clock) << shift)
        });
    }

    /// How many insertions ago each way was last used. A stamp that is ahead of `clock`, because
    /// somebody inserted since it was read, is the newest and not the oldest.
    pub(super) fn ages(self, clock: u8) -> [u8; WAYS] {
        let mut ages = [0; WAYS];
        for (word, ages) in self.words[AGES_AT..].iter().zip(ages.chunks_mut(8)) {
            // Relaxed: as in `touch`.
            let stamps = word.load(Ordering::Relaxed).to_le_bytes();
            for (age, stamp) in ages.iter_mut().zip(stamps) {
                let behind = clock.wrapping_sub(stamp);
                *age = if behind > OLDEST + AGING_PERIOD { 0 } else { behind };
            }
        }
        ages
    }

    /// Keeps the stamps of unused records from coming round: none is left older than
    /// [`OLDEST`]. Called at least once in [`AGING_PERIOD`] insertions.
    pub(super) fn limit_ages(self, clock: u8) {
        for (way, age) in self.ages(clock).into_iter().enumerate() {
            if age > OLDEST {
                self.stamp(way, clock.wrapping_sub(OLDEST));
            }
        }
    }

    #[inline]
    pub(super) fn arbitration(self) -> Arbitration {
        // Acquire: pairs with the AcqRel of `arbitrate`; every insertion up to this version is
        // visible to the scan that follows.
        Arbitration::unpack(self.words[ARBITRATION].load(Ordering::Acquire))
    }

    /// Wins the insertion of `slot` if nobody inserted since `seen` was read.
    pub(super) fn arbitrate(
        self,
        seen: Arbitration,
        slot: usize,
        fence: Fence,
    ) -> Result<Arbitration, ()> {
        self.swap_arbitration(seen, seen.following(true, slot, fence))
    }

    /// Makes the arbitrations that started before this call fail, without inserting.
    pub(super) fn disturb(self, seen: Arbitration) -> Result<Arbitration, ()> {
        let version = (seen.version + 1) & VERSION_MASK;
        self.swap_arbitration(seen, Arbitration { version, ..seen })
    }

    /// Notes that the pending insertion `seen` is finished. Somebody else may have been faster.
    pub(super) fn settle(self, seen: Arbitration) {
        let _ = self.swap_arbitration(seen, Arbitration { pending: false, ..seen });
    }

    /// The next fencing counter for `attempt` on this home: above every counter that the home
    /// gave out, above `at_least`. `None` at the end of the counter.
    pub(super) fn next_fence(self, at_least: Fence, attempt: u32) -> Option<Fence> {
        let word = &self.words[CLOCK];
        // Relaxed: the counter only has to be unique and growing, which the modification order
        // of this one word gives; the control word publishes it.
        let mut clock = word.load(Ordering::Relaxed);
        loop {
            let next = Fence::new(clock)?.max(at_least).next_for(attempt)?;
            // Relaxed, both: as above.
            match word.compare_exchange_weak(
                clock,
                next.get(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(next),
                Err(found) => clock = found,
            }
        }
    }

    /// The highest counter that this home gave out.
    pub(super) fn fence_clock(self) -> u64 {
        // Relaxed: as in `next_fence`.
        self.words[CLOCK].load(Ordering::Relaxed)
    }

    fn swap_arbitration(self, from: Arbitration, to: Arbitration) -> Result<Arbitration, ()> {
        // AcqRel: the linearization point of an insertion. It publishes the slot and its tag to
        // whoever reads this version, and orders this insertion after those that it has seen.
        // Relaxed on failure: the caller reads the word again.
        self.words[ARBITRATION]
            .compare_exchange(from.pack(), to.pack(), Ordering::AcqRel, Ordering::Relaxed)
            .map(|_| to)
            .map_err(|_| ())
    }
}

/// A bit for each of the four 16-bit lanes that is zero. Exact, no false positives.
#[inline]
fn zero_lanes(lanes: u64) -> u32 {
    const LOW15: u64 = 0x7fff * LANES;
    // The top bit of each lane that is zero, and nothing else.
    let zero = !(((lanes & LOW15) + LOW15) | lanes | LOW15);
    ((zero >> 15 | zero >> 30 | zero >> 45 | zero >> 60) & 0xf) as u32
}

/// No age stamp is left older than this many insertions.
pub(super) const OLDEST: u8 = 128;
/// How many insertions may pass between two calls of [`SetLine::limit_ages`].
pub(super) const AGING_PERIOD: u8 = 64;

const LANES: u64 = 0x0001_0001_0001_0001;
const LANES_PER_WORD: usize = 4;
const TAG_WORDS: usize = WAYS / LANES_PER_WORD;
const AGES_AT: usize = 4;
const ARBITRATION: usize = 6;
const CLOCK: usize = 7;
const SLOT_BITS: u32 = 28;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;
const LOW_MASK: u64 = (1 << Fence::LOW_BITS) - 1;
const PENDING_SHIFT: u32 = Fence::LOW_BITS + SLOT_BITS;
const VERSION_SHIFT: u32 = PENDING_SHIFT + 1;
const VERSION_MASK: u64 = (1 << (u64::BITS - VERSION_SHIFT)) - 1;

/// The slots that an arbitration word can name.
pub(crate) const MAX_SLOTS: usize = 1 << SLOT_BITS;

const _: () = assert!(OLDEST as u32 + (AGING_PERIOD as u32) < 208, "room to see a clock behind");
const _: () = assert!(WAYS <= 16 && AGES_AT >= TAG_WORDS, "tags and ages fit their words");

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
