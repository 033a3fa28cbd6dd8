//! Digest versions: which algorithm made a stored payload digest.

/// The algorithm of a payload digest. It is stored beside each digest, in four bits.
///
/// A duplicate is digested with the version of the record that it meets, so that records made
/// before an upgrade stay comparable. New records use [`DigestVersion::CURRENT`].
///
/// | version | what the keyed hash covers |
/// |---|---|
/// | 1 | the canonical content |
/// | 2 | a byte for the kind of payload, then the canonical content |
///
/// Each version has a key of its own, derived from the secret. Under version 1 a payload sent as
/// raw bytes could equal another one sent as a form; version 2 tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DigestVersion(u8);

impl DigestVersion {
    /// The version that new records use.
    pub(crate) const CURRENT: DigestVersion = DigestVersion(2);

    /// How many versions this build can compute: 1 up to this number.
    pub(super) const SUPPORTED: usize = 2;

    /// The version that identities made of payloads use. It never changes: another one would
    /// make a resent request a new request.
    pub(super) const IDENTITY: DigestVersion = DigestVersion(2);

    /// The version with this number; `None` unless it is 1 to 15.
    ///
    /// A number that this build cannot compute is a version all the same: a newer build may have
    /// written it. See [`DigestVersion::is_supported`].
    #[must_use]
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            1..=15 => Some(Self(number)),
            _ => None,
        }
    }

    /// The number, 1 to 15, as it is stored.
    #[must_use]
    pub(crate) const fn number(self) -> u8 {
        self.0
    }

    /// Whether this build can compute digests of this version.
    #[must_use]
    pub(crate) const fn is_supported(self) -> bool {
        self.0 as usize <= Self::SUPPORTED
    }
}
