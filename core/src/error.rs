//! Errors: one opaque type over one table of codes.
//!
//! Answers that a caller must expect (`InProgress`, `Mismatched`, …) are values of
//! [`Admission`](crate::Admission), not errors. An [`Error`] means that the call did not happen:
//! the engine's state is as it was before.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// What went wrong, and what to do about it. The record, if there is one, is unchanged.
///
/// An error names the field, the class of the value that it found (a length, a kind, never the
/// value itself) and the limit. No key, payload or secret is ever part of it.
///
/// ```
/// use oncegate::{Request, Scope};
///
/// let error = Request::new(Scope::new("acme")?, "POST /charges", "").unwrap_err();
/// assert!(error.is_invalid_input());
/// assert_eq!(error.field(), "key");
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    field: &'static str,
    /// Small without it: every call returns room for an error, and refusals in a storm allocate
    /// nothing.
    detail: Option<Box<Detail>>,
    /// In nanoseconds; zero: nothing is known.
    retry_after: u64,
    code: ErrorCode,
}

#[derive(Clone, PartialEq, Eq)]
struct Detail {
    found: Cow<'static, str>,
    limit: Cow<'static, str>,
}

impl Error {
    /// The stable code, for logs, metrics and other languages.
    ///
    /// ```
    /// # use oncegate::{ErrorCode, Request, Scope};
    /// let error = Request::new(Scope::new("acme")?, "op", "").unwrap_err();
    /// assert_eq!(error.code(), ErrorCode::InvalidKey);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The argument, option or resource that the error is about.
    ///
    /// ```
    /// # use oncegate::{Request, Scope};
    /// assert_eq!(Scope::new("").unwrap_err().field(), "scope");
    /// ```
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// Whether the caller's input was refused; the same call will be refused again.
    ///
    /// ```
    /// # use oncegate::Scope;
    /// assert!(Scope::new("").unwrap_err().is_invalid_input());
    /// ```
    #[must_use]
    pub fn is_invalid_input(&self) -> bool {
        use ErrorCode as C;
        matches!(
            self.code,
            C::InvalidKey
                | C::InvalidScope
                | C::InvalidOperation
                | C::InvalidPayload
                | C::InvalidConfig
                | C::InvalidOption
                | C::InvalidOutcome
                | C::InvalidToken
        )
    }

    /// Whether a newer attempt holds the record, so that this holder may change nothing any more.
    ///
    /// Never retriable: the attempt that was fenced must stop, and undo what it can.
    ///
    /// ```
    /// # use oncegate::{ErrorCode, Scope};
    /// assert!(!Scope::new("").unwrap_err().is_fenced());
    /// ```
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.code == ErrorCode::Fenced
    }

    /// Whether the same call may succeed later without anybody changing anything.
    ///
    /// ```
    /// # use oncegate::Scope;
    /// assert!(!Scope::new("").unwrap_err().is_retriable());
    /// ```
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        self.code.is_transient()
    }

    /// How long to wait before the call may succeed, where the engine knows.
    ///
    /// ```
    /// # use oncegate::Scope;
    /// assert_eq!(Scope::new("").unwrap_err().retry_after(), None);
    /// ```
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        (self.retry_after != 0).then(|| Duration::from_nanos(self.retry_after))
    }

    /// An error about `field`: what class of value was found, and what the limit is.
    pub(crate) fn new(
        code: ErrorCode,
        field: &'static str,
        found: impl Into<Cow<'static, str>>,
        limit: impl Into<Cow<'static, str>>,
    ) -> Self {
        let detail = Detail { found: found.into(), limit: limit.into() };
        Self { field, detail: Some(Box::new(detail)), retry_after: 0, code }
    }

    /// An error whose code says it all; allocates nothing.
    pub(crate) const fn of(code: ErrorCode, field: &'static str) -> Self {
        Self { field, detail: None, retry_after: 0, code }
    }

    /// The same about `field`, with `of` before what was found.
    #[cfg(target_os = "linux")]
    pub(crate) fn about(mut self, field: &'static str, of: &str) -> Self {
        self.field = field;
        if let Some(detail) = &mut self.detail {
            detail.found.to_mut().insert_str(0, of);
        }
        self
    }

    /// What class of value was found; nothing where the code says it all.
    #[cfg(target_os = "linux")]
    pub(crate) fn found(&self) -> &str {
        self.detail.as_ref().map_or("", |detail| &detail.found)
    }

    pub(crate) fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.code.text())?;
        if let Some(detail) = &self.detail {
            if !detail.found.is_empty() {
                write!(f, "; found {}", detail.found)?;
            }
            if !detail.limit.is_empty() {
                write!(f, "; limit: {}", detail.limit)?;
            }
        }
        if let Some(after) = self.retry_after() {
            write!(f, "; retry after {} ms", after.as_millis())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({} {}: {self})", self.code.number(), self.code.name())
    }
}

