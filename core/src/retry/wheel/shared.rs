//! Timers that any thread submits and cancels, and one at a time advances.

use std::fmt;

use crossbeam_utils::CachePadded;

use super::builder::TimersBuilder;
use super::lane::{Claim, Lane, Owned};
use super::owned::Advanced;
use super::raw::{Entry, Fate, MAX_IDS, Wheel};
use super::right::{Right, Taken};
use super::shared_stamps::SharedStamps;
use super::stamp::{Stamps, TimerHandle};
use crate::error::{Error, ErrorCode};
use crate::observe::stripe_index;
use crate::sync::Ordering;
use crate::sync::own::AtomicU64;
use crate::sync::planted::Bug;

/// A timer that was submitted.
///
/// ```
/// use oncegate::{Rest, Timers};
///
/// let timers = Timers::builder().build()?;
/// timers.insert(1_000)?;
/// assert!(matches!(timers.prepare_sleep(), Rest::Until(_)));
/// let earlier = timers.insert(5)?;
/// assert!(earlier.wakes);
/// # Ok::<(), oncegate::Error>(())
/// ```
#[must_use = "the driver may have to be woken"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// Names the timer.
    pub handle: TimerHandle,
    /// Whether the driver sleeps longer than until the timer is due, so that the caller has to
    /// wake it. Every caller of whom that is true has to: none may rely on another.
    pub wakes: bool,
}

/// How long a driver may sleep.
///
/// ```
/// use oncegate::{Rest, Timers};
/// let timers = Timers::builder().build()?;
/// assert_eq!(timers.prepare_sleep(), Rest::Forever);
/// # Ok::<(), oncegate::Error>(())
/// ```
#[must_use = "a driver that sleeps without an answer is not woken"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Until this tick, unless somebody wakes it.
    Until(u64),
    /// Until somebody wakes it.
    Forever,
    /// Not at all: somebody else is advancing, and knows what is due. Ask again.
    Busy,
}

/// Timers for many threads: any thread submits and cancels without waiting for another one, and
/// one at a time advances. [`TimerWheel`](super::TimerWheel) says how the wheel works.
///
/// Submissions go to lanes, which are rings of slots. Each of the first threads of the process has
/// a lane of its own; who finds a lane busy takes the next. Whoever advances drains them into the
/// wheel. A cancellation is decided by one word: it happens, or the timer fires, and the caller is
/// told which. It does not matter which threads the two calls are made on: a cancellation can never
/// come before its insertion.
///
/// A thread that stalls in the middle of a submission keeps a lane, and while it drains one, the
/// right to advance; nobody waits for it. A forked child needs timers of its own: threads that it
/// does not have may keep these.
///
/// ```
/// use oncegate::{Clock, CoarseClock, Tick, Timers};
/// use std::time::Duration;
///
/// let (clock, tick) = (CoarseClock, Tick::default());
/// let timers = Timers::builder().start(tick.now(clock.now())).build()?;
/// std::thread::scope(|scope| {
///     for after in [Duration::ZERO, Duration::from_secs(3600)] {
///         let timers = &timers;
///         scope.spawn(move || timers.insert(tick.due(CoarseClock.now() + after)));
///     }
/// });
/// let mut fired = 0;
/// while fired == 0 {
///     let advanced = timers.advance(tick.now(clock.now()), 1_000, |_timer| fired += 1);
///     assert!(advanced.is_some(), "nobody else advances");
/// }
/// assert_eq!(fired, 1);
/// # Ok::<(), oncegate::Error>(())
/// ```
pub struct Timers {
    /// As many as a power of two.
    lanes: Box<[CachePadded<Lane>]>,
    stamps: SharedStamps,
    owner: CachePadded<Right<Owner>>,
    /// The tick until which the driver sleeps; [`AWAKE`] while it does not.
    sleeps_until: CachePadded<AtomicU64>,
}

struct Owner {
    wheel: Wheel,
    /// One for each lane.
    lanes: Box<[Owned]>,
    /// How many ids were ever used.
    used: u32,
    /// Handles in slots that nobody has used, or that were not drained.
    offered: usize,
    /// So many entries and handles there may be.
    most: usize,
    /// With more entries a sweep begins, and goes on until it has looked at all.
    sweep_above: usize,
    sweeps: bool,
}

