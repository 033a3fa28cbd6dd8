//! Handle: an engine, and what the objects of this module share of it.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use oncegate::{BeginOptions, Clock};
use pyo3::Python;

use crate::drive::OwnDriver;
use crate::error::{Given, Refused};
use crate::events::Ring;
use crate::forks::forks;
use crate::keeper::Keeper;
use crate::reconcile::OwnDoubts;

/// An open engine.
pub(crate) struct Handle {
    pub(crate) keeper: Keeper,
    pub(crate) doubts: OwnDoubts,
    pub(crate) driver: OwnDriver,
    pub(crate) events: Arc<Ring>,
    pub(crate) engine: Own,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long a lease lasts where nobody says otherwise.
    pub(crate) lease: Duration,
    /// How long a duplicate waits where nobody says otherwise.
    pub(crate) wait: Duration,
    pub(crate) origin: Origin,
    /// Whether it shares records with other hosts.
    pub(crate) has_tier: bool,
    closed: AtomicBool,
    leavers: Mutex<Leavers>,
}

/// Who shares the table of an engine, and where it was made.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) reach: &'static str,
    pub(crate) born: u64,
}

impl Handle {
    pub(crate) fn new(
        engine: oncegate::Engine,
        clock: Arc<dyn Clock>,
        events: Arc<Ring>,
        lease: Duration,
        wait: Duration,
        reach: &'static str,
        has_tier: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            keeper: Keeper::default(),
            doubts: OwnDoubts::default(),
            driver: OwnDriver::default(),
            events,
            engine: Own(Some(Arc::new(engine))),
            clock,
            lease,
            wait,
            origin: Origin { reach, born: forks() },
            has_tier,
            closed: AtomicBool::new(false),
            leavers: Mutex::default(),
        })
    }

    /// The engine, unless it was closed.
    #[inline]
    pub(crate) fn open(&self) -> Given<&oncegate::Engine> {
        if self.is_closed() { Err(Refused::Closed) } else { Ok(&self.engine) }
    }

    /// Calls the engine: without the GIL where it may ask a tier, which takes a round trip, or the
    /// tier's deadline. What asks the own table alone takes less time than to let go of the GIL.
    #[inline]
    pub(crate) fn ask<'h, T: Send>(
        &'h self,
        py: Python<'_>,
        call: impl FnOnce(&'h oncegate::Engine) -> T + Send,
    ) -> T {
        if self.has_tier { py.detach(|| call(&self.engine)) } else { call(&self.engine) }
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: pairs with the store in `close`.
        self.closed.load(Ordering::Acquire)
    }

    /// Nothing is begun any more, and whoever waits leaves. What runs may be ended still.
    pub(crate) fn close(&self) {
        // Release: pairs with the load in `is_closed`.
        if !self.closed.swap(true, Ordering::AcqRel) {
            self.engine.stop_waiting();
            // Not dropped under the lock: the thread that it ends is waited for.
            let driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(driver);
            let wakers: Vec<Waker> = self.leavers().own().cloned().collect();
            wakers.iter().for_each(Waker::wake_by_ref);
        }
    }

    /// Locked by threads that have the GIL alone, so that no fork comes in between.
    fn leavers(&self) -> MutexGuard<'_, Leavers> {
        self.leavers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Handle {
    /// An engine that has a tier tells it what it was not told yet, which takes as long as the tier
    /// takes to answer: others run meanwhile. Where Python is about to end nobody else does, and in
    /// a forked child the parent's engine tells nothing.
    fn drop(&mut self) {
        if !self.has_tier || self.origin.born != forks() {
            return;
        }
        let driver = self.driver.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // The driver's thread ends first, which uses the engine.
        let mut last = Some((driver, self.engine.0.take()));
        Python::try_attach(|py| py.detach(|| drop(last.take())));
    }
}

/// The engine of a handle, for as long as there is the handle.
pub(crate) struct Own(Option<Arc<oncegate::Engine>>);

impl Deref for Own {
    type Target = Arc<oncegate::Engine>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        self.0.as_ref().unwrap_or_else(|| unreachable!("only `Handle::drop` takes it"))
    }
}

/// Those who leave when the engine is closed.
#[derive(Default)]
struct Leavers {
    of: HashMap<u64, (u64, Waker)>,
    last: u64,
}

impl Leavers {
    /// Those of this process: a parent's are not its child's to wake.
    fn own(&self) -> impl Iterator<Item = &Waker> {
        let born = forks();
        self.of.values().filter(move |(of, _)| *of == born).map(|(_, waker)| waker)
    }
}

/// One of them, as long as it waits.
pub(crate) struct Leaver {
    handle: Arc<Handle>,
    id: u64,
}

impl Leaver {
    pub(crate) fn new(handle: &Arc<Handle>, waker: &Waker) -> Self {
        let mut leavers = handle.leavers();
        leavers.last += 1;
        let id = leavers.last;
        leavers.of.insert(id, (forks(), waker.clone()));
        Self { handle: Arc::clone(handle), id }
    }
}

impl Drop for Leaver {
    fn drop(&mut self) {
        let waker = self.handle.leavers().of.remove(&self.id);
        // Freed after the lock.
        drop(waker);
    }
}

/// Options without a wait: waiting is done above the engine, where signals are heard.
pub(crate) fn plain_options() -> BeginOptions {
    BeginOptions::new().on_conflict(oncegate::OnConflict::Conflict)
}
