//! Retry policies: when a failed attempt is followed by another, and when by none.

use std::time::Duration;

use oncegate::{
    Attempted, BackoffPolicy, Decision, Exhaustion, HintLimits, Jitter, JitterSource,
    OperationSettings, RetryPolicy,
};

use crate::buried::{
    ONCEGATE_BURIED_ATTEMPTS, ONCEGATE_BURIED_DEADLINE, ONCEGATE_BURIED_FINAL_ERROR,
    ONCEGATE_BURIED_NONE,
};
use crate::convert::{check_unset, flag, given_f64, given_ms, given_size, no_choice};
use crate::engine::{RawEngine, held, text};
use crate::entry::{ErrorInfo, entry};
use crate::raw::{Bytes, Growing, Out, OutElements, Plain, elements, grown};
use crate::status::{ONCEGATE_BAD_SIZE, Refusal, Status};

/// The backoff and the jitter that the other fields name.
pub const ONCEGATE_POLICY_CUSTOM: u32 = 0;
/// AWS SDKs, `standard`: full jitter below 1 s, 2 s, 4 s and so on, at most 20 s; 3 attempts.
pub const ONCEGATE_POLICY_AWS_STANDARD: u32 = 1;
/// AWS SDKs as of 2026: full jitter below 50 ms, 100 ms and so on, at most 20 s; 3 attempts.
pub const ONCEGATE_POLICY_AWS_2026: u32 = 2;
/// The same after throttling: full jitter below 1 s, 2 s and so on.
pub const ONCEGATE_POLICY_AWS_2026_THROTTLED: u32 = 3;
/// gRPC A6 with values of one's own: `initial_ms`, `multiplier`, `max_ms`, `max_attempts` (above 5:
/// 5), which have no defaults there.
pub const ONCEGATE_POLICY_GRPC: u32 = 4;
/// gRPC A6 with the values of its example: 100 ms, doubled up to 1 s, by a fifth to either side; 4
/// attempts.
pub const ONCEGATE_POLICY_GRPC_EXAMPLE: u32 = 5;
/// Resilience4j's random exponential interval: 500 ms, 750 ms and so on, by one half to either
/// side, without a ceiling; 3 attempts.
pub const ONCEGATE_POLICY_RESILIENCE4J: u32 = 6;
/// Polly v8, exponential with jitter: a base of 2 s, without a ceiling; 4 attempts.
pub const ONCEGATE_POLICY_POLLY_V8: u32 = 7;
/// Celery's `Task.retry`: 180 s each time; 4 attempts.
pub const ONCEGATE_POLICY_CELERY: u32 = 8;
/// Celery's `retry_backoff`: full jitter below 1 s, 2 s and so on, at most 600 s; 4 attempts.
pub const ONCEGATE_POLICY_CELERY_BACKOFF: u32 = 9;

/// Retry k after `initial_ms` times `multiplier` to the power of k - 1, at most `max_ms`.
pub const ONCEGATE_BACKOFF_EXPONENTIAL: u32 = 0;
/// Retry k after `initial_ms` and k - 1 times `increment_ms`, at most `max_ms`.
pub const ONCEGATE_BACKOFF_LINEAR: u32 = 1;
/// Each retry after `initial_ms`.
pub const ONCEGATE_BACKOFF_CONSTANT: u32 = 2;
/// Retry k after number k of `delays_ms`, of which the last one is repeated.
pub const ONCEGATE_BACKOFF_LIST: u32 = 3;

/// The delay as the backoff names it. Clients that failed together meet again.
pub const ONCEGATE_JITTER_NONE: u32 = 0;
/// From nothing to the whole delay.
pub const ONCEGATE_JITTER_FULL: u32 = 1;
/// One half of the delay, and a draw from nothing to the other half.
pub const ONCEGATE_JITTER_EQUAL: u32 = 2;
/// From the first delay to three times the one before. For exponential backoffs.
pub const ONCEGATE_JITTER_DECORRELATED: u32 = 3;
/// `jitter_share` of the delay to either side.
pub const ONCEGATE_JITTER_PROPORTIONAL: u32 = 4;
/// The formula of Polly v8. For exponential backoffs.
pub const ONCEGATE_JITTER_DECORRELATED_V2: u32 = 5;

