//! Decide: one request's way through the table.

use super::{BeginOptions, Engine, Prepared, Status, keys, millis_up, options};
use crate::error::{Error, ErrorCode};
use crate::fingerprint::DigestVersion;
use crate::observe::Event;
use crate::outcome::{Inline, Outcome, lapsed};
use crate::region::WAYS;
use crate::retry::journal::End;
use crate::sync::planted::Bug;
use crate::table::control::{Snapshot, State};
use crate::table::slot::{Deadline, DigestWord, Kind, Lapse};
use crate::table::{
    Arbitration, Draft, Found, Insertion, Lapsed, LeaseDraft, NotTaken, Open, Probe, Rules,
};

/// Who granted an attempt, and its fencing token, where that is not the table's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GrantedBy {
    Table,
    Tier(u64),
    /// The table alone, of an engine whose tier gave no answer.
    Alone(u64),
}

/// What one look at the table came to.
pub(super) enum Answer {
    Admitted {
        slot: usize,
        seen: Snapshot,
        attempt: u32,
        status: Status,
        until_ms: u64,
        by: GrantedBy,
    },
    /// The outcome is in the caller's buffer.
    Replayed,
    InProgress {
        at: Found,
        attempt: u32,
        until_ms: u64,
    },
    Scheduled {
        at: Found,
        next_attempt: u32,
        due_ms: u64,
        /// When to look again even if nobody wakes the caller: never, where a worker gets it.
        look_ms: u64,
    },
    Mismatched,
    Unresolved,
    OutcomeGone,
}

/// A request, and where its record may lie.
struct Sought<'p, 'r> {
    prepared: &'p Prepared<'r>,
    probe: Probe,
    /// Where a record lies that was made under the key that is being retired.
    retiring: Option<Probe>,
}

/// What a caller wants of an attempt that he may get.
#[derive(Clone, Copy)]
pub(super) struct Wish {
    pub(super) lease: LeaseDraft,
    /// Whether he runs a record that the engine retries, if its time has come.
    pub(super) runs_due: bool,
}

/// Where there is no record.
struct Vacancy {
    /// How the home was before a search found nothing.
    looked: Option<Arbitration>,
    /// The set of the record that the new one replaces.
    over: Option<usize>,
}

/// A record that was met while looking.
enum Met {
    Answer(Answer),
    /// It changed while it was looked at.
    Changed,
    /// Its time is over: a new one takes its place.
    Over,
}

/// How often a record was met that is said to have changed, and has not: in a file that was damaged
/// it may be in no state that anything leads out of.
#[derive(Default)]
struct Patience {
    last: Option<Found>,
    rounds: u32,
}

impl Patience {
    fn again(&mut self, found: Found) -> Result<(), Error> {
        self.rounds = if self.last == Some(found) { self.rounds + 1 } else { 0 };
        self.last = Some(found);
        if self.rounds < MOST_ROUNDS { Ok(()) } else { Err(impossible()) }
    }
}

#[cold]
pub(super) fn impossible() -> Error {
    let found = "a record in no possible state";
    Error::new(ErrorCode::RegionInvalid, "record", found, "a table that was not damaged")
}

/// Whoever meets a change that is under way makes it himself, so that a few rounds do.
pub(super) const MOST_ROUNDS: u32 = 1_000;

impl Engine {
    /// Looks until there is an answer, without waiting.
    pub(super) fn decide(
        &self,
        prepared: &mut Prepared<'_>,
        options: &BeginOptions,
        outcome: &mut Outcome,
    ) -> Result<Answer, Error> {
        let mut over = None;
        let mut retiring = self.retiring_probe(prepared)?;
        let mut patience = Patience::default();
        loop {
            if !self.is_current(prepared) {
                *prepared = self.refresh(prepared)?;
                retiring = self.retiring_probe(prepared)?;
            }
            let rules = self.rules();
            if rules.now_ms >= Deadline::MAX_MS {
                // No lease would last: each would be taken over at once.
                return Err(Error::of(ErrorCode::Exhausted, "clock"));
            }
            let wish = self.wish(options, &rules);
            let search =
                |probe: &Probe| self.table.search(probe).map(|found| (found, probe.home()));
            let sought =
                Sought { prepared, probe: self.table.probe(prepared.fingerprint), retiring };
            let found = sought.retiring.as_ref().and_then(search);
            if let Some((found, home)) = found.or_else(|| search(&sought.probe)) {
                match self.meet(found, home, prepared, &rules, wish, outcome)? {
                    Met::Answer(answer) => return Ok(answer),
                    Met::Changed => {}
                    Met::Over => {
                        // At once: under a key that is being retired it would hide the new one.
                        self.table.clear(found.slot, found.seen, &rules);
                        over = Some(found.slot / WAYS);
                    }
                }
                patience.again(found)?;
                continue;
            }
            let place = Vacancy { looked: None, over };
            if let Some(answer) = self.create(&sought, &rules, wish, place)? {
                return Ok(answer);
            }
        }
    }

