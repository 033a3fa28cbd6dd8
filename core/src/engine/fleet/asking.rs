//! Asking: a question to the tier for whoever may not block.

use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::super::decide::Answer;
use super::super::{BeginOptions, Engine, Prepared};
use super::confirm::{Confirming, Next};
use super::link::{Gap, key_of};
use super::porter::Slip;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::tier::{Claimed, Sighting};

/// What a future asks of the tier.
pub(in super::super) enum Asking<'e, 'r> {
    /// Whether the table's attempt is the fleet's.
    Confirm(Box<Claiming<'e, 'r>>),
    /// What the fleet knows of a record that the table cannot answer for.
    Look(Box<Looking<'e, 'r>>),
}

pub(in super::super) struct Claiming<'e, 'r> {
    confirming: Confirming<'e, 'r>,
    slip: Option<Arc<Slip<Result<Claimed, Gap>>>>,
    /// It is asked again then, if there is no news before.
    until: Duration,
}

pub(in super::super) struct Looking<'e, 'r> {
    engine: &'e Engine,
    prepared: Prepared<'r>,
    answer: Option<Answer>,
    slip: Arc<Slip<Result<Option<Sighting>, Gap>>>,
}

impl Engine {
    /// What is to be asked about `answer`. `Err`: nothing, it stands.
    pub(in super::super) fn asking<'e, 'r>(
        &'e self,
        answer: Answer,
        prepared: &Prepared<'r>,
        options: &BeginOptions,
    ) -> Result<Asking<'e, 'r>, Answer> {
        if let Some(confirming) = Confirming::of(self, &answer, prepared, options) {
            let claiming = Claiming { confirming, slip: None, until: Duration::ZERO };
            return Ok(Asking::Confirm(Box::new(claiming)));
        }
        match (&self.fleet, &answer) {
            (Some(fleet), Answer::Unresolved | Answer::OutcomeGone) => {
                let slip = fleet.read_later(key_of(prepared.fingerprint));
                let (prepared, answer) = (*prepared, Some(answer));
                Ok(Asking::Look(Box::new(Looking { engine: self, prepared, answer, slip })))
            }
            _ => Err(answer),
        }
    }
}

impl Asking<'_, '_> {
    /// The answer; `None`: the table is to be asked again.
    pub(in super::super) fn poll(
        &mut self,
        waker: &Waker,
        waits: bool,
        outcome: &mut Outcome,
    ) -> Poll<Result<Option<Answer>, Error>> {
        match self {
            Self::Confirm(claiming) => claiming.poll(waker, waits, outcome),
            Self::Look(looking) => looking.poll(waker, outcome),
        }
    }

    /// Whoever asks waits no longer: it asks when it is polled next.
    pub(in super::super) fn give_up(&mut self) {
        if let Self::Confirm(claiming) = self {
            claiming.until = Duration::ZERO;
        }
    }

    /// When it looks again even if nobody wakes it: the porter does.
    pub(in super::super) fn looks_again_in(&self) -> Option<Duration> {
        match self {
            Self::Confirm(claiming) if claiming.slip.is_none() => {
                Some(claiming.until.saturating_sub(claiming.confirming.now()))
            }
            _ => None,
        }
    }
}

impl Claiming<'_, '_> {
    fn poll(
        &mut self,
        waker: &Waker,
        waits: bool,
        outcome: &mut Outcome,
    ) -> Poll<Result<Option<Answer>, Error>> {
        loop {
            let Some(slip) = &self.slip else {
                if waits {
                    self.confirming.listen(waker, false);
                }
                if !self.confirming.has_news() && self.confirming.now() < self.until {
                    return Poll::Pending;
                }
                self.slip = Some(self.confirming.ask_later());
                continue;
            };
            let Poll::Ready(reply) = slip.poll(waker) else { return Poll::Pending };
            self.slip = None;
            match self.confirming.take(reply, waits, outcome)? {
                Next::Answer(answer) => return Poll::Ready(Ok(Some(answer))),
                Next::Lost => return Poll::Ready(Ok(None)),
                Next::Ask => self.until = Duration::ZERO,
                Next::Wait { until } => {
                    self.until = until;
                    self.confirming.wake_at(until, waker);
                }
            }
        }
    }
}

impl Drop for Claiming<'_, '_> {
    fn drop(&mut self) {
        if let Some(slip) = self.slip.take() {
            self.confirming.abandon(&slip);
        }
    }
}

impl Looking<'_, '_> {
    fn poll(
        &mut self,
        waker: &Waker,
        outcome: &mut Outcome,
    ) -> Poll<Result<Option<Answer>, Error>> {
        let Poll::Ready(seen) = self.slip.poll(waker) else { return Poll::Pending };
        let answer = self.answer.take().unwrap_or(Answer::Unresolved);
        Poll::Ready(Ok(self.engine.seen_in_fleet(answer, &self.prepared, seen, outcome)))
    }
}
