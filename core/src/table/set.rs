//! A set: one cache line that finds, ages and arbitrates the slots of one home.
//!
//! ```text
//! words 0..3  one 8-bit tag a way, eight to a word; zero: vacant
//! words 4, 5  one 4-bit age stamp a way, sixteen to a word
//! word 6      arbitration word: version (15) | pending | slot (28) | low bits of the fence (20)
//! word 7      fencing clock (48)
//! ```
//!
//! Tags are hints: a match is believed only after the slot confirms it. An age stamp is the set's
//! age clock at the record's last use, and that clock goes on once in four insertions: so a
//! record that is replayed again and again is stamped once in a tick at most, and replays write
//! nothing.

use std::fmt;

use super::control::Fence;
use super::lanes::{LANES, Lanes};
use crate::region::{LINE_WORDS, WAYS};
use crate::sync::planted::Bug;
use crate::sync::{AtomicU64, Ordering};

/// One set's line.
#[derive(Clone, Copy)]
pub(crate) struct SetLine<'a> {
    words: &'a [AtomicU64; LINE_WORDS],
}

/// A set of ways, as a bit a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ways(u32);

impl Ways {
    pub(crate) fn count(self) -> u32 {
        self.0.count_ones()
    }

    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn contains(self, way: usize) -> bool {
        self.0 >> way & 1 == 1
    }

    pub(crate) fn without(self, way: usize) -> Self {
        Self(self.0 & !(1 << way))
    }

    pub(crate) fn with(self, way: usize) -> Self {
        Self(self.0 | 1 << way)
    }

    /// The first way at or after `way`, cyclically.
    pub(crate) fn first_from(self, way: usize) -> Option<usize> {
        let after = self.0 & (!0 << way);
        let first = if after == 0 { self.0 } else { after };
        (first != 0).then(|| first.trailing_zeros() as usize)
    }
}

impl std::ops::Not for Ways {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0 & ALL_WAYS)
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
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arbitration(u64);

impl Arbitration {
    /// How many insertions there were, as far as the word can count.
    #[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
    pub(super) fn version(self) -> u16 {
        (self.0 >> VERSION_SHIFT) as u16
    }

    /// The copy of a word that was read from a file, whatever it says.
    #[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
    pub(super) fn of_word(word: u64) -> Self {
        Self(word)
    }

    /// Whether the insertion that it names is to be finished yet.
    #[inline]
    pub(super) fn pending(self) -> bool {
        self.0 & PENDING != 0
    }

    pub(super) fn slot(self) -> usize {
        (self.0 >> Fence::LOW_BITS & SLOT_MASK) as usize
    }

    /// The low bits of the fencing counter of the insertion that it names.
    pub(super) fn fence_low(self) -> u64 {
        self.0 & LOW_MASK
    }

    /// The set's age clock: a nibble that goes on once in four insertions.
    #[inline]
    pub(crate) fn age_clock(self) -> u8 {
        (self.0 >> (VERSION_SHIFT + TICK_SHIFT)) as u8 & STAMP_MASK
    }

    /// The age clock after the next insertion.
    pub(super) fn next_age_clock(self) -> u8 {
        self.next_version().age_clock()
    }

    /// Whether the age clock went on with this version.
    pub(super) fn ticks(self) -> bool {
        (self.0 >> VERSION_SHIFT).is_multiple_of(1 << TICK_SHIFT)
    }

    /// The highest field: it wraps by itself.
    fn next_version(self) -> Self {
        Self(self.0.wrapping_add(1 << VERSION_SHIFT))
    }

    fn following(self, slot: usize, fence: Fence) -> Self {
        let version = self.next_version().0 & !(PENDING | SLOT_MASK << Fence::LOW_BITS | LOW_MASK);
        Self(version | PENDING | (slot as u64 & SLOT_MASK) << Fence::LOW_BITS | fence.low())
    }

    fn settled(self) -> Self {
        Self(self.0 & !PENDING)
    }
}

impl fmt::Debug for Arbitration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arbitration")
            .field("version", &(self.0 >> VERSION_SHIFT))
            .field("pending", &self.pending())
            .field("slot", &self.slot())
            .field("fence_low", &self.fence_low())
            .finish()
    }
}

impl<'a> SetLine<'a> {
    pub(super) fn new(words: &'a [AtomicU64; LINE_WORDS]) -> Self {
        Self { words }
    }

    /// The ways whose tag is `tag`. Racy: a hint.
    #[inline]
    pub(super) fn matching(self, tag: u8) -> Ways {
        // Acquire: pairs with the Release of `set_tag`; a tag that is seen was set by a claim
        // whose slot is then visible. Also keeps these loads after that of the arbitration word.
        let tags = first_words(|i| self.words[i].load(Ordering::Acquire), TAG_WORDS);
        Ways(Lanes::of_bytes(tags).equal(tag) & ALL_WAYS)
    }

    /// Whether the tag of `way` is `tag`. Racy: a hint.
    #[inline]
    pub(super) fn has_tag(self, way: usize, tag: u8) -> bool {
        // Acquire: as in `matching`.
        let tags = self.words[way / TAGS_PER_WORD].load(Ordering::Acquire);
        (tags >> (way % TAGS_PER_WORD * 8)) as u8 == tag
    }

