//! Threads and tasks that call until the time is over.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use crate::peers::{Caller, Task};

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// New requests, each begun and completed.
    Fresh,
    /// Duplicates of the finished requests of that many numbers, from that one on.
    Again { first: u64, count: u64 },
    /// The same, each once.
    Once { first: u64, count: u64 },
}

/// The next number that nobody has used.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The first of `count` numbers that nobody else gets.
pub(crate) fn numbers(count: u64) -> u64 {
    // Relaxed: it is only drawn from.
    NEXT.fetch_add(count, Ordering::Relaxed)
}

/// Lets each caller work in a thread of its own. Gives the operations, and how long it took.
pub(crate) fn threads(
    callers: &mut [Box<dyn Caller>],
    ask: Ask,
    time: Duration,
) -> (u64, Duration) {
    if let [caller] = callers {
        return alone(&mut **caller, ask, time);
    }
    let start = Barrier::new(callers.len() + 1);
    std::thread::scope(|scope| {
        let work = |caller| {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                alone(caller, ask, time).0
            })
        };
        let all: Vec<_> = callers.iter_mut().map(|caller| work(&mut **caller)).collect();
        start.wait();
        let begun = Instant::now();
        let operations = all.into_iter().map(|one| one.join().expect("it calls")).sum();
        (operations, begun.elapsed())
    })
}

fn alone(caller: &mut dyn Caller, ask: Ask, time: Duration) -> (u64, Duration) {
    let (begun, mut operations) = (Instant::now(), 0);
    let each = caller.batch();
    let mut outcome = Vec::new();
    loop {
        match ask {
            Ask::Fresh => caller.fresh(numbers(each)),
            Ask::Again { first, count } | Ask::Once { first, count } => {
                caller.again(first + operations % count, &mut outcome);
            }
        }
        operations += each;
        let elapsed = begun.elapsed();
        let over = match ask {
            Ask::Once { count, .. } => operations == count,
            _ => elapsed >= time,
        };
        if over {
            return (operations, elapsed);
        }
    }
}

/// Lets `count` tasks of one thread work, shared out among the nodes in `tasks`.
pub(crate) fn tasks(
    runtime: &Runtime,
    nodes: &[Rc<dyn Task>],
    count: usize,
    ask: Ask,
    time: Duration,
) -> (u64, Duration) {
    let begun = Instant::now();
    let operations = Rc::new(Cell::new(0));
    let local = LocalSet::new();
    for task in 0..count {
        let (node, operations) = (Rc::clone(&nodes[task % nodes.len()]), Rc::clone(&operations));
        local.spawn_local(async move {
            let each = node.batch();
            while begun.elapsed() < time {
                match ask {
                    Ask::Fresh => node.fresh(numbers(each)).await,
                    Ask::Again { first, count } | Ask::Once { first, count } => {
                        node.again(first + operations.get() % count).await;
                    }
                }
                operations.set(operations.get() + each);
            }
        });
    }
    runtime.block_on(local);
    (operations.get(), begun.elapsed())
}
