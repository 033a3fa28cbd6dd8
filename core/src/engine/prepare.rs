//! Prepared requests: hashed once, begun as often as needed.

use std::fmt;

use super::Engine;
use super::keys::{self, GIVEN, KeyState};
use crate::error::Error;
use crate::fingerprint::{DigestVersion, Fingerprint, Request, Scope};
use crate::sync::planted::Bug;
use crate::table::Probe;
use crate::table::slot::DigestWord;

/// A request whose digests are made: hashing once, beginning as often as needed. (While a secret is
/// rotated, a call that does not find the record hashes it once more, under the old one.)
///
/// ```
/// use oncegate::{Admission, BeginOptions, Engine, Request, Scope};
///
/// let engine = Engine::builder().capacity(1_000).build()?;
/// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
/// let prepared = engine.prepare(&request)?;
/// let _first = engine.begin_prepared(&prepared, &BeginOptions::new())?;
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Prepared<'r> {
    pub(super) fingerprint: [u64; 4],
    pub(super) digest: DigestWord,
    /// The engine that prepared it, and the generation of its keys: see [`Engine::stamp`].
    stamp: u64,
    /// Whether a record under the key that was being retired is to be looked for too.
    pub(super) rotating: bool,
    source: Source<'r>,
}

/// What the digests were made from, to make them again under another key.
#[derive(Clone, Copy)]
enum Source<'r> {
    Request(Request<'r>),
    /// The caller made them.
    Hashed(Scope<'r>),
}

impl<'r> Prepared<'r> {
    /// The identity of the request under the secret that is in force.
    ///
    /// ```
    /// # use oncegate::{Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let same = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// assert_eq!(engine.prepare(&request)?.fingerprint(), engine.prepare(&same)?.fingerprint());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::from_words(self.fingerprint)
    }

    pub(super) fn scope(&self) -> Scope<'r> {
        match &self.source {
            Source::Request(request) => request.scope(),
            Source::Hashed(scope) => *scope,
        }
    }

    /// The request, unless its digests are all that is known of it.
    pub(super) fn request(&self) -> Option<&Request<'r>> {
        match &self.source {
            Source::Request(request) => Some(request),
            Source::Hashed(_) => None,
        }
    }
}

