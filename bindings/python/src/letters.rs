//! Dead letters: records that failed for good, kept until somebody redrives or discards them.

use std::time::Duration;

use oncegate::{LetterFilter, LetterId};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use crate::choice::Reason;
use crate::engine::Engine;
use crate::error::{Given, Refused, seconds};
use crate::time::UnixTime;

/// A record that failed for good.
#[pyclass(frozen, module = "oncegate")]
pub(crate) struct DeadLetter {
    #[pyo3(get)]
    id: String,
    #[pyo3(get)]
    operation: String,
    #[pyo3(get)]
    context: Py<PyBytes>,
    #[pyo3(get)]
    reason: &'static str,
    /// Seconds since 1970.
    #[pyo3(get)]
    buried: f64,
    #[pyo3(get)]
    attempts: u32,
    #[pyo3(get)]
    history: Py<PyTuple>,
    #[pyo3(get)]
    left_out: u32,
    #[pyo3(get)]
    steps: Py<PyTuple>,
}

/// What became of one attempt of a record.
#[pyclass(frozen, module = "oncegate")]
pub(crate) struct PastAttempt {
    #[pyo3(get)]
    attempt: u32,
    #[pyo3(get)]
    end: &'static str,
    #[pyo3(get)]
    error_class: String,
    #[pyo3(get)]
    fencing_token: u64,
    #[pyo3(get)]
    process: u8,
    /// Seconds since 1970; none: it was not handed out to a worker of that process.
    #[pyo3(get)]
    began: Option<f64>,
    #[pyo3(get)]
    ended: f64,
}

/// Some dead letters, and where the next ones begin.
#[pyclass(frozen, module = "oncegate")]
pub(crate) struct LetterPage {
    #[pyo3(get)]
    letters: Py<PyTuple>,
    /// None: there are no more.
    #[pyo3(get)]
    next: Option<String>,
}

impl DeadLetter {
    fn of(py: Python<'_>, letter: oncegate::DeadLetter) -> PyResult<Self> {
        let context = PyBytes::new(py, letter.context()).unbind();
        let history = letter.history.into_iter().map(PastAttempt::of);
        Ok(Self {
            id: letter.id.to_string(),
            operation: letter.operation,
            context,
            reason: letter.reason.name(),
            buried: seconds(letter.buried),
            attempts: letter.attempts,
            history: PyTuple::new(py, history.collect::<Vec<_>>())?.unbind(),
            left_out: letter.left_out,
            steps: PyTuple::new(py, letter.steps)?.unbind(),
        })
    }
}

impl PastAttempt {
    fn of(past: oncegate::PastAttempt) -> Self {
        Self {
            attempt: past.attempt,
            end: past.end.name(),
            error_class: past.class,
            fencing_token: past.fencing_token,
            process: past.process,
            began: past.began.map(seconds),
            ended: seconds(past.ended),
        }
    }
}

#[pymethods]
impl DeadLetter {
    fn __repr__(&self) -> String {
        let Self { id, operation, reason, attempts, .. } = self;
        format!("DeadLetter({id:?}, {operation:?}, reason={reason:?}, attempts={attempts})")
    }
}

#[pymethods]
impl PastAttempt {
    fn __repr__(&self) -> String {
        let Self { attempt, end, error_class, .. } = self;
        format!("PastAttempt({attempt}, {end:?}, error_class={error_class:?})")
    }
}

#[pymethods]
impl LetterPage {
    fn __len__(&self, py: Python<'_>) -> usize {
        self.letters.bind(py).len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.letters.bind(py).try_iter()?.into_any())
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!("LetterPage(<{} letters>, next={:?})", self.__len__(py), self.next)
    }
}

