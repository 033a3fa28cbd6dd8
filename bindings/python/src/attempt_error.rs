//! Attempt error: why an attempt failed, for its history and for the policy.

use oncegate::Clock;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::choice::Kind;
use crate::error::Given;
use crate::hint::{AnyAfter, Said};
use crate::outcome::AnyOutcome;

/// Why an attempt failed, for its history and for the policy.
#[pyclass(frozen, module = "oncegate", from_py_object)]
#[derive(Clone)]
pub(crate) struct AttemptError {
    error: oncegate::AttemptError,
    said: Said,
    #[pyo3(get)]
    error_class: String,
    #[pyo3(get)]
    terminal: bool,
}

#[pymethods]
impl AttemptError {
    #[new]
    #[pyo3(signature = (
        error_class, *, kind = None, retry_after = None, refused = false, terminal = false,
        outcome = None
    ))]
    fn new(
        error_class: String,
        kind: Option<Kind>,
        retry_after: Option<AnyAfter>,
        refused: bool,
        terminal: bool,
        outcome: Option<AnyOutcome>,
    ) -> Given<Self> {
        let said = Said::of(retry_after, refused)?;
        let mut error = oncegate::AttemptError::new(&error_class);
        if let Some(Kind(kind)) = kind {
            error = error.kind(kind);
        }
        if terminal {
            error = error.terminal();
        }
        if let Some(AnyOutcome(outcome)) = outcome {
            error = error.outcome(outcome);
        }
        Ok(Self { error, said, error_class, terminal })
    }

    fn __repr__(&self) -> String {
        format!("AttemptError({:?})", self.error_class)
    }
}

/// An error, or the class of one.
pub(crate) struct AnyError {
    error: oncegate::AttemptError,
    said: Said,
}

impl AnyError {
    /// As the engine takes it whose clock this is.
    pub(crate) fn by(self, clock: &dyn Clock) -> oncegate::AttemptError {
        self.error.hint(self.said.hint(|| clock.unix_time()))
    }
}

impl<'py> FromPyObject<'_, 'py> for AnyError {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(error) = value.cast::<AttemptError>() {
            let AttemptError { error, said, .. } = error.get().clone();
            return Ok(Self { error, said });
        }
        let error = oncegate::AttemptError::new(&value.cast::<PyString>()?.to_cow()?);
        Ok(Self { error, said: Said::Nothing })
    }
}
