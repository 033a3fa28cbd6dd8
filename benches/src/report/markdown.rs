//! Markdown: the report for people.

use std::fmt::Write;

use super::budgets::Budget;
use super::{Line, Measured, Report};
use crate::host::{self, HostStore};
use crate::peers::{self, Visitor};
use crate::store::Store;
use crate::studies::Study;

/// The whole page.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut page = String::from("# Measurements\n\n");
    head(&mut page, report);
    budgets(&mut page, &report.budgets);
    let mut last = "";
    for measured in &report.workloads {
        if measured.workload != last {
            last = measured.workload;
            let _ = write!(page, "\n## {last}\n\n{}.\n\n![{last}]({last}.svg)\n", measured.about);
        }
        workload(&mut page, measured);
    }
    for study in &report.studies {
        grid(&mut page, study);
    }
    notes(&mut page);
    if report.workloads.iter().any(|measured| measured.caller == "process") {
        host_notes(&mut page);
    }
    page
}

fn head(page: &mut String, report: &Report) {
    let machine = &report.machine;
    let _ = writeln!(
        page,
        "One process, every contender once in each round in an order shuffled anew; medians of {} \
         rounds of {} ms, with the fastest and the slowest. Threads are pinned. A figure is the \
         time of a processor for one operation: wall time, times the processors that the threads \
         had, through all operations; what other programs took of the processors is left out where \
         every thread has one. Only ratios within one run mean something.\n",
        report.rounds, report.slice_ms
    );
    let facts = [
        ("extent", format!("{}, seed {}", report.extent, report.seed)),
        ("processor", format!("{}, {} of them", machine.processor, machine.processors)),
        ("kernel", machine.kernel.clone()),
        ("huge pages", format!("{}; malloc: {}", machine.huge_pages, machine.malloc)),
        ("compiler", machine.compiler.clone()),
        ("access to memory, dependent", format!("{:.0} ns", machine.dependent_access_ns)),
        ("access to memory, independent", format!("{:.1} ns", machine.independent_access_ns)),
        ("empty bracket, subtracted", format!("{:.0} ns", machine.empty_bracket_ns)),
    ];
    page.push_str("| | |\n|---|---|\n");
    for (name, fact) in facts {
        let _ = writeln!(page, "| {name} | {fact} |");
    }
}

fn budgets(page: &mut String, budgets: &[Budget]) {
    let count = |met: &str| budgets.iter().filter(|budget| budget.met == met).count();
    let _ = write!(
        page,
        "\n## Budgets\n\n{} of {} are met, {} of them at their aim; {} are missed.\n\n\
         | budget | measured | rounds | must | aim | met |\n|---|---|---|---|---|---|\n",
        budgets.len() - count("missed"),
        budgets.len(),
        count("aim"),
        count("missed"),
    );
    for budget in budgets {
        let rounds = budget.spread.map_or(String::new(), |(min, max)| range(min, max));
        let sign = if budget.more_is_better { "\u{2265}" } else { "\u{2264}" };
        let goal = |goal: f64| {
            if goal.is_finite() { format!("{sign} {goal}") } else { "\u{2013}".to_owned() }
        };
        let met = if budget.met == "missed" { "**missed**" } else { budget.met };
        let (what, measured) = (&budget.what, short(budget.measured));
        let (must, aim) = (goal(budget.must), goal(budget.aim));
        let _ = writeln!(page, "| {what} | {measured} | {rounds} | {must} | {aim} | {met} |");
    }
}

fn workload(page: &mut String, measured: &Measured) {
    let threads = measured.threads;
    let (caller, many) = (measured.caller, if measured.caller == "thread" { "s" } else { "es" });
    let _ = write!(page, "\n### {threads} {caller}{}\n\n", if threads == 1 { "" } else { many });
    if let Some(ratio) = &measured.ratio {
        let (median, rounds) = (short(ratio.median), range(ratio.min, ratio.max));
        let _ = writeln!(page, "{median} times as fast as {} ({rounds}).\n", ratio.against);
    }
    page.push_str(
        "| | ns | rounds | times ours | created | p50 | p99 | p99.9 | p99.99 |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for line in measured.ours.iter().chain(&measured.ours_otherwise) {
        row(page, line, "**");
    }
    for line in &measured.peers {
        row(page, line, "");
    }
}

