//! What an engine knows of retries beside its table: policies, limits, budgets, its scheduler.

use std::sync::Arc;
use std::time::Duration;

use super::super::shares::Shares;
use super::super::{Engine, millis_up};
use super::hooks::ReconcileHook;
use super::later::{AttemptError, Buried};
use super::registry::{Registry, Setting};
use super::scheduler::Scheduler;
use super::settings::{OnLettersFull, OperationSettings};
use crate::config::EngineBuilder;
use crate::error::{Error, ErrorCode};
use crate::fingerprint::Scope;
use crate::fork::PerProcess;
use crate::observe::{Event, RetryStats};
use crate::region::header;
use crate::retry::journal::{Journal, MAX_NAME};
use crate::retry::{
    AdaptiveBackoff, AdaptiveConfig, AdaptiveStats, Attempted, BudgetExhausted, Decision,
    Exhaustion, FailureKind, JitterSource, Levels, RetryBudget, RetryPolicy, Stretch, Withdrawal,
};
use crate::sync::planted::Bug;
use crate::sync::{Mutex, Ordering};
use crate::table::{Found, LAST_RETRIED, Rules};

/// The retries of one engine.
pub(in super::super) struct Retries {
    pub(super) context_limit: usize,
    pub(super) steps_limit: usize,
    pub(super) max_letters: u64,
    pub(super) on_letters_full: OnLettersFull,
    policy: RetryPolicy,
    pub(super) jitter: JitterSource,
    registry: Registry,
    max_in_flight: usize,
    adaptive_config: Option<AdaptiveConfig>,
    adaptive: PerProcess<Option<AdaptiveBackoff>>,
    scheduler: PerProcess<Arc<Scheduler>>,
    shares: PerProcess<Mutex<Shares>>,
}

/// That there is a next attempt.
pub(super) struct Granted {
    pub(super) delay: Duration,
    pub(super) paid: Withdrawal,
}

/// That there is none.
#[derive(Clone)]
pub(super) struct Denied {
    pub(super) reason: Buried,
    pub(super) budget: Option<BudgetExhausted>,
}

/// What the decision over the next attempt depends on.
pub(super) struct Asked<'a> {
    pub(super) found: Found,
    pub(super) journal: &'a Journal,
    pub(super) scope: u32,
    pub(super) kind: FailureKind,
    pub(super) error: Option<&'a AttemptError>,
}

impl Retries {
    pub(in super::super) fn new(config: &EngineBuilder, count: usize) -> Result<Self, Error> {
        let sizes = &config.retries;
        let adaptive = config.adaptive.clone().map(AdaptiveConfig::build).transpose()?;
        let jitter = config
            .jitter_seed
            .map_or_else(JitterSource::new, |seed| Ok(JitterSource::seeded(seed)))?;
        Ok(Self {
            context_limit: sizes.context_limit,
            steps_limit: sizes.steps_limit,
            max_letters: sizes.dead_letters(count) as u64,
            on_letters_full: sizes.on_letters_full,
            policy: config.retry_policy.clone(),
            jitter,
            registry: Registry::new(),
            max_in_flight: config.max_in_flight,
            adaptive_config: config.adaptive.clone(),
            adaptive: PerProcess::new(adaptive),
            scheduler: PerProcess::new(Arc::new(Scheduler::new())),
            shares: PerProcess::new(Mutex::default()),
        })
    }

    /// Whether as many attempts are under way as may be.
    pub(super) fn is_full(&self, in_flight: usize) -> bool {
        in_flight >= self.max_in_flight
    }

    /// Whether one more attempt of `operation` may be handed out, of which so many run.
    pub(super) fn may_run(&self, operation: u32, running: usize) -> bool {
        self.registry.limit_of(operation).is_none_or(|limit| running < limit)
    }

    pub(super) fn settings_of(&self, operation: &str) -> Option<Arc<OperationSettings>> {
        self.registry.operation(operation)
    }

    pub(super) fn reconciler(&self) -> Option<ReconcileHook> {
        self.registry.reconciler()
    }

    pub(super) fn policy_of(&self, operation: &str) -> RetryPolicy {
        let own = self.settings_of(operation).and_then(|settings| settings.policy.clone());
        own.unwrap_or_else(|| self.policy.clone())
    }

    /// Whether lapses of `operation` are left to whoever looks after attempts: since they may have
    /// to be cleaned up after, which is no work of a `begin`, or since `others` that share the
    /// table know by which policies operations are retried, and this process has none for it.
    pub(super) fn leaves_lapses(&self, operation: u32, others: bool) -> bool {
        let unknown = others && !Bug::LapseDecidedBlindly.is_planted();
        self.registry.leaves_lapses() || unknown && !self.registry.knows(operation)
    }

