//! Decisions: the order of the rules, the deadline to the millisecond, and a model of it all.

use proptest::prelude::*;

use super::*;
use crate::retry::Jitter;
use crate::retry::tests::{
    SEED, any_backoff, any_count, any_duration, any_stretch, seeded, valid_duration,
};

const SECOND: Duration = Duration::from_secs(1);

fn decide(policy: &RetryPolicy, attempted: Attempted) -> Decision {
    policy.check().expect("valid");
    policy.decide(&attempted, &JitterSource::seeded(SEED))
}

/// One second before each retry.
fn each_second() -> RetryPolicy {
    RetryPolicy::new(BackoffPolicy::constant(SECOND))
}

/// Goal: there are as many attempts as were asked for. Method: the attempts before the last one,
/// the last one, and one that should not have been.
#[test]
fn attempts_are_counted_from_the_first() {
    let policy = each_second().max_attempts(3);
    let after = |attempt| decide(&policy, Attempted::new(attempt, SECOND));
    assert_eq!(after(1), Decision::RetryAfter(SECOND));
    assert_eq!(after(2), Decision::RetryAfter(SECOND));
    assert_eq!(after(3), Decision::Exhausted(Exhaustion::Attempts));
    assert_eq!(after(u32::MAX), Decision::Exhausted(Exhaustion::Attempts));
    let once = each_second().max_attempts(1);
    let decision = decide(&once, Attempted::new(1, SECOND));
    assert_eq!(decision, Decision::Exhausted(Exhaustion::Attempts));
}

/// Goal: an attempt that cannot end in time is not started, and one that just can is. Method: the
/// deadline to the nanosecond, with the policy's expected duration, a measured one, and none.
#[test]
fn an_attempt_has_to_fit_before_the_deadline() {
    let nano = Duration::from_nanos(1);
    let policy = each_second().deadline(10 * SECOND);
    let late = Decision::Exhausted(Exhaustion::Deadline);
    let retry = Decision::RetryAfter(SECOND);
    assert_eq!(decide(&policy, Attempted::new(1, 9 * SECOND)), retry);
    assert_eq!(decide(&policy, Attempted::new(1, 9 * SECOND + nano)), late);

    let policy = policy.expected_duration(4 * SECOND);
    assert_eq!(decide(&policy, Attempted::new(1, 5 * SECOND)), retry);
    assert_eq!(decide(&policy, Attempted::new(1, 5 * SECOND + nano)), late);
    let measured = Attempted::new(1, 7 * SECOND).expected(2 * SECOND);
    assert_eq!(decide(&policy, measured), retry, "what was measured counts");
    assert_eq!(decide(&policy, measured.expected(2 * SECOND + nano)), late);
    assert_eq!(decide(&policy, Attempted::new(1, Duration::MAX)), late, "nothing overflows");
}

/// Goal: a hint takes the place of the drawn delay, shorter or longer, and the deadline holds for
/// it too. Method: hints on both sides of the drawn delay, and one beyond the deadline.
#[test]
fn hints_take_the_place_of_the_delay() {
    let policy = each_second().deadline(60 * SECOND);
    let hinted = |hint| decide(&policy, Attempted::new(1, SECOND).hint(Some(hint)));
    let short = Duration::from_millis(20);
    assert_eq!(hinted(Hint::After(short)), Decision::RetryAfter(short));
    assert_eq!(hinted(Hint::After(59 * SECOND)), Decision::RetryAfter(59 * SECOND));
    assert_eq!(hinted(Hint::After(60 * SECOND)), Decision::Exhausted(Exhaustion::Deadline));
    assert_eq!(hinted(Hint::Refused), Decision::Exhausted(Exhaustion::Refused));
}

/// Goal: of two reasons to stop, the one that says most is told. Method: a refusal with the last
/// attempt, and the last attempt after the deadline.
#[test]
fn reasons_have_an_order() {
    let policy = each_second().deadline(10 * SECOND);
    let last = Attempted::new(3, 60 * SECOND);
    assert_eq!(decide(&policy, last), Decision::Exhausted(Exhaustion::Attempts));
    let refused = decide(&policy, last.hint(Some(Hint::Refused)));
    assert_eq!(refused, Decision::Exhausted(Exhaustion::Refused));
}

