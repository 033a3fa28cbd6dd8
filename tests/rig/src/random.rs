//! Numbers that are the same in every run.

/// SplitMix64: small, and good enough to vary delays.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The numbers of `seed`.
    pub(crate) const fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `middle - spread` to `middle + spread`, and not below zero.
    pub(crate) const fn around(&mut self, middle: u64, spread: u64) -> u64 {
        if spread == 0 {
            return middle;
        }
        let width = spread.saturating_mul(2).saturating_add(1);
        (middle.saturating_add(self.next() % width)).saturating_sub(spread)
    }
}
