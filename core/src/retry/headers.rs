//! Headers: what an attempt tells the services that it calls.

use std::fmt;

use crate::engine::FencingToken;
use crate::error::{Error, ErrorCode};

/// The headers of the calls that one attempt makes: its idempotency key, its number, and its
/// fencing token.
///
/// | header | value | for |
/// |---|---|---|
/// | `idempotency-key` | the key as a String of RFC 8941, in double quotes | a service that keeps `draft-ietf-httpapi-idempotency-key-header` |
/// | `idempotency-attempt` | the attempt, from 1 on | logs; a service that refuses stale attempts |
/// | `fencing-token` | the token, in decimal digits | a store that refuses a lower token than it has seen |
///
/// The last two are names of this engine, and registered nowhere. Names are in lower case, as
/// HTTP/2 and gRPC ask for. `Debug` does not show the key.
///
/// ```
/// use oncegate::{Admission, AttemptHeaders, DownstreamKey, Engine, Request, Scope};
///
/// let engine = Engine::builder().capacity(1_000).build()?;
/// let request = Request::new(Scope::single_tenant(), "POST /orders", "key-1")?;
/// let fingerprint = engine.prepare(&request)?.fingerprint();
/// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
///
/// let key = DownstreamKey::new(fingerprint, "payments")?;
/// let headers = AttemptHeaders::new(key, lease.attempt(), lease.fencing_token())?;
/// for (name, value) in headers.iter() {
///     println!("{name}: {value}");
/// }
/// # assert_eq!(headers.iter().count(), 3);
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AttemptHeaders {
    key: String,
    attempt: String,
    token: String,
    previous: Option<String>,
}

impl AttemptHeaders {
    /// How long a key may be, in bytes, before it is quoted.
    pub const MAX_KEY_BYTES: usize = 255;

    /// The headers of this attempt, with `key` for the service that is called: a
    /// [`DownstreamKey`](crate::DownstreamKey), or another one that every attempt sends alike.
    ///
    /// # Errors
    /// `InvalidKey` when the key is empty, longer than 255 bytes, or holds anything but printable
    /// ASCII, which is all that a header's String may hold.
    ///
    /// ```
    /// # use oncegate::{Admission, AttemptHeaders, Engine, ErrorCode, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let error = AttemptHeaders::new("a\nb", 1, lease.fencing_token()).unwrap_err();
    /// assert_eq!(error.code(), ErrorCode::InvalidKey);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn new(key: impl AsRef<[u8]>, attempt: u32, token: FencingToken) -> Result<Self, Error> {
        Ok(Self {
            key: quoted(key.as_ref())?,
            attempt: attempt.to_string(),
            token: token.to_string(),
            previous: attempt.checked_sub(1).filter(|before| *before > 0).map(|n| n.to_string()),
        })
    }

    /// The three headers, each with its value.
    ///
    /// ```
    /// # use oncegate::{Admission, AttemptHeaders, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let headers = AttemptHeaders::new("order-7", 2, lease.fencing_token())?;
    /// let mut headers = headers.iter();
    /// assert_eq!(headers.next(), Some(("idempotency-key", "\"order-7\"")));
    /// assert_eq!(headers.next(), Some(("idempotency-attempt", "2")));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("idempotency-key", self.key.as_str()),
            ("idempotency-attempt", self.attempt.as_str()),
            ("fencing-token", self.token.as_str()),
        ];
        all.into_iter()
    }

    /// `grpc-previous-rpc-attempts`, the metadata that gRPC sends with a retry (gRFC A6): how many
    /// attempts there were before. `None` for the first attempt, which gRPC sends without it.
    ///
    /// ```
    /// # use oncegate::{Admission, AttemptHeaders, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let third = AttemptHeaders::new("order-7", 3, lease.fencing_token())?;
    /// assert_eq!(third.grpc_previous_attempts(), Some(("grpc-previous-rpc-attempts", "2")));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn grpc_previous_attempts(&self) -> Option<(&'static str, &str)> {
        Some(("grpc-previous-rpc-attempts", self.previous.as_deref()?))
    }
}

impl fmt::Debug for AttemptHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttemptHeaders(attempt {}, token {})", self.attempt, self.token)
    }
}

/// A String of RFC 8941, section 3.3.3: printable ASCII in double quotes, in which a quote and a
/// backslash follow a backslash.
fn quoted(key: &[u8]) -> Result<String, Error> {
    let refused = |found, limit| Err(Error::new(ErrorCode::InvalidKey, "key", found, limit));
    if !(1..=AttemptHeaders::MAX_KEY_BYTES).contains(&key.len()) {
        return refused(format!("{} bytes", key.len()), "1 to 255 bytes");
    }
    let mut text = String::with_capacity(key.len() + 2);
    text.push('"');
    for &byte in key {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => return refused("another character".to_owned(), "printable ASCII"),
        }
    }
    text.push('"');
    Ok(text)
}

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
