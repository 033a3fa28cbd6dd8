//! Admission: what `begin` answers.

use std::time::Duration;

use super::Lease;
use crate::outcome::Outcome;

/// The answer to a request for admission. These are expected answers, not errors.
///
/// `O` is how a replay gives its outcome: as a value, or by
/// [`begin_into`](crate::Engine::begin_into) as a reference to the caller's buffer.
///
/// | answer | HTTP, preset `ietf` |
/// |---|---|
/// | `Admitted` | run the handler |
/// | `Replayed` | the stored response, with `Idempotent-Replayed: true` |
/// | `InProgress` | 409 with `Retry-After` |
/// | `Scheduled` | 409 with `Retry-After` |
/// | `Mismatched` | 422 |
/// | `Unresolved` | 409 without `Retry-After` |
/// | `OutcomeGone` | 409, saying so |
///
/// ```
/// use oncegate::{Admission, Engine, Request, Scope};
///
/// let engine = Engine::builder().capacity(1_000).build()?;
/// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
/// let first = engine.begin(&request)?;
/// assert!(matches!(first, Admission::Admitted(_)));
/// assert!(matches!(engine.begin(&request)?, Admission::InProgress { attempt: 1, .. }));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "an admission that is dropped gives its lease back"]
pub enum Admission<'e, O = Outcome> {
    /// Nobody runs it: the caller does, and ends the lease.
    Admitted(Lease<'e>),
    /// It has finished, inside its dedup window: this is what the first run left.
    Replayed(O),
    /// Another attempt holds the lease.
    InProgress {
        /// The attempt that runs.
        attempt: u32,
        /// How long its lease lasts at most, unless it is renewed.
        remaining: Duration,
    },
    /// It failed and waits for its next attempt.
    Scheduled {
        /// The attempt that is to come.
        next_attempt: u32,
        /// How long until it may start.
        due_in: Duration,
    },
    /// The same key came with another payload. Wins over every other answer.
    Mismatched,
    /// Nobody knows whether it took effect; see [`Engine::resolve`](crate::Engine::resolve).
    Unresolved,
    /// It has finished, but the bytes of its outcome are gone, or were never kept.
    OutcomeGone,
}

/// Why an attempt was admitted.
///
/// ```
/// use oncegate::{Admission, Engine, Request, Scope, Status};
///
/// let engine = Engine::builder().capacity(1_000).build()?;
/// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
/// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
/// assert_eq!(lease.status(), Status::Created);
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// There was no record: the first run.
    Created,
    /// The attempt before failed, and this one is its retry, or was handed over to a waiter.
    Retried,
    /// The record's window was over, or the lease of the attempt before had lapsed.
    Expired,
}