/// Goal: no attempt outlasts its timeout or the deadline. Method: each of the two, both, neither.
#[test]
fn attempts_are_limited_by_what_ends_first() {
    let limits = |policy: &RetryPolicy| {
        [0, 7, 60].map(|elapsed| policy.attempt_limit(Duration::from_secs(elapsed)))
    };
    assert_eq!(limits(&each_second()), [None; 3]);
    let timed = each_second().attempt_timeout(4 * SECOND);
    assert_eq!(limits(&timed), [Some(4 * SECOND); 3]);
    let left = [10, 3, 0].map(|left| Some(left * SECOND));
    assert_eq!(limits(&each_second().deadline(10 * SECOND)), left);
    let both = [4, 3, 0].map(|left| Some(left * SECOND));
    assert_eq!(limits(&timed.deadline(10 * SECOND)), both);
}

/// Goal: a lease lasts as long as the timeout, or else as the engine's, and not beyond the
/// deadline, however far away that is. Method: each of the two, both, neither.
#[test]
fn leases_are_as_long_as_attempts_may_last() {
    let leases = |policy: &RetryPolicy| {
        [0, 7, 60].map(|elapsed| policy.lease(Duration::from_secs(elapsed), 5 * SECOND))
    };
    let timed = each_second().attempt_timeout(8 * SECOND);
    assert_eq!(leases(&each_second()), [5 * SECOND; 3]);
    assert_eq!(leases(&timed), [8 * SECOND; 3]);
    assert_eq!(leases(&each_second().deadline(TEN_YEARS)), [5 * SECOND; 3]);
    let left = |longest| [longest, 3 * SECOND, SHORTEST];
    assert_eq!(leases(&each_second().deadline(10 * SECOND)), left(5 * SECOND));
    assert_eq!(leases(&timed.deadline(10 * SECOND)), left(8 * SECOND));
}

/// Goal: what was measured counts before what was set, and neither beyond the timeout. Method: each
/// of the two, both, neither; with a timeout and without.
#[test]
fn expected_durations_are_bounded() {
    let set = each_second().expected_duration(3 * SECOND);
    assert_eq!(each_second().expects(None), SHORTEST);
    assert_eq!(set.expects(None), 3 * SECOND);
    assert_eq!(set.expects(Some(90 * SECOND)), 90 * SECOND);
    assert_eq!(set.expects(Some(SECOND)), SECOND);
    assert_eq!(set.attempt_timeout(4 * SECOND).expects(Some(90 * SECOND)), 4 * SECOND);
}

/// Goal: what cannot be meant is refused by name. Method: one wrong field at a time.
#[test]
fn fields_are_checked() {
    let long = TEN_YEARS + SECOND;
    let wrong = [
        (each_second().max_attempts(0), "max_attempts"),
        (each_second().deadline(Duration::ZERO), "deadline"),
        (each_second().deadline(long), "deadline"),
        (each_second().attempt_timeout(Duration::from_micros(999)), "attempt_timeout"),
        (each_second().attempt_timeout(YEAR + SECOND), "attempt_timeout"),
        (each_second().expected_duration(YEAR + SECOND), "expected_duration"),
        (each_second().attempt_timeout(SECOND).expected_duration(2 * SECOND), "expected_duration"),
        (each_second().hints(HintLimits::new().max(long)), "hint_max"),
        (each_second().hints(HintLimits::new().min(3_601 * SECOND)), "hint_min"),
        (each_second().hints(HintLimits::new().beyond_drawn(long)), "hint_beyond_drawn"),
        (RetryPolicy::new(BackoffPolicy::list([])), "list"),
    ];
    for (policy, field) in wrong {
        let error = policy.check().expect_err("refused");
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidOption, field), "{error}");
    }
    each_second().max_attempts(u32::MAX).deadline(TEN_YEARS).check().expect("valid");
    each_second().attempt_timeout(YEAR).expected_duration(YEAR).check().expect("valid");
}

/// Goal: one policy serves all threads. Method: the compiler.
#[test]
fn policies_are_shared() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    shared(&each_second());
    fn drawn<T: Send + Sync>(_: &T) {}
    drawn(&JitterSource::seeded(SEED));
}

fn any_hint() -> impl Strategy<Value = Option<Hint>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(Hint::Refused)),
        3 => any_duration().prop_map(|after| Some(Hint::After(after))),
    ]
}

