//! Attempts: a worker asks for those that are due.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use oncegate::NextAttempt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use self_cell::self_cell;

use crate::bell::Bell;
use crate::drive::Watch;
use crate::engine::Engine;
use crate::error::{Given, Refused};
use crate::forks::{forks, no_child};
use crate::handle::{Handle, Leaver};
use crate::lease::Lease;
use crate::time::{Seconds, given};
use crate::waits::{Ring, Waits};

/// A due attempt, with what is needed to run it.
#[pyclass(frozen, get_all, module = "oncegate")]
pub(crate) struct Attempt {
    operation: String,
    context: Py<PyBytes>,
    lease: Py<Lease>,
}

#[pymethods]
impl Attempt {
    #[classattr]
    #[pyo3(name = "__match_args__")]
    fn match_args() -> (&'static str, &'static str, &'static str) {
        ("operation", "context", "lease")
    }

    fn __repr__(&self) -> String {
        format!("Attempt({:?}, {})", self.operation, self.lease.get().described())
    }
}

/// An attempt that was handed out, and that no object of Python's stands for yet.
struct Handed {
    operation: String,
    context: Vec<u8>,
    lease: Lease,
}

impl Handed {
    fn of(handle: &Arc<Handle>, attempt: oncegate::Attempt<'_>) -> Self {
        let operation = attempt.operation().to_owned();
        let context = attempt.context().to_vec();
        Self { operation, context, lease: Lease::of(handle, attempt.into_lease()) }
    }

    fn told(self, py: Python<'_>) -> PyResult<Py<Attempt>> {
        let context = PyBytes::new(py, &self.context).unbind();
        let lease = Py::new(py, self.lease)?;
        Py::new(py, Attempt { operation: self.operation, context, lease })
    }
}

type Nexting<'a> = NextAttempt<'a>;

self_cell!(
    struct Cell {
        owner: Arc<Handle>,
        #[not_covariant]
        dependent: Nexting,
    }
);

/// A place among those who wait for attempts.
struct Next(Cell);

impl Next {
    fn new(handle: &Arc<Handle>) -> Self {
        Self(Cell::new(Arc::clone(handle), |handle| handle.engine.next_attempt_async()))
    }

    /// The attempt, if one is due; otherwise `waker` is woken when one may be.
    fn poll(&mut self, waker: &Waker) -> Given<Option<Handed>> {
        self.0.with_dependent_mut(|handle, next| {
            handle.clock.wake_on_jump(waker);
            match Pin::new(next).poll(&mut Context::from_waker(waker)) {
                Poll::Pending => Ok(None),
                Poll::Ready(attempt) => Ok(Some(Handed::of(handle, attempt?))),
            }
        })
    }
}

#[pymethods]
impl Engine {
    /// The next attempt that is due, waiting for one.
    #[pyo3(signature = (timeout = None))]
    fn next_attempt(&self, py: Python<'_>, timeout: Option<Seconds>) -> Given<Option<Py<Attempt>>> {
        let handle = self.handle()?;
        let timeout = given("timeout", timeout)?;
        let mut found = at_once(py, &handle, 1)?.pop();
        if found.is_none() && timeout != Some(Duration::ZERO) {
            found = wait(py, &handle, timeout)?;
        }
        Ok(found.map(|handed| handed.told(py)).transpose()?)
    }

    /// At most `most` attempts that are due, waiting for the first.
    #[pyo3(signature = (most, timeout = None))]
    fn next_attempts<'py>(
        &self,
        py: Python<'py>,
        most: usize,
        timeout: Option<Seconds>,
    ) -> Given<Bound<'py, PyList>> {
        let handle = self.handle()?;
        let timeout = given("timeout", timeout)?;
        let mut found = at_once(py, &handle, most)?;
        if found.is_empty()
            && most != 0
            && timeout != Some(Duration::ZERO)
            && let Some(first) = wait(py, &handle, timeout)?
        {
            found.push(first);
            // The first is the caller's, whatever becomes of the others.
            found.extend(at_once(py, &handle, most - 1).unwrap_or_default());
        }
        let told = found.into_iter().map(|handed| handed.told(py));
        Ok(PyList::new(py, told.collect::<PyResult<Vec<_>>>()?)?)
    }
}

