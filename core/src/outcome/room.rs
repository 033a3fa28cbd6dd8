//! Room: which chunk takes the next outcomes, and what becomes of those that lie in it.
//!
//! Chunks are taken in turn. One in which little lives is emptied by carrying that on; one in
//! which much lives is passed by, as long as one of the next few is better. Only then, and only
//! where outcomes may go, the oldest one is taken with what lives in it. What must stay is never
//! given up: everything under `reject`, and always the outcomes of reserved records.
//!
//! What is carried on collects in a chunk of its own, which always has room for half a chunk
//! more; when it has not, the next chunk that is free takes its place.

use super::block::{Header, UNIT_WORDS};
use super::reference::Place;
use super::store::{
    ENTRY, Entry, LiveBlock, OPEN, OutcomeStore, RECYCLING, References, Room, TORN, WINDOW_END,
    Written,
};
use crate::observe::Event;
use crate::outcome::Outcome;
use crate::region::{Region, header};
use crate::sync::planted::Bug;
use crate::sync::{AtomicU64, Ordering};

/// Sets the first chunk of a fresh region aside for what is carried on.
pub(crate) fn set_aside(region: &Region) {
    if region.geometry().chunks() >= LEAST_CHUNKS {
        let fresh = Entry { sequence: 1, state: OPEN, owner: 0, writers: 0, filled: 0 };
        // Relaxed, all: nobody else has the region yet.
        region.chunk_entry(0)[ENTRY].store(fresh.pack(), Ordering::Relaxed);
        region.header(header::CARRY_CHUNK).store(1, Ordering::Relaxed);
        region.header(header::CHUNK_CURSOR).store(1, Ordering::Relaxed);
    }
}

impl OutcomeStore {
    /// Whether the next outcome finds room. Makes it, where outcomes must stay.
    pub(crate) fn make_room(&self, words: usize, room: Room, table: &impl References) -> bool {
        if room.evict || self.fits_here(words) {
            return true;
        }
        // Relaxed: a look at what may change at once; `open` decides.
        let next = self.cursor().load(Ordering::Relaxed);
        let coming = || (0..TRIED as u64).map(|step| self.chunk_of(next.wrapping_add(step)));
        let is_free = |chunk: usize| {
            let entry = self.without_the_dead(chunk, self.load(chunk));
            let idle = entry.state != RECYCLING && entry.writers == 0;
            idle && self.carry_chunk() != Some(chunk) && self.is_over(chunk, entry, room.now_ms)
        };
        coming().any(is_free)
            || coming().any(|chunk| {
                // Emptied and left where it is, for whoever needs it.
                let freed = self.free_up(chunk, 0, room, table);
                freed.map(|place| self.published(Written::nothing(place))).is_some()
            })
    }

    /// Words for a block, in the chunk that this thread appends to or in another.
    pub(super) fn allocate(
        &self,
        words: usize,
        room: Room,
        table: &impl References,
    ) -> Option<Place> {
        if words > self.region.geometry().chunk_words() {
            return None;
        }
        let here = self.chunk_here().and_then(|chunk| self.append(chunk, words));
        here.or_else(|| self.open(words, room, table))
    }

    /// The chunk that this thread appends to. One that is soon to be taken takes no new outcomes.
    fn chunk_here(&self) -> Option<usize> {
        let chunks = self.region.geometry().chunks() as u64;
        // Relaxed: how far the cursor is only tells how old the hint is.
        let turn = self.cursor().load(Ordering::Relaxed);
        let (opened, chunk) = self.hint()?;
        (turn.saturating_sub(opened) <= (chunks / 4).max(1)).then_some(chunk)
    }

    fn fits_here(&self, words: usize) -> bool {
        self.chunk_here().is_some_and(|chunk| {
            let entry = self.load(chunk);
            entry.state == OPEN && entry.filled + words <= self.region.geometry().chunk_words()
        })
    }