    /// This process looks after a table of which it knows no policies.
    #[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
    pub(in super::super) fn leave_lapses(&self) {
        self.registry.leave_lapses();
    }

    /// Whether any budget was ever set.
    #[inline]
    pub(in super::super) fn is_budgeted(&self) -> bool {
        self.registry.is_budgeted()
    }

    /// The budgets that an attempt of `operation` in `scope` has to ask.
    pub(in super::super) fn levels(&self, scope: u32, operation: &str) -> Levels {
        self.registry.levels(scope, operation)
    }

    pub(super) fn set(&self, setting: Setting) -> Result<(), Error> {
        self.registry.set(setting)
    }

    pub(super) fn stretch(&self, now: Duration) -> Stretch {
        self.adaptive().map_or(Stretch::NONE, |adaptive| adaptive.step(now))
    }

    /// What this process has measured, if it is to slow retries down by that.
    pub(super) fn adaptive(&self) -> Option<&AdaptiveBackoff> {
        // It was built of the same settings before.
        let fresh = || self.adaptive_config.clone().and_then(|config| config.build().ok());
        self.adaptive.get(fresh).as_ref()
    }

    /// What this process has taken of budgets, and no guard has.
    pub(in super::super) fn shares(&self) -> &Mutex<Shares> {
        self.shares.get(Mutex::default)
    }
}

/// How much of the time of a record has passed.
fn elapsed(journal: &Journal, rules: &Rules) -> Duration {
    Duration::from_millis(rules.now_ms.saturating_sub(journal.began_ms))
}

impl Engine {
    /// Whether there is a next attempt, and when; paid for, if there are budgets.
    pub(super) fn ask(&self, asked: &Asked<'_>, rules: &Rules) -> Result<Granted, Denied> {
        let Asked { found, journal, scope, kind, error } = *asked;
        if error.is_some_and(AttemptError::is_terminal) {
            return Err(Denied { reason: Buried::FinalError, budget: None });
        }
        self.look_at_shares();
        let number = self.attempt_of(found);
        if number >= LAST_RETRIED && !Bug::AttemptsEndless.is_planted() {
            return Err(Denied { reason: Buried::Attempts, budget: None });
        }
        // Below zero where others ran elsewhere, which count.
        let attempt = number.wrapping_sub(journal.before).cast_signed().max(0).cast_unsigned();
        let now = self.now();
        self.watch_backlog(rules, false);
        let attempted = Attempted::new(attempt, elapsed(journal, rules))
            .previous_delay(Duration::from_millis(journal.delay_ms))
            .stretch(self.retries.stretch(now))
            .hint(error.and_then(AttemptError::hint_given));
        let policy = self.retries.policy_of(&journal.operation);
        let levels = self.retries.levels(scope, &journal.operation);
        let delay = match self.decide_measured(&policy, attempted, hash_of(&journal.operation)) {
            Decision::RetryAfter(delay) => delay,
            Decision::Exhausted(exhausted) => {
                levels.failed_for_good(kind, now);
                let reason = match exhausted {
                    Exhaustion::Attempts => Buried::Attempts,
                    Exhaustion::Deadline => Buried::Deadline,
                    Exhaustion::Refused => Buried::FinalError,
                };
                return Err(Denied { reason, budget: None });
            }
        };
        match levels.try_withdraw(kind, now) {
            Ok(paid) => Ok(Granted { delay, paid }),
            Err(budget) => Err(Denied { reason: Buried::Budget, budget: Some(budget) }),
        }
    }

    /// What `policy` decides, by how long attempts of `operation` have taken of late.
    pub(super) fn decide_measured(
        &self,
        policy: &RetryPolicy,
        attempted: Attempted,
        operation: u32,
    ) -> Decision {
        let measured = policy.total().and_then(|_| self.scheduler().index().expected(operation));
        let decide = |measured| {
            policy.decide(&attempted.expected(policy.expects(measured)), &self.retries.jitter)
        };
        let decision = decide(measured);
        if measured.is_some() && decision == Decision::Exhausted(Exhaustion::Deadline) {
            // Whether it was refused because of what was measured alone.
            let by_measure = decide(None) != decision;
            self.expect_less(policy, operation, by_measure);
        }
        decision
    }

    /// How long the lease of a record's next attempt lasts, if it starts now. `None`: it would not
    /// end before its deadline.
    pub(super) fn next_lease_ms(&self, journal: &Journal, rules: &Rules) -> Option<u64> {
        let policy = self.retries.policy_of(&journal.operation);
        let elapsed = elapsed(journal, rules);
        let default = Duration::from_millis(self.defaults.lease_ms);
        self.fits_measured(&policy, elapsed, hash_of(&journal.operation))
            .then(|| millis_up(policy.lease(elapsed, default)))
    }

