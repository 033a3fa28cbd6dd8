//! Callers wait for an attempt whose holders complete, fail, drop it, or leave the queue.
//!
//! Threads: a leader and three to six waiters, blocked ones and futures. Property: no wake-up is
//! lost (a lost one is a deadlock, which shuttle reports), of all who wait one gets the next
//! attempt, and a waiter that leaves hurts nobody. Left out in the first scenario: time.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use oncegate::{BeginOptions, Bug, OnConflict};
use shuttle::thread;

use crate::site::{Dice, End, INLINE, LEASE, Site};
use crate::support::{Drawn, broken, crew, explore};

/// How long a blocked waiter waits: longer than any clock of the scenario goes.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Waits for an answer about `key` in one of three ways, and ends what it was admitted to.
pub(crate) fn waits(site: &Site, key: usize, ends: &[End]) {
    let end = Drawn.any(ends);
    match Drawn.roll(5) {
        0 | 1 => {
            let options = BeginOptions::new().on_conflict(OnConflict::Wait(PATIENCE));
            site.run(key, &options, end);
        }
        2 | 3 => joins(site, key, end, u64::MAX),
        _ => joins(site, key, end, 1),
    }
}

/// Joins as a future that is polled `polls` times at most, and sleeps until it is woken.
fn joins(site: &Site, key: usize, end: End, polls: u64) {
    let before = site.ledger.before(key);
    let request = site.request(key);
    let options = BeginOptions::new();
    let mut join = pin!(site.engine.join(&request, &options));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    for _ in 0..polls {
        match join.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => {
                if let Some((lease, held)) = site.met(key, before, answer) {
                    site.end(key, lease, held, end);
                }
                return;
            }
            Poll::Pending if polls > 1 => thread::park(),
            Poll::Pending => {}
        }
    }
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn one_follows_a_failure() {
    let site = Arc::new(Site::tight(1, Drawn.any(&INLINE)));
    let inside = Arc::clone(&site);
    crew(4 + Drawn.roll(4), move |number| match number {
        // The leader, unless a waiter was faster.
        0 => drop(site.run(0, &BeginOptions::new(), Drawn.any(&ENDS))),
        _ => waits(&site, 0, &ENDS),
    });
    inside.comes_to_rest();
}

/// Goal: no wake-up is lost, and one waiter at a time runs. Method: all hold the attempt in turn,
/// and end it at once; nothing else would wake anybody.
#[test]
fn one_waiter_runs_next() {
    explore("waiters::one_waiter_runs_next", one_follows_a_failure);
}

fn holders_vanish() {
    let site = Arc::new(Site::tight(2, Drawn.any(&INLINE)));
    let inside = Arc::clone(&site);
    let (size, done) = (4 + Drawn.roll(4), Arc::new(AtomicU64::new(0)));
    let finished = Arc::clone(&done);
    crew(size + 1, move |number| {
        if number < size {
            waits(&site, number as usize % 2, &End::ALL);
            // Relaxed, both: all threads of a scenario run on one thread of the system.
            finished.fetch_add(1, Ordering::Relaxed);
            return;
        }
        while finished.load(Ordering::Relaxed) < size {
            site.clock.advance(LEASE);
            site.engine.sweep(8).expect("not forked");
            (0..2).for_each(|key| site.runs_again(key));
            thread::yield_now();
        }
    });
    inside.comes_to_rest();
}

/// Goal: the same where holders vanish and attempts are put off: whoever waits gets its answer
/// once the lease or the delay is over. Method: one more thread moves the clock and sweeps until
/// all have their answer; a schedule that never comes to that end fails.
#[test]
fn waiters_outlive_their_holders() {
    explore("waiters::waiters_outlive_their_holders", holders_vanish);
}

/// Goal: the scenario bites. Method: a failing leader wakes nobody.
#[test]
fn broken_hand_off_lost() {
    broken(Bug::HandOffLost, one_follows_a_failure);
}

/// Goal: the scenario bites. Method: a waiter sleeps without announcing itself.
#[test]
fn broken_waiter_unannounced() {
    broken(Bug::WaiterUnannounced, one_follows_a_failure);
}

/// Ends after which somebody else goes on at once.
const ENDS: [End; 4] = [End::Complete, End::Abandon, End::Drop, End::Fail];
