//! Recovery: what a dead process left in a slot, finished or undone by whoever meets it.
//!
//! | left | what becomes of it |
//! |---|---|
//! | `Claimed` | vacated: what was there had been given up |
//! | `Inserting` | vacated: nobody has seen it, and its process was not told that it has won |
//! | `Running` | its lease lapses at once (see `lease`), by its policy |
//! | a writer's mark | taken away: the words beside the record are free |
//!
//! Each is one step of the control word, with a higher fencing counter where it changes hands, so
//! that it does not matter how many do it at once. Whether a process is dead is asked after the
//! word was loaded that names it, and before anything is read on the strength of its death: so
//! everything it did is seen.

use super::Table;
use super::control::{Snapshot, State, Step};
use super::insert::FIRST_ATTEMPT;
use super::slot::Kind;
use crate::observe::Event;
use crate::sync::planted::Bug;
use crate::wait::{News, Waiter};

impl Table {
    /// Whether a dead process claimed what was seen, or leased it.
    #[inline]
    pub(crate) fn is_orphan(&self, seen: Snapshot) -> bool {
        let held = matches!(seen.state(), State::Claimed | State::Inserting | State::Running);
        seen.owner() != self.region.me()
            && held
            && self.region.is_dead(seen.owner())
            && !Bug::DeathUnnoticed.is_planted()
    }

    /// The slot as it is when neither a dead claimer nor a dead writer has it.
    pub(super) fn without_the_dead(&self, slot: usize, seen: Snapshot) -> Snapshot {
        let claimed = matches!(seen.state(), State::Claimed | State::Inserting);
        let seen = if claimed { self.without_dead_claimer(slot, seen) } else { seen };
        if seen.writing() { self.without_dead_writer(slot, seen).unwrap_or(seen) } else { seen }
    }

    /// The slot as it is when no dead process has it claimed.
    #[cold]
    #[inline(never)]
    pub(super) fn without_dead_claimer(&self, slot: usize, seen: Snapshot) -> Snapshot {
        let claimed = matches!(seen.state(), State::Claimed | State::Inserting);
        if claimed && self.is_orphan(seen) { self.vacate_claim(slot, seen) } else { seen }
    }

    /// Vacates what a dead process claimed, as it was seen.
    fn vacate_claim(&self, slot: usize, seen: Snapshot) -> Snapshot {
        let at = self.slot(slot);
        // Where its arbitration word names it as pending, helpers find that it is not there any
        // more, or finish it first: then it runs, and the step below fails.
        // At its end the counter claims nothing any more: the slot is lost, as any other then.
        let Some(fence) = seen.fence().next_for(FIRST_ATTEMPT) else { return seen };
        if Bug::DeadClaimStays.is_planted() {
            return seen;
        }
        match at.control().advance(seen, Step::Seize { fence, owner: self.region.me() }) {
            Ok(claimed) => {
                self.counters.add(Event::Recovered);
                self.give_back(slot, claimed);
                at.control().load()
            }
            Err(now) => now,
        }
    }

    /// The slot as it is when no dead process is writing to it. `None`: a live one is, or none.
    #[cold]
    pub(super) fn without_dead_writer(&self, slot: usize, seen: Snapshot) -> Option<Snapshot> {
        let dead = seen.writing() && self.region.is_dead(seen.writer());
        if !dead || Bug::DeadWriterStays.is_planted() {
            return None;
        }
        // A mark has no counter: the next process with this entry makes the same one.
        let control = self.slot(slot).control();
        self.region.recover(seen.writer(), || {
            let now = control.load();
            if now.writer() == seen.writer() { self.disown(slot, now) } else { now }
        })
    }

    fn disown(&self, slot: usize, seen: Snapshot) -> Snapshot {
        let freed = self.slot(slot).control().advance(seen, Step::Disown);
        if freed.is_ok() {
            self.counters.add(Event::Recovered);
        }
        freed.unwrap_or_else(|now| now)
    }

    /// Takes the process of entry `dead` out of the slot, whose entry this process has locked: all
    /// but a lease, which is to be closed first. Gives the slot as it is then.
    pub(crate) fn take_out(&self, slot: usize, dead: u8) -> Snapshot {
        let mut seen = self.slot(slot).control().load();
        loop {
            let claimed = matches!(seen.state(), State::Claimed | State::Inserting);
            let now = if claimed && seen.owner() == dead {
                self.vacate_claim(slot, seen)
            } else if seen.writer() == dead {
                self.disown(slot, seen)
            } else {
                return seen;
            };
            if now == seen {
                // The counter is at its end.
                return seen;
            }
            seen = now;
        }
    }

    /// Makes the lease of a dead process, which is closed, nobody's: so that its entry can be given
    /// to another.
    pub(crate) fn orphan(&self, slot: usize, mut seen: Snapshot) {
        let (fence, owner) = (seen.fence(), seen.owner());
        let control = self.slot(slot).control();
        while seen.fence() == fence && seen.owner() == owner && seen.state() == State::Running {
            match control.advance(seen, Step::Orphan) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// What has become of the record that `waiter` waits for, at `now_ms`.
    pub(crate) fn news(&self, waiter: &Waiter, now_ms: u64) -> News {
        let at = self.slot(waiter.slot);
        let seen = at.control().load();
        let deadline = at.deadline();
        let is_another = at.first_word() != waiter.identity;
        let sooner = deadline.belongs_to(seen.fence()) && deadline.at_ms < waiter.until_ms;
        match seen.state() {
            State::Running | State::Waiting if is_another => News::ForAll,
            State::Running if self.is_orphan(seen) => News::ForOne,
            State::Running if deadline.belongs_to(seen.fence()) && deadline.kind != Kind::Lease => {
                // Somebody decided how it ends, and may have died before saying so.
                News::ForOne
            }
            // Whenever it was to look again by itself: a future never does, and the lease that it
            // waited for may have been renewed past that, or have run out with nobody to see it.
            State::Waiting if deadline.belongs_to(seen.fence()) && deadline.at_ms <= now_ms => {
                News::ForOne
            }
            State::Running | State::Waiting if sooner => News::ForAll,
            State::Running | State::Waiting => News::None,
            _ => News::ForAll,
        }
    }
}

#[cfg(all(test, target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
