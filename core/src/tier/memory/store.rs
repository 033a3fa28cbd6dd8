//! The records, and what each operation does to them. Everything happens under one lock, at one
//! moment.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::record::{Record, State, Way};
use crate::engine::{OnLapse, Status};
use crate::tier::{
    Claim, Claimed, End, Ended, Ending, FenceClock, Grant, Hazard, Letter, Orphan, Renewal,
    Renewed, Sighting, TableId, TierError, TierErrorKind, TierKey,
};

/// The moment of an operation, by both faces of the store's clock.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    /// What leases and windows are measured by.
    pub(super) now: Duration,
    /// What fencing tokens come from.
    pub(super) unix_ms: u64,
}

/// What the store has, and has promised.
#[derive(Clone)]
pub(super) struct Store {
    records: FxHashMap<TierKey, Record>,
    /// Until when each table is there.
    beats: FxHashMap<TableId, Duration>,
    /// The highest token that it remembers.
    last_fence: u64,
    /// The log of dead letters, oldest first.
    letters: VecDeque<Letter>,
    limits: Limits,
    /// Who is to hear of which record, since the last operation.
    notices: Vec<(TableId, TierKey)>,
}

/// How much it takes.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) records: usize,
    pub(super) outcome_bytes: usize,
    pub(super) letters: usize,
}

