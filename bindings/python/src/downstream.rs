//! Downstream: what an attempt tells the services that it calls.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::Given;
use crate::lease::Lease;

#[pymethods]
impl Lease {
    /// An idempotency key for a call to `service`, the same in every attempt.
    #[pyo3(signature = (service, step = None))]
    fn downstream_key(&self, service: &str, step: Option<&str>) -> Given<String> {
        let engine = self.own()?;
        let key = match step {
            None => engine.downstream_key(&self.token, service)?,
            Some(step) => engine.step_key(&self.token, service, step)?,
        };
        Ok(key.as_str().to_owned())
    }

    /// The headers of a call to `service`.
    fn headers<'py>(&self, py: Python<'py>, service: &str) -> Given<Bound<'py, PyDict>> {
        let headers = self.own()?.attempt_headers(&self.token, service)?;
        let told = PyDict::new(py);
        for (name, value) in headers.iter() {
            told.set_item(name, value)?;
        }
        Ok(told)
    }
}
