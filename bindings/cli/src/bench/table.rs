//! The measured figures, as a plain table or as JSON.

use std::fmt;
use std::thread;

use serde::Serialize;

use super::Case;
use super::workload::{Hashing, Kind};
use crate::storm::report::nanos;

/// Every figure of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Table {
    rounds: usize,
    /// Rounds that were asked for; fewer are made when the time is over.
    rounds_asked: usize,
    processors: usize,
    /// A debug build is many times slower than what services run.
    optimised: bool,
    cases: Vec<Measured>,
}

/// The figures of one case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Measured {
    workload: Kind,
    hashing: Hashing,
    threads: usize,
    /// Rounds that count.
    #[serde(skip)]
    rounds: usize,
    /// Median over the rounds of the nanoseconds that one operation takes its thread.
    ns_per_operation: f64,
    /// The fastest round.
    fastest_ns: f64,
    /// The slowest round.
    slowest_ns: f64,
    /// Operations per second over all threads, at the median.
    per_second: f64,
}

impl Measured {
    /// Takes the median of the samples, of which there is at least one.
    pub(crate) fn new(case: Case, mut samples: Vec<f64>) -> Self {
        samples.sort_unstable_by(f64::total_cmp);
        let median = median(&samples);
        Self {
            workload: case.kind,
            hashing: case.hashing,
            threads: case.threads,
            rounds: samples.len(),
            ns_per_operation: round(median),
            fastest_ns: round(samples.first().copied().unwrap_or_default()),
            slowest_ns: round(samples.last().copied().unwrap_or_default()),
            per_second: (case.threads as f64 * 1e9 / median.max(f64::MIN_POSITIVE)).round(),
        }
    }
}

impl Table {
    /// The table of these cases, which were all measured in the same number of rounds, of those
    /// that were asked for.
    pub(crate) fn new(cases: Vec<Measured>, rounds_asked: usize) -> Self {
        let rounds = cases.first().map_or(0, |case| case.rounds);
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self { rounds, rounds_asked, processors, optimised: !cfg!(debug_assertions), cases }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Medians of {} rounds, {} processors; time of one operation on its thread",
            self.rounds, self.processors
        )?;
        if self.rounds < self.rounds_asked {
            let asked = self.rounds_asked;
            writeln!(f, "The time was over before all {asked} rounds that were asked for.")?;
        }
        if !self.optimised {
            writeln!(f, "This is a debug build, with small tables: its figures say little.")?;
        }
        writeln!(
            f,
            "\n{:<37}{:<10}{:>7}{:>12}{:>21}{:>8}",
            "workload", "hashing", "threads", "median", "fastest..slowest", "M/s"
        )?;
        for case in &self.cases {
            let range = format!("{}..{}", nanos(case.fastest_ns), nanos(case.slowest_ns));
            writeln!(
                f,
                "{:<37}{:<10}{:>7}{:>12}{:>21}{:>8.2}",
                case.workload.name(),
                case.hashing.name(),
                case.threads,
                nanos(case.ns_per_operation),
                range,
                case.per_second / 1e6,
            )?;
        }
        Ok(())
    }
}

/// The middle of sorted samples; between the two middle ones when their number is even.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

fn round(ns: f64) -> f64 {
    (ns * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(samples: &[f64]) -> Measured {
        let case = Case { kind: Kind::Unique, hashing: Hashing::Included, threads: 2 };
        Measured::new(case, samples.to_vec())
    }

    /// Goal: one slow round does not move the figure. Method: odd and even numbers of samples.
    #[test]
    fn the_median_counts() {
        let odd = measured(&[900.0, 100.0, 200.0]);
        assert_eq!((odd.ns_per_operation, odd.fastest_ns, odd.slowest_ns), (200.0, 100.0, 900.0));
        assert_eq!(odd.per_second, 10_000_000.0);
        assert_eq!(measured(&[400.0, 100.0, 200.0, 300.0]).ns_per_operation, 250.0);
    }

    /// Goal: fewer rounds than were asked for are told. Method: one of one, and one of seven.
    #[test]
    fn missing_rounds_are_told() {
        let table = |asked| Table::new(vec![measured(&[100.0])], asked).to_string();
        assert!(table(7).contains("Medians of 1 rounds") && table(7).contains("all 7 rounds"));
        assert!(!table(1).contains("asked for"));
    }

    /// Goal: the table is plain and fits a terminal. Method: a slow case; look at every line.
    #[test]
    fn the_table_fits_a_terminal() {
        let text = Table::new(vec![measured(&[1_234_567.0])], 1).to_string();
        assert!(text.contains("unique begin + complete") && text.contains("1.2 ms"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}
