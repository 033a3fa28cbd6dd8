//! What a storm counted: one object as JSON, or a table, one column a storm.

use std::fmt::Write;

use serde::Serialize;

use super::check::Violation;
use super::ledger::Entry;
use super::meter::Meter;
use super::overlap::Overlap;
use super::plan::Plan;

/// The numbers of one storm. The field names are those of the JSON object.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// `engine` or `baseline`.
    pub(crate) mode: Mode,
    /// The seed of the plan.
    pub(crate) seed: u64,
    /// Threads that delivered.
    pub(crate) clients: usize,
    /// Deliveries of each line.
    pub(crate) copies: usize,
    /// Lines of the input that are requests.
    pub(crate) lines: usize,
    /// Lines of the input that are broken, and were skipped.
    pub(crate) skipped_lines: usize,
    /// Deliveries: each needs one final answer.
    pub(crate) deliveries: u64,
    /// Distinct requests: scope, operation and key.
    pub(crate) distinct: u64,
    /// Executions planned to fail or panic, before each request's first that does not.
    pub(crate) planned_failures: u64,
    /// First executions that do not fail, but are planned to outlive their lease.
    pub(crate) planned_pauses: u64,
    /// Calls that reached the service: deliveries, and again after a failure or a refusal.
    pub(crate) calls: u64,
    /// Executions of the handler, counted by the ledger as they started.
    pub(crate) executed: u64,
    /// Side effects that the ledger accepted.
    pub(crate) accepted_effects: u64,
    /// Accepted side effects beyond the first of each request.
    pub(crate) duplicate_effects: u64,
    /// Accepted side effects made from a payload that is not the request's.
    pub(crate) wrong_payload_effects: u64,
    /// Attempts that found their predecessor's late effect, and completed with it.
    pub(crate) adopted_effects: u64,
    /// Side effects refused though the token was right: a defect, wherever it is not 0.
    pub(crate) refused_as_duplicate: u64,
    /// Duplicates answered with the stored outcome.
    pub(crate) replayed: u64,
    /// Calls answered that another attempt runs.
    pub(crate) in_progress: u64,
    /// Calls answered that the next attempt is not due.
    pub(crate) scheduled: u64,
    /// Deliveries refused because the key came with another payload.
    pub(crate) mismatched: u64,
    /// Writes that the ledger refused for a stale fencing token.
    pub(crate) fenced: u64,
    /// Completions that the engine refused for a stale fencing token.
    pub(crate) fenced_completes: u64,
    /// Deliveries that the engine refused with an error.
    pub(crate) refused: u64,
    /// Executions that failed.
    pub(crate) failed: u64,
    /// Executions that panicked.
    pub(crate) panicked: u64,
    /// Executions that outlived their lease.
    pub(crate) paused: u64,
    /// Deliveries sent again by a client that had waited long enough.
    pub(crate) resent: u64,
    /// The most executions of one request at once; those whose lease had lapsed count.
    pub(crate) most_at_once: usize,
    /// The most executions of one request that held a lease at once; 0 in the baseline.
    pub(crate) most_leased_at_once: u32,
    /// Median time of `begin`, in nanoseconds; 0 in the baseline, which has no `begin`.
    pub(crate) p50_ns: u64,
    /// 99th percentile of the same.
    pub(crate) p99_ns: u64,
    /// 99.9th percentile of the same.
    pub(crate) p999_ns: u64,
    /// Duration of the storm, in milliseconds.
    pub(crate) elapsed_ms: f64,
    /// Deliveries answered for good, per second.
    pub(crate) per_second: f64,
    /// Requests that did not get what the engine promises, in words; not checked in the baseline.
    pub(crate) violations: Vec<String>,
}

/// Which service a storm ran against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// No coordination.
    Baseline,
    /// Through the engine.
    Engine,
}

/// A storm that is over.
pub(crate) struct Finished<'a> {
    /// Which service it ran against.
    pub(crate) mode: Mode,
    /// What was planned.
    pub(crate) plan: &'a Plan,
    /// What the ledger holds.
    pub(crate) entries: &'a [Entry],
    /// What the clients counted.
    pub(crate) meter: &'a Meter,
    /// How attempts overlapped.
    pub(crate) overlap: &'a Overlap,
    /// What was broken.
    pub(crate) violations: &'a [Violation],
    /// Payload digest of each request's first line.
    pub(crate) payloads: &'a [u64],
    /// Lines of the input: requests, and skipped.
    pub(crate) lines: (usize, usize),
    /// How long it took.
    pub(crate) elapsed: std::time::Duration,
}

