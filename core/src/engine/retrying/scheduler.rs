//! The scheduler of one process: what is due when, and who waits for it.
//!
//! It is an index, made of what the entries and the records say, and never the truth: whoever takes
//! a record out of it asks the record. What is filed too early is filed again; what is missing is
//! found when the entries change, which the region counts for all.
//!
//! Whoever schedules something changes the region and counts the change, and files it himself where
//! the index is free; he waits for a lock where somebody sleeps who may have to be woken, or where
//! his attempt was handed out here and its place is another's now.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::behind::{Behind, Changes};
use super::oldest::Oldest;
use super::ready::{Due, Ready};
use super::reconcile::Doubt;
use super::stuck::UnderWay;
use super::upkeep::Upkeep;
use crate::retry::wheel::raw::{Fate, Wheel};
use crate::sync::planted::Bug;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock, try_lock};

/// What one process knows of the records that are retried.
pub(in super::super) struct Scheduler {
    index: Mutex<Index>,
    sleepers: Mutex<Sleepers>,
    /// How many there are: where nobody sleeps, nobody has to be woken.
    asleep: AtomicU64,
}

/// What is due when, what is ready, and what runs.
pub(super) struct Index {
    wheel: Wheel,
    pub(super) ready: Ready,
    /// By entry: for when it is filed, with [`READY`] once it is among what is ready; zero: it is
    /// neither.
    filed: Vec<u64>,
    /// The mark that each entry was put into the wheel with last: what has another one there was
    /// filed anew since.
    marks: Vec<u8>,
    /// How many of them are in the wheel, each once, and whether a sweep of it is under way.
    in_wheel: usize,
    sweeps: bool,
    pub(super) behind: Behind,
    /// Attempts that this process has handed out, by entry.
    running: FxHashMap<usize, Running>,
    /// How many of each operation.
    in_flight: FxHashMap<u32, usize>,
    /// How long attempts of each operation have taken of late, in milliseconds.
    expected: FxHashMap<u32, f64>,
    /// Records that nobody knows the effect of, by slot.
    doubts: FxHashMap<usize, Doubt>,
    pub(super) under_way: UnderWay,
    pub(super) upkeep: Upkeep,
    pub(super) oldest: Oldest,
}

/// An attempt that was handed out.
#[derive(Clone, Copy, Debug)]
struct Running {
    fence: u64,
    operation: u32,
    began_ms: u64,
}

/// Who waits for something to be due.
#[derive(Default)]
struct Sleepers {
    waiting: VecDeque<Sleeper>,
    tickets: u64,
}

struct Sleeper {
    ticket: u64,
    waker: Waker,
    kind: Kind,
    /// When it looks by itself, in the region's time; `u64::MAX`: it never does.
    until_ms: u64,
}

/// Who sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A thread that takes attempts, and can sleep until a time.
    Worker,
    /// A future that takes one, and cannot.
    Future,
    /// Whoever looks after what is due, and takes nothing.
    Driver,
}

impl Scheduler {
    pub(in super::super) fn new() -> Self {
        let asleep = AtomicU64::new(0);
        Self { index: Mutex::new(Index::new()), sleepers: Mutex::default(), asleep }
    }

    /// Changes who sleeps.
    fn change<T>(&self, change: impl FnOnce(&mut Sleepers) -> T) -> T {
        let mut sleepers = lock(&self.sleepers);
        let changed = change(&mut sleepers);
        // Relaxed: published by the read-modify-write of the count of changes that whoever goes to
        // sleep makes after it (see `Engine::will_hear`), and whoever has something to tell before
        // he reads this.
        self.asleep.store(sleepers.waiting.len() as u64, Ordering::Relaxed);
        changed
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }

