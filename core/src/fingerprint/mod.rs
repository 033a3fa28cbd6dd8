//! Identity: who asks, for what, under which key, and with which payload.
//!
//! ```text
//! scope ─────┐
//! operation ─┼─ Request ─► KeyedHasher ─┬─► Fingerprint, 256 bits: which record?
//! key ───────┤                          │
//! payload ───┘                          └─► payload digest, 64 bits: the same request again?
//! ```
//!
//! A slot of the table stores and compares 224 bits of the fingerprint and 56 bits of the payload
//! digest; the rest of its line holds other things.
//!
//! Only keyed digests leave this module: no key, scope or payload is stored, logged or compared
//! in clear. Everything that a caller controls has a limit, and every refusal is an
//! [`Error`](crate::Error) that names the field and the limit, never the value.
//!
//! | file | what it owns |
//! |---|---|
//! | `scope`, `request`, `payload` | what the caller says |
//! | `key`, `predictable` | which keys are accepted |
//! | `secret`, `hasher` | the keyed digests and their byte layout |
//! | `digest` | the versions of the payload digest |
//! | `method` | what an HTTP method requires |

mod digest;
mod hasher;
mod key;
mod method;
mod payload;
mod predictable;
mod request;
mod scope;
mod secret;
#[cfg(test)]
mod tests;

pub(crate) use digest::DigestVersion;
pub use hasher::FingerprintMode;
pub(crate) use hasher::KeyedHasher;
pub use key::{KeyCharset, KeyRules};
pub use method::{MethodClass, method_class};
pub use payload::Payload;
pub use request::Request;
pub use scope::Scope;
pub use secret::Secret;

use std::fmt;

/// The identity of a record: 256 keyed bits made of scope, operation and key.
///
/// Two requests with the same fingerprint are the same logical request. Whoever lacks the secret
/// can neither compute a fingerprint nor read anything back from one, so that it may be stored
/// and passed on: as the request's id in the store that holds its effect, for example, under a
/// secret that was given. `Debug` shows the first 32 bits only: enough to follow a request through
/// a log. [`Prepared::fingerprint`](crate::Prepared::fingerprint) tells that of a request.
///
/// The table stores and compares 224 of the 256 bits. Under HMAC-SHA-256 that is as strong as
/// SHA-224: two requests share a record by accident with a probability of 2⁻²²⁴.
///
/// ```
/// use oncegate::Fingerprint;
///
/// let fingerprint = Fingerprint::from_bytes([0xab; 32]);
/// assert_eq!(fingerprint.to_bytes(), [0xab; 32]);
/// assert_eq!(format!("{fingerprint:?}"), "Fingerprint(abababab..)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// A fingerprint that was made elsewhere, such as in another process under the same secret.
    ///
    /// The bytes must be spread evenly, as those of a keyed hash are: the table takes its
    /// positions from them.
    ///
    /// ```
    /// # use oncegate::Fingerprint;
    /// assert_eq!(Fingerprint::from_bytes([1; 32]), Fingerprint::from_bytes([1; 32]));
    /// ```
    #[must_use]
    #[inline]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes, for storing or for another process.
    ///
    /// ```
    /// # use oncegate::Fingerprint;
    /// assert_eq!(Fingerprint::from_bytes([7; 32]).to_bytes().len(), 32);
    /// ```
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// The reverse of [`words`](Self::words).
    #[inline]
    pub(crate) fn from_words(words: [u64; 4]) -> Self {
        let mut bytes = [0; 32];
        let (places, _) = bytes.as_chunks_mut::<8>();
        for (place, word) in places.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        Self(bytes)
    }

    /// The same bits as four little-endian words, as the slots of the table hold them.
    #[inline]
    pub(crate) fn words(self) -> [u64; 4] {
        let (words, _) = self.0.as_chunks::<8>();
        std::array::from_fn(|i| u64::from_le_bytes(words[i]))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Fingerprint({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}
