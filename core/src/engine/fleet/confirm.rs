//! Confirm: what an admission of the table comes to in the fleet.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::super::decide::{Answer, GrantedBy, impossible};
use super::super::finish::is_open;
use super::super::{BeginOptions, Engine, Lease, OnConflict, OnLapse, Prepared, Status, keys};
use super::finish::policy_of;
use super::held::HeldLease;
use super::link::{Counts, Fleet, Gap, key_of};
use super::news::Seat;
use super::parcel::Parcel;
use super::porter::{Slip, is_perhaps_granted};
use crate::error::Error;
use crate::fingerprint::{DigestVersion, Request};
use crate::outcome::Outcome;
use crate::sync::park;
use crate::sync::planted::Bug;
use crate::table::Found;
use crate::table::control::{Snapshot, State};
use crate::table::slot::{DigestWord, Kind};
use crate::tier::{Claim, Claimed, Finished, Grant, OnOutage, Renewal, TierKey};
use crate::wait::thread_waker;

/// An attempt that the table has admitted, on its way to be confirmed by the tier. Dropped without
/// an answer, it is taken back.
pub(in super::super) struct Confirming<'e, 'r> {
    engine: &'e Engine,
    fleet: &'e Arc<Fleet>,
    /// The request, where it is known.
    prepared: Option<Prepared<'r>>,
    claim: Claim,
    found: Found,
    status: Status,
    attempt: u32,
    /// How long the caller wants the lease.
    lease: Duration,
    /// When the tier was asked last.
    asked: Duration,
    seat: Option<Seat>,
    /// Whether the payload was digested anew, for a record of another version.
    redigested: bool,
    stale: u32,
    /// How often it was granted, and over before that was heard.
    late: u32,
    /// When it is due again, if the engine retries it and it does not run now.
    again_in: Duration,
    /// Whether another host was seen to run it, or to wait with it.
    waited: bool,
    /// Whether it is to be taken back.
    open: bool,
    /// Whether the tier has been asked, and nobody else tells it that the attempt never ran.
    answered: bool,
    /// Whether it may have been granted, as far as the last answer says that says anything.
    perhaps: bool,
}

/// What an answer of the tier comes to.
pub(super) enum Next {
    /// This is the answer.
    Answer(Answer),
    /// The table has lost the attempt: it is to be asked again.
    Lost,
    /// The tier is to be asked again, at once.
    Ask,
    /// It is to be asked again when there is news, or then.
    Wait { until: Duration },
}

impl<'e, 'r> Confirming<'e, 'r> {
    /// `answer`, if the tier has to be asked.
    pub(in super::super) fn of(
        engine: &'e Engine,
        answer: &Answer,
        prepared: &Prepared<'r>,
        given: &BeginOptions,
    ) -> Option<Self> {
        let (Some(fleet), Answer::Admitted { slot, seen, attempt, status, .. }) =
            (&engine.fleet, answer)
        else {
            return None;
        };
        let lease_ms = engine.defaults.lease_ms;
        let lease = given.lease.unwrap_or(Duration::from_millis(lease_ms));
        let on_lapse = given.on_lapse.unwrap_or(engine.defaults.on_lapse);
        let found = Found { slot: *slot, seen: *seen };
        let record = (key_of(prepared.fingerprint), prepared.digest);
        let mut confirming = Self::new(engine, fleet, record, found, (lease, on_lapse));
        confirming.prepared = Some(*prepared);
        confirming.claim.takes_scheduled = given.runs_due;
        (confirming.attempt, confirming.status) = (*attempt, *status);
        Some(confirming)
    }

    /// The attempt of `lease`, which the scheduler hands out, if the tier has to be asked.
    pub(super) fn of_lease(engine: &'e Engine, lease: &Lease<'e>) -> Option<Self> {
        let fleet = engine.fleet.as_ref()?;
        let (slot, seen) = engine.held(lease.token())?;
        let at = engine.table.slot(slot);
        let deadline = at.deadline();
        let lease_ms = deadline.at_ms.saturating_sub(engine.now_ms()).max(1);
        let on_lapse = policy_of(deadline.lapse);
        let record = (fleet.key_at(slot), at.digest());
        let terms = (Duration::from_millis(lease_ms), on_lapse);
        let mut confirming = Self::new(engine, fleet, record, Found { slot, seen }, terms);
        (confirming.attempt, confirming.status) = (lease.attempt(), lease.status());
        confirming.claim.takes_scheduled = true;
        Some(confirming)
    }

