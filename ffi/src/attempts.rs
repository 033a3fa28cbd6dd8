//! Attempts: a worker asks for those that are due.

use std::time::Duration;

use oncegate::{Attempt, RetryContext};

use crate::convert::millis_up;
use crate::engine::{HeldEngine, RawEngine, held};
use crate::entry::{ErrorInfo, entry};
use crate::lease::Lease;
use crate::raw::{Buffer, Out, OutBytes, OutElements, Plain};
use crate::status::{ONCEGATE_BAD_SIZE, Refusal, Status};

/// A due attempt, with what is needed to run it. It ends as one that was begun does.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct RawAttempt {
    /// The lease.
    pub lease: Lease,
    /// For downstream stores, which refuse a token that is lower than one they have seen.
    pub fencing_token: u64,
    /// How long the lease lasts, unless it is renewed, in milliseconds.
    pub remaining_ms: u64,
    /// The attempt, from 2 on.
    pub attempt: u32,
    /// Zero.
    pub reserved: u32,
    /// Where its operation begins in the buffer; UTF-8.
    pub operation_offset: usize,
    /// How many bytes it has.
    pub operation_len: usize,
    /// Where its context begins: the bytes that `oncegate_retry_later` was given.
    pub context_offset: usize,
    /// How many bytes it has.
    pub context_len: usize,
}

// SAFETY: `repr(C)`, numbers and an array of bytes.
unsafe impl Plain for RawAttempt {}

/// Hands out the next attempt that is due, waiting for one for at most `timeout_ms`, by the
/// engine's clock.
///
/// Zero never waits; more than a year is `ONCEGATE_INVALID_OPTION`. `*found` is 1 where there is
/// one; otherwise `attempt` is left as it was. Its operation and its context are written into
/// `buffer`, which has to have room for the longest of both, `context_limit` and 255 bytes, before
/// anything is handed out: `ONCEGATE_BUFFER_TOO_SMALL`, with the size in `buffer->needed`. So no
/// attempt is lost. `ONCEGATE_CLOSED`: the engine was closed meanwhile. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_next_attempt(
    engine: *const RawEngine,
    timeout_ms: u64,
    buffer: *mut Buffer,
    attempt: *mut RawAttempt,
    found: *mut u32,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        engine = held; buffer = OutBytes::new; attempt = Out::new; found = Out::new;
    => {
        let mut handed = None;
        let count = hand_out(&engine, 1, timeout_ms, buffer, |_, one| handed = Some(one))?;
        if let Some(handed) = handed {
            attempt.write(handed);
        }
        found.write(u32::from(count != 0));
        Ok(())
    })
}

/// Hands out at most `most` attempts that are due, waiting for the first for at most `timeout_ms`.
///
/// As `oncegate_next_attempt`; `attempts` has room for `most`, which is not zero. As many are
/// handed out as surely find room in the buffer: as long as there is room for one of the longest.
/// Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_next_attempts(
    engine: *const RawEngine,
    most: usize,
    timeout_ms: u64,
    buffer: *mut Buffer,
    attempts: *mut RawAttempt,
    count: *mut usize,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        engine = held; buffer = OutBytes::new; attempts = OutElements::new, most;
        count = Out::new;
    => {
        if most == 0 {
            return Err(Refusal::new(ONCEGATE_BAD_SIZE, "most", "found 0; limit: at least 1"));
        }
        let mut attempts = attempts;
        let put = |index, one| attempts.set(index, one);
        count.write(hand_out(&engine, most, timeout_ms, buffer, put)?);
        Ok(())
    })
}

/// Hands attempts to `put`, with their places, as long as the buffer has room for the longest.
fn hand_out(
    engine: &HeldEngine,
    most: usize,
    timeout_ms: u64,
    mut buffer: OutBytes,
    mut put: impl FnMut(usize, RawAttempt),
) -> Result<usize, Refusal> {
    let longest = engine.engine.context_limit() + RetryContext::MAX_OPERATION_BYTES;
    if buffer.room() < longest {
        return Err(buffer.too_small(longest));
    }
    let mut timeout = Duration::from_millis(timeout_ms);
    let mut count = 0;
    while count < most && buffer.room() >= longest {
        let attempt = match engine.engine.next_attempt(timeout) {
            Ok(Some(attempt)) => attempt,
            Ok(None) => break,
            Err(error) if count == 0 => return Err(error.into()),
            // Those that were handed out are the caller's.
            Err(_) => break,
        };
        let Some(handed) = written(attempt, &mut buffer) else { break };
        put(count, handed);
        count += 1;
        timeout = Duration::ZERO;
    }
    if count == 0 {
        // Whoever waits is sent back when the handle is closed.
        engine.check_open("engine")?;
    }
    let len = buffer.len();
    buffer.finish(len);
    Ok(count)
}

/// Writes an attempt. `None`: in a table that was damaged it is longer than any may be, and it is
/// given back.
fn written(attempt: Attempt<'_>, buffer: &mut OutBytes) -> Option<RawAttempt> {
    let (operation, context) = (attempt.operation().as_bytes(), attempt.context());
    if operation.len() + context.len() > buffer.room() {
        let _ = attempt.into_lease().abandon();
        return None;
    }
    let (operation_len, context_len) = (operation.len(), context.len());
    let operation_offset = buffer.push(operation)?;
    let context_offset = buffer.push(context)?;
    let lease = attempt.into_lease();
    Some(RawAttempt {
        fencing_token: lease.fencing_token().get(),
        remaining_ms: millis_up(lease.remaining()),
        attempt: lease.attempt(),
        reserved: 0,
        operation_offset,
        operation_len,
        context_offset,
        context_len,
        lease: Lease { token: lease.into_token().to_bytes() },
    })
}