impl Timers {
    /// Settings, and then timers.
    ///
    /// ```
    /// let timers = oncegate::Timers::builder().capacity(1_000).build()?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn builder() -> TimersBuilder {
        TimersBuilder::new()
    }

    pub(super) fn new(settings: &TimersBuilder) -> Self {
        let TimersBuilder { capacity, lanes, lane_slots, start } = *settings;
        let most = capacity + lanes * lane_slots;
        let owner = Owner {
            wheel: Wheel::new(start),
            lanes: vec![Owned::default(); lanes].into_boxed_slice(),
            used: 0,
            offered: 0,
            most,
            sweep_above: SLACK,
            sweeps: false,
        };
        let timers = Self {
            lanes: (0..lanes).map(|_| CachePadded::new(Lane::new(lane_slots))).collect(),
            // Where one timer in each word lasts, no other id of it can be used.
            stamps: SharedStamps::new(most),
            owner: CachePadded::new(Right::new(owner)),
            sleeps_until: CachePadded::new(AtomicU64::new(AWAKE)),
        };
        if let Some(mut owner) = timers.owner.take() {
            (0..lanes).for_each(|at| timers.drain(&mut owner, at));
        }
        timers
    }

    /// Submits a timer that fires in the first advance to tick `due` or later that begins after
    /// this call has ended; in the next one, if the tick has passed.
    ///
    /// Waits for nobody. Two atomic changes of a line that is the thread's own, as a rule; once in
    /// as many calls as a lane has slots it drains the lane itself, if nobody advances. It
    /// allocates only when there are more entries than ever before. About 25 ns, its part of the
    /// drains included, and up to 80 while ten million are submitted at once, since sweeps look at
    /// them too (`compare --study timers` measures it).
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Full`] when as many timers are pending as there may be; and, rather than to
    /// wait, when every lane is used up or busy while somebody else advances or drains one. The
    /// second is over as soon as that thread goes on.
    ///
    /// ```
    /// # let timers = oncegate::Timers::builder().build()?;
    /// let submitted = timers.insert(5)?;
    /// assert!(!submitted.wakes, "nobody sleeps");
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[inline]
    pub fn insert(&self, due: u64) -> Result<Submitted, Error> {
        let first = stripe_index();
        for turn in 0..self.lanes.len() {
            let at = (first + turn) & (self.lanes.len() - 1);
            let Some(claim) = self.lanes[at].claim() else { continue };
            let handle = match claim.submit(due) {
                Ok(handle) => handle,
                Err(claim) => match self.submit_refilled(at, claim, due) {
                    Some(handle) => handle,
                    None => continue,
                },
            };
            // Relaxed: a driver that looked at the lane before this submission has said so before
            // its look, which `Claim::submit` has acquired. Another one looks afterwards.
            let until = self.sleeps_until.load(Ordering::Relaxed);
            return Ok(Submitted { handle, wakes: due < until });
        }
        Err(Error::of(ErrorCode::Full, "timers"))
    }

    /// Takes a timer back. True: it will not fire. False: it has fired, or is about to, or was
    /// cancelled before.
    ///
    /// Waits for nobody: one compare-and-swap, repeated only while timers with neighbouring ids
    /// end at the same moment. With its insertion, 25 ns; 29 while another thread does the same.
    ///
    /// ```
    /// # let timers = oncegate::Timers::builder().build()?;
    /// let timer = timers.insert(5)?.handle;
    /// assert!(timers.cancel(timer));
    /// assert_eq!(timers.advance(5, 100, |_| {}).map(|advanced| advanced.fired), Some(0));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[inline]
    pub fn cancel(&self, timer: TimerHandle) -> bool {
        self.stamps.cancel(timer)
    }

    /// Fires what is due at tick `now` or before, as
    /// [`TimerWheel::advance`](super::TimerWheel::advance) does. Nothing if somebody else is
    /// advancing, or about to sleep: it returns at once.
    ///
    /// All lanes are drained first: as much work as they have slots, beside the limit. `fire` may
    /// insert and cancel timers, which fire in the next advance at the earliest. Lanes are not
    /// drained meanwhile: `fire` and all other threads together can insert as many timers as there
    /// are slots, [`lanes`](TimersBuilder::lanes) times [`lane_slots`](TimersBuilder::lane_slots),
    /// by default 16,384; more are refused as [`ErrorCode::Full`] until the call returns. So where
    /// `fire` inserts one for each that fires, a `limit` of half of that leaves the other half to
    /// other threads.
    ///
    /// ```
    /// # let timers = oncegate::Timers::builder().build()?;
    /// timers.insert(5)?;
    /// let advanced = timers.advance(5, 100, |timer| assert!(!timers.cancel(timer)));
    /// assert_eq!(advanced.map(|advanced| (advanced.fired, advanced.more)), Some((1, false)));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use = "somebody else may be advancing"]
    pub fn advance(
        &self,
        now: u64,
        limit: usize,
        mut fire: impl FnMut(TimerHandle),
    ) -> Option<Advanced> {
        let mut owner = self.drained()?;
        let (mut left, mut fired) = (limit, 0);
        let ahead = |entry: Entry| self.stamps.prefetch(entry.id);
        while let Some(entry) = owner.wheel.next(now, &mut left, ahead) {
            let (before, after, fires) = self.stamps.end(entry.id, entry.tag);
            owner.free(before, after, entry.id);
            if fires {
                fired += 1;
                fire(before.handle(entry.id));
            }
        }
        Some(Advanced { fired, more: left == 0 && owner.wheel.has_due(now) })
    }

    /// A tick before which nothing fires that was submitted before this call, as
    /// [`TimerWheel::next_due`](super::TimerWheel::next_due) says. Nothing if there is no entry,
    /// or if somebody else is advancing.
    ///
    /// Not enough for a driver that sleeps: see [`prepare_sleep`](Self::prepare_sleep).
    ///
    /// ```
    /// # let timers = oncegate::Timers::builder().build()?;
    /// timers.insert(5)?;
    /// assert_eq!(timers.next_due(), Some(5));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.drained()?.wheel.next_due()
    }

    /// Says that the driver is going to sleep, and until when it may. From now on a submission
    /// that is due earlier says so in [`Submitted::wakes`]: none falls between this call and the
    /// sleep. A wake-up that comes before the driver sleeps must not be lost: `unpark`, an eventfd
    /// and a condition variable with a flag keep it.
    ///
    /// There is one driver: of two that sleep, only the last one is woken.
    ///
    /// ```
    /// # use oncegate::Rest;
    /// # let timers = oncegate::Timers::builder().build()?;
    /// timers.insert(5)?;
    /// assert_eq!(timers.prepare_sleep(), Rest::Until(5));
    /// // Here it would sleep.
    /// timers.awake();
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn prepare_sleep(&self) -> Rest {
        let Some(mut owner) = self.drained() else { return Rest::Busy };
        let until = owner.wheel.next_due().unwrap_or(FOREVER);
        // Relaxed: `Lane::look` releases it to every submission that comes later.
        self.sleeps_until.store(until, Ordering::Relaxed);
        for at in 0..self.lanes.len() {
            let used = self.lanes[at].look();
            self.drain_until(&mut owner, at, used);
        }
        let earlier = owner.wheel.next_due().unwrap_or(FOREVER);
        if earlier != until {
            // Relaxed: who still reads the later tick wakes the driver more often than he must.
            self.sleeps_until.store(earlier, Ordering::Relaxed);
        }
        if earlier == FOREVER { Rest::Forever } else { Rest::Until(earlier) }
    }

    /// Says that the driver is awake: submissions need not wake it. It has to ask
    /// [`prepare_sleep`](Self::prepare_sleep) before it sleeps again.
    ///
    /// ```
    /// # let timers = oncegate::Timers::builder().build()?;
    /// assert_eq!(timers.prepare_sleep(), oncegate::Rest::Forever);
    /// timers.awake();
    /// assert!(!timers.insert(5)?.wakes);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn awake(&self) {
        // Relaxed: whoever reads it has submitted what the driver's next `look` finds.
        self.sleeps_until.store(AWAKE, Ordering::Relaxed);
    }

    /// The lane that the caller has is used up: drains and refills it, if nobody advances.
    #[cold]
    fn submit_refilled(&self, at: usize, claim: Claim<'_>, due: u64) -> Option<TimerHandle> {
        self.drain(&mut *self.owner.take()?, at);
        claim.submit(due).ok()
    }

    /// The wheel with everything that was submitted, if nobody else has it.
    fn drained(&self) -> Option<Taken<'_, Owner>> {
        let mut owner = self.owner.take()?;
        (0..self.lanes.len()).for_each(|at| self.drain(&mut owner, at));
        Some(owner)
    }

    fn drain(&self, owner: &mut Owner, at: usize) {
        self.drain_until(owner, at, self.lanes[at].used());
    }

    /// Files the submissions of a lane up to the `used`-th, and refills it.
    fn drain_until(&self, owner: &mut Owner, at: usize, used: u64) {
        let (lane, mut owned) = (&self.lanes[at], owner.lanes[at]);
        while let Some((handle, due)) = lane.drain(&mut owned, used) {
            owner.offered -= 1;
            let (id, generation) = (handle.id(), handle.generation());
            if self.stamps.is_pending(id, generation) {
                owner.wheel.insert_raw(id, generation, due);
                owner.sweep_if_due(&self.stamps);
            } else {
                let (before, after) = self.stamps.drop_entry(id);
                owner.free(before, after, id);
            }
        }
        let meanwhile = if Bug::TimerLost.is_planted() { lane.used() } else { used };
        owned.drained = owned.drained.max(meanwhile);
        while lane.wants(&owned)
            && let Some(handle) = owner.handle(&self.stamps)
        {
            lane.refill(&mut owned, handle);
        }
        lane.publish(&owned);
        owner.lanes[at] = owned;
    }
}

