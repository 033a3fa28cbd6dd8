//! Waits: requests that an event loop waits for, behind one descriptor.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use pyo3::prelude::*;

use crate::asking::Asking;
use crate::begin::{Asked, Options};
use crate::bell::Bell;
use crate::engine::Engine;
use crate::error::{Given, Refused, seconds};
use crate::forks::{forks, no_child};
use crate::handle::Handle;

/// What the waits of a set share with those who wake them.
pub(crate) struct Shared {
    pub(crate) bell: Arc<Bell>,
    ready: Mutex<VecDeque<u64>>,
}

impl Shared {
    pub(crate) fn new() -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Self { bell: Bell::new()?, ready: Mutex::default() }))
    }

    /// The numbers of those that are to be looked at.
    pub(crate) fn rung(&self) -> Vec<u64> {
        self.bell.answer();
        self.ready().drain(..).collect()
    }

    fn ready(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts its wait among those that are to be looked at.
pub(crate) struct Ring {
    id: u64,
    shared: Arc<Shared>,
    /// Whether it has done so, and nobody has looked since.
    queued: AtomicBool,
}

impl Ring {
    pub(crate) fn new(id: u64, shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { id, shared: Arc::clone(shared), queued: AtomicBool::new(false) })
    }

    /// Before a look: who wakes it from now on puts it there again.
    pub(crate) fn heard(&self) {
        // AcqRel: pairs with the swap in `wake_by_ref`.
        self.queued.swap(false, Ordering::AcqRel);
    }
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // AcqRel: pairs with the swap in `heard`: either this call puts it there, or the look that
        // follows finds what it is woken for.
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.shared.ready().push_back(self.id);
            self.shared.bell.ring();
        }
    }
}

/// Requests that an event loop waits for.
#[pyclass(frozen, module = "oncegate._core")]
pub(crate) struct Waits {
    pub(crate) handle: Arc<Handle>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) born: u64,
}

#[pymethods]
impl Waits {
    #[new]
    fn new(engine: &Bound<'_, Engine>) -> Given<Self> {
        let handle = engine.get().handle()?;
        let shared = Shared::new().map_err(|error| Refused::Raised(error.into()))?;
        Ok(Self { handle, shared, born: forks() })
    }

    /// Readable while there may be something to look at.
    fn fileno(&self) -> i32 {
        self.shared.bell.descriptor()
    }

    /// The numbers of those that are to be looked at.
    fn ready(&self) -> Given<Vec<u64>> {
        no_child("waits", self.born)?;
        Ok(self.shared.rung())
    }

    /// Begins to ask; nothing is looked at before the first `poll`. `joins`: it waits for a running
    /// attempt.
    #[pyo3(signature = (
        number, request, *, joins = true, lease_duration = None, dedup_window = None,
        on_lapse = None, run_due = false
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option that Python names")]
    fn ask(
        &self,
        number: u64,
        request: Asked,
        joins: bool,
        lease_duration: Option<crate::time::Seconds>,
        dedup_window: Option<crate::time::Seconds>,
        on_lapse: Option<crate::choice::OnLapse>,
        run_due: bool,
    ) -> Given<Wait> {
        no_child("waits", self.born)?;
        self.handle.open()?;
        let options = Options { lease_duration, dedup_window, on_lapse, run_due }.engine()?;
        let asking = Asking::new(&self.handle, &request.parts(), &options, joins)?;
        let ring = Ring::new(number, &self.shared);
        let asking = Mutex::new(Some(asking));
        Ok(Wait { asking, ring, handle: Arc::clone(&self.handle), born: self.born })
    }
}

/// One request of a set.
#[pyclass(frozen, module = "oncegate._core")]
pub(crate) struct Wait {
    asking: Mutex<Option<Asking>>,
    ring: Arc<Ring>,
    handle: Arc<Handle>,
    born: u64,
}

impl Wait {
    fn asking(&self) -> Given<MutexGuard<'_, Option<Asking>>> {
        no_child("wait", self.born)?;
        Ok(self.asking.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl Wait {
    /// The answer, if there is one. After it, and after `cancel`, there is none.
    fn poll(&self, py: Python<'_>) -> Given<Option<Py<PyAny>>> {
        let mut asking = self.asking()?;
        let Some(asked) = asking.as_mut() else { return Ok(None) };
        self.handle.open()?;
        self.ring.heard();
        let answer = asked.poll(py, &Waker::from(Arc::clone(&self.ring)));
        if !matches!(answer, Ok(None)) {
            *asking = None;
        }
        answer
    }

    /// Seconds until it is to be polled even if the descriptor says nothing.
    fn looks_again_in(&self) -> Given<Option<f64>> {
        Ok(self.asking()?.as_ref().and_then(Asking::looks_again_in).map(seconds))
    }

    /// Affects neither the running attempt nor others who wait.
    fn cancel(&self) -> Given<()> {
        *self.asking()? = None;
        Ok(())
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if self.born != forks() {
            // Threads of the parent's may have been in the midst of changing what it waits in.
            let asking = self.asking.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(asking.take());
        }
    }
}
