//! Admission: what `begin` answers, one class for each answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oncegate::Admission;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyTuple, PyType};

use crate::begin::at_once;
use crate::error::{Given, seconds};
use crate::handle::Handle;
use crate::lease::Lease;
use crate::outcome::Outcome;

/// Nobody runs it: the caller does, and ends the lease.
#[pyclass(frozen, module = "oncegate")]
pub(crate) struct Admitted {
    #[pyo3(get)]
    lease: Py<Lease>,
}

/// It has finished, inside its dedup window: this is what the first run left.
#[pyclass(frozen, module = "oncegate")]
pub(crate) struct Replayed {
    #[pyo3(get)]
    status: u16,
    #[pyo3(get)]
    body: Py<PyBytes>,
    pub(crate) metadata: Box<[(Box<str>, Box<str>)]>,
}

/// Another attempt holds the lease.
#[pyclass(frozen, module = "oncegate")]
pub(crate) struct InProgress {
    #[pyo3(get)]
    attempt: u32,
    #[pyo3(get)]
    remaining: f64,
}

/// It failed, and waits for its next attempt.
#[pyclass(frozen, module = "oncegate")]
pub(crate) struct Scheduled {
    #[pyo3(get)]
    next_attempt: u32,
    #[pyo3(get)]
    due_in: f64,
}

impl Replayed {
    pub(crate) fn of(py: Python<'_>, outcome: &oncegate::Outcome) -> Self {
        let metadata = outcome.metadata().map(|(name, value)| (name.into(), value.into()));
        Self {
            status: outcome.status(),
            body: PyBytes::new(py, outcome.body()).unbind(),
            metadata: metadata.collect(),
        }
    }
}

/// The replay that was told last, and memory that outcomes are copied to. Replays are all alike, so
/// that telling the same one again costs a comparison instead of two allocations.
#[derive(Default)]
pub(crate) struct Last(Mutex<Told>);

#[derive(Default)]
struct Told {
    buffer: oncegate::Outcome,
    last: Option<(oncegate::Outcome, Py<Replayed>)>,
}

impl Last {
    /// The answer of the moment.
    #[inline]
    pub(crate) fn begin(
        &self,
        py: Python<'_>,
        handle: &Arc<Handle>,
        prepared: &oncegate::Prepared<'_>,
        options: &oncegate::BeginOptions,
    ) -> Given<Py<PyAny>> {
        if handle.has_tier {
            // The lock is not for being held while others are asked.
            return at_once(py, handle, prepared, options);
        }
        let engine = handle.open()?;
        let mut told = self.lock(py);
        let Told { buffer, last } = &mut *told;
        let answer = engine.begin_into(prepared, options, buffer)?;
        if let (Admission::Replayed(outcome), Some((same, replayed))) = (&answer, last)
            && *outcome == same
        {
            return Ok(replayed.clone_ref(py).into_any());
        }
        let answer = owned(answer);
        // Python may run what comes here again.
        drop(told);
        self.tell(py, handle, answer)
    }

    fn tell(
        &self,
        py: Python<'_>,
        handle: &Arc<Handle>,
        answer: Admission<'_>,
    ) -> Given<Py<PyAny>> {
        let Admission::Replayed(outcome) = answer else {
            return Ok(told(py, handle, answer)?);
        };
        let replayed = Py::new(py, Replayed::of(py, &outcome))?;
        let before = self.lock(py).last.replace((outcome, replayed.clone_ref(py)));
        // Freed after the lock.
        drop(before);
        Ok(replayed.into_any())
    }

    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, Told> {
        self.0.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer with an outcome of its own.
pub(crate) fn owned<'e>(answer: Admission<'e, &oncegate::Outcome>) -> Admission<'e> {
    match answer {
        Admission::Replayed(outcome) => Admission::Replayed(outcome.clone()),
        Admission::Admitted(lease) => Admission::Admitted(lease),
        Admission::InProgress { attempt, remaining } => {
            Admission::InProgress { attempt, remaining }
        }
        Admission::Scheduled { next_attempt, due_in } => {
            Admission::Scheduled { next_attempt, due_in }
        }
        Admission::Mismatched => Admission::Mismatched,
        Admission::Unresolved => Admission::Unresolved,
        Admission::OutcomeGone => Admission::OutcomeGone,
    }
}

