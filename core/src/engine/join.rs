//! Waiting for the running attempt: a blocked thread, or a future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Prepared;
use super::decide::Answer;
use super::fleet::Asking;
use super::{Admission, BeginOptions, Engine};
use crate::error::{Error, ErrorCode};
use crate::fingerprint::Request;
use crate::fork;
use crate::outcome::Outcome;
use crate::sync::park;
use crate::table::Found;
use crate::table::control::Step;
use crate::wait::{NotQueued, Ticket, thread_waker};

/// A future that becomes ready when the request has an answer other than "in progress".
///
/// Made by [`Engine::join`], where it is shown at work.
///
/// ```
/// # use oncegate::{BeginOptions, Engine, Join, Request, Scope};
/// # let engine = Engine::builder().capacity(1_000).build()?;
/// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
/// let join: Join<'_, '_> = engine.join(&request, &BeginOptions::new());
/// drop(join); // affects nobody
/// # Ok::<(), oncegate::Error>(())
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct Join<'e, 'r> {
    engine: &'e Engine,
    request: Request<'r>,
    options: BeginOptions,
    prepared: Option<Prepared<'r>>,
    place: Option<Place>,
    /// Whether it waits for a running attempt at all.
    waits: bool,
    /// What is asked of the tier, and the generation of the process that asks.
    asking: Option<(Asking<'e, 'r>, u64)>,
}

/// Where a future waits.
struct Place {
    slot: usize,
    /// When what it waits for is over, in milliseconds since the region was opened.
    until_ms: u64,
    ticket: Ticket,
}

impl Engine {
    /// Asks to run `request`, and waits for the running attempt, on any runtime.
    ///
    /// While it waits it costs no processor time. If the leader fails, exactly one of those who
    /// wait gets the next attempt. Dropping the future affects nobody else. There is no time
    /// limit: use the runtime's own. In the table of one process nobody wakes the future when a
    /// lease lapses or a delay is over but a [`sweep`](Self::sweep), so run a
    /// [`ticker`](Self::ticker) where leaders may die; a future that is polled after that time, by
    /// a timeout of the runtime for example, notices it too. In a shared table a thread looks after
    /// those who wait, and wakes the future then.
    ///
    /// # Errors
    ///
    /// Those of [`begin_with`](Self::begin_with), when polled.
    ///
    /// ```
    /// use std::pin::pin;
    /// use std::task::{Context, Poll, Waker};
    /// use oncegate::{Admission, BeginOptions, Engine, Outcome, Request, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let Admission::Admitted(leader) = engine.begin(&request)? else { unreachable!() };
    ///
    /// let mut context = Context::from_waker(Waker::noop());
    /// let mut join = pin!(engine.join(&request, &BeginOptions::new()));
    /// assert!(join.as_mut().poll(&mut context).is_pending());
    /// leader.complete(&Outcome::new(200, b"done"))?;
    /// let Poll::Ready(Ok(Admission::Replayed(outcome))) = join.poll(&mut context) else {
    ///     unreachable!()
    /// };
    /// assert_eq!(outcome.body(), b"done");
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn join<'e, 'r>(&'e self, request: &Request<'r>, options: &BeginOptions) -> Join<'e, 'r> {
        self.joining(request, options, true)
    }

    /// [`begin_with`](Self::begin_with) as a future, on any runtime: without waiting for a running
    /// attempt, and without blocking on the engine's tier, if there is one. Without a tier it is
    /// ready when it is polled first. Dropping it gives back what it was admitted to.
    ///
    /// # Errors
    ///
    /// Those of [`begin_with`](Self::begin_with), when polled.
    ///
    /// ```
    /// # use oncegate::{Admission, BeginOptions, Engine, Error, Outcome, Request};
    /// async fn charge(engine: &Engine, request: &Request<'_>) -> Result<(), Error> {
    ///     match engine.begin_async(request, &BeginOptions::new()).await? {
    ///         Admission::Admitted(lease) => {
    ///             // … the work …
    ///             lease.complete_async(&Outcome::new(201, b"charged")).await.map(drop)
    ///         }
    ///         _ => Ok(()),
    ///     }
    /// }
    /// # let _ = charge;
    /// ```
    pub fn begin_async<'e, 'r>(
        &'e self,
        request: &Request<'r>,
        options: &BeginOptions,
    ) -> Join<'e, 'r> {
        self.joining(request, options, false)
    }

    fn joining<'e, 'r>(
        &'e self,
        request: &Request<'r>,
        options: &BeginOptions,
        waits: bool,
    ) -> Join<'e, 'r> {
        Join {
            engine: self,
            request: *request,
            options: *options,
            prepared: None,
            place: None,
            waits,
            asking: None,
        }
    }

