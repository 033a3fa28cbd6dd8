//! Retry budgets: how many retries all requests together may make.

use oncegate::{Charge, ConcurrencyBudget, FailureKind, RatioBudget, RetryBudget, TokenBucket};

use crate::convert::{check_unset, given, given_f64, given_ms, no_choice};
use crate::engine::{RawEngine, held, named, text};
use crate::entry::{ErrorInfo, entry};
use crate::raw::{Bytes, Growing, Plain, grown};
use crate::status::{ONCEGATE_BAD_VALUE, Refusal, Status};

/// Tokens, which retries or failures take, and successes and time bring (gRPC A6, AWS SDKs).
pub const ONCEGATE_BUDGET_BUCKET: u32 = 0;
/// A share of the first attempts of the last seconds (Finagle, whose defaults it has).
pub const ONCEGATE_BUDGET_RATIO: u32 = 1;
/// A share of the requests under way (Envoy, whose defaults it has).
pub const ONCEGATE_BUDGET_CONCURRENCY: u32 = 2;

/// 100 tokens: a retry costs 5, a success brings 1, time brings nothing.
pub const ONCEGATE_BUCKET_PLAIN: u32 = 0;
/// gRPC A6: a failure costs 1, and no retries while half of the tokens or less are there.
/// `capacity` is `maxTokens`, a whole number up to 1,000, and `success` is `tokenRatio`; their
/// defaults are the proposal's example, 10 and 0.1.
pub const ONCEGATE_BUCKET_GRPC: u32 = 1;
/// AWS SDKs, `standard`: 500 tokens; a retry costs 5, after a time-out 10; one that succeeds brings
/// back what it cost, and a success without a retry brings 1.
pub const ONCEGATE_BUCKET_AWS_STANDARD: u32 = 2;
/// AWS SDKs as of 2026: the same, but a retry costs 14, and after throttling 5.
pub const ONCEGATE_BUCKET_AWS_2026: u32 = 3;

/// A retry that is allowed takes tokens.
pub const ONCEGATE_CHARGE_RETRY: u32 = 1;
/// Each failure that could be retried takes tokens, whether it is or not.
pub const ONCEGATE_CHARGE_FAILURE: u32 = 2;

/// A retry budget. Zeros: the defaults of its kind and preset. `ONCEGATE_ZERO` and
/// `ONCEGATE_ZERO_F64` stand for zero itself. What is for another kind has to be zero.
///
/// Tokens and shares have three decimals.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawBudget {
    /// `sizeof(oncegate_budget)`.
    pub struct_size: usize,
    /// One of `ONCEGATE_BUDGET_…`.
    pub kind: u32,
    /// One of `ONCEGATE_BUCKET_…`, for a bucket.
    pub preset: u32,
    /// What errors call it: UTF-8, at most 255 bytes.
    pub name: Bytes,
    /// Of a bucket: tokens at the start and at most, 1 to 10,000.
    pub capacity: f64,
    /// What a retry costs after an error that may pass, 0.001 to the capacity, as the next two.
    pub cost_transient: f64,
    /// After the service said that it is asked too often.
    pub cost_throttled: f64,
    /// After a time-out, or where there was no connection.
    pub cost_timeout: f64,
    /// One of `ONCEGATE_CHARGE_…`, or zero: as the preset has it.
    pub charge: u32,
    /// Whether a retry that succeeds brings back what it cost, instead of `success`: 1 yes, 2 no,
    /// zero: as the preset has it.
    pub refund_cost: u32,
    /// No retries while that many tokens or fewer are there, below the capacity.
    pub threshold: f64,
    /// How many tokens a success brings, up to the capacity.
    pub success: f64,
    /// How many tokens time brings each second, 0.001 to 10,000; default: none.
    pub refill_per_second: f64,
    /// Of a ratio budget: retries for each first attempt, 0 to 1,000; default 0.2.
    pub ratio: f64,
    /// Retries a second that are always allowed, at most 1,000,000; default 10.
    pub min_per_second: u64,
    /// How long attempts count, 1 to 60 s; default 10 s.
    pub ttl_ms: u64,
    /// Into how many slices that time is cut, 2 to 60; default 10.
    pub slices: u64,
    /// Of a concurrency budget: the share of requests under way that may be retries, 0 to 1;
    /// default 0.2.
    pub share: f64,
    /// So many retries are always allowed at once; default 3.
    pub min_retries: u64,
}

