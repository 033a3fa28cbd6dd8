//! The native module of the Python package `oncegate`: the engine, as Python objects.
//!
//! Every class is frozen. Nothing here blocks with the GIL held; what is waited for is waited for
//! without it, and signals are heard meanwhile. What the package offers above it, in Python, stands
//! in `python/oncegate`.

mod adaptive;
mod admission;
mod asking;
mod attempt_error;
mod attempts;
mod backoff;
mod begin;
mod bell;
mod budget;
mod bytes;
mod call;
mod choice;
mod clock;
mod downstream;
mod drive;
mod endings;
mod engine;
mod error;
mod events;
mod forks;
mod handle;
mod hint;
mod intake;
mod keeper;
mod later;
mod lease;
mod letters;
mod operations;
mod outcome;
mod policy;
mod quota;
mod reconcile;
mod redis;
mod request;
mod stats;
mod steps;
mod tier;
mod time;
mod token;
mod waits;

#[pyo3::pymodule(gil_used = false)]
mod _core {
    #[pymodule_export]
    use crate::adaptive::AdaptiveBackoff;
    #[pymodule_export]
    use crate::admission::{
        Admitted, InProgress, Mismatched, OutcomeGone, Replayed, Scheduled, Unresolved,
    };
    #[pymodule_export]
    use crate::attempt_error::AttemptError;
    #[pymodule_export]
    use crate::attempts::{Attempt, AttemptWait};
    #[pymodule_export]
    use crate::begin::Prepared;
    #[pymodule_export]
    use crate::budget::RetryBudget;
    #[pymodule_export]
    use crate::call::{CallAttempts, GivenUp};
    #[pymodule_export]
    use crate::clock::ManualClock;
    #[pymodule_export]
    use crate::drive::{Driven, Due};
    #[pymodule_export]
    use crate::endings::{Ending, Endings};
    #[pymodule_export]
    use crate::engine::Engine;
    #[pymodule_export]
    use crate::events::{Events, FillEvent, StuckEvent};
    #[pymodule_export]
    use crate::forks::after_fork_in_child;
    #[pymodule_export]
    use crate::intake::{Intake, ResponseHead};
    #[pymodule_export]
    use crate::later::Buried;
    #[pymodule_export]
    use crate::lease::Lease;
    #[pymodule_export]
    use crate::letters::{DeadLetter, LetterPage, PastAttempt};
    #[pymodule_export]
    use crate::outcome::Outcome;
    #[pymodule_export]
    use crate::policy::RetryPolicy;
    #[pymodule_export]
    use crate::quota::{KeyRules, Quota};
    #[pymodule_export]
    use crate::reconcile::{Doubt, Failed, Reconciliation, Succeeded};
    #[pymodule_export]
    use crate::redis::Redis;
    #[pymodule_export]
    use crate::request::{Payload, Request, Scope};
    #[pymodule_export]
    use crate::stats::{
        AdaptiveStats, InputStats, Latency, Live, RetryStats, Stats, Stretch, TierStats,
    };
    #[pymodule_export]
    use crate::tier::{Hazard, TierOptions};
    #[pymodule_export]
    use crate::token::{Failure, LeaseToken};
    #[pymodule_export]
    use crate::waits::{Wait, Waits};
}