    /// The index, unless somebody is at it.
    pub(super) fn free_index(&self) -> Option<MutexGuard<'_, Index>> {
        try_lock(&self.index)
    }

    /// Queues somebody who is about to look, and is then woken when there may be something for him.
    pub(super) fn enter(&self, waker: Waker, kind: Kind) -> u64 {
        self.change(|sleepers| {
            sleepers.tickets += 1;
            let ticket = sleepers.tickets;
            sleepers.waiting.push_back(Sleeper { ticket, waker, kind, until_ms: u64::MAX });
            ticket
        })
    }

    /// Notes until when the owner of `ticket` sleeps. False: it was woken meanwhile.
    pub(super) fn plan(&self, ticket: u64, until_ms: u64) -> bool {
        let mut sleepers = lock(&self.sleepers);
        let mine = sleepers.waiting.iter_mut().find(|sleeper| sleeper.ticket == ticket);
        mine.map(|mine| mine.until_ms = until_ms).is_some()
    }

    /// Takes somebody out. False: he was woken.
    pub(super) fn leave(&self, ticket: u64) -> bool {
        self.change(|sleepers| {
            let at = sleepers.waiting.iter().position(|sleeper| sleeper.ticket == ticket);
            at.map(|at| sleepers.waiting.remove(at)).is_some()
        })
    }

    /// The waker of somebody who is queued, for when he is polled with another.
    pub(super) fn renew(&self, ticket: u64, waker: &Waker) -> bool {
        let mut sleepers = lock(&self.sleepers);
        let mine = sleepers.waiting.iter_mut().find(|sleeper| sleeper.ticket == ticket);
        mine.map(|mine| mine.waker.clone_from(waker)).is_some()
    }

    /// Wakes the one that waits the longest. It looks what there is, and wakes the next if there is
    /// more.
    pub(in super::super) fn wake_one(&self) {
        let first = self.change(|sleepers| sleepers.waiting.pop_front());
        if let Some(first) = first {
            first.waker.wake();
        }
    }

    /// Wakes all threads that take attempts.
    pub(in super::super) fn wake_workers(&self) {
        let woken: VecDeque<Sleeper> = self.change(|sleepers| {
            let all = sleepers.waiting.drain(..);
            let (out, keep) = all.partition(|sleeper| sleeper.kind == Kind::Worker);
            sleepers.waiting = keep;
            out
        });
        woken.into_iter().for_each(|sleeper| sleeper.waker.wake());
    }

    /// Wakes the one that waits the longest of those who take attempts, and do not only look after
    /// them. False: there is none.
    pub(super) fn wake_worker(&self) -> bool {
        let first = self.change(|sleepers| {
            let at = sleepers.waiting.iter().position(|sleeper| sleeper.kind != Kind::Driver);
            at.and_then(|at| sleepers.waiting.remove(at))
        });
        first.map(|first| first.waker.wake()).is_some()
    }

    /// Something is due at `due_ms`, and it is `now_ms`: somebody has to look by then. The caller
    /// has counted a change before.
    pub(in super::super) fn tell(&self, due_ms: u64, now_ms: u64) {
        // Relaxed: see `change`.
        if self.asleep.load(Ordering::Relaxed) == 0 || Bug::WorkersNotWoken.is_planted() {
            return;
        }
        let told = self.change(|sleepers| {
            let waiting = &mut sleepers.waiting;
            let first = |is: fn(&Sleeper) -> bool| waiting.iter().position(is);
            let at = if due_ms <= now_ms {
                first(|sleeper| sleeper.kind != Kind::Driver).or_else(|| first(|_| true))
            } else if waiting.iter().any(|sleeper| sleeper.until_ms <= due_ms) {
                None
            } else {
                first(|sleeper| sleeper.kind != Kind::Future)
            };
            at.and_then(|at| waiting.remove(at))
        });
        if let Some(told) = told {
            told.waker.wake();
        }
    }

    /// Every entry is looked at anew.
    pub(in super::super) fn forget_seen(&self) {
        self.index().behind.forget();
    }

    /// When somebody looks at the latest, of those who wait here; `None`: nobody does.
    pub(in super::super) fn looks_by(&self) -> Option<u64> {
        lock(&self.sleepers).waiting.iter().map(|sleeper| sleeper.until_ms).min()
    }
}

/// A place among the sleepers of a thread that looks what there is. A panic of a clock, or of a
/// hook, gives it back, and what its owner was woken for is another's.
pub(super) struct Seat<'s> {
    scheduler: &'s Scheduler,
    pub(super) ticket: u64,
}

impl<'s> Seat<'s> {
    pub(super) fn take(scheduler: &'s Scheduler, waker: Waker, kind: Kind) -> Self {
        Self { scheduler, ticket: scheduler.enter(waker, kind) }
    }