// SAFETY: `repr(C)`, numbers and a pointer.
unsafe impl Plain for RawBudget {}
// SAFETY: the first field is the size.
unsafe impl Growing for RawBudget {
    /// Up to and with the name.
    const LEAST: usize = 32;
}

/// Makes the budget that the caller describes.
///
/// # Safety
///
/// `at` is `NULL`, or a budget whose references are the caller's for reading during the call.
unsafe fn budget(field: &'static str, at: *const RawBudget) -> Result<RetryBudget, Refusal> {
    // SAFETY: the same contract.
    let raw = unsafe { grown(field, at) }?;
    // SAFETY: the same contract.
    let name = unsafe { raw.name.text("name") }?;
    build(&raw, name)
}

fn build(raw: &RawBudget, name: &str) -> Result<RetryBudget, Refusal> {
    let made = match raw.kind {
        ONCEGATE_BUDGET_BUCKET => {
            check_unset(&ratio_fields(raw), "for a bucket")?;
            check_unset(&concurrency_fields(raw), "for a bucket")?;
            bucket(raw)?.name(name).build()
        }
        ONCEGATE_BUDGET_RATIO => {
            check_unset(&bucket_fields(raw), "for a ratio budget")?;
            check_unset(&concurrency_fields(raw), "for a ratio budget")?;
            ratio(raw).name(name).build()
        }
        ONCEGATE_BUDGET_CONCURRENCY => {
            check_unset(&bucket_fields(raw), "for a concurrency budget")?;
            check_unset(&ratio_fields(raw), "for a concurrency budget")?;
            concurrency(raw).name(name).build()
        }
        other => return Err(no_choice("kind", other, ONCEGATE_BUDGET_CONCURRENCY)),
    };
    Ok(made?)
}

