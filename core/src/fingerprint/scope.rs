//! Scope: the tenant namespace that every request names.

use std::fmt;

use crate::{Error, ErrorCode};

/// The namespace of one tenant. The same key in two scopes is two requests.
///
/// A scope is required in every call and never defaulted to a shared value: a missing scope is
/// how one tenant is answered with another's result. Take it from what was authenticated (an
/// account id), never from what the client says about itself.
///
/// ```
/// use oncegate::Scope;
///
/// let scope = Scope::new("acct_1042")?;
/// assert_ne!(scope, Scope::single_tenant());
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope<'a> {
    kind: Kind,
    name: &'a [u8],
}

impl<'a> Scope<'a> {
    /// The longest name, in bytes.
    ///
    /// ```
    /// # use oncegate::Scope;
    /// assert_eq!(Scope::MAX_BYTES, 255);
    /// ```
    pub const MAX_BYTES: usize = 255;

    /// The scope of a tenant, by a name of 1 to 255 bytes.
    ///
    /// The bytes are opaque: `acme` and `Acme` are two tenants.
    ///
    /// # Errors
    /// `InvalidScope` when the name is empty or longer than 255 bytes.
    ///
    /// ```
    /// use oncegate::{ErrorCode, Scope};
    ///
    /// assert!(Scope::new("acme").is_ok());
    /// assert_eq!(Scope::new("").unwrap_err().code(), ErrorCode::InvalidScope);
    /// ```
    pub fn new(name: &'a (impl AsRef<[u8]> + ?Sized)) -> Result<Scope<'a>, Error> {
        let name = name.as_ref();
        if name.is_empty() || name.len() > Self::MAX_BYTES {
            let found = format!("{} bytes", name.len());
            return Err(Error::new(ErrorCode::InvalidScope, "scope", found, "1 to 255 bytes"));
        }
        Ok(Scope { kind: Kind::Named, name })
    }

    /// The one scope of a service that has no tenants.
    ///
    /// It differs from every named scope, whatever the name.
    ///
    /// ```
    /// use oncegate::Scope;
    ///
    /// assert_ne!(Scope::single_tenant(), Scope::new("single_tenant")?);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub const fn single_tenant() -> Scope<'static> {
        Scope { kind: Kind::SingleTenant, name: &[] }
    }

    /// The scope that all callers without an identity share.
    ///
    /// Whoever guesses a key in it is answered with what another caller did, so refuse
    /// predictable keys here ([`KeyRules`](crate::KeyRules)).
    ///
    /// ```
    /// use oncegate::Scope;
    ///
    /// assert_ne!(Scope::unauthenticated(), Scope::single_tenant());
    /// ```
    #[must_use]
    pub const fn unauthenticated() -> Scope<'static> {
        Scope { kind: Kind::Unauthenticated, name: &[] }
    }

    /// Whether this is the scope of [`Scope::unauthenticated`].
    ///
    /// ```
    /// # use oncegate::Scope;
    /// assert!(Scope::unauthenticated().is_unauthenticated());
    /// ```
    #[must_use]
    pub const fn is_unauthenticated(self) -> bool {
        matches!(self.kind, Kind::Unauthenticated)
    }

    pub(crate) const fn is_single_tenant(self) -> bool {
        matches!(self.kind, Kind::SingleTenant)
    }

    /// The number that stands for the kind of scope in every hash. Never reused.
    pub(crate) const fn kind_byte(self) -> u8 {
        self.kind as u8
    }

    /// The name; empty for the two kinds without one.
    pub(crate) const fn name(self) -> &'a [u8] {
        self.name
    }
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Named => write!(f, "Scope({} bytes)", self.name.len()),
            Kind::SingleTenant => f.write_str("Scope(single tenant)"),
            Kind::Unauthenticated => f.write_str("Scope(unauthenticated)"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
enum Kind {
    Named = 1,
    SingleTenant = 2,
    Unauthenticated = 3,
}
