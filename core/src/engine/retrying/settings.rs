//! What may be set for the retries of one operation, and of all.

use crate::error::{Error, ErrorCode};
use crate::retry::RetryPolicy;

/// What gives way where as many dead letters are kept as may.
///
/// ```
/// use oncegate::{Engine, OnLettersFull};
/// let builder = Engine::builder().on_letters_full(OnLettersFull::Reject);
/// # let _ = builder;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLettersFull {
    /// The oldest, which is discarded.
    DropOldest,
    /// The newcomer: its record has failed, and nothing else is kept of it.
    Reject,
}

/// How attempts of one operation are retried.
///
/// ```
/// use oncegate::{OperationSettings, RetryPolicy};
/// let settings = OperationSettings::new().policy(RetryPolicy::polly_v8()).max_in_flight(16);
/// # let _ = settings;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct OperationSettings {
    pub(super) policy: Option<RetryPolicy>,
    pub(super) max_in_flight: usize,
}

impl OperationSettings {
    /// The engine's own policy, and no limit.
    pub fn new() -> Self {
        Self { policy: None, max_in_flight: usize::MAX }
    }

    /// When attempts are tried again, and when no more.
    pub fn policy(mut self, policy: RetryPolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// How many attempts [`next_attempt`](crate::Engine::next_attempt) hands out at a time, in this
    /// process: a bulkhead, so that one operation whose service hangs does not take all workers.
    /// At least 1.
    pub fn max_in_flight(mut self, attempts: usize) -> Self {
        self.max_in_flight = attempts;
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.max_in_flight == 0 {
            let code = ErrorCode::InvalidOption;
            return Err(Error::new(code, "max_in_flight", "0", "at least 1"));
        }
        self.policy.as_ref().map_or(Ok(()), RetryPolicy::check)
    }
}

impl Default for OperationSettings {
    fn default() -> Self {
        Self::new()
    }
}
