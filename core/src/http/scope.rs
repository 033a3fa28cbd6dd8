//! Where the scope of a request comes from.

use std::fmt;

use crate::{Error, Scope};

/// Whose request it is: the answer of the function that every layer is made with.
///
/// Take it from what was authenticated, never from a header that the client chooses: the scope is
/// what keeps one tenant from being answered with another's response.
///
/// ```
/// use oncegate::http::ScopeSource;
///
/// let source = ScopeSource::named("acct_1042");
/// assert_eq!(format!("{source:?}"), "Named(9 bytes)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum ScopeSource {
    /// The tenant's name, 1 to 255 bytes. Another length is answered with 500: it is the
    /// service's mistake.
    Named(Vec<u8>),
    /// The service has no tenants ([`Scope::single_tenant`]).
    SingleTenant,
    /// Nobody was authenticated ([`Scope::unauthenticated`]): all such callers share one scope
    /// and its quota, and whoever guesses a key gets what its owner got.
    Unauthenticated,
    /// The caller has no identity, and needs one: answered with 403, nothing runs.
    Refused,
}

impl ScopeSource {
    /// The scope of a tenant.
    ///
    /// ```
    /// # use oncegate::http::ScopeSource;
    /// assert_eq!(ScopeSource::named("acme"), ScopeSource::Named(b"acme".to_vec()));
    /// ```
    #[must_use]
    pub fn named(name: impl AsRef<[u8]>) -> Self {
        Self::Named(name.as_ref().to_vec())
    }

    /// `None`: refused.
    pub(super) fn scope(&self) -> Option<Result<Scope<'_>, Error>> {
        Some(match self {
            Self::Named(name) => Scope::new(name),
            Self::SingleTenant => Ok(Scope::single_tenant()),
            Self::Unauthenticated => Ok(Scope::unauthenticated()),
            Self::Refused => return None,
        })
    }
}

impl fmt::Debug for ScopeSource {
    /// A name's length only: it may tell who the customer is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(f, "Named({} bytes)", name.len()),
            Self::SingleTenant => f.write_str("SingleTenant"),
            Self::Unauthenticated => f.write_str("Unauthenticated"),
            Self::Refused => f.write_str("Refused"),
        }
    }
}
