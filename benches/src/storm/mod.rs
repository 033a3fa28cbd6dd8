//! A retry storm against a service that recovers, in virtual time.
//!
//! A service answers so many requests a second, in the order of their coming, and refuses those
//! that find its queue full. A few client processes send it requests at a steady rate, well below
//! what it can do. Then it is down for a while. When it comes back, whatever is retried comes on
//! top of the steady rate; and a request that has waited longer than its caller does is worked on
//! all the same, for nobody. So a service that is pushed over the edge stays there as long as the
//! load does: a metastable failure (N. Bronson and others, "Metastable Failures in Distributed
//! Systems", HotOS 2021).
//!
//! What differs from run to run is how failures are retried: see [`Strategy`]. Budgets and adaptive
//! backoff are the engine's own. A run is a function of its seed.

mod client;
mod plots;
mod service;
mod strategy;

pub use plots::plots;
pub use strategy::Strategy;

use std::time::Duration;

use oncegate::FailureKind;

use crate::rng::Rng;
use client::{Client, Next};
use service::{Arrival, Service};

/// How large everything is. Times are in milliseconds.
#[derive(Clone, Debug)]
pub struct Storm {
    /// Client processes, each with a budget and a controller of its own.
    pub clients: usize,
    /// Requests that all of them send in a second, at most 1,000.
    pub requests_per_second: u64,
    /// Requests that the service answers in a second.
    pub capacity_per_second: u64,
    /// Requests that wait for it at most.
    pub queue: usize,
    /// How long a client waits for an answer.
    pub patience_ms: u64,
    /// How long it takes to be refused.
    pub refusal_ms: u64,
    /// When the service goes down, and when it is back.
    pub outage_ms: [u64; 2],
    /// How long it takes after that until it is warm, and as fast as it was before.
    pub warm_up_ms: u64,
    /// What share of its capacity it has at first.
    pub cold_share: f64,
    /// How long a run takes.
    pub horizon_ms: u64,
}

impl Storm {
    /// Six clients with 60 requests a second for a service that can do 100, and keeps 5 s of work
    /// for callers who wait 1 s. It is down from second 10 to 40 of 120, and then has a fifth of
    /// its capacity, which grow to all of it in 20 s: its caches are cold.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            clients: 6,
            requests_per_second: 60,
            capacity_per_second: 100,
            queue: 500,
            patience_ms: 1_000,
            refusal_ms: 100,
            outage_ms: [10_000, 40_000],
            warm_up_ms: 20_000,
            cold_share: 0.2,
            horizon_ms: 120_000,
        }
    }

    /// Runs it with this way to retry.
    #[must_use]
    pub fn run(&self, strategy: Strategy, seed: u64) -> Series {
        let mut run = Run::new(self, strategy, seed);
        for now in 0..self.horizon_ms {
            run.millisecond(now);
        }
        run.series
    }

    /// Requests a second that the service can do when it is up.
    fn capacity_at(&self, now: u64) -> f64 {
        let full = self.capacity_per_second as f64;
        let [down, up] = self.outage_ms;
        if now < down || now >= up + self.warm_up_ms {
            return full;
        }
        let warm = now.saturating_sub(up) as f64 / self.warm_up_ms as f64;
        full * (self.cold_share + (1.0 - self.cold_share) * warm)
    }

    /// The first second from which on the service gives what it gave before, for ten seconds, as
    /// seconds after it was back. `None`: it never does.
    #[must_use]
    pub fn recovered_after(&self, series: &Series) -> Option<u64> {
        let back = (self.outage_ms[1] / 1_000) as usize;
        // What comes in ten seconds varies by a few hundredths.
        let least = self.requests_per_second * STEADY * 9 / 10;
        let steady = |window: &[u64]| window.iter().sum::<u64>() >= least;
        let mut after = series.goodput[back..].windows(STEADY as usize);
        after.position(steady).map(|second| second as u64)
    }
}

/// What happened in each second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// Attempts that reached the service, up or down.
    pub load: Vec<u64>,
    /// Those of them that were no first attempts.
    pub retries: Vec<u64>,
    /// Requests that were answered while their client waited.
    pub goodput: Vec<u64>,
    /// Requests that were given up.
    pub given_up: Vec<u64>,
}

impl Series {
    fn of(seconds: usize) -> Self {
        let zeros = || vec![0; seconds];
        Self { load: zeros(), retries: zeros(), goodput: zeros(), given_up: zeros() }
    }

    /// The busiest second from `second` on.
    #[must_use]
    pub fn peak_load(&self, second: usize) -> u64 {
        self.load[second..].iter().copied().max().unwrap_or(0)
    }
}