    /// Whether an attempt of `operation` ends before the deadline of `policy`, by how long they
    /// have taken of late.
    pub(super) fn fits_measured(
        &self,
        policy: &RetryPolicy,
        elapsed: Duration,
        operation: u32,
    ) -> bool {
        if policy.total().is_none() || Bug::LateAttemptStarted.is_planted() {
            return true;
        }
        let measured = self.scheduler().index().expected(operation);
        let fits = |measured| policy.fits(elapsed, policy.expects(measured));
        let in_time = fits(measured);
        if !in_time && measured.is_some() {
            self.expect_less(policy, operation, fits(None));
        }
        in_time
    }

    /// What is refused does not run, so that nothing would ever say that attempts are short again.
    fn expect_less(&self, policy: &RetryPolicy, operation: u32, by_measure: bool) {
        if let Some(total) = policy.total().filter(|_| by_measure) {
            self.scheduler().index().expect_less(operation, millis_up(total));
        }
    }

    /// Sets how attempts of `operation` are retried, and how many run at a time, in this process.
    /// The operation is the one of their [`RetryContext`](crate::RetryContext). The table knows it
    /// by a 32-bit hash of its name: one without settings whose name has the same hash is held to
    /// the same limit of attempts at a time, and shares nothing else with it.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidOption`] names the setting, or the operation, that is out of its range,
    /// or says that another operation with settings has a name of the same hash;
    /// [`ErrorCode::QuotaExceeded`], field `operations`: there are settings for 1,024.
    ///
    /// ```
    /// use oncegate::{Engine, OperationSettings, RetryPolicy};
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let settings = OperationSettings::new().max_in_flight(8);
    /// engine.set_operation("charge", settings.policy(RetryPolicy::aws_standard()))?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn set_operation(&self, operation: &str, settings: OperationSettings) -> Result<(), Error> {
        check_operation(operation)?;
        settings.check()?;
        self.retries.set(Setting::Operation(operation.into(), Arc::new(settings)))?;
        // Relaxed: a lapse that others decide before they see it is one of before it was set.
        self.region.header(header::OPERATIONS).store(1, Ordering::Relaxed);
        Ok(())
    }

    /// Sets the retry budget of all attempts of this engine, in this process.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::QuotaExceeded`], field `settings`: settings were changed 65,536 times.
    ///
    /// ```
    /// use oncegate::{Engine, RetryBudget};
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// engine.set_retry_budget(RetryBudget::finagle().build()?)?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn set_retry_budget(&self, budget: RetryBudget) -> Result<(), Error> {
        self.retries.set(Setting::EngineBudget(budget))
    }

    /// Sets the retry budget of one scope, in this process. Retries know their scope by 32 bits of
    /// its salted hash: a scope without a budget in which they are the same, one in four billion,
    /// shares this one.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::QuotaExceeded`]: there are budgets for 1,024 scopes and operations.
    /// [`ErrorCode::InvalidOption`], field `scope`: another scope that has a budget cannot be told
    /// from this one.
    ///
    /// ```
    /// use oncegate::{Engine, RetryBudget, Scope};
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// engine.set_scope_budget(Scope::new("acme")?, RetryBudget::aws_standard().build()?)?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn set_scope_budget(&self, scope: Scope<'_>, budget: RetryBudget) -> Result<(), Error> {
        self.retries.set(Setting::ScopeBudget(self.scope_hash(scope), budget))
    }

    /// Takes the retry budget of a scope away, if it has one.
    ///
    /// # Errors
    ///
    /// As [`set_retry_budget`](Self::set_retry_budget).
    ///
    /// ```
    /// use oncegate::{Engine, Scope};
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// engine.remove_scope_budget(Scope::new("acme")?)?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn remove_scope_budget(&self, scope: Scope<'_>) -> Result<(), Error> {
        self.retries.set(Setting::NoScopeBudget(self.scope_hash(scope)))
    }

    /// Sets the retry budget of one operation, in this process: that of a
    /// [`RetryContext`](crate::RetryContext), and of the requests that begin under the same name.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidOperation`] and [`ErrorCode::QuotaExceeded`], as for a scope.
    ///
    /// ```
    /// use oncegate::{Engine, RetryBudget};
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// engine.set_operation_budget("charge", RetryBudget::grpc(10, 0.1).build()?)?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn set_operation_budget(&self, operation: &str, budget: RetryBudget) -> Result<(), Error> {
        self.retries.set(Setting::OperationBudget(operation.into(), budget))
    }

    /// Tells the adaptive backoff how loaded this process is, or what it calls: from 0 to 1, as by
    /// pauses of a garbage collector or a pool that is used up. It stays in force until another is
    /// told, at most for ten seconds or as long as [`quiet`](AdaptiveConfig::quiet) says: tell it
    /// at least as often.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidOption`]: not between 0 and 1. [`ErrorCode::InvalidConfig`]: the engine
    /// was built without [`adaptive_backoff`](EngineBuilder::adaptive_backoff).
    ///
    /// ```
    /// use oncegate::{AdaptiveBackoff, Engine};
    /// let builder = Engine::builder().capacity(1_000);
    /// let engine = builder.adaptive_backoff(AdaptiveBackoff::builder()).build()?;
    /// engine.set_load(0.9)?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn set_load(&self, load: f64) -> Result<(), Error> {
        match self.retries.adaptive() {
            Some(adaptive) => adaptive.set_load(load),
            None => Err(Error::of(ErrorCode::InvalidConfig, "adaptive_backoff")),
        }
    }

    /// What the adaptive backoff has measured, and by how much it stretches delays; `None`: the
    /// engine was built without it.
    ///
    /// ```
    /// let engine = oncegate::Engine::builder().capacity(1_000).build()?;
    /// assert!(engine.adaptive_stats().is_none());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn adaptive_stats(&self) -> Option<AdaptiveStats> {
        self.retries.adaptive().map(AdaptiveBackoff::stats)
    }

    pub(in super::super) fn retry_stats(&self) -> RetryStats {
        let total = |event: Event| self.counters.total(event);
        let (ready, in_flight) = {
            let index = self.scheduler().index();
            (index.ready.len() as u64, index.in_flight() as u64)
        };
        // Relaxed: counts.
        let of_all = |word: usize| self.region.header(word).load(Ordering::Relaxed);
        RetryStats {
            scheduled: total(Event::Later),
            retrying: of_all(header::RETRYING),
            ready,
            in_flight,
            dead_letters: of_all(header::DEAD_LETTERS),
            buried: total(Event::Buried),
            redriven: total(Event::Redriven),
            discarded: total(Event::Discarded),
            letters_lost: total(Event::LettersLost),
            asked: total(Event::Asked),
            compensated: total(Event::Compensated),
            stuck: total(Event::Stuck),
            dispatch_lag: super::super::latency(&self.dispatch_lag),
            adaptive: self.adaptive_stats(),
        }
    }

    /// An attempt that was due at `due_ms` was handed out.
    pub(super) fn note_dispatch(&self, due_ms: u64, rules: &Rules) {
        let lag = Duration::from_millis(rules.now_ms.saturating_sub(due_ms));
        self.dispatch_lag.record(super::super::begin::nanos(lag));
        if let Some(adaptive) = self.retries.adaptive() {
            let (ready, in_flight) = {
                let index = self.scheduler().index();
                (index.ready.len(), index.in_flight())
            };
            adaptive.observe_lag(lag);
            adaptive.observe_ready(ready);
            adaptive.observe_in_flight(in_flight);
        }
    }

    /// Tells the adaptive backoff, once in each of its intervals, what is ready here and not handed
    /// out: its age is a lag, whether anybody comes for it or not. `looked`: somebody has just
    /// looked for what is due.
    pub(super) fn watch_backlog(&self, rules: &Rules, looked: bool) {
        let Some(adaptive) = self.retries.adaptive() else { return };
        let now = self.now();
        if !adaptive.is_due(now) {
            return;
        }
        if !looked {
            // What others have run meanwhile waits no more.
            self.look_at_changes(FILED_TO_WATCH);
        }
        let ((ready, oldest), in_flight) = {
            let index = self.scheduler().index();
            (index.waiting(), index.in_flight())
        };
        if ready == 0 && !looked {
            // Perhaps nobody ever looks here: then it says nothing.
            return;
        }
        if let Some(due_ms) = oldest {
            adaptive.observe_lag(Duration::from_millis(rules.now_ms.saturating_sub(due_ms)));
        }
        adaptive.observe_ready(ready);
        adaptive.observe_in_flight(in_flight);
        adaptive.step(now);
    }

    pub(in super::super) fn scheduler(&self) -> &Arc<Scheduler> {
        self.retries.scheduler.get(|| Arc::new(Scheduler::new()))
    }
}

/// How many changed entries are looked at before what is ready is counted.
const FILED_TO_WATCH: usize = 1_024;

pub(super) fn check_operation(operation: &str) -> Result<(), Error> {
    if (1..=MAX_NAME).contains(&operation.len()) {
        return Ok(());
    }
    let (found, limit) = (format!("{} bytes", operation.len()), format!("1 to {MAX_NAME} bytes"));
    Err(Error::new(ErrorCode::InvalidOption, "operation", found, limit))
}

/// An operation as entries store it. Zero: none, and the record is not left to the scheduler.
pub(super) fn hash_of(operation: &str) -> u32 {
    let hash = xxhash_rust::xxh3::xxh3_64(operation.as_bytes()) as u32;
    if operation.is_empty() { 0 } else { hash.max(1) }
}
