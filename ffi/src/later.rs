//! Later: an attempt fails, and the engine sees to the next one.

use std::time::Duration;

use oncegate::{AttemptError, FailureKind, Hint, Later, RetryContext};

use crate::buried::{ONCEGATE_BURIED_NONE, buried};
use crate::convert::{millis_up, no_choice};
use crate::engine::{RawEngine, held, text, whole};
use crate::entry::{ErrorInfo, entry};
use crate::lease::{Lease, token};
use crate::outcome::{RawOutcome, outcome};
use crate::raw::{Bytes, Growing, Out, Plain, grown};
use crate::status::{ONCEGATE_BAD_VALUE, Refusal, Status};

/// Something that may be over by itself: a refused connection, an error of the server's.
pub const ONCEGATE_KIND_TRANSIENT: u32 = 0;
/// The service asked for less.
pub const ONCEGATE_KIND_THROTTLED: u32 = 1;
/// No answer came in time.
pub const ONCEGATE_KIND_TIMEOUT: u32 = 2;

/// The service said nothing about retrying.
pub const ONCEGATE_HINT_NONE: u32 = 0;
/// Not before some time has passed.
pub const ONCEGATE_HINT_AFTER: u32 = 1;
/// Not at all.
pub const ONCEGATE_HINT_REFUSED: u32 = 2;

/// A worker gets the next attempt.
pub const ONCEGATE_LATER_SCHEDULED: u32 = 1;
/// There is no next attempt: the record has failed, and is a dead letter where there is room.
pub const ONCEGATE_LATER_BURIED: u32 = 2;

/// Why an attempt failed, for its history and for the policy.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawAttemptError {
    /// `sizeof(oncegate_attempt_error)`.
    pub struct_size: usize,
    /// One of `ONCEGATE_KIND_…`.
    pub kind: u32,
    /// One of `ONCEGATE_HINT_…`: what the service said about retrying.
    pub hint: u32,
    /// How long to wait, in milliseconds, with `ONCEGATE_HINT_AFTER`; zero otherwise.
    pub hint_after_ms: u64,
    /// What went wrong, in UTF-8, 1 to 32 bytes: `timeout`, `503`. It is shown in histories, so it
    /// may hold nothing of the request.
    pub error_class: Bytes,
    /// 1: it is never tried again, whatever the policy says.
    pub terminal: u32,
    /// Zero.
    pub reserved: u32,
    /// What duplicates get if this was the last attempt; `NULL`: status 500 without bytes.
    pub outcome: *const RawOutcome,
}

/// What becomes of a record whose attempt failed.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct RawLater {
    /// `ONCEGATE_LATER_SCHEDULED` or `ONCEGATE_LATER_BURIED`.
    pub verdict: u32,
    /// One of `ONCEGATE_BURIED_…`: why there is no next attempt.
    pub reason: u32,
    /// The attempt that is to come.
    pub next_attempt: u32,
    /// 1, with `ONCEGATE_LATER_BURIED`: it is a dead letter, which can be looked at and redriven.
    /// 0: there was no room for one.
    pub kept: u32,
    /// How long until the next attempt may start, in milliseconds.
    pub due_in_ms: u64,
}

// SAFETY: `repr(C)`, numbers and pointers.
unsafe impl Plain for RawAttemptError {}
// SAFETY: the first field is the size.
unsafe impl Growing for RawAttemptError {
    /// Up to and with the class.
    const LEAST: usize = 40;
}
// SAFETY: `repr(C)`, numbers.
unsafe impl Plain for RawLater {}

