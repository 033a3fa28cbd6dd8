//! Token buckets: failures or retries take tokens, successes and time bring them.
//!
//! The whole state is one word, so that every change is one compare-and-swap:
//!
//! ```text
//!  63                                  24 23                     0
//! ┌──────────────────────────────────────┬────────────────────────┐
//! │ ms until which time has brought some │ thousandths of a token │
//! └──────────────────────────────────────┴────────────────────────┘
//! ```
//!
//! Time counts only where a refill by time was asked for. Its 40 bits go round after 34 years, and
//! times are compared by their distance, so any origin will do. What time brings between two
//! moments is the difference of what it had brought by each since the origin: nothing is lost or
//! won by rounding, however often somebody looks.

use std::time::Duration;

use super::exhausted::Shortage;
use super::{FailureKind, MILLI, RetryBudget, Rules, millis, swap, thousandths};
use crate::error::{Error, ErrorCode};
use crate::sync::planted::Bug;
use crate::sync::{AtomicU64, Ordering};

/// What takes tokens.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{Charge, FailureKind, RetryBudget};
///
/// let budget = RetryBudget::bucket().charge(Charge::Failure).threshold(50.0).build()?;
/// // Nobody retries, and yet the failure is charged.
/// budget.failed_for_good(FailureKind::Transient, Duration::ZERO);
/// assert_eq!(budget.left(Duration::ZERO), 95.0);
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// A retry that is allowed. One that is refused costs nothing, and one that never starts gives
    /// back what it took. The rule of the AWS SDKs.
    Retry,
    /// Each failure that could be retried, whether it is or not, down to no tokens at all. Then a
    /// withdrawal that is dropped gives nothing back: its failure has happened. The rule of gRPC.
    Failure,
}

/// Builds a [`RetryBudget`] of tokens.
///
/// It starts full. A retry is allowed while more than the [threshold](Self::threshold) is there:
/// after the failure was charged under [`Charge::Failure`], and before the retry is under
/// [`Charge::Retry`], which must also be able to pay. All numbers have three decimals.
///
/// ```
/// use oncegate::{FailureKind, RetryBudget};
///
/// let budget = RetryBudget::bucket()
///     .name("search")
///     .capacity(50.0)
///     .cost(FailureKind::Throttled, 2.0)
///     .refill_per_second(0.5)
///     .build()?;
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct TokenBucket {
    name: String,
    capacity: f64,
    costs: [f64; FailureKind::ALL.len()],
    charge: Charge,
    threshold: f64,
    success: f64,
    refunds_cost: bool,
    refill_per_second: f64,
}

impl RetryBudget {
    /// A bucket of 100 tokens: a retry costs 5, a success brings 1, time brings nothing. In the
    /// long run one retry for five successes, and 20 at once.
    ///
    /// ```
    /// assert!(oncegate::RetryBudget::bucket().build().is_ok());
    /// ```
    pub fn bucket() -> TokenBucket {
        TokenBucket {
            name: String::new(),
            // A second's worth of failures of a small service.
            capacity: 100.0,
            // With `success`: the 20 % of Finagle and Envoy.
            costs: [5.0; FailureKind::ALL.len()],
            charge: Charge::Retry,
            threshold: 0.0,
            success: 1.0,
            refunds_cost: false,
            refill_per_second: 0.0,
        }
    }

    /// The retry throttling of gRPC (proposal A6, "Throttling Retry Attempts and Hedged RPCs"):
    /// `max_tokens` from 1 to 1,000 at the start; each failure that could be retried, or that was
    /// answered by a push-back not to retry, takes 1; each success brings `token_ratio`, of which
    /// three decimals count and the rest is dropped; no retries while half of the tokens or less
    /// are there.
    ///
    /// ```
    /// use oncegate::RetryBudget;
    ///
    /// // The example of the proposal.
    /// assert!(RetryBudget::grpc(10, 0.1).build().is_ok());
    /// assert!(RetryBudget::grpc(1_001, 0.1).build().is_err());
    /// ```
    pub fn grpc(max_tokens: u32, token_ratio: f64) -> TokenBucket {
        let max = f64::from(max_tokens);
        // The proposal's limits are narrower than the bucket's.
        let capacity = if max_tokens > GRPC_MOST { f64::NAN } else { max };
        let success = if token_ratio < 0.001 { f64::NAN } else { three_decimals(token_ratio) };
        let costs = [1.0; FailureKind::ALL.len()];
        let bucket = Self::bucket().charge(Charge::Failure).success(success);
        TokenBucket { capacity, costs, ..bucket }.threshold(max / 2.0)
    }

