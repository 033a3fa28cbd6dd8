//! Tiers: what engines of several machines share, held to its contract.
//!
//! `CASE=name` runs the cases of the conformance suite that have `name` in theirs, `SEED=n` draws
//! its keys and its random history from another seed.
#![cfg(not(any(oncegate_loom, oncegate_shuttle)))]

mod chaos;
#[allow(dead_code, reason = "why there is no order is shown by a timeline of another kind")]
#[path = "../histories/checker.rs"]
mod checker;
mod engine;
mod faults;
mod memory;
mod redis;
mod suite;

use oncegate::tier::conformance::{Report, Rig, Suite};

/// Runs the conformance suite, and prints what it found.
fn conforms(rig: &dyn Rig) -> Report {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let case = std::env::var("CASE").unwrap_or_default();
    let report = Suite::new().only(&case).seed(seed.unwrap_or(1)).check(rig);
    println!("{report}");
    assert!(report.has_passed(), "{report}");
    report
}
