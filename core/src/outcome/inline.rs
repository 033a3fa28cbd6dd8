//! Inline outcomes: small ones lie beside their record, and cost no look-up of their own.
//!
//! The words belong to the slot. Who may write them is decided by the slot's control word: see
//! rule 6 in `table::control`. What they hold is told by the record's [`Inline`] reference.

use super::reference::Inline;
use super::{Outcome, words};
use crate::sync::AtomicU64;

impl Inline {
    /// Writes the data of `outcome`, which this reference describes, to the slot's own words.
    pub(crate) fn write(outcome: &Outcome, own: &[AtomicU64]) {
        words::write(outcome, own);
    }

    /// Copies the outcome out of the slot's own words. The caller looks at the control word again
    /// before it believes the bytes. False: impossible sizes.
    #[inline(always)]
    pub(crate) fn read(self, own: &[AtomicU64], into: &mut Outcome) -> bool {
        into.status = self.status;
        words::read(own, self.data_len, self.has_metadata, into)
    }
}
