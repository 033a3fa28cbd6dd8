//! Records what a thread does: a stamp before each call and one after it, and what was told.
//!
//! All stamps come from one counter. Between a stamp and the call it belongs to there is no lock
//! and nothing that waits; each thread writes to a log of its own. The counter orders the calls:
//! whoever sees another's stamp also sees what that call did, as a caller would whom the other
//! had told about it.

use std::borrow::Borrow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use oncegate::{Admission, Engine, Error, Lease, LeaseToken, Outcome};

use crate::clock::HistoryClock;
use crate::history::{Ask, Event, Grant, Reach};
use crate::program::Another;
use crate::spec::Answer;

/// What the threads of one run share.
pub(crate) struct Stage {
    pub(crate) engine: Engine,
    /// On the same table, as if in another process.
    other: Option<Another>,
    pub(crate) clock: HistoryClock,
    stamps: AtomicU64,
    /// By key, the leases that were given out.
    given: Vec<Given>,
}

/// Leases in the order in which they were given, with the window that each has.
struct Given {
    count: AtomicUsize,
    slots: [OnceLock<(LeaseToken, u64)>; KEPT],
}

/// What one thread did.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Calls with their keys.
    pub(crate) events: Vec<(usize, Event)>,
    /// Calls that belong to no recorded key: when they were invoked, and how far they went.
    pub(crate) others: Vec<(u64, Reach)>,
    /// Times that this thread moved the clock to.
    pub(crate) times: Vec<u64>,
    /// What no order of the calls can explain: a panic, or an error that no call may give.
    pub(crate) broken: Option<String>,
}

impl Stage {
    pub(crate) fn new(
        engine: Engine,
        other: Option<Another>,
        clock: HistoryClock,
        keys: usize,
    ) -> Self {
        let given =
            |_| Given { count: AtomicUsize::new(0), slots: [const { OnceLock::new() }; KEPT] };
        let given = (0..keys).map(given).collect();
        Self { engine, other, clock, stamps: AtomicU64::new(0), given }
    }

    /// The engine that `thread` calls.
    pub(crate) fn engine_of(&self, thread: usize) -> &Engine {
        let other = self.other.as_ref().filter(|_| thread % 2 == 1);
        other.map_or(&self.engine, |other| &other.engine)
    }

    /// Lets every thread use the lease `token`.
    pub(crate) fn give(&self, key: usize, token: LeaseToken, window: u64) {
        let given = &self.given[key];
        // Relaxed: the slot publishes itself; the count only says which are worth a look.
        let at = given.count.fetch_add(1, Ordering::Relaxed);
        if let Some(slot) = given.slots.get(at) {
            let _ = slot.set((token, window));
        }
    }

    /// A lease that somebody got for `key`: half of the time the latest.
    pub(crate) fn given(&self, key: usize, which: u64) -> Option<(LeaseToken, u64)> {
        let given = &self.given[key];
        // Relaxed: see `give`.
        let count = given.count.load(Ordering::Relaxed).min(KEPT);
        let last = count.checked_sub(1)?;
        let at = if which.is_multiple_of(2) { last } else { (which / 2) as usize % count };
        given.slots[at].get().copied()
    }

    fn stamp(&self) -> u64 {
        // AcqRel: a call that was stamped before is visible to the one that is stamped next.
        self.stamps.fetch_add(1, Ordering::AcqRel)
    }
}

/// One thread at its recording.
pub(crate) struct Recorder<'s, 'l> {
    pub(crate) stage: &'s Stage,
    pub(crate) thread: usize,
    pub(crate) log: &'l mut Log,
}

impl<'s> Recorder<'s, '_> {
    /// Makes a call on `key`. `read` turns what came back into an answer, after the last stamp.
    pub(crate) fn call<R, T>(
        &mut self,
        key: usize,
        ask: Ask,
        call: impl FnOnce(&'s Engine) -> R,
        read: impl FnOnce(R) -> (Answer, Option<Grant>, T),
    ) -> T {
        let stage = self.stage;
        let from = stage.clock.ms();
        let invoked = stage.stamp();
        let result = call(stage.engine_of(self.thread));
        let returned = stage.stamp();
        let to = stage.clock.ms();
        let (answer, grant, rest) = read(result);
        let thread = self.thread;
        let reach = Reach { returned, to };
        let event = Event { thread, invoked, returned, from, to, reach, ask, answer, grant };
        self.log.events.push((key, event));
        rest
    }

    /// Makes a call that belongs to no recorded key.
    pub(crate) fn aside<R>(&mut self, call: impl FnOnce(&'s Engine) -> R) -> R {
        let invoked = self.stage.stamp();
        let result = call(self.stage.engine_of(self.thread));
        let reach = Reach { returned: self.stage.stamp(), to: self.stage.clock.ms() };
        self.log.others.push((invoked, reach));
        result
    }

    pub(crate) fn advance(&mut self, ms: u64) {
        let time = self.stage.clock.advance(ms);
        self.log.times.push(time);
    }
}

/// What `begin` told, and the lease that it gave.
pub(crate) fn admission<'e, O: Borrow<Outcome>>(
    begun: Result<Admission<'e, O>, Error>,
) -> (Answer, Option<Grant>, Option<Lease<'e>>) {
    let ms = |duration: std::time::Duration| duration.as_millis() as u64;
    let answer = match begun {
        Err(error) => Answer::Refused(error.code()),
        Ok(Admission::Admitted(lease)) => {
            let (attempt, status) = (lease.attempt(), lease.status());
            let token = lease.fencing_token().get();
            // The engine counts from one.
            let until = ms(lease.deadline()) + 1;
            let answer = Answer::Admitted { attempt, status, remaining_ms: 0 };
            return (answer, Some(Grant { token, until }), Some(lease));
        }
        Ok(Admission::Replayed(outcome)) => Answer::Replayed(outcome.borrow().clone()),
        Ok(Admission::InProgress { attempt, remaining }) => {
            Answer::InProgress { attempt, remaining_ms: ms(remaining) }
        }
        Ok(Admission::Scheduled { next_attempt, due_in }) => {
            Answer::Scheduled { next_attempt, due_in_ms: ms(due_in) }
        }
        Ok(Admission::Mismatched) => Answer::Mismatched,
        Ok(Admission::Unresolved) => Answer::Unresolved,
        Ok(Admission::OutcomeGone) => Answer::OutcomeGone,
    };
    (answer, None, None)
}

/// How many leases of one key are remembered.
const KEPT: usize = 64;