    fn new(
        engine: &'e Engine,
        fleet: &'e Arc<Fleet>,
        (key, digest): (TierKey, DigestWord),
        found: Found,
        (lease, on_lapse): (Duration, OnLapse),
    ) -> Self {
        let claim = Claim {
            session: 0,
            key,
            holder: fleet.holder(found.seen.fence().get()),
            digest: digest.without_key(),
            lease: fleet.slice_of(lease),
            retention: Duration::from_millis(engine.longest_window_ms()),
            on_lapse,
            creates: true,
            takes_scheduled: false,
            watches: false,
            above: 0,
        };
        fleet.start_porter();
        Self {
            engine,
            fleet,
            prepared: None,
            claim,
            found,
            status: Status::Created,
            attempt: 1,
            lease,
            asked: Duration::ZERO,
            seat: None,
            redigested: false,
            stale: 0,
            late: 0,
            again_in: Duration::ZERO,
            waited: false,
            open: true,
            answered: false,
            perhaps: false,
        }
    }

    /// If it does not run now, it is due again after `rest`, should the engine retry it.
    pub(super) fn puts_off(&mut self, rest: Duration) {
        self.again_in = rest;
    }

    /// Takes a place among those who hear of changes; `waker` is the one to wake. Where it may not
    /// block, the porter sees to it that the tier tells of them.
    pub(super) fn listen(&mut self, waker: &Waker, may_block: bool) {
        match &self.seat {
            Some(seat) => seat.renew(waker),
            None => {
                self.fleet.watch(may_block);
                self.claim.watches = true;
                self.seat = Some(self.fleet.news.enter(self.claim.key, waker.clone()));
            }
        }
    }

    /// The time on the engine's clock.
    pub(super) fn now(&self) -> Duration {
        self.fleet.now()
    }

    /// Asks the tier without blocking.
    pub(super) fn ask_later(&mut self) -> Arc<Slip<Result<Claimed, Gap>>> {
        let claim = self.question();
        // Until there is an answer the porter sees to it that nothing is left there.
        self.answered = false;
        self.fleet.claim_later(claim)
    }

    /// Whoever asked has left.
    pub(super) fn abandon(&mut self, slip: &Slip<Result<Claimed, Gap>>) {
        self.answered = slip.abandon().is_some_and(|reply| is_perhaps_granted(&reply));
    }

    /// Has `waker` woken at `at`.
    pub(super) fn wake_at(&self, at: Duration, waker: &Waker) {
        self.fleet.wake_at(at, waker.clone());
    }

    /// Whether there was news since this was asked last.
    pub(in super::super) fn has_news(&self) -> bool {
        self.seat.as_ref().is_some_and(Seat::take_told)
    }

    /// What the tier is to be asked now.
    pub(super) fn question(&mut self) -> Claim {
        self.asked = self.fleet.now();
        self.answered = true;
        // While it is asked, and while somebody waits for it, the attempt is this one's here.
        let until_ms = self.engine.now_ms().saturating_add(ms_up(self.lease.max(HOLD)));
        let Found { slot, seen } = self.found;
        self.engine.table.renew(slot, seen, until_ms);
        self.claim
    }

