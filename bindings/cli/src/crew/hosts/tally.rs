//! What the ledger counts, whoever made its effects.

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;

use super::super::captain::Finals;
use super::super::ledger::{Kind, Record};
use super::super::verdict::Verdict;
use crate::storm::Plan;

/// One run. The field names are those of the JSON object.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Tally {
    pub(super) deliveries: u64,
    pub(super) distinct: u64,
    pub(super) host_kills: u64,
    pub(super) store_restarts: u64,
    pub(super) answered: u64,
    pub(super) attempts: u64,
    pub(super) failed: u64,
    pub(super) killed_before_effect: u64,
    pub(super) interrupted_attempts: u64,
    pub(super) adopted_effects: u64,
    pub(super) fenced: u64,
    pub(super) effects: u64,
    pub(super) duplicate_effects: u64,
    pub(super) missing_effects: u64,
    /// Requests whose outcome a host has that ran none of them. `None`: none is stored.
    pub(super) outcomes_elsewhere: Option<u64>,
    pub(super) mismatched: Option<u64>,
    pub(super) elapsed_ms: f64,
    pub(super) violations: Vec<String>,
}

impl Tally {
    pub(super) fn of(
        plan: &Plan,
        records: &[Record],
        killed: &HashSet<u32>,
        store_restarts: u64,
        elapsed: Duration,
    ) -> Self {
        let of = |kind| records.iter().filter(move |record| record.kind == kind);
        let count = |kind| of(kind).count() as u64;
        // Two requests may have the same token.
        let of_attempt = |record: &Record| (record.request, record.token);
        let attempts = |kind| of(kind).map(of_attempt).collect::<HashSet<_>>();
        let (made, failed) = (attempts(Kind::Effect), attempts(Kind::Failed));
        let mut ended = attempts(Kind::Completed);
        ended.extend(attempts(Kind::Fenced));
        let is_cut = |record: &&Record| killed.contains(&record.instance);
        let before = |record: &&Record| {
            ![&made, &failed, &ended].iter().any(|ends| ends.contains(&of_attempt(record)))
        };
        let between = |record: &&Record| !ended.contains(&of_attempt(record));
        let with_effect: HashSet<u32> = of(Kind::Effect).map(|effect| effect.request).collect();
        let effects = count(Kind::Effect);
        Self {
            deliveries: plan.deliveries() as u64,
            distinct: plan.distinct() as u64,
            host_kills: killed.len() as u64,
            store_restarts,
            answered: count(Kind::Answered),
            attempts: count(Kind::Started),
            failed: count(Kind::Failed),
            killed_before_effect: of(Kind::Started).filter(is_cut).filter(before).count() as u64,
            interrupted_attempts: of(Kind::Effect).filter(is_cut).filter(between).count() as u64,
            adopted_effects: count(Kind::Adopted),
            fenced: count(Kind::Fenced),
            effects,
            duplicate_effects: effects - with_effect.len() as u64,
            missing_effects: (plan.distinct() - with_effect.len()) as u64,
            outcomes_elsewhere: None,
            mismatched: None,
            elapsed_ms: (elapsed.as_secs_f64() * 1e6).round() / 1e3,
            violations: Vec::new(),
        }
    }

    /// Takes in what the verdict says of a run through the engine.
    pub(super) fn judge(&mut self, finals: &Finals, verdict: Verdict) {
        self.violations = verdict.violations;
        let wrong = [
            (self.duplicate_effects, "side effects beyond the first of a request"),
            (self.missing_effects, "requests without a side effect"),
        ];
        for (count, what) in wrong.into_iter().filter(|(count, _)| *count > 0) {
            self.violations.push(format!("{count} {what}"));
        }
        self.outcomes_elsewhere = Some(finals.tokens.iter().flatten().count() as u64);
        self.mismatched = Some(finals.mismatched);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crew::hosts::tests::{plan, record};

    /// Goal: what a kill cut off is counted by where it was, and what has come on is not, also
    /// where another request has the same token. Method: attempts of a killed process, cut off at
    /// each place, beside one of another request that has ended.
    #[test]
    fn attempts_that_were_cut_off_are_counted() {
        let attempt = |request, token, kinds: &[Kind]| {
            kinds.iter().map(|kind| record(*kind, request, 1, token)).collect::<Vec<_>>()
        };
        let records = [
            attempt(0, 5, &[Kind::Started]),
            attempt(1, 5, &[Kind::Started, Kind::Effect, Kind::Completed]),
            attempt(2, 5, &[Kind::Started, Kind::Effect]),
            attempt(3, 5, &[Kind::Started, Kind::Failed]),
            attempt(3, 6, &[Kind::Started, Kind::Effect, Kind::Effect, Kind::Fenced]),
        ]
        .concat();
        let tally = |killed| {
            let killed = HashSet::from([killed]);
            Tally::of(&plan(5), &records, &killed, 0, Duration::ZERO)
        };
        let cut = tally(1);
        assert_eq!((cut.killed_before_effect, cut.interrupted_attempts), (1, 1));
        let none = tally(2);
        assert_eq!((none.killed_before_effect, none.interrupted_attempts), (0, 0));
        assert_eq!((cut.effects, cut.duplicate_effects, cut.missing_effects), (4, 1, 2));
        assert_eq!((cut.attempts, cut.failed, cut.fenced), (5, 1, 1));
    }
}
