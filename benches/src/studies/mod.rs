//! Studies: what is not a rate of operations in one process. Most give a grid of figures.

mod attack;
mod early_evictions;
mod endurance;
mod growth;
mod hit_rate;
mod host;
mod memory;
mod opening;
mod placement;
mod retention;
mod scheduling;
mod shared_memory;
mod timers;

use std::time::Duration;

use oncegate::{Engine, Fingerprint, Prepared, Scope};
use serde::Serialize;

use crate::peers::Oncegate;
use crate::rounds::{Rates, Settings};
use crate::store::Store;
use crate::suite::{Extent, Sizes};

/// Figures by rows and columns.
#[derive(Clone, Debug, Serialize)]
pub struct Study {
    /// Its name in reports.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub about: &'static str,
    /// What the figures count.
    pub unit: &'static str,
    /// What the columns are.
    pub axis: &'static str,
    /// Where the columns lie on that axis.
    pub columns: Vec<f64>,
    /// Whether the axis is drawn by its logarithm.
    pub log_axis: bool,
    /// One for each contender, or for each thing that is counted.
    pub rows: Vec<Row>,
}

/// The figures of one contender.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name in tables.
    pub name: String,
    /// One for each column; nothing where it was not measured.
    pub figures: Vec<Option<f64>>,
}

/// What a study came to.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Grids of figures.
    pub grids: Vec<Study>,
    /// Rates of operations.
    pub rates: Vec<Rates>,
}

impl From<Study> for Found {
    fn from(study: Study) -> Self {
        Self { grids: vec![study], rates: Vec::new() }
    }
}

impl Study {
    /// The figure of a row in the column at `at`.
    #[must_use]
    pub fn figure(&self, row: &str, at: f64) -> Option<f64> {
        let column = self.columns.iter().position(|&column| (column - at).abs() < 1e-9)?;
        let row = self.rows.iter().find(|other| other.name == row)?;
        row.figures.get(column).copied().flatten()
    }
}

/// Which study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// How many requests find their record.
    HitRate,
    /// Whether retries do, in a full table.
    Retention,
    /// Records that leave inside their window.
    EarlyEvictions,
    /// Bytes of a record.
    Memory,
    /// Time and page faults of an open.
    Opening,
    /// What a duplicate costs as the table grows.
    Growth,
    /// What an attacker costs a victim.
    Attack,
    /// Memory over very many operations.
    Endurance,
    /// What other layouts of a table would do.
    Placement,
    /// Processes of a host that share a table, beside servers and files that could do that.
    Host,
    /// Shared memory against memory of the process itself.
    SharedMemory,
    /// The timer wheel beside other ways to remember when something is due.
    Timers,
    /// What it costs to put attempts off, and to take them when they are due.
    Scheduling,
}

