//! Request: what a caller asks to run once.

use std::fmt;

use crate::sync::planted::Bug;
use crate::{Error, ErrorCode, Payload, Scope};

/// One logical request: scope, operation, key, and the payload it came with.
///
/// Scope, operation and key decide which record the request belongs to. The payload is compared
/// with that of the first attempt: the same key with another payload is a mismatch, never a
/// replay. A `Request` borrows everything, copies nothing, and its `Debug` shows lengths only.
///
/// ```
/// use oncegate::{Payload, Request, Scope};
///
/// let body = br#"{"amount": 100, "currency": "EUR"}"#;
/// let request = Request::new(Scope::new("acme")?, "POST /charges", "8e03978e-40d5-43dd")?
///     .payload(Payload::json(body));
/// assert_eq!(request.operation(), "POST /charges");
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Request<'a> {
    scope: Scope<'a>,
    operation: &'a str,
    key: RequestKey<'a>,
    payload: Payload<'a>,
}

impl<'a> Request<'a> {
    /// The longest key, in bytes.
    ///
    /// ```
    /// # use oncegate::Request;
    /// assert_eq!(Request::MAX_KEY_BYTES, 255);
    /// ```
    pub const MAX_KEY_BYTES: usize = 255;

    /// The longest operation, in bytes.
    ///
    /// ```
    /// # use oncegate::Request;
    /// assert_eq!(Request::MAX_OPERATION_BYTES, 1024);
    /// ```
    pub const MAX_OPERATION_BYTES: usize = 1024;

    /// A request under the caller's idempotency key, without a payload.
    ///
    /// The key is opaque bytes, 1 to 255; stricter rules are a matter of
    /// [`KeyRules`](crate::KeyRules). The operation is 1 to 1,024 bytes: a method and route, or
    /// the name of a task. Put into it whatever makes two uses of one key two requests.
    ///
    /// # Errors
    /// `InvalidOperation` or `InvalidKey` when one is empty or too long.
    ///
    /// ```
    /// use oncegate::{ErrorCode, Request, Scope};
    ///
    /// let scope = Scope::single_tenant();
    /// assert!(Request::new(scope, "send-invoice", &[0xff; 16]).is_ok());
    /// let error = Request::new(scope, "", "key").unwrap_err();
    /// assert_eq!(error.code(), ErrorCode::InvalidOperation);
    /// ```
    pub fn new(
        scope: Scope<'a>,
        operation: &'a str,
        key: &'a (impl AsRef<[u8]> + ?Sized),
    ) -> Result<Self, Error> {
        let key = key.as_ref();
        check_operation(operation)?;
        let longest = Self::MAX_KEY_BYTES + usize::from(Bug::KeyLimitOffByOne.is_planted());
        if key.is_empty() || key.len() > longest {
            let found = format!("{} bytes", key.len());
            return Err(Error::new(ErrorCode::InvalidKey, "key", found, "1 to 255 bytes"));
        }
        Ok(Self { scope, operation, key: RequestKey::Given(key), payload: Payload::none() })
    }

    /// A request without a key, identified by its payload: the same scope, operation and payload
    /// is the same request.
    ///
    /// Meant for `PUT` and `DELETE` ([`MethodClass::PayloadDedup`](crate::MethodClass)), where a
    /// resend asks for the same state. The operation must name the resource, such as
    /// `PUT /users/7`. Mind the way back: after A and then B, sending A again inside the dedup
    /// window of the first A is answered from that record and does not run. Where a value may
    /// return, use a key.
    ///
    /// The payload is canonicalised when the fingerprint is made, so that is where a malformed
    /// one is refused.
    ///
    /// # Errors
    /// `InvalidOperation` when the operation is empty or longer than 1,024 bytes.
    ///
    /// ```
    /// use oncegate::{Payload, Request, Scope};
    ///
    /// let scope = Scope::new("acme")?;
    /// let request = Request::by_payload(scope, "PUT /users/7", Payload::json(b"{}"))?;
    /// assert!(request.is_by_payload());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn by_payload(
        scope: Scope<'a>,
        operation: &'a str,
        payload: Payload<'a>,
    ) -> Result<Self, Error> {
        check_operation(operation)?;
        Ok(Self { scope, operation, key: RequestKey::FromPayload, payload })
    }

    /// The same request with this payload, to be compared on every duplicate.
    ///
    /// ```
    /// use oncegate::{Payload, Request, Scope};
    ///
    /// let request = Request::new(Scope::single_tenant(), "op", "key")?
    ///     .payload(Payload::raw(b"bytes"));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn payload(mut self, payload: Payload<'a>) -> Self {
        self.payload = payload;
        self
    }

    /// The scope.
    ///
    /// ```
    /// # use oncegate::{Request, Scope};
    /// let request = Request::new(Scope::single_tenant(), "op", "key")?;
    /// assert_eq!(request.scope(), Scope::single_tenant());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub const fn scope(&self) -> Scope<'a> {
        self.scope
    }

    /// The operation. May name a resource: treat it as content in logs.
    ///
    /// ```
    /// # use oncegate::{Request, Scope};
    /// let request = Request::new(Scope::single_tenant(), "op", "key")?;
    /// assert_eq!(request.operation(), "op");
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub const fn operation(&self) -> &'a str {
        self.operation
    }

    /// Whether the payload takes the place of the key ([`Request::by_payload`]).
    ///
    /// ```
    /// # use oncegate::{Request, Scope};
    /// assert!(!Request::new(Scope::single_tenant(), "op", "key")?.is_by_payload());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub const fn is_by_payload(&self) -> bool {
        matches!(self.key, RequestKey::FromPayload)
    }

    /// The key as given; `None` when the payload takes its place.
    pub(crate) const fn key(&self) -> Option<&'a [u8]> {
        match self.key {
            RequestKey::Given(key) => Some(key),
            RequestKey::FromPayload => None,
        }
    }

    pub(crate) const fn payload_ref(&self) -> &Payload<'a> {
        &self.payload
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({:?}, operation of {} bytes, ", self.scope, self.operation.len())?;
        match self.key {
            RequestKey::Given(key) if Bug::KeyShown.is_planted() => {
                f.write_str(&String::from_utf8_lossy(key))?
            }
            RequestKey::Given(key) => write!(f, "key of {} bytes", key.len())?,
            RequestKey::FromPayload => f.write_str("key from the payload")?,
        }
        write!(f, ", {:?})", self.payload)
    }
}

#[derive(Clone, Copy)]
enum RequestKey<'a> {
    Given(&'a [u8]),
    FromPayload,
}

fn check_operation(operation: &str) -> Result<(), Error> {
    if operation.is_empty() || operation.len() > Request::MAX_OPERATION_BYTES {
        let found = format!("{} bytes", operation.len());
        return Err(Error::new(ErrorCode::InvalidOperation, "operation", found, "1 to 1024 bytes"));
    }
    Ok(())
}
