//! Keep: where the outcome of an ending attempt is written before the record refers to it.

use super::finish::is_open;
use super::{Completed, Engine};
use crate::outcome::{Bare, Header, Inline, LiveBlock, Outcome, References, WindowCode, Written};
use crate::sync::planted::Bug;
use crate::table::control::{Fence, Snapshot, State};
use crate::table::scope::RoomOf;
use crate::table::slot::Kind;
use crate::table::{Found, Rules};

/// How an attempt is about to end.
#[derive(Clone, Copy)]
pub(super) struct Ending {
    pub(super) state: State,
    pub(super) window: WindowCode,
    /// In milliseconds since the region was opened.
    pub(super) window_end: u64,
}

/// An outcome that is written and not yet referred to.
pub(super) struct Kept {
    /// The attempt as it was seen last.
    pub(super) seen: Snapshot,
    pub(super) reference: u64,
    stored: bool,
    /// Whether it lies beside the record, whose writer is then still counted (rule 6 of
    /// `table::control`).
    pub(super) writing: bool,
    pub(super) block: Option<Written>,
}

impl Kept {
    pub(super) fn completed(&self) -> Completed {
        if self.stored { Completed::Stored } else { Completed::WithoutBytes }
    }
}

impl Engine {
    /// Writes `outcome` beside the record, if it is small enough and nobody else writes there, or
    /// to the store.
    pub(super) fn keep(
        &self,
        slot: usize,
        seen: Snapshot,
        outcome: &Outcome,
        ending: Ending,
        rules: &Rules,
    ) -> Kept {
        let failed = ending.state == State::Failed;
        let reference = Bare { failed, window: ending.window }.pack(seen.fence());
        let nothing = Kept { seen, reference, stored: false, writing: false, block: None };
        let size = outcome.data_len();
        let limit = self.outcome_limit + usize::from(Bug::OutcomeLimitOffByOne.is_planted());
        if size > limit || outcome.is_withheld() {
            return nothing;
        }
        let own = self.table.inline(slot);
        if size <= size_of_val(own) {
            let reference = Inline::new(seen.fence(), failed, ending.window, outcome).pack();
            if size == 0 {
                // The reference says it all.
                return Kept { reference, stored: true, ..nothing };
            }
            if let Some(seen) = self.table.start_writing(slot, seen) {
                let at = self.table.slot(slot);
                let left = Inline::unpack(at.outcome(), seen.fence()).is_some();
                if left && !Bug::LeftOutcomeOverwritten.is_planted() {
                    // By a process that died: the attempt ends with that one.
                    at.control().done_writing();
                    return nothing;
                }
                if !Bug::ReferredBeforeWritten.is_planted() {
                    Inline::write(outcome, own);
                }
                return Kept { seen, reference, stored: true, writing: true, block: None };
            }
        }
        let header = Header::new(slot, seen.fence(), failed, ending.window, outcome);
        let room = self.room(rules);
        let block = self.store.write(&header, outcome, ending.window_end, room, self);
        match block {
            Some(block) => {
                Kept { reference: block.reference, stored: true, block: Some(block), ..nothing }
            }
            None => nothing,
        }
    }

    /// What `reference` says of the end of the attempt `(slot, fence)`, if that attempt left it:
    /// whether it failed, and how long its window is.
    pub(super) fn decided(
        &self,
        reference: u64,
        slot: usize,
        fence: Fence,
    ) -> Option<(bool, WindowCode)> {
        if reference == 0 {
            // What a record begins with.
            return None;
        }
        if let Some(inline) = Inline::unpack(reference, fence) {
            return Some((inline.failed, inline.window));
        }
        if let Some(bare) = Bare::unpack(reference, fence) {
            return Some((bare.failed, bare.window));
        }
        let header = self.store.header(reference, slot, fence)?;
        Some((header.failed, header.window))
    }
}

impl References for Engine {
    fn live(&self, header: &Header, reference: u64) -> Option<LiveBlock> {
        if header.slot >= self.table.slots() {
            return None;
        }
        if header.journal {
            let held = self.table.refers_to_journal(header.slot, reference).is_some();
            return held.then_some(LiveBlock { window_end: u64::MAX, reserved: true });
        }
        let slot = self.table.slot(header.slot);
        let seen = slot.control().load();
        let deadline = slot.deadline();
        let refers = seen.state().is_finished()
            && seen.fence() == header.fence
            && slot.outcome() == reference
            && deadline.belongs_to(seen.fence());
        // A window that is still being written has not ended.
        let window_end = if deadline.kind == Kind::Window { deadline.at_ms } else { u64::MAX };
        let reserved = self.table.room_of(slot.scope()) == RoomOf::Reserved;
        refers.then_some(LiveBlock { window_end, reserved })
    }

    fn redirect(&self, header: &Header, from: u64, to: u64) -> bool {
        if header.journal {
            return self.table.redirect_journal(header.slot, from, to);
        }
        let slot = self.table.slot(header.slot);
        let seen = slot.control().load();
        seen.state().is_finished()
            && seen.fence() == header.fence
            && slot.change_outcome(from, to).is_ok()
    }

    fn settle(&self, header: &Header, reference: u64) {
        if header.slot >= self.table.slots() || header.journal || Bug::TornUnsettled.is_planted() {
            return;
        }
        let at = self.table.slot(header.slot);
        let seen = at.control().load();
        let refers = seen.fence() == header.fence && at.outcome() == reference;
        if refers && is_open(seen.state()) {
            self.finish_left(Found { slot: header.slot, seen });
        }
    }
}
