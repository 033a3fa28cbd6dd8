//! How large an outage and what is around it are, derived from a few options.

use std::time::Duration;

use super::super::plan::Plan;
use crate::rng::SplitMix64;

/// The options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// How long the downstream is down.
    pub(crate) outage: Duration,
    /// How many calls it works on at a time; `None`: so many that the deliveries take up
    /// [`STEADY_SHARE`] of it.
    pub(crate) capacity: Option<usize>,
}

/// When what happens, as times since the start; and what the downstream can do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// When the downstream goes down, and when it is back.
    pub(super) outage: [Duration; 2],
    /// Until when deliveries come, evenly.
    pub(super) window: Duration,
    /// When the storm is broken off.
    pub(super) horizon: Duration,
    /// How many calls the downstream works on at a time.
    pub(super) capacity: usize,
    /// How many calls it has taken at most, with those that it works on.
    pub(super) room: usize,
    /// The middle of a call's working time; it takes half to one and a half of it.
    pub(super) work: Duration,
    /// How long a caller waits for an answer.
    pub(super) patience: Duration,
    /// How long it takes to be refused.
    pub(super) refusal: Duration,
    /// Share of calls that fail though the downstream is up.
    pub(super) fail_rate: f64,
    /// Where every choice comes from.
    pub(super) seed: u64,
}

impl Shape {
    /// The shape that the options and the plan ask for.
    pub(super) fn new(asked: Asked, plan: &Plan) -> Self {
        let Asked { outage, capacity } = asked;
        let work = plan.shape.work.max(LEAST_WORK);
        let window = outage * WINDOW_OUTAGES;
        let busy = plan.order.len() as f64 * work.as_secs_f64() / window.as_secs_f64();
        let fitting = (busy / STEADY_SHARE).round().max(1.0) as usize;
        let capacity = capacity.unwrap_or(fitting);
        Self {
            outage: [outage / 2, outage / 2 + outage],
            window,
            horizon: window * HORIZON_WINDOWS,
            capacity,
            room: capacity * ROOM_CALLS,
            work,
            patience: work * PATIENCE_CALLS,
            refusal: REFUSAL,
            fail_rate: plan.shape.fail_rate,
            seed: plan.shape.seed,
        }
    }

    /// When the delivery at this place of the plan comes, of so many.
    pub(super) fn comes_at(&self, place: usize, deliveries: usize) -> Duration {
        self.window.mul_f64(place as f64 / deliveries.max(1) as f64)
    }

    /// How long the downstream is down.
    pub(super) fn outage_time(&self) -> Duration {
        self.outage[1] - self.outage[0]
    }

    /// The length of a slice, in which calls are counted together, in milliseconds.
    pub(super) fn slice_ms(&self) -> usize {
        (self.horizon.as_millis() as usize).div_ceil(SLICES).max(1)
    }

    /// Whether the downstream is down then.
    pub(super) fn is_down(&self, at: Duration) -> bool {
        (self.outage[0]..self.outage[1]).contains(&at)
    }

    /// Calls that the downstream answers in a second when it is up.
    pub(super) fn per_second(&self) -> f64 {
        self.capacity as f64 / self.work.as_secs_f64()
    }

    /// How long the `nth` call of a request is worked on, and whether it fails: the same for the
    /// same seed, whoever calls.
    pub(super) fn fate(&self, request: u32, nth: u32) -> (Duration, bool) {
        let mut rng = SplitMix64::at(self.seed, [u64::from(request), u64::from(nth)]);
        let work = self.work.mul_f64(0.5 + rng.unit());
        (work, rng.unit() < self.fail_rate)
    }
}

/// What share of the downstream the deliveries take up where nothing fails.
const STEADY_SHARE: f64 = 0.6;
/// A call takes this long at least: below it, the threads of a machine are slower than the calls.
const LEAST_WORK: Duration = Duration::from_millis(2);
/// Deliveries come for so many times the outage, of which half a time before it.
const WINDOW_OUTAGES: u32 = 3;
/// After so many times of that, what is not done is broken off.
const HORIZON_WINDOWS: u32 = 2;
/// A caller waits for so many calls' time.
const PATIENCE_CALLS: u32 = 5;
/// The downstream takes five times what it can do while a caller waits: too much, and common.
const ROOM_CALLS: usize = 5 * PATIENCE_CALLS as usize;
/// The slices of a storm: as many as a plot has columns, twice.
const SLICES: usize = 128;
/// A refused connection takes a round trip.
const REFUSAL: Duration = Duration::from_millis(5);
