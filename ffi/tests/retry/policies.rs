//! Retry policies: what each field does, what a preset brings, and what is refused.

use std::ptr::{null, null_mut};
use std::time::Duration;

use crate::support::{Opened, Refused, blank, bytes};
use oncegate::{Attempted, Decision, Exhaustion, JitterSource, RetryPolicy};
use oncegate_ffi::*;

static LIST: [u64; 1] = [5];
const DAY: u64 = 86_400_000;
/// Ten years.
const LONGEST: u64 = oncegate::BackoffPolicy::LONGEST.as_millis() as u64;

/// The delays of a policy and why they end, with room for `capacity`.
fn preview_of(
    policy: *const RawRetryPolicy,
    seed: u64,
    capacity: usize,
) -> Result<(Vec<u64>, u32), Refused> {
    let (mut delays, mut count, mut reason) = (vec![u64::MAX; capacity], usize::MAX, u32::MAX);
    let (at, made, why) = (delays.as_mut_ptr(), &raw mut count, &raw mut reason);
    let previewed = call!(oncegate_backoff_preview(policy, seed, at, capacity, made, why));
    if previewed.is_err() {
        assert!(delays.iter().all(|delay| *delay == u64::MAX), "nothing is written");
        assert_eq!((count, reason), (usize::MAX, u32::MAX));
    }
    previewed.map(|()| {
        delays.truncate(count);
        (delays, reason)
    })
}

fn preview(policy: &RawRetryPolicy) -> Result<(Vec<u64>, u32), Refused> {
    preview_of(policy, 7, 8)
}

fn policy(change: impl FnOnce(&mut RawRetryPolicy)) -> RawRetryPolicy {
    let mut policy = blank();
    change(&mut policy);
    policy
}

/// The same by the engine's own policy.
fn expected(policy: &RetryPolicy, seed: u64, capacity: usize) -> (Vec<u64>, u32) {
    let source = JitterSource::seeded(seed);
    let (mut delays, mut total, mut previous) = (Vec::new(), Duration::ZERO, Duration::ZERO);
    for attempt in 1.. {
        let attempted = Attempted::new(attempt, total).previous_delay(previous);
        match policy.decide(&attempted, &source) {
            Decision::RetryAfter(_) if delays.len() == capacity => break,
            Decision::RetryAfter(delay) => {
                delays.push(u64::try_from(delay.as_millis()).expect("short"));
                (total, previous) = (total + delay, delay);
            }
            Decision::Exhausted(Exhaustion::Attempts) => return (delays, ONCEGATE_BURIED_ATTEMPTS),
            Decision::Exhausted(Exhaustion::Deadline) => return (delays, ONCEGATE_BURIED_DEADLINE),
            Decision::Exhausted(Exhaustion::Refused) => panic!("there is no hint"),
        }
    }
    (delays, ONCEGATE_BURIED_NONE)
}

