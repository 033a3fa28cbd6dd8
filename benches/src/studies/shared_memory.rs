//! Shared memory: what a table costs in memory that processes share, against memory of its own.

use super::{Found, Row, Study};
use crate::contender::{Contender, Kind, Single};
use crate::peers::placed::{INHERITED, NAMED, PRIVATE, Placed, given};
use crate::rounds::{Opener, Rates, Settings, measure};
use crate::store::Store;
use crate::suite::Sizes;
use crate::workloads::{Hits, Hot, Unique, Workload};

/// The engine alone, in three kinds of memory with and without huge pages, and what the kernel
/// gave of those.
pub(super) fn shared_memory(sizes: &Sizes, settings: &Settings) -> Found {
    let threads = settings.threads.iter().copied().filter(|&threads| threads <= 2).collect();
    let settings = Settings { threads, latencies: false, ..settings.clone() };
    let mut study = Made { settings, found: Found::default(), capacities: Vec::new() };
    let (small, million) = (sizes.small, sizes.million);
    study.on("memory-hot", "every request is a duplicate of one of 16", &Hot);
    let hits = Hits { name: "hits64k", records: small, capacity: small * 2 };
    study.on("memory-hits64k", "99 % duplicates of the small table", &hits);
    study.on(
        "memory-unique",
        "every request is new, in a full table",
        &Unique { records: million },
    );
    let hits = Hits { name: "hits1m", records: million, capacity: million + million / 20 };
    study.on("memory-hits1m", "99 % duplicates of the large table", &hits);
    study.pages()
}

struct Made {
    settings: Settings,
    found: Found,
    /// One for each workload.
    capacities: Vec<usize>,
}

impl Made {
    fn on<W: Workload>(&mut self, name: &'static str, what: &str, workload: &W) {
        let openers = vec![
            opener::<Placed<PRIVATE, true>, W>(workload),
            opener::<Placed<INHERITED, true>, W>(workload),
            opener::<Placed<NAMED, true>, W>(workload),
            opener::<Placed<PRIVATE, false>, W>(workload),
            opener::<Placed<INHERITED, false>, W>(workload),
            opener::<Placed<NAMED, false>, W>(workload),
        ];
        // Opened anew for each turn: which pages a table happens to get counts for a tenth.
        let figures = measure(&openers, false, &self.settings);
        let about = format!(
            "{what}: the engine in memory of its own, in memory that forked processes inherit, \
             and in a file in memory; room for {} records",
            workload.capacity()
        );
        self.found.rates.push(Rates { name, about, caller: "thread", figures });
        let column = self.capacities.len();
        self.capacities.push(workload.capacity());
        let given = given();
        for opener in &openers {
            let of_name = given.iter().filter(|given| given.name == opener.name);
            let (huge, bytes) = of_name
                .fold((0, 0), |(huge, bytes), given| (huge + given.huge, bytes + given.bytes));
            self.note(&opener.name, column, huge as f64 / bytes.max(1) as f64 * 100.0);
        }
    }

    fn note(&mut self, name: &str, column: usize, share: f64) {
        if self.found.grids.is_empty() {
            self.found.grids.push(Study {
                name: "shared-memory",
                about: "what the kernel gave to the tables of the workloads memory-hot, \
                        memory-hits64k, memory-unique and memory-hits1m",
                unit: "huge pages, % of the table",
                axis: "room for records",
                columns: Vec::new(),
                log_axis: true,
                rows: Vec::new(),
            });
        }
        let rows = &mut self.found.grids[0].rows;
        if !rows.iter().any(|row| row.name == name) {
            rows.push(Row { name: name.to_owned(), figures: vec![None; column] });
        }
        let row = rows.iter_mut().find(|row| row.name == name).expect("it was just made");
        row.figures.push(Some(share));
    }

    fn pages(mut self) -> Found {
        for grid in &mut self.found.grids {
            grid.columns = self.capacities.iter().map(|&capacity| capacity as f64).collect();
        }
        self.found
    }
}

fn opener<S: Store + 'static, W: Workload>(workload: &W) -> Opener<'_> {
    let open = Box::new(move || Box::new(Single::<S, W>::new(workload)) as Box<dyn Contender>);
    Opener { name: S::NAME.to_owned(), kind: Kind::of::<S>(), open }
}