#[pymethods]
impl Engine {
    /// Lists dead letters, in the order of their places in the table.
    #[pyo3(signature = (
        *, operation = None, reason = None, error_class = None, since = None, until = None,
        after = None, limit = 100
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option that Python names")]
    fn dead_letters(
        &self,
        py: Python<'_>,
        operation: Option<&str>,
        reason: Option<Reason>,
        error_class: Option<&str>,
        since: Option<UnixTime>,
        until: Option<UnixTime>,
        after: Option<AnyLetter>,
        limit: usize,
    ) -> Given<LetterPage> {
        let filter = filter(operation, reason, error_class, since, until)?;
        let after = after.map(|after| after.0);
        let engine = self.open()?;
        let page = py.detach(|| engine.dead_letters(&filter, after, limit))?;
        let letters = page.letters.into_iter().map(|letter| DeadLetter::of(py, letter));
        let letters = letters.collect::<PyResult<Vec<_>>>()?;
        let letters = PyTuple::new(py, letters)?.unbind();
        Ok(LetterPage { letters, next: page.next.map(|id| id.to_string()) })
    }

    /// One dead letter.
    fn dead_letter(&self, py: Python<'_>, letter: AnyLetter) -> Given<DeadLetter> {
        let letter = self.open()?.dead_letter(letter.0)?;
        Ok(DeadLetter::of(py, letter)?)
    }

    /// Lets a dead letter run again, at once.
    fn redrive(&self, py: Python<'_>, letter: AnyLetter) -> Given<()> {
        Ok(self.handle()?.ask(py, |engine| engine.redrive(letter.0))?)
    }

    /// Gives a dead letter up.
    fn discard(&self, letter: AnyLetter) -> Given<()> {
        Ok(self.open()?.discard(letter.0)?)
    }

    /// Lets all run again that the filter lets through; how many there were.
    #[pyo3(signature = (
        *, operation = None, reason = None, error_class = None, since = None, until = None,
        limit = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option that Python names")]
    fn redrive_all(
        &self,
        py: Python<'_>,
        operation: Option<&str>,
        reason: Option<Reason>,
        error_class: Option<&str>,
        since: Option<UnixTime>,
        until: Option<UnixTime>,
        limit: Option<usize>,
    ) -> Given<usize> {
        let filter = filter(operation, reason, error_class, since, until)?;
        let engine = self.open()?;
        Ok(py.detach(|| engine.redrive_all(&filter, limit.unwrap_or(usize::MAX)))?)
    }

    /// Gives all up that the filter lets through; how many there were.
    #[pyo3(signature = (
        *, operation = None, reason = None, error_class = None, since = None, until = None,
        limit = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option that Python names")]
    fn discard_all(
        &self,
        py: Python<'_>,
        operation: Option<&str>,
        reason: Option<Reason>,
        error_class: Option<&str>,
        since: Option<UnixTime>,
        until: Option<UnixTime>,
        limit: Option<usize>,
    ) -> Given<usize> {
        let filter = filter(operation, reason, error_class, since, until)?;
        let engine = self.open()?;
        Ok(py.detach(|| engine.discard_all(&filter, limit.unwrap_or(usize::MAX)))?)
    }
}

/// A dead letter, or its name.
struct AnyLetter(LetterId);

impl<'py> FromPyObject<'_, 'py> for AnyLetter {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let parsed = match value.cast::<DeadLetter>() {
            Ok(letter) => letter.get().id.parse(),
            Err(_) => value.cast::<PyString>()?.to_cow()?.parse(),
        };
        Ok(Self(parsed.map_err(Refused::from)?))
    }
}

fn filter(
    operation: Option<&str>,
    reason: Option<Reason>,
    error_class: Option<&str>,
    since: Option<UnixTime>,
    until: Option<UnixTime>,
) -> Given<LetterFilter> {
    let mut filter = LetterFilter::all();
    if let Some(operation) = operation {
        filter = filter.operation(operation);
    }
    if let Some(Reason(reason)) = reason {
        filter = filter.reason(reason);
    }
    if let Some(class) = error_class {
        filter = filter.class(class);
    }
    let read = |field, time: Option<UnixTime>| -> Given<Option<Duration>> {
        time.map(|time| time.0.of(field)).transpose()
    };
    if let Some(time) = read("since", since)? {
        filter = filter.since(time);
    }
    if let Some(time) = read("until", until)? {
        filter = filter.until(time);
    }
    Ok(filter)
}
