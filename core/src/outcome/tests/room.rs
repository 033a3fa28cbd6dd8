//! Room: chunks in turn, what is carried on, and what goes.

use super::*;
use crate::outcome::reference::Place;
use crate::region::header;

/// A store of eight chunks. The first is set aside; the seven others have been filled in turn, the
/// first of them with a block of eight words for each of `ends`, which say until when it answers,
/// the others with one large block each. Those stay until [`LONG`].
fn full(ends: &[Record]) -> Shelf {
    let shelf = Shelf::new(8);
    for record in ends {
        shelf.put(*record, 8, keeping(0)).expect("room");
        assert_eq!(shelf.chunk(record.slot), 1);
    }
    for chunk in 2..8 {
        shelf.put(until(LARGE + chunk, LONG), CHUNK, keeping(0)).expect("room");
        assert_eq!(shelf.chunk(LARGE + chunk), chunk, "chunks are taken in turn");
    }
    shelf
}

/// Four records, of which the first `long` answer longer than the others.
fn four(long: usize) -> [Record; 4] {
    std::array::from_fn(|slot| until(slot, if slot < long { LONG } else { SHORT }))
}

fn entries(shelf: &Shelf) -> Vec<Entry> {
    (0..8).map(|chunk| shelf.store.load(chunk)).collect()
}

fn header_word(shelf: &Shelf, word: usize) -> u64 {
    // Relaxed: one thread.
    shelf.region.header(word).load(Ordering::Relaxed)
}

/// Goal: a block is at most as large as a chunk. Method: either side of the bound.
#[test]
fn blocks_fit_in_a_chunk() {
    let shelf = Shelf::new(8);
    assert_eq!(shelf.put(until(0, LONG), CHUNK + 2, evicting(0)), None);
    assert_eq!(shelf.put(until(1, LONG), CHUNK, keeping(0)).map(|_| shelf.chunk(1)), Some(1));
    assert!(shelf.answers(1, CHUNK));
}

/// Goal: where nothing may go, a chunk is used again when all of it is over, and not a moment
/// before. Method: a full store; refusals change nothing but the turn.
#[test]
fn what_is_over_makes_room() {
    let shelf = full(&four(0));
    let before = entries(&shelf);
    for record in [until(5, LONG), until(6, LONG)] {
        assert_eq!(shelf.put(record, 8, keeping(SHORT - 1)), None);
        assert_eq!(entries(&shelf), before);
    }
    assert!((0..4).all(|slot| shelf.answers(slot, 8)));
    shelf.put(until(7, LONG), 8, keeping(SHORT)).expect("room");
    assert_eq!(shelf.chunk(7), 1);
    assert!(shelf.answers(7, 8) && !(0..4).any(|slot| shelf.answers(slot, 8)));
    assert_eq!(shelf.total(Event::OutcomesCarried) + shelf.total(Event::OutcomesEvicted), 0);
}

/// Goal: what must stay is carried on, up to half a chunk. Method: a chunk in which one, two or
/// three of four outcomes are not over.
#[test]
fn half_a_chunk_is_carried_on() {
    for long in 1..4 {
        let shelf = full(&four(long));
        let before = entries(&shelf);
        let stored = shelf.put(until(9, LONG), 8, keeping(SHORT));
        assert_eq!(stored.is_some(), long <= 2, "{long} of 4");
        if long > 2 {
            assert_eq!(entries(&shelf), before);
            continue;
        }
        for slot in 0..4 {
            assert_eq!(shelf.answers(slot, 8), slot < long, "{slot} of {long}");
        }
        assert!((0..long).all(|slot| shelf.chunk(slot) == 0));
        assert!(shelf.answers(9, 8) && shelf.chunk(9) == 1);
        assert_eq!(shelf.total(Event::OutcomesCarried), long as u64);
        assert_eq!(shelf.total(Event::OutcomesEvicted), 0);
        // They are not over where they lie now, and nobody writes there any more.
        assert!(!shelf.store.is_over(0, shelf.store.load(0), LONG - 1));
        assert_eq!(shelf.store.load(0).writers, 0);
    }
}

