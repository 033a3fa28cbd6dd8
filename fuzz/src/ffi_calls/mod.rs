//! Calls of the C ABI: any sequence of them, on handles that are open, closed or forged, with
//! structures of any size and `NULL` in any place. Each is held against the header and a model.
//!
//! What holds of every call: it returns what the header says that it may, never that the engine
//! failed inside; an output is written only when it worked, and nothing beside it ever; an error
//! is told in as many bytes as the caller has. What the arguments are refused with is foretold,
//! whatever else is wrong. Of engines `model` tells what they may answer.
//!
//! Nothing waits: the clocks stand still, and calls that could block are given no time.

mod batches;
mod documented;
mod handles;
mod leases;
mod memory;
mod model;
mod requests;
mod tiers;
mod timing;
mod waiting;
mod workers;
mod world;

use world::{Kind, World};

/// Takes one sequence of calls. Each is a few bytes, so that the fuzzer can cut and join them.
pub fn run(data: &[u8]) {
    let mut world = World::new(data);
    let mut calls = 0;
    while !world.input.is_empty() && calls < LONGEST {
        let choice = if calls == 0 { 0 } else { world.input.byte() };
        one(&mut world, choice);
        calls += 1;
    }
    world.close_all();
}

fn one(world: &mut World<'_>, choice: u8) {
    let other = choice & 64 != 0;
    match choice & 63 {
        0 if other => world.open_fleet(),
        22 if other => world.abandon_soon(),
        27 if other => world.is_local_only(),
        33 if other => world.flush_tier(),
        34 if other => world.tier_stats(),
        0 => world.open_engine(),
        1 => world.close(Kind::Engine),
        2..=11 => world.begin(),
        12..=16 => world.complete(),
        17..=20 => world.fail(),
        21 | 22 => world.abandon(),
        23..=25 => world.renew(),
        26 | 27 => world.take_up(),
        28..=32 => world.advance_clock(),
        33 => world.sweep(),
        34 => world.stats(),
        35 => world.open_waits(),
        36 => world.close(Kind::Waits),
        37..=40 => world.submit(),
        41 | 42 => world.cancel(),
        43..=45 => world.take(),
        46..=49 => world.retry_later(),
        50..=53 => world.next_attempts(),
        54 | 55 => world.advance(),
        56 => world.open_timers(),
        57 => world.close(Kind::Timers),
        58 => world.start_timer(),
        59 => world.cancel_timer(),
        60 => world.take_timers(),
        61 => world.close(Kind::Due),
        _ => world.begin_batch(),
    }
}

/// The longest sequence.
const LONGEST: usize = 200;
