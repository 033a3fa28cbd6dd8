//! Opening: how long it takes, and how many page faults come then and later.

use std::time::Instant;

use oncegate::Engine;

use super::{Row, Study};
use crate::peers::Oncegate;
use crate::process::{page_faults, probe};
use crate::store::Store;
use crate::workloads::fill;

/// The engine, opened for several capacities, each in a process of its own.
///
/// # Errors
///
/// A process failed.
pub(super) fn opening(capacities: &[usize]) -> Result<Study, String> {
    let names = [
        "open, ms",
        "page faults at open",
        "page faults of the first filling",
        "open with prefault, ms",
        "page faults at open with prefault",
    ];
    let mut rows = names.map(|name| Row { name: name.to_owned(), figures: Vec::new() });
    for &capacity in capacities {
        let numbers = probe(&["opening".to_owned(), capacity.to_string()])?;
        for (row, number) in rows.iter_mut().zip(numbers) {
            row.figures.push(Some(number));
        }
    }
    Ok(Study {
        name: "opening",
        about: "the engine alone, in a fresh process, with room for outcomes of 64 bytes",
        unit: "milliseconds, and page faults",
        axis: "capacity, records",
        columns: capacities.iter().map(|&capacity| capacity as f64).collect(),
        log_axis: true,
        rows: rows.into(),
    })
}

/// Answers the question of a column.
pub(super) fn answer(capacity: usize) -> [f64; 5] {
    let (lazy_ms, lazy_faults, store) = opened(|| Oncegate::open(capacity));
    let before = page_faults();
    fill(&store, 0..capacity as u64);
    let filling = page_faults() - before;
    drop(store);
    let builder = Engine::builder().capacity(capacity).outcome_limit(64).prefault(true);
    let builder = builder.outcome_bytes(64 << 10);
    let (prefault_ms, prefaulted, _) = opened(|| builder.build().expect("a valid configuration"));
    [lazy_ms, lazy_faults as f64, filling as f64, prefault_ms, prefaulted as f64]
}

fn opened<T>(open: impl FnOnce() -> T) -> (f64, u64, T) {
    let (faults, began) = (page_faults(), Instant::now());
    let opened = open();
    (began.elapsed().as_secs_f64() * 1e3, page_faults() - faults, opened)
}