proptest! {
    #![proptest_config(seeded(4_000))]

    /// Goal: a decision follows the documented rules. Method: arbitrary policies without jitter,
    /// against the rules in whole nanoseconds of 128 bits.
    #[test]
    fn decisions_agree_with_the_rules(
        delay in valid_duration(),
        max_attempts in 1..6_u32,
        deadline in proptest::option::of(valid_duration()),
        own in proptest::option::of(valid_duration()),
        measured in proptest::option::of(any_duration()),
        hint in any_hint(),
        attempt in any_count(),
        elapsed in any_duration(),
    ) {
        let backoff = BackoffPolicy::constant(delay);
        let mut policy = RetryPolicy::new(backoff).max_attempts(max_attempts);
        (policy.deadline, policy.expected) = (deadline, own);
        let mut attempted = Attempted::new(attempt, elapsed).hint(hint);
        attempted.expected = measured;
        let found = policy.decide(&attempted, &JitterSource::seeded(SEED));

        const MS: u128 = 1_000_000;
        let nanos = match hint {
            Some(Hint::After(asked)) => asked.as_nanos().div_ceil(MS).min(3_600_000) * MS,
            // The ceiling of ten years is a whole number, so that rounding up stays below it.
            _ => delay.as_nanos().div_ceil(MS) * MS,
        };
        let expected = measured.or(own).unwrap_or_default().as_nanos();
        let ends = elapsed.as_nanos() + nanos + expected;
        let rules = if hint == Some(Hint::Refused) {
            Decision::Exhausted(Exhaustion::Refused)
        } else if attempt >= max_attempts {
            Decision::Exhausted(Exhaustion::Attempts)
        } else if deadline.is_some_and(|deadline| ends > deadline.as_nanos()) {
            Decision::Exhausted(Exhaustion::Deadline)
        } else {
            Decision::RetryAfter(Duration::from_millis(u64::try_from(nanos / MS).unwrap()))
        };
        prop_assert_eq!(found, rules);
    }

    /// Goal: nothing panics, and a decision is a pure function. Method: anything at all, decided
    /// twice from one seed; a delay that no hint has changed is within the ceiling, and whatever
    /// the delay is, the attempt after it fits before the deadline.
    #[test]
    fn anything_is_decided(
        backoff in any_backoff(),
        deadline in proptest::option::of(any_duration()),
        min in any_duration(),
        max in any_duration(),
        beyond in proptest::option::of(any_duration()),
        hint in any_hint(),
        (attempt, elapsed, previous) in (any_count(), any_duration(), any_duration()),
        stretch in any_stretch(),
        seed: u64,
    ) {
        let mut limits = HintLimits::new().min(min).max(max);
        if let Some(beyond) = beyond {
            limits = limits.beyond_drawn(beyond);
        }
        let mut policy = RetryPolicy::new(backoff).max_attempts(u32::MAX).hints(limits);
        policy.deadline = deadline;
        let attempted = Attempted::new(attempt, elapsed)
            .previous_delay(previous)
            .hint(hint)
            .stretch(stretch);
        let decision = policy.decide(&attempted, &JitterSource::seeded(seed));
        prop_assert_eq!(decision, policy.decide(&attempted, &JitterSource::seeded(seed)));
        if let Decision::RetryAfter(delay) = decision {
            prop_assert!(hint.is_some() || delay <= policy.backoff.ceiling(stretch));
            prop_assert!(deadline.is_none_or(|most| elapsed.saturating_add(delay) <= most));
        }
    }
}

/// Goal: decorrelated jitter goes on from the delay that the caller kept. Method: a chain of
/// decisions grows beyond what the first delay allows, and never beyond the ceiling.
#[test]
fn the_previous_delay_is_passed_on() {
    let backoff = BackoffPolicy::exponential(SECOND, 2.0, 60 * SECOND);
    let policy = RetryPolicy::new(backoff.jitter(Jitter::Decorrelated)).max_attempts(50);
    let source = JitterSource::seeded(SEED);
    let (mut previous, mut longest) = (Duration::ZERO, Duration::ZERO);
    for attempt in 1..50 {
        let attempted = Attempted::new(attempt, SECOND).previous_delay(previous);
        let Decision::RetryAfter(delay) = policy.decide(&attempted, &source) else {
            panic!("attempt {attempt} is not the last; seed {SEED:#x}");
        };
        assert!(delay <= (3 * previous).max(3 * SECOND), "seed {SEED:#x}");
        (previous, longest) = (delay, longest.max(delay));
    }
    assert!(longest > 9 * SECOND && longest <= 60 * SECOND, "{longest:?}; seed {SEED:#x}");
}
