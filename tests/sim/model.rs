//! The model: for each request, which records there may be.
//!
//! Who notices a lapse, and when, nobody is told: a sweep, another process, a worker that looks
//! around. So what was known last leads to all that may have become of it since; an answer must be
//! explained by one of these, and that one is known from then on.

use std::collections::BTreeMap;

use oncegate::{OnFull, OnLapse, Status};

use crate::plan::{OPERATIONS, Plan};
use crate::possible::distinct;
use crate::record::{Home, Record, Span, State};
use crate::told::Told;

/// All requests.
pub(crate) struct Model {
    pub(crate) records: BTreeMap<u32, Record>,
    /// When each life of a process ended that did.
    pub(crate) died: BTreeMap<(usize, u64), u64>,
    /// How many records went inside their window, and how many may have by the engines' counters.
    pub(crate) evicted: u64,
    evictions: u64,
    /// What workers of each process got.
    handed_out: Vec<((usize, u64), u32, u64)>,
    pub(crate) plan: Plan,
}

/// One call of `begin`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) payload: u8,
    pub(crate) lease_ms: u64,
    pub(crate) window_ms: u64,
    pub(crate) lapse: OnLapse,
    pub(crate) runs_due: bool,
    pub(crate) home: Home,
}

/// An attempt that a worker got.
#[derive(Clone, Debug)]
pub(crate) struct HandedOut {
    pub(crate) attempt: u32,
    pub(crate) token: u64,
    pub(crate) lasts_ms: u64,
    pub(crate) context: Vec<u8>,
    pub(crate) operation: String,
    pub(crate) home: Home,
}

/// Whether the holder of a token still holds the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    Live,
    /// Its time is over; somebody may have noticed.
    Lapsed,
    /// Nobody knows the effect; the holder may still say.
    Unknown,
    Lost,
}

/// The operation and the scope of request `id`, by their numbers.
pub(crate) fn operation_of(id: u32) -> usize {
    id as usize % OPERATIONS.len()
}

