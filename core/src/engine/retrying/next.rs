//! Next: a worker asks for an attempt that is due.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::super::fleet::AskedAttempt;
use super::super::{Engine, Lease};
use super::scheduler::{Kind, Seat};
use crate::config::{YEAR, check_duration};
use crate::error::{Error, ErrorCode};
use crate::retry::journal::Journal;
use crate::wait::thread_waker;

/// A due attempt, with what is needed to run it. Ends like a [`Lease`].
///
/// ```
/// use std::time::Duration;
/// use oncegate::{
///     Admission, AttemptError, Engine, ManualClock, Outcome, Request, RetryContext, Scope,
/// };
///
/// let clock = ManualClock::new();
/// let engine = Engine::builder().capacity(1_000).clock(clock.clone()).build()?;
/// let request = Request::new(Scope::single_tenant(), "POST /charges", "key-1")?;
/// if let Admission::Admitted(lease) = engine.begin(&request)? {
///     let _ = lease.retry_later(&AttemptError::new("503"), &RetryContext::new("charge", b"7"))?;
/// }
/// clock.advance(Duration::from_secs(3600));
/// let attempt = engine.next_attempt(Duration::ZERO)?.expect("it is due");
/// assert_eq!((attempt.operation(), attempt.context()), ("charge", &b"7"[..]));
/// assert_eq!(attempt.lease().attempt(), 2);
/// attempt.into_lease().complete(&Outcome::new(200, b"charged"))?;
/// # Ok::<(), oncegate::Error>(())
/// ```
#[must_use = "an attempt that is dropped has failed, unless `OnDrop` says otherwise"]
pub struct Attempt<'e> {
    pub(super) lease: Lease<'e>,
    pub(super) journal: Journal,
}

impl<'e> Attempt<'e> {
    /// The lease: pass its fencing token on.
    ///
    /// ```
    /// fn token(attempt: &oncegate::Attempt<'_>) -> u64 {
    ///     attempt.lease().fencing_token().get()
    /// }
    /// ```
    pub fn lease(&self) -> &Lease<'e> {
        &self.lease
    }

    /// The lease, to renew it while the attempt runs.
    ///
    /// ```
    /// fn renew(attempt: &mut oncegate::Attempt<'_>) -> Result<(), oncegate::Error> {
    ///     attempt.lease_mut().renew(std::time::Duration::from_secs(60))
    /// }
    /// ```
    pub fn lease_mut(&mut self) -> &mut Lease<'e> {
        &mut self.lease
    }

    /// The lease alone, to end it.
    ///
    /// ```
    /// fn give_back(attempt: oncegate::Attempt<'_>) -> Result<(), oncegate::Error> {
    ///     attempt.into_lease().abandon()
    /// }
    /// ```
    pub fn into_lease(self) -> Lease<'e> {
        self.lease
    }

    /// The operation that the context was given for.
    ///
    /// ```
    /// fn is_charge(attempt: &oncegate::Attempt<'_>) -> bool { attempt.operation() == "charge" }
    /// ```
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.journal.operation
    }

    /// The context, as it was given.
    ///
    /// ```
    /// fn size(attempt: &oncegate::Attempt<'_>) -> usize { attempt.context().len() }
    /// ```
    #[must_use]
    pub fn context(&self) -> &[u8] {
        &self.journal.context
    }
}