fn row(page: &mut String, line: &Line, strong: &str) {
    let (name, ns, rounds) = (&line.name, short(line.ns), range(line.ns_min, line.ns_max));
    let evicts = if line.bounded { "" } else { "\u{b9}" };
    let latency = line.latency.map_or(String::from(" | | |"), |latency| {
        format!("{} | {} | {} | {}", latency.p50, latency.p99, latency.p999, latency.p9999)
    });
    let (created, times) = (line.created, line.times.map_or(String::new(), short));
    let _ = writeln!(
        page,
        "| {strong}{name}{strong}{evicts} | {ns} | {rounds} | {times} | {created:.4} | {latency} |"
    );
}

fn grid(page: &mut String, study: &Study) {
    let name = study.name;
    let _ = write!(page, "\n## {name}\n\n{}; {}.\n\n", study.about, study.unit);
    if study.columns.len() > 1 {
        let _ = write!(page, "![{name}]({name}.svg)\n\n");
    }
    let columns: Vec<String> = study.columns.iter().map(|column| whole(*column)).collect();
    let _ = writeln!(page, "| {} | {} |", study.axis, columns.join(" | "));
    let _ = writeln!(page, "|---|{}", "---|".repeat(columns.len()));
    for row in &study.rows {
        let cell = |figure: &Option<f64>| figure.map_or(String::new(), short);
        let cells: Vec<String> = row.figures.iter().map(cell).collect();
        let _ = writeln!(page, "| {} | {} |", row.name, cells.join(" | "));
    }
}

/// What each contender does otherwise.
fn notes(page: &mut String) {
    page.push_str(
        "\n## Contenders\n\nEvery begin inserts a record in flight with a deadline if there is \
         none, and otherwise copies 64 bytes out; every complete looks the record up, checks that \
         it is in flight, and stores 64 bytes. Peers get 128 bits of a fingerprint and an identity \
         hasher, or strings and their own hasher, and all the room that they can ask for \
         beforehand. \u{b9} does not evict by itself: the harness removes the oldest record for \
         it, where the workload wants a full table.\n\n| | |\n|---|---|\n",
    );
    let mut notes = Notes(Vec::new());
    peers::everyone(&mut notes);
    for (name, note) in notes.0 {
        let _ = writeln!(page, "| {name} | {note} |");
    }
}

/// What the tables of a host are.
fn host_notes(page: &mut String) {
    page.push_str(
        "\n## Contenders on a host\n\nEvery begin claims a key with a lease, a fencing token and a \
         digest that is compared, or answers from its record; every complete checks the token, \
         and stores 64 bytes for a window. Files lie in memory. A caller is a process pinned to a \
         processor, where nothing else is said. Where a server answers, all time counts, also what \
         other programs took of the processors.\n\n| | |\n|---|---|\n",
    );
    let mut notes = Notes(Vec::new());
    host::everyone(&mut notes);
    for (name, note) in notes.0 {
        let _ = writeln!(page, "| {name} | {note} |");
    }
}

impl host::Visitor for Notes {
    fn visit<S: HostStore>(&mut self) {
        self.0.push((S::NAME, S::NOTE));
    }
}

struct Notes(Vec<(&'static str, &'static str)>);

impl Visitor for Notes {
    fn visit<S: Store + 'static>(&mut self) {
        if !self.0.iter().any(|(name, _)| *name == S::NAME) {
            self.0.push((S::NAME, S::NOTE));
        }
    }
}

fn range(min: f64, max: f64) -> String {
    format!("{} \u{2013} {}", short(min), short(max))
}

/// Three digits are what such figures can bear.
fn short(figure: f64) -> String {
    match figure.abs() {
        0.0 => "0".to_owned(),
        f if f < 0.01 => format!("{figure:.4}"),
        f if f < 10.0 => format!("{figure:.2}"),
        f if f < 100.0 => format!("{figure:.1}"),
        _ => format!("{figure:.0}"),
    }
}

fn whole(figure: f64) -> String {
    if figure < 10.0 { figure.to_string() } else { format!("{figure:.0}") }
}
