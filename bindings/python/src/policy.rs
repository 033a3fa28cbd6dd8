//! Retry policies: when the next attempt may start, and whether there is one.

use pyo3::prelude::*;

/// When the next attempt may start, and whether there is one.
#[pyclass(frozen, module = "oncegate", from_py_object)]
#[derive(Clone)]
pub(crate) struct RetryPolicy(pub(crate) oncegate::RetryPolicy);
