//! The oracle: one record at a time, in plain sequential code.
//!
//! Housekeeping may notice a lapsed lease, or clear a record that is over, at any insertion, and
//! nobody is told. So the oracle keeps for each request the set of records that there may be. An
//! answer rules out those that would have answered otherwise; when none is left, the engine is
//! wrong.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use oncegate::{Completed, ErrorCode, OnDrop, OnLapse, Outcome, Status};

/// One record, as far as anybody can tell from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) state: State,
    pub(crate) attempt: u32,
    /// The fencing token of the latest attempt.
    pub(crate) token: u64,
    pub(crate) payload: usize,
    pub(crate) lapse: OnLapse,
    /// How many rotations of the secret had begun when it was made.
    pub(crate) era: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// `noticed`: somebody saw that the lease had lapsed; it can no longer be renewed.
    Running {
        until: u64,
        noticed: bool,
    },
    Waiting {
        due: u64,
    },
    /// Without an outcome its bytes are gone.
    Finished {
        success: bool,
        ends: u64,
        outcome: Option<Outcome>,
    },
    Unknown,
}

impl Hash for Record {
    /// By what tells most records apart.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.attempt, self.token, self.payload, self.place()).hash(hasher);
    }
}

impl Record {
    /// Where it is counted: running, waiting, succeeded, failed, unknown.
    fn place(&self) -> usize {
        match self.state {
            State::Running { .. } => 0,
            State::Waiting { .. } => 1,
            State::Finished { success: true, .. } => 2,
            State::Finished { success: false, .. } => 3,
            State::Unknown => 4,
        }
    }
}

/// What a call answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Admitted {
        attempt: u32,
        status: Status,
        remaining_ms: u64,
    },
    Replayed(Outcome),
    InProgress {
        attempt: u32,
        remaining_ms: u64,
    },
    Scheduled {
        next_attempt: u32,
        due_in_ms: u64,
    },
    Mismatched,
    Unresolved,
    OutcomeGone,
    Completed(Completed),
    Done,
    Refused(ErrorCode),
    /// A guard was dropped: nobody is told what came of it.
    Dropped,
}

/// What the engine was opened with. Durations are milliseconds, rounded up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) window: u64,
    pub(crate) on_drop: OnDrop,
    pub(crate) outcome_limit: usize,
}

/// One call of `begin`.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) payload: usize,
    pub(crate) lease: u64,
    pub(crate) lapse: OnLapse,
    /// The fencing token that the engine gave, where it admitted.
    pub(crate) token: u64,
    pub(crate) era: u32,
}

/// How a holder ends its attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Complete(Outcome),
    Terminal(Outcome),
    Retry { delay_us: Option<u64> },
    GiveUp,
    Renew { lease_us: u64 },
    Drop,
}

/// What a reconciler says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Succeeded(Outcome),
    Failed(Outcome),
    RunAgain,
}

/// What is there for a request: a record, or none.
pub(crate) type World = Option<Record>;

/// The records that there may be for each request.
pub(crate) struct Oracle {
    rules: Rules,
    worlds: HashMap<usize, Vec<World>>,
}

