//! A process dies while it writes to the store, and others need the room.
//!
//! Threads: two, of two processes; the dying one at each of its writes in turn. Bound: two
//! preemptions. Property: the store goes on taking outcomes, what was stored by others is replayed
//! whole, and no chunk is lost (I4, I8). Left out: waiting, and outcomes beside records.

use crate::support::*;
use oncegate::{Bug, Outcome};
use std::sync::Arc;

/// The dying process stores one outcome; the survivor stores more than the store holds.
fn stores_on(writes: u64) -> bool {
    let world = small();
    let doomed = beside(&world, 2, |builder| builder);
    let token = begin(&doomed, "k").token().expect("new");
    let survivor = Arc::clone(&world.engine);
    let (kept, died) = race(
        move || {
            finish(&survivor, "a");
            begin(&survivor, "a")
        },
        move || {
            dies(&doomed, writes, |engine| {
                engine.complete(&token, &Outcome::new(200, "mine")).expect("the holder");
            })
        },
    );
    assert!(matches!(&kept, Got::Replayed(body) if body == b"a") || kept == Got::Gone, "{kept:?}");
    // Four blocks fill the store. Each of these finds room, since older ones give way.
    for key in ["b", "c", "d", "e", "f"] {
        finish(&world.engine, key);
        let mine = Got::Replayed(key.as_bytes().to_vec());
        assert_eq!(begin(&world.engine, key), mine, "stored after write {writes}");
    }
    died
}

/// Goal: a death in the store costs its own outcome and nothing else. Method: every write of it,
/// every schedule.
#[test]
fn the_store_goes_on() {
    at_every_write(1, stores_on);
}

/// Two processes die while each of them writes to another of the two chunks.
fn both_chunks_are_left(writes: u64) -> bool {
    let world = small();
    let mut died = false;
    for (index, key) in [(2, "k"), (3, "l")] {
        let doomed = beside(&world, index, |builder| builder);
        let token = begin(&doomed, key).token().expect("new");
        died |= dies(&doomed, writes, |engine| {
            engine.complete(&token, &Outcome::new(200, "mine")).expect("the holder");
        });
    }
    for key in ["b", "c", "d", "e", "f"] {
        finish(&world.engine, key);
        let mine = Got::Replayed(key.as_bytes().to_vec());
        assert_eq!(begin(&world.engine, key), mine, "stored after write {writes}");
    }
    died
}

/// Goal: no chunk is lost, however many die. Method: as many dead writers as there are chunks.
#[test]
fn no_chunk_is_lost() {
    at_every_write(1, both_chunks_are_left);
}

/// Goal: the model bites. Method: a chunk whose writer died is never used again.
#[test]
fn broken_dead_writers_stay() {
    let found = (2..9).any(|writes| {
        let run = move || broken(Bug::DeadWritersStay, move || _ = both_chunks_are_left(writes));
        std::panic::catch_unwind(run).is_ok()
    });
    assert!(found, "a dead writer's chunk is not needed");
}

/// What a process left in the store when it died before its `writes`-th write, asked for at once,
/// or after others have needed all of the store.
fn left_in_the_store(writes: u64, at_once: bool) -> Got {
    let world = small();
    let doomed = beside(&world, 2, |builder| builder);
    let token = begin(&doomed, "k").token().expect("new");
    dies(&doomed, writes, |engine| {
        engine.complete(&token, &Outcome::new(200, "mine")).expect("the holder");
    });
    if !at_once {
        ["b", "c", "d", "e", "f"].into_iter().for_each(|key| finish(&world.engine, key));
    }
    begin(&world.engine, "k")
}

fn what_is_left_counts() {
    for writes in 1..12 {
        let counts = matches!(left_in_the_store(writes, true), Got::Replayed(_));
        let later = left_in_the_store(writes, false);
        assert!(!counts || later.token().is_none(), "write {writes}: it runs again");
    }
}

/// Goal: an outcome that a dead process left counts, although its memory is used again. Method: at
/// each write; what is answered at once is not run again later.
#[test]
fn what_is_left_in_the_store_counts() {
    bounded(1, what_is_left_counts);
}

/// Goal: the model bites. Method: the chunk is used again without a look at what lies in it.
#[test]
fn broken_torn_unsettled() {
    broken(Bug::TornUnsettled, what_is_left_counts);
}
