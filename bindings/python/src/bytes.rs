//! Bytes and texts that callers give, in memory of ours.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// A `str`, as its UTF-8, or `bytes`.
pub(crate) struct Text(pub(crate) Vec<u8>);

impl<'py> FromPyObject<'_, 'py> for Text {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = value.cast::<PyString>() {
            return Ok(Self(text.to_cow()?.as_bytes().to_vec()));
        }
        Ok(Self(value.cast::<PyBytes>()?.as_bytes().to_vec()))
    }
}
