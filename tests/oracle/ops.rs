//! Random calls: what a client, a holder, a reconciler and a clock may do.

use std::time::Duration;

use oncegate::{OnDrop, OnLapse, Outcome};
use proptest::prelude::*;

/// One step of a run. Indexes are taken modulo what there is.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Begin {
        key: usize,
        payload: usize,
        options: Options,
        guard: bool,
    },
    Complete {
        token: usize,
        outcome: usize,
    },
    Terminal {
        token: usize,
        outcome: usize,
    },
    Retry {
        token: usize,
        delay_us: Option<u64>,
    },
    GiveUp {
        token: usize,
    },
    Renew {
        token: usize,
        lease_us: u64,
    },
    DropGuard {
        guard: usize,
    },
    ResolveTo {
        key: usize,
        success: bool,
        outcome: usize,
    },
    RunAgain {
        key: usize,
    },
    SweepAll,
    SweepSome {
        slots: usize,
    },
    /// To a moment at which something changes for this request, or next to it.
    AdvanceTo {
        key: usize,
        moment: usize,
        off_ms: i64,
    },
    AdvanceBy {
        us: u64,
    },
    Rotate {
        secret: u8,
    },
    FinishRotation,
}

/// Options of one `begin`; durations in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) lease_us: Option<u64>,
    pub(crate) window_us: Option<u64>,
    pub(crate) lapse: Option<OnLapse>,
}

/// What an engine is opened with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) lease_us: u64,
    pub(crate) window_us: u64,
    pub(crate) on_lapse: OnLapse,
    pub(crate) on_drop: OnDrop,
    pub(crate) fast: bool,
    /// Decides which sets the records fall into.
    pub(crate) secret: u8,
}

/// Outcomes around every edge: empty, at the limit of 64 bytes, over it, with metadata.
pub(crate) fn outcome(index: usize) -> Outcome {
    let with = |body: &[u8], value: &str| {
        Outcome::new(201, body).with_metadata("name", value).expect("within its limits")
    };
    match index % OUTCOMES {
        0 => Outcome::new(204, []),
        1 => Outcome::new(200, b"done"),
        2 => Outcome::new(0, [7; 8]),
        3 => Outcome::new(u16::MAX, [9; 63]),
        4 => Outcome::new(200, [1; 64]),
        5 => Outcome::new(200, [2; 65]),
        6 => Outcome::new(500, [3; 4_000]),
        7 => with(b"", ""),
        8 => with(&[4; 45], "1234"),
        _ => with(&[4; 46], "1234"),
    }
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let token = || any::<usize>();
    prop_oneof![
        8 => (key(), 0..3_usize, options(), any::<bool>())
            .prop_map(|(key, payload, options, guard)| Op::Begin {
                key,
                // Most duplicates come with the payload of the first.
                payload: payload / 2,
                options,
                guard,
            }),
        3 => (token(), any::<usize>())
            .prop_map(|(token, outcome)| Op::Complete { token, outcome }),
        1 => (token(), any::<usize>())
            .prop_map(|(token, outcome)| Op::Terminal { token, outcome }),
        2 => (token(), proptest::option::of(delay_us()))
            .prop_map(|(token, delay_us)| Op::Retry { token, delay_us }),
        1 => token().prop_map(|token| Op::GiveUp { token }),
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

/// The same, while the secret is rotated again and again.
pub(crate) fn op_or_rotation() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => op(),
        1 => (1..=255_u8).prop_map(|secret| Op::Rotate { secret }),
        1 => Just(Op::FinishRotation),
    ]
}

pub(crate) fn setup() -> impl Strategy<Value = Setup> {
    let on_drop = prop_oneof![
        Just(OnDrop::Retry),
        Just(OnDrop::Unknown),
        Just(OnDrop::Failed),
        Just(OnDrop::KeepLease)
    ];
    (1_000..20_000_u64, 1_000..40_000_u64, lapse(), on_drop, (any::<bool>(), 1..=255_u8)).prop_map(
        |(lease_us, window_us, on_lapse, on_drop, (fast, secret))| Setup {
            lease_us,
            window_us,
            on_lapse,
            on_drop,
            fast,
            secret,
        },
    )
}

fn key() -> impl Strategy<Value = usize> {
    0..crate::drive::REQUESTS.len()
}

fn options() -> impl Strategy<Value = Options> {
    let duration = || proptest::option::weighted(0.3, delay_us());
    (duration(), duration(), proptest::option::weighted(0.3, lapse()))
        .prop_map(|(lease_us, window_us, lapse)| Options { lease_us, window_us, lapse })
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
        1 => Just(TOO_LONG.as_micros() as u64),
    ]
}

/// Longer than any lease or delay may be, and no longer than a window.
const TOO_LONG: Duration = Duration::from_secs(367 * 24 * 3600);
const OUTCOMES: usize = 10;
