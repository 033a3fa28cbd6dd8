//! Conclude: how the end of an attempt is decided, and carried out by whoever meets it.
//!
//! Several calls may end an attempt at once: its holder, perhaps twice, a resolver, and whoever
//! notices that its lease has lapsed. Three words decide, in this order:
//!
//! 1. The outcome reference: with which outcome it finishes, if it finishes. The first that names
//!    this attempt stands; that of a lapse stands only while the attempt runs.
//! 2. The deadline: whether it finishes or runs again. Once it is the end of the window, or the
//!    time at which the next attempt is due, anyone may carry that out, and it is the truth for
//!    whoever decided it, however late he looks.
//! 3. The control word: it says so. Where the lease was closed before, it also decides between the
//!    end and a takeover; the window is then opened after it.
//!
//! Giving up is decided by the control word alone: what is unknown may still be ended.

use super::finish::is_open;
use super::keep::Ending;
use super::{Completed, Engine};
use crate::error::Error;
use crate::observe::Event;
use crate::outcome::{Inline, Outcome, WindowCode, lapsed};
use crate::sync::planted::Bug;
use crate::table::control::{Fence, Snapshot, State};
use crate::table::slot::{Kind, Lapse};
use crate::table::{Finish, Found, Rules};

/// How a call that wanted to finish an attempt fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Concluded {
    /// It ended the attempt itself.
    Ended,
    /// Somebody else carried out what it had decided.
    Helped,
    /// The attempt ended otherwise.
    Lost,
}

impl Engine {
    /// Finishes the attempt `seen`, which runs or is unknown: writes the outcome, refers to it,
    /// opens the window, and then says so in the control word.
    pub(super) fn finish_at(
        &self,
        slot: usize,
        seen: Snapshot,
        outcome: &Outcome,
        state: State,
        window_ms: u64,
    ) -> Result<Completed, Error> {
        let rules = self.rules();
        let window_end = rules.now_ms.saturating_add(window_ms);
        let ending = Ending { state, window: WindowCode::new(window_ms), window_end };
        let kept = self.keep(slot, seen, outcome, ending, &rules);
        let concluded = if self.refer(slot, kept.seen.fence(), kept.reference) {
            self.conclude(slot, kept.seen, ending, kept.writing, Some(kept.reference))
        } else {
            Concluded::Lost
        };
        if kept.writing && Bug::ReferredBeforeWritten.is_planted() {
            Inline::write(outcome, self.table.inline(slot));
        }
        if kept.writing && concluded != Concluded::Ended {
            self.table.slot(slot).control().done_writing();
        }
        let completed = kept.completed();
        if let Some(block) = kept.block {
            self.store.published(block);
        }
        if concluded == Concluded::Lost { Err(self.fenced()) } else { Ok(completed) }
    }

    /// Makes the record refer to `reference`. False: the attempt finishes with another outcome, or
    /// has ended; whichever it is, it is carried out.
    fn refer(&self, slot: usize, fence: Fence, reference: u64) -> bool {
        let at = self.table.slot(slot);
        loop {
            let current = at.outcome();
            let seen = at.control().load();
            if seen.fence() != fence || !is_open(seen.state()) {
                return false;
            }
            if let Some((failed, window)) = self.decided(current, slot, fence) {
                let state = if failed { State::Failed } else { State::Succeeded };
                let window_end = self.now_ms().saturating_add(window.ms());
                let ending = Ending { state, window, window_end };
                self.conclude(slot, seen, ending, false, None);
                return false;
            }
            if current == lapsed(fence) && seen.state() == State::Running {
                self.end_lapsed(slot, seen);
                continue;
            }
            if at.change_outcome(current, reference).is_ok() {
                return true;
            }
        }
    }

    /// Finishes the attempt `seen` as its reference says: `mine`, or another call's.
    fn conclude(
        &self,
        slot: usize,
        mut seen: Snapshot,
        ending: Ending,
        writing: bool,
        mine: Option<u64>,
    ) -> Concluded {
        let at = self.table.slot(slot);
        let fence = seen.fence();
        while seen.fence() == fence && is_open(seen.state()) {
            match self.table.set_window(slot, seen, ending.window_end) {
                Finish::Decided => return self.carry_out(slot, seen, ending.state, writing),
                Finish::Due(due_ms) => {
                    self.end_failing(Found { slot, seen }, due_ms, &self.rules());
                    return Concluded::Lost;
                }
                Finish::Closed => match self.finish_once(slot, seen, ending.state, writing) {
                    Ok(ended) => {
                        self.table.open_window(slot, ended, ending.window_end);
                        return Concluded::Ended;
                    }
                    Err(now) => seen = now,
                },
                Finish::Gone => {
                    let now = at.control().load();
                    if now == seen {
                        // Whoever leads an attempt has written its deadline: this one is damaged.
                        return Concluded::Lost;
                    }
                    seen = now;
                }
            }
        }
        // Another call may have helped, before this one came to its deadline.
        let helped = seen.fence() == fence && seen.state() == ending.state;
        let helped = helped && mine.is_some_and(|mine| at.outcome() == mine);
        if helped { Concluded::Helped } else { Concluded::Lost }
    }

