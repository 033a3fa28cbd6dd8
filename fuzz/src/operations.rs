//! Operations: the engine answers as the oracles of the property tests do.
//!
//! The first byte chooses the oracle: a table with room for everything, in which every answer is
//! known to the millisecond; a tiny one that is always full; or a small budget of outcomes. Each
//! further operation is a few bytes, so that the fuzzer can cut and join sequences.

use arbitrary::{Result, Unstructured};
use oncegate::{OnDrop, OnLapse};

use crate::ops::{Limits, OUTCOMES, Op, Options, Setup, TOO_LONG_US, Way};
use crate::requests::{HASHED_FROM, KEYS};
use crate::{drive, full_table, outcome_ring};

/// Takes one sequence of operations.
pub fn run(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    match bytes.arbitrary::<u8>().unwrap_or_default() % 4 {
        0 | 1 => {
            let setup = setup(&mut bytes).expect("missing bytes are zeros");
            let ops = sequence(&mut bytes, op);
            agree(drive::run(setup, &ops), &setup, &ops);
        }
        2 => {
            let setup = full_setup(&mut bytes).expect("missing bytes are zeros");
            let ops = sequence(&mut bytes, full_op);
            agree(full_table::run(&setup, &ops), &setup, &ops);
        }
        _ => {
            let setup = ring_setup(&mut bytes).expect("missing bytes are zeros");
            let ops = sequence(&mut bytes, ring_op);
            agree(outcome_ring::run(setup, &ops), &setup, &ops);
        }
    }
}

fn agree(
    answer: std::result::Result<(), String>,
    setup: &impl std::fmt::Debug,
    ops: &[impl std::fmt::Debug],
) {
    if let Err(why) = answer {
        panic!("{why}\n{setup:?}\n{ops:#?}");
    }
}

fn sequence<T>(
    bytes: &mut Unstructured<'_>,
    mut next: impl FnMut(&mut Unstructured<'_>) -> Result<T>,
) -> Vec<T> {
    let mut ops = Vec::new();
    while !bytes.is_empty() && ops.len() < LONGEST {
        ops.extend(next(bytes));
    }
    ops
}

fn setup(bytes: &mut Unstructured<'_>) -> Result<Setup> {
    let choices = byte(bytes)?;
    Ok(Setup {
        lease_us: 1_000 + 75 * u64::from(byte(bytes)?),
        window_us: 1_000 + 150 * u64::from(byte(bytes)?),
        on_lapse: lapse(choices),
        on_drop: [OnDrop::Retry, OnDrop::Unknown, OnDrop::Failed, OnDrop::KeepLease]
            [usize::from(choices >> 2 & 3)],
        fast: choices & 0x10 != 0,
        shared: choices & 0x80 != 0 && cfg!(target_os = "linux"),
        inline: [64, 0, 8, 448][usize::from(choices >> 5 & 3)],
        secret: byte(bytes)?.max(1),
    })
}

fn op(bytes: &mut Unstructured<'_>) -> Result<Op> {
    let kind = byte(bytes)?;
    let choice = usize::from(kind >> 5);
    Ok(match kind & 31 {
        0..=8 => {
            let place = usize::from(byte(bytes)?);
            Op::Begin {
                key: place % KEYS,
                // Most duplicates come with the payload of the first.
                payload: (place / KEYS % 5).saturating_sub(2),
                options: options(bytes)?,
                way: [Way::With, Way::Prepared, Way::Into, Way::Batch][choice % 4],
                guard: choice & 4 != 0,
            }
        }
        9..=11 => Op::Complete { token: index(bytes)?, outcome: index(bytes)? },
        12 => Op::Terminal { token: index(bytes)?, outcome: index(bytes)? },
        13 | 14 => {
            let delay_us = if choice & 1 == 0 { None } else { Some(micros(bytes)?) };
            Op::Retry { token: index(bytes)?, delay_us }
        }
        15 => Op::GiveUp { token: index(bytes)? },
        16 | 17 => Op::Renew { token: index(bytes)?, lease_us: micros(bytes)? },
        18 => Op::DropGuard { guard: index(bytes)? },
        19 => Op::ResolveTo {
            key: index(bytes)? % HASHED_FROM,
            success: choice & 1 == 0,
            outcome: choice % OUTCOMES,
        },
        20 => Op::RunAgain { key: index(bytes)? % HASHED_FROM },
        21 => Op::SweepAll,
        22 => Op::SweepSome { slots: index(bytes)? },
        23..=25 => Op::AdvanceTo {
            key: index(bytes)? % KEYS,
            moment: choice >> 1,
            off_ms: i64::from(kind & 31) - 24,
        },
        26 => Op::AdvanceBy { us: micros(bytes)? },
        27 => Op::Abandon { token: index(bytes)? },
        28 => {
            Op::Tamper { token: choice, at: index(bytes)?, with: byte(bytes)?, call: index(bytes)? }
        }
        29 => Op::SetQuota { key: index(bytes)? % KEYS, quota: limits(bytes)? },
        30 => Op::Rotate { secret: byte(bytes)?.max(1) },
        _ if choice == 7 => Op::EndOfTime,
        _ => Op::FinishRotation,
    })
}

fn options(bytes: &mut Unstructured<'_>) -> Result<Options> {
    let set = byte(bytes)?;
    let mut duration = |is_set: bool| is_set.then(|| micros(bytes)).transpose();
    Ok(Options {
        lease_us: duration(set & 3 == 3)?,
        window_us: duration(set >> 2 & 3 == 3)?,
        lapse: (set & 0x10 != 0).then(|| lapse(set >> 5)),
    })
}

fn limits(bytes: &mut Unstructured<'_>) -> Result<Limits> {
    let choices = byte(bytes)?;
    let rates = [100.0, 1_000.0, 0.001, 1e9, 37.5, 0.0, f64::NAN, -1.0];
    let rate = || (rates[usize::from(choices >> 2 & 7)], u32::from(choices >> 5));
    Ok(Limits {
        max_live: (choices & 1 != 0).then(|| u64::from(choices >> 5)),
        rate: (choices & 2 != 0).then(rate),
    })
}

fn lapse(choice: u8) -> OnLapse {
    [OnLapse::Reclaim, OnLapse::Unknown, OnLapse::Failed, OnLapse::Reclaim][usize::from(choice & 3)]
}

/// Mostly some milliseconds; now and then what is refused, or years.
fn micros(bytes: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match byte(bytes)? {
        0 => 0,
        1 => 999,
        2 => 1_000,
        3 => 1_001,
        4 => 1,
        5 => TOO_LONG_US,
        6 => TOO_LONG_US / 2,
        7 => 11 * TOO_LONG_US,
        longer => 157 * u64::from(longer),
    })
}