/// The class and the values of an answer.
pub(crate) fn told<O: std::borrow::Borrow<oncegate::Outcome>>(
    py: Python<'_>,
    handle: &Arc<Handle>,
    admission: oncegate::Admission<'_, O>,
) -> PyResult<Py<PyAny>> {
    use oncegate::Admission as A;
    Ok(match admission {
        A::Replayed(outcome) => Py::new(py, Replayed::of(py, outcome.borrow()))?.into_any(),
        A::Admitted(lease) => {
            let lease = Py::new(py, Lease::of(handle, lease))?;
            Py::new(py, Admitted { lease })?.into_any()
        }
        A::InProgress { attempt, remaining } => {
            Py::new(py, InProgress { attempt, remaining: seconds(remaining) })?.into_any()
        }
        A::Scheduled { next_attempt, due_in } => {
            Py::new(py, Scheduled { next_attempt, due_in: seconds(due_in) })?.into_any()
        }
        A::Mismatched => Py::new(py, Mismatched)?.into_any(),
        A::Unresolved => Py::new(py, Unresolved)?.into_any(),
        A::OutcomeGone => Py::new(py, OutcomeGone)?.into_any(),
    })
}

#[pymethods]
impl Admitted {
    #[classattr]
    #[pyo3(name = "__match_args__")]
    fn match_args(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        PyTuple::new(py, ["lease"])
    }

    fn __repr__(&self) -> String {
        format!("Admitted({})", self.lease.get().described())
    }
}

#[pymethods]
impl Replayed {
    #[new]
    fn new(py: Python<'_>, outcome: &Outcome) -> Self {
        Self::of(py, &outcome.0)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyType>, (Outcome,))> {
        Ok((slf.get_type(), (slf.get().outcome(slf.py())?,)))
    }

    #[classattr]
    #[pyo3(name = "__match_args__")]
    fn match_args(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        PyTuple::new(py, ["outcome"])
    }

    #[getter]
    fn outcome(&self, py: Python<'_>) -> PyResult<Outcome> {
        let mut outcome = oncegate::Outcome::new(self.status, self.body.as_bytes(py));
        for (name, value) in &self.metadata {
            outcome = outcome.with_metadata(name, value).map_err(crate::error::Refused::from)?;
        }
        Ok(Outcome(outcome))
    }

    #[getter]
    fn metadata(&self) -> Vec<(&str, &str)> {
        self.metadata.iter().map(|(name, value)| (&**name, &**value)).collect()
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!("Replayed({}, <{} bytes>)", self.status, self.body.as_bytes(py).len())
    }
}

#[pymethods]
impl InProgress {
    #[new]
    fn new(attempt: u32, remaining: f64) -> Self {
        Self { attempt, remaining }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyType>, (u32, f64)) {
        (slf.get_type(), (slf.get().attempt, slf.get().remaining))
    }

    #[classattr]
    #[pyo3(name = "__match_args__")]
    fn match_args() -> (&'static str, &'static str) {
        ("attempt", "remaining")
    }

    fn __repr__(&self) -> String {
        format!("InProgress(attempt={}, remaining={:.3})", self.attempt, self.remaining)
    }
}

#[pymethods]
impl Scheduled {
    #[new]
    pub(crate) fn new(next_attempt: u32, due_in: f64) -> Self {
        Self { next_attempt, due_in }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyType>, (u32, f64)) {
        (slf.get_type(), (slf.get().next_attempt, slf.get().due_in))
    }

    #[classattr]
    #[pyo3(name = "__match_args__")]
    fn match_args() -> (&'static str, &'static str) {
        ("next_attempt", "due_in")
    }

    fn __repr__(&self) -> String {
        format!("Scheduled(next_attempt={}, due_in={:.3})", self.next_attempt, self.due_in)
    }
}

/// Makes answers that their class says all of.
macro_rules! bare {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[pyclass(frozen, module = "oncegate")]
            pub(crate) struct $name;

            #[pymethods]
            impl $name {
                #[new]
                fn new() -> Self {
                    Self
                }

                fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyType>, ()) {
                    (slf.get_type(), ())
                }

                fn __repr__(&self) -> &'static str {
                    concat!(stringify!($name), "()")
                }
            }
        )*
    };
}

bare! {
    /// The same key came with another payload.
    Mismatched;
    /// Nobody knows whether it took effect.
    Unresolved;
    /// It has finished, but the bytes of its outcome are gone, or were never kept.
    OutcomeGone;
}
