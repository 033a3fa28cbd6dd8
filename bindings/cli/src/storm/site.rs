//! The world around the engine: handlers that work and fail as planned, the ledger that they write
//! to, and the queue of deliveries.

use std::panic;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::ledger::{Commit, Ledger, Receipt};
use super::meter::{Execution, Meter};
use super::plan::{Delivery, End, Plan};
use crate::input::Line;

/// Everything that the clients of one storm share.
pub(crate) struct Site<'a> {
    /// What will happen.
    pub(crate) plan: &'a Plan,
    /// The requests.
    pub(crate) lines: &'a [Line],
    /// Where effects land.
    pub(crate) ledger: Ledger,
    start: Instant,
    next: AtomicUsize,
    open: AtomicUsize,
    again: (Sender<Message>, Receiver<Message>),
    requests: Vec<RequestState>,
}

/// What the site keeps of one request.
#[derive(Default)]
struct RequestState {
    executions: AtomicU32,
    released: AtomicBool,
    succeeded: AtomicBool,
    refusal: Mutex<Option<String>>,
}

/// What travels in the queue of deliveries that are sent again.
enum Message {
    Deliver(Delivery),
    Stop,
}

/// How an execution ended; a panic is the third way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Worked {
    /// What became of its effect.
    pub(crate) end: WorkEnd,
    /// Whether the client stopped waiting for it and sent its delivery again.
    pub(crate) left_alone: bool,
}

/// What became of an execution's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkEnd {
    /// The ledger took it.
    Committed(Receipt),
    /// The ledger refused it.
    Refused,
    /// The handler failed before it wrote anything.
    Failed,
}

/// What a planned panic carries, so that the hook and the client know it.
pub(crate) struct PlantedPanic;

/// What an execution is allowed: nothing is known of leases without coordination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant {
    /// The fencing token.
    pub(crate) token: u64,
    /// An instant that the lease lasts to at least.
    pub(crate) leased_until: Instant,
}

impl<'a> Site<'a> {
    /// A site before its first delivery.
    pub(crate) fn new(plan: &'a Plan, lines: &'a [Line]) -> Self {
        silence_planted_panics();
        Self {
            plan,
            lines,
            ledger: Ledger::new(plan.distinct()),
            start: Instant::now(),
            next: AtomicUsize::new(0),
            open: AtomicUsize::new(plan.deliveries()),
            again: unbounded(),
            requests: (0..plan.distinct()).map(|_| RequestState::default()).collect(),
        }
    }

    /// Time since the storm began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The next delivery to make; waits for one. `None` once every delivery has its final answer.
    pub(crate) fn next(&self) -> Option<Delivery> {
        let message = self.again.1.try_recv().ok().or_else(|| {
            // Relaxed: the counter only shares out places of a plan that no one changes.
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            self.plan.order.get(at).map(|&delivery| Message::Deliver(delivery))
        });
        // The site holds a sender itself, so the channel cannot be closed here.
        match message.or_else(|| self.again.1.recv().ok())? {
            Message::Deliver(delivery) => Some(delivery),
            Message::Stop => None,
        }
    }

