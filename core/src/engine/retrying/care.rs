//! Care: the journal of a record that is retried, kept in step with its attempts.

use super::super::{Engine, LeaseToken, millis_up};
use super::reconcile::CleanUp;
use super::retries::{Asked, Denied, Granted, hash_of};
use crate::error::Error;
use crate::observe::Event;
use crate::outcome::{Outcome, Written};
use crate::region::header;
use crate::retry::FailureKind;
use crate::retry::journal::{End, Journal, Note};
use crate::sync::Ordering;
use crate::sync::planted::Bug;
use crate::table::control::{Fence, State};
use crate::table::entry::{Entry, JournalWord};
use crate::table::retrying::EntryDraft;
use crate::table::slot::{Kind, Lapse};
use crate::table::{Found, Rules};

/// A journal that the holder of an attempt is about to put in the place of the one before, if there
/// is one.
pub(in super::super) struct Keeping<'a> {
    pub(in super::super) found: Found,
    pub(in super::super) entry: Option<(Entry, JournalWord)>,
    pub(in super::super) scope: u32,
    pub(in super::super) journal: &'a Journal,
    pub(in super::super) rules: Rules,
}

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
            // After both were read: whoever takes the next attempt seals the journal before, and
            // the swaps below fail.
            if !self.stands(found) {
                return false;
            }
            if journal.has_note(attempt) && !word.is_sealed() {
                let sealed = JournalWord::new(word.reference(), true);
                if self.table.change_journal(entry, word, sealed) {
                    return true;
                }
                continue;
            }
            // A seal that is there already may be of an attempt before: a new place takes its own.
            if !journal.has_note(attempt) {
                journal.note(self.note_of(found, Some(entry), end, String::new(), rules));
            }
            if self.seal_with(found, entry, word, &journal, rules) {
                return true;
            }
        }
    }

    /// Whether the record is still in the attempt that was found: only then is the number of that
    /// attempt what [`attempt_of`](Self::attempt_of) has just said.
    pub(super) fn stands(&self, found: Found) -> bool {
        self.table.slot(found.slot).control().load().fence() == found.seen.fence()
    }

    /// What became of the attempt that was found.
    pub(super) fn note_of(
        &self,
        found: Found,
        entry: Option<Entry>,
        end: End,
        class: String,
        rules: &Rules,
    ) -> Note {
        let fencing = self.fencing_token(found.seen.fence()).get();
        // Who handed it out knows.
        let began = entry.and_then(|entry| self.scheduler().index().began(entry.index, fencing));
        let began_ms = began.unwrap_or(0);
        let (attempt, process) = (self.attempt_of(found), found.seen.owner());
        Note { attempt, end, process, fencing, began_ms, ended_ms: rules.now_ms, class }
    }

    /// The number of the attempt that was found.
    pub(in super::super) fn attempt_of(&self, found: Found) -> u32 {
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
}

impl Engine {
    /// Whether a journal such as this one finds room twice over.
    pub(super) fn has_room_for(&self, journal: &Journal, rules: &Rules) -> bool {
        let bytes = 2 * Outcome::new(0, journal.encode()).stored_bytes();
        self.store.make_room(bytes / size_of::<u64>(), self.room(rules), self)
    }

    /// The journal of the attempt that was found, for its holder, and where it is kept, if it is.
    pub(super) fn open_journal(
        &self,
        found: Found,
        token: &LeaseToken,
        rules: &Rules,
    ) -> Result<(Option<(Entry, JournalWord)>, Journal), Error> {
        let entry = self.table.entry_of(found.slot, found.seen).map_err(|_| self.fenced())?;
        let Some(entry) = entry else {
            let (began_ms, window_ms) = (rules.now_ms, token.window_ms);
            // Those that a tier counts, and that ran in other tables, count as well.
            let before = self.attempt_of(found).wrapping_sub(token.attempt);
            return Ok((None, Journal { began_ms, window_ms, before, ..Journal::default() }));
        };
        let (word, journal) = self.own_journal(found, entry).ok_or_else(|| self.fenced())?;
        Ok((Some((entry, word)), journal))
    }

