//! Driving: who looks after what is due, where no worker waits for it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use crate::engine::Engine;
use crate::error::{Given, seconds};
use crate::forks::{forks, no_child};

/// What one look at what is due did.
#[pyclass(frozen, get_all, module = "oncegate")]
pub(crate) struct Driven {
    /// Records that were looked at, because something of theirs was due.
    looked_at: usize,
    /// Attempts that are ready for workers.
    ready: usize,
    /// Whether the limit ended it.
    more: bool,
    /// Seconds until something is due again; none: nothing is.
    due_in: Option<f64>,
}

impl Driven {
    fn of(driven: oncegate::Driven) -> Self {
        let oncegate::Driven { looked_at, ready, more, due_in, .. } = driven;
        Self { looked_at, ready, more, due_in: due_in.map(seconds) }
    }
}

#[pymethods]
impl Driven {
    fn __repr__(&self) -> String {
        let Self { looked_at, ready, due_in, .. } = self;
        let due_in = due_in.map_or_else(|| "None".to_owned(), |due_in| format!("{due_in:.3}"));
        format!("Driven(looked_at={looked_at}, ready={ready}, due_in={due_in})")
    }
}

/// The thread of an engine that looks after what is due, in the process that started it.
pub(crate) type OwnDriver = Mutex<Option<(u64, oncegate::Driver)>>;

#[pymethods]
impl Engine {
    /// Looks at what is due, at most `limit` records.
    #[pyo3(signature = (limit = 1_024))]
    fn advance(&self, py: Python<'_>, limit: usize) -> Given<Driven> {
        let engine = self.open()?;
        Ok(Driven::of(py.detach(|| engine.advance(limit))?))
    }

    /// Starts a thread that does so, unless there is one.
    fn start_driver(&self) -> Given<()> {
        let handle = self.handle()?;
        let mut driver = handle.driver.lock().unwrap_or_else(PoisonError::into_inner);
        if driver.as_ref().is_none_or(|(born, _)| *born != forks()) {
            *driver = Some((forks(), handle.engine.driver()?));
        }
        Ok(())
    }
}

/// A descriptor that is readable when something is due.
#[pyclass(frozen, module = "oncegate._core")]
pub(crate) struct Due {
    watch: Mutex<Option<Watch>>,
    born: u64,
}

impl Due {
    fn watch(&self) -> Given<MutexGuard<'_, Option<Watch>>> {
        no_child("due", self.born)?;
        Ok(self.watch.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl Due {
    #[new]
    fn new(engine: &Bound<'_, Engine>) -> Given<Self> {
        let handle = engine.get().handle()?;
        Ok(Self { watch: Mutex::new(Some(Watch::new(&handle.engine)?)), born: forks() })
    }

    /// None: a thread of the engine's sees to it, or it was closed.
    fn fileno(&self) -> Given<Option<i32>> {
        Ok(self.watch()?.as_ref().and_then(Watch::descriptor))
    }

    /// When it is readable: wakes whoever waits for what is due.
    fn advance(&self) -> Given<()> {
        if let Some(watch) = &*self.watch()? {
            watch.advance()?;
        }
        Ok(())
    }

    fn close(&self) -> Given<()> {
        *self.watch()? = None;
        Ok(())
    }
}

pub(crate) use kernel::Watch;

#[cfg(target_os = "linux")]
mod kernel {
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
    use std::sync::Arc;

    use oncegate::{DueDescriptor, Engine, Error};

    /// Looks after what is due for somebody who waits, by a timer of the kernel.
    pub(crate) struct Watch(DueDescriptor);

    impl Watch {
        pub(crate) fn new(engine: &Arc<Engine>) -> Result<Self, Error> {
            Ok(Self(engine.due_descriptor()?))
        }

        pub(crate) fn descriptor(&self) -> Option<RawFd> {
            Some(self.0.as_fd().as_raw_fd())
        }

        pub(crate) fn borrowed(&self) -> Option<BorrowedFd<'_>> {
            Some(self.0.as_fd())
        }

        /// What is more is left to the next call, for which it is readable.
        pub(crate) fn advance(&self) -> Result<(), Error> {
            self.0.advance(AT_ONCE).map(drop)
        }
    }

    /// So many that an event loop is not held up for longer than a fraction of a millisecond.
    const AT_ONCE: usize = 256;
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use std::os::fd::{BorrowedFd, RawFd};
    use std::sync::Arc;

    use oncegate::{Driver, Engine, Error};

    /// Looks after what is due for somebody who waits, by a thread.
    pub(crate) struct Watch(#[expect(dead_code, reason = "it is there to be dropped")] Driver);

    impl Watch {
        pub(crate) fn new(engine: &Arc<Engine>) -> Result<Self, Error> {
            Ok(Self(engine.driver()?))
        }

        pub(crate) fn descriptor(&self) -> Option<RawFd> {
            None
        }

        pub(crate) fn borrowed(&self) -> Option<BorrowedFd<'_>> {
            None
        }

        pub(crate) fn advance(&self) -> Result<(), Error> {
            Ok(())
        }
    }
}
