//! The registry: which processes share a region, and which of them are alive.
//!
//! Each process has an entry, a line of the region, and holds a byte-range lock that the kernel
//! frees when the process dies, whoever kills it and in whichever container. The lock is the truth;
//! what the entry says is for people, and for waking:
//!
//! ```text
//! word 0   how often the entry was taken; zero: never, or nothing is left of whoever had it
//! word 1   process id, in the namespace of that process
//! word 2   wall time at which it came, in milliseconds since 2020
//! word 3   bell: counts the times that it was rung (see `wait`)
//! word 4   mail: a bit for each queue that has news
//! word 5   waiting: a bit for each queue in which somebody waits
//! word 6   recoveries under way (see `Region::recover`)
//! word 7   new records and endings under way that count against a scope
//! ```
//!
//! The lock is held by a page that is mapped from its file description, and by no descriptor: a
//! forked child has no part in it, and no `closefrom` ends it. The descriptor that the region keeps
//! holds no lock; it only asks.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::time::{ClockId, clock_gettime};

use super::Region;
use super::file::reason;
use super::header;
use super::lock;
use super::mapping::LockPage;
use crate::error::{Error, ErrorCode};
use crate::fork::Gate;
use crate::sync::plain::{AtomicU64, Mutex, MutexGuard};
use crate::sync::{Ordering, step};

pub(crate) const TAKEN: usize = 0;
pub(crate) const PID: usize = 1;
pub(crate) const SINCE_MS: usize = 2;
pub(crate) const BELL: usize = 3;
pub(crate) const MAIL: usize = 4;
pub(crate) const WAITING: usize = 5;
const RECOVERING: usize = 6;
pub(crate) const UNSETTLED: usize = 7;

/// This process's place among those that share a region.
pub(super) struct Member {
    /// Its entry, from one on; zero: it has none yet.
    index: AtomicU64,
    host: Option<Host>,
}

/// What only a shared region has.
struct Host {
    /// Open on the region. No lock is ever taken through it, and children inherit it.
    file: File,
    inode: (u64, u64),
    /// Where the file was found.
    path: Option<PathBuf>,
    held: Mutex<Option<LockPage>>,
    /// By entry: when its process was last seen alive, in nanoseconds of the monotonic clock.
    alive_ns: Box<[AtomicU64]>,
}

/// An entry that this process has just taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Joined {
    pub(crate) index: u8,
    /// Whether something may be left of whoever had it before.
    pub(crate) used: bool,
}

impl Member {
    /// The one process of a private region.
    pub(super) fn alone() -> Self {
        Self { index: AtomicU64::new(1), host: None }
    }

    /// A process that shares `file`, and has no entry yet.
    pub(super) fn of(file: File, path: Option<&Path>, processes: usize) -> std::io::Result<Self> {
        let of = file.metadata()?;
        let host = Host {
            inode: (of.dev(), of.ino()),
            path: path.map(Path::to_owned),
            file,
            held: Mutex::default(),
            alive_ns: (0..=processes).map(|_| AtomicU64::new(0)).collect(),
        };
        Ok(Self { index: AtomicU64::new(0), host: Some(host) })
    }

    #[inline(always)]
    pub(super) fn index(&self) -> u8 {
        // Relaxed: written before the region is shared with other threads, or, in a child, before
        // any of them gets past the fork guard.
        self.index.load(Ordering::Relaxed) as u8
    }

    pub(super) fn is_shared(&self) -> bool {
        self.host.is_some()
    }
}

impl Host {
    fn is_dead(&self, index: u8, me: u8) -> bool {
        let Some(seen) = self.alive_ns.get(usize::from(index)).filter(|_| index != 0) else {
            // Nobody has this entry: what names it was not written by a process of this region.
            return true;
        };
        let now = now_ns();
        // Relaxed, both: a hint that saves a system call.
        if now.wrapping_sub(seen.load(Ordering::Relaxed)) < FRESH_NS {
            return false;
        }
        let alive = self.ask(index, me);
        if alive {
            // Relaxed: as above.
            seen.store(now, Ordering::Relaxed);
        }
        !alive
    }

    /// Whether somebody has the lock of `index`, as far as can be told. Whoever closes descriptors
    /// that are not his may have put another file in the place of this one, on which nobody holds
    /// a lock: so where the answer is no, this process's own lock must show.
    fn ask(&self, index: u8, me: u8) -> bool {
        let is_locked = |index: u8| lock::is_locked(self.file.as_fd(), u64::from(index));
        let free = self.is_same_file() && is_locked(index) == Ok(false);
        !free || me != 0 && is_locked(me) != Ok(true) || !self.is_same_file()
    }

    fn is_same_file(&self) -> bool {
        self.file.metadata().is_ok_and(|of| (of.dev(), of.ino()) == self.inode)
    }