impl fmt::Debug for Prepared<'_> {
    /// Without the payload's digest: by it a guess at the content could be checked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Prepared");
        match &self.source {
            Source::Request(request) => shown.field("request", request),
            Source::Hashed(scope) => shown.field("scope", scope),
        };
        shown.field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Makes the digests of `request`, for [`begin_prepared`](Self::begin_prepared).
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidKey`](crate::ErrorCode::InvalidKey),
    /// [`ErrorCode::InvalidPayload`](crate::ErrorCode::InvalidPayload),
    /// [`ErrorCode::Forked`](crate::ErrorCode::Forked).
    ///
    /// ```
    /// # use oncegate::{Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let prepared = engine.prepare(&request)?;
    /// # let _ = prepared;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn prepare<'r>(&self, request: &Request<'r>) -> Result<Prepared<'r>, Error> {
        self.enter()?;
        if let Some(key) = request.key() {
            self.key_rules.check(key)?;
        }
        self.prepare_under(request, keys::load(&self.region))
    }

    /// Takes digests that the caller has made already: a broker's message id that is a hash, a
    /// digest that crossed a language boundary, the fingerprint of another table.
    ///
    /// The caller vouches for them. `fingerprint` must tell apart what differs in scope, operation
    /// or key, and its bytes must be spread evenly; where clients can choose what is hashed, it
    /// has to be a keyed hash. `payload_digest` is compared on every duplicate, in its 56 upper
    /// bits; one that is always the same switches that check off. `scope` is what quotas count.
    /// Such records know no secret: a rotation does not touch them, and a request that the engine
    /// has hashed itself never meets them. Nothing is computed and nothing is looked
    /// at, so that it is not refused in a forked child either: it costs a few stores.
    ///
    /// ```
    /// use oncegate::{Admission, BeginOptions, Engine, Fingerprint, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// # let sha256_of_message = [0x5e; 32];
    /// let fingerprint = Fingerprint::from_bytes(sha256_of_message);
    /// let prepared = engine.prepare_hashed(Scope::single_tenant(), fingerprint, 0);
    /// let first = engine.begin_prepared(&prepared, &BeginOptions::new())?;
    /// assert!(matches!(first, Admission::Admitted(_)));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[inline(always)]
    pub fn prepare_hashed<'r>(
        &self,
        scope: Scope<'r>,
        fingerprint: Fingerprint,
        payload_digest: u64,
    ) -> Prepared<'r> {
        Prepared {
            fingerprint: fingerprint.words(),
            digest: DigestWord::new(payload_digest, GIVEN_VERSION, GIVEN),
            stamp: self.stamp(),
            rotating: false,
            source: Source::Hashed(scope),
        }
    }

    /// The sets of `request`, its way and its tag, for models that need two requests to meet.
    #[cfg(any(oncegate_loom, oncegate_shuttle))]
    #[doc(hidden)]
    pub fn place_of(&self, request: &Request<'_>) -> Result<([usize; 2], usize, u8), Error> {
        Ok(self.table.probe(self.prepare(request)?.fingerprint).place())
    }

    /// What tells apart the engines of a process and the generations of their keys: epochs of a
    /// process differ by far more than there can be generations.
    #[inline(always)]
    fn stamp(&self) -> u64 {
        self.stamp_of(keys::load(&self.region))
    }

    #[inline(always)]
    fn stamp_of(&self, keys: KeyState) -> u64 {
        self.epoch + u64::from(keys.generation)
    }

    /// Whether `prepared` was made by this engine, under the keys that are in force now.
    #[inline(always)]
    pub(super) fn is_current(&self, prepared: &Prepared<'_>) -> bool {
        prepared.stamp == self.stamp()
    }

    /// The same request under the keys that are in force now, for this engine.
    #[cold]
    pub(super) fn refresh<'r>(&self, prepared: &Prepared<'r>) -> Result<Prepared<'r>, Error> {
        match &prepared.source {
            Source::Request(request) => self.prepare_under(request, keys::load(&self.region)),
            // No key was used: the digests are the same under every other one.
            Source::Hashed(_) => Ok(Prepared { stamp: self.stamp(), ..*prepared }),
        }
    }

    fn prepare_under<'r>(
        &self,
        request: &Request<'r>,
        keys: KeyState,
    ) -> Result<Prepared<'r>, Error> {
        let hasher = self.hasher(keys.current)?;
        let fingerprint = hasher.fingerprint(request)?;
        let version = DigestVersion::CURRENT;
        let digest = hasher.payload_digest(request.payload_ref(), version)?;
        Ok(Prepared {
            fingerprint: fingerprint.words(),
            digest: DigestWord::new(digest, version.number(), keys::short(keys.current)),
            stamp: self.stamp_of(keys),
            rotating: keys.retiring.is_some() && !Bug::OldSecretForgotten.is_planted(),
            source: Source::Request(*request),
        })
    }

    /// Where the record of `prepared` lies if it was made under the key that is being retired.
    ///
    /// If the keys have changed since `prepared` was made this may belong to others than those: it
    /// is not current then, which whoever inserts asks before that.
    pub(super) fn retiring_probe(&self, prepared: &Prepared<'_>) -> Result<Option<Probe>, Error> {
        let (Source::Request(request), true) = (&prepared.source, prepared.rotating) else {
            return Ok(None);
        };
        let old = keys::load(&self.region).retiring;
        let probe = |old| {
            let fingerprint = self.hasher(old)?.fingerprint(request)?;
            Ok(self.table.probe(fingerprint.words()))
        };
        old.map(probe).transpose()
    }
}

/// The version of digests that a caller made: no version of the engine's own.
const GIVEN_VERSION: u8 = 0;
