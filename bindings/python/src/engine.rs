//! The engine: opening and closing, and what concerns all of it.

use std::path::PathBuf;
use std::sync::Arc;

use oncegate::{Clock, CoarseClock, EngineBuilder, FileAccess, PreciseClock, Reach, Secret};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::adaptive::AdaptiveBackoff;
use crate::admission::told;
use crate::begin::{Asked, Options, Prepared, begin, begin_batch};
use crate::choice::{Mode, OnDrop, OnFull, OnLapse, OnLettersFull};
use crate::clock::ManualClock;
use crate::error::{Given, Refused};
use crate::events::noticed;
use crate::forks::forks;
use crate::handle::Handle;
use crate::lease::{Lease, completed};
use crate::outcome::AnyOutcome;
use crate::quota::{KeyRules, Quota};
use crate::redis::AnyRedis;
use crate::request::{AnyScope, Request};
use crate::tier::{TierOptions, shared_by};
use crate::time::{Seconds, given};
use crate::token::{Failure, LeaseToken};

/// The engine.
#[pyclass(frozen, subclass, weakref, module = "oncegate")]
pub(crate) struct Engine(Arc<Handle>);

impl Engine {
    /// The engine, where it is open.
    pub(crate) fn handle(&self) -> Given<Arc<Handle>> {
        self.0.open()?;
        Ok(Arc::clone(&self.0))
    }

    pub(crate) fn open(&self) -> Given<&oncegate::Engine> {
        self.0.open()
    }