    /// The answer to a request of which a search has just found nothing; its home was as `looked`.
    /// `None`: look thoroughly.
    pub(super) fn create_at_once(
        &self,
        prepared: &Prepared<'_>,
        options: &BeginOptions,
        looked: Arbitration,
    ) -> Result<Option<Answer>, Error> {
        let rules = self.rules();
        if rules.now_ms >= Deadline::MAX_MS {
            return Ok(None);
        }
        let wish = self.wish(options, &rules);
        let place = Vacancy { looked: Some(looked), over: None };
        let probe = self.table.probe(prepared.fingerprint);
        self.create(&Sought { prepared, probe, retiring: None }, &rules, wish, place)
    }

    /// Inserts a new record. `None`: look again.
    fn create(
        &self,
        sought: &Sought<'_, '_>,
        rules: &Rules,
        wish: Wish,
        Vacancy { looked, over }: Vacancy,
    ) -> Result<Option<Answer>, Error> {
        let Sought { prepared, probe, retiring } = sought;
        let lease = wish.lease;
        self.watch_file(rules.now_ms)?;
        let scope = self.scope_entry(prepared.scope())?;
        let _unsettled = match self.charge(scope, || self.tend_for_quota(scope, over, rules)) {
            Ok(unsettled) => unsettled,
            Err(refused) => {
                // A duplicate that was faster may have taken the last of it, a moment ago.
                let found = |probe: &Probe| self.table.search(probe).is_some();
                let exists = found(probe) || retiring.as_ref().is_some_and(found);
                return if exists { Ok(None) } else { Err(self.refused_by_quota(refused)) };
            }
        };
        let draft = Draft { scope, attempt: 1, digest: prepared.digest, lease };
        let unchanged = || self.is_current(prepared);
        let refund = || self.table.refund_scope(scope);
        if !rules.evict_lru && !self.store.make_room(self.largest_block(), self.room(rules), self) {
            refund();
            return Err(self.full("outcomes"));
        }
        let insertion =
            self.table.insert(probe, retiring.as_ref(), &draft, rules, looked, unchanged);
        match insertion {
            Insertion::Inserted { slot, seen, replaced } => {
                let status =
                    if replaced || over.is_some() { Status::Expired } else { Status::Created };
                self.counters.live(State::Running, 1);
                let until_ms = lease.until_ms;
                Ok(Some(Answer::Admitted {
                    slot,
                    seen,
                    attempt: 1,
                    status,
                    until_ms,
                    by: GrantedBy::Table,
                }))
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
        wish: Wish,
        outcome: &mut Outcome,
    ) -> Result<Met, Error> {
        let Found { slot, seen } = found;
        let at = self.table.slot(slot);
        let (digest, recorded) = (at.digest(), at.attempt());
        let stale = at.control().load().fence() != seen.fence();
        if stale && !Bug::MatchNotRechecked.is_planted() {
            return Ok(Met::Changed);
        }
        if self.table.is_over(slot, seen, rules) {
            return Ok(Met::Over);
        }
        if !self.same_payload(digest, prepared)? {
            // Who does not know of a rotation yet cannot tell: where a secret came back, a record
            // is found that was made under a key that is newer than his.
            let can_tell = self.is_current(prepared);
            return Ok(if can_tell { Met::Answer(Answer::Mismatched) } else { Met::Changed });
        }
        let attempt = seen.fence().attempt(recorded);
        Ok(match seen.state() {
            State::Running => match self.table.close_lease(slot, seen, rules) {
                Err(Open::Until(until_ms)) => {
                    Met::Answer(Answer::InProgress { at: found, attempt, until_ms })
                }
                Err(Open::Ending) => {
                    self.help(found);
                    Met::Changed
                }
                Err(Open::Changed) => Met::Changed,
                Ok(Lapsed(policy)) => self.meet_lapsed(found, home, policy, rules, wish)?,
            },
            State::Waiting => self.meet_waiting(found, home, attempt, rules, wish)?,
            State::Succeeded | State::Failed => {
                self.table.touch(slot);
                self.replay(found, outcome)
            }
            // Somebody may have decided how it ends, and not said so in the control word.
            State::Unknown if self.help(found) => Met::Changed,
            State::Unknown => Met::Answer(Answer::Unresolved),
            State::Vacant | State::Claimed | State::Inserting => Met::Changed,
        })
    }

    /// A record that runs, whose lease is closed.
    fn meet_lapsed(
        &self,
        found: Found,
        home: usize,
        policy: Lapse,
        rules: &Rules,
        wish: Wish,
    ) -> Result<Met, Error> {
        if self.finish_left(found) {
            return Ok(Met::Changed);
        }
        let Ok(entry) = self.table.entry_of(found.slot, found.seen) else {
            return Ok(Met::Changed);
        };
        let scheduled = entry.filter(|entry| self.table.is_scheduled(*entry));
        match (scheduled, policy) {
            (Some(entry), _) if self.leaves_lapse(entry) => {
                // Whoever looks after attempts sees to it.
                self.announce(entry, rules.now_ms);
                let (next_attempt, due_ms) = (self.attempt_of(found) + 1, rules.now_ms);
                let look_ms = u64::MAX;
                let answer = Answer::Scheduled { at: found, next_attempt, due_ms, look_ms };
                return Ok(Met::Answer(answer));
            }
            // Nothing is to be cleaned up here, so that no room is needed.
            (Some(entry), _) => _ = self.lapse_retried(found, entry, policy, rules),
            (None, Lapse::Reclaim) => {
                let taken = self.take(found, home, rules, wish, Status::Expired)?;
                if matches!(taken, Met::Answer(Answer::Admitted { .. })) {
                    self.counters.add(Event::Lapsed);
                }
                return Ok(taken);
            }
            (None, policy) => self.lapse(found, policy),
        }
        Ok(Met::Changed)
    }

    /// A record that waits for its next attempt.
    fn meet_waiting(
        &self,
        found: Found,
        home: usize,
        attempt: u32,
        rules: &Rules,
        wish: Wish,
    ) -> Result<Met, Error> {
        let Found { slot, seen } = found;
        let deadline = self.table.slot(slot).deadline();
        if !deadline.belongs_to(seen.fence()) || deadline.kind != Kind::Due {
            self.table.let_be_due(slot, seen, rules.now_ms);
            return Ok(Met::Changed);
        }
        let (next_attempt, due_ms) = (attempt + 1, deadline.at_ms);
        let later = |look_ms| {
            let answer = Answer::Scheduled { at: found, next_attempt, due_ms, look_ms };
            Ok(Met::Answer(answer))
        };
        if due_ms > rules.now_ms {
            return later(due_ms);
        }
        let Ok(entry) = self.table.entry_of(slot, seen) else { return Ok(Met::Changed) };
        if let Some(entry) = entry.filter(|entry| self.table.is_scheduled(*entry)) {
            if !wish.runs_due {
                // A worker gets it, and whoever waits is woken by what becomes of it.
                return later(u64::MAX);
            }
            if self.bury_if_late(found, entry, deadline.lapse, rules) {
                return Ok(Met::Changed);
            }
        }
        self.take(found, home, rules, wish, Status::Retried)
    }

    fn take(
        &self,
        found: Found,
        home: usize,
        rules: &Rules,
        wish: Wish,
        status: Status,
    ) -> Result<Met, Error> {
        self.watch_file(rules.now_ms)?;
        let Found { slot, seen } = found;
        let Ok(entry) = self.table.entry_of(slot, seen) else { return Ok(Met::Changed) };
        let ended = if status == Status::Expired { End::Lapsed } else { End::Unnoted };
        if let Some(entry) = entry
            && !self.seal(found, entry, ended, rules)
        {
            return Ok(Met::Changed);
        }
        let lease = wish.lease;
        match self.table.take(slot, seen, home, lease) {
            Ok((taken, attempt)) => {
                if let Some(entry) = entry {
                    self.grant_taken(found, taken.fence());
                    self.table.follow(entry, taken.fence());
                    self.no_letter_any_more(entry);
                    self.look_when_it_ends(entry, lease.until_ms);
                }
                let until_ms = lease.until_ms;
                if taken.waiters() {
                    // They count on the lease or the delay before.
                    self.waiters.wake_sooner(slot, until_ms);
                }
                let seen = taken;
                let by = GrantedBy::Table;
                Ok(Met::Answer(Answer::Admitted { slot, seen, attempt, status, until_ms, by }))
            }
            Err(NotTaken::Changed) => Ok(Met::Changed),
            Err(NotTaken::Exhausted) => Err(Error::of(ErrorCode::Exhausted, "attempt")),
        }
    }

    /// Reads the outcome of a finished record. `None`: it changed.
    pub(super) fn read_finished(&self, found: Found, outcome: &mut Outcome) -> Option<Answer> {
        match self.replay(found, outcome) {
            Met::Answer(answer) => Some(answer),
            Met::Changed | Met::Over => None,
        }
    }

    fn replay(&self, found: Found, outcome: &mut Outcome) -> Met {
        let Found { slot, seen } = found;
        let at = self.table.slot(slot);
        let failed = seen.state() == State::Failed;
        loop {
            let reference = at.outcome();
            let read = match Inline::unpack(reference, seen.fence()) {
                Some(inline) => {
                    inline.failed == failed && inline.read(self.table.inline(slot), outcome)
                }
                None => self.store.read(reference, slot, seen.fence(), failed, outcome),
            };
            let stands = at.control().load().is_same_record(seen);
            if !stands && !Bug::InlineNotRechecked.is_planted() {
                return Met::Changed;
            }
            if read {
                return Met::Answer(Answer::Replayed);
            }
            if at.outcome() == reference {
                if Bug::GoneRunsAgain.is_planted() {
                    return Met::Over;
                }
                if !failed || reference != lapsed(seen.fence()) {
                    return Met::Answer(Answer::OutcomeGone);
                }
                // A lapse that counted as failure left no outcome.
                outcome.set_bare(options::LAPSED_STATUS);
                return Met::Answer(Answer::Replayed);
            }
        }
    }

    fn same_payload(&self, stored: DigestWord, prepared: &Prepared<'_>) -> Result<bool, Error> {
        if (stored.version(), stored.key_id())
            == (prepared.digest.version(), prepared.digest.key_id())
        {
            return Ok(stored == prepared.digest || Bug::PayloadNotCompared.is_planted());
        }
        // Made by an earlier version of the digest, or under the key that is being retired.
        let hasher =
            self.keys.hasher_of_record(&self.region, keys::load(&self.region), stored.key_id());
        let version = DigestVersion::from_number(stored.version());
        let (Some(hasher), Some(version)) = (hasher, version) else {
            // Nothing can verify it any more: the answer that runs nothing.
            return Ok(false);
        };
        let Some(request) = prepared.request() else {
            // The caller's digest and one of the engine's own say nothing about each other.
            return Ok(false);
        };
        let digest = hasher.payload_digest(request.payload_ref(), version)?;
        Ok(DigestWord::new(digest, stored.version(), stored.key_id()) == stored)
    }

    #[inline]
    fn wish(&self, options: &BeginOptions, rules: &Rules) -> Wish {
        let lasts_ms = options.lease.map_or(self.defaults.lease_ms, millis_up);
        let lapse = options.on_lapse.unwrap_or(self.defaults.on_lapse).stored();
        let lease = LeaseDraft { until_ms: rules.now_ms.saturating_add(lasts_ms), lapse };
        Wish { lease, runs_due: options.runs_due }
    }

    pub(super) fn full(&self, field: &'static str) -> Error {
        self.counters.add(Event::Full);
        Error::of(ErrorCode::Full, field)
    }
}
