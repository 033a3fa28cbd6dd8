//! Tokens: a lease as plain data.

use std::hash::{Hash, Hasher};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::Given;

/// A lease as plain data: it crosses threads, processes and languages.
#[pyclass(frozen, eq, hash, module = "oncegate", from_py_object)]
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct LeaseToken(pub(crate) oncegate::LeaseToken);

impl Hash for LeaseToken {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[pymethods]
impl LeaseToken {
    #[new]
    fn new(data: &Bound<'_, PyBytes>) -> Given<Self> {
        Ok(Self(oncegate::LeaseToken::from_bytes(data.as_bytes())?))
    }

    #[getter]
    fn fencing_token(&self) -> u64 {
        self.0.fencing_token().get()
    }

    #[getter]
    fn attempt(&self) -> u32 {
        self.0.attempt()
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.to_bytes())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, (Bound<'py, PyBytes>,)) {
        (slf.get_type().into_any(), (slf.get().__bytes__(slf.py()),))
    }

    fn __repr__(&self) -> String {
        format!("LeaseToken(attempt={}, fencing_token={})", self.attempt(), self.fencing_token())
    }
}

/// How an attempt failed.
#[pyclass(frozen, module = "oncegate", from_py_object)]
#[derive(Clone)]
pub(crate) struct Failure(pub(crate) oncegate::Failure);

#[pymethods]
impl Failure {
    /// The next attempt may start after so many seconds.
    #[staticmethod]
    #[pyo3(signature = (after = None))]
    fn retryable(after: Option<crate::time::Seconds>) -> Given<Self> {
        Ok(Self(match crate::time::given("after", after)? {
            Some(after) if !after.is_zero() => oncegate::Failure::retryable_after(after),
            _ => oncegate::Failure::retryable(),
        }))
    }

    /// It failed for good: duplicates get this outcome.
    #[staticmethod]
    fn terminal(outcome: crate::outcome::AnyOutcome) -> Self {
        Self(oncegate::Failure::terminal(outcome.0))
    }

    /// Nobody knows whether it took effect.
    #[staticmethod]
    fn unknown() -> Self {
        Self(oncegate::Failure::unknown())
    }
}