    /// The retry quota of the AWS SDKs in standard mode, as botocore has it
    /// (`botocore/retries/standard.py`): 500 tokens; a retry costs 5, after a time-out or an error
    /// of the connection 10; a retry that succeeds brings back what it cost, and a success without
    /// a retry brings 1.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::{FailureKind, RetryBudget};
    ///
    /// let budget = RetryBudget::aws_standard().build()?;
    /// let retry = budget.try_withdraw(FailureKind::Timeout, Duration::ZERO).expect("500 tokens");
    /// assert_eq!(budget.left(Duration::ZERO), 490.0);
    /// retry.succeeded(Duration::ZERO);
    /// assert_eq!(budget.left(Duration::ZERO), 500.0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn aws_standard() -> TokenBucket {
        let bucket = Self::bucket().capacity(500.0).refund_cost(true);
        bucket.cost(FailureKind::Timeout, 10.0)
    }

    /// The retry quota of the AWS SDKs under `AWS_NEW_RETRIES_2026=true` (AWS SDKs and Tools
    /// Reference Guide, "Retry behavior"): as [`aws_standard`](Self::aws_standard), but a retry
    /// costs 14, and after throttling 5.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::{FailureKind, RetryBudget};
    ///
    /// let budget = RetryBudget::aws_2026().build()?;
    /// let retry = budget.try_withdraw(FailureKind::Transient, Duration::ZERO).expect("500");
    /// assert_eq!(retry.cost(), 14.0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn aws_2026() -> TokenBucket {
        let bucket = Self::aws_standard();
        bucket.cost(FailureKind::Transient, 14.0).cost(FailureKind::Timeout, 14.0)
    }
}

impl TokenBucket {
    /// What errors and debug output call it. Default: nothing.
    ///
    /// ```
    /// assert!(oncegate::RetryBudget::bucket().name("a".repeat(256)).build().is_err());
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How many tokens there are at the start and at most, from 1 to 10,000. Default: 100.
    ///
    /// ```
    /// assert!(oncegate::RetryBudget::bucket().capacity(0.0).build().is_err());
    /// ```
    pub fn capacity(mut self, tokens: f64) -> Self {
        self.capacity = tokens;
        self
    }

    /// What a retry after a failure of this kind costs, or under [`Charge::Failure`] the failure:
    /// from 0.001 tokens to the capacity. Default: 5.
    ///
    /// ```
    /// use oncegate::{FailureKind, RetryBudget};
    /// assert!(RetryBudget::bucket().cost(FailureKind::Timeout, -1.0).build().is_err());
    /// ```
    pub fn cost(mut self, kind: FailureKind, tokens: f64) -> Self {
        self.costs[kind as usize] = tokens;
        self
    }

    /// What takes tokens. Default: [`Charge::Retry`].
    ///
    /// ```
    /// use oncegate::{Charge, RetryBudget};
    /// assert!(RetryBudget::bucket().charge(Charge::Failure).build().is_ok());
    /// ```
    pub fn charge(mut self, charge: Charge) -> Self {
        self.charge = charge;
        self
    }

    /// No retries while that many tokens or fewer are there: from 0, and below the capacity.
    /// Default: 0.
    ///
    /// ```
    /// assert!(oncegate::RetryBudget::bucket().threshold(100.0).build().is_err());
    /// ```
    pub fn threshold(mut self, tokens: f64) -> Self {
        self.threshold = tokens;
        self
    }

    /// How many tokens a success brings, up to the capacity. Default: 1.
    ///
    /// ```
    /// assert!(oncegate::RetryBudget::bucket().success(0.25).build().is_ok());
    /// ```
    pub fn success(mut self, tokens: f64) -> Self {
        self.success = tokens;
        self
    }

    /// Whether a retry that succeeds brings back what it cost, instead of what any success brings.
    /// Default: no.
    ///
    /// ```
    /// assert!(oncegate::RetryBudget::bucket().refund_cost(true).build().is_ok());
    /// ```
    pub fn refund_cost(mut self, refunds: bool) -> Self {
        self.refunds_cost = refunds;
        self
    }

