//! Hints: what a service said about retrying.

use std::time::{Duration, SystemTime};

use oncegate::Hint;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::error::{Given, Refused};
use crate::time::Seconds;

/// When to come again: a duration, or the value of the header `Retry-After`.
pub(crate) enum AnyAfter {
    Duration(Seconds),
    Header(String),
}

impl<'py> FromPyObject<'_, 'py> for AnyAfter {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(header) = value.cast::<PyString>() {
            return Ok(Self::Header(header.to_cow()?.into_owned()));
        }
        Ok(Self::Duration(value.extract()?))
    }
}

/// What was said. A header that is neither seconds nor a date says nothing.
pub(crate) fn hint(after: Option<AnyAfter>, refused: bool) -> Given<Option<Hint>> {
    match (after, refused) {
        (None, false) => Ok(None),
        (None, true) => Ok(Some(Hint::Refused)),
        (Some(_), true) => {
            let found = "a value, and refused=True".to_owned();
            Err(Refused::Input("retry_after", found, "one of both"))
        }
        (Some(AnyAfter::Duration(after)), false) => Ok(Some(Hint::After(after.of("retry_after")?))),
        (Some(AnyAfter::Header(value)), false) => Ok(Hint::retry_after(value, unix_time())),
    }
}

fn unix_time() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}
