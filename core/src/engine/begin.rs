//! Begin: one request's way through the table.

use std::fmt;
use std::time::Duration;

use super::keys::{self, KeyState};
use super::{Admission, BeginOptions, Engine, Lease, LeaseToken, OnConflict, Status};
use super::{millis_up, options};
use crate::clock::{Clock, PreciseClock};
use crate::error::{Error, ErrorCode};
use crate::fingerprint::{DigestVersion, Fingerprint, Request};
use crate::observe::Event;
use crate::outcome::{Outcome, Reading, lapsed};
use crate::region::WAYS;
use crate::sync::planted::Bug;
use crate::table::control::{Snapshot, State};
use crate::table::slot::{Deadline, DigestWord, Kind, Lapse};
use crate::table::{Draft, Found, Insertion, Lapsed, LeaseDraft, NotTaken, Open, Probe, Rules};

/// A request whose digests are made: hashing once, beginning as often as needed.
///
/// ```
/// use oncegate::{Admission, BeginOptions, Engine, Request, Scope};
///
/// let engine = Engine::builder().capacity(1_000).build()?;
/// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
/// let prepared = engine.prepare(&request)?;
/// let _first = engine.begin_prepared(&prepared, &BeginOptions::new())?;
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Prepared<'r> {
    /// The epoch of the engine that prepared it: two engines of a process differ in it.
    epoch: u64,
    request: Request<'r>,
    keys: KeyState,
    fingerprint: Fingerprint,
    probe: Probe,
    retiring: Option<Probe>,
    digest: DigestWord,
}

impl Prepared<'_> {
    /// The identity of the request under the secret that is in force.
    ///
    /// ```
    /// # use oncegate::{Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let same = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// assert_eq!(engine.prepare(&request)?.fingerprint(), engine.prepare(&same)?.fingerprint());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl fmt::Debug for Prepared<'_> {
    /// Without the payload's digest: by it a guess at the content could be checked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("request", &self.request)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// What one look at the table came to.
pub(super) enum Answer {
    Admitted { slot: usize, seen: Snapshot, attempt: u32, status: Status, until_ms: u64 },
    Replayed(Outcome),
    InProgress { at: Found, attempt: u32, until_ms: u64 },
    Scheduled { at: Found, next_attempt: u32, due_ms: u64 },
    Mismatched,
    Unresolved,
    OutcomeGone,
}

/// A record that was met while looking.
enum Met {
    Answer(Answer),
    /// It changed while it was looked at.
    Changed,
    /// Its time is over: a new one takes its place.
    Over,
}