    /// The engine, open or closed.
    pub(crate) fn shared(&self) -> Arc<Handle> {
        Arc::clone(&self.0)
    }
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (
        *, path = None, private = false, redis = None, tier_options = None, capacity = 65_536,
        outcome_limit = 16_384, outcome_bytes = None, inline_outcome = 64, lease_duration = None,
        dedup_window = None, wait = None, on_lapse = None, on_drop = None, on_full = None,
        max_processes = 64, max_waiters = 16_384, max_scopes = 4_096, group_access = false,
        secret = None, retiring_secret = None, fingerprint_mode = None, key_rules = None,
        default_quota = None, unauthenticated_quota = None, retry_policy = None,
        max_retrying = None, context_limit = None, steps_limit = None, max_dead_letters = None,
        on_letters_full = None, max_in_flight = None, adaptive_backoff = None, jitter_seed = None,
        fill_levels = None, clock = None, precise_clock = false, prefault = false
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option that Python names")]
    fn new(
        py: Python<'_>,
        path: Option<PathBuf>,
        private: bool,
        redis: Option<AnyRedis>,
        tier_options: Option<TierOptions>,
        capacity: usize,
        outcome_limit: usize,
        outcome_bytes: Option<usize>,
        inline_outcome: usize,
        lease_duration: Option<Seconds>,
        dedup_window: Option<Seconds>,
        wait: Option<Seconds>,
        on_lapse: Option<OnLapse>,
        on_drop: Option<OnDrop>,
        on_full: Option<OnFull>,
        max_processes: usize,
        max_waiters: u64,
        max_scopes: usize,
        group_access: bool,
        secret: Option<&Bound<'_, PyBytes>>,
        retiring_secret: Option<&Bound<'_, PyBytes>>,
        fingerprint_mode: Option<Mode>,
        key_rules: Option<KeyRules>,
        default_quota: Option<Quota>,
        unauthenticated_quota: Option<Quota>,
        retry_policy: Option<crate::policy::RetryPolicy>,
        max_retrying: Option<usize>,
        context_limit: Option<usize>,
        steps_limit: Option<usize>,
        max_dead_letters: Option<usize>,
        on_letters_full: Option<OnLettersFull>,
        max_in_flight: Option<usize>,
        adaptive_backoff: Option<AdaptiveBackoff>,
        jitter_seed: Option<u64>,
        fill_levels: Option<Vec<f64>>,
        clock: Option<ManualClock>,
        precise_clock: bool,
        prefault: bool,
    ) -> Given<Self> {
        let builder = oncegate::Engine::builder()
            .capacity(capacity)
            .outcome_limit(outcome_limit)
            .inline_outcome(inline_outcome)
            .max_processes(max_processes)
            .max_waiters(max_waiters)
            .max_scopes(max_scopes)
            .prefault(prefault);
        let (builder, reach) = shared(builder, path, private, group_access)?;
        let has_tier = redis.is_some();
        let builder = shared_by(builder, redis, tier_options)?;
        let lease = given("lease_duration", lease_duration)?;
        let mut builder = set(builder, outcome_bytes, EngineBuilder::outcome_bytes);
        builder = set(builder, lease, EngineBuilder::lease_duration);
        let window = given("dedup_window", dedup_window)?;
        builder = set(builder, window, EngineBuilder::dedup_window);
        builder = policies(builder, on_lapse, on_drop, on_full);
        builder = keys(builder, fingerprint_mode, key_rules, secret, retiring_secret)?;
        builder = quotas(builder, default_quota, unauthenticated_quota);
        builder = set(builder, retry_policy.map(|it| it.0), EngineBuilder::retry_policy);
        builder = sizes(builder, max_retrying, context_limit, steps_limit, max_dead_letters);
        builder = set(builder, on_letters_full.map(|it| it.0), EngineBuilder::on_letters_full);
        builder = paced(builder, max_in_flight, adaptive_backoff, jitter_seed);
        let (builder, events) = noticed(builder, fill_levels.as_deref());
        let (builder, clock) = clocked(builder, clock, precise_clock);
        let (lease, wait) = (lease.unwrap_or(LEASE), given("wait", wait)?.unwrap_or_default());
        let engine = py.detach(|| builder.build())?;
        Ok(Self(Handle::new(engine, clock, events, lease, wait, reach, has_tier)))
    }

    #[pyo3(signature = (
        request, *, wait = None, lease_duration = None, dedup_window = None, on_lapse = None,
        run_due = false
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option that Python names")]
    fn begin(
        &self,
        py: Python<'_>,
        request: Asked,
        wait: Option<Seconds>,
        lease_duration: Option<Seconds>,
        dedup_window: Option<Seconds>,
        on_lapse: Option<OnLapse>,
        run_due: bool,
    ) -> Given<Py<PyAny>> {
        let options = Options { lease_duration, dedup_window, on_lapse, run_due }.engine()?;
        let limit = given("wait", wait)?.unwrap_or(self.0.wait);
        begin(py, &self.0, &request, &options, limit)
    }

    #[pyo3(signature = (
        requests, *, lease_duration = None, dedup_window = None, on_lapse = None, run_due = false
    ))]
    fn begin_batch<'py>(
        &self,
        py: Python<'py>,
        requests: Vec<Asked>,
        lease_duration: Option<Seconds>,
        dedup_window: Option<Seconds>,
        on_lapse: Option<OnLapse>,
        run_due: bool,
    ) -> Given<Bound<'py, PyList>> {
        let options = Options { lease_duration, dedup_window, on_lapse, run_due }.engine()?;
        begin_batch(py, &self.0, &requests, &options)
    }

    fn prepare(&self, request: &Bound<'_, Request>) -> Given<Prepared> {
        Prepared::new(self.handle()?, Arc::clone(&request.get().parts))
    }

    /// What a duplicate would be told; `None`: there is no such record.
    fn look(&self, py: Python<'_>, fingerprint: [u8; 32]) -> Given<Option<Py<PyAny>>> {
        let seen = self.open()?.look(oncegate::Fingerprint::from_bytes(fingerprint))?;
        Ok(seen.map(|seen| told(py, &self.0, seen)).transpose()?)
    }

    fn take_up(&self, token: LeaseToken) -> Given<Lease> {
        Ok(Lease::of(&self.0, self.open()?.take_up(&token.0)?))
    }

    #[pyo3(signature = (token, outcome = None))]
    fn complete(
        &self,
        py: Python<'_>,
        token: LeaseToken,
        outcome: Option<AnyOutcome>,
    ) -> Given<&'static str> {
        self.open()?;
        let outcome = outcome.map_or_else(|| oncegate::Outcome::new(200, b""), |given| given.0);
        completed(self.0.ask(py, |engine| engine.complete(&token.0, &outcome))?)
    }

    #[pyo3(signature = (token, failure = None))]
    fn fail(&self, py: Python<'_>, token: LeaseToken, failure: Option<Failure>) -> Given<()> {
        self.open()?;
        let failure = failure.map_or_else(oncegate::Failure::retryable, |given| given.0);
        Ok(self.0.ask(py, |engine| engine.fail(&token.0, failure))?)
    }

    fn abandon(&self, py: Python<'_>, token: LeaseToken) -> Given<()> {
        self.open()?;
        Ok(self.0.ask(py, |engine| engine.abandon(&token.0))?)
    }

    /// Seconds that the lease of a token lasts from now on.
    #[pyo3(signature = (token, duration = None))]
    fn renew(&self, py: Python<'_>, token: LeaseToken, duration: Option<Seconds>) -> Given<f64> {
        self.open()?;
        let lasts = given("duration", duration)?.unwrap_or(self.0.lease);
        Ok(crate::error::seconds(self.0.ask(py, |engine| engine.renew(&token.0, lasts))?))
    }

    fn set_quota(&self, scope: AnyScope, quota: Quota) -> Given<()> {
        Ok(self.open()?.set_quota(scope.0.view()?, quota.quota)?)
    }

    fn remove_quota(&self, scope: AnyScope) -> Given<()> {
        Ok(self.open()?.remove_quota(scope.0.view()?)?)
    }

    /// Clears what is over in so many slots: how many were visited, cleared, and found lapsed.
    #[pyo3(signature = (slots = None))]
    fn sweep(&self, py: Python<'_>, slots: Option<usize>) -> Given<(usize, usize, usize)> {
        let engine = self.open()?;
        let swept = py.detach(|| engine.sweep(slots.unwrap_or(usize::MAX)))?;
        Ok((swept.visited, swept.cleared, swept.lapsed))
    }

    /// Frees what processes held that died; how many there were.
    fn bury_dead(&self, py: Python<'_>) -> Given<usize> {
        let engine = self.open()?;
        Ok(py.detach(|| engine.bury_dead())?)
    }

    fn rotate_secret(&self, secret: &Bound<'_, PyBytes>) -> Given<()> {
        Ok(self.open()?.rotate_secret(Secret::from_bytes(secret.as_bytes())?)?)
    }

    fn finish_rotation(&self) -> Given<()> {
        Ok(self.open()?.finish_rotation()?)
    }

    fn close(&self) {
        self.0.close();
    }

    #[getter]
    fn closed(&self) -> bool {
        self.0.is_closed()
    }

    #[getter]
    fn lease_duration(&self) -> f64 {
        self.0.lease.as_secs_f64()
    }

    /// How long a duplicate waits where nobody says otherwise, in seconds.
    #[getter]
    fn default_wait(&self) -> f64 {
        self.0.wait.as_secs_f64()
    }

    /// Whether records are shared with other hosts.
    #[getter]
    fn has_tier(&self) -> bool {
        self.0.has_tier
    }

    /// Who shares the table.
    #[getter]
    fn reach(&self) -> &'static str {
        self.0.origin.reach
    }

    /// Whether it was made in a process that this one was forked from.
    #[getter]
    fn inherited(&self) -> bool {
        self.0.origin.born != forks()
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "an engine cannot be pickled: forked workers inherit it as it is; for processes that \
             are spawned, open Engine(path=...) with the same path in each of them",
        ))
    }

    fn __repr__(&self) -> &'static str {
        if self.0.is_closed() { "Engine(closed)" } else { "Engine()" }
    }
}