    fn held(&self) -> MutexGuard<'_, Option<LockPage>> {
        self.held.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A file description of its own, to lock with.
    fn describe(&self) -> Result<File, Error> {
        use std::os::fd::AsRawFd;
        let link = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let file = File::options().read(true).write(true).open(link).map_err(|error| {
            let found = format!("the region's file cannot be opened again: {}", reason(&error));
            let limit = "/proc is mounted, and this process's user may still write to the file";
            Error::new(ErrorCode::Os, "registry", found, limit)
        })?;
        if file.metadata().is_ok_and(|of| (of.dev(), of.ino()) == self.inode) {
            return Ok(file);
        }
        let found = "another file in the place of the region's";
        Err(Error::new(ErrorCode::Os, "registry", found, "nobody closes descriptors of others"))
    }
}

impl Region {
    /// Whether the process of entry `index`, which is not this one's, has certainly died or left.
    /// What cannot be told counts as alive: then its leases end by their deadlines.
    pub(super) fn has_died(&self, index: u8) -> bool {
        self.member.host.as_ref().is_some_and(|host| host.is_dead(index, self.me()))
    }

    /// Does `act`, which takes the mark of a dead process away, if that of entry `index` is dead.
    ///
    /// Such marks come without a counter: a mark of the next process with this entry looks the
    /// same. So an entry is given away only while nobody is between the question and the act.
    pub(crate) fn recover<T>(&self, index: u8, act: impl FnOnce() -> T) -> Option<T> {
        let host = self.member.host.as_ref()?;
        let known = (1..=self.geometry.processes()).contains(&usize::from(index));
        let under_way = &self.process(usize::from(self.me().max(1)))[RECOVERING];
        // AcqRel: before the question. Whoever takes the entry locks it first, and then looks here:
        // either it sees this, or the question finds the lock.
        under_way.fetch_add(1, Ordering::AcqRel);
        let dead = index != self.me() && (!known || !host.ask(index, self.me()));
        let done = dead.then(act);
        // Release: pairs with the Acquire of `nobody_recovers`; the act comes before.
        under_way.fetch_sub(1, Ordering::Release);
        done
    }

    /// Whether no live process is in the middle of a recovery.
    fn nobody_recovers(&self, but: usize) -> bool {
        let host = self.member.host.as_ref();
        (1..=self.processes_used()).filter(|index| *index != but).all(|index| {
            // Acquire: pairs with the Release of `recover`.
            let under_way = self.process(index)[RECOVERING].load(Ordering::Acquire);
            under_way == 0 || host.is_none_or(|host| !host.ask(index as u8, 0))
        })
    }

    /// Whether the file of a shared region has no name any more.
    pub(crate) fn is_unlinked(&self) -> bool {
        let file = self.member.host.as_ref().map(|host| &host.file);
        file.is_some_and(|file| file.metadata().is_ok_and(|of| of.nlink() == 0))
    }

    /// Whether the process of entry `index` is alive at this very moment, as far as can be told.
    pub(super) fn is_alive_now(&self, index: u8) -> bool {
        let me = self.me();
        self.member.host.as_ref().is_none_or(|host| index == me || host.ask(index, me))
    }