    /// Ends the attempt `seen` in `state`, which its deadline has decided.
    fn carry_out(&self, slot: usize, mut seen: Snapshot, state: State, writing: bool) -> Concluded {
        let fence = seen.fence();
        loop {
            match self.finish_once(slot, seen, state, writing) {
                Ok(_) => return Concluded::Ended,
                // A waiter announced itself, or the attempt became unknown.
                Err(now) if now.fence() == fence && is_open(now.state()) => seen = now,
                Err(_) => return Concluded::Helped,
            }
        }
    }

    /// One try to end the attempt `seen` in `state`, which is a finished one.
    fn finish_once(
        &self,
        slot: usize,
        seen: Snapshot,
        state: State,
        writing: bool,
    ) -> Result<Snapshot, Snapshot> {
        // A mark that is gone has been taken for a dead process's: then there is none to take away.
        let ended = if writing && seen.writing() {
            self.table.end_written(slot, seen, state)
        } else {
            self.table.end(slot, seen, state)
        }?;
        self.counters.add(Event::Completed);
        if seen.waiters() {
            self.waiters.wake_all(slot);
        }
        Ok(ended)
    }

    /// Carries out how the attempt that was found ends, if its deadline has decided that. False:
    /// it has not.
    pub(super) fn help(&self, found: Found) -> bool {
        let Found { slot, seen } = found;
        let fence = seen.fence();
        let at = self.table.slot(slot);
        let deadline = at.deadline();
        match deadline.kind {
            _ if !deadline.belongs_to(fence) => false,
            Kind::Due => {
                self.end_failing(found, deadline.at_ms, &self.rules());
                true
            }
            Kind::Window => {
                // Whoever opened the window referred to the outcome before. It may be gone since,
                // if he died: duplicates hear the same then, however it ended.
                let decided = self.decided(at.outcome(), slot, fence);
                let failed = decided.is_some_and(|(failed, _)| failed);
                let state = if failed { State::Failed } else { State::Succeeded };
                self.carry_out(slot, seen, state, false);
                true
            }
            Kind::Lease | Kind::Closed => false,
        }
    }

    /// Finishes an attempt whose lease is closed, if its holder left an outcome and came no
    /// further: it was paused, or killed. False: it left none.
    pub(super) fn finish_left(&self, found: Found) -> bool {
        let Found { slot, seen } = found;
        let reference = self.table.slot(slot).outcome();
        let left = self.decided(reference, slot, seen.fence());
        let Some((failed, window)) = left.filter(|_| !Bug::LapseForgetsOutcome.is_planted()) else {
            return false;
        };
        let state = if failed { State::Failed } else { State::Succeeded };
        let window_end = self.now_ms().saturating_add(window.ms());
        self.conclude(slot, seen, Ending { state, window, window_end }, false, None);
        true
    }

    /// Ends in `Waiting` an attempt whose deadline says that it runs again.
    pub(super) fn end_failing(&self, found: Found, due_ms: u64, rules: &Rules) {
        let Found { slot, mut seen } = found;
        let fence = seen.fence();
        if Bug::WokenTooEarly.is_planted() {
            self.hand_over(slot);
        }
        while let Err(now) = self.table.end(slot, seen, State::Waiting) {
            if now.fence() != fence || !is_open(now.state()) {
                return;
            }
            seen = now;
        }
        let lost = Bug::HandOffLost.is_planted() || Bug::WokenTooEarly.is_planted();
        if !seen.waiters() || lost {
            return;
        }
        if due_ms <= rules.now_ms {
            self.hand_over(slot);
        } else {
            // All look at the new due time; the first to find it passed gets the attempt.
            self.waiters.wake_all(slot);
        }
    }

    /// Wakes the one waiter who gets the next attempt.
    pub(super) fn hand_over(&self, slot: usize) {
        if self.waiters.wake_one(slot) {
            self.counters.add(Event::HandOff);
        }
    }

    /// Ends an attempt whose lease is closed, by its policy. Does nothing for `Reclaim`.
    pub(super) fn lapse(&self, found: Found, policy: Lapse) {
        let Found { slot, seen } = found;
        match policy {
            Lapse::Reclaim => {}
            Lapse::Unknown | Lapse::Other => {
                if let Ok(seen) = self.table.end(slot, seen, State::Unknown) {
                    self.counters.add(Event::Lapsed);
                    self.note_unknown(Found { slot, seen });
                    if seen.waiters() {
                        self.waiters.wake_all(slot);
                    }
                }
            }
            Lapse::Failed => {
                if Bug::LapseUnarbitrated.is_planted()
                    || self.refer(slot, seen.fence(), lapsed(seen.fence()))
                {
                    self.end_lapsed(slot, seen);
                }
            }
        }
    }

    /// Ends in `Failed` an attempt whose reference says that it lapsed. What its holder gave up
    /// meanwhile stays unknown.
    fn end_lapsed(&self, slot: usize, mut seen: Snapshot) {
        let fence = seen.fence();
        let runs = |now: Snapshot| {
            now.state() == State::Running
                || now.state() == State::Unknown && Bug::LapseEndsUnknown.is_planted()
        };
        while seen.fence() == fence && runs(seen) {
            match self.table.end(slot, seen, State::Failed) {
                Ok(ended) => {
                    if seen.waiters() {
                        self.waiters.wake_all(slot);
                    }
                    let window = self.longest_window_ms();
                    self.table.open_window(slot, ended, self.now_ms().saturating_add(window));
                    self.counters.add(Event::Lapsed);
                    return;
                }
                Err(now) => seen = now,
            }
        }
    }
}
