//! Every constant of every preset, pinned.

use super::*;
use crate::retry::{Attempted, Decision, Hint, JitterSource, Stretch};

/// The delays without jitter, in milliseconds.
fn plain<const N: usize>(policy: &RetryPolicy) -> [u128; N] {
    policy.check().expect("valid");
    std::array::from_fn(|at| policy.backoff.plain(at as u32 + 1).as_millis())
}

/// What a policy is made of, but for its schedule.
fn rest(policy: &RetryPolicy) -> (BackoffPolicy, u32, HintLimits) {
    let nothing = (policy.deadline, policy.expected, policy.attempt_timeout);
    assert_eq!(nothing, (None, None, None), "no source sets these");
    (policy.backoff.clone(), policy.max_attempts, policy.hints)
}

fn exponential(initial_ms: u64, multiplier: f64, max: Duration, jitter: Jitter) -> BackoffPolicy {
    let initial = Duration::from_millis(initial_ms);
    BackoffPolicy::exponential(initial, multiplier, max).jitter(jitter)
}

/// Goal: whoever switches over keeps his delays. Method: the schedule, the ceiling, the jitter, the
/// attempts and the hints of each preset, as published.
#[test]
fn constants_are_as_published() {
    let (seconds, none) = (Duration::from_secs, BackoffPolicy::LONGEST);
    let usual = HintLimits::new();
    let aws_hints = HintLimits::new().beyond_drawn(seconds(5));
    let full = Jitter::Full;

    let aws = RetryPolicy::aws_standard();
    assert_eq!(plain(&aws), [1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
    assert_eq!(rest(&aws), (exponential(1_000, 2.0, seconds(20), full), 3, usual));

    let aws = RetryPolicy::aws_2026();
    assert_eq!(plain(&aws), [50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 20_000]);
    assert_eq!(rest(&aws), (exponential(50, 2.0, seconds(20), full), 3, aws_hints));

    let aws = RetryPolicy::aws_2026_throttled();
    assert_eq!(plain(&aws), [1_000, 2_000, 4_000, 8_000, 16_000, 20_000]);
    assert_eq!(rest(&aws), (exponential(1_000, 2.0, seconds(20), full), 3, aws_hints));

    let grpc = RetryPolicy::grpc_example();
    assert_eq!(plain(&grpc), [100, 200, 400, 800, 1_000, 1_000]);
    let around = exponential(100, 2.0, seconds(1), Jitter::Proportional(0.2));
    assert_eq!(rest(&grpc), (around, 4, usual));
    let many = RetryPolicy::grpc(seconds(1), seconds(120), 1.6, 9);
    assert_eq!((plain(&many), many.max_attempts), ([1_000, 1_600, 2_560, 4_096], 5));

    let resilience4j = RetryPolicy::resilience4j();
    assert_eq!(plain(&resilience4j), [500, 750, 1_125, 1_688]);
    let around = exponential(500, 1.5, none, Jitter::Proportional(0.5));
    assert_eq!(rest(&resilience4j), (around, 3, usual));

    let polly = RetryPolicy::polly_v8();
    assert_eq!(plain(&polly), [2_000, 4_000, 8_000]);
    assert_eq!(rest(&polly), (exponential(2_000, 2.0, none, Jitter::DecorrelatedV2), 4, usual));

    let celery = RetryPolicy::celery();
    assert_eq!(plain(&celery), [180_000; 3]);
    assert_eq!(rest(&celery), (BackoffPolicy::constant(seconds(180)), 4, usual));

    let celery = RetryPolicy::celery_backoff();
    assert_eq!(plain(&celery), [1_000, 2_000, 4_000, 8_000]);
    assert_eq!(celery.backoff.plain(12), seconds(600));
    assert_eq!(rest(&celery), (exponential(1_000, 2.0, seconds(600), full), 4, usual));
}

/// Goal: ranges are as their sources state them. Method: 10,000 draws of first and later delays
/// come near to both ends and never go beyond.
#[test]
fn ranges_are_as_published() {
    let most_of_v2 = |retry: i32| {
        let of = |t: f64| 2.0_f64.powf(t) * (4.0 * t).sqrt().tanh();
        (of(f64::from(retry)) - of(f64::from(retry - 2).max(0.0))) / 1.4 * 2_000.0
    };
    let ranges = [
        (RetryPolicy::aws_standard(), 2, 0.0, 2_000.0),
        (RetryPolicy::aws_2026(), 1, 0.0, 50.0),
        (RetryPolicy::grpc_example(), 3, 320.0, 480.0),
        (RetryPolicy::resilience4j(), 2, 375.0, 1_125.0),
        (RetryPolicy::polly_v8(), 1, 0.0, most_of_v2(1)),
        (RetryPolicy::polly_v8(), 3, 0.0, most_of_v2(3)),
        (RetryPolicy::celery(), 3, 180_000.0, 180_000.0),
        (RetryPolicy::celery_backoff(), 11, 0.0, 600_000.0),
    ];
    for (policy, retry, least, most) in ranges {
        let source = JitterSource::seeded(7);
        let draw = |_| {
            let delay = policy.backoff.delay(retry, Duration::ZERO, Stretch::default(), &source);
            delay.as_secs_f64() * 1_000.0
        };
        let drawn: Vec<f64> = (0..10_000).map(draw).collect();
        let lowest = drawn.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = drawn.iter().copied().fold(0.0, f64::max);
        let near = (most - least) * 0.05;
        let low = lowest >= least && lowest <= least + near;
        let high = highest <= most.ceil() && highest >= most - near;
        assert!(low && high, "{policy:?}: {lowest} to {highest}, and not {least} to {most}");
    }
}

/// Goal: a hint of AWS lengthens the drawn delay by 5 s at most, and never shortens it. Method:
/// what one seed draws, without a hint and with hints on both sides.
#[test]
fn aws_hints_are_clamped_around_the_draw() {
    let policy = RetryPolicy::aws_2026_throttled();
    let with = |hint| {
        let attempted = Attempted::new(2, Duration::from_secs(1)).hint(hint);
        match policy.decide(&attempted, &JitterSource::seeded(7)) {
            Decision::RetryAfter(delay) => delay,
            Decision::Exhausted(reason) => panic!("{reason:?}"),
        }
    };
    let drawn = with(None);
    assert!(drawn > Duration::from_millis(1), "the seed draws something");
    assert_eq!(with(Hint::amz_retry_after("0")), drawn);
    assert_eq!(with(Hint::amz_retry_after("600000")), drawn + Duration::from_secs(5));
    let between = drawn + Duration::from_millis(1_234);
    assert_eq!(with(Hint::amz_retry_after(between.as_millis().to_string())), between);
}