    /// Takes a chunk for new outcomes, the first of which has `words` words.
    fn open(&self, words: usize, room: Room, table: &impl References) -> Option<Place> {
        // Relaxed, throughout: the cursor only hands out turns; the entry's own swap decides.
        let next_turn = || self.cursor().fetch_add(1, Ordering::Relaxed);
        let keeping = Room { evict: false, ..room };
        let tried = if room.evict { LOOKED_AT } else { TRIED };
        let mut passed_by: Option<(u64, u64)> = None;
        for _ in 0..tried.min(self.region.geometry().chunks()) {
            let turn = next_turn();
            if let Some(place) = self.take(turn, words, keeping, table) {
                return Some(place);
            }
            passed_by = Some((passed_by.map_or(turn, |(first, _)| first), turn));
        }
        let (first, last) = passed_by.filter(|_| room.evict)?;
        // Those that were passed by come next again, unless others went on meanwhile. Relaxed,
        // both: as above.
        let _ = self.cursor().compare_exchange(
            last.wrapping_add(1),
            first.wrapping_add(1),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        let turns = std::iter::once(first).chain(std::iter::repeat_with(next_turn).take(TRIED));
        turns.into_iter().find_map(|turn| self.take(turn, words, room, table))
    }

    /// Takes the chunk of `turn` for the new outcomes of this thread.
    fn take(&self, turn: u64, words: usize, room: Room, table: &impl References) -> Option<Place> {
        let place = self.free_up(self.chunk_of(turn), words, room, table)?;
        self.set_hint(turn, place.chunk);
        Some(place)
    }

    /// Makes `chunk` free for new outcomes. `None`: too much must stay there, or it was needed for
    /// what is carried on.
    fn free_up(
        &self,
        chunk: usize,
        words: usize,
        room: Room,
        table: &impl References,
    ) -> Option<Place> {
        let carry = self.carry_chunk();
        if carry == Some(chunk) {
            return None;
        }
        let Some(old) = carry.filter(|carry| self.is_short(*carry)) else {
            return self.recycle(chunk, words, room, table);
        };
        let place = self.recycle(chunk, 0, room, table)?;
        self.published(Written::nothing(place));
        // Relaxed, both: a hint that names a chunk; its entry decides.
        let _ = self.region.header(header::CARRY_CHUNK).compare_exchange(
            old as u64 + 1,
            chunk as u64 + 1,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        None
    }

    /// Empties `chunk` and takes `words` words at its start.
    fn recycle(
        &self,
        chunk: usize,
        words: usize,
        room: Room,
        table: &impl References,
    ) -> Option<Place> {
        let entry = self.without_the_dead(chunk, self.load(chunk));
        let busy = entry.writers != 0 && !Bug::RecyclesUnderWriter.is_planted();
        if entry.state == RECYCLING || busy {
            return None;
        }
        let taken = Entry { state: RECYCLING, owner: self.region.me(), ..entry };
        self.swap(chunk, entry, taken).ok()?;
        let over = self.is_over(chunk, entry, room.now_ms);
        if !over && !self.clear_out(chunk, entry, room, table) {
            // Release: as in `swap`; nothing was changed while the chunk was taken.
            self.entry(chunk)[ENTRY].store(entry.pack(), Ordering::Release);
            return None;
        }
        // Relaxed: published by the store of the entry below.
        self.entry(chunk)[WINDOW_END].store(0, Ordering::Relaxed);
        let sequence = entry.next_sequence();
        let owner = self.region.me();
        let fresh = Entry { sequence, state: OPEN, owner, writers: 1, filled: words };
        // Release: pairs with the Acquire of `load`. Nobody else changes an entry that is
        // `Recycling`, so a store is enough; from here on old references are not believed.
        self.entry(chunk)[ENTRY].store(fresh.pack(), Ordering::Release);
        Some(Place { chunk, offset: 0, sequence })
    }

    /// Carries on what must stay in a chunk, and gives up the rest. False: too much must stay,
    /// and nothing was given up.
    fn clear_out(&self, chunk: usize, entry: Entry, room: Room, table: &impl References) -> bool {
        let words = self.region.chunk(chunk);
        // Behind a hole nothing says where the next block begins, but the record that refers to it.
        let step = if entry.state == TORN { UNIT_WORDS } else { 0 };
        let blocks = || Blocks { words, filled: entry.filled, at: 0, step };
        let place_of = |offset| Place { chunk, offset, sequence: entry.sequence };
        if entry.state == TORN {
            blocks().for_each(|(at, header)| table.settle(&header, place_of(at).pack()));
        }
        let live = || {
            blocks().filter_map(|(offset, header)| {
                let place = place_of(offset);
                let live = table.live(&header, place.pack())?;
                (live.window_end > room.now_ms).then_some((header, place, live))
            })
        };
        let must_stay = |live: &LiveBlock| live.reserved || !room.evict;
        let mut left = self.most_carried();
        for (header, ..) in live().filter(|(.., live)| must_stay(live)) {
            let Some(still) = left.checked_sub(header.words()) else { return false };
            left = still;
        }
        let mut staying = live().filter(|(.., live)| must_stay(live));
        if !staying.all(|(header, place, live)| self.carry(&header, place, &live, table)) {
            return false;
        }
        for _ in live().filter(|(.., live)| !must_stay(live)) {
            self.counters.add(Event::OutcomesEvicted);
        }
        true
    }

    fn carry(
        &self,
        header: &Header,
        from: Place,
        live: &LiveBlock,
        table: &impl References,
    ) -> bool {
        let mut outcome = Outcome::default();
        let source = &self.region.chunk(from.chunk)[from.offset..];
        if !header.read_data(source, &mut outcome) {
            return false;
        }
        let to = self.carry_chunk().and_then(|chunk| self.append(chunk, header.words()));
        let Some(to) = to else { return false };
        header.write(&outcome, &self.region.chunk(to.chunk)[to.offset..]);
        self.outlive(to.chunk, live.window_end);
        table.redirect(header, from.pack(), to.pack());
        self.published(Written::nothing(to));
        self.counters.add(Event::OutcomesCarried);
        true
    }

    fn carry_chunk(&self) -> Option<usize> {
        // Relaxed: see `take`.
        let stored = self.region.header(header::CARRY_CHUNK).load(Ordering::Relaxed);
        let chunk = usize::try_from(stored).ok()?.checked_sub(1)?;
        (chunk < self.region.geometry().chunks()).then_some(chunk)
    }

    /// Whether a chunk cannot take all that another may have to give.
    fn is_short(&self, carry: usize) -> bool {
        let entry = self.load(carry);
        let room = self.region.geometry().chunk_words().saturating_sub(entry.filled);
        room < self.most_carried() || entry.state == TORN
    }

    /// How many words of a chunk are carried on at most.
    fn most_carried(&self) -> usize {
        self.region.geometry().chunk_words() / 2
    }

    fn cursor(&self) -> &AtomicU64 {
        self.region.header(header::CHUNK_CURSOR)
    }
}

/// The blocks of a chunk, one after the other.
struct Blocks<'a> {
    words: &'a [AtomicU64],
    filled: usize,
    at: usize,
    /// From one block to the next; zero: by its own size.
    step: usize,
}

impl Iterator for Blocks<'_> {
    type Item = (usize, Header);

    fn next(&mut self) -> Option<Self::Item> {
        let end = self.filled.min(self.words.len());
        loop {
            let words = self.words.get(self.at..end).filter(|words| !words.is_empty())?;
            let (offset, header) = (self.at, Header::read(words));
            let size = header.map_or(0, |header| header.words());
            self.at += if self.step == 0 { size } else { self.step };
            match header {
                Some(header) => return Some((offset, header)),
                // A hole holds anything.
                None if self.step != 0 => {}
                None => return None,
            }
        }
    }
}

/// How many chunks in turn are tried where nothing may go.
const TRIED: usize = 8;
/// How many are looked at before something goes.
const LOOKED_AT: usize = 4;
/// A store of fewer chunks carries nothing on.
const LEAST_CHUNKS: usize = 6;
