//! What a host writes down of a round: a line before each call, one after it, one for each effect.
//!
//! ```text
//! call NUMBER TIME KEY begin | renew TOKEN | complete TOKEN | fail TOKEN
//! told NUMBER TIME ANSWER
//! ```
//!
//! Times are nanoseconds of the one monotonic clock of the machine. A call that has no second line
//! was under way when its process ended: whether it took effect, nobody knows.

use std::fmt;
use std::str::{FromStr, SplitWhitespace};

/// What a host asks its engine for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Begin,
    Renew(u64),
    Complete(u64),
    /// Without success: failed to be retried, abandoned, or dropped.
    Fail(u64),
}

/// What it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It runs the attempt; its lease does not end before `until`.
    Admitted {
        token: u64,
        attempt: u32,
        until: u64,
    },
    /// The outcome of the attempt with this token.
    Replayed(u64),
    InProgress,
    Scheduled,
    /// The tier gave no answer, and nothing was run.
    Refused,
    /// It dropped its future before it was ready.
    Left,
    Stored,
    StoredHere,
    Fenced,
    /// Renewed until then; failed: zero.
    Done(u64),
    /// What nobody expects.
    Odd(String),
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin => f.write_str("begin"),
            Self::Renew(token) => write!(f, "renew {token}"),
            Self::Complete(token) => write!(f, "complete {token}"),
            Self::Fail(token) => write!(f, "fail {token}"),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admitted { token, attempt, until } => {
                write!(f, "admitted {token} {attempt} {until}")
            }
            Self::Replayed(token) => write!(f, "replayed {token}"),
            Self::InProgress => f.write_str("in-progress"),
            Self::Scheduled => f.write_str("scheduled"),
            Self::Refused => f.write_str("refused"),
            Self::Left => f.write_str("left"),
            Self::Stored => f.write_str("stored"),
            Self::StoredHere => f.write_str("stored-here"),
            Self::Fenced => f.write_str("fenced"),
            Self::Done(until) => write!(f, "done {until}"),
            Self::Odd(what) => write!(f, "odd {what}"),
        }
    }
}

impl FromStr for Ask {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split_whitespace();
        Ok(match words.next().ok_or(())? {
            "begin" => Self::Begin,
            "renew" => Self::Renew(number(&mut words)?),
            "complete" => Self::Complete(number(&mut words)?),
            "fail" => Self::Fail(number(&mut words)?),
            _ => return Err(()),
        })
    }
}

impl FromStr for Told {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split_whitespace();
        Ok(match words.next().ok_or(())? {
            "admitted" => {
                let (token, attempt) = (number(&mut words)?, number(&mut words)?);
                let attempt = u32::try_from(attempt).map_err(drop)?;
                Self::Admitted { token, attempt, until: number(&mut words)? }
            }
            "replayed" => Self::Replayed(number(&mut words)?),
            "in-progress" => Self::InProgress,
            "scheduled" => Self::Scheduled,
            "refused" => Self::Refused,
            "left" => Self::Left,
            "stored" => Self::Stored,
            "stored-here" => Self::StoredHere,
            "fenced" => Self::Fenced,
            "done" => Self::Done(number(&mut words)?),
            "odd" => Self::Odd(words.collect::<Vec<_>>().join(" ")),
            _ => return Err(()),
        })
    }
}

fn number(words: &mut SplitWhitespace<'_>) -> Result<u64, ()> {
    words.next().and_then(|word| word.parse().ok()).ok_or(())
}
