//! How a tier fails.

use std::borrow::Cow;
use std::fmt;

/// Why a tier gave no answer.
///
/// ```
/// use oncegate::tier::{TierError, TierErrorKind};
///
/// let error = TierError::new(TierErrorKind::Unknown, "the reply did not come");
/// assert_eq!(error.kind(), TierErrorKind::Unknown);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TierError {
    kind: TierErrorKind,
    what: Cow<'static, str>,
}

/// Whether an operation may have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TierErrorKind {
    /// Nobody knows: it was sent, and no answer came.
    Unknown,
    /// It has not: the store could not be reached, or did not carry it out.
    Unavailable,
    /// It has not: the store may have forgotten what it had acknowledged; see
    /// [`Tier::session`](super::Tier::session).
    SessionOver,
    /// It has not, and will not: the store is set up in a way that endangers what is promised, or
    /// refuses this user.
    Unsafe,
}

impl TierError {
    /// An error with a text for people, which must show nothing of any record.
    ///
    /// ```
    /// # use oncegate::tier::{TierError, TierErrorKind};
    /// let error = TierError::new(TierErrorKind::Unavailable, "connection refused");
    /// assert!(error.to_string().contains("connection refused"));
    /// ```
    #[must_use]
    pub fn new(kind: TierErrorKind, what: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, what: what.into() }
    }

    /// Whether it may have taken effect.
    ///
    /// ```
    /// # use oncegate::tier::{TierError, TierErrorKind};
    /// let error = TierError::new(TierErrorKind::SessionOver, "emptied");
    /// assert_eq!(error.kind(), TierErrorKind::SessionOver);
    /// ```
    #[must_use]
    pub fn kind(&self) -> TierErrorKind {
        self.kind
    }

    /// What happened, for people.
    ///
    /// ```
    /// # use oncegate::tier::{TierError, TierErrorKind};
    /// assert_eq!(TierError::new(TierErrorKind::Unknown, "late").what(), "late");
    /// ```
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for TierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            TierErrorKind::Unknown => "it may have been carried out",
            TierErrorKind::Unavailable => "it was not carried out",
            TierErrorKind::SessionOver => "the store may have forgotten records",
            TierErrorKind::Unsafe => "the store may not be used",
        };
        write!(f, "{}: {kind}", self.what)
    }
}

impl fmt::Debug for TierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TierError({:?}: {})", self.kind, self.what)
    }
}

impl std::error::Error for TierError {}