impl std::error::Error for Error {}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $lasts:ident, $text:literal;)*) => {
        /// The one table of error codes: number, name, permanent or transient, text.
        ///
        /// Every language binding takes its errors from this table. Numbers are never reused.
        ///
        /// ```
        /// use oncegate::ErrorCode;
        ///
        /// assert_eq!(ErrorCode::Fenced.number(), 7);
        /// assert!(!ErrorCode::Fenced.is_transient());
        /// assert!(ErrorCode::Full.is_transient());
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum ErrorCode {
            $($(#[$doc])* $name = $number,)*
        }

        impl ErrorCode {
            /// Every code, in the order of their numbers.
            ///
            /// ```
            /// # use oncegate::ErrorCode;
            /// assert!(ErrorCode::ALL.windows(2).all(|w| w[0].number() < w[1].number()));
            /// ```
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name,)*];

            /// The number under which other languages know this code.
            ///
            /// ```
            /// # use oncegate::ErrorCode;
            /// assert_eq!(ErrorCode::InvalidKey.number(), 1);
            /// ```
            #[must_use]
            pub const fn number(self) -> u16 {
                self as u16
            }

            /// The name, as it stands in the table.
            ///
            /// ```
            /// # use oncegate::ErrorCode;
            /// assert_eq!(ErrorCode::Full.name(), "Full");
            /// ```
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(ErrorCode::$name => stringify!($name),)* }
            }

            /// Whether the same call may succeed later.
            ///
            /// ```
            /// # use oncegate::ErrorCode;
            /// assert!(ErrorCode::QuotaExceeded.is_transient());
            /// ```
            #[must_use]
            pub const fn is_transient(self) -> bool {
                match self { $(ErrorCode::$name => codes!(@$lasts),)* }
            }

            /// One line for people.
            ///
            /// ```
            /// # use oncegate::ErrorCode;
            /// assert!(ErrorCode::Forked.text().contains("fork"));
            /// ```
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(ErrorCode::$name => $text,)* }
            }
        }
    };
    (@permanent) => { false };
    (@transient) => { true };
}