    /// Writes the journal, and makes an entry if there is none; says whether it did. `None`: the
    /// journal was changed meanwhile.
    pub(in super::super) fn keep_journal(
        &self,
        keeping: &Keeping<'_>,
    ) -> Result<Option<(Entry, bool)>, Error> {
        let Keeping { found, entry, journal, ref rules, .. } = *keeping;
        let written = self.write_journal(found, journal, rules);
        let Some(written) = written else {
            return Err(self.full("outcome_bytes"));
        };
        let reference = written.reference;
        let kept = match entry {
            Some((entry, word)) => {
                let next = JournalWord::new(reference, false);
                let changed = self.table.change_journal(entry, word, next);
                if changed {
                    // Where only steps were kept before, it is left to the scheduler now.
                    self.table.name_entry(entry, hash_of(&journal.operation));
                }
                Ok(changed.then_some((entry, false)))
            }
            None => self.new_entry(keeping, reference).map(|entry| Some((entry, true))),
        };
        self.store.published(written);
        kept
    }

    fn new_entry(&self, keeping: &Keeping<'_>, reference: u64) -> Result<Entry, Error> {
        let Keeping { found, scope, journal, .. } = *keeping;
        let claimed = self.table.claim_entry(found.slot);
        let claimed = claimed.ok_or_else(|| self.full("max_retrying"))?;
        let draft = EntryDraft {
            operation: hash_of(&journal.operation),
            scope,
            fence: found.seen.fence(),
            journal: reference,
        };
        // Nobody takes a claim from a live process.
        self.table.publish_entry(claimed, draft).ok_or_else(|| self.full("max_retrying"))
    }

    /// Sees to a record that is retried and whose lease is closed: by its policy, and where that
    /// lets it run again, by the retry policy. False: there is no room to do so; look again later.
    pub(in super::super) fn lapse_retried(
        &self,
        found: Found,
        entry: Entry,
        policy: Lapse,
        rules: &Rules,
    ) -> bool {
        if self.finish_left(found) {
            return true;
        }
        if policy != Lapse::Reclaim {
            self.lapse(found, policy);
            return true;
        }
        match self.clean_up_lapse(found, entry, policy, rules) {
            CleanUp::Needless => self.go_on_after_lapse(found, entry, rules),
            CleanUp::Done => {}
            CleanUp::NoRoom => return false,
        }
        true
    }

    /// Schedules the attempt after one that has lapsed, or buries the record.
    fn go_on_after_lapse(&self, found: Found, entry: Entry, rules: &Rules) {
        let Some((word, mut journal)) = self.journal(entry) else { return };
        if !journal.has_note(self.attempt_of(found)) {
            journal.note(self.note_of(found, Some(entry), End::Lapsed, String::new(), rules));
        }
        if !self.stands(found) {
            // Somebody else has seen to it, and the next attempt has begun: it is not to be noted.
            return;
        }
        let (scope, kind) = (self.table.scope_of(entry), FailureKind::Timeout);
        let asked = Asked { found, journal: &journal, scope, kind, error: None };
        let granted = match self.ask(&asked, rules) {
            Ok(granted) => granted,
            Err(Denied { reason, .. }) => {
                let led = self.lead_to_undo(found, entry, &journal, rules);
                let word_and_journal = match led {
                    Some(_) => self.journal(entry),
                    None => Some((word, journal)),
                };
                let Some(read) = word_and_journal else { return };
                return self.bury_lapsed(led.unwrap_or(found), entry, read, reason, rules);
            }
        };
        let Granted { delay, paid } = granted;
        journal.delay_ms = millis_up(delay);
        let due_ms = rules.now_ms.saturating_add(journal.delay_ms);
        // Before it is left, as in `schedule`.
        let next_attempt = self.attempt_of(found) + 1;
        let parcel = self.parcel(found);
        if self.seal_with(found, entry, word, &journal, rules)
            && self.table.set_due_lapsed(found.slot, found.seen, due_ms)
        {
            self.tell_scheduled(parcel, due_ms, &journal);
            self.keep_grant(found, next_attempt, paid);
            self.counters.add(Event::Lapsed);
            self.end_failing(found, due_ms, rules);
            self.attempt_over(entry, found.seen.fence());
            self.announce(entry, due_ms);
        } else {
            // Somebody else was faster, and paid.
            paid.revoke();
            self.help(found);
        }
    }

