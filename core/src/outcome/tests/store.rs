//! Blocks in chunks: who reads them, and how a chunk fills.

use super::*;
use crate::outcome::reference::{MAX_SEQUENCE, Place};
use crate::outcome::store::{OPEN, TORN};

/// Makes `entry` the entry of `chunk`.
fn set(shelf: &Shelf, chunk: usize, entry: Entry) {
    let word = &shelf.region.chunk_entry(chunk)[ENTRY];
    // Relaxed: one thread.
    word.store(entry.pack(), Ordering::Relaxed);
}

/// Goal: a block is read by the attempt that wrote it and by nobody else. Method: every part of
/// its name wrong in turn, and references to chunks that were used again or do not exist.
#[test]
fn blocks_are_read_by_their_own_attempt() {
    let shelf = Shelf::new(8);
    let reference = shelf.put(until(3, 1_000), 8, keeping(0)).expect("room");
    let mut into = Outcome::default();
    let mut read = |reference, slot, fence, failed| {
        shelf.store.read(reference, slot, fence, failed, &mut into)
    };
    assert!(read(reference, 3, fence(3), false));
    assert!(!read(reference, 4, fence(3), false));
    assert!(!read(reference, 3, fence(4), false));
    assert!(!read(reference, 3, fence(3), true));
    let header = |reference, slot, fence| shelf.store.header(reference, slot, fence);
    assert_eq!(header(reference, 3, fence(3)).map(|header| header.slot), Some(3));
    assert_eq!(header(reference, 4, fence(3)), None);
    assert_eq!(header(reference, 3, fence(4)), None);

    let place = Place::unpack(reference).expect("a place");
    for wrong in [
        Place { chunk: 8, ..place },
        Place { sequence: place.sequence + 1, ..place },
        Place { offset: CHUNK + 2, ..place },
        Place { offset: CHUNK, ..place },
    ] {
        assert!(!read(wrong.pack(), 3, fence(3), false), "{wrong:?}");
        assert_eq!(header(wrong.pack(), 3, fence(3)), None, "{wrong:?}");
    }
}

/// Goal: a chunk takes blocks up to its last word, while it is open and its writers can be
/// counted. Method: the entry of one chunk, set by hand to either side of each bound.
#[test]
fn a_chunk_takes_what_it_holds() {
    let shelf = Shelf::new(8);
    let store = &shelf.store;
    let open = Entry { sequence: 5, state: OPEN, owner: 1, writers: 0, filled: 0 };
    let most_writers = (1 << 8) - 1;
    let taken = |offset| Some(Place { chunk: 2, offset, sequence: 5 });
    for (entry, expected) in [
        (open, taken(0)),
        (Entry { filled: CHUNK - 8, ..open }, taken(CHUNK - 8)),
        (Entry { filled: CHUNK - 6, ..open }, None),
        (Entry { filled: CHUNK, ..open }, None),
        (Entry { writers: most_writers - 1, ..open }, taken(0)),
        (Entry { writers: most_writers, ..open }, None),
        (Entry { state: RECYCLING, ..open }, None),
        (Entry { state: TORN, ..open }, None),
        (Entry { owner: 2, ..open }, taken(0)),
        (Entry { owner: 2, writers: 1, ..open }, None),
        (Entry { sequence: 0, ..open }, None),
    ] {
        set(&shelf, 2, entry);
        assert_eq!(store.append(2, 8), expected, "{entry:?}");
        let Some(place) = expected else {
            assert_eq!(store.load(2), entry, "changed");
            continue;
        };
        let filled = place.offset + 8;
        let after = Entry { owner: 1, writers: entry.writers + 1, filled, ..entry };
        assert_eq!(store.load(2), after);
        store.published(Written::nothing(Place { chunk: 2, ..place }));
        assert_eq!(store.load(2), Entry { writers: entry.writers, ..after });
    }
}

/// Goal: an entry holds every field at its largest, and sequences are never zero. Method: put
/// together and take apart; count on from the last.
#[test]
fn entries_pack_and_unpack() {
    let shelf = Shelf::new(2);
    let largest = Entry {
        sequence: MAX_SEQUENCE,
        state: 0b11,
        owner: u8::MAX,
        writers: (1 << 8) - 1,
        filled: (1 << 18) - 1,
    };
    let none = Entry { sequence: 0, state: 0, owner: 0, writers: 0, filled: 0 };
    for entry in [
        none,
        largest,
        Entry { sequence: MAX_SEQUENCE, ..none },
        Entry { state: RECYCLING, ..none },
        Entry { owner: largest.owner, ..none },
        Entry { writers: largest.writers, ..none },
        Entry { filled: largest.filled, ..none },
    ] {
        set(&shelf, 1, entry);
        assert_eq!(shelf.store.load(1), entry);
    }
    assert_eq!(none.next_sequence(), 1);
    assert_eq!(Entry { sequence: 7, ..none }.next_sequence(), 8);
    assert_eq!(Entry { sequence: MAX_SEQUENCE - 1, ..none }.next_sequence(), MAX_SEQUENCE);
    assert_eq!(largest.next_sequence(), 1);
}

/// Goal: the fill is the share of chunks with something that answers. Method: outcomes that fill
/// a chunk each, with windows that end one after the other.
#[test]
fn fill_counts_chunks_that_answer() {
    let shelf = Shelf::new(8);
    assert_eq!(shelf.store.fill_per_mille(0), 0);
    for slot in 0..3 {
        shelf.put(until(slot, 1_000 + slot as u64), CHUNK, keeping(0)).expect("room");
    }
    for (now, fill) in [(0, 375), (999, 375), (1_000, 250), (1_001, 125), (1_002, 0)] {
        assert_eq!(shelf.store.fill_per_mille(now), fill, "at {now}");
    }
}

/// Goal: a thread goes on where it appended last. Method: no hint, then the hints at the ends of
/// both fields.
#[test]
fn hints_come_back() {
    let shelf = Shelf::new(8);
    assert_eq!(shelf.store.hint(), None);
    for (turn, chunk) in [(0, 0), (0, 1), (1, 0), (7, 5), (1 << 40, MAX_CHUNKS - 1)] {
        shelf.store.set_hint(turn, chunk);
        assert_eq!(shelf.store.hint(), Some((turn, chunk)));
    }
}
