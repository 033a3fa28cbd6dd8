//! Tokens: the fencing token for downstream stores, and the plain form of a lease.

use std::fmt;

use super::{Engine, Lease, Status, millis_up};
use crate::config::TEN_YEARS;
use crate::error::{Error, ErrorCode};
use crate::sync::planted::Bug;
use crate::table::control::{Fence, State};
use crate::table::slot::Kind;

/// An integer below 2^63 that grows with every attempt of a fingerprint, for ever.
///
/// Pass it to every store that the attempt writes to, and let the store refuse a token that is
/// lower than one it has seen. That check, and not the lease, keeps out an attempt that was paused
/// past its lease and writes after its successor (Kleppmann, "How to do distributed locking",
/// 2016). One that writes before its successor is let in: so the effect itself has to be keyed by
/// the request, in the same transaction. The page *When can my code run twice?* in `docs/` has
/// both statements.
///
/// Tokens of a private engine start from wall time, so they grow across restarts as long as the
/// wall clock is not set back.
///
/// ```
/// use oncegate::{Admission, Engine, Request, Scope};
/// let engine = Engine::builder().capacity(1_000).build()?;
/// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
/// if let Admission::Admitted(lease) = engine.begin(&request)? {
///     assert!(lease.fencing_token().get() < 1 << 63);
/// }
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(u64);

impl FencingToken {
    /// The integer.
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// assert!(lease.fencing_token().get() > 0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A lease as plain data: it crosses threads, processes and languages, and resolves nothing when
/// it is dropped.
///
/// Whoever holds it may renew, complete, fail or abandon the attempt through the engine that
/// gave it out.
///
/// ```
/// use oncegate::{Admission, Engine, LeaseToken, Outcome, Request, Scope};
///
/// let engine = Engine::builder().capacity(1_000).build()?;
/// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
/// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
/// let bytes = lease.into_token().to_bytes();
/// let token = LeaseToken::from_bytes(&bytes)?;
/// engine.complete(&token, &Outcome::new(200, b"done"))?;
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseToken {
    pub(super) slot: u64,
    pub(super) fencing: FencingToken,
    pub(super) window_ms: u64,
    pub(super) attempt: u32,
    /// The scope of the record, by its hash: for the scheduler, and for nothing else.
    pub(super) scope: u32,
}

impl LeaseToken {
    /// How many bytes [`to_bytes`](Self::to_bytes) gives.
    ///
    /// ```
    /// assert_eq!(oncegate::LeaseToken::BYTES, 32);
    /// ```
    pub const BYTES: usize = 32;

    /// The token for downstream stores.
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// assert_eq!(lease.token().fencing_token(), lease.fencing_token());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn fencing_token(&self) -> FencingToken {
        self.fencing
    }

    /// The attempt, from 1 on.
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// assert_eq!(lease.token().attempt(), 1);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The token in 32 bytes: version, hash of the scope, attempt, slot, fencing token, window;
    /// little-endian.
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, LeaseToken, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let token = *lease.token();
    /// assert_eq!(LeaseToken::from_bytes(&token.to_bytes())?, token);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let head = u64::from(self.attempt) << ATTEMPT_SHIFT
            | u64::from(self.scope) << SCOPE_SHIFT
            | FORMAT;
        let words = [head, self.slot, self.fencing.0, self.window_ms];
        let mut bytes = [0; Self::BYTES];
        for (to, word) in bytes.chunks_exact_mut(size_of::<u64>()).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The token that [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidToken`]: not 32 bytes, not of this version, or with a field out of its
    /// range. The engine answers [`ErrorCode::Fenced`] to a token that names no running attempt;
    /// but nothing signs the bytes, so take them only from where you sent them.
    ///
    /// ```
    /// assert!(oncegate::LeaseToken::from_bytes(&[0; 32]).is_err());
    /// ```
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (words, rest) = bytes.as_chunks::<8>();
        let malformed = || {
            let found = format!("{} bytes", bytes.len());
            Error::new(
                ErrorCode::InvalidToken,
                "lease_token",
                found,
                "32 bytes of version 2, fields in range",
            )
        };
        let ([head, slot, fencing, window], []) = (words, rest) else {
            return Err(malformed());
        };
        let [head, slot, fencing, window_ms] =
            [head, slot, fencing, window].map(|word| u64::from_le_bytes(*word));
        let attempt = (head >> ATTEMPT_SHIFT) as u32;
        let scope = (head >> SCOPE_SHIFT) as u32;
        let in_range =
            attempt != 0 && fencing < 1 << 63 && (1..=millis_up(TEN_YEARS)).contains(&window_ms);
        let is_sound = head & u64::from(u16::MAX) == FORMAT && in_range;
        if !is_sound && !Bug::TamperedTokenAccepted.is_planted() {
            return Err(malformed());
        }
        Ok(Self { attempt, scope, slot, fencing: FencingToken(fencing), window_ms })
    }
}

impl Engine {
    /// The lease of a token that crossed a queue, or a process, as a guard again.
    ///
    /// For whoever dispatches attempts by other means and starts them later: one whose attempt has
    /// been followed by another, or has ended, is stale, and is refused here instead of at its end.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Fenced`]: the attempt is stale. [`ErrorCode::Forked`].
    ///
    /// ```
    /// use oncegate::{Admission, Engine, Failure, LeaseToken, Outcome, Request, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let bytes = lease.into_token().to_bytes(); // to a worker elsewhere
    ///
    /// let token = LeaseToken::from_bytes(&bytes)?;
    /// engine.take_up(&token)?.fail(Failure::retryable())?;
    /// assert!(engine.take_up(&token).unwrap_err().is_fenced());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn take_up(&self, token: &LeaseToken) -> Result<Lease<'_>, Error> {
        self.enter()?;
        let (slot, seen) = self.held(token).ok_or_else(|| self.fenced())?;
        let deadline = self.table.slot(slot).deadline();
        let runs = seen.state() == State::Running
            && deadline.belongs_to(seen.fence())
            && deadline.kind == Kind::Lease;
        if !runs {
            return Err(self.fenced());
        }
        let status = if token.attempt == 1 { Status::Created } else { Status::Retried };
        let mut lease = Lease::new(self, *token, status, deadline.at_ms);
        self.pay_from_share(&mut lease);
        Ok(lease)
    }

    pub(super) fn fencing_token(&self, fence: Fence) -> FencingToken {
        FencingToken(self.epoch + fence.get())
    }

    /// The slot and counter that a token names, if it can be one of this engine's.
    pub(super) fn locate(&self, token: &LeaseToken) -> Option<(usize, Fence)> {
        let exists = |slot: &usize| *slot < self.table.slots() || Bug::SlotUnchecked.is_planted();
        let slot = usize::try_from(token.slot).ok().filter(exists)?;
        let fence = Fence::new(token.fencing.0.checked_sub(self.epoch)?)?;
        Some((slot, fence))
    }
}

/// Version of the byte form.
const FORMAT: u64 = 2;
const SCOPE_SHIFT: u32 = 16;
const ATTEMPT_SHIFT: u32 = 48;
