//! Retrying: which records the engine retries by itself, and where what it keeps of them lies.
//!
//! The record alone decides what runs, and when. An entry says that somebody looks after it, and
//! leads to its journal: the context that is needed to run it again, its steps, its history. There
//! are as many entries as records may be retried, in one array that is searched by the number of
//! the record's slot. The control word of an entry:
//!
//! ```text
//!  63 62 61      54 53                28 27                    0
//! +-----+----------+--------------------+-----------------------+
//! |state| owner (8)|   generation (26)  |       slot (28)       |
//! +-----+----------+--------------------+-----------------------+
//! ```
//!
//! and the words beside it:
//!
//! ```text
//! word 0   first word of the record's fingerprint
//! word 1   operation (32), scope (32), by their hashes; no operation: the journal is kept, and
//!          nobody schedules
//! word 2   generation, low bits (20) | fencing counter (44) of the attempt that it is in step with
//! word 3   sealed (1) | where the journal lies (63)
//! ```
//!
//! # States
//!
//! | state | meaning | who may write the words beside it |
//! |---|---|---|
//! | `Free` | nobody's | nobody |
//! | `Claimed` | its owner makes an entry of it | the owner, by plain stores |
//! | `Live` | the record is retried; the owner is the process that looks after it first | see below |
//! | `Dead` | the record is a dead letter, as soon as it has failed | as `Live` |
//!
//! `Free` → `Claimed` → `Live` ⇄ `Dead` → `Free`, each by one compare-and-swap of the control word;
//! the generation grows whenever an entry changes hands, so that none of them can meet an old value
//! again. A claim of a dead process is freed by whoever meets it.
//!
//! # In step with the record
//!
//! 1. An entry belongs to the record in its slot when both have the same fencing counter. The
//!    counter of the entry is only ever raised by compare-and-swap, in the same generation.
//! 2. Before an attempt is taken that has ended or lapsed, the journal is sealed; whoever holds
//!    that attempt can then no longer change it, since he compares with a word without the seal. So
//!    a stale holder changes nothing.
//!    A new entry is there before its maker knows that he still holds the lease. If he does not, he
//!    takes it back, by the same word: unless a takeover has sealed it.
//! 3. An entry that is sealed may be behind its record: whoever took the attempt has not come
//!    further. One that is behind and not sealed is nobody's: its maker lost his lease.
//! 4. Whether a record is a dead letter, it says itself: it has failed, and its window has no end.
//!    `Dead` says beforehand that it will be one, and of a failed record that is due that it is
//!    being redriven. Whoever takes its next attempt makes the entry `Live` again; one that is late
//!    to do so after a redrive does no harm.
//! 5. The word of the journal names a place in the outcome store, which is never given twice, so
//!    that its compare-and-swaps meet no old value either.
//!
//! Whoever looks reads the record's control word first, then word 3, then word 2, and the entry's
//! control word again: if the record has gone on, he sees the seal or what came after it.

use super::Table;
use super::control::{Fence, Snapshot, State};
use super::entry::{Entry, EntryState, EntryWord, JournalWord};
use super::slot::{Deadline, Kind};
use crate::observe::Event;
use crate::region::geometry::RETRIES_PER_CHANGE;
use crate::region::header;
use crate::sync::Ordering;
use crate::sync::planted::Bug;

/// How an entry stands to the record in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It belongs to it.
    Current,
    /// The record went on while it was looked at: look again.
    Changed,
    /// It belongs to no record: it may be freed.
    Nobodys,
}

/// What is written into a new entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryDraft {
    pub(crate) operation: u32,
    pub(crate) scope: u32,
    pub(crate) fence: Fence,
    pub(crate) journal: u64,
}

/// The record went on while its entry was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved;

impl Table {
    /// Whether any record is retried. One load: where none is, nothing else is asked.
    #[inline]
    pub(crate) fn retries_any(&self) -> bool {
        // Relaxed: whoever holds or takes a record that is retried has come to it after its entry
        // was made, by the record's own words.
        self.region.header(header::RETRYING).load(Ordering::Relaxed) != 0
    }

