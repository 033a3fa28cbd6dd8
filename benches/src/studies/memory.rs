//! Memory: what a record costs, everything included.

use super::{Row, Study};
use crate::peers::{self, Oncegate, Visitor};
use crate::process::{probe, resident_bytes};
use crate::store::Store;
use crate::workloads::fill;

/// Resident bytes of a filled store through its records, each in a process of its own.
///
/// # Errors
///
/// A process failed.
pub(super) fn memory(records: &[usize]) -> Result<Study, String> {
    let mut names = Names(Vec::new());
    names.visit::<Oncegate>();
    peers::hashed(&mut names);
    let mut rows = vec![Row { name: BY_STATS.to_owned(), figures: Vec::new() }];
    for name in names.0 {
        let mut figures = Vec::new();
        for &count in records {
            let question = ["memory".to_owned(), name.to_owned(), count.to_string()];
            let answer = probe(&question)?;
            let [resident, stated] = answer[..] else { return Err(format!("{answer:?}")) };
            figures.push(Some(resident / count as f64));
            if name == Oncegate::NAME {
                rows[0].figures.push(Some(stated / count as f64));
            }
        }
        rows.push(Row { name: name.to_owned(), figures });
    }
    Ok(Study {
        name: "memory",
        about: "a store opened for that many records and filled with them, outcomes of 64 bytes; \
                the peers keep 128 bits of the fingerprint, the engine 224",
        unit: "resident bytes for each record",
        axis: "records",
        columns: records.iter().map(|&count| count as f64).collect(),
        log_axis: true,
        rows,
    })
}

/// Answers the question of a row: resident bytes, and what the engine says itself.
pub(super) fn answer(name: &str, records: usize) -> Option<[u64; 2]> {
    let mut filled = Filled { name, records, bytes: None };
    filled.visit::<Oncegate>();
    peers::hashed(&mut filled);
    let stated = if name == Oncegate::NAME {
        let stats = Oncegate::open(records).engine().stats().expect("not forked");
        stats.bytes
    } else {
        0
    };
    filled.bytes.map(|resident| [resident, stated])
}

struct Names(Vec<&'static str>);

impl Visitor for Names {
    fn visit<S: Store + 'static>(&mut self) {
        // The two ways to ask dashmap fill the same memory.
        if !S::NAME.contains(',') || !S::NAME.starts_with("dashmap") {
            self.0.push(S::NAME);
        }
    }
}

struct Filled<'n> {
    name: &'n str,
    records: usize,
    bytes: Option<u64>,
}

impl Visitor for Filled<'_> {
    fn visit<S: Store + 'static>(&mut self) {
        if S::NAME == self.name {
            let before = resident_bytes();
            let store = S::open(self.records);
            fill(&store, 0..self.records as u64);
            self.bytes = Some(resident_bytes().saturating_sub(before));
        }
    }
}

/// The row of what the engine says itself.
const BY_STATS: &str = "oncegate, by its stats";
