//! Early evictions: finished records that leave inside their window, in the steady state.

use std::time::Duration;

use oncegate::{Admission, BeginOptions, Engine, ManualClock, Outcome, Scope};

use super::{Row, Study, prepared};

/// Records arrive one by one, and run out in order, so that the table always holds a share of its
/// capacity. A table that is filled only once flatters every scheme; this is what lasts.
pub(super) fn early_evictions(capacity: usize, windows: u64, loads: &[f64]) -> Study {
    let figures = loads.iter().map(|&load| Some(evicted(capacity, windows, load) * 100.0));
    Study {
        name: "early-evictions",
        about: "a steady population: records arrive, and run out in order",
        unit: "evictions inside the window, for 100 insertions",
        axis: "live records, as a share of the capacity",
        columns: loads.to_vec(),
        log_axis: false,
        rows: vec![Row { name: "oncegate".to_owned(), figures: figures.collect() }],
    }
}

/// Early evictions for each insertion at that load.
fn evicted(capacity: usize, windows: u64, load: f64) -> f64 {
    let live = (capacity as f64 * load) as u64;
    let clock = ManualClock::new();
    let builder = Engine::builder().capacity(capacity).clock(clock.clone()).outcome_limit(64);
    let builder = builder.dedup_window(Duration::from_millis(live));
    let engine = builder.build().expect("a valid configuration");
    let (options, outcome) = (BeginOptions::new(), Outcome::new(200, [7; 64]));
    let insert = |number: u64| {
        clock.advance(Duration::from_millis(1));
        let prepared = prepared(&engine, Scope::single_tenant(), number);
        match engine.begin_prepared(&prepared, &options).expect("room") {
            Admission::Admitted(lease) => lease.complete(&outcome).expect("held"),
            other => panic!("a new key was answered {other:?}"),
        };
    };
    // Two windows until the state is steady.
    (0..live * 2).for_each(insert);
    let before = engine.stats().expect("not forked").evicted_early;
    (live * 2..live * (2 + windows)).for_each(insert);
    let after = engine.stats().expect("not forked").evicted_early;
    (after - before) as f64 / (live * windows) as f64
}
