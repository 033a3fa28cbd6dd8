//! Jobs: attempts that somebody runs, over many events.

use std::cell::{Ref, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;

/// One attempt that is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    /// The request.
    pub(crate) id: u32,
    pub(crate) attempt: u32,
    pub(crate) token: u64,
    /// The process that runs it.
    pub(crate) node: usize,
    /// Whether it was paused beyond its lease.
    pub(crate) late: bool,
    /// How many steps it went already.
    pub(crate) actions: u32,
}

/// All that run, and those whose next step is to be planned.
#[derive(Default)]
pub(crate) struct List {
    jobs: BTreeMap<u32, Job>,
    begun: u32,
    /// Jobs to go on with, and in how many milliseconds.
    planned: Vec<(u32, u64)>,
}

/// The jobs of a simulation.
#[derive(Clone, Default)]
pub(crate) struct Jobs(Rc<RefCell<List>>);

impl Jobs {
    pub(crate) fn borrow(&self) -> Ref<'_, List> {
        self.0.borrow()
    }

    pub(crate) fn borrow_mut(&self) -> RefMut<'_, List> {
        self.0.borrow_mut()
    }
}

impl List {
    pub(crate) fn begin(&mut self, job: Job, in_ms: u64) -> u32 {
        self.begun += 1;
        self.jobs.insert(self.begun, job);
        self.plan(self.begun, in_ms);
        self.begun
    }

    pub(crate) fn get(&self, job: u32) -> Option<Job> {
        self.jobs.get(&job).copied()
    }

    pub(crate) fn change(&mut self, job: u32, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self.jobs.get_mut(&job) {
            change(job);
        }
    }

    pub(crate) fn end(&mut self, job: u32) {
        self.jobs.remove(&job);
    }

    /// `job` goes on in so many milliseconds.
    pub(crate) fn plan(&mut self, job: u32, in_ms: u64) {
        self.planned.push((job, in_ms));
    }

    pub(crate) fn take_planned(&mut self) -> Vec<(u32, u64)> {
        std::mem::take(&mut self.planned)
    }
}
