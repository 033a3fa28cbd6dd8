//! Choices: settings that are named by a word.

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::backoff::Growing;
use crate::error::Refused;

/// Makes a type that is read from a word.
macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident($of:ty, $field:literal, $limit:literal) {
        $($word:literal => $value:expr,)*
    })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy)]
            pub(crate) struct $name(pub(crate) $of);

            impl<'py> FromPyObject<'_, 'py> for $name {
                type Error = PyErr;

                fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
                    let text = value.cast::<PyString>()?;
                    let text = text.to_cow()?;
                    match &*text {
                        $($word => Ok(Self($value)),)*
                        _ => {
                            let found = format!("a word of {} bytes", text.len());
                            Err(Refused::Input($field, found, $limit).into())
                        }
                    }
                }
            }
        )*
    };
}
choices! {
    /// What happens to an attempt whose lease lapsed.
    OnLapse(oncegate::OnLapse, "on_lapse", "reclaim, unknown or failed") {
        "reclaim" => oncegate::OnLapse::Reclaim,
        "unknown" => oncegate::OnLapse::Unknown,
        "failed" => oncegate::OnLapse::Failed,
    }
    /// What happens to an attempt whose lease was dropped.
    OnDrop(oncegate::OnDrop, "on_drop", "retry, unknown, failed or keep_lease") {
        "retry" => oncegate::OnDrop::Retry,
        "unknown" => oncegate::OnDrop::Unknown,
        "failed" => oncegate::OnDrop::Failed,
        "keep_lease" => oncegate::OnDrop::KeepLease,
    }
    /// What gives way when there is no room.
    OnFull(oncegate::OnFull, "on_full", "evict_lru or reject") {
        "evict_lru" => oncegate::OnFull::EvictLru,
        "reject" => oncegate::OnFull::Reject,
    }
    /// What a new request is told while the tier gives no answer.
    OnOutage(oncegate::tier::OnOutage, "on_outage", "refuse, local_only or run") {
        "refuse" => oncegate::tier::OnOutage::Refuse,
        "local_only" => oncegate::tier::OnOutage::LocalOnly,
        "run" => oncegate::tier::OnOutage::Run,
    }
    /// How fingerprints are made.
    Mode(oncegate::FingerprintMode, "fingerprint_mode", "keyed or fast_trusted") {
        "keyed" => oncegate::FingerprintMode::Keyed,
        "fast_trusted" => oncegate::FingerprintMode::FastTrusted,
    }
    /// Which bytes a key may have.
    Charset(oncegate::KeyCharset, "charset", "visible, alphanumeric_dash_underscore or hex") {
        "visible" => oncegate::KeyCharset::Visible,
        "alphanumeric_dash_underscore" => oncegate::KeyCharset::AlphanumericDashUnderscore,
        "hex" => oncegate::KeyCharset::Hex,
    }
    /// What gives way when there is no room for one more dead letter.
    OnLettersFull(oncegate::OnLettersFull, "on_letters_full", "drop_oldest or reject") {
        "drop_oldest" => oncegate::OnLettersFull::DropOldest,
        "reject" => oncegate::OnLettersFull::Reject,
    }
    /// How delays grow.
    Shape(Growing, "backoff", "exponential, linear, constant or list") {
        "exponential" => Growing::Exponential,
        "linear" => Growing::Linear,
        "constant" => Growing::Constant,
        "list" => Growing::List,
    }
    /// How a delay is drawn.
    JitterWord(
        oncegate::Jitter,
        "jitter",
        "none, full, equal, decorrelated, decorrelated_v2, or a share as a float"
    ) {
        "none" => oncegate::Jitter::None,
        "full" => oncegate::Jitter::Full,
        "equal" => oncegate::Jitter::Equal,
        "decorrelated" => oncegate::Jitter::Decorrelated,
        "decorrelated_v2" => oncegate::Jitter::DecorrelatedV2,
    }
    /// Why an attempt failed, as far as the price of another one depends on it.
    Kind(oncegate::FailureKind, "kind", "transient, throttled or timeout") {
        "transient" => oncegate::FailureKind::Transient,
        "throttled" => oncegate::FailureKind::Throttled,
        "timeout" => oncegate::FailureKind::Timeout,
    }
    /// Why a record is not tried again.
    Reason(oncegate::Buried, "reason", "attempts, deadline, budget, final_error or lapsed") {
        "attempts" => oncegate::Buried::Attempts,
        "deadline" => oncegate::Buried::Deadline,
        "budget" => oncegate::Buried::Budget,
        "final_error" => oncegate::Buried::FinalError,
        "lapsed" => oncegate::Buried::Lapsed,
    }
    /// What takes tokens out of a bucket.
    Charge(oncegate::Charge, "charge", "retry or failure") {
        "retry" => oncegate::Charge::Retry,
        "failure" => oncegate::Charge::Failure,
    }
}