    /// False: its owner was woken.
    pub(super) fn leave(self) -> bool {
        let (scheduler, ticket) = (self.scheduler, self.ticket);
        std::mem::forget(self);
        scheduler.leave(ticket)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if !self.scheduler.leave(self.ticket) {
            self.scheduler.wake_one();
        }
    }
}

impl Index {
    fn new() -> Self {
        Self {
            wheel: Wheel::new(0),
            ready: Ready::default(),
            filed: Vec::new(),
            marks: Vec::new(),
            in_wheel: 0,
            sweeps: false,
            behind: Behind::default(),
            running: FxHashMap::default(),
            in_flight: FxHashMap::default(),
            expected: FxHashMap::default(),
            doubts: FxHashMap::default(),
            under_way: UnderWay::default(),
            upkeep: Upkeep::default(),
            oldest: Oldest::default(),
        }
    }

    /// Notes that entry `index` is to be looked at when it is `due_ms`.
    pub(super) fn file(&mut self, index: usize, due_ms: u64) {
        let Some(filed) = self.filed.get_mut(index) else { return };
        // In a file that was damaged it may be any.
        let due_ms = due_ms.clamp(1, READY - 1);
        // What is ready for this very time is looked at when its turn comes.
        if *filed & !READY != due_ms || Bug::ReadyFiledAgain.is_planted() {
            self.in_wheel += usize::from(!is_in_wheel(*filed));
            *filed = due_ms;
            let mark = &mut self.marks[index];
            *mark = mark.wrapping_add(1);
            // Entries are numbered below 2^28.
            self.wheel.insert_raw(index as u32, *mark, due_ms);
            self.sweep_wheel();
        }
    }

    /// Files entry `index` for `due_ms`, by what somebody has read of it after it was taken out. If
    /// it was filed meanwhile, by whoever changed it since, that stands.
    pub(super) fn file_again(&mut self, index: usize, due_ms: u64) {
        if !self.is_filed(index) || Bug::StaleLookFiled.is_planted() {
            self.file(index, due_ms);
        }
    }

    /// What is filed anew stays in the wheel as it was before, until its time: a lease that may
    /// last a day, and ends after a second. So all of it is swept whenever there is twice as much
    /// as is filed, a few steps with each one that is filed.
    fn sweep_wheel(&mut self) {
        self.sweeps |= self.wheel.entries() > 2 * self.in_wheel + SLACK;
        if !self.sweeps || Bug::WheelUnswept.is_planted() {
            return;
        }
        let (filed, marks) = (&self.filed, &self.marks);
        let ended = self.wheel.sweep(SWEEP_STEPS, |entry| {
            let at = entry.id as usize;
            let stays = is_in_wheel(filed[at]) && marks[at] == entry.tag;
            if stays { Fate::Stays } else { Fate::Goes }
        });
        self.sweeps = !ended;
    }

    /// Whether entry `index` is to be looked at some time.
    pub(super) fn is_filed(&self, index: usize) -> bool {
        self.filed.get(index).is_some_and(|filed| *filed != 0)
    }

    /// The next entry whose time has come, as long as there is some of `left`. What was filed anew
    /// for another time is left out.
    pub(super) fn next_due(&mut self, now_ms: u64, left: &mut usize) -> Option<Due> {
        loop {
            let entry = self.wheel.next(now_ms, left, |_| {})?;
            let (number, at) = (entry.id, entry.id as usize);
            let Some(filed) = self.filed.get_mut(at) else { continue };
            if !is_in_wheel(*filed) || self.marks[at] != entry.tag {
                continue;
            }
            if *filed > self.wheel.cursor() {
                // It has the same mark as one of many times before.
                continue;
            }
            if *filed > now_ms {
                // Another thread has told the wheel a later time, and takes it.
                self.wheel.insert_raw(number, entry.tag, *filed);
                return None;
            }
            self.in_wheel -= 1;
            let due_ms = std::mem::take(filed);
            return Some(Due { due_ms, index: number });
        }
    }

    /// Entry `index` is ready no more: somebody else has run it.
    pub(super) fn unready(&mut self, index: usize) {
        if let Some(filed) = self.filed.get_mut(index).filter(|filed| **filed & READY != 0) {
            *filed = 0;
        }
    }

