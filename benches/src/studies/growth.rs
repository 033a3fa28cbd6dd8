//! Growth: what a duplicate costs, as the table grows from the caches into memory.

use super::{Row, Study};
use crate::contender::{Contender, Kind, Single};
use crate::key::{BuildIdentity, Hashed};
use crate::peers::{Bare, DashMapStore, Oncegate, PapayaStore, SccMapStore};
use crate::process::available_bytes;
use crate::rounds::{Opener, Settings, measure};
use crate::store::Store;
use crate::workloads::{Batched, Hits};

/// 99 % duplicates, uniform, on one thread, in tables of those sizes. At the largest ones, only
/// the engine without outcomes takes part, and only if there is memory for it.
pub(super) fn growth(records: &[usize], settings: &Settings) -> Study {
    let settings = Settings { threads: vec![1], latencies: false, ..settings.clone() };
    let mut rows: Vec<Row> = Vec::new();
    for (column, &count) in records.iter().enumerate() {
        let hits = Hits { name: "growth", records: count, capacity: count + count / 20 };
        for figures in measure(&openers(&hits), false, &settings) {
            if !rows.iter().any(|row| row.name == figures.name) {
                rows.push(Row { name: figures.name.clone(), figures: vec![None; column] });
            }
            let row = rows.iter_mut().find(|row| row.name == figures.name);
            row.expect("it was just made").figures.push(Some(figures.median()));
        }
        for row in &mut rows {
            row.figures.resize(column + 1, None);
        }
    }
    Study {
        name: "growth",
        about: "99 % duplicates of that many live records, uniform, one thread",
        unit: "ns for each operation",
        axis: "records",
        columns: records.iter().map(|&count| count as f64).collect(),
        log_axis: true,
        rows,
    }
}

fn openers(hits: &Hits) -> Vec<Opener<'_>> {
    let mut openers = Vec::new();
    let fits = |bytes: usize| available_bytes() > (hits.capacity * bytes) as u64 * 5 / 4;
    if hits.records <= MOST_WITH_OUTCOMES {
        openers.push(single::<Oncegate>(hits));
        let kind = Kind { batch: 32, ..Kind::of::<Oncegate>() };
        let open = Box::new(move || Box::new(Batched::new(hits, 32)) as Box<dyn Contender>);
        openers.push(Opener { name: "oncegate, batches of 32".to_owned(), kind, open });
        openers.push(single::<PapayaStore<Hashed, BuildIdentity>>(hits));
        openers.push(single::<DashMapStore<Hashed, BuildIdentity, true>>(hits));
        openers.push(single::<SccMapStore<Hashed, BuildIdentity>>(hits));
    }
    if fits(BARE_BYTES) {
        openers.push(single::<Bare>(hits));
    }
    openers
}

fn single<S: Store + 'static>(hits: &Hits) -> Opener<'_> {
    let open = Box::new(move || Box::new(Single::<S, Hits>::new(hits)) as Box<dyn Contender>);
    Opener { name: S::NAME.to_owned(), kind: Kind::of::<S>(), open }
}

const MOST_WITH_OUTCOMES: usize = 10_000_000;
/// What a record without an outcome takes.
const BARE_BYTES: usize = 90;
