//! Timers: the wheel beside other ways to remember when something is due.

mod keepers;
mod pairs;
mod runtimes;

use std::time::{Duration, Instant};

use super::{Row, Study};
use crate::contender::Kind;
use crate::process::{probe, resident_bytes, waited};
use crate::rng::Rng;
use crate::rounds::{Figures, Rates, Settings};

use keepers::{HashWheel, Heap, Shared, Tree, Wheel};
pub(super) use runtimes::Paused;
use runtimes::{Queue, Sleeps};

/// Remembers timers. Times are milliseconds since it was opened.
pub(super) trait Keeper {
    /// Its name in tables.
    const NAME: &'static str;

    /// An empty one, and memory for that many handles.
    fn open(timers: usize) -> Self;

    /// One timer for each due time; the n-th one's handle is kept as the n-th.
    fn insert(&mut self, dues: &[u64]);

    /// Puts the handles into this order, so that looking for them costs nothing when they are used.
    fn arrange(&mut self, order: &[u32]);

    /// Cancels all timers in the order of the handles.
    fn cancel(&mut self);

    /// Lets time go on to `until`, and gives how many timers fired.
    fn fire(&mut self, until: u64) -> usize;
}

/// Who is asked in turn.
trait Visitor {
    fn visit<K: Keeper>(&mut self);
}

fn everyone(visitor: &mut impl Visitor) {
    visitor.visit::<Wheel>();
    visitor.visit::<Shared>();
    visitor.visit::<Queue>();
    visitor.visit::<Sleeps>();
    visitor.visit::<HashWheel>();
    visitor.visit::<Heap>();
    visitor.visit::<Tree>();
}