impl Oracle {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, worlds: HashMap::new() }
    }

    /// `begin` was answered with `answer`.
    pub(crate) fn begin(
        &mut self,
        key: usize,
        now: u64,
        ask: &Ask,
        answer: &Answer,
    ) -> Result<(), String> {
        let rules = self.rules.clone();
        self.step(key, answer, |world| begin(&rules, world, now, ask))?;
        if matches!(answer, Answer::Admitted { attempt: 1, .. }) {
            // Every insertion tends a little.
            self.housekeeping(now);
        }
        Ok(())
    }

    /// `begin` would have made a new record, and a quota refused it.
    pub(crate) fn refused(&mut self, key: usize, now: u64) -> Result<(), String> {
        let worlds = self.worlds.entry(key).or_insert_with(|| vec![None]);
        // What was over went before its successor was refused.
        if !worlds.iter().any(|world| world.is_none() || is_over(&self.rules, world, now)) {
            return Err(format!("request {key} was refused, from {worlds:?}"));
        }
        *worlds = vec![None];
        // Before a scope is refused its records that are over are looked for.
        self.housekeeping(now);
        Ok(())
    }

    /// Whether `key` has a record: for certain, and perhaps. One that is over may go at any time.
    pub(crate) fn has_record(&self, key: usize, now: u64) -> (bool, bool) {
        let Some(worlds) = self.worlds.get(&key) else { return (false, false) };
        let stays = |world: &World| world.is_some() && !is_over(&self.rules, world, now);
        (worlds.iter().all(stays), worlds.iter().any(Option::is_some))
    }

    /// The holder of `token` ended its attempt, and was answered with `answer`.
    pub(crate) fn end(
        &mut self,
        key: usize,
        now: u64,
        (token, window): (u64, u64),
        end: &End,
        answer: &Answer,
    ) -> Result<(), String> {
        let rules = self.rules.clone();
        self.step(key, answer, |world| self::end(&rules, world, now, (token, window), end))
    }

    /// `resolve` was answered with `answer`.
    pub(crate) fn resolve(
        &mut self,
        key: usize,
        now: u64,
        verdict: &Verdict,
        answer: &Answer,
    ) -> Result<(), String> {
        let rules = self.rules.clone();
        self.step(key, answer, |world| resolve(&rules, world, now, verdict))
    }

    /// Every record was swept; how many were cleared, and how many leases had lapsed.
    pub(crate) fn swept(&mut self, now: u64, cleared: usize, lapsed: usize) -> Result<(), String> {
        let rules = &self.rules;
        let (mut over, mut late) = ([0, 0], [0, 0]);
        for worlds in self.worlds.values_mut() {
            let count = |tells: &dyn Fn(&World) -> bool, range: &mut [usize; 2]| {
                range[0] += usize::from(worlds.iter().all(tells));
                range[1] += usize::from(worlds.iter().any(tells));
            };
            count(&|world| is_over(rules, world, now), &mut over);
            count(&|world| !is_over(rules, world, now) && is_late(world, now), &mut late);
            let after = worlds.drain(..).map(|world| tended(rules, world, now)).collect();
            *worlds = distinct(after);
        }
        let within = |found: usize, range: [usize; 2]| (range[0]..=range[1]).contains(&found);
        if within(cleared, over) && within(lapsed, late) {
            return Ok(());
        }
        Err(format!("swept {cleared} and {lapsed}, expected {over:?} and {late:?}"))
    }

    /// A rotation could be finished, or not: then a record is left from before `era`. Either way
    /// every record was swept.
    pub(crate) fn finished_rotation(
        &mut self,
        now: u64,
        era: u32,
        finished: bool,
    ) -> Result<(), String> {
        let rules = &self.rules;
        let is_left = |world: &World| world.as_ref().is_some_and(|record| record.era < era);
        for worlds in self.worlds.values_mut() {
            let after = worlds.drain(..).map(|world| tended(rules, world, now)).collect();
            *worlds = distinct(after);
        }
        if !finished {
            let left = self.worlds.values().flatten().any(is_left);
            return left.then_some(()).ok_or_else(|| "no record is left".to_owned());
        }
        for (key, worlds) in &mut self.worlds {
            worlds.retain(|world| !is_left(world));
            if worlds.is_empty() {
                return Err(format!("request {key} is left from before"));
            }
        }
        Ok(())
    }

    /// Some sets may have been swept.
    pub(crate) fn housekeeping(&mut self, now: u64) {
        let rules = &self.rules;
        for worlds in self.worlds.values_mut() {
            let tended = worlds.clone().into_iter().map(|world| tended(rules, world, now));
            *worlds = distinct(worlds.iter().cloned().chain(tended).collect());
        }
    }

    /// Fewest and most records in each state: running, waiting, succeeded, failed, unknown.
    pub(crate) fn live(&self) -> [(u64, u64); 5] {
        std::array::from_fn(|state| {
            let is_in =
                |world: &World| world.as_ref().is_some_and(|record| record.place() == state);
            let count = |tells: &dyn Fn(&Vec<World>) -> bool| {
                self.worlds.values().filter(|worlds| tells(worlds)).count() as u64
            };
            (count(&|worlds| worlds.iter().all(is_in)), count(&|worlds| worlds.iter().any(is_in)))
        })
    }

    /// The moments at which something may change for `key`.
    pub(crate) fn moments(&self, key: usize) -> Vec<u64> {
        let worlds = self.worlds.get(&key).into_iter().flatten().flatten();
        let mut moments: Vec<u64> = worlds
            .flat_map(|record| match record.state {
                State::Running { until: at, .. } | State::Waiting { due: at } => {
                    vec![at, at + self.rules.window]
                }
                State::Finished { ends, .. } => vec![ends],
                State::Unknown => vec![],
            })
            .collect();
        moments.sort_unstable();
        moments
    }

    /// Goes on with the worlds that give `answer`.
    fn step(
        &mut self,
        key: usize,
        answer: &Answer,
        call: impl Fn(World) -> (Answer, World),
    ) -> Result<(), String> {
        let worlds = self.worlds.entry(key).or_insert_with(|| vec![None]);
        let outcomes: Vec<(Answer, World)> = worlds.iter().cloned().map(call).collect();
        let possible =
            |(expected, _): &&(Answer, World)| expected == answer || *answer == Answer::Dropped;
        let next = outcomes.iter().filter(possible).map(|(_, world)| world.clone()).collect();
        let next: Vec<World> = distinct(next);
        if next.is_empty() {
            let expected: Vec<&Answer> = outcomes.iter().map(|(answer, _)| answer).collect();
            return Err(format!(
                "request {key}: expected {expected:?}, got {answer:?}, from {worlds:?}"
            ));
        }
        *worlds = next;
        Ok(())
    }
}

