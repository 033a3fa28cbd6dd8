//! The sequential specification of one key: the oracle's, for calls that overlap.
//!
//! What a call may answer is `tests/oracle/model.rs`, unchanged. This file adds what is not told:
//!
//! - **The time.** A call reads the clock some time between its invocation and its return, and
//!   acts upon it later. So it may have any of the times that the clock showed in between. A time
//!   that lies outside is never accepted: nothing is over, lapsed or due before it is.
//! - **Housekeeping.** Whoever sweeps, or inserts another key, may clear a record that is over,
//!   and notice a lapsed lease, at any moment.
//! - **Room.** A finished record may vanish and stored bytes may go, only if the engine's counts
//!   say that this happened in the run at all. Running, waiting and unknown records never vanish
//!   (I6).
//!
//! Where the invariants are: one record at a time, with one attempt and one token, is I1; the
//! highest token, which outlives the record, is I2; the oracle's `Fenced` is I3; its finished
//! record, which answers the same bytes until its end, is I4; the attempt number and the due
//! time are I5.

use std::hash::{Hash, Hasher};

use oncegate::{Completed, ErrorCode, OnLapse, Status};

use crate::checker::Spec;
use crate::history::{Ask, Event, Patience, Terms};
use crate::spec::{self, Answer, Record, State, World};

/// The specification of one key in one run.
pub(crate) struct Model<'h> {
    terms: &'h Terms,
    /// The times that the clock showed, in their order.
    times: &'h [u64],
}

/// What may be there of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) world: World,
    /// The highest token that was given out.
    pub(crate) highest: u64,
    /// Whether there ever was a record.
    pub(crate) known: bool,
    /// Calls from before this stamp may not see the end of the lease or of the window yet.
    pub(crate) unsettled: u64,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.world, self.highest).hash(hasher);
    }
}

impl<'h> Model<'h> {
    pub(crate) fn new(terms: &'h Terms, times: &'h [u64]) -> Self {
        Self { terms, times }
    }

    fn times(&self, from: u64, to: u64) -> impl Iterator<Item = u64> {
        self.times.iter().copied().filter(move |time| (from..=to).contains(time))
    }

    /// What may be there after housekeeping, before `first` returns.
    fn kept(&self, key: &Key, first: &Event) -> Vec<Key> {
        let mut keys = vec![key.clone()];
        let mut at = 0;
        while at < keys.len() {
            for next in self.tended(&keys[at].clone(), first) {
                if !keys.contains(&next) {
                    keys.push(next);
                }
            }
            at += 1;
        }
        keys
    }

    /// One step of housekeeping.
    fn tended(&self, key: &Key, first: &Event) -> Vec<Key> {
        let Terms { rules, evicts, drops, .. } = self.terms;
        let (to, reach) = (first.to, first.reach);
        let Some(record) = &key.world else { return Vec::new() };
        let with = |state| Key { world: Some(Record { state, ..record.clone() }), ..key.clone() };
        let gone = || Key { world: None, ..key.clone() };
        let mut next = Vec::new();
        if spec::is_over(rules, &key.world, to) {
            next.push(gone());
        }
        match &record.state {
            State::Running { until, noticed } if *until <= to || *noticed => {
                // The lease is closed first; what follows from it may be decided later.
                next.push(with(State::Running { until: *until, noticed: true }));
                // The window of an attempt that failed so begins after that was decided.
                let failed = record.lapse == OnLapse::Failed;
                let latest = if failed { reach.to } else { to };
                for now in self.times(*until, latest) {
                    let world = Some(spec::noticed(rules, record.clone(), now));
                    let unsettled = if failed { reach.returned } else { 0 };
                    next.push(Key { world, unsettled, ..key.clone() });
                }
            }
            State::Finished { success, ends, outcome } => {
                if *evicts {
                    next.push(gone());
                }
                if *drops && outcome.is_some() {
                    let (success, ends) = (*success, *ends);
                    next.push(with(State::Finished { success, ends, outcome: None }));
                }
            }
            _ => {}
        }
        next
    }

    /// What others may see of `key` as long as the call that made it so has not returned: a
    /// window that has no end yet, a delay that is decided and not told, or a lease that was given
    /// to the winner of a takeover for the time being, the engine's own from some moment on.
    fn seen_unsettled(&self, key: &Key, event: &Event) -> Vec<World> {
        let Some(record) = key.world.as_ref().filter(|_| event.invoked < key.unsettled) else {
            return Vec::new();
        };
        let with = |state| Some(Record { state, ..record.clone() });
        match &record.state {
            State::Finished { success, outcome, .. } => {
                let (success, outcome) = (*success, outcome.clone());
                vec![with(State::Finished { success, ends: u64::MAX, outcome })]
            }
            // Not over before it says that it waits.
            State::Waiting { .. } => vec![with(State::Waiting { due: event.to })],
            State::Running { .. } if record.attempt > 1 => {
                let given = self.times.iter().map(|time| time + self.terms.lease);
                given.map(|until| with(State::Running { until, noticed: false })).collect()
            }
            _ => Vec::new(),
        }
    }

