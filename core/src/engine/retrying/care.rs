//! Care: the journal of a record that is retried, kept in step with its attempts.

use super::super::{Engine, millis_up};
use crate::observe::Event;
use crate::outcome::Written;
use crate::retry::journal::{End, Journal, Note};
use crate::sync::planted::Bug;
use crate::table::retrying::{Entry, JournalWord};
use crate::table::slot::Lapse;
use crate::table::{Found, Rules};

impl Engine {
    /// The journal of `entry`, and the word that led to it. `None`: it cannot be read.
    pub(super) fn journal(&self, entry: Entry) -> Option<(JournalWord, Journal)> {
        loop {
            let word = self.table.journal_of(entry);
            match self.store.read_journal(word.reference(), entry.word.slot()) {
                Some(bytes) => return Journal::decode(&bytes).map(|journal| (word, journal)),
                // What lies there is no journal: the table was damaged, or the entry freed.
                None if self.table.journal_of(entry) == word => return None,
                None => {}
            }
        }
    }

    /// Writes a journal that nothing refers to yet. `None`: there is no room.
    pub(super) fn write_journal(
        &self,
        found: Found,
        journal: &Journal,
        rules: &Rules,
    ) -> Option<Written> {
        let Found { slot, seen } = found;
        let room = self.room(rules);
        self.store.write_journal(slot, seen.fence(), journal.encode(), room, self)
    }

    /// Seals the journal before the attempt that was found, which has ended or lapsed, is followed
    /// by another, and notes how it ended, if nobody has. False: the entry has changed hands.
    pub(in super::super) fn seal(
        &self,
        found: Found,
        entry: Entry,
        end: End,
        rules: &Rules,
    ) -> bool {
        if Bug::JournalUnsealed.is_planted() {
            return true;
        }
        loop {
            let Some((word, mut journal)) = self.journal(entry) else {
                let word = self.table.journal_of(entry);
                let sealed = JournalWord::new(word.reference(), true);
                if word.is_sealed() || self.table.change_journal(entry, word, sealed) {
                    return self.table.entry_word(entry.index) == entry.word;
                }
                continue;
            };
            let attempt = self.attempt_of(found);
            if journal.has_note(attempt) && !word.is_sealed() {
                let sealed = JournalWord::new(word.reference(), true);
                if self.table.change_journal(entry, word, sealed) {
                    return true;
                }
                continue;
            }
            // A seal that is there already may be of an attempt before: a new place takes its own.
            if !journal.has_note(attempt) {
                journal.note(self.note_of(found, end, 0, String::new(), rules));
            }
            let Some(written) = self.write_journal(found, &journal, rules) else {
                // Without room for a note there is none: the seal matters more.
                let sealed = JournalWord::new(word.reference(), true);
                if word.is_sealed() || self.table.change_journal(entry, word, sealed) {
                    return true;
                }
                continue;
            };
            let sealed = JournalWord::new(written.reference, true);
            let changed = self.table.change_journal(entry, word, sealed);
            self.store.published(written);
            if changed {
                return true;
            }
        }
    }

    /// What became of the attempt that was found.
    pub(super) fn note_of(
        &self,
        found: Found,
        end: End,
        began_ms: u64,
        class: String,
        rules: &Rules,
    ) -> Note {
        let fencing = self.fencing_token(found.seen.fence()).get();
        let (attempt, process) = (self.attempt_of(found), found.seen.owner());
        Note { attempt, end, process, fencing, began_ms, ended_ms: rules.now_ms, class }
    }

    /// The number of the attempt that was found.
    pub(super) fn attempt_of(&self, found: Found) -> u32 {
        found.seen.fence().attempt(self.table.slot(found.slot).attempt())
    }

    /// The entry of an attempt whose holder is about to change its journal, and the word to change.
    /// `None`: the lease is lost, or somebody else has sealed it.
    pub(super) fn own_journal(&self, found: Found, entry: Entry) -> Option<(JournalWord, Journal)> {
        let read = self.journal(entry)?;
        // After the journal was read: whoever seals it closes the lease first, so that the swap
        // which follows fails if he comes after this look.
        self.table.holds_lease(found.slot, found.seen).then_some(read)
    }

    /// Gives up the entry of a record that has finished, if it has one.
    pub(in super::super) fn let_go(&self, slot: usize) {
        let seen = self.table.slot(slot).control().load();
        if let Ok(Some(entry)) = self.table.entry_of(slot, seen) {
            self.table.without_leavings(entry);
        }
    }
}

impl Engine {
    /// Sees to a record that is retried and whose lease is closed: by its policy, and where that
    /// lets it run again, by the retry policy.
    pub(in super::super) fn lapse_retried(
        &self,
        found: Found,
        entry: Entry,
        policy: Lapse,
        rules: &Rules,
    ) {
        if self.finish_left(found) {
            return;
        }
        if policy != Lapse::Reclaim {
            return self.lapse(found, policy);
        }
        if !self.seal(found, entry, End::Lapsed, rules) {
            return;
        }
        let Some((word, journal)) = self.journal(entry) else { return };
        let Found { slot, seen } = found;
        match self.retries.decide(self, &journal, found, rules) {
            Ok(delay) => {
                let due_ms = rules.now_ms.saturating_add(millis_up(delay));
                if self.table.set_due_lapsed(slot, seen, due_ms) {
                    self.counters.add(Event::Lapsed);
                    self.end_failing(found, due_ms, rules);
                    self.announce(entry, due_ms);
                } else {
                    self.help(found);
                }
            }
            Err(_) => self.bury_lapsed(found, entry, (word, journal), rules),
        }
    }
}