    /// Whether the region's file has been removed, or moved, or replaced: whoever opens the path
    /// now has another table.
    pub(crate) fn is_removed(&self) -> bool {
        let Some(host) = &self.member.host else { return false };
        let Some(path) = &host.path else { return false };
        match std::fs::metadata(path) {
            Ok(of) => (of.dev(), of.ino()) != host.inode,
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }

    /// Takes an entry of the registry for this process. If something may be left of whoever had it
    /// before, it is to be cleared before anything else is done.
    pub(crate) fn join(&self, wall_ms: u64) -> Result<Joined, Error> {
        let Some(host) = &self.member.host else {
            return Ok(Joined { index: 1, used: false });
        };
        let all = || 1..=self.geometry.processes();
        // Entries of which nothing can be left come first.
        // Acquire: pairs with the Release of `release`, and with that below.
        let is_fresh = |index: &usize| self.process(*index)[TAKEN].load(Ordering::Acquire) == 0;
        let order: Vec<usize> = all().filter(is_fresh).chain(all()).collect();
        // A child that inherited the description would keep this process's lock.
        let gate = Gate::shut();
        let file = host.describe()?;
        for index in order {
            if !lock::try_lock(file.as_fd(), index as u64).map_err(os_error)? {
                continue;
            }
            step();
            if !(0..PATIENCE).any(|_| self.nobody_recovers(index)) {
                // Somebody was stopped in the middle of one: this entry is left to him.
                lock::unlock(file.as_fd(), index as u64).map_err(os_error)?;
                continue;
            }
            let entry = self.process(index);
            // Acquire: as above; the lock makes this process the only one that writes here.
            let before = entry[TAKEN].load(Ordering::Acquire);
            let page = LockPage::keep(file.as_fd()).map_err(os_error)?;
            // Relaxed: for people.
            entry[PID].store(u64::from(std::process::id()), Ordering::Relaxed);
            // Relaxed: as above.
            entry[SINCE_MS].store(wall_ms, Ordering::Relaxed);
            for word in [MAIL, WAITING, RECOVERING] {
                // Relaxed: nobody waits in this process yet, and it recovers nothing.
                entry[word].store(0, Ordering::Relaxed);
            }
            // Release: whoever sees it taken sees what it says.
            entry[TAKEN].store(before.wrapping_add(1).max(1), Ordering::Release);
            // Relaxed: whoever finds this process's mark anywhere looks at its entry.
            let used = self.header(header::PROCESSES_USED);
            used.fetch_max(index as u64, Ordering::Relaxed);
            *host.held() = Some(page);
            // Relaxed: see `Member::index`.
            self.member.index.store(index as u64, Ordering::Relaxed);
            drop(file);
            drop(gate);
            return Ok(Joined { index: index as u8, used: before != 0 });
        }
        let found = format!("{} processes", self.geometry.processes());
        Err(Error::new(ErrorCode::RegistryFull, "max_processes", found, "as many as are alive"))
    }

    /// Gives this process's entry up. What it still leases counts as a dead process's.
    pub(crate) fn leave(&self) {
        let Some(host) = &self.member.host else { return };
        // No child finds the lock of `held` taken.
        let _gate = Gate::shut();
        if let Some(page) = host.held().take() {
            let entry = self.process(usize::from(self.member.index()));
            // Relaxed, both: for people, and nobody waits here any more.
            entry[PID].store(0, Ordering::Relaxed);
            entry[WAITING].store(0, Ordering::Relaxed);
            drop(page);
        }
    }

    /// In a forked child: forgets the entry, which is the parent's.
    pub(crate) fn disown_entry(&self) {
        if let Some(host) = &self.member.host {
            if let Some(page) = host.held().take() {
                page.forget();
            }
            // Relaxed: see `Member::index`.
            self.member.index.store(0, Ordering::Relaxed);
        }
    }

    /// Runs `clear` for each dead process whose entry was used, with the entry locked, and then
    /// marks the entry as one of which nothing is left.
    pub(crate) fn bury(&self, mut clear: impl FnMut(u8)) -> Result<usize, Error> {
        let Some(host) = &self.member.host else { return Ok(0) };
        let mut buried = 0;
        for index in 1..=self.processes_used() {
            let entry = self.process(index);
            let mine = index == usize::from(self.member.index());
            // Acquire: as in `join`.
            if mine || entry[TAKEN].load(Ordering::Acquire) == 0 {
                continue;
            }
            let file = host.describe()?;
            if !lock::try_lock(file.as_fd(), index as u64).map_err(os_error)? {
                continue;
            }
            // Acquire: another process may have buried it meanwhile.
            if entry[TAKEN].load(Ordering::Acquire) != 0 {
                clear(index as u8);
                self.release(index);
                buried += 1;
            }
            lock::unlock(file.as_fd(), index as u64).map_err(os_error)?;
        }
        Ok(buried)
    }

    fn release(&self, index: usize) {
        // Relaxed: for people.
        self.header(header::DEATHS).fetch_add(1, Ordering::Relaxed);
        // Release: pairs with the Acquire of `join`; what was cleared comes first.
        self.process(index)[TAKEN].store(0, Ordering::Release);
    }

    /// Runs `work` while no other process does the same, and no thread of this one.
    pub(crate) fn exclusively<T>(
        &self,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let Some(host) = &self.member.host else { return work().map(Some) };
        let file = host.describe()?;
        if !lock::try_lock(file.as_fd(), EXCLUSIVE).map_err(os_error)? {
            return Ok(None);
        }
        let done = work().map(Some);
        // A child that was forked meanwhile has the description too.
        lock::unlock(file.as_fd(), EXCLUSIVE).map_err(os_error)?;
        done
    }
}

pub(super) fn os_error(errno: rustix::io::Errno) -> Error {
    super::file::refused("registry", errno)
}

fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    // A monotonic clock shows no time before its origin.
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// How often a newcomer looks whether recoveries have come to their end.
const PATIENCE: usize = 1_000;
/// For so long a process that was alive is taken to be. Asking costs two system calls.
const FRESH_NS: u64 = 20_000;
/// The byte whose lock stands for work that one process does at a time: beyond all entries.
const EXCLUSIVE: u64 = 1 << 16;

#[cfg(test)]
mod tests;