/// When to try again, and when to stop.
///
/// Zeros: exponential from 1 s on, doubled up to 120 s, without jitter, 3 attempts in all. A preset
/// brings backoff, jitter and attempts of its own. Beside one, `backoff`, `jitter`, `jitter_share`,
/// `multiplier`, `initial_ms`, `increment_ms`, `max_ms` and `delays_ms` are zero
/// (`ONCEGATE_POLICY_GRPC` says which of them it takes); all other fields take the place of what
/// the preset says.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawRetryPolicy {
    /// `sizeof(oncegate_retry_policy)`.
    pub struct_size: usize,
    /// One of `ONCEGATE_POLICY_…`.
    pub preset: u32,
    /// One of `ONCEGATE_BACKOFF_…`.
    pub backoff: u32,
    /// One of `ONCEGATE_JITTER_…`.
    pub jitter: u32,
    /// How many attempts there are at most, the first one included; default 3, or the preset's.
    pub max_attempts: u32,
    /// Of an exponential backoff, 1 to 1,000; default 2.
    pub multiplier: f64,
    /// Of proportional jitter, above 0 and at most 1; default 0.2, as gRPC has it.
    pub jitter_share: f64,
    /// The first delay, at most ten years, as all delays; default 1 s. `ONCEGATE_ZERO` for zero,
    /// which an exponential backoff refuses.
    pub initial_ms: u64,
    /// Of a linear backoff; default 1 s.
    pub increment_ms: u64,
    /// No delay is longer, jitter included; default 120 s for an exponential or linear backoff, and
    /// otherwise no ceiling.
    pub max_ms: u64,
    /// The delays of a list; zeros are zero here.
    pub delays_ms: *const u64,
    /// How many, 1 to 1,024.
    pub delay_count: usize,
    /// How long all attempts and delays may take together, at most ten years; default: no deadline.
    pub deadline_ms: u64,
    /// How long an attempt is expected to take, until that has been measured; default: nothing.
    pub expected_ms: u64,
    /// How long one attempt may run, at most a year; default: the lease of the engine.
    pub attempt_timeout_ms: u64,
    /// 1: what a server says about retrying is ignored.
    pub ignore_hints: u32,
    /// Zero.
    pub reserved: u32,
    /// A server's hint that is shorter counts as this long; default: zero.
    pub hint_min_ms: u64,
    /// One that is longer counts as this long; default: an hour.
    pub hint_max_ms: u64,
    /// A hint lengthens the delay that was drawn by at most this, and never shortens it. Default:
    /// no such limit, and it may shorten it; 5 s with `ONCEGATE_POLICY_AWS_2026` and its like.
    pub hint_beyond_drawn_ms: u64,
}

// SAFETY: `repr(C)`, numbers and a pointer.
unsafe impl Plain for RawRetryPolicy {}
// SAFETY: the first field is the size.
unsafe impl Growing for RawRetryPolicy {
    /// Up to and with the attempts.
    const LEAST: usize = 24;
}

/// Looks at a policy.
///
/// # Safety
///
/// `at` is `NULL`, or a policy whose references are the caller's for reading during the call.
pub(crate) unsafe fn retry_policy(
    field: &'static str,
    at: *const RawRetryPolicy,
) -> Result<RetryPolicy, Refusal> {
    // SAFETY: the same contract.
    let raw = unsafe { grown(field, at) }?;
    let is_list = raw.preset == ONCEGATE_POLICY_CUSTOM && raw.backoff == ONCEGATE_BACKOFF_LIST;
    // SAFETY: the same contract.
    let listed = if is_list { unsafe { delays(&raw) }? } else { Vec::new() };
    build(&raw, listed)
}