impl Subject {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::HitRate,
        Self::Retention,
        Self::EarlyEvictions,
        Self::Memory,
        Self::Opening,
        Self::Growth,
        Self::Attack,
        Self::Endurance,
        Self::Placement,
        Self::Host,
        Self::SharedMemory,
        Self::Timers,
        Self::Scheduling,
    ];

    /// Its name on the command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HitRate => "hit-rate",
            Self::Retention => "retention",
            Self::EarlyEvictions => "early-evictions",
            Self::Memory => "memory",
            Self::Opening => "opening",
            Self::Growth => "growth",
            Self::Attack => "attack",
            Self::Endurance => "endurance",
            Self::Placement => "placement",
            Self::Host => "host",
            Self::SharedMemory => "shared-memory",
            Self::Timers => "timers",
            Self::Scheduling => "scheduling",
        }
    }

    /// Makes it.
    ///
    /// # Errors
    ///
    /// A process of its own failed.
    pub fn make(self, extent: Extent, settings: &Settings) -> Result<Found, String> {
        match self {
            Self::Host => {
                let capacity = extent.choose(2_000, 250_000, 1_000_000);
                host::host(capacity, settings)
            }
            Self::SharedMemory => Ok(shared_memory::shared_memory(&Sizes::of(extent), settings)),
            Self::Timers => {
                let grids = vec![timers::memory(extent.choose(
                    &[20_000],
                    &[1_000_000],
                    &[1_000_000, 10_000_000],
                ))?];
                Ok(Found { grids, rates: Self::timer_rates(extent, settings) })
            }
            Self::Scheduling => {
                use scheduling::{NAMES_1K, NAMES_100K};
                let sizes = [(1_000, NAMES_1K), (100_000, NAMES_100K)];
                let tiny = [(200, NAMES_1K)];
                let sizes = extent.choose(&tiny[..], &sizes[..], &sizes[..]);
                let at_once = extent.choose(&[2_000][..], &[100_000], &[100_000, 1_000_000]);
                let batch = extent.choose(64, 1_000, 2_000);
                Ok(scheduling::found(sizes, batch, at_once, settings))
            }
            other => other.grid(extent, settings).map(Found::from),
        }
    }

    /// The rates of [`Subject::Timers`], all of which this process measures itself.
    #[must_use]
    pub fn timer_rates(extent: Extent, settings: &Settings) -> Vec<Rates> {
        let sizes = [(1_000_000, TIMERS_1M), (10_000_000, TIMERS_10M)];
        let tiny = [(20_000, TIMERS_1M)];
        let sizes = extent.choose(&tiny[..], &sizes[..1], &sizes[..]);
        let pairs = extent.choose((10_000, 10_000), (1_000_000, 300_000), (1_000_000, 1_000_000));
        timers::rates(sizes, pairs, settings)
    }

    fn grid(self, extent: Extent, settings: &Settings) -> Result<Study, String> {
        match self {
            Self::Host | Self::SharedMemory | Self::Timers | Self::Scheduling => {
                unreachable!("`make` has rates for them")
            }
            Self::HitRate => {
                let requests = extent.choose(50_000, 1_000_000, 4_000_000);
                let capacities: &[usize] = &[1 << 14, 1 << 16, 1 << 17, 1 << 18];
                let many = extent.choose(1, 3, 4);
                Ok(hit_rate::hit_rate(requests, &capacities[..many]))
            }
            Self::Retention => {
                // A power of two: one of the peers would round others up.
                let capacity = extent.choose(1 << 12, 1 << 14, 1 << 17);
                let requests = capacity as u64 * extent.choose(1, 2, 4);
                let distances = [0.1, 0.5, 0.8, 0.9, 0.95, 1.0];
                Ok(retention::retention(capacity, requests, &distances))
            }
            Self::EarlyEvictions => {
                let loads = [0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1];
                let capacity = extent.choose(1 << 12, 1 << 16, 1 << 18);
                Ok(early_evictions::early_evictions(capacity, extent.choose(1, 2, 3), &loads))
            }
            Self::Memory => {
                let records: &[usize] = &[1_000_000, 3_600_000, 4_190_000];
                let tiny: &[usize] = &[20_000];
                memory::memory(extent.choose(tiny, &records[..1], records))
            }
            Self::Opening => {
                let capacities: &[usize] = &[10_000, 100_000, 1_000_000, 10_000_000];
                opening::opening(&capacities[..extent.choose(1, 3, 4)])
            }
            Self::Growth => {
                let settings = Settings {
                    rounds: extent.choose(1, 3, 3),
                    slice: Duration::from_millis(extent.choose(1, 20, 100)),
                    ..settings.clone()
                };
                // The last one is for the engine without outcomes.
                let records = [10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
                Ok(growth::growth(&records[..extent.choose(1, 3, 5)], &settings))
            }
            Self::Attack => {
                let capacity = extent.choose(1 << 14, 1 << 17, 1 << 18);
                let slice = Duration::from_millis(extent.choose(20, 200, 500));
                Ok(attack::attack(capacity, extent.choose(1, 5, 10), slice))
            }
            Self::Endurance => {
                // In the smallest table, one part in a hundred is still several pages.
                let capacity = extent.choose(50_000, 200_000, 500_000);
                let operations = extent.choose(500_000, 10_000_000, 100_000_000);
                endurance::endurance(capacity, operations)
            }
            Self::Placement => {
                let slots = extent.choose(1 << 10, 1 << 15, 1 << 18);
                let loads = [0.7, 0.8, 0.85, 0.9];
                Ok(placement::placement(slots, extent.choose(1, 3, 3), &loads))
            }
        }
    }
}

/// Answers a question that a study asks of a process in which nothing has happened yet.
#[must_use]
pub fn answer(question: &[&str]) -> Option<Vec<f64>> {
    match *question {
        ["memory", name, records] => {
            let bytes = memory::answer(name, records.parse().ok()?)?;
            Some(bytes.map(|bytes| bytes as f64).to_vec())
        }
        ["timers", name, timers] => Some(vec![timers::answer(name, timers.parse().ok()?)?]),
        ["endurance", capacity, operations] => {
            Some(endurance::answer(capacity.parse().ok()?, operations.parse().ok()?))
        }
        ["opening", capacity] => Some(opening::answer(capacity.parse().ok()?).to_vec()),
        _ => None,
    }
}

/// The request of that number, hashed as the engine's peers have theirs.
fn prepared<'s>(engine: &Engine, scope: Scope<'s>, number: u64) -> Prepared<'s> {
    let mut bytes = [0; 32];
    let (parts, _) = bytes.as_chunks_mut::<8>();
    for (part, word) in parts.iter_mut().zip(Oncegate::key(number)) {
        *part = word.to_le_bytes();
    }
    let fingerprint = Fingerprint::from_bytes(bytes);
    engine.prepare_hashed(scope, fingerprint, 0)
}

/// The names of what is timed, with a million timers and with ten.
const TIMERS_1M: [&str; timers::PHASES] = [
    "timers-insert-1m",
    "timers-cancel-1m",
    "timers-cancel-and-clear-1m",
    "timers-insert-again-1m",
    "timers-fire-1m",
];
const TIMERS_10M: [&str; timers::PHASES] = [
    "timers-insert-10m",
    "timers-cancel-10m",
    "timers-cancel-and-clear-10m",
    "timers-insert-again-10m",
    "timers-fire-10m",
];
