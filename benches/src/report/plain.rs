//! A plain table, for a terminal.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::rounds::{Figures, Rates, Spread};
use crate::studies::Study;
use crate::suite::{Sizes, Task};

/// The figures of one workload: medians with the slowest and fastest round, and what share of the
/// operations created a record.
#[must_use]
pub fn table(task: Task, sizes: &Sizes, figures: &[Figures]) -> String {
    let (name, about, figures) = (task.name(), task.about(sizes), figures.to_vec());
    rates(&Rates { name, about, caller: "thread", figures })
}

/// The same of any workload.
#[must_use]
pub fn rates(rates: &Rates) -> String {
    let figures = &rates.figures;
    let threads: BTreeSet<usize> = figures.iter().map(|figures| figures.threads).collect();
    let mut text = format!("{}: {}\n  {:<38}", rates.name, rates.about, "ns/op");
    let many = if rates.caller == "thread" { "threads" } else { "processes" };
    for threads in &threads {
        let _ = write!(text, "{:>28}", format!("{threads} {many}"));
    }
    let _ = writeln!(text, "  created  ns p50/p99/p99.9, each number of {many}");
    let mut named: Vec<&str> = Vec::new();
    for row in figures {
        if named.contains(&row.name.as_str()) {
            continue;
        }
        named.push(&row.name);
        let of_name: Vec<&Figures> =
            figures.iter().filter(|other| other.name == row.name).collect();
        let _ = write!(text, "  {:<38}", row.name);
        for threads in &threads {
            let cell = of_name.iter().find(|figures| figures.threads == *threads);
            let _ = write!(text, "{:>28}", cell.map_or(String::new(), |cell| spread(&cell.ns)));
        }
        let created: u64 = of_name.iter().map(|figures| figures.created).sum();
        let operations: u64 = of_name.iter().map(|figures| figures.operations).sum();
        let _ = write!(text, "{:>9.4} ", created as f64 / operations.max(1) as f64);
        for figures in of_name {
            if let Some(latency) = &figures.latency {
                let at = |share| latency.value_at_quantile(share);
                let _ = write!(text, " {}/{}/{}", at(0.5), at(0.99), at(0.999));
            }
        }
        text.push('\n');
    }
    text
}

fn spread(ns: &[f64]) -> String {
    let Spread { median, min, max } = Spread::of(ns);
    format!("{} [{}\u{2013}{}]", short(median), short(min), short(max))
}

fn short(ns: f64) -> String {
    if ns < 100.0 { format!("{ns:.1}") } else { format!("{ns:.0}") }
}

/// The figures of one study.
#[must_use]
pub fn grid(study: &Study) -> String {
    let mut text = format!("{}: {}; {}\n  {:<36}", study.name, study.about, study.unit, study.axis);
    for column in &study.columns {
        let _ = write!(text, "{column:>12}");
    }
    text.push('\n');
    for row in &study.rows {
        let _ = write!(text, "  {:<36}", row.name);
        for figure in &row.figures {
            let _ = write!(text, "{:>12}", figure.map_or(String::new(), |f| format!("{f:.4}")));
        }
        text.push('\n');
    }
    text
}