impl Store {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            records: FxHashMap::default(),
            beats: FxHashMap::default(),
            last_fence: 0,
            letters: VecDeque::new(),
            limits,
            notices: Vec::new(),
        }
    }

    pub(super) fn limits_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }

    pub(super) fn take_notices(&mut self) -> Vec<(TableId, TierKey)> {
        std::mem::take(&mut self.notices)
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// It was emptied, or went back to an older state, which takes it into the next millisecond: so
    /// tokens grow on, unless they had run ahead of the clock.
    pub(super) fn came_back(&mut self, at: Moment) {
        let next_ms = FenceClock::next(at.unix_ms.saturating_add(1), 0);
        self.last_fence = self.last_fence.max(next_ms.saturating_sub(1));
        self.notices.clear();
    }

    pub(super) fn claim(&mut self, claim: &Claim, at: Moment) -> Result<Claimed, TierError> {
        let known = self.records.get_mut(&claim.key);
        let was_over = known.as_ref().is_some_and(|record| record.is_over(at.now));
        let Some(record) = known.filter(|record| !record.is_over(at.now)) else {
            if !claim.creates {
                return Ok(Claimed::Vacant);
            }
            let status = if was_over { Status::Expired } else { Status::Created };
            return self.grant(claim, 1, status, at);
        };
        if record.digest != claim.digest {
            return Ok(Claimed::Mismatched { digest: record.digest });
        }
        let attempt = record.next_attempt();
        let own = record.holder.table == claim.holder.table;
        match record.state {
            State::Finished { failed, ref outcome } => {
                return Ok(Claimed::Finished(record.finished(failed, outcome, at.now)));
            }
            State::Unresolved => return Ok(Claimed::Unresolved),
            State::Running { status, .. } if record.holder == claim.holder => {
                record.extend(claim.lease, at.now);
                let (fence, attempt) = (record.fence, record.attempt);
                return Ok(Claimed::Granted(Grant { fence, attempt, status }));
            }
            _ if own && claim.holder.counter <= record.holder.counter => return Ok(Claimed::Stale),
            State::Running { until, .. } if own => {
                let lapsed = at.now >= until;
                let status = if lapsed { Status::Expired } else { Status::Retried };
                return self.grant(claim, attempt, status, at);
            }
            State::Waiting { .. } if own => {
                return self.grant(claim, attempt, Status::Retried, at);
            }
            _ => {}
        }
        self.claim_of_another(claim, at)
    }

    /// A claim that meets an attempt of another table.
    fn claim_of_another(&mut self, claim: &Claim, at: Moment) -> Result<Claimed, TierError> {
        let Some(record) = self.records.get_mut(&claim.key) else { return Ok(Claimed::Vacant) };
        let attempt = record.next_attempt();
        match record.state {
            State::Running { until, on_lapse, retention, .. } if at.now >= until => {
                if on_lapse == OnLapse::Reclaim {
                    return self.grant(claim, attempt, Status::Expired, at);
                }
                record.lapse(on_lapse, retention, at.now);
                let answer = match &record.state {
                    State::Finished { failed, outcome } => {
                        Claimed::Finished(record.finished(*failed, outcome, at.now))
                    }
                    _ => Claimed::Unresolved,
                };
                self.changed(claim.key);
                Ok(answer)
            }
            State::Running { until, .. } => {
                watch(record, claim);
                let remaining = until.saturating_sub(at.now);
                Ok(Claimed::Running { attempt: record.attempt, remaining })
            }
            State::Waiting { due } => {
                let may_take = record.left.is_none() || claim.takes_scheduled;
                if at.now >= due && may_take {
                    return self.grant(claim, attempt, Status::Retried, at);
                }
                watch(record, claim);
                let due_in = due.saturating_sub(at.now);
                Ok(Claimed::Waiting { next_attempt: attempt, due_in })
            }
            // The caller has answered these.
            State::Finished { .. } | State::Unresolved => Ok(Claimed::Unresolved),
        }
    }

    fn grant(
        &mut self,
        claim: &Claim,
        attempt: u32,
        status: Status,
        at: Moment,
    ) -> Result<Claimed, TierError> {
        let floor = self.last_fence.max(claim.above);
        if floor >= LAST_TOKEN {
            let what = "the fencing tokens are used up";
            return Err(TierError::new(TierErrorKind::Unsafe, what));
        }
        self.make_room(claim.key, at.now)?;
        let fence = FenceClock::next(at.unix_ms, floor);
        self.last_fence = fence;
        let first = attempt == 1;
        let record = self.records.entry(claim.key).or_insert_with(|| vacant(claim));
        record.run(claim, status, at.now);
        (record.fence, record.attempt) = (fence, attempt);
        if first {
            record.left = None;
        }
        self.changed(claim.key);
        Ok(Claimed::Granted(Grant { fence, attempt, status }))
    }

    /// Refuses a new record where there is no room for it, when all that are over have gone.
    fn make_room(&mut self, key: TierKey, now: Duration) -> Result<(), TierError> {
        if self.records.len() < self.limits.records || self.records.contains_key(&key) {
            return Ok(());
        }
        self.records.retain(|_, record| !record.is_over(now));
        if self.records.len() < self.limits.records {
            return Ok(());
        }
        Err(TierError::new(TierErrorKind::Unavailable, "the store is full"))
    }

    pub(super) fn renew(&mut self, renewal: &Renewal, at: Moment) -> Result<Renewed, TierError> {
        let known = self.records.get_mut(&renewal.key);
        if let Some(record) = known {
            if record.holder == renewal.holder {
                if !record.is_running() {
                    return Ok(Renewed::Fenced);
                }
                if !record.is_over(at.now) {
                    record.extend(renewal.lease, at.now);
                    return Ok(Renewed::Done);
                }
            } else if record.fence >= renewal.fence {
                return Ok(Renewed::Fenced);
            }
        }
        if !renewal.restores {
            return Ok(Renewed::Fenced);
        }
        let claim = as_claim(renewal);
        self.restore(&claim, renewal.fence, renewal.attempt, at)?;
        self.changed(renewal.key);
        Ok(Renewed::Done)
    }

    /// Makes the record of a grant again that the store has forgotten.
    fn restore(
        &mut self,
        claim: &Claim,
        fence: u64,
        attempt: u32,
        at: Moment,
    ) -> Result<&mut Record, TierError> {
        self.make_room(claim.key, at.now)?;
        self.last_fence = self.last_fence.max(fence);
        let record = self.records.entry(claim.key).or_insert_with(|| vacant(claim));
        record.run(claim, Status::Retried, at.now);
        (record.fence, record.attempt) = (fence, attempt);
        Ok(record)
    }

    pub(super) fn end(&mut self, ending: &Ending<'_>, at: Moment) -> Result<Ended, TierError> {
        let never_ran = matches!(ending.end, End::NeverRan);
        let known = self.records.get_mut(&ending.key);
        let nothing = known.as_ref().is_none_or(|record| record.is_over(at.now));
        if let Some(record) = known {
            if record.holder == ending.holder {
                let before = repeated(record, Way::of(&ending.end));
                if before != Ended::Fenced || !record.is_open() {
                    return Ok(before);
                }
                if !nothing {
                    return Ok(self.conclude(ending.key, &ending.end, at));
                }
            } else if record.fence >= ending.fence {
                return Ok(Ended::Fenced);
            }
        }
        // What was forgotten, and never ran, may stay so; so may what this very end has removed.
        if never_ran && (ending.restores || nothing && ending.attempt <= 1) {
            return Ok(Ended::Done);
        }
        if !ending.restores {
            return Ok(Ended::Fenced);
        }
        let claim = as_forgotten(ending);
        self.restore(&claim, ending.fence, ending.attempt, at)?;
        Ok(self.conclude(ending.key, &ending.end, at))
    }

    /// The attempt that runs has ended.
    fn conclude(&mut self, key: TierKey, end: &End<'_>, at: Moment) -> Ended {
        let Some(record) = self.records.get_mut(&key) else { return Ended::Fenced };
        let answer = record.end(end, self.limits.outcome_bytes, at.now);
        record.ended = Some((Way::of(end), answer));
        let gone = matches!(end, End::NeverRan) && record.attempt == 0;
        self.changed(key);
        if gone {
            self.records.remove(&key);
        }
        answer
    }

    pub(super) fn settle(&mut self, key: TierKey, end: &End<'_>, at: Moment) -> Ended {
        let known = self.records.get_mut(&key).filter(|record| !record.is_over(at.now));
        let Some(record) = known else { return Ended::Fenced };
        let settles = match (&record.state, end) {
            (_, End::Unknown { .. } | End::NeverRan) => false,
            (State::Unresolved, _) => true,
            (State::Finished { failed, .. }, End::Retry { .. }) => *failed,
            _ => false,
        };
        if !settles {
            return Ended::Fenced;
        }
        let answer = record.end(end, self.limits.outcome_bytes, at.now);
        // It was not its holder who ended it so.
        record.ended = None;
        self.changed(key);
        answer
    }

    pub(super) fn read(&self, key: TierKey, at: Moment) -> Option<Sighting> {
        let record = self.records.get(&key).filter(|record| !record.is_over(at.now))?;
        Some(record.sighting(at.now))
    }

    pub(super) fn beat(&mut self, table: TableId, lasts: Duration, at: Moment) -> Vec<Hazard> {
        self.beats.retain(|_, until| *until > at.now);
        self.beats.insert(table, at.now.saturating_add(lasts));
        let mut hazards = Vec::new();
        let percent = self.records.len().saturating_mul(100) / self.limits.records.max(1);
        if percent >= ALMOST_FULL {
            let percent = u8::try_from(percent).unwrap_or(u8::MAX);
            hazards.push(Hazard::AlmostFull { percent });
        }
        let told_ms = (self.last_fence >> FenceClock::COUNT_BITS) + FenceClock::START_MS;
        if self.last_fence > 0 && told_ms > at.unix_ms {
            hazards.push(Hazard::ClockBehind { by: Duration::from_millis(told_ms - at.unix_ms) });
        }
        hazards
    }

    pub(super) fn orphans(&self, limit: usize, at: Moment) -> Vec<Orphan> {
        let mut due: Vec<(Duration, Orphan)> = self
            .records
            .iter()
            .filter(|(_, record)| !record.is_over(at.now))
            .filter_map(|(key, record)| self.orphan(*key, record, at))
            .collect();
        // Who has waited longest comes first.
        due.sort_by_key(|(due, orphan)| (*due, orphan.key));
        due.into_iter().take(limit).map(|(_, orphan)| orphan).collect()
    }

    fn orphan(&self, key: TierKey, record: &Record, at: Moment) -> Option<(Duration, Orphan)> {
        let State::Waiting { due } = record.state else { return None };
        let context = record.left.clone()?;
        let is_there = self.beats.get(&record.holder.table).is_some_and(|until| *until > at.now);
        if due > at.now || is_there {
            return None;
        }
        let (holder, digest) = (record.holder, record.digest);
        let next_attempt = record.next_attempt();
        Some((due, Orphan { key, holder, next_attempt, digest, context }))
    }

    pub(super) fn letters(&self) -> Vec<Letter> {
        self.letters.iter().copied().collect()
    }

    pub(super) fn log(&mut self, letter: &Letter) {
        let is_known = |known: &Letter| known.identity() == letter.identity();
        if self.limits.letters == 0 || self.letters.iter().any(is_known) {
            return;
        }
        let more = (self.letters.len() + 1).saturating_sub(self.limits.letters);
        self.letters.drain(..more);
        self.letters.push_back(*letter);
    }

    fn changed(&mut self, key: TierKey) {
        let Some(record) = self.records.get_mut(&key) else { return };
        let watching = std::mem::take(&mut record.watching);
        self.notices.extend(watching.into_iter().map(|table| (table, key)));
    }
}

