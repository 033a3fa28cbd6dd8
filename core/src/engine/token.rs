//! Tokens: the fencing token for downstream stores, and the plain form of a lease.

use std::fmt;

use super::decide::GrantedBy;
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
    /// The table's own counter, where a tier gave the fencing token and the number of the attempt,
    /// or would have; else zero, and they are the table's own.
    pub(super) counter: u64,
    /// Whether the tier gave no answer, and the table alone admitted the attempt.
    pub(super) alone: bool,
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

    /// The same for an attempt that was granted so.
    pub(super) fn granted(mut self, counter: Fence, by: GrantedBy) -> Self {
        let (fence, alone) = match by {
            GrantedBy::Table => return self,
            GrantedBy::Tier(fence) => (fence, false),
            GrantedBy::Alone(fence) => (fence, true),
        };
        self.fencing = FencingToken(fence);
        (self.counter, self.alone) = (counter.get(), alone);
        self
    }

    /// Whether the scheduler may have handed it out.
    pub(super) fn may_be_retry(&self) -> bool {
        self.attempt > 1 || self.counter != 0
    }

    /// The token in 32 bytes: version, hash of the scope, attempt, slot, fencing token, window;
    /// little-endian. Where a tier gave the lease, the table's own counter is in the upper bits of
    /// slot and window.
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
        let format = if self.counter == 0 { FORMAT } else { TIER_FORMAT };
        // An attempt that a tier counts, and that is over the limit of a table, is shown as that.
        let attempt = u64::from(self.attempt.min(u16::MAX.into()));
        let head = attempt << ATTEMPT_SHIFT | u64::from(self.scope) << SCOPE_SHIFT | format;
        let slot = self.slot | self.counter << COUNTER_IN_SLOT;
        let window = self.window_ms | self.counter >> COUNTER_SPLIT << COUNTER_IN_WINDOW;
        let window = window | u64::from(self.alone) << ALONE_SHIFT;
        let words = [head, slot, self.fencing.0, window];
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
                "32 bytes of version 2 or 3, fields in range",
            )
        };
        let ([head, slot, fencing, window], []) = (words, rest) else {
            return Err(malformed());
        };
        let [head, slot, fencing, window] =
            [head, slot, fencing, window].map(|word| u64::from_le_bytes(*word));
        let attempt = (head >> ATTEMPT_SHIFT) as u32;
        let scope = (head >> SCOPE_SHIFT) as u32;
        let format = head & u64::from(u16::MAX);
        let (slot, window_ms, counter, alone) = if format == TIER_FORMAT {
            let high = window >> COUNTER_IN_WINDOW & HIGH_MASK;
            let counter = slot >> COUNTER_IN_SLOT | high << COUNTER_SPLIT;
            (slot & SLOT_MASK, window & WINDOW_MASK, counter, window >> ALONE_SHIFT == 1)
        } else {
            (slot, window, 0, false)
        };
        let in_range =
            attempt != 0 && fencing < 1 << 63 && (1..=millis_up(TEN_YEARS)).contains(&window_ms);
        // One form for each token: what a tier gave has a counter of the table's, too.
        let unused = window >> UNUSED_SHIFT & UNUSED_MASK;
        let tiered = format == TIER_FORMAT && counter != 0 && unused == 0;
        let formed = format == FORMAT || tiered;
        let sound = formed && in_range;
        if !sound && !Bug::TamperedTokenAccepted.is_planted() {
            return Err(malformed());
        }
        Ok(Self { attempt, scope, slot, fencing: FencingToken(fencing), window_ms, counter, alone })
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
        let counter = match token.counter {
            0 => token.fencing.0.checked_sub(self.epoch)?,
            // An engine without a tier gives none of these.
            counter => self.fleet.as_ref().map(|_| counter)?,
        };
        Some((slot, Fence::new(counter)?))
    }
}

/// Version of the byte form.
const FORMAT: u64 = 2;
/// The same where a tier gave the lease.
const TIER_FORMAT: u64 = 3;
const SCOPE_SHIFT: u32 = 16;
const ATTEMPT_SHIFT: u32 = 48;
/// Where the lower part of the table's counter stands, above the slot.
const COUNTER_IN_SLOT: u32 = 28;
/// How many bits of it that are.
const COUNTER_SPLIT: u32 = u64::BITS - COUNTER_IN_SLOT;
/// Where the rest stands, above the window.
const COUNTER_IN_WINDOW: u32 = 40;
/// How many bits of it those are, and what they hold.
const HIGH_BITS: u32 = 8;
const HIGH_MASK: u64 = (1 << HIGH_BITS) - 1;
/// Whether the table alone admitted it; what lies between is zero.
const ALONE_SHIFT: u32 = u64::BITS - 1;
const UNUSED_SHIFT: u32 = COUNTER_IN_WINDOW + HIGH_BITS;
const UNUSED_MASK: u64 = (1 << (ALONE_SHIFT - UNUSED_SHIFT)) - 1;
const SLOT_MASK: u64 = (1 << COUNTER_IN_SLOT) - 1;
const WINDOW_MASK: u64 = (1 << COUNTER_IN_WINDOW) - 1;

const _: () = assert!(crate::table::set::MAX_SLOTS <= 1 << COUNTER_IN_SLOT);
const _: () = assert!(Fence::MAX >> COUNTER_SPLIT <= HIGH_MASK);
