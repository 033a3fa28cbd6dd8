//! The wheel of one owner, with handles.

use std::fmt;

use super::raw::{Entry, Fate, MAX_IDS, Wheel};
use super::stamp::{IDS, Stamps, TimerHandle};
use crate::error::{Error, ErrorCode};
use crate::region::prefetch;

/// What an advance came to.
///
/// ```
/// use oncegate::{Advanced, TimerWheel};
///
/// let mut wheel = TimerWheel::new(0);
/// wheel.insert(1)?;
/// let advanced = wheel.advance(1, usize::MAX, |_| {});
/// assert_eq!(advanced, Advanced { fired: 1, more: false });
/// # Ok::<(), oncegate::Error>(())
/// ```
#[must_use = "there may be more that is due"]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advanced {
    /// How many timers fired.
    pub fired: usize,
    /// Whether the limit ended it: something is left to do at once.
    pub more: bool,
}

/// Timers in a hierarchical timing wheel with one owner; [`Timers`](super::Timers) is the same
/// for many threads.
///
/// It holds no clock and starts no thread: the owner tells it the time by [`advance`], and asks
/// [`next_due`] how long it may sleep. Times are ticks; [`Tick`](super::Tick) makes ticks of
/// times. After Varghese & Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP 1987), with
/// buckets that are logs: entries are appended, and a timer that was cancelled is dropped when its
/// entry comes up, or by a sweep that runs along with insertions while fewer than one in four
/// entries is a pending timer's.
///
/// Memory is about 9.3 bytes for each of many timers, and 100 KiB for the wheel. It is at most
/// that for six times the most timers that were ever pending at once, and is kept for later
/// timers.
///
/// A timer never fires early: `advance(now)` fires those whose due tick is at or before `now`,
/// and all of them, up to its limit. Of one advance, timers fire in the order of their due ticks;
/// of one tick, in any order.
///
/// ```
/// use oncegate::TimerWheel;
///
/// let mut wheel = TimerWheel::new(0);
/// let (late, early) = (wheel.insert(20)?, wheel.insert(10)?);
/// assert_eq!(wheel.next_due(), Some(10));
/// let mut fired = Vec::new();
/// wheel.advance(15, usize::MAX, |timer| fired.push(timer));
/// assert_eq!(fired, [early]);
/// assert!(wheel.cancel(late) && wheel.is_empty());
/// # Ok::<(), oncegate::Error>(())
/// ```
///
/// [`advance`]: Self::advance
/// [`next_due`]: Self::next_due
pub struct TimerWheel {
    wheel: Wheel,
    stamps: Vec<Stamps>,
    /// How many ids were ever used.
    used: u32,
    /// How many timers are pending.
    live: usize,
}

impl TimerWheel {
    /// A wheel without timers, at tick `now`.
    ///
    /// ```
    /// assert!(oncegate::TimerWheel::new(0).is_empty());
    /// ```
    #[must_use]
    pub fn new(now: u64) -> Self {
        Self { wheel: Wheel::new(now), stamps: Vec::new(), used: 0, live: 0 }
    }

    /// A timer that fires in the first advance to tick `due` or later; in the next one, if that
    /// has passed.
    ///
    /// O(1): two words are moved, 6 to 14 ns (`compare --study timers` measures it). Allocates only
    /// when more memory is used than ever before.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Full`] when all 2^28 ids are used.
    ///
    /// ```
    /// # use oncegate::TimerWheel;
    /// let mut wheel = TimerWheel::new(100);
    /// let late = wheel.insert(7)?;
    /// wheel.advance(100, usize::MAX, |fired| assert_eq!(fired, late));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[inline]
    pub fn insert(&mut self, due: u64) -> Result<TimerHandle, Error> {
        let handle = match self.wheel.unpark() {
            Some(word) => TimerHandle::from_word(word),
            None => self.fresh()?,
        };
        self.wheel.insert_raw(handle.id(), handle.generation(), due);
        self.live += 1;
        if self.wheel.entries() > self.live * LIVE_SHARE + SLACK {
            self.sweep();
        }
        Ok(handle)
    }

    /// Takes a timer back. False: it has fired, or was cancelled before.
    ///
    /// O(1): one word is changed, 2 to 6 ns in the same study. The entry stays until it comes up,
    /// or is swept.
    ///
    /// ```
    /// # use oncegate::TimerWheel;
    /// let mut wheel = TimerWheel::new(0);
    /// let timer = wheel.insert(5)?;
    /// assert!(wheel.cancel(timer));
    /// assert!(!wheel.cancel(timer));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[inline]
    pub fn cancel(&mut self, timer: TimerHandle) -> bool {
        let Some(stamps) = self.stamps.get_mut(Stamps::word_of(timer.id())) else { return false };
        let Some(after) = stamps.cancelled(timer) else { return false };
        *stamps = after;
        self.live -= 1;
        true
    }