/// Says who shares the table; and in a word.
fn shared(
    builder: EngineBuilder,
    path: Option<PathBuf>,
    private: bool,
    group_access: bool,
) -> Given<(EngineBuilder, &'static str)> {
    let (reach, word) = match (path, private) {
        (Some(path), false) => (Reach::Host(path), "host"),
        (None, true) => (Reach::Process, "process"),
        (None, false) => (Reach::HostInherited, "host_inherited"),
        (Some(_), true) => {
            let found = "a path, and private=True".to_owned();
            return Err(Refused::Input("private", found, "one of both"));
        }
    };
    let builder = builder.reach(reach);
    let access = FileAccess::owner_only().group();
    Ok((if group_access { builder.file_access(access) } else { builder }, word))
}

/// Says which keys there are, and what fingerprints are made with.
fn keys(
    builder: EngineBuilder,
    mode: Option<Mode>,
    rules: Option<KeyRules>,
    secret: Option<&Bound<'_, PyBytes>>,
    retiring: Option<&Bound<'_, PyBytes>>,
) -> Given<EngineBuilder> {
    let read = |bytes: &Bound<'_, PyBytes>| Secret::from_bytes(bytes.as_bytes());
    let builder = set(builder, mode.map(|it| it.0), EngineBuilder::fingerprint_mode);
    let builder = set(builder, rules.map(|it| it.0), EngineBuilder::key_rules);
    let builder = set(builder, secret.map(read).transpose()?, EngineBuilder::secret);
    Ok(set(builder, retiring.map(read).transpose()?, EngineBuilder::retiring_secret))
}

