//! How the numbers of a report add up: what the help says, and what every storm is held to.

use super::report::Report;

/// A total, and the numbers that it is the sum of.
pub(crate) struct Sum {
    total: Number,
    parts: &'static [Number],
}

/// A number of the report: its name, and where it stands.
type Number = (&'static str, fn(&Report) -> u64);

/// A sum that does not hold: the storm miscounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unbalanced {
    /// The name of the total.
    pub(crate) name: &'static str,
    /// The total.
    pub(crate) total: u64,
    /// What its parts come to.
    pub(crate) parts: u64,
}

macro_rules! sums {
    ($($total:ident = $($part:ident),+;)*) => {
        const SUMS: &[Sum] = &[$(
            Sum {
                total: (stringify!($total), |report| report.$total),
                parts: &[$((stringify!($part), |report| report.$part)),+],
            },
        )*];
    };
}

sums! {
    deliveries = completed, replayed, mismatched, refused, unexpected, unanswered;
    calls = executed, adopted_effects, fenced_starts, replayed, in_progress, scheduled, mismatched,
        refused, deferred, unexpected;
    executed = accepted_effects, failed, panicked, fenced, refused_as_duplicate;
}

/// The sums that do not hold for this report.
pub(crate) fn unbalanced(report: &Report) -> impl Iterator<Item = Unbalanced> {
    SUMS.iter().filter_map(|sum| {
        let (name, total) = (sum.total.0, (sum.total.1)(report));
        let parts = sum.parts.iter().map(|part| (part.1)(report)).sum();
        (total != parts).then_some(Unbalanced { name, total, parts })
    })
}

/// The sums in words, for the help; at most 100 columns wide.
pub(crate) fn describe() -> String {
    let mut text = String::from("In every report, these sums hold exactly:");
    for sum in SUMS {
        for (at, parts) in sum.parts.chunks(PARTS_OF_A_LINE).enumerate() {
            let names: Vec<_> = parts.iter().map(|part| part.0).collect();
            let (name, sign) = if at == 0 { (sum.total.0, '=') } else { ("", '+') };
            text.push_str(&format!("\n  {name:<10} {sign} {}", names.join(" + ")));
        }
    }
    text
}

const PARTS_OF_A_LINE: usize = 6;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::input;
    use crate::storm::{Shape, Storm};

    /// Six requests; lines 7 and 8 come with another payload for the first two.
    fn lines() -> String {
        let line = |n: u32, payload: u32| format!("{{\"key\":{n},\"payload\":{payload}}}\n");
        (0..6).map(|n| line(n, 0)).chain((0..2).map(|n| line(n, 1))).collect()
    }

    /// What troubles a storm: most runs fail, most outlive their lease, or both in turn.
    const RATES: [(f64, f64); 3] = [(0.8, 0.2), (0.2, 0.9), (0.5, 0.5)];

    fn shape(seed: u64) -> Shape {
        let (fail_rate, pause_rate) = RATES[seed as usize % RATES.len()];
        Shape {
            clients: 1 + seed as usize % 16,
            copies: 3,
            fail_rate,
            pause_rate,
            seed,
            work: Duration::ZERO,
            lease: Duration::from_millis(10),
        }
    }

    /// Goal: the sums hold whatever fails, and through the engine each request completes once.
    /// Method: 48 seeds at high rates with 1 to 16 clients, both services. Handlers sleep, so that
    /// eight storms at once disturb each other only in their timing.
    #[test]
    fn sums_hold_over_many_seeds() {
        let input = input::read(lines().as_bytes()).unwrap();
        let storms = |seed| {
            let engine = Storm::engine(&input, shape(seed)).unwrap().report;
            let baseline = Storm::baseline(&input, shape(seed)).unwrap().report;
            for report in [&engine, &baseline] {
                let found: Vec<_> = unbalanced(report).collect();
                assert_eq!(found, [], "seed {seed}: {report:?}");
                assert_eq!(report.violations, Vec::<String>::new(), "seed {seed}: {report:?}");
            }
            let completions = engine.completed + engine.completed_late;
            assert_eq!(completions, engine.distinct, "seed {seed}: {engine:?}");
            [engine.completed_late, engine.fenced, engine.failed, engine.mismatched]
        };
        let seen: Vec<_> = std::thread::scope(|scope| {
            let run = move |first| (first..48).step_by(8).map(storms).collect::<Vec<_>>();
            let threads: Vec<_> = (0..8).map(|first| scope.spawn(move || run(first))).collect();
            threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
        });
        for kind in 0..4 {
            assert!(seen.iter().any(|numbers| numbers[kind] > 0), "number {kind} was never met");
        }
    }

    /// Goal: a miscount is seen, wherever it happens. Method: from a sound report, change each
    /// number that is part of a sum.
    #[test]
    fn every_miscount_is_seen() {
        let input = input::read(lines().as_bytes()).unwrap();
        let sound = Storm::engine(&input, shape(2)).unwrap().report;
        let count = |spoil: fn(&mut Report)| {
            let mut report = sound.clone();
            spoil(&mut report);
            unbalanced(&report).count()
        };
        assert_eq!(count(|_| {}), 0);
        let once: [fn(&mut Report); 12] = [
            |r| r.deliveries += 1,
            |r| r.calls += 1,
            |r| r.completed += 1,
            |r| r.unanswered += 1,
            |r| r.adopted_effects += 1,
            |r| r.fenced_starts += 1,
            |r| r.in_progress += 1,
            |r| r.scheduled += 1,
            |r| r.deferred += 1,
            |r| r.accepted_effects += 1,
            |r| r.failed += 1,
            |r| r.fenced += 1,
        ];
        for (at, spoil) in once.into_iter().enumerate() {
            assert_eq!(count(spoil), 1, "number {at}");
        }
        let twice: [fn(&mut Report); 4] =
            [|r| r.executed += 1, |r| r.replayed += 1, |r| r.mismatched += 1, |r| r.refused += 1];
        for (at, spoil) in twice.into_iter().enumerate() {
            assert_eq!(count(spoil), 2, "number {at}");
        }
    }

    /// Goal: the help shows each sum, in a terminal of 100 columns. Method: read it.
    #[test]
    fn the_sums_are_described() {
        let text = describe();
        assert!(text.contains("deliveries = completed + replayed + mismatched"), "{text}");
        assert!(text.contains("calls      = executed + adopted_effects"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}
