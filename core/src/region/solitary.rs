//! The registry where there is only one process: on systems without the locks that a shared table
//! needs. In a model it stands in for several: there a process dies by saying so.

use super::{Exclusive, Region};
use crate::error::Error;
#[cfg(any(oncegate_loom, oncegate_shuttle))]
use crate::sync::Ordering;

pub(crate) const BELL: usize = 3;
pub(crate) const MAIL: usize = 4;
pub(crate) const WAITING: usize = 5;
pub(crate) const UNSETTLED: usize = 7;
pub(crate) const LOOKS_BY: usize = 8;

/// This process's place among those that share a region.
pub(super) struct Member {
    index: u8,
}

/// The entry of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Joined {
    pub(crate) index: u8,
    pub(crate) used: bool,
}

impl Member {
    pub(super) fn alone() -> Self {
        Self { index: 1 }
    }

    #[cfg(any(oncegate_loom, oncegate_shuttle))]
    pub(super) fn numbered(index: u8) -> Self {
        Self { index }
    }

    #[inline(always)]
    pub(super) fn index(&self) -> u8 {
        self.index
    }

    pub(super) fn is_shared(&self) -> bool {
        false
    }
}

impl Region {
    pub(crate) fn join(&self, _wall_ms: u64) -> Result<Joined, Error> {
        Ok(Joined { index: self.me(), used: false })
    }

    pub(crate) fn is_removed(&self) -> bool {
        false
    }

    pub(crate) fn leave(&self) {}

    /// Whether the file of a shared region has no name any more: there is none.
    pub(crate) fn is_unlinked(&self) -> bool {
        false
    }

    pub(crate) fn disown_entry(&self) {}

    #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
    pub(crate) fn bury(&self, _clear: impl FnMut(u8)) -> Result<usize, Error> {
        Ok(0)
    }

    /// Runs `clear` for each process of the model that has died, once.
    #[cfg(any(oncegate_loom, oncegate_shuttle))]
    pub(crate) fn bury(&self, mut clear: impl FnMut(u8)) -> Result<usize, Error> {
        let mut buried = 0;
        for index in 1..=self.geometry.processes() {
            let dead = &self.process(index)[DEAD];
            // AcqRel, and Acquire on failure: as in `has_died`; of two who bury one is first, and
            // sees what the dead one did, as with a lock.
            if dead.compare_exchange(1, BURIED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                clear(index as u8);
                buried += 1;
            }
        }
        Ok(buried)
    }

    pub(crate) fn exclusively<T>(
        &self,
        _turn: Exclusive,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        work().map(Some)
    }

    /// Whether the process of entry `index` has died.
    #[inline]
    pub(super) fn has_died(&self, index: u8) -> bool {
        #[cfg(any(oncegate_loom, oncegate_shuttle))]
        {
            let known = (1..=self.geometry.processes()).contains(&usize::from(index));
            // Acquire: pairs with the Release of `die`, as a lock that the kernel frees does.
            !known || self.process(usize::from(index))[DEAD].load(Ordering::Acquire) != 0
        }
        #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
        {
            let _ = index;
            false
        }
    }

    /// Does `act` if the process of entry `index` has died.
    pub(crate) fn recover<T>(&self, index: u8, act: impl FnOnce() -> T) -> Option<T> {
        self.is_dead(index).then(act)
    }

    /// The process of this region dies: whatever it was doing, it does no more.
    #[cfg(any(oncegate_loom, oncegate_shuttle))]
    pub(crate) fn die(&self) {
        // Release: pairs with the Acquire of `has_died`.
        self.process(usize::from(self.me()))[DEAD].store(1, Ordering::Release);
    }
}

/// The word of an entry that tells of its process's death, in a model.
#[cfg(any(oncegate_loom, oncegate_shuttle))]
const DEAD: usize = 0;
/// What it says of one that is dead and buried.
#[cfg(any(oncegate_loom, oncegate_shuttle))]
const BURIED: u64 = 2;