/// The same; `NULL` says nothing.
///
/// # Safety
///
/// As for [`retry_policy`].
pub(crate) unsafe fn retry_policy_or_none(
    field: &'static str,
    at: *const RawRetryPolicy,
) -> Result<Option<RetryPolicy>, Refusal> {
    // SAFETY: the same contract.
    if at.is_null() { Ok(None) } else { unsafe { retry_policy(field, at) }.map(Some) }
}

/// Sets how attempts of an operation are retried, in this process, and how many of them
/// `oncegate_next_attempt` hands out at a time.
///
/// The operation is UTF-8 of 1 to 255 bytes, that of `oncegate_retry_later`. `policy` may be
/// `NULL`: the engine's own. `max_in_flight` 0: no limit. What was set before for the operation is
/// replaced. Returns `ONCEGATE_INVALID_OPTION` with the name of what is out of its range, or
/// `ONCEGATE_QUOTA_EXCEEDED` where 1,024 operations have settings. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_set_operation(
    engine: *const RawEngine,
    operation: Bytes,
    policy: *const RawRetryPolicy,
    max_in_flight: u64,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; operation = text; policy = retry_policy_or_none; => {
        let mut settings = OperationSettings::new();
        if let Some(policy) = policy {
            settings = settings.policy(policy);
        }
        if let Some(attempts) = given_size(max_in_flight) {
            settings = settings.max_in_flight(attempts);
        }
        Ok(engine.engine.set_operation(operation, settings)?)
    })
}

/// Writes the delays before attempts 2, 3 and so on of a request all of whose attempts fail at once
/// and bring no hint.
///
/// They are drawn as the engine draws them, from `seed`: the same seed gives the same delays, on
/// every machine but for `ONCEGATE_JITTER_DECORRELATED_V2`, where they may differ by a millisecond.
/// `*count` is how many were written. `*reason`, which may be `NULL`, is why there are no more: one
/// of `ONCEGATE_BURIED_…`, or `ONCEGATE_BURIED_NONE` where only `capacity` ended them. Returns
/// `ONCEGATE_INVALID_OPTION` with the name of what is out of its range. No engine is needed; any
/// thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_backoff_preview(
    policy: *const RawRetryPolicy,
    seed: u64,
    delays_ms: *mut u64,
    capacity: usize,
    count: *mut usize,
    reason: *mut u32,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        policy = retry_policy; delays_ms = OutElements::new, capacity; count = Out::new;
        reason = Out::new_or_none;
    => {
        let mut delays_ms = delays_ms;
        let source = JitterSource::seeded(seed);
        let (mut made, mut attempt) = (0, 1_u32);
        let (mut elapsed, mut previous) = (Duration::ZERO, Duration::ZERO);
        let ended = loop {
            let attempted = Attempted::new(attempt, elapsed).previous_delay(previous);
            let delay = match policy.decide(&attempted, &source) {
                Decision::RetryAfter(_) if made == capacity => break ONCEGATE_BURIED_NONE,
                Decision::RetryAfter(delay) => delay,
                Decision::Exhausted(Exhaustion::Attempts) => break ONCEGATE_BURIED_ATTEMPTS,
                Decision::Exhausted(Exhaustion::Deadline) => break ONCEGATE_BURIED_DEADLINE,
                Decision::Exhausted(Exhaustion::Refused) => break ONCEGATE_BURIED_FINAL_ERROR,
            };
            delays_ms.set(made, crate::convert::millis_up(delay));
            made += 1;
            attempt = attempt.saturating_add(1);
            (elapsed, previous) = (elapsed.saturating_add(delay), delay);
        };
        count.write(made);
        if let Some(reason) = reason {
            reason.write(ended);
        }
        Ok(())
    })
}

