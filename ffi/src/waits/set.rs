//! A set: its waits, when each is to be looked at, and what is taken out of it.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

use oncegate::{Clock, Engine, ManualClock, PreciseClock};

use super::Completion;
use super::wait::{Answer, Asked, Looked, Shared, State, Wait};
use crate::begin::How;
use crate::bell::{give_up, left};
use crate::handles::{forks, no_child};
use crate::outcome::{pack, packed_len};
use crate::raw::{OutBytes, OutElements};
use crate::request::Parts;
use crate::status::{ONCEGATE_NOT_FOUND, ONCEGATE_TOO_MANY_WAITERS, Refusal};

/// What a set's handle stands for.
pub(crate) struct Waits {
    engine: Arc<Engine>,
    clock: Arc<dyn Clock>,
    /// Whether that clock moves by itself.
    runs: bool,
    shared: Arc<Shared>,
    /// Rings when the clock jumps.
    jump: Waker,
    plan: Mutex<Plan>,
    ids: AtomicU64,
    born: u64,
}

/// The waits of a set. Nothing else is locked under its lock.
#[derive(Default)]
struct Plan {
    waits: HashMap<u64, Planned>,
    /// When they are to be looked at, on the clock.
    dues: BTreeSet<(Duration, u64)>,
}

struct Planned {
    wait: Arc<Wait>,
    due: Option<Duration>,
}

/// The outputs of a call that takes answers.
pub(super) struct Taking {
    completions: OutElements<Completion>,
    buffer: OutBytes,
    count: usize,
}

/// What became of an answer.
enum Offered {
    Taken,
    /// There is none, or it is somebody else's.
    Nothing,
    /// Its outcome needs so many bytes.
    NoRoom(usize),
}

/// Wakes a set when a clock jumps, for as long as there is one.
struct Jump(Weak<Shared>);

impl Wake for Jump {
    fn wake(self: Arc<Self>) {
        if let Some(shared) = self.0.upgrade() {
            shared.bell.ring();
        }
    }
}

impl Waits {
    pub(super) fn open(engine: Arc<Engine>, manual: Option<ManualClock>) -> Result<Self, Refusal> {
        let runs = manual.is_none();
        let clock: Arc<dyn Clock> = match manual {
            Some(clock) => Arc::new(clock),
            None => Arc::new(PreciseClock),
        };
        let shared = Arc::new(Shared::new()?);
        let jump = Waker::from(Arc::new(Jump(Arc::downgrade(&shared))));
        let (plan, ids) = (Mutex::default(), AtomicU64::new(0));
        Ok(Self { engine, clock, runs, shared, jump, plan, ids, born: forks() })
    }

    /// Refuses a forked child: the waits are its parent's.
    pub(super) fn check_own(&self) -> Result<(), Refusal> {
        no_child("waits", self.born)
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.shared.bell.descriptor()
    }