impl Engine {
    /// Asks to run `request`, with the engine's own options.
    ///
    /// Costs a keyed hash of the request, and a look-up that waits for memory once or twice.
    /// A replay allocates one buffer, for the outcome.
    ///
    /// # Errors
    ///
    /// The record, if there is one, is as it was: [`ErrorCode::InvalidKey`] by the key rules,
    /// [`ErrorCode::InvalidPayload`], [`ErrorCode::Full`], [`ErrorCode::QuotaExceeded`],
    /// [`ErrorCode::TooManyWaiters`], [`ErrorCode::Exhausted`], [`ErrorCode::Forked`].
    ///
    /// ```
    /// use oncegate::{Admission, Engine, Outcome, Request, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// if let Admission::Admitted(lease) = engine.begin(&request)? {
    ///     lease.complete(&Outcome::new(200, b"done"))?;
    /// }
    /// let Admission::Replayed(outcome) = engine.begin(&request)? else { unreachable!() };
    /// assert_eq!(outcome.body(), b"done");
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn begin(&self, request: &Request<'_>) -> Result<Admission<'_>, Error> {
        self.begin_with(request, &BeginOptions::new())
    }

    /// [`begin`](Self::begin) with options of its own.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin), and [`ErrorCode::InvalidOption`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::{BeginOptions, Engine, Request, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let options = BeginOptions::new().lease_duration(Duration::from_secs(300));
    /// let admission = engine.begin_with(&request, &options)?;
    /// # drop(admission);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn begin_with(
        &self,
        request: &Request<'_>,
        options: &BeginOptions,
    ) -> Result<Admission<'_>, Error> {
        let prepared = self.prepare(request)?;
        self.begin_prepared(&prepared, options)
    }

    /// Makes the digests of `request`, for [`begin_prepared`](Self::begin_prepared).
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidKey`], [`ErrorCode::InvalidPayload`], [`ErrorCode::Forked`].
    ///
    /// ```
    /// # use oncegate::{Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let prepared = engine.prepare(&request)?;
    /// # let _ = prepared;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn prepare<'r>(&self, request: &Request<'r>) -> Result<Prepared<'r>, Error> {
        self.fork.check()?;
        if let Some(key) = request.key() {
            self.key_rules.check(key)?;
        }
        self.prepare_under(request, keys::load(&self.region))
    }

    /// [`begin_with`](Self::begin_with) for a request that was prepared before.
    ///
    /// # Errors
    ///
    /// As [`begin_with`](Self::begin_with).
    ///
    /// ```
    /// # use oncegate::{BeginOptions, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let prepared = engine.prepare(&request)?;
    /// let admission = engine.begin_prepared(&prepared, &BeginOptions::new())?;
    /// # drop(admission);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn begin_prepared(
        &self,
        prepared: &Prepared<'_>,
        options: &BeginOptions,
    ) -> Result<Admission<'_>, Error> {
        self.fork.check()?;
        options.check()?;
        let timed = self.counters.own(Event::Begun).is_multiple_of(SAMPLE_EVERY);
        let started = timed.then(|| PreciseClock.now());
        let mut prepared = *prepared;
        if prepared.epoch != self.epoch {
            // Another engine's digests are made under another secret, for another table.
            prepared = self.prepare(&prepared.request)?;
        }
        let answer = self.decide(&mut prepared, options)?;
        if let Some(started) = started {
            self.begin_latency.record(nanos(PreciseClock.now() - started));
        }
        let answer = match options.on_conflict.unwrap_or(self.defaults.on_conflict) {
            OnConflict::Conflict => answer,
            OnConflict::Wait(limit) => self.wait_for(answer, &mut prepared, options, limit)?,
        };
        Ok(self.admission(answer, options))
    }

    /// The sets of `request`, its way and its tag, for models that need two requests to meet.
    #[cfg(oncegate_loom)]
    #[doc(hidden)]
    pub fn place_of(&self, request: &Request<'_>) -> Result<([usize; 2], usize, u16), Error> {
        Ok(self.prepare(request)?.probe.place())
    }

    /// Looks until there is an answer, without waiting.
    pub(super) fn decide(
        &self,
        prepared: &mut Prepared<'_>,
        options: &BeginOptions,
    ) -> Result<Answer, Error> {
        let mut over = None;
        loop {
            let keys = keys::load(&self.region);
            if keys != prepared.keys {
                *prepared = self.prepare_under(&prepared.request, keys)?;
            }
            self.table.prefetch(&prepared.probe);
            let rules = self.rules();
            if rules.now_ms >= Deadline::MAX_MS {
                // No lease would last: each would be taken over at once.
                return Err(Error::of(ErrorCode::Exhausted, "clock"));
            }
            let lease = self.lease_draft(options, &rules);
            let found = prepared
                .retiring
                .and_then(|old| self.table.search(&old).map(|found| (found, old.home)))
                .or_else(|| {
                    let probe = prepared.probe;
                    self.table.search(&probe).map(|found| (found, probe.home))
                });
            if let Some((found, home)) = found {
                match self.meet(found, home, prepared, &rules, lease)? {
                    Met::Answer(answer) => return Ok(answer),
                    Met::Changed => continue,
                    Met::Over => {
                        // At once: under a key that is being retired it would hide the new one.
                        self.table.clear(found.slot, found.seen, &rules);
                        over = Some(found.slot / WAYS);
                        continue;
                    }
                }
            }
            if let Some(answer) = self.create(prepared, &rules, lease, over)? {
                return Ok(answer);
            }
        }
    }

    /// Inserts a new record. `None`: look again. `over`: the set of the record that it replaces.
    fn create(
        &self,
        prepared: &Prepared<'_>,
        rules: &Rules,
        lease: LeaseDraft,
        over: Option<usize>,
    ) -> Result<Option<Answer>, Error> {
        let scope = self.scope_entry(prepared.request.scope())?;
        if let Err(refused) = self.charge(scope, || self.tend_for_quota(over, rules)) {
            // A duplicate that was faster may have taken the last of it, a moment ago.
            let found = |probe: &Probe| self.table.search(probe).is_some();
            let exists = found(&prepared.probe) || prepared.retiring.as_ref().is_some_and(found);
            return if exists { Ok(None) } else { Err(self.refused_by_quota(refused)) };
        }
        let draft = Draft { scope, digest: prepared.digest, lease };
        let unchanged = || keys::load(&self.region) == prepared.keys;
        let retiring = prepared.retiring.as_ref();
        let refund = || self.table.refund_scope(scope);
        if !rules.evict_lru
            && !self.store.make_room(self.largest_block(), self.room(rules), &self.table)
        {
            refund();
            return Err(self.full("outcomes"));
        }
        let insertion = self.table.insert(&prepared.probe, retiring, &draft, rules, unchanged);
        match insertion {
            Insertion::Inserted { slot, seen, replaced } => {
                let status =
                    if replaced || over.is_some() { Status::Expired } else { Status::Created };
                self.counters.live(State::Running, 1);
                let until_ms = lease.until_ms;
                Ok(Some(Answer::Admitted { slot, seen, attempt: 1, status, until_ms }))
            }
            Insertion::Found | Insertion::KeysChanged => {
                refund();
                Ok(None)
            }
            Insertion::Full => {
                refund();
                Err(self.full("capacity"))
            }
            Insertion::Exhausted => {
                refund();
                Err(Error::of(ErrorCode::Exhausted, "fencing counter"))
            }
        }
    }

    /// What the record that was found answers.
    fn meet(
        &self,
        found: Found,
        home: usize,
        prepared: &Prepared<'_>,
        rules: &Rules,
        lease: LeaseDraft,
    ) -> Result<Met, Error> {
        let Found { slot, seen } = found;
        let at = self.table.slot(slot);
        let fields = at.fields();
        let stale = at.control().load().fence != seen.fence;
        if stale && !Bug::MatchNotRechecked.is_planted() {
            return Ok(Met::Changed);
        }
        if self.table.is_over(slot, seen, rules) {
            return Ok(Met::Over);
        }
        if !self.same_payload(fields.digest, prepared)? {
            return Ok(Met::Answer(Answer::Mismatched));
        }
        let attempt = seen.fence.attempt(u32::from(fields.attempt));
        Ok(match seen.state {
            State::Running => match self.table.close_lease(slot, seen, rules) {
                Err(Open::Until(until_ms)) => {
                    Met::Answer(Answer::InProgress { at: found, attempt, until_ms })
                }
                Err(Open::Failing(due_ms)) => {
                    self.end_failing(found, due_ms, rules);
                    Met::Changed
                }
                Err(Open::Changed) => Met::Changed,
                Ok(Lapsed(Lapse::Reclaim)) => {
                    let taken = self.take(found, home, lease, Status::Expired)?;
                    if matches!(taken, Met::Answer(Answer::Admitted { .. })) {
                        self.counters.add(Event::Lapsed);
                    }
                    taken
                }
                Ok(Lapsed(policy)) => {
                    self.lapse(found, policy);
                    Met::Changed
                }
            },
            State::Waiting => {
                let deadline = at.deadline();
                if !deadline.belongs_to(seen.fence) || deadline.kind != Kind::Due {
                    Met::Changed
                } else if deadline.at_ms > rules.now_ms {
                    let (next_attempt, due_ms) = (attempt + 1, deadline.at_ms);
                    Met::Answer(Answer::Scheduled { at: found, next_attempt, due_ms })
                } else {
                    self.take(found, home, lease, Status::Retried)?
                }
            }
            State::Succeeded | State::Failed => {
                self.table.touch(slot);
                self.replay(found)
            }
            State::Unknown => match at.deadline() {
                // Somebody decided that it runs again, and has not said so in the control word.
                due if due.belongs_to(seen.fence) && due.kind == Kind::Due => {
                    self.end_failing(found, due.at_ms, rules);
                    Met::Changed
                }
                _ => Met::Answer(Answer::Unresolved),
            },
            State::Vacant | State::Claimed | State::Inserting => Met::Changed,
        })
    }

    fn take(
        &self,
        found: Found,
        home: usize,
        lease: LeaseDraft,
        status: Status,
    ) -> Result<Met, Error> {
        let Found { slot, seen } = found;
        match self.table.take(slot, seen, home, lease) {
            Ok((taken, attempt)) => {
                let until_ms = lease.until_ms;
                if taken.waiters {
                    // They count on the lease or the delay before.
                    self.waiters.wake_sooner(slot, until_ms);
                }
                let seen = taken;
                Ok(Met::Answer(Answer::Admitted { slot, seen, attempt, status, until_ms }))
            }
            Err(NotTaken::Changed) => Ok(Met::Changed),
            Err(NotTaken::Exhausted) => Err(Error::of(ErrorCode::Exhausted, "attempt")),
        }
    }

    fn replay(&self, found: Found) -> Met {
        let Found { slot, seen } = found;
        let at = self.table.slot(slot);
        let failed = seen.state == State::Failed;
        let mut outcome = Outcome::default();
        loop {
            let reference = at.outcome();
            if let Reading::Read(_) =
                self.store.read(reference, slot, seen.fence, failed, &mut outcome)
            {
                return Met::Answer(Answer::Replayed(outcome));
            }
            if at.control().load() != seen {
                return Met::Changed;
            }
            if at.outcome() == reference {
                return Met::Answer(match reference {
                    // A lapse that counted as failure left no outcome.
                    _ if failed && reference == lapsed(seen.fence) => {
                        Answer::Replayed(Outcome::new(options::LAPSED_STATUS, []))
                    }
                    _ => Answer::OutcomeGone,
                });
            }
        }
    }

    fn same_payload(&self, stored: DigestWord, prepared: &Prepared<'_>) -> Result<bool, Error> {
        if (stored.version, stored.key_id) == (prepared.digest.version, prepared.digest.key_id) {
            return Ok(stored == prepared.digest);
        }
        // Made by an earlier version of the digest, or under the key that is being retired.
        let hasher = self.keys.hasher_of_record(prepared.keys, stored.key_id);
        let version = DigestVersion::from_number(stored.version);
        let (Some(hasher), Some(version)) = (hasher, version) else {
            // Nothing can verify it any more: the answer that runs nothing.
            return Ok(false);
        };
        let digest = hasher.payload_digest(prepared.request.payload_ref(), version)?;
        Ok(DigestWord::new(digest, stored.version, stored.key_id) == stored)
    }

    fn prepare_under<'r>(
        &self,
        request: &Request<'r>,
        keys: KeyState,
    ) -> Result<Prepared<'r>, Error> {
        let hasher = self.keys.hasher(keys.current);
        let fingerprint = hasher.fingerprint(request)?;
        let probe = self.table.probe(fingerprint.words());
        let version = DigestVersion::CURRENT;
        let digest = hasher.payload_digest(request.payload_ref(), version)?;
        let digest = DigestWord::new(digest, version.number(), keys::short(keys.current));
        let retiring = match keys.retiring {
            Some(old) => {
                let other = self.keys.hasher(old).fingerprint(request)?;
                Some(self.table.probe(other.words()))
            }
            None => None,
        };
        let (epoch, request) = (self.epoch, *request);
        Ok(Prepared { epoch, request, keys, fingerprint, probe, retiring, digest })
    }

    fn lease_draft(&self, options: &BeginOptions, rules: &Rules) -> LeaseDraft {
        let lasts = options.lease.unwrap_or(self.defaults.lease);
        let lapse = options.on_lapse.unwrap_or(self.defaults.on_lapse).stored();
        LeaseDraft { until_ms: rules.now_ms.saturating_add(millis_up(lasts)), lapse }
    }

    /// Counts an answer, and makes it the caller's.
    pub(super) fn admission(&self, answer: Answer, options: &BeginOptions) -> Admission<'_> {
        self.counters.add(Event::Begun);
        let from_now = |ms: u64| Duration::from_millis(ms.saturating_sub(self.now_ms()));
        let (event, admission) = match answer {
            Answer::Admitted { slot, seen, attempt, status, until_ms } => {
                let event = match status {
                    Status::Created => Event::Created,
                    Status::Retried => Event::Retried,
                    Status::Expired => Event::Expired,
                };
                let token = LeaseToken {
                    slot: slot as u64,
                    fencing: self.fencing_token(seen.fence),
                    window_ms: millis_up(options.window.unwrap_or(self.defaults.window)),
                    attempt,
                };
                (event, Admission::Admitted(Lease::new(self, token, status, until_ms)))
            }
            Answer::Replayed(outcome) => (Event::Replayed, Admission::Replayed(outcome)),
            Answer::InProgress { attempt, until_ms, .. } => {
                let remaining = from_now(until_ms);
                (Event::InProgress, Admission::InProgress { attempt, remaining })
            }
            Answer::Scheduled { next_attempt, due_ms, .. } => {
                let due_in = from_now(due_ms);
                (Event::Scheduled, Admission::Scheduled { next_attempt, due_in })
            }
            Answer::Mismatched => (Event::Mismatched, Admission::Mismatched),
            Answer::Unresolved => (Event::Unresolved, Admission::Unresolved),
            Answer::OutcomeGone => (Event::OutcomeGone, Admission::OutcomeGone),
        };
        if matches!(event, Event::Created | Event::Expired) {
            // Behind the lease, which is given back if the callback for a fill level panics.
            self.after_creation();
        }
        self.counters.add(event);
        admission
    }

    fn full(&self, field: &'static str) -> Error {
        self.counters.add(Event::Full);
        Error::of(ErrorCode::Full, field)
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// One call in so many is timed.
pub(super) const SAMPLE_EVERY: u64 = 64;