/// Goal: each number of the header is the preset of that name.
/// Method: the delays that are drawn from several seeds, against the engine's own preset.
#[test]
fn presets_are_the_engines() {
    let presets = [
        (ONCEGATE_POLICY_AWS_STANDARD, RetryPolicy::aws_standard()),
        (ONCEGATE_POLICY_AWS_2026, RetryPolicy::aws_2026()),
        (ONCEGATE_POLICY_AWS_2026_THROTTLED, RetryPolicy::aws_2026_throttled()),
        (ONCEGATE_POLICY_GRPC_EXAMPLE, RetryPolicy::grpc_example()),
        (ONCEGATE_POLICY_RESILIENCE4J, RetryPolicy::resilience4j()),
        (ONCEGATE_POLICY_POLLY_V8, RetryPolicy::polly_v8()),
        (ONCEGATE_POLICY_CELERY, RetryPolicy::celery()),
        (ONCEGATE_POLICY_CELERY_BACKOFF, RetryPolicy::celery_backoff()),
    ];
    for (preset, own) in presets {
        for (seed, attempts) in [(1, 0), (2, 0), (3, 20)] {
            let given = policy(|policy| (policy.preset, policy.max_attempts) = (preset, attempts));
            let own = if attempts == 0 { own.clone() } else { own.clone().max_attempts(attempts) };
            let found = preview_of(&raw const given, seed, 30).expect("a preset");
            assert_eq!(found, expected(&own, seed, 30), "{preset}, seed {seed}");
        }
    }
    let ms = Duration::from_millis;
    let own = RetryPolicy::grpc(ms(300), ms(2_000), 3.0, 9);
    let given = policy(|policy| {
        policy.preset = ONCEGATE_POLICY_GRPC;
        (policy.initial_ms, policy.max_ms) = (300, 2_000);
        (policy.multiplier, policy.max_attempts) = (3.0, 9);
    });
    assert_eq!(preview(&given).expect("all four values"), expected(&own, 7, 8));
    assert_eq!(preview(&given).expect("all four values").0.len(), 4, "9 attempts count as 5");
}

/// Goal: without jitter, each backoff makes the delays that its formula names; zeros are the
/// defaults that the header gives.
/// Method: delays that can be worked out by hand.
#[test]
fn backoffs_without_jitter() {
    let delays = |policy: RawRetryPolicy| preview(&policy).expect("a policy").0;
    assert_eq!(preview(&blank()), Ok((vec![1_000, 2_000], ONCEGATE_BURIED_ATTEMPTS)));
    let all = policy(|policy| policy.max_attempts = 100);
    let doubled = vec![1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 120_000];
    assert_eq!(preview(&all), Ok((doubled, ONCEGATE_BURIED_NONE)));
    let exponential = policy(|policy| {
        (policy.initial_ms, policy.multiplier, policy.max_ms) = (100, 1.5, 300);
        policy.max_attempts = 5;
    });
    assert_eq!(delays(exponential), [100, 150, 225, 300]);
    let linear = policy(|policy| {
        (policy.backoff, policy.max_attempts) = (ONCEGATE_BACKOFF_LINEAR, 5);
        (policy.initial_ms, policy.increment_ms, policy.max_ms) = (ONCEGATE_ZERO, 40, 100);
    });
    assert_eq!(delays(linear), [0, 40, 80, 100]);
    let linear = policy(|policy| policy.backoff = ONCEGATE_BACKOFF_LINEAR);
    assert_eq!(delays(linear), [1_000, 2_000]);
    let constant = policy(|policy| {
        (policy.backoff, policy.initial_ms) = (ONCEGATE_BACKOFF_CONSTANT, 70);
    });
    assert_eq!(delays(constant), [70, 70]);
    assert_eq!(delays(RawRetryPolicy { max_ms: 60, ..constant }), [60, 60]);
    let listed = [0, 500_000, 30];
    let list = policy(|policy| {
        (policy.backoff, policy.max_attempts) = (ONCEGATE_BACKOFF_LIST, 6);
        (policy.delays_ms, policy.delay_count) = (listed.as_ptr(), listed.len());
    });
    assert_eq!(delays(list), [0, 500_000, 30, 30, 30]);
    let lower = RawRetryPolicy { max_ms: 1_000, ..list };
    assert_eq!(delays(lower), [0, 1_000, 30, 30, 30]);
}