    /// What `reply` comes to; `waits`: the caller waits for an attempt that runs elsewhere.
    pub(super) fn take(
        &mut self,
        reply: Result<Claimed, Gap>,
        waits: bool,
        outcome: &mut Outcome,
    ) -> Result<Next, Error> {
        self.answered = true;
        // What was not carried out says nothing of the questions before.
        self.perhaps = is_perhaps_granted(&reply) || self.perhaps && reply.is_err();
        let counts = &self.fleet.counts;
        let now_ms = self.engine.now_ms();
        let after = |rest: Duration| now_ms.saturating_add(ms_up(rest));
        let at = self.found;
        let answer = match reply {
            Ok(Claimed::Granted(grant)) => return self.granted(grant),
            Ok(Claimed::Finished(finished)) => self.import(finished, outcome),
            Ok(Claimed::Running { remaining, .. }) if waits => return Ok(self.wait(remaining)),
            Ok(Claimed::Running { attempt, remaining }) => {
                Counts::add(&counts.elsewhere);
                Answer::InProgress { at, attempt, until_ms: after(remaining) }
            }
            Ok(Claimed::Waiting { due_in, .. }) if waits => return Ok(self.wait(due_in)),
            Ok(Claimed::Waiting { next_attempt, due_in }) => {
                Counts::add(&counts.elsewhere);
                let due_ms = after(due_in);
                Answer::Scheduled { at, next_attempt, due_ms, look_ms: due_ms }
            }
            Ok(Claimed::Mismatched { digest }) => match self.redigest(digest)? {
                true => return Ok(Next::Ask),
                false => Answer::Mismatched,
            },
            Ok(Claimed::Unresolved) => Answer::Unresolved,
            Ok(Claimed::Stale | Claimed::Vacant) => {
                // A newer attempt of this table has been there: this one is over.
                self.stale += 1;
                return if self.stale < MOST_STALE { Ok(Next::Lost) } else { Err(impossible()) };
            }
            // Whoever waits for another host waits on: that goes on, as far as anybody knows. Had
            // it been granted meanwhile, it is granted again.
            Err(Gap::Unknown | Gap::Unavailable(_)) if waits && self.waited => {
                return Ok(self.wait(self.fleet.options.poll_every));
            }
            Err(gap) => return self.bridge(&gap),
        };
        self.take_back();
        Ok(Next::Answer(answer))
    }

    /// The caller runs it.
    fn granted(&mut self, grant: Grant) -> Result<Next, Error> {
        let Found { slot, seen } = self.found;
        let until = self.asked + self.claim.lease;
        let until_ms = self.fleet.local_end_ms(until, self.claim.lease);
        if until_ms <= self.engine.now_ms() {
            // The answer was so late that another host may run it by now.
            self.late += 1;
            return if self.late < MOST_LATE { Ok(Next::Ask) } else { Err(Gap::Unknown.error()) };
        }
        let held = HeldLease {
            renewal: Renewal {
                key: self.claim.key,
                holder: self.claim.holder,
                lease: self.claim.lease,
                restores: true,
                fence: grant.fence,
                attempt: grant.attempt,
                digest: self.claim.digest,
                retention: self.claim.retention,
                on_lapse: self.claim.on_lapse,
            },
            until,
            wanted_until: self.asked + self.lease,
        };
        // Never later than the tier's: whoever cannot renew it there loses it here first.
        if !self.engine.table.renew(slot, seen, until_ms) {
            // Another process of this table has taken it over meanwhile.
            self.seat = None;
            return Ok(Next::Lost);
        }
        self.fleet.hold(slot, held);
        Counts::add(&self.fleet.counts.granted);
        self.open = false;
        let (attempt, status) = (grant.attempt, grant.status);
        let by = GrantedBy::Tier(grant.fence);
        Ok(Next::Answer(Answer::Admitted { slot, seen, attempt, status, until_ms, by }))
    }

    /// Keeps what another host left, so that its duplicates need no network here.
    fn import(&mut self, finished: Finished, outcome: &mut Outcome) -> Answer {
        let Finished { failed, outcome: left, remaining } = finished;
        let state = if failed { State::Failed } else { State::Succeeded };
        let gone = left.is_none();
        let left = left.unwrap_or_else(|| Outcome::withheld(0));
        let Found { slot, seen } = self.found;
        let window_ms = ms_down(remaining);
        if window_ms == 0 {
            self.take_back();
        } else if self.engine.finish_at(slot, seen, &left, state, window_ms).is_ok() {
            Counts::add(&self.fleet.counts.imported);
            self.engine.ended_elsewhere(self.found);
        }
        // What could not be kept is answered all the same.
        self.open = false;
        if gone {
            return Answer::OutcomeGone;
        }
        *outcome = left;
        Answer::Replayed
    }

    fn wait(&mut self, rest: Duration) -> Next {
        if !std::mem::replace(&mut self.waited, true) {
            Counts::add(&self.fleet.counts.waited);
        }
        self.answered = false;
        let period = self.fleet.options.poll_every;
        // What is due, and not granted, another host's scheduler starts: nobody knows when.
        let rest = if rest.is_zero() { period } else { rest.max(LEAST_WAIT).min(period) };
        Next::Wait { until: self.fleet.now() + rest }
    }

