//! The clock that a tier's fencing tokens come from.

/// Fencing tokens of a tier: the store's wall time, and a count within the millisecond.
///
/// A token is `milliseconds since 2020 << 22 | count`, below 2^63: of the same kind as those of an
/// engine without a tier, so that the tokens of a deployment grow on when a tier is added. It is a
/// hybrid logical clock (Kulkarni et al., 2014): the next token is the store's time, or one more
/// than the highest token that is known, whichever is higher. So tokens grow across the expiry of a
/// record and a restart of the store, even if that has forgotten all, unless its clock was set
/// back by more than it had forgotten, and no engine that is still there has seen a later one.
///
/// ```
/// use oncegate::tier::FenceClock;
///
/// let first = FenceClock::next(1_600_000_000_000, 0);
/// let second = FenceClock::next(1_600_000_000_000, first);
/// let third = FenceClock::next(1_500_000_000_000, second); // the clock was set back
/// assert!(first < second && second < third && third < 1 << 63);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FenceClock;

impl FenceClock {
    /// Bits of the count.
    pub const COUNT_BITS: u32 = 22;
    /// The start of 2020, in milliseconds since 1970.
    pub const START_MS: u64 = 1_577_836_800_000;

    /// The token after `last`, at `unix_ms` of the store's clock. The last token below 2^63 has
    /// none after it: a store refuses, rather than ask for one.
    ///
    /// ```
    /// # use oncegate::tier::FenceClock;
    /// assert_eq!(FenceClock::next(FenceClock::START_MS + 1, 0), 1 << FenceClock::COUNT_BITS);
    /// ```
    #[must_use]
    pub const fn next(unix_ms: u64, last: u64) -> u64 {
        let ms = unix_ms.saturating_sub(Self::START_MS);
        let ms = if ms > MAX_MS { MAX_MS } else { ms };
        let by_time = ms << Self::COUNT_BITS;
        if by_time > last { by_time } else { last.saturating_add(1) }
    }
}

const MAX_MS: u64 = (1 << 40) - 1;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