/// One run.
struct Run<'s> {
    storm: &'s Storm,
    clients: Vec<Client>,
    service: Service,
    /// For each millisecond what is due then.
    due: Vec<Vec<Due>>,
    requests: Vec<Request>,
    /// The same arrivals whatever is retried how.
    arrivals: Rng,
    series: Series,
}

/// One request, and which of its attempts the client waits for.
struct Request {
    client: usize,
    started_ms: u64,
    attempt: u32,
    waits: bool,
}

/// What is due at some millisecond.
#[derive(Clone, Copy)]
enum Due {
    /// The next attempt of a request is sent.
    Send(usize),
    /// An attempt is refused, or its client has waited long enough.
    Fail(Arrival, FailureKind),
}

impl<'s> Run<'s> {
    fn new(storm: &'s Storm, strategy: Strategy, seed: u64) -> Self {
        let mut seeds = Rng::new(seed);
        let arrivals = Rng::new(seeds.word());
        let client = |_| Client::new(strategy, Rng::new(seeds.word()));
        Self {
            storm,
            clients: (0..storm.clients).map(client).collect(),
            service: Service::new(storm.queue),
            due: vec![Vec::new(); storm.horizon_ms as usize],
            requests: Vec::new(),
            arrivals,
            series: Series::of(storm.horizon_ms.div_ceil(1_000) as usize),
        }
    }

    fn millisecond(&mut self, now: u64) {
        let [down, up] = self.storm.outage_ms;
        if now == down {
            self.service.stop();
        }
        if now == up {
            self.service.start(now);
        }
        self.service.set_pace(self.storm.capacity_at(now));
        if now.is_multiple_of(1_000) {
            self.clients.iter_mut().for_each(|client| client.second(at(now)));
        }
        while let Some(done) = self.service.done_by(now) {
            self.answer(done, now);
        }
        // At most one a millisecond, and as likely in each.
        if self.arrivals.below(1_000) < self.storm.requests_per_second {
            let client = self.arrivals.below(self.clients.len() as u64) as usize;
            self.requests.push(Request { client, started_ms: now, attempt: 1, waits: false });
            self.clients[client].first(at(now));
            self.send(self.requests.len() - 1, now);
        }
        // What is made due now is due later.
        for due in std::mem::take(&mut self.due[now as usize]) {
            match due {
                Due::Send(request) => self.send(request, now),
                Due::Fail(arrival, kind) => self.fail(arrival, kind, now),
            }
        }
    }

    fn send(&mut self, request: usize, now: u64) {
        let own = &mut self.requests[request];
        own.waits = true;
        let arrival = Arrival { request, attempt: own.attempt };
        self.clients[own.client].sent();
        let second = (now / 1_000) as usize;
        self.series.load[second] += 1;
        self.series.retries[second] += u64::from(own.attempt > 1);
        if self.service.is_down() {
            self.later(now + self.storm.refusal_ms, Due::Fail(arrival, FailureKind::Transient));
        } else if self.service.take(arrival, now) {
            self.later(now + self.storm.patience_ms, Due::Fail(arrival, FailureKind::Timeout));
        } else {
            self.later(now + self.storm.refusal_ms, Due::Fail(arrival, FailureKind::Throttled));
        }
    }

    /// The service has done the work, whether anybody waits for it or not.
    fn answer(&mut self, arrival: Arrival, now: u64) {
        let request = &mut self.requests[arrival.request];
        if request.waits && request.attempt == arrival.attempt {
            request.waits = false;
            self.series.goodput[(now / 1_000) as usize] += 1;
            self.clients[request.client].succeeded(arrival.request, at(now));
        }
    }

    fn fail(&mut self, arrival: Arrival, kind: FailureKind, now: u64) {
        let request = &mut self.requests[arrival.request];
        if !request.waits || request.attempt != arrival.attempt {
            return;
        }
        request.waits = false;
        let age = now - request.started_ms;
        let client = &mut self.clients[request.client];
        match client.failed(arrival.request, request.attempt, age, kind, at(now)) {
            Next::RetryIn(delay) => {
                request.attempt += 1;
                self.later(now + delay.max(1), Due::Send(arrival.request));
            }
            Next::GiveUp => self.series.given_up[(now / 1_000) as usize] += 1,
        }
    }

    fn later(&mut self, then: u64, due: Due) {
        // What lies beyond the horizon is nobody's.
        if let Some(list) = self.due.get_mut(then as usize) {
            list.push(due);
        }
    }
}

fn at(now_ms: u64) -> Duration {
    Duration::from_millis(now_ms)
}

/// Seconds that a service must give what it gave before.
const STEADY: u64 = 10;

#[cfg(test)]
mod tests;
