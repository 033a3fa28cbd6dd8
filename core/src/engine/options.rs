//! Options: how one call, or every call, meets conflicts, lapses, drops and a full table.

use std::time::Duration;

use crate::config::{TEN_YEARS, YEAR, check_duration};
use crate::error::{Error, ErrorCode};
use crate::outcome::OutcomePolicy;
use crate::sync::planted::Bug;
use crate::table::slot::Lapse;

/// How a duplicate meets a running attempt.
///
/// For asynchronous callers there is [`Engine::join`](crate::Engine::join).
///
/// ```
/// use std::time::Duration;
/// use oncegate::{BeginOptions, OnConflict};
/// let patient = BeginOptions::new().on_conflict(OnConflict::Wait(Duration::from_secs(2)));
/// # let _ = patient;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// Answers at once that the work is in progress.
    Conflict,
    /// Blocks for at most this long, and gives the outcome if it comes. If the leader fails,
    /// exactly one waiter gets the next attempt.
    Wait(Duration),
}

/// What happens to an attempt whose lease lapsed.
///
/// A lease is not a lock: its holder may still run. Only a downstream store that checks the
/// fencing token excludes it.
///
/// ```
/// use oncegate::{BeginOptions, OnLapse};
/// let careful = BeginOptions::new().on_lapse(OnLapse::Unknown);
/// # let _ = careful;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLapse {
    /// The next caller gets the next attempt.
    Reclaim,
    /// Nobody knows whether it took effect: it never runs again until it is resolved.
    Unknown,
    /// It failed for good; duplicates get an outcome with status 504 and no bytes.
    Failed,
}

impl OnLapse {
    pub(crate) fn stored(self) -> Lapse {
        match self {
            Self::Reclaim => Lapse::Reclaim,
            Self::Unknown if Bug::LapsedUnknownRuns.is_planted() => Lapse::Reclaim,
            Self::Unknown => Lapse::Unknown,
            Self::Failed => Lapse::Failed,
        }
    }
}

/// What a lease does that is dropped without an end: by a panic, a cancelled task, or a return.
///
/// ```
/// use oncegate::{Engine, OnDrop};
/// let engine = Engine::builder().on_drop(OnDrop::KeepLease).build()?;
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDrop {
    /// The next attempt may start at once. That of a record which the engine retries starts by its
    /// policy, as after a failure; where there is no room to note the drop, it is left to the lapse
    /// of its lease.
    Retry,
    /// Nobody knows whether it took effect: it never runs again until it is resolved.
    Unknown,
    /// It failed for good; duplicates get an outcome with status 500 and no bytes.
    Failed,
    /// Nothing: the lease runs on until it lapses.
    KeepLease,
}

/// What gives way when a new record finds no room.
///
/// ```
/// use oncegate::{Engine, OnFull};
/// let engine = Engine::builder().on_full(OnFull::Reject).build()?;
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// The least recently used finished record, even inside its dedup window; it is counted. The
    /// oldest outcome's bytes go first. Running, waiting and unknown records never go.
    EvictLru,
    /// The newcomer: it gets [`ErrorCode::Full`](crate::ErrorCode::Full). Room for its outcome is
    /// looked for when it begins, and not set aside: where many attempts end at once in a store
    /// that is almost full, the last of them finish without bytes.
    Reject,
}

/// Options of one call; what is not set is the engine's.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{BeginOptions, OnConflict, OnLapse};
///
/// let options = BeginOptions::new()
///     .lease_duration(Duration::from_secs(120))
///     .dedup_window(Duration::from_secs(3600))
///     .on_conflict(OnConflict::Wait(Duration::from_secs(1)))
///     .on_lapse(OnLapse::Unknown);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct BeginOptions {
    pub(crate) lease: Option<Duration>,
    pub(crate) window: Option<Duration>,
    pub(crate) on_conflict: Option<OnConflict>,
    pub(crate) on_lapse: Option<OnLapse>,
    pub(crate) runs_due: bool,
}

impl BeginOptions {
    /// The engine's own.
    ///
    /// ```
    /// assert_eq!(oncegate::BeginOptions::new(), oncegate::BeginOptions::default());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// How long the attempt may run: 1 ms to a year.
    ///
    /// ```
    /// # use oncegate::BeginOptions;
    /// let _ = BeginOptions::new().lease_duration(std::time::Duration::from_secs(5));
    /// ```
    pub fn lease_duration(mut self, duration: Duration) -> Self {
        self.lease = Some(duration);
        self
    }

