//! Planted bugs: each model has a broken twin that must fail.
//!
//! Under the private cfg `oncegate_loom` a model may plant one bug; everywhere else
//! [`Bug::is_planted`] is the constant `false` and the compiler removes the branch.

use super::Ordering;

/// A deliberate defect in the shipped code, for a broken twin.
#[cfg_attr(not(oncegate_loom), allow(unreachable_pub, reason = "public to the models only"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The insertion ignores that its arbitration was lost.
    ArbitrationIgnored,
    /// The tag is written after the arbitration.
    TagWrittenLate,
    /// Only the home set is searched.
    AlternateNotSearched,
    /// Completion stores the control word instead of comparing.
    CompleteIgnoresFence,
    /// A takeover does not close the deadline first.
    TakeoverWithoutFreeze,
    /// Eviction claims whatever it finds.
    EvictsRunning,
    /// Eviction trusts the ages that it read before somebody else evicted.
    EvictsByOldAge,
    /// The outcome's bytes are published without release.
    RelaxedOutcome,
    /// A chunk is recycled while somebody writes to it.
    RecyclesUnderWriter,
    /// A reader does not look again after copying.
    ReadsWithoutRevalidation,
    /// Whoever ends an attempt writes its inline outcome while somebody else does.
    InlineUnclaimed,
    /// A reader does not look at the record again after copying its inline outcome.
    InlineNotRechecked,
    /// A waiter goes to sleep without announcing itself.
    WaiterUnannounced,
    /// A failing leader wakes nobody.
    HandOffLost,
    /// The sweep vacates without claiming.
    SweepWithoutClaim,
    /// An expired record is believed after it was claimed.
    MatchNotRechecked,
    /// The winner of a takeover writes its lease without looking whose turn it is.
    LeaseWrittenLate,
    /// A stalled insertion keeps the fencing counter of its claim.
    CounterKept,
    /// An unknown record's due time is written whatever was decided.
    DueUnarbitrated,
    /// A lapse that counts as failure leaves the outcome to whoever comes.
    LapseUnarbitrated,
    /// The end of a rotation sweeps in turn with everybody else.
    RotationSweepsInTurn,
    /// A rotation does not tell the old key's home of an insertion.
    RotationSkipsOldHome,
}

#[cfg(oncegate_loom)]
mod switch {
    use super::Bug;
    use std::cell::Cell;

    thread_local! {
        /// The model checker runs all threads of a model on one OS thread.
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    impl Bug {
        /// Plants this bug for the models that this OS thread runs from now on.
        pub fn plant(self) {
            PLANTED.with(|cell| cell.set(Some(self)));
        }

        /// Plants nothing from now on.
        pub fn clear() {
            PLANTED.with(|cell| cell.set(None));
        }

        pub(crate) fn is_planted(self) -> bool {
            PLANTED.with(Cell::get) == Some(self)
        }
    }
}

#[cfg(not(oncegate_loom))]
impl Bug {
    #[inline(always)]
    pub(crate) const fn is_planted(self) -> bool {
        false
    }
}

impl Bug {
    /// `ordering`, or no ordering at all where this bug is planted.
    #[inline(always)]
    pub(crate) fn weakens(self, ordering: Ordering) -> Ordering {
        // Relaxed on purpose: only a broken twin comes here with the bug planted.
        if self.is_planted() { Ordering::Relaxed } else { ordering }
    }
}
