//! Burial: everything in the region that names a dead process, found and cleared, so that its entry
//! of the registry can be given to another.
//!
//! What matters to a caller is recovered when it is met (see `table::recover`); this is for what
//! nobody meets, and for counts that a death left too high.

use super::Engine;
use crate::error::Error;
use crate::region::registry::Joined;
use crate::sync::Ordering;
use crate::sync::planted::Bug;
use crate::table::control::State;
use crate::table::{Found, Rules};

impl Engine {
    /// Clears what dead processes have left, all of it, and frees their entries in the registry.
    /// Gives their number.
    ///
    /// Nothing needs it: whoever meets what a dead process left recovers it at once, and a process
    /// that finds no fresh entry clears a used one. It reads every slot if there is a dead process,
    /// and costs a few system calls for each entry.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Os`](crate::ErrorCode::Os) where the region's file cannot be opened again;
    /// [`ErrorCode::Forked`](crate::ErrorCode::Forked).
    ///
    /// ```
    /// let engine = oncegate::Engine::builder().capacity(1_000).build()?;
    /// assert_eq!(engine.bury_dead()?, 0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn bury_dead(&self) -> Result<usize, Error> {
        self.enter()?;
        let buried = self.region.bury(|dead| self.clear_up(dead, &self.rules()));
        self.table.settle_debts();
        buried
    }

    /// [`bury_dead`](Self::bury_dead) for the scope of `entry`, which is at its quota, at most once
    /// in a while: what dead processes had charged and not inserted counts against it. So does what
    /// could not be told when they were buried, since others had something under way.
    pub(super) fn bury_for_quota(&self, entry: u16, rules: &Rules) {
        // Relaxed, both: of two burials at once one finds the entry locked.
        let last = self.buried_ms.load(Ordering::Relaxed);
        if self.region.is_shared() && (last == 0 || rules.now_ms >= last + BURY_EVERY_MS) {
            self.buried_ms.store(rules.now_ms, Ordering::Relaxed);
            // What cannot be buried counts on.
            let _ = self.region.bury(|dead| self.clear_up(dead, rules));
        }
        // A scope that owes nothing takes no turn from one that does.
        if self.region.is_shared() && self.table.may_owe(entry) {
            // Relaxed, both: one look more is no harm.
            let last = self.settled_ms.load(Ordering::Relaxed);
            if last == 0 || rules.now_ms >= last + BURY_EVERY_MS {
                self.settled_ms.store(rules.now_ms, Ordering::Relaxed);
                self.table.settle_debts_of(entry);
            }
        }
    }

    /// Clears what is left of whoever had this process's entry before it.
    pub(super) fn clear_up_after(&self, joined: Joined) {
        if joined.used && !Bug::EntryNotCleared.is_planted() {
            self.clear_up(joined.index, &self.rules());
            self.table.settle_debts();
        }
    }

    /// Takes the process of entry `dead`, whose entry this one has locked, out of all slots, chunks
    /// and counts.
    fn clear_up(&self, dead: u8, rules: &Rules) {
        for slot in 0..self.table.slots() {
            self.clear_up_slot(slot, dead, rules);
        }
        self.store.bury(dead);
        self.table.bury_entries(dead);
        self.table.take_over_debts(dead);
    }

    fn clear_up_slot(&self, slot: usize, dead: u8, rules: &Rules) {
        for _ in 0..MOST_ROUNDS {
            let seen = self.table.take_out(slot, dead);
            if seen.state() != State::Running || seen.owner() != dead {
                return;
            }
            let closed = self.table.close_lease_of(slot, seen, rules, || true);
            self.see_to_lapse(Found { slot, seen }, closed);
            self.table.orphan(slot, seen);
        }
    }
}

/// More than there can be changes of one slot between two looks at it, by those who help.
const MOST_ROUNDS: usize = 1_000;
/// A scope at its quota buries the dead no more often.
const BURY_EVERY_MS: u64 = 1_000;