    /// How long the finished record answers duplicates: 1 ms to ten years.
    ///
    /// ```
    /// # use oncegate::BeginOptions;
    /// let _ = BeginOptions::new().dedup_window(std::time::Duration::from_secs(60));
    /// ```
    pub fn dedup_window(mut self, duration: Duration) -> Self {
        self.window = Some(duration);
        self
    }

    /// How this call meets a running attempt.
    ///
    /// ```
    /// # use oncegate::{BeginOptions, OnConflict};
    /// let _ = BeginOptions::new().on_conflict(OnConflict::Conflict);
    /// ```
    pub fn on_conflict(mut self, policy: OnConflict) -> Self {
        self.on_conflict = Some(policy);
        self
    }

    /// What happens if this attempt's lease lapses.
    ///
    /// ```
    /// # use oncegate::{BeginOptions, OnLapse};
    /// let _ = BeginOptions::new().on_lapse(OnLapse::Failed);
    /// ```
    pub fn on_lapse(mut self, policy: OnLapse) -> Self {
        self.on_lapse = Some(policy);
        self
    }

    /// Runs a record that the engine retries here and now, if its time has come; its context plays
    /// no part then. Otherwise a worker gets it by [`next_attempt`](crate::Engine::next_attempt),
    /// and a duplicate is told that it is scheduled.
    ///
    /// ```
    /// # use oncegate::BeginOptions;
    /// let _ = BeginOptions::new().run_due();
    /// ```
    pub fn run_due(mut self) -> Self {
        self.runs_due = true;
        self
    }

    #[inline]
    pub(crate) fn check(&self) -> Result<(), Error> {
        // The engine's own were checked when it was opened.
        let nothing_set = self.lease.is_none() & self.window.is_none() & self.on_conflict.is_none();
        if nothing_set { Ok(()) } else { self.check_all() }
    }

    fn check_all(&self) -> Result<(), Error> {
        let conflict = match self.on_conflict {
            Some(OnConflict::Wait(limit)) => Some(limit),
            _ => None,
        };
        let all = [
            ("lease_duration", self.lease, YEAR),
            ("dedup_window", self.window, TEN_YEARS),
            ("on_conflict", conflict, YEAR),
        ];
        for (field, found, most) in all {
            if let Some(found) = found {
                check_duration(ErrorCode::InvalidOption, field, found, most)?;
            }
        }
        Ok(())
    }
}

/// Options of [`Engine::run_with`](crate::Engine::run_with).
///
/// ```
/// use oncegate::{OutcomePolicy, RunOptions};
/// let options = RunOptions::new().policy(OutcomePolicy::stripe_v2());
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct RunOptions {
    pub(crate) begin: BeginOptions,
    pub(crate) policy: Option<OutcomePolicy>,
}

impl RunOptions {
    /// The engine's own.
    ///
    /// ```
    /// assert_eq!(oncegate::RunOptions::new(), oncegate::RunOptions::default());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// How the attempt begins.
    ///
    /// ```
    /// # use oncegate::{BeginOptions, RunOptions};
    /// let _ = RunOptions::new().begin(BeginOptions::new());
    /// ```
    pub fn begin(mut self, options: BeginOptions) -> Self {
        self.begin = options;
        self
    }

    /// Which results are final. Default: the engine's
    /// [`outcome_policy`](crate::EngineBuilder::outcome_policy).
    ///
    /// ```
    /// # use oncegate::{OutcomePolicy, RunOptions};
    /// let _ = RunOptions::new().policy(OutcomePolicy::oasis());
    /// ```
    pub fn policy(mut self, policy: OutcomePolicy) -> Self {
        self.policy = Some(policy);
        self
    }
}

/// The status of the outcome of an attempt that failed by its lapse: 504 Gateway Timeout.
pub(super) const LAPSED_STATUS: u16 = 504;
/// The status of the outcome of an attempt that failed by its drop: 500 Internal Server Error.
pub(super) const DROPPED_STATUS: u16 = 500;
