//! Schedules: tables, a model in whole numbers, and that nothing exceeds the ceiling.

use proptest::prelude::*;

use super::*;
use crate::retry::tests::{
    SEED, any_backoff, any_count, any_duration, any_jitter, any_stretch, seeded, valid_duration,
};

const SECOND: Duration = Duration::from_secs(1);

fn table(backoff: &BackoffPolicy, retries: u32) -> Vec<u128> {
    backoff.check().expect("valid");
    (1..=retries).map(|retry| backoff.plain(retry).as_millis()).collect()
}

/// Goal: each schedule grows as it says. Method: tables worked out by hand, with fractions that
/// round up and a ceiling that is a fraction.
#[test]
fn schedules_are_as_documented() {
    let half = Duration::from_millis(500);
    let exponential = BackoffPolicy::exponential(half, 1.5, 3 * SECOND);
    assert_eq!(table(&exponential, 6), [500, 750, 1_125, 1_688, 2_532, 3_000]);
    let linear = BackoffPolicy::linear(SECOND, half, Duration::from_micros(2_300_700));
    assert_eq!(table(&linear, 5), [1_000, 1_500, 2_000, 2_300, 2_300]);
    assert_eq!(table(&BackoffPolicy::constant(half), 3), [500; 3]);
    let list = BackoffPolicy::list([0, 7, 3].map(Duration::from_secs));
    assert_eq!(table(&list, 5), [0, 7_000, 3_000, 3_000, 3_000]);
    assert_eq!(table(&list.clone().max(5 * SECOND), 3), [0, 5_000, 3_000]);
    assert_eq!(list.plain(0), list.plain(1), "retries count from 1 on");
}

/// Goal: what cannot be meant is refused by name. Method: one wrong field at a time.
#[test]
fn fields_are_checked() {
    let (zero, long) = (Duration::ZERO, BackoffPolicy::LONGEST + Duration::from_nanos(1));
    let exponential = |initial, multiplier| BackoffPolicy::exponential(initial, multiplier, SECOND);
    let constant = BackoffPolicy::constant(SECOND);
    let wrong = [
        (exponential(zero, 2.0), "initial"),
        (exponential(long, 2.0), "initial"),
        (exponential(SECOND, 0.99), "multiplier"),
        (exponential(SECOND, 1_000.1), "multiplier"),
        (exponential(SECOND, f64::NAN), "multiplier"),
        (BackoffPolicy::linear(long, zero, SECOND), "initial"),
        (BackoffPolicy::linear(zero, long, SECOND), "increment"),
        (BackoffPolicy::constant(long), "delay"),
        (BackoffPolicy::list([]), "list"),
        (BackoffPolicy::list([SECOND; BackoffPolicy::MAX_LISTED + 1]), "list"),
        (BackoffPolicy::list([SECOND, long]), "list"),
        (constant.clone().max(zero), "max"),
        (constant.clone().max(long), "max"),
        (constant.clone().jitter(Jitter::Proportional(0.0)), "jitter"),
        (constant.clone().jitter(Jitter::Proportional(1.01)), "jitter"),
        (constant.clone().jitter(Jitter::Proportional(f64::NAN)), "jitter"),
        (constant.clone().jitter(Jitter::Decorrelated), "jitter"),
        (constant.clone().jitter(Jitter::DecorrelatedV2), "jitter"),
    ];
    for (backoff, field) in wrong {
        let error = backoff.check().expect_err("refused");
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidOption, field), "{error}");
    }
    let right = [
        exponential(BackoffPolicy::LONGEST, 1.0),
        exponential(Duration::from_millis(1), 1_000.0),
        BackoffPolicy::linear(zero, zero, BackoffPolicy::LONGEST),
        BackoffPolicy::list([zero; BackoffPolicy::MAX_LISTED]),
        constant.clone().jitter(Jitter::Proportional(1.0)),
        exponential(SECOND, 2.0).jitter(Jitter::DecorrelatedV2),
    ];
    for backoff in right {
        backoff.check().expect("valid");
    }
}

/// Goal: a stretch acts on what it names. Method: one factor at a time, without jitter and with it.
#[test]
fn stretches_act_on_what_they_name() {
    let backoff = BackoffPolicy::exponential(SECOND, 2.0, 6 * SECOND).jitter(Jitter::None);
    let source = JitterSource::seeded(SEED);
    let plain = Stretch::default();
    let delays = |stretch| {
        [1, 2, 3, 4].map(|retry| backoff.delay(retry, SECOND, stretch, &source).as_millis())
    };
    assert_eq!(delays(plain), [1_000, 2_000, 4_000, 6_000]);
    assert_eq!(delays(Stretch { base: 1.5, ..plain }), [1_500, 3_000, 6_000, 6_000]);
    assert_eq!(delays(Stretch { ceiling: 1.25, ..plain }), [1_000, 2_000, 4_000, 7_500]);
    assert_eq!(delays(Stretch { width: 9.0, ..plain }), delays(plain));
    let nonsense = Stretch { base: 0.1, ceiling: f64::NAN, width: f64::NEG_INFINITY };
    assert_eq!(delays(nonsense), delays(plain));
}

