//! Downstream key: the idempotency key of a call that an attempt makes elsewhere.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{Error, ErrorCode};
use crate::fingerprint::Fingerprint;

/// An idempotency key for a service below this one: the same for every attempt of a request, and
/// another one for every request, service and step.
///
/// So a retry meets what the attempt before it left there, and the caller's own key is told to
/// nobody. It is HMAC-SHA-256 under the request's fingerprint, over
///
/// ```text
/// 21 bytes  "oncegate downstream 1"
/// 1 byte    length of the service's name    then the name
/// 1 byte    0: no step, 1: a step
/// 1 byte    length of the step's name       then the name, where there is a step
/// ```
///
/// and is written as 43 characters of base64url without padding (RFC 4648, section 5): letters,
/// digits, `-` and `_`. Whoever knows the fingerprint can compute it; who knows it learns nothing
/// about the fingerprint.
///
/// The fingerprint hangs on the engine's secret. With a secret that the engine made itself, a
/// request has other keys after a restart; so does one that begins anew after the rotation of its
/// secret has ended.
///
/// ```
/// use oncegate::{DownstreamKey, Fingerprint};
///
/// let request = Fingerprint::from_bytes([7; 32]);
/// let charge = DownstreamKey::of_step(request, "payments", "charge")?;
/// assert_eq!(charge.as_str().len(), 43);
/// assert_eq!(charge, DownstreamKey::of_step(request, "payments", "charge")?);
/// assert_ne!(charge, DownstreamKey::new(request, "payments")?);
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DownstreamKey([u8; LENGTH]);

impl DownstreamKey {
    /// How long the name of a service or a step may be.
    pub const MAX_NAME_BYTES: usize = 255;

    /// The key for the one call that a request makes to `service`.
    ///
    /// # Errors
    /// `InvalidOption` when the name is empty or longer than 255 bytes.
    ///
    /// ```
    /// # use oncegate::{DownstreamKey, Fingerprint};
    /// let request = Fingerprint::from_bytes([7; 32]);
    /// assert!(DownstreamKey::new(request, "").is_err());
    /// ```
    pub fn new(request: Fingerprint, service: &str) -> Result<Self, Error> {
        Self::derive(request, service, None)
    }

    /// The key for one of several calls to `service`.
    ///
    /// # Errors
    /// `InvalidOption` when a name is empty or longer than 255 bytes.
    ///
    /// ```
    /// # use oncegate::{DownstreamKey, Fingerprint};
    /// let request = Fingerprint::from_bytes([7; 32]);
    /// let key = |step| DownstreamKey::of_step(request, "payments", step);
    /// assert_ne!(key("charge")?, key("receipt")?);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn of_step(request: Fingerprint, service: &str, step: &str) -> Result<Self, Error> {
        Self::derive(request, service, Some(step))
    }

    /// The 43 characters.
    ///
    /// ```
    /// # use oncegate::{DownstreamKey, Fingerprint};
    /// let key = DownstreamKey::new(Fingerprint::from_bytes([7; 32]), "payments")?;
    /// assert!(key.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base64url is ASCII")
    }

    fn derive(request: Fingerprint, service: &str, step: Option<&str>) -> Result<Self, Error> {
        let service_length = length("service", service)?;
        // HMAC is defined for keys of every length, so that this constructor cannot fail.
        let mac = Hmac::<Sha256>::new_from_slice(&request.to_bytes());
        let mut mac = mac.expect("HMAC takes a key of any length");
        mac.update(LABEL);
        mac.update(&[service_length]);
        mac.update(service.as_bytes());
        match step {
            None => mac.update(&[0]),
            Some(step) => {
                mac.update(&[1, length("step", step)?]);
                mac.update(step.as_bytes());
            }
        }
        Ok(Self(base64url(&mac.finalize().into_bytes().into())))
    }
}

impl AsRef<str> for DownstreamKey {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<[u8]> for DownstreamKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for DownstreamKey {
    /// The first eight characters: enough to follow a call through a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DownstreamKey({}..)", &self.as_str()[..8])
    }
}

fn length(field: &'static str, name: &str) -> Result<u8, Error> {
    match u8::try_from(name.len()) {
        Ok(length @ 1..) => Ok(length),
        _ => {
            let found = format!("{} bytes", name.len());
            Err(Error::new(ErrorCode::InvalidOption, field, found, "1 to 255 bytes"))
        }
    }
}

/// Six bits a character, the most significant ones first.
fn base64url(bytes: &[u8; 32]) -> [u8; LENGTH] {
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    std::array::from_fn(|at| {
        let index = (at * 6..at * 6 + 6).fold(0, |index, at| index << 1 | bit(at));
        ALPHABET[usize::from(index)]
    })
}

const LABEL: &[u8] = b"oncegate downstream 1";
const LENGTH: usize = 43;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
