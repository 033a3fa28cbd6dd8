//! Jitter: how the clients that failed together come back apart.
//!
//! Everything is computed in milliseconds. Products of fractions are floating-point numbers, whose
//! exact part reaches beyond the ten years that a delay may last; a delay is a whole number of
//! milliseconds, drawn from those that lie within the formula's range.

use super::source::JitterSource;
use super::stretch::Stretch;
use crate::error::{Error, ErrorCode};
use crate::sync::planted::Bug;

/// How a delay is drawn around the one that the backoff names, `d`, which is at most the ceiling.
///
/// | jitter | drawn evenly from | source |
/// |---|---|---|
/// | `None` | `d` | |
/// | `Full` | `0` to `d` | AWS |
/// | `Equal` | `d/2` to `d` | AWS |
/// | `Decorrelated` | `initial` to `3 × previous delay`, at most the ceiling | AWS |
/// | `Proportional(f)` | `d × (1 - f)` to `d × (1 + f)`, at most the ceiling | gRPC, Resilience4j, Polly |
/// | `DecorrelatedV2` | not even; see there | Polly |
///
/// AWS is M. Brooker, *Exponential Backoff And Jitter*, AWS Architecture Blog, March 2015. By its
/// measurements, full jitter makes the fewest calls for the work done; equal jitter keeps a least
/// delay at the price of more.
///
/// The ceiling is never exceeded. Where a range reaches beyond it the range is cut, and what is
/// left is drawn from evenly: to draw first and cut then would let half of the clients meet at the
/// ceiling. The two decorrelated formulas are cut as they are published, after the draw.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{BackoffPolicy, Jitter, JitterSource, Stretch};
///
/// let second = Duration::from_secs(1);
/// let backoff = BackoffPolicy::constant(second).jitter(Jitter::Equal);
/// let delay = backoff.delay(1, Duration::ZERO, Stretch::default(), &JitterSource::seeded(7));
/// assert!(delay >= second / 2 && delay <= second);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Jitter {
    /// The delay as the backoff names it. Clients that failed together meet again.
    None,
    /// From nothing to the whole delay.
    Full,
    /// One half of the delay, and a draw from nothing to the other half.
    Equal,
    /// From the first delay to three times the previous one: it grows by itself, and the
    /// backoff's multiplier is not used. For exponential backoffs.
    ///
    /// A previous delay below the first one, such as one that a server asked for, counts as the
    /// first one.
    Decorrelated,
    /// So much of the delay to either side, above 0 and at most 1: gRPC has 0.2, Polly 0.25 for
    /// constant and linear delays, Resilience4j 0.5.
    Proportional(f64),
    /// `DecorrelatedJitterBackoffV2` of Polly v8 (`RetryHelper.cs`, from
    /// Polly.Contrib.WaitAndRetry; by G. Polevoy, in Polly issue 530). For exponential backoffs.
    ///
    /// With `f(t) = multiplier^t × tanh(√(4t))` and `u` even between 0 and 1, retry `k` comes
    /// `initial / 1.4 × (f(k - 1 + u) - f(k - 2 + u'))` after the failure; retry 1 has no second
    /// term. The median of the first delay is nine tenths of `initial`. Polly keeps `u'` from the
    /// retry before; here it is drawn anew, so that nothing has to be kept: each delay is
    /// distributed as there, but two that follow each other are independent. Polly's multiplier is
    /// always 2.
    ///
    /// Powers and tangents are the platform's. It is the one jitter whose delays may differ by a
    /// millisecond between platforms for one seed.
    DecorrelatedV2,
}

/// What a delay is drawn from.
pub(super) struct Terms {
    /// The first delay of the backoff, stretched.
    pub(super) first: f64,
    /// The delay that the backoff names, stretched, and at most the ceiling.
    pub(super) delay: f64,
    /// The delay before the attempt that has failed.
    pub(super) previous: f64,
    /// By how much an exponential backoff grows from one retry to the next.
    pub(super) multiplier: f64,
    /// Which retry, from 1 on.
    pub(super) retry: u32,
    /// The stretched ceiling, in whole milliseconds.
    pub(super) ceiling: u64,
    pub(super) stretch: Stretch,
}

impl Jitter {
    /// Milliseconds, at most the ceiling.
    pub(super) fn draw(self, terms: &Terms, source: &JitterSource) -> u64 {
        let ceiling = if Bug::CeilingExceeded.is_planted() { u64::MAX } else { terms.ceiling };
        // From the lower end, so much of the formula's width; cut at the most.
        let even = |lower: f64, width: f64, most: u64| {
            let least = up(lower).min(ceiling);
            let upper = down(lower + width * terms.stretch.width).min(most).max(least);
            source.within(least, upper)
        };
        let delay = terms.delay;
        match self {
            Self::None => up(delay).min(ceiling),
            Self::Full if Bug::FullJitterNarrow.is_planted() => even(0.0, delay / 2.0, ceiling),
            Self::Full => even(0.0, delay, ceiling),
            Self::Equal => even(delay / 2.0, delay / 2.0, ceiling),
            Self::Proportional(part) => {
                let half = delay * part.clamp(0.0, 1.0);
                even(delay - half, half * 2.0, ceiling)
            }
            Self::Decorrelated => {
                let previous = terms.previous.max(terms.first);
                even(terms.first, previous * 3.0 - terms.first, u64::MAX).min(ceiling)
            }
            Self::DecorrelatedV2 => {
                let drawn = v2(terms, source) * terms.stretch.width;
                up(drawn).min(ceiling)
            }
        }
    }

    /// Whether the formula fits a backoff that is exponential or not.
    pub(super) fn check(self, is_exponential: bool) -> Result<(), Error> {
        let refused =
            |found, limit| Err(Error::new(ErrorCode::InvalidOption, "jitter", found, limit));
        match self {
            Self::Proportional(part) if !(part > 0.0 && part <= 1.0) => {
                refused("a part outside its range", "above 0, at most 1")
            }
            Self::Decorrelated | Self::DecorrelatedV2 if !is_exponential => {
                refused("a decorrelated jitter", "for exponential backoffs")
            }
            _ => Ok(()),
        }
    }
}

/// Polly's formula, before its ceiling.
fn v2(terms: &Terms, source: &JitterSource) -> f64 {
    let intrinsic = |t: f64| terms.multiplier.powf(t) * (V2_SMOOTHING * t).sqrt().tanh();
    let retry = f64::from(terms.retry);
    let later = intrinsic(retry - 1.0 + source.unit());
    let earlier = if terms.retry <= 1 { 0.0 } else { intrinsic(retry - 2.0 + source.unit()) };
    if later.is_finite() { (later - earlier) / V2_SCALE * terms.first } else { f64::INFINITY }
}

/// The next whole number, and that number itself where only the error of a product lies between:
/// 100 ms times 1.1 twice is 121 ms, and not 122.
pub(super) fn up(ms: f64) -> u64 {
    (ms * (1.0 - ROUNDING)).ceil() as u64
}

/// The same downwards.
fn down(ms: f64) -> u64 {
    (ms * (1.0 + ROUNDING)).floor() as u64
}

/// What products of some dozens of factors may be off by, and less than a millisecond in 30 years.
const ROUNDING: f64 = 1e-12;
/// Polly's `PFactor`, which smooths the first delay.
const V2_SMOOTHING: f64 = 4.0;
/// The inverse of Polly's `RpScalingFactor`, which brings the medians near to whole multiples.
const V2_SCALE: f64 = 1.4;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
