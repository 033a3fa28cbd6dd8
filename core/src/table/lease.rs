//! Leases: renewal, lapse, takeover, and the end of an attempt.

use super::Table;
use super::control::{Snapshot, State, Step};
use super::room::Rules;
use super::slot::{Deadline, Kind, Lapse};
use crate::observe::Event;
use crate::sync::planted::Bug;

/// A lease that is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseDraft {
    /// Milliseconds since the region was opened.
    pub(crate) until_ms: u64,
    pub(crate) lapse: Lapse,
}

/// The lease of an attempt is closed: what its policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lapsed(pub(crate) Lapse);

/// Why a lease was not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Open {
    /// It lasts until then, in milliseconds since the region was opened.
    Until(u64),
    /// Somebody has decided how the attempt ends, and it has not been said yet.
    Ending,
    /// The record changed meanwhile.
    Changed,
}

/// What the deadline says to who wants to finish an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// It finishes: its window has an end.
    Decided,
    /// It runs again, at that time.
    Due(u64),
    /// Its lease was closed: the control word decides between the end and a takeover.
    Closed,
    /// It has ended.
    Gone,
}

/// Why a takeover did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The record changed meanwhile.
    Changed,
    /// The attempt number or the fencing counter is at its end.
    Exhausted,
}

impl Table {
    /// Closes the lease of the attempt `seen` if it has lapsed, so that nobody can renew it.
    ///
    /// Renewal and lapse are decided by the deadline word alone: either the holder moves the
    /// deadline, or somebody closes it.
    pub(crate) fn close_lease(
        &self,
        slot: usize,
        seen: Snapshot,
        rules: &Rules,
    ) -> Result<Lapsed, Open> {
        self.close_lease_of(slot, seen, rules, || self.is_orphan(seen))
    }

    /// The same, where `is_dead` tells whether the holder is.
    pub(crate) fn close_lease_of(
        &self,
        slot: usize,
        seen: Snapshot,
        rules: &Rules,
        is_dead: impl Fn() -> bool,
    ) -> Result<Lapsed, Open> {
        let at = self.slot(slot);
        loop {
            let deadline = at.deadline();
            if !deadline.belongs_to(seen.fence()) {
                if at.control().load().fence() != seen.fence() {
                    return Err(Open::Changed);
                }
                // The winner of a takeover stalled before it wrote its deadline: give it one, so
                // that its attempt cannot last for ever. Until its own word is there the record
                // follows the cautious policy only if it asked for it; the default reclaims. So it
                // does where the winner died: nobody was told of that attempt.
                let orphan = is_dead();
                let kind = if orphan { Kind::Closed } else { Kind::Lease };
                let lasts_ms = if orphan { 0 } else { rules.default_lease_ms };
                let until_ms = rules.now_ms.saturating_add(lasts_ms);
                let given = Deadline::new(until_ms, Lapse::Reclaim, kind, seen.fence());
                let _ = at.change_deadline(deadline, given);
                continue;
            }
            match deadline.kind {
                Kind::Closed => return Ok(Lapsed(deadline.lapse)),
                // Decided, and not a lapse: whoever meets it carries it out.
                Kind::Window | Kind::Due => return Err(Open::Ending),
                Kind::Lease => {}
            }
            if deadline.lasts(rules.now_ms) {
                if !is_dead() {
                    return Err(Open::Until(deadline.at_ms));
                }
                self.counters.add(Event::Recovered);
            }
            if Bug::TakeoverWithoutFreeze.is_planted()
                || at.change_deadline(deadline, deadline.with_kind(Kind::Closed)).is_ok()
            {
                return Ok(Lapsed(deadline.lapse));
            }
        }
    }

