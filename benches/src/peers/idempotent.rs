//! `idempotent`, with its store in memory: the nearest crate in purpose.
//!
//! One task owns a map, and every call sends it a message and awaits the answer. Here the calls
//! run in a task of the same single-threaded runtime, a thousand at a time: its fairest use, since
//! a call from another thread would wake that thread for every answer. It has fencing tokens,
//! leases and windows. It does not evict: old records are not removed, and not charged for.

use std::time::Duration;

use bytes::Bytes;
use idempotent::entry::ExistingEntry;
use idempotent::memory::MemoryStore;
use idempotent::{
    CachedResponse, FencingToken, Fingerprint, IdempotencyEntry, IdempotencyKey, IdempotencyStore,
    InsertResult, Metadata,
};
use tokio::runtime::Runtime;

use crate::contender::{BLOCK, Contender, Kind, Sample, Worker, fill_for, run};
use crate::key::{PeerKey, Text};
use crate::meter::{Meter, OneInEight, Untimed};
use crate::record::{LEASE, WINDOW};
use crate::store::{Begun, Store};
use crate::workloads::{NewKeys, Stream, Workload};

/// The store and its runtime.
pub struct IdempotentStore {
    runtime: Runtime,
    store: MemoryStore,
}

impl IdempotentStore {
    /// Claims a key. What its response holds is copied out.
    async fn claim(&self, key: &Text, into: &mut Bytes) -> Begun<Claim> {
        let text = String::from_utf8(key.owned()).expect("hexadecimal digits");
        let claimed = IdempotencyKey::new(text).expect("a valid key");
        let entry = IdempotencyEntry::new(PAYLOAD, LEASE);
        match self.store.try_insert(&claimed, entry).await.expect("the task runs") {
            InsertResult::Claimed { fencing_token } => {
                Begun::Created(Claim { key: claimed, fencing_token })
            }
            InsertResult::Exists(ExistingEntry::Completed(done)) => {
                *into = done.into_response().body;
                Begun::Replayed
            }
            InsertResult::Exists(_) => Begun::InFlight,
        }
    }

    async fn finish(&self, claim: Claim, outcome: &Bytes) {
        let response = CachedResponse::new(200, Metadata::new(), outcome.clone());
        let entry = IdempotencyEntry::new(PAYLOAD, LEASE).complete(response, WINDOW);
        let done = self.store.complete(&claim.key, entry, claim.fencing_token).await;
        done.expect("the task runs");
    }
}

/// A claimed key.
pub struct Claim {
    key: IdempotencyKey,
    fencing_token: FencingToken,
}

impl Store for IdempotentStore {
    type Key = Text;
    type Lease<'s> = Claim;
    type Outcome = Bytes;
    const NAME: &'static str = "idempotent";
    const BOUNDED: bool = false;
    const LOCKS: bool = true;
    const NOTE: &'static str = "One task owns the map: calls are messages to it. Does not \
        evict, and its old records are neither removed nor charged for.";
    const THREADS: usize = 1;

    fn open(_: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime");
        let builder = MemoryStore::builder().runtime(runtime.handle().clone());
        let store = builder.sweep_interval(Duration::from_secs(3_600)).try_build();
        Self { store: store.expect("a valid configuration"), runtime }
    }

    fn key(number: u64) -> Text {
        Text::of(number)
    }

    fn outcome(fill: u8) -> Bytes {
        Bytes::from(vec![fill; 64])
    }

    fn begin(&self, key: &Text, into: &mut Bytes) -> Begun<Claim> {
        self.runtime.block_on(self.claim(key, into))
    }

    fn complete(&self, lease: Claim, outcome: &Bytes) {
        self.runtime.block_on(self.finish(lease, outcome));
    }

    fn remove(&self, _: &Text) {}
}

/// The store at work inside its own runtime.
pub struct InItsRuntime<'w, W> {
    store: IdempotentStore,
    workload: &'w W,
    news: NewKeys,
}

impl<'w, W: Workload> InItsRuntime<'w, W> {
    /// Opens the store, and fills it as the workload wants.
    pub fn new(workload: &'w W) -> Self {
        let store = IdempotentStore::open(workload.capacity());
        let news = fill_for(&store, workload);
        Self { store, workload, news }
    }
}

impl<W: Workload> Contender for InItsRuntime<'_, W> {
    fn name(&self) -> String {
        IdempotentStore::NAME.to_owned()
    }

    fn kind(&self) -> Kind {
        Kind::of::<IdempotentStore>()
    }

    fn slice(&self, threads: usize, time: Duration, seed: u64, timed: bool) -> Sample {
        let stream = |_| self.workload.stream::<IdempotentStore>(&self.news, seed);
        let store = &self.store;
        if timed {
            let worker = |thread| AsyncWorker {
                store,
                stream: stream(thread),
                meter: OneInEight::default(),
            };
            run(threads, time, worker, |worker| Some(worker.meter.histogram()))
        } else {
            let worker = |thread| AsyncWorker { store, stream: stream(thread), meter: Untimed };
            run(threads, time, worker, |_| None)
        }
    }
}

struct AsyncWorker<'s, T, M> {
    store: &'s IdempotentStore,
    stream: T,
    meter: M,
}

impl<T: Stream<IdempotentStore>, M: Meter> Worker for AsyncWorker<'_, T, M> {
    fn block(&mut self) -> u64 {
        let (outcome, mut buffer) = (IdempotentStore::outcome(7), IdempotentStore::outcome(0));
        self.store.runtime.block_on(async {
            let mut created = 0;
            for _ in 0..BLOCK {
                let step = self.stream.next();
                let mark = self.meter.start();
                if let Begun::Created(claim) = self.store.claim(&step.key, &mut buffer).await {
                    self.store.finish(claim, &outcome).await;
                    created += 1;
                }
                self.meter.end(mark);
            }
            created
        })
    }
}

/// Its fingerprint is a hash of the payload, which is none for every contender.
const PAYLOAD: Fingerprint = Fingerprint::new(0);