pub(crate) fn begin(rules: &Rules, world: World, now: u64, ask: &Ask) -> (Answer, World) {
    let admit = |attempt, status, payload, era| {
        let state = State::Running { until: now + ask.lease, noticed: false };
        let (token, lapse) = (ask.token, ask.lapse);
        let record = Record { state, attempt, token, payload, lapse, era };
        (Answer::Admitted { attempt, status, remaining_ms: ask.lease }, Some(record))
    };
    let over = is_over(rules, &world, now);
    let Some(record) = world.filter(|_| !over) else {
        let status = if over { Status::Expired } else { Status::Created };
        return admit(1, status, ask.payload, ask.era);
    };
    if record.payload != ask.payload {
        return (Answer::Mismatched, Some(record));
    }
    // Whoever asks notices a lapsed lease, and what follows from it.
    let record = noticed(rules, record, now);
    let (attempt, payload, era) = (record.attempt, record.payload, record.era);
    let answer = match &record.state {
        State::Running { noticed: true, .. } => {
            return admit(attempt + 1, Status::Expired, payload, era);
        }
        State::Running { until, .. } => Answer::InProgress { attempt, remaining_ms: until - now },
        State::Waiting { due } if *due <= now => {
            return admit(attempt + 1, Status::Retried, payload, era);
        }
        State::Waiting { due } => {
            Answer::Scheduled { next_attempt: attempt + 1, due_in_ms: due - now }
        }
        State::Finished { outcome: Some(outcome), .. } => Answer::Replayed(outcome.clone()),
        State::Finished { outcome: None, .. } => Answer::OutcomeGone,
        State::Unknown => Answer::Unresolved,
    };
    (answer, Some(record))
}

