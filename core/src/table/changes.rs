//! Changes: how whoever schedules learns what has changed about the entries of retried records.
//!
//! Three things are written for each change, in this order: the count of the entry's block, the
//! count of all changes, and the number of the entry in a ring of the last so many. Who has seen
//! the first n changes, and is not too far behind, finds the others in the ring, and looks at those
//! entries alone. Who is behind by more than the ring, or finds that somebody has counted a change
//! and did not come to name it, compares the counts of all blocks.

use super::Table;
use crate::region::geometry::{MAX_RETRIES, RECENT_CHANGES, RETRIES_PER_CHANGE};
use crate::region::header;
use crate::sync::{AtomicU64, Ordering};

impl Table {
    /// Tells whoever schedules that something changed about entry `index`. Gives how many changes
    /// there were before.
    pub(crate) fn note_change(&self, index: usize) -> u64 {
        let change = self.count_change(index / RETRIES_PER_CHANGE);
        // Release: pairs with the Acquire of `changed`.
        self.recent(change).store(name_of(change, index), Ordering::Release);
        change
    }

    /// The same for all entries of `block`.
    pub(super) fn note_changes(&self, block: usize) {
        // It names none: then all blocks are compared.
        self.count_change(block);
    }

    fn count_change(&self, block: usize) -> u64 {
        // Release: pairs with the Acquire of `changes_of`.
        self.region.retry_changes()[block].fetch_add(1, Ordering::Release);
        // AcqRel: pairs with the Acquire of `changes`, and with `changes_from_now`.
        self.region.header(header::RETRY_CHANGES).fetch_add(1, Ordering::AcqRel)
    }

    /// The entry that change number `change` was of. `None`: others came since, or whoever made it
    /// did not come further yet.
    pub(crate) fn changed(&self, change: u64) -> Option<usize> {
        // Acquire: pairs with the Release of `note_change`.
        let word = self.recent(change).load(Ordering::Acquire);
        let index = word as usize % MAX_RETRIES;
        // In a file that was damaged it may be any.
        (word == name_of(change, index) && index < self.retry_entries()).then_some(index)
    }

    /// How often anything changed. Whoever changes something after this call sees what came before
    /// it.
    pub(crate) fn changes_from_now(&self) -> u64 {
        // AcqRel: pairs with the AcqRel of `count_change`, by whichever comes second.
        self.region.header(header::RETRY_CHANGES).fetch_add(0, Ordering::AcqRel)
    }

    /// How often anything changed.
    pub(crate) fn changes(&self) -> u64 {
        // Acquire: pairs with the AcqRel of `count_change`.
        self.region.header(header::RETRY_CHANGES).load(Ordering::Acquire)
    }

    /// How often something changed in each block of entries.
    pub(crate) fn changes_of(&self, block: usize) -> u64 {
        // Acquire: pairs with the Release of `count_change`.
        self.region.retry_changes()[block].load(Ordering::Acquire)
    }

    fn recent(&self, change: u64) -> &AtomicU64 {
        &self.region.recent_changes()[change as usize % RECENT_CHANGES]
    }
}

/// Not zero, which is what the ring begins with; another for each change that shares its place.
fn name_of(change: u64, index: usize) -> u64 {
    change.wrapping_add(1) << MAX_RETRIES.ilog2() | index as u64
}