    /// Blocks while `answer` is "not yet", for at most `limit`.
    pub(super) fn wait_for(
        &self,
        mut answer: Answer,
        prepared: &mut Prepared<'_>,
        options: &BeginOptions,
        limit: Duration,
        outcome: &mut Outcome,
    ) -> Result<Answer, Error> {
        let give_up = self.now().saturating_add(limit);
        while let Some((at, until_ms)) = answer.pending() {
            if self.now() >= give_up || !self.may_wait() {
                break;
            }
            let waker = thread_waker();
            let woken = match self.queue_up(at, until_ms, waker.clone()) {
                Ok(ticket) => self.sleep(ticket, &waker, give_up, until_ms),
                Err(NotQueued::Changed) => false,
                Err(NotQueued::TooMany) => return Err(too_many()),
            };
            answer = self.decide(prepared, options, outcome).inspect_err(|_| {
                // The attempt that this caller was woken for is somebody else's now.
                if woken {
                    self.waiters.wake_one(at.slot);
                }
            })?;
        }
        Ok(answer)
    }

    /// Sleeps until woken, until `give_up`, or until the lease or delay it waits for is over.
    fn sleep(&self, mut ticket: Ticket, waker: &Waker, give_up: Duration, until_ms: u64) -> bool {
        loop {
            if ticket.poll(waker) {
                return true;
            }
            if !self.may_wait() {
                return ticket.leave();
            }
            self.life.time().wake_on_jump(waker);
            let now = self.now();
            // `now_ms` counts from one, so this is the first moment at which it is past.
            let over = Duration::from_millis(until_ms.saturating_sub(1));
            let left = give_up.min(over).saturating_sub(now);
            if left.is_zero() {
                return ticket.leave();
            }
            park(Some(left));
        }
    }

    /// Queues for a change of the record that was seen.
    fn queue_up(&self, at: Found, until_ms: u64, waker: Waker) -> Result<Ticket, NotQueued> {
        let slot = self.table.slot(at.slot);
        let identity = slot.first_word();
        let ticket = self.waiters.enter(at.slot, identity, until_ms, waker, || {
            let control = slot.control();
            match control.advance(at.seen, Step::Announce) {
                Ok(_) => true,
                // Another waiter announced itself: that counts for all.
                Err(now) => {
                    now.fence() == at.seen.fence()
                        && now.state() == at.seen.state()
                        && now.waiters()
                }
            }
        });
        if ticket.is_ok() {
            self.listen();
        }
        ticket
    }
}

impl Answer {
    /// The record to wait for, and when to look again even if nobody wakes the caller.
    fn pending(&self) -> Option<(Found, u64)> {
        match self {
            Self::InProgress { at, until_ms, .. } => Some((*at, *until_ms)),
            Self::Scheduled { at, look_ms, .. } => Some((*at, *look_ms)),
            _ => None,
        }
    }
}

impl<'e> Join<'e, '_> {
    /// How long until this future looks again if it is polled although nobody has woken it: until
    /// the lease or the delay that it waits for is over, by the engine's clock. Zero: it looks when
    /// it is polled next. `None`: it does not wait, or only a change of the record ends its wait.
    ///
    /// For whoever polls it from an event loop with a timer: it needs no
    /// [`ticker`](Engine::ticker) then. A lease that was renewed lasts longer; the next poll says
    /// so. Reads the clock.
    ///
    /// ```
    /// use std::future::Future;
    /// use std::pin::pin;
    /// use std::task::{Context, Waker};
    /// use std::time::Duration;
    /// use oncegate::{BeginOptions, Engine, ManualClock, Request, Scope};
    ///
    /// let clock = ManualClock::new();
    /// let builder = Engine::builder().capacity(1_000).lease_duration(Duration::from_secs(30));
    /// let engine = builder.clock(clock.clone()).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let leader = engine.begin(&request)?;
    ///
    /// let mut join = pin!(engine.join(&request, &BeginOptions::new()));
    /// assert_eq!(join.looks_again_in(), None);
    /// assert!(join.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    /// clock.advance(Duration::from_secs(10));
    /// assert_eq!(join.looks_again_in(), Some(Duration::from_secs(20)));
    /// # drop(leader);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn looks_again_in(&self) -> Option<Duration> {
        if let Some((asking, _)) = &self.asking {
            return asking.looks_again_in();
        }
        let until_ms = self.place.as_ref()?.until_ms;
        let left_ms = until_ms.saturating_sub(self.engine.now_ms());
        (until_ms != u64::MAX).then(|| Duration::from_millis(left_ms))
    }

    /// Waits no longer: when it is polled next, it answers how the request stands, as
    /// [`begin_async`](Engine::begin_async) does. Ready then, unless a tier has to be asked. For
    /// whoever has a limit of time.
    ///
    /// ```
    /// use std::future::Future;
    /// use std::pin::pin;
    /// use std::task::{Context, Poll, Waker};
    /// use oncegate::{Admission, BeginOptions, Engine, Request, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let leader = engine.begin(&request)?;
    ///
    /// let mut context = Context::from_waker(Waker::noop());
    /// let mut join = pin!(engine.join(&request, &BeginOptions::new()));
    /// assert!(join.as_mut().poll(&mut context).is_pending());
    /// join.give_up();
    /// let Poll::Ready(answer) = join.as_mut().poll(&mut context) else { unreachable!() };
    /// assert!(matches!(answer?, Admission::InProgress { .. }));
    /// # drop(leader);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn give_up(&mut self) {
        self.waits = false;
        if let Some(place) = &mut self.place {
            // What it waits for is over: the next poll leaves the place, and looks.
            place.until_ms = 0;
        }
        if let Some((asking, _)) = &mut self.asking {
            asking.give_up();
        }
    }

    fn look(
        &mut self,
        waker: &Waker,
        woken: Option<usize>,
        outcome: &mut Outcome,
    ) -> Poll<Result<Answer, Error>> {
        loop {
            let answer = match self.decide(outcome) {
                Ok(answer) => answer,
                Err(error) => {
                    if let Some(slot) = woken {
                        self.engine.waiters.wake_one(slot);
                    }
                    return Poll::Ready(Err(error));
                }
            };
            let Some((at, until_ms)) = answer.pending().filter(|_| self.waits) else {
                return Poll::Ready(Ok(answer));
            };
            match self.engine.queue_up(at, until_ms, waker.clone()) {
                Ok(ticket) => {
                    self.place = Some(Place { slot: at.slot, until_ms, ticket });
                    return Poll::Pending;
                }
                Err(NotQueued::Changed) => {}
                Err(NotQueued::TooMany) => return Poll::Ready(Err(too_many())),
            }
        }
    }

    fn decide(&mut self, outcome: &mut Outcome) -> Result<Answer, Error> {
        self.options.check()?;
        let prepared = match self.prepared.as_mut() {
            Some(prepared) => prepared,
            None => self.prepared.insert(self.engine.prepare(&self.request)?),
        };
        self.engine.decide(prepared, &self.options, outcome)
    }
}

