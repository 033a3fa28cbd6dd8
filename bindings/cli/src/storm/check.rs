//! The promise, checked from outside the engine: one accepted effect for each request.

use std::fmt;

use super::ledger::Entry;
use super::meter::{DefectKind, Meter};
use super::overlap::Overlap;
use super::report::Report;
use super::site::Site;
use super::sums::{self, Unbalanced};
use ViolationKind as V;

/// A request that did not get what the engine promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The line of the file that first made the request.
    pub(crate) line: u64,
    /// What was broken.
    pub(crate) kind: ViolationKind,
}

/// How the promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ViolationKind {
    /// Not one accepted effect.
    Effects(usize),
    /// An effect was made from another payload than the first line's.
    WrongPayload,
    /// An attempt wrote beside an effect that it had been told of.
    WroteTwice,
    /// Two attempts had the same fencing token.
    TokenReused,
    /// Two attempts held a lease at the same time.
    LeasesOverlapped,
    /// Not as many deliveries were answered `Mismatched` as came with another payload.
    Mismatches {
        /// How many came.
        expected: u64,
        /// How many were answered so, over all requests.
        found: u64,
    },
    /// A sum of the report does not hold.
    Miscounted(Unbalanced),
    /// Seen by a client at one delivery.
    Seen(DefectKind),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use DefectKind as D;
        if let V::Mismatches { expected, found } = self.kind {
            return write!(f, "{found} deliveries answered as mismatched, expected {expected}");
        }
        if let V::Miscounted(Unbalanced { name, total, parts }) = self.kind {
            return write!(f, "miscounted: {name} is {total}, its parts come to {parts}");
        }
        write!(f, "line {}: ", self.line)?;
        match self.kind {
            V::Effects(n) => write!(f, "{n} accepted side effects, expected 1"),
            V::Mismatches { .. } | V::Miscounted(_) => Ok(()),
            V::WrongPayload => f.write_str("an effect was made from another line's payload"),
            V::WroteTwice => f.write_str("an attempt wrote beside an effect it was told of"),
            V::TokenReused => f.write_str("two attempts had the same fencing token"),
            V::LeasesOverlapped => f.write_str("two attempts held a lease at the same time"),
            V::Seen(D::RanAfterSuccess) => f.write_str("admitted again after it had succeeded"),
            V::Seen(D::MismatchRan) => f.write_str("admitted with another payload"),
            V::Seen(D::StaleCompletion) => f.write_str("a fenced holder's completion was taken"),
            V::Seen(D::ForeignOutcome) => f.write_str("a duplicate got another answer"),
            V::Seen(D::NoOutcome) => f.write_str("a duplicate got no outcome"),
            V::Seen(D::NoAnswer) => f.write_str("a delivery got no final answer"),
            V::Seen(D::Unresolved) => f.write_str("left with an unknown outcome"),
        }
    }
}

/// Checks a storm that ran through the engine. Requests that the engine refused are left out.
pub(crate) fn verify(
    site: &Site<'_>,
    entries: &[Entry],
    meter: &Meter,
    overlap: &Overlap,
) -> Vec<Violation> {
    let line = |request: u32| site.lines[site.plan.originals[request as usize] as usize].number;
    let is_refused = |request: &u32| site.refusal(*request).is_some();
    let mut found = Vec::new();
    for (request, entry) in (0..).zip(entries).filter(|(request, _)| !is_refused(request)) {
        let original = &site.lines[site.plan.originals[request as usize] as usize];
        let kinds = of_entry(entry, original.digest);
        found.extend(kinds.map(|kind| Violation { line: original.number, kind }));
    }
    for &request in &overlap.leased_twice {
        found.push(Violation { line: line(request), kind: V::LeasesOverlapped });
    }
    for defect in meter.defects.iter().filter(|defect| !is_refused(&defect.request)) {
        found.push(Violation { line: line(defect.request), kind: V::Seen(defect.kind) });
    }
    found.extend(mismatches(site, meter));
    found
}

/// The sums of the report that do not hold. Whoever breaks the promise may break them too.
pub(crate) fn miscounts(report: &Report) -> Vec<Violation> {
    let violation = |sum| Violation { line: 0, kind: V::Miscounted(sum) };
    sums::unbalanced(report).map(violation).collect()
}

/// Each delivery with another payload was answered as mismatched, and no other one was. A request
/// that the engine refused says nothing: whatever came with it was refused with it.
fn mismatches(site: &Site<'_>, meter: &Meter) -> Option<Violation> {
    let expected = site.plan.held.iter().map(|held| held.len() as u64).sum();
    let found = meter.counts.mismatched;
    let kind = V::Mismatches { expected, found };
    (found != expected && meter.counts.refused == 0).then_some(Violation { line: 0, kind })
}

