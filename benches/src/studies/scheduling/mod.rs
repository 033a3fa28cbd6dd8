//! Scheduling: what it costs that the engine owns the next attempt, beside queues that people write
//! by hand or take from a library; and what many records do that are due at once.

mod expiry;
mod queues;

use std::time::Instant;

use super::{Found, Row, Study};
use crate::contender::Kind;
use crate::process;
use crate::rng::Rng;
use crate::rounds::{Figures, Rates, Settings};

use queues::{Heap, Ours, Queue, TokioQueue};

/// What is timed, in the order of a round.
pub(super) const PHASES: usize = 6;

/// Names of the phases, with a thousand records that wait and with a hundred thousand.
pub(super) const NAMES_1K: [&str; PHASES] = [
    "scheduling-later-1k",
    "scheduling-early-duplicate-1k",
    "scheduling-next-1k",
    "scheduling-complete-1k",
    "scheduling-turn-1k",
    "scheduling-step-1k",
];
pub(super) const NAMES_100K: [&str; PHASES] = [
    "scheduling-later-100k",
    "scheduling-early-duplicate-100k",
    "scheduling-next-100k",
    "scheduling-complete-100k",
    "scheduling-turn-100k",
    "scheduling-step-100k",
];

const ABOUT: [&str; PHASES] = [
    "a failed attempt is put off, with 64 bytes to run it again; ours writes its history too",
    "a duplicate asks for one that waits",
    "the next one that is due is taken; ours with a lease and a fencing token",
    "it is done and over; ours keeps an outcome for duplicates",
    "one is put off, and taken and completed when it is due",
    "a finished step of an attempt is noted, 16 bytes",
];

/// Something that keeps attempts until they are due.
trait Contender {
    fn name(&self) -> &'static str;
    /// Nanoseconds of each phase, of `batch` attempts; nothing where it cannot do that.
    fn round(&mut self, batch: usize) -> [Option<f64>; PHASES];
}

/// With so many records waiting, `batch` attempts of each contender in each round, in shuffled
/// order.
pub(super) fn rates(
    sizes: &[(usize, [&'static str; PHASES])],
    batch: usize,
    settings: &Settings,
) -> Vec<Rates> {
    sizes.iter().flat_map(|(waiting, names)| at_size(*waiting, names, batch, settings)).collect()
}

fn at_size(
    waiting: usize,
    names: &[&'static str; PHASES],
    batch: usize,
    settings: &Settings,
) -> Vec<Rates> {
    let mut contenders: Vec<Box<dyn Contender>> = vec![
        Box::new(Ours::open(waiting, batch * (settings.rounds + 1))),
        Box::new(Queue::<Heap>::open(waiting)),
        Box::new(Queue::<TokioQueue>::open(waiting)),
    ];
    let mut rng = Rng::new(settings.seed);
    let mut ns = vec![[const { Vec::new() }; PHASES]; contenders.len()];
    for round in 0..=settings.rounds {
        let mut turns: Vec<usize> = (0..contenders.len()).collect();
        rng.shuffle(&mut turns);
        for turn in turns {
            let figures = contenders[turn].round(batch);
            // The first round warms up.
            let all = ns[turn].iter_mut().zip(figures).filter(|_| round > 0);
            all.for_each(|(ns, figure)| ns.extend(figure));
        }
    }
    let of = |phase: usize| {
        let with = contenders.iter().zip(&ns).filter(|(_, ns)| !ns[phase].is_empty());
        let figures = with.map(|(contender, ns)| {
            let mut figures = Figures::new(contender.name().to_owned(), kind(contender.name()), 1);
            figures.ns.clone_from(&ns[phase]);
            figures.operations = (batch * ns[phase].len()) as u64;
            figures
        });
        let about = format!("{waiting} others wait: {}", ABOUT[phase]);
        Rates { name: names[phase], about, caller: "thread", figures: figures.collect() }
    };
    (0..PHASES).map(of).collect()
}

/// Nanoseconds of each of `operations`, without those in which other programs had the processor.
fn timed(operations: usize, work: impl FnOnce()) -> f64 {
    let (start, waited) = (Instant::now(), process::waited());
    work();
    let robbed = process::waited().saturating_sub(waited);
    start.elapsed().saturating_sub(robbed).as_nanos() as f64 / operations as f64
}

fn kind(name: &str) -> Kind {
    let ours = name.starts_with("oncegate");
    Kind { ours, batch: 1, bounded: ours, locks: true, threads: 1 }
}

/// What happens when so many records are due in the same millisecond.
pub(super) fn expiry(sizes: &[usize]) -> Study {
    let columns: Vec<_> = sizes.iter().map(|size| expiry::at_once(*size)).collect();
    let rows = expiry::ROWS.iter().enumerate().map(|(row, name)| Row {
        name: (*name).to_owned(),
        figures: columns.iter().map(|column| Some(column[row])).collect(),
    });
    Study {
        name: "mass-expiry",
        about: "records that are due in the same millisecond, taken and completed by one worker, \
                while another thread replays and begins requests",
        unit: "as each row says",
        axis: "records",
        columns: sizes.iter().map(|&size| size as f64).collect(),
        log_axis: true,
        rows: rows.collect(),
    }
}

/// Both of them.
pub(super) fn found(
    sizes: &[(usize, [&'static str; PHASES])],
    batch: usize,
    at_once: &[usize],
    settings: &Settings,
) -> Found {
    Found { grids: vec![expiry(at_once)], rates: rates(sizes, batch, settings) }
}