impl Model {
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            records: BTreeMap::new(),
            died: BTreeMap::new(),
            evicted: 0,
            evictions: 0,
            handed_out: Vec::new(),
            plan,
        }
    }

    pub(crate) fn record(&mut self, id: u32) -> &mut Record {
        self.records.entry(id).or_insert_with(Record::new)
    }

    /// An engine says that it evicted so many. False: it may evict none.
    pub(crate) fn allow_evictions(&mut self, count: u64) -> bool {
        self.evictions += count;
        count == 0 || self.plan.on_full == OnFull::EvictLru
    }

    /// Whether no record went that no engine has counted.
    pub(crate) fn evictions_are_counted(&self) -> bool {
        self.evicted <= self.evictions
    }

    /// A worker of `home` got the attempt `token`.
    pub(crate) fn note_handed_out(&mut self, home: (usize, u64), id: u32, token: u64) {
        self.handed_out.push((home, id, token));
    }

    /// The requests whose attempts workers of `home` run, under leases that last.
    pub(crate) fn handed_out_now(&mut self, home: (usize, u64), now: u64) -> Vec<u32> {
        let mut all = std::mem::take(&mut self.handed_out);
        all.retain(|(_, id, token)| self.hold(*id, *token, now) == Hold::Live);
        self.handed_out = all;
        let own = self.handed_out.iter().filter(|(of, ..)| *of == home);
        own.map(|(_, id, _)| *id).collect()
    }

    /// The requests that the engine looks after, and that are not known to have ended.
    pub(crate) fn scheduled(&self) -> Vec<u32> {
        let open = |record: &Record| record.scheduled && !record.has_finished();
        let all = self.records.iter().filter(|(_, record)| open(record));
        all.map(|(id, _)| *id).collect()
    }

    /// How long it is until no lease of now lasts, nor any delay.
    pub(crate) fn longest_lease(&self, now: u64) -> u64 {
        let ends =
            self.records.values().flat_map(|record| &record.states).map(|state| match state {
                State::Running { until, .. } => *until,
                State::Waiting { due } => due.most,
                _ => 0,
            });
        ends.max().unwrap_or(0).saturating_sub(now)
    }

    /// The requests and tokens that a process leases.
    pub(crate) fn leases_of(&self, of: (usize, u64)) -> Vec<(u32, u64)> {
        let leased = |record: &Record| {
            let is_its =
                |state: &State| matches!(state, State::Running { home, .. } if *home == Some(of));
            record.states.iter().any(is_its)
        };
        let all = self.records.iter().filter(|(_, record)| leased(record));
        all.map(|(id, record)| (*id, record.token)).collect()
    }

    /// A private table is gone with its process.
    pub(crate) fn lose_all(&mut self) {
        self.records.values_mut().for_each(Record::begin_anew);
    }

    /// `begin` was answered with `told`. What the record was, if that explains it.
    pub(crate) fn begun(
        &mut self,
        id: u32,
        now: u64,
        ask: &Ask,
        told: &Told,
    ) -> Result<(), String> {
        let states = self.possible(id, now);
        let after: Vec<State> =
            states.iter().filter_map(|state| self.explains(id, state, now, ask, told)).collect();
        if after.is_empty() {
            let record = &self.records.get(&id);
            return Err(format!("begin answered {told}, from {states:?} of {record:?}"));
        }
        let is_new = matches!(told, Told::Admitted { attempt: 1, .. });
        let record = self.record(id);
        let inside = |state: &State| {
            matches!(state, State::Finished(finished)
            if finished.ends.least > now && finished.letter.is_none())
        };
        let evicted = is_new && record.states.iter().all(inside);
        if is_new {
            record.begin_anew();
        }
        record.states = distinct(after);
        if let Told::Admitted { attempt, token, .. } = told {
            if *token <= record.token {
                let before = record.token;
                return Err(format!("token {token} of attempt {attempt} came after {before}"));
            }
            (record.attempt, record.token, record.untold) = (*attempt, *token, 0);
            (record.payload, record.lapse) = (ask.payload, ask.lapse);
            record.window = match *attempt {
                1 => Span::exactly(ask.window_ms),
                _ => Span::new(
                    record.window.least.min(ask.window_ms),
                    record.window.most.max(ask.window_ms),
                ),
            };
        }
        self.evicted += u64::from(evicted);
        Ok(())
    }

    /// What the record is after `told`, if it was `state`.
    fn explains(&self, id: u32, state: &State, now: u64, ask: &Ask, told: &Told) -> Option<State> {
        let Some(record) = self.records.get(&id).filter(|_| *state != State::Absent) else {
            return match told {
                Told::Admitted {
                    attempt: 1, status: Status::Created | Status::Expired, ..
                } => admitted(now, ask, told),
                Told::Refused(..) => Some(State::Absent),
                _ => None,
            };
        };
        if *told == Told::Mismatched || ask.payload != record.payload {
            let wrong = ask.payload != record.payload && *told == Told::Mismatched;
            return wrong.then(|| state.clone());
        }
        match (state, told) {
            (State::Running { until, home }, told) => {
                let lapsed = self.lapsed_at(*until, *home, now).is_some();
                let hooked = self.plan.cleans_up || self.plan.undoes;
                match told {
                    Told::InProgress { attempt, remaining_ms } => {
                        let same = record.is_this(*attempt)
                            && until.checked_sub(now) == Some(*remaining_ms);
                        (!lapsed && same).then(|| state.clone())
                    }
                    Told::Scheduled { next_attempt, due_in_ms: 0 } => {
                        let waits = lapsed && record.scheduled && hooked;
                        (waits && record.is_next(*next_attempt)).then(|| state.clone())
                    }
                    Told::Admitted { attempt, status: Status::Expired, .. } => {
                        let free = !record.scheduled && record.lapse == OnLapse::Reclaim;
                        (lapsed && free && record.is_next(*attempt))
                            .then(|| admitted(now, ask, told))
                            .flatten()
                    }
                    _ => None,
                }
            }
            (State::Waiting { due }, Told::Scheduled { next_attempt, due_in_ms }) => {
                let passed = *due_in_ms == 0;
                let waits = !passed || record.scheduled && !ask.runs_due;
                let due = if passed {
                    (due.least <= now).then(|| Span::new(due.least, due.most.min(now)))
                } else {
                    due.contains(now + due_in_ms).then(|| Span::exactly(now + due_in_ms))
                }?;
                (waits && record.is_next(*next_attempt)).then_some(State::Waiting { due })
            }
            (State::Waiting { due }, Told::Admitted { attempt, status: Status::Retried, .. }) => {
                let may_run = !record.scheduled || ask.runs_due;
                (may_run && due.least <= now && record.is_next(*attempt))
                    .then(|| admitted(now, ask, told))
                    .flatten()
            }
            (State::Finished(finished), Told::Replayed(outcome)) => {
                (finished.outcome == *outcome).then(|| state.clone())
            }
            (State::Finished(finished), Told::Gone) => finished.may_be_gone.then(|| state.clone()),
            (State::Unknown, Told::Unresolved) => Some(State::Unknown),
            _ => None,
        }
    }

    /// A worker got an attempt of `id`. How late it is, at the least, and whether it lapsed before.
    pub(crate) fn handed_out(
        &mut self,
        id: u32,
        now: u64,
        given: &HandedOut,
    ) -> Result<(u64, bool), String> {
        let states = self.possible(id, now);
        // Of several the latest: nobody says that it was late.
        let due = states.iter().filter_map(|state| match state {
            State::Waiting { due } if due.least <= now => Some(*due),
            _ => None,
        });
        let due = due.max_by_key(|due| due.most);
        let record = self.record(id);
        let is_its = record.scheduled
            && record.is_next(given.attempt)
            && record.context == given.context
            && OPERATIONS[operation_of(id)] == given.operation;
        let Some(due) = due.filter(|_| is_its && given.token > record.token) else {
            return Err(format!("handed out {given:?}, from {states:?} of {record:?}"));
        };
        let ran = |state: &State| matches!(state, State::Running { .. });
        let lapsed = record.states.iter().all(ran);
        record.becomes(State::Running { until: now + given.lasts_ms, home: given.home });
        (record.attempt, record.token, record.untold) = (given.attempt, given.token, 0);
        Ok((now.saturating_sub(due.most), lapsed))
    }

    /// Whether the holder of `token` still holds the lease of `id`.
    pub(crate) fn hold(&self, id: u32, token: u64, now: u64) -> Hold {
        let Some(record) = self.records.get(&id).filter(|record| record.token == token) else {
            return Hold::Lost;
        };
        let lasts = |state: &State| match state {
            State::Running { until, home } => self.lapsed_at(*until, *home, now).is_none(),
            _ => false,
        };
        let is_open = |state: &State| matches!(state, State::Running { .. } | State::Unknown);
        if record.states.iter().all(lasts) {
            Hold::Live
        } else if record.states.iter().all(|state| *state == State::Unknown) {
            Hold::Unknown
        } else if record.states.iter().any(is_open) {
            Hold::Lapsed
        } else {
            Hold::Lost
        }
    }
}

fn admitted(now: u64, ask: &Ask, told: &Told) -> Option<State> {
    let Told::Admitted { lasts_ms, .. } = told else { return None };
    let state = State::Running { until: now + lasts_ms, home: ask.home };
    (*lasts_ms == ask.lease_ms).then_some(state)
}
