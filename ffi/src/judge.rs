//! What HTTP says: what a response means for its record, and what a method needs.

use oncegate::{MethodClass, OutcomePolicy, Verdict};

use crate::convert::no_choice;
use crate::engine::text;
use crate::entry::{ErrorInfo, entry};
use crate::raw::{Bytes, Out};
use crate::status::{ONCEGATE_BAD_VALUE, Refusal, Status};

/// The IETF draft on the header `Idempotency-Key`.
pub const ONCEGATE_OUTCOMES_IETF: u32 = 0;
/// Stripe's API v1: every result is replayed once the operation began.
pub const ONCEGATE_OUTCOMES_STRIPE_V1: u32 = 1;
/// Stripe's API v2: success never repeats, and what failed is driven on.
pub const ONCEGATE_OUTCOMES_STRIPE_V2: u32 = 2;
/// OASIS Repeatable Requests 1.0.
pub const ONCEGATE_OUTCOMES_OASIS: u32 = 3;
/// The REST catalog of Apache Iceberg.
pub const ONCEGATE_OUTCOMES_ICEBERG: u32 = 4;

/// The result is stored, and duplicates get it: `oncegate_lease_complete`.
pub const ONCEGATE_JUDGED_FINAL: u32 = 1;
/// The next attempt may start: `oncegate_retry_later`, or a retryable `oncegate_lease_fail`.
pub const ONCEGATE_JUDGED_RETRYABLE: u32 = 2;
/// Nobody knows whether it took effect: an unknown `oncegate_lease_fail`.
pub const ONCEGATE_JUDGED_UNKNOWN: u32 = 3;

/// `GET`, `HEAD`, `OPTIONS`, `TRACE`, `QUERY`, `PROPFIND`, `REPORT`, `SEARCH`: run it as often as
/// it comes; no record is needed.
pub const ONCEGATE_METHOD_SAFE: u32 = 1;
/// `PUT`, `DELETE`: the payload stands in for a key, unless the client gave one.
pub const ONCEGATE_METHOD_PAYLOAD_DEDUP: u32 = 2;
/// All others: refuse the request unless it carries a key.
pub const ONCEGATE_METHOD_KEY_REQUIRED: u32 = 3;

/// Says what a response with `http_status` means for its record by one of `ONCEGATE_OUTCOMES_…`:
/// one of `ONCEGATE_JUDGED_…`.
///
/// The presets are the published rules of those systems; none of them judges a status unknown.
/// Needs no engine; any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_judge(
    policy: u32,
    http_status: u32,
    judgement: *mut u32,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; judgement = Out::new; => {
        let policy = match policy {
            ONCEGATE_OUTCOMES_IETF => OutcomePolicy::ietf(),
            ONCEGATE_OUTCOMES_STRIPE_V1 => OutcomePolicy::stripe_v1(),
            ONCEGATE_OUTCOMES_STRIPE_V2 => OutcomePolicy::stripe_v2(),
            ONCEGATE_OUTCOMES_OASIS => OutcomePolicy::oasis(),
            ONCEGATE_OUTCOMES_ICEBERG => OutcomePolicy::iceberg(),
            other => return Err(no_choice("policy", other, ONCEGATE_OUTCOMES_ICEBERG)),
        };
        let status = u16::try_from(http_status).map_err(|_| {
            let detail = format!("found {http_status}; limit: 0 to 65535");
            Refusal::new(ONCEGATE_BAD_VALUE, "http_status", detail)
        })?;
        judgement.write(match policy.judge(status) {
            Verdict::Final => ONCEGATE_JUDGED_FINAL,
            Verdict::Retryable => ONCEGATE_JUDGED_RETRYABLE,
            Verdict::Unknown => ONCEGATE_JUDGED_UNKNOWN,
        });
        Ok(())
    })
}

/// Says what a request with this HTTP method needs before its handler may run: one of
/// `ONCEGATE_METHOD_…`.
///
/// Method names are case-sensitive (RFC 9110, section 9.1); one that is not known needs a key.
/// Needs no engine; any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_method_class(
    method: Bytes,
    method_class: *mut u32,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; method = text; method_class = Out::new; => {
        method_class.write(match oncegate::method_class(method) {
            MethodClass::Safe => ONCEGATE_METHOD_SAFE,
            MethodClass::PayloadDedup => ONCEGATE_METHOD_PAYLOAD_DEDUP,
            MethodClass::KeyRequired => ONCEGATE_METHOD_KEY_REQUIRED,
        });
        Ok(())
    })
}
