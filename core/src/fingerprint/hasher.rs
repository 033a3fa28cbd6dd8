//! The keyed hasher: fingerprints, payload digests and scope hashes under one secret.
//!
//! Each use of the secret has a key of its own, derived by HMAC-SHA-256 from the secret and a
//! label, so that no two uses can be played against each other. The identity is hashed over
//!
//! ```text
//! 1 byte   kind: scope kind in the low four bits, key kind in the high four
//! 1 byte   length of the scope        then the scope
//! 2 bytes  length of the operation    then the operation        (little-endian)
//! 1 byte   length of the key          then the key
//! ```
//!
//! Every length comes before its bytes: no two requests share one encoding. A key made from the
//! payload is the full digest of that payload, and its kind keeps it apart from a client's key
//! with the same bytes.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_secret, xxh3_128_with_secret};
use zeroize::{Zeroize, Zeroizing};

use super::digest::DigestVersion;
use super::payload::Absorb;
use crate::sync::planted::Bug;
use crate::table::scope::{LARGEST_HASH, LEAST_HASH};
use crate::{Error, ErrorCode, Fingerprint, Payload, Request, Scope, Secret};

/// Which hash makes the fingerprints and payload digests of an engine.
///
/// All processes that share a table must use the same mode.
///
/// ```
/// use oncegate::FingerprintMode;
///
/// assert_eq!(FingerprintMode::default(), FingerprintMode::Keyed);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FingerprintMode {
    /// HMAC-SHA-256, the default: whoever lacks the secret can neither predict a fingerprint nor
    /// make two requests collide. A few compressions of SHA-256 per call.
    #[default]
    Keyed,
    /// xxh3-128 under secrets derived from the secret: several times faster, and **not** a
    /// cryptographic hash. Only for keys and payloads that the service makes itself.
    ///
    /// Whoever may choose many keys and observe which of them collide could construct two
    /// requests that are taken for one, and the second would be answered with the first one's
    /// outcome. A fingerprint fills its 256 bits with two hashes of 128 bits, under two derived
    /// secrets; count on 128 bits of strength against accidents and on none against attacks.
    FastTrusted,
}

/// Makes every digest of one engine under one secret; the key schedule is done once.
///
/// Cheap to share by reference. The derived keys are wiped on drop.
pub(crate) struct KeyedHasher {
    identity: Keys,
    payload: [Keys; DigestVersion::SUPPORTED],
    /// The digest of "no payload" under each version: the commonest payload costs nothing.
    no_payload: [u64; DigestVersion::SUPPORTED],
    scope: FastSecret,
    /// The hash of the scope that most engines have, and no other.
    single_tenant: u64,
    check: u64,
}

impl KeyedHasher {
    /// Derives all keys: some microseconds, once per secret.
    pub(crate) fn new(secret: &Secret, mode: FingerprintMode) -> Self {
        let mut hasher = Self {
            identity: Keys::derive(secret, mode, "oncegate identity"),
            payload: [
                Keys::derive(secret, mode, "oncegate payload 1"),
                Keys::derive(secret, mode, "oncegate payload 2"),
            ],
            no_payload: [0; DigestVersion::SUPPORTED],
            scope: FastSecret::derive(secret, "oncegate scope"),
            single_tenant: 0,
            check: Self::check_of(secret),
        };
        for index in 0..DigestVersion::SUPPORTED {
            // An absent payload has no size and no syntax that could be refused.
            let digest = hasher.full_digest(&Payload::none(), index).unwrap_or_default();
            hasher.no_payload[index] = first_word(&digest);
        }
        hasher.single_tenant =
            hasher.scope_hash_in(Stack::<SMALL_SCOPE>::new(), Scope::single_tenant());
        hasher
    }

    /// A short id of `secret`, as [`key_check`](Self::key_check) gives it.
    pub(crate) fn check_of(secret: &Secret) -> u64 {
        first_word(&derive(secret, "oncegate key check", 0))
    }

    /// The identity of `request`. Allocates nothing, unless the key is made from the payload.
    ///
    /// # Errors
    /// `InvalidPayload` when the key is made from a payload that cannot be canonicalised.
    pub(crate) fn fingerprint(&self, request: &Request<'_>) -> Result<Fingerprint, Error> {
        match request.key() {
            Some(key) => Ok(self.identify(request, KEY_GIVEN, key)),
            None => {
                let index = DigestVersion::IDENTITY.number() as usize - 1;
                let digest = self.full_digest(request.payload_ref(), index)?;
                let as_given = Bug::PayloadTakenForKey.is_planted();
                let kind = if as_given { KEY_GIVEN } else { KEY_FROM_PAYLOAD };
                Ok(self.identify(request, kind, &digest))
            }
        }
    }