    /// Digests the payload as the record's was, if that was another version. False: it is another
    /// payload.
    fn redigest(&mut self, recorded: u64) -> Result<bool, Error> {
        let version = DigestWord::of_word(recorded).version();
        let Some(prepared) = &self.prepared else { return Ok(false) };
        let same = version == prepared.digest.version();
        let (Some(request), Some(version), false) =
            (prepared.request(), DigestVersion::from_number(version), same)
        else {
            return Ok(false);
        };
        if std::mem::replace(&mut self.redigested, true) {
            return Ok(false);
        }
        let digest = self.engine.digest_as(request, version)?;
        self.claim.digest = DigestWord::new(digest, version.number(), 0).without_key();
        Ok(true)
    }

    /// What is answered where the tier gave no answer.
    fn bridge(&mut self, gap: &Gap) -> Result<Next, Error> {
        let local = match (self.fleet.options.on_outage, gap) {
            (OnOutage::Refuse, _) | (_, Gap::Unsafe(_)) => Bug::OutageAdmits.is_planted(),
            (OnOutage::LocalOnly, gap) => !matches!(gap, Gap::Quarantined(_) | Gap::Untold),
            (OnOutage::Run, gap) => !matches!(gap, Gap::Untold),
        };
        if self.perhaps && !local {
            // To nobody.
            self.fleet.send(Parcel::never_ran(&self.claim));
        }
        if !local {
            Counts::add(&self.fleet.counts.refused);
            self.take_back();
            return Err(gap.error());
        }
        Counts::add(&self.fleet.counts.local_only);
        let Found { slot, seen } = self.found;
        let until_ms = self.engine.now_ms().saturating_add(ms_up(self.lease));
        if !self.engine.table.renew(slot, seen, until_ms) {
            return Ok(Next::Lost);
        }
        self.open = false;
        let (attempt, status) = (self.attempt, self.status);
        let by = GrantedBy::Alone(self.fleet.own_fence());
        Ok(Next::Answer(Answer::Admitted { slot, seen, attempt, status, until_ms, by }))
    }

    /// The attempt never was: the next request asks the tier anew.
    fn take_back(&mut self) {
        let open = std::mem::replace(&mut self.open, false);
        if open && !Bug::ElsewhereKept.is_planted() {
            self.engine.take_back(self.found, self.again_in);
        }
        self.seat = None;
    }
}

impl Drop for Confirming<'_, '_> {
    fn drop(&mut self) {
        if self.open && (self.answered || self.perhaps) {
            // A caller who left, or an attempt that was lost here: it may have been granted there.
            self.fleet.send(Parcel::never_ran(&self.claim));
        }
        self.take_back();
    }
}

impl Engine {
    /// The answer of the whole fleet to what the table has answered; `begun`: when the caller came.
    pub(in super::super) fn confirm(
        &self,
        mut answer: Answer,
        prepared: &Prepared<'_>,
        given: &BeginOptions,
        outcome: &mut Outcome,
        begun: Duration,
    ) -> Result<Answer, Error> {
        let limit = match given.on_conflict.unwrap_or(self.defaults.on_conflict) {
            OnConflict::Conflict => Duration::ZERO,
            OnConflict::Wait(limit) => limit,
        };
        let give_up = begun.saturating_add(limit);
        for _ in 0..MOST_ROUNDS {
            let settled = match Confirming::of(self, &answer, prepared, given) {
                Some(confirming) => self.ask_fleet(confirming, give_up, outcome)?,
                None => self.look_in_fleet(answer, prepared, outcome),
            };
            if let Some(answer) = settled {
                return Ok(answer);
            }
            let mut prepared = *prepared;
            answer = self.decide(&mut prepared, given, outcome)?;
            let left = give_up.saturating_sub(self.now());
            answer = self.wait_for(answer, &mut prepared, given, left, outcome)?;
        }
        Err(impossible())
    }

