//! oncegate: each request is admitted once.
//!
//! Retries overlap: a client times out and resends, a broker redelivers, a load balancer fails
//! over, and the same payment runs twice. Before work starts, ask the [`Engine`] to admit the
//! request. One caller gets a [`Lease`] with a fencing token and runs; every overlapping
//! duplicate is told at once that the work is in progress, or gets the stored [`Outcome`].
//!
//! ```
//! use oncegate::{Engine, Outcome, Payload, Request, Scope};
//! # fn charge() -> Result<Outcome, String> { Ok(Outcome::new(201, b"charged")) }
//!
//! let engine = Engine::builder().build()?;
//! let request = Request::new(Scope::new("acme")?, "POST /charges", "key-1")?
//!     .payload(Payload::json(br#"{"amount": 100}"#));
//! let ran = engine.run(&request, || charge())?;
//! # assert_eq!(ran.outcome().map(Outcome::status), Some(201));
//! # Ok::<(), oncegate::Error>(())
//! ```
//!
//! Data flows one way: engine, then fingerprint, table and outcome, then region. Unsafe code
//! stands in `region::mapping`, `region::memory`, `region::prefetch`, `region::lock`,
//! `region::bell`, `table::lanes` and `fork`, and nowhere else.
#![deny(unsafe_code)]
// A model has neither files nor clocks nor a kernel to sleep in.
#![cfg_attr(any(oncegate_loom, oncegate_shuttle), allow(dead_code))]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod config;
mod engine;
mod error;
mod fingerprint;
mod fork;
#[cfg(feature = "tower")]
pub mod http;
mod inspect;
mod observe;
mod outcome;
mod reach;
mod region;
mod retry;
mod sync;
mod table;
pub mod tier;
mod wait;

pub use clock::{Clock, CoarseClock, ManualClock, PreciseClock};
pub use config::EngineBuilder;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
pub use engine::DueDescriptor;
pub use engine::{
    Admission, Attempt, AttemptEnd, AttemptError, BeginOptions, Buried, CallAttempts, Completed,
    DeadLetter, Declined, DoubtId, Driven, Driver, Engine, EngineEvent, Failure, FencingToken,
    FillEvent, FinishedStep, GivenUp, Join, LapsedAttempt, Later, Lease, LeaseToken, LetterFilter,
    LetterId, LetterPage, NextAttempt, OnConflict, OnDrop, OnFull, OnLapse, OnLettersFull,
    OperationSettings, PastAttempt, Prepared, Quota, Ran, Reconciled, Reconciliation, Resolution,
    Retried, RetryContext, RunOptions, Status, Step, StuckTransition, Swept, Ticker, TierStats,
    Unresolved,
};
pub use error::{Error, ErrorCode};
pub use fingerprint::{
    Fingerprint, FingerprintMode, KeyCharset, KeyRules, MethodClass, Payload, Request, Scope,
    Secret, method_class,
};
pub use inspect::{
    Chunks, Collected, DeadLetters, Finding, Insertions, Inspection, KeyStatus, Leases,
    ProcessState, ProcessStatus, RegionFile, RetryEntries, ScopeStatus, Severity,
};
pub use observe::{Latency, Live, RetryStats, Stats};
pub use outcome::{Outcome, OutcomePolicy, Verdict};
pub use reach::{FileAccess, Reach};
pub use retry::{
    AdaptiveBackoff, AdaptiveConfig, AdaptiveStats, Advanced, AttemptHeaders, Attempted,
    BackoffPolicy, BudgetExhausted, BudgetLevel, Budgets, Charge, ConcurrencyBudget, Decision,
    Deposit, DownstreamKey, Exhaustion, FailureKind, Hint, HintLimits, InputStats, Jitter,
    JitterSource, Levels, RatioBudget, Receipt, Rest, RetryBudget, RetryPolicy, Stretch, Submitted,
    Tick, TimerHandle, TimerWheel, Timers, TimersBuilder, TokenBucket, Withdrawal,
};

#[cfg(any(oncegate_loom, oncegate_shuttle))]
#[doc(hidden)]
pub use sync::planted::Bug;

/// When a process dies, for the suites that kill it at every step.
#[cfg(any(oncegate_failpoints, oncegate_loom, oncegate_shuttle))]
#[doc(hidden)]
pub use sync::mortal::fate;

/// The examples of the first page are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

/// So are those of the guide to retries.
#[cfg(doctest)]
#[doc = include_str!("../../docs/retries.md")]
mod retries_guide {}

/// So is that of the page on Redis.
#[cfg(all(doctest, feature = "redis"))]
#[doc = include_str!("../../docs/redis.md")]
mod redis_guide {}
