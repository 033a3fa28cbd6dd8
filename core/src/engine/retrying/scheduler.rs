//! The scheduler of one process: what is due when, and who waits for it.
//!
//! It is an index, made of what the entries and the records say, and never the truth: whoever takes
//! a record out of it asks the record. Whatever is filed too early is filed again; whatever is
//! missing is found when the entries change, which each process counts for all.

use std::collections::{BTreeSet, VecDeque};
use std::task::Waker;

use super::ready::{Due, Ready};
use crate::sync::{Mutex, MutexGuard, lock};

/// What one process knows of the records that are retried.
pub(in super::super) struct Scheduler {
    index: Mutex<Index>,
    workers: Mutex<Workers>,
}

/// What is due when.
#[derive(Default)]
pub(super) struct Index {
    timers: BTreeSet<Due>,
    pub(super) ready: Ready,
    /// By entry: for when it is filed; zero: it is not.
    filed: Vec<u64>,
    /// How often each block of entries had changed when it was looked at.
    seen: Vec<u64>,
    seen_in_all: Option<u64>,
}

/// Who waits for something to do.
#[derive(Default)]
struct Workers {
    waiting: VecDeque<(u64, Waker)>,
    tickets: u64,
}

impl Scheduler {
    pub(in super::super) fn new() -> Self {
        Self { index: Mutex::default(), workers: Mutex::default() }
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }

    /// Queues a worker, to be woken when there may be something for it.
    pub(super) fn enter(&self, waker: Waker) -> u64 {
        let mut workers = lock(&self.workers);
        workers.tickets += 1;
        let ticket = workers.tickets;
        workers.waiting.push_back((ticket, waker));
        ticket
    }

    /// Takes a worker out. False: it was woken.
    pub(super) fn leave(&self, ticket: u64) -> bool {
        let mut workers = lock(&self.workers);
        let at = workers.waiting.iter().position(|(other, _)| *other == ticket);
        at.map(|at| workers.waiting.remove(at)).is_some()
    }

    /// Wakes the worker that waits the longest. It looks what there is, and wakes the next if there
    /// is more.
    pub(super) fn wake_one(&self) {
        let first = lock(&self.workers).waiting.pop_front();
        if let Some((_, waker)) = first {
            waker.wake();
        }
    }
}

impl Index {
    /// Notes that entry `index` is to be looked at when it is `due_ms`.
    pub(super) fn file(&mut self, index: usize, due_ms: u64) {
        let Some(filed) = self.filed.get_mut(index) else { return };
        let Ok(number) = u32::try_from(index) else { return };
        if *filed != due_ms {
            *filed = due_ms;
            self.timers.insert(Due { due_ms, index: number });
        }
    }

    /// The next entry whose time has come. Entries that were filed anew meanwhile are left out.
    pub(super) fn next_due(&mut self, now_ms: u64) -> Option<Due> {
        loop {
            let first = *self.timers.first()?;
            if first.due_ms > now_ms {
                return None;
            }
            self.timers.remove(&first);
            let filed = self.filed.get_mut(first.index as usize)?;
            if *filed == first.due_ms {
                *filed = 0;
                return Some(first);
            }
        }
    }

    /// When it has to be looked at next.
    pub(super) fn first_due_ms(&self) -> Option<u64> {
        self.timers.first().map(|due| due.due_ms)
    }

    /// Which blocks of entries have changed since the last call, of `blocks`; `entries` in all.
    pub(super) fn changed(
        &mut self,
        in_all: u64,
        blocks: usize,
        entries: usize,
        count: impl Fn(usize) -> u64,
    ) -> Vec<usize> {
        if self.seen_in_all == Some(in_all) {
            return Vec::new();
        }
        self.filed.resize(entries, 0);
        let first = self.seen_in_all.is_none();
        self.seen.resize(blocks, 0);
        self.seen_in_all = Some(in_all);
        let mut changed = Vec::new();
        for (block, seen) in self.seen.iter_mut().enumerate() {
            let now = count(block);
            if *seen != now || first {
                *seen = now;
                changed.push(block);
            }
        }
        changed
    }
}
