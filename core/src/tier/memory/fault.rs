//! Faults that a test asks for.

use std::collections::VecDeque;

use crate::tier::{TierError, TierErrorKind};

/// What goes wrong with an operation.
///
/// ```
/// use std::time::Duration;
/// use oncegate::tier::{Fault, Memory, Tier, TierErrorKind};
///
/// let memory = Memory::new();
/// memory.fault(Fault::Refuse, 1);
/// let error = memory.session(Duration::ZERO).unwrap_err();
/// assert_eq!(error.kind(), TierErrorKind::Unavailable);
/// assert!(memory.session(Duration::ZERO).is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is not carried out: [`TierErrorKind::Unavailable`].
    Refuse,
    /// It is carried out, and its answer is lost: [`TierErrorKind::Unknown`].
    LoseReply,
    /// It is carried out and answered, and nobody hears what it has changed.
    LoseNotices,
}

/// The faults of the operations to come, in their order.
#[derive(Debug, Default)]
pub(super) struct Script(VecDeque<Fault>);

impl Script {
    pub(super) fn add(&mut self, fault: Fault, times: usize) {
        self.0.extend(std::iter::repeat_n(fault, times));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn next(&mut self) -> Option<Fault> {
        self.0.pop_front()
    }
}

pub(super) fn refused() -> TierError {
    TierError::new(TierErrorKind::Unavailable, "refused, as the test asked for")
}

pub(super) fn unanswered() -> TierError {
    TierError::new(TierErrorKind::Unknown, "the reply was lost, as the test asked for")
}
