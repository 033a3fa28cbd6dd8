//! Finish: how an attempt ends, in the tier and in the table.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::super::finish::Kind;
use super::super::{Completed, Engine, Failure, LeaseToken, OnLapse, Reconciled, Resolution};
use super::confirm::ms_up;
use super::held::HeldLease;
use super::link::{Fleet, Gap};
use super::parcel::{How, Parcel};
use super::porter::Slip;
use crate::error::Error;
use crate::fork;
use crate::outcome::Outcome;
use crate::retry::journal::Journal;
use crate::sync::planted::Bug;
use crate::table::Found;
use crate::table::control::State;
use crate::table::slot::{self, Lapse};
use crate::tier::{End, Ended, Renewal, Renewed, TierKey};

/// What the tier said of the end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Done,
    WithoutBytes,
    /// Another attempt runs, or has ended it.
    Fenced,
    /// It does not know yet, and will be told.
    Later,
}

impl Engine {
    /// Finishes the attempt of `token`: in the tier first, so that whoever hears of it here hears
    /// what all hear.
    pub(in super::super) fn finish_in_fleet(
        &self,
        fleet: &Arc<Fleet>,
        token: &LeaseToken,
        outcome: &Outcome,
    ) -> Result<Completed, Error> {
        let parcel = self.addressed(token, self.finished(token, outcome, false))?;
        let told = fleet.end_now(&parcel);
        let told = self.heard(fleet, parcel, told);
        self.complete_told(token, outcome, told)
    }

    /// The same without blocking.
    pub(in super::super) async fn finish_in_fleet_async(
        &self,
        fleet: &Arc<Fleet>,
        token: &LeaseToken,
        outcome: &Outcome,
    ) -> Result<Completed, Error> {
        let parcel = self.addressed(token, self.finished(token, outcome, false))?;
        let told = Telling::new(self, fleet, token, parcel, Some(outcome)).await;
        self.complete_told(token, outcome, told)
    }

    fn complete_told(
        &self,
        token: &LeaseToken,
        outcome: &Outcome,
        told: Told,
    ) -> Result<Completed, Error> {
        if told == Told::Fenced && !Bug::FencedEndKept.is_planted() {
            return Err(self.fenced());
        }
        let here = self.finish(token, outcome, State::Succeeded);
        match told {
            Told::Later => here.map(|_| Completed::StoredHere).map_err(undecided),
            Told::WithoutBytes => Ok(Completed::WithoutBytes),
            // Somebody noticed here that its lease had lapsed: he will hear from the tier that it
            // has finished.
            Told::Done | Told::Fenced => Ok(here.unwrap_or(Completed::Stored)),
        }
    }

    /// Ends the attempt of `token` without success, in the tier and here.
    pub(in super::super) fn fail_in_fleet(
        &self,
        fleet: &Arc<Fleet>,
        token: &LeaseToken,
        failure: Failure,
    ) -> Result<(), Error> {
        let parcel = self.addressed(token, self.how_of(token, &failure))?;
        let told = fleet.end_now(&parcel);
        let told = self.heard(fleet, parcel, told);
        self.fail_told(token, failure, told)
    }

    /// The same without blocking.
    pub(in super::super) async fn fail_in_fleet_async(
        &self,
        fleet: &Arc<Fleet>,
        token: &LeaseToken,
        failure: Failure,
    ) -> Result<(), Error> {
        let parcel = self.addressed(token, self.how_of(token, &failure))?;
        let told = Telling::new(self, fleet, token, parcel, None).await;
        self.fail_told(token, failure, told)
    }

    fn fail_told(&self, token: &LeaseToken, failure: Failure, told: Told) -> Result<(), Error> {
        if told == Told::Fenced {
            return Err(self.fenced());
        }
        let here = self.fail_here(token, failure);
        if told == Told::Later { here.map_err(undecided) } else { Ok(()) }
    }

