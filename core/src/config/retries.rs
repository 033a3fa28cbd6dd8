//! How much of a table is for records that are retried.

use std::time::Duration;

use super::EngineBuilder;
use crate::engine::{EngineEvent, OnLettersFull};
use crate::error::{Error, ErrorCode};
use crate::region::geometry::MAX_RETRIES;
use crate::retry::{AdaptiveConfig, BackoffPolicy, Jitter, RetryPolicy, journal};

/// What retried records may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetrySizes {
    /// How many at a time; `None`: by the capacity.
    pub(crate) most: Option<usize>,
    pub(crate) context_limit: usize,
    pub(crate) steps_limit: usize,
    /// How many dead letters; `None`: half as many as may be retried.
    pub(crate) dead_letters: Option<usize>,
    pub(crate) on_letters_full: OnLettersFull,
}

impl RetrySizes {
    pub(super) fn new() -> Self {
        // With the defaults, what all of them can take is less than half of the outcome budget.
        Self {
            most: None,
            context_limit: 4096,
            steps_limit: 2048,
            dead_letters: None,
            on_letters_full: OnLettersFull::DropOldest,
        }
    }

    /// How many records may be retried at a time, in a table of `capacity` records and
    /// `outcome_bytes` in chunks of `chunk_bytes`.
    pub(super) fn count(&self, capacity: usize, outcome_bytes: usize, chunk_bytes: usize) -> usize {
        let fits = self.largest() + journal::OVERHEAD <= chunk_bytes;
        let by_room = if fits { outcome_bytes / 2 / self.largest() } else { 0 };
        let by_capacity = (capacity / CAPACITY_EACH).max(LEAST);
        self.most.unwrap_or(by_capacity.min(by_room))
    }

    /// How many dead letters there may be, of `count` records.
    pub(crate) fn dead_letters(&self, count: usize) -> usize {
        self.dead_letters.unwrap_or(count / 2)
    }

    /// Bytes of the largest journal.
    pub(crate) fn largest(&self) -> usize {
        journal::OVERHEAD + self.context_limit + self.steps_limit
    }

    /// Refuses what is out of its range, or takes too much of `outcome_bytes`.
    pub(super) fn check(&self, count: usize, outcome_bytes: usize) -> Result<(), Error> {
        let refuse = |field, found: String, limit: String| {
            Err(Error::new(ErrorCode::InvalidConfig, field, found, limit))
        };
        let bytes = [
            ("context_limit", self.context_limit, MAX_CONTEXT),
            ("steps_limit", self.steps_limit, MAX_STEPS),
        ];
        for (field, found, most) in bytes {
            if found > most {
                return refuse(field, format!("{found} bytes"), format!("0 to {most}"));
            }
        }
        if count > MAX_RETRIES {
            return refuse("max_retrying", count.to_string(), format!("0 to {MAX_RETRIES}"));
        }
        if self.dead_letters(count) > count {
            let found = self.dead_letters(count).to_string();
            return refuse("max_dead_letters", found, format!("0 to {count}, max_retrying"));
        }
        let all = self.largest().saturating_mul(count);
        if all > outcome_bytes / 2 {
            let found = format!("{count} records of {} bytes", self.largest());
            let limit = format!("half of outcome_bytes, {} bytes", outcome_bytes / 2);
            return refuse("max_retrying", found, limit);
        }
        Ok(())
    }
}

/// Ten attempts within about a quarter of an hour: what a dependency needs to be started anew.
pub(super) fn default_policy() -> RetryPolicy {
    let (initial, most) = (Duration::from_secs(1), Duration::from_secs(120));
    let backoff = BackoffPolicy::exponential(initial, 2.0, most).jitter(Jitter::Full);
    RetryPolicy::new(backoff).max_attempts(10)
}

