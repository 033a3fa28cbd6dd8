//! Hooks: what the engine asks its user about records that nobody holds.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::reconcile::DoubtId;
use super::steps::FinishedStep;
use crate::outcome::Outcome;

/// A record of which nobody knows whether its last attempt took effect.
///
/// ```
/// use oncegate::{Outcome, Reconciled, Unresolved};
/// # fn was_booked(fencing_token: u64) -> Option<bool> { None }
/// fn reconcile(record: &Unresolved<'_>) -> Reconciled {
///     match was_booked(record.fencing_token) {
///         Some(true) => Reconciled::Succeeded(Outcome::new(200, b"booked")),
///         Some(false) => Reconciled::RunAgain,
///         None => Reconciled::StillUnknown,
///     }
/// }
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Unresolved<'u> {
    /// The operation of its [`RetryContext`](crate::RetryContext); empty where it has none.
    pub operation: &'u str,
    /// Its context; empty where it has none.
    pub context: &'u [u8],
    /// The attempt that is in doubt.
    pub attempt: u32,
    /// Its fencing token: what it wrote elsewhere carries it.
    pub fencing_token: u64,
    /// Names it for [`Engine::settle`](crate::Engine::settle), where the answer comes later.
    pub doubt: DoubtId,
}

impl fmt::Debug for Unresolved<'_> {
    /// Without what the caller gave.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unresolved")
            .field("attempt", &self.attempt)
            .field("fencing_token", &self.fencing_token)
            .field("context_bytes", &self.context.len())
            .finish_non_exhaustive()
    }
}

/// What a reconciler found out.
///
/// ```
/// let _ = oncegate::Reconciled::StillUnknown;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reconciled {
    /// It took effect; duplicates get this outcome.
    Succeeded(Outcome),
    /// It failed for good; duplicates get this outcome.
    Failed(Outcome),
    /// It had no effect: the next attempt may start at once.
    RunAgain,
    /// Nobody knows yet. It is asked about again, ever more rarely.
    StillUnknown,
}

/// An attempt whose lease lapsed, and that may have left something half done.
///
/// ```
/// use oncegate::LapsedAttempt;
/// fn clean_up(lapsed: &LapsedAttempt<'_>) -> Result<(), String> {
///     println!("attempt {} with token {}", lapsed.attempt, lapsed.fencing_token);
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct LapsedAttempt<'l> {
    /// The operation of its record.
    pub operation: &'l str,
    /// The context of its record.
    pub context: &'l [u8],
    /// The attempt that lapsed.
    pub attempt: u32,
    /// Its fencing token: what it wrote elsewhere carries it.
    pub lapsed_token: u64,
    /// The fencing token of the lease under which the hook runs, which is a higher one.
    pub fencing_token: u64,
}

impl fmt::Debug for LapsedAttempt<'_> {
    /// Without what the caller gave.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LapsedAttempt")
            .field("attempt", &self.attempt)
            .field("lapsed_token", &self.lapsed_token)
            .field("fencing_token", &self.fencing_token)
            .finish_non_exhaustive()
    }
}

type Reconcile = dyn Fn(&Unresolved<'_>) -> Reconciled + Send + Sync;
type CleanUp = dyn Fn(&LapsedAttempt<'_>) -> Result<(), String> + Send + Sync;
type Undo = dyn Fn(&FinishedStep<'_>) -> Result<(), String> + Send + Sync;

/// Decides about unresolved records.
#[derive(Clone)]
pub(super) struct ReconcileHook(pub(super) Arc<Reconcile>);

/// Cleans up after a lapse.
#[derive(Clone)]
pub(super) struct CleanUpHook(pub(super) Arc<CleanUp>);

/// Undoes a step.
#[derive(Clone)]
pub(super) struct UndoHook(pub(super) Arc<Undo>);

impl ReconcileHook {
    /// A hook that panics knows nothing.
    pub(super) fn ask(&self, record: &Unresolved<'_>) -> Reconciled {
        catch_unwind(AssertUnwindSafe(|| self.0(record))).unwrap_or(Reconciled::StillUnknown)
    }
}

impl CleanUpHook {
    /// A hook that panics has failed.
    pub(super) fn run(&self, lapsed: &LapsedAttempt<'_>) -> bool {
        catch_unwind(AssertUnwindSafe(|| self.0(lapsed))).is_ok_and(|done| done.is_ok())
    }
}

impl UndoHook {
    /// As for the others.
    pub(super) fn run(&self, step: &FinishedStep<'_>) -> Result<(), ()> {
        let undone = catch_unwind(AssertUnwindSafe(|| self.0(step)));
        if undone.is_ok_and(|undone| undone.is_ok()) { Ok(()) } else { Err(()) }
    }
}

macro_rules! hidden {
    ($($hook:ident)+) => {
        $(impl fmt::Debug for $hook {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($hook))
            }
        })+
    };
}

hidden!(ReconcileHook CleanUpHook UndoHook);
