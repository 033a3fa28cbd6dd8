//! How an engine uses its tier.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::TierKey;
use crate::config::{YEAR, check_duration};
use crate::error::{Error, ErrorCode};

/// What an engine answers to a new request while its tier gives no answer.
///
/// What the local table knows (a finished record, an attempt that runs here) is answered in any
/// case.
///
/// ```
/// use oncegate::tier::{OnOutage, TierOptions};
/// let available = TierOptions::new().on_outage(OnOutage::LocalOnly);
/// # let _ = available;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnOutage {
    /// Nothing is run: the caller gets
    /// [`ErrorCode::TierUnavailable`](crate::ErrorCode::TierUnavailable). The default.
    Refuse,
    /// The local table alone decides, and the lease says so
    /// ([`Lease::is_local_only`](crate::Lease::is_local_only)): the same request may run once on
    /// each host. What ends meanwhile is told to the tier when it is back, and what it contradicts
    /// is reported. While the tier is known to have forgotten records, nothing is run.
    LocalOnly,
    /// As `LocalOnly`, and also while the tier is known to have forgotten records.
    Run,
}

/// What a host ran while it was cut off, and another one had run, too.
///
/// ```
/// # use oncegate::tier::TierConflict;
/// fn tell(conflict: &TierConflict) {
///     eprintln!("ran twice: {:?}, fencing token {}", conflict.key(), conflict.fence());
/// }
/// # let _ = tell;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierConflict {
    pub(crate) key: TierKey,
    pub(crate) fence: u64,
}

impl TierConflict {
    /// The record.
    ///
    /// ```
    /// # use oncegate::tier::{TierConflict, TierKey};
    /// fn key(conflict: &TierConflict) -> TierKey { conflict.key() }
    /// # let _ = key;
    /// ```
    #[must_use]
    pub fn key(&self) -> TierKey {
        self.key
    }

    /// The fencing token of the attempt that ran here.
    ///
    /// ```
    /// # use oncegate::tier::TierConflict;
    /// fn fence(conflict: &TierConflict) -> u64 { conflict.fence() }
    /// # let _ = fence;
    /// ```
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.fence
    }
}

type OnConflict = Arc<dyn Fn(&TierConflict) + Send + Sync>;

/// How an engine uses its tier. Every setting has a default.
///
/// ```
/// use std::time::Duration;
/// use oncegate::tier::{OnOutage, TierOptions};
///
/// let options = TierOptions::new()
///     .deadline(Duration::from_millis(300))
///     .on_outage(OnOutage::Refuse);
/// # let _ = options;
/// ```
#[derive(Clone)]
#[must_use]
pub struct TierOptions {
    pub(crate) deadline: Duration,
    pub(crate) on_outage: OnOutage,
    pub(crate) latency_objective: Option<Duration>,
    pub(crate) lease_slice: Option<Duration>,
    pub(crate) margin: Option<Duration>,
    pub(crate) poll_every: Duration,
    pub(crate) quarantine: Option<Duration>,
    pub(crate) undelivered: usize,
    pub(crate) on_conflict: Option<OnConflict>,
}

impl TierOptions {
    /// The defaults.
    ///
    /// ```
    /// # use oncegate::tier::TierOptions;
    /// let _ = TierOptions::new();
    /// ```
    pub fn new() -> Self {
        Self {
            // Longer than a store in the same region takes when it is busy; shorter than a client
            // waits.
            deadline: Duration::from_millis(500),
            on_outage: OnOutage::Refuse,
            latency_objective: None,
            lease_slice: None,
            margin: None,
            poll_every: Duration::from_millis(250),
            quarantine: None,
            undelivered: 65_536,
            on_conflict: None,
        }
    }

    /// How long one call of the tier may take: 1 ms to a minute. Default: 500 ms. After it, an
    /// answer counts as unknown.
    ///
    /// ```
    /// # use oncegate::tier::TierOptions;
    /// let _ = TierOptions::new().deadline(std::time::Duration::from_millis(100));
    /// ```
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What is answered while the tier gives no answer. Default: [`OnOutage::Refuse`].
    ///
    /// ```
    /// # use oncegate::tier::{OnOutage, TierOptions};
    /// let _ = TierOptions::new().on_outage(OnOutage::LocalOnly);
    /// ```
    pub fn on_outage(mut self, policy: OnOutage) -> Self {
        self.on_outage = policy;
        self
    }

    /// A call that takes longer counts as failed for the breaker: 1 ms to a minute. Default: only
    /// those do that miss their deadline.
    ///
    /// ```
    /// # use oncegate::tier::TierOptions;
    /// let _ = TierOptions::new().latency_objective(std::time::Duration::from_millis(50));
    /// ```
    pub fn latency_objective(mut self, objective: Duration) -> Self {
        self.latency_objective = Some(objective);
        self
    }

