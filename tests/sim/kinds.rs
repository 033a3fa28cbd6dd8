//! Kinds: what there is to happen in a simulation, and how often it did. One in which an outcome
//! never becomes unknown has checked nothing about unknown outcomes.

macro_rules! kinds {
    ($($name:ident $says:literal,)+) => {
        /// Something that happens in a simulation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind { $($name,)+ }

        const NAMES: &[&str] = &[$($says,)+];
    };
}

kinds! {
    Created "request created",
    Taken "lapsed lease taken over by a caller",
    RetriedByCaller "failed request begun again",
    RanDue "waiting request run by a caller",
    RanAfterWindow "request run again after its window",
    Evicted "finished record evicted",
    Replayed "outcome replayed",
    InProgress "duplicate of a running attempt",
    Scheduled "duplicate of a waiting record",
    Mismatched "duplicate with another payload",
    Unresolved "duplicate of an unknown record",
    Gone "outcome gone",
    Full "no room for a new record",
    Quota "quota used up",
    WrongSecret "call without the new secret",
    HandedOut "attempt handed out to a worker",
    HandedOutLate "attempt handed out late",
    HandedOutLapsed "attempt handed out after a lapse",
    NothingDue "worker found nothing due",
    Completed "attempt completed",
    WithoutBytes "outcome too large to keep",
    FailedForGood "attempt failed for good",
    Failed "attempt failed",
    FailedWithDelay "attempt failed with a delay",
    GaveBack "attempt given back",
    Dropped "lease dropped",
    DroppedRetry "lease of a retried record dropped",
    BecameUnknown "outcome became unknown",
    EndedUnknown "call of an unknown attempt accepted",
    Later "next attempt scheduled",
    LaterHinted "next attempt scheduled by a hint",
    Buried "record buried: attempts",
    BuriedDeadline "record buried: deadline",
    BuriedLate "due record buried: deadline",
    BuriedBudget "record buried: budget",
    BuriedFinal "record buried: final error",
    NoRoomToRetry "no room to retry",
    LetterLost "no room for a dead letter",
    Renewed "lease renewed",
    Stepped "step finished",
    StepRemembered "step remembered",
    StepFailed "step failed",
    Compensated "step undone by its holder",
    UndoneByHook "step undone by the hook",
    CleanedUp "lapse cleaned up",
    FencedLate "paused holder fenced",
    FencedRetry "paused holder's retry fenced",
    FencedStep "paused holder's step fenced",
    EndedLate "call of a lapsed holder accepted",
    Forgotten "lease forgotten",
    Paused "holder paused",
    GivenUp "client gave up",
    EffectRefused "stale effect refused by the store",
    NodePaused "process stopped for a while",
    NodeCrashed "process crashed",
    NodeLeft "process ended in order",
    NodeOpened "process started again",
    TableLost "private table lost with its process",
    Jumped "time jumped by days",
    WallSetBack "wall clock set back",
    Asked "reconciler asked",
    AskedInVain "reconciler did not know",
    Reconciled "reconciler resolved a record",
    Resolved "operator resolved a record",
    Listed "dead letter listed",
    Redriven "dead letter redriven",
    Discarded "dead letter discarded",
    Rotated "secret rotated",
    RotationFinished "rotation finished",
    RotationRefused "rotation not finished yet",
    QuotaSet "quota set",
    Swept "table swept",
    BuriedDead "dead process buried",
    Driven "engine driven",
}

/// How often each kind of event happened.
#[derive(Clone, Debug)]
pub(crate) struct Kinds {
    counts: Vec<u64>,
}

impl Kinds {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; NAMES.len()] }
    }

    pub(crate) fn add(&mut self, kind: Kind) {
        self.counts[kind as usize] += 1;
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, other)| *own += other);
    }

    /// What never happened.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let counted = NAMES.iter().zip(&self.counts);
        counted.filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect()
    }

    /// One line for each kind.
    pub(crate) fn table(&self) -> String {
        let line = |(name, count): (&&str, &u64)| format!("  {count:>9}  {name}\n");
        NAMES.iter().zip(&self.counts).map(line).collect()
    }
}