impl Owner {
    /// A handle for a slot; nothing when there may be no more.
    fn handle(&mut self, stamps: &SharedStamps) -> Option<TimerHandle> {
        if self.wheel.entries() + self.offered >= self.most {
            self.sweep(stamps, FULL_STEPS);
            if self.wheel.entries() + self.offered >= self.most {
                return None;
            }
        }
        let handle = match self.wheel.unpark() {
            Some(word) => TimerHandle::from_word(word),
            None => self.fresh(stamps)?,
        };
        self.offered += 1;
        Some(handle)
    }

    /// The first handle of an id that was never used.
    fn fresh(&mut self, stamps: &SharedStamps) -> Option<TimerHandle> {
        let id = self.used;
        if id as usize >= stamps.most_ids().min(MAX_IDS as usize) {
            return None;
        }
        stamps.make(id);
        self.used += 1;
        Some(TimerHandle::new(id, 0, 0))
    }

    /// The timer of `id` is over, and its entry has come out.
    #[inline]
    fn free(&mut self, before: Stamps, after: Stamps, id: u32) {
        after.freed(before, id).for_each(|handle| self.wheel.park(handle.word()));
    }

    /// Who cancels tells nobody. So there is a sweep whenever there are four times as many entries
    /// as the last one has left.
    #[inline]
    fn sweep_if_due(&mut self, stamps: &SharedStamps) {
        self.sweeps |= self.wheel.entries() > self.sweep_above;
        if self.sweeps && self.sweep(stamps, SWEEP_STEPS) {
            self.sweeps = false;
            self.sweep_above = (self.wheel.entries() * GROWTH).max(SLACK);
        }
    }

