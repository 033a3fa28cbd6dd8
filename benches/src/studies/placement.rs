//! Placement: what ways, homes and load factors would do, counted without the engine.
//!
//! A steady population in which records arrive and run out in order. Nothing but positions is
//! simulated: a set clears the oldest of its records that are over when an insertion looks at it,
//! as the engine does, and evicts the oldest when both homes are full.

use super::{Row, Study};
use crate::key::mix;

/// One way to lay out a table.
struct Scheme {
    name: &'static str,
    ways: usize,
    /// So many vacant ways keep a record at home; else it goes to the emptier set.
    home_room: usize,
    /// How many of the oldest records of each set an insertion asks whether they are over.
    looked_at: usize,
}

const SCHEMES: [Scheme; 6] = [
    Scheme { name: "2 sets of 16, emptier", ways: 16, home_room: 16, looked_at: 2 },
    Scheme { name: "2 sets of 16, home first", ways: 16, home_room: 4, looked_at: 2 },
    Scheme { name: "2 sets of 32, emptier", ways: 32, home_room: 32, looked_at: 2 },
    Scheme { name: "2 sets of 32, home first", ways: 32, home_room: 5, looked_at: 2 },
    Scheme { name: "the same, one looked at", ways: 32, home_room: 5, looked_at: 1 },
    Scheme { name: "the same, three looked at", ways: 32, home_room: 5, looked_at: 3 },
];

/// Evictions of live records in a hundred insertions, by scheme and live load.
pub(super) fn placement(slots: usize, rounds: usize, loads: &[f64]) -> Study {
    let rows = SCHEMES.iter().map(|scheme| Row {
        name: scheme.name.to_owned(),
        figures: loads.iter().map(|load| Some(evicted(scheme, slots, *load, rounds))).collect(),
    });
    Study {
        name: "placement",
        about: "Live records that a table would evict in the steady state, counted by simulation.",
        unit: "early evictions in 100 insertions",
        axis: "live records as a share of the slots",
        columns: loads.to_vec(),
        log_axis: false,
        rows: rows.collect(),
    }
}

fn evicted(scheme: &Scheme, slots: usize, load: f64, rounds: usize) -> f64 {
    let (live, sets) = ((load * slots as f64) as u64, slots / scheme.ways);
    let mut table = Positions { born: vec![0; slots], live, ways: scheme.ways };
    let (warm, all) = (3 * live, (3 + rounds as u64) * live);
    let mut lost = 0_u64;
    for now in 1..=all {
        let word = mix(now);
        let home = (((word & 0xffff_ffff) * sets as u64) >> 32) as usize;
        let other = (((word >> 32) * sets as u64) >> 32) as usize;
        let other = if other == home { (home + 1) % sets } else { other };
        for set in [home, other] {
            table.clear(set, scheme.looked_at, now);
        }
        let [room, elsewhere] = [home, other].map(|set| table.vacant(set).count());
        let at_home = room > 0 && (room >= scheme.home_room || room >= elsewhere);
        let set = if at_home || elsewhere == 0 { home } else { other };
        let vacant = table.vacant(set).next();
        let slot = vacant.unwrap_or_else(|| {
            let oldest = [home, other].into_iter().flat_map(|set| table.of(set));
            let oldest = oldest.min_by_key(|slot| table.born[*slot]).expect("sets have ways");
            lost += u64::from(now > warm && table.born[oldest] + live > now);
            oldest
        });
        table.born[slot] = now;
    }
    100.0 * lost as f64 / (all - warm) as f64
}

struct Positions {
    /// When the record of each slot arrived; zero: vacant.
    born: Vec<u64>,
    live: u64,
    ways: usize,
}

impl Positions {
    fn of(&self, set: usize) -> std::ops::Range<usize> {
        set * self.ways..(set + 1) * self.ways
    }

    fn vacant(&self, set: usize) -> impl Iterator<Item = usize> {
        self.of(set).filter(|slot| self.born[*slot] == 0)
    }

    fn clear(&mut self, set: usize, looked_at: usize, now: u64) {
        let mut after = 0;
        for _ in 0..looked_at {
            let used = self.of(set).filter(|slot| self.born[*slot] > after);
            let Some(oldest) = used.min_by_key(|slot| self.born[*slot]) else { return };
            after = self.born[oldest];
            if after + self.live <= now {
                self.born[oldest] = 0;
            }
        }
    }
}
