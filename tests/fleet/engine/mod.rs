//! Engines that share a tier in memory, each with a table of its own: several hosts in one process.

mod answers;
mod basics;
mod doubts;
mod gone;
mod joining;
mod late;
mod late_ends;
mod late_grants;
mod left;
mod letters;
mod meanwhile;
mod outage;
mod outbox;
mod overtaken;
mod passed_on;
mod renewing;
mod retries;
mod shared_table;
mod slices;
mod told_soon;
mod told_twice;
mod untold;
mod waiting;
mod woken;

use std::sync::Arc;
use std::time::Duration;

use oncegate::tier::{Memory, OnOutage, TierOptions};
use oncegate::{
    Admission, Engine, EngineBuilder, Lease, ManualClock, Outcome, Payload, Request, Scope, Secret,
};

/// A store, its clock, which is that of all hosts, and the hosts.
pub(crate) struct Hosts {
    pub(crate) clock: ManualClock,
    pub(crate) memory: Memory,
    pub(crate) engines: Vec<Engine>,
    /// The way of each host to the store.
    pub(crate) links: Vec<Arc<Memory>>,
}

impl Hosts {
    pub(crate) fn new(count: usize) -> Self {
        Self::with(count, |builder| builder)
    }

    pub(crate) fn with(count: usize, set: impl Fn(EngineBuilder) -> EngineBuilder) -> Self {
        Self::sharing(count, |memory| memory, set)
    }

    /// Hosts that share a store as `store` makes it.
    pub(crate) fn sharing(
        count: usize,
        store: impl Fn(Memory) -> Memory,
        set: impl Fn(EngineBuilder) -> EngineBuilder,
    ) -> Self {
        let clock = ManualClock::new();
        let memory = store(Memory::with_clock(clock.clone()));
        let links: Vec<_> = (0..count).map(|_| Arc::new(memory.clone())).collect();
        let host = |link| set(host(&clock, link)).build().expect("opens");
        let engines = links.iter().map(host).collect();
        Self { clock, memory, engines, links }
    }
}

/// One more host.
pub(crate) fn host(clock: &ManualClock, link: &Arc<Memory>) -> EngineBuilder {
    Engine::builder()
        .capacity(1_000)
        .secret(Secret::from_bytes(&[7; 32]).expect("32 bytes"))
        .clock(clock.clone())
        .lease_duration(LEASE)
        .tier(Arc::clone(link))
        .tier_options(TierOptions::new().on_outage(OnOutage::Refuse))
}

pub(crate) fn request(key: &'static str) -> Request<'static> {
    let request = Request::new(Scope::new("acme").expect("short"), "POST /charges", key);
    request.expect("valid").payload(Payload::raw(b"100"))
}

/// The lease that `engine` gives for `request`.
#[track_caller]
pub(crate) fn admitted<'e>(engine: &'e Engine, request: &Request<'_>) -> Lease<'e> {
    match engine.begin(request).expect("an answer") {
        Admission::Admitted(lease) => lease,
        other => panic!("{other:?}"),
    }
}

/// Has `engine` join the store, and waits until it does nothing there by itself for a while.
pub(crate) fn prepare(engine: &Engine) {
    if let Admission::Admitted(lease) = engine.begin(&request("first")).expect("an answer") {
        lease.complete(&Outcome::new(200, b"")).expect("held");
    }
    engine.flush_tier(Duration::from_secs(10)).expect("the tier answers");
}

pub(crate) const LEASE: Duration = Duration::from_secs(30);
