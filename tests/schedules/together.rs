//! Everything at once: table, outcomes, waiters, sweep, rotation, quotas and statistics.
//!
//! Threads: eight, and one that moves the clock until they have finished. Sizes: three keys in
//! eight slots, two chunks of outcomes. Property: what the other scenarios hold, in company.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use oncegate::{BeginOptions, Bug, Quota, Scope};
use shuttle::thread;

use crate::rotation::{retires, rotates};
use crate::site::{Dice, End, INLINE, LEASE, Site, WINDOW};
use crate::support::{Drawn, broken, crew, explore};
use crate::waiters::waits;

fn all_together() {
    let site = Arc::new(Site::tight(3, Drawn.any(&INLINE)));
    let (inside, finished) = (Arc::clone(&site), Arc::new(AtomicU64::new(0)));
    crew(CREW + 1, move |number| {
        if number == CREW {
            return passes_time(&site, &finished);
        }
        for round in 0..2 {
            let key = Drawn.roll(3) as usize;
            match number {
                0 | 1 => waits(&site, key, &End::ALL),
                2 => {
                    rotates(&site, round);
                    retires(&site);
                }
                3 => {
                    let quota = Quota::unlimited().max_live(1 + Drawn.roll(4));
                    site.engine.set_quota(Scope::single_tenant(), quota).expect("a quota");
                    let live = site.engine.stats().expect("not forked").live;
                    assert!(live.total() <= 8, "more records than slots: {live:?}");
                }
                _ => drop(site.run(key, &BeginOptions::new(), Drawn.any(&End::ALL))),
            }
        }
        // Relaxed, both: all threads of a scenario run on one thread of the system.
        finished.fetch_add(1, Ordering::Relaxed);
    });
    inside.comes_to_rest();
}

/// Moves the clock and sweeps until all others have finished.
fn passes_time(site: &Site, finished: &AtomicU64) {
    while finished.load(Ordering::Relaxed) < CREW {
        site.clock.advance(Drawn.any(&[LEASE, WINDOW]));
        site.engine.sweep(8).expect("not forked");
        (0..3).for_each(|key| site.runs_again(key));
        thread::yield_now();
    }
}

/// Goal: the promises hold in company. Method: eight threads do everything that an engine offers.
#[test]
fn promises_hold_in_company() {
    explore("together::promises_hold_in_company", all_together);
}

/// Goal: the scenario bites. Method: an insertion ignores that its arbitration was lost.
#[test]
fn broken_arbitration_ignored() {
    broken(Bug::ArbitrationIgnored, all_together);
}

const CREW: u64 = 8;