/// Goal: a store with few chunks carries nothing on: nothing of it is set aside for that, and an
/// outcome that must stay keeps its chunk. Method: five chunks and six.
#[test]
fn few_chunks_carry_nothing_on() {
    for (chunks, carries) in [(5, false), (6, true)] {
        let shelf = Shelf::new(chunks);
        let first = usize::from(carries);
        for record in four(1) {
            shelf.put(record, 8, keeping(0)).expect("room");
            assert_eq!(shelf.chunk(record.slot), first);
        }
        for chunk in first + 1..chunks {
            shelf.put(until(LARGE + chunk, LONG), CHUNK, keeping(0)).expect("room");
        }
        assert_eq!(shelf.put(until(9, LONG), 8, keeping(SHORT)).is_some(), carries);
        assert!(shelf.answers(0, 8));
        assert_eq!(shelf.total(Event::OutcomesCarried), u64::from(carries));
    }
}

/// Goal: the chunk for what is carried on always has room for half a chunk; another takes its
/// place when it has not. Method: carry half a chunk, then less, then look for room once more.
#[test]
fn the_chunk_set_aside_is_replaced() {
    let carried_to = |shelf: &Shelf| header_word(shelf, header::CARRY_CHUNK);
    let shelf = full(&four(2));
    assert_eq!(carried_to(&shelf), 1);
    for record in [until(10, LONG), until(11, SHORT * 2), until(12, SHORT * 2)] {
        shelf.put(record, 8, keeping(SHORT)).expect("half a chunk is carried");
        assert_eq!(shelf.chunk(record.slot), 1);
    }
    shelf.put(until(13, LONG), 10, keeping(SHORT * 2)).expect("a quarter more is carried");
    assert_eq!((carried_to(&shelf), shelf.chunk(10), shelf.chunk(13)), (1, 0, 1));
    shelf.put(until(14, LONG), 22, keeping(SHORT * 2)).expect("what is left of the chunk");

    // Everything in chunks 2 to 7 is over at `LONG`: the first is set aside, the next is used.
    shelf.records.all.borrow_mut().iter_mut().for_each(|record| {
        record.window_end = if record.slot < LARGE { LONG * 2 } else { LONG };
    });
    shelf.store.outlive(1, LONG * 2);
    shelf.put(until(15, LONG * 2), 8, keeping(LONG)).expect("room");
    assert_eq!((carried_to(&shelf), shelf.chunk(15)), (3, 3));
    let fresh = shelf.store.load(2);
    assert_eq!((fresh.filled, fresh.writers), (0, 0));
    assert!([0, 1, 10, 15].into_iter().all(|slot| shelf.answers(slot, 8)));
}

/// Goal: where outcomes may go, those of the oldest chunk go, one chunk at a time. Method: a full
/// store, and new outcomes until each chunk was used again.
#[test]
fn the_oldest_go_first() {
    let shelf = full(&four(4));
    for (gone, chunk) in (1..8).enumerate() {
        let record = until(20 + chunk, LONG);
        shelf.put(record, CHUNK, evicting(0)).expect("room");
        assert_eq!(shelf.chunk(record.slot), chunk);
        assert_eq!(shelf.total(Event::OutcomesEvicted), 4 + gone as u64);
        assert!((0..4).all(|slot| !shelf.answers(slot, 8)));
        for large in 2..8 {
            assert_eq!(shelf.answers(LARGE + large, CHUNK), large > chunk);
        }
    }
}

/// Goal: nothing goes that need not: a chunk that is over, and is one of the next few, is taken
/// before. Method: the third in turn is over.
#[test]
fn a_chunk_that_is_over_is_better() {
    let shelf = Shelf::new(8);
    for chunk in 1..8 {
        let end = if chunk == 3 { SHORT } else { LONG };
        shelf.put(until(chunk, end), CHUNK, keeping(0)).expect("room");
    }
    shelf.put(until(9, LONG), CHUNK, evicting(SHORT)).expect("room");
    assert_eq!((shelf.chunk(9), shelf.total(Event::OutcomesEvicted)), (3, 0));
}

/// Goal: reserved records' outcomes stay where others go. Method: one, two and three of four.
#[test]
fn reserved_outcomes_stay() {
    for reserved in 1..4 {
        let mut ends = four(4);
        ends[..reserved].iter_mut().for_each(|record| record.reserved = true);
        let shelf = full(&ends);
        shelf.put(until(9, LONG), 8, evicting(0)).expect("room");
        let (chunk, stayed, gone) =
            if reserved <= 2 { (1, reserved, 4 - reserved) } else { (2, 4, 1) };
        assert_eq!(shelf.chunk(9), chunk, "{reserved} of 4");
        for slot in 0..4 {
            assert_eq!(shelf.answers(slot, 8), slot < stayed, "{slot} of {reserved}");
        }
        assert_eq!(shelf.total(Event::OutcomesEvicted), gone as u64);
        assert_eq!(shelf.total(Event::OutcomesCarried), stayed as u64 % 4);
    }
}

