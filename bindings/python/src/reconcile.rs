//! Reconciling: the caller is asked about records that nobody knows the effect of.
//!
//! The engine asks a function of this module's, in whichever thread looks after what is due. That
//! one knows nothing yet: it notes the question. A call of `reconcile` takes the questions, asks
//! Python, and settles the records. So the engine holds nothing of Python's, and no thread of its
//! own ever waits for the GIL.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use oncegate::{DoubtId, Reconciled, Resolution};
use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::engine::Engine;
use crate::error::{Given, Refused};
use crate::forks::forks;
use crate::handle::Handle;
use crate::outcome::{AnyOutcome, Outcome};
use crate::request::Request;

/// A record of which nobody knows whether its last attempt took effect.
#[pyclass(frozen, module = "oncegate")]
pub(crate) struct Doubt {
    #[pyo3(get)]
    operation: String,
    #[pyo3(get)]
    context: Py<PyBytes>,
    #[pyo3(get)]
    attempt: u32,
    #[pyo3(get)]
    fencing_token: u64,
}

/// What one call of `reconcile` did.
#[pyclass(frozen, module = "oncegate")]
pub(crate) struct Reconciliation {
    /// Records that the hook was asked about.
    #[pyo3(get)]
    asked: usize,
    /// Those that are not in doubt any more.
    #[pyo3(get)]
    resolved: usize,
    /// Those whose hook raised.
    #[pyo3(get)]
    raised: usize,
}

#[pymethods]
impl Doubt {
    #[classattr]
    #[pyo3(name = "__match_args__")]
    fn match_args() -> (&'static str, &'static str, &'static str, &'static str) {
        ("operation", "context", "attempt", "fencing_token")
    }

    fn __repr__(&self) -> String {
        let Self { operation, attempt, fencing_token, .. } = self;
        format!("Doubt({operation:?}, attempt={attempt}, fencing_token={fencing_token})")
    }
}

/// Makes answers that bring an outcome.
macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[pyclass(frozen, module = "oncegate")]
            pub(crate) struct $name(oncegate::Outcome);

            #[pymethods]
            impl $name {
                #[new]
                fn new(outcome: AnyOutcome) -> Self {
                    Self(outcome.0)
                }

                #[getter]
                fn outcome(&self) -> Outcome {
                    Outcome(self.0.clone())
                }

                #[classattr]
                #[pyo3(name = "__match_args__")]
                fn match_args() -> (&'static str,) {
                    ("outcome",)
                }

                fn __repr__(&self) -> String {
                    format!("{}({})", stringify!($name), Outcome::described(&self.0))
                }
            }
        )*
    };
}

answers! {
    /// It took effect: duplicates get the outcome.
    Succeeded;
    /// It failed for good: duplicates get the outcome.
    Failed;
}

#[pymethods]
impl Reconciliation {
    fn __repr__(&self) -> String {
        let Self { asked, resolved, raised } = self;
        format!("Reconciliation(asked={asked}, resolved={resolved}, raised={raised})")
    }
}

/// What came of a record in doubt.
struct Answer(Reconciled);

impl<'py> FromPyObject<'_, 'py> for Answer {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(succeeded) = value.cast::<Succeeded>() {
            return Ok(Self(Reconciled::Succeeded(succeeded.get().0.clone())));
        }
        if let Ok(failed) = value.cast::<Failed>() {
            return Ok(Self(Reconciled::Failed(failed.get().0.clone())));
        }
        if value.is_none() {
            return Ok(Self(Reconciled::StillUnknown));
        }
        let word = value.cast::<PyString>().ok();
        match word.map(|word| word.to_string_lossy().into_owned()).as_deref() {
            Some("run_again") => Ok(Self(Reconciled::RunAgain)),
            Some("still_unknown") => Ok(Self(Reconciled::StillUnknown)),
            _ => Err(PyTypeError::new_err(
                "an answer is Succeeded(outcome), Failed(outcome), \"run_again\" or \
                 \"still_unknown\"",
            )),
        }
    }
}

