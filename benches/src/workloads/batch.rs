//! The same workloads, many requests at a time: what only the engine can do.

use std::time::Duration;

use oncegate::{Lease, Outcome, Prepared};

use super::{NewKeys, Stream, Workload};
use crate::contender::{BLOCK, Contender, Kind, Sample, Worker, fill_for, run};
use crate::peers::Oncegate;
use crate::store::{Begun, Store};

/// The engine, asked for `size` requests at once.
pub struct Batched<'w, W> {
    store: Oncegate,
    workload: &'w W,
    news: NewKeys,
    size: usize,
}

impl<'w, W: Workload> Batched<'w, W> {
    /// Opens an engine, and fills it as the workload wants.
    pub fn new(workload: &'w W, size: usize) -> Self {
        let store = Oncegate::open(workload.capacity());
        let news = fill_for(&store, workload);
        Self { store, workload, news, size }
    }
}

impl<W: Workload> Contender for Batched<'_, W> {
    fn name(&self) -> String {
        format!("oncegate, batches of {}", self.size)
    }

    fn kind(&self) -> Kind {
        Kind { batch: self.size, ..Kind::of::<Oncegate>() }
    }

    fn slice(&self, threads: usize, time: Duration, seed: u64, _: bool) -> Sample {
        let worker = |thread| {
            let seed = seed.wrapping_mul(31).wrapping_add(thread);
            BatchWorker {
                store: &self.store,
                stream: self.workload.stream::<Oncegate>(&self.news, seed),
                size: self.size,
                requests: Vec::with_capacity(self.size),
                leases: Vec::with_capacity(self.size),
                outcome: Oncegate::outcome(7),
                buffer: Oncegate::outcome(0),
            }
        };
        run(threads, time, worker, |_| None)
    }
}

struct BatchWorker<'s, T> {
    store: &'s Oncegate,
    stream: T,
    size: usize,
    requests: Vec<Prepared<'static>>,
    leases: Vec<Lease<'s>>,
    outcome: Outcome,
    buffer: Outcome,
}

impl<T: Stream<Oncegate>> Worker for BatchWorker<'_, T> {
    fn block(&mut self) -> u64 {
        let mut created = 0;
        for _ in 0..BLOCK / self.size as u64 {
            let keys = (0..self.size).map(|_| self.stream.next().key);
            let leases = &mut self.leases;
            self.store.begin_batch(keys, &mut self.requests, &mut self.buffer, |begun| {
                if let Begun::Created(lease) = begun {
                    leases.push(lease);
                }
            });
            created += self.leases.len() as u64;
            for lease in self.leases.drain(..) {
                self.store.complete(lease, &self.outcome);
            }
        }
        created
    }
}
