//! The sweep: clears what is over, one slot after the other, as far as it is told.

use super::Table;
use super::control::{Snapshot, State};
use super::room::Rules;
use super::search::Found;
use crate::region::{WAYS, header};
use crate::sync::Ordering;
use crate::sync::planted::Bug;

/// What a sweep met that the engine has to see to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Met {
    /// Nothing, or nothing to do.
    Nothing,
    /// A record that was over; it is gone.
    Cleared,
    /// A running attempt whose lease has lapsed.
    Lapsed(Found),
    /// A record whose next attempt is due, and somebody waits for it.
    Due(Found),
    /// A finished record whose window was never written.
    Unsettled(Found),
    /// A record of which nobody knows whether its attempt took effect.
    Unknown(Found),
}

impl Table {
    /// How many parts there are, of [`PART`] slots each.
    pub(crate) fn parts(&self) -> usize {
        self.slots() / PART
    }

    /// The next part in turn. Each call goes one further, whoever calls.
    pub(crate) fn next_part(&self) -> usize {
        // Relaxed: the cursor only spreads the work; two sweeps of one part do no harm.
        let turn = self.region.header(header::SWEEP_CURSOR).fetch_add(1, Ordering::Relaxed);
        (turn % self.parts() as u64) as usize
    }

    /// Visits the slots of a part, clears what is over, and hands what it met to `see_to`.
    pub(crate) fn sweep_part(&self, part: usize, rules: &Rules, mut see_to: impl FnMut(Met)) {
        let (set, first) = super::place(part * PART);
        let vacant = self.line(set).vacant();
        let used = || (first..first + PART).filter(|way| !vacant.contains(*way));
        used().for_each(|way| self.region.prefetch_record(set * WAYS + way));
        for way in used() {
            let slot = set * WAYS + way;
            let seen = self.slot(slot).control().load();
            see_to(self.meet(slot, seen, rules));
        }
    }

    /// How many records that are not over were made under the key with this short id.
    pub(crate) fn count_made_under(&self, key_id: u8) -> usize {
        let under = |slot: &usize| {
            let seen = self.slot(*slot).control().load();
            seen.state().is_record() && self.slot(*slot).digest().key_id() == key_id
        };
        (0..self.slots()).filter(under).count()
    }

    fn meet(&self, slot: usize, seen: Snapshot, rules: &Rules) -> Met {
        let seen = self.without_the_dead(slot, seen);
        if !seen.state().is_record() {
            return Met::Nothing;
        }
        let spares = seen.state() != State::Running || !Bug::SweepClearsRunning.is_planted();
        if self.is_over(slot, seen, rules) || !spares {
            return if self.clear(slot, seen, rules) { Met::Cleared } else { Met::Nothing };
        }
        let deadline = self.slot(slot).deadline();
        let passed = deadline.belongs_to(seen.fence()) && deadline.at_ms <= rules.now_ms;
        let found = Found { slot, seen };
        match seen.state() {
            State::Running if passed || self.is_orphan(seen) => Met::Lapsed(found),
            State::Waiting if passed && seen.waiters() => Met::Due(found),
            State::Succeeded | State::Failed if passed => Met::Unsettled(found),
            State::Unknown => Met::Unknown(found),
            _ => Met::Nothing,
        }
    }
}

/// How many slots are visited at a time: a quarter of a set.
pub(crate) const PART: usize = WAYS / 4;

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