impl EngineBuilder {
    /// When the engine tries a record again, and when it stops, where nothing else is said for its
    /// operation. Default: full jitter up to 1 s, 2 s, 4 s and so on, at most 120 s, and ten
    /// attempts in all.
    ///
    /// ```
    /// # use oncegate::{Engine, RetryPolicy};
    /// assert!(Engine::builder().retry_policy(RetryPolicy::aws_standard()).build().is_ok());
    /// ```
    pub fn retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.retry_policy = policy;
        self
    }

    /// How many attempts [`next_attempt`](crate::Engine::next_attempt) hands out at a time, in this
    /// process. Default: no limit.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// assert!(Engine::builder().max_in_flight(0).build().is_err());
    /// ```
    pub fn max_in_flight(mut self, attempts: usize) -> Self {
        self.max_in_flight = attempts;
        self
    }

    /// Draws delays out while this process, or what it calls, has more to do than it can. Default:
    /// never.
    ///
    /// Once in each [`interval`](AdaptiveConfig::interval) somebody who looks for attempts, or asks
    /// for a retry, reads a word for each record that may be retried.
    ///
    /// ```
    /// use oncegate::{AdaptiveBackoff, Engine};
    /// assert!(Engine::builder().adaptive_backoff(AdaptiveBackoff::builder()).build().is_ok());
    /// ```
    pub fn adaptive_backoff(mut self, config: AdaptiveConfig) -> Self {
        self.adaptive = Some(config);
        self
    }

    /// Calls `tell` for what the engine notices by itself: see [`EngineEvent`]. It runs in the call
    /// that noticed, and must not panic.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// let engine = Engine::builder().on_event(|event| eprintln!("{event}"));
    /// # assert!(engine.build().is_ok());
    /// ```
    pub fn on_event(mut self, tell: impl Fn(&EngineEvent) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Box::new(tell));
        self
    }

    /// Draws jitter from this seed, for tests: the same calls get the same delays. Default: from
    /// the operating system, for each process anew.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// assert!(Engine::builder().jitter_seed(7).build().is_ok());
    /// ```
    pub fn jitter_seed(mut self, seed: u64) -> Self {
        self.jitter_seed = Some(seed);
        self
    }

    /// How many records may be retried by the engine, or be dead letters, at a time. Default: a
    /// sixty-fourth of the capacity, and at least 16; fewer where
    /// [`outcome_bytes`](Self::outcome_bytes) is small.
    ///
    /// Each takes 40 bytes, and what is kept of it, its context, its steps and its history, a part
    /// of the outcome budget that no outcome takes from it. So the largest of all of them together
    /// must fit in half of that; where [`outcome_bytes`](Self::outcome_bytes) is not set, it is
    /// made as large.
    ///
    /// Above 64, records are spread over their places by chance, and the first one is refused when
    /// some nine tenths are used, four fifths of a million: give a quarter more than there may be.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// let builder = || Engine::builder().capacity(1_000).max_retrying(100);
    /// assert!(builder().build().is_ok());
    /// let error = builder().outcome_bytes(100_000).build().unwrap_err();
    /// assert_eq!(error.field(), "max_retrying");
    /// ```
    pub fn max_retrying(mut self, records: usize) -> Self {
        self.retries.most = Some(records);
        self
    }

    /// The largest context of a record that is retried: what is needed to run it again. Default:
    /// 4,096 bytes; at most 65,536.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// assert!(Engine::builder().context_limit(1 << 20).build().is_err());
    /// ```
    pub fn context_limit(mut self, bytes: usize) -> Self {
        self.retries.context_limit = bytes;
        self
    }

    /// How many bytes the finished steps of one record take, names and results together. Default:
    /// 2,048; at most 65,536.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// assert!(Engine::builder().steps_limit(1 << 20).build().is_err());
    /// ```
    pub fn steps_limit(mut self, bytes: usize) -> Self {
        self.retries.steps_limit = bytes;
        self
    }

    /// How many dead letters the table keeps. Default: half of
    /// [`max_retrying`](Self::max_retrying), of which they are a part.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// assert!(Engine::builder().max_dead_letters(0).build().is_ok());
    /// ```
    pub fn max_dead_letters(mut self, letters: usize) -> Self {
        self.retries.dead_letters = Some(letters);
        self
    }
}

impl EngineBuilder {
    /// What gives way where there is one dead letter more. Default: the oldest.
    ///
    /// ```
    /// use oncegate::{Engine, OnLettersFull};
    /// assert!(Engine::builder().on_letters_full(OnLettersFull::Reject).build().is_ok());
    /// ```
    pub fn on_letters_full(mut self, policy: OnLettersFull) -> Self {
        self.retries.on_letters_full = policy;
        self
    }
}

const CAPACITY_EACH: usize = 64;
const LEAST: usize = 16;
const MAX_CONTEXT: usize = 64 << 10;
const MAX_STEPS: usize = 64 << 10;
