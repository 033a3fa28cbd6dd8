//! What the runs have in common: deliveries that come when they come, threads that bring them, and
//! the downstream that all of them call.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::super::ledger::Receipt;
use super::super::plan::{Delivery, Plan};
use super::service::{Failed, Service};
use super::shape::Shape;

/// Everything that the threads of one run share.
pub(super) struct Town<'p> {
    pub(super) plan: &'p Plan,
    pub(super) shape: Shape,
    service: Mutex<Service>,
    start: Instant,
    /// The place of the plan that is delivered next.
    next: AtomicUsize,
    progress: Mutex<Progress>,
    is_over: AtomicBool,
}

/// What is done, and when it was.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// By request: when somebody first heard that it was done.
    pub(super) done: Vec<Option<Duration>>,
    /// Deliveries that nobody has to care about any more, and how they ended.
    pub(super) answered: u64,
    pub(super) given_up: u64,
    /// When the last of all that ended so far did.
    pub(super) last: Duration,
    /// Calls since they were looked at, and those of them that failed.
    calls: u64,
    failed: u64,
}

impl Progress {
    /// Whether every request is done.
    pub(super) fn is_whole(&self) -> bool {
        self.done.iter().all(Option::is_some)
    }
}

impl<'p> Town<'p> {
    pub(super) fn new(plan: &'p Plan, shape: Shape) -> Self {
        let done = vec![None; plan.distinct()];
        Self {
            plan,
            shape,
            service: Mutex::new(Service::new(shape, plan.distinct())),
            start: Instant::now(),
            next: AtomicUsize::new(0),
            progress: Mutex::new(Progress { done, ..Progress::default() }),
            is_over: AtomicBool::new(false),
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The instant at which so much time has passed.
    pub(super) fn sleep_until(&self, then: Duration) {
        thread::sleep(then.saturating_sub(self.elapsed()));
    }

    /// The next delivery, when it comes. `None`: there is none, or the storm is broken off.
    pub(super) fn next(&self) -> Option<Delivery> {
        // Relaxed: the counter only shares out places of a plan that no one changes.
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        let delivery = *self.plan.order.get(at)?;
        self.sleep_until(self.shape.comes_at(at, self.plan.order.len()));
        (!self.is_over()).then_some(delivery)
    }

    /// Calls the downstream: blocks until it answers, or for as long as the caller has patience.
    pub(super) fn call(&self, request: u32, token: Option<u64>) -> Result<Receipt, Failed> {
        let arrived = self.service().arrive(self.elapsed(), request, token);
        self.sleep_until(arrived.until);
        let answer = self.service().leave(self.elapsed(), arrived);
        let mut progress = self.progress();
        progress.calls += 1;
        progress.failed += u64::from(answer.is_err());
        answer
    }

    /// What share of the calls failed since this was asked last. `None`: there were none.
    pub(super) fn failing(&self) -> Option<f64> {
        let mut progress = self.progress();
        let Progress { calls, failed, .. } = *progress;
        (progress.calls, progress.failed) = (0, 0);
        (calls > 0).then(|| failed as f64 / calls as f64)
    }

    /// Somebody has heard that the request is done.
    pub(super) fn note_done(&self, request: u32) {
        let now = self.elapsed();
        let mut progress = self.progress();
        progress.done[request as usize].get_or_insert(now);
        progress.last = now;
    }

    /// A delivery needs nothing more: it was answered, or given up.
    pub(super) fn note_delivered(&self, is_answered: bool) {
        let now = self.elapsed();
        let mut progress = self.progress();
        if is_answered {
            progress.answered += 1;
        } else {
            progress.given_up += 1;
        }
        progress.last = now;
    }

    /// Whether every delivery has ended, and every request is done.
    pub(super) fn is_done(&self) -> bool {
        let progress = self.progress();
        let delivered = progress.answered + progress.given_up;
        delivered == self.plan.order.len() as u64 && progress.is_whole()
    }

    /// Whether the storm is over, or broken off.
    pub(super) fn is_over(&self) -> bool {
        // Relaxed: who sees it late does one thing more.
        self.is_over.load(Ordering::Relaxed) || self.elapsed() >= self.shape.horizon
    }

    pub(super) fn end(&self) {
        // Relaxed: see `is_over`.
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// What came of it, once every thread has gone home.
    pub(super) fn into_parts(self) -> (Service, Progress) {
        let progress = self.progress.into_inner().unwrap_or_else(PoisonError::into_inner);
        (self.service.into_inner().unwrap_or_else(PoisonError::into_inner), progress)
    }

    fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No code panics while it holds one of the two, so that a poisoned one is still sound.
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
