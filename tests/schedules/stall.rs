//! One thread stalls in the middle of whatever it does, and the others go on.
//!
//! Threads: five to seven, one of which is not run from some step on, until no other can run.
//! Sizes: two keys in eight slots, two chunks of outcomes. Property: nobody needs the stalled
//! thread (I8): all others finish first, and then it does; and what `records` and `rotation`
//! hold, holds. Left out: waiting, whose queue has a lock, and a second rotator, for the same
//! reason.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use oncegate::{BeginOptions, Bug};
use shuttle::Runner;
use shuttle::scheduler::{RandomScheduler, Schedule, Scheduler, Task, TaskId};

use crate::rotation::{retires, rotates};
use crate::site::{Dice, End, INLINE, LEASE, Site, WINDOW};
use crate::support::{Drawn, broken_by, config, crew, run, schedules, seed};

/// Runs threads at random, and one of them only up to some step.
struct Stalling {
    inner: RandomScheduler,
    dice: u64,
    victim: usize,
    /// How many more steps the victim is run.
    steps: u64,
    seen: Arc<Seen>,
}

/// What the scheduler and the scenario tell each other, on one thread of the system.
#[derive(Default)]
struct Seen {
    /// How many threads have finished.
    finished: AtomicU64,
    /// How many had when nobody but the stalled one could run, plus one; zero: it never stalled.
    finished_before: AtomicU64,
}

impl Stalling {
    fn new(seed: u64, schedules: usize, seen: Arc<Seen>) -> Self {
        let inner = RandomScheduler::new_from_seed(seed, schedules);
        Self { inner, dice: seed, victim: 0, steps: 0, seen }
    }
}

impl Scheduler for Stalling {
    fn new_execution(&mut self) -> Option<Schedule> {
        // Weyl's sequence: every victim and every step in turn, in no order that matters.
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.victim = 1 + (self.dice >> 32) as usize % LEAST_CREW as usize;
        self.steps = (self.dice >> 40) % MOST_VICTIM_STEPS;
        // Relaxed, throughout: all threads of a scenario run on one thread of the system.
        self.seen.finished.store(0, Ordering::Relaxed);
        self.seen.finished_before.store(0, Ordering::Relaxed);
        self.inner.new_execution()
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        yields: bool,
    ) -> Option<TaskId> {
        let is_victim = |id: TaskId| usize::from(id) == self.victim;
        let others: Vec<&Task> = match self.steps {
            0 => runnable.iter().copied().filter(|task| !is_victim(task.id())).collect(),
            _ => runnable.to_vec(),
        };
        if others.is_empty() {
            let finished = self.seen.finished.load(Ordering::Relaxed);
            self.seen.finished_before.store(finished + 1, Ordering::Relaxed);
            self.steps = u64::MAX;
            return self.inner.next_task(runnable, current, yields);
        }
        let next = self.inner.next_task(&others, current, yields)?;
        self.steps -= u64::from(is_victim(next));
        Some(next)
    }

    fn next_u64(&mut self) -> u64 {
        self.inner.next_u64()
    }
}

fn one_stalls(seen: &Arc<Seen>) {
    let site = Arc::new(Site::tight(2, Drawn.any(&INLINE)));
    let (inside, finished) = (Arc::clone(&site), Arc::clone(seen));
    let size = LEAST_CREW + Drawn.roll(3);
    crew(size, move |number| {
        for round in 0..3 {
            match number {
                0 => {
                    rotates(&site, round);
                    site.clock.advance(Drawn.any(&[LEASE, WINDOW]));
                    retires(&site);
                }
                1 => drop(site.engine.sweep(8).expect("not forked")),
                _ => {
                    let key = Drawn.roll(2) as usize;
                    site.run(key, &BeginOptions::new(), Drawn.any(&End::ALL));
                }
            }
        }
        finished.finished.fetch_add(1, Ordering::Relaxed);
    });
    let before = seen.finished_before.load(Ordering::Relaxed);
    assert!(before == 0 || before == size, "others wait for the stalled one: {before} of {size}");
    inside.comes_to_rest();
}

/// Goal: a thread that stalls at any step holds nobody up. Method: a scheduler that does not run
/// it until all others have come to their end; a thread that goes round instead never does.
#[test]
fn nobody_waits_for_it() {
    let seen = Arc::new(Seen::default());
    let scheduler = Stalling::new(seed(), schedules(), Arc::clone(&seen));
    run("stall::nobody_waits_for_it", scheduler, move || one_stalls(&seen));
    println!("schedules: stall::nobody_waits_for_it: {} from seed {}", schedules(), seed());
}

/// Goal: the scenario bites. Method: whoever meets a pending insertion waits for its inserter.
#[test]
fn broken_pending_not_helped() {
    broken_by(Bug::PendingNotHelped, "max_steps", |counted| {
        let seen = Arc::new(Seen::default());
        let scheduler = Stalling::new(seed(), 10_000, Arc::clone(&seen));
        Runner::new(scheduler, config()).run(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            one_stalls(&seen);
        });
    });
}

const LEAST_CREW: u64 = 5;
/// A thread of this scenario takes about so many.
const MOST_VICTIM_STEPS: u64 = 256;
