//! Entries: the records that are retried, and dead letters, as a region's file shows them.
//!
//! An entry is read before the slot that it names: what the slot says then is as late or later, so
//! that an entry at work is never ahead of its record. What looks impossible is read again, until
//! it has stood still for one reading.

use super::faults::Tally;
use super::read::Pages;
use super::report::RetryEntries;
use crate::error::Error;
use crate::outcome::{ChunkImage, JOURNAL_HEADER_WORDS, JournalImage};
use crate::region::SLOT_WORDS;
use crate::region::geometry::RETRY_WORDS;
use crate::retry::journal::Journal;
use crate::sync::planted::Bug;
use crate::table::control::State;
use crate::table::entry::EntryState;
use crate::table::image::{EntryImage, SlotImage};
use crate::table::slot::{Deadline, Kind};

/// What is impossible about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It names a slot beyond the table.
    Slot,
    /// It is of a process that cannot exist.
    Owner,
    /// No look-up of its record comes by.
    Place,
    /// What is written beside it is another record's.
    Torn,
    /// It is nobody's, and says whose it is.
    Free,
    /// Its record never came to the attempt that it is in step with.
    Fence,
    /// Its journal is not where it says, or is none.
    Journal,
}

impl Fault {
    fn text(self) -> &'static str {
        match self {
            Self::Slot => "a slot that does not exist",
            Self::Owner => "a process beyond the registry",
            Self::Place => "a place at which its record does not look for it",
            Self::Torn => "words beside it that are not its own",
            Self::Free => "a slot or a process, and is nobody's",
            Self::Fence => "an attempt that its record has not come to",
            Self::Journal => "no journal",
        }
    }
}

/// Counts the entries, and calls `claimed` with the process of each that is being made. Whoever
/// `is_alive` may finish it.
pub(super) fn count(
    pages: &Pages<'_>,
    now_ms: u64,
    mut claimed: impl FnMut(u8),
    mut is_alive: impl FnMut(u8) -> bool,
) -> Result<RetryEntries, Error> {
    let mut seen = RetryEntries {
        total: pages.geometry().retries() as u64,
        max_dead_letters: pages.identity.option("max_dead_letters"),
        ..RetryEntries::default()
    };
    each(pages, |_, entry| {
        let word = entry.word();
        if word.state() == EntryState::Claimed {
            claimed(word.owner());
            let is_left = !is_alive(word.owner()) || Bug::ClaimsMistaken.is_planted();
            *(if is_left { &mut seen.left_over } else { &mut seen.claimed }) += 1;
            return Ok(());
        }
        let slot = slot_of(pages, &entry)?.filter(|slot| entry.belongs_to(slot));
        let group = match slot {
            Some(slot) => group(&mut seen, &entry, &slot, now_ms),
            None => &mut seen.left_over,
        };
        *group += 1;
        Ok(())
    })?;
    Ok(seen)
}

/// Where an entry counts whose record lies in `slot`. What is due counts here beside that.
fn group<'s>(
    seen: &'s mut RetryEntries,
    entry: &EntryImage,
    slot: &SlotImage,
    now_ms: u64,
) -> &'s mut u64 {
    let is_dead = entry.word().state() == EntryState::Dead;
    let deadline = slot.deadline();
    let due = deadline.filter(|deadline| deadline.kind == Kind::Due);
    let is_due = due.is_some_and(|deadline| deadline.at_ms <= now_ms);
    let stays = deadline.is_some_and(|deadline| deadline.at_ms == Deadline::MAX_MS);
    match slot.state() {
        State::Running => &mut seen.running,
        State::Unknown => &mut seen.unknown,
        State::Waiting => {
            seen.due += u64::from(is_due);
            &mut seen.waiting
        }
        // Redriven, and nobody has come by yet.
        State::Failed if is_dead && due.is_some() => {
            seen.due += u64::from(is_due);
            &mut seen.waiting
        }
        State::Failed if stays => &mut seen.dead_letters,
        // It has ended, and its entry is to be freed yet.
        _ => &mut seen.left_over,
    }
}

/// What is impossible: of entries, and of the journals of entries that are sound.
pub(super) fn find(pages: &Pages<'_>) -> Result<(Tally, Tally), Error> {
    let (mut entries, mut journals) = (Tally::default(), Tally::default());
    let first = pages.geometry().retry_controls().start;
    pages.each::<1>(first, 1, pages.geometry().retries(), |index, _| {
        match confirm(pages, index)? {
            None => {}
            Some(Fault::Journal) => journals.add(index, Fault::Journal.text()),
            Some(fault) => entries.add(index, fault.text()),
        }
        Ok(())
    })?;
    Ok((entries, journals))
}

