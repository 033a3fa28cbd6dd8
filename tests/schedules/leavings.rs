//! Two processes died while they ended an attempt, and others need the room of what they wrote.
//!
//! Threads: four, each of a process of its own, one of which may die as well. Sizes: two keys whose
//! holders are dead, in eight slots; room for four outcomes, of which none gives way. Property:
//! whether an outcome stands is decided by how far its writer came, and not by what others do
//! since: where a duplicate would have got it at once, every duplicate gets it, and it never runs
//! again (I4, I8). Left out: time, and what others do while the writer dies, which is in `deaths`.

use std::sync::Arc;

use oncegate::{Admission, Bug, Engine, ErrorCode, Failure, OnFull, Outcome, Request, Scope};

use crate::deaths::{KEYS, MOST_WRITES, World, dies};
use crate::site::Dice;
use crate::support::{Drawn, broken, crew, explore};

/// A world in which the holder of each key died before such a write of its `complete`, if that
/// makes so many.
fn left_behind(writes: [u64; KEYS]) -> World {
    let world = World::new(0, OnFull::Reject);
    for (key, writes) in writes.into_iter().enumerate() {
        let number = CREW + key as u64;
        let process = world.process(number);
        let answer = process.begin(&request(&left(key))).expect("room");
        let Admission::Admitted(lease) = answer else { panic!("{answer:?}") };
        let fence = lease.fencing_token().get();
        world.admitted(key, number, fence);
        let token = lease.into_token();
        dies(&world, &process, number, writes, || {
            process.complete(&token, &outcome_of(fence)).expect("the only holder");
            world.book().keys[key].held = None;
        });
    }
    world
}

/// Whether the outcome that the dead holder of `key` left answers its duplicates. Nobody else holds
/// it.
fn stands(world: &World, key: usize) -> bool {
    match world.first.begin(&request(&left(key))).expect("a record that is there") {
        Admission::Admitted(lease) => {
            lease.abandon().expect("the holder");
            false
        }
        Admission::Replayed(outcome) => {
            let fence = world.book().keys[key].last;
            assert_eq!(outcome, outcome_of(fence), "key {key}: another outcome");
            true
        }
        other => panic!("key {key}, which nobody holds: {other:?}"),
    }
}

/// Asks for `key` by `process`, which is `number`, and gives it back if it was admitted.
fn asks(world: &World, process: &Engine, number: u64, key: usize) {
    match process.begin(&request(&left(key))).expect("a record that is there") {
        Admission::Admitted(lease) => {
            world.admitted(key, number, lease.fencing_token().get());
            let token = lease.into_token();
            world.book().keys[key].held = None;
            process.fail(&token, Failure::retryable()).expect("the only holder");
        }
        Admission::Replayed(outcome) => {
            let done = world.book().keys[key].done;
            assert_eq!(Some(outcome), done.map(outcome_of), "key {key}: it had not come so far");
        }
        Admission::InProgress { .. } | Admission::Scheduled { .. } => {}
        other => panic!("key {key}: {other:?}"),
    }
}

/// Stores an outcome of another request, if there is room for it.
fn stores(process: &Engine, name: &str) {
    match process.begin(&request(name)) {
        Ok(Admission::Admitted(lease)) => {
            // A lease that is dropped while its process dies would still give itself back.
            let token = lease.into_token();
            process.complete(&token, &outcome_of(0)).expect("the only holder");
        }
        Ok(other) => panic!("{name}: {other:?}"),
        Err(error) => assert_eq!(error.code(), ErrorCode::Full, "{name}"),
    }
}

fn room_is_needed() {
    let writes = [(); KEYS].map(|()| 1 + Drawn.roll(MOST_ENDING_WRITES));
    // The same deaths in a world of their own, where nothing comes between them and the question.
    let asked_at_once = left_behind(writes);
    let stood: Vec<bool> = (0..KEYS).map(|key| stands(&asked_at_once, key)).collect();
    let world = Arc::new(left_behind(writes));
    for (known, stood) in world.book().keys.iter_mut().zip(&stood) {
        known.done = stood.then_some(known.last);
    }
    let inside = Arc::clone(&world);
    crew(CREW, move |number| {
        let process = inside.process(number);
        let work = || {
            (0..ROUNDS).for_each(|round| match Drawn.roll(2) {
                0 => asks(&inside, &process, number, Drawn.roll(KEYS as u64) as usize),
                _ => stores(&process, &format!("more-{number}-{round}")),
            })
        };
        if number == 0 {
            dies(&inside, &process, number, 1 + Drawn.roll(MOST_WRITES), work);
        } else {
            work();
        }
    });
    for (key, stood) in stood.into_iter().enumerate() {
        assert_eq!(stands(&world, key), stood, "key {key}, at once and in the end");
    }
}

fn left(key: usize) -> String {
    format!("left-{key}")
}

fn request(name: &str) -> Request<'_> {
    Request::new(Scope::single_tenant(), "op", name).expect("a key")
}

fn outcome_of(fence: u64) -> Outcome {
    Outcome::new(200, fence.to_le_bytes())
}

/// Goal: an outcome that a dead process left counts, although its memory is needed. Method: the
/// same deaths in two worlds; in one duplicates ask at once, in the other while the store is full.
#[test]
fn what_is_left_stands() {
    explore("leavings::what_is_left_stands", room_is_needed);
}

/// Goal: the scenario bites. Method: what a dead process has left in a chunk goes with the chunk.
#[test]
fn broken_torn_unsettled() {
    broken(Bug::TornUnsettled, room_is_needed);
}

const CREW: u64 = 4;
const ROUNDS: u64 = 3;
/// The end of an attempt takes a few less: some of its holders live.
const MOST_ENDING_WRITES: u64 = 14;
