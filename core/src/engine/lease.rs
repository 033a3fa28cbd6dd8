//! Lease: the guard of one attempt.

use std::fmt;
use std::time::Duration;

use super::decide::Answer;
use super::{Completed, Engine, Failure, FencingToken, LeaseToken, Status};
use crate::error::Error;
use crate::fork;
use crate::outcome::Outcome;
use crate::retry::{Deposit, Withdrawal};
use crate::sync::planted::Bug;

/// The exclusive right to run one attempt, until its deadline.
///
/// End it with [`complete`](Self::complete), [`fail`](Self::fail) or [`abandon`](Self::abandon).
/// A lease that is dropped without an end, by a panic, a cancelled task or a return, resolves its
/// record by [`OnDrop`](crate::OnDrop): what the engine retries goes on by its policy.
///
/// **A lease is not a lock.** A holder that was paused may still run after its lease lapsed and
/// somebody else got the next attempt. Its calls to the engine are then refused as fenced; its
/// writes elsewhere are refused only by a store that checks the
/// [`fencing_token`](Self::fencing_token).
///
/// ```
/// use oncegate::{Admission, Engine, Outcome, Request, Scope};
///
/// let engine = Engine::builder().capacity(1_000).build()?;
/// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
/// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
/// assert_eq!(lease.attempt(), 1);
/// lease.complete(&Outcome::new(200, b"done"))?;
/// # Ok::<(), oncegate::Error>(())
/// ```
#[must_use = "a lease that is dropped gives its attempt back"]
pub struct Lease<'e> {
    engine: &'e Engine,
    token: LeaseToken,
    status: Status,
    until_ms: u64,
    /// The generation of the process that began it. A forked child has a copy of this value, and no
    /// part in the lease.
    born: u64,
    ended: bool,
    /// What retry budgets are told when it ends.
    paid: Option<Box<Paid>>,
    /// Whether something was noted in the record's journal.
    kept: bool,
}

/// What an attempt is to the retry budgets.
pub(super) enum Paid {
    First(Deposit),
    Retry(Withdrawal),
}

impl Paid {
    pub(super) fn end(self, succeeded: bool, now: Duration) {
        match (self, succeeded) {
            (Self::First(deposit), true) => deposit.succeeded(now),
            (Self::First(deposit), false) => deposit.failed(),
            (Self::Retry(paid), true) => paid.succeeded(now),
            (Self::Retry(paid), false) => paid.failed(),
        }
    }
}

impl<'e> Lease<'e> {
    pub(super) fn new(
        engine: &'e Engine,
        token: LeaseToken,
        status: Status,
        until_ms: u64,
    ) -> Self {
        let born = fork::generation();
        Self { engine, token, status, until_ms, born, ended: false, paid: None, kept: false }
    }

    /// A tier has answered for it: it is granted, or left to the table alone. False: it is not its
    /// caller's to run.
    pub(super) fn granted(&mut self, answer: &Answer) -> bool {
        let Answer::Admitted { seen, attempt, until_ms, by, .. } = *answer else { return false };
        self.until_ms = until_ms;
        self.token.attempt = attempt;
        self.token = self.token.granted(seen.fence(), by);
        true
    }

    /// It never was: nothing is ended by it.
    pub(super) fn void(mut self) {
        self.settle(false);
        self.ended = true;
    }