    /// Claims are made for at most this long, and renewed by a thread of the engine, in batches,
    /// for as long as the lease lasts that was asked for: 100 ms to a year. A host that is lost is
    /// so noticed sooner; one that cannot reach the tier for this long loses its leases. Default:
    /// the tier is asked for the whole lease.
    ///
    /// ```
    /// # use oncegate::tier::TierOptions;
    /// let _ = TierOptions::new().lease_slice(std::time::Duration::from_secs(5));
    /// ```
    pub fn lease_slice(mut self, slice: Duration) -> Self {
        self.lease_slice = Some(slice);
        self
    }

    /// How much sooner than in the tier a lease ends here, for clocks that do not run at the same
    /// speed: up to a minute. Default: a fiftieth of the lease, and 10 ms.
    ///
    /// ```
    /// # use oncegate::tier::TierOptions;
    /// let _ = TierOptions::new().margin(std::time::Duration::from_millis(500));
    /// ```
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = Some(margin);
        self
    }

    /// How often whoever waits for an attempt that runs elsewhere looks by himself: 1 ms to a
    /// minute. Default: 250 ms. The tier tells when the attempt has ended, so that this is for
    /// notices that were lost.
    ///
    /// ```
    /// # use oncegate::tier::TierOptions;
    /// let _ = TierOptions::new().poll_every(std::time::Duration::from_millis(100));
    /// ```
    pub fn poll_every(mut self, period: Duration) -> Self {
        self.poll_every = period;
        self
    }

    /// For how long nothing new is run after the tier may have forgotten records: up to a year.
    /// Default: as long as the longest lease that this engine has asked for, and at least as its
    /// own default: whatever ran under a lease that was forgotten has ended by then, or lost it.
    /// Where other hosts ask for longer ones, say so here.
    ///
    /// ```
    /// # use oncegate::tier::TierOptions;
    /// let _ = TierOptions::new().quarantine(std::time::Duration::from_secs(60));
    /// ```
    pub fn quarantine(mut self, duration: Duration) -> Self {
        self.quarantine = Some(duration);
        self
    }

    /// How many ends of attempts are kept for a tier that cannot be reached: up to 10,000,000.
    /// Default: 65,536. What comes on top is known to the local table alone, and counted. As many
    /// dead letters are kept for its log, if it has one.
    ///
    /// ```
    /// # use oncegate::tier::TierOptions;
    /// let _ = TierOptions::new().undelivered(1_000);
    /// ```
    pub fn undelivered(mut self, ends: usize) -> Self {
        self.undelivered = ends;
        self
    }

    /// Calls `tell` for what ran here while the tier could not be reached, and elsewhere, too. It
    /// runs on a thread of the engine's, or of whoever completes or flushes; its panics are caught.
    ///
    /// ```
    /// # use oncegate::tier::TierOptions;
    /// let _ = TierOptions::new().on_conflict(|conflict| eprintln!("{conflict:?}"));
    /// ```
    pub fn on_conflict(mut self, tell: impl Fn(&TierConflict) + Send + Sync + 'static) -> Self {
        self.on_conflict = Some(Arc::new(tell));
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let code = ErrorCode::InvalidConfig;
        check_duration(code, "tier.deadline", self.deadline, MINUTE)?;
        check_duration(code, "tier.poll_every", self.poll_every, MINUTE)?;
        if let Some(objective) = self.latency_objective {
            check_duration(code, "tier.latency_objective", objective, MINUTE)?;
        }
        if let Some(slice) = self.lease_slice {
            if slice < LEAST_SLICE {
                let found = format!("{} ms", slice.as_millis());
                return Err(Error::new(code, "tier.lease_slice", found, "100 ms to a year"));
            }
            check_duration(code, "tier.lease_slice", slice, YEAR)?;
        }
        for (field, given, most) in
            [("tier.margin", self.margin, MINUTE), ("tier.quarantine", self.quarantine, YEAR)]
        {
            if let Some(given) = given {
                check_duration(code, field, given.max(Duration::from_millis(1)), most)?;
            }
        }
        if self.undelivered > MOST_UNDELIVERED {
            let found = self.undelivered.to_string();
            return Err(Error::new(code, "tier.undelivered", found, "up to 10,000,000"));
        }
        Ok(())
    }

    /// How much sooner a lease of `lease` ends here.
    pub(crate) fn margin_of(&self, lease: Duration) -> Duration {
        self.margin.unwrap_or(lease / 50 + Duration::from_millis(10)).min(lease / 2)
    }
}

impl Default for TierOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TierOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TierOptions")
            .field("deadline", &self.deadline)
            .field("on_outage", &self.on_outage)
            .finish_non_exhaustive()
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const LEAST_SLICE: Duration = Duration::from_millis(100);
const MOST_UNDELIVERED: usize = 10_000_000;
