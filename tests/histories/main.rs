//! Recorded histories: what real threads did to a few keys at once, and an order that explains it.
//!
//! In each run 8 to 16 threads call one engine by programs of their own, drawn from a seed, while
//! some of them move its clock. Every call is recorded with a stamp before it and one after it.
//! Then, for each key, the checker (`checker.rs`) looks for an order of its calls, each between
//! its two stamps, in which the sequential specification (`model.rs`) gives every answer that was
//! given. Where there is none, the history is printed as a timeline and saved.
//!
//! One clock serves all keys, so it is no part of a key's order: each call has the times that the
//! clock showed between its two ends, and may have acted upon any of them (`model.rs`).
//!
//! - `ONCEGATE_HISTORIES`: how many runs, over all kinds. `make histories N=20000`.
//! - `ONCEGATE_HISTORIES_SEED`: the seed of the first run of each kind; every run prints its own.
//!   It repeats the programs, and not the order in which the machine runs the threads.
//! - `ONCEGATE_HISTORY`: a saved history, to be judged again. `make histories REPLAY=...`.
#![cfg(not(oncegate_loom))]

mod checker;
mod clock;
mod drive;
mod history;
mod judge;
mod kinds;
mod known_bad;
mod model;
mod pool;
mod program;
mod random;
mod record;
mod saved;
#[allow(dead_code, reason = "the set of worlds is the property tests' own")]
#[path = "../oracle/model.rs"]
mod spec;
mod timeline;

use std::hash::{BuildHasher, RandomState};

use judge::Tally;
use pool::Pool;
use program::Kind;

/// Goal: overlapping ends of attempts, by their holders, by others with their tokens, and by
/// resolvers, have an order (I1, I2, I3, I4). Method: a storm on two keys, the clock at rest.
#[test]
fn storms_are_linearizable() {
    linearizable(&kinds::STORM);
}

/// Goal: takeovers of lapsed leases have an order, by every policy, and none comes before the
/// lease is over (I1, I2, I3, I5). Method: short leases and delays, and a clock that jumps.
#[test]
fn lapses_are_linearizable() {
    linearizable(&kinds::LAPSES);
}

/// Goal: no request runs a second time inside its window, and each may after it (I2, I4). Method:
/// windows shorter than leases, sweeps, and a clock that jumps.
#[test]
fn windows_are_linearizable() {
    linearizable(&kinds::WINDOWS);
}

/// Goal: of those who wait for a failing leader one gets the next attempt, and nobody sleeps for
/// ever (I1, I5). Method: blocked threads, futures, and futures that are dropped, all without a
/// clock: only a hand-over wakes them.
#[test]
fn hand_offs_are_linearizable() {
    linearizable(&kinds::HAND_OFFS);
}

/// Goal: the same where leaders stall: who waits takes over, or gives up no earlier than it said
/// (I1, I5). Method: waiting callers with limits, lapses, and a clock that jumps.
#[test]
fn waits_are_linearizable() {
    linearizable(&kinds::WAITS);
}

/// Goal: running, waiting and unknown records stay in a full table, and a finished one is there
/// with its own bytes, without bytes, or not at all (I4, I6). Method: the smallest engine, full,
/// and other keys that come all the time.
#[test]
fn evictions_are_linearizable() {
    linearizable(&kinds::EVICTIONS);
}

/// Goal: where newcomers are refused, nothing goes, and who is refused had no record (I4, I6).
/// Method: the smallest engine with a few slots left.
#[test]
fn rejections_are_linearizable() {
    linearizable(&kinds::REJECTIONS);
}

/// Goal: a rotation of the secret changes no answer (I1, I2, I4). Method: rotations begun and
/// finished all the time, while windows end.
#[test]
fn rotations_are_linearizable() {
    linearizable(&kinds::ROTATIONS);
}

/// Goal: two processes on one table are as one to their callers, waiting and waking included (I1 to
/// I5). Method: each other thread calls an engine of its own on the same file.
#[test]
fn processes_are_linearizable() {
    linearizable(&kinds::PROCESSES);
}

/// Goal: a history that was saved is judged again, with the same result. Method: the file that
/// `ONCEGATE_HISTORY` names; without it, a run of this test's own, written and read back.
#[test]
fn a_saved_history_is_judged_again() {
    if let Some(path) = std::env::var_os("ONCEGATE_HISTORY").filter(|path| !path.is_empty()) {
        let text = std::fs::read_to_string(&path).expect("ONCEGATE_HISTORY names a file");
        let history = saved::read(&text).expect("a saved history");
        let judged = judge::judge(&history).unwrap_or_else(|timeline| panic!("\n{timeline}"));
        println!("{}\nit has an order: {judged:?}", timeline::draw(&history, None));
        return;
    }
    let ran = Pool::new(16).run(&kinds::LAPSES, first_seed("saved"));
    for history in &ran.histories {
        assert_eq!(saved::read(&saved::write(history)).as_ref(), Ok(history));
    }
}

/// Runs a kind, judges every history, and then all of them together.
fn linearizable(kind: &Kind) {
    let runs = wanted("ONCEGATE_HISTORIES").unwrap_or(RUNS).div_ceil(kinds::KINDS as u64);
    let first = first_seed(kind.name);
    println!("{}: ONCEGATE_HISTORIES_SEED={first}", kind.name);
    let pool = Pool::new(kind.threads.1 as usize);
    let mut tally = Tally::default();
    for seed in first..first + runs {
        let ran = pool.run(kind, seed);
        if let Err(why) = tally.judge(&ran) {
            panic!("after {}\n\n{why}\nONCEGATE_HISTORIES_SEED={seed}", tally.report(kind));
        }
    }
    println!("{}", tally.report(kind));
    tally.is_telling(kind).unwrap_or_else(|why| panic!("{}: {why}", kind.name));
}

fn first_seed(name: &str) -> u64 {
    // Short enough to be read aloud.
    let fresh = || RandomState::new().hash_one(name) >> 32;
    wanted("ONCEGATE_HISTORIES_SEED").unwrap_or_else(fresh)
}

fn wanted(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty())?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is no number: {value}")))
}

/// How many runs there are, over all kinds, if nothing else is said.
const RUNS: u64 = 2_000;
