//! Waits: requests that were submitted, and wait for a running attempt while other steps follow.

use std::borrow::Borrow;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::task::{Context, Poll, Waker};
use std::thread::Scope;
use std::time::Duration;

use oncegate::{Admission, BeginOptions, Engine, Error, LeaseToken, Outcome, Status};

use crate::fields::Failure;
use crate::request::Parts;

/// An answer that refers to nothing of the engine.
pub(crate) enum Answer {
    Admitted { token: LeaseToken, how: Status, time: Duration },
    Replayed(Outcome),
    InProgress { attempt: u32, time: Duration },
    Scheduled { attempt: u32, time: Duration },
    Mismatched,
    Unresolved,
    OutcomeGone,
}

impl Answer {
    /// The answer, apart from its engine.
    pub(crate) fn of<O: Borrow<Outcome>>(admission: Admission<'_, O>) -> Self {
        use Admission as A;
        match admission {
            A::Admitted(lease) => {
                let (how, time) = (lease.status(), lease.remaining());
                Self::Admitted { token: lease.into_token(), how, time }
            }
            A::Replayed(outcome) => Self::Replayed(outcome.borrow().clone()),
            A::InProgress { attempt, remaining } => Self::InProgress { attempt, time: remaining },
            A::Scheduled { next_attempt, due_in } => {
                Self::Scheduled { attempt: next_attempt, time: due_in }
            }
            A::Mismatched => Self::Mismatched,
            A::Unresolved => Self::Unresolved,
            A::OutcomeGone => Self::OutcomeGone,
        }
    }

    /// What the header calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Admitted { .. } => "ADMITTED",
            Self::Replayed(_) => "REPLAYED",
            Self::InProgress { .. } => "IN_PROGRESS",
            Self::Scheduled { .. } => "SCHEDULED",
            Self::Mismatched => "MISMATCHED",
            Self::Unresolved => "UNRESOLVED",
            Self::OutcomeGone => "OUTCOME_GONE",
        }
    }
}

type Answered = Result<Answer, Error>;

/// One request that waits.
pub(crate) enum Wait<'scope> {
    /// Without a limit: a future, which is dropped to leave.
    Future(Pin<Box<dyn Future<Output = Answered> + 'scope>>),
    /// With a limit: a thread that blocks, and the end of its channel.
    Thread(Receiver<Result<Answered, Failure>>),
}

impl<'scope> Wait<'scope> {
    /// Submits a request, and comes back when it is queued.
    pub(crate) fn submit<'env>(
        scope: &'scope Scope<'scope, 'env>,
        engine: &'env Engine,
        parts: Parts,
        options: BeginOptions,
        limited: bool,
    ) -> Result<Self, Failure> {
        let before = waiters(engine)?;
        let mut wait = if limited {
            block(scope, engine, parts, options)
        } else {
            Self::Future(Box::pin(join(engine, parts, options)))
        };
        let queued = || waiters(engine).map(|now| now > before);
        match &mut wait {
            Self::Future(future) => {
                if poll(future).is_some() || !queued()? {
                    return Err("a request that is submitted has to wait".to_owned());
                }
            }
            Self::Thread(_) => {
                // A thread that blocks cannot say so: the engine counts it when it does.
                let mut patience = PATIENCE_LOOKS;
                while !queued()? {
                    std::thread::park_timeout(LOOK);
                    patience -= 1;
                    if patience == 0 {
                        return Err("a request that is submitted has to wait".to_owned());
                    }
                }
            }
        }
        Ok(wait)
    }

    /// The answer, if there is one now, or within `patience` for one that a thread waits for.
    pub(crate) fn answer(&mut self, patience: Duration) -> Result<Option<Answered>, Failure> {
        match self {
            Self::Future(future) => Ok(poll(future)),
            Self::Thread(answers) => match answers.recv_timeout(patience) {
                Ok(answered) => answered.map(Some),
                Err(RecvTimeoutError::Timeout) => Ok(None),
                Err(RecvTimeoutError::Disconnected) => Err("the waiting thread died".to_owned()),
            },
        }
    }
}

fn block<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    engine: &'env Engine,
    parts: Parts,
    options: BeginOptions,
) -> Wait<'scope> {
    let (told, answers) = channel();
    scope.spawn(move || {
        let pointers = parts.pointers();
        let begin = |request| engine.begin_with(&request, &options).map(Answer::of);
        let answered = parts.request(&pointers).map(|request| request.and_then(begin));
        // Nobody waits for it any more where the vector has failed.
        let _ = told.send(answered);
    });
    Wait::Thread(answers)
}

/// Waits until there is an answer. The future owns its request.
async fn join(engine: &Engine, parts: Parts, options: BeginOptions) -> Answered {
    let pointers = parts.pointers();
    match parts.request(&pointers) {
        Ok(request) => engine.join(&request?, &options).await.map(Answer::of),
        Err(failure) => unreachable!("it was read before: {failure}"),
    }
}

fn poll(future: &mut Pin<Box<dyn Future<Output = Answered> + '_>>) -> Option<Answered> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answered) => Some(answered),
        Poll::Pending => None,
    }
}

fn waiters(engine: &Engine) -> Result<u64, Failure> {
    engine.stats().map(|stats| stats.waiters).map_err(|error| error.to_string())
}

const LOOK: Duration = Duration::from_millis(1);
const PATIENCE_LOOKS: u32 = 30_000;
