//! Handle: an engine, and what the objects of this module share of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oncegate::{BeginOptions, Clock};

use crate::error::{Given, Refused};
use crate::keeper::Keeper;

/// An open engine.
pub(crate) struct Handle {
    pub(crate) keeper: Keeper,
    pub(crate) engine: Arc<oncegate::Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long a lease lasts where nobody says otherwise.
    pub(crate) lease: Duration,
    /// How long a duplicate waits where nobody says otherwise.
    pub(crate) wait: Duration,
    closed: AtomicBool,
}

impl Handle {
    pub(crate) fn new(
        engine: oncegate::Engine,
        clock: Arc<dyn Clock>,
        lease: Duration,
        wait: Duration,
    ) -> Arc<Self> {
        let (engine, closed) = (Arc::new(engine), AtomicBool::new(false));
        Arc::new(Self { keeper: Keeper::default(), engine, clock, lease, wait, closed })
    }

    /// The engine, unless it was closed.
    #[inline]
    pub(crate) fn open(&self) -> Given<&oncegate::Engine> {
        if self.is_closed() { Err(Refused::Closed) } else { Ok(&self.engine) }
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
        }
    }
}

/// Options without a wait: waiting is done above the engine, where signals are heard.
pub(crate) fn plain_options() -> BeginOptions {
    BeginOptions::new().on_conflict(oncegate::OnConflict::Conflict)
}
