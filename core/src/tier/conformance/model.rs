//! The contract as plain as it can be: one record a key, one thread, no limits.

use std::collections::HashMap;
use std::time::Duration;

use crate::engine::{OnLapse, Status};
use crate::outcome::Outcome;
use crate::tier::{
    Claim, Claimed, End, Ended, Ending, Finished, Grant, Holder, Orphan, Renewal, Renewed,
    Sighting, TableId, TierKey,
};

/// What a store must answer. Tokens are its own: the model is told them.
#[derive(Clone, Default)]
pub(super) struct Model {
    pub(super) now: Duration,
    records: HashMap<TierKey, Record>,
    beats: HashMap<TableId, Duration>,
}

#[derive(Clone)]
struct Record {
    what: What,
    holder: Holder,
    /// How many attempts have been granted that ran.
    count: u32,
    token: u64,
    digest: u64,
    /// When it is forgotten.
    gone: Duration,
    context: Option<Vec<u8>>,
    /// The name of the way in which its holder ended it.
    ended: Option<&'static str>,
}

impl Record {
    /// Whether somebody who does not hold it may settle it so.
    fn settles(&self, end: &End<'_>) -> bool {
        match self.what {
            What::Doubt => true,
            What::Over { failed, .. } => failed && matches!(end, End::Retry { .. }),
            What::Runs { .. } | What::Waits { .. } => false,
        }
    }
}

#[derive(Clone)]
enum What {
    Runs { until: Duration, then: OnLapse, retention: Duration },
    Waits { due: Duration },
    Over { failed: bool, outcome: Option<Outcome> },
    Doubt,
}

/// The answer to a claim, and what of a grant the contract leaves open.
pub(super) struct Expected {
    pub(super) claimed: Claimed,
    /// The statuses that a grant may have.
    pub(super) statuses: &'static [Status],
}

impl Model {
    /// The store has forgotten everything.
    pub(super) fn forget(&mut self) {
        self.records.clear();
        self.beats.clear();
    }

    /// The store has gone back to what it had then; time has not.
    pub(super) fn go_back(&mut self, then: Self) {
        *self = Self { now: self.now, ..then };
    }

    fn tidy(&mut self) {
        let now = self.now;
        self.records.retain(|_, record| now < record.gone);
    }

    /// A grant has token 0, until [`granted`](Self::granted) tells it, unless it is known.
    pub(super) fn claim(&mut self, claim: &Claim) -> Expected {
        self.tidy();
        let now = self.now;
        let told = |claimed| Expected { claimed, statuses: &[] };
        let Some(record) = self.records.get_mut(&claim.key) else {
            if !claim.creates {
                return told(Claimed::Vacant);
            }
            return self.grant(claim, 1, &[Status::Created, Status::Expired]);
        };
        if record.digest != claim.digest {
            return told(Claimed::Mismatched { digest: record.digest });
        }
        let next = record.count + 1;
        let is_own = record.holder.table == claim.holder.table;
        let (older, same) = (
            claim.holder.counter < record.holder.counter,
            claim.holder.counter == record.holder.counter,
        );
        match record.what.clone() {
            What::Over { failed, outcome } => {
                let remaining = record.gone - now;
                told(Claimed::Finished(Finished { failed, outcome, remaining }))
            }
            What::Doubt => told(Claimed::Unresolved),
            What::Runs { retention, .. } if is_own && same => {
                let until = now + claim.lease;
                if let What::Runs { until: end, .. } = &mut record.what {
                    *end = until;
                }
                record.gone = until + retention;
                let (fence, attempt) = (record.token, record.count);
                let status = Status::Created;
                let statuses = &[Status::Created, Status::Retried, Status::Expired];
                let claimed = Claimed::Granted(Grant { fence, attempt, status });
                Expected { claimed, statuses }
            }
            _ if is_own && (older || same) => told(Claimed::Stale),
            What::Runs { .. } if is_own => {
                self.grant(claim, next, &[Status::Retried, Status::Expired])
            }
            What::Waits { .. } if is_own => self.grant(claim, next, &[Status::Retried]),
            What::Runs { until, .. } if now < until => {
                let (attempt, remaining) = (record.count, until - now);
                told(Claimed::Running { attempt, remaining })
            }
            What::Runs { then: OnLapse::Reclaim, .. } => {
                self.grant(claim, next, &[Status::Expired])
            }
            What::Runs { then: OnLapse::Unknown, retention, .. } => {
                (record.what, record.gone) = (What::Doubt, now + retention);
                told(Claimed::Unresolved)
            }
            What::Runs { then: OnLapse::Failed, retention, .. } => {
                let outcome = Some(Outcome::new(504, b""));
                record.what = What::Over { failed: true, outcome: outcome.clone() };
                record.gone = now + retention;
                told(Claimed::Finished(Finished { failed: true, outcome, remaining: retention }))
            }
            What::Waits { due } => {
                let is_anybodys = record.context.is_none() || claim.takes_scheduled;
                if now >= due && is_anybodys {
                    return self.grant(claim, next, &[Status::Retried]);
                }
                let due_in = due.saturating_sub(now);
                told(Claimed::Waiting { next_attempt: next, due_in })
            }
        }
    }

