//! Tests of the outcome store, with a table of its own that knows records and nothing else.

mod inline;
mod outcomes;
mod room;
mod store;

use std::cell::RefCell;
use std::sync::Arc;

use super::store::{ENTRY, Entry, RECYCLING};
use super::*;
use crate::observe::{Counters, Event};
use crate::region::{Geometry, Region};
use crate::sync::Ordering;
use crate::table::control::Fence;

/// A store of `chunks` chunks of [`CHUNK`] words, and the records that refer to it.
struct Shelf {
    store: OutcomeStore,
    records: Records,
    region: Arc<Region>,
    counters: Arc<Counters>,
}

impl Shelf {
    fn new(chunks: usize) -> Self {
        let geometry = Geometry::new(2, 0, 1, chunks, CHUNK, 1, 0).expect("small");
        let region = Arc::new(Region::private(geometry, false).expect("a few pages"));
        set_aside(&region);
        let counters = Arc::new(Counters::new());
        let store = OutcomeStore::new(Arc::clone(&region), Arc::clone(&counters));
        let records = Records { all: RefCell::default(), region: Arc::clone(&region) };
        Self { store, records, region, counters }
    }

    /// Stores the outcome of a record as `slot` and its window say, in a block of `words` words.
    fn put(&self, record: Record, words: usize, room: Room) -> Option<u64> {
        let outcome = outcome(record.slot, words);
        let written = self.written(record, &outcome, room)?;
        let reference = written.reference;
        self.records.all.borrow_mut().push(Record { reference, ..record });
        self.store.published(written);
        Some(reference)
    }

    /// The same, by a writer who has not published it yet.
    fn written(&self, record: Record, outcome: &Outcome, room: Room) -> Option<Written> {
        let window = WindowCode::new(record.window_end);
        let header = Header::new(record.slot, fence(record.slot), false, window, outcome);
        self.store.write(&header, outcome, record.window_end, room, &self.records)
    }

    /// What the record in `slot` answers; its block has `words` words.
    fn answers(&self, slot: usize, words: usize) -> bool {
        let reference = self.records.of(slot).expect("a record").reference;
        let mut into = Outcome::default();
        let read = self.store.read(reference, slot, fence(slot), false, &mut into);
        assert!(!read || into == outcome(slot, words), "the outcome of another record");
        read
    }

    /// The chunk in which the outcome of the record in `slot` lies.
    fn chunk(&self, slot: usize) -> usize {
        let reference = self.records.of(slot).expect("a record").reference;
        reference::Place::unpack(reference).expect("a place").chunk
    }

    fn total(&self, event: Event) -> u64 {
        self.counters.total(event)
    }
}

/// A finished record.
#[derive(Clone, Copy)]
struct Record {
    slot: usize,
    window_end: u64,
    reserved: bool,
    reference: u64,
}

/// A record in `slot` that answers until `window_end`.
fn until(slot: usize, window_end: u64) -> Record {
    Record { slot, window_end, reserved: false, reference: 0 }
}

struct Records {
    all: RefCell<Vec<Record>>,
    region: Arc<Region>,
}

impl Records {
    fn of(&self, slot: usize) -> Option<Record> {
        self.all.borrow().iter().find(|record| record.slot == slot).copied()
    }
}

impl References for Records {
    fn live(&self, header: &Header, reference: u64) -> Option<LiveBlock> {
        assert_eq!(header.fence, fence(header.slot), "no header that was written");
        let place = reference::Place::unpack(reference).expect("a place");
        // Relaxed: one thread.
        let entry = self.region.chunk_entry(place.chunk)[ENTRY].load(Ordering::Relaxed);
        assert_eq!(Entry::unpack(entry).state, RECYCLING, "anybody could take the chunk");
        let record = self.of(header.slot).filter(|record| record.reference == reference)?;
        Some(LiveBlock { window_end: record.window_end, reserved: record.reserved })
    }

    fn settle(&self, header: &Header, _reference: u64) {
        panic!("nobody died, and yet slot {} is to be settled", header.slot);
    }

    fn redirect(&self, header: &Header, from: u64, to: u64) -> bool {
        let mut records = self.all.borrow_mut();
        let is_it = |record: &&mut Record| record.slot == header.slot && record.reference == from;
        records.iter_mut().find(is_it).map(|record| record.reference = to).is_some()
    }
}

/// An outcome of its own for each slot, whose block has `words` words.
fn outcome(slot: usize, words: usize) -> Outcome {
    let outcome = Outcome::new(slot as u16, vec![slot as u8; (words - 2) * 8]);
    assert_eq!(outcome.stored_bytes(), words * 8);
    outcome
}

fn fence(slot: usize) -> Fence {
    Fence::new(slot as u64 + 100).expect("small")
}

/// Words of a chunk: four blocks of eight.
const CHUNK: usize = 32;

/// Where nothing may go that is inside its window.
fn keeping(now_ms: u64) -> Room {
    Room { now_ms, evict: false }
}

/// Where outcomes may go.
fn evicting(now_ms: u64) -> Room {
    Room { now_ms, evict: true }
}
