//! Recoveries: what a dead process left is taken away, word by word where somebody meets it, or all
//! of it at once, which is a burial. Whoever does either says so in its own entry, where newcomers
//! look before they take the entry of the dead one, and before they believe that a lock which they
//! find is that of a living one.

use std::os::fd::AsFd;

use super::{Host, RECOVERIES, RECOVERING, Region, TAKEN, header, lock, os_error};
use crate::error::Error;
use crate::fork::Gate;
use crate::region::mapping::LockPage;
use crate::sync::{AtomicU64, Ordering};

/// As long as it lives newcomers know that a recovery is under way.
struct Recovery<'r> {
    under_way: &'r AtomicU64,
}

impl Drop for Recovery<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire of `nobody_recovers`; what was recovered comes before.
        // Relaxed on failure: it is tried again.
        let _ = self.under_way.fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
            let is_last = word & RECOVERIES <= 1;
            Some(if is_last { 0 } else { word - 1 })
        });
    }
}

/// The entry of a dead process, locked by this one to clear what is left, until it is dropped.
///
/// No descriptor holds the lock: a child that is forked meanwhile would have that too, and keep the
/// entry for as long as it lives if this process is killed.
pub(super) struct Burial<'r> {
    _page: LockPage,
    /// Dropped last: it is announced for as long as it is locked.
    _recovery: Recovery<'r>,
}

impl<'r> Recovery<'r> {
    /// Makes a burial of it, if no other process has locked the entry meanwhile.
    fn lock(self, host: &Host, index: usize) -> Result<Option<Burial<'r>>, Error> {
        let _gate = Gate::shut();
        let file = host.describe()?;
        if !lock::try_lock(file.as_fd(), index as u64).map_err(os_error)? {
            return Ok(None);
        }
        let page = LockPage::keep(file.as_fd()).map_err(os_error)?;
        Ok(Some(Burial { _page: page, _recovery: self }))
    }
}

impl Region {
    /// Does `act`, which takes the mark of a dead process away, if that of entry `index` is dead.
    ///
    /// Such marks come without a counter: a mark of the next process with this entry looks the
    /// same. So an entry is given away only while nobody is between the question and the act.
    pub(crate) fn recover<T>(&self, index: u8, act: impl FnOnce() -> T) -> Option<T> {
        let host = self.member.host.as_ref()?;
        let known = (1..=self.geometry.processes()).contains(&usize::from(index));
        let _under_way = self.announce_recovery(index);
        let dead = index != self.me() && (!known || !host.ask(index, self.me()));
        dead.then(act)
    }

    /// Tells newcomers that this process looks after what entry `index` left, until the value is
    /// dropped.
    fn announce_recovery(&self, index: u8) -> Recovery<'_> {
        let under_way = &self.process(usize::from(self.me().max(1)))[RECOVERING];
        // AcqRel: before any question, and before any lock. Whoever takes the entry locks it first,
        // and then looks here: either it sees this, or the question finds the lock. Whoever finds a
        // burial's lock in its way looks here then, and sees this. Acquire on failure: as well.
        let _ = under_way.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            Some((word | recovers(index)).wrapping_add(1))
        });
        Recovery { under_way }
    }

    /// Whether no live process is in the middle of a recovery, or a burial, of what entry `of`
    /// left. Of an entry that nobody ever had nothing is left.
    pub(super) fn nobody_recovers(&self, of: usize) -> bool {
        // Whoever had it counted it before he left marks, and before his lock was another's to get.
        let host = self.member.host.as_ref();
        let used = self.processes_used();
        of > used
            || (1..=used).filter(|index| *index != of).all(|index| {
                // Acquire: pairs with the Release of the `Recovery` that is dropped.
                let under_way = self.process(index)[RECOVERING].load(Ordering::Acquire);
                let this_one = under_way & recovers(of as u8) != 0;
                !this_one || host.is_none_or(|host| !host.ask(index as u8, 0))
            })
    }

    /// Runs `clear` for each dead process whose entry was used, with the entry locked, and then
    /// marks the entry as one of which nothing is left.
    pub(crate) fn bury(&self, mut clear: impl FnMut(u8)) -> Result<usize, Error> {
        let mut buried = 0;
        for index in 1..=self.processes_used() {
            let entry = self.process(index);
            let mine = index == usize::from(self.member.index());
            // Acquire: as in `join`.
            if mine || entry[TAKEN].load(Ordering::Acquire) == 0 {
                continue;
            }
            let Some(_burial) = self.begin_burial(index)? else { continue };
            // Acquire: another process may have buried it meanwhile.
            if entry[TAKEN].load(Ordering::Acquire) != 0 {
                clear(index as u8);
                self.release(index);
                buried += 1;
            }
        }
        Ok(buried)
    }

    /// Locks entry `index`, if no process has it. Whoever comes meanwhile, and finds no other
    /// entry, is to wait for this one: so it is announced before there is a lock to be found.
    pub(super) fn begin_burial(&self, index: usize) -> Result<Option<Burial<'_>>, Error> {
        let Some(host) = &self.member.host else { return Ok(None) };
        if lock::is_locked(host.file.as_fd(), index as u64) == Ok(true) {
            // Of a live process there is nothing to announce.
            return Ok(None);
        }
        self.announce_recovery(index as u8).lock(host, index)
    }

    fn release(&self, index: usize) {
        // Relaxed: for people.
        self.header(header::DEATHS).fetch_add(1, Ordering::Relaxed);
        // Release: pairs with the Acquire of `join`; what was cleared comes first.
        self.process(index)[TAKEN].store(0, Ordering::Release);
    }
}

/// The bit of `RECOVERING` for entry `index`, which others share.
pub(super) fn recovers(index: u8) -> u64 {
    1 << (32 + index % 32)
}
