//! Tokens on their way: which bytes are a token, by the layout that is documented.

use oncegate::{ErrorCode, LeaseToken};

/// A token that was changed and is one all the same.
pub(crate) struct Tampered {
    pub(crate) token: LeaseToken,
    /// The dedup window that it now asks for, in milliseconds.
    pub(crate) window: u64,
}

/// Changes a byte of the token by exclusive or. `None`: the bytes are no token, and are refused.
pub(crate) fn tamper(
    token: &LeaseToken,
    (at, with): (usize, u8),
) -> Result<Option<Tampered>, String> {
    let mut bytes = token.to_bytes();
    bytes[at % LeaseToken::BYTES] ^= with;
    read(&bytes)
}

/// Reads any bytes, and holds what comes of them against the layout.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<Tampered>, String> {
    let window = window_of(bytes);
    match (LeaseToken::from_bytes(bytes), window) {
        (Ok(token), Some(window)) if token.to_bytes() == bytes => {
            Ok(Some(Tampered { token, window }))
        }
        (Err(error), None) if error.code() == ErrorCode::InvalidToken => Ok(None),
        (read, window) => Err(format!("{read:?} of {bytes:?}, whose window is {window:?}")),
    }
}

/// Whether both name the same slot and fencing token: one attempt of one record. Those of an engine
/// without a tier and those of one with a tier never do.
pub(crate) fn name_one_attempt(a: &LeaseToken, b: &LeaseToken) -> bool {
    let named = |token: &LeaseToken| {
        let bytes = token.to_bytes();
        (bytes[0], bytes[8..24].to_vec())
    };
    named(a) == named(b)
}

/// The window of a token in 32 bytes: version, scope, attempt, slot, fencing token, window.
///
/// In version 3, of an engine with a tier, the table's counter stands above the slot (its lower 36
/// bits) and above the window (the other eight), and the highest bit of all tells that the table
/// admitted the attempt alone.
fn window_of(bytes: &[u8]) -> Option<u64> {
    let bytes: &[u8; LeaseToken::BYTES] = bytes.try_into().ok()?;
    let half = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|offset| bytes[at + offset]));
    let whole = |at: usize| u64::from(half(at)) | u64::from(half(at + 4)) << 32;
    let (slot, last) = (whole(8), whole(24));
    let (window, has_form) = match half(0) & 0xffff {
        2 => (last, true),
        3 => {
            let (counter, unused) = ((slot >> 28, last >> 40 & 0xff), last >> 48 & 0x7fff);
            (last & 0xff_ffff_ffff, counter != (0, 0) && unused == 0)
        }
        _ => return None,
    };
    // The scope may be any.
    let in_range =
        half(4) >> 16 != 0 && whole(16) < 1 << 63 && (1..=TEN_YEARS_MS).contains(&window);
    (has_form && in_range).then_some(window)
}

const TEN_YEARS_MS: u64 = 3_653 * 24 * 3600 * 1_000;