impl fmt::Debug for Attempt<'_> {
    /// Without the context, which may hold what no log may.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("lease", &self.lease)
            .field("context_bytes", &self.journal.context.len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Hands out the next attempt that is due, waiting for one for at most `timeout`. `None`: the
    /// time has passed. Zero never waits.
    ///
    /// Attempts come by due time, of the scope that was served the longest time ago. Whichever
    /// process scheduled them, each is handed out once. What was leased to a process that died, or
    /// whose lease lapsed, comes again by its policy. An operation with as many attempts under way
    /// as it may have is passed over.
    ///
    /// Costs four times the instructions of a new request from begin to complete (`make
    /// instructions`), and a look at each record that was put off or has ended elsewhere since the
    /// last call: the first call after very many were put off files all of them, a tenth of a
    /// microsecond each (study `scheduling` of `make bench`).
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidOption`]: a timeout above a year. [`ErrorCode::Forked`].
    ///
    /// ```
    /// use std::time::Duration;
    /// let engine = oncegate::Engine::builder().capacity(1_000).build()?;
    /// assert!(engine.next_attempt(Duration::ZERO)?.is_none());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn next_attempt(&self, timeout: Duration) -> Result<Option<Attempt<'_>>, Error> {
        self.enter()?;
        check_duration(ErrorCode::InvalidOption, "timeout", timeout.max(MS), YEAR)?;
        if timeout.is_zero() {
            return self.try_next();
        }
        let give_up = self.now().saturating_add(timeout);
        loop {
            let waker = thread_waker();
            // Queued before it looks: whoever schedules something after the look wakes it.
            let seat = Seat::take(self.scheduler(), waker.clone(), Kind::Worker);
            let found = self.try_next();
            let again = matches!(found, Ok(None)) && self.now() < give_up && self.may_wait();
            if again {
                self.doze(seat.ticket, &waker, give_up);
            }
            let woken = !seat.leave();
            if !again {
                // What this one was woken for, or did not get to, is another's.
                self.pass_on(woken);
                return found;
            }
        }
    }

    /// Hands out at most `most` attempts that are due, waiting for the first for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`next_attempt`](Self::next_attempt).
    ///
    /// ```
    /// use std::time::Duration;
    /// let engine = oncegate::Engine::builder().capacity(1_000).build()?;
    /// assert!(engine.next_attempts(16, Duration::ZERO)?.is_empty());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn next_attempts(&self, most: usize, timeout: Duration) -> Result<Vec<Attempt<'_>>, Error> {
        let mut attempts = Vec::new();
        while attempts.len() < most {
            let timeout = if attempts.is_empty() { timeout } else { Duration::ZERO };
            match self.next_attempt(timeout) {
                Ok(Some(attempt)) => attempts.push(attempt),
                Ok(None) => break,
                Err(error) if attempts.is_empty() => return Err(error),
                // Those that were handed out are the caller's.
                Err(_) => break,
            }
        }
        Ok(attempts)
    }

    /// The next attempt that is due, as a future, on any runtime.
    ///
    /// While it waits it costs no processor time. It has no time limit of its own, and no timer:
    /// what is due later is noticed by a [`Driver`](crate::Driver), by the
    /// [descriptor](Self::due_descriptor) of an event loop, by a thread in
    /// [`next_attempt`](Self::next_attempt), or by whoever calls [`advance`](Self::advance).
    /// Dropping it affects nobody else.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Forked`], when polled.
    ///
    /// ```
    /// use std::future::Future;
    /// use std::pin::pin;
    /// use std::task::{Context, Waker};
    ///
    /// let engine = oncegate::Engine::builder().capacity(1_000).build()?;
    /// let mut next = pin!(engine.next_attempt_async());
    /// assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn next_attempt_async(&self) -> NextAttempt<'_> {
        NextAttempt { engine: self, ticket: None, asked: None, born: crate::fork::generation() }
    }

    /// At most `most` attempts that are due, as soon as there is one, as a future: the batch of
    /// [`next_attempt_async`](Self::next_attempt_async). Dropping it loses none.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Forked`], when polled.
    ///
    /// ```
    /// use std::future::Future;
    /// use std::pin::pin;
    /// use std::task::{Context, Waker};
    ///
    /// let engine = oncegate::Engine::builder().capacity(1_000).build()?;
    /// let mut next = pin!(engine.next_attempts_async(16));
    /// assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub async fn next_attempts_async(&self, most: usize) -> Result<Vec<Attempt<'_>>, Error> {
        let Some(others) = most.checked_sub(1) else { return Ok(Vec::new()) };
        let mut attempts = vec![self.next_attempt_async().await?];
        // The first is the caller's, whatever becomes of the others.
        attempts.extend(self.next_attempts(others, Duration::ZERO).unwrap_or_default());
        Ok(attempts)
    }

    /// Wakes another worker, if this one took its turn, or left something.
    fn pass_on(&self, woken: bool) {
        if woken || self.scheduler().index().ready.len() != 0 {
            self.scheduler().wake_one();
        }
        self.relieve();
    }

    /// Sees to it that somebody looks when the next thing is due, of those who wait: they may have
    /// left that to one who leaves now.
    pub(super) fn relieve(&self) {
        let first = self.scheduler().index().first_due_ms();
        if let Some(due_ms) = first {
            // No change is counted: whoever goes to sleep looks at the index after he is queued,
            // and so plans for this himself, or was queued before it was looked at here.
            self.scheduler().tell(due_ms, self.now_ms());
        }
    }
}

