//! Insertion: the protocol of the module documentation, step by step.

use super::control::{Fence, Snapshot, State, Step};
use super::room::Rules;
use super::search::Probe;
use super::set::{Arbitration, SetLine};
use super::slot::{Deadline, DigestWord, Fields, Kind};
use super::{LeaseDraft, Table, place};
use crate::sync::planted::Bug;

/// A record that is not there yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft {
    pub(crate) scope: u16,
    /// The number of its attempt: one, unless others were made elsewhere.
    pub(crate) attempt: u16,
    pub(crate) digest: DigestWord,
    pub(crate) lease: LeaseDraft,
}

/// How an insertion ended.
#[derive(Clone, Copy, Debug)]
#[must_use = "an insertion may find a record, or no room"]
pub(crate) enum Insertion {
    /// The record is there, running its first attempt; the caller holds its lease.
    Inserted { slot: usize, seen: Snapshot, replaced: bool },
    /// Somebody's record is there already, under either key.
    Found,
    /// No slot of either set may be taken.
    Full,
    /// The keys changed while the insertion was under way: start again with the new ones.
    KeysChanged,
    /// The fencing counter came to its end.
    Exhausted,
}

/// Why no slot was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoSlot {
    Full,
    Exhausted,
    /// Somebody inserted since the search: search again before evicting anything.
    Changed,
}

/// Whom a slot is claimed for.
pub(super) struct Wanted<'a> {
    pub(super) probe: &'a Probe,
    pub(super) scope: u16,
    pub(super) attempt: u16,
    /// The counter of the new record is above this one, whatever the home's clock says.
    pub(super) above: Fence,
    /// How its homes were when they were searched.
    pub(super) searched: Searched<'a>,
}

/// The homes that were searched, and how they were before.
#[derive(Clone, Copy)]
pub(super) struct Searched<'a> {
    pub(super) line: SetLine<'a>,
    pub(super) seen: Arbitration,
    /// The home under the key that is being retired.
    pub(super) old: Option<(SetLine<'a>, Arbitration)>,
}

impl Searched<'_> {
    /// Whether nobody inserted there since.
    #[inline(always)]
    pub(super) fn stands(&self) -> bool {
        self.line.arbitration() == self.seen
            && self.old.is_none_or(|(line, seen)| line.arbitration() == seen)
    }
}

/// A slot that this insertion holds, presented and not yet arbitrated.
#[derive(Clone, Copy)]
struct Held {
    slot: usize,
    seen: Snapshot,
}

impl Table {
    /// Inserts `draft` for `probe`, unless a record is there that is not over.
    ///
    /// `retiring` is the same request under the key that is being rotated out: an insertion must
    /// find no record there either, and it disturbs that home, so that an insertion which does
    /// not yet know of the rotation cannot win. `keys_unchanged` is asked after the arbitration
    /// words were read.
    ///
    /// `looked` is how the home was before a search of `probe` alone that has just found nothing.
    // Into its one hot caller, however many cold ones there are.
    #[inline(always)]
    pub(crate) fn insert(
        &self,
        probe: &Probe,
        retiring: Option<&Probe>,
        draft: &Draft,
        rules: &Rules,
        mut looked: Option<Arbitration>,
        keys_unchanged: impl Fn() -> bool,
    ) -> Insertion {
        let line = self.line(probe.home());
        let old_line = retiring.map(|old| self.line(old.home()));
        let mut held: Option<Held> = None;
        let mut replaced = false;
        let end = loop {
            let old_seen = old_line.map(|old| self.settled(old));
            // What was pending when the search began may be this very request.
            let fresh = looked.take().filter(|seen| !seen.pending() && retiring.is_none());
            let seen = fresh.unwrap_or_else(|| self.settled(line));
            if !keys_unchanged() {
                break Insertion::KeysChanged;
            }
            let search =
                || retiring.and_then(|old| self.search(old)).or_else(|| self.search(probe));
            if fresh.is_none()
                && let Some(found) = search()
            {
                if !self.is_over(found.slot, found.seen, rules) {
                    break Insertion::Found;
                }
                if found.seen.fence().next_for(FIRST_ATTEMPT).is_none() {
                    break Insertion::Exhausted;
                }
                // The record is over: clear it away, then look again.
                replaced |= self.clear(found.slot, found.seen, rules);
                continue;
            }
            // The tokens of a request grow across a rotation, though its home changes.
            let old_clock = self.clock_of_old_home(probe, retiring);
            let above = line.fence_clock().max(old_clock);
            self.give_back_late(&mut held, above, old_clock);
            let mine = match held {
                Some(mine) => mine,
                None => {
                    let searched = Searched { line, seen, old: old_line.zip(old_seen) };
                    let above = Fence::new(above).unwrap_or(Fence::LAST);
                    let Draft { scope, attempt, .. } = *draft;
                    let wanted = Wanted { probe, scope, attempt, above, searched };
                    match self.reserve(&wanted, draft, rules) {
                        Ok(mine) => *held.insert(mine),
                        Err(NoSlot::Changed) => continue,
                        Err(NoSlot::Full) => break Insertion::Full,
                        Err(NoSlot::Exhausted) => break Insertion::Exhausted,
                    }
                }
            };
            if let (Some(old), Some(old_seen)) = (retiring, old_seen)
                && !self.disturb_old_home(old, old_seen, probe.home())
            {
                continue;
            }
            if let Some(running) = self.arbitrate(line, seen, mine, probe) {
                return Insertion::Inserted { slot: mine.slot, seen: running, replaced };
            }
        };
        if let Some(mine) = held {
            self.give_back(mine.slot, mine.seen);
        }
        end
    }