    /// How many entries are ready, as far as is known, and since when the first of them is due.
    /// Reads a word for each entry that there may be.
    pub(super) fn waiting(&self) -> (usize, Option<u64>) {
        let ready = self.filed.iter().filter(|filed| **filed & READY != 0);
        (ready.clone().count(), ready.map(|filed| *filed & !READY).min())
    }

    /// Puts an entry among what is ready, that was filed for `due`.
    pub(super) fn ripe(&mut self, operation: u32, scope: u32, due: Due) {
        // Another thread may have filed it meanwhile, for this time or for another.
        if let Some(filed) = self.filed.get_mut(due.index as usize)
            && (*filed == 0 || *filed == due.due_ms)
        {
            self.in_wheel -= usize::from(is_in_wheel(*filed));
            *filed = due.due_ms | READY;
        }
        self.ready.push(operation, scope, due);
    }

    /// Files entry `index` for `due_ms`, which the caller has just changed it to: that was
    /// `change`. Not if others before it have to be looked at, or if somebody has looked at it
    /// meanwhile, and it may have changed again: then the next look finds it.
    pub(super) fn file_own(&mut self, index: usize, due_ms: u64, change: u64) {
        if self.behind.take_own(change) || Bug::OwnFiledLate.is_planted() {
            self.file(index, due_ms);
        }
    }

    /// When something has to be looked at next, at the latest.
    pub(super) fn first_due_ms(&self) -> Option<u64> {
        self.wheel.next_due().into_iter().chain(self.next_doubt_ms()).min()
    }

    /// When somebody has to be asked about a record that is unknown.
    pub(super) fn next_doubt_ms(&self) -> Option<u64> {
        self.doubts.values().map(Doubt::ask_ms).min()
    }

    /// Takes in what has changed about `entries` since the last call.
    pub(super) fn take_in(&mut self, entries: usize, changes: &impl Changes) {
        // One more than there are, for the upkeep.
        if self.filed.len() != entries + 1 {
            // Not `resize`: pages that are asked for as zeros cost nothing before they are used.
            (self.filed, self.marks) = (vec![0; entries + 1], vec![0; entries + 1]);
        }
        self.behind.take_in(entries, changes);
    }

    /// Notes that the attempt `fence` of entry `index` was handed out.
    pub(super) fn started(&mut self, index: usize, fence: u64, operation: u32, now_ms: u64) {
        self.ended(index, now_ms, |_| true);
        self.running.insert(index, Running { fence, operation, began_ms: now_ms });
        *self.in_flight.entry(operation).or_default() += 1;
    }

    /// Whether an attempt of entry `index` was handed out here, and is not known to have ended.
    pub(super) fn runs(&self, index: usize) -> bool {
        self.running.contains_key(&index)
    }

