//! A clock that moves when it is told to, for tests.

use pyo3::prelude::*;

use crate::error::Given;
use crate::time::Seconds;

/// A clock that moves when it is told to, for tests.
#[pyclass(frozen, module = "oncegate", from_py_object)]
#[derive(Clone)]
pub(crate) struct ManualClock(pub(crate) oncegate::ManualClock);

#[pymethods]
impl ManualClock {
    #[new]
    fn new() -> Self {
        Self(oncegate::ManualClock::new())
    }

    /// Wakes whoever waits for a time that has come.
    fn advance(&self, step: Seconds) -> Given<()> {
        self.0.advance(step.of("step")?);
        Ok(())
    }

    /// Seconds since it was made.
    fn now(&self) -> f64 {
        oncegate::Clock::now(&self.0).as_secs_f64()
    }
}
