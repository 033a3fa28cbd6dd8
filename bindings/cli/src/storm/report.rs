//! What a storm counted: one object as JSON, or a table, one column a storm.

use std::fmt::Write;

use serde::Serialize;

use super::ledger::Entry;
use super::meter::Meter;
use super::overlap::Overlap;
use super::plan::Plan;
use crate::input::Input;

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
    /// Deliveries answered by the completion of their own attempt.
    pub(crate) completed: u64,
    /// Completions of attempts whose client had stopped waiting: its delivery is answered
    /// elsewhere.
    pub(crate) completed_late: u64,
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
    /// Attempts that the ledger refused for a stale fencing token before they ran.
    pub(crate) fenced_starts: u64,
    /// Completions that the engine refused for a stale fencing token.
    pub(crate) fenced_completes: u64,
    /// Deliveries that the engine refused with an error.
    pub(crate) refused: u64,
    /// Calls that the engine refused for now, with an error.
    pub(crate) deferred: u64,
    /// Calls with an answer that no call of a storm may get: a defect, wherever it is not 0.
    pub(crate) unexpected: u64,
    /// Deliveries that got no final answer: a defect, wherever it is not 0.
    pub(crate) unanswered: u64,
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
    /// Median size of a line's payload, in bytes.
    pub(crate) median_payload_bytes: usize,
    /// Size of the largest payload, in bytes.
    pub(crate) largest_payload_bytes: usize,
    /// Median time of `begin`, in nanoseconds, with the hashing of the request and its payload; 0
    /// in the baseline, which has no `begin`.
    pub(crate) p50_ns: u64,
    /// 99th percentile of the same.
    pub(crate) p99_ns: u64,
    /// 99.9th percentile of the same.
    pub(crate) p999_ns: u64,
    /// Duration of the storm, in milliseconds.
    pub(crate) elapsed_ms: f64,
    /// Deliveries answered for good, per second.
    pub(crate) per_second: f64,
    /// What went wrong, in words: requests that did not get what the engine promises (which the
    /// baseline does not), and sums of this report that do not hold.
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
    /// What was delivered.
    pub(crate) input: &'a Input,
    /// How long it took.
    pub(crate) elapsed: std::time::Duration,
}

impl Report {
    /// Adds up a storm. What went wrong in it is for the caller to find and note.
    pub(crate) fn new(storm: &Finished<'_>) -> Self {
        let Finished { plan, entries, meter, .. } = *storm;
        let counts = meter.counts;
        let sum = |of: fn(&Entry) -> u64| entries.iter().map(of).sum::<u64>();
        let lines = &storm.input.lines;
        let wrong = entries.iter().zip(&plan.originals).map(|(entry, &line)| {
            let payload = lines[line as usize].digest;
            entry.effects.iter().filter(|effect| effect.payload != payload).count() as u64
        });
        let mut sizes: Vec<_> = lines.iter().map(|line| line.payload.len()).collect();
        sizes.sort_unstable();
        let trouble = plan.planned_trouble();
        let seconds = storm.elapsed.as_secs_f64();
        let percentile =
            |p| if meter.begin.is_empty() { 0 } else { meter.begin.value_at_quantile(p) };
        Self {
            mode: storm.mode,
            seed: plan.shape.seed,
            clients: plan.shape.clients,
            copies: plan.shape.copies,
            lines: lines.len(),
            skipped_lines: storm.input.skipped.len(),
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
            completed: counts.completed,
            completed_late: counts.completed_late,
            replayed: counts.replayed,
            in_progress: counts.in_progress,
            scheduled: counts.scheduled,
            mismatched: counts.mismatched,
            fenced: sum(|entry| entry.fenced),
            fenced_starts: sum(|entry| entry.fenced_starts),
            fenced_completes: counts.fenced_completes,
            refused: counts.refused,
            deferred: counts.deferred,
            unexpected: counts.unexpected,
            unanswered: counts.unanswered,
            failed: counts.failed,
            panicked: counts.panicked,
            paused: counts.paused,
            resent: counts.resent,
            most_at_once: storm.overlap.most(),
            most_leased_at_once: match storm.mode {
                Mode::Baseline => 0,
                Mode::Engine => storm.overlap.most_leased,
            },
            median_payload_bytes: sizes.get(sizes.len() / 2).copied().unwrap_or(0),
            largest_payload_bytes: sizes.last().copied().unwrap_or(0),
            p50_ns: percentile(0.5),
            p99_ns: percentile(0.99),
            p999_ns: percentile(0.999),
            elapsed_ms: (seconds * 1e6).round() / 1e3,
            per_second: (plan.deliveries() as f64 / seconds.max(1e-9) * 10.0).round() / 10.0,
            violations: Vec::new(),
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

/// What the time of `begin` includes, so that nobody takes it for the engine's alone.
pub(crate) fn begin_note(report: &Report) -> String {
    let [median, largest] = [report.median_payload_bytes, report.largest_payload_bytes].map(size);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "\n`begin` as clients meet it: each call hashes a JSON payload (median {median}, largest \
         {largest})\non {} threads that share {processors} processors. `oncegate bench` measures \
         the engine without this load.\n",
        report.clients,
    )
}

/// A row's value for one report.
type Value = fn(&Report) -> String;

const LABEL: usize = 40;
const COLUMN: usize = 26;
const ROWS: [(&str, Value); 24] = [
    ("deliveries", |r| count(r.deliveries)),
    ("distinct requests", |r| count(r.distinct)),
    ("handler runs", |r| count(r.executed)),
    ("  failed / panicked / outlived lease", |r| {
        format!("{} / {} / {}", count(r.failed), count(r.panicked), count(r.paused))
    }),
    ("side effects executed (ledger)", |r| count(r.accepted_effects)),
    ("  duplicates", |r| count(r.duplicate_effects)),
    ("  from another payload", |r| count(r.wrong_payload_effects)),
    ("answered: completed", |r| count(r.completed)),
    ("answered: replayed", |r| coordinated(r, r.replayed)),
    ("answered: in progress", |r| coordinated(r, r.in_progress)),
    ("answered: scheduled", |r| coordinated(r, r.scheduled)),
    ("answered: mismatched", |r| coordinated(r, r.mismatched)),
    ("fenced writes, refused by the ledger", |r| coordinated(r, r.fenced)),
    ("fenced starts, refused by the ledger", |r| coordinated(r, r.fenced_starts)),
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

/// A number of bytes with a unit that keeps it short.
fn size(bytes: usize) -> String {
    match bytes {
        0..1_024 => format!("{bytes} bytes"),
        _ => format!("{:.1} KiB", bytes as f64 / 1_024.0),
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
        assert_eq!(["1023 bytes", "1.5 KiB"], [1_023, 1_536].map(size));
        assert_eq!(["950 ns", "1.5 µs", "2.5 ms"], [950.0, 1_500.0, 2_500_000.0].map(nanos));
    }
}
