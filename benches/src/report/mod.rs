//! Reports: what was measured, for people and for programs.

pub mod budgets;
pub mod markdown;
pub mod plain;
pub mod svg;

use std::path::Path;

use serde::Serialize;

use crate::machine::Machine;
use crate::rounds::{Figures, Rates, Spread};
use crate::studies::Study;
use crate::suite::{Sizes, Task};
use budgets::Budget;

/// Everything that one run measured. Its fields are those of `report.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `quick` or `full`.
    pub extent: String,
    /// Rounds that count.
    pub rounds: usize,
    /// Milliseconds of each contender in each round.
    pub slice_ms: u64,
    /// Chose the orders and the keys.
    pub seed: u64,
    /// Where it ran.
    pub machine: Machine,
    /// What was asked of the engine, and what it does.
    pub budgets: Vec<Budget>,
    /// Rates and latencies.
    pub workloads: Vec<Measured>,
    /// Everything else.
    pub studies: Vec<Study>,
}

/// One workload on one number of threads.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Its name.
    pub workload: &'static str,
    /// What it is, in a sentence.
    pub about: String,
    /// What a caller is: a thread or a process.
    pub caller: &'static str,
    /// Threads or processes at work.
    pub threads: usize,
    /// The engine, one request at a time.
    pub ours: Option<Line>,
    /// The engine in batches, or hashing faster.
    pub ours_otherwise: Vec<Line>,
    /// The others, the fastest first.
    pub peers: Vec<Line>,
    /// How many times faster than the fastest peer the engine is.
    pub ratio: Option<Ratio>,
}

/// One contender.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Whether it keeps to its capacity by itself.
    pub bounded: bool,
    /// Nanoseconds of a processor for one operation: the median round.
    pub ns: f64,
    /// The fastest round.
    pub ns_min: f64,
    /// The slowest round.
    pub ns_max: f64,
    /// Times what the engine takes, one request at a time: the median round.
    pub times: Option<f64>,
    /// Records created for each operation; in the race, for each key: it must be 1.
    pub created: f64,
    /// Nanoseconds of single operations, where they were timed.
    pub latency: Option<Latency>,
}

/// Quantiles of single operations, in nanoseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// The median.
    pub p50: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p999: u64,
    /// 99.99 %.
    pub p9999: u64,
}

/// A ratio of the rounds, each round's two figures measured one soon after the other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Whom it is against.
    pub against: String,
    /// The median round.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Ratio {
    /// How many times faster `ours` is than `theirs`.
    #[must_use]
    pub fn of(ours: &Figures, theirs: &Figures) -> Self {
        let rounds: Vec<f64> = ours.ns.iter().zip(&theirs.ns).map(|(o, t)| t / o).collect();
        let Spread { median, min, max } = Spread::of(&rounds);
        Self { against: theirs.name.clone(), median, min, max }
    }
}

impl Line {
    fn of(figures: &Figures, ours: Option<&Figures>) -> Self {
        let Spread { median, min, max } = Spread::of(&figures.ns);
        let latency = figures.latency.as_ref().map(|latency| {
            let at = |share| latency.value_at_quantile(share);
            Latency { p50: at(0.5), p99: at(0.99), p999: at(0.999), p9999: at(0.9999) }
        });
        Self {
            name: figures.name.clone(),
            bounded: figures.kind.bounded,
            ns: median,
            ns_min: min,
            ns_max: max,
            times: ours.map(|ours| Ratio::of(ours, figures).median),
            created: figures.created as f64 / figures.operations.max(1) as f64,
            latency,
        }
    }
}

/// The figures of one workload, by number of threads.
#[must_use]
pub fn lines(task: Task, sizes: &Sizes, figures: &[Figures]) -> Vec<Measured> {
    let (name, about, figures) = (task.name(), task.about(sizes), figures.to_vec());
    of_rates(&Rates { name, about, caller: "thread", figures })
}

/// The figures of one workload, by number of callers.
#[must_use]
pub fn of_rates(rates: &Rates) -> Vec<Measured> {
    let mut threads: Vec<usize> = rates.figures.iter().map(|figures| figures.threads).collect();
    threads.sort_unstable();
    threads.dedup();
    let of_threads = |threads: usize| {
        let here = rates.of(threads);
        let ours = budgets::ours(&here);
        let best = budgets::best(&here, |_| true);
        let otherwise =
            here.iter().filter(|f| f.kind.ours && Some(f.name.as_str()) != ours.map(|o| &*o.name));
        let mut peers: Vec<Line> =
            here.iter().filter(|f| !f.kind.ours).map(|f| Line::of(f, ours)).collect();
        peers.sort_by(|a, b| a.ns.total_cmp(&b.ns));
        Measured {
            workload: rates.name,
            about: rates.about.clone(),
            caller: rates.caller,
            threads,
            ours: ours.map(|figures| Line::of(figures, None)),
            ours_otherwise: otherwise.map(|f| Line::of(f, ours)).collect(),
            peers,
            ratio: ours.zip(best).map(|(ours, best)| Ratio::of(ours, best)),
        }
    };
    threads.into_iter().map(of_threads).collect()
}

impl Report {
    /// Writes `report.md`, `report.json` and the plots into `folder`.
    ///
    /// # Errors
    ///
    /// A file could not be written.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let json = serde_json::to_string_pretty(self).map_err(std::io::Error::other)?;
        std::fs::write(folder.join("report.json"), json + "\n")?;
        for (name, plot) in svg::plots(self) {
            std::fs::write(folder.join(format!("{name}.svg")), plot)?;
        }
        std::fs::write(folder.join("report.md"), markdown::text(self))
    }
}
