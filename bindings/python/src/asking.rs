//! Asking: a request that waits for the running attempt, as a future with its request in it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use oncegate::{BeginOptions, Join};
use pyo3::prelude::*;
use self_cell::self_cell;

use crate::admission::told;
use crate::error::Given;
use crate::handle::Handle;
use crate::request::Parts;

/// What is asked of which engine.
struct Asked {
    handle: Arc<Handle>,
    parts: Arc<Parts>,
}

type Joining<'a> = Join<'a, 'a>;

self_cell!(
    struct Cell {
        owner: Asked,
        #[not_covariant]
        dependent: Joining,
    }
);

/// A request that is asked for until it has an answer.
pub(crate) struct Asking(Cell);

impl Asking {
    /// `joins`: it waits for a running attempt; else the first answer is the answer.
    pub(crate) fn new(
        handle: &Arc<Handle>,
        parts: &Arc<Parts>,
        options: &BeginOptions,
        joins: bool,
    ) -> Given<Self> {
        let asked = Asked { handle: Arc::clone(handle), parts: Arc::clone(parts) };
        let cell = Cell::try_new(asked, |asked| {
            let request = asked.parts.view()?;
            let engine = &asked.handle.engine;
            Ok::<_, oncegate::Error>(match joins {
                true => engine.join(&request, options),
                false => engine.begin_async(&request, options),
            })
        })?;
        Ok(Self(cell))
    }

    /// The answer, if there is one; otherwise `waker` is woken when there may be.
    pub(crate) fn poll(&mut self, py: Python<'_>, waker: &Waker) -> Given<Option<Py<PyAny>>> {
        self.0.with_dependent_mut(|asked, join| {
            asked.handle.clock.wake_on_jump(waker);
            match Pin::new(join).poll(&mut Context::from_waker(waker)) {
                Poll::Pending => Ok(None),
                Poll::Ready(answer) => Ok(Some(told(py, &asked.handle, answer?)?)),
            }
        })
    }

    /// When it is to be polled even if nobody wakes it.
    pub(crate) fn looks_again_in(&self) -> Option<Duration> {
        self.0.with_dependent(|_, join| join.looks_again_in())
    }
}