    /// [`fail`](Self::fail) for whoever may neither block nor wait, such as a destructor: with a
    /// tier the attempt ends in this host's table at once, and in the tier as soon as that can be
    /// told.
    ///
    /// # Errors
    ///
    /// As [`fail`](Self::fail).
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Failure, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// engine.fail_soon(&lease.into_token(), Failure::retryable())?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn fail_soon(&self, token: &LeaseToken, failure: Failure) -> Result<(), Error> {
        if self.fleet.is_none() {
            return self.fail(token, failure);
        }
        self.enter()?;
        failure.check()?;
        let how = self.how_of(token, &failure);
        let parcel = self.parcel_of_token(token);
        let _deciding = self.deciding(parcel.as_ref());
        let failed = self.fail_here(token, failure);
        if failed.is_ok() {
            self.send(parcel, how);
        }
        self.settle_token(token, &failed, false);
        failed
    }

    fn finished(&self, token: &LeaseToken, outcome: &Outcome, failed: bool) -> How {
        let until = self.now() + Duration::from_millis(token.window_ms);
        How::Finished { failed, outcome: outcome.clone(), until }
    }

    fn how_of(&self, token: &LeaseToken, failure: &Failure) -> How {
        let retention = self.retention();
        match failure.kind() {
            Kind::Terminal(outcome) => self.finished(token, outcome, true),
            Kind::Retryable(delay) => {
                How::Retry { due: self.now() + *delay, retention, scheduled: None }
            }
            Kind::Unknown => How::Unknown { retention },
        }
    }

    /// What the tier is to be told of the end of the attempt of `token`.
    fn addressed(&self, token: &LeaseToken, how: How) -> Result<Parcel, Error> {
        let parcel = self.parcel_of_token(token).ok_or_else(|| self.fenced())?;
        Ok(Parcel { how, ..parcel })
    }

    /// What the answer of the tier comes to.
    fn heard(&self, fleet: &Arc<Fleet>, parcel: Parcel, reply: Result<Ended, Gap>) -> Told {
        let Parcel { slot, holder, .. } = parcel;
        fleet.let_go(slot, holder.counter);
        match reply {
            Ok(Ended::Done) => Told::Done,
            Ok(Ended::WithoutBytes) => Told::WithoutBytes,
            Ok(Ended::Fenced) => {
                if parcel.ungranted && parcel.has_effect() {
                    fleet.report_conflict(&parcel);
                }
                // What the tier knows is what counts: the next request asks it.
                let seen = self.table.slot(slot).control().load();
                if seen.fence().get() == holder.counter {
                    self.take_back(Found { slot, seen }, Duration::ZERO);
                }
                Told::Fenced
            }
            Err(_) => {
                if !Bug::EndNotTold.is_planted() {
                    fleet.send_again(parcel);
                }
                Told::Later
            }
        }
    }

    /// What the tier is to be told about the attempt that was found, however it ends. `None`: there
    /// is no tier.
    pub(in super::super) fn parcel(&self, found: Found) -> Option<Parcel> {
        let fleet = self.fleet.as_ref()?;
        let held = fleet.held(found.slot, found.seen.fence().get());
        Some(self.parcel_of(fleet, found, held.map(|held| (held.fence, held.attempt))))
    }

    /// The same for the attempt of `token`.
    pub(in super::super) fn parcel_of_token(&self, token: &LeaseToken) -> Option<Parcel> {
        let fleet = self.fleet.as_ref()?;
        let (slot, seen) = self.held(token)?;
        let parcel = self.parcel_of(fleet, Found { slot, seen }, token.grant());
        Some(Parcel { fence: token.fencing.get(), ..parcel })
    }

    /// Tells the tier how an attempt ended here, as soon as it can be reached.
    fn send(&self, parcel: Option<Parcel>, how: How) {
        if let (Some(fleet), Some(parcel)) = (&self.fleet, parcel) {
            fleet.let_go(parcel.slot, parcel.holder.counter);
            fleet.send(Parcel { how, ..parcel });
        }
    }

    /// It has failed, and the scheduler starts the next attempt at `due_ms`.
    pub(in super::super) fn tell_scheduled(
        &self,
        parcel: Option<Parcel>,
        due_ms: u64,
        journal: &Journal,
    ) {
        if let Some(known) = &parcel {
            let scheduled = Some(self.for_the_fleet(journal, known));
            let (due, retention) = (time_of(due_ms), self.retention());
            self.send(parcel, How::Retry { due, retention, scheduled });
        }
    }

    /// It has failed, and the next attempt may start now.
    pub(in super::super) fn tell_due(&self, parcel: Option<Parcel>) {
        let (due, retention) = (self.now(), self.retention());
        self.send(parcel, How::Retry { due, retention, scheduled: None });
    }

    /// It has failed for good.
    pub(in super::super) fn tell_failed(&self, parcel: Option<Parcel>, outcome: &Outcome) {
        if parcel.is_some() {
            let until = self.now() + self.retention();
            self.send(parcel, How::Finished { failed: true, outcome: outcome.clone(), until });
        }
    }

    /// Nobody knows whether it took effect.
    pub(in super::super) fn tell_unknown(&self, parcel: Option<Parcel>) {
        let retention = self.retention();
        self.send(parcel, How::Unknown { retention });
    }

    /// Settles in the tier what was found out about a record. False: the tier gave no answer.
    pub(in super::super) fn settle_doubt(&self, found: Found, answer: &Reconciled) -> bool {
        let Some(fleet) = &self.fleet else { return true };
        let resolution = match answer {
            Reconciled::StillUnknown => return true,
            Reconciled::Succeeded(outcome) => Resolution::Succeeded(outcome.clone()),
            Reconciled::Failed(outcome) => Resolution::Failed(outcome.clone()),
            Reconciled::RunAgain => Resolution::RunAgain,
        };
        self.settle_in_fleet(fleet, fleet.key_at(found.slot), &resolution).is_ok()
    }

    /// The record that was found, which failed for good, may run again in the whole fleet.
    pub(in super::super) fn reopen_in_fleet(&self, found: Found) -> Result<(), Error> {
        let Some(fleet) = &self.fleet else { return Ok(()) };
        let key = fleet.key_at(found.slot);
        self.settle_in_fleet(fleet, key, &Resolution::RunAgain).map(|_| ())
    }

    /// How long what nobody asks for is remembered.
    fn retention(&self) -> Duration {
        Duration::from_millis(self.longest_window_ms())
    }

    fn parcel_of(&self, fleet: &Fleet, found: Found, grant: Option<(u64, u32)>) -> Parcel {
        let Found { slot, seen } = found;
        let at = self.table.slot(slot);
        let (fence, attempt) = grant.unwrap_or_else(|| {
            (self.fencing_token(seen.fence()).get(), seen.fence().attempt(at.attempt()))
        });
        Parcel {
            slot,
            key: fleet.key_at(slot),
            holder: fleet.holder(seen.fence().get()),
            fence,
            attempt,
            digest: at.digest().without_key(),
            restores_until: self.restores_until(found, grant.is_none()),
            how: How::NeverRan,
            ungranted: grant.is_none(),
        }
    }

    /// Until when a tier that does not know the attempt has forgotten it: while its lease lasts.
    /// What the tier never granted is told to it as something new.
    fn restores_until(&self, found: Found, ungranted: bool) -> Duration {
        if ungranted {
            return Duration::MAX;
        }
        let Found { slot, seen } = found;
        let deadline = self.table.slot(slot).deadline();
        let lasts = deadline.belongs_to(seen.fence()) && deadline.kind == slot::Kind::Lease;
        if lasts { time_of(deadline.at_ms) } else { Duration::ZERO }
    }

    /// Waits until the tier has been told of every attempt that ended here, and its log of each
    /// dead letter, for at most `limit` of real time. For a process that is about to go: what is
    /// not told by then other hosts never hear of. An engine without a tier has told all.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::TierUnavailable`](crate::ErrorCode::TierUnavailable): something is left.
    /// [`ErrorCode::Forked`](crate::ErrorCode::Forked) in a forked child.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::{Engine, Secret, tier::Memory};
    ///
    /// let secret = Secret::from_bytes(&[7; 32])?;
    /// let engine = Engine::builder().capacity(1_000).secret(secret).tier(Memory::new()).build()?;
    /// engine.flush_tier(Duration::from_secs(1))?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn flush_tier(&self, limit: Duration) -> Result<(), Error> {
        self.enter()?;
        let told = self.fleet.as_ref().is_none_or(|fleet| fleet.flush(limit));
        if told { Ok(()) } else { Err(Gap::Unknown.error()) }
    }

    /// Settles the record of `key` in the tier. False: it is not unresolved there.
    pub(in super::super) fn settle_in_fleet(
        &self,
        fleet: &Fleet,
        key: TierKey,
        resolution: &Resolution,
    ) -> Result<bool, Error> {
        let window = self.retention();
        let end = match resolution {
            Resolution::Succeeded(outcome) => End::Succeeded { outcome, window },
            Resolution::Failed(outcome) => End::Failed { outcome, window },
            Resolution::RunAgain => {
                End::Retry { due_in: Duration::ZERO, retention: window, scheduled: None }
            }
        };
        // What the tier has not heard of it could not settle, and would not know as settled.
        if !fleet.is_told(&key, true) {
            return Err(Gap::Untold.error());
        }
        match fleet.ask(|tier, within| tier.settle(key, &end, within)) {
            Ok(ended) => Ok(ended != Ended::Fenced),
            Err(gap) => Err(gap.error()),
        }
    }

    /// Lets the attempt of `token` run for `duration` from now on, in the tier, and says until when
    /// here.
    pub(in super::super) fn renew_in_fleet(
        &self,
        fleet: &Arc<Fleet>,
        token: &LeaseToken,
        found: Found,
        duration: Duration,
    ) -> Result<u64, Error> {
        let Some((fence, attempt)) = token.grant() else {
            // The tier never granted it, and has nothing to renew.
            return Ok(self.now_ms().saturating_add(ms_up(duration)));
        };
        let Found { slot, seen } = found;
        let at = self.table.slot(slot);
        let _one_at_a_time = fleet.renewing(slot);
        let (asked, counter) = (self.now(), seen.fence().get());
        let renewal = Renewal {
            key: fleet.key_at(slot),
            holder: fleet.holder(counter),
            lease: fleet.slice_of(duration),
            restores: asked < self.restores_until(found, false),
            fence,
            attempt,
            digest: at.digest().without_key(),
            retention: self.retention(),
            on_lapse: policy_of(at.deadline().lapse),
        };
        match fleet.renew_all(&[renewal]).pop() {
            Some(Ok(Renewed::Done)) => {
                let until = asked + renewal.lease;
                let held = HeldLease { renewal, until, wanted_until: asked + duration };
                fleet.hold(slot, held);
                Ok(fleet.local_end_ms(until, renewal.lease))
            }
            Some(Ok(Renewed::Fenced)) => {
                fleet.let_go(slot, counter);
                Err(self.fenced())
            }
            Some(Err(gap)) => Err(gap.error()),
            None => Err(Gap::Unknown.error()),
        }
    }
}

