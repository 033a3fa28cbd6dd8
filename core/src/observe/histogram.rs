//! A log-linear histogram of durations: sixteen buckets for each power of two, 6 % wide.

use crate::sync::Ordering;
use crate::sync::plain::AtomicU64;

/// Counts of durations in nanoseconds. Written by sampled operations only.
pub(crate) struct Histogram {
    buckets: Box<[AtomicU64]>,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect() }
    }

    pub(crate) fn record(&self, nanos: u64) {
        // Relaxed: a count orders nothing.
        self.buckets[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
    }

    /// The upper ends of the buckets that hold the given shares (per thousand) of all samples.
    pub(crate) fn quantiles<const N: usize>(&self, per_mille: [u64; N]) -> [u64; N] {
        // Relaxed: as above.
        let counts: Vec<u64> = self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        per_mille.map(|share| {
            let wanted = (total * share).div_ceil(1000).max(1);
            let mut seen = 0;
            let at = counts.iter().position(|count| {
                seen += count;
                seen >= wanted
            });
            at.map_or(0, upper_end)
        })
    }
}

fn bucket(nanos: u64) -> usize {
    let nanos = nanos.clamp(1, MAX_NANOS);
    let power = nanos.ilog2();
    let within = if power < 4 { nanos << (4 - power) } else { nanos >> (power - 4) };
    (power as usize) << 4 | (within & 0xf) as usize
}

fn upper_end(bucket: usize) -> u64 {
    let (power, within) = (bucket >> 4, bucket as u64 & 0xf);
    ((16 + within + 1) << power >> 4).max(1)
}

const MAX_NANOS: u64 = (1 << 40) - 1;
const BUCKETS: usize = 40 << 4;

#[cfg(all(test, not(oncegate_loom)))]
mod tests {
    use super::*;

    /// Goal: quantiles are within a bucket of the truth. Method: a known ramp of values.
    #[test]
    fn quantiles_are_within_a_bucket() {
        let histogram = Histogram::new();
        (1..=10_000).for_each(|nanos| histogram.record(nanos));
        let [p50, p99, p999] = histogram.quantiles([500, 990, 999]);
        for (got, want) in [(p50, 5_000_f64), (p99, 9_900_f64), (p999, 9_990_f64)] {
            let ratio = got as f64 / want;
            assert!((0.99..=1.08).contains(&ratio), "{got} for {want}");
        }
    }

    /// Goal: every value has a bucket that holds it. Method: ends of the range and powers.
    #[test]
    fn every_value_lies_below_its_upper_end() {
        for nanos in (0..64).map(|p| 1_u64 << p).chain([0, 3, 17, MAX_NANOS, u64::MAX]) {
            let end = upper_end(bucket(nanos));
            assert!(end >= nanos.clamp(1, MAX_NANOS), "{nanos} above {end}");
        }
    }
}