    /// The ways that look vacant. Racy: a hint.
    #[inline]
    pub(super) fn vacant(self) -> Ways {
        self.matching(0)
    }

    /// The ways that look vacant, and the others with their ages at one moment, to choose the
    /// oldest by. Racy: hints.
    ///
    /// Not inlined: where its bits are used, the compiler would take its vectors to pieces.
    #[inline(never)]
    pub(super) fn vacant_and_oldest(self) -> (Ways, OldestFirst) {
        // Acquire: as in `matching`. Relaxed: as in `touch`.
        let tags = first_words(|i| self.words[i].load(Ordering::Acquire), TAG_WORDS);
        let stamps = first_words(|i| self.words[AGES_AT + i].load(Ordering::Relaxed), AGE_WORDS);
        let tags = Lanes::of_bytes(tags);
        let ages = Lanes::of_nibbles(stamps).behind(self.age_clock(), OLDEST);
        (Ways(tags.equal(0) & ALL_WAYS), OldestFirst::new(ages.counted_where(tags)))
    }

    /// Sets the tag of a way whose slot the caller has claimed (rule 5).
    pub(super) fn set_tag(self, way: usize, tag: u8) {
        let (word, shift) = (&self.words[way / TAGS_PER_WORD], way % TAGS_PER_WORD * 8);
        // Relaxed: only the claimer of the slot changes this lane, so the lane cannot move.
        let old = (word.load(Ordering::Relaxed) >> shift) as u8;
        // Release: pairs with the Acquire of `matching`; carries the claim to whoever sees it.
        word.fetch_xor(u64::from(old ^ tag) << shift, Ordering::Release);
    }

    /// Stamps `way` as used at `clock`, unless it already is. A caller whose clock is behind the
    /// stamp changes nothing: ages never step backwards.
    #[inline]
    pub(super) fn touch(self, way: usize, clock: u8) {
        let (word, shift) = self.stamp_of(way);
        // Relaxed: an age stamp is a hint for eviction; it publishes nothing.
        let age = behind(clock, (word.load(Ordering::Relaxed) >> shift) as u8);
        if age != 0 {
            self.restamp(way, clock);
        }
    }

    #[cold]
    fn restamp(self, way: usize, clock: u8) {
        let (word, shift) = self.stamp_of(way);
        // Relaxed, both: as in `touch`.
        let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |stamps| {
            let age = behind(clock, (stamps >> shift) as u8);
            (age != 0).then(|| with_stamp(stamps, shift, clock))
        });
    }

    /// Stamps a way afresh for a new record, whatever stamp the old one left.
    pub(super) fn stamp(self, way: usize, clock: u8) {
        let (word, shift) = self.stamp_of(way);
        // Relaxed, both: as in `touch`.
        let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |stamps| {
            Some(with_stamp(stamps, shift, clock))
        });
    }

    /// How many ticks ago the record of `way` was last used. A stamp that is ahead of `clock`,
    /// because somebody inserted since it was read, is the newest and not the oldest.
    pub(super) fn age(self, way: usize, clock: u8) -> u8 {
        let (word, shift) = self.stamp_of(way);
        // Relaxed: as in `touch`.
        behind(clock, (word.load(Ordering::Relaxed) >> shift) as u8)
    }

    /// Keeps the stamps of unused records from coming round: none is left older than
    /// [`OLDEST`] less one. Called whenever the age clock goes on.
    pub(super) fn limit_ages(self, clock: u8) {
        // Relaxed: as in `touch`.
        let stamps = first_words(|i| self.words[AGES_AT + i].load(Ordering::Relaxed), AGE_WORDS);
        let oldest = Lanes::of_nibbles(stamps).equal(clock.wrapping_sub(OLDEST) & STAMP_MASK);
        for way in Ways(oldest & ALL_WAYS) {
            self.stamp(way, clock.wrapping_sub(OLDEST - 1) & STAMP_MASK);
        }
    }

    fn stamp_of(self, way: usize) -> (&'a AtomicU64, usize) {
        (&self.words[AGES_AT + way / STAMPS_PER_WORD], way % STAMPS_PER_WORD * 4)
    }

    /// The age clock as it is now. A hint.
    #[inline]
    pub(super) fn age_clock(self) -> u8 {
        // Relaxed: ages publish nothing.
        Arbitration(self.words[ARBITRATION].load(Ordering::Relaxed)).age_clock()
    }

    #[inline]
    pub(super) fn arbitration(self) -> Arbitration {
        // Acquire: pairs with the AcqRel of `arbitrate`; every insertion up to this version is
        // visible to the scan that follows.
        Arbitration(self.words[ARBITRATION].load(Ordering::Acquire))
    }

    /// Wins the insertion of `slot` if nobody inserted since `seen` was read.
    pub(super) fn arbitrate(
        self,
        seen: Arbitration,
        slot: usize,
        fence: Fence,
    ) -> Result<Arbitration, ()> {
        self.swap_arbitration(seen, seen.following(slot, fence))
    }

    /// Makes the arbitrations that started before this call fail, without inserting.
    pub(super) fn disturb(self, seen: Arbitration) -> Result<Arbitration, ()> {
        self.swap_arbitration(seen, seen.next_version())
    }

    /// Notes that the pending insertion `seen` is finished. Somebody else may have been faster.
    pub(super) fn settle(self, seen: Arbitration) {
        let _ = self.swap_arbitration(seen, seen.settled());
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
            .compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed)
            .map(|_| to)
            .map_err(|_| ())
    }
}