    /// `event` at the time `now`, if it gives the answer that was given.
    fn step(&self, world: &World, event: &Event, key: &Key, now: u64) -> Option<World> {
        let rules = &self.terms.rules;
        let (expected, mut after) = match &event.ask {
            Ask::Begin { payload, lease, lapse, patience } => {
                let refused = matches!(event.answer, Answer::Refused(_) | Answer::Dropped);
                if refused || !self.is_patient(*patience, event) {
                    return self.untold(world, event, *patience);
                }
                let token = event.grant.map_or(0, |grant| grant.token);
                let (payload, lease, lapse) = (*payload, *lease, *lapse);
                let ask = spec::Ask { payload, lease, lapse, token, era: 0 };
                spec::begin(rules, world.clone(), now, &ask)
            }
            Ask::End { token, window, how } => {
                spec::end(rules, world.clone(), now, (*token, *window), how)
            }
            Ask::Resolve(verdict) => spec::resolve(rules, world.clone(), now, verdict),
            Ask::LostTakeover => return self.lost_takeover(world, event.to, now),
        };
        let fits = match (&expected, &event.answer) {
            (_, Answer::Dropped) => true,
            (
                Answer::Admitted { attempt, status, .. },
                Answer::Admitted { attempt: told, status: why, .. },
            ) => {
                // Who met a record that was over, and found it cleared by somebody else, says
                // that it had expired.
                let cleared = key.known && *status == Status::Created && *why == Status::Expired;
                let grant = event.grant?;
                let until = State::Running { until: grant.until, noticed: false };
                attempt == told
                    && (status == why || cleared)
                    && grant.token > key.highest
                    && after.as_ref().is_some_and(|record| record.state == until)
            }
            (
                Answer::InProgress { attempt, remaining_ms },
                Answer::InProgress { attempt: told, remaining_ms: left },
            ) => attempt == told && self.is_left(now + remaining_ms, *left, event),
            (
                Answer::Scheduled { next_attempt, due_in_ms },
                Answer::Scheduled { next_attempt: told, due_in_ms: left },
            ) => next_attempt == told && self.is_left(now + due_in_ms, *left, event),
            (Answer::Completed(Completed::Stored), Answer::Completed(Completed::WithoutBytes)) => {
                drop_outcome(&mut after);
                self.terms.scarce
            }
            (expected, told) => expected == told,
        };
        fits.then_some(after)
    }

    /// Whether a caller that still was told "not yet" had waited for as long as it wanted.
    fn is_patient(&self, patience: Patience, event: &Event) -> bool {
        match (patience, &event.answer) {
            (Patience::Wait(limit), Answer::InProgress { .. } | Answer::Scheduled { .. }) => {
                event.to >= event.from + limit
            }
            (Patience::Join, Answer::InProgress { .. } | Answer::Scheduled { .. }) => false,
            _ => true,
        }
    }

    /// A `begin` that changed nothing, without an answer from the record.
    fn untold(&self, world: &World, event: &Event, patience: Patience) -> Option<World> {
        let fits = match event.answer {
            // A newcomer found no room: then no record of its own was there.
            Answer::Refused(code) => code == ErrorCode::Full && self.terms.fills && world.is_none(),
            Answer::Dropped => patience == Patience::Glance,
            _ => false,
        };
        fits.then(|| world.clone())
    }

    /// Whether `left` was told of a moment that is at `at`. It is counted from a later reading of
    /// the clock than the one that decided.
    fn is_left(&self, at: u64, left: u64, event: &Event) -> bool {
        self.times(event.from, event.to).any(|now| at.saturating_sub(now) == left)
    }

    /// An attempt that starts by the time `to`, and that nobody is told of. Its lease is the
    /// engine's own, from `met` on, when somebody met it.
    fn lost_takeover(&self, world: &World, to: u64, met: u64) -> Option<World> {
        let record = world.as_ref()?;
        let starts = match record.state {
            State::Running { noticed, .. } => noticed && record.lapse == OnLapse::Reclaim,
            State::Waiting { due } => due <= to,
            _ => false,
        };
        let until = met + self.terms.lease;
        let state = State::Running { until, noticed: false };
        let attempt = record.attempt + 1;
        let lost = Record { state, attempt, token: 0, lapse: OnLapse::Reclaim, ..record.clone() };
        starts.then_some(Some(lost))
    }
}

impl Spec for Model<'_> {
    type Call = Event;
    type State = Key;

    fn start(&self) -> Key {
        Key { world: None, highest: 0, known: false, unsettled: 0 }
    }

    fn after(&self, key: &Key, event: &Event, first: &Event) -> Vec<Key> {
        let mut after = Vec::new();
        let mut push = |key: Key| {
            if !after.contains(&key) {
                after.push(key);
            }
        };
        for key in self.kept(key, first) {
            let unsettled = self.seen_unsettled(&key, event);
            // Who meets an attempt that nobody is told of may do so later.
            let to = if event.ask == Ask::LostTakeover { u64::MAX } else { event.to };
            for now in self.times(event.from, to) {
                if let Some(world) = self.step(&key.world, event, &key, now) {
                    push(key.followed_by(world, event));
                }
                let seen =
                    |world: &World| self.step(world, event, &key, now).as_ref() == Some(world);
                if unsettled.iter().any(seen) {
                    push(key.clone());
                }
            }
        }
        after
    }
}

impl Key {
    /// After `event` left `world`.
    fn followed_by(&self, world: World, event: &Event) -> Self {
        let highest = event.grant.map_or(self.highest, |grant| grant.token);
        let known = self.known || world.is_some();
        let unsettled = if world == self.world { self.unsettled } else { event.returned };
        Self { world, highest, known, unsettled }
    }
}

fn drop_outcome(world: &mut World) {
    if let Some(Record { state: State::Finished { outcome, .. }, .. }) = world {
        *outcome = None;
    }
}