/// Ends the attempt without success, and leaves the next one to the engine: by the policy of the
/// operation it is handed out by `oncegate_next_attempt` when it is due, with `context`, in any
/// process that shares the table.
///
/// `operation` names what workers are to do, in UTF-8, 1 to 255 bytes; `context` is what they need
/// for it, at most `context_limit` bytes of the options. Where the policy allows no further attempt
/// the record has failed, and is a dead letter. Returns `ONCEGATE_FENCED` where the attempt is no
/// longer the caller's, `ONCEGATE_INVALID_OPTION` for what is too long or empty, and
/// `ONCEGATE_FULL` where there is no room; the lease lasts then. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_retry_later(
    engine: *const RawEngine,
    lease: *const Lease,
    attempt_error: *const RawAttemptError,
    operation: Bytes,
    context: Bytes,
    later: *mut RawLater,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        engine = held; lease = token; attempt_error = why; operation = text; context = whole;
        later = Out::new;
    => {
        let context = RetryContext::new(operation, context);
        later.write(match engine.engine.retry_later(&lease, &attempt_error, &context)? {
            Later::Scheduled { next_attempt, due_in } => RawLater {
                verdict: ONCEGATE_LATER_SCHEDULED,
                reason: ONCEGATE_BURIED_NONE,
                next_attempt,
                due_in_ms: millis_up(due_in),
                ..RawLater::default()
            },
            Later::Buried { reason, kept, .. } => RawLater {
                verdict: ONCEGATE_LATER_BURIED,
                reason: buried(reason),
                kept: u32::from(kept),
                ..RawLater::default()
            },
        });
        Ok(())
    })
}

/// Reads the value of the header `Retry-After` of HTTP, seconds or a date, for the `hint` of an
/// attempt's error.
///
/// `unix_time_ms` is the wall time since 1970, for a date; one that has passed means now. `*hint`
/// is `ONCEGATE_HINT_AFTER`, with the time in `*after_ms`, or `ONCEGATE_HINT_NONE` where the value
/// is neither. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_hint_retry_after(
    value: Bytes,
    unix_time_ms: u64,
    hint: *mut u32,
    after_ms: *mut u64,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; value = whole; hint = Out::new; after_ms = Out::new; => {
        let (kind, after) = match Hint::retry_after(value, Duration::from_millis(unix_time_ms)) {
            None => (ONCEGATE_HINT_NONE, Duration::ZERO),
            Some(Hint::After(after)) => (ONCEGATE_HINT_AFTER, after),
            Some(Hint::Refused) => (ONCEGATE_HINT_REFUSED, Duration::ZERO),
        };
        hint.write(kind);
        after_ms.write(millis_up(after));
        Ok(())
    })
}

/// Looks at why an attempt failed.
///
/// # Safety
///
/// `at` is `NULL`, or an error whose references are the caller's for reading during the call.
unsafe fn why(field: &'static str, at: *const RawAttemptError) -> Result<AttemptError, Refusal> {
    // SAFETY: the same contract.
    let raw = unsafe { grown(field, at) }?;
    // SAFETY: the same contract.
    let class = unsafe { raw.error_class.text("error_class") }?;
    let mut why = AttemptError::new(class).hint(hint(&raw)?).kind(match raw.kind {
        ONCEGATE_KIND_TRANSIENT => FailureKind::Transient,
        ONCEGATE_KIND_THROTTLED => FailureKind::Throttled,
        ONCEGATE_KIND_TIMEOUT => FailureKind::Timeout,
        other => return Err(no_choice("kind", other, ONCEGATE_KIND_TIMEOUT)),
    });
    if crate::convert::flag("terminal", raw.terminal)? {
        why = why.terminal();
    }
    if raw.reserved != 0 {
        return Err(no_choice("reserved", raw.reserved, 0));
    }
    if !raw.outcome.is_null() {
        // SAFETY: the same contract.
        why = why.outcome(unsafe { outcome("outcome", raw.outcome) }?);
    }
    Ok(why)
}

fn hint(raw: &RawAttemptError) -> Result<Option<Hint>, Refusal> {
    let hint = match raw.hint {
        ONCEGATE_HINT_AFTER => {
            return Ok(Some(Hint::After(Duration::from_millis(raw.hint_after_ms))));
        }
        ONCEGATE_HINT_NONE => None,
        ONCEGATE_HINT_REFUSED => Some(Hint::Refused),
        other => return Err(no_choice("hint", other, ONCEGATE_HINT_REFUSED)),
    };
    if raw.hint_after_ms != 0 {
        let detail = format!("found {}; limit: 0 without ONCEGATE_HINT_AFTER", raw.hint_after_ms);
        return Err(Refusal::new(ONCEGATE_BAD_VALUE, "hint_after_ms", detail));
    }
    Ok(hint)
}