    /// The entry of the record in `slot`, which was seen as `seen`, if it has one.
    pub(crate) fn entry_of(&self, slot: usize, seen: Snapshot) -> Result<Option<Entry>, Moved> {
        if !self.retries_any() {
            return Ok(None);
        }
        for index in self.places_for(slot) {
            if let Some(entry) = self.entry_if_current(index, slot, seen)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Entry `index`, if it is that of the record in `slot`, which was seen as `seen`.
    fn entry_if_current(
        &self,
        index: usize,
        slot: usize,
        seen: Snapshot,
    ) -> Result<Option<Entry>, Moved> {
        for _ in 0..MOST_ROUNDS {
            let word = self.entry_word(index);
            if word.slot() != slot || !word.is_used() {
                return Ok(None);
            }
            let entry = Entry { index, word };
            match self.standing(entry, seen) {
                Standing::Current => return Ok(Some(entry)),
                Standing::Nobodys => {
                    // Sealed, it is of a record that has ended: it goes before there is a second
                    // attempt, which it would seem to be behind. Else its maker takes it back.
                    let journal = self.journal_of(entry);
                    if journal.is_sealed() && journal.reference() != 0 {
                        self.free_entry(entry);
                    }
                    return Ok(None);
                }
                // It was the entry that changed: somebody makes it, or gives it up.
                Standing::Changed if self.slot(slot).control().load().is_same_record(seen) => {}
                Standing::Changed => return Err(Moved),
            }
        }
        Err(Moved)
    }

    /// Whether the record in `slot`, which was seen as `seen`, has an entry.
    #[inline(never)]
    pub(super) fn is_retried(&self, slot: usize, seen: Snapshot) -> bool {
        !matches!(self.entry_of(slot, seen), Ok(None))
    }

    /// How `entry` stands to the record in its slot, if that still is `seen`.
    pub(crate) fn standing(&self, entry: Entry, seen: Snapshot) -> Standing {
        let at = self.slot(entry.word.slot());
        let now = at.control().load();
        if now.fence() != seen.fence() || now.state() == State::Vacant {
            return Standing::Changed;
        }
        let journal = self.journal_of(entry);
        let words = self.region.retry(entry.index);
        // Acquire, all: pair with the AcqRel of `follow` and the Release of `publish_entry`. Read
        // after the record and the journal: see the module's head.
        let step = words[STEP].load(Ordering::Acquire);
        let identity = words[IDENTITY].load(Ordering::Acquire);
        let same = self.entry_word(entry.index).is_same_but_owner(entry.word);
        let own = step >> STEP_SHIFT == entry.word.generation() & STEP_GENERATION_MASK;
        if !same || !own {
            return Standing::Changed;
        }
        if journal.reference() == 0 {
            // Its maker takes it back.
            return Standing::Nobodys;
        }
        let fence = step & Fence::MAX;
        if fence == now.fence().get() {
            return Standing::Current;
        }
        if fence > now.fence().get() {
            return Standing::Changed;
        }
        // A first attempt follows none: what is sealed is of a record that the same request had.
        let follows =
            now.fence().attempt(at.attempt()) > 1 || Bug::EarlierJournalAdopted.is_planted();
        let same_record = identity == at.first_word() && now.state().is_record();
        let behind = journal.is_sealed() && same_record && follows;
        let still = at.control().load().fence() == now.fence();
        match (behind, still) {
            (true, true) => Standing::Current,
            (false, true) => Standing::Nobodys,
            (_, false) => Standing::Changed,
        }
    }

    /// Makes a claimed entry live.
    pub(crate) fn publish_entry(&self, entry: Entry, draft: EntryDraft) -> Option<Entry> {
        let words = self.region.retry(entry.index);
        let step = entry.word.generation() << STEP_SHIFT | draft.fence.get();
        let identity = self.slot(entry.word.slot()).first_word();
        let whose = u64::from(draft.operation) << 32 | u64::from(draft.scope);
        let values = [identity, whose, step, JournalWord::new(draft.journal, false).word()];
        for (word, value) in words.iter().zip(values) {
            // Release: pairs with the Acquire loads of `standing` and `journal_of`; whoever sees
            // one of these words sees the claim that came before it.
            word.store(value, Ordering::Release);
        }
        let word = entry.word.with(EntryState::Live, self.region.me());
        self.swap_entry(entry.index, entry.word, word).then_some(Entry { word, ..entry })
    }

    /// Takes an entry back that was made for a lease which is lost. False: whoever took the next
    /// attempt has found it before, and goes on with it.
    pub(crate) fn withdraw_entry(&self, entry: Entry) -> bool {
        let word = self.journal_of(entry);
        let nothing = JournalWord::new(0, true);
        // Against the seal of a takeover: one of both changes the word.
        let alone = !word.is_sealed() && self.change_journal(entry, word, nothing);
        alone && self.free_entry(entry)
    }

    /// Gives the entry up. False: somebody else has.
    pub(crate) fn free_entry(&self, entry: Entry) -> bool {
        let mut word = entry.word;
        loop {
            let free = word.given(EntryState::Free, 0, 0);
            if self.swap_entry(entry.index, word, free) {
                self.uncount_entry();
                // Another process may have handed its attempt out.
                self.note_change(entry.index);
                return true;
            }
            // Its owner, or whether it is dead, may have changed.
            word = self.entry_word(entry.index);
            if word.generation() != entry.word.generation() {
                return false;
            }
        }
    }

    /// Marks the entry as live or dead, and says whether it was not before. `None`: it has changed
    /// hands.
    pub(crate) fn mark_entry(&self, entry: Entry, state: EntryState) -> Option<(Entry, bool)> {
        let mut from = entry.word;
        loop {
            let word = from.with(state, self.region.me());
            if self.swap_entry(entry.index, from, word) {
                return Some((Entry { word, ..entry }, from.state() != state));
            }
            from = self.entry_word(entry.index);
            if from.generation() != entry.word.generation() {
                return None;
            }
        }
    }

    /// Where the journal of `entry` lies.
    pub(crate) fn journal_of(&self, entry: Entry) -> JournalWord {
        // Acquire: pairs with the AcqRel of `change_journal`; the journal is written before it is
        // referred to.
        JournalWord::of_word(self.region.retry(entry.index)[JOURNAL].load(Ordering::Acquire))
    }

    /// Puts `to` in the place of `from`. False: somebody else was faster.
    pub(crate) fn change_journal(&self, entry: Entry, from: JournalWord, to: JournalWord) -> bool {
        // AcqRel: publishes the journal to `journal_of`, and orders seal and takeover for
        // `standing`. Acquire on failure: the journal that is there instead will be read.
        self.region.retry(entry.index)[JOURNAL]
            .compare_exchange(from.word(), to.word(), Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// The entry is in step with the attempt `fence` from now on, which was taken after `before`.
    pub(crate) fn follow(&self, entry: Entry, fence: Fence) {
        let word = &self.region.retry(entry.index)[STEP];
        let generation = (entry.word.generation() & STEP_GENERATION_MASK) << STEP_SHIFT;
        // Acquire: pairs with itself and with `publish_entry`.
        let mut from = word.load(Ordering::Acquire);
        while from & !Fence::MAX == generation && from & Fence::MAX < fence.get() {
            // AcqRel: pairs with the Acquire of `standing`. Acquire on failure: it is looked at.
            let to = generation | fence.get();
            match word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => from = now,
            }
        }
    }

    /// Whether the scheduler looks after the record of `entry`, and not only its journal is kept.
    pub(crate) fn is_scheduled(&self, entry: Entry) -> bool {
        self.operation_of(entry) != 0
    }

    /// Gives `entry` an operation, if it has none.
    pub(crate) fn name_entry(&self, entry: Entry, operation: u32) {
        let word = &self.region.retry(entry.index)[WHOSE];
        // Acquire: pairs with the Release of `publish_entry`.
        let from = word.load(Ordering::Acquire);
        if from >> 32 == 0 && operation != 0 {
            // AcqRel: the journal with the context was referred to before. Relaxed on failure:
            // another call of the same holder was faster.
            let to = from | u64::from(operation) << 32;
            let _ = word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// The operation of `entry`, by its hash; zero: it has none.
    pub(crate) fn operation_of(&self, entry: Entry) -> u32 {
        // Acquire: pairs with the Release of `publish_entry`.
        (self.region.retry(entry.index)[WHOSE].load(Ordering::Acquire) >> 32) as u32
    }

    /// The scope of `entry`, by its hash.
    pub(crate) fn scope_of(&self, entry: Entry) -> u32 {
        // Acquire: as in `operation_of`.
        self.region.retry(entry.index)[WHOSE].load(Ordering::Acquire) as u32
    }

    /// Whether an entry for a record in `slot` refers to the journal at `reference`.
    pub(crate) fn refers_to_journal(&self, slot: usize, reference: u64) -> Option<Entry> {
        self.places_for(slot).find_map(|index| {
            let word = self.entry_word(index);
            let entry = Entry { index, word };
            let refers = word.slot() == slot
                && word.is_used()
                && self.journal_of(entry).reference() == reference;
            refers.then_some(entry)
        })
    }

    /// Makes the entry that refers to the journal at `from` refer to `to`.
    pub(crate) fn redirect_journal(&self, slot: usize, from: u64, to: u64) -> bool {
        let Some(entry) = self.refers_to_journal(slot, from) else { return false };
        [false, true].into_iter().any(|sealed| {
            let [from, to] = [from, to].map(|reference| JournalWord::new(reference, sealed));
            self.change_journal(entry, from, to)
        })
    }

    /// How many entries there are.
    pub(crate) fn retry_entries(&self) -> usize {
        self.region.geometry().retries()
    }

    pub(crate) fn entry_word(&self, index: usize) -> EntryWord {
        // Acquire: pairs with the AcqRel of `swap_entry`.
        EntryWord::of_word(self.region.retry_controls()[index].load(Ordering::Acquire))
    }

    /// The entry of number `index`, if it stands for a record.
    pub(crate) fn entry_at(&self, index: usize) -> Option<Entry> {
        let word = self.entry_word(index);
        (word.is_used() && word.slot() < self.slots()).then_some(Entry { index, word })
    }

    /// Frees what `entry` is of a dead claimer, or of no record, or of one that has ended. Gives
    /// the word as it is then.
    pub(crate) fn without_leavings(&self, entry: Entry) -> EntryWord {
        let over = match entry.word.state() {
            EntryState::Free => false,
            EntryState::Claimed => self.region.is_dead(entry.word.owner()),
            EntryState::Live | EntryState::Dead => self.is_left(entry),
        };
        if over && !Bug::EntryLeaks.is_planted() && self.free_entry(entry) {
            self.counters.add(Event::Recovered);
        }
        if over { self.entry_word(entry.index) } else { entry.word }
    }

    fn is_left(&self, entry: Entry) -> bool {
        if entry.word.slot() >= self.slots() {
            return true;
        }
        let seen = self.slot(entry.word.slot()).control().load();
        match self.standing(entry, seen) {
            Standing::Current => match seen.state() {
                State::Succeeded => true,
                // Not by what the entry said when it was read: it may have become that of a dead
                // letter since, and be redriven at this moment.
                State::Failed => {
                    let live = entry.word.state() == EntryState::Live;
                    let left = live && !self.is_letter(entry.word.slot(), seen);
                    self.window_ends(entry, seen) || left && Bug::RedriveLeft.is_planted()
                }
                _ => false,
            },
            Standing::Changed => !seen.state().is_record() && self.is_behind(entry, seen),
            Standing::Nobodys => true,
        }
    }

    /// Whether the record in `slot`, which was seen as `seen`, is a dead letter: it has failed, and
    /// its window never ends.
    pub(crate) fn is_letter(&self, slot: usize, seen: Snapshot) -> bool {
        let deadline = self.slot(slot).deadline();
        seen.state() == State::Failed
            && deadline.belongs_to(seen.fence())
            && deadline.kind == Kind::Window
            && deadline.at_ms == Deadline::MAX_MS
    }

    /// The entry of a dead letter whose deadline says that it runs again, if the record in `slot`,
    /// which was seen as `seen`, is one.
    pub(crate) fn redriven(&self, slot: usize, seen: Snapshot) -> Option<Entry> {
        let deadline = self.slot(slot).deadline();
        let due = deadline.belongs_to(seen.fence()) && deadline.kind == Kind::Due;
        if seen.state() != State::Failed || !due {
            return None;
        }
        // Without an entry, or with a live one, somebody finished it in the moment in which its
        // lapse was seen to.
        let entry = self.entry_of(slot, seen).ok().flatten()?;
        (entry.word.state() == EntryState::Dead).then_some(entry)
    }

    /// Whether the record of `entry`, which has failed, answers duplicates for a while, and not for
    /// as long as a dead letter does: it never was one, or somebody has discarded it, and did not
    /// live to free its entry.
    fn window_ends(&self, entry: Entry, seen: Snapshot) -> bool {
        let deadline = self.slot(entry.word.slot()).deadline();
        deadline.belongs_to(seen.fence())
            && deadline.kind == Kind::Window
            && deadline.at_ms != Deadline::MAX_MS
    }

    /// Whether the slot has gone to another record, or none, since the entry was in step.
    fn is_behind(&self, entry: Entry, seen: Snapshot) -> bool {
        // Acquire: as in `standing`.
        let step = self.region.retry(entry.index)[STEP].load(Ordering::Acquire);
        let own = step >> STEP_SHIFT == entry.word.generation() & STEP_GENERATION_MASK;
        own && step & Fence::MAX < seen.fence().get()
    }

    /// Takes the process of entry `dead` of the registry out of all entries, and tells whoever
    /// schedules that any of them may have changed: it did not live to tell of what it did last.
    pub(crate) fn bury_entries(&self, dead: u8) {
        for index in 0..self.retry_entries() {
            let word = self.entry_word(index);
            if word.owner() == dead {
                match word.state() {
                    EntryState::Free => {}
                    EntryState::Claimed => _ = self.free_entry(Entry { index, word }),
                    // Whoever schedules looks after it next.
                    EntryState::Live | EntryState::Dead => {
                        self.swap_entry(index, word, word.with(word.state(), 0));
                    }
                }
            }
        }
        let blocks = self.retry_entries().div_ceil(RETRIES_PER_CHANGE);
        (0..blocks).for_each(|block| self.note_changes(block));
    }

    pub(super) fn swap_entry(&self, index: usize, from: EntryWord, to: EntryWord) -> bool {
        // AcqRel: what is written beside an entry before it is live is seen by whoever finds it
        // so, and whoever claims it sees that its last user has done with it. Relaxed on failure:
        // the word is loaded again.
        self.region.retry_controls()[index]
            .compare_exchange(from.word(), to.word(), Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    pub(super) fn uncount_entry(&self) {
        // Relaxed: see `claim_entry`.
        self.region.header(header::RETRYING).fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) const IDENTITY: usize = 0;
const WHOSE: usize = 1;
pub(super) const STEP: usize = 2;
pub(super) const JOURNAL: usize = 3;
/// Changes of an entry end, so that a few rounds do.
const MOST_ROUNDS: u32 = 1_000;
pub(super) const STEP_SHIFT: u32 = 44;
pub(super) const STEP_GENERATION_MASK: u64 = (1 << (u64::BITS - STEP_SHIFT)) - 1;
const _: () = assert!(Fence::MAX < 1 << STEP_SHIFT, "a counter fits beside the generation");
