//! Burial: everything in the region that names a dead process, found and cleared, so that its entry
//! of the registry can be given to another.
//!
//! What matters to a caller is recovered when it is met (see `table::recover`); this is for what
//! nobody meets, and for counts that a death left too high.

use super::Engine;
use super::tend::Swept;
use crate::error::Error;
use crate::region::registry::Joined;
use crate::sync::Ordering;
use crate::sync::planted::Bug;
use crate::table::control::State;
use crate::table::{Found, Met, Rules};

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
        self.region.bury(|| self.clear_up(&self.rules()))
    }

    /// [`bury_dead`](Self::bury_dead) for a scope at its quota, at most once in a while: what dead
    /// processes had charged and not inserted counts against it.
    pub(super) fn bury_for_quota(&self, rules: &Rules) {
        // Relaxed, both: two burials at once do no harm.
        let last = self.buried_ms.load(Ordering::Relaxed);
        if self.region.is_shared() && (last == 0 || rules.now_ms >= last + BURY_EVERY_MS) {
            self.buried_ms.store(rules.now_ms, Ordering::Relaxed);
            // What cannot be buried counts on.
            let _ = self.region.bury(|| self.clear_up(rules));
        }
    }

    /// Makes the entry of `joined` this process's own, once nothing names whoever had it before.
    pub(super) fn clear_up_after(&self, joined: Joined) {
        if joined.used {
            if !Bug::EntryNotCleared.is_planted() {
                self.clear_up(&self.rules());
            }
            self.region.settle(joined);
        }
    }

    fn clear_up(&self, rules: &Rules) {
        let charged = self.table.charged();
        let mut counted = vec![0; charged.len()];
        for slot in 0..self.table.slots() {
            let seen = self.clear_up_slot(slot, rules);
            if seen && let Some(count) = counted.get_mut(usize::from(self.table.slot(slot).scope()))
            {
                *count += 1;
            }
        }
        self.table.correct_charges(&charged, &counted);
        self.store.bury();
    }

    /// Whether the slot holds a record, once no dead process has a part in it.
    fn clear_up_slot(&self, slot: usize, rules: &Rules) -> bool {
        let seen = self.table.slot(slot).control().load();
        let seen = self.table.without_the_dead(slot, seen);
        if seen.state() == State::Running && self.table.is_orphan(seen) {
            self.see_to(Met::Lapsed(Found { slot, seen }), rules, &mut Swept::default());
            self.table.orphan(slot, seen);
        }
        seen.state().is_record()
    }
}

/// A scope at its quota buries the dead no more often.
const BURY_EVERY_MS: u64 = 1_000;