/// Goal: each jitter of the header is the engine's of that name, and the delay before goes into the
/// next one where the formula asks for it.
/// Method: each with a share of its own, from several seeds, against the engine's own policy.
#[test]
fn jitters_are_the_engines() {
    use oncegate::{BackoffPolicy, Jitter};
    let all = [
        (ONCEGATE_JITTER_NONE, 0.0, Jitter::None),
        (ONCEGATE_JITTER_FULL, 0.0, Jitter::Full),
        (ONCEGATE_JITTER_EQUAL, 0.0, Jitter::Equal),
        (ONCEGATE_JITTER_DECORRELATED, 0.0, Jitter::Decorrelated),
        (ONCEGATE_JITTER_PROPORTIONAL, 0.0, Jitter::Proportional(0.2)),
        (ONCEGATE_JITTER_PROPORTIONAL, 0.7, Jitter::Proportional(0.7)),
        (ONCEGATE_JITTER_DECORRELATED_V2, 0.0, Jitter::DecorrelatedV2),
    ];
    let second = Duration::from_secs(1);
    for (jitter, share, own) in all {
        let backoff = BackoffPolicy::exponential(second, 2.0, 120 * second).jitter(own);
        let own = RetryPolicy::new(backoff).max_attempts(9);
        for seed in [0, 1, u64::MAX] {
            let given = policy(|policy| {
                (policy.jitter, policy.jitter_share) = (jitter, share);
                policy.max_attempts = 9;
            });
            let found = preview_of(&raw const given, seed, 20).expect("a jitter");
            assert_eq!(found, expected(&own, seed, 20), "{jitter}, seed {seed}");
            assert_eq!(found.0.len(), 8);
        }
    }
}

/// Goal: limits of time end a policy as the header says.
/// Method: delays of a second each, until a deadline; with attempts that are expected to take time,
/// and a reason and a place for it that nobody wants.
#[test]
fn deadlines_end_it() {
    let constant = |change: fn(&mut RawRetryPolicy)| {
        let given = policy(|policy| {
            (policy.backoff, policy.max_attempts) = (ONCEGATE_BACKOFF_CONSTANT, 100);
            change(policy);
        });
        preview(&given).expect("a policy")
    };
    let ended = constant(|policy| policy.deadline_ms = 3_000);
    assert_eq!(ended, (vec![1_000; 3], ONCEGATE_BURIED_DEADLINE));
    let ended = constant(|policy| (policy.deadline_ms, policy.expected_ms) = (3_000, 1_001));
    assert_eq!(ended, (vec![1_000], ONCEGATE_BURIED_DEADLINE));
    let given: RawRetryPolicy = blank();
    let (mut count, mut delays) = (0, [0; 1]);
    let (at, made) = (delays.as_mut_ptr(), &raw mut count);
    call!(oncegate_backoff_preview(&raw const given, 7, at, 1, made, null_mut())).expect("fine");
    assert_eq!((count, delays), (1, [1_000]));
    let none = preview_of(&raw const given, 7, 0).expect("no room is fine");
    assert_eq!(none, (vec![], ONCEGATE_BURIED_NONE));
    let once = policy(|policy| policy.max_attempts = 1);
    assert_eq!(preview_of(&raw const once, 7, 0), Ok((vec![], ONCEGATE_BURIED_ATTEMPTS)));
}

