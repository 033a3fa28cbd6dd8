use super::*;
use crate::convert::ONCEGATE_ZERO;

type Change = fn(&mut RawRetryPolicy);

fn blank() -> RawRetryPolicy {
    RawRetryPolicy {
        struct_size: size_of::<RawRetryPolicy>(),
        preset: 0,
        backoff: 0,
        jitter: 0,
        max_attempts: 0,
        multiplier: 0.0,
        jitter_share: 0.0,
        initial_ms: 0,
        increment_ms: 0,
        max_ms: 0,
        delays_ms: std::ptr::null(),
        delay_count: 0,
        deadline_ms: 0,
        expected_ms: 0,
        attempt_timeout_ms: 0,
        ignore_hints: 0,
        reserved: 0,
        hint_min_ms: 0,
        hint_max_ms: 0,
        hint_beyond_drawn_ms: 0,
    }
}

fn built(change: impl FnOnce(&mut RawRetryPolicy)) -> RetryPolicy {
    let mut raw = blank();
    change(&mut raw);
    build(&raw, Vec::new()).expect("in range")
}

/// Goal: each limit of attempts, time and hints is the engine's setter of that name, in place of
/// what a preset says and beside the rest of it.
/// Method: one field at a time, on the preset that has a limit for hints of its own; policies are
/// compared as a whole.
#[test]
fn limits_are_the_setters() {
    let own = RetryPolicy::aws_2026;
    let hints = |change: fn(HintLimits) -> HintLimits| {
        let limits = change(own().hint_limits());
        own().hints(limits)
    };
    let second = Duration::from_secs(1);
    let cases: [(Change, RetryPolicy); 11] = [
        (|_| {}, own()),
        (|raw| raw.max_attempts = 7, own().max_attempts(7)),
        (|raw| raw.deadline_ms = 5_000, own().deadline(5 * second)),
        (|raw| raw.expected_ms = 2_000, own().expected_duration(2 * second)),
        (|raw| raw.expected_ms = ONCEGATE_ZERO, own().expected_duration(Duration::ZERO)),
        (|raw| raw.attempt_timeout_ms = 3_000, own().attempt_timeout(3 * second)),
        (|raw| raw.ignore_hints = 1, own().hints(HintLimits::ignored())),
        (|raw| raw.hint_min_ms = 1_000, hints(|limits| limits.min(Duration::from_secs(1)))),
        (|raw| raw.hint_max_ms = 9_000, hints(|limits| limits.max(Duration::from_secs(9)))),
        (|raw| raw.hint_max_ms = ONCEGATE_ZERO, hints(|limits| limits.max(Duration::ZERO))),
        (
            |raw| raw.hint_beyond_drawn_ms = ONCEGATE_ZERO,
            hints(|limits| limits.beyond_drawn(Duration::ZERO)),
        ),
    ];
    for (change, own) in cases {
        let given = built(|raw| {
            raw.preset = ONCEGATE_POLICY_AWS_2026;
            change(raw);
        });
        assert_eq!(given, own);
    }
}

/// Goal: zeros are the policy that the header describes.
/// Method: the engine's builders with those numbers.
#[test]
fn zeros_are_the_defaults() {
    let second = Duration::from_secs(1);
    let backoff = BackoffPolicy::exponential(second, 2.0, 120 * second).jitter(Jitter::None);
    assert_eq!(built(|_| {}), RetryPolicy::new(backoff));
    let linear = built(|raw| raw.backoff = ONCEGATE_BACKOFF_LINEAR);
    let backoff = BackoffPolicy::linear(second, second, 120 * second).jitter(Jitter::None);
    assert_eq!(linear, RetryPolicy::new(backoff));
    let constant = built(|raw| raw.backoff = ONCEGATE_BACKOFF_CONSTANT);
    assert_eq!(constant, RetryPolicy::new(BackoffPolicy::constant(second)));
}