fn watch(record: &mut Record, claim: &Claim) {
    if claim.watches && !record.watching.contains(&claim.holder.table) {
        record.watching.push(claim.holder.table);
    }
}

/// What a holder gets that ends an attempt which does not run any more.
fn repeated(record: &Record, way: Way) -> Ended {
    match record.ended {
        Some((as_before, answer)) if as_before == way => answer,
        _ => Ended::Fenced,
    }
}

/// A record for `claim` to run.
fn vacant(claim: &Claim) -> Record {
    Record {
        holder: claim.holder,
        attempt: 0,
        fence: 0,
        digest: claim.digest,
        state: State::Unresolved,
        kept_until: Duration::ZERO,
        left: None,
        ended: None,
        watching: Vec::new(),
    }
}

/// The claim that a renewal goes back to.
fn as_claim(renewal: &Renewal) -> Claim {
    Claim {
        session: 0,
        key: renewal.key,
        holder: renewal.holder,
        digest: renewal.digest,
        lease: renewal.lease,
        retention: renewal.retention,
        on_lapse: renewal.on_lapse,
        creates: true,
        takes_scheduled: true,
        watches: false,
        above: 0,
    }
}

/// The claim that an end goes back to, as far as the end tells.
fn as_forgotten(ending: &Ending<'_>) -> Claim {
    Claim {
        session: 0,
        key: ending.key,
        holder: ending.holder,
        digest: ending.digest,
        lease: Duration::ZERO,
        retention: Duration::ZERO,
        on_lapse: OnLapse::Unknown,
        creates: true,
        takes_scheduled: true,
        watches: false,
        above: 0,
    }
}

/// Tokens are below 2^63.
const LAST_TOKEN: u64 = (1 << 63) - 1;
/// From how many percent of its limit on the store is almost full.
const ALMOST_FULL: usize = 90;