/// The used ways of a set, least recently used first.
#[derive(Clone, Copy)]
pub(super) struct OldestFirst {
    /// A byte a way: one more than its age if it is used, else zero.
    keys: [u64; LANES / TAGS_PER_WORD],
    /// The key of the oldest that are left.
    level: u8,
    /// Those with that key that are left.
    ways: u32,
    /// Those that were left out.
    gone: u32,
}

impl OldestFirst {
    #[inline(always)]
    fn new(keys: Lanes) -> Self {
        let newest_first = || keys.behind(OLDEST + 2, OLDEST + 1);
        let keys = if Bug::EvictsNewest.is_planted() { newest_first() } else { keys };
        let level = keys.largest();
        // Where nothing is left, each way has the key zero.
        let ways = if level == 0 { 0 } else { keys.equal(level) };
        Self { keys: keys.to_bytes(), level, ways, gone: 0 }
    }

    /// The oldest way that is left, with its age in ticks.
    #[inline(always)]
    pub(super) fn peek(&self) -> Option<(usize, u8)> {
        (self.ways != 0).then(|| (self.ways.trailing_zeros() as usize, self.level - 1))
    }

    /// The one that comes after that.
    #[inline]
    pub(super) fn peek_second(&self) -> Option<(usize, u8)> {
        let mut rest = *self;
        rest.skip_one();
        rest.peek()
    }

    /// Leaves the oldest way out.
    #[inline]
    pub(super) fn skip_one(&mut self) {
        if let Some((way, _)) = self.peek() {
            self.leave_out(way);
        }
    }

    /// Leaves `way` out.
    #[inline]
    pub(super) fn leave_out(&mut self, way: usize) {
        self.gone |= 1 << way;
        self.ways &= !self.gone;
        if self.ways == 0 {
            self.descend();
        }
    }

    #[inline(never)]
    fn descend(&mut self) {
        let keys = Lanes::of_bytes(self.keys);
        while self.ways == 0 && self.level != 0 {
            self.level = keys.below(self.level).largest();
            let ways = if self.level == 0 { 0 } else { keys.equal(self.level) };
            self.ways = ways & !self.gone;
        }
    }
}

/// As many words as there are lanes for, of which a set has `len`; a model makes sets smaller.
#[inline(always)]
fn first_words<const N: usize>(word: impl Fn(usize) -> u64, len: usize) -> [u64; N] {
    std::array::from_fn(|i| if i < len { word(i) } else { 0 })
}

/// How far `stamp` is behind `clock`, in ticks.
#[inline]
fn behind(clock: u8, stamp: u8) -> u8 {
    let behind = clock.wrapping_sub(stamp) & STAMP_MASK;
    if behind > OLDEST { 0 } else { behind }
}

fn with_stamp(stamps: u64, shift: usize, stamp: u8) -> u64 {
    stamps & !(u64::from(STAMP_MASK) << shift) | u64::from(stamp & STAMP_MASK) << shift
}

/// No age is told above this many ticks; what seems older is a stamp ahead of the clock.
const OLDEST: u8 = 12;
/// The age clock goes on once in so many insertions, as a power of two. What stays in a set for as
/// long as records do at full capacity is as old as can be told.
const TICK_SHIFT: u32 = 2;

const STAMP_MASK: u8 = 0xf;
const ALL_WAYS: u32 = u32::MAX >> (u32::BITS as usize - WAYS);
pub(super) const TAGS_PER_WORD: usize = 8;
const STAMPS_PER_WORD: usize = 16;
const TAG_WORDS: usize = WAYS.div_ceil(TAGS_PER_WORD);
const AGE_WORDS: usize = WAYS.div_ceil(STAMPS_PER_WORD);
const _: () = assert!(WAYS <= LANES, "a lane for each way");
const AGES_AT: usize = 4;
pub(super) const ARBITRATION: usize = 6;
pub(super) const CLOCK: usize = 7;
const SLOT_BITS: u32 = 28;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;
const LOW_MASK: u64 = (1 << Fence::LOW_BITS) - 1;
const PENDING_SHIFT: u32 = Fence::LOW_BITS + SLOT_BITS;
const PENDING: u64 = 1 << PENDING_SHIFT;
const VERSION_SHIFT: u32 = PENDING_SHIFT + 1;

/// The slots that an arbitration word can name.
pub(crate) const MAX_SLOTS: usize = 1 << SLOT_BITS;

const _: () = assert!(AGES_AT >= TAG_WORDS && AGES_AT + AGE_WORDS <= ARBITRATION);
const _: () = assert!(u64::BITS - VERSION_SHIFT >= TICK_SHIFT + 4, "ages wrap with the version");

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
