//! Errors: the engine's, as exceptions of `oncegate._errors`.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// What a call of this module gives.
pub(crate) type Given<T> = Result<T, Refused>;

/// Why a call gave nothing.
pub(crate) enum Refused {
    /// The engine refused.
    Engine(oncegate::Error),
    /// An argument breaks a rule of this module's: the field, what was found, the limit.
    Input(&'static str, String, &'static str),
    /// The engine was closed.
    Closed,
    /// What belongs to a parent was used in its child: the field.
    Forked(&'static str),
    /// Whatever Python raised.
    Raised(PyErr),
}

impl From<oncegate::Error> for Refused {
    fn from(error: oncegate::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<PyErr> for Refused {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

impl From<Refused> for PyErr {
    #[cold]
    fn from(refused: Refused) -> Self {
        Python::attach(|py| match refused {
            Refused::Engine(error) => of_engine(py, &error),
            Refused::Input(field, found, limit) => {
                let text = format!("{field}: refused; found {found}; limit: {limit}");
                made(py, "InvalidOption", &text, 6, field, None, false)
            }
            Refused::Forked(field) => {
                let text = format!("{field}: it belongs to the parent of this fork");
                made(py, "Forked", &text, 10, field, None, false)
            }
            Refused::Closed => match call(py, "closed", ()) {
                Ok(error) => PyErr::from_value(error),
                Err(error) => error,
            },
            Refused::Raised(error) => error,
        })
    }
}

/// The exception for an error of the engine.
pub(crate) fn of_engine(py: Python<'_>, error: &oncegate::Error) -> PyErr {
    let code = error.code();
    let after = error.retry_after().map(|after| after.as_secs_f64());
    let text = error.to_string();
    made(py, code.name(), &text, code.number(), error.field(), after, error.is_retriable())
}

fn made(
    py: Python<'_>,
    name: &str,
    text: &str,
    number: u16,
    field: &str,
    after: Option<f64>,
    retriable: bool,
) -> PyErr {
    match call(py, "raised", (name, text, number, field, after, retriable)) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

fn call<'py>(
    py: Python<'py>,
    function: &str,
    arguments: impl pyo3::call::PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    py.import("oncegate._errors")?.getattr(function)?.call1(arguments)
}

/// Seconds, as Python has them.
pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// The class `datetime.timedelta`.
pub(crate) fn timedelta(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "datetime", "timedelta")
}

/// The class `datetime.datetime`.
pub(crate) fn datetime(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "datetime", "datetime")
}