    /// Puts `journal`, sealed, in the place of what `word` leads to. False: somebody else has
    /// changed it. Where there is no room for it, the seal alone is put there.
    fn seal_with(
        &self,
        found: Found,
        entry: Entry,
        word: JournalWord,
        journal: &Journal,
        rules: &Rules,
    ) -> bool {
        let Some(written) = self.write_journal(found, journal, rules) else {
            let sealed = JournalWord::new(word.reference(), true);
            return word.is_sealed() || self.table.change_journal(entry, word, sealed);
        };
        let sealed = JournalWord::new(written.reference, true);
        let changed = self.table.change_journal(entry, word, sealed);
        self.store.published(written);
        changed
    }

    /// Whether the lapse of `entry` is left to whoever looks after attempts.
    pub(in super::super) fn leaves_lapse(&self, entry: Entry) -> bool {
        // Relaxed: see `set_operation`.
        let set = || self.region.header(header::OPERATIONS).load(Ordering::Relaxed) != 0;
        // Whoever looks after attempts would decide it all the same, only later.
        let others = self.region.is_shared() && set() && !self.scheduler().index().behind.looks();
        self.retries.leaves_lapses(self.table.operation_of(entry), others)
    }

    /// The attempt `fence` of `entry` has ended: its place is another's, if this process handed it
    /// out. True: it did. The next one may run already.
    pub(in super::super) fn attempt_over(&self, entry: Entry, fence: Fence) -> bool {
        let token = self.fencing_token(fence).get();
        let is_over = |one| one == token || Bug::PlaceGivenAway.is_planted();
        let ended = self.scheduler().index().ended(entry.index, self.now_ms(), is_over);
        if ended && self.scheduler().index().ready.len() != 0 {
            self.scheduler().wake_one();
        }
        ended
    }

    /// The same for an attempt whose holder noted something in its journal.
    pub(in super::super) fn token_is_over(&self, token: &LeaseToken) {
        if let Some((slot, fence)) = self.locate(token) {
            self.token_over(slot, fence);
        }
    }

    /// The same for the attempt `fence` of the record in `slot`, which has ended otherwise than by
    /// being left to the engine.
    pub(in super::super) fn token_over(&self, slot: usize, fence: Fence) {
        let seen = self.table.slot(slot).control().load();
        if let Ok(Some(entry)) = self.table.entry_of(slot, seen) {
            let own = self.attempt_over(entry, fence);
            self.table.without_leavings(entry);
            if seen.state() == State::Waiting {
                // Given back: whoever looks after attempts has to hear when it is due. It may have
                // gone on since, and may end at another time: then somebody looks now.
                let deadline = self.table.slot(slot).deadline();
                let is_due = deadline.belongs_to(seen.fence()) && deadline.kind == Kind::Due;
                let due_ms = if is_due { deadline.at_ms } else { self.now_ms() };
                self.announce(entry, due_ms);
            } else if !own && self.region.is_shared() {
                // Another process handed it out, perhaps, and has a place free now.
                self.announce(entry, self.now_ms());
            }
        } else if self.scheduler().index().ready.len() != 0 {
            // Whoever gave its entry up may be another, who knows nothing of a place here.
            self.scheduler().wake_one();
        }
    }

    /// The lease of an attempt, which others look at when it was to end, ends sooner.
    #[cold]
    pub(in super::super) fn ends_sooner(&self, found: Found, until_ms: u64) {
        if let Ok(Some(entry)) = self.table.entry_of(found.slot, found.seen) {
            self.look_when_it_ends(entry, until_ms);
            self.ring_for_attempts(until_ms);
        }
    }
}
