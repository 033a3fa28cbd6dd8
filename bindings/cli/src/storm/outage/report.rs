//! The three runs side by side: one object as JSON, or a table.

use std::fmt::Write;

use serde::Serialize;

use super::super::plan::Plan;
use super::super::report::count;
use super::run::Run;
use super::shape::Shape;
use crate::input::Input;

/// A storm with an outage. The field names are those of the JSON object.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// `outage`, beside the `engine`, `baseline` and `processes` of other storms.
    mode: &'static str,
    pub(super) seed: u64,
    pub(super) clients: usize,
    pub(super) copies: usize,
    lines: usize,
    skipped_lines: usize,
    pub(super) deliveries: u64,
    pub(super) distinct: u64,
    /// When the downstream goes down, and when it is back, in milliseconds since the start.
    pub(super) outage_ms: [u64; 2],
    /// Until when deliveries come.
    window_ms: u64,
    /// When the storm is broken off.
    pub(super) horizon_ms: u64,
    /// Calls that the downstream works on at once, and that it has taken at the most.
    pub(super) capacity: usize,
    room: usize,
    /// The middle of a call's working time, and how long its caller waits.
    work_ms: f64,
    patience_ms: f64,
    /// Calls that the downstream can answer in a second.
    pub(super) capacity_per_second: f64,
    /// The length of a slice.
    pub(super) slice_ms: u64,
    pub(super) at_once: Run,
    pub(super) backoff: Run,
    pub(super) engine: Run,
    /// What the engine promises, and did not keep.
    pub(crate) violations: Vec<String>,
}

impl Report {
    pub(super) fn new(input: &Input, plan: &Plan, shape: &Shape, runs: [Run; 3]) -> Self {
        let [at_once, backoff, engine] = runs;
        let mut violations = engine.wrong.clone();
        if engine.duplicate_effects > 0 {
            let n = engine.duplicate_effects;
            violations.push(format!("{n} side effects beyond the first of a request"));
        }
        if engine.done > engine.effects {
            violations
                .push(format!("{} done requests without an effect", engine.done - engine.effects));
        }
        Self {
            mode: "outage",
            seed: shape.seed,
            clients: plan.shape.clients,
            copies: plan.shape.copies,
            lines: input.lines.len(),
            skipped_lines: input.skipped.len(),
            deliveries: plan.order.len() as u64,
            distinct: plan.distinct() as u64,
            outage_ms: shape.outage.map(|at| at.as_millis() as u64),
            window_ms: shape.window.as_millis() as u64,
            horizon_ms: shape.horizon.as_millis() as u64,
            capacity: shape.capacity,
            room: shape.room,
            work_ms: shape.work.as_secs_f64() * 1e3,
            patience_ms: shape.patience.as_secs_f64() * 1e3,
            capacity_per_second: shape.per_second(),
            slice_ms: shape.slice_ms() as u64,
            at_once,
            backoff,
            engine,
            violations,
        }
    }

    /// The runs with their names.
    pub(super) fn runs(&self) -> [(&'static str, &Run); 3] {
        [
            ("retry at once", &self.at_once),
            ("backoff alone", &self.backoff),
            ("oncegate", &self.engine),
        ]
    }
}

/// The numbers for people, at most 100 columns wide.
pub(super) fn table(report: &Report) -> String {
    let [down, up] = report.outage_ms.map(|ms| ms as f64 / 1e3);
    let Report { clients, copies, seed, capacity, .. } = *report;
    let mut text = format!(
        "Outage: {} deliveries of {} requests (copies {copies}), clients {clients}, seed {seed}\n\
         The downstream works on {capacity} calls at a time ({:.0} ms each, {} a second), and is \
         down from\n{down:.2} s to {up:.2} s. Callers wait for {:.0} ms. Time is real, threads are \
         real; an outage of minutes\nis compressed into seconds.\n\n",
        count(report.deliveries),
        count(report.distinct),
        report.work_ms,
        count(report.capacity_per_second as u64),
        report.patience_ms,
    );
    let _ = write!(text, "{:LABEL$}", "");
    for (name, _) in report.runs() {
        let _ = write!(text, "  {name:>COLUMN$}");
    }
    for (label, value) in ROWS {
        let _ = write!(text, "\n{label:<LABEL$}");
        for (_, run) in report.runs() {
            let _ = write!(text, "  {:>COLUMN$}", value(report, run));
        }
    }
    text.push('\n');
    text
}

/// What the numbers say, in sentences.
pub(super) fn verdict(report: &Report) -> String {
    if !report.violations.is_empty() {
        let broken = count(report.violations.len() as u64);
        return format!(
            "The engine broke its promise: {broken} violations, listed on standard error.\n"
        );
    }
    let ended = |run: &Run| match run.finished_ms {
        Some(ms) => format!("over after {:.1} s", ms / 1e3),
        None => format!("broken off after {:.1} s", report.horizon_ms as f64 / 1e3),
    };
    let told = |name: &str, run: &Run| {
        let (lost, twice) = (count(report.distinct - run.done), count(run.duplicate_effects));
        format!(
            "{name}: {lost} requests not done, {twice} side effects too many, {}.\n",
            ended(run)
        )
    };
    report.runs().map(|(name, run)| told(name, run)).concat()
}

/// A row's value for one run.
type Value = fn(&Report, &Run) -> String;

const LABEL: usize = 42;
const COLUMN: usize = 15;
const ROWS: [(&str, Value); 16] = [
    ("calls that reached the downstream", |_, r| count(r.calls)),
    ("  refused / timed out", |_, r| format!("{} / {}", count(r.refused), count(r.timed_out))),
    ("busiest moment, times what it can answer", |_, r| times(r.peak_load)),
    ("  once it was back", |_, r| times(r.peak_load_after)),
    ("most calls at once, times its capacity", |_, r| times(r.most_at_once)),
    ("  once it was back", |_, r| times(r.most_at_once_after)),
    ("side effects executed (ledger)", |_, r| count(r.effects)),
    ("  duplicates", |_, r| count(r.duplicate_effects)),
    ("  of each request, on average / at most", |_, r| {
        format!("{:.2} / {}", r.effects_per_request, count(r.most_effects))
    }),
    ("requests done", |all, r| format!("{} of {}", count(r.done), count(all.distinct))),
    ("deliveries given up / without an answer", |_, r| {
        format!("{} / {}", count(r.given_up), count(r.unanswered))
    }),
    ("dead letters: attempts / budget used up", |all, r| {
        let both = format!("{} / {}", count(r.out_of_attempts), count(r.out_of_budget));
        coordinated(all, r, both)
    }),
    ("  redriven / left", |all, r| {
        coordinated(all, r, format!("{} / {}", count(r.redriven), count(r.dead_letters_left)))
    }),
    ("stale tokens refused", |all, r| coordinated(all, r, count(r.fenced))),
    ("delays stretched, at the most", |all, r| coordinated(all, r, times(r.most_stretch))),
    ("all done or given up after", |_, r| match r.finished_ms {
        Some(ms) => format!("{:.2} s", ms / 1e3),
        None => "never".to_owned(),
    }),
];

fn times(figure: f64) -> String {
    format!("{figure:.1} ×")
}

/// A dash where there is nobody who could do that.
fn coordinated(report: &Report, run: &Run, told: String) -> String {
    if std::ptr::eq(run, &raw const report.engine) { told } else { "-".to_owned() }
}
