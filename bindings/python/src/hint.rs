//! Hints: what a service said about retrying.

use std::time::Duration;

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

/// What was said. A date in a header says how long that is when it is read, by a clock.
#[derive(Clone)]
pub(crate) enum Said {
    Nothing,
    Refused,
    After(Duration),
    Header(String),
}

impl Said {
    pub(crate) fn of(after: Option<AnyAfter>, refused: bool) -> Given<Self> {
        match (after, refused) {
            (None, false) => Ok(Self::Nothing),
            (None, true) => Ok(Self::Refused),
            (Some(_), true) => {
                let found = "a value, and refused=True".to_owned();
                Err(Refused::Input("retry_after", found, "one of both"))
            }
            (Some(AnyAfter::Duration(after)), false) => Ok(Self::After(after.of("retry_after")?)),
            (Some(AnyAfter::Header(value)), false) => Ok(Self::Header(value)),
        }
    }

    /// As the engine takes it. A header that is neither seconds nor a date says nothing.
    /// `unix_time` is the wall time since 1970.
    pub(crate) fn hint(&self, unix_time: impl FnOnce() -> Duration) -> Option<Hint> {
        match self {
            Self::Nothing => None,
            Self::Refused => Some(Hint::Refused),
            Self::After(after) => Some(Hint::After(*after)),
            Self::Header(value) => Hint::retry_after(value, unix_time()),
        }
    }
}