/// That many timers, due within ten minutes, inserted, cancelled and fired by each contender in
/// shuffled order; and pairs of an insertion and a cancellation on several threads at once.
pub(super) fn rates(
    sizes: &[(usize, [&'static str; PHASES])],
    pairs: (usize, usize),
    settings: &Settings,
) -> Vec<Rates> {
    let mut rates = Vec::new();
    for (timers, names) in sizes {
        // Many timers take a while, and their figures spread less.
        let rounds = if *timers > 2_000_000 { settings.rounds.min(3) } else { settings.rounds };
        let mut board = Board::new(*timers, settings.seed);
        for _ in 0..rounds {
            board.round();
        }
        rates.extend(board.rates(names));
    }
    rates.push(pairs::pairs(pairs.0, pairs.1, settings));
    rates
}

/// What is timed: insertions, cancellations, what those have left, insertions again, and firing.
pub(super) const PHASES: usize = 5;
const ABOUT: [&str; PHASES] = [
    "timers due within ten minutes are inserted into an empty one",
    "all of them are cancelled in random order",
    "the same, and what cancellations leave is cleared while time goes by",
    "as many are inserted again",
    "all of them fire, as time goes on by a millisecond; those of a runtime at one jump",
];

/// The times of everybody in each phase.
struct Board {
    rng: Rng,
    dues: Vec<u64>,
    order: Vec<u32>,
    names: Vec<&'static str>,
    /// By contender and phase.
    ns: Vec<[Vec<f64>; PHASES]>,
    /// Whose turn it is, and which one is visited.
    turn: usize,
    visited: usize,
}

impl Board {
    fn new(timers: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut order: Vec<u32> = (0..timers as u32).collect();
        rng.shuffle(&mut order);
        let dues = (0..timers).map(|_| 1 + rng.below(SPAN_MS)).collect();
        let mut names = Names(Vec::new());
        everyone(&mut names);
        let ns = names.0.iter().map(|_| [const { Vec::new() }; PHASES]).collect();
        Self { rng, dues, order, names: names.0, ns, turn: 0, visited: 0 }
    }

    fn round(&mut self) {
        let mut turns: Vec<usize> = (0..self.names.len()).collect();
        self.rng.shuffle(&mut turns);
        for turn in turns {
            (self.turn, self.visited) = (turn, 0);
            everyone(self);
        }
    }

    fn rates(self, names: &[&'static str; PHASES]) -> Vec<Rates> {
        let timers = self.dues.len();
        let of = |phase: usize| {
            let each = self.names.iter().zip(&self.ns);
            let figures = each.map(|(name, ns)| {
                let mut figures = Figures::new((*name).to_owned(), kind(name), 1);
                figures.ns.clone_from(&ns[phase]);
                figures.operations = (timers * ns[phase].len()) as u64;
                figures
            });
            let about = format!("{timers} timers: {}", ABOUT[phase]);
            Rates { name: names[phase], about, caller: "thread", figures: figures.collect() }
        };
        (0..PHASES).map(of).collect()
    }
}

impl Visitor for Board {
    fn visit<K: Keeper>(&mut self) {
        let mine = self.visited == self.turn;
        self.visited += 1;
        if !mine {
            return;
        }
        let timers = self.dues.len();
        let mut keeper = K::open(timers);
        let insert = timed(timers, || keeper.insert(&self.dues));
        keeper.arrange(&self.order);
        let cancel = timed(timers, || keeper.cancel());
        let clear = timed(timers, || assert_eq!(keeper.fire(SPAN_MS), 0, "{}", K::NAME));
        let later: Vec<u64> = self.dues.iter().map(|due| due + SPAN_MS).collect();
        let again = timed(timers, || keeper.insert(&later));
        let fire = timed(timers, || assert_eq!(keeper.fire(2 * SPAN_MS), timers, "{}", K::NAME));
        let all = [insert, cancel, cancel + clear, again, fire];
        self.ns[self.turn].iter_mut().zip(all).for_each(|(ns, one)| ns.push(one));
    }
}

/// Nanoseconds of a processor for each timer.
fn timed(timers: usize, work: impl FnOnce()) -> f64 {
    let watch = Watch::start();
    work();
    watch.nanos() / timers as f64
}

/// Counts the time in which the calling thread has a processor.
struct Watch {
    began: Instant,
    waited: Duration,
}

impl Watch {
    fn start() -> Self {
        Self { waited: waited(), began: Instant::now() }
    }

    fn nanos(&self) -> f64 {
        let all = self.began.elapsed();
        all.saturating_sub(waited().saturating_sub(self.waited)).as_nanos() as f64
    }
}

fn kind(name: &str) -> Kind {
    let ours = name.starts_with("oncegate");
    Kind { ours, batch: 1, bounded: false, locks: name.contains("Mutex"), threads: 1 }
}

/// Resident bytes of that many timers, each contender in a process of its own.
///
/// # Errors
///
/// A process failed.
pub(super) fn memory(counts: &[usize]) -> Result<Study, String> {
    let mut names = Names(Vec::new());
    everyone(&mut names);
    let row = |name: &&'static str| -> Result<Row, String> {
        let bytes = |count: &usize| {
            let answer = probe(&["timers".to_owned(), (*name).to_owned(), count.to_string()])?;
            Ok(answer.first().map(|bytes| bytes / *count as f64))
        };
        let figures = counts.iter().map(bytes).collect::<Result<_, String>>()?;
        Ok(Row { name: (*name).to_owned(), figures })
    };
    Ok(Study {
        name: "timers-memory",
        about: "timers due within ten minutes, without the handles that their users keep",
        unit: "resident bytes for each timer",
        axis: "timers",
        columns: counts.iter().map(|&count| count as f64).collect(),
        log_axis: true,
        rows: names.0.iter().map(row).collect::<Result<_, _>>()?,
    })
}

/// Answers the question of a row: resident bytes of that many timers.
pub(super) fn answer(name: &str, timers: usize) -> Option<f64> {
    let mut filled = Filled { name, timers, bytes: None };
    everyone(&mut filled);
    filled.bytes.map(|bytes| bytes as f64)
}

struct Filled<'n> {
    name: &'n str,
    timers: usize,
    bytes: Option<u64>,
}

impl Visitor for Filled<'_> {
    fn visit<K: Keeper>(&mut self) {
        if K::NAME == self.name {
            let mut rng = Rng::new(1);
            let dues: Vec<u64> = (0..self.timers).map(|_| 1 + rng.below(SPAN_MS)).collect();
            let mut keeper = K::open(self.timers);
            let before = resident_bytes();
            keeper.insert(&dues);
            self.bytes = Some(resident_bytes().saturating_sub(before));
        }
    }
}

/// `all` in another order.
fn arranged<T: Copy>(all: &[T], order: &[u32]) -> Vec<T> {
    order.iter().map(|nth| all[*nth as usize]).collect()
}

struct Names(Vec<&'static str>);

impl Visitor for Names {
    fn visit<K: Keeper>(&mut self) {
        self.0.push(K::NAME);
    }
}

/// Ten minutes: attempts that back off are due within them.
const SPAN_MS: u64 = 600_000;
