//! What the tests of retries have in common: seeds, arbitrary policies, and statistics.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use super::*;

/// How many draws a distribution is judged by.
pub(super) const DRAWS: usize = 100_000;

/// What seeded sources begin with.
pub(super) const SEED: u64 = 0x6f6e_6365;

/// Properties run from one seed, which a failure prints; another one can be given in the
/// environment (`PROPTEST_RNG_SEED`).
pub(super) fn seeded(cases: u32) -> Config {
    let mut config = Config { cases, failure_persistence: None, ..Config::default() };
    if let RngSeed::Random = config.rng_seed {
        config.rng_seed = RngSeed::Fixed(SEED);
    }
    println!("proptest seed: {:?}", config.rng_seed);
    config
}

/// Durations of every magnitude, not of whole milliseconds, and beyond what is allowed.
pub(super) fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..1_000_000_000_u64).prop_map(Duration::from_nanos),
        (0..100_000_u64).prop_map(Duration::from_millis),
        (0..4_000_u64).prop_map(|days| Duration::from_secs(days * 86_400)),
        any::<u64>().prop_map(Duration::from_nanos),
        (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
    ]
}

/// Durations that policies take: from a millisecond to ten years.
pub(super) fn valid_duration() -> impl Strategy<Value = Duration> {
    let longest = BackoffPolicy::LONGEST;
    any_duration().prop_map(move |any| any.clamp(Duration::from_millis(1), longest))
}

/// Factors of every kind, among them such as are none.
fn any_factor() -> impl Strategy<Value = f64> {
    prop_oneof![1.0..10.0, any::<f64>(), Just(f64::NAN), Just(f64::INFINITY), Just(0.0)]
}

pub(super) fn any_stretch() -> impl Strategy<Value = Stretch> {
    let factors = (any_factor(), any_factor(), any_factor());
    prop_oneof![
        Just(Stretch::default()),
        factors.prop_map(|(base, ceiling, width)| Stretch { base, ceiling, width }),
    ]
}

pub(super) fn any_jitter() -> impl Strategy<Value = Jitter> {
    prop_oneof![
        Just(Jitter::None),
        Just(Jitter::Full),
        Just(Jitter::Equal),
        Just(Jitter::Decorrelated),
        Just(Jitter::DecorrelatedV2),
        any_factor().prop_map(Jitter::Proportional),
        (0.001..1.0).prop_map(Jitter::Proportional),
    ]
}

/// Backoffs of every kind, valid or not.
pub(super) fn any_backoff() -> impl Strategy<Value = BackoffPolicy> {
    let list = proptest::collection::vec(any_duration(), 0..5);
    let schedule = prop_oneof![
        (any_duration(), any_factor()).prop_map(|(initial, multiplier)| {
            BackoffPolicy::exponential(initial, multiplier, BackoffPolicy::LONGEST)
        }),
        (any_duration(), any_duration()).prop_map(|(initial, increment)| {
            BackoffPolicy::linear(initial, increment, BackoffPolicy::LONGEST)
        }),
        any_duration().prop_map(BackoffPolicy::constant),
        list.prop_map(BackoffPolicy::list),
    ];
    let ceiling = prop_oneof![any_duration(), valid_duration()];
    (schedule, ceiling, any_jitter())
        .prop_map(|(schedule, max, jitter)| schedule.max(max).jitter(jitter))
}

/// Numbers of retries and attempts: the first ones, and any.
pub(super) fn any_count() -> impl Strategy<Value = u32> {
    prop_oneof![0..12_u32, any::<u32>()]
}

/// The largest distance between the share of samples up to a whole number, and what `cdf` says of
/// it (Kolmogorov and Smirnov), over all numbers at which it can be largest.
pub(super) fn largest_distance(samples: &mut [u64], cdf: impl Fn(u64) -> f64) -> f64 {
    samples.sort_unstable();
    let count = samples.len() as f64;
    let mut largest = 0.0_f64;
    for (at, &sample) in samples.iter().enumerate() {
        if at == 0 || samples[at - 1] != sample {
            let below = sample.checked_sub(1).map_or(0.0, &cdf);
            largest = largest.max((at as f64 / count - below).abs());
        }
        if samples.get(at + 1) != Some(&sample) {
            largest = largest.max(((at + 1) as f64 / count - cdf(sample)).abs());
        }
    }
    largest
}

/// What the largest distance exceeds once in a thousand times, if `cdf` is right.
pub(super) fn critical_distance(samples: usize) -> f64 {
    1.95 / (samples as f64).sqrt()
}

/// The correlation of two series (Pearson).
pub(super) fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut both, mut var_a, mut var_b) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        both += (x - mean_a) * (y - mean_b);
        var_a += (x - mean_a).powi(2);
        var_b += (y - mean_b).powi(2);
    }
    both / (var_a * var_b).sqrt()
}
