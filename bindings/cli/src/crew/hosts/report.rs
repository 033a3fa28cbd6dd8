//! Both runs side by side: one object as JSON, or a table.

use std::fmt;

use serde::Serialize;

use super::super::orders::{HOST_LEASE, Orders};
use super::blows::DOWN;
use super::tally::Tally;
use crate::storm::report::count;

/// A storm of hosts. The field names are those of the JSON object.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// `hosts`, beside those of other storms.
    mode: &'static str,
    seed: u64,
    hosts: usize,
    /// Threads of each host that deliver.
    threads: usize,
    copies: usize,
    lease_ms: u64,
    by_hand: Tally,
    engine: Tally,
}

impl Report {
    pub(super) fn new(orders: &Orders, by_hand: Tally, engine: Tally) -> Self {
        Self {
            mode: "hosts",
            seed: orders.seed,
            hosts: orders.processes,
            threads: orders.threads,
            copies: orders.copies,
            lease_ms: HOST_LEASE.as_millis() as u64,
            by_hand,
            engine,
        }
    }

    /// What was broken by the engine.
    pub(crate) fn violations(&self) -> &[String] {
        &self.engine.violations
    }

    fn verdict(&self) -> String {
        let Tally { interrupted_attempts, adopted_effects, fenced, .. } = &self.engine;
        let (by_hand, engine) = (&self.by_hand, &self.engine);
        if !engine.violations.is_empty() {
            let broken = count(engine.violations.len() as u64);
            return format!(
                "The engine broke its promise: {broken} violations, listed on standard error.\n"
            );
        }
        let mut text = format!(
            "SET NX PX by hand: {} side effects too many. A lock keeps two from working at the \
             same time;\nit does not know what was done.\n\
             oncegate: 0 side effects too many; a host that ran none of it has {} of {} \
             outcomes.\n",
            count(by_hand.duplicate_effects),
            count(engine.outcomes_elsewhere.unwrap_or(0)),
            count(engine.distinct),
        );
        if *interrupted_attempts > 0 {
            text.push_str(&format!(
                "Killed between effect and completion: {} of its attempts. {} of them were \
                 followed by one that\nasked the ledger, found their effect, and completed with \
                 it; who does not ask makes it twice.\n",
                count(*interrupted_attempts),
                count(*adopted_effects),
            ));
            let stored = interrupted_attempts.saturating_sub(*adopted_effects);
            if stored > 0 {
                let stored = count(stored);
                text.push_str(&format!(
                    "{stored} had just told the store, so that all was well.\n"
                ));
            }
        }
        if *fenced > 0 {
            text.push_str(&format!("{} stale attempts were refused.\n", count(*fenced)));
        }
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hosts, threads, copies, seed, lease_ms, .. } = self;
        writeln!(
            f,
            "Storm: {hosts} hosts of {threads} threads, copies {copies}, seed {seed}, a table \
             each, one Redis with a log.\nAt a third of the requests a host is killed, and starts \
             again with an empty table; at two thirds\nRedis \
             is killed, and starts again {} ms later. \
             Leases and locks last {} s: for so long nobody takes\nover what was killed, and \
             nothing new runs once Redis is back.\n",
            DOWN.as_millis(),
            *lease_ms as f64 / 1e3,
        )?;
        writeln!(f, "{:LABEL$}{:>COLUMN$}{:>COLUMN$}", "", "SET NX PX by hand", "oncegate")?;
        for (label, value) in ROWS {
            let [by_hand, engine] = [&self.by_hand, &self.engine].map(value);
            writeln!(f, "{label:<LABEL$}{by_hand:>COLUMN$}{engine:>COLUMN$}")?;
        }
        write!(f, "\n{}", self.verdict())
    }
}

fn known(number: Option<u64>) -> String {
    number.map_or_else(|| "-".to_owned(), count)
}

type Value = fn(&Tally) -> String;

const LABEL: usize = 46;
const COLUMN: usize = 22;
const ROWS: [(&str, Value); 14] = [
    ("deliveries", |t| count(t.deliveries)),
    ("distinct requests", |t| count(t.distinct)),
    ("hosts killed / Redis killed", |t| {
        format!("{} / {}", count(t.host_kills), count(t.store_restarts))
    }),
    ("attempts", |t| count(t.attempts)),
    ("  failed on purpose", |t| count(t.failed)),
    ("  killed before their effect", |t| count(t.killed_before_effect)),
    ("  killed between effect and completion", |t| count(t.interrupted_attempts)),
    ("  found that effect, and completed with it", |t| {
        known(t.outcomes_elsewhere.map(|_| t.adopted_effects))
    }),
    ("side effects (ledger)", |t| count(t.effects)),
    ("  duplicates", |t| count(t.duplicate_effects)),
    ("requests without one", |t| count(t.missing_effects)),
    ("outcomes that a third host has", |t| known(t.outcomes_elsewhere)),
    ("refused for another payload", |t| known(t.mismatched)),
    ("duration", |t| format!("{:.2} s", t.elapsed_ms / 1e3)),
];