    /// Notes that the attempt of entry `index` that this process handed out has ended, if its token
    /// `is_over`. True: it has.
    pub(super) fn ended(
        &mut self,
        index: usize,
        now_ms: u64,
        is_over: impl Fn(u64) -> bool,
    ) -> bool {
        let Some(running) = self.running.get(&index).copied() else { return false };
        if !is_over(running.fence) || Bug::PermitLeaked.is_planted() {
            return false;
        }
        self.running.remove(&index);
        let took_ms = now_ms.saturating_sub(running.began_ms) as f64;
        let expected = self.expected.entry(running.operation).or_insert(took_ms);
        *expected += (took_ms - *expected) * NEWEST_COUNTS;
        if self.expected.len() > MOST_EXPECTED {
            self.expected.clear();
        }
        if let Some(count) = self.in_flight.get_mut(&running.operation) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(&running.operation);
            }
        }
        true
    }

    /// Notes that the record in `slot` is unknown. Of more than [`MOST_DOUBTS`] those are forgotten
    /// that were asked about the most often in vain, until the sweep finds them again.
    pub(super) fn doubt(&mut self, slot: usize, fence: u64, now_ms: u64) {
        if self.doubts.get(&slot).is_some_and(|doubt| doubt.is_of(fence)) {
            return;
        }
        if self.doubts.len() >= MOST_DOUBTS && !Bug::DoubtsStarved.is_planted() {
            let asked = self.doubts.iter().max_by_key(|(slot, doubt)| (doubt.pause_ms(), **slot));
            let asked = asked.filter(|(_, doubt)| doubt.was_asked()).map(|(slot, _)| *slot);
            asked.and_then(|slot| self.doubts.remove(&slot));
        }
        if self.doubts.len() < MOST_DOUBTS {
            self.doubts.insert(slot, Doubt::new(fence, now_ms));
        }
    }

    /// The record that is to be asked about first, if its time has come.
    pub(super) fn next_doubt(&mut self, now_ms: u64) -> Option<(usize, Doubt)> {
        let (slot, doubt) =
            self.doubts.iter().min_by_key(|(slot, doubt)| (doubt.ask_ms(), **slot))?;
        let (slot, doubt) = (*slot, *doubt);
        (doubt.ask_ms() <= now_ms).then(|| {
            self.doubts.remove(&slot);
            (slot, doubt)
        })
    }

    /// Nobody knows it yet.
    pub(super) fn doubt_again(&mut self, slot: usize, doubt: Doubt, now_ms: u64) {
        self.doubts.insert(slot, doubt.later(now_ms));
    }

    /// Attempts of which it is not known here that they have ended: their entries, and tokens.
    pub(super) fn running(&self) -> Vec<(usize, u64)> {
        self.running.iter().map(|(index, running)| (*index, running.fence)).collect()
    }

    /// When the attempt `fence` of entry `index` was handed out here, if it was.
    pub(super) fn began(&self, index: usize, fence: u64) -> Option<u64> {
        let running = self.running.get(&index).filter(|running| running.fence == fence);
        running.map(|running| running.began_ms)
    }

    /// How long an attempt of `operation` is expected to take, as those before it did.
    pub(super) fn expected(&self, operation: u32) -> Option<Duration> {
        self.expected.get(&operation).map(|ms| Duration::from_millis(*ms as u64))
    }

    /// Notes that an attempt of `operation` was refused by how long those before it took, which
    /// would have to end within `total_ms` with all that comes before it: the next ones are
    /// expected to be shorter.
    pub(super) fn expect_less(&mut self, operation: u32, total_ms: u64) {
        if let Some(expected) = self.expected.get_mut(&operation)
            && !Bug::RefusalsRepeat.is_planted()
        {
            *expected = expected.min(total_ms as f64) * EACH_REFUSAL_LEAVES;
        }
    }

    /// The record whose turn it is, of an operation that `may_run`, which is told how many of its
    /// attempts run here.
    pub(super) fn pop(&mut self, may_run: impl Fn(u32, usize) -> bool) -> Option<(u32, Due)> {
        let Self { ready, in_flight, filed, .. } = self;
        let count = |operation: u32| in_flight.get(&operation).copied().unwrap_or(0);
        let popped = ready.pop(|operation| may_run(operation, count(operation)));
        if let Some((_, due)) = popped
            && let Some(filed) = filed.get_mut(due.index as usize)
            && *filed == due.due_ms | READY
        {
            *filed = 0;
        }
        popped
    }

    /// How many attempts run here.
    pub(super) fn in_flight(&self) -> usize {
        self.running.len()
    }
}

/// Whether an entry of which `filed` is noted lies in the wheel.
fn is_in_wheel(filed: u64) -> bool {
    filed != 0 && filed & READY == 0
}

/// So little in the wheel is no reason to sweep it.
const SLACK: usize = 1_024;
/// How much of it is looked at with each entry that is filed.
const SWEEP_STEPS: usize = 8;
/// Marks an entry that is among what is ready. No time is as late.
const READY: u64 = 1 << 63;
/// By how much the newest attempt counts in the expected duration: as in the estimate of round
/// trips of TCP (Jacobson 1988).
const NEWEST_COUNTS: f64 = 0.125;
/// What each attempt that is refused for it leaves of the expected duration: a few refusals, and
/// one is tried, of which is learnt how long they take now.
const EACH_REFUSAL_LEAVES: f64 = 0.75;
/// How many unknown records are kept in mind.
const MOST_DOUBTS: usize = 1_024;
/// For how many operations durations are kept.
const MOST_EXPECTED: usize = 4_096;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
