//! What a worker can be told to do about retries.
//!
//! A context begins with the key of its record, so that whoever gets an attempt knows whose it is.

use std::time::Duration;

use oncegate::{
    AttemptError, BackoffPolicy, DeadLetter, Engine, EngineBuilder, Error, Later, LetterFilter,
    OperationSettings, RetryContext, RetryPolicy,
};

use super::tasks::{Refused, Words, Worker, number, request};

/// Its attempts come an hour apart, whatever the engine's backoff is.
const SLOW: &str = "slow";

impl Worker {
    pub(super) fn retry(
        &mut self,
        command: &str,
        words: &mut Words<'_>,
    ) -> Result<String, Refused> {
        match command {
            "later" => {
                let key = words.next()?;
                let operation = words.0.next().unwrap_or("charge");
                let token = self.token(key)?;
                Ok(told(&self.engine()?.retry_later(
                    &token,
                    &AttemptError::new("503"),
                    &RetryContext::new(operation, context(key).as_bytes()),
                )?))
            }
            "next" => self.next_attempt(Duration::from_millis(words.number()?)),
            "advance" => {
                let driven = self.engine()?.advance(usize::MAX)?;
                Ok(format!("ready {}", driven.ready))
            }
            "letters" => {
                let page = self.engine()?.dead_letters(&LetterFilter::all(), None, usize::MAX)?;
                let letters: Vec<String> = page.letters.iter().map(letter).collect();
                Ok(format!("letters {}", letters.join(" ")).trim_end().to_owned())
            }
            "redrive" => Ok(format!("redriven {}", self.engine()?.redrive_all(&all(), 1)?)),
            "discard" => Ok(format!("discarded {}", self.engine()?.discard_all(&all(), 1)?)),
            "free-entries" => self.free_entries(),
            other => Err(Refused(format!("no such command: {other}"))),
        }
    }

    fn next_attempt(&mut self, timeout: Duration) -> Result<String, Refused> {
        let Some(attempt) = self.engine()?.next_attempt(timeout)? else { return Ok("none".into()) };
        let context = String::from_utf8_lossy(attempt.context()).into_owned();
        let key = context.split('/').next().unwrap_or_default().to_owned();
        let (number, operation) = (attempt.lease().attempt(), attempt.operation().to_owned());
        let token = attempt.into_lease().into_token();
        self.tokens.insert(key, token);
        Ok(format!("attempt {number} {} {operation} {context}", token.fencing_token()))
    }

    /// How many more records can be retried. They are, from then on.
    fn free_entries(&self) -> Result<String, Refused> {
        let engine = self.engine()?;
        for free in 0.. {
            let key = format!("fill-{free}");
            let oncegate::Admission::Admitted(lease) = engine.begin(&request(&key)?)? else {
                return Err(Refused("it was filled before".into()));
            };
            let later = lease.retry_later(&AttemptError::new("503"), &RetryContext::new(SLOW, b""));
            match later {
                Ok(_) => {}
                Err(error) if error.field() == "max_retrying" => return Ok(format!("free {free}")),
                Err(error) => return Err(error.into()),
            }
        }
        unreachable!("entries are bounded")
    }
}

/// What `key` needs to run again.
fn context(key: &str) -> String {
    format!("{key}/{}", "all-that-it-needs".repeat(3))
}

fn all() -> LetterFilter {
    LetterFilter::all()
}

fn told(later: &Later) -> String {
    match later {
        Later::Scheduled { next_attempt, .. } => format!("scheduled {next_attempt}"),
        Later::Buried { reason, kept, .. } => format!("buried {reason:?} {kept}"),
    }
}

/// Its context, its attempts, its reason, and how each attempt ended.
fn letter(letter: &DeadLetter) -> String {
    let ends: Vec<String> =
        letter.history.iter().map(|past| format!("{}{:?}", past.attempt, past.end)).collect();
    let context = String::from_utf8_lossy(letter.context());
    format!("{context},{},{:?},{}", letter.attempts, letter.reason, ends.join("+"))
}

/// What is set of retries, where `name` is of them.
pub(super) fn configure(
    builder: EngineBuilder,
    name: &str,
    value: &str,
) -> Result<EngineBuilder, Refused> {
    Ok(match name {
        "retrying" => builder.max_retrying(number(value)? as usize),
        "in-flight" => builder.max_in_flight(number(value)? as usize),
        "letters" => builder.max_dead_letters(number(value)? as usize),
        // Milliseconds between attempts, and how many there are.
        "retry" => {
            let (backoff, attempts) = value.split_once('x').unwrap_or((value, "10"));
            builder.retry_policy(policy(number(backoff)?).max_attempts(number(attempts)? as u32))
        }
        _ => return Err(Refused(format!("no such option: {name}"))),
    })
}

pub(super) fn opened(engine: &Engine) -> Result<(), Error> {
    engine.set_operation(SLOW, OperationSettings::new().policy(policy(3_600_000)))
}

fn policy(backoff_ms: u64) -> RetryPolicy {
    RetryPolicy::new(BackoffPolicy::constant(Duration::from_millis(backoff_ms)))
}