    /// The digest by which two payloads under one fingerprint are compared: the first 64 bits of
    /// the keyed hash. A slot keeps the upper 56 of them, and those are what is compared: two
    /// different payloads agree with a probability of 2⁻⁵⁶, and nobody without the secret can
    /// search for such a pair.
    ///
    /// Raw payloads are hashed in place; the other kinds allocate a few times their size.
    ///
    /// # Errors
    /// `InvalidPayload` when the payload cannot be canonicalised, or when this build does not
    /// know the version.
    pub(crate) fn payload_digest(
        &self,
        payload: &Payload<'_>,
        version: DigestVersion,
    ) -> Result<u64, Error> {
        if !version.is_supported() {
            let found = format!("version {}", version.number());
            let limit = format!("1 to {}", DigestVersion::SUPPORTED);
            return Err(Error::new(ErrorCode::InvalidPayload, "digest_version", found, limit));
        }
        let index = version.number() as usize - 1;
        if payload.is_plain_none() {
            return Ok(self.no_payload[index]);
        }
        self.full_digest(payload, index).map(|digest| first_word(&digest))
    }

    /// The place of a scope in the quota table: 62 bits, and no number that means something else
    /// there. Not an identity: two scopes may share it.
    #[inline]
    pub(crate) fn scope_hash(&self, scope: Scope<'_>) -> u64 {
        if scope.is_single_tenant() {
            return self.single_tenant;
        }
        // As for an identity: clearing the large buffer would cost more than the hash.
        if scope.name().len() < SMALL_SCOPE {
            self.scope_hash_in(Stack::<SMALL_SCOPE>::new(), scope)
        } else {
            self.scope_hash_in(Stack::<{ 1 + Scope::MAX_BYTES }>::new(), scope)
        }
    }

    #[inline(never)]
    fn scope_hash_in<const N: usize>(&self, mut bytes: Stack<N>, scope: Scope<'_>) -> u64 {
        bytes.push(&[scope.kind_byte()]);
        bytes.push(scope.name());
        let hash = xxh3_64_with_secret(bytes.filled(), &self.scope.0);
        (hash & LARGEST_HASH).max(LEAST_HASH)
    }

    /// A short id of the secret. It may be stored and shown: it tells two secrets apart and gives
    /// nothing away about either.
    pub(crate) fn key_check(&self) -> u64 {
        self.check
    }

    fn identify(&self, request: &Request<'_>, key_kind: u8, key: &[u8]) -> Fingerprint {
        let (scope, operation) = (request.scope(), request.operation());
        let length = IDENTITY_OVERHEAD + scope.name().len() + operation.len() + key.len();
        drop(Bug::IdentityAllocates.is_planted().then(|| std::hint::black_box(vec![0_u8; length])));
        // Clearing the large buffer would cost more than hashing the usual identity.
        if length <= SMALL_IDENTITY {
            self.identify_in(Stack::<SMALL_IDENTITY>::new(), request, key_kind, key)
        } else {
            self.identify_in(Stack::<LARGE_IDENTITY>::new(), request, key_kind, key)
        }
    }

    fn identify_in<const N: usize>(
        &self,
        mut bytes: Stack<N>,
        request: &Request<'_>,
        key_kind: u8,
        key: &[u8],
    ) -> Fingerprint {
        let (scope, operation) = (request.scope(), request.operation().as_bytes());
        // The casts keep every bit: `Scope` and `Request` limit what they accept.
        bytes.push(&[scope.kind_byte() | key_kind << 4]);
        bytes.push_length(&[scope.name().len() as u8]);
        bytes.push(if Bug::ScopeLeftOut.is_planted() { b"" } else { scope.name() });
        bytes.push_length(&(operation.len() as u16).to_le_bytes());
        bytes.push(operation);
        bytes.push_length(&[key.len() as u8]);
        bytes.push(key);
        Fingerprint::from_bytes(self.identity.hash(bytes.filled()))
    }