#[pymethods]
impl Engine {
    /// Asks `hook` about records in doubt, at most `limit`, and does as it says.
    #[pyo3(signature = (hook, *, limit = 64))]
    fn reconcile(
        &self,
        py: Python<'_>,
        hook: &Bound<'_, PyAny>,
        limit: usize,
    ) -> Given<Reconciliation> {
        let handle = self.handle()?;
        let doubts = doubts_of(py, &handle)?;
        py.detach(|| handle.engine.reconcile(limit))?;
        let mut done = Reconciliation { asked: 0, resolved: 0, raised: 0 };
        while done.asked < limit {
            let Some(question) = doubts.kept().take() else { break };
            handle.open()?;
            let asks =
                |engine: &oncegate::Engine| engine.settle(question.doubt, Reconciled::StillUnknown);
            if handle.ask(py, asks).is_err() {
                // Somebody else has answered it since.
                continue;
            }
            done.asked += 1;
            let answer = match question.ask(py, hook) {
                Ok(Answer(answer)) => answer,
                Err(error) if error.is_instance_of::<PyException>(py) => {
                    // It is asked about again; whoever is behind it comes now.
                    error.write_unraisable(py, Some(hook));
                    done.raised += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let decides = answer != Reconciled::StillUnknown;
            let settled = handle.ask(py, |engine| engine.settle(question.doubt, answer));
            if settled.is_ok() && decides {
                done.resolved += 1;
            }
        }
        Ok(done)
    }

    /// Ends the doubt about a request.
    fn resolve(&self, py: Python<'_>, request: &Bound<'_, Request>, answer: Answer) -> Given<()> {
        let resolution = match answer.0 {
            Reconciled::Succeeded(outcome) => Resolution::Succeeded(outcome),
            Reconciled::Failed(outcome) => Resolution::Failed(outcome),
            Reconciled::RunAgain => Resolution::RunAgain,
            Reconciled::StillUnknown => {
                let found = "still_unknown".to_owned();
                return Err(Refused::Input("answer", found, "what came of it"));
            }
        };
        let request = request.get().parts.view()?;
        Ok(self.handle()?.ask(py, |engine| engine.resolve(&request, resolution))?)
    }
}

/// What the engine has asked, and nobody has taken yet.
#[derive(Default)]
pub(crate) struct Doubts(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// First come, first taken.
    questions: VecDeque<Question>,
    /// Those that are among them.
    ids: HashSet<DoubtId>,
}

struct Question {
    doubt: DoubtId,
    operation: String,
    context: Vec<u8>,
    attempt: u32,
    fencing_token: u64,
}

impl Doubts {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn note(&mut self, record: &oncegate::Unresolved<'_>) {
        // One that finds no room is asked about again.
        if self.questions.len() < MOST && self.ids.insert(record.doubt) {
            self.questions.push_back(Question {
                doubt: record.doubt,
                operation: record.operation.to_owned(),
                context: record.context.to_vec(),
                attempt: record.attempt,
                fencing_token: record.fencing_token,
            });
        }
    }

    fn take(&mut self) -> Option<Question> {
        let question = self.questions.pop_front()?;
        self.ids.remove(&question.doubt);
        Some(question)
    }
}

impl Question {
    fn ask(&self, py: Python<'_>, hook: &Bound<'_, PyAny>) -> PyResult<Answer> {
        let doubt = Doubt {
            operation: self.operation.clone(),
            context: PyBytes::new(py, &self.context).unbind(),
            attempt: self.attempt,
            fencing_token: self.fencing_token,
        };
        hook.call1((doubt,))?.extract()
    }
}

/// Those of one process: a forked child is asked anew.
pub(crate) type OwnDoubts = Mutex<Option<(u64, Arc<Doubts>)>>;

/// The questions of this process. The first call has the engine ask from now on, and looks for what
/// was in doubt before. Their lock is held by threads that have the GIL alone, so that no fork
/// comes in between.
fn doubts_of(py: Python<'_>, handle: &Arc<Handle>) -> Given<Arc<Doubts>> {
    let mut own = handle.doubts.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((born, doubts)) = &*own
        && *born == forks()
    {
        return Ok(Arc::clone(doubts));
    }
    let (born, doubts) = (forks(), Arc::new(Doubts::default()));
    // The engine lives as long as its function, and holds nothing that holds the engine.
    let asked: Weak<Doubts> = Arc::downgrade(&doubts);
    handle.engine.set_reconciler(move |record| {
        // In a child the parent's questions are not looked at: a thread of the parent's may have
        // been changing them.
        if born == forks()
            && let Some(doubts) = asked.upgrade()
        {
            doubts.kept().note(record);
        }
        Reconciled::StillUnknown
    })?;
    std::mem::forget(own.replace((born, Arc::clone(&doubts))));
    drop(own);
    py.detach(|| handle.engine.sweep(usize::MAX))?;
    Ok(doubts)
}

/// Questions that are kept in mind: as many as the engine keeps.
const MOST: usize = 1_024;