/// Says how much of the table a scope may have.
fn quotas(
    builder: EngineBuilder,
    each: Option<Quota>,
    unauthenticated: Option<Quota>,
) -> EngineBuilder {
    let builder = set(builder, each.map(|it| it.quota), EngineBuilder::default_quota);
    set(builder, unauthenticated.map(|it| it.quota), EngineBuilder::unauthenticated_quota)
}

/// Says how much room there is for what is retried.
fn sizes(
    builder: EngineBuilder,
    retrying: Option<usize>,
    context: Option<usize>,
    steps: Option<usize>,
    letters: Option<usize>,
) -> EngineBuilder {
    let builder = set(builder, retrying, EngineBuilder::max_retrying);
    let builder = set(builder, context, EngineBuilder::context_limit);
    let builder = set(builder, steps, EngineBuilder::steps_limit);
    set(builder, letters, EngineBuilder::max_dead_letters)
}

/// Says how fast failed attempts are tried again.
fn paced(
    builder: EngineBuilder,
    in_flight: Option<usize>,
    adaptive: Option<AdaptiveBackoff>,
    seed: Option<u64>,
) -> EngineBuilder {
    let builder = set(builder, in_flight, EngineBuilder::max_in_flight);
    let builder = set(builder, adaptive.map(|it| it.0), EngineBuilder::adaptive_backoff);
    set(builder, seed, EngineBuilder::jitter_seed)
}

/// Says what becomes of records that nobody ends, or has room for.
fn policies(
    builder: EngineBuilder,
    on_lapse: Option<OnLapse>,
    on_drop: Option<OnDrop>,
    on_full: Option<OnFull>,
) -> EngineBuilder {
    let builder = set(builder, on_lapse.map(|it| it.0), EngineBuilder::on_lapse);
    let builder = set(builder, on_drop.map(|it| it.0), EngineBuilder::on_drop);
    set(builder, on_full.map(|it| it.0), EngineBuilder::on_full)
}

/// Says which clock counts.
fn clocked(
    builder: EngineBuilder,
    clock: Option<ManualClock>,
    precise: bool,
) -> (EngineBuilder, Arc<dyn Clock>) {
    match (clock, precise) {
        (Some(clock), _) => (builder.clock(clock.0.clone()), Arc::new(clock.0)),
        (None, true) => (builder.precise_clock(), Arc::new(PreciseClock)),
        (None, false) => (builder, Arc::new(CoarseClock)),
    }
}

/// Sets what was given.
fn set<T>(
    builder: EngineBuilder,
    value: Option<T>,
    with: impl FnOnce(EngineBuilder, T) -> EngineBuilder,
) -> EngineBuilder {
    match value {
        Some(value) => with(builder, value),
        None => builder,
    }
}

/// The engine's default.
const LEASE: std::time::Duration = std::time::Duration::from_secs(30);
