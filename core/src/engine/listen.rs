//! Listening: a thread that sleeps until another process rings.
//!
//! Only where the table is shared, and only from the first time on that somebody waits in this
//! process. Now and then it looks by itself: for a process that was killed after it changed a
//! record and before it rang, or while it ran what somebody here waits for.

use std::sync::Arc;
use std::thread::JoinHandle;
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
use std::time::Duration;

use super::Engine;
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
use crate::clock::{Clock, PreciseClock};
use crate::region::bell;
use crate::region::registry::BELL;
use crate::sync::Ordering;
use crate::sync::plain::{AtomicBool, Mutex};

/// The thread of one process, once it has been started.
pub(super) type Listener = Mutex<Option<Listening>>;

pub(super) struct Listening {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Engine {
    /// Sees to it that whoever waits in this process hears of what others do.
    pub(super) fn listen(&self) {
        #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
        if self.region.is_shared() {
            self.listen_to_others();
        }
    }

    #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
    fn listen_to_others(&self) {
        let listener = self.listener.get(Listener::default);
        let mut listening = listener.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // One that has ended did so by a panic of somebody's waker.
        if listening.as_ref().is_none_or(|listening| listening.thread.is_finished()) {
            let stop = Arc::new(AtomicBool::new(false));
            let ear = Ear {
                table: self.table.clone(),
                region: Arc::clone(&self.region),
                waiters: Arc::clone(&self.waiters),
                life: self.life.clone(),
                scheduler: Arc::clone(self.scheduler()),
                stop: Arc::clone(&stop),
            };
            let thread = std::thread::Builder::new()
                .name("oncegate-listener".into())
                .stack_size(STACK_BYTES)
                .spawn(move || ear.listen());
            // Where the thread is refused, whoever waits looks again when the lease ends.
            *listening = thread.ok().map(|thread| Listening { stop, thread });
        }
        drop(listening);
        // It may be sleeping because nobody waited.
        bell::ring(&self.region.process(usize::from(self.region.me()))[BELL]);
    }

    /// Ends the thread, if this process has started it.
    pub(super) fn stop_listening(&self) {
        let listener = self.listener.get(Listener::default);
        let mut listening = listener.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(Listening { stop, thread }) = listening.take() {
            // Relaxed: the bell publishes it.
            stop.store(true, Ordering::Relaxed);
            bell::ring(&self.region.process(usize::from(self.region.me()))[BELL]);
            // A waker may have dropped the engine on that very thread.
            if thread.thread().id() != std::thread::current().id() {
                // Its panic, if any, was reported where it happened.
                let _ = thread.join();
            }
        }
    }
}

/// What the thread needs.
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
struct Ear {
    table: crate::table::Table,
    region: Arc<crate::region::Region>,
    waiters: Arc<crate::wait::WaitQueue>,
    life: super::life::Life,
    scheduler: Arc<super::retrying::Scheduler>,
    stop: Arc<AtomicBool>,
}

#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
impl Ear {
    fn listen(&self) {
        let bell = &self.region.process(usize::from(self.region.me()))[BELL];
        let mut looked = Duration::ZERO;
        let mut attempts = Attempts::default();
        loop {
            let seen = bell::rung(bell);
            // Relaxed: the bell was read before it.
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            // However often others ring in between.
            let (now, now_ms) = (PreciseClock.now(), self.life.now_ms());
            let all = now.saturating_sub(looked) >= LOOK_AGAIN;
            if all {
                looked = now;
            }
            let anybody = self.waiters.deliver(all, |waiter| self.table.news(waiter, now_ms))
                | self.look_for_attempts(&mut attempts, all);
            bell::sleep(bell, seen, anybody.then_some(LOOK_AGAIN));
        }
    }
}

/// What is known of the attempts that somebody here waits for.
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
#[derive(Default)]
struct Attempts {
    changes: u64,
    /// The processes that are known to be dead.
    dead: Vec<u8>,
}

#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
impl Ear {
    /// Wakes somebody who looks after attempts, if others have changed something, or `all` is to be
    /// looked at and a process has died. False: nobody waits for any.
    fn look_for_attempts(&self, known: &mut Attempts, all: bool) -> bool {
        if self.scheduler.looks_by().is_none() {
            return false;
        }
        let changes = self.table.changes();
        let mut news = changes != known.changes;
        known.changes = changes;
        if all {
            let others = 1..=self.region.processes_used() as u8;
            let dead: Vec<u8> = others.filter(|index| self.region.is_dead(*index)).collect();
            // What a dead one leased is due at once, whatever its lease says.
            if dead.iter().any(|index| !known.dead.contains(index)) {
                self.scheduler.forget_seen();
                news = true;
            }
            known.dead = dead;
        }
        if news {
            self.scheduler.tell(0, 0);
        }
        true
    }
}

/// How often it looks by itself while somebody waits.
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
const LOOK_AGAIN: Duration = Duration::from_millis(50);
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
const STACK_BYTES: usize = 256 << 10;