codes! {
    /// The idempotency key breaks a rule: length, format, or predictability.
    InvalidKey = 1, permanent, "the idempotency key breaks a rule";
    /// The scope is empty or too long.
    InvalidScope = 2, permanent, "the scope breaks a rule";
    /// The operation is empty or too long.
    InvalidOperation = 3, permanent, "the operation breaks a rule";
    /// The payload cannot be canonicalised: not the format it claims, too deep, or too large.
    InvalidPayload = 4, permanent, "the payload cannot be digested";
    /// The engine's configuration is refused.
    InvalidConfig = 5, permanent, "the configuration is refused";
    /// An option of one call is refused.
    InvalidOption = 6, permanent, "the option is refused";
    /// A newer attempt holds the record, or the record is gone; nothing was changed.
    Fenced = 7, permanent, "the fencing token is stale; nothing was changed";
    /// No room: every candidate slot holds a record that may not be evicted.
    Full = 8, transient, "no room for a new record";
    /// The scope has used its share of live records, or its rate.
    QuotaExceeded = 9, transient, "the quota of this scope is used up";
    /// A private engine was used in a forked child; open a new one there.
    Forked = 10, permanent, "the engine belongs to the parent of this fork";
    /// More callers wait than the engine allows.
    TooManyWaiters = 11, transient, "too many callers are waiting";
    /// The memory for the region could not be had.
    NoMemory = 12, permanent, "the memory for the region was refused";
    /// The operating system gave no randomness.
    NoEntropy = 13, permanent, "the operating system gave no randomness";
    /// There is no such record, or it is not in a state that the call applies to.
    NotFound = 14, permanent, "no such record in a state that this call applies to";
    /// The outcome cannot be encoded: too many metadata entries, or one too long.
    InvalidOutcome = 15, permanent, "the outcome breaks a rule";
    /// The bytes are no lease token.
    InvalidToken = 16, permanent, "the lease token is malformed";
    /// A rotation of the secret is under way, or records under the old one are still live.
    RotationPending = 17, transient, "the rotation of the secret cannot take this step yet";
    /// The fencing counter or the attempt counter came to its end.
    Exhausted = 18, permanent, "a counter that may never wrap came to its end";
    /// The region was made with other options than this process asks for.
    RegionMismatch = 19, permanent, "the region was made with other options";
    /// The region's fingerprints are made with a secret that this process does not have.
    WrongSecret = 20, permanent, "the region belongs to another secret";
    /// The file is a link, is not ours, is open to others, or lies on another machine.
    FileRefused = 21, permanent, "the file is not safe to share a table in";
    /// The file is no region of this version, or it is damaged; `oncegate doctor` says what to do.
    RegionInvalid = 22, permanent, "the file is no region that can be used; see `oncegate doctor`";
    /// As many processes share the region as it was made for.
    RegistryFull = 23, transient, "no entry is left for one more process";
    /// The operating system refused what the region needs.
    Os = 24, permanent, "the operating system refused";
    /// This operating system cannot share a table between processes.
    Unsupported = 25, permanent, "not on this operating system";
    /// Processes use the region that was to be removed, or it was removed while it was opened.
    RegionInUse = 26, transient, "processes use the region, or it is being removed";
    /// A retry budget has too little left to pay for a retry.
    BudgetExhausted = 27, transient, "a retry budget has too little left";
    /// The store across machines gave no answer, or may have forgotten records. A request that
    /// began so was not run.
    TierUnavailable = 28, transient,
        "the store across machines cannot be reached, or may have forgotten records";
    /// The store across machines is set up in a way that endangers what is promised, or it refuses
    /// this user. Nothing was run.
    TierUnsafe = 29, permanent, "the store across machines may not be used";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: other languages rely on the numbers. Method: unique, rising, and named texts.
    #[test]
    fn codes_are_unique_and_described() {
        assert!(ErrorCode::ALL.windows(2).all(|w| w[0].number() < w[1].number()));
        assert!(ErrorCode::ALL.iter().all(|c| !c.text().is_empty() && !c.name().is_empty()));
    }

    /// Goal: a fenced holder must never loop. Method: the predicate and the table agree.
    #[test]
    fn fenced_is_never_retriable() {
        let error = Error::of(ErrorCode::Fenced, "lease");
        assert!(error.is_fenced() && !error.is_retriable() && !error.is_invalid_input());
    }

    /// Goal: whoever loops while an error passes waits for a store that is away, and not for one
    /// that may not be used. Method: the predicates of both.
    #[test]
    fn unavailable_tiers_come_back() {
        let kinds = [ErrorCode::TierUnavailable, ErrorCode::TierUnsafe];
        let [away, unsafe_one] = kinds.map(|code| Error::of(code, "tier"));
        assert!(away.is_retriable() && !unsafe_one.is_retriable());
        assert!(!away.is_invalid_input() && !unsafe_one.is_invalid_input());
        assert_eq!(kinds.map(ErrorCode::number), [28, 29]);
    }

    /// Goal: errors explain themselves. Method: field, class, limit and delay are in the text.
    #[test]
    fn text_names_field_class_and_limit() {
        let error = Error::new(ErrorCode::InvalidKey, "key", "300 bytes", "1 to 255 bytes")
            .with_retry_after(Duration::from_millis(5));
        let text = error.to_string();
        for part in ["key", "300 bytes", "1 to 255 bytes", "5 ms"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