    /// A delivery has its final answer. The last one sends every client home.
    pub(crate) fn settle(&self) {
        // AcqRel: whoever takes the count to zero has seen what the others did before they settled.
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            (0..self.plan.shape.clients).for_each(|_| self.send(Message::Stop));
        }
    }

    /// The request's first attempt was admitted: lines with another payload may now be delivered.
    pub(crate) fn release_conflicts(&self, request: u32) {
        // Relaxed: only the winner of the swap sends, and the channel orders what it sends.
        if !self.state(request).released.swap(true, Ordering::Relaxed) {
            for &delivery in &self.plan.held[request as usize] {
                self.send(Message::Deliver(delivery));
            }
        }
    }

    /// Whether a completion of this request was acknowledged.
    pub(crate) fn has_succeeded(&self, request: u32) -> bool {
        // Acquire, with the Release in `note_success`: seen here, the completion came before.
        self.state(request).succeeded.load(Ordering::Acquire)
    }

    /// A completion of this request was acknowledged.
    pub(crate) fn note_success(&self, request: u32) {
        self.state(request).succeeded.store(true, Ordering::Release);
    }

    /// The engine refused the request for good. The first reason is kept.
    pub(crate) fn note_refusal(&self, request: u32, reason: String) {
        let mut refusal =
            self.state(request).refusal.lock().unwrap_or_else(PoisonError::into_inner);
        refusal.get_or_insert(reason);
        drop(refusal);
        // Held deliveries would wait for ever for an admission that cannot come.
        self.release_conflicts(request);
    }

    /// Why the engine refused the request, if it did.
    pub(crate) fn refusal(&self, request: u32) -> Option<String> {
        self.state(request).refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs the handler once, as planned. The caller has opened the ledger.
    ///
    /// # Panics
    /// Where the plan says so, with a [`PlantedPanic`].
    pub(crate) fn work(
        &self,
        delivery: Delivery,
        grant: Option<Grant>,
        meter: &mut Meter,
    ) -> Worked {
        let start = self.elapsed();
        // Relaxed: the count only numbers executions; who gets which number does not matter.
        let execution = self.state(delivery.request).executions.fetch_add(1, Ordering::Relaxed);
        let fate = self.plan.fate(delivery.request, execution);
        thread::sleep(fate.work);
        let mut left_alone = false;
        let end = match fate.end {
            End::Fail => WorkEnd::Failed,
            End::Panic => {
                meter.counts.panicked += 1;
                self.log(delivery, start, grant, meter);
                panic::panic_any(PlantedPanic);
            }
            End::Commit => self.write(delivery, grant),
            End::Pause => {
                self.outlive_lease(delivery, start, fate.pause, meter);
                left_alone = true;
                self.write(delivery, grant)
            }
        };
        meter.counts.failed += u64::from(end == WorkEnd::Failed);
        self.log(delivery, start, grant, meter);
        Worked { end, left_alone }
    }

    /// Sleeps past the lease. When it is over, the client has waited long enough and delivers
    /// again; nobody tells the handler.
    fn outlive_lease(&self, delivery: Delivery, start: Duration, on: Duration, meter: &mut Meter) {
        let spent = self.elapsed() - start;
        thread::sleep(self.plan.shape.lease.saturating_sub(spent));
        meter.counts.paused += 1;
        meter.counts.resent += 1;
        self.send(Message::Deliver(delivery));
        thread::sleep(on);
    }

    fn write(&self, delivery: Delivery, grant: Option<Grant>) -> WorkEnd {
        let payload = self.lines[self.plan.payload_of(delivery) as usize].digest;
        let Some(grant) = grant else {
            return WorkEnd::Committed(self.ledger.commit_unfenced(delivery.request, payload));
        };
        match self.ledger.commit(delivery.request, grant.token, payload) {
            Commit::Accepted(receipt) => WorkEnd::Committed(receipt),
            Commit::Fenced | Commit::Duplicate => WorkEnd::Refused,
        }
    }

    fn log(&self, delivery: Delivery, start: Duration, grant: Option<Grant>, meter: &mut Meter) {
        let end = self.elapsed();
        let leased_until = grant.map_or(end, |grant| grant.leased_until.duration_since(self.start));
        let execution = Execution { request: delivery.request, start, end, leased_until };
        meter.executions.push(execution);
    }

    fn send(&self, message: Message) {
        self.again.0.send(message).expect("the site holds the receiver itself");
    }

    fn state(&self, request: u32) -> &RequestState {
        &self.requests[request as usize]
    }
}

/// Keeps planned panics off the screen, and only those.
fn silence_planted_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<PlantedPanic>() {
                previous(info);
            }
        }));
    });
}