fn bucket_fields(raw: &RawBudget) -> [(&'static str, bool); 10] {
    [
        ("preset", raw.preset != 0),
        ("capacity", raw.capacity != 0.0),
        ("cost_transient", raw.cost_transient != 0.0),
        ("cost_throttled", raw.cost_throttled != 0.0),
        ("cost_timeout", raw.cost_timeout != 0.0),
        ("charge", raw.charge != 0),
        ("refund_cost", raw.refund_cost != 0),
        ("threshold", raw.threshold != 0.0),
        ("success", raw.success != 0.0),
        ("refill_per_second", raw.refill_per_second != 0.0),
    ]
}

fn ratio_fields(raw: &RawBudget) -> [(&'static str, bool); 4] {
    [
        ("ratio", raw.ratio != 0.0),
        ("min_per_second", raw.min_per_second != 0),
        ("ttl_ms", raw.ttl_ms != 0),
        ("slices", raw.slices != 0),
    ]
}

fn concurrency_fields(raw: &RawBudget) -> [(&'static str, bool); 2] {
    [("share", raw.share != 0.0), ("min_retries", raw.min_retries != 0)]
}

fn bucket(raw: &RawBudget) -> Result<TokenBucket, Refusal> {
    let is_grpc = raw.preset == ONCEGATE_BUCKET_GRPC;
    let mut bucket = match raw.preset {
        ONCEGATE_BUCKET_PLAIN => RetryBudget::bucket(),
        ONCEGATE_BUCKET_GRPC => grpc(raw)?,
        ONCEGATE_BUCKET_AWS_STANDARD => RetryBudget::aws_standard(),
        ONCEGATE_BUCKET_AWS_2026 => RetryBudget::aws_2026(),
        other => return Err(no_choice("preset", other, ONCEGATE_BUCKET_AWS_2026)),
    };
    if let Some(tokens) = given_f64(raw.capacity).filter(|_| !is_grpc) {
        bucket = bucket.capacity(tokens);
    }
    if let Some(tokens) = given_f64(raw.success).filter(|_| !is_grpc) {
        bucket = bucket.success(tokens);
    }
    let costs = [
        (FailureKind::Transient, raw.cost_transient),
        (FailureKind::Throttled, raw.cost_throttled),
        (FailureKind::Timeout, raw.cost_timeout),
    ];
    for (kind, tokens) in costs {
        if let Some(tokens) = given_f64(tokens) {
            bucket = bucket.cost(kind, tokens);
        }
    }
    if let Some(tokens) = given_f64(raw.threshold) {
        bucket = bucket.threshold(tokens);
    }
    if let Some(tokens) = given_f64(raw.refill_per_second) {
        bucket = bucket.refill_per_second(tokens);
    }
    bucket = match raw.charge {
        0 => bucket,
        ONCEGATE_CHARGE_RETRY => bucket.charge(Charge::Retry),
        ONCEGATE_CHARGE_FAILURE => bucket.charge(Charge::Failure),
        other => return Err(no_choice("charge", other, ONCEGATE_CHARGE_FAILURE)),
    };
    Ok(match raw.refund_cost {
        0 => bucket,
        1 => bucket.refund_cost(true),
        2 => bucket.refund_cost(false),
        other => return Err(no_choice("refund_cost", other, 2)),
    })
}

fn grpc(raw: &RawBudget) -> Result<TokenBucket, Refusal> {
    let max_tokens = given_f64(raw.capacity).unwrap_or(10.0);
    if max_tokens.fract() != 0.0 {
        let detail = "found a fraction, or no number; limit: whole tokens";
        return Err(Refusal::new(ONCEGATE_BAD_VALUE, "capacity", detail));
    }
    // What does not fit is cut, and still out of range.
    let max_tokens = max_tokens as u32;
    Ok(RetryBudget::grpc(max_tokens, given_f64(raw.success).unwrap_or(0.1)))
}

fn ratio(raw: &RawBudget) -> RatioBudget {
    let mut budget = RetryBudget::finagle();
    if let Some(ratio) = given_f64(raw.ratio) {
        budget = budget.ratio(ratio);
    }
    if let Some(retries) = given(raw.min_per_second) {
        budget = budget.min_per_second(narrow(retries));
    }
    if let Some(ttl) = given_ms(raw.ttl_ms) {
        budget = budget.ttl(ttl);
    }
    if let Some(slices) = given(raw.slices) {
        budget = budget.slices(narrow(slices));
    }
    budget
}

fn concurrency(raw: &RawBudget) -> ConcurrencyBudget {
    let mut budget = RetryBudget::envoy();
    if let Some(share) = given_f64(raw.share) {
        budget = budget.share(share);
    }
    if let Some(retries) = given(raw.min_retries) {
        budget = budget.min_retries(narrow(retries));
    }
    budget
}

/// A count that is larger is as much out of its range, or as good as no limit.
fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Sets the retry budget of all attempts of this engine, in this process, in place of the one that
/// there is. It starts full.
///
/// Returns `ONCEGATE_INVALID_CONFIG` with the name of what is out of its range, such as
/// `retry_budget.capacity`, and `ONCEGATE_BAD_VALUE` for what is for another kind. Any thread may
/// call it, as those below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_set_retry_budget(
    engine: *const RawEngine,
    budget: *const RawBudget,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; budget = self::budget; => {
        Ok(engine.engine.set_retry_budget(budget)?)
    })
}

/// Sets the retry budget of an operation, in this process: of the requests that begin under this
/// name, and of what `oncegate_retry_later` leaves to the engine under it.
///
/// Returns what `oncegate_set_retry_budget` does, `ONCEGATE_INVALID_OPERATION` for a name that is
/// not of 1 to 1,024 bytes, and `ONCEGATE_QUOTA_EXCEEDED` where 1,024 scopes and operations have
/// budgets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_set_operation_budget(
    engine: *const RawEngine,
    operation: Bytes,
    budget: *const RawBudget,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; operation = text; budget = self::budget; => {
        Ok(engine.engine.set_operation_budget(operation, budget)?)
    })
}

/// Sets the retry budget of a scope, in this process; `scope_kind` is one of `ONCEGATE_SCOPE_…`.
///
/// Returns what `oncegate_set_operation_budget` does, `ONCEGATE_INVALID_SCOPE` for a name that is
/// none, and `ONCEGATE_INVALID_OPTION` where another scope that has a budget cannot be told from
/// this one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_set_scope_budget(
    engine: *const RawEngine,
    scope_kind: u32,
    scope: Bytes,
    budget: *const RawBudget,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; scope = named, scope_kind; budget = self::budget; => {
        Ok(engine.engine.set_scope_budget(scope, budget)?)
    })
}

/// Takes the retry budget of a scope away, if it has one. What the engine and the operation may
/// spend holds all the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_remove_scope_budget(
    engine: *const RawEngine,
    scope_kind: u32,
    scope: Bytes,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; scope = named, scope_kind; => {
        Ok(engine.engine.remove_scope_budget(scope)?)
    })
}

#[cfg(test)]
mod tests;