    /// Starts the next attempt of the record in `slot`, which is due or whose lease is closed.
    pub(crate) fn take(
        &self,
        slot: usize,
        seen: Snapshot,
        home: usize,
        lease: LeaseDraft,
    ) -> Result<(Snapshot, u32), NotTaken> {
        let at = self.slot(slot);
        let attempt = seen.fence().attempt(at.attempt());
        if at.control().load().fence() != seen.fence() {
            return Err(NotTaken::Changed);
        }
        // The last winner may have stalled before it wrote its number (rule 4).
        at.raise_attempt(seen.fence(), attempt);
        if attempt >= LAST_ATTEMPT {
            return Err(NotTaken::Exhausted);
        }
        let fence = self.next_fence(home, seen.fence(), attempt + 1).ok_or(NotTaken::Exhausted)?;
        let taken = at
            .control()
            .advance(seen, Step::Take { fence, owner: self.region.me() })
            .or_else(|now| if Bug::TakenBlindly.is_planted() { Ok(now) } else { Err(now) })
            .map_err(|_| NotTaken::Changed)?;
        self.counters.moved(seen.state(), State::Running);
        at.raise_attempt(taken.fence(), attempt + 1);
        // A lease that was lost before it was written was never anybody's.
        if self.write_lease(slot, taken, lease) {
            Ok((taken, attempt + 1))
        } else {
            Err(NotTaken::Changed)
        }
    }

    /// Writes the deadline of an attempt that was just taken. False: it was lost before.
    fn write_lease(&self, slot: usize, taken: Snapshot, lease: LeaseDraft) -> bool {
        let at = self.slot(slot);
        let mine = Deadline::new(lease.until_ms, lease.lapse, Kind::Lease, taken.fence());
        let mut found = at.deadline();
        // Whatever stands there is an earlier attempt's, or a helper's for this one. A closed one
        // of this attempt means that it lapsed while its winner stalled: that decision holds.
        while !(found.belongs_to(taken.fence()) && found.kind == Kind::Closed) {
            // After the load of `found`: whoever takes the record next closes this attempt's
            // deadline first, so the swap below fails if that happens after this look.
            let is_mine = at.control().load().fence() == taken.fence();
            if !is_mine && !Bug::LeaseWrittenLate.is_planted() {
                return false;
            }
            match at.change_deadline(found, mine) {
                Ok(()) => return true,
                Err(now) => found = now,
            }
        }
        false
    }

    /// Moves the deadline of the attempt `seen` to `until_ms`. False: the lease is lost.
    pub(crate) fn renew(&self, slot: usize, seen: Snapshot, until_ms: u64) -> bool {
        let at = self.slot(slot);
        loop {
            let deadline = at.deadline();
            let lasts = deadline.kind == Kind::Lease || Bug::RenewsAfterLapse.is_planted();
            if !deadline.belongs_to(seen.fence()) || !lasts {
                return false;
            }
            let forgets = Bug::RenewalForgetsPolicy.is_planted();
            let lapse = if forgets { Lapse::Reclaim } else { deadline.lapse };
            let next = Deadline::new(until_ms, lapse, Kind::Lease, seen.fence());
            if at.change_deadline(deadline, next).is_ok() {
                return true;
            }
        }
    }

    /// Decides that the attempt `seen` ends in `Waiting`, and when the next one is due.
    ///
    /// From here on anyone may take the record there. False: the lease is lost.
    pub(crate) fn set_due(&self, slot: usize, seen: Snapshot, due_ms: u64) -> bool {
        let at = self.slot(slot);
        loop {
            let deadline = at.deadline();
            if !deadline.belongs_to(seen.fence()) || deadline.kind != Kind::Lease {
                return false;
            }
            let due_ms = if Bug::DueIgnored.is_planted() { 0 } else { due_ms };
            let due = Deadline::new(due_ms, deadline.lapse, Kind::Due, seen.fence());
            if at.change_deadline(deadline, due).is_ok() {
                return true;
            }
        }
    }

    /// Whether the attempt `seen` holds its lease, and nobody has decided how it ends.
    pub(crate) fn holds_lease(&self, slot: usize, seen: Snapshot) -> bool {
        let deadline = self.slot(slot).deadline();
        let unknown = seen.state() == State::Unknown && deadline.kind == Kind::Closed;
        deadline.belongs_to(seen.fence()) && (deadline.kind == Kind::Lease || unknown)
    }

