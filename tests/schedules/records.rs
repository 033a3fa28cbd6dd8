//! Callers of two keys, which share a few slots with records that run for ever.
//!
//! Threads: four to eight. Sizes: eight slots, of which one to four are left to the two keys, so
//! that they evict each other. Property: one live lease (I1), rising tokens (I2), stale holders
//! change nothing (I3), delays hold (I5), what runs is not evicted (I6), nothing is stuck (I8).
//! Left out: waiting.

use std::sync::Arc;

use oncegate::{BeginOptions, Bug};

use crate::site::{AGES, Dice, End, INLINE, LEASE, Site, WINDOW};
use crate::support::{Drawn, broken, crew, explore};

fn callers_in_a_full_table() {
    let site = Arc::new(Site::tight(2, Drawn.any(&INLINE)));
    let free = 1 + Drawn.roll(4);
    fill(&site, SLOTS - free);
    let inside = Arc::clone(&site);
    crew(4 + Drawn.roll(5), move |_| {
        for _ in 0..3 {
            let key = Drawn.roll(2) as usize;
            site.run(key, &BeginOptions::new(), Drawn.any(&End::ALL));
            match Drawn.roll(6) {
                0 => site.clock.advance(LEASE),
                1 => site.clock.advance(WINDOW),
                _ => {}
            }
        }
    });
    still_running(&inside, SLOTS - free);
    inside.comes_to_rest();
}

/// Records and outcomes beside them come and go.
fn readers_of_inline_outcomes() {
    let site = Arc::new(Site::tight(4, INLINE[1]));
    fill(&site, SLOTS - 2);
    crew(4, move |_| {
        for _ in 0..4 {
            site.run(Drawn.roll(4) as usize, &BeginOptions::new(), End::Complete);
        }
    });
}

/// Lets `count` requests run for longer than any clock goes.
fn fill(site: &Site, count: u64) {
    let options = BeginOptions::new().lease_duration(300 * AGES);
    for i in 0..count {
        let key = format!("runs-{i}");
        let begun = site.engine.begin_with(&filler(&key), &options).expect("room");
        let oncegate::Admission::Admitted(lease) = begun else { panic!("{begun:?}") };
        let _ = lease.into_token();
    }
}

fn still_running(site: &Site, count: u64) {
    for i in 0..count {
        let key = format!("runs-{i}");
        let found = site.engine.begin(&filler(&key)).expect("it is there");
        let runs = matches!(found, oncegate::Admission::InProgress { attempt: 1, .. });
        assert!(runs, "I6: {key} ran, and now {found:?}");
    }
}

fn filler(key: &str) -> oncegate::Request<'_> {
    oncegate::Request::new(oncegate::Scope::single_tenant(), "fill", key).expect("a key")
}

/// Goal: the promises about attempts hold for many callers of few keys. Method: ends of all
/// kinds, evictions and jumps of the clock, under many schedules.
#[test]
fn attempts_do_not_overlap() {
    explore("records::attempts_do_not_overlap", callers_in_a_full_table);
}

/// Goal: the scenario bites. Method: an insertion ignores that its arbitration was lost.
#[test]
fn broken_arbitration_ignored() {
    broken(Bug::ArbitrationIgnored, callers_in_a_full_table);
}

/// Goal: the scenario bites. Method: a tag is written after the arbitration.
#[test]
fn broken_tag_written_late() {
    broken(Bug::TagWrittenLate, callers_in_a_full_table);
}

/// Goal: the scenario bites. Method: a stalled insertion keeps the fencing counter of its claim.
#[test]
fn broken_counter_kept() {
    broken(Bug::CounterKept, callers_in_a_full_table);
}

/// Goal: the scenario bites. Method: completion stores the control word instead of comparing.
#[test]
fn broken_complete_ignores_fence() {
    broken(Bug::CompleteIgnoresFence, callers_in_a_full_table);
}

/// Goal: the scenario bites. Method: the winner of a takeover writes its lease without looking.
#[test]
fn broken_lease_written_late() {
    broken(Bug::LeaseWrittenLate, callers_in_a_full_table);
}

/// Goal: the scenario bites. Method: eviction claims running records too.
#[test]
fn broken_evicts_running() {
    broken(Bug::EvictsRunning, callers_in_a_full_table);
}

/// Goal: the ledger bites. Method: a replay beside the record does not look again.
#[test]
fn broken_inline_not_rechecked() {
    broken(Bug::InlineNotRechecked, readers_of_inline_outcomes);
}

/// A tiny engine has two sets of four.
const SLOTS: u64 = 8;