/// The time of the engine's clock at which the table's is `ms`.
fn time_of(ms: u64) -> Duration {
    Duration::from_millis(ms.saturating_sub(1))
}

/// The policy that a deadline carries.
pub(super) fn policy_of(lapse: Lapse) -> OnLapse {
    match lapse {
        Lapse::Reclaim => OnLapse::Reclaim,
        Lapse::Failed => OnLapse::Failed,
        Lapse::Unknown | Lapse::Other => OnLapse::Unknown,
    }
}

/// While the tier gave no answer the attempt was lost here. Whether its end counts the tier will
/// decide, when it is told: it has not been refused.
fn undecided(lost: Error) -> Error {
    if lost.is_fenced() { Gap::Unknown.error() } else { lost }
}

impl LeaseToken {
    /// The fencing token and the attempt that a tier gave, if one did.
    fn grant(&self) -> Option<(u64, u32)> {
        (self.counter != 0 && !self.alone).then(|| (self.fencing.get(), self.attempt))
    }
}

/// The end of an attempt on its way to the tier. A caller who leaves before the answer has ended it
/// all the same: here at once, and there as soon as it is told.
struct Telling<'a> {
    engine: &'a Engine,
    fleet: &'a Arc<Fleet>,
    token: &'a LeaseToken,
    parcel: Option<Parcel>,
    slip: Arc<Slip<Result<Ended, Gap>>>,
    /// Of an attempt that succeeded.
    outcome: Option<&'a Outcome>,
    /// The generation of the process that asked.
    born: u64,
}

