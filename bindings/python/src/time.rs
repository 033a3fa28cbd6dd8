//! Durations: seconds as a number, or a `timedelta`.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};

use crate::error::{Given, Refused, datetime, timedelta};

/// A duration that a caller gave.
#[derive(Clone, Copy)]
pub(crate) struct Seconds(pub(crate) Result<Duration, &'static str>);

impl Seconds {
    /// The duration, or what is wrong with `field`.
    pub(crate) fn of(self, field: &'static str) -> Given<Duration> {
        self.0.map_err(|found| {
            Refused::Input(field, found.to_owned(), "seconds from 0 to some billions")
        })
    }
}

impl<'py> FromPyObject<'_, 'py> for Seconds {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        // Numbers first: to ask whether a value is a duration takes longer than to read one.
        let number = if value.is_exact_instance_of::<PyFloat>()
            || value.is_exact_instance_of::<PyInt>()
            || !value.is_instance(timedelta(value.py())?)?
        {
            value.extract::<f64>()?
        } else {
            value.call_method0("total_seconds")?.extract::<f64>()?
        };
        Ok(Self(if number.is_nan() {
            Err("no number")
        } else if number < 0.0 {
            Err("a negative number")
        } else {
            Duration::try_from_secs_f64(number).map_err(|_| "too large a number")
        }))
    }
}

/// The duration of `field`, where one was given.
pub(crate) fn given(field: &'static str, value: Option<Seconds>) -> Given<Option<Duration>> {
    value.map(|value| value.of(field)).transpose()
}

/// A time of the wall clock that a caller gave: seconds since 1970, or a `datetime`.
pub(crate) struct UnixTime(pub(crate) Seconds);

impl<'py> FromPyObject<'_, 'py> for UnixTime {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if value.is_instance(datetime(value.py())?)? {
            return Ok(Self(value.call_method0("timestamp")?.extract()?));
        }
        Ok(Self(value.extract()?))
    }
}
