//! Retrying: the engine owns the next attempt of a failed record, and hands it to a worker.
//!
//! The record says what runs and when the next attempt is due; its entry and its journal say that
//! somebody looks after it, and with what it is run again (see `table::retrying`). Each process
//! that hands out attempts has an index of its own of what is due when, which it can make anew from
//! the entries at any time: so nothing is lost with a process, and of many that find a record due
//! one gets it, by the record's own compare-and-swap.

mod behind;
mod calls;
mod care;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
mod descriptor;
mod dispatch;
mod downstream;
mod drive;
mod hooks;
mod in_call;
mod later;
mod letter;
mod letters;
mod next;
mod oldest;
mod own_call;
mod ready;
mod reconcile;
mod registry;
mod retries;
mod scheduler;
mod settings;
mod steps;
mod stuck;
mod upkeep;

pub(super) use care::Keeping;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
pub use descriptor::DueDescriptor;
pub use drive::{Driven, Driver};
pub use hooks::{LapsedAttempt, Reconciled, Unresolved};
pub use in_call::{GivenUp, Retried};
pub use later::{AttemptError, Buried, Later, RetryContext};
pub use letter::{AttemptEnd, DeadLetter, LetterFilter, LetterId, LetterPage, PastAttempt};
pub use next::{Attempt, NextAttempt};
pub use own_call::CallAttempts;
pub use reconcile::{DoubtId, Reconciliation};
pub(super) use retries::Retries;
pub(super) use scheduler::Scheduler;
pub use settings::{OnLettersFull, OperationSettings};
pub use steps::{FinishedStep, Step};
pub(crate) use stuck::OnEvent;
pub use stuck::{EngineEvent, StuckTransition};

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
