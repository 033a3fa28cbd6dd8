//! Debts: what dead processes had charged to scopes, and what becomes of it.
//!
//! A process that dies half way has perhaps charged a record to a scope and not inserted it, or
//! ended one and not taken it off. Each process counts what it has under way in its entry of the
//! registry; whoever buries it adds that number to the region's debts. A debt is no more than a
//! suspicion: some scope may count a record more than it has.
//!
//! It is settled by a look at all records, and only by one that nothing under way can have spoilt:
//! a count that is too low stays so for good, while one that is too high is tried again. So a look
//!
//! 1. reads the counts, each with the number of its changes;
//! 2. sees each process at a moment at which it has nothing under way;
//! 3. counts the records;
//! 4. sees each process at such a moment again;
//! 5. lowers each count that was too high by comparing, so that it fails where the count changed.
//!
//! Whatever was charged before 1 has ended by 2, so that 3 finds its record. Whatever began after
//! its process's moment in 2, and of which 3 saw anything, has ended by 4: then it has changed the
//! count, and 5 fails. What has not ended by 4 has shown nothing to 3 that counts, or the look is
//! given up. A process that died is at no such moment until it is buried.

use super::Table;
use super::scope::{LIVE, counted, lowered};
use crate::region::header;
use crate::region::registry::UNSETTLED;
use crate::sync::planted::Bug;
use crate::sync::{AtomicU64, Ordering};

/// While it lives something is under way that counts against a scope.
pub(crate) struct Unsettled<'t>(Option<&'t AtomicU64>);

impl Drop for Unsettled<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // A process of a model dies by a panic, and does nothing after it.
        let dies = cfg!(any(oncegate_loom, oncegate_shuttle)) && std::thread::panicking();
        if let Some(word) = self.0
            && !dies
        {
            // Release: pairs with the Acquire of `all_at_rest`; all of it is seen by then.
            word.fetch_sub(1, Ordering::Release);
        }
    }
}

impl Table {
    /// Something is under way that counts against `entry`, and whose process could die half way.
    #[inline(always)]
    pub(crate) fn unsettled(&self, entry: u16) -> Unsettled<'_> {
        Unsettled((entry != 0).then(|| self.note_unsettled()).flatten())
    }

    #[inline(never)]
    fn note_unsettled(&self) -> Option<&AtomicU64> {
        if !self.region.is_shared() && !cfg!(any(oncegate_loom, oncegate_shuttle)) {
            return None;
        }
        let word = &self.region.process(usize::from(self.region.me().max(1)))[UNSETTLED];
        // Relaxed: whoever sees anything of what follows sees this too, since the changes of counts
        // and slots are Release. After a death all that the dead process did is seen.
        word.fetch_add(1, Ordering::Relaxed);
        Some(word)
    }

    /// Makes what the process of entry `dead` had under way a debt of the region. The caller has
    /// locked the entry, and has taken that process out of all slots.
    pub(crate) fn take_over_debts(&self, dead: u8) {
        let owed = &self.region.process(usize::from(dead))[UNSETTLED];
        // Relaxed: the lock of the entry orders this after all that it did.
        let count = owed.load(Ordering::Relaxed).min(MOST_OWED);
        if count == 0 {
            return;
        }
        // First the debt: whoever dies between the two leaves it too high, which is no harm.
        let add = |debts: u64| {
            let sum = (debts & DEBT_MASK).min(MOST_OWED) + count;
            Some((debts & !DEBT_MASK).wrapping_add(DEBT_ADDED) | sum)
        };
        // Relaxed, both: the number is a hint, and no count is lowered on the strength of it.
        let _ = self.debts().fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        // Release: pairs with the Acquire of `all_at_rest`; its claims are gone by then.
        owed.store(0, Ordering::Release);
    }

    /// Lowers what scopes count too much, where there is a debt and a look at all records can tell.
    /// What it cannot tell is left for the next time.
    pub(crate) fn settle_debts(&self) {
        for _ in 0..LOOKS {
            // Relaxed: as above.
            let debts = self.debts().load(Ordering::Relaxed);
            if debts & DEBT_MASK == 0 || self.settle(debts) {
                return;
            }
        }
    }

    /// One look. True: what was owed at `debts` is settled.
    fn settle(&self, debts: u64) -> bool {
        let entries = 1..self.region.geometry().scopes();
        let live = |entry: usize| &self.region.scope(entry)[LIVE];
        // Acquire: pairs with the Release of whoever charged or released it; what he noted before
        // that is seen by `all_at_rest`.
        let counts: Vec<u64> =
            entries.clone().map(|entry| live(entry).load(Ordering::Acquire)).collect();
        if !self.all_at_rest() {
            return false;
        }
        let excess = self.excess(&counts);
        if !self.all_at_rest() {
            return false;
        }
        let (mut paid, mut sure) = (0, true);
        for ((entry, count), excess) in entries.zip(counts).zip(excess) {
            if excess == 0 {
                // Relaxed: ordered after every change that the look may have seen, by the above.
                sure &= live(entry).load(Ordering::Relaxed) == count;
                continue;
            }
            let to = lowered(count, excess).unwrap_or(count);
            // Release: as any change of a count. Relaxed on failure: what is there is not used.
            let swap =
                live(entry).compare_exchange(count, to, Ordering::Release, Ordering::Relaxed);
            sure &= swap.is_ok();
            paid += if swap.is_ok() { excess } else { 0 };
        }
        let left = |now: u64| {
            let all = sure && now == debts;
            let sum = (now & DEBT_MASK).saturating_sub(paid);
            Some(now & !DEBT_MASK | if all { 0 } else { sum })
        };
        // Relaxed, both: as in `take_over_debts`.
        let _ = self.debts().fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        sure
    }

    /// How many records each entry from the first on counts that are not there.
    fn excess(&self, counts: &[u64]) -> Vec<u64> {
        let mut excess: Vec<u64> = counts.iter().map(|word| counted(*word)).collect();
        for slot in 0..self.slots() {
            let at = self.slot(slot);
            // Acquire, in `load`: pairs with whoever made it a record, or none; what he noted
            // before that is seen by `all_at_rest`.
            if at.control().load().state().is_record()
                && let Some(entry) = usize::from(at.scope()).checked_sub(1)
                && let Some(count) = excess.get_mut(entry)
            {
                *count = count.saturating_sub(1);
            }
        }
        excess
    }

    /// Whether each process was seen at a moment at which it had nothing under way.
    fn all_at_rest(&self) -> bool {
        (1..=self.region.geometry().processes()).all(|index| {
            let word = &self.region.process(index)[UNSETTLED];
            // Acquire: pairs with the Release of whoever was the last to end something there.
            (0..PATIENCE).any(|_| word.load(Ordering::Acquire) == 0)
        }) || Bug::SettlesUnderWay.is_planted()
    }

    fn debts(&self) -> &AtomicU64 {
        self.region.header(header::DEBTS)
    }
}

/// More than a process has threads in the middle of something.
const MOST_OWED: u64 = 1 << 16;
/// The debts; above them, how often there were more.
const DEBT_MASK: u64 = u32::MAX as u64;
const DEBT_ADDED: u64 = DEBT_MASK + 1;
/// How often all records are looked at, before a debt is left for the next time.
const LOOKS: usize = 3;
/// How often a process is looked at that has something under way: a few microseconds of it.
const PATIENCE: usize = if cfg!(any(oncegate_loom, oncegate_shuttle)) { 1 } else { 10_000 };

#[cfg(all(test, target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
