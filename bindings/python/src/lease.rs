//! Lease: the exclusive right to run one attempt.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pyo3::prelude::*;

use crate::error::{Given, Refused, seconds};
use crate::forks::{forks, no_child};
use crate::handle::Handle;
use crate::keeper::Kept;
use crate::outcome::AnyOutcome;
use crate::time::{Seconds, given};
use crate::token::{Failure, LeaseToken};

/// The exclusive right to run one attempt, until its deadline.
#[pyclass(frozen, weakref, module = "oncegate")]
pub(crate) struct Lease {
    pub(crate) handle: Arc<Handle>,
    pub(crate) token: oncegate::LeaseToken,
    status: oncegate::Status,
    is_local_only: bool,
    /// When it lapses, on the engine's clock, in nanoseconds.
    deadline: AtomicU64,
    ended: AtomicBool,
    kept: OnceLock<Arc<Kept>>,
    born: u64,
}

impl Lease {
    /// The guard is this object from now on.
    pub(crate) fn of(handle: &Arc<Handle>, lease: oncegate::Lease<'_>) -> Self {
        let status = lease.status();
        let deadline = AtomicU64::new(nanos(lease.deadline()));
        let is_local_only = lease.is_local_only();
        Self {
            handle: Arc::clone(handle),
            token: lease.into_token(),
            status,
            is_local_only,
            deadline,
            ended: AtomicBool::new(false),
            kept: OnceLock::new(),
            born: forks(),
        }
    }

    pub(crate) fn described(&self) -> String {
        let fence = self.token.fencing_token().get();
        format!("Lease(attempt={}, fencing_token={fence})", self.token.attempt())
    }

    /// The engine, where the lease is this process's own.
    pub(crate) fn own(&self) -> Given<&oncegate::Engine> {
        no_child("lease", self.born)?;
        Ok(&self.handle.engine)
    }

    /// Ends it with success.
    pub(crate) fn finish(
        &self,
        py: Python<'_>,
        outcome: &oncegate::Outcome,
    ) -> Given<&'static str> {
        self.own()?;
        self.end();
        completed(self.handle.ask(py, |engine| engine.complete(&self.token, outcome))?)
    }

    /// It has ended, or somebody else sees to it. Whether it had not before.
    pub(crate) fn end(&self) -> bool {
        // AcqRel: of two who end it, one is told that it was the first.
        let first = !self.ended.swap(true, Ordering::AcqRel);
        if first && let Some(kept) = self.kept.get() {
            self.handle.keeper.forget(&self.handle.clock, kept);
        }
        first
    }

    /// It has failed, unless that was refused.
    fn failed(&self, failed: Result<(), oncegate::Error>) -> Given<()> {
        if !failed.as_ref().is_err_and(oncegate::Error::is_invalid_input) {
            self.end();
        }
        Ok(failed?)
    }

    fn keep_by_thread(
        &self,
        lasts: Duration,
        at_most: Option<Duration>,
    ) -> std::io::Result<Arc<Kept>> {
        let Handle { keeper, engine, clock, .. } = &*self.handle;
        // Acquire: pairs with the store in `renew`.
        let deadline = Duration::from_nanos(self.deadline.load(Ordering::Acquire));
        keeper.keep(engine, clock, (self.token, deadline), lasts, at_most)
    }

    /// Resolves the record as `on_drop` says, unless it has ended.
    fn drop_lease(&self) {
        if self.born == forks()
            && self.end()
            && let Ok(lease) = self.handle.engine.take_up(&self.token)
        {
            drop(lease);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.drop_lease();
    }
}

#[pymethods]
impl Lease {
    #[getter]
    fn fencing_token(&self) -> u64 {
        self.token.fencing_token().get()
    }

    #[getter]
    fn attempt(&self) -> u32 {
        self.token.attempt()
    }

