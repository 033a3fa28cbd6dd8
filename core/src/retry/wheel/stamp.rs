//! Stamps: how a handle is told from later ones of the same id, for a byte an id.
//!
//! An id is used again and again, and a handle must never mean a later use. So uses are numbered,
//! and a handle has its number. Eight ids share a word:
//!
//! ```text
//!   63                          32 31   28 27   24     7    4 3    0
//!  +------------------------------+-------+-------+ .. +------+------+
//!  |     epoch of all eight       | id 7  | id 6  |    | id 1 | id 0 |
//!  +------------------------------+-------+-------+ .. +------+------+
//! ```
//!
//! The number of a use is the epoch and the id's own four bits. These count up: 14 uses of an
//! epoch (0 to 13), [`LAST_CANCELLED`] and [`SPENT`]. A spent id rests until all eight are; then
//! the epoch goes up and all start again. So a timer that lasts keeps seven ids from being used
//! at most, which costs a byte each, and the number of a use comes again only after 2^32 epochs.
//!
//! A timer's entry in the wheel has its id and those four bits, and is the only entry of the id:
//! an id is used again only when the entry of its last use has come out. So four bits are enough
//! to tell there whether the timer was cancelled.
//!
//! | from | to | when |
//! |---|---|---|
//! | `g` up to 12 | `g + 1` | the timer fires, or is cancelled |
//! | 13 | [`SPENT`] | the timer fires |
//! | 13 | [`LAST_CANCELLED`] | it is cancelled |
//! | [`LAST_CANCELLED`] | [`SPENT`] | its entry comes out |
//! | all eight [`SPENT`] | all eight 0, next epoch | the last of them is spent |

use std::fmt;

use crate::sync::planted::Bug;

/// Names one use of a timer's id.
///
/// A handle that is kept after its timer has fired or was cancelled means nothing any more, and
/// cancels nothing: the id is used again, but under another number. (That number comes again when
/// the id was used 2^32 × 14 times since.)
///
/// Handles of two wheels are not told from each other.
///
/// ```
/// use oncegate::TimerWheel;
///
/// let mut wheel = TimerWheel::new(0);
/// let handle = wheel.insert(5)?;
/// let mut names = vec!["nobody"; handle.index() + 1];
/// names[handle.index()] = "the fifth tick";
/// wheel.advance(5, usize::MAX, |fired| assert_eq!(names[fired.index()], "the fifth tick"));
/// assert!(!wheel.cancel(handle));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerHandle(u64);

impl TimerHandle {
    /// The timer's id: below 2^28, and low as long as few timers are pending. No two pending
    /// timers have the same, so that it may be an index of the caller's own array.
    ///
    /// ```
    /// # use oncegate::TimerWheel;
    /// let mut wheel = TimerWheel::new(0);
    /// assert!(wheel.insert(1)?.index() < 8);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        (self.0 >> 36) as usize
    }

    /// The handle as plain data: it crosses languages, and means nothing in another process.
    ///
    /// ```
    /// # use oncegate::{TimerHandle, TimerWheel};
    /// let mut wheel = TimerWheel::new(0);
    /// let bits = wheel.insert(5)?.to_bits();
    /// assert!(wheel.cancel(TimerHandle::from_bits(bits)));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[inline]
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The handle that [`to_bits`](Self::to_bits) gave. Any other bits name no timer, or one that
    /// somebody else has a handle of, or one that is still to come, which they cancel: it never
    /// fires then. So what others may have made up is looked up among those that were given out.
    ///
    /// ```
    /// # use oncegate::{TimerHandle, TimerWheel};
    /// let mut wheel = TimerWheel::new(0);
    /// assert!(!wheel.cancel(TimerHandle::from_bits(u64::MAX)));
    /// ```
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(super) const fn new(id: u32, generation: u8, epoch: u32) -> Self {
        Self((id as u64) << 36 | (generation as u64) << 32 | epoch as u64)
    }

    #[inline]
    pub(super) const fn from_word(word: u64) -> Self {
        Self(word)
    }

    #[inline]
    pub(super) const fn word(self) -> u64 {
        self.0
    }

    #[inline]
    pub(super) const fn id(self) -> u32 {
        (self.0 >> 36) as u32
    }

    #[inline]
    pub(super) const fn generation(self) -> u8 {
        (self.0 >> 32) as u8 & 0xf
    }

    const fn epoch(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Debug for TimerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, epoch, generation) = (self.id(), self.epoch(), self.generation());
        write!(f, "TimerHandle({id}, use {epoch}.{generation})")
    }
}