    /// The whole hash of the canonical payload. `index` is the version less one.
    fn full_digest(&self, payload: &Payload<'_>, index: usize) -> Result<[u8; 32], Error> {
        let kind_is_hashed = index > 0 && !Bug::PayloadKindLeftOut.is_planted();
        match &self.payload[index] {
            Keys::Hmac(keyed) => {
                let mut mac = keyed.clone();
                payload.absorb(&mut mac, kind_is_hashed)?;
                Ok(mac.finalize().into_bytes().into())
            }
            Keys::Fast(secrets) => {
                let mut hash = Xxh3::with_secret(secrets[0].0);
                payload.absorb(&mut hash, kind_is_hashed)?;
                let mut digest = [0; 32];
                digest[..16].copy_from_slice(&hash.digest128().to_le_bytes());
                Ok(digest)
            }
        }
    }
}

impl Absorb for Hmac<Sha256> {
    fn absorb(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

impl Absorb for Xxh3 {
    fn absorb(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

/// The keys of one use of the secret, in the mode of the engine.
enum Keys {
    /// HMAC with its key schedule done: each call copies the state.
    Hmac(Hmac<Sha256>),
    Fast(Box<[FastSecret; 2]>),
}

impl Keys {
    fn derive(secret: &Secret, mode: FingerprintMode, label: &str) -> Self {
        match mode {
            FingerprintMode::Keyed => Keys::Hmac(keyed(&derive(secret, label, 0)[..])),
            FingerprintMode::FastTrusted => Keys::Fast(Box::new([
                FastSecret::derive(secret, &format!("{label} fast low")),
                FastSecret::derive(secret, &format!("{label} fast high")),
            ])),
        }
    }

    fn hash(&self, bytes: &[u8]) -> [u8; 32] {
        match self {
            Keys::Hmac(keyed) => keyed.clone().chain_update(bytes).finalize().into_bytes().into(),
            Keys::Fast(secrets) => {
                let mut hash = [0; 32];
                for (half, secret) in hash.chunks_exact_mut(16).zip(secrets.iter()) {
                    half.copy_from_slice(&xxh3_128_with_secret(bytes, &secret.0).to_le_bytes());
                }
                hash
            }
        }
    }
}

/// A secret of xxh3: 192 bytes without structure, as its authors ask for.
struct FastSecret([u8; FAST_SECRET_BYTES]);

impl FastSecret {
    fn derive(secret: &Secret, label: &str) -> Self {
        let mut bytes = [0; FAST_SECRET_BYTES];
        for (counter, chunk) in (0..).zip(bytes.chunks_exact_mut(32)) {
            chunk.copy_from_slice(&derive(secret, label, counter)[..]);
        }
        Self(bytes)
    }
}

impl Drop for FastSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// 32 derived bytes: HMAC-SHA-256 of the label and a counter under the secret.
fn derive(secret: &Secret, label: &str, counter: u8) -> Zeroizing<[u8; 32]> {
    let mac = keyed(secret.bytes()).chain_update(label).chain_update([0, counter]);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC is defined for keys of every length, so that this constructor cannot fail.
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn first_word(digest: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *digest;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Bytes put together on the stack, so that an identity costs no allocation.
struct Stack<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Stack<N> {
    fn new() -> Self {
        Self { bytes: [0; N], length: 0 }
    }

    fn push(&mut self, part: &[u8]) {
        self.bytes[self.length..self.length + part.len()].copy_from_slice(part);
        self.length += part.len();
    }

    /// The length of the part that comes next.
    fn push_length(&mut self, length: &[u8]) {
        self.push(if Bug::UnprefixedParts.is_planted() { b"" } else { length });
    }

    fn filled(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

const KEY_GIVEN: u8 = 0;
const KEY_FROM_PAYLOAD: u8 = 1;
const FAST_SECRET_BYTES: usize = 192;
/// Kind, length of the scope, length of the operation, length of the key.
const IDENTITY_OVERHEAD: usize = 1 + 1 + 2 + 1;
const SMALL_SCOPE: usize = 32;
const SMALL_IDENTITY: usize = 192;
const LARGE_IDENTITY: usize =
    IDENTITY_OVERHEAD + Scope::MAX_BYTES + Request::MAX_OPERATION_BYTES + Request::MAX_KEY_BYTES;
const _: () = assert!(Scope::MAX_BYTES <= u8::MAX as usize);
const _: () = assert!(Request::MAX_KEY_BYTES <= u8::MAX as usize);
const _: () = assert!(Request::MAX_OPERATION_BYTES <= u16::MAX as usize);
