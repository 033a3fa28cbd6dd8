//! Distributions: each jitter against the exact one, by Kolmogorov and Smirnov.

use std::time::Duration;

use super::*;
use crate::retry::BackoffPolicy;
use crate::retry::tests::{DRAWS, SEED, correlation, critical_distance, largest_distance};

const SECOND: Duration = Duration::from_secs(1);

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

fn draws(backoff: &BackoffPolicy, retry: u32, previous: Duration, stretch: Stretch) -> Vec<u64> {
    let source = JitterSource::seeded(SEED);
    (0..DRAWS).map(|_| ms(backoff.delay(retry, previous, stretch, &source))).collect()
}

/// Of a whole number that is drawn evenly from `least` to `most`.
fn even(least: u64, most: u64) -> impl Fn(u64) -> f64 {
    move |at| {
        let below = (at + 1).saturating_sub(least).min(most - least + 1);
        below as f64 / (most - least + 1) as f64
    }
}

fn assert_fits(
    name: &str,
    mut samples: Vec<u64>,
    [least, most]: [u64; 2],
    cdf: impl Fn(u64) -> f64,
) {
    let inside = samples.iter().all(|sample| (least..=most).contains(sample));
    assert!(inside, "{name}: a delay outside {least} to {most} ms; seed {SEED:#x}");
    let (found, bound) = (largest_distance(&mut samples, cdf), critical_distance(DRAWS));
    assert!(found < bound, "{name}: distance {found}, and not below {bound}; seed {SEED:#x}");
}

/// `initial` doubled, up to 200 s: retry 3 is 100 s, and retry 4 at the ceiling.
fn doubling(jitter: Jitter) -> BackoffPolicy {
    BackoffPolicy::exponential(25 * SECOND, 2.0, 200 * SECOND).jitter(jitter)
}

/// Goal: full jitter spreads over the whole of its range. Method: the exact distribution.
#[test]
fn full_is_even_from_zero() {
    let plain = draws(&doubling(Jitter::Full), 3, Duration::ZERO, Stretch::default());
    assert_fits("full", plain, [0, 100_000], even(0, 100_000));
    let wide = Stretch { width: 1.5, ..Stretch::default() };
    let wide = draws(&doubling(Jitter::Full), 3, Duration::ZERO, wide);
    assert_fits("full, stretched", wide, [0, 150_000], even(0, 150_000));
}

/// Goal: equal jitter keeps one half. Method: the exact distribution.
#[test]
fn equal_is_even_over_the_upper_half() {
    let plain = draws(&doubling(Jitter::Equal), 3, Duration::ZERO, Stretch::default());
    assert_fits("equal", plain, [50_000, 100_000], even(50_000, 100_000));
    let wide = Stretch { width: 10.0, ..Stretch::default() };
    let wide = draws(&doubling(Jitter::Equal), 3, Duration::ZERO, wide);
    assert_fits("equal, stretched to the ceiling", wide, [50_000, 200_000], even(50_000, 200_000));
}

/// Goal: proportional jitter goes to both sides, and at the ceiling to one, without a heap of
/// clients there. Method: the exact distributions.
#[test]
fn proportional_is_even_around_the_delay() {
    let backoff = doubling(Jitter::Proportional(0.2));
    let plain = draws(&backoff, 3, Duration::ZERO, Stretch::default());
    assert_fits("proportional", plain, [80_000, 120_000], even(80_000, 120_000));
    let capped = draws(&backoff, 9, Duration::ZERO, Stretch::default());
    assert_fits("proportional, at the ceiling", capped, [160_000, 200_000], even(160_000, 200_000));
}

/// Goal: decorrelated jitter is as published. Method: the exact distributions for the first retry,
/// for a later one, and for one whose range reaches beyond the ceiling, where the rest meets.
#[test]
fn decorrelated_goes_on_from_the_previous_delay() {
    let backoff = doubling(Jitter::Decorrelated);
    let after = |previous| draws(&backoff, 2, previous, Stretch::default());
    assert_fits(
        "decorrelated, first",
        after(Duration::ZERO),
        [25_000, 75_000],
        even(25_000, 75_000),
    );
    let later = after(40 * SECOND);
    assert_fits("decorrelated", later, [25_000, 120_000], even(25_000, 120_000));
    let cut = |at| if at >= 200_000 { 1.0 } else { even(25_000, 450_000)(at) };
    assert_fits("decorrelated, cut", after(150 * SECOND), [25_000, 200_000], cut);
}