    /// Gives back a slot whose counter is too low. A record of this request may have come and gone
    /// since it was claimed: then its attempts drew counters that the new one must be above. Those
    /// of another home come from another clock, and may be the same.
    fn give_back_late(&self, held: &mut Option<Held>, above: u64, old_clock: u64) {
        let is_late = |fence: u64| fence < above || fence == old_clock;
        let late = |mine: &mut Held| is_late(mine.seen.fence().get());
        if let Some(late) = held.take_if(|mine| late(mine) && !Bug::CounterKept.is_planted()) {
            self.give_back(late.slot, late.seen);
        }
    }

    /// Makes an insertion under the old key fail that does not know of the new one. False:
    /// somebody inserted on the old home since `seen` was read.
    fn disturb_old_home(&self, old: &Probe, seen: Arbitration, new_home: usize) -> bool {
        let needed = old.home() != new_home && !Bug::RotationSkipsOldHome.is_planted();
        !needed || self.line(old.home()).disturb(seen).is_ok()
    }

    /// The clock of the request's home under the old key, where that is another home.
    fn clock_of_old_home(&self, probe: &Probe, retiring: Option<&Probe>) -> u64 {
        let other = retiring.filter(|old| old.home() != probe.home());
        other.map_or(0, |old| self.line(old.home()).fence_clock())
    }

    /// Makes every insertion fail its arbitration that read its word before this call.
    pub(crate) fn disturb_all(&self) {
        for set in 0..self.sets() {
            let line = self.line(set);
            while line.disturb(self.settled(line)).is_err() {}
        }
    }

    /// The arbitration word of `line` with nothing pending, after helping.
    fn settled(&self, line: SetLine<'_>) -> Arbitration {
        loop {
            let seen = line.arbitration();
            if !seen.pending() {
                return seen;
            }
            if !Bug::PendingNotHelped.is_planted() {
                self.help(line, seen);
            }
        }
    }

    /// Finishes the pending insertion `seen` for whoever stalled in it.
    fn help(&self, line: SetLine<'_>, seen: Arbitration) {
        if seen.slot() < self.slots() {
            let control = self.slot(seen.slot()).control();
            let inserting = control.load();
            // While the word still says `seen`, the slot belongs to the insertion it names; its
            // fencing bits and the second look keep a late helper from finishing another one.
            let is_this_one = inserting.state() == State::Inserting
                && (inserting.fence().low() == seen.fence_low() && line.arbitration() == seen
                    || Bug::HelperUnfenced.is_planted());
            if is_this_one {
                // Whoever else finishes it does the same.
                let _ = control.advance_for(inserting, Step::Finish);
            }
        }
        line.settle(seen);
    }

