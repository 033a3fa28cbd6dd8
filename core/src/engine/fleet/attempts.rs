//! Attempts: what the scheduler hands out is confirmed by the tier, too.

use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::super::Engine;
use super::super::retrying::Attempt;
use super::confirm::{Confirming, Next};
use super::link::Gap;
use super::porter::Slip;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::tier::Claimed;

/// An attempt of the scheduler about which the tier is being asked. Dropped, it is as if nobody had
/// asked for it.
pub(in super::super) struct AskedAttempt<'e> {
    engine: &'e Engine,
    attempt: Option<Attempt<'e>>,
    confirming: Confirming<'e, 'static>,
    slip: Arc<Slip<Result<Claimed, Gap>>>,
}

impl<'e> AskedAttempt<'e> {
    /// The attempt, if the tier grants it; see [`Engine::confirm_attempt`].
    pub(in super::super) fn poll(
        &mut self,
        waker: &Waker,
    ) -> Poll<Result<Option<Attempt<'e>>, Error>> {
        let Poll::Ready(reply) = self.slip.poll(waker) else { return Poll::Pending };
        let Some(attempt) = self.attempt.take() else { return Poll::Ready(Ok(None)) };
        Poll::Ready(self.engine.conclude_attempt(attempt, &mut self.confirming, reply))
    }
}

impl Drop for AskedAttempt<'_> {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            self.confirming.abandon(&self.slip);
            self.engine.uncount(&attempt);
            // What is asked about is taken back with the question.
            attempt.into_lease().void();
        }
    }
}

impl Engine {
    /// `attempt`, if the tier grants it. `None`: another table runs it, it has finished, or the
    /// tier gave no answer; the record waits, or is finished, accordingly.
    pub(in super::super) fn confirm_attempt<'e>(
        &'e self,
        attempt: Attempt<'e>,
    ) -> Result<Option<Attempt<'e>>, Error> {
        let Some(fleet) = &self.fleet else { return Ok(Some(attempt)) };
        let Some(mut confirming) = Confirming::of_lease(self, attempt.lease()) else {
            return Ok(Some(attempt));
        };
        let mut claim = confirming.question();
        let reply = fleet.claim(&mut claim);
        self.conclude_attempt(attempt, &mut confirming, reply)
    }

    /// Asks the tier about `attempt` without blocking. The second: nobody has to be asked.
    pub(in super::super) fn ask_attempt<'e>(
        &'e self,
        attempt: Attempt<'e>,
    ) -> (Option<AskedAttempt<'e>>, Option<Attempt<'e>>) {
        let Some(mut confirming) = Confirming::of_lease(self, attempt.lease()) else {
            return (None, Some(attempt));
        };
        let slip = confirming.ask_later();
        let attempt = Some(attempt);
        (Some(AskedAttempt { engine: self, attempt, confirming, slip }), None)
    }

    /// What `reply` comes to for `attempt`.
    fn conclude_attempt<'e>(
        &'e self,
        mut attempt: Attempt<'e>,
        confirming: &mut Confirming<'e, '_>,
        reply: Result<Claimed, Gap>,
    ) -> Result<Option<Attempt<'e>>, Error> {
        let rest = match &reply {
            Ok(Claimed::Running { remaining, .. }) => *remaining,
            Ok(Claimed::Waiting { due_in, .. }) => *due_in,
            _ => LATER,
        };
        if !matches!(reply, Ok(Claimed::Granted(_) | Claimed::Finished(_))) {
            self.uncount(&attempt);
        }
        confirming.puts_off(rest.clamp(SOON, LATER));
        let runs = match confirming.take(reply, false, &mut Outcome::default()) {
            Ok(Next::Answer(answer)) => Ok(attempt.lease_mut().granted(&answer)),
            Ok(Next::Lost | Next::Ask | Next::Wait { .. }) => Ok(false),
            // What the tier cannot say now it is asked later.
            Err(error) if error.is_retriable() => Ok(false),
            Err(error) => Err(error),
        };
        if matches!(runs, Ok(true)) {
            return Ok(Some(attempt));
        }
        attempt.into_lease().void();
        runs.map(|_| None)
    }
}

/// When a record is looked at again that another table runs, or whose tier gave no answer, at the
/// latest.
const LATER: Duration = Duration::from_secs(1);
/// And at the soonest.
const SOON: Duration = Duration::from_millis(50);
