//! Endings: ends of attempts that an event loop waits for, behind one descriptor.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use oncegate::{Failure, LeaseToken, Outcome};
use pyo3::prelude::*;
use self_cell::self_cell;

use crate::error::{Given, Refused};
use crate::forks::{forks, no_child};
use crate::handle::Handle;
use crate::lease::{Lease, completed};
use crate::outcome::AnyOutcome;
use crate::token;
use crate::waits::{Ring, Shared};

/// What an attempt came to.
enum End {
    Succeeded(Outcome),
    Failed(Failure),
}

/// Which attempt ends, and how.
struct Asked {
    handle: Arc<Handle>,
    token: LeaseToken,
    end: End,
}

type Told = Result<Option<oncegate::Completed>, oncegate::Error>;
type Telling<'a> = Pin<Box<dyn Future<Output = Told> + Send + 'a>>;

self_cell!(
    struct Cell {
        owner: Asked,
        #[not_covariant]
        dependent: Telling,
    }
);

/// Ends of attempts that an event loop waits for.
#[pyclass(frozen, module = "oncegate._core")]
pub(crate) struct Endings {
    shared: Arc<Shared>,
    born: u64,
}

/// One of them. It comes to pass whether or not anybody waits for it.
#[pyclass(frozen, module = "oncegate._core")]
pub(crate) struct Ending {
    telling: Mutex<Option<Cell>>,
    first: Mutex<Option<Told>>,
    ring: Arc<Ring>,
    born: u64,
}

#[pymethods]
impl Endings {
    #[new]
    fn new() -> Given<Self> {
        let shared = Shared::new().map_err(|error| Refused::Raised(error.into()))?;
        Ok(Self { shared, born: forks() })
    }

    /// Readable while there may be something to look at.
    fn fileno(&self) -> i32 {
        self.shared.bell.descriptor()
    }

    /// The numbers of those that are to be looked at.
    fn ready(&self) -> Given<Vec<u64>> {
        no_child("endings", self.born)?;
        Ok(self.shared.rung())
    }

    /// Begins to end an attempt with success.
    #[pyo3(signature = (number, lease, outcome = None))]
    fn complete(
        &self,
        number: u64,
        lease: &Bound<'_, Lease>,
        outcome: Option<AnyOutcome>,
    ) -> Given<Ending> {
        let outcome = outcome.map_or_else(|| Outcome::new(200, b""), |given| given.0);
        lease.get().own()?;
        lease.get().end();
        self.begin(number, lease.get(), End::Succeeded(outcome))
    }

    /// Begins to end an attempt without success.
    #[pyo3(signature = (number, lease, failure = None))]
    fn fail(
        &self,
        number: u64,
        lease: &Bound<'_, Lease>,
        failure: Option<token::Failure>,
    ) -> Given<Ending> {
        let failure = failure.map_or_else(Failure::retryable, |given| given.0);
        let ending = self.begin(number, lease.get(), End::Failed(failure))?;
        let first = ending.first.lock().unwrap_or_else(PoisonError::into_inner);
        // What is refused has ended nothing.
        if !matches!(&*first, Some(Err(error)) if error.is_invalid_input()) {
            lease.get().end();
        }
        drop(first);
        Ok(ending)
    }
}

impl Endings {
    fn begin(&self, number: u64, lease: &Lease, end: End) -> Given<Ending> {
        no_child("endings", self.born)?;
        lease.own()?;
        let asked = Asked { handle: Arc::clone(&lease.handle), token: lease.token, end };
        let telling = Cell::new(asked, |asked| Box::pin(tell(asked)));
        let ring = Ring::new(number, &self.shared);
        let (telling, first) = (Mutex::new(Some(telling)), Mutex::default());
        let ending = Ending { telling, first, ring, born: forks() };
        // It is under way from here on: whoever leaves before the answer leaves it so.
        *ending.first.lock().unwrap_or_else(PoisonError::into_inner) = ending.look()?;
        Ok(ending)
    }
}

async fn tell(asked: &Asked) -> Told {
    let Asked { handle, token, end } = asked;
    match end {
        End::Succeeded(outcome) => handle.engine.complete_async(token, outcome).await.map(Some),
        End::Failed(failure) => {
            handle.engine.fail_async(token, failure.clone()).await.map(|()| None)
        }
    }
}

impl Ending {
    fn telling(&self) -> Given<MutexGuard<'_, Option<Cell>>> {
        no_child("ending", self.born)?;
        Ok(self.telling.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn look(&self) -> Given<Option<Told>> {
        let mut telling = self.telling()?;
        let Some(cell) = telling.as_mut() else { return Ok(None) };
        self.ring.heard();
        let waker = Waker::from(Arc::clone(&self.ring));
        let mut context = Context::from_waker(&waker);
        let told = cell.with_dependent_mut(|_, telling| telling.as_mut().poll(&mut context));
        let Poll::Ready(told) = told else { return Ok(None) };
        *telling = None;
        Ok(Some(told))
    }
}

#[pymethods]
impl Ending {
    /// What came of it, once: what `complete` gives, or `"failed"`; `None`: there is no answer yet.
    fn poll(&self) -> Given<Option<&'static str>> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(told) = first.map_or_else(|| self.look(), |told| Ok(Some(told)))? else {
            return Ok(None);
        };
        Ok(Some(told?.map_or(Ok("failed"), completed)?))
    }

    /// Nobody waits for it any more.
    fn cancel(&self) -> Given<()> {
        *self.telling()? = None;
        Ok(())
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.born != forks() {
            // It is the parent's to tell.
            let telling = self.telling.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(telling.take());
        }
    }
}