fn full_setup(bytes: &mut Unstructured<'_>) -> Result<full_table::Setup> {
    let choices = byte(bytes)?;
    Ok(full_table::Setup {
        reject: choices & 1 != 0,
        rotates: choices & 2 != 0,
        quota: u64::from(choices >> 2 & 15) + 1,
        secret: byte(bytes)?.max(1),
    })
}

fn full_op(bytes: &mut Unstructured<'_>) -> Result<full_table::Op> {
    let kind = byte(bytes)?;
    Ok(match kind & 15 {
        0..=8 => full_table::Op::Begin { key: byte(bytes)? % full_table::KEYS, then: then(kind) },
        9..=11 => full_table::Op::End { held: index(bytes)?, then: then(kind) },
        12 | 13 => full_table::Op::Advance { ms: 2 * u64::from(byte(bytes)?) },
        14 => full_table::Op::Sweep,
        _ => full_table::Op::Rotate { secret: byte(bytes)?.max(1) },
    })
}

fn then(kind: u8) -> full_table::Then {
    match kind >> 4 {
        0..=8 => full_table::Then::Complete,
        9 | 10 => full_table::Then::Run,
        11 => full_table::Then::GiveUp,
        delay => full_table::Then::Retry { delay_ms: (u64::from(delay) - 12) * 300 },
    }
}

fn ring_setup(bytes: &mut Unstructured<'_>) -> Result<outcome_ring::Setup> {
    let choices = byte(bytes)?;
    let budget = 8_192 + 251 * usize::from(choices >> 1);
    Ok(outcome_ring::Setup { reject: choices & 1 != 0, budget })
}

fn ring_op(bytes: &mut Unstructured<'_>) -> Result<outcome_ring::Op> {
    let kind = byte(bytes)?;
    Ok(match kind & 15 {
        0..=12 => outcome_ring::Op::Begin {
            key: byte(bytes)?,
            size: match byte(bytes)? {
                255 => outcome_ring::LIMIT + 1,
                254 => outcome_ring::LIMIT,
                size @ 0..=80 => size.into(),
                size => 4 * usize::from(size) - 16,
            },
            window_ms: [1_000, 1_000, 1_000, 1_000, 1_000, 100_000, 1, 3_000]
                [usize::from(kind >> 5)],
        },
        13 | 14 => outcome_ring::Op::Advance { ms: 3 * u64::from(byte(bytes)?) },
        _ => outcome_ring::Op::Sweep,
    })
}

fn index(bytes: &mut Unstructured<'_>) -> Result<usize> {
    byte(bytes).map(usize::from)
}

fn byte(bytes: &mut Unstructured<'_>) -> Result<u8> {
    bytes.arbitrary()
}

/// The longest sequence: far more than a shrunk failure needs.
const LONGEST: usize = 400;
