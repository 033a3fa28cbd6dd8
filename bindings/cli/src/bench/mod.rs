//! A quick self-measurement: how long the engine takes on this machine.
//!
//! Every measurement runs once in each round, in an order that is shuffled anew, so that a slow
//! moment of the machine does not fall on one of them alone; the median of the rounds counts.

mod table;
mod workload;

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use self::table::Measured;
pub(crate) use self::table::Table;
use self::workload::{BATCH, Bench, Hashing, Kind, Worker};
use crate::rng::SplitMix64;

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    kind: Kind,
    hashing: Hashing,
    threads: usize,
}

/// Why a measurement means nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The engine could not be built, or refused a call.
    #[error("engine: {0}")]
    Engine(#[from] oncegate::Error),
    /// The engine gave another answer than the workload must get.
    #[error("bench: {0} got an answer that this workload must not get")]
    Unexpected(&'static str),
}

/// Measures every case in that many rounds, or fewer when the machine is too busy for them: no
/// round starts after [`BUDGET`], but one is always made. The table says how many were.
///
/// # Errors
/// [`BenchError`] when an engine cannot be built, or answers what a workload must not get.
pub(crate) fn run(rounds: usize) -> Result<Table, BenchError> {
    let cases = cases();
    let mut rng = SplitMix64::new(SEED);
    let mut samples = vec![Vec::with_capacity(rounds); cases.len()];
    let mut order: Vec<_> = (0..cases.len()).collect();
    let start = Instant::now();
    // Round 0 warms the machine up, and is thrown away.
    for round in 0..=rounds {
        if round > 1 && start.elapsed() > BUDGET {
            break;
        }
        rng.shuffle(&mut order);
        for &index in &order {
            let sample = measure(cases[index])?;
            if round > 0 {
                samples[index].push(sample);
            }
        }
    }
    let measured = cases.into_iter().zip(samples);
    let measured = measured.map(|(case, samples)| Measured::new(case, samples)).collect();
    Ok(Table::new(measured, rounds))
}

/// Every workload, with and without hashing, on one thread and on two.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in Kind::ALL {
        for hashing in Hashing::ALL {
            for threads in THREADS {
                cases.push(Case { kind, hashing, threads });
            }
        }
    }
    cases
}

/// Runs one case on an engine of its own. Gives nanoseconds per operation, as one thread sees it.
fn measure(case: Case) -> Result<f64, BenchError> {
    let bench = Bench::new(case.kind)?;
    let start = Barrier::new(case.threads);
    let spent = thread::scope(|scope| {
        let threads: Vec<_> = (0..case.threads as u64)
            .map(|thread| {
                let (start, mut worker) = (&start, Worker::new(&bench, case.hashing, thread));
                scope.spawn(move || {
                    start.wait();
                    time(&mut worker)
                })
            })
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<f64, BenchError>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect::<Result<Vec<_>, _>>()
    })?;
    Ok(spent.iter().sum::<f64>() / spent.len() as f64)
}

/// Repeats batches until the slice is over. Choosing keys is not in the time, the calls are.
fn time(worker: &mut Worker<'_>) -> Result<f64, BenchError> {
    let start = Instant::now();
    let (mut calls, mut spent) = (0_u64, Duration::ZERO);
    while spent < SLICE && start.elapsed() < 4 * SLICE {
        spent += worker.batch()?;
        calls += BATCH as u64;
    }
    Ok(spent.as_nanos() as f64 / calls.max(1) as f64)
}

/// After this time, no further round starts.
const BUDGET: Duration = Duration::from_secs(14);
/// Time of one case in one round.
const SLICE: Duration = Duration::from_millis(60);
const THREADS: [usize; 2] = [1, 2];
/// The most rounds that can be asked for.
pub(crate) const MAX_ROUNDS: u16 = 7;
/// What can be asked for can be had: measuring takes half of the budget, and the other half is
/// for building and filling engines, which takes about as long.
const _: () = {
    let cases = Kind::ALL.len() * Hashing::ALL.len() * THREADS.len();
    let measuring = (MAX_ROUNDS as usize + 1) * cases * SLICE.as_millis() as usize;
    assert!(2 * measuring <= BUDGET.as_millis() as usize);
};
const SEED: u64 = 1;
