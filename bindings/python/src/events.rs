//! Events: what the engine notices by itself, in a ring that the caller polls. The engine holds
//! nothing of Python's, and no thread of its own waits for the GIL.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use oncegate::{EngineBuilder, EngineEvent};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::engine::Engine;
use crate::error::{Given, seconds};
use crate::forks::forks;

/// The live records reached a level that was asked for.
#[pyclass(frozen, get_all, module = "oncegate")]
#[derive(Clone, Copy)]
pub(crate) struct FillEvent {
    /// The level, as a share of the capacity.
    level: f64,
    /// The live records, as a share of it.
    fill: f64,
}

/// A record stands in the middle of a transition for longer than any step takes.
#[pyclass(frozen, get_all, module = "oncegate")]
#[derive(Clone, Copy)]
pub(crate) struct StuckEvent {
    /// Its slot in the table.
    slot: usize,
    /// The transition, in a word.
    transition: &'static str,
    /// The process that began it, by its number in the table's registry; zero: not known.
    process: u8,
    /// Seconds, at least.
    stands: f64,
}

#[pymethods]
impl FillEvent {
    #[classattr]
    #[pyo3(name = "__match_args__")]
    fn match_args() -> (&'static str, &'static str) {
        ("level", "fill")
    }

    #[getter]
    fn name(&self) -> &'static str {
        "fill"
    }

    fn __str__(&self) -> String {
        format!("fill: {:.1} % of the capacity is live", self.fill * 100.0)
    }

    fn __repr__(&self) -> String {
        format!("FillEvent(level={}, fill={})", self.level, self.fill)
    }
}

#[pymethods]
impl StuckEvent {
    #[classattr]
    #[pyo3(name = "__match_args__")]
    fn match_args() -> (&'static str, &'static str, &'static str, &'static str) {
        ("slot", "transition", "process", "stands")
    }

    #[getter]
    fn name(&self) -> &'static str {
        "state_machine_deadlock_detected"
    }

    fn __str__(&self) -> String {
        let Self { slot, transition, process, stands } = self;
        let name = self.name();
        format!("{name}: slot {slot}: {transition} of process {process} stands for {stands:.0} s")
    }

    fn __repr__(&self) -> String {
        let Self { slot, transition, process, stands } = self;
        format!(
            "StuckEvent(slot={slot}, transition={transition:?}, process={process}, stands={stands})"
        )
    }
}

/// What was noticed since the last look.
#[pyclass(frozen, get_all, module = "oncegate")]
pub(crate) struct Events {
    /// The oldest first.
    events: Py<PyTuple>,
    /// How many went before anybody looked.
    lost: u64,
}

#[pymethods]
impl Events {
    fn __len__(&self, py: Python<'_>) -> usize {
        self.events.bind(py).len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.events.bind(py).try_iter()?.into_any())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Events({}, lost={})", self.events.bind(py).repr()?, self.lost))
    }
}

#[pymethods]
impl Engine {
    /// Takes the oldest `most` events.
    #[pyo3(signature = (most = None))]
    fn events(&self, py: Python<'_>, most: Option<usize>) -> Given<Events> {
        let (taken, lost) = self.handle()?.events.take(most.unwrap_or(usize::MAX));
        let events: Vec<Py<PyAny>> = taken
            .into_iter()
            .map(|event| match event {
                Event::Fill(event) => Ok(Py::new(py, event)?.into_any()),
                Event::Stuck(event) => Ok(Py::new(py, event)?.into_any()),
            })
            .collect::<PyResult<_>>()?;
        let events = PyTuple::new(py, events)?;
        Ok(Events { events: events.unbind(), lost })
    }
}

#[derive(Clone, Copy)]
enum Event {
    Fill(FillEvent),
    Stuck(StuckEvent),
}

/// The last events of a process, and how many went before they were read. A forked child has its
/// own: a thread of the parent's may have left the parent's locked.
pub(crate) struct Ring {
    born: u64,
    kept: Mutex<Kept>,
    /// The child's.
    next: OnceLock<Box<Ring>>,
}

struct Kept {
    events: VecDeque<Event>,
    lost: u64,
}

impl Default for Ring {
    fn default() -> Self {
        // It never grows: so its memory is sound in a child, whatever a thread was doing.
        let kept = Kept { events: VecDeque::with_capacity(CAPACITY), lost: 0 };
        Self { born: forks(), kept: Mutex::new(kept), next: OnceLock::new() }
    }
}

impl Ring {
    fn own(&self) -> MutexGuard<'_, Kept> {
        let mut at = self;
        while at.born != forks() {
            at = at.next.get_or_init(Box::default);
        }
        at.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, event: Event) {
        let mut kept = self.own();
        if kept.events.len() == CAPACITY {
            kept.events.pop_front();
            kept.lost += 1;
        }
        kept.events.push_back(event);
    }

    fn note(&self, noticed: &EngineEvent) {
        // What a later engine notices has no class here yet.
        if let EngineEvent::StateMachineDeadlockDetected { slot, transition, process, stands } =
            noticed
        {
            let (transition, stands) = (transition.name(), seconds(*stands));
            let event = StuckEvent { slot: *slot, transition, process: *process, stands };
            self.push(Event::Stuck(event));
        }
    }

    /// Takes the oldest, and the count of those that were lost since it was last told.
    fn take(&self, most: usize) -> (Vec<Event>, u64) {
        let mut kept = self.own();
        let count = most.min(kept.events.len());
        let lost = std::mem::take(&mut kept.lost);
        (kept.events.drain(..count).collect(), lost)
    }
}

/// Has the engine tell what it notices.
pub(crate) fn noticed(
    builder: EngineBuilder,
    levels: Option<&[f64]>,
) -> (EngineBuilder, Arc<Ring>) {
    let ring = Arc::new(Ring::default());
    let (fills, others) = (Arc::clone(&ring), Arc::clone(&ring));
    let builder = builder.on_event(move |event| others.note(event));
    let builder = match levels {
        Some(levels) => builder.on_fill(levels, move |event| {
            fills.push(Event::Fill(FillEvent { level: event.level(), fill: event.fill() }));
        }),
        None => builder,
    };
    (builder, ring)
}

/// More than anything that is worth an event does at once.
const CAPACITY: usize = 256;