    fn grant(&mut self, claim: &Claim, attempt: u32, statuses: &'static [Status]) -> Expected {
        let context = self.records.remove(&claim.key).and_then(|record| record.context);
        let until = self.now + claim.lease;
        let record = Record {
            what: What::Runs { until, then: claim.on_lapse, retention: claim.retention },
            holder: claim.holder,
            count: attempt,
            token: 0,
            digest: claim.digest,
            gone: until + claim.retention,
            context,
            ended: None,
        };
        self.records.insert(claim.key, record);
        let claimed = Claimed::Granted(Grant { fence: 0, attempt, status: Status::Created });
        Expected { claimed, statuses }
    }

    /// The token of the grant that `key` has had just now.
    pub(super) fn granted(&mut self, key: TierKey, token: u64) {
        if let Some(record) = self.records.get_mut(&key) {
            record.token = token;
        }
    }

    pub(super) fn renew(&mut self, renewal: &Renewal) -> Renewed {
        self.tidy();
        let now = self.now;
        match self.records.get_mut(&renewal.key) {
            Some(record) if record.holder == renewal.holder => {
                let What::Runs { until, retention, .. } = &mut record.what else {
                    return Renewed::Fenced;
                };
                *until = now + renewal.lease;
                record.gone = *until + *retention;
                return Renewed::Done;
            }
            Some(record) if record.token >= renewal.fence => return Renewed::Fenced,
            _ if !renewal.restores => return Renewed::Fenced,
            _ => {}
        }
        let until = now + renewal.lease;
        let (then, retention) = (renewal.on_lapse, renewal.retention);
        let record = Record {
            what: What::Runs { until, then, retention },
            holder: renewal.holder,
            count: renewal.attempt,
            token: renewal.fence,
            digest: renewal.digest,
            gone: until + retention,
            context: None,
            ended: None,
        };
        self.records.insert(renewal.key, record);
        Renewed::Done
    }

    /// `None`: the contract leaves it open.
    pub(super) fn end(&mut self, ending: &Ending<'_>) -> Option<Ended> {
        self.tidy();
        let never_ran = matches!(ending.end, End::NeverRan);
        match self.records.get_mut(&ending.key) {
            Some(record) if record.holder == ending.holder => {
                if record.ended == Some(name(&ending.end)) {
                    return Some(Ended::Done);
                }
                if !matches!(record.what, What::Runs { .. } | What::Doubt) {
                    return Some(Ended::Fenced);
                }
            }
            Some(record) if record.token >= ending.fence => return Some(Ended::Fenced),
            Some(_) if !ending.restores => return Some(Ended::Fenced),
            None if never_ran => return None,
            None if !ending.restores => return Some(Ended::Fenced),
            Some(_) if never_ran => return None,
            _ => {
                let record = Record {
                    what: What::Doubt,
                    holder: ending.holder,
                    count: ending.attempt,
                    token: ending.fence,
                    digest: ending.digest,
                    gone: self.now,
                    context: None,
                    ended: None,
                };
                self.records.insert(ending.key, record);
            }
        }
        self.conclude(ending.key, &ending.end);
        if let Some(record) = self.records.get_mut(&ending.key) {
            record.ended = Some(name(&ending.end));
        }
        Some(Ended::Done)
    }

