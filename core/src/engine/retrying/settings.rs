//! What may be set for the retries of one operation, and of all.

use std::sync::Arc;

use super::hooks::{CleanUpHook, LapsedAttempt, UndoHook};
use super::steps::FinishedStep;
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
    pub(super) clean_up: Option<CleanUpHook>,
    pub(super) undo: Option<UndoHook>,
}

impl OperationSettings {
    /// The engine's own policy, and no limit.
    ///
    /// ```
    /// let _ = oncegate::OperationSettings::new();
    /// ```
    pub fn new() -> Self {
        Self { policy: None, max_in_flight: usize::MAX, clean_up: None, undo: None }
    }

    /// When attempts are tried again, and when no more.
    ///
    /// ```
    /// use oncegate::{OperationSettings, RetryPolicy};
    /// let _ = OperationSettings::new().policy(RetryPolicy::aws_standard());
    /// ```
    pub fn policy(mut self, policy: RetryPolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// How many attempts [`next_attempt`](crate::Engine::next_attempt) hands out at a time, in this
    /// process: a bulkhead, so that one operation whose service hangs does not take all workers.
    /// At least 1.
    ///
    /// ```
    /// let _ = oncegate::OperationSettings::new().max_in_flight(8);
    /// ```
    pub fn max_in_flight(mut self, attempts: usize) -> Self {
        self.max_in_flight = attempts;
        self
    }

    /// Has `hook` clean up after an attempt whose lease lapsed, before the next one: at most once
    /// for each lapse, under a lease of its own, whose fencing token is higher. What it returns is
    /// noted in the record's history; either way the record goes on by its policy. It is called by
    /// whoever looks after attempts in this process, and must not block for longer than a lease.
    /// Where the outcome budget has no room to note it, the record waits until there is some.
    ///
    /// ```
    /// use oncegate::OperationSettings;
    /// let settings = OperationSettings::new().on_lapse(|lapsed| {
    ///     println!("release what token {} reserved", lapsed.lapsed_token);
    ///     Ok(())
    /// });
    /// # let _ = settings;
    /// ```
    pub fn on_lapse(
        mut self,
        hook: impl Fn(&LapsedAttempt<'_>) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.clean_up = Some(CleanUpHook(Arc::new(hook)));
        self
    }

    /// Has `hook` undo the finished [steps](crate::Lease::step) of a record that fails for good,
    /// the last one first, before it becomes a dead letter. Steps that it fails to undo are told
    /// by the letter.
    ///
    /// ```
    /// use oncegate::OperationSettings;
    /// let settings = OperationSettings::new().undo(|step| {
    ///     println!("undo {}", step.name);
    ///     Ok(())
    /// });
    /// # let _ = settings;
    /// ```
    pub fn undo(
        mut self,
        hook: impl Fn(&FinishedStep<'_>) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.undo = Some(UndoHook(Arc::new(hook)));
        self
    }

    pub(super) fn has_hooks(&self) -> bool {
        self.clean_up.is_some() || self.undo.is_some()
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
