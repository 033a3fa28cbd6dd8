//! The numbers of a storm of processes: one object as JSON, or lines for people.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::captain::Flight;
use super::orders::Orders;
use super::verdict::{INVARIANTS, Verdict};
use crate::storm::Plan;
use crate::storm::report::count;

/// What a storm of processes counted. The field names are those of the JSON object.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// `processes`, beside the `engine` and `baseline` of storms of threads.
    mode: &'static str,
    seed: u64,
    processes: usize,
    /// Threads of each process that deliver.
    threads: usize,
    copies: usize,
    deliveries: u64,
    distinct: u64,
    /// Processes that were killed, and as many that were started in their place.
    kills: u64,
    /// Attempts that were admitted, and have a record.
    attempts: u64,
    /// Attempts that failed on purpose.
    failed: u64,
    /// Completions that were refused for a stale token.
    fenced: u64,
    answered: u64,
    mismatched: u64,
    effects: u64,
    interrupted_attempts: u64,
    duplicate_effects: u64,
    killed_before_effect: u64,
    recovered_leases: u64,
    recovery_median_ms: f64,
    recovery_longest_ms: f64,
    lost_outcomes: u64,
    elapsed_ms: f64,
    invariants: [&'static str; INVARIANTS.len()],
    pub(crate) violations: Vec<String>,
}

impl Report {
    pub(crate) fn new(
        orders: &Orders,
        plan: &Plan,
        flight: &Flight,
        verdict: Verdict,
        elapsed: Duration,
    ) -> Self {
        let times = &verdict.recovery_us;
        let ms = |us: Option<&u64>| us.map_or(0.0, |us| *us as f64 / 1e3);
        Self {
            mode: "processes",
            seed: orders.seed,
            processes: orders.processes,
            threads: orders.threads,
            copies: orders.copies,
            deliveries: plan.deliveries() as u64,
            distinct: plan.distinct() as u64,
            kills: flight.killed.len() as u64,
            attempts: verdict.attempts,
            failed: verdict.failed,
            fenced: verdict.fenced,
            answered: verdict.answered,
            mismatched: verdict.mismatched,
            effects: verdict.effects,
            interrupted_attempts: verdict.interrupted,
            duplicate_effects: verdict.duplicates,
            killed_before_effect: verdict.killed_before_effect,
            recovered_leases: verdict.recovered,
            recovery_median_ms: ms(times.get(times.len() / 2)),
            recovery_longest_ms: ms(times.last()),
            lost_outcomes: verdict.lost_outcomes,
            elapsed_ms: (elapsed.as_secs_f64() * 1e6).round() / 1e3,
            invariants: INVARIANTS,
            violations: verdict.violations,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processes, threads, copies, seed, .. } = self;
        writeln!(
            f,
            "Storm: {processes} processes of {threads} threads, copies {copies}, seed {seed}\n"
        )?;
        let mut row = |label: &str, told: String| writeln!(f, "{label:<LABEL$}{told:>COLUMN$}");
        row("deliveries", count(self.deliveries))?;
        row("distinct requests", count(self.distinct))?;
        row("processes killed, and started again", count(self.kills))?;
        row("attempts", count(self.attempts))?;
        row("  failed on purpose", count(self.failed))?;
        row("  killed before their effect", count(self.killed_before_effect))?;
        row("  killed between effect and completion", count(self.interrupted_attempts))?;
        row("  fenced completions", count(self.fenced))?;
        row("leases of killed processes taken over", count(self.recovered_leases))?;
        row("  after the kill, median", format!("{:.1} ms", self.recovery_median_ms))?;
        row("  after the kill, longest", format!("{:.1} ms", self.recovery_longest_ms))?;
        row("side effects (ledger)", count(self.effects))?;
        row("  of interrupted attempts", count(self.interrupted_attempts))?;
        row("  duplicates", count(self.duplicate_effects))?;
        row("lost outcomes", count(self.lost_outcomes))?;
        row("refused for another payload", count(self.mismatched))?;
        row("duration", format!("{:.2} s", self.elapsed_ms / 1e3))?;
        if !self.violations.is_empty() {
            let broken = count(self.violations.len() as u64);
            return writeln!(
                f,
                "\nThe engine broke its promise: {broken} violations, listed on standard error."
            );
        }
        writeln!(f, "\nChecked, and held:")?;
        self.invariants.iter().try_for_each(|invariant| writeln!(f, "  {invariant}"))?;
        if self.interrupted_attempts > 0 {
            let interrupted = count(self.interrupted_attempts);
            writeln!(
                f,
                "\n{interrupted} attempts were killed between their effect and its completion, and \
                 ran again:\nonly a store that checks the fencing token, or takes the effect and \
                 the completion\ntogether, can exclude that."
            )?;
        }
        Ok(())
    }
}

const LABEL: usize = 40;
const COLUMN: usize = 26;
