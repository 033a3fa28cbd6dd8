//! The contenders: the engine, and queues with the payload beside them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::future::poll_fn;
use std::hint::black_box;
use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;

use oncegate::{
    Admission, Attempt, AttemptError, BackoffPolicy, BeginOptions, Engine, EngineBuilder, Jitter,
    Lease, ManualClock, OperationSettings, Outcome, Prepared, RetryContext, RetryPolicy, Scope,
};
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

use super::super::prepared;
use super::super::timers::Paused;
use super::{Contender, PHASES, timed};
use crate::rng::Rng;

/// The engine, on a clock that stands still until it is moved.
pub(super) struct Ours {
    engine: Engine,
    clock: ManualClock,
    next: u64,
}

impl Ours {
    /// With so many records waiting for longer than all rounds take, and room for so many more.
    pub(super) fn open(waiting: usize, more: usize) -> Self {
        let clock = ManualClock::new();
        let builder = builder(waiting + waiting / 4 + 4 * more, waiting + waiting / 4 + 4_096);
        let engine = builder.clock(clock.clone()).build().expect("a valid configuration");
        for (operation, ms, jitter) in [
            (OTHERS, SPAN_MS, Jitter::Equal),
            (BATCH, 1_000, Jitter::Full),
            (SOON, 1, Jitter::None),
        ] {
            let backoff = BackoffPolicy::constant(Duration::from_millis(ms)).jitter(jitter);
            let settings = OperationSettings::new().policy(RetryPolicy::new(backoff));
            engine.set_operation(operation, settings).expect("valid settings");
        }
        let ours = Self { engine, clock, next: waiting as u64 };
        (0..waiting as u64).for_each(|number| later(ours.lease(number), OTHERS));
        // What was put off is filed at the next look, which is nobody's here.
        assert!(ours.engine.next_attempt(Duration::ZERO).expect("not forked").is_none());
        ours
    }

    fn prepared(&self, number: u64) -> Prepared<'static> {
        prepared(&self.engine, Scope::single_tenant(), number)
    }

    fn lease(&self, number: u64) -> Lease<'_> {
        let begun = self.engine.begin_prepared(&self.prepared(number), &BeginOptions::new());
        match begun.expect("room") {
            Admission::Admitted(lease) => lease,
            other => panic!("a new request was answered {other:?}"),
        }
    }

    fn attempt(&self) -> Attempt<'_> {
        self.engine.next_attempt(Duration::ZERO).expect("not forked").expect("it is due")
    }

    /// Puts attempts off until they are due.
    fn due(&self, numbers: std::ops::Range<u64>) {
        numbers.for_each(|number| later(self.lease(number), BATCH));
        self.clock.advance(Duration::from_secs(1));
    }
}

impl Contender for Ours {
    fn name(&self) -> &'static str {
        "oncegate"
    }

    fn round(&mut self, batch: usize) -> [Option<f64>; PHASES] {
        let outcome = Outcome::new(200, [7; 16]);
        let first = self.next;
        let range = |nth: u64| first + nth * batch as u64..first + (nth + 1) * batch as u64;
        self.next = range(2).end;
        let leases: Vec<_> = range(0).map(|number| self.lease(number)).collect();
        let put_off = timed(batch, || leases.into_iter().for_each(|lease| later(lease, BATCH)));
        let asked: Vec<_> = range(0).map(|number| self.prepared(number)).collect();
        let (options, mut buffer) = (BeginOptions::new(), Outcome::default());
        let early = timed(batch, || {
            for prepared in &asked {
                let answer = self.engine.begin_into(prepared, &options, &mut buffer);
                assert!(matches!(answer, Ok(Admission::Scheduled { .. })), "{answer:?}");
            }
        });
        self.clock.advance(Duration::from_secs(1));
        let mut attempts = Vec::with_capacity(batch);
        let next = timed(batch, || attempts.extend((0..batch).map(|_| self.attempt())));
        let complete = timed(batch, || {
            for attempt in attempts.drain(..) {
                attempt.into_lease().complete(&outcome).expect("held");
            }
        });
        let leases: Vec<_> = range(1).map(|number| self.lease(number)).collect();
        let turn = timed(batch, || {
            for lease in leases {
                later(lease, SOON);
                self.clock.advance(Duration::from_millis(1));
                self.attempt().into_lease().complete(&outcome).expect("held");
            }
        });
        self.due(range(2));
        let mut attempts: Vec<_> = (0..batch).map(|_| self.attempt()).collect();
        let step = timed(batch, || {
            for attempt in &mut attempts {
                let step = attempt.lease_mut().step("charge", || Ok::<_, ()>(vec![7; 16]));
                black_box(step.expect("room").result().expect("it runs"));
            }
        });
        for attempt in attempts {
            attempt.into_lease().complete(&outcome).expect("held");
        }
        [put_off, early, next, complete, turn, step].map(Some)
    }
}