/// Goal: a stretched width widens every range upwards, and the ceiling holds all the same. Method:
/// twice the width of the jitters that have no end in common with the plain delay.
#[test]
fn widths_are_stretched_upwards() {
    let wide = Stretch { width: 2.0, ..Stretch::default() };
    let proportional = doubling(Jitter::Proportional(0.2));
    let samples = draws(&proportional, 3, Duration::ZERO, wide);
    assert_fits("proportional", samples, [80_000, 160_000], even(80_000, 160_000));
    let samples = draws(&doubling(Jitter::Decorrelated), 1, Duration::ZERO, wide);
    assert_fits("decorrelated", samples, [25_000, 125_000], even(25_000, 125_000));

    let v2 = doubling(Jitter::DecorrelatedV2);
    let plain = draws(&v2, 3, Duration::ZERO, Stretch::default());
    let wide = draws(&v2, 3, Duration::ZERO, wide);
    for (plain, wide) in plain.into_iter().zip(wide) {
        // One millisecond of the plain delay is its rounding.
        let twice = (2 * plain).saturating_sub(2)..=2 * plain;
        assert!(twice.contains(&wide) || wide == 200_000 && 2 * plain >= wide, "{plain} {wide}");
    }
}

/// Goal: the formula of Polly. Method: its distribution for the first retry, by the inverse of the
/// formula, and for the third, by its integral over the draw of the retry before.
#[test]
fn decorrelated_v2_is_pollys() {
    let intrinsic = |t: f64| 2.0_f64.powf(t) * (4.0 * t).sqrt().tanh();
    // The share of `u` for which the formula is at most `value`: it rises with `u`.
    let share = |retry: f64, value: f64| {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..40 {
            let middle = (low + high) / 2.0;
            if intrinsic(retry - 1.0 + middle) <= value { low = middle } else { high = middle }
        }
        low
    };
    let backoff = BackoffPolicy::exponential(100 * SECOND, 2.0, BackoffPolicy::LONGEST);
    let backoff = backoff.jitter(Jitter::DecorrelatedV2);
    let scale = 100_000.0 / 1.4;
    let most = |retry: f64, before: f64| ((intrinsic(retry) - before) * scale).ceil() as u64;

    let mut first = draws(&backoff, 1, Duration::ZERO, Stretch::default());
    first.sort_unstable();
    let median = first[DRAWS / 2];
    assert!((88_000..92_000).contains(&median), "the first median is {median} ms");
    assert_fits("v2, first", first, [0, most(1.0, 0.0)], |at| share(1.0, at as f64 / scale));

    let mut third = draws(&backoff, 3, Duration::ZERO, Stretch::default());
    third.sort_unstable();
    assert!(*third.last().unwrap() <= most(3.0, intrinsic(1.0)));
    let slices = 400;
    for at in (0..DRAWS).step_by(DRAWS / 100) {
        let value = third[at] as f64 / scale;
        let exact = (0..slices)
            .map(|slice| 1.0 + (f64::from(slice) + 0.5) / f64::from(slices))
            .map(|before| share(3.0, intrinsic(before) + value))
            .sum::<f64>()
            / f64::from(slices);
        let found = (at as f64 / DRAWS as f64 - exact).abs();
        assert!(found < critical_distance(DRAWS), "v2, third: {found} at {value}; {SEED:#x}");
    }
}

/// Goal: the delays of one client say nothing of another's. Method: the correlation of 100,000
/// delays of two seeded sources, for each jitter, is within five standard deviations of none.
#[test]
fn delays_of_two_sources_are_uncorrelated() {
    let all = [
        Jitter::Full,
        Jitter::Equal,
        Jitter::Proportional(0.25),
        Jitter::Decorrelated,
        Jitter::DecorrelatedV2,
    ];
    for jitter in all {
        let backoff = doubling(jitter);
        let series = |seed| {
            let source = JitterSource::seeded(seed);
            let mut previous = Duration::ZERO;
            let next = |_| {
                previous = backoff.delay(2, previous, Stretch::default(), &source);
                ms(previous) as f64
            };
            (0..DRAWS).map(next).collect::<Vec<f64>>()
        };
        let found = correlation(&series(SEED), &series(SEED + 1));
        let bound = 5.0 / (DRAWS as f64).sqrt();
        assert!(found.abs() < bound, "{jitter:?}: {found}; seeds {SEED:#x} and the next");
    }
}

/// Goal: rounding neither adds a millisecond nor takes one. Method: products that a
/// floating-point number cannot hold, and parts of a millisecond.
#[test]
fn rounding_is_to_the_inside() {
    assert_eq!((up(100.0 * 1.1 * 1.1), up(1_687.5), up(0.0), up(0.000_001)), (121, 1_688, 0, 1));
    assert_eq!((down(0.1 * 3.0 * 10.0), down(1_687.5), down(0.999_999)), (3, 1_687, 0));
    assert_eq!((up(f64::INFINITY), up(f64::NAN), down(-1.0)), (u64::MAX, 0, 0));
    let ten_years = 3_653.0 * 86_400_000.0;
    assert_eq!((up(ten_years), down(ten_years)), (315_619_200_000, 315_619_200_000));
}
