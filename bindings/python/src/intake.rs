//! Intake: how the middlewares for HTTP begin and end attempts, with no objects in between.

use std::borrow::Cow;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyList, PyString, PyTuple};

use crate::admission::Replayed;
use crate::begin::{Options, at_once};
use crate::choice::OnLapse;
use crate::engine::Engine;
use crate::error::Given;
use crate::handle::Handle;
use crate::lease::Lease;
use crate::request::{Payload, Scope};
use crate::time::Seconds;

/// An engine, as one middleware asks it.
#[pyclass(frozen, module = "oncegate._core")]
pub(crate) struct Intake {
    handle: Arc<Handle>,
    options: Options,
    /// The headers that replays repeat, in lower case.
    names: Box<[(Box<str>, Py<PyBytes>)]>,
}

/// What the headers of a response say.
#[pyclass(frozen, module = "oncegate._core")]
pub(crate) struct ResponseHead {
    /// Which name of the intake's, and the value.
    kept: Box<[(usize, Py<PyBytes>)]>,
    /// How long the body is going to be.
    #[pyo3(get)]
    length: Option<i64>,
    #[pyo3(get)]
    is_events: bool,
}

#[pymethods]
impl Intake {
    #[new]
    #[pyo3(signature = (
        engine, keep_headers, *, lease_duration = None, dedup_window = None, on_lapse = None
    ))]
    fn new(
        py: Python<'_>,
        engine: &Bound<'_, Engine>,
        keep_headers: Vec<String>,
        lease_duration: Option<Seconds>,
        dedup_window: Option<Seconds>,
        on_lapse: Option<OnLapse>,
    ) -> Self {
        let names = keep_headers.into_iter().map(|name| {
            let wire = PyBytes::new(py, name.as_bytes()).unbind();
            (name.into_boxed_str(), wire)
        });
        Self {
            handle: engine.get().shared(),
            options: Options { lease_duration, dedup_window, on_lapse, run_due: false },
            names: names.collect(),
        }
    }

    /// Asks for admission without a wait. Without a key, the payload stands in for it.
    #[pyo3(signature = (scope, operation, key, payload, /))]
    fn begin(
        &self,
        py: Python<'_>,
        scope: &Bound<'_, PyAny>,
        operation: &Bound<'_, PyAny>,
        key: Option<&Bound<'_, PyBytes>>,
        payload: Option<&Bound<'_, Payload>>,
    ) -> Given<Py<PyAny>> {
        let name;
        let scope = match scope.cast::<Scope>() {
            Ok(scope) => scope.get().view()?,
            Err(_) => {
                name = bytes_of(scope)?;
                oncegate::Scope::new(&name)?
            }
        };
        let operation = String::from_utf8(bytes_of(operation)?.into()).map_err(PyErr::from)?;
        let payload = payload.map_or(oncegate::Payload::none(), |payload| payload.get().view());
        let request = match key {
            Some(key) => {
                oncegate::Request::new(scope, &operation, key.as_bytes())?.payload(payload)
            }
            None => oncegate::Request::by_payload(scope, &operation, payload)?,
        };
        let prepared = self.handle.open()?.prepare(&request)?;
        at_once(py, &self.handle, &prepared, &self.options.engine()?)
    }

    /// Reads the headers of a response.
    #[pyo3(signature = (headers, /))]
    fn read_head(&self, headers: &Bound<'_, PyList>) -> PyResult<ResponseHead> {
        let (mut kept, mut length, mut is_events) = (Vec::new(), None, false);
        for pair in headers.iter() {
            let (name, value) = pair_of(&pair)?;
            let found = name.as_bytes();
            let is_kept = |(known, _): &(Box<str>, _)| found.eq_ignore_ascii_case(known.as_bytes());
            if let Some(at) = self.names.iter().position(is_kept) {
                if found.eq_ignore_ascii_case(b"content-type") {
                    is_events |= names_events(value.as_bytes());
                }
                kept.push((at, value.unbind()));
            } else if found.eq_ignore_ascii_case(b"content-length") {
                length = Some(number(&value)?);
            }
        }
        Ok(ResponseHead { kept: kept.into(), length, is_events })
    }

    /// Ends an attempt with a response. One whose headers are too long, or no text, is not kept.
    #[pyo3(signature = (lease, status, body, head, /))]
    fn complete(
        &self,
        py: Python<'_>,
        lease: &Bound<'_, Lease>,
        status: u16,
        body: &Bound<'_, PyBytes>,
        head: &Bound<'_, ResponseHead>,
    ) -> Given<&'static str> {
        let lease = lease.get();
        let outcome = self
            .outcome(py, status, body.as_bytes(), head.get())
            .unwrap_or_else(|| oncegate::Outcome::withheld(status));
        lease.finish(py, &outcome)
    }

    /// The headers of a replay, by the same names: what was stored may come from elsewhere.
    #[pyo3(signature = (replayed, /))]
    fn headers<'py>(
        &self,
        py: Python<'py>,
        replayed: &Bound<'_, Replayed>,
    ) -> PyResult<Bound<'py, PyList>> {
        let headers = PyList::empty(py);
        for (name, value) in replayed.get().metadata.iter() {
            if let Some((_, wire)) = self.names.iter().find(|(known, _)| known == name) {
                headers.append((wire, PyBytes::new(py, value.as_bytes())))?;
            }
        }
        Ok(headers)
    }
}

impl Intake {
    fn outcome(
        &self,
        py: Python<'_>,
        status: u16,
        body: &[u8],
        head: &ResponseHead,
    ) -> Option<oncegate::Outcome> {
        let mut outcome = oncegate::Outcome::new(status, body);
        for (at, value) in &head.kept {
            let value = std::str::from_utf8(value.as_bytes(py)).ok()?;
            outcome = outcome.with_metadata(&self.names[*at].0, value).ok()?;
        }
        Some(outcome)
    }
}

/// A `str`, as its UTF-8, or `bytes`.
fn bytes_of<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Cow::Borrowed(bytes.as_bytes()));
    }
    Ok(match value.cast::<PyString>()?.to_cow()? {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

/// A header, whatever its name and value come in.
fn pair_of<'py>(pair: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    if pair.is_exact_instance_of::<PyTuple>() {
        return pair.extract();
    }
    let parts: Vec<_> = pair.try_iter()?.collect::<PyResult<_>>()?;
    PyTuple::new(pair.py(), parts)?.extract()
}

/// What Python takes for a number.
fn number(value: &Bound<'_, PyBytes>) -> PyResult<i64> {
    let plain = std::str::from_utf8(value.as_bytes()).ok().and_then(|text| text.parse().ok());
    plain.map_or_else(|| value.py().get_type::<PyInt>().call1((value,))?.extract(), Ok)
}

/// Whether a type is that of an event stream.
fn names_events(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}