/// What is wrong with entry `index`, whatever others do to it meanwhile.
fn confirm(pages: &Pages<'_>, index: usize) -> Result<Option<Fault>, Error> {
    let mut before = read(pages, index)?;
    for _ in 0..TRIES {
        let (entry, slot) = before;
        let Some(found) = fault(pages, index, &entry, slot.as_ref())? else { return Ok(None) };
        let after = read(pages, index)?;
        let stood_still = after.0 == entry && after.1.map(|s| s.seen()) == slot.map(|s| s.seen());
        if stood_still {
            return Ok(Some(found));
        }
        before = after;
    }
    // It changes all the time: somebody works with it.
    Ok(None)
}

fn fault(
    pages: &Pages<'_>,
    index: usize,
    entry: &EntryImage,
    slot: Option<&SlotImage>,
) -> Result<Option<Fault>, Error> {
    let (word, geometry) = (entry.word(), pages.geometry());
    if word.state() == EntryState::Free {
        return Ok((!entry.is_blank()).then_some(Fault::Free));
    }
    let Some(slot) = slot else { return Ok(Some(Fault::Slot)) };
    let is_nobodys = word.state() == EntryState::Claimed && word.owner() == 0;
    if usize::from(word.owner()) > geometry.processes() || is_nobodys {
        return Ok(Some(Fault::Owner));
    }
    if !entry.is_found_at(index, geometry.retries()) {
        return Ok(Some(Fault::Place));
    }
    // Whoever claimed it is writing beside it.
    if word.state() == EntryState::Claimed {
        return Ok(None);
    }
    if !entry.is_whole() {
        return Ok(Some(Fault::Torn));
    }
    if entry.is_ahead_of(slot) {
        return Ok(Some(Fault::Fence));
    }
    let is_lost = entry.belongs_to(slot)
        && !Bug::LostJournalsUnnoticed.is_planted()
        && !has_journal(pages, entry)?;
    Ok(is_lost.then_some(Fault::Journal))
}

/// Whether the journal of `entry` is where it says, and can be read.
fn has_journal(pages: &Pages<'_>, entry: &EntryImage) -> Result<bool, Error> {
    let (geometry, slot) = (pages.geometry(), entry.word().slot());
    let Some(place) = JournalImage::at(entry.journal()) else { return Ok(false) };
    let room = geometry.chunk_words().checked_sub(place.offset() + JOURNAL_HEADER_WORDS);
    let Some(room) = room.filter(|_| place.chunk() < geometry.chunks()) else { return Ok(false) };
    let is_there = || {
        let words = pages.words(geometry.chunk_entry_at(place.chunk()))?;
        Ok::<_, Error>(place.is_in(&ChunkImage::read(&words)))
    };
    if !is_there()? {
        return Ok(false);
    }
    let at = geometry.chunk_at(place.chunk()) + place.offset();
    let data = JournalImage::data(pages.words(at)?, slot).filter(|(words, _)| *words <= room);
    let Some((words, len)) = data else { return Ok(false) };
    let words = pages.run(at + JOURNAL_HEADER_WORDS, words)?;
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
    bytes.truncate(len);
    Ok(Journal::decode(&bytes).is_some() && is_there()?)
}

/// Shows every entry that is not free.
fn each(
    pages: &Pages<'_>,
    mut see: impl FnMut(usize, EntryImage) -> Result<(), Error>,
) -> Result<(), Error> {
    let first = pages.geometry().retry_controls().start;
    pages.each::<1>(first, 1, pages.geometry().retries(), |index, [control]| {
        // Most are free: nothing else is read of those.
        let free = EntryImage::new(*control, [0; RETRY_WORDS]).word().state() == EntryState::Free;
        if free { Ok(()) } else { see(index, entry(pages, index)?) }
    })
}

/// Entry `index`, and the slot that it names, if there is one.
fn read(pages: &Pages<'_>, index: usize) -> Result<(EntryImage, Option<SlotImage>), Error> {
    let entry = entry(pages, index)?;
    let slot = slot_of(pages, &entry)?;
    Ok((entry, slot))
}

fn entry(pages: &Pages<'_>, index: usize) -> Result<EntryImage, Error> {
    let geometry = pages.geometry();
    let [control] = pages.words(geometry.retry_controls().start + index)?;
    let words = pages.words(geometry.retry_at(index).start)?;
    Ok(EntryImage::new(control, words))
}

fn slot_of(pages: &Pages<'_>, entry: &EntryImage) -> Result<Option<SlotImage>, Error> {
    let (geometry, slot) = (pages.geometry(), entry.word().slot());
    if slot >= geometry.slots() {
        return Ok(None);
    }
    let (_, slots) = geometry.lines_and_slots();
    let stride = SLOT_WORDS + geometry.inline_words();
    pages.words(slots.start + slot * stride).map(|words| Some(SlotImage::new(words)))
}

/// How often an entry that changes is read again.
const TRIES: usize = 8;

#[cfg(test)]
mod tests;
