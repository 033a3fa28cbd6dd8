//! Leases: plain values that name a running attempt.

use std::time::Duration;

use oncegate::{Completed, Failure, LeaseToken, Outcome};

use crate::convert::{millis_up, no_choice};
use crate::engine::{RawEngine, held};
use crate::entry::{ErrorInfo, entry};
use crate::outcome::{RawOutcome, outcome, outcome_or_empty};
use crate::raw::{Out, Plain, copy};
use crate::status::{Refusal, Status};

/// A lease: whoever has these bytes may end the attempt. They cross threads, processes and
/// languages; nothing is freed, and nothing happens when they are lost but that the lease lapses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Lease {
    /// Version, attempt, slot, fencing token and window.
    pub token: [u8; 32],
}

// SAFETY: `repr(C)`, an array of bytes.
unsafe impl Plain for Lease {}

/// What a lease says.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct LeaseInfo {
    /// For downstream stores, which refuse a token that is lower than one they have seen.
    pub fencing_token: u64,
    /// How long the lease lasts, unless it is renewed, in milliseconds.
    pub remaining_ms: u64,
    /// The attempt, from 1 on.
    pub attempt: u32,
    /// One of `ONCEGATE_HOW_…`: why it was admitted.
    pub how: u32,
}

// SAFETY: `repr(C)`, numbers.
unsafe impl Plain for LeaseInfo {}

/// There was no record: the first run.
pub const ONCEGATE_HOW_CREATED: u32 = 1;
/// The attempt before failed, or was handed over.
pub const ONCEGATE_HOW_RETRIED: u32 = 2;
/// The record's window was over, or the lease before had lapsed.
pub const ONCEGATE_HOW_EXPIRED: u32 = 3;

/// Duplicates get the outcome.
pub const ONCEGATE_STORED: u32 = 1;
/// The record is finished, but the outcome was withheld, is over the limit, or found no room.
pub const ONCEGATE_STORED_WITHOUT_BYTES: u32 = 2;
/// Duplicates on this host get the outcome; the tier hears of it as soon as it can be reached.
pub const ONCEGATE_STORED_HERE: u32 = 3;

/// The next attempt may start, after the delay.
pub const ONCEGATE_FAILURE_RETRYABLE: u32 = 0;
/// It failed for good: duplicates get the outcome.
pub const ONCEGATE_FAILURE_TERMINAL: u32 = 1;
/// Nobody knows whether it took effect: it never runs again until that is resolved.
pub const ONCEGATE_FAILURE_UNKNOWN: u32 = 2;

/// The token that a lease carries.
///
/// # Safety
///
/// `at` is `NULL`, or the caller's for reading during the call.
pub(crate) unsafe fn token(field: &'static str, at: *const Lease) -> Result<LeaseToken, Refusal> {
    // SAFETY: the same contract.
    let lease = unsafe { copy(field, at) }?;
    Ok(LeaseToken::from_bytes(&lease.token)?)
}

/// The outcome of a failure of `kind`: one that is not terminal has none.
///
/// # Safety
///
/// As for [`outcome`].
unsafe fn outcome_of_failure(
    field: &'static str,
    at: *const RawOutcome,
    kind: u32,
) -> Result<Outcome, Refusal> {
    if kind != ONCEGATE_FAILURE_TERMINAL {
        return Ok(Outcome::default());
    }
    // SAFETY: the same contract.
    unsafe { outcome(field, at) }
}

/// What the header says of why an attempt was admitted.
pub(crate) fn how(status: oncegate::Status) -> u32 {
    match status {
        oncegate::Status::Created => ONCEGATE_HOW_CREATED,
        oncegate::Status::Retried => ONCEGATE_HOW_RETRIED,
        oncegate::Status::Expired => ONCEGATE_HOW_EXPIRED,
    }
}