    /// Fires what is due at tick `now` or before, up to a limit of work.
    ///
    /// `limit` counts timers that fire, entries of cancelled ones, and entries that move to a lower
    /// level; where it ended the advance, [`Advanced::more`] says so, and the next call goes on.
    /// A tick before one that the wheel was told of already is taken for that one. A timer that
    /// fires takes 25 to 40 ns in the same study, all its moves included.
    ///
    /// The timer that `fire` gets is over: its handle cancels nothing any more.
    ///
    /// ```
    /// # use oncegate::TimerWheel;
    /// let mut wheel = TimerWheel::new(0);
    /// for _ in 0..10 {
    ///     wheel.insert(3)?;
    /// }
    /// let first = wheel.advance(3, 8, |_| {});
    /// assert_eq!((first.fired, first.more), (8, true));
    /// let rest = wheel.advance(3, 8, |_| {});
    /// assert_eq!((rest.fired, rest.more), (2, false));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn advance(
        &mut self,
        now: u64,
        limit: usize,
        mut fire: impl FnMut(TimerHandle),
    ) -> Advanced {
        let (mut left, mut fired) = (limit, 0);
        loop {
            let ahead = |entry: Entry| prefetch::word(&self.stamps[Stamps::word_of(entry.id)].0);
            let Some(entry) = self.wheel.next(now, &mut left, ahead) else { break };
            if let Some(timer) = self.take(entry) {
                fired += 1;
                fire(timer);
            }
        }
        Advanced { fired, more: left == 0 && self.wheel.has_due(now) }
    }

    /// A tick that is not later than the first pending timer is due: nothing fires before it.
    /// Nothing if no entry is left. It may be earlier, at most by the width of a bucket: an
    /// advance to it then moves entries on, and the next answer is closer.
    ///
    /// O(levels).
    ///
    /// ```
    /// # use oncegate::TimerWheel;
    /// let mut wheel = TimerWheel::new(0);
    /// wheel.insert(1_000_000)?;
    /// let due = wheel.next_due().expect("there is one");
    /// assert!(due <= 1_000_000);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.wheel.next_due()
    }

    /// How many timers are pending.
    ///
    /// ```
    /// # use oncegate::TimerWheel;
    /// let mut wheel = TimerWheel::new(0);
    /// wheel.insert(1)?;
    /// assert_eq!(wheel.len(), 1);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether no timer is pending.
    ///
    /// ```
    /// assert!(oncegate::TimerWheel::new(0).is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Bytes of memory that the wheel has asked for.
    ///
    /// ```
    /// assert!(oncegate::TimerWheel::new(0).bytes() < 200_000);
    /// ```
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.wheel.bytes() + self.stamps.capacity() * size_of::<Stamps>()
    }

    /// The timer of an entry that came out; nothing if it was cancelled. Either way the id is
    /// free again.
    #[inline]
    fn take(&mut self, entry: Entry) -> Option<TimerHandle> {
        let stamps = &mut self.stamps[Stamps::word_of(entry.id)];
        let before = *stamps;
        let fired = before.fired(entry.id, entry.tag);
        *stamps = fired.unwrap_or_else(|| before.dropped(entry.id));
        stamps.freed(before, entry.id).for_each(|handle| self.wheel.park(handle.word()));
        fired?;
        self.live -= 1;
        Some(before.handle(entry.id))
    }

    /// The first handle of an id that was never used.
    fn fresh(&mut self) -> Result<TimerHandle, Error> {
        let id = self.used;
        if id >= MAX_IDS {
            return Err(Error::of(ErrorCode::Full, "timers"));
        }
        if (id as usize).is_multiple_of(IDS) {
            self.stamps.push(Stamps::default());
        }
        self.used += 1;
        Ok(TimerHandle::new(id, 0, 0))
    }

    /// Drops some entries of cancelled timers.
    #[cold]
    fn sweep(&mut self) {
        let mut gone = [0; SWEEP_STEPS];
        let mut count = 0;
        let stamps = &self.stamps;
        self.wheel.sweep(SWEEP_STEPS, |entry| {
            if stamps[Stamps::word_of(entry.id)].is_pending(entry.id, entry.tag) {
                return Fate::Stays;
            }
            gone[count] = entry.id;
            count += 1;
            Fate::Goes
        });
        for &id in &gone[..count] {
            let stamps = &mut self.stamps[Stamps::word_of(id)];
            let before = *stamps;
            *stamps = before.dropped(id);
            stamps.freed(before, id).for_each(|handle| self.wheel.park(handle.word()));
        }
    }
}

impl fmt::Debug for TimerWheel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerWheel")
            .field("pending", &self.live)
            .field("entries", &self.wheel.entries())
            .field("at", &self.wheel.cursor())
            .finish_non_exhaustive()
    }
}

/// Entries for each pending timer, before a sweep begins.
const LIVE_SHARE: usize = 4;
/// So few entries are no reason to sweep.
const SLACK: usize = 4_096;
/// Entries that a sweep looks at with each insertion: what is inserted meanwhile is an eighth.
const SWEEP_STEPS: usize = 8;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