    /// Steps 4 and 5. `None`: somebody inserted since `seen` was read.
    fn arbitrate(
        &self,
        line: SetLine<'_>,
        seen: Arbitration,
        mine: Held,
        probe: &Probe,
    ) -> Option<Snapshot> {
        let won = line.arbitrate(seen, mine.slot, mine.seen.fence());
        let pending = match won {
            Ok(pending) => Some(pending),
            Err(()) if Bug::ArbitrationIgnored.is_planted() => None,
            Err(()) => return None,
        };
        if Bug::TagWrittenLate.is_planted() {
            let (set, way) = place(mine.slot);
            self.line(set).set_tag(way, probe.tag);
        }
        let control = self.slot(mine.slot).control();
        let running = mine.seen.after(Step::Finish)?;
        // A helper may have been faster, and the record may have moved on since.
        let finished = control.advance_for(mine.seen, Step::Finish);
        if let Some(pending) = pending {
            line.settle(pending);
            if pending.ticks() {
                line.limit_ages(pending.age_clock());
            }
        }
        finished.or(Some(running))
    }

    /// Step 3: a slot with the record in it, presented.
    #[inline(always)]
    fn reserve(&self, wanted: &Wanted<'_>, draft: &Draft, rules: &Rules) -> Result<Held, NoSlot> {
        let probe = wanted.probe;
        let (slot, seen) = self.claim_any(wanted, rules)?;
        let (set, way) = place(slot);
        let line = self.line(set);
        // The clock that this insertion will make, so that the record counts as just used.
        let at_home = set == probe.home();
        let clock = if at_home { wanted.searched.seen.next_age_clock() } else { line.age_clock() };
        let LeaseDraft { until_ms, lapse } = draft.lease;
        self.slot(slot).write(Fields {
            identity: probe.identity(),
            scope: draft.scope,
            attempt: draft.attempt,
            deadline: Deadline::new(until_ms, lapse, Kind::Lease, seen.fence()),
            digest: draft.digest,
        });
        line.stamp(way, clock);
        if !Bug::TagWrittenLate.is_planted() {
            line.set_tag(way, probe.tag);
        }
        // Nobody else may touch a claimed slot; corrupt memory alone leads to the error.
        let presented = self.slot(slot).control().advance_claimed(seen, Step::Present);
        presented.map(|seen| Held { slot, seen }).ok_or(NoSlot::Full)
    }

    /// Claims `slot`, which the caller saw as `seen` and which may go.
    #[inline(always)]
    pub(super) fn claim(
        &self,
        slot: usize,
        seen: Snapshot,
        wanted: &Wanted<'_>,
    ) -> Option<Snapshot> {
        let above = seen.fence().max(wanted.above);
        let fence = self.next_fence(wanted.probe.home(), above, wanted.attempt.into())?;
        let step = Step::Claim { fence, owner: self.region.me() };
        // What was there is taken off its scope's count.
        let replaced = if seen.state().is_record() { self.slot(slot).scope() } else { 0 };
        let _unsettled = self.unsettled(replaced);
        let claimed = self.slot(slot).control().advance(seen, step).ok()?;
        if seen.state().is_record() {
            self.forget(slot, seen);
        }
        Some(claimed)
    }

    /// Vacates a slot that the caller holds, tag first (rule 5).
    pub(super) fn give_back(&self, slot: usize, held: Snapshot) {
        let (set, way) = place(slot);
        self.line(set).set_tag(way, 0);
        // The holder alone may leave `Claimed` and an `Inserting` that is not pending.
        let _ = self.slot(slot).control().advance_claimed(held, Step::Vacate);
    }

    /// The next counter for `attempt` of a fingerprint of this home.
    pub(super) fn next_fence(&self, home: usize, above: Fence, attempt: u32) -> Option<Fence> {
        let floor = self.fence_floor()?;
        if Bug::ClockForgotten.is_planted() {
            return above.next_for(attempt);
        }
        self.line(home).next_fence(above.max(floor), attempt)
    }
}

/// Attempts are counted from one.
pub(super) const FIRST_ATTEMPT: u32 = 1;

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