/// Looks at the attempt of a lease that came from elsewhere.
///
/// Returns `ONCEGATE_FENCED` where it has been followed by another or has ended, so that it need
/// not be started. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_lease_take_up(
    engine: *const RawEngine,
    lease: *const Lease,
    info: *mut LeaseInfo,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; lease = token; info = Out::new; => {
        let held = engine.engine.take_up(&lease)?;
        let found = LeaseInfo {
            fencing_token: held.fencing_token().get(),
            remaining_ms: millis_up(held.remaining()),
            attempt: held.attempt(),
            how: how(held.status()),
        };
        // The caller's copy stays as good as it was.
        let _ = held.into_token();
        info.write(found);
        Ok(())
    })
}

/// Has the lease last for `duration_ms` from now on, 1 ms to a year, and tells how long it lasts.
///
/// `remaining_ms` may be `NULL`. Returns `ONCEGATE_FENCED` where the attempt is no longer the
/// caller's: it must stop, and undo what it can; and `ONCEGATE_INVALID_OPTION` for another
/// duration. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_lease_renew(
    engine: *const RawEngine,
    lease: *const Lease,
    duration_ms: u64,
    remaining_ms: *mut u64,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; lease = token; remaining_ms = Out::new_or_none; => {
        let lasts = engine.engine.renew(&lease, Duration::from_millis(duration_ms))?;
        if let Some(remaining_ms) = remaining_ms {
            remaining_ms.write(millis_up(lasts));
        }
        Ok(())
    })
}

/// Ends the attempt with success: duplicates get the outcome inside the dedup window.
///
/// `outcome` may be `NULL`: an empty one with the number 0. `stored` may be `NULL`; it tells
/// whether duplicates get the bytes, `ONCEGATE_STORED…`. Returns `ONCEGATE_FENCED` where the
/// attempt is no longer the caller's. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_lease_complete(
    engine: *const RawEngine,
    lease: *const Lease,
    outcome: *const RawOutcome,
    stored: *mut u32,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        engine = held; lease = token; outcome = outcome_or_empty; stored = Out::new_or_none;
    => {
        let completed = engine.engine.complete(&lease, &outcome)?;
        if let Some(stored) = stored {
            stored.write(match completed {
                Completed::Stored => ONCEGATE_STORED,
                Completed::WithoutBytes => ONCEGATE_STORED_WITHOUT_BYTES,
                Completed::StoredHere => ONCEGATE_STORED_HERE,
            });
        }
        Ok(())
    })
}

/// Ends the attempt with a failure of `kind`, one of `ONCEGATE_FAILURE_…`.
///
/// `delay_ms` is for a retryable one, at most a year: `ONCEGATE_INVALID_OPTION`; `outcome` for a
/// terminal one, and is not looked at otherwise. Returns `ONCEGATE_FENCED` where the attempt is no
/// longer the caller's. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_lease_fail(
    engine: *const RawEngine,
    lease: *const Lease,
    kind: u32,
    delay_ms: u64,
    outcome: *const RawOutcome,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; lease = token; outcome = outcome_of_failure, kind; => {
        let failure = match kind {
            ONCEGATE_FAILURE_RETRYABLE => {
                Failure::retryable_after(Duration::from_millis(delay_ms))
            }
            ONCEGATE_FAILURE_TERMINAL => Failure::terminal(outcome),
            ONCEGATE_FAILURE_UNKNOWN => Failure::unknown(),
            other => return Err(no_choice("kind", other, ONCEGATE_FAILURE_UNKNOWN)),
        };
        Ok(engine.engine.fail(&lease, failure)?)
    })
}

/// Gives the attempt back as if it had not begun: the next caller gets it at once.
///
/// Returns `ONCEGATE_FENCED` where the attempt is no longer the caller's. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_lease_abandon(
    engine: *const RawEngine,
    lease: *const Lease,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; lease = token; => {
        Ok(engine.engine.abandon(&lease)?)
    })
}

/// The same for whoever may not wait, such as a destructor: with a tier the attempt is given back
/// in this host's table at once, and in the tier as soon as it can be told. Without one it is that
/// function. Returns what `oncegate_lease_abandon` does. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_lease_abandon_soon(
    engine: *const RawEngine,
    lease: *const Lease,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; lease = token; => {
        Ok(engine.engine.fail_soon(&lease, Failure::retryable())?)
    })
}
