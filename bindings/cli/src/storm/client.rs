//! Client threads: each takes a delivery and brings it to the service until it is answered.

use std::panic::{self, AssertUnwindSafe};
use std::thread;
use std::time::{Duration, Instant};

use super::meter::{DefectKind, Meter};
use super::plan::Delivery;
use super::site::{PlantedPanic, Site};
use crate::rng::SplitMix64;

/// The service that clients call: with the engine in front of its handler, or without.
pub(crate) trait Service: Sync {
    /// Handles one call. May panic with a [`PlantedPanic`], as a handler may.
    fn call(&self, site: &Site<'_>, delivery: Delivery, meter: &mut Meter) -> Answer;
}

/// What the client learns from one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Answer {
    /// Final: the attempt of this very call is done.
    Completed,
    /// Final: replayed, mismatched or refused.
    Settled,
    /// The client stopped waiting and sent the delivery again: it is answered there.
    LeftAlone,
    /// Come back: the attempt failed, or another one runs. With a delay where the service named
    /// one.
    Again(Option<Duration>),
}

impl Answer {
    /// What the client learns of this answer if it stopped waiting before: nothing.
    pub(crate) fn unless_left(self, left_alone: bool, meter: &mut Meter) -> Self {
        if !left_alone {
            return self;
        }
        meter.counts.completed_late += u64::from(self == Self::Completed);
        Self::LeftAlone
    }
}

/// Runs every client to the end of the storm and adds up what they counted.
///
/// `progress` is called after each final answer.
pub(crate) fn run_clients(
    site: &Site<'_>,
    service: &impl Service,
    progress: &(impl Fn() + Sync),
) -> Meter {
    let mut total = Meter::new();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..site.plan.shape.clients)
            .map(|id| scope.spawn(move || run_client(id, site, service, progress)))
            .collect();
        for client in clients {
            match client.join() {
                Ok(meter) => total.add(meter),
                Err(panic) => panic::resume_unwind(panic),
            }
        }
    });
    total
}

fn run_client(
    id: usize,
    site: &Site<'_>,
    service: &impl Service,
    progress: &(impl Fn() + Sync),
) -> Meter {
    let mut meter = Meter::new();
    let mut rng = SplitMix64::at(site.plan.shape.seed, [u64::MAX, id as u64]);
    while let Some(delivery) = site.next() {
        if deliver(site, service, delivery, &mut rng, &mut meter) {
            site.settle();
            progress();
        }
    }
    meter
}

/// Brings one delivery to the service, again and again with backoff. Says whether it was answered.
fn deliver(
    site: &Site<'_>,
    service: &impl Service,
    delivery: Delivery,
    rng: &mut SplitMix64,
    meter: &mut Meter,
) -> bool {
    let patience = Instant::now() + PATIENCE + site.plan.longest_request();
    for attempt in 0_u32.. {
        meter.counts.calls += 1;
        let call = AssertUnwindSafe(|| service.call(site, delivery, meter));
        let answer = match panic::catch_unwind(call) {
            Ok(answer) => answer,
            Err(panic) if panic.is::<PlantedPanic>() => Answer::Again(None),
            Err(panic) => panic::resume_unwind(panic),
        };
        let after = match answer {
            Answer::Completed => {
                meter.counts.completed += 1;
                return true;
            }
            Answer::Settled => return true,
            Answer::LeftAlone => return false,
            Answer::Again(after) => after,
        };
        if Instant::now() > patience {
            break;
        }
        thread::sleep(backoff(attempt, after, rng));
    }
    meter.counts.unanswered += 1;
    meter.defect(delivery.request, DefectKind::NoAnswer);
    // Lines held behind this one would keep the storm open for ever.
    site.release_conflicts(delivery.request);
    true
}

/// Exponential backoff with full jitter; a delay that the service named is kept if it is shorter.
fn backoff(attempt: u32, named: Option<Duration>, rng: &mut SplitMix64) -> Duration {
    let ceiling = BACKOFF_FIRST.saturating_mul(1 << attempt.min(10)).min(BACKOFF_MAX);
    let jittered = ceiling.mul_f64(rng.unit()).max(BACKOFF_LEAST);
    named.map_or(jittered, |named| jittered.min(named.max(BACKOFF_LEAST)))
}

/// How long a client brings one delivery, beyond what its request can take, before it reports that
/// it got no answer.
const PATIENCE: Duration = Duration::from_secs(30);
const BACKOFF_FIRST: Duration = Duration::from_millis(2);
const BACKOFF_MAX: Duration = Duration::from_millis(40);
/// Keeps a client from spinning when the jitter draws almost nothing.
const BACKOFF_LEAST: Duration = Duration::from_micros(200);
