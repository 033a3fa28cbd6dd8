//! Outcome policies: which results are final, which may be retried, which are unknown.

use crate::sync::planted::Bug;

/// What a result means for the record.
///
/// ```
/// use oncegate::{OutcomePolicy, Verdict};
/// assert_eq!(OutcomePolicy::ietf().judge(201), Verdict::Final);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The result is stored; duplicates get it inside the dedup window.
    Final,
    /// The attempt had no effect worth keeping; the next one may start.
    Retryable,
    /// Nobody knows whether the attempt took effect; it never runs again until resolved.
    Unknown,
}

/// Decides by status code, and for errors and panics, how an attempt ended.
///
/// The presets are the published behaviour of systems that users come from; each may be changed
/// status by status. Only a status is judged: where one status has two meanings, such as a 409
/// that is a lasting conflict or a request in progress, each preset says which one it takes.
///
/// ```
/// use oncegate::{OutcomePolicy, Verdict};
///
/// let policy = OutcomePolicy::ietf().status(504, Verdict::Unknown);
/// assert_eq!(policy.judge(504), Verdict::Unknown);
/// assert_eq!(policy.judge(503), Verdict::Retryable);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomePolicy {
    preset: Preset,
    changed: Vec<(u16, Verdict)>,
    on_error: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preset {
    Ietf,
    StripeV1,
    StripeV2,
    Oasis,
    Iceberg,
}

impl OutcomePolicy {
    /// The IETF draft `draft-ietf-httpapi-idempotency-key-header`: the original result is
    /// replayed, success or error. Answers that say that the operation did not run (401, 403,
    /// 408, 409, 425, 429) and server errors are retried.
    ///
    /// 409 is among them because the draft gives it to a request whose first attempt still runs.
    /// A service below this one that keeps the draft answers so after a time-out, and if that
    /// were kept, the client would never see the result. A conflict that lasts is found again by
    /// the next attempt, at the price of running it; where that is too dear, judge it final with
    /// [`OutcomePolicy::status`].
    ///
    /// ```
    /// # use oncegate::{OutcomePolicy, Verdict};
    /// let policy = OutcomePolicy::ietf();
    /// assert_eq!(policy.judge(422), Verdict::Final);
    /// assert_eq!(policy.judge(409), Verdict::Retryable);
    /// assert_eq!(policy.judge(500), Verdict::Retryable);
    /// ```
    #[must_use]
    pub fn ietf() -> Self {
        Self::preset(Preset::Ietf)
    }

    /// Stripe's API v1: every result is replayed once the operation began, 500 too; conflicts
    /// and rate limits (409, 429) are not results.
    ///
    /// ```
    /// # use oncegate::{OutcomePolicy, Verdict};
    /// assert_eq!(OutcomePolicy::stripe_v1().judge(500), Verdict::Final);
    /// assert_eq!(OutcomePolicy::stripe_v1().judge(409), Verdict::Retryable);
    /// ```
    #[must_use]
    pub fn stripe_v1() -> Self {
        Self::preset(Preset::StripeV1)
    }

    /// Stripe's API v2: success never repeats, failed work is driven on by the next attempt.
    ///
    /// ```
    /// # use oncegate::{OutcomePolicy, Verdict};
    /// assert_eq!(OutcomePolicy::stripe_v2().judge(200), Verdict::Final);
    /// assert_eq!(OutcomePolicy::stripe_v2().judge(402), Verdict::Retryable);
    /// ```
    #[must_use]
    pub fn stripe_v2() -> Self {
        Self::preset(Preset::StripeV2)
    }

    /// OASIS Repeatable Requests 1.0, as Azure documents it: 2xx, 3xx and 4xx are replayed, 5xx
    /// runs again.
    ///
    /// That holds for a 409 of the operation too. Azure also answers 409 while the original
    /// request still runs; a service that may pass on such an answer of another one below it adds
    /// `.status(409, Verdict::Retryable)`.
    ///
    /// The specification asks for a 412 to a request that was first sent before the window that
    /// the service keeps track of. No policy and no engine gives that answer: the record is gone
    /// by then, and the request looks new. A caller who reads `Repeatability-First-Sent` has to
    /// compare it with the dedup window, and refuse before it begins.
    ///
    /// ```
    /// # use oncegate::{OutcomePolicy, Verdict};
    /// assert_eq!(OutcomePolicy::oasis().judge(404), Verdict::Final);
    /// assert_eq!(OutcomePolicy::oasis().judge(503), Verdict::Retryable);
    /// ```
    #[must_use]
    pub fn oasis() -> Self {
        Self::preset(Preset::Oasis)
    }

