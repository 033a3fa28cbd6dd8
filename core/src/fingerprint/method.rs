//! Method classes: what an HTTP method requires before its handler may run twice.

/// What a request with a given HTTP method needs from the engine.
///
/// The classes follow RFC 9110, section 9.2: safe methods change nothing, idempotent methods ask
/// for a state, and all others for an action. Methods of other standards are safe here where
/// IANA's registry of HTTP methods says so. The three classes are all there are, so that this enum
/// is exhaustive.
///
/// ```
/// use oncegate::{MethodClass, method_class};
///
/// assert_eq!(method_class("POST"), MethodClass::KeyRequired);
/// assert!(method_class("POST").needs_key());
/// assert!(!method_class("GET").needs_record());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MethodClass {
    /// `GET`, `HEAD`, `OPTIONS`, `TRACE`, `QUERY` (RFC 10008), and WebDAV's `PROPFIND`, `REPORT`
    /// and `SEARCH`: run it as often as it comes; no record is needed.
    Safe,
    /// `PUT`, `DELETE`: the payload identifies the request
    /// ([`Request::by_payload`](crate::Request::by_payload)), unless the client gave a key.
    PayloadDedup,
    /// `POST`, `PATCH` and every other method: refuse the request unless it carries a key. Among
    /// them are those that are registered as idempotent and ask for an action all the same, such as
    /// WebDAV's `MOVE` and `MKCOL`: their second run leaves the same state, and answers with an
    /// error where the first one had succeeded.
    KeyRequired,
}

impl MethodClass {
    /// Whether the request has to go through the engine at all.
    ///
    /// ```
    /// # use oncegate::MethodClass;
    /// assert!(MethodClass::PayloadDedup.needs_record() && !MethodClass::Safe.needs_record());
    /// ```
    #[must_use]
    pub const fn needs_record(self) -> bool {
        !matches!(self, MethodClass::Safe)
    }

    /// Whether a request without an idempotency key has to be refused.
    ///
    /// ```
    /// # use oncegate::MethodClass;
    /// assert!(MethodClass::KeyRequired.needs_key() && !MethodClass::PayloadDedup.needs_key());
    /// ```
    #[must_use]
    pub const fn needs_key(self) -> bool {
        matches!(self, MethodClass::KeyRequired)
    }
}

/// The class of an HTTP method.
///
/// Method names are case-sensitive (RFC 9110, section 9.1): `get` is not `GET`. A method that is
/// not known here needs a key, since running it twice may do something twice.
///
/// ```
/// use oncegate::{MethodClass, method_class};
///
/// assert_eq!(method_class("QUERY"), MethodClass::Safe);
/// assert_eq!(method_class("DELETE"), MethodClass::PayloadDedup);
/// assert_eq!(method_class("BREW"), MethodClass::KeyRequired);
/// assert_eq!(method_class("get"), MethodClass::KeyRequired);
/// ```
#[must_use]
pub fn method_class(method: &str) -> MethodClass {
    match method {
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | "QUERY" | "PROPFIND" | "REPORT" | "SEARCH" => {
            MethodClass::Safe
        }
        "PUT" | "DELETE" => MethodClass::PayloadDedup,
        _ => MethodClass::KeyRequired,
    }
}