/// Goal: every field that is out of its range, or means nothing beside the others, is refused by
/// its name, and nothing is written.
/// Method: one at a time.
#[test]
fn fields_have_limits() {
    type Change = fn(&mut RawRetryPolicy);
    assert!(preview(&policy(|policy| policy.deadline_ms = LONGEST)).is_ok());
    assert!(preview(&policy(|policy| policy.max_ms = LONGEST)).is_ok());
    assert!(preview(&policy(|policy| policy.attempt_timeout_ms = 366 * DAY)).is_ok());
    let own: [(&str, Change); 14] = [
        ("preset", |policy| policy.preset = 10),
        ("backoff", |policy| policy.backoff = 4),
        ("jitter", |policy| policy.jitter = 6),
        ("reserved", |policy| policy.reserved = 1),
        ("ignore_hints", |policy| policy.ignore_hints = 2),
        ("jitter_share", |policy| policy.jitter_share = 0.1),
        ("increment_ms", |policy| policy.increment_ms = 1),
        ("delay_count", |policy| policy.delay_count = 1),
        ("multiplier", |policy| (policy.backoff, policy.multiplier) = (1, 2.0)),
        ("increment_ms", |policy| (policy.backoff, policy.increment_ms) = (2, 1)),
        ("initial_ms", |policy| {
            (policy.backoff, policy.initial_ms) = (ONCEGATE_BACKOFF_LIST, 1);
            (policy.delays_ms, policy.delay_count) = (LIST.as_ptr(), LIST.len());
        }),
        ("hint_min_ms", |policy| (policy.ignore_hints, policy.hint_min_ms) = (1, 1)),
        ("hint_max_ms", |policy| (policy.ignore_hints, policy.hint_max_ms) = (1, 1)),
        ("hint_beyond_drawn_ms", |policy| {
            (policy.ignore_hints, policy.hint_beyond_drawn_ms) = (1, ONCEGATE_ZERO);
        }),
    ];
    for (field, change) in own {
        let refused = preview(&policy(change)).expect_err(field);
        assert_eq!(refused.is(), (ONCEGATE_BAD_VALUE, field));
    }
    let engines: [(&str, Change); 15] = [
        ("multiplier", |policy| policy.multiplier = 0.5),
        ("multiplier", |policy| policy.multiplier = f64::NAN),
        ("multiplier", |policy| policy.multiplier = ONCEGATE_ZERO_F64),
        ("initial", |policy| policy.initial_ms = ONCEGATE_ZERO),
        ("max", |policy| policy.max_ms = ONCEGATE_ZERO),
        ("initial", |policy| policy.initial_ms = u64::MAX - 1),
        ("delay", |policy| (policy.backoff, policy.initial_ms) = (2, LONGEST + 1)),
        ("increment", |policy| (policy.backoff, policy.increment_ms) = (1, LONGEST + 1)),
        ("jitter", |policy| (policy.jitter, policy.jitter_share) = (4, 1.1)),
        ("jitter", |policy| (policy.backoff, policy.jitter) = (2, 3)),
        ("deadline", |policy| policy.deadline_ms = ONCEGATE_ZERO),
        ("attempt_timeout", |policy| policy.attempt_timeout_ms = 367 * DAY),
        ("expected_duration", |policy| (policy.expected_ms, policy.attempt_timeout_ms) = (2, 1)),
        ("hint_max", |policy| policy.hint_max_ms = LONGEST + 1),
        ("hint_min", |policy| policy.hint_min_ms = 3_600_001),
    ];
    for (field, change) in engines {
        let refused = preview(&policy(change)).expect_err(field);
        assert_eq!(refused.is(), (ONCEGATE_INVALID_OPTION, field));
    }
}

/// Goal: beside a preset, the fields that it names are refused, and the others take effect.
/// Method: each of the eight with a preset; gRPC's without its values.
#[test]
fn presets_bring_their_backoff() {
    type Change = fn(&mut RawRetryPolicy);
    let fields: [(&str, Change); 8] = [
        ("backoff", |policy| policy.backoff = 1),
        ("jitter", |policy| policy.jitter = 1),
        ("jitter_share", |policy| policy.jitter_share = 0.5),
        ("multiplier", |policy| policy.multiplier = 2.0),
        ("initial_ms", |policy| policy.initial_ms = 1),
        ("increment_ms", |policy| policy.increment_ms = 1),
        ("max_ms", |policy| policy.max_ms = 1),
        ("delay_count", |policy| policy.delay_count = 1),
    ];
    for (field, change) in fields {
        let mut given = policy(|policy| policy.preset = ONCEGATE_POLICY_CELERY);
        change(&mut given);
        assert_eq!(preview(&given).expect_err(field).is(), (ONCEGATE_BAD_VALUE, field));
    }
    let grpc = |change: Change| {
        let mut given = policy(|policy| policy.preset = ONCEGATE_POLICY_GRPC);
        (given.initial_ms, given.max_ms, given.multiplier) = (1, 1, 1.0);
        given.max_attempts = 2;
        change(&mut given);
        preview(&given).map_err(|refused| (refused.status, refused.field))
    };
    let missing = |field: &str| Err((ONCEGATE_INVALID_OPTION, field.to_owned()));
    assert_eq!(grpc(|policy| policy.max_attempts = 0), missing("max_attempts"));
    assert_eq!(grpc(|policy| policy.initial_ms = 0), missing("initial"));
    assert_eq!(grpc(|policy| policy.max_ms = 0), missing("max"));
    assert_eq!(grpc(|policy| policy.multiplier = 0.0), missing("multiplier"));
    let refused = Err((ONCEGATE_BAD_VALUE, "jitter".to_owned()));
    assert_eq!(grpc(|policy| policy.jitter = ONCEGATE_JITTER_FULL), refused);
    let celery = policy(|policy| {
        policy.preset = ONCEGATE_POLICY_CELERY;
        (policy.max_attempts, policy.deadline_ms) = (9, 400_000);
    });
    assert_eq!(preview(&celery), Ok((vec![180_000; 2], ONCEGATE_BURIED_DEADLINE)));
}