/// The next attempt, as a future; see [`Engine::next_attempt_async`].
///
/// ```
/// # use oncegate::{Engine, NextAttempt};
/// # let engine = Engine::builder().capacity(1_000).build()?;
/// let next: NextAttempt<'_> = engine.next_attempt_async();
/// drop(next); // affects nobody
/// # Ok::<(), oncegate::Error>(())
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct NextAttempt<'e> {
    engine: &'e Engine,
    ticket: Option<u64>,
    /// An attempt about which the tier is being asked.
    asked: Option<AskedAttempt<'e>>,
    /// The generation of the process in whose queue it is.
    born: u64,
}

impl<'e> NextAttempt<'e> {
    /// What is due here, and may run in the whole fleet. Asks the tier without blocking.
    fn look(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Attempt<'e>>, Error>> {
        self.engine.adopt_orphans();
        loop {
            if let Some(asked) = &mut self.asked {
                let Poll::Ready(confirmed) = asked.poll(context.waker()) else {
                    return Poll::Pending;
                };
                self.asked = None;
                if !matches!(confirmed, Ok(None)) {
                    return Poll::Ready(confirmed);
                }
            }
            match self.engine.try_next_here() {
                Ok(Some(attempt)) => match self.engine.ask_attempt(attempt) {
                    (asked, None) => self.asked = asked,
                    (_, attempt) => return Poll::Ready(Ok(attempt)),
                },
                other => return Poll::Ready(other),
            }
        }
    }
}

impl<'e> Future for NextAttempt<'e> {
    type Output = Result<Attempt<'e>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.engine.enter()?;
        if this.born != crate::fork::generation() {
            // Its place is in its parent's queue.
            return Poll::Ready(Err(crate::fork::forked()));
        }
        let scheduler = this.engine.scheduler();
        // One that is still queued was not woken, but may be polled for another reason.
        let queued = this.ticket.is_some_and(|ticket| scheduler.renew(ticket, context.waker()));
        if !queued {
            this.ticket = Some(scheduler.enter(context.waker().clone(), Kind::Future));
        }
        let Poll::Ready(found) = this.look(context) else { return Poll::Pending };
        let Some(found) = found.transpose() else {
            if this.engine.will_hear() {
                context.waker().wake_by_ref();
            }
            return Poll::Pending;
        };
        let woken = this.ticket.take().is_some_and(|ticket| !scheduler.leave(ticket));
        this.engine.pass_on(woken);
        Poll::Ready(found)
    }
}

impl Drop for NextAttempt<'_> {
    fn drop(&mut self) {
        if self.born != crate::fork::generation() {
            // What was asked is the parent's to take back.
            std::mem::forget(self.asked.take());
        }
        // In a forked child the place is the parent's.
        if let Some(ticket) = self.ticket
            && self.born == crate::fork::generation()
            && !self.engine.scheduler().leave(ticket)
        {
            self.engine.scheduler().wake_one();
        }
    }
}

impl fmt::Debug for NextAttempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextAttempt").field("waits", &self.ticket.is_some()).finish_non_exhaustive()
    }
}

const MS: Duration = Duration::from_millis(1);