    /// The same, and whoever closes the lease from now on sees what its holder did before this
    /// call: the deadline is written, if only by what it was.
    pub(crate) fn confirm_lease(&self, slot: usize, seen: Snapshot) -> bool {
        let at = self.slot(slot);
        loop {
            let deadline = at.deadline();
            if !self.holds_lease(slot, seen) || !deadline.belongs_to(seen.fence()) {
                return false;
            }
            if at.change_deadline(deadline, deadline).is_ok() {
                return true;
            }
        }
    }

    /// Decides that the attempt `seen`, whose lease is closed, ends in `Waiting`, and when the next
    /// one is due. False: somebody has decided otherwise.
    pub(crate) fn set_due_lapsed(&self, slot: usize, seen: Snapshot, due_ms: u64) -> bool {
        let at = self.slot(slot);
        let closed = at.deadline();
        closed.belongs_to(seen.fence())
            && closed.kind == Kind::Closed
            && at
                .change_deadline(
                    closed,
                    Deadline::new(due_ms, closed.lapse, Kind::Due, seen.fence()),
                )
                .is_ok()
    }

    /// Decides that the record `seen`, a dead letter, runs again, or how long duplicates are still
    /// answered as before. False: it is none any more.
    pub(crate) fn settle_letter(
        &self,
        slot: usize,
        seen: Snapshot,
        kind: Kind,
        at_ms: u64,
    ) -> bool {
        let at = self.slot(slot);
        let open = at.deadline();
        let is_letter = open.belongs_to(seen.fence())
            && open.kind == Kind::Window
            && open.at_ms == Deadline::MAX_MS
            && seen.state() == State::Failed;
        let next = Deadline::new(at_ms.min(Deadline::MAX_MS - 1), open.lapse, kind, seen.fence());
        let settled = is_letter && at.change_deadline(open, next).is_ok();
        settled || Bug::LetterSettledTwice.is_planted()
    }

    /// Makes a dead letter wait, whose deadline says that it runs again.
    pub(crate) fn redrive(&self, slot: usize, seen: Snapshot) -> bool {
        let mut from = seen;
        loop {
            match self.slot(slot).control().advance(from, Step::Redrive) {
                Ok(_) => {
                    self.counters.moved(State::Failed, State::Waiting);
                    return true;
                }
                // Whoever still writes an outcome beside it is done.
                Err(now) if now.is_same_record(seen) => from = now,
                Err(_) => return false,
            }
        }
    }

    /// Makes an unknown record due at `due_ms`. False: somebody has decided otherwise.
    pub(crate) fn set_due_unknown(&self, slot: usize, seen: Snapshot, due_ms: u64) -> bool {
        let at = self.slot(slot);
        let mut found = at.deadline();
        let undecided = |found: Deadline| {
            matches!(found.kind, Kind::Lease | Kind::Closed) || Bug::DueUnarbitrated.is_planted()
        };
        while found.belongs_to(seen.fence()) && undecided(found) {
            let due = Deadline::new(due_ms, found.lapse, Kind::Due, seen.fence());
            match at.change_deadline(found, due) {
                Ok(()) => return true,
                Err(now) => found = now,
            }
        }
        false
    }

    /// Decides that the attempt `seen`, which runs or is unknown, finishes, and when its window
    /// ends: at `until_ms`, unless somebody else decided that before.
    pub(crate) fn set_window(&self, slot: usize, seen: Snapshot, until_ms: u64) -> Finish {
        let at = self.slot(slot);
        loop {
            let found = at.deadline();
            if Bug::CompleteIgnoresFence.is_planted() {
                return Finish::Decided;
            }
            if !found.belongs_to(seen.fence()) {
                return Finish::Gone;
            }
            match found.kind {
                Kind::Window => return Finish::Decided,
                Kind::Due => return Finish::Due(found.at_ms),
                _ if Bug::WindowOpenedLate.is_planted() => return Finish::Closed,
                Kind::Closed if seen.state() == State::Running => return Finish::Closed,
                Kind::Lease | Kind::Closed => {}
            }
            let until_ms = if Bug::WindowIgnored.is_planted() { 0 } else { until_ms };
            let window = Deadline::new(until_ms, found.lapse, Kind::Window, seen.fence());
            if at.change_deadline(found, window).is_ok() {
                return Finish::Decided;
            }
        }
    }