/// Goal: lists are bounded before they are read, and a list that is nowhere is refused.
/// Method: none, one more than the most, and `NULL`.
#[test]
fn lists_are_bounded() {
    let list = |delays: *const u64, count| {
        preview(&policy(|policy| {
            policy.backoff = ONCEGATE_BACKOFF_LIST;
            (policy.delays_ms, policy.delay_count) = (delays, count);
        }))
    };
    let most = vec![1; 1_024];
    assert!(list(most.as_ptr(), most.len()).is_ok());
    for count in [0, 1_025, usize::MAX] {
        let refused = list(most.as_ptr(), count).unwrap_err();
        assert_eq!(refused.is(), (ONCEGATE_BAD_SIZE, "delay_count"), "{count}");
    }
    assert_eq!(list(null(), 1).unwrap_err().is(), (ONCEGATE_NULL_ARGUMENT, "delays_ms"));
    let unaligned = most.as_ptr().cast::<u8>().wrapping_add(1).cast();
    assert_eq!(list(unaligned, 1).unwrap_err().is(), (ONCEGATE_BAD_VALUE, "delays_ms"));
    let long = [LONGEST + 1];
    assert_eq!(list(long.as_ptr(), 1).unwrap_err().is(), (ONCEGATE_INVALID_OPTION, "list"));
}

/// Goal: `NULL` in each position of a preview is refused by its name, but for the reason.
/// Method: one at a time.
#[test]
fn previews_need_their_places() {
    let (given, mut delays, mut count): (RawRetryPolicy, _, _) = (blank(), [0; 2], 0);
    let (at, made) = (delays.as_mut_ptr(), &raw mut count);
    let refused = call!(oncegate_backoff_preview(null(), 7, at, 2, made, null_mut()));
    assert_eq!(refused.unwrap_err().is(), (ONCEGATE_NULL_ARGUMENT, "policy"));
    let given = &raw const given;
    let refused = call!(oncegate_backoff_preview(given, 7, null_mut(), 2, made, null_mut()));
    assert_eq!(refused.unwrap_err().is(), (ONCEGATE_NULL_ARGUMENT, "delays_ms"));
    let refused = call!(oncegate_backoff_preview(given, 7, at, 2, null_mut(), null_mut()));
    assert_eq!(refused.unwrap_err().is(), (ONCEGATE_NULL_ARGUMENT, "count"));
    let refused = call!(oncegate_backoff_preview(given, 7, at, usize::MAX, made, null_mut()));
    assert_eq!(refused.unwrap_err().is(), (ONCEGATE_BAD_SIZE, "delays_ms"));
}