/// Goal: nobody takes a chunk in which somebody writes, or which somebody else takes. Method: the
/// one chunk that is over has a writer, then it is being recycled, then neither.
#[test]
fn a_chunk_in_use_is_left_alone() {
    let shelf = Shelf::new(8);
    for chunk in 2..8 {
        shelf.put(until(LARGE + chunk, LONG), CHUNK, keeping(0)).expect("room");
    }
    let record = until(1, SHORT);
    let written = shelf.written(record, &outcome(1, CHUNK), keeping(0)).expect("room");
    let chunk = Place::unpack(written.reference).expect("a place").chunk;
    let has_room = || {
        let made = shelf.store.make_room(8, keeping(SHORT), &shelf.records);
        (made, shelf.put(until(9, LONG), 8, keeping(SHORT)).is_some())
    };
    assert_eq!(has_room(), (false, false), "somebody writes");
    shelf.store.published(written);
    let entry = shelf.store.load(chunk);
    let taken = Entry { state: RECYCLING, ..entry };
    shelf.store.swap(chunk, entry, taken).expect("nobody else");
    assert_eq!(has_room(), (false, false), "somebody takes it");
    shelf.store.swap(chunk, taken, entry).expect("nobody else");
    assert_eq!((has_room(), shelf.chunk(9)), ((true, true), chunk));
}

/// Goal: a thread goes on in its chunk, unless that one is soon to be taken. Method: a chunk with
/// room for one more block, opened so many turns ago.
#[test]
fn an_old_chunk_takes_no_new_outcomes() {
    for (ago, fits) in [(1, true), (2, true), (3, false), (8, false)] {
        let shelf = full(&four(4));
        let chunk = 7;
        let entry = Entry { filled: CHUNK - 8, ..shelf.store.load(chunk) };
        shelf.store.swap(chunk, shelf.store.load(chunk), entry).expect("nobody else");
        let turn = header_word(&shelf, header::CHUNK_CURSOR);
        shelf.store.set_hint(turn - ago, chunk);
        let has_room = |words| shelf.store.make_room(words, keeping(0), &shelf.records);
        assert_eq!((has_room(8), has_room(10)), (fits, false), "{ago} turns ago");
        assert_eq!(shelf.put(until(9, LONG), 8, keeping(0)).is_some(), fits);
    }
}

/// Goal: room is found, or made, before a record is. Method: a store that is fresh, full, partly
/// over, and over; what is looked at is not taken.
#[test]
fn room_is_made_beforehand() {
    let made = |shelf: &Shelf, room| shelf.store.make_room(CHUNK, room, &shelf.records);
    assert!(made(&Shelf::new(8), keeping(0)));

    let shelf = full(&four(4));
    assert!(!made(&shelf, keeping(SHORT)), "all of it answers");
    assert!(made(&shelf, evicting(SHORT)), "the oldest may go");

    let shelf = full(&four(0));
    let before = (entries(&shelf), header_word(&shelf, header::CHUNK_CURSOR));
    assert!(!made(&shelf, keeping(SHORT - 1)));
    assert!(made(&shelf, keeping(SHORT)));
    assert_eq!((entries(&shelf), header_word(&shelf, header::CHUNK_CURSOR)), before);

    let shelf = full(&four(1));
    assert!(made(&shelf, keeping(SHORT)));
    assert_eq!((shelf.total(Event::OutcomesCarried), shelf.answers(0, 8)), (1, true));
    let emptied = shelf.store.load(1);
    assert_eq!((emptied.filled, emptied.writers), (0, 0));
    assert_eq!(header_word(&shelf, header::CHUNK_CURSOR), before.1);
    shelf.put(until(9, LONG), CHUNK, keeping(SHORT)).expect("it was made");
    assert_eq!(shelf.chunk(9), 1);
}

const SHORT: u64 = 1_000;
const LONG: u64 = 10_000;
/// Large blocks are those of the slots from here on.
const LARGE: usize = 100;
