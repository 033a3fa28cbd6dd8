//! What the tests share: short names for engines, requests and leases.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use oncegate::{
    Admission, Engine, EngineBuilder, Lease, LeaseToken, ManualClock, Outcome, Payload, Request,
    Scope,
};

pub(crate) const LEASE: Duration = Duration::from_secs(30);
pub(crate) const WINDOW: Duration = Duration::from_secs(24 * 3600);

/// A small engine whose time stands still until it is moved.
pub(crate) fn engine() -> (Engine, ManualClock) {
    build(Engine::builder().capacity(1_000))
}

pub(crate) fn build(builder: EngineBuilder) -> (Engine, ManualClock) {
    let clock = ManualClock::new();
    let engine = builder
        .lease_duration(LEASE)
        .dedup_window(WINDOW)
        .clock(clock.clone())
        .build()
        .expect("a valid configuration");
    (engine, clock)
}

/// A request of one tenant for one operation.
pub(crate) fn request(key: &str) -> Request<'_> {
    Request::new(Scope::single_tenant(), "POST /charges", key).expect("a valid key")
}

pub(crate) fn paying<'a>(key: &'a str, body: &'a [u8]) -> Request<'a> {
    request(key).payload(Payload::json(body))
}

#[track_caller]
pub(crate) fn admitted<'e>(engine: &'e Engine, request: &Request<'_>) -> Lease<'e> {
    match engine.begin(request).expect("an answer") {
        Admission::Admitted(lease) => lease,
        other => panic!("not admitted: {other:?}"),
    }
}

/// Begins, and forgets the guard, as a holder does that crashes or hands its token on.
#[track_caller]
pub(crate) fn token(engine: &Engine, request: &Request<'_>) -> LeaseToken {
    admitted(engine, request).into_token()
}

#[track_caller]
pub(crate) fn replayed(engine: &Engine, request: &Request<'_>) -> Outcome {
    match engine.begin(request).expect("an answer") {
        Admission::Replayed(outcome) => outcome,
        other => panic!("not replayed: {other:?}"),
    }
}

pub(crate) fn done(body: &str) -> Outcome {
    Outcome::new(200, body)
}

/// Yields until so many callers wait. Bounded, so that a lost waiter fails the test.
#[track_caller]
pub(crate) fn until_waiting(engine: &Engine, waiters: u64) {
    until("waiters", || engine.stats().expect("not forked").waiters == waiters);
}

#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..20_000_000_u64 {
        if holds() {
            return;
        }
        std::thread::yield_now();
    }
    panic!("{what}: waited in vain");
}

/// A waker that counts its wake-ups.
#[derive(Default)]
pub(crate) struct Woken(AtomicUsize);

impl Woken {
    pub(crate) fn times(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// Polls once.
pub(crate) fn poll<F: Future>(future: Pin<&mut F>, woken: &Arc<Woken>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(woken))))
}
