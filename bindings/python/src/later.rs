//! Later: an attempt fails, and the engine sees to the next one.

use oncegate::{Error, Later, RetryContext};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::admission::Scheduled;
use crate::attempt_error::AnyError;
use crate::error::{Given, seconds};
use crate::lease::Lease;

/// There is no next attempt: the record has failed.
#[pyclass(frozen, module = "oncegate")]
pub(crate) struct Buried {
    /// Why, in a word.
    #[pyo3(get)]
    reason: &'static str,
    /// Whether it is a dead letter.
    #[pyo3(get)]
    kept: bool,
    /// The name of the budget that was spent.
    #[pyo3(get)]
    budget: Option<String>,
    /// Seconds until that pays for a retry.
    #[pyo3(get)]
    refills_in: Option<f64>,
}

#[pymethods]
impl Buried {
    #[classattr]
    #[pyo3(name = "__match_args__")]
    fn match_args() -> (&'static str, &'static str) {
        ("reason", "kept")
    }

    fn __repr__(&self) -> String {
        format!("Buried({:?}, kept={})", self.reason, if self.kept { "True" } else { "False" })
    }
}

#[pymethods]
impl Lease {
    /// Ends the attempt, and leaves the next one to the engine.
    #[pyo3(signature = (error, operation, context = None))]
    fn retry_later(
        &self,
        py: Python<'_>,
        error: AnyError,
        operation: &str,
        context: Option<&Bound<'_, PyBytes>>,
    ) -> Given<Py<PyAny>> {
        let context = context.map_or(&b""[..], |context| context.as_bytes());
        let context = RetryContext::new(operation, context);
        let error = error.by(&*self.handle.clock);
        let later = self.own()?.retry_later(&self.token, &error, &context);
        if later.as_ref().map_or_else(Error::is_fenced, |_| true) {
            // Where there was no room, or an argument was refused, it lasts.
            self.end();
        }
        Ok(match later? {
            Later::Scheduled { next_attempt, due_in } => {
                Py::new(py, Scheduled::new(next_attempt, seconds(due_in)))?.into_any()
            }
            Later::Buried { reason, kept, budget } => {
                let refills_in = budget.as_ref().and_then(|spent| spent.refills_in()).map(seconds);
                let budget = budget.map(|spent| spent.budget().to_owned());
                Py::new(py, Buried { reason: reason.name(), kept, budget, refills_in })?.into_any()
            }
        })
    }
}
