//! What calls were told, in plain data and as words of the trace.

use std::fmt;
use std::time::Duration;

use oncegate::{Admission, Error, ErrorCode, Outcome, Status};

/// An answer of `begin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Admitted { attempt: u32, status: Status, token: u64, lasts_ms: u64 },
    Replayed(Outcome),
    InProgress { attempt: u32, remaining_ms: u64 },
    Scheduled { next_attempt: u32, due_in_ms: u64 },
    Mismatched,
    Unresolved,
    Gone,
    Refused(ErrorCode, &'static str),
}

impl Told {
    pub(crate) fn of(answer: &Result<Admission<'_>, Error>) -> Self {
        match answer {
            Ok(Admission::Admitted(lease)) => Self::Admitted {
                attempt: lease.attempt(),
                status: lease.status(),
                token: lease.fencing_token().get(),
                lasts_ms: millis(lease.remaining()),
            },
            Ok(Admission::Replayed(outcome)) => Self::Replayed(outcome.clone()),
            Ok(Admission::InProgress { attempt, remaining }) => {
                Self::InProgress { attempt: *attempt, remaining_ms: millis(*remaining) }
            }
            Ok(Admission::Scheduled { next_attempt, due_in }) => {
                Self::Scheduled { next_attempt: *next_attempt, due_in_ms: millis(*due_in) }
            }
            Ok(Admission::Mismatched) => Self::Mismatched,
            Ok(Admission::Unresolved) => Self::Unresolved,
            Ok(Admission::OutcomeGone) => Self::Gone,
            Err(error) => Self::Refused(error.code(), error.field()),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admitted { attempt, status, token, lasts_ms } => {
                write!(f, "attempt {attempt} {status:?} token {} for {lasts_ms} ms", short(*token))
            }
            Self::Replayed(outcome) => write!(f, "replayed {}", brief(outcome)),
            Self::InProgress { attempt, remaining_ms } => {
                write!(f, "attempt {attempt} in progress for {remaining_ms} ms")
            }
            Self::Scheduled { next_attempt, due_in_ms } => {
                write!(f, "attempt {next_attempt} due in {due_in_ms} ms")
            }
            Self::Mismatched => f.write_str("mismatched"),
            Self::Unresolved => f.write_str("unresolved"),
            Self::Gone => f.write_str("gone"),
            Self::Refused(code, field) => write!(f, "{code:?} {field}"),
        }
    }
}

/// The part of a token that counts; the rest tells which engines were opened before.
pub(crate) fn short(token: u64) -> u64 {
    token & ((1 << 22) - 1)
}

/// An outcome, as short as it can be told from others.
pub(crate) fn brief(outcome: &Outcome) -> String {
    let body = outcome.body();
    let sum =
        body.iter().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
    format!("{} of {} bytes #{sum:x}", outcome.status(), body.len())
}

/// What a call that gives nothing else was told.
pub(crate) fn done<T>(result: &Result<T, Error>) -> String {
    result.as_ref().map_or_else(|error| format!("{:?}", error.code()), |_| "done".to_owned())
}

pub(crate) fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}
