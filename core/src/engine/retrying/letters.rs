//! Dead letters: records that have failed for good, kept with their history until somebody
//! redrives or discards them.
//!
//! A dead letter is a record in `Failed` whose dedup window never ends, and whose entry is `Dead`.
//! Duplicates are answered with its outcome. What becomes of it is decided by its deadline: the end
//! of a window, if it is discarded; the time at which it runs again, if it is redriven. Whoever
//! meets the latter carries it out.

use super::super::{Engine, options};
use super::later::Buried;
use super::letter::{DeadLetter, LetterFilter, LetterId, LetterPage};
use crate::error::{Error, ErrorCode};
use crate::observe::Event;
use crate::outcome::Outcome;
use crate::region::header;
use crate::retry::journal::Journal;
use crate::sync::Ordering;
use crate::sync::planted::Bug;
use crate::table::control::State;
use crate::table::entry::{Entry, EntryState, JournalWord};
use crate::table::retrying::Standing;
use crate::table::slot::{Deadline, Kind};
use crate::table::{Found, Rules};

impl Engine {
    /// Dead letters that `filter` lets through, at most `limit`, from `after` on, which is the last
    /// one of the page before.
    ///
    /// Reads every entry that it passes, and the journal of each dead letter. What is buried,
    /// redriven or discarded meanwhile may be on no page, and nothing is on two.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Forked`] in a forked child.
    ///
    /// ```
    /// use oncegate::{Engine, LetterFilter};
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let page = engine.dead_letters(&LetterFilter::all(), None, 100)?;
    /// assert!(page.letters.is_empty() && page.next.is_none());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn dead_letters(
        &self,
        filter: &LetterFilter,
        after: Option<LetterId>,
        limit: usize,
    ) -> Result<LetterPage, Error> {
        self.enter()?;
        let mut page = LetterPage::default();
        let next = usize::from(!Bug::LettersListedTwice.is_planted());
        let first = after.map_or(0, |id| id.index() + next);
        for index in first..self.table.retry_entries() {
            let Some((letter, _)) = self.letter_at(index) else { continue };
            if !filter.lets_through(&letter) {
                continue;
            }
            if page.letters.len() == limit {
                page.next = page.letters.last().map(|last| last.id);
                break;
            }
            page.letters.push(letter);
        }
        Ok(page)
    }

    /// One dead letter.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::NotFound`]: it was redriven or discarded, or there never was one.
    /// [`ErrorCode::Forked`].
    ///
    /// ```
    /// use oncegate::{Engine, LetterId};
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let id: LetterId = "1-1".parse()?;
    /// assert!(engine.dead_letter(id).is_err());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn dead_letter(&self, id: LetterId) -> Result<DeadLetter, Error> {
        self.enter()?;
        self.letter(id).map(|(letter, _)| letter)
    }

    /// Lets a dead letter run again, at once: the next attempt under the same record, with the
    /// context and the steps that it has. The attempts before count no more against its policy.
    ///
    /// # Errors
    ///
    /// As [`dead_letter`](Self::dead_letter); [`ErrorCode::Full`], field `outcome_bytes`: no room
    /// to note it; [`ErrorCode::TierUnavailable`]: a tier could not be told, and the letter stays.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::{
    ///     Admission, AttemptError, BackoffPolicy, Engine, LetterFilter, Request, RetryContext,
    ///     RetryPolicy, Scope,
    /// };
    ///
    /// let policy = RetryPolicy::new(BackoffPolicy::constant(Duration::from_secs(1)));
    /// let policy = policy.max_attempts(1);
    /// let engine = Engine::builder().capacity(1_000).retry_policy(policy).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// if let Admission::Admitted(lease) = engine.begin(&request)? {
    ///     let _ = lease.retry_later(&AttemptError::new("503"), &RetryContext::new("op", b""))?;
    /// }
    /// let page = engine.dead_letters(&LetterFilter::all(), None, 10)?;
    /// engine.redrive(page.letters[0].id)?;
    /// let attempt = engine.next_attempt(Duration::ZERO)?.expect("it is due");
    /// assert_eq!(attempt.lease().attempt(), 2);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn redrive(&self, id: LetterId) -> Result<(), Error> {
        self.enter()?;
        let (_, (found, entry)) = self.letter(id)?;
        let rules = self.rules();
        let Found { slot, seen } = found;
        self.reopen_in_fleet(found)?;
        if entry.word.state() != EntryState::Dead {
            // By that others know what its deadline means, should this process die on the way. It
            // was marked as live by whoever was late to say so of a redrive before.
            self.table.mark_entry(entry, EntryState::Dead).ok_or_else(no_letter)?;
        }
        if !self.table.settle_letter(slot, seen, Kind::Due, rules.now_ms) {
            return Err(no_letter());
        }
        self.counters.add(Event::Redriven);
        self.carry_out_redrive(found, entry, &rules);
        Ok(())
    }

    /// [`redrive`](Self::redrive) for all that `filter` lets through, at most `limit`. Gives their
    /// number. Reads as much as [`dead_letters`](Self::dead_letters), and writes a journal for
    /// each.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Forked`] in a forked child.
    ///
    /// ```
    /// use oncegate::{Engine, LetterFilter};
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// assert_eq!(engine.redrive_all(&LetterFilter::all(), usize::MAX)?, 0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn redrive_all(&self, filter: &LetterFilter, limit: usize) -> Result<usize, Error> {
        self.for_each_letter(filter, limit, |id| self.redrive(id))
    }

    /// Gives a dead letter up: the record has failed, and answers duplicates for the longest
    /// default dedup window of those who opened the table.
    ///
    /// # Errors
    ///
    /// As [`dead_letter`](Self::dead_letter).
    ///
    /// ```
    /// use oncegate::{Engine, LetterId};
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// assert!(engine.discard("0-0".parse::<LetterId>()?).is_err());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn discard(&self, id: LetterId) -> Result<(), Error> {
        self.enter()?;
        let (_, (found, entry)) = self.letter(id)?;
        if self.give_up_letter(found, entry) { Ok(()) } else { Err(no_letter()) }
    }

    /// [`discard`](Self::discard) for all that `filter` lets through, at most `limit`. Gives their
    /// number. Reads as much as [`dead_letters`](Self::dead_letters).
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Forked`] in a forked child.
    ///
    /// ```
    /// use oncegate::{Engine, LetterFilter};
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// assert_eq!(engine.discard_all(&LetterFilter::all(), usize::MAX)?, 0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn discard_all(&self, filter: &LetterFilter, limit: usize) -> Result<usize, Error> {
        self.for_each_letter(filter, limit, |id| self.discard(id))
    }

    fn for_each_letter(
        &self,
        filter: &LetterFilter,
        limit: usize,
        act: impl Fn(LetterId) -> Result<(), Error>,
    ) -> Result<usize, Error> {
        self.enter()?;
        let mut done = 0;
        for index in 0..self.table.retry_entries() {
            if done == limit {
                break;
            }
            let letter = self.letter_at(index).map(|(letter, _)| letter);
            let Some(letter) = letter.filter(|letter| filter.lets_through(letter)) else {
                continue;
            };
            match act(letter.id) {
                Ok(()) => done += 1,
                // Somebody else was faster.
                Err(error) if error.code() == ErrorCode::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn letter(&self, id: LetterId) -> Result<(DeadLetter, (Found, Entry)), Error> {
        let known = id.index() < self.table.retry_entries();
        let letter = known.then(|| self.letter_at(id.index())).flatten();
        letter.filter(|(letter, _)| letter.id == id).ok_or_else(no_letter)
    }

    /// The dead letter of entry `index`, if it is one.
    fn letter_at(&self, index: usize) -> Option<(DeadLetter, (Found, Entry))> {
        let (journal, (found, entry)) = self.journal_of_letter(index)?;
        let id = LetterId::new(index, entry.word.generation());
        let unix = |at_ms: u64| self.unix_time(at_ms);
        let letter = DeadLetter::new(id, self.attempt_of(found), journal, unix);
        Some((letter, (found, entry)))
    }

    /// The journal of the dead letter of entry `index`, if it is one.
    pub(super) fn journal_of_letter(&self, index: usize) -> Option<(Journal, (Found, Entry))> {
        let entry = self.table.entry_at(index)?;
        let slot = entry.word.slot();
        let seen = self.table.slot(slot).control().load();
        if entry.word.state() == EntryState::Dead {
            self.settle_window(Found { slot, seen });
        }
        let is_current = || self.table.standing(entry, seen) == Standing::Current;
        if !(self.table.is_letter(slot, seen) && is_current()) {
            return None;
        }
        let (_, journal) = self.journal(entry)?;
        Some((journal, (Found { slot, seen }, entry)))
    }

    /// What the wall clock shows at `at_ms` of the region's time, as far as can be told now.
    fn unix_time(&self, at_ms: u64) -> std::time::Duration {
        let now = crate::clock::unix_ms(self.life.time().wall_ms());
        let at = now.saturating_add(at_ms).saturating_sub(self.now_ms());
        std::time::Duration::from_millis(at)
    }

    /// Carries out that a dead letter runs again, as its deadline says. Whoever meets it may do so.
    pub(in super::super) fn carry_out_redrive(&self, found: Found, entry: Entry, rules: &Rules) {
        while let Some((word, mut journal)) = self.journal(entry) {
            let attempt = self.attempt_of(found);
            // After both were read: whoever takes the next attempt seals the journal before, and
            // the swap below fails.
            if !self.stands(found) && !Bug::RedrivenLate.is_planted() {
                return;
            }
            if journal.before == attempt {
                break;
            }
            journal.before = attempt;
            (journal.began_ms, journal.delay_ms) = (rules.now_ms, 0);
            (journal.buried_ms, journal.reason) = (0, 0);
            let Some(written) = self.write_journal(found, &journal, rules) else {
                // Its policy counts the attempts before, then.
                break;
            };
            let next = JournalWord::new(written.reference, word.is_sealed());
            let changed = self.table.change_journal(entry, word, next);
            self.store.published(written);
            if changed {
                break;
            }
        }
        // Before the entry says that it is no letter: whoever finds a live one beside a record that
        // has failed frees it.
        if self.table.redrive(found.slot, found.seen) {
            self.no_letter_any_more(entry);
        }
        self.announce(entry, rules.now_ms);
    }

    /// Notes that `entry`, if it was one of a dead letter, is one of a record that runs again.
    pub(in super::super) fn no_letter_any_more(&self, entry: Entry) {
        if self.table.entry_word(entry.index).state() == EntryState::Dead
            && let Some((_, true)) = self.table.mark_entry(entry, EntryState::Live)
        {
            self.uncount_letter();
        }
    }

    pub(super) fn give_up_letter(&self, found: Found, entry: Entry) -> bool {
        let Found { slot, seen } = found;
        let until_ms = self.now_ms().saturating_add(self.longest_window_ms());
        let settled = self.table.settle_letter(slot, seen, Kind::Window, until_ms);
        if settled && self.table.free_entry(entry) {
            self.uncount_letter();
            self.counters.add(Event::Discarded);
        }
        settled
    }

    pub(super) fn note_letter(&self) {
        // Relaxed: a count; entries decide.
        self.region.header(header::DEAD_LETTERS).fetch_add(1, Ordering::Relaxed);
        self.counters.add(Event::Buried);
    }

    fn uncount_letter(&self) {
        let less = |count: u64| count.checked_sub(1);
        let count = self.region.header(header::DEAD_LETTERS);
        // Relaxed, both: as above.
        let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Buries a record whose last attempt has lapsed, and which a limit ended, as `reason` says.
    pub(super) fn bury_lapsed(
        &self,
        found: Found,
        entry: Entry,
        read: (JournalWord, Journal),
        reason: Buried,
        rules: &Rules,
    ) {
        // That it lapsed is in its history.
        let by_limit = matches!(reason, Buried::Attempts | Buried::Deadline | Buried::Budget);
        let reason = if by_limit { reason } else { Buried::Lapsed };
        self.bury_led(found, entry, read, (reason, options::LAPSED_STATUS), rules);
    }

    /// Buries a record whose attempt has lapsed, or is led by the engine itself.
    pub(super) fn bury_led(
        &self,
        found: Found,
        entry: Entry,
        (word, mut journal): (JournalWord, Journal),
        (reason, status): (Buried, u16),
        rules: &Rules,
    ) {
        let Found { slot, seen } = found;
        let outcome = Outcome::new(status, []);
        journal.reason = reason as u8;
        journal.buried_ms = rules.now_ms;
        let window_ms = journal.window_ms;
        let room = self.room_for_letter();
        let written = room.then(|| self.write_journal(found, &journal, rules)).flatten();
        let dead = if let Some(written) = written {
            let next = JournalWord::new(written.reference, true);
            let changed = self.table.change_journal(entry, word, next);
            self.store.published(written);
            let marked = changed.then(|| self.table.mark_entry(entry, EntryState::Dead)).flatten();
            if marked.is_none() && !Bug::LetterBuriedBare.is_planted() {
                // Somebody else sees to this lapse as well: what he has kept is not to be lost.
                return;
            }
            marked.map(|(dead, _)| dead)
        } else {
            if room {
                self.counters.add(Event::LettersLost);
            }
            None
        };
        let window_ms = if dead.is_some() { Deadline::MAX_MS } else { window_ms };
        // Once it has ended, its place may be another record's.
        let parcel = self.parcel(found);
        let _deciding = self.deciding(parcel.as_ref());
        let ended = self.finish_at(slot, seen, &outcome, State::Failed, window_ms).is_ok();
        if ended {
            self.tell_buried(parcel, &outcome, reason, dead.map(LetterId::of));
        }
        self.attempt_over(entry, seen.fence());
        match (ended, dead) {
            (true, Some(dead)) => {
                self.note_letter();
                self.table.note_change(dead.index);
            }
            (true, None) => _ = self.table.free_entry(entry),
            (false, Some(dead)) => _ = self.table.mark_entry(dead, EntryState::Live),
            (false, None) => {}
        }
    }
}

fn no_letter() -> Error {
    Error::of(ErrorCode::NotFound, "dead letter")
}