    /// Turns the deadline of a finished record into the end of its dedup window.
    ///
    /// Called by whoever finished it, and by anyone who finds it still undone: then nothing but
    /// the first of them has an effect. Whoever is late changes nothing of a dead letter that
    /// somebody has redriven meanwhile.
    pub(crate) fn open_window(&self, slot: usize, finished: Snapshot, until_ms: u64) {
        let at = self.slot(slot);
        loop {
            let found = at.deadline();
            if !found.belongs_to(finished.fence()) || found.kind == Kind::Window {
                return;
            }
            // After the deadline was read, and the entry after it: a redrive says that the record
            // waits before its entry says that it is no letter. From one look to the next either
            // of them shows it, and before it the deadline has to change.
            let redriven = self.redriven(slot, finished).is_some()
                || !at.control().load().is_same_record(finished);
            if redriven && !Bug::WindowOverRedrive.is_planted() {
                return;
            }
            let until_ms = if Bug::WindowIgnored.is_planted() { 0 } else { until_ms };
            let window = Deadline::new(until_ms, found.lapse, Kind::Window, finished.fence());
            if at.change_deadline(found, window).is_ok() {
                return;
            }
        }
    }

    /// Lets a record that waits be due, whatever its deadline says. Only a redrive makes one wait
    /// that has finished: whoever still writes its window, and could not know of that, is late.
    pub(crate) fn let_be_due(&self, slot: usize, waits: Snapshot, now_ms: u64) {
        let at = self.slot(slot);
        let found = at.deadline();
        let said = found.belongs_to(waits.fence()) && found.kind != Kind::Due;
        let said = said && !Bug::RedriveUnhealed.is_planted();
        // After the deadline was read: whoever takes the next attempt writes another.
        if said && waits.state() == State::Waiting && at.control().load().is_same_record(waits) {
            let due = Deadline::new(now_ms, found.lapse, Kind::Due, waits.fence());
            // Whoever was faster has said the same.
            let _ = at.change_deadline(found, due);
        }
    }

    /// Ends the attempt `seen` in `state`. `Err` carries what the record is instead.
    pub(crate) fn end(
        &self,
        slot: usize,
        seen: Snapshot,
        state: State,
    ) -> Result<Snapshot, Snapshot> {
        let control = self.slot(slot).control();
        if Bug::CompleteIgnoresFence.is_planted() {
            return Ok(control.store_end_unchecked(seen, state));
        }
        let ended = control.advance_past_writers(seen, Step::End(state))?;
        self.counters.moved(seen.state(), state);
        Ok(ended)
    }

    /// [`end`](Self::end) by the writer of the inline outcome, who is done with it (rule 6).
    pub(crate) fn end_written(
        &self,
        slot: usize,
        seen: Snapshot,
        state: State,
    ) -> Result<Snapshot, Snapshot> {
        let ended = self.slot(slot).control().advance(seen, Step::EndWritten(state))?;
        self.counters.moved(seen.state(), state);
        Ok(ended)
    }

    /// Sets the slot's own words aside for the outcome of the attempt `seen`, which runs or is
    /// unknown. `None`: somebody else is writing there, or the attempt has ended.
    pub(crate) fn start_writing(&self, slot: usize, seen: Snapshot) -> Option<Snapshot> {
        let control = self.slot(slot).control();
        let mut from = seen;
        loop {
            if Bug::InlineUnclaimed.is_planted() && from.writing() {
                return Some(from);
            }
            let write = Step::Write { writer: self.region.me() };
            match control.advance(from, write) {
                Ok(writing) => return Some(writing),
                Err(now) if now.fence() != seen.fence() => return None,
                // Somebody waits for it since, or it became unknown.
                Err(now) if now.after(write).is_some() => from = now,
                Err(now) => from = self.without_dead_writer(slot, now)?,
            }
        }
    }
}

/// The attempt number has 16 bits and never wraps.
const LAST_ATTEMPT: u32 = u16::MAX as u32;
/// No attempt follows this one that the engine would have to end: two are left, for the engine's
/// own leases, by which it cleans up.
pub(crate) const LAST_RETRIED: u32 = LAST_ATTEMPT - 2;

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
