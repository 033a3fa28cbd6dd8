//! Faults: what no step of the engine leads to, so that something else has written to the file.
//!
//! Others work while the file is read: a slot and the line of its set are seen at two moments. So
//! what looks impossible is read again, in an order in which a table at work cannot look like that,
//! until it has stood still for one reading.

use super::entries;
use super::read::Pages;
use crate::error::Error;
use crate::outcome::ChunkImage;
use crate::region::geometry::CHUNK_ENTRY_WORDS;
use crate::region::{SLOT_WORDS, WAYS};
use crate::table::control::{Fence, State};
use crate::table::image::{LineImage, SlotImage};

/// What is impossible about one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Its fencing counter was never given out.
    Fence,
    /// It lies where no look-up of its fingerprint comes by.
    Place,
    /// It belongs to a scope that has no entry.
    Scope,
    /// A process holds it that cannot exist.
    Owner,
    /// Look-ups pass it by, or stop at it in vain.
    Tag,
}

impl Fault {
    fn text(self) -> &'static str {
        match self {
            Self::Fence => "a fencing counter above all that its home gave out",
            Self::Place => "a record in a set that is none of its two",
            Self::Scope => "a scope that has no entry",
            Self::Owner => "a process beyond the registry",
            Self::Tag => "a tag that does not belong to the record",
        }
    }
}

/// How often something was found, and where first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) count: u64,
    pub(super) first: Option<(usize, &'static str)>,
}

impl Tally {
    pub(super) fn add(&mut self, at: usize, what: &'static str) {
        self.count += 1;
        if self.first.is_none() {
            self.first = Some((at, what));
        }
    }
}

/// Everything impossible in a region.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) slots: Tally,
    pub(super) tags: Tally,
    pub(super) sets: Tally,
    pub(super) chunks: Tally,
    /// Entries of retried records, and the journals of those that are sound.
    pub(super) retries: Tally,
    pub(super) journals: Tally,
}

pub(super) fn find(pages: &Pages<'_>) -> Result<Faults, Error> {
    let geometry = pages.geometry();
    let mut faults = Faults::default();
    pages.each_line(|set, line| {
        if is_impossible(&line, geometry.slots()) {
            faults.sets.add(set, "");
        }
    })?;
    let (_, slots) = geometry.lines_and_slots();
    let stride = SLOT_WORDS + geometry.inline_words();
    let mut line = None;
    pages.each(slots.start, stride, geometry.slots(), |slot, words| {
        let set = slot / WAYS;
        if slot.is_multiple_of(WAYS) || line.is_none() {
            line = Some(pages.line(set)?);
        }
        let own = line.as_ref().map_or_else(|| pages.line(set), |line| Ok(*line))?;
        let looks = fault(pages, slot, &SlotImage::new(*words), own)?;
        if looks.is_some()
            && let Some(fault) = pages.fault_of(slot)?
        {
            let tally = if fault == Fault::Tag { &mut faults.tags } else { &mut faults.slots };
            tally.add(slot, fault.text());
        }
        Ok(())
    })?;
    let start = geometry.chunk_entry_at(0);
    pages.each::<CHUNK_ENTRY_WORDS>(start, CHUNK_ENTRY_WORDS, geometry.chunks(), |at, words| {
        // Each entry is one word: it is never seen half written.
        if ChunkImage::read(words).is_impossible(geometry.chunk_words(), geometry.processes()) {
            faults.chunks.add(at, "");
        }
        Ok(())
    })?;
    (faults.retries, faults.journals) = entries::find(pages)?;
    Ok(faults)
}

/// What is wrong with `slot`, whatever others do to it meanwhile. The slot is read before and after
/// its lines: what stood still between belongs together.
pub(super) fn confirm(pages: &Pages<'_>, slot: usize) -> Result<Option<Fault>, Error> {
    let mut before = read(pages, slot)?;
    for _ in 0..TRIES {
        let line = pages.line(slot / WAYS)?;
        let Some(found) = fault(pages, slot, &before, line)? else { return Ok(None) };
        let after = read(pages, slot)?;
        if after.seen() == before.seen() {
            return Ok(Some(found));
        }
        before = after;
    }
    // It changes all the time: somebody works with it.
    Ok(None)
}

fn read(pages: &Pages<'_>, slot: usize) -> Result<SlotImage, Error> {
    let (_, slots) = pages.geometry().lines_and_slots();
    let stride = SLOT_WORDS + pages.geometry().inline_words();
    pages.words(slots.start + slot * stride).map(SlotImage::new)
}

fn fault(
    pages: &Pages<'_>,
    slot: usize,
    image: &SlotImage,
    own: LineImage,
) -> Result<Option<Fault>, Error> {
    let (geometry, seen, set) = (pages.geometry(), image.seen(), slot / WAYS);
    let is_held = matches!(image.state(), State::Claimed | State::Inserting | State::Running);
    let holder = if is_held { seen.owner().max(seen.writer()) } else { seen.writer() };
    if usize::from(holder) > geometry.processes() {
        return Ok(Some(Fault::Owner));
    }
    // Whoever claimed a slot is writing to it.
    if matches!(image.state(), State::Claimed | State::Inserting) {
        return Ok(None);
    }
    if own.tag(slot % WAYS) != image.tag() {
        return Ok(Some(Fault::Tag));
    }
    if !image.state().is_record() {
        return Ok(None);
    }
    let homes = image.homes(geometry.sets());
    if !homes.contains(&set) {
        return Ok(Some(Fault::Place));
    }
    if usize::from(image.scope()) >= geometry.scopes() {
        return Ok(Some(Fault::Scope));
    }
    let home = if homes[0] == set { own } else { pages.line(homes[0])? };
    Ok((seen.fence().get() > home.fence_clock()).then_some(Fault::Fence))
}

fn is_impossible(line: &LineImage, slots: usize) -> bool {
    let names_none = line.pending_slot().is_some_and(|slot| slot >= slots);
    names_none || line.fence_clock() > Fence::MAX
}

/// How often a slot that changes is read again.
const TRIES: usize = 8;
