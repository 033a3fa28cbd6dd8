//! Possible: what may have become of a record since anybody was told of it.

use oncegate::{OnFull, OnLapse, OnLettersFull, Outcome};

use crate::model::{Model, operation_of};
use crate::record::{Finished, Home, Record, Span, State};

impl Model {
    /// When the lease of a record that runs lapsed, if it has by `now`.
    pub(crate) fn lapsed_at(&self, until: u64, home: Home, now: u64) -> Option<u64> {
        let died = home.and_then(|home| self.died.get(&home).copied());
        let at = died.map_or(until, |died| died.min(until));
        (at <= now).then_some(at)
    }

    /// What the record of `id` may be by now.
    pub(crate) fn possible(&self, id: u32, now: u64) -> Vec<State> {
        let Some(record) = self.records.get(&id) else { return vec![State::Absent] };
        let mut states = Vec::new();
        for state in &record.states {
            match state {
                State::Running { until, home } => {
                    states.push(state.clone());
                    if let Some(at) = self.lapsed_at(*until, *home, now) {
                        self.lapse(id, record, (at, *home), now, &mut states);
                    }
                }
                State::Waiting { due } => {
                    states.push(state.clone());
                    let kept = record.scheduled || record.journal;
                    if !kept && due.most.saturating_add(self.plan.window_ms) <= now {
                        states.push(State::Absent);
                    }
                }
                State::Finished(finished) => self.finish(finished, now, &mut states),
                State::Absent | State::Unknown => states.push(state.clone()),
            }
        }
        distinct(states)
    }

    /// A finished record goes when its window is over, and may go before where room is needed.
    fn finish(&self, finished: &Finished, now: u64, states: &mut Vec<State>) {
        let drops = self.plan.on_letters_full == OnLettersFull::DropOldest;
        if let Some(since) = finished.letter {
            states.push(State::Finished(finished.clone()));
            if drops {
                // It was the oldest when another one came.
                let ends = Span::new(since, now).after(self.plan.window_ms);
                let dropped = Finished { ends, letter: None, ..finished.clone() };
                self.finish(&dropped, now, states);
            }
            return;
        }
        if finished.ends.most > now {
            states.push(State::Finished(finished.clone()));
        }
        if finished.ends.least <= now || self.plan.on_full == OnFull::EvictLru {
            states.push(State::Absent);
        }
    }

    /// What may have become of a record whose lease lapsed at `at`.
    fn lapse(
        &self,
        id: u32,
        record: &Record,
        (at, home): (u64, Home),
        now: u64,
        states: &mut Vec<State>,
    ) {
        let noticed = Span::new(at, now);
        let mut fail = |status, ends, letter| {
            let outcome = Outcome::new(status, b"");
            let finished = Finished { outcome, ends, may_be_gone: false, letter };
            self.finish(&finished, now, states);
        };
        match record.lapse {
            OnLapse::Failed => fail(TIMED_OUT, noticed.after(self.plan.window_ms), None),
            OnLapse::Reclaim if record.scheduled => {
                // What the engine does on its own behalf fails as any attempt does.
                let failures: &[u16] =
                    if home.is_none() { &[TIMED_OUT, FAILED] } else { &[TIMED_OUT] };
                for status in failures {
                    fail(*status, Span::exactly(u64::MAX), Some(at));
                    let ends = Span::new(at + record.window.least, now + record.window.most);
                    fail(*status, ends, None);
                }
                let rhythm = &self.plan.rhythms[operation_of(id)];
                let due = Span::new(at + rhythm.least_ms, now + rhythm.most_ms);
                states.push(State::Waiting { due });
            }
            OnLapse::Reclaim => {
                if !record.journal && at + self.plan.window_ms <= now {
                    states.push(State::Absent);
                }
            }
            OnLapse::Unknown => states.push(State::Unknown),
        }
    }
}

impl Model {
    /// How long a retry of `id` is put off, at the least and at the most.
    pub(crate) fn delays_of(&self, id: u32) -> (u64, u64) {
        let rhythm = &self.plan.rhythms[operation_of(id)];
        (rhythm.least_ms, rhythm.most_ms)
    }

    /// Somebody asks for attempts of `id`: if one is due, and has no time left, it is given up,
    /// which takes an attempt, and nobody is told.
    pub(crate) fn may_be_late(&mut self, id: u32, now: u64) {
        let has_deadline = self.plan.rhythms[operation_of(id)].has_deadline;
        let due = |state: &State| matches!(state, State::Waiting { due } if due.least <= now);
        let is_due = has_deadline && self.possible(id, now).iter().any(due);
        let given_up = self.given_up(id, now);
        if let Some(record) = self.records.get_mut(&id)
            && is_due
            && record.scheduled
        {
            record.untold = record.untold.max(1);
            record.states.extend(given_up);
            record.states = distinct(std::mem::take(&mut record.states));
        }
    }

    /// What a record is that the engine gave up at `at` with an error of its own: a dead letter, or
    /// no more than failed.
    pub(crate) fn given_up(&self, id: u32, at: u64) -> Vec<State> {
        let Some(record) = self.records.get(&id) else { return Vec::new() };
        let window = Span::new(at + record.window.least, at + record.window.most);
        let finished = |ends, letter| {
            let outcome = Outcome::new(FAILED, b"");
            State::Finished(Finished { outcome, ends, may_be_gone: false, letter })
        };
        vec![finished(Span::exactly(u64::MAX), Some(at)), finished(window, None)]
    }
}

/// `states`, each once.
pub(crate) fn distinct(states: Vec<State>) -> Vec<State> {
    let mut distinct: Vec<State> = Vec::new();
    for state in states {
        if !distinct.contains(&state) {
            distinct.push(state);
        }
    }
    distinct
}

/// What a record answers that failed by the lapse of its last attempt, or otherwise.
const TIMED_OUT: u16 = 504;
const FAILED: u16 = 500;
