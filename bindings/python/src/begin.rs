//! Begin: asking for admission, at once or with a wait.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use oncegate::BeginOptions;
use pyo3::prelude::*;
use pyo3::types::PyList;
use self_cell::self_cell;

use crate::admission::{Last, owned, told};
use crate::asking::Asking;
use crate::bell::Bell;
use crate::choice::OnLapse;
use crate::error::{Given, Refused, of_engine};
use crate::handle::{Handle, plain_options};
use crate::request::{Parts, Request};
use crate::time::{Seconds, given};

thread_local! {
    /// Outcomes are copied out of the table into memory that is kept for that.
    static BUFFER: RefCell<oncegate::Outcome> = RefCell::default();
}

type Digests<'a> = oncegate::Prepared<'a>;

self_cell!(
    struct Ready {
        owner: Arc<Parts>,
        #[covariant]
        dependent: Digests,
    }
);

/// A request whose digests are made, bound to its engine.
#[pyclass(frozen, module = "oncegate")]
pub(crate) struct Prepared {
    handle: Arc<Handle>,
    ready: Ready,
    last: Last,
}

impl Prepared {
    pub(crate) fn new(handle: Arc<Handle>, parts: Arc<Parts>) -> Given<Self> {
        let ready = Ready::try_new(parts, |parts| {
            handle.open()?.prepare(&parts.view()?).map_err(Refused::from)
        })?;
        Ok(Self { handle, ready, last: Last::default() })
    }

    /// Its parts, and that it is of `handle`.
    fn digests(&self) -> &oncegate::Prepared<'_> {
        self.ready.borrow_dependent()
    }
}

#[pymethods]
impl Prepared {
    #[getter]
    fn fingerprint<'py>(&self, py: Python<'py>) -> Bound<'py, pyo3::types::PyBytes> {
        pyo3::types::PyBytes::new(py, &self.digests().fingerprint().to_bytes())
    }

    /// Asks for admission, with the engine's options.
    fn begin(&self, py: Python<'_>) -> Given<Py<PyAny>> {
        let answer = self.last.begin(py, &self.handle, self.digests(), &plain_options())?;
        if self.handle.wait.is_zero() || !waits(py, &answer) {
            return Ok(answer);
        }
        let parts = self.ready.borrow_owner();
        wait(py, &self.handle, parts, &plain_options(), self.handle.wait)
    }

    fn __repr__(&self) -> String {
        format!("Prepared({:?})", self.digests().fingerprint())
    }
}

/// What `begin` is asked for.
pub(crate) enum Asked {
    Request(Py<Request>),
    Prepared(Py<Prepared>),
}

impl<'py> FromPyObject<'_, 'py> for Asked {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(request) = value.cast::<Request>() {
            return Ok(Self::Request(request.to_owned().unbind()));
        }
        Ok(Self::Prepared(value.cast::<Prepared>()?.to_owned().unbind()))
    }
}

impl Asked {
    pub(crate) fn parts(&self) -> Arc<Parts> {
        match self {
            Self::Request(request) => Arc::clone(&request.get().parts),
            Self::Prepared(prepared) => Arc::clone(prepared.get().ready.borrow_owner()),
        }
    }

    /// The answer of the moment.
    fn at_once(
        &self,
        py: Python<'_>,
        handle: &Arc<Handle>,
        options: &BeginOptions,
    ) -> Given<Py<PyAny>> {
        match self {
            Self::Request(request) => {
                let request = request.get().parts.view()?;
                at_once(py, handle, &handle.open()?.prepare(&request)?, options)
            }
            Self::Prepared(prepared) => {
                let prepared = prepared.get();
                prepared.last.begin(py, handle, prepared.digests(), options)
            }
        }
    }
}

/// The options of one call, but for the wait.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    pub(crate) lease_duration: Option<Seconds>,
    pub(crate) dedup_window: Option<Seconds>,
    pub(crate) on_lapse: Option<OnLapse>,
    pub(crate) run_due: bool,
}

impl Options {
    /// As the engine takes them.
    pub(crate) fn engine(self) -> Given<BeginOptions> {
        let mut options = plain_options();
        if let Some(lasts) = given("lease_duration", self.lease_duration)? {
            options = options.lease_duration(lasts);
        }
        if let Some(window) = given("dedup_window", self.dedup_window)? {
            options = options.dedup_window(window);
        }
        if let Some(OnLapse(policy)) = self.on_lapse {
            options = options.on_lapse(policy);
        }
        Ok(if self.run_due { options.run_due() } else { options })
    }
}

/// Asks for admission, and waits for the running attempt as long as the caller said.
pub(crate) fn begin(
    py: Python<'_>,
    handle: &Arc<Handle>,
    asked: &Asked,
    options: &BeginOptions,
    limit: Duration,
) -> Given<Py<PyAny>> {
    let answer = asked.at_once(py, handle, options)?;
    if limit.is_zero() || !waits(py, &answer) {
        return Ok(answer);
    }
    wait(py, handle, &asked.parts(), options, limit)
}

