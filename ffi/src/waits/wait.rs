//! A wait: a future that asks for one request, its answer, and how it makes itself heard.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use oncegate::{BeginOptions, Clock, Engine, Failure, LeaseToken, Outcome};

use crate::begin::{ONCEGATE_ADMITTED, RawAdmission, refused, tell};
use crate::bell::Bell;
use crate::convert::millis_up;
use crate::request::Copied;
use crate::status::Refusal;

/// What the waits of a set share with those who wake them.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) bell: Bell,
    ready: Mutex<VecDeque<u64>>,
}

/// One submitted request.
pub(super) struct Wait {
    pub(super) id: u64,
    pub(super) user_data: u64,
    asked: Arc<Asked>,
    ring: Arc<Ring>,
    waker: Waker,
    state: Mutex<State>,
}

/// What is asked for, and how long.
pub(super) struct Asked {
    pub(super) engine: Arc<Engine>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) request: Copied,
    pub(super) options: BeginOptions,
    /// On the clock; `None`: never.
    pub(super) give_up: Option<Duration>,
}

/// How far a wait has come.
pub(super) enum State {
    Asking(Asking),
    Answered(Answer),
    /// Taken, cancelled or refused.
    Over,
}

/// What a look at a wait came to.
pub(super) enum Looked {
    /// There is an answer, or it is over.
    Done,
    /// It is to be looked at then, on the clock, even if nobody wakes it.
    Waits(Option<Duration>),
}

/// A future, and when it is to be polled even if nobody wakes it.
pub(super) struct Asking {
    future: Pin<Box<dyn Future<Output = Result<Answer, Refusal>> + Send>>,
    /// In milliseconds from its last poll.
    looks_in_ms: Arc<AtomicU64>,
}

/// An answer, and the outcome that is to be put into the caller's buffer.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) told: RawAdmission,
    pub(super) outcome: Option<Outcome>,
}

/// Puts its wait among those that are ready.
struct Ring {
    id: u64,
    shared: Arc<Shared>,
    /// Whether it has done so, and nobody has looked since.
    queued: AtomicBool,
}

impl Shared {
    pub(super) fn new() -> Result<Self, Refusal> {
        Ok(Self { bell: Bell::new()?, ready: Mutex::default() })
    }

    /// The waits that are to be looked at.
    pub(super) fn ready(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // AcqRel: pairs with `Wait::heard`: either this call puts it there, or the look that
        // follows finds what it is woken for.
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.shared.ready().push_back(self.id);
            self.shared.bell.ring();
        }
    }
}

impl Wait {
    pub(super) fn new(id: u64, user_data: u64, asked: Asked, shared: &Arc<Shared>) -> Self {
        let ring = Ring { id, shared: Arc::clone(shared), queued: AtomicBool::new(false) };
        let (asked, ring) = (Arc::new(asked), Arc::new(ring));
        let state = Mutex::new(State::Asking(Asking::new(&asked)));
        Self { id, user_data, asked, waker: Waker::from(Arc::clone(&ring)), ring, state }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts it among those that are ready.
    pub(super) fn ready(&self) {
        self.waker.wake_by_ref();
    }

    /// Before a look: who wakes it from now on puts it there again.
    pub(super) fn heard(&self) {
        // AcqRel: see `Ring::wake_by_ref`.
        self.ring.queued.swap(false, Ordering::AcqRel);
    }

    /// Asks, where there is no answer yet. An error is one.
    pub(super) fn look(&self, state: &mut State) -> Result<Looked, Refusal> {
        let State::Asking(asking) = state else { return Ok(Looked::Done) };
        // Before it is polled: a clock that jumps meanwhile makes it due sooner, and not later.
        let now = self.asked.clock.now();
        match asking.future.as_mut().poll(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(answer) => {
                *state = State::Answered(answer?);
                Ok(Looked::Done)
            }
            Poll::Pending => Ok(Looked::Waits(asking.looks_at(now))),
        }
    }

    /// Brings an answer that has stood for a while up to date. A lease that has been lost since is
    /// asked for anew.
    pub(super) fn refresh(&self, state: &mut State) {
        let State::Answered(answer) = state else { return };
        let Some(token) = answer.lease() else { return };
        if let Ok(lease) = self.asked.engine.take_up(&token) {
            answer.told.time_ms = millis_up(lease.remaining());
            if answer.told.time_ms != 0 {
                let _ = lease.into_token();
                return;
            }
            // Nobody has noticed its lapse. Whoever takes answers is not to wait for a tier.
            let _ = self.asked.engine.fail_soon(&lease.into_token(), Failure::retryable());
        }
        *state = State::Asking(Asking::new(&self.asked));
    }

    /// Ends it, and gives back what it was admitted to. False: it was over.
    pub(super) fn end(&self) -> bool {
        let state = std::mem::replace(&mut *self.state(), State::Over);
        if let State::Answered(answer) = &state
            && let Some(token) = answer.lease()
        {
            // One that was lost needs nothing. Whoever cancels is not to wait for a tier.
            let _ = self.asked.engine.fail_soon(&token, Failure::retryable());
        }
        !matches!(state, State::Over)
    }
}

impl Answer {
    /// One that says why there is none.
    pub(super) fn refused(refusal: &Refusal) -> Self {
        Self { told: refused(refusal.status, refusal.retry_after), outcome: None }
    }

    fn lease(&self) -> Option<LeaseToken> {
        let admitted = self.told.verdict == ONCEGATE_ADMITTED;
        admitted.then(|| LeaseToken::from_bytes(&self.told.lease.token).ok()).flatten()
    }
}

impl Asking {
    fn new(asked: &Arc<Asked>) -> Self {
        let looks_in_ms = Arc::new(AtomicU64::new(NEVER));
        let future = Box::pin(ask(Arc::clone(asked), Arc::clone(&looks_in_ms)));
        Self { future, looks_in_ms }
    }

    fn looks_at(&self, now: Duration) -> Option<Duration> {
        // Relaxed: written by the poll before, on this thread.
        let in_ms = self.looks_in_ms.load(Ordering::Relaxed);
        (in_ms != NEVER).then(|| now.saturating_add(Duration::from_millis(in_ms)))
    }
}

/// Asks to run the request, and waits for the attempt that runs it.
async fn ask(asked: Arc<Asked>, looks_in_ms: Arc<AtomicU64>) -> Result<Answer, Refusal> {
    let Asked { engine, clock, request, options, give_up } = &*asked;
    let parts = request.parts();
    let request = parts.request()?;
    let admission = {
        let mut join = pin!(engine.join(&request, options));
        poll_fn(|context| {
            let left = give_up.map(|give_up| give_up.saturating_sub(clock.now()));
            let may_wait = left.is_none_or(|left| !left.is_zero());
            if !may_wait {
                // As long as it may: whatever the answer is now. A tier may have to say it.
                join.give_up();
            }
            let met = join.as_mut().poll(context);
            let looks_in = join.looks_again_in().into_iter().chain(left.filter(|_| may_wait)).min();
            // Relaxed: read by whoever has just polled, on this thread.
            looks_in_ms.store(looks_in.map_or(NEVER, millis_up), Ordering::Relaxed);
            met
        })
        .await?
    };
    let (told, outcome) = tell(admission);
    Ok(Answer { told, outcome })
}

const NEVER: u64 = u64::MAX;