/// Goal: a policy of an older caller and of a newer one is understood.
/// Method: memory that ends with the first fields; zeros behind all that is known; something there;
/// and sizes that are none.
#[test]
fn policies_may_grow() {
    let older: [u64; 3] = [24, u64::from(ONCEGATE_POLICY_CELERY), 2 << 32];
    let found = preview_of(older.as_ptr().cast(), 7, 8);
    assert_eq!(found, Ok((vec![180_000], ONCEGATE_BURIED_ATTEMPTS)));
    #[repr(C)]
    struct Newer {
        known: RawRetryPolicy,
        unknown: [u64; 2],
    }
    let mut newer = Newer { known: blank(), unknown: [0; 2] };
    newer.known.struct_size = size_of::<Newer>();
    let open = |newer: &Newer| preview_of((&raw const *newer).cast(), 7, 8);
    assert_eq!(open(&newer), preview(&blank()));
    newer.unknown[1] = 1;
    let refused = open(&newer).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_BAD_SIZE, "policy.struct_size"));
    for size in [0, 16, 25, 1 << 20] {
        let refused = preview(&policy(|policy| policy.struct_size = size)).unwrap_err();
        assert_eq!(refused.is(), (ONCEGATE_BAD_SIZE, "policy.struct_size"), "{size}");
    }
}

/// Goal: an operation takes its settings, and what is wrong with them is refused by its name.
/// Method: good ones, replaced ones and none; names and numbers out of their range.
#[test]
fn operations_have_settings() {
    let engine = Opened::new();
    let given = policy(|policy| policy.preset = ONCEGATE_POLICY_POLLY_V8);
    let set = |operation: &[u8], policy: *const RawRetryPolicy, most| {
        call!(oncegate_set_operation(engine.0, bytes(operation), policy, most))
    };
    assert_eq!(set(b"charge", &raw const given, 8), Ok(()));
    assert_eq!(set(b"charge", null(), 0), Ok(()));
    let is = |refused: Result<(), Refused>| {
        let refused = refused.unwrap_err();
        (refused.status, refused.field)
    };
    let invalid = |field: &str| (ONCEGATE_INVALID_OPTION, field.to_owned());
    assert_eq!(is(set(b"", null(), 0)), invalid("operation"));
    assert_eq!(is(set(&[b'x'; 256], null(), 0)), invalid("operation"));
    assert_eq!(is(set(b"\xff", null(), 0)), (ONCEGATE_NOT_UTF8, "operation".to_owned()));
    assert_eq!(is(set(b"charge", null(), ONCEGATE_ZERO)), invalid("max_in_flight"));
    let wrong = policy(|policy| policy.multiplier = 0.5);
    assert_eq!(is(set(b"charge", &raw const wrong, 0)), invalid("multiplier"));
    let refused = call!(oncegate_set_operation(null(), bytes("charge"), null(), 0)).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_NULL_ARGUMENT, "engine"));
    for number in 1..1_024 {
        assert_eq!(set(format!("operation {number}").as_bytes(), null(), 0), Ok(()), "{number}");
    }
    assert_eq!(is(set(b"more", null(), 0)), (ONCEGATE_QUOTA_EXCEEDED, "operations".to_owned()));
}

/// Goal: the policy of the options is the engine's, and a wrong one is refused when it is opened.
/// Method: a good one; one that the engine refuses, and one that the boundary does.
#[test]
fn options_bring_a_policy() {
    let open = |policy: RawRetryPolicy| {
        Opened::try_with(|options| options.retry_policy = &raw const policy).map(drop)
    };
    assert_eq!(open(policy(|policy| policy.preset = ONCEGATE_POLICY_AWS_STANDARD)), Ok(()));
    let refused = open(policy(|policy| policy.deadline_ms = ONCEGATE_ZERO)).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_INVALID_OPTION, "deadline"));
    let refused = open(policy(|policy| policy.struct_size = 8)).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_BAD_SIZE, "retry_policy.struct_size"));
}