impl<'e> Future for Join<'e, '_> {
    type Output = Result<Admission<'e>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.engine.enter()?;
        let mut woken = None;
        if let Some(mut place) = this.place.take() {
            let called = place.ticket.poll(context.waker());
            // `now_ms` counts from one, so this is the first moment at which it is past.
            if !called && this.engine.now_ms() < place.until_ms {
                this.place = Some(place);
                return Poll::Pending;
            }
            woken = (called || place.ticket.leave()).then_some(place.slot);
        }
        let mut outcome = Outcome::default();
        let looked = this.look_everywhere(context.waker(), woken, &mut outcome);
        let Self { engine, options, prepared, .. } = this;
        match (looked, prepared.as_ref()) {
            (Poll::Ready(Ok(answer)), Some(prepared)) => {
                Poll::Ready(Ok(engine.admission(answer, prepared, options, outcome)))
            }
            (Poll::Ready(Err(error)), _) => Poll::Ready(Err(error)),
            // What was looked for was prepared.
            _ => Poll::Pending,
        }
    }
}

impl Join<'_, '_> {
    /// Looks here, and where the table has admitted the request, at the tier.
    fn look_everywhere(
        &mut self,
        waker: &Waker,
        mut woken: Option<usize>,
        outcome: &mut Outcome,
    ) -> Poll<Result<Answer, Error>> {
        if self.asking.as_ref().is_some_and(|(_, born)| *born != fork::generation()) {
            // What was asked is the parent's to take back.
            std::mem::forget(self.asking.take());
        }
        loop {
            if self.asking.is_none() {
                let answer = match self.look(waker, woken.take(), outcome) {
                    Poll::Ready(Ok(answer)) if self.engine.has_tier() => answer,
                    other => return other,
                };
                let prepared = self.prepared.as_ref();
                let asking = prepared.map(|one| self.engine.asking(answer, one, &self.options));
                match asking {
                    Some(Ok(asking)) => self.asking = Some((asking, fork::generation())),
                    Some(Err(answer)) => return Poll::Ready(Ok(answer)),
                    // What was looked for was prepared.
                    None => return Poll::Pending,
                }
            }
            let Some((asking, _)) = &mut self.asking else { return Poll::Pending };
            let asked = asking.poll(waker, self.waits, outcome);
            if asked.is_ready() {
                self.asking = None;
            }
            match asked {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(Some(answer))) => return Poll::Ready(Ok(answer)),
                // The table is to be asked again.
                Poll::Ready(Ok(None)) => {}
            }
        }
    }
}

impl Drop for Join<'_, '_> {
    fn drop(&mut self) {
        if self.asking.as_ref().is_some_and(|(_, born)| *born != fork::generation()) {
            std::mem::forget(self.asking.take());
        }
    }
}

impl fmt::Debug for Join<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("waits", &self.place.is_some()).finish_non_exhaustive()
    }
}

fn too_many() -> Error {
    Error::of(ErrorCode::TooManyWaiters, "waiters")
}
