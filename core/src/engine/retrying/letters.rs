//! Letters: records that have failed for good, kept with their history.

use super::super::Engine;
use super::later::Buried;
use crate::outcome::Outcome;
use crate::region::header;
use crate::retry::journal::Journal;
use crate::sync::Ordering;
use crate::table::control::State;
use crate::table::retrying::{Entry, EntryState, JournalWord};
use crate::table::slot::Deadline;
use crate::table::{Found, Rules};

impl Engine {
    /// Whether one more dead letter may be kept.
    pub(super) fn room_for_letter(&self, _rules: &Rules) -> bool {
        self.letters() < self.retries.max_letters
    }

    /// How many dead letters there are, at most.
    fn letters(&self) -> u64 {
        // Relaxed: a count; entries decide.
        self.region.header(header::DEAD_LETTERS).load(Ordering::Relaxed)
    }

    pub(super) fn note_letter(&self) {
        // Relaxed: as above.
        self.region.header(header::DEAD_LETTERS).fetch_add(1, Ordering::Relaxed);
    }

    /// Buries a record whose last attempt has lapsed.
    pub(super) fn bury_lapsed(
        &self,
        found: Found,
        entry: Entry,
        (word, mut journal): (JournalWord, Journal),
        rules: &Rules,
    ) {
        let Found { slot, seen } = found;
        let outcome = Outcome::new(super::super::options::LAPSED_STATUS, []);
        journal.reason = Buried::Lapsed as u8;
        journal.buried_ms = rules.now_ms;
        let window_ms = journal.window_ms;
        let kept = self.room_for_letter(rules)
            && self.write_journal(found, &journal, rules).is_some_and(|written| {
                let next = JournalWord::new(written.reference, true);
                let changed = self.table.change_journal(entry, word, next);
                self.store.published(written);
                changed && self.table.mark_entry(entry, EntryState::Dead).is_some()
            });
        let window_ms = if kept { Deadline::MAX_MS } else { window_ms };
        let ended = self.finish_at(slot, seen, &outcome, State::Failed, window_ms).is_ok();
        match (ended, kept) {
            (true, true) => {
                self.note_letter();
                self.table.note_change(entry.index);
            }
            (true, false) => _ = self.table.free_entry(entry),
            (false, true) => _ = self.table.mark_entry(entry, EntryState::Live),
            (false, false) => {}
        }
    }
}
