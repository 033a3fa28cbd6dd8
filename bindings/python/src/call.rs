//! Call attempts: what a call keeps of its attempts, which it runs itself, and waits in between.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use crate::attempt_error::AnyError;
use crate::begin::Asked;
use crate::engine::Engine;
use crate::error::{Given, seconds};
use crate::handle::Handle;
use crate::lease::Lease;
use crate::policy::RetryPolicy;

/// The attempts of one call: it decides and pays, and begins and ends nothing.
#[pyclass(frozen, module = "oncegate")]
pub(crate) struct CallAttempts {
    handle: Arc<Handle>,
    attempts: Mutex<oncegate::CallAttempts>,
}

impl CallAttempts {
    fn attempts(&self) -> MutexGuard<'_, oncegate::CallAttempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl CallAttempts {
    /// An attempt of this call has begun: what was paid for it is spent.
    fn began(&self, lease: &Bound<'_, Lease>) -> Given<()> {
        let lease = lease.get();
        self.attempts().began(lease.own()?, &lease.token);
        Ok(())
    }

    /// The attempt has failed, and is not ended yet: seconds until the next one, which is paid for.
    fn failed(
        &self,
        py: Python<'_>,
        lease: &Bound<'_, Lease>,
        error: AnyError,
    ) -> Given<Py<PyAny>> {
        let lease = lease.get();
        let error = error.by(&*lease.handle.clock);
        let next = self.attempts().failed(lease.own()?, &lease.token, &error);
        Ok(match next {
            Ok(delay) => seconds(delay).into_pyobject(py).map_err(PyErr::from)?.into_any().unbind(),
            Err(given_up) => Py::new(py, GivenUp::of(&given_up))?.into_any(),
        })
    }

    /// There is no next attempt after all.
    fn give_back(&self) {
        self.attempts().give_back();
    }

    /// Seconds until the policy's deadline.
    #[getter]
    fn left(&self) -> Option<f64> {
        self.attempts().left(&self.handle.engine).map(seconds)
    }

    /// Whether an attempt that begins now would not end before it.
    #[getter]
    fn late(&self) -> bool {
        self.attempts().is_late(&self.handle.engine)
    }
}

/// Why a call makes no further attempt.
#[pyclass(frozen, get_all, module = "oncegate")]
pub(crate) struct GivenUp {
    reason: &'static str,
    /// The name of the budget that was spent.
    budget: Option<String>,
    /// Seconds until that pays for a retry.
    refills_in: Option<f64>,
}

impl GivenUp {
    fn of(given_up: &oncegate::GivenUp) -> Self {
        let plain = |reason| Self { reason, budget: None, refills_in: None };
        match given_up {
            oncegate::GivenUp::Attempts => plain("attempts"),
            oncegate::GivenUp::Deadline => plain("deadline"),
            oncegate::GivenUp::Budget(spent) => Self {
                reason: "budget",
                budget: Some(spent.budget().to_owned()),
                refills_in: spent.refills_in().map(seconds),
            },
            // Whatever a later engine finds is a refusal, too.
            _ => plain("refused"),
        }
    }
}

#[pymethods]
impl GivenUp {
    fn __repr__(&self) -> String {
        format!("GivenUp({:?})", self.reason)
    }
}

#[pymethods]
impl Engine {
    /// The attempts of a call, of which there were none.
    fn call_attempts(&self, request: Asked, policy: RetryPolicy) -> Given<CallAttempts> {
        let handle = self.handle()?;
        let attempts = handle.engine.call_attempts(&request.parts().view()?, &policy.0)?;
        Ok(CallAttempts { handle, attempts: Mutex::new(attempts) })
    }
}
