//! The table: fingerprints to records, lock-free, in a region.
//!
//! Each fingerprint has a home set and an alternate set of [`WAYS`] slots; its record lies in
//! either. Every set is a shard of its own: the arbitration word and the fencing clock of a
//! fingerprint are those of its home, and no word is shared by all insertions.
//!
//! # Insertion
//!
//! 1. Read the home's arbitration word; finish the insertion that it names, if it is pending.
//! 2. Search both sets. Found: no insertion.
//! 3. Claim a slot that is vacant, over, or may be evicted; write the record and its tag; present
//!    it (`Inserting`). A presented slot does not exist yet.
//! 4. Swap the arbitration word from what step 1 read to {next version, pending, slot, fence}.
//!    **This is the linearization point.** If it fails, somebody inserted since: go to 1, keeping
//!    the slot.
//! 5. Finish: `Inserting` becomes `Running`, then the pending flag is cleared. Anyone who meets
//!    the flag does the same, so a stalled inserter blocks nobody.
//!
//! All insertions of one fingerprint pass through one word, so two of them cannot both win
//! between one's search and its swap.
//!
//! # Fencing counters
//!
//! A home's clock works like a Lamport clock: an attempt's counter is above the home's clock and
//! above the counter that the slot carries. So counters grow per fingerprint for ever, whichever
//! slots its records come to lie in, and they grow per slot, whichever homes its records come
//! from. The clock lies on the line that an insertion owns anyway.
//!
//! # Cost
//!
//! A look-up waits for two dependent lines at most: both set lines are fetched together, then the
//! slot. An insertion touches both set lines, the slot, and the oldest record of each
//! set, or the three oldest where there is little room; where both sets are full, it takes the
//! oldest that may go.

mod changes;
pub(crate) mod control;
mod debts;
pub(crate) mod entry;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
pub(crate) mod image;
mod insert;
mod lanes;
mod lease;
mod places;
mod recover;
pub(crate) mod retrying;
mod room;
pub(crate) mod scope;
mod search;
pub(crate) mod set;
pub(crate) mod slot;
mod sweep;

pub(crate) use debts::Unsettled;
pub(crate) use insert::{Draft, Insertion};
pub(crate) use lease::{Finish, LAST_RETRIED, Lapsed, LeaseDraft, NotTaken, Open};
pub(crate) use room::Rules;
pub(crate) use search::{Found, Hit, Probe};
pub(crate) use set::Arbitration;
pub(crate) use sweep::{Met, PART};

use std::sync::Arc;

use crate::observe::Counters;
use crate::region::{Region, WAYS, header};
use crate::sync::{AtomicU64, Ordering};
use crate::wait::WaitQueue;

use control::State;
use set::SetLine;
use slot::Slot;

/// The table of one region, as one process sees it.
#[derive(Clone)]
pub(crate) struct Table {
    region: Arc<Region>,
    counters: Arc<Counters>,
    waiters: Arc<WaitQueue>,
    turns: debts::Turns,
    claims: scope::Claims,
}

impl Table {
    pub(crate) fn new(
        region: Arc<Region>,
        counters: Arc<Counters>,
        waiters: Arc<WaitQueue>,
    ) -> Self {
        Self {
            region,
            counters,
            waiters,
            turns: debts::Turns::default(),
            claims: scope::Claims::default(),
        }
    }

    #[inline(always)]
    pub(crate) fn sets(&self) -> usize {
        self.region.geometry().sets()
    }

    pub(crate) fn slots(&self) -> usize {
        self.region.geometry().slots()
    }

    #[inline(always)]
    pub(crate) fn slot(&self, slot: usize) -> Slot<'_> {
        Slot::new(self.region.slot(slot))
    }

    /// The record in `slot`, and the words beside it (rule 6).
    #[inline(always)]
    fn slot_and_inline(&self, slot: usize) -> (Slot<'_>, &[AtomicU64]) {
        let (record, inline) = self.region.slot_and_inline(slot);
        (Slot::new(record), inline)
    }

    /// The words beside the record in `slot` (rule 6).
    #[inline]
    pub(crate) fn inline(&self, slot: usize) -> &[AtomicU64] {
        self.region.slot_and_inline(slot).1
    }

    #[inline(always)]
    fn line(&self, set: usize) -> SetLine<'_> {
        SetLine::new(self.region.set_line(set))
    }

    /// The set in which the record in `slot` is looked for first.
    pub(crate) fn home_of(&self, slot: usize) -> usize {
        search::homes(self.slot(slot).first_word(), self.sets()).0
    }

    /// The highest fencing counter that any home gave out. Reads every set: cold paths only.
    pub(crate) fn highest_fence(&self) -> u64 {
        (0..self.sets()).map(|set| self.line(set).fence_clock()).max().unwrap_or(0)
    }

    /// How many records there are in each state. Reads every slot: cold paths only.
    pub(crate) fn census(&self) -> [u64; State::ALL.len()] {
        let mut counts = [0; State::ALL.len()];
        for slot in 0..self.slots() {
            counts[self.slot(slot).control().load().state() as usize] += 1;
        }
        counts
    }

    /// About how many records there are, by a look at some sets.
    pub(crate) fn estimate(&self) -> u64 {
        let sets = self.sets();
        let looked = sets.min(SAMPLED);
        let used = |number: usize| {
            let set = number * sets / looked;
            (WAYS as u32 - self.line(set).vacant().count()) as usize
        };
        ((0..looked).map(used).sum::<usize>() * sets / looked) as u64
    }

    /// Notes that the region has come to `now_ms`, now and then: after the machine was started anew
    /// its time goes on from there.
    pub(crate) fn note_time(&self, now_ms: u64) {
        let last = self.region.header(header::LAST_MS);
        // Relaxed, both: it only has to grow.
        let known = last.load(Ordering::Relaxed);
        if self.region.is_shared() && now_ms > known.saturating_add(NOTED_EVERY_MS) {
            last.fetch_max(now_ms, Ordering::Relaxed);
        }
    }

    /// No fencing counter from now on is at or below `floor`.
    pub(crate) fn raise_fence_floor(&self, floor: u64) {
        // Relaxed: a rotation publishes the floor with its generation (see `engine::rotation`).
        self.region.header(header::FENCE_FLOOR).fetch_max(floor, Ordering::Relaxed);
    }
}

/// How many sets tell about all.
const SAMPLED: usize = 256;
/// The time is noted once in a second.
const NOTED_EVERY_MS: u64 = 1_000;

fn place(slot: usize) -> (usize, usize) {
    (slot / WAYS, slot % WAYS)
}

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