/// The stamps of eight ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamps(pub(super) u64);

impl Stamps {
    /// The word of `id` among all.
    #[inline]
    pub(super) const fn word_of(id: u32) -> usize {
        id as usize / IDS
    }

    /// After the timer of `handle` was cancelled; nothing if it is not pending.
    #[inline]
    pub(super) fn cancelled(self, handle: TimerHandle) -> Option<Self> {
        let (id, now) = (handle.id(), self.generation(handle.id()));
        let same = now == handle.generation() && self.epoch() == handle.epoch();
        let any = Bug::StaleHandleCancels.is_planted() && now < LAST_CANCELLED;
        // From 13 on to `LAST_CANCELLED` it is one more, too.
        (same || any).then(|| Self(self.0 + (1 << shift(id))))
    }

    /// After the timer of `id` fired whose entry says `generation`; nothing if it was cancelled.
    #[inline]
    pub(super) fn fired(self, id: u32, generation: u8) -> Option<Self> {
        let step = if generation == LAST_USED { SPENT - LAST_USED } else { 1 };
        let pending = self.generation(id) == generation;
        pending.then(|| Self(self.0 + (u64::from(step) << shift(id))).renewed())
    }

    /// After the entry of a cancelled timer of `id` has come out.
    #[inline]
    pub(super) fn dropped(self, id: u32) -> Self {
        let spent = self.generation(id) == LAST_CANCELLED;
        Self(self.0 + (u64::from(spent) << shift(id))).renewed()
    }

    /// The handle of the use of `id` that is pending, or comes next.
    #[inline]
    pub(super) fn handle(self, id: u32) -> TimerHandle {
        TimerHandle::new(id, self.generation(id), self.epoch())
    }

    /// Whether the entry of `id` that says `generation` is a pending timer's.
    #[inline]
    pub(super) fn is_pending(self, id: u32, generation: u8) -> bool {
        self.generation(id) == generation
    }

    /// The handles that may be given out, now that `id` has ended and left `before`: its own, or
    /// none, or those of all eight.
    #[inline]
    pub(super) fn freed(self, before: Self, id: u32) -> impl Iterator<Item = TimerHandle> {
        let first = id / IDS as u32 * IDS as u32;
        let all = self.epoch() != before.epoch();
        let ids = match self.generation(id) {
            _ if all => first..first + IDS as u32,
            generation if generation < LAST_CANCELLED => id..id + 1,
            _ => 0..0,
        };
        ids.map(move |id| self.handle(id))
    }

    #[inline]
    fn generation(self, id: u32) -> u8 {
        (self.0 >> shift(id)) as u8 & 0xf
    }

    #[inline]
    const fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The next epoch, if all are spent.
    #[inline]
    fn renewed(self) -> Self {
        let spent = self.0 as u32 == u32::MAX;
        if spent { Self(u64::from(self.epoch().wrapping_add(1)) << 32) } else { self }
    }
}

#[inline]
const fn shift(id: u32) -> u32 {
    id % IDS as u32 * 4
}

/// How many ids share a word.
pub(super) const IDS: usize = 8;
const LAST_USED: u8 = 13;
/// The last timer of this epoch was cancelled, and its entry is still in the wheel.
const LAST_CANCELLED: u8 = 14;
/// No use of this epoch is left.
const SPENT: u8 = 15;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