/// The policy, with the delays of its list, if it has one.
fn build(raw: &RawRetryPolicy, listed: Vec<Duration>) -> Result<RetryPolicy, Refusal> {
    if raw.reserved != 0 {
        return Err(no_choice("reserved", raw.reserved, 0));
    }
    let mut policy = match raw.preset {
        ONCEGATE_POLICY_CUSTOM => RetryPolicy::new(backoff(raw, listed)?),
        preset => of_preset(preset, raw)?,
    };
    if raw.max_attempts != 0 && raw.preset != ONCEGATE_POLICY_GRPC {
        policy = policy.max_attempts(raw.max_attempts);
    }
    if let Some(total) = given_ms(raw.deadline_ms) {
        policy = policy.deadline(total);
    }
    if let Some(duration) = given_ms(raw.expected_ms) {
        policy = policy.expected_duration(duration);
    }
    if let Some(timeout) = given_ms(raw.attempt_timeout_ms) {
        policy = policy.attempt_timeout(timeout);
    }
    let limits = hints(policy.hint_limits(), raw)?;
    policy = policy.hints(limits);
    policy.check()?;
    Ok(policy)
}

fn of_preset(preset: u32, raw: &RawRetryPolicy) -> Result<RetryPolicy, Refusal> {
    let is_grpc = preset == ONCEGATE_POLICY_GRPC;
    let policy = match preset {
        ONCEGATE_POLICY_AWS_STANDARD => RetryPolicy::aws_standard(),
        ONCEGATE_POLICY_AWS_2026 => RetryPolicy::aws_2026(),
        ONCEGATE_POLICY_AWS_2026_THROTTLED => RetryPolicy::aws_2026_throttled(),
        ONCEGATE_POLICY_GRPC => {
            let ms = |given: u64| given_ms(given).unwrap_or_default();
            let (initial, max) = (ms(raw.initial_ms), ms(raw.max_ms));
            RetryPolicy::grpc(initial, max, raw.multiplier, raw.max_attempts)
        }
        ONCEGATE_POLICY_GRPC_EXAMPLE => RetryPolicy::grpc_example(),
        ONCEGATE_POLICY_RESILIENCE4J => RetryPolicy::resilience4j(),
        ONCEGATE_POLICY_POLLY_V8 => RetryPolicy::polly_v8(),
        ONCEGATE_POLICY_CELERY => RetryPolicy::celery(),
        ONCEGATE_POLICY_CELERY_BACKOFF => RetryPolicy::celery_backoff(),
        other => return Err(no_choice("preset", other, ONCEGATE_POLICY_CELERY_BACKOFF)),
    };
    let fields = [
        ("backoff", raw.backoff != 0),
        ("jitter", raw.jitter != 0),
        ("jitter_share", raw.jitter_share != 0.0),
        ("increment_ms", raw.increment_ms != 0),
        ("delay_count", raw.delay_count != 0),
        ("initial_ms", raw.initial_ms != 0 && !is_grpc),
        ("multiplier", raw.multiplier != 0.0 && !is_grpc),
        ("max_ms", raw.max_ms != 0 && !is_grpc),
    ];
    check_unset(&fields, "with this preset")?;
    Ok(policy)
}

fn backoff(raw: &RawRetryPolicy, listed: Vec<Duration>) -> Result<BackoffPolicy, Refusal> {
    let kind = raw.backoff;
    if kind > ONCEGATE_BACKOFF_LIST {
        return Err(no_choice("backoff", kind, ONCEGATE_BACKOFF_LIST));
    }
    let (is_exponential, is_list) =
        (kind == ONCEGATE_BACKOFF_EXPONENTIAL, kind == ONCEGATE_BACKOFF_LIST);
    let fields = [
        ("multiplier", raw.multiplier != 0.0 && !is_exponential),
        ("increment_ms", raw.increment_ms != 0 && kind != ONCEGATE_BACKOFF_LINEAR),
        ("initial_ms", raw.initial_ms != 0 && is_list),
        ("delay_count", raw.delay_count != 0 && !is_list),
    ];
    check_unset(&fields, "with this backoff")?;
    let initial = given_ms(raw.initial_ms).unwrap_or(FIRST);
    let max = given_ms(raw.max_ms);
    let backoff = match kind {
        ONCEGATE_BACKOFF_EXPONENTIAL => {
            let multiplier = given_f64(raw.multiplier).unwrap_or(2.0);
            BackoffPolicy::exponential(initial, multiplier, max.unwrap_or(CEILING))
        }
        ONCEGATE_BACKOFF_LINEAR => {
            let increment = given_ms(raw.increment_ms).unwrap_or(FIRST);
            BackoffPolicy::linear(initial, increment, max.unwrap_or(CEILING))
        }
        ONCEGATE_BACKOFF_CONSTANT => {
            BackoffPolicy::constant(initial).max(max.unwrap_or(BackoffPolicy::LONGEST))
        }
        _ => BackoffPolicy::list(listed).max(max.unwrap_or(BackoffPolicy::LONGEST)),
    };
    Ok(backoff.jitter(jitter(raw)?))
}