/// An engine for so many records, of which so many may wait at a time.
pub(super) fn builder(records: usize, retrying: usize) -> EngineBuilder {
    Engine::builder()
        .capacity(records)
        .outcome_limit(64)
        .context_limit(64)
        .steps_limit(64)
        .max_retrying(retrying)
        .max_dead_letters(64)
        // Twice what all journals may take, and some more for outcomes.
        .outcome_bytes(retrying * 2_560 + (64 << 20))
        .lease_duration(Duration::from_secs(3_600))
        .jitter_seed(1)
        .prefault(true)
}

/// Puts an attempt off.
pub(super) fn later(lease: Lease<'_>, operation: &str) {
    let (error, context) = (AttemptError::new("503"), RetryContext::new(operation, &PAYLOAD));
    let _ = lease.retry_later(&error, &context).expect("room");
}

/// Keeps numbers until they are due.
pub(super) trait Delays {
    const NAME: &'static str;
    type Handle;

    fn open() -> Self;
    fn put(&mut self, number: u64, due_ms: u64) -> Self::Handle;
    fn go_on(&mut self, to_ms: u64);
    /// The next one that is due.
    fn take(&mut self) -> u64;
    /// The same for many.
    fn take_all(&mut self, count: usize, mut each: impl FnMut(u64)) {
        (0..count).for_each(|_| each(self.take()));
    }
}

/// Such a queue with the payloads of what waits and what runs, behind one lock.
pub(super) struct Queue<D: Delays> {
    inner: Mutex<Inner<D>>,
    now_ms: u64,
    next: u64,
}

struct Inner<D: Delays> {
    delays: D,
    waiting: HashMap<u64, (D::Handle, Vec<u8>)>,
    running: HashMap<u64, Vec<u8>>,
}

impl<D: Delays> Inner<D> {
    fn later(&mut self, number: u64, due_ms: u64) {
        let handle = self.delays.put(number, due_ms);
        self.waiting.insert(number, (handle, PAYLOAD.to_vec()));
    }

    fn started(&mut self, number: u64) {
        let (_, payload) = self.waiting.remove(&number).expect("it waits");
        self.running.insert(number, payload);
    }
}

impl<D: Delays> Queue<D> {
    pub(super) fn open(waiting: usize) -> Self {
        let (delays, mut rng) = (D::open(), Rng::new(1));
        let mut inner = Inner { delays, waiting: HashMap::new(), running: HashMap::new() };
        for number in 0..waiting as u64 {
            inner.later(number, SPAN_MS / 2 + rng.below(SPAN_MS / 2));
        }
        Self { inner: Mutex::new(inner), now_ms: 0, next: waiting as u64 }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner<D>) -> T) -> T {
        act(&mut self.inner.lock().expect("no panic"))
    }

    fn go_on(&mut self, ms: u64) {
        self.now_ms += ms;
        self.inner.get_mut().expect("no panic").delays.go_on(self.now_ms);
    }
}