    /// Asks the tier until it has an answer, or `give_up` has come. `None`: the table is to be
    /// asked again.
    pub(super) fn ask_fleet(
        &self,
        mut confirming: Confirming<'_, '_>,
        give_up: Duration,
        outcome: &mut Outcome,
    ) -> Result<Option<Answer>, Error> {
        let waker = thread_waker();
        loop {
            let waits = self.now() < give_up && self.may_wait();
            if waits {
                confirming.listen(&waker, true);
            }
            let mut claim = confirming.question();
            let reply = confirming.fleet.claim(&mut claim);
            match confirming.take(reply, waits, outcome)? {
                Next::Answer(answer) => return Ok(Some(answer)),
                Next::Lost => return Ok(None),
                Next::Ask => {}
                Next::Wait { until } => {
                    let until = until.min(give_up);
                    while !confirming.has_news() && self.may_wait() {
                        self.life.time().wake_on_jump(&waker);
                        let left = until.saturating_sub(self.now());
                        if left.is_zero() {
                            break;
                        }
                        park(Some(left));
                    }
                }
            }
        }
    }

    /// The record that was found has ended as another table ended it.
    pub(super) fn ended_elsewhere(&self, found: Found) {
        if self.table.retries_any() {
            self.token_over(found.slot, found.seen.fence());
        }
    }

    /// The payload digest of `request` by another version of it.
    fn digest_as(&self, request: &Request<'_>, version: DigestVersion) -> Result<u64, Error> {
        let hasher = self.hasher(keys::load(&self.region).current)?;
        hasher.payload_digest(request.payload_ref(), version)
    }

    /// Takes back an attempt of the table that never ran. A record that the engine retries is due
    /// again after `delay`.
    pub(super) fn take_back(&self, found: Found, delay: Duration) {
        let Found { slot, seen } = found;
        if let Ok(Some(entry)) = self.table.entry_of(slot, seen) {
            let rules = self.rules();
            let due_ms = rules.now_ms.saturating_add(ms_up(delay));
            if self.table.set_due(slot, seen, due_ms) {
                self.end_failing(found, due_ms, &rules);
                self.attempt_over(entry, seen.fence());
                self.announce(entry, due_ms);
            }
        } else {
            self.table.withdraw(slot, seen);
        }
    }
}

impl Fleet {
    /// When a lease ends here that ends at `until` in the tier, in the table's milliseconds.
    pub(super) fn local_end_ms(&self, until: Duration, lease: Duration) -> u64 {
        let margin = self.options.margin_of(lease);
        let margin = if Bug::MarginForgotten.is_planted() { Duration::ZERO } else { margin };
        let end = until.saturating_sub(margin);
        // The table's time counts from one.
        ms_down(end).saturating_add(1)
    }

    /// The lease of `counter` lasts until then in the tier.
    pub(super) fn keep_local(&self, slot: usize, counter: u64, until: Duration, lease: Duration) {
        let seen: Snapshot = self.table.slot(slot).control().load();
        if seen.fence().get() == counter && seen.state() == State::Running {
            self.table.renew(slot, seen, self.local_end_ms(until, lease));
        }
    }

    /// Whether the attempt of `counter` still holds its lease here.
    pub(super) fn lives(&self, slot: usize, counter: u64) -> bool {
        let at = self.table.slot(slot);
        let (seen, deadline) = (at.control().load(), at.deadline());
        // One whose time is over, and that nobody has noticed yet, may still be kept.
        let lives = seen.fence().get() == counter
            && seen.state() == State::Running
            && deadline.belongs_to(seen.fence())
            && deadline.kind == Kind::Lease;
        lives || Bug::LostLeaseRenewed.is_planted()
    }

    /// Whether the attempt of `counter` has not ended, whatever has become of its lease.
    pub(super) fn is_open(&self, slot: usize, counter: u64) -> bool {
        let seen = self.table.slot(slot).control().load();
        seen.fence().get() == counter && is_open(seen.state())
    }

    /// The key of the record in `slot`.
    pub(super) fn key_at(&self, slot: usize) -> TierKey {
        key_of(self.table.slot(slot).identity())
    }
}

/// Whole milliseconds, rounded up.
pub(super) fn ms_up(duration: Duration) -> u64 {
    super::super::millis_up(duration)
}

/// Whole milliseconds, rounded down.
pub(super) fn ms_down(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How often a question to the tier may end in a loss of the table's own attempt.
const MOST_ROUNDS: u32 = 64;
const MOST_STALE: u32 = 16;
/// How often a grant may come too late, with a lease that is shorter than the way to the tier.
const MOST_LATE: u32 = 3;
/// For so long at least the table's attempt is kept while the tier is asked.
const HOLD: Duration = Duration::from_secs(5);
const LEAST_WAIT: Duration = Duration::from_millis(1);