impl<'a> Telling<'a> {
    fn new(
        engine: &'a Engine,
        fleet: &'a Arc<Fleet>,
        token: &'a LeaseToken,
        parcel: Parcel,
        outcome: Option<&'a Outcome>,
    ) -> Self {
        let slip = fleet.end_later(parcel.clone());
        let born = fork::generation();
        Self { engine, fleet, token, parcel: Some(parcel), slip, outcome, born }
    }
}

impl Future for Telling<'_> {
    type Output = Told;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Told> {
        let this = self.get_mut();
        let Poll::Ready(reply) = this.slip.poll(context.waker()) else { return Poll::Pending };
        let Some(parcel) = this.parcel.take() else { return Poll::Pending };
        Poll::Ready(this.engine.heard(this.fleet, parcel, reply))
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let Some(parcel) = self.parcel.take() else { return };
        if self.born != fork::generation() {
            // The attempt is the parent's to end.
            return;
        }
        let Self { engine, fleet, token, .. } = *self;
        let how = parcel.how.clone();
        // Before it ends here: whoever hears of that comes after this.
        let told = match self.slip.abandon() {
            // It is on its way: once more does no harm, and is kept until it is told.
            None => {
                fleet.send(parcel);
                Told::Later
            }
            Some(reply) => engine.heard(fleet, parcel, reply),
        };
        if told == Told::Fenced {
            return;
        }
        // An attempt that is lost needs nothing from its former holder.
        let _ = match (&how, self.outcome) {
            (How::Finished { failed: false, .. }, Some(outcome)) => {
                engine.finish(token, outcome, State::Succeeded).map(drop)
            }
            (How::Finished { outcome, .. }, _) => {
                engine.finish(token, outcome, State::Failed).map(drop)
            }
            (How::Retry { due, .. }, _) => {
                let delay = due.saturating_sub(engine.now());
                engine.fail_here(token, Failure::retryable_after(delay))
            }
            _ => engine.fail_here(token, Failure::unknown()),
        };
    }
}
