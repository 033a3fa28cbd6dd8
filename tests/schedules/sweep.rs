//! Sweeps beside everything that a record goes through, in a table that evicts nothing.
//!
//! Threads: two callers or more, two sweepers, one resolver. Sizes: three keys in eight slots.
//! Property: as in `records`, and besides a finished record answers for its whole window, since
//! nothing may evict it (I4, I6); a lapse is decided once, whatever its policy (I3).
//! Left out: waiting.

use std::sync::Arc;

use oncegate::{BeginOptions, Bug, OnLapse, Outcome, Resolution};

use crate::site::{Dice, End, INLINE, LEASE, Site, WINDOW};
use crate::support::{Drawn, broken, crew, explore};

fn sweeps_beside_callers() {
    sweeps_beside(&End::ALL, &LAPSES);
}

/// Holders that renew in the last moment.
fn sweeps_beside_renewals() {
    sweeps_beside(&[End::Renew], &[OnLapse::Reclaim]);
}

/// Holders that come late to attempts whose lapse is a failure.
fn sweeps_beside_the_failed() {
    sweeps_beside(&[End::Late, End::Complete, End::Fail], &[OnLapse::Failed]);
}

fn sweeps_beside(ends: &'static [End], lapses: &'static [OnLapse]) {
    let site = Arc::new(Site::roomy(KEYS as usize, Drawn.any(&INLINE)));
    let inside = Arc::clone(&site);
    crew(5 + Drawn.roll(4), move |number| {
        for _ in 0..3 {
            let key = Drawn.roll(KEYS) as usize;
            match number {
                0 | 1 => {
                    site.clock.advance(Drawn.any(&[LEASE / 2, LEASE, WINDOW]));
                    site.engine.sweep(8).expect("not forked");
                }
                2 => {
                    let outcome = Outcome::new(200, b"");
                    let all = [Resolution::Succeeded(outcome), Resolution::RunAgain];
                    site.resolve(key, Drawn.any(&all));
                }
                _ => {
                    let options = BeginOptions::new().on_lapse(Drawn.any(lapses));
                    site.run(key, &options, Drawn.any(ends));
                }
            }
        }
    });
    inside.comes_to_rest();
}

/// Goal: a sweep takes nothing that somebody was promised. Method: callers with ends and lapse
/// policies of all kinds, sweepers that move the clock, and a resolver.
#[test]
fn windows_are_kept() {
    explore("sweep::windows_are_kept", sweeps_beside_callers);
}

/// Goal: the scenario bites. Method: the sweep vacates a slot without claiming it.
#[test]
fn broken_sweep_without_claim() {
    broken(Bug::SweepWithoutClaim, sweeps_beside_callers);
}

/// Goal: the scenario bites. Method: a takeover does not close the lease first.
#[test]
fn broken_takeover_without_freeze() {
    broken(Bug::TakeoverWithoutFreeze, sweeps_beside_renewals);
}

/// Goal: the scenario bites. Method: a lapse that counts as a failure leaves the outcome open.
#[test]
fn broken_lapse_unarbitrated() {
    broken(Bug::LapseUnarbitrated, sweeps_beside_the_failed);
}

const KEYS: u64 = 3;
const LAPSES: [OnLapse; 3] = [OnLapse::Reclaim, OnLapse::Unknown, OnLapse::Failed];
