//! Driving: who looks after what is due, where no worker waits for it in a thread of its own.
//!
//! A driver is one more sleeper of the scheduler: it sleeps until something is due, and is woken
//! when that changes. It may be whoever calls [`Engine::advance`], a thread that was asked for, or
//! the descriptor of an event loop.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::super::Engine;
use super::super::thread::OwnThread;
use super::scheduler::{Kind, Seat};
use crate::error::Error;
use crate::region::bell;
use crate::region::registry::{BELL, LOOKS_BY};
use crate::sync::plain::AtomicBool;
use crate::sync::{Ordering, park};
use crate::wait::thread_waker;

/// What one call of [`Engine::advance`] did.
///
/// ```
/// let engine = oncegate::Engine::builder().capacity(1_000).build()?;
/// let driven = engine.advance(1_000)?;
/// assert_eq!((driven.looked_at, driven.ready), (0, 0));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Driven {
    /// How many records were looked at, because something of theirs was due.
    pub looked_at: usize,
    /// How many attempts are ready for workers now.
    pub ready: usize,
    /// Whether the limit ended it: there may be more to file, to look at, or to sweep.
    pub more: bool,
    /// How long until something is due again; `None`: nothing is.
    pub due_in: Option<Duration>,
}

impl Engine {
    /// Looks at what is due, at most `limit` records: makes attempts ready and wakes workers for
    /// them, sees to leases that have lapsed, and sweeps a part of the table now and then, so that
    /// all of it is swept within a minute.
    ///
    /// Bounded work: however much was put off and is due at once, a call files `limit` records that
    /// were put off, up to a multiple of 64, looks at `limit` that are due, and at `limit` slots
    /// and entries in their turn, up to a multiple of eight; `begin` never waits for it. The
    /// longest call with a limit of 1,000 took half a millisecond with a million records, and the
    /// very first four. Needed only where no worker waits in [`next_attempt`](Self::next_attempt)
    /// with a timeout, and neither a [`Driver`] nor a [descriptor](Self::due_descriptor) calls it.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Forked`](crate::ErrorCode::Forked) in a forked child.
    ///
    /// ```
    /// let engine = oncegate::Engine::builder().capacity(1_000).build()?;
    /// while engine.advance(1_000)?.more {}
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn advance(&self, limit: usize) -> Result<Driven, Error> {
        self.enter()?;
        let rules = self.rules();
        self.watch_file(rules.now_ms)?;
        let behind = self.look_at_changes(limit) != 0;
        self.file_upkeep(&rules);
        self.look_at_shares();
        let looked_at = self.ripen(&rules, limit);
        self.reconcile(limit)?;
        let (ready, first, owed) = {
            let index = self.scheduler().index();
            (index.ready.len(), index.first_due_ms(), index.upkeep.is_owed())
        };
        (0..ready).take_while(|_| self.scheduler().wake_worker()).count();
        let due_in = first.map(|due| Duration::from_millis(due.saturating_sub(self.now_ms())));
        Ok(Driven { looked_at, ready, more: behind || looked_at == limit || owed, due_in })
    }

    /// Starts a thread that calls [`advance`](Self::advance) whenever something is due, and when
    /// that changes. It ends, and is joined, when the [`Driver`] is dropped; dropping it in a
    /// forked child joins nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::NoMemory`](crate::ErrorCode::NoMemory): the thread was refused.
    /// [`ErrorCode::Forked`](crate::ErrorCode::Forked).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use oncegate::Engine;
    ///
    /// let engine = Arc::new(Engine::builder().capacity(1_000).build()?);
    /// let driver = engine.driver()?;
    /// drop(driver);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn driver(self: &Arc<Self>) -> Result<Driver, Error> {
        self.enter()?;
        let engine = Arc::clone(self);
        let thread = OwnThread::start("driver", move |stopped| engine.drive(stopped))?;
        Ok(Driver { _thread: thread })
    }

    fn drive(&self, stopped: &AtomicBool) {
        loop {
            let waker = thread_waker();
            let seat = Seat::take(self.scheduler(), waker.clone(), Kind::Driver);
            // Relaxed: whoever unparks this thread has stored it before.
            let goes_on = !stopped.load(Ordering::Relaxed);
            let driven = if goes_on { self.advance(AT_ONCE) } else { Ok(Driven::default()) };
            // Relaxed: as above; again, since the call is gone if this thread parked in between.
            if let (true, Ok(driven)) = (!stopped.load(Ordering::Relaxed), &driven)
                && !driven.more
            {
                self.doze(seat.ticket, &waker, Duration::MAX);
            }
            seat.leave();
            if !goes_on || driven.is_err() {
                self.relieve();
                return;
            }
        }
    }

    /// Sleeps until something may be due, until woken, or until `give_up`.
    pub(super) fn doze(&self, ticket: u64, waker: &Waker, give_up: Duration) {
        let first = self.scheduler().index().first_due_ms();
        if !self.scheduler().plan(ticket, first.unwrap_or(u64::MAX)) {
            return;
        }
        self.life.time().wake_on_jump(waker);
        // `now_ms` counts from one.
        let due = first.map_or(Duration::MAX, |ms| Duration::from_millis(ms.saturating_sub(1)));
        let left = give_up.min(due).saturating_sub(self.now());
        if left.is_zero() || self.will_hear() {
            return;
        }
        // Another thread may have looked at what another process changed, before that knew of us.
        if self.scheduler().index().first_due_ms() == first {
            park(Some(left));
        }
    }

    /// Has this process rung when another one schedules something that is due before anybody here
    /// looks. True: something has changed already; look again.
    pub(super) fn will_hear(&self) -> bool {
        if self.region.is_shared() {
            let looks_by = self.scheduler().looks_by().unwrap_or(0);
            let word = &self.region.process(usize::from(self.region.me()))[LOOKS_BY];
            // Relaxed: published by the count of changes, which is read and written next, as it
            // is by whoever changes something: he comes before, and is seen, or sees this.
            word.store(looks_by, Ordering::Relaxed);
            self.listen();
        }
        !self.scheduler().index().behind.has_seen(self.table.changes_from_now())
    }

    /// Rings at the other processes in which nobody would look before `due_ms`.
    pub(super) fn ring_for_attempts(&self, due_ms: u64) {
        if !self.region.is_shared() {
            return;
        }
        let others = (1..=self.region.processes_used()).filter(|at| *at as u8 != self.region.me());
        for index in others {
            let entry = self.region.process(index);
            // Relaxed: see `will_hear`.
            if entry[LOOKS_BY].load(Ordering::Relaxed) > due_ms {
                bell::ring(&entry[BELL]);
            }
        }
    }
}

/// A thread that looks after what is due. Dropping it ends and joins the thread.
///
/// Made by [`Engine::driver`].
///
/// ```
/// # use std::sync::Arc;
/// # use oncegate::{Driver, Engine};
/// let engine = Arc::new(Engine::builder().capacity(1_000).build()?);
/// let driver: Driver = engine.driver()?;
/// drop(driver); // the thread is gone
/// # Ok::<(), oncegate::Error>(())
/// ```
#[must_use = "a driver that is dropped stops"]
#[derive(Debug)]
pub struct Driver {
    _thread: OwnThread,
}

/// How many records a driver looks at in one go.
const AT_ONCE: usize = 1_024;