    /// Whether the engine's tier gave no answer, so that the table of this host alone admitted the
    /// attempt ([`OnOutage::LocalOnly`](crate::tier::OnOutage::LocalOnly)): another host may run
    /// the same request. Always false for an engine without a tier.
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// assert!(!lease.is_local_only());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn is_local_only(&self) -> bool {
        self.token.alone
    }

    /// Something is noted in the record's journal from now on.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    /// Its end settles `paid`.
    pub(super) fn pay(&mut self, paid: Paid) {
        self.paid = Some(Box::new(paid));
    }

    #[cold]
    fn note_completed(&mut self, succeeded: bool) {
        self.settle(succeeded);
        if self.kept {
            self.engine.token_is_over(&self.token);
        }
    }

    fn settle(&mut self, succeeded: bool) {
        if let Some(paid) = self.paid.take() {
            paid.end(succeeded, self.engine.now());
        }
    }

    /// The attempt has failed, and another is asked for: if it is a retry, that one needs its
    /// place.
    pub(super) fn make_way(&mut self) {
        if matches!(self.paid.as_deref(), Some(Paid::Retry(_))) {
            self.settle(false);
        }
    }

    /// The token that downstream stores check.
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let sql = format!("UPDATE account SET fence = {} WHERE fence < {0}", lease.fencing_token());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn fencing_token(&self) -> FencingToken {
        self.token.fencing
    }

    /// The attempt, from 1 on.
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// assert_eq!(lease.attempt(), 1);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.token.attempt
    }

    /// Why the attempt was admitted.
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope, Status};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// assert_eq!(lease.status(), Status::Created);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// When the lease lapses, on the engine's [`Clock`](crate::Clock). A renewal through the
    /// [`token`](Self::token) is not seen here.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::{Admission, Clock, Engine, ManualClock, Request, Scope};
    ///
    /// let clock = ManualClock::new();
    /// let lasts = Duration::from_secs(10);
    /// let builder = Engine::builder().capacity(1_000).lease_duration(lasts);
    /// let engine = builder.clock(clock.clone()).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// assert_eq!(lease.deadline(), clock.now() + lasts);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn deadline(&self) -> Duration {
        // Milliseconds count from one.
        self.engine.on_clock(self.until_ms)
    }

    /// How long until the lease lapses, by the engine's clock. Zero: it may have been taken over.
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// assert!(lease.remaining().as_secs() <= 30);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn remaining(&self) -> Duration {
        Duration::from_millis(self.until_ms.saturating_sub(self.engine.now_ms()))
    }

    /// The lease as plain data. The guard still ends the attempt when it is dropped.
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// assert_eq!(lease.token().attempt(), lease.attempt());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn token(&self) -> &LeaseToken {
        &self.token
    }

    /// The lease as plain data, without the guard: whoever holds the token ends the attempt, or
    /// it lapses.
    ///
    /// What the attempt is to retry budgets is kept in this process, and settled when it is ended
    /// by the token here; if it ends elsewhere, or lapses, by whoever next asks for a retry here or
    /// looks after what is due. It is kept of some thousand tokens: beyond that, the oldest counts
    /// as one that failed.
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let token = lease.into_token();
    /// assert!(matches!(engine.begin(&request)?, Admission::InProgress { .. }));
    /// engine.abandon(&token)?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use = "an attempt whose token is lost runs until its lease lapses"]
    pub fn into_token(mut self) -> LeaseToken {
        self.ended = true;
        if let Some(paid) = self.paid.take() {
            self.engine.keep_share(&self.token, *paid);
        }
        self.token
    }

    /// Lets the attempt run for `duration` from now on.
    ///
    /// # Errors
    ///
    /// As [`Engine::renew`].
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # use std::time::Duration;
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(mut lease) = engine.begin(&request)? else { unreachable!() };
    /// lease.renew(Duration::from_secs(120))?;
    /// assert!(lease.remaining().as_secs() >= 110);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn renew(&mut self, duration: Duration) -> Result<(), Error> {
        self.own()?;
        self.until_ms = self.engine.renew_until(&self.token, duration)?;
        Ok(())
    }

    /// Ends the attempt with success; see [`Engine::complete`].
    ///
    /// # Errors
    ///
    /// As [`Engine::complete`].
    ///
    /// ```
    /// # use oncegate::{Admission, Completed, Engine, Outcome, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// assert_eq!(lease.complete(&Outcome::new(204, b""))?, Completed::Stored);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn complete(mut self, outcome: &Outcome) -> Result<Completed, Error> {
        self.own()?;
        self.ended = true;
        let completed = self.engine.complete_held(&self.token, outcome);
        if self.paid.is_some() || self.kept {
            self.note_completed(completed.is_ok());
        }
        completed
    }

    /// [`complete`](Self::complete) without blocking on the engine's tier, where there is one. On
    /// any runtime. A future that is dropped before it is ready has ended the attempt all the same.
    ///
    /// # Errors
    ///
    /// As [`Engine::complete`].
    ///
    /// ```
    /// # use oncegate::{Completed, Error, Lease, Outcome};
    /// async fn done(lease: Lease<'_>) -> Result<Completed, Error> {
    ///     lease.complete_async(&Outcome::new(204, b"")).await
    /// }
    /// # let _ = done;
    /// ```
    pub async fn complete_async(mut self, outcome: &Outcome) -> Result<Completed, Error> {
        self.own()?;
        self.ended = true;
        let completed = self.engine.complete_async(&self.token, outcome).await;
        if self.paid.is_some() || self.kept {
            self.note_completed(completed.is_ok());
        }
        completed
    }

    /// [`fail`](Self::fail) without blocking on the engine's tier, where there is one. As
    /// [`complete_async`](Self::complete_async).
    ///
    /// # Errors
    ///
    /// As [`Engine::fail`].
    ///
    /// ```
    /// # use oncegate::{Error, Failure, Lease};
    /// async fn again(lease: Lease<'_>) -> Result<(), Error> {
    ///     lease.fail_async(Failure::retryable()).await
    /// }
    /// # let _ = again;
    /// ```
    pub async fn fail_async(mut self, failure: Failure) -> Result<(), Error> {
        self.own()?;
        failure.check()?;
        self.ended = true;
        self.engine.fail_async(&self.token, failure).await
    }

    /// Ends the attempt without success; see [`Engine::fail`].
    ///
    /// # Errors
    ///
    /// As [`Engine::fail`]. A failure that is refused for its delay leaves the attempt to
    /// [`OnDrop`](crate::OnDrop).
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Failure, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// lease.fail(Failure::unknown())?;
    /// assert!(matches!(engine.begin(&request)?, Admission::Unresolved));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn fail(mut self, failure: Failure) -> Result<(), Error> {
        self.own()?;
        let failed = self.engine.fail_held(&self.token, failure);
        self.ended = !failed.as_ref().is_err_and(Error::is_invalid_input);
        failed
    }

    /// Gives the attempt back: it did nothing; see [`Engine::abandon`].
    ///
    /// # Errors
    ///
    /// As [`Engine::abandon`].
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// lease.abandon()?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn abandon(mut self) -> Result<(), Error> {
        self.own()?;
        self.ended = true;
        self.engine.fail_held(&self.token, Failure::retryable())
    }

    pub(super) fn engine(&self) -> &'e Engine {
        self.engine
    }

    /// The attempt has been ended by other means.
    pub(super) fn ended(&mut self) {
        self.ended = true;
    }

    /// A child never ends what its parent holds.
    pub(super) fn own(&self) -> Result<(), Error> {
        if self.is_own() { Ok(()) } else { Err(fork::forked()) }
    }

    fn is_own(&self) -> bool {
        self.born == fork::generation() || Bug::ForkUnnoticed.is_planted()
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if !self.ended && self.is_own() && !Bug::DropForgotten.is_planted() {
            self.engine.drop_lease(&self.token);
        }
    }
}

impl fmt::Debug for Lease<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("attempt", &self.token.attempt)
            .field("fencing_token", &self.token.fencing.get())
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
