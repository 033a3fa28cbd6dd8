//! Each delivery for itself: whoever brings it calls the downstream again until he has an answer,
//! and knows nothing of other deliveries of the same request, or of his own attempt that he has
//! stopped waiting for. So work the retry libraries that wrap a call.

use std::thread;
use std::time::Duration;

use oncegate::{Attempted, Decision, JitterSource, RetryPolicy};

use super::town::Town;

/// When a failed call is made again.
pub(super) enum Again {
    /// At once, for ever.
    AtOnce,
    /// When the policy says so, as often as it says.
    Backoff(Box<RetryPolicy>, JitterSource),
}

/// Delivers everything, on as many threads as the plan says.
pub(super) fn run(town: &Town<'_>, again: &Again) {
    thread::scope(|scope| {
        for _ in 0..town.plan.shape.clients {
            scope.spawn(|| {
                while let Some(delivery) = town.next() {
                    if let Some(is_answered) = deliver(town, delivery.request, again) {
                        town.note_delivered(is_answered);
                    }
                }
            });
        }
    });
}

/// Whether it was answered, or given up. `None`: the storm was broken off.
fn deliver(town: &Town<'_>, request: u32, again: &Again) -> Option<bool> {
    let began = town.elapsed();
    let mut previous = Duration::ZERO;
    for attempt in 1.. {
        if town.call(request, None).is_ok() {
            town.note_done(request);
            return Some(true);
        }
        if let Again::Backoff(policy, jitter) = again {
            let elapsed = town.elapsed() - began;
            let attempted = Attempted::new(attempt, elapsed).previous_delay(previous);
            match policy.decide(&attempted, jitter) {
                Decision::RetryAfter(delay) => previous = delay,
                Decision::Exhausted(_) => return Some(false),
            }
            thread::sleep(previous);
        }
        if town.is_over() {
            return None;
        }
    }
    None
}