pub(crate) fn end(
    rules: &Rules,
    world: World,
    now: u64,
    (token, window): (u64, u64),
    end: &End,
) -> (Answer, World) {
    let fenced = Answer::Refused(ErrorCode::Fenced);
    let is_open = |record: &Record| matches!(record.state, State::Running { .. } | State::Unknown);
    let held = world.as_ref().is_some_and(|record| record.token == token && is_open(record));
    let Some(mut record) = world.clone().filter(|_| held) else {
        return (fenced, world);
    };
    let lost = matches!(record.state, State::Running { noticed: true, .. });
    let mut finish = |success, outcome: &Outcome| {
        let kept = kept(rules, outcome);
        let completed = match kept {
            Some(_) => Completed::Stored,
            None => Completed::WithoutBytes,
        };
        record.state = State::Finished { success, ends: now + window, outcome: kept };
        (completed, Some(record.clone()))
    };
    match end {
        End::Complete(outcome) => {
            let (completed, world) = finish(true, outcome);
            (Answer::Completed(completed), world)
        }
        End::Terminal(outcome) => (Answer::Done, finish(false, outcome).1),
        End::GiveUp => {
            record.state = State::Unknown;
            (Answer::Done, Some(record))
        }
        End::Retry { .. } | End::Renew { .. } if lost => (fenced, world),
        End::Retry { delay_us } => {
            record.state = State::Waiting { due: now + ms_up(delay_us.unwrap_or(0)) };
            (Answer::Done, Some(record))
        }
        End::Renew { .. } if record.state == State::Unknown => (fenced, world),
        End::Renew { lease_us } => {
            record.state = State::Running { until: now + ms_up(*lease_us), noticed: false };
            (Answer::Done, Some(record))
        }
        End::Drop => {
            let end = match rules.on_drop {
                OnDrop::Retry => End::Retry { delay_us: None },
                OnDrop::Unknown => End::GiveUp,
                OnDrop::Failed => End::Terminal(Outcome::new(500, [])),
                OnDrop::KeepLease => return (Answer::Done, world),
            };
            self::end(rules, world, now, (token, window), &end)
        }
    }
}

pub(crate) fn resolve(rules: &Rules, world: World, now: u64, verdict: &Verdict) -> (Answer, World) {
    let Some(mut record) = world.clone().filter(|record| record.state == State::Unknown) else {
        return (Answer::Refused(ErrorCode::NotFound), world);
    };
    let finished = |success, outcome: &Outcome| State::Finished {
        success,
        ends: now + rules.window,
        outcome: kept(rules, outcome),
    };
    record.state = match verdict {
        Verdict::Succeeded(outcome) => finished(true, outcome),
        Verdict::Failed(outcome) => finished(false, outcome),
        Verdict::RunAgain => State::Waiting { due: now },
    };
    (Answer::Done, Some(record))
}

/// What a sweep makes of a record.
fn tended(rules: &Rules, world: World, now: u64) -> World {
    let over = is_over(rules, &world, now);
    world.filter(|_| !over).map(|record| noticed(rules, record, now))
}

/// The record after somebody looked at its lease.
pub(crate) fn noticed(rules: &Rules, mut record: Record, now: u64) -> Record {
    let State::Running { until, noticed } = record.state else {
        return record;
    };
    if noticed || until <= now {
        record.state = match record.lapse {
            OnLapse::Reclaim => State::Running { until, noticed: true },
            OnLapse::Unknown => State::Unknown,
            OnLapse::Failed => {
                let outcome = Some(Outcome::new(504, []));
                State::Finished { success: false, ends: now + rules.window, outcome }
            }
        };
    }
    record
}

/// Whether the record's time is over. Leases and delays that nobody asks for stay one window.
pub(crate) fn is_over(rules: &Rules, world: &World, now: u64) -> bool {
    world.as_ref().is_some_and(|record| match record.state {
        State::Running { until, .. } => {
            record.lapse == OnLapse::Reclaim && until + rules.window <= now
        }
        State::Waiting { due } => due + rules.window <= now,
        State::Finished { ends, .. } => ends <= now,
        State::Unknown => false,
    })
}

pub(crate) fn is_late(world: &World, now: u64) -> bool {
    let state = world.as_ref().map(|record| &record.state);
    matches!(state, Some(State::Running { until, .. }) if *until <= now)
}

fn kept(rules: &Rules, outcome: &Outcome) -> Option<Outcome> {
    let metadata: usize =
        outcome.metadata().map(|(name, value)| 3 + name.len() + value.len()).sum();
    let prefix = if metadata == 0 { 0 } else { 8 };
    let size = outcome.body().len() + metadata + prefix;
    let withheld = *outcome == Outcome::withheld(outcome.status());
    (size <= rules.outcome_limit && !withheld).then(|| outcome.clone())
}

/// Nothing lasts shorter than asked.
pub(crate) fn ms_up(us: u64) -> u64 {
    us.div_ceil(1_000)
}

fn distinct(worlds: Vec<World>) -> Vec<World> {
    let mut distinct = Vec::new();
    for world in worlds {
        if !distinct.contains(&world) {
            distinct.push(world);
        }
    }
    distinct
}