    #[getter]
    fn status(&self) -> &'static str {
        match self.status {
            oncegate::Status::Created => "created",
            oncegate::Status::Retried => "retried",
            oncegate::Status::Expired => "expired",
        }
    }

    #[getter]
    fn remaining(&self) -> f64 {
        // Acquire: pairs with the store in `renew`.
        let own = Duration::from_nanos(self.deadline.load(Ordering::Acquire));
        let kept = self.kept.get().map_or(Duration::ZERO, |kept| kept.deadline());
        seconds(own.max(kept).saturating_sub(self.handle.clock.now()))
    }

    #[getter]
    fn ended(&self) -> bool {
        // Acquire: pairs with the swap in `end`.
        self.ended.load(Ordering::Acquire)
    }

    #[getter]
    fn has_tier(&self) -> bool {
        self.handle.has_tier
    }

    #[getter]
    fn local_only(&self) -> bool {
        self.is_local_only
    }

    #[getter]
    fn lost(&self) -> bool {
        self.kept.get().is_some_and(|kept| kept.is_lost())
    }

    #[getter]
    fn token(&self) -> LeaseToken {
        LeaseToken(self.token)
    }

    #[expect(clippy::wrong_self_convention, reason = "Python has no value to take")]
    fn into_token(&self) -> Given<LeaseToken> {
        self.own()?;
        self.end();
        Ok(LeaseToken(self.token))
    }

    #[pyo3(signature = (duration = None))]
    fn renew(&self, py: Python<'_>, duration: Option<Seconds>) -> Given<f64> {
        let lasts = given("duration", duration)?.unwrap_or(self.handle.lease);
        self.own()?;
        // A tier counts from when it is asked, or later.
        let asked = self.handle.clock.now();
        let lasts = self.handle.ask(py, |engine| engine.renew(&self.token, lasts))?;
        let deadline = asked.saturating_add(lasts);
        // Release: pairs with the load in `remaining`.
        self.deadline.store(nanos(deadline), Ordering::Release);
        Ok(self.remaining())
    }

    #[pyo3(signature = (duration = None, *, at_most = None))]
    fn keep(&self, duration: Option<Seconds>, at_most: Option<Seconds>) -> Given<()> {
        self.own()?;
        let lasts = given("duration", duration)?.unwrap_or(self.handle.lease);
        let at_most = given("at_most", at_most)?;
        if self.ended() || self.kept.get().is_some() {
            return Ok(());
        }
        let kept = self.keep_by_thread(lasts, at_most);
        let kept = kept.map_err(|error| Refused::Raised(error.into()))?;
        if let Err(second) = self.kept.set(kept) {
            self.handle.keeper.forget(&self.handle.clock, &second);
        }
        Ok(())
    }

    #[pyo3(signature = (outcome = None))]
    fn complete(&self, py: Python<'_>, outcome: Option<AnyOutcome>) -> Given<&'static str> {
        let outcome = outcome.map_or_else(|| oncegate::Outcome::new(200, b""), |given| given.0);
        self.finish(py, &outcome)
    }

    #[pyo3(signature = (failure = None))]
    fn fail(&self, py: Python<'_>, failure: Option<Failure>) -> Given<()> {
        let failure = failure.map_or_else(oncegate::Failure::retryable, |given| given.0);
        self.own()?;
        self.failed(self.handle.ask(py, |engine| engine.fail(&self.token, failure)))
    }

    fn abandon(&self, py: Python<'_>) -> Given<()> {
        self.own()?;
        self.end();
        Ok(self.handle.ask(py, |engine| engine.abandon(&self.token))?)
    }

    /// `complete` for whoever may not block: a coroutine.
    #[pyo3(signature = (outcome = None))]
    fn complete_async<'py>(
        slf: &Bound<'py, Self>,
        outcome: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import(ENDINGS)?.getattr("complete_async")?.call1((slf, outcome))
    }

    /// `fail` for whoever may not block: a coroutine.
    #[pyo3(signature = (failure = None))]
    fn fail_async<'py>(
        slf: &Bound<'py, Self>,
        failure: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import(ENDINGS)?.getattr("fail_async")?.call1((slf, failure))
    }

    /// `fail` for whoever may neither block nor wait: a tier is told soon.
    #[pyo3(signature = (failure = None))]
    fn fail_soon(&self, failure: Option<Failure>) -> Given<()> {
        let failure = failure.map_or_else(oncegate::Failure::retryable, |given| given.0);
        self.failed(self.own()?.fail_soon(&self.token, failure))
    }

    fn release(&self) -> Given<()> {
        self.own()?;
        self.drop_lease();
        Ok(())
    }

    fn __repr__(&self) -> String {
        self.described()
    }
}

/// What became of an outcome, in a word.
pub(crate) fn completed(completed: oncegate::Completed) -> Given<&'static str> {
    Ok(match completed {
        oncegate::Completed::Stored => "stored",
        oncegate::Completed::WithoutBytes => "without_bytes",
        oncegate::Completed::StoredHere => "stored_here",
    })
}

/// Where the coroutines are, which are Python's.
const ENDINGS: &str = "oncegate._endings";

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