proptest! {
    #![proptest_config(seeded(4_000))]

    /// Goal: no delay exceeds the ceiling, jitter and stretch included, and nothing overflows or
    /// panics, valid or not. Method: arbitrary backoffs, retries, previous delays and stretches;
    /// each delay is a whole number of milliseconds.
    #[test]
    fn the_ceiling_is_never_exceeded(
        backoff in any_backoff(),
        retry in any_count(),
        previous in any_duration(),
        stretch in any_stretch(),
        seed: u64,
    ) {
        let source = JitterSource::seeded(seed);
        let most = backoff.max.min(BackoffPolicy::LONGEST).as_millis() as f64;
        let factor = if stretch.ceiling >= 1.0 { stretch.ceiling.min(1e6) } else { 1.0 };
        prop_assert!(backoff.ceiling(stretch).as_millis() as f64 <= most * factor);
        for _ in 0..8 {
            let delay = backoff.delay(retry, previous, stretch, &source);
            prop_assert!(delay <= backoff.ceiling(stretch), "{delay:?}");
            prop_assert_eq!(delay.subsec_nanos() % 1_000_000, 0);
        }
        prop_assert!(backoff.plain(retry) <= backoff.max.max(Duration::from_millis(1)));
    }

    /// Goal: what is checked is what is used. Method: whatever is found valid stays within the
    /// bounds that its jitter documents.
    #[test]
    fn delays_are_within_their_formula(
        initial in valid_duration(),
        multiplier in 1.0..4.0,
        max in valid_duration(),
        jitter in any_jitter(),
        retry in any_count(),
        seed: u64,
    ) {
        let backoff = BackoffPolicy::exponential(initial, multiplier, max).jitter(jitter);
        prop_assume!(backoff.check().is_ok());
        let plain = Stretch::default();
        let delay = backoff.delay(retry, Duration::ZERO, plain, &JitterSource::seeded(seed));
        let ceiling = backoff.ceiling(plain);
        // One millisecond for the rounding of `plain`, and parts of 2^52 for products.
        let named = backoff.plain(retry).as_secs_f64();
        let (slack, found) = (0.001 + named * 1e-9, delay.as_secs_f64());
        let first = backoff.plain(1).as_secs_f64();
        let (least, most) = match jitter {
            Jitter::None => (named, named),
            Jitter::Full => (0.0, named),
            Jitter::Equal => (named / 2.0, named),
            Jitter::Proportional(part) => (named * (1.0 - part), named * (1.0 + part)),
            Jitter::Decorrelated => (first, first * 3.0),
            Jitter::DecorrelatedV2 => (0.0, f64::INFINITY),
        };
        let most = most.min(ceiling.as_secs_f64());
        prop_assert!(found >= least.min(most) - slack && found <= most + slack, "{delay:?}");
    }

    /// Goal: without jitter delays never shrink, and are exactly the formula. Method: whole
    /// milliseconds and multipliers, against the same in whole numbers of 128 bits.
    #[test]
    fn plain_schedules_agree_with_whole_numbers(
        initial in 1..10_000_000_u64,
        step in 1..1_000_u32,
        max in 1..315_619_200_000_u64,
        retry in any_count(),
    ) {
        let (ms, most) = (Duration::from_millis, u128::from(max));
        let grown = retry.max(1) - 1;
        let exponential = BackoffPolicy::exponential(ms(initial), f64::from(step), ms(max));
        let power = u128::from(step).saturating_pow(grown);
        let expected = u128::from(initial).saturating_mul(power).min(most);
        prop_assert_eq!(exponential.plain(retry).as_millis(), expected);

        let linear = BackoffPolicy::linear(ms(initial), ms(step.into()), ms(max));
        let expected = (u128::from(initial) + u128::from(step) * u128::from(grown)).min(most);
        prop_assert_eq!(linear.plain(retry).as_millis(), expected);

        for backoff in [exponential, linear] {
            prop_assert!(backoff.plain(retry) <= backoff.plain(retry.saturating_add(1)));
        }
    }

    /// Goal: the same, where nothing is a whole number. Method: neighbours of arbitrary schedules.
    #[test]
    fn plain_schedules_never_shrink(
        initial in valid_duration(),
        multiplier in 1.0..1_000.0,
        increment in valid_duration(),
        max in valid_duration(),
        retry in any_count(),
    ) {
        let next = retry.saturating_add(1);
        for backoff in [
            BackoffPolicy::exponential(initial, multiplier, max),
            BackoffPolicy::linear(initial, increment, max),
        ] {
            prop_assert!(backoff.plain(retry) <= backoff.plain(next));
        }
    }
}
