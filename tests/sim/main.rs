//! Simulation: the whole engine in virtual time, in many processes that pause, crash and come back.
//!
//! One thread simulates a machine: up to four processes with a table in common, or one with its
//! own; clients, workers, drivers, an operator; hooks; a store that checks fencing tokens. Which of
//! them does what, and when, is drawn from a seed, and so is the rest: so a seed is a trace, byte
//! for byte. A plain model (`model.rs`) says of each answer whether it may be, and a ledger
//! (`ledger.rs`) whether leases overlapped. When the faults are over, all work has to end.
//!
//! - `ONCEGATE_SIM`: how many seeds. `make sim N=200`.
//! - `ONCEGATE_SIM_SEED`: the first of them. `make sim SEED=7 N=1` repeats one.
//! - `ONCEGATE_SIM_TRACE`: prints the trace of each. `make sim SEED=7 N=1 TRACE=1`.
//!
//! What it leaves out: threads that race (`tests/loom`, `tests/schedules`), and processes that die
//! in the middle of a call (`tests/processes`).
#![cfg(not(any(oncegate_loom, oncegate_shuttle)))]

mod attempt;
mod calm;
mod client;
mod clock;
mod driver;
mod fault;
mod hooks;
mod job;
mod kinds;
mod later;
mod ledger;
mod model;
mod node;
mod operator;
mod plan;
mod possible;
#[path = "../histories/random.rs"]
mod random;
mod record;
mod simulation;
mod step;
mod told;
mod trace;
mod worker;
mod world;

use kinds::Kinds;
use simulation::run;
use trace::Lines;

/// Goal: no answer in any simulated world breaks a promise (I1 to I6): leases never overlap, tokens
/// and attempts grow, who is fenced changes nothing, what has finished is answered and not run
/// again, nothing starts before it is due, and steps, contexts, budgets and bulkheads hold; and
/// when the faults are over all work ends and leaves nothing behind. Method: one world for each
/// seed, every answer held against the model; with 200 of them everything there is must happen.
#[test]
fn every_seed_keeps_the_promises() {
    let seeds = wanted("ONCEGATE_SIM").unwrap_or(SEEDS);
    let first = wanted("ONCEGATE_SIM_SEED").unwrap_or(1);
    let lines = if wanted("ONCEGATE_SIM_TRACE").is_some() { Lines::Printed } else { Lines::Last };
    let mut kinds = Kinds::new();
    let (mut events, mut attempts) = (0, 0);
    for seed in first..first + seeds {
        let ran = run(seed, lines).unwrap_or_else(|why| {
            panic!("\n{why}\n\nmake sim N=1 SEED={seed} TRACE=1 prints all of it")
        });
        kinds.add_all(&ran.kinds);
        events += ran.lines;
        attempts += ran.attempts;
    }
    println!("{}", kinds.table());
    println!("sim: {seeds} seeds from {first}, {attempts} attempts, {events} events");
    let missing = kinds.missing();
    assert!(seeds < TELLING || missing.is_empty(), "never happened: {missing:?}");
}

/// Goal: a seed is a trace, byte for byte. Method: some seeds once, and again while other threads
/// of this process simulate them too, and others busily do nothing.
#[test]
fn one_seed_is_one_trace() {
    let seeds: Vec<u64> = (1..=6).collect();
    let once = |seed: u64| run(seed, Lines::Kept).unwrap_or_else(|why| panic!("{seed}: {why}"));
    let alone: Vec<_> = seeds.iter().map(|seed| once(*seed)).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| seeds.iter().map(|seed| once(*seed)).collect::<Vec<_>>()))
            .collect();
        for thread in threads {
            for (one, other) in alone.iter().zip(thread.join().expect("no panic")) {
                let differ = one.text.lines().zip(other.text.lines()).find(|(a, b)| a != b);
                assert_eq!(differ, None, "the traces differ");
                assert_eq!((one.lines, one.digest), (other.lines, other.digest));
            }
        }
    });
    let digests: std::collections::BTreeSet<u64> = alone.iter().map(|ran| ran.digest).collect();
    assert_eq!(digests.len(), seeds.len(), "another seed is another trace");
}

fn wanted(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty())?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is no number: {value}")))
}

/// How many seeds there are if nothing else is said.
const SEEDS: u64 = 25;
/// From so many on, everything that there is has to happen.
const TELLING: u64 = 200;