fn of_entry(entry: &Entry, payload: u64) -> impl Iterator<Item = ViolationKind> {
    let effects = entry.effects.len();
    [
        (effects != 1).then_some(V::Effects(effects)),
        entry.effects.iter().any(|e| e.payload != payload).then_some(V::WrongPayload),
        (entry.refused_as_duplicate > 0).then_some(V::WroteTwice),
        (entry.reused_tokens > 0).then_some(V::TokenReused),
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::input;
    use crate::storm::ledger::{Commit, Opening};
    use crate::storm::plan::{Plan, Shape};

    const SHAPE: Shape = Shape {
        clients: 1,
        copies: 2,
        fail_rate: 0.0,
        pause_rate: 0.0,
        seed: 1,
        work: Duration::ZERO,
        lease: Duration::from_millis(100),
    };

    /// Two requests, on lines 1 and 3; line 2 comes with another payload for the first.
    const LINES: &str = "{\"key\":1,\"payload\":1}\n{\"key\":1,\"payload\":2}\n{\"key\":2}\n";

    /// Lets `act` spoil a storm in which all went well, and gives what `verify` says.
    fn after(act: impl FnOnce(&Site<'_>, &mut Meter, &mut Overlap)) -> Vec<String> {
        let input = input::read(LINES.as_bytes()).unwrap();
        let plan = Plan::new(&input.lines, SHAPE).unwrap();
        let site = Site::new(&plan, &input.lines);
        let (mut meter, mut overlap) = (Meter::new(), Overlap::default());
        for (request, line) in [(0, 0), (1, 2)] {
            assert_eq!(site.ledger.open(request, 5), Opening::Open);
            let commit = site.ledger.commit(request, 5, input.lines[line].digest);
            assert!(matches!(commit, Commit::Accepted(_)));
        }
        meter.counts.mismatched = 2;
        act(&site, &mut meter, &mut overlap);
        let found = verify(&site, &site.ledger.entries(), &meter, &overlap);
        found.iter().map(Violation::to_string).collect()
    }

    /// Goal: a storm in which all went well passes. Method: spoil nothing.
    #[test]
    fn a_kept_promise_has_no_violations() {
        assert_eq!(after(|_, _, _| {}), Vec::<String>::new());
    }

    /// Goal: each way to break the promise is found and names its line. Method: break each alone.
    #[test]
    fn each_broken_promise_is_found() {
        let second = after(|site, _, _| {
            site.ledger.commit_unfenced(1, site.lines[2].digest);
        });
        assert_eq!(second, ["line 3: 2 accepted side effects, expected 1"]);
        let foreign = after(|site, _, _| {
            site.ledger.commit_unfenced(0, site.lines[1].digest);
        });
        assert!(foreign.iter().any(|v| v.contains("another line's payload")), "{foreign:?}");
        let again = after(|site, _, _| {
            assert_eq!(site.ledger.commit(1, 5, 0), Commit::Duplicate);
        });
        assert_eq!(again, ["line 3: an attempt wrote beside an effect it was told of"]);
        let reused = after(|site, _, _| {
            assert!(matches!(site.ledger.open(0, 5), Opening::Committed(_)));
        });
        assert_eq!(reused, ["line 1: two attempts had the same fencing token"]);
        let leases = after(|_, _, overlap| overlap.leased_twice.push(1));
        assert_eq!(leases, ["line 3: two attempts held a lease at the same time"]);
        let seen = after(|_, meter, _| meter.defect(0, DefectKind::RanAfterSuccess));
        assert_eq!(seen, ["line 1: admitted again after it had succeeded"]);
        let mismatches = after(|_, meter, _| meter.counts.mismatched = 1);
        assert_eq!(mismatches, ["1 deliveries answered as mismatched, expected 2"]);
    }

    /// Goal: a miscount is told in words. Method: one sum that does not hold.
    #[test]
    fn a_miscount_is_told() {
        let sum = Unbalanced { name: "calls", total: 7, parts: 6 };
        let violation = Violation { line: 0, kind: V::Miscounted(sum) };
        assert_eq!(violation.to_string(), "miscounted: calls is 7, its parts come to 6");
    }

    /// Goal: a request that the engine refused is left out, and no other. Method: refuse one of
    /// two spoilt requests.
    #[test]
    fn refused_requests_are_left_out() {
        let found = after(|site, meter, _| {
            site.note_refusal(0, "no".to_owned());
            for request in [0, 1] {
                meter.defect(request, DefectKind::NoAnswer);
            }
        });
        assert_eq!(found, ["line 3: a delivery got no final answer"]);
    }
}