impl Report {
    /// Adds up a storm.
    pub(crate) fn new(storm: &Finished<'_>) -> Self {
        let Finished { plan, entries, meter, .. } = *storm;
        let counts = meter.counts;
        let sum = |of: fn(&Entry) -> u64| entries.iter().map(of).sum::<u64>();
        let wrong = entries.iter().zip(storm.payloads).map(|(entry, &payload)| {
            entry.effects.iter().filter(|effect| effect.payload != payload).count() as u64
        });
        let trouble = plan.planned_trouble();
        let seconds = storm.elapsed.as_secs_f64();
        let percentile =
            |p| if meter.begin.is_empty() { 0 } else { meter.begin.value_at_quantile(p) };
        Self {
            mode: storm.mode,
            seed: plan.shape.seed,
            clients: plan.shape.clients,
            copies: plan.shape.copies,
            lines: storm.lines.0,
            skipped_lines: storm.lines.1,
            deliveries: plan.deliveries() as u64,
            distinct: plan.distinct() as u64,
            planned_failures: trouble.failures,
            planned_pauses: trouble.pauses,
            calls: counts.calls,
            executed: sum(|entry| entry.opened),
            accepted_effects: sum(|entry| entry.effects.len() as u64),
            duplicate_effects: sum(|entry| entry.effects.len().saturating_sub(1) as u64),
            wrong_payload_effects: wrong.sum(),
            adopted_effects: counts.adopted,
            refused_as_duplicate: sum(|entry| entry.refused_as_duplicate),
            replayed: counts.replayed,
            in_progress: counts.in_progress,
            scheduled: counts.scheduled,
            mismatched: counts.mismatched,
            fenced: sum(|entry| entry.fenced),
            fenced_completes: counts.fenced_completes,
            refused: counts.refused,
            failed: counts.failed,
            panicked: counts.panicked,
            paused: counts.paused,
            resent: counts.resent,
            most_at_once: storm.overlap.most(),
            most_leased_at_once: match storm.mode {
                Mode::Baseline => 0,
                Mode::Engine => storm.overlap.most_leased,
            },
            p50_ns: percentile(0.5),
            p99_ns: percentile(0.99),
            p999_ns: percentile(0.999),
            elapsed_ms: (seconds * 1e6).round() / 1e3,
            per_second: (plan.deliveries() as f64 / seconds.max(1e-9) * 10.0).round() / 10.0,
            violations: storm.violations.iter().map(Violation::to_string).collect(),
        }
    }
}

/// The reports side by side, at most 100 columns wide for two.
pub(crate) fn table(named: &[(&str, &Report)]) -> String {
    let mut text = String::new();
    let _ = write!(text, "{:LABEL$}", "");
    for (name, _) in named {
        let _ = write!(text, "  {name:>COLUMN$}");
    }
    for (label, value) in ROWS {
        let _ = write!(text, "\n{label:<LABEL$}");
        for (_, report) in named {
            let _ = write!(text, "  {:>COLUMN$}", value(report));
        }
    }
    text.push('\n');
    text
}

/// A row's value for one report.
type Value = fn(&Report) -> String;

const LABEL: usize = 40;
const COLUMN: usize = 26;
const ROWS: [(&str, Value); 22] = [
    ("deliveries", |r| count(r.deliveries)),
    ("distinct requests", |r| count(r.distinct)),
    ("handler runs", |r| count(r.executed)),
    ("  failed / panicked / outlived lease", |r| {
        format!("{} / {} / {}", count(r.failed), count(r.panicked), count(r.paused))
    }),
    ("side effects executed (ledger)", |r| count(r.accepted_effects)),
    ("  duplicates", |r| count(r.duplicate_effects)),
    ("  from another payload", |r| count(r.wrong_payload_effects)),
    ("replayed to duplicates", |r| coordinated(r, r.replayed)),
    ("answered: in progress", |r| coordinated(r, r.in_progress)),
    ("answered: scheduled", |r| coordinated(r, r.scheduled)),
    ("answered: mismatched", |r| coordinated(r, r.mismatched)),
    ("fenced writes, refused by the ledger", |r| coordinated(r, r.fenced)),
    ("fenced completions, refused by engine", |r| coordinated(r, r.fenced_completes)),
    ("late effects adopted by a successor", |r| coordinated(r, r.adopted_effects)),
    ("sent again by an impatient client", |r| count(r.resent)),
    ("most attempts of one request at once", |r| count(r.most_at_once as u64)),
    ("  that held a lease", |r| coordinated(r, r.most_leased_at_once.into())),
    ("begin, median", |r| latency(r, r.p50_ns)),
    ("begin, 99th percentile", |r| latency(r, r.p99_ns)),
    ("begin, 99.9th percentile", |r| latency(r, r.p999_ns)),
    ("deliveries per second", |r| count(r.per_second as u64)),
    ("duration", |r| format!("{:.2} s", r.elapsed_ms / 1e3)),
];

/// A count, or a dash where the service has no such answer.
fn coordinated(report: &Report, n: u64) -> String {
    match report.mode {
        Mode::Engine => count(n),
        Mode::Baseline => "-".to_owned(),
    }
}

fn latency(report: &Report, ns: u64) -> String {
    match report.mode {
        Mode::Engine => nanos(ns as f64),
        Mode::Baseline => "-".to_owned(),
    }
}

/// A duration with a unit that keeps it short.
pub(crate) fn nanos(ns: f64) -> String {
    match ns {
        _ if ns < 1e3 => format!("{ns:.0} ns"),
        _ if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        _ => format!("{:.1} ms", ns / 1e6),
    }
}

/// A whole number with its thousands apart.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: numbers are easy to read. Method: each unit and each group of thousands.
    #[test]
    fn numbers_are_short() {
        assert_eq!(["0", "999", "1,000", "1,234,567"], [0, 999, 1_000, 1_234_567].map(count));
        assert_eq!(["950 ns", "1.5 µs", "2.5 ms"], [950.0, 1_500.0, 2_500_000.0].map(nanos));
    }
}