    /// Has everybody leave who blocks on the set, or comes to it.
    pub(super) fn leave_all(&self) {
        if self.check_own().is_ok() {
            self.shared.bell.close();
        }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn submit(
        &self,
        parts: &Parts<'_>,
        how: &How,
        user_data: u64,
    ) -> Result<u64, Refusal> {
        let give_up = how.wait.map(|limit| self.clock.now().saturating_add(limit));
        let asked = Asked {
            engine: Arc::clone(&self.engine),
            clock: Arc::clone(&self.clock),
            request: parts.copied(),
            options: how.options,
            give_up,
        };
        // Relaxed: numbers only have to differ.
        let id = self.ids.fetch_add(1, Ordering::Relaxed) + 1;
        let wait = Arc::new(Wait::new(id, user_data, asked, &self.shared));
        // Whoever is told to look at it waits until it has been asked for.
        let mut state = wait.state();
        self.plan().insert(&wait)?;
        self.watch_clock();
        match wait.look(&mut state) {
            Ok(Looked::Waits(due)) => self.plan().look_at(id, due),
            Ok(Looked::Done) => wait.ready(),
            Err(refusal) => {
                *state = State::Over;
                self.plan().remove(id);
                return Err(refusal);
            }
        }
        drop(state);
        self.rest();
        Ok(id)
    }

    pub(super) fn cancel(&self, id: u64) -> Result<(), Refusal> {
        let not_found = || Refusal::new(ONCEGATE_NOT_FOUND, "id", "");
        let wait = self.plan().get(id).ok_or_else(not_found)?;
        let was_open = wait.end();
        self.plan().remove(id);
        if was_open { Ok(()) } else { Err(not_found()) }
    }

    pub(super) fn take(&self, timeout_ms: u64, mut taking: Taking) -> Result<usize, Refusal> {
        let give_up = give_up(timeout_ms);
        loop {
            self.shared.bell.check_open("waits")?;
            self.shared.bell.answer();
            self.watch_clock();
            let due = self.plan().take_due(self.clock.now());
            self.shared.ready().extend(due);
            let taken = self.take_ready(&mut taking);
            self.rest();
            match (taken, left(give_up)) {
                (Err(needed), _) => return Err(taking.too_small(needed)),
                (Ok(()), Some(left)) if taking.count == 0 => self.shared.bell.wait(left)?,
                _ => return Ok(taking.finish()),
            }
        }
    }

    /// Takes what is ready, as much as there is room for. An error is how much the first one needs.
    fn take_ready(&self, taking: &mut Taking) -> Result<(), usize> {
        while taking.count < taking.completions.len() {
            let Some(id) = self.shared.ready().pop_front() else { return Ok(()) };
            let Some(wait) = self.plan().get(id) else { continue };
            if let Offered::NoRoom(needed) = self.offer(&wait, taking) {
                self.shared.ready().push_front(id);
                self.shared.bell.ring();
                return if taking.count == 0 { Err(needed) } else { Ok(()) };
            }
        }
        if !self.shared.ready().is_empty() {
            self.shared.bell.ring();
        }
        Ok(())
    }

    /// Looks at a wait, and gives its answer to the caller, if there is one.
    fn offer(&self, wait: &Wait, taking: &mut Taking) -> Offered {
        let mut state = wait.state();
        wait.heard();
        wait.refresh(&mut state);
        match wait.look(&mut state) {
            Ok(Looked::Waits(due)) => {
                self.plan().look_at(wait.id, due);
                return Offered::Nothing;
            }
            Ok(Looked::Done) => {}
            Err(refusal) => *state = State::Answered(Answer::refused(&refusal)),
        }
        let State::Answered(answer) = &*state else { return Offered::Nothing };
        if let Some(needed) = taking.put(wait, answer) {
            return Offered::NoRoom(needed);
        }
        *state = State::Over;
        self.plan().remove(wait.id);
        Offered::Taken
    }

    /// Asks a clock that jumps to ring then. Before the time is read.
    fn watch_clock(&self) {
        self.clock.wake_on_jump(&self.jump);
    }

    /// Sets the descriptor to when the next wait is to be looked at. A clock that does not run by
    /// itself rings when it jumps; where it did so before the wait was planned, this does.
    fn rest(&self) {
        self.shared.bell.rest(|| self.plan().first_due().filter(|_| self.runs));
        let is_due = || self.plan().first_due().is_some_and(|due| due <= self.clock.now());
        if !self.runs && is_due() {
            self.shared.bell.ring();
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let waits = std::mem::take(&mut self.plan().waits);
        if self.check_own().is_err() {
            // Threads of the parent's may have been in the midst of changing them.
            std::mem::forget(waits);
            return;
        }
        waits.into_values().for_each(|planned| _ = planned.wait.end());
    }
}

impl Plan {
    fn insert(&mut self, wait: &Arc<Wait>) -> Result<(), Refusal> {
        if self.waits.len() >= MOST_WAITS {
            let detail = format!("found {}; limit: {MOST_WAITS}", self.waits.len());
            return Err(Refusal::new(ONCEGATE_TOO_MANY_WAITERS, "waits", detail));
        }
        self.waits.insert(wait.id, Planned { wait: Arc::clone(wait), due: None });
        Ok(())
    }

    fn get(&self, id: u64) -> Option<Arc<Wait>> {
        self.waits.get(&id).map(|planned| Arc::clone(&planned.wait))
    }

    /// Has it looked at when `due` comes, instead of when it was to be before.
    fn look_at(&mut self, id: u64, due: Option<Duration>) {
        let Some(planned) = self.waits.get_mut(&id) else { return };
        if let Some(before) = std::mem::replace(&mut planned.due, due) {
            self.dues.remove(&(before, id));
        }
        self.dues.extend(due.map(|due| (due, id)));
    }

    fn remove(&mut self, id: u64) {
        self.look_at(id, None);
        self.waits.remove(&id);
    }

    /// Those whose time has come.
    fn take_due(&mut self, now: Duration) -> Vec<u64> {
        let mut due = Vec::new();
        while let Some(&(at, id)) = self.dues.first()
            && at <= now
        {
            due.push(id);
            self.look_at(id, None);
        }
        due
    }

    fn first_due(&self) -> Option<Duration> {
        self.dues.first().map(|(at, _)| *at)
    }
}

impl Taking {
    pub(super) fn new(completions: OutElements<Completion>, buffer: OutBytes) -> Self {
        Self { completions, buffer, count: 0 }
    }

    /// Writes an answer. `Some`, with nothing written: so much room is needed.
    fn put(&mut self, wait: &Wait, answer: &Answer) -> Option<usize> {
        let mut admission = answer.told;
        if let Some(outcome) = &answer.outcome {
            match pack(outcome, &mut self.buffer) {
                Some(stored) => admission.outcome = stored,
                None => return Some(packed_len(outcome)),
            }
        }
        let completion = Completion { id: wait.id, user_data: wait.user_data, admission };
        self.completions.set(self.count, completion);
        self.count += 1;
        None
    }

    fn too_small(self, needed: usize) -> Refusal {
        self.buffer.too_small(needed)
    }

    fn finish(self) -> usize {
        let written = self.buffer.len();
        self.buffer.finish(written);
        self.count
    }
}

/// Waits of a set.
const MOST_WAITS: usize = 65_536;

#[cfg(test)]
mod tests;