/// # Safety
///
/// What `raw` refers to is the caller's for reading during the call.
unsafe fn delays(raw: &RawRetryPolicy) -> Result<Vec<Duration>, Refusal> {
    let (count, most) = (raw.delay_count, BackoffPolicy::MAX_LISTED);
    if !(1..=most).contains(&count) {
        let detail = format!("found {count}; limit: 1 to {most}");
        return Err(Refusal::new(ONCEGATE_BAD_SIZE, "delay_count", detail));
    }
    // SAFETY: the same contract.
    let delays = unsafe { elements("delays_ms", raw.delays_ms, count) }?;
    Ok(delays.iter().map(|ms| Duration::from_millis(*ms)).collect())
}

fn jitter(raw: &RawRetryPolicy) -> Result<Jitter, Refusal> {
    let is_proportional = raw.jitter == ONCEGATE_JITTER_PROPORTIONAL;
    let fields = [("jitter_share", raw.jitter_share != 0.0 && !is_proportional)];
    check_unset(&fields, "with this jitter")?;
    Ok(match raw.jitter {
        ONCEGATE_JITTER_NONE => Jitter::None,
        ONCEGATE_JITTER_FULL => Jitter::Full,
        ONCEGATE_JITTER_EQUAL => Jitter::Equal,
        ONCEGATE_JITTER_DECORRELATED => Jitter::Decorrelated,
        ONCEGATE_JITTER_PROPORTIONAL => {
            Jitter::Proportional(given_f64(raw.jitter_share).unwrap_or(SHARE))
        }
        ONCEGATE_JITTER_DECORRELATED_V2 => Jitter::DecorrelatedV2,
        other => return Err(no_choice("jitter", other, ONCEGATE_JITTER_DECORRELATED_V2)),
    })
}

/// The limits of a preset, with what the caller says in their place.
fn hints(mut limits: HintLimits, raw: &RawRetryPolicy) -> Result<HintLimits, Refusal> {
    if flag("ignore_hints", raw.ignore_hints)? {
        let fields = [
            ("hint_min_ms", raw.hint_min_ms != 0),
            ("hint_max_ms", raw.hint_max_ms != 0),
            ("hint_beyond_drawn_ms", raw.hint_beyond_drawn_ms != 0),
        ];
        check_unset(&fields, "where hints are ignored")?;
        return Ok(HintLimits::ignored());
    }
    if let Some(least) = given_ms(raw.hint_min_ms) {
        limits = limits.min(least);
    }
    if let Some(most) = given_ms(raw.hint_max_ms) {
        limits = limits.max(most);
    }
    if let Some(most) = given_ms(raw.hint_beyond_drawn_ms) {
        limits = limits.beyond_drawn(most);
    }
    Ok(limits)
}

/// The first delay of the engine's own policy, and its ceiling.
const FIRST: Duration = Duration::from_secs(1);
const CEILING: Duration = Duration::from_secs(120);
/// gRPC's share of jitter.
const SHARE: f64 = 0.2;

#[cfg(test)]
mod tests;
