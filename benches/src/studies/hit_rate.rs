//! Hit rate: how many requests find their record, when not all of them have room.

use super::{Row, Study};
use crate::peers::{self, Visitor};
use crate::rng::{Rng, ZIPF_RANKS, Zipf};
use crate::store::{Begun, Store};

/// `requests` for a million keys by Zipf's law (0.99), at several capacities.
pub(super) fn hit_rate(requests: usize, capacities: &[usize]) -> Study {
    let (zipf, mut rng) = (Zipf::new(ZIPF_RANKS, 0.99), Rng::new(0x417));
    let trace: Vec<u32> = (0..requests).map(|_| zipf.draw(&mut rng) as u32).collect();
    let mut all = Replay { trace: &trace, capacities, rows: Vec::new() };
    peers::bounded(&mut all);
    Study {
        name: "hit-rate",
        about: "the same trace for all: 1 M keys by Zipf's law (0.99), at equal stated capacity",
        unit: "% of requests that find their record",
        axis: "capacity, records",
        columns: capacities.iter().map(|&capacity| capacity as f64).collect(),
        log_axis: true,
        rows: all.rows,
    }
}

struct Replay<'t> {
    trace: &'t [u32],
    capacities: &'t [usize],
    rows: Vec<Row>,
}

impl Visitor for Replay<'_> {
    fn visit<S: Store + 'static>(&mut self) {
        let figures = self.capacities.iter().map(|&capacity| {
            let store = S::open(capacity);
            let (outcome, mut buffer) = (S::outcome(7), S::outcome(0));
            let mut hits = 0_u64;
            for &rank in self.trace {
                match store.begin(&S::key(u64::from(rank)), &mut buffer) {
                    Begun::Created(lease) => store.complete(lease, &outcome),
                    Begun::Replayed => hits += 1,
                    Begun::InFlight => unreachable!("each record is completed at once"),
                }
            }
            Some(hits as f64 / self.trace.len() as f64 * 100.0)
        });
        let row = Row { name: S::NAME.to_owned(), figures: figures.collect() };
        self.rows.push(row);
    }
}
