//! A client process: how it retries, and what it pays and hears.

use std::collections::HashMap;
use std::time::Duration;

use oncegate::{AdaptiveBackoff, FailureKind, RetryBudget, Stretch, Withdrawal};

use super::Strategy;
use crate::rng::Rng;

/// What becomes of a request whose attempt has failed.
pub(super) enum Next {
    /// Its next attempt is sent after so many milliseconds.
    RetryIn(u64),
    /// There is none.
    GiveUp,
}

/// One process.
pub(super) struct Client {
    strategy: Strategy,
    jitter: Rng,
    budget: Option<RetryBudget>,
    adaptive: Option<AdaptiveBackoff>,
    /// The retries that are paid for, by request.
    paid: HashMap<usize, Withdrawal>,
    in_flight: usize,
    /// Of this second.
    ended: u64,
    failed: u64,
}

impl Client {
    pub(super) fn new(strategy: Strategy, jitter: Rng) -> Self {
        let budget = strategy.has_budget().then(|| {
            let budget = RetryBudget::finagle().min_per_second(1);
            budget.build().expect("a valid budget")
        });
        let adaptive = strategy.is_adaptive().then(|| {
            // Of ten requests a second, each answered in some ten milliseconds.
            let adaptive = AdaptiveBackoff::builder().in_flight_target(5).load_target(0.2);
            adaptive.build().expect("a valid configuration")
        });
        Self {
            strategy,
            jitter,
            budget,
            adaptive,
            paid: HashMap::new(),
            in_flight: 0,
            ended: 0,
            failed: 0,
        }
    }

    /// A first attempt starts.
    pub(super) fn first(&self, now: Duration) {
        if let Some(budget) = &self.budget {
            // A ratio budget takes no notice of how it ends.
            drop(budget.deposit(now));
        }
    }

    /// An attempt is sent.
    pub(super) fn sent(&mut self) {
        self.in_flight += 1;
    }

    pub(super) fn succeeded(&mut self, request: usize, now: Duration) {
        self.ends(false);
        if let Some(paid) = self.paid.remove(&request) {
            paid.succeeded(now);
        }
    }

    pub(super) fn failed(
        &mut self,
        request: usize,
        attempt: u32,
        age_ms: u64,
        kind: FailureKind,
        now: Duration,
    ) -> Next {
        self.ends(true);
        if let Some(paid) = self.paid.remove(&request) {
            paid.failed();
        }
        if self.strategy == Strategy::Immediate {
            return Next::RetryIn(0);
        }
        let delay = self.delay_ms(attempt);
        if attempt > MOST_RETRIES || age_ms + delay > DEADLINE_MS {
            return Next::GiveUp;
        }
        if let Some(budget) = &self.budget {
            match budget.try_withdraw(kind, now) {
                Ok(mut paid) => {
                    paid.start();
                    self.paid.insert(request, paid);
                }
                Err(_) => return Next::GiveUp,
            }
        }
        Next::RetryIn(delay)
    }

    /// A second is over: the controller hears how it was.
    pub(super) fn second(&mut self, now: Duration) {
        let load = if self.ended == 0 { 0.0 } else { self.failed as f64 / self.ended as f64 };
        if let Some(adaptive) = &self.adaptive {
            adaptive.observe_in_flight(self.in_flight);
            adaptive.set_load(load).expect("a share");
            adaptive.step(now);
        }
        (self.ended, self.failed) = (0, 0);
    }

    fn ends(&mut self, failed: bool) {
        self.in_flight -= 1;
        self.ended += 1;
        self.failed += u64::from(failed);
    }

    fn delay_ms(&mut self, attempt: u32) -> u64 {
        let stretch = self.adaptive.as_ref().map_or(Stretch::NONE, AdaptiveBackoff::stretch);
        let ceiling = CEILING_MS * stretch.ceiling;
        let doubled = f64::from(1_u32 << (attempt - 1).min(MOST_RETRIES));
        let delay = (BASE_MS * stretch.base * doubled).min(ceiling);
        match self.strategy {
            Strategy::Immediate => 0,
            Strategy::Exponential => delay as u64,
            _ => ((delay * stretch.width).min(ceiling) * self.jitter.share()) as u64,
        }
    }
}

const MOST_RETRIES: u32 = 6;
const DEADLINE_MS: u64 = 15_000;
const BASE_MS: f64 = 100.0;
const CEILING_MS: f64 = 10_000.0;
