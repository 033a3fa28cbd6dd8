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
//!
//! All this holds for each entry by itself. So one whose count 5 found unchanged, and not too high,
//! or lowered, is judged: it owes nothing of the debts that were there before 1. Its entry says up
//! to which addition to the debts that is so, and when all entries say so for the last one, nothing
//! is owed any more. A scope that is busy only leaves its own entry unjudged. A scope at its quota
//! asks for its own entry alone; while that stays unjudged, looks become rarer (see `is_due`).

use std::sync::Arc;

use super::Table;
use super::scope::{LIVE, counted, lowered};
use crate::region::header;
use crate::region::registry::UNSETTLED;
use crate::sync::planted::Bug;
use crate::sync::{AtomicU64, Ordering, plain};

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
        // Release: pairs with the Acquire of `owed`; a look that knows of the debt sees all that
        // the dead process did. Relaxed on the way there: the number is a hint, and no count is
        // lowered on the strength of it.
        let _ = self.debts().fetch_update(Ordering::Release, Ordering::Relaxed, add);
        // Release: pairs with the Acquire of `all_at_rest`; its claims are gone by then.
        owed.store(0, Ordering::Release);
    }

    /// Lowers what scopes count too much, where there is a debt and a look at all records can tell.
    /// What it cannot tell is left for the next time.
    pub(crate) fn settle_debts(&self) {
        for _ in 0..LOOKS {
            let Some(debts) = self.owed() else { return };
            if self.settle(debts) {
                return;
            }
        }
    }

    /// The same for the scope of `entry`, which is at its quota: at most one look, and none where
    /// the entry was judged, or where one could not tell a short while ago.
    pub(crate) fn settle_debts_of(&self, entry: u16) {
        if let Some(debts) = self.owed()
            && self.may_owe(entry)
            && self.is_due(debts)
        {
            let _ = self.settle(debts);
        }
    }

    /// Whether the scope of `entry` may owe something of the debts.
    pub(crate) fn may_owe(&self, entry: u16) -> bool {
        self.owed().is_some_and(|debts| !self.is_judged(usize::from(entry), debts))
    }

    /// The debts, if there are any.
    fn owed(&self) -> Option<u64> {
        // Acquire: pairs with the Release of `take_over_debts`.
        let debts = self.debts().load(Ordering::Acquire);
        (debts & DEBT_MASK != 0).then_some(debts)
    }

    /// Whether a scope at its quota may have a look at its turn: at the first after debts were
    /// added, the second, the fourth and so on, and then at each of `RARELY`.
    fn is_due(&self, debts: u64) -> bool {
        let added = debts & !DEBT_MASK;
        let next =
            |turn: u64| if turn & !DEBT_MASK == added { turn.wrapping_add(1) } else { added | 1 };
        // Relaxed, both: which of two callers has a look is all the same.
        let before = self
            .turns
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |turn| Some(next(turn)));
        let turn = next(before.unwrap_or(added)) & DEBT_MASK;
        turn.is_power_of_two() || turn.is_multiple_of(RARELY)
    }

    /// One look. True: what was owed at `debts` is settled.
    fn settle(&self, debts: u64) -> bool {
        self.take_look(debts).is_some_and(|look| self.judge(&look))
    }

    /// Steps 1 to 4. `None`: something was under way all the time.
    fn take_look(&self, debts: u64) -> Option<Look> {
        let live = |entry: usize| &self.region.scope(entry)[LIVE];
        // Acquire: pairs with the Release of whoever charged or released it; what he noted before
        // that is seen by `all_at_rest`.
        let counts: Vec<u64> = self.entries().map(|at| live(at).load(Ordering::Acquire)).collect();
        if !self.all_at_rest() {
            return None;
        }
        let excess = self.excess(&counts);
        self.all_at_rest().then_some(Look { debts, counts, excess })
    }

    /// Step 5. True: no entry owes anything of what was owed when the look began.
    fn judge(&self, look: &Look) -> bool {
        let (mut paid, mut settled) = (0, true);
        let seen = look.counts.iter().copied().zip(look.excess.iter().copied());
        for (entry, (count, excess)) in self.entries().zip(seen) {
            let live = &self.region.scope(entry)[LIVE];
            let right = if excess == 0 {
                // Relaxed: ordered after every change that the look may have seen, by the above.
                live.load(Ordering::Relaxed) == count
            } else {
                let to = lowered(count, excess).unwrap_or(count);
                // Release: as any change of a count; pairs with the Acquire of `take_look`.
                // Relaxed on failure: what is there is not used.
                live.compare_exchange(count, to, Ordering::Release, Ordering::Relaxed).is_ok()
            };
            if right {
                paid += excess;
                self.note_judged(entry, look.debts);
            }
            settled &= right || self.is_judged(entry, look.debts);
        }
        let left = |now: u64| {
            let all = settled && now & !DEBT_MASK == look.debts & !DEBT_MASK;
            let sum = (now & DEBT_MASK).saturating_sub(paid);
            Some(now & !DEBT_MASK | if all { 0 } else { sum })
        };
        // Relaxed, both: it goes on with the Release of `take_over_debts`, and adds nothing to it.
        let _ = self.debts().fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        settled
    }

    /// Whether `entry` was found to owe nothing of what was added up to `debts`.
    fn is_judged(&self, entry: usize, debts: u64) -> bool {
        // Relaxed: what it says has come true before it was written, and stays so.
        self.region.scope(entry)[JUDGED].load(Ordering::Relaxed) == judged_at(debts)
    }

    fn note_judged(&self, entry: usize, debts: u64) {
        if !self.is_judged(entry, debts) {
            // Relaxed: as above. An older one in the place of a newer one costs a look.
            self.region.scope(entry)[JUDGED].store(judged_at(debts), Ordering::Relaxed);
        }
    }

    /// The entries of scopes.
    fn entries(&self) -> std::ops::Range<usize> {
        1..self.region.geometry().scopes()
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

/// What a look has seen.
struct Look {
    /// The debts before it.
    debts: u64,
    /// By entry, from the first on: the word of its count, and how much that is too high.
    counts: Vec<u64>,
    excess: Vec<u64>,
}

/// How often scopes at their quota asked for a look, since debts were added last; above that, the
/// addition as `DEBTS` has it.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<plain::AtomicU64>);

/// What the entry of a scope says when it owes nothing of what was added up to `debts`. Zero: it
/// was never judged.
fn judged_at(debts: u64) -> u64 {
    debts / DEBT_ADDED + 1
}

/// Where the entry of a scope says so.
const JUDGED: usize = 7;
/// More than a process has threads in the middle of something.
const MOST_OWED: u64 = 1 << 16;
/// The debts; above them, how often there were more.
const DEBT_MASK: u64 = u32::MAX as u64;
const DEBT_ADDED: u64 = DEBT_MASK + 1;
/// How often all records are looked at, before a debt is left for the next time.
const LOOKS: usize = 3;
/// Of so many turns a scope at its quota has one look, at least: about one a minute.
const RARELY: u64 = 64;
/// How often a process is looked at that has something under way: a few microseconds of it.
const PATIENCE: usize = if cfg!(any(oncegate_loom, oncegate_shuttle)) { 1 } else { 10_000 };

#[cfg(all(test, target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
