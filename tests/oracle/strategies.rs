//! Random calls for the property tests.

use oncegate::{OnDrop, OnLapse};
use proptest::prelude::*;

use crate::ops::{Limits, Op, Options, Setup, TOO_LONG_US, Way};
use crate::requests::KEYS;
use crate::{full_table, outcomes};

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let token = || any::<usize>();
    prop_oneof![
        8 => (key(), 0..3_usize, options(), way(), any::<bool>())
            .prop_map(|(key, payload, options, way, guard)| Op::Begin {
                key,
                // Most duplicates come with the payload of the first.
                payload: payload / 2,
                options,
                way,
                guard,
            }),
        3 => (token(), any::<usize>())
            .prop_map(|(token, outcome)| Op::Complete { token, outcome }),
        1 => (token(), any::<usize>())
            .prop_map(|(token, outcome)| Op::Terminal { token, outcome }),
        2 => (token(), proptest::option::of(delay_us()))
            .prop_map(|(token, delay_us)| Op::Retry { token, delay_us }),
        1 => token().prop_map(|token| Op::GiveUp { token }),
        1 => token().prop_map(|token| Op::Abandon { token }),
        1 => (token(), 0..32_usize, any::<u8>(), any::<usize>())
            .prop_map(|(token, at, with, call)| Op::Tamper { token, at, with, call }),
        1 => (key(), limits()).prop_map(|(key, quota)| Op::SetQuota { key, quota }),
        2 => (token(), delay_us()).prop_map(|(token, lease_us)| Op::Renew { token, lease_us }),
        2 => any::<usize>().prop_map(|guard| Op::DropGuard { guard }),
        1 => (key(), any::<bool>(), any::<usize>())
            .prop_map(|(key, success, outcome)| Op::ResolveTo { key, success, outcome }),
        1 => key().prop_map(|key| Op::RunAgain { key }),
        1 => Just(Op::SweepAll),
        1 => (0..40_usize).prop_map(|slots| Op::SweepSome { slots }),
        4 => (key(), any::<usize>(), -1..=1_i64)
            .prop_map(|(key, moment, off_ms)| Op::AdvanceTo { key, moment, off_ms }),
        1 => prop_oneof![Just(1), Just(400), Just(999), Just(1_000), 0..30_000_u64]
            .prop_map(|us| Op::AdvanceBy { us }),
    ]
}

/// The same, while the secret is rotated again and again, until time is over.
pub(crate) fn op_or_rotation() -> impl Strategy<Value = Op> {
    prop_oneof![
        100 => op(),
        10 => (1..=255_u8).prop_map(|secret| Op::Rotate { secret }),
        10 => Just(Op::FinishRotation),
        1 => Just(Op::EndOfTime),
    ]
}

pub(crate) fn setup() -> impl Strategy<Value = Setup> {
    let on_drop = prop_oneof![
        Just(OnDrop::Retry),
        Just(OnDrop::Unknown),
        Just(OnDrop::Failed),
        Just(OnDrop::KeepLease)
    ];
    let inline = prop_oneof![Just(0_usize), Just(8), Just(64)];
    let switches = (any::<bool>(), any::<bool>(), inline, 1..=255_u8);
    (1_000..20_000_u64, 1_000..40_000_u64, lapse(), on_drop, switches).prop_map(
        |(lease_us, window_us, on_lapse, on_drop, (fast, shared, inline, secret))| Setup {
            lease_us,
            window_us,
            on_lapse,
            on_drop,
            fast,
            shared: shared && cfg!(target_os = "linux"),
            inline,
            secret,
        },
    )
}

fn key() -> impl Strategy<Value = usize> {
    0..KEYS
}

fn options() -> impl Strategy<Value = Options> {
    let duration = || proptest::option::weighted(0.3, delay_us());
    (duration(), duration(), proptest::option::weighted(0.3, lapse()))
        .prop_map(|(lease_us, window_us, lapse)| Options { lease_us, window_us, lapse })
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![Just(Way::With), Just(Way::Prepared), Just(Way::Into), Just(Way::Batch)]
}

/// Mostly loose; some that refuse much, and some that are refused.
fn limits() -> impl Strategy<Value = Limits> {
    let rate = prop_oneof![
        4 => (prop_oneof![Just(100.0), Just(1_000.0), Just(0.001), Just(1e9)], 1..4_u32),
        1 => Just((0.0, 1)),
        1 => Just((f64::NAN, 1)),
        1 => Just((1.0, 0)),
    ];
    let max_live = proptest::option::weighted(0.7, prop_oneof![0..4_u64, Just(u64::MAX)]);
    (max_live, proptest::option::weighted(0.4, rate))
        .prop_map(|(max_live, rate)| Limits { max_live, rate })
}

fn lapse() -> impl Strategy<Value = OnLapse> {
    prop_oneof![Just(OnLapse::Reclaim), Just(OnLapse::Unknown), Just(OnLapse::Failed)]
}

/// Mostly some milliseconds; now and then what is refused.
fn delay_us() -> impl Strategy<Value = u64> {
    prop_oneof![
        1 => Just(0),
        1 => Just(999),
        2 => Just(1_000),
        2 => Just(1_001),
        10 => 1_000..40_000_u64,
        1 => Just(TOO_LONG_US),
    ]
}

pub(crate) fn full_table_op() -> impl Strategy<Value = full_table::Op> {
    let then = || {
        prop_oneof![
            2 => Just(full_table::Then::Run),
            6 => Just(full_table::Then::Complete),
            1 => (0..2 * full_table::WINDOW_MS)
                .prop_map(|delay_ms| full_table::Then::Retry { delay_ms }),
            1 => Just(full_table::Then::GiveUp),
        ]
    };
    prop_oneof![
        10 => (0..full_table::KEYS, then())
            .prop_map(|(key, then)| full_table::Op::Begin { key, then }),
        4 => (any::<usize>(), then()).prop_map(|(held, then)| full_table::Op::End { held, then }),
        2 => (0..full_table::WINDOW_MS / 2).prop_map(|ms| full_table::Op::Advance { ms }),
        1 => Just(full_table::Op::Sweep),
        1 => (1..=255_u8).prop_map(|secret| full_table::Op::Rotate { secret }),
    ]
}

pub(crate) fn full_table_setup() -> impl Strategy<Value = full_table::Setup> {
    (any::<(bool, bool)>(), 1..12_u64, 1..=255_u8).prop_map(|((reject, rotates), quota, secret)| {
        full_table::Setup { reject, quota, secret, rotates }
    })
}

pub(crate) fn outcomes_op() -> impl Strategy<Value = outcomes::Op> {
    let size = prop_oneof![
        Just(0),
        Just(outcomes::LIMIT),
        Just(outcomes::LIMIT + 1),
        0..outcomes::LIMIT,
        0..80_usize
    ];
    // Most windows are equal; some outlast their neighbours' by far.
    let window = prop_oneof![8 => Just(1_000), 1 => Just(100_000), 1 => 1..5_000_u64];
    prop_oneof![
        20 => (any::<u8>(), size, window)
            .prop_map(|(key, size, window_ms)| outcomes::Op::Begin { key, size, window_ms }),
        2 => (0..600_u64).prop_map(|ms| outcomes::Op::Advance { ms }),
        1 => Just(outcomes::Op::Sweep),
    ]
}

pub(crate) fn outcomes_setup() -> impl Strategy<Value = outcomes::Setup> {
    (any::<bool>(), 8_192..40_000_usize)
        .prop_map(|(reject, budget)| outcomes::Setup { reject, budget })
}