    /// How many tokens time brings each second, from 0.001 to 10,000; or 0, the default: none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::{FailureKind, RetryBudget};
    ///
    /// let budget = RetryBudget::bucket().capacity(5.0).refill_per_second(2.0).build()?;
    /// let retry = |now| budget.try_withdraw(FailureKind::Transient, now).map(|mut r| r.start());
    /// assert!(retry(Duration::ZERO).is_ok());
    /// let refused = retry(Duration::from_secs(1)).unwrap_err();
    /// assert_eq!(refused.refills_in(), Some(Duration::from_millis(1_500)));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn refill_per_second(mut self, tokens: f64) -> Self {
        self.refill_per_second = tokens;
        self
    }

    /// Makes the budget.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidConfig`] with the name of the field, such as `retry_budget.capacity`.
    ///
    /// ```
    /// let error = oncegate::RetryBudget::bucket().capacity(f64::NAN).build().unwrap_err();
    /// assert_eq!(error.field(), "retry_budget.capacity");
    /// ```
    pub fn build(self) -> Result<RetryBudget, Error> {
        let most = self.capacity;
        let limit = "1 to 10,000 tokens (gRPC: at most 1,000)";
        let capacity = thousandths("retry_budget.capacity", most, limit, [1.0, MOST])?;
        let mut costs = [0; FailureKind::ALL.len()];
        let limit = "0.001 tokens to the capacity";
        for (cost, given) in costs.iter_mut().zip(self.costs) {
            *cost = thousandths("retry_budget.cost", given, limit, [0.001, most])?;
        }
        let limit = "0 tokens to the capacity (gRPC: at least 0.001)";
        let success = thousandths("retry_budget.success", self.success, limit, [0.0, most])?;
        let limit = "0 tokens to less than the capacity";
        let threshold = self.threshold;
        let threshold = thousandths("retry_budget.threshold", threshold, limit, [0.0, most])?;
        if threshold >= capacity {
            let (field, found) = ("retry_budget.threshold", "the capacity or more");
            return Err(Error::new(ErrorCode::InvalidConfig, field, found, limit));
        }
        let (field, limit) = ("retry_budget.refill_per_second", "0, or 0.001 to 10,000 tokens");
        let refill = thousandths(field, self.refill_per_second, limit, [0.0, MOST])?;
        let bucket = Bucket {
            word: AtomicU64::new(Word { until: NEVER, tokens: capacity }.pack()),
            capacity,
            costs,
            charge: self.charge,
            threshold,
            success,
            refunds_cost: self.refunds_cost,
            refill: refill.into(),
        };
        RetryBudget::of(&self.name, Rules::Bucket(bucket))
    }
}

/// A number without its decimals beyond the third: as the proposal reads it, whatever is nearest to
/// it in binary.
fn three_decimals(number: f64) -> f64 {
    let text = number.to_string();
    let end = text.find('.').map_or(text.len(), |point| text.len().min(point + 1 + 3));
    text[..end].parse().unwrap_or(number)
}

/// The state of a bucket, and its rules in thousandths of a token.
pub(super) struct Bucket {
    word: AtomicU64,
    capacity: u32,
    costs: [u32; FailureKind::ALL.len()],
    charge: Charge,
    threshold: u32,
    success: u32,
    refunds_cost: bool,
    /// A second.
    refill: u64,
}

impl Bucket {
    /// Takes what a retry costs, or says what is missing.
    pub(super) fn take(&self, kind: FailureKind, now: Duration) -> Result<u32, Shortage> {
        let cost = self.costs[kind as usize];
        let missing = |word| self.shortage(word, cost, now);
        match self.charge {
            Charge::Failure => {
                let charged = self.change(Some(now), |tokens| Some(tokens.saturating_sub(cost)));
                let word = charged.map_err(missing)?;
                if self.is_above(word.tokens) { Ok(cost) } else { Err(missing(word)) }
            }
            Charge::Retry => {
                let pay = |tokens| self.is_above(tokens).then(|| tokens.checked_sub(cost))?;
                self.change(Some(now), pay).map(|_| cost).map_err(missing)
            }
        }
    }

    pub(super) fn failed_for_good(&self, kind: FailureKind, now: Duration) {
        if self.charge == Charge::Failure {
            let cost = self.costs[kind as usize];
            let _ = self.change(Some(now), |tokens| Some(tokens.saturating_sub(cost)));
        }
    }

    /// The attempt never started. A failure that was charged has happened all the same.
    pub(super) fn give_back(&self, cost: u32) {
        if self.charge == Charge::Retry {
            self.bring(cost, None);
        }
    }

    /// The failure is not to be charged either.
    pub(super) fn revoke(&self, cost: u32) {
        self.bring(cost, None);
    }

    pub(super) fn first_succeeded(&self, now: Duration) {
        self.bring(self.success, Some(now));
    }

    pub(super) fn retry_succeeded(&self, cost: u32, now: Duration) {
        let cost = if Bug::RefundTooMuch.is_planted() { cost.saturating_mul(2) } else { cost };
        self.bring(if self.refunds_cost { cost } else { self.success }, Some(now));
    }