impl<D: Delays> Contender for Queue<D> {
    fn name(&self) -> &'static str {
        D::NAME
    }

    fn round(&mut self, batch: usize) -> [Option<f64>; PHASES] {
        let (first, second) = (self.next, self.next + batch as u64);
        self.next = second + batch as u64;
        let (mut rng, now_ms) = (Rng::new(first), self.now_ms);
        let later = timed(batch, || {
            for number in first..second {
                let due_ms = now_ms + 1 + rng.below(1_000);
                self.with(|inner| inner.later(number, due_ms));
            }
        });
        let early = timed(batch, || {
            for number in first..second {
                assert!(self.with(|inner| inner.waiting.contains_key(&number)));
            }
        });
        self.go_on(1_001);
        let mut taken = Vec::with_capacity(batch);
        let next = timed(batch, || {
            self.with(|inner| inner.delays.take_all(batch, |number| taken.push(number)));
            for &number in &taken {
                self.with(|inner| inner.started(number));
            }
        });
        let complete = timed(batch, || {
            for number in taken {
                assert!(self.with(|inner| inner.running.remove(&number)).is_some());
            }
        });
        let turn = timed(batch, || {
            for number in second..second + batch as u64 {
                let due_ms = self.now_ms + 1;
                self.with(|inner| inner.later(number, due_ms));
                self.go_on(1);
                let taken = self.with(|inner| {
                    let taken = inner.delays.take();
                    inner.started(taken);
                    taken
                });
                assert!(self.with(|inner| inner.running.remove(&taken)).is_some());
            }
        });
        [Some(later), Some(early), Some(next), Some(complete), Some(turn), None]
    }
}

/// A binary heap.
pub(super) struct Heap {
    heap: BinaryHeap<Reverse<(u64, u64)>>,
    now_ms: u64,
}

impl Delays for Heap {
    const NAME: &'static str = "BinaryHeap and HashMap in a Mutex";
    type Handle = ();

    fn open() -> Self {
        Self { heap: BinaryHeap::new(), now_ms: 0 }
    }

    fn put(&mut self, number: u64, due_ms: u64) {
        self.heap.push(Reverse((due_ms, number)));
    }

    fn go_on(&mut self, to_ms: u64) {
        self.now_ms = to_ms;
    }

    fn take(&mut self) -> u64 {
        let Reverse((due_ms, number)) = self.heap.pop().expect("something waits");
        assert!(due_ms <= self.now_ms, "it is due");
        number
    }
}

/// `DelayQueue` of tokio-util. What is due is taken in one go where there are many, so that
/// entering the runtime is not counted for each.
pub(super) struct TokioQueue {
    paused: Paused,
    queue: DelayQueue<u64>,
}

impl Delays for TokioQueue {
    const NAME: &'static str = "DelayQueue and HashMap in a Mutex";
    type Handle = Key;

    fn open() -> Self {
        Self { paused: Paused::new(), queue: DelayQueue::new() }
    }

    fn put(&mut self, number: u64, due_ms: u64) -> Key {
        let _entered = self.paused.runtime.enter();
        self.queue.insert_at(number, self.paused.at(due_ms))
    }

    fn go_on(&mut self, to_ms: u64) {
        self.paused.go_on(to_ms);
    }

    fn take(&mut self) -> u64 {
        let mut taken = 0;
        self.take_all(1, |number| taken = number);
        taken
    }

    fn take_all(&mut self, count: usize, mut each: impl FnMut(u64)) {
        let queue = &mut self.queue;
        let all = async {
            for _ in 0..count {
                let expired = poll_fn(|context| match queue.poll_expired(context) {
                    Poll::Ready(Some(expired)) => Poll::Ready(expired.into_inner()),
                    Poll::Ready(None) => panic!("something waits"),
                    Poll::Pending => Poll::Pending,
                });
                each(expired.await);
            }
        };
        self.paused.runtime.block_on(tokio::task::unconstrained(all));
    }
}

/// What is needed to run a record again.
const PAYLOAD: [u8; 64] = [7; 64];
const OTHERS: &str = "others";
const BATCH: &str = "batch";
const SOON: &str = "soon";
/// Others are due after half an hour to an hour: later than all rounds.
const SPAN_MS: u64 = 3_600_000;