    /// Drops entries of cancelled timers, if it finds any among the next `steps`. True: all were
    /// looked at.
    fn sweep(&mut self, stamps: &SharedStamps, steps: usize) -> bool {
        let mut gone = [0; FULL_STEPS];
        let mut count = 0;
        let ended = self.wheel.sweep(steps.min(FULL_STEPS), |entry| {
            if stamps.is_pending(entry.id, entry.tag) {
                return Fate::Stays;
            }
            gone[count] = entry.id;
            count += 1;
            Fate::Goes
        });
        for &id in &gone[..count] {
            let (before, after) = stamps.drop_entry(id);
            self.free(before, after, id);
        }
        ended
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Timers");
        text.field("lanes", &self.lanes.len());
        if let Some(owner) = self.owner.take() {
            text.field("entries", &owner.wheel.entries()).field("at", &owner.wheel.cursor());
        }
        text.finish_non_exhaustive()
    }
}

/// The driver does not sleep: nothing is due before it wakes.
const AWAKE: u64 = 0;
const FOREVER: u64 = u64::MAX;
/// Entries for each one that the last sweep has left, before the next one begins.
const GROWTH: usize = 4;
/// So few entries are no reason to sweep.
const SLACK: usize = 4_096;
/// Entries that a sweep looks at with each one that is filed.
const SWEEP_STEPS: usize = 8;
/// The same, where there is no room for another one.
const FULL_STEPS: usize = 64;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
