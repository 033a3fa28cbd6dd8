//! Steps: parts of an attempt whose results stay in the record, for later attempts.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::Given;
use crate::lease::Lease;

#[pymethods]
impl Lease {
    /// What a finished step left; none: it is not finished.
    fn finished_step<'py>(
        &self,
        py: Python<'py>,
        name: &str,
    ) -> Given<Option<Bound<'py, PyBytes>>> {
        let result = self.own()?.finished_step(&self.token, name)?;
        Ok(result.map(|result| PyBytes::new(py, &result)))
    }

    /// Notes that a step is finished, and what it left.
    #[pyo3(signature = (name, result = None))]
    fn finish_step(&self, name: &str, result: Option<&Bound<'_, PyBytes>>) -> Given<()> {
        let result = result.map_or(&b""[..], |result| result.as_bytes());
        Ok(self.own()?.finish_step(&self.token, name, result)?)
    }

    /// The step that was finished last and was not undone, and what it left.
    fn last_step<'py>(&self, py: Python<'py>) -> Given<Option<(String, Bound<'py, PyBytes>)>> {
        let last = self.own()?.last_step(&self.token)?;
        Ok(last.map(|(name, result)| (name, PyBytes::new(py, &result))))
    }

    /// Notes that a step was undone.
    fn undone_step(&self, name: &str) -> Given<()> {
        Ok(self.own()?.undone_step(&self.token, name)?)
    }
}
