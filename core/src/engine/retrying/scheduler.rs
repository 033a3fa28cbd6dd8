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
use super::ready::{Due, Ready};
use super::reconcile::Doubt;
use super::stuck::UnderWay;
use crate::retry::wheel::raw::Wheel;
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
    pub(super) fn wake_one(&self) {
        let first = self.change(|sleepers| sleepers.waiting.pop_front());
        if let Some(first) = first {
            first.waker.wake();
        }
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

impl Index {
    fn new() -> Self {
        Self {
            wheel: Wheel::new(0),
            ready: Ready::default(),
            filed: Vec::new(),
            behind: Behind::default(),
            running: FxHashMap::default(),
            in_flight: FxHashMap::default(),
            expected: FxHashMap::default(),
            doubts: FxHashMap::default(),
            under_way: UnderWay::default(),
        }
    }

    /// Notes that entry `index` is to be looked at when it is `due_ms`.
    pub(super) fn file(&mut self, index: usize, due_ms: u64) {
        let Some(filed) = self.filed.get_mut(index) else { return };
        // What is ready for this very time is looked at when its turn comes.
        if *filed & !READY != due_ms || Bug::ReadyFiledAgain.is_planted() {
            *filed = due_ms;
            // Entries are numbered below 2^28.
            self.wheel.insert_raw(index as u32, 0, due_ms);
        }
    }

    /// Whether entry `index` is to be looked at some time.
    pub(super) fn is_filed(&self, index: usize) -> bool {
        self.filed.get(index).is_some_and(|filed| *filed != 0)
    }

    /// The next entry whose time has come, as long as there is some of `left`. What was filed anew
    /// for another time is left out.
    pub(super) fn next_due(&mut self, now_ms: u64, left: &mut usize) -> Option<Due> {
        loop {
            let number = self.wheel.next(now_ms, left, |_| {})?.id;
            let Some(filed) = self.filed.get_mut(number as usize) else { continue };
            // A mark makes it later than any time.
            if *filed != 0 && *filed <= now_ms {
                let due_ms = std::mem::take(filed);
                return Some(Due { due_ms, index: number });
            }
        }
    }

    /// Puts an entry among what is ready, that was filed for `due`.
    pub(super) fn ripe(&mut self, operation: u32, scope: u32, due: Due) {
        // Another thread may have filed it meanwhile, for this time or for another.
        if let Some(filed) = self.filed.get_mut(due.index as usize)
            && (*filed == 0 || *filed == due.due_ms)
        {
            *filed = due.due_ms | READY;
        }
        self.ready.push(operation, scope, due);
    }

    /// Files entry `index` for `due_ms`, which the caller has just changed it to: that was `change`.
    /// Not if others before it have to be looked at, or if somebody has looked at it meanwhile, and
    /// it may have changed again: then the next look finds it.
    pub(super) fn file_own(&mut self, index: usize, due_ms: u64, change: u64) {
        if self.behind.take_own(change) || Bug::OwnFiledLate.is_planted() {
            self.file(index, due_ms);
        }
    }

    /// When something has to be looked at next, at the latest.
    pub(super) fn first_due_ms(&self) -> Option<u64> {
        let doubt = self.doubts.values().map(Doubt::ask_ms).min();
        self.wheel.next_due().into_iter().chain(doubt).min()
    }

    /// Takes in what has changed about `entries` since the last call.
    pub(super) fn take_in(&mut self, entries: usize, changes: &impl Changes) {
        // One more than there are, for the sweep.
        self.filed.resize(entries + 1, 0);
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

    /// Notes that the record in `slot` is unknown. Beyond some thousands the sweep finds it later.
    pub(super) fn doubt(&mut self, slot: usize, fence: u64, now_ms: u64) {
        let known = self.doubts.get(&slot).is_some_and(|doubt| doubt.is_of(fence));
        if !known && self.doubts.len() < MOST_DOUBTS {
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
mod tests {
    use super::*;

    struct Made(u64);

    impl Changes for Made {
        fn in_all(&self) -> u64 {
            self.0
        }

        fn of_block(&self, _block: usize) -> u64 {
            self.0
        }

        fn entry(&self, _change: u64) -> Option<usize> {
            Some(3)
        }
    }

    /// Goal: one who stalls before he files what he has changed puts nothing off that came since.
    /// Method: by hand; his change and the next one are looked at, and filed, before he goes on.
    #[test]
    fn who_stalls_files_nothing() {
        let mut index = Index::new();
        index.take_in(8, &Made(0));
        while index.behind.next().is_some() {}
        index.take_in(8, &Made(2));
        while index.behind.next().is_some() {}
        index.file(3, 1_000);
        index.file_own(3, 9_000, 0);
        assert_eq!(index.next_due(1_000, &mut 10), Some(Due { due_ms: 1_000, index: 3 }));
    }
}