/// Those that are due now.
fn at_once(py: Python<'_>, handle: &Arc<Handle>, most: usize) -> Given<Vec<Handed>> {
    let engine = handle.open()?;
    Ok(py.detach(|| {
        let attempts = engine.next_attempts(most, Duration::ZERO)?;
        Ok::<_, oncegate::Error>(
            attempts.into_iter().map(|attempt| Handed::of(handle, attempt)).collect(),
        )
    })?)
}

/// Blocks without the GIL until an attempt is due; signals are heard.
fn wait(py: Python<'_>, handle: &Arc<Handle>, timeout: Option<Duration>) -> Given<Option<Handed>> {
    let os = |error: std::io::Error| Refused::Raised(error.into());
    let give_up = timeout.map(|timeout| handle.clock.now().saturating_add(timeout));
    let bell = Bell::new().map_err(os)?;
    let waker = Waker::from(Arc::clone(&bell));
    let _leaver = Leaver::new(handle, &waker);
    let watch = Watch::new(&handle.engine)?;
    let mut next = Next::new(handle);
    loop {
        handle.open()?;
        bell.answer();
        if let Some(handed) = py.detach(|| next.poll(&waker))? {
            return Ok(Some(handed));
        }
        let left = give_up.map_or(SLICE, |at| at.saturating_sub(handle.clock.now()));
        if left.is_zero() {
            return Ok(None);
        }
        py.detach(|| {
            if bell.wait_beside(watch.borrowed(), left.min(SLICE)).map_err(os)? {
                watch.advance()?;
            }
            Ok::<_, Refused>(())
        })?;
        py.check_signals()?;
    }
}

/// A place of an event loop's among those who wait for attempts.
#[pyclass(frozen, module = "oncegate._core")]
pub(crate) struct AttemptWait {
    next: Mutex<Option<Next>>,
    ring: Arc<Ring>,
    handle: Arc<Handle>,
    _leaver: Leaver,
    born: u64,
}

#[pymethods]
impl Waits {
    /// Queues up for an attempt, at the first `poll`.
    fn attempt(&self, number: u64) -> Given<AttemptWait> {
        no_child("waits", self.born)?;
        self.handle.open()?;
        let ring = Ring::new(number, &self.shared);
        let leaver = Leaver::new(&self.handle, &Waker::from(Arc::clone(&ring)));
        let next = Mutex::new(Some(Next::new(&self.handle)));
        let handle = Arc::clone(&self.handle);
        Ok(AttemptWait { next, ring, handle, _leaver: leaver, born: forks() })
    }
}

impl AttemptWait {
    fn next(&self) -> Given<MutexGuard<'_, Option<Next>>> {
        no_child("attempt", self.born)?;
        Ok(self.next.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl AttemptWait {
    /// The attempt, if one is due. After it, and after `cancel`, there is none.
    fn poll(&self, py: Python<'_>) -> Given<Option<Py<Attempt>>> {
        self.handle.open()?;
        self.ring.heard();
        let waker = Waker::from(Arc::clone(&self.ring));
        let handed = py.detach(|| {
            let mut own = self.next()?;
            let Some(next) = own.as_mut() else { return Ok(None) };
            let handed = next.poll(&waker);
            if !matches!(handed, Ok(None)) {
                *own = None;
            }
            handed
        })?;
        Ok(handed.map(|handed| handed.told(py)).transpose()?)
    }

    /// Leaves the queue. What it was woken for is another's.
    fn cancel(&self) -> Given<()> {
        *self.next()? = None;
        Ok(())
    }
}

/// How long a wait goes without a look at signals, which may have come to another thread.
const SLICE: Duration = Duration::from_secs(1);
