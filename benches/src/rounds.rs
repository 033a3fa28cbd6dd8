//! Rounds: every contender once in each, in an order that is shuffled anew.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::contender::{Contender, Kind};
use crate::meter::empty_histogram;
use crate::rng::Rng;

/// How to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Rounds that count; one more warms up.
    pub rounds: usize,
    /// How long each contender works in each round.
    pub slice: Duration,
    /// On how many threads.
    pub threads: Vec<usize>,
    /// Whether single operations are timed too, in slices of their own.
    pub latencies: bool,
    /// Chooses orders and keys.
    pub seed: u64,
}

/// A contender that can be opened.
pub struct Opener<'w> {
    /// Its name in tables.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Opens and fills it.
    pub open: Box<dyn Fn() -> Box<dyn Contender + 'w> + 'w>,
}

/// What one contender did on one number of threads.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Its name in tables.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Threads or processes at work.
    pub threads: usize,
    /// Nanoseconds of a processor for one operation, in each round.
    pub ns: Vec<f64>,
    /// Records that were created, in all rounds.
    pub created: u64,
    /// Operations, in all rounds.
    pub operations: u64,
    /// Nanoseconds of single operations, of all rounds.
    pub latency: Option<Histogram<u64>>,
}

impl Figures {
    /// Of a contender that has not done anything.
    #[must_use]
    pub fn new(name: String, kind: Kind, threads: usize) -> Self {
        Self { name, kind, threads, ns: Vec::new(), created: 0, operations: 0, latency: None }
    }

    /// The median round.
    #[must_use]
    pub fn median(&self) -> f64 {
        Spread::of(&self.ns).median
    }
}

/// What all contenders of one workload did.
#[derive(Clone, Debug)]
pub struct Rates {
    /// Its name in reports.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub about: String,
    /// What a caller is: a thread or a process.
    pub caller: &'static str,
    /// One for each contender and number of callers.
    pub figures: Vec<Figures>,
}

impl Rates {
    /// Those of one number of callers.
    #[must_use]
    pub fn of(&self, callers: usize) -> Vec<&Figures> {
        self.figures.iter().filter(|figures| figures.threads == callers).collect()
    }
}

/// Median and extremes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one; of an even number, the mean of the two.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of some figures; of none, all are zero.
    #[must_use]
    pub fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        let half = sorted.len() / 2;
        let lower = if sorted.len().is_multiple_of(2) { half.saturating_sub(1) } else { half };
        let median = (at(lower) + at(half)) / 2.0;
        Self { median, min: at(0), max: at(sorted.len().saturating_sub(1)) }
    }
}

/// Measures them all. `keep`: they stay open from round to round; otherwise, where they do not all
/// fit into memory, each is opened for its turn and closed again.
#[must_use]
pub fn measure(openers: &[Opener<'_>], keep: bool, settings: &Settings) -> Vec<Figures> {
    let mut rng = Rng::new(settings.seed);
    let mut board = Board::new(openers, settings);
    if keep {
        let open: Vec<_> = openers.iter().map(|opener| (opener.open)()).collect();
        for round in 0..=settings.rounds {
            let mut turns: Vec<usize> = (0..board.figures.len()).collect();
            rng.shuffle(&mut turns);
            for turn in turns {
                board.turn(turn, &*open[board.contender[turn]], round, rng.word(), settings);
            }
        }
    } else {
        for round in 1..=settings.rounds {
            let mut order: Vec<usize> = (0..openers.len()).collect();
            rng.shuffle(&mut order);
            for index in order {
                let open = (openers[index].open)();
                let mut turns: Vec<usize> =
                    (0..board.figures.len()).filter(|&at| board.contender[at] == index).collect();
                rng.shuffle(&mut turns);
                for turn in turns {
                    board.turn(turn, &*open, round, rng.word(), settings);
                }
            }
        }
    }
    board.figures
}

/// Who has done what: one row for each contender and number of threads.
struct Board {
    figures: Vec<Figures>,
    /// The contender of each row.
    contender: Vec<usize>,
}

impl Board {
    fn new(openers: &[Opener<'_>], settings: &Settings) -> Self {
        let mut board = Self { figures: Vec::new(), contender: Vec::new() };
        for (index, opener) in openers.iter().enumerate() {
            for &threads in settings.threads.iter().filter(|&&t| t <= opener.kind.threads) {
                board.figures.push(Figures::new(opener.name.clone(), opener.kind, threads));
                board.contender.push(index);
            }
        }
        board
    }

    /// Round zero warms up, and is thrown away.
    fn turn(
        &mut self,
        row: usize,
        contender: &(dyn Contender + '_),
        round: usize,
        seed: u64,
        settings: &Settings,
    ) {
        let figures = &mut self.figures[row];
        let threads = figures.threads;
        if round == 0 {
            contender.slice(threads, settings.slice / 4, seed, false);
            return;
        }
        let sample = contender.slice(threads, settings.slice, seed, false);
        figures.ns.push(sample.ns);
        figures.created += sample.created;
        figures.operations += sample.operations;
        if settings.latencies {
            let timed = contender.slice(threads, settings.slice, seed ^ 1, true);
            if let Some(histogram) = timed.latency {
                let all = figures.latency.get_or_insert_with(empty_histogram);
                all.add(histogram).expect("equal bounds");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: spreads are right. Method: odd, even and empty lists.
    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Spread::of(&[]), Spread { median: 0.0, min: 0.0, max: 0.0 });
    }
}