    pub(super) fn left(&self, now: Duration) -> u32 {
        // Relaxed: the word is all there is to it.
        let word = Word::of(self.word.load(Ordering::Relaxed));
        self.refilled(word, Some(now)).tokens
    }

    fn bring(&self, more: u32, now: Option<Duration>) {
        let _ = self.change(now, |tokens| Some(tokens.saturating_add(more).min(self.capacity)));
    }

    fn is_above(&self, tokens: u32) -> bool {
        let also_at = Bug::ThresholdOffByOne.is_planted() && tokens == self.threshold;
        tokens > self.threshold || also_at
    }

    /// Changes the tokens, after time has brought some; gives the word after that, or as an error
    /// the one that there is to be no change of.
    fn change(&self, now: Option<Duration>, to: impl Fn(u32) -> Option<u32>) -> Result<Word, Word> {
        // Relaxed: the word is all there is to it.
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let word = self.refilled(Word::of(seen), now);
            let changed = Word { tokens: to(word.tokens).ok_or(word)?, ..word };
            match swap(&self.word, seen, changed.pack()) {
                Ok(()) => return Ok(changed),
                Err(other) => seen = other,
            }
        }
    }

    /// What the word is at `now`. A time before that of the word brings nothing.
    fn refilled(&self, word: Word, now: Option<Duration>) -> Word {
        let Some(now) = now.filter(|_| self.refill != 0) else { return word };
        let now = millis(now) & TIME;
        // One value is kept for a bucket that nobody has used yet.
        let now = if now == NEVER { now - 1 } else { now };
        if word.until == NEVER {
            return Word { until: now, ..word };
        }
        let passed = now.wrapping_sub(word.until) & TIME;
        if passed > TIME / 2 {
            return word;
        }
        let brought = self.brought_by(word.until + passed) - self.brought_by(word.until);
        let tokens = u128::from(word.tokens).saturating_add(brought).min(self.capacity.into());
        // At most the capacity, which fits.
        Word { until: now, tokens: tokens as u32 }
    }

    /// What time has brought since the origin, in thousandths of a token.
    fn brought_by(&self, ms: u64) -> u128 {
        u128::from(ms) * u128::from(self.refill) / u128::from(MILLI)
    }

    /// What is missing in `word` for a retry that costs so much, and how long from `now` on.
    fn shortage(&self, word: Word, cost: u32, now: Duration) -> Shortage {
        let needed = match self.charge {
            // The next failure is charged before anybody asks.
            Charge::Failure => self.threshold.saturating_add(cost).saturating_add(1),
            Charge::Retry => cost.max(self.threshold.saturating_add(1)),
        };
        // More than the capacity never comes.
        let possible = self.refill != 0 && needed <= self.capacity;
        let refills_in = || {
            let missing = needed.saturating_sub(word.tokens);
            let then = self.brought_by(word.until) + u128::from(missing);
            // The first millisecond by which time has brought that much.
            let then = (then * u128::from(MILLI)).div_ceil(self.refill.into());
            let wait = then.saturating_sub(word.until.into());
            // Time may have stepped back since the word was changed.
            let behind = word.until.wrapping_sub(millis(now)) & TIME;
            let behind = if behind > TIME / 2 { 0 } else { behind };
            Duration::from_millis(u64::try_from(wait).unwrap_or(u64::MAX).saturating_add(behind))
        };
        let left = word.tokens.into();
        Shortage { needed: needed.into(), left, refills_in: possible.then(refills_in) }
    }
}

/// The word, unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    /// Milliseconds, of 40 bits.
    until: u64,
    /// Thousandths.
    tokens: u32,
}

impl Word {
    fn of(word: u64) -> Self {
        Self { until: word >> TOKEN_BITS, tokens: (word & TOKENS) as u32 }
    }

    fn pack(self) -> u64 {
        self.until << TOKEN_BITS | u64::from(self.tokens)
    }
}

const TOKEN_BITS: u32 = 24;
const TOKENS: u64 = (1 << TOKEN_BITS) - 1;
const TIME: u64 = u64::MAX >> TOKEN_BITS;
/// Nobody has used the bucket yet: it is full, whatever the time.
const NEVER: u64 = TIME;
/// The largest capacity, and the most that a second brings.
const MOST: f64 = 10_000.0;
/// `maxTokens` of gRPC's service configuration.
const GRPC_MOST: u32 = 1_000;

const _: () = assert!(MOST as u64 * MILLI <= TOKENS);