    /// The Apache Iceberg REST catalog: 200, 201, 204 and the client errors that would come
    /// again are replayed; server errors, timeouts and throttling never are.
    ///
    /// Its specification counts 409 among the final ones (`AlreadyExists`, `NamespaceNotEmpty`),
    /// and so does this preset. Those that name the caller or the moment instead of the operation
    /// are retried: 401, 403, 408, 419 (its code for a session that ended), 425 and 429. A service
    /// that may pass on a 409 for a request in progress adds `.status(409, Verdict::Retryable)`.
    ///
    /// ```
    /// # use oncegate::{OutcomePolicy, Verdict};
    /// assert_eq!(OutcomePolicy::iceberg().judge(204), Verdict::Final);
    /// assert_eq!(OutcomePolicy::iceberg().judge(202), Verdict::Retryable);
    /// ```
    #[must_use]
    pub fn iceberg() -> Self {
        Self::preset(Preset::Iceberg)
    }

    /// Judges `status` as `verdict`, whatever the preset says.
    ///
    /// ```
    /// # use oncegate::{OutcomePolicy, Verdict};
    /// let policy = OutcomePolicy::oasis().status(404, Verdict::Retryable);
    /// assert_eq!(policy.judge(404), Verdict::Retryable);
    /// ```
    #[must_use]
    pub fn status(mut self, status: u16, verdict: Verdict) -> Self {
        self.changed.retain(|(changed, _)| *changed != status);
        self.changed.push((status, verdict));
        self
    }

    /// Judges an attempt that ended in an error of its own type. Default: retryable.
    ///
    /// `Final` is taken for `Unknown` here: an error has no outcome to store.
    ///
    /// ```
    /// # use oncegate::{OutcomePolicy, Verdict};
    /// let policy = OutcomePolicy::ietf().on_error(Verdict::Unknown);
    /// assert_eq!(policy.judge_error(), Verdict::Unknown);
    /// ```
    #[must_use]
    pub fn on_error(mut self, verdict: Verdict) -> Self {
        self.on_error = match verdict {
            Verdict::Retryable => Verdict::Retryable,
            Verdict::Final | Verdict::Unknown => Verdict::Unknown,
        };
        self
    }

    /// The verdict on `status`.
    ///
    /// ```
    /// # use oncegate::{OutcomePolicy, Verdict};
    /// assert_eq!(OutcomePolicy::ietf().judge(200), Verdict::Final);
    /// ```
    #[must_use]
    pub fn judge(&self, status: u16) -> Verdict {
        let status = if Bug::PolicyIgnored.is_planted() { 200 } else { status };
        let changed = self.changed.iter().find(|(changed, _)| *changed == status);
        changed.map_or_else(|| self.preset.judge(status), |(_, verdict)| *verdict)
    }

    /// The verdict on an attempt that ended in an error of its own type.
    ///
    /// ```
    /// # use oncegate::{OutcomePolicy, Verdict};
    /// assert_eq!(OutcomePolicy::ietf().judge_error(), Verdict::Retryable);
    /// ```
    #[must_use]
    pub fn judge_error(&self) -> Verdict {
        self.on_error
    }

    fn preset(preset: Preset) -> Self {
        Self { preset, changed: Vec::new(), on_error: Verdict::Retryable }
    }
}

impl Default for OutcomePolicy {
    /// [`OutcomePolicy::ietf`].
    fn default() -> Self {
        Self::ietf()
    }
}

impl Preset {
    fn judge(self, status: u16) -> Verdict {
        let is_final = match self {
            Self::Ietf => status < 500 && !matches!(status, 401 | 403 | 408 | 409 | 425 | 429),
            Self::StripeV1 => !matches!(status, 409 | 429),
            Self::StripeV2 => status < 400,
            Self::Oasis => status < 500,
            Self::Iceberg => {
                let client = (400..500).contains(&status);
                matches!(status, 200 | 201 | 204)
                    || client && !matches!(status, 401 | 403 | 408 | 419 | 425 | 429)
            }
        };
        if is_final { Verdict::Final } else { Verdict::Retryable }
    }
}

#[cfg(test)]
mod tests;
