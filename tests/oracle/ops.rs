//! Calls: what a client, a holder, a reconciler and a clock may do.

use oncegate::{OnDrop, OnLapse, Outcome};

/// One step of a run. Indexes are taken modulo what there is.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Begin {
        key: usize,
        payload: usize,
        options: Options,
        way: Way,
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
    Abandon {
        token: usize,
    },
    Renew {
        token: usize,
        lease_us: u64,
    },
    /// A byte of a token is changed by exclusive or, and what comes of it is used.
    Tamper {
        token: usize,
        at: usize,
        with: u8,
        call: usize,
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
    /// Beyond the time that the engine can tell.
    EndOfTime,
    SetQuota {
        key: usize,
        quota: Limits,
    },
    Rotate {
        secret: u8,
    },
    FinishRotation,
}

/// By which call a request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    With,
    /// Prepared for this call, or for an earlier one of the same request.
    Prepared,
    /// Into a buffer that was used before.
    Into,
    /// Twice in one batch.
    Batch,
}

/// A quota: the most live records, and a rate with its burst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) max_live: Option<u64>,
    pub(crate) rate: Option<(f64, u32)>,
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
    /// Whether other processes could share the table.
    pub(crate) shared: bool,
    /// Bytes of an outcome that lie beside its record.
    pub(crate) inline: usize,
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
        9 => with(&[4; 46], "1234"),
        _ => Outcome::withheld(202),
    }
}

pub(crate) const OUTCOMES: usize = 11;
/// Longer than any lease or delay may be, and no longer than a window: 367 days.
pub(crate) const TOO_LONG_US: u64 = 367 * 24 * 3600 * 1_000_000;
