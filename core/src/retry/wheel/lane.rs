//! Lanes: how any thread hands timers to the owner of a wheel.
//!
//! A lane is a ring of slots. The owner puts a fresh handle into each; who submits a timer writes
//! its due tick beside the handle, and has the handle to return. So a submission needs no id from
//! anywhere else, and the ring of submissions is the supply of ids too.
//!
//! ```text
//!    drained          used            refilled = drained + slots, if there are ids
//!  ─────┼───────────────┼────────────────┼─────
//!       │   submitted   │   ready to use │
//! ```
//!
//! The word of a lane says how far it is used, and whether somebody is using it:
//!
//! ```text
//!   63                                   2     1      0
//!  +--------------------------------------+------+------+
//!  |                 used                 | look | busy |
//!  +--------------------------------------+------+------+
//! ```
//!
//! | change | by | when |
//! |---|---|---|
//! | busy 0 → 1 | a submitter | it finds it 0, and so has the lane to itself |
//! | busy 1 → 0, used + 1 | the same | it has submitted: this is the moment of submission |
//! | busy 1 → 0 | the same | the lane had no slot that is ready |
//! | look flips | whoever drains, before it sleeps | see [`Lane::look`] |
//!
//! Nobody waits: who finds a lane busy takes another one. A submitter that stalls keeps its lane,
//! and nothing else; what was submitted there before is drained all the same.

use super::stamp::TimerHandle;
use crate::sync::Ordering;
use crate::sync::own::AtomicU64;
use crate::sync::planted::Bug;

/// A ring of slots that one submitter uses at a time.
pub(super) struct Lane {
    word: AtomicU64,
    /// Slots before this one, counted from the first ever, have a handle. Written by the owner.
    refilled: AtomicU64,
    slots: Box<[Slot]>,
}

/// Written in turn by the owner and by the submitter, as `refilled` and `used` say.
struct Slot {
    handle: AtomicU64,
    due: AtomicU64,
}

/// The lane is the caller's until this is dropped.
pub(super) struct Claim<'l> {
    lane: &'l Lane,
    /// How far it is used.
    used: u64,
}

/// How far the owner has come in a lane.
#[derive(Clone, Copy, Default)]
pub(super) struct Owned {
    pub(super) drained: u64,
    pub(super) refilled: u64,
}

impl Lane {
    pub(super) fn new(slots: usize) -> Self {
        let slot = |_| Slot { handle: AtomicU64::new(0), due: AtomicU64::new(0) };
        Self {
            word: AtomicU64::new(0),
            refilled: AtomicU64::new(0),
            slots: (0..slots).map(slot).collect(),
        }
    }

    /// Takes the lane, if nobody has it.
    #[inline]
    pub(super) fn claim(&self) -> Option<Claim<'_>> {
        // Relaxed: the swap below compares it.
        let mut word = self.word.load(Ordering::Relaxed);
        while word & BUSY == 0 {
            // Acquire: pairs with the AcqRel of the last submission and the Release of the last
            // release; slots are as their submitter has left them. Relaxed on failure: it is only
            // compared again. It fails where another submitter comes, or a driver looks.
            let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
            match self.word.compare_exchange_weak(word, word | BUSY, success, failure) {
                Ok(_) => return Some(Claim { lane: self, used: word >> USED_SHIFT }),
                Err(now) => word = now,
            }
        }
        None
    }

    /// How far the lane is used.
    pub(super) fn used(&self) -> u64 {
        // Acquire: pairs with the AcqRel of `Claim::submit`; the due ticks before it are there.
        self.word.load(Ordering::Acquire) >> USED_SHIFT
    }

    /// The same, for whoever is about to sleep, and has said until when: a submission is either
    /// seen here, or sees what was said. That takes a change of the word that submissions change.
    pub(super) fn look(&self) -> u64 {
        if Bug::WakeUpLost.is_planted() {
            return self.used();
        }
        // AcqRel: pairs with the AcqRel of `Claim::submit`, whichever of the two comes first.
        self.word.fetch_xor(LOOK, Ordering::AcqRel) >> USED_SHIFT
    }

    /// The next submission; nothing where `used` of them are drained. For the owner alone.
    pub(super) fn drain(&self, owned: &mut Owned, used: u64) -> Option<(TimerHandle, u64)> {
        if owned.drained == used {
            return None;
        }
        let slot = self.slot(owned.drained);
        owned.drained += 1;
        // Relaxed, both: whoever read `used` has acquired them.
        let handle = TimerHandle::from_word(slot.handle.load(Ordering::Relaxed));
        Some((handle, slot.due.load(Ordering::Relaxed)))
    }

    /// Whether a slot that was drained has no handle yet. For the owner alone.
    pub(super) fn wants(&self, owned: &Owned) -> bool {
        owned.refilled < owned.drained + self.slots.len() as u64
    }

    /// Puts a handle into a slot that [`wants`](Self::wants) one.
    pub(super) fn refill(&self, owned: &mut Owned, handle: TimerHandle) {
        // Relaxed: `publish` releases it, and its submitter is done with the slot, since the owner
        // has acquired its submission.
        self.slot(owned.refilled).handle.store(handle.word(), Ordering::Relaxed);
        owned.refilled += 1;
    }

    /// Lets submitters have what was refilled.
    pub(super) fn publish(&self, owned: &Owned) {
        // Release: pairs with the Acquire of `Claim::submit`; the handles are there.
        self.refilled.store(owned.refilled, Ordering::Release);
    }

    fn slot(&self, at: u64) -> &Slot {
        &self.slots[at as usize & (self.slots.len() - 1)]
    }
}

impl Claim<'_> {
    /// Submits a timer, and leaves the lane. Nothing, and the lane is kept, if no slot is ready.
    #[inline]
    pub(super) fn submit(self, due: u64) -> Result<TimerHandle, Self> {
        let Self { lane, used } = self;
        // Acquire: pairs with the Release of `Lane::publish`; the handle is there.
        if used == lane.refilled.load(Ordering::Acquire) {
            return Err(self);
        }
        let slot = lane.slot(used);
        // Relaxed, both: this thread has the slot, as said above, and what follows publishes it.
        let handle = TimerHandle::from_word(slot.handle.load(Ordering::Relaxed));
        slot.due.store(due, Ordering::Relaxed);
        std::mem::forget(self);
        // AcqRel: pairs with the Acquire of `used` and with `look`, which it sees or is seen by.
        // One more is used, and the lane is not busy.
        let ordering = Bug::RelaxedSubmission.weakens(Ordering::AcqRel);
        lane.word.fetch_add((1 << USED_SHIFT) - BUSY, ordering);
        Ok(handle)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire of `Lane::claim`.
        self.lane.word.fetch_and(!BUSY, Ordering::Release);
    }
}

const BUSY: u64 = 1;
const LOOK: u64 = 2;
const USED_SHIFT: u32 = 2;
