//! Outcomes: what a run leaves for its duplicates.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::Given;

/// What a run leaves for its duplicates: a status, bytes, and metadata.
#[pyclass(frozen, eq, module = "oncegate", from_py_object)]
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Outcome(pub(crate) oncegate::Outcome);

#[pymethods]
impl Outcome {
    #[new]
    #[pyo3(signature = (status = 200, body = None, metadata = None))]
    fn new(
        status: u16,
        body: Option<&Bound<'_, PyBytes>>,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> Given<Self> {
        let body = body.map_or(&b""[..], |body| body.as_bytes());
        let mut outcome = oncegate::Outcome::new(status, body);
        if let Some(metadata) = metadata {
            for (name, value) in pairs(metadata)? {
                outcome = outcome.with_metadata(&name, &value)?;
            }
        }
        Ok(Self(outcome))
    }

    /// One whose bytes are not kept: duplicates get `OutcomeGone`.
    #[staticmethod]
    fn withheld(status: u16) -> Self {
        Self(oncegate::Outcome::withheld(status))
    }

    #[getter]
    fn status(&self) -> u16 {
        self.0.status()
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.body())
    }

    #[getter]
    fn metadata(&self) -> Vec<(String, String)> {
        self.0.metadata().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[classattr]
    #[pyo3(name = "__match_args__")]
    fn match_args() -> (&'static str, &'static str) {
        ("status", "body")
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, OutcomeParts<'py>)> {
        let own = slf.get();
        let parts = (own.status(), own.body(slf.py()), own.metadata());
        Ok((slf.get_type().into_any(), parts))
    }

    fn __repr__(&self) -> String {
        Self::described(&self.0)
    }
}

impl Outcome {
    /// Without what is in it.
    pub(crate) fn described(outcome: &oncegate::Outcome) -> String {
        format!("Outcome({}, <{} bytes>)", outcome.status(), outcome.body().len())
    }
}

type OutcomeParts<'py> = (u16, Bound<'py, PyBytes>, Vec<(String, String)>);

/// The pairs of a mapping, or of an iterable of them.
fn pairs(metadata: &Bound<'_, PyAny>) -> PyResult<Vec<(String, String)>> {
    let has_items = metadata.hasattr("items")?;
    let items = if has_items { metadata.call_method0("items")? } else { metadata.clone() };
    items.try_iter()?.map(|pair| pair?.extract()).collect()
}

/// An outcome, or bytes with the status 200.
pub(crate) struct AnyOutcome(pub(crate) oncegate::Outcome);

impl<'py> FromPyObject<'_, 'py> for AnyOutcome {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(outcome) = value.cast::<Outcome>() {
            return Ok(Self(outcome.get().0.clone()));
        }
        Ok(Self(oncegate::Outcome::new(200, value.cast::<PyBytes>()?.as_bytes())))
    }
}
