//! Choices: settings that are named by a word.

use pyo3::prelude::*;
use pyo3::types::PyString;

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
}