    fn conclude(&mut self, key: TierKey, end: &End<'_>) {
        let now = self.now;
        let Some(record) = self.records.get_mut(&key) else { return };
        match *end {
            End::Succeeded { outcome, window } | End::Failed { outcome, window } => {
                let failed = matches!(end, End::Failed { .. });
                record.what = What::Over { failed, outcome: Some(outcome.clone()) };
                record.gone = now + window;
            }
            End::Retry { due_in, retention, scheduled } => {
                record.what = What::Waits { due: now + due_in };
                record.gone = now + due_in + retention;
                record.context = scheduled.map(<[u8]>::to_vec);
            }
            End::Unknown { retention } => {
                (record.what, record.gone) = (What::Doubt, now + retention);
            }
            End::NeverRan if record.count == 1 => drop(self.records.remove(&key)),
            End::NeverRan => {
                if let What::Runs { retention, .. } = record.what {
                    record.gone = now + retention;
                }
                record.what = What::Waits { due: now };
                record.count -= 1;
            }
        }
    }

    pub(super) fn settle(&mut self, key: TierKey, end: &End<'_>) -> Ended {
        self.tidy();
        match self.records.get_mut(&key) {
            Some(record) if record.settles(end) => record.ended = None,
            _ => return Ended::Fenced,
        }
        self.conclude(key, end);
        Ended::Done
    }

    pub(super) fn beat(&mut self, table: TableId, lasts: Duration) {
        self.beats.insert(table, self.now + lasts);
    }

    /// In the order of their keys.
    pub(super) fn orphans(&mut self) -> Vec<Orphan> {
        self.tidy();
        let is_there = |table| self.beats.get(table).is_some_and(|until| *until > self.now);
        let mut found = Vec::new();
        for (key, record) in &self.records {
            let (What::Waits { due }, Some(context)) = (&record.what, &record.context) else {
                continue;
            };
            if *due <= self.now && !is_there(&record.holder.table) {
                found.push(Orphan {
                    key: *key,
                    holder: record.holder,
                    next_attempt: record.count + 1,
                    digest: record.digest,
                    context: context.clone(),
                });
            }
        }
        found.sort_by_key(|orphan| orphan.key);
        found
    }

    pub(super) fn read(&mut self, key: TierKey) -> Option<Sighting> {
        self.tidy();
        let record = self.records.get(&key)?;
        let (holder, now) = (record.holder, self.now);
        Some(match record.what.clone() {
            What::Runs { until, .. } => {
                let remaining = until.saturating_sub(now);
                Sighting::Running { holder, attempt: record.count, remaining }
            }
            What::Waits { due } => {
                let due_in = due.saturating_sub(now);
                Sighting::Waiting { holder, next_attempt: record.count + 1, due_in }
            }
            What::Over { failed, outcome } => {
                let remaining = record.gone - now;
                Sighting::Finished(Finished { failed, outcome, remaining })
            }
            What::Doubt => Sighting::Unresolved { holder },
        })
    }
}

/// The way of an end, without what it left.
fn name(end: &End<'_>) -> &'static str {
    match end {
        End::Succeeded { .. } => "succeeded",
        End::Failed { .. } => "failed",
        End::Retry { .. } => "retry",
        End::Unknown { .. } => "unknown",
        End::NeverRan => "never ran",
    }
}