/// The answer of the moment.
#[inline]
pub(crate) fn at_once(
    py: Python<'_>,
    handle: &Arc<Handle>,
    prepared: &oncegate::Prepared<'_>,
    options: &BeginOptions,
) -> Given<Py<PyAny>> {
    handle.open()?;
    // Taken out, and not borrowed: what Python runs meanwhile may come here again.
    let mut buffer = BUFFER.take();
    let answer = match handle.ask(py, |engine| engine.begin_into(prepared, options, &mut buffer)) {
        Ok(admission) => told(py, handle, admission).map_err(Refused::from),
        Err(error) => Err(error.into()),
    };
    BUFFER.set(buffer);
    answer
}

/// Whether an answer may become another one by waiting.
fn waits(py: Python<'_>, answer: &Py<PyAny>) -> bool {
    let answer = answer.bind(py);
    answer.is_instance_of::<crate::admission::InProgress>()
        || answer.is_instance_of::<crate::admission::Scheduled>()
}

/// Blocks without the GIL until there is an answer, for at most `limit`; signals are heard.
fn wait(
    py: Python<'_>,
    handle: &Arc<Handle>,
    parts: &Arc<Parts>,
    options: &BeginOptions,
    limit: Duration,
) -> Given<Py<PyAny>> {
    let os = |error: std::io::Error| Refused::Raised(error.into());
    let bell = Bell::new().map_err(os)?;
    let waker = Waker::from(Arc::clone(&bell));
    let give_up = handle.clock.now().saturating_add(limit);
    let mut asking = Asking::new(handle, parts, options, true)?;
    loop {
        handle.open()?;
        bell.answer();
        if let Some(answer) = asking.poll(py, &waker)? {
            return Ok(answer);
        }
        let left = give_up.saturating_sub(handle.clock.now());
        if left.is_zero() {
            // Whoever is woken from now on is somebody else.
            drop(asking);
            return at_once(py, handle, &handle.open()?.prepare(&parts.view()?)?, options);
        }
        let left = asking.looks_again_in().map_or(left, |again| left.min(again)).min(SLICE);
        py.detach(|| bell.wait(left)).map_err(os)?;
        py.check_signals()?;
    }
}

/// Asks for many at once: the answers, or what is wrong with a request, in their order.
pub(crate) fn begin_batch<'py>(
    py: Python<'py>,
    handle: &Arc<Handle>,
    asked: &[Asked],
    options: &BeginOptions,
) -> Given<Bound<'py, PyList>> {
    let engine = handle.open()?;
    let parts: Vec<Option<Arc<Parts>>> = asked
        .iter()
        .map(|asked| matches!(asked, Asked::Request(_)).then(|| asked.parts()))
        .collect();
    let mut answers: Vec<Option<Py<PyAny>>> = Vec::new();
    answers.resize_with(asked.len(), || None);
    let (mut batch, mut places) = (Vec::with_capacity(asked.len()), Vec::new());
    for (at, (asked, parts)) in asked.iter().zip(&parts).enumerate() {
        let digests = match (asked, parts) {
            (Asked::Prepared(prepared), _) => Ok(*prepared.get().digests()),
            (_, Some(parts)) => parts.view().and_then(|request| engine.prepare(&request)),
            (Asked::Request(_), None) => continue,
        };
        match digests {
            Ok(digests) => {
                batch.push(digests);
                places.push(at);
            }
            Err(error) => answers[at] = Some(of_engine(py, &error).into_value(py).into_any()),
        }
    }
    let mut raised = None;
    let mut tell = |at: usize, told: PyResult<Py<PyAny>>| match told {
        Ok(told) => answers[places[at]] = Some(told),
        Err(error) => raised = Some(error),
    };
    let of_error = |error| Ok(of_engine(py, &error).into_value(py).into_any());
    let mut buffer = BUFFER.take();
    if handle.has_tier {
        let mut found = Vec::with_capacity(batch.len());
        py.detach(|| {
            engine.begin_batch(&batch, options, &mut buffer, |at, answer| {
                found.push((at, answer.map(owned)));
            });
        });
        for (at, answer) in found {
            tell(at, answer.map_or_else(of_error, |admission| told(py, handle, admission)));
        }
    } else {
        engine.begin_batch(&batch, options, &mut buffer, |at, answer| {
            tell(at, answer.map_or_else(of_error, |admission| told(py, handle, admission)));
        });
    }
    BUFFER.set(buffer);
    raised.map_or(Ok(()), Err)?;
    Ok(PyList::new(py, answers)?)
}

/// How long a wait goes without a look at signals, which may have come to another thread.
const SLICE: Duration = Duration::from_secs(1);
