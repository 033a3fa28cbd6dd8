//! Jitter source: where the random numbers of delays come from.
//!
//! The generator is SplitMix64 (Steele, Lea and Flood, *Fast Splittable Pseudorandom Number
//! Generators*, OOPSLA 2014, with the constants of Vigna's `splitmix64.c`): a counter that grows by
//! an odd constant, and a mixing function over it. So one atomic addition is all that a draw shares
//! with others: any thread may draw, no draw waits, and no two draws of one source take the same
//! state. There is nothing to stripe, since a retry draws once and is rare beside what it retries.

use crate::error::{Error, ErrorCode};
use crate::fork::{self, PerProcess};
use crate::sync::Ordering;
use crate::sync::plain::AtomicU64;
use crate::sync::planted::Bug;

/// Random numbers for delays: fast, spread evenly, and no secret.
///
/// One serves a whole process; any thread may draw from it, which costs one atomic addition. A
/// source made by [`new`](Self::new) takes its seed from the operating system, and a forked child
/// takes another one: parent and children would otherwise retry in step. The child of a raw
/// `clone`, which runs no at-fork handlers, goes on with a copy.
///
/// Whoever sees some of the numbers can predict the rest, so they are for delays and nothing else.
///
/// ```
/// use oncegate::JitterSource;
///
/// let (one, same) = (JitterSource::seeded(7), JitterSource::seeded(7));
/// assert_eq!(one.draw(), same.draw());
/// # Ok::<(), oncegate::Error>(())
/// ```
pub struct JitterSource(Stream);

enum Stream {
    /// The state of each process.
    System(PerProcess<AtomicU64>),
    Seeded(AtomicU64),
}

impl JitterSource {
    /// A source with a seed of the operating system.
    ///
    /// # Errors
    /// `NoEntropy` when the operating system gives no randomness.
    ///
    /// ```
    /// use oncegate::JitterSource;
    ///
    /// assert_ne!(JitterSource::new()?.draw(), JitterSource::new()?.draw());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn new() -> Result<Self, Error> {
        fork::watch();
        let seed = system_seed().ok_or_else(|| Error::of(ErrorCode::NoEntropy, "jitter_source"))?;
        Ok(Self(Stream::System(PerProcess::new(AtomicU64::new(seed)))))
    }

    /// A source that gives the same numbers each time, for tests and simulations. A forked child
    /// goes on with the same numbers as its parent.
    ///
    /// ```
    /// use oncegate::JitterSource;
    ///
    /// let source = JitterSource::seeded(1_234_567);
    /// assert_eq!(source.draw(), 6_457_827_717_110_365_317);
    /// ```
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Stream::Seeded(AtomicU64::new(seed)))
    }

    /// The next number, from the whole range.
    ///
    /// ```
    /// # use oncegate::JitterSource;
    /// let source = JitterSource::seeded(7);
    /// assert_ne!(source.draw(), source.draw());
    /// ```
    #[must_use = "each number is given once"]
    pub fn draw(&self) -> u64 {
        let state = match &self.0 {
            Stream::System(own) => own.get(|| AtomicU64::new(child_seed())),
            Stream::Seeded(state) => state,
        };
        // Relaxed: the counter alone is shared, and each addition gets a value of its own.
        mix(state.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA))
    }

    /// A whole number from `least` to `most`, both included; `least` where they are the wrong way
    /// round. The upper half of a product stands for a division (Lemire, *Fast Random Integer
    /// Generation in an Interval*, 2019); without his rejection a number is preferred by at most
    /// one part in 2^64 of the range, which no delay shows.
    pub(super) fn within(&self, least: u64, most: u64) -> u64 {
        let count = u128::from(most.saturating_sub(least)) + 1;
        let offset = (u128::from(self.draw()) * count) >> 64;
        // Below the count, and so within 64 bits.
        least + offset as u64
    }

    /// A number from zero on and below one, of the 2^53 that are spaced evenly.
    pub(super) fn unit(&self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl std::fmt::Debug for JitterSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Stream::System(_) => "JitterSource(system)",
            Stream::Seeded(_) => "JitterSource(seeded)",
        })
    }
}

fn system_seed() -> Option<u64> {
    if Bug::JitterSeedShared.is_planted() { Some(0) } else { getrandom::u64().ok() }
}

fn child_seed() -> u64 {
    system_seed().unwrap_or_else(|| seed_of(std::process::id(), fork::generation()))
}

/// A seed without randomness. A draw cannot fail, and what tells a child from its parent and its
/// siblings is enough to keep them out of step.
fn seed_of(process: u32, generation: u64) -> u64 {
    mix(u64::from(process) << 32 | generation & u64::from(u32::MAX))
}

fn mix(state: u64) -> u64 {
    let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// 2^64 divided by the golden ratio, odd: the counter meets every state before it repeats one.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
