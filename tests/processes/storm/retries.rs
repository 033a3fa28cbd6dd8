//! What the crew does with attempts that are left to the engine, and with dead letters.

use std::sync::atomic::Ordering;
use std::time::Duration;

use oncegate::{
    Admission, AttemptError, BackoffPolicy, DeadLetter, Engine, EngineBuilder, ErrorCode, Failure,
    Later, Lease, LetterFilter, Outcome, Reach, Request, RetryContext, RetryPolicy, Scope,
};

use super::{NO_BYTES, Oracle, Sailor, Weather, admitted, end};
use crate::crew::Folder;

/// As many records are retried, or are dead letters.
const RETRYING: usize = 5;
const ATTEMPTS: u32 = 4;

pub(super) fn configure(builder: EngineBuilder) -> EngineBuilder {
    let backoff = BackoffPolicy::constant(Duration::from_millis(1));
    builder
        .max_retrying(RETRYING)
        .max_dead_letters(2)
        .context_limit(64)
        .steps_limit(0)
        .retry_policy(RetryPolicy::new(backoff).max_attempts(ATTEMPTS))
}

fn context(key: usize) -> String {
    format!("{key}/{}", "needed".repeat(key % 8))
}

/// The key of a context; none if it is not one that anybody gave.
fn key_of(bytes: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(bytes).ok()?;
    let key = text.split('/').next()?.parse().ok()?;
    (text == context(key)).then_some(key)
}

impl Sailor<'_> {
    /// Takes an attempt that is due, looks after what is, or after a letter.
    pub(super) fn tend_retries(&mut self) {
        match self.dice.roll(10) {
            0 => drop(self.engine.advance(8)),
            1 => self.look_at_letters(),
            2 => self.take_next(Duration::from_millis(2)),
            _ => self.take_next(Duration::ZERO),
        }
    }

    fn take_next(&mut self, timeout: Duration) {
        let oracle = self.oracle;
        let Self { engine, dice, me, waits, .. } = self;
        match engine.next_attempt(timeout) {
            Ok(None) => {}
            Ok(Some(attempt)) => {
                let Some(key) = key_of(attempt.context()) else { return oracle.wrong(10, 0) };
                // SeqCst: as in `call`. After the attempt was taken: nobody else ends it, so that
                // any end that is noted was of one before.
                let done = oracle.done[key].load(Ordering::SeqCst);
                let lease = attempt.into_lease();
                admitted(oracle, key, *me, done, &lease);
                end(oracle, engine, key, dice, Ends { waits: *waits, retries: true }, lease);
            }
            Err(error) => oracle.wrong_by(8, 0, &error),
        }
    }

    /// Redrives or discards one, or reads them all.
    fn look_at_letters(&mut self) {
        let page = match self.engine.dead_letters(&LetterFilter::all(), None, usize::MAX) {
            Ok(page) => page,
            Err(error) => return self.oracle.wrong_by(8, 0, &error),
        };
        for letter in page.letters {
            let Some(key) = sound(&letter) else { return self.oracle.wrong(10, 0) };
            let done = match self.dice.roll(3) {
                0 => self.engine.redrive(letter.id),
                1 => {
                    let discarded = self.engine.discard(letter.id);
                    if discarded.is_ok() {
                        // SeqCst: as in `call`. It has failed for good, without bytes.
                        self.oracle.done[key].store(NO_BYTES, Ordering::SeqCst);
                    }
                    discarded
                }
                _ => Ok(()),
            };
            if let Err(error) = done
                && error.code() != ErrorCode::NotFound
            {
                self.oracle.wrong_by(8, key, &error);
            }
        }
    }
}

/// The key of a letter whose history is one that can be.
fn sound(letter: &DeadLetter) -> Option<usize> {
    let numbers: Vec<u32> = letter.history.iter().map(|past| past.attempt).collect();
    let tokens: Vec<u64> = letter.history.iter().map(|past| past.fencing_token).collect();
    let grows = numbers.windows(2).all(|pair| pair[0] < pair[1])
        && tokens.windows(2).all(|pair| pair[0] < pair[1])
        && numbers.last().is_none_or(|last| *last <= letter.attempts);
    grows.then(|| key_of(letter.context())).flatten()
}

/// How an attempt may end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// Its holder waits for others' attempts: it may not keep any.
    pub(super) waits: bool,
    /// It may be left to the engine.
    pub(super) retries: bool,
}

/// Leaves the next attempt to the engine, or gives it back where there is no room for that.
pub(super) fn leave(oracle: &Oracle, engine: &Engine, key: usize, lease: Lease<'_>) {
    // SeqCst: as in `call`. Before it is left: from then on it may be anybody's.
    oracle.holder[key].store(0, Ordering::SeqCst);
    let context = context(key);
    let context = RetryContext::new("op", context.as_bytes());
    let token = lease.into_token();
    let ended = match engine.retry_later(&token, &AttemptError::new("503"), &context) {
        Ok(Later::Scheduled { .. } | Later::Buried { .. }) => Ok(()),
        Err(error) if error.code() == ErrorCode::Full => engine.fail(&token, Failure::retryable()),
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        oracle.wrong_by(4, key, &error);
    }
}

/// Whether `outcome` is what a record has that was given up, and not what an attempt left.
pub(super) fn is_given_up(outcome: &Outcome) -> bool {
    outcome.body().is_empty() && [500, 504].contains(&outcome.status())
}

/// When all processes have ended: what is left of the retries runs to its end, and as many records
/// can be retried as ever. Before a collection, which would schedule what has lapsed by a policy of
/// its own.
pub(super) fn settled(seed: u64, weather: Weather, folder: &Folder) {
    let about = format!("seed {seed}, {weather:?}");
    let builder = weather.builder().reach(Reach::Host(folder.table()));
    let engine = builder.build().expect("a table");
    let _ = engine.bury_dead().expect("own");
    let wait = Duration::from_millis(20);
    while let Some(attempt) = engine.next_attempt(wait).expect("own") {
        assert!(key_of(attempt.context()).is_some(), "{about}: a context is lost");
        attempt.into_lease().complete(&Outcome::new(200, b"")).expect("the holder");
    }
    let _ = engine.discard_all(&LetterFilter::all(), usize::MAX).expect("own");
    let _ = engine.advance(usize::MAX).expect("own");
    if weather.crowded {
        // There may be no room for other records.
        return;
    }
    let context = RetryContext::new("op", b"0/");
    let mut free = 0;
    loop {
        let key = format!("fill-{free}");
        let scope = Scope::new("fill").expect("short");
        let begun = engine.begin(&Request::new(scope, "op", &key).expect("valid"));
        let lease = match begun {
            Ok(Admission::Admitted(lease)) => lease,
            // Outcomes that may not be forgotten take all the room.
            Err(error) if error.code() == ErrorCode::Full => return,
            other => panic!("{about}: {other:?}"),
        };
        match engine.retry_later(&lease.into_token(), &AttemptError::new("503"), &context) {
            Ok(_) => free += 1,
            Err(error) if error.field() == "max_retrying" => break,
            Err(error) if error.code() == ErrorCode::Full => return,
            Err(error) => panic!("{about}: {error:?}"),
        }
    }
    assert_eq!(free, RETRYING, "{about}: an entry is lost");
}
