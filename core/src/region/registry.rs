//! The registry: which processes share a region, and which of them are alive.
//!
//! Each process has an entry, two lines of the region, and holds a byte-range lock that the kernel
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
//! word 6   recoveries and burials under way, and of which entries (see `recovery`)
//! word 7   new records and endings under way that count against a scope
//! word 8   when somebody here looks at the latest for attempts that are due; zero: nobody does
//! ```
//!
//! The lock is held by a page that is mapped from its file description, and by no descriptor: a
//! forked child has no part in it, and no `closefrom` ends it. The descriptor that the region keeps
//! holds no lock; it only asks.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::file::reason;
use super::header;
use super::lock;
use super::mapping::LockPage;
use super::{Exclusive, Region};
use crate::error::{Error, ErrorCode};
use crate::fork::Gate;
use crate::sync::plain::{AtomicU64, Mutex, MutexGuard};
use crate::sync::planted::Bug;
use crate::sync::{Ordering, step};

mod recovery;

pub(crate) const TAKEN: usize = 0;
pub(crate) const PID: usize = 1;
pub(crate) const SINCE_MS: usize = 2;
pub(crate) const BELL: usize = 3;
pub(crate) const MAIL: usize = 4;
pub(crate) const WAITING: usize = 5;
const RECOVERING: usize = 6;
pub(crate) const UNSETTLED: usize = 7;
pub(crate) const LOOKS_BY: usize = 8;

/// This process's place among those that share a region.
pub(super) struct Member {
    /// Its entry, from one on; zero: it has none yet.
    index: AtomicU64,
    host: Option<Host>,
}

/// What only a shared region has.
struct Host {
    /// Open on the region. No lock is ever taken through it, and children inherit it.
    file: Arc<File>,
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

/// What came of one look for an entry.
enum Tried {
    Joined(Joined),
    /// There may be one in a moment.
    Busy,
    Full,
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
            file: Arc::new(file),
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

impl Drop for Host {
    fn drop(&mut self) {
        // Somebody has closed the descriptor, and its number may be another file's by now.
        if !self.is_same_file() {
            std::mem::forget(Arc::clone(&self.file));
        }
    }
}

impl Region {
    /// Whether the process of entry `index`, which is not this one's, has certainly died or left.
    /// What cannot be told counts as alive: then its leases end by their deadlines.
    pub(super) fn has_died(&self, index: u8) -> bool {
        self.member.host.as_ref().is_some_and(|host| host.is_dead(index, self.me()))
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
        // A path may be hidden from this process, and then says nothing.
        if self.is_unlinked() {
            return true;
        }
        match std::fs::metadata(path) {
            Ok(of) => (of.dev(), of.ino()) != host.inode,
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }

    /// Takes an entry of the registry for this process. If something may be left of whoever had it
    /// before, it is to be cleared before anything else is done.
    pub(crate) fn join(&self, wall_ms: u64) -> Result<Joined, Error> {
        self.join_in_time(wall_ms, now_ns)
    }

    /// The same by the clock `now`, in nanoseconds.
    fn join_in_time(&self, wall_ms: u64, now: impl Fn() -> u64) -> Result<Joined, Error> {
        let Some(host) = &self.member.host else {
            return Ok(Joined { index: 1, used: false });
        };
        let begun = now();
        let (mut looks, mut full) = (0, 0);
        loop {
            let tried = self.try_join(host, wall_ms)?;
            looks += 1;
            // A process that was not let run has not looked as often as time has passed.
            let is_late = looks >= FULL_LOOKS && now().wrapping_sub(begun) >= PATIENCE_NS;
            match tried {
                Tried::Joined(joined) => return Ok(joined),
                // It takes microseconds, and a burial milliseconds.
                Tried::Busy if is_late => return Err(self.still_busy()),
                Tried::Busy => {}
                Tried::Full => full += 1,
            }
            if is_late || full >= FULL_LOOKS {
                let found = format!("{} processes", self.geometry.processes());
                let limit = "as many as are alive";
                return Err(Error::new(ErrorCode::RegistryFull, "max_processes", found, limit));
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Why none of the entries that nobody has could be taken.
    fn still_busy(&self) -> Error {
        let impossible = |index: usize| {
            // Relaxed: one word, and whoever writes it now is not in the way of anybody.
            let word = self.process(index)[RECOVERING].load(Ordering::Relaxed);
            let (count, of) = (word & RECOVERIES, word & !RECOVERIES);
            (count == 0) != (of == 0) || count > MOST_RECOVERIES
        };
        let alive = |index: &usize| self.is_alive_now(*index as u8);
        if (1..=self.processes_used()).filter(alive).any(impossible) {
            return header::invalid("a damaged registry", "recoveries that come to an end");
        }
        let found = "entries that are being cleared";
        Error::new(ErrorCode::RegistryFull, "max_processes", found, "cleared within a second")
    }

    fn try_join(&self, host: &Host, wall_ms: u64) -> Result<Tried, Error> {
        let all = || 1..=self.geometry.processes();
        // Acquire: pairs with the Release of `release`, and with that of `enter_as`.
        let taken = |index: usize| self.process(index)[TAKEN].load(Ordering::Acquire);
        // Entries of which nothing can be left come first.
        let order: Vec<usize> = all().filter(|index| taken(*index) == 0).chain(all()).collect();
        // A child that inherited the description would keep this process's lock.
        let gate = Gate::shut();
        let file = host.describe()?;
        let mut busy = false;
        for index in order {
            if !lock::try_lock(file.as_fd(), index as u64).map_err(os_error)? {
                busy |= !self.is_its_own(file.as_fd(), index)?;
                continue;
            }
            step();
            if !self.nobody_recovers(index) {
                // Somebody is in the middle of one: this entry is left to him.
                lock::unlock(file.as_fd(), index as u64).map_err(os_error)?;
                busy = true;
                continue;
            }
            let page = LockPage::keep(file.as_fd()).map_err(os_error)?;
            let used = self.enter_as(index, wall_ms);
            *host.held() = Some(page);
            drop(file);
            drop(gate);
            return Ok(Tried::Joined(Joined { index: index as u8, used }));
        }
        Ok(if busy { Tried::Busy } else { Tried::Full })
    }

    /// Whether the lock of `index`, which was just found, seems to be that of whoever has the
    /// entry, and not one for a moment: of a process that buries, or was about to take the entry.
    fn is_its_own(&self, file: BorrowedFd<'_>, index: usize) -> Result<bool, Error> {
        let nobody_says_so = self.nobody_recovers(index) || Bug::BurialUnnoticed.is_planted();
        // After that: whoever does not say so any more has freed the lock before.
        Ok(nobody_says_so && lock::is_locked(file, index as u64).map_err(os_error)?)
    }

    /// Fills entry `index`, which this process has locked. True: somebody had it before.
    fn enter_as(&self, index: usize, wall_ms: u64) -> bool {
        let entry = self.process(index);
        // Acquire: pairs with the Release below, of whoever had it; the lock makes this process the
        // only one that writes here.
        let before = entry[TAKEN].load(Ordering::Acquire);
        // Relaxed: for people.
        entry[PID].store(u64::from(std::process::id()), Ordering::Relaxed);
        // Relaxed: as above.
        entry[SINCE_MS].store(wall_ms, Ordering::Relaxed);
        for word in [MAIL, WAITING, RECOVERING, LOOKS_BY] {
            // Relaxed: nobody waits in this process yet, and it recovers nothing.
            entry[word].store(0, Ordering::Relaxed);
        }
        // Release: whoever sees it taken sees what it says.
        entry[TAKEN].store(before.saturating_add(1), Ordering::Release);
        // Relaxed: whoever finds this process's mark anywhere looks at its entry.
        let used = self.header(header::PROCESSES_USED);
        used.fetch_max(index as u64, Ordering::Relaxed);
        // Relaxed: see `Member::index`.
        self.member.index.store(index as u64, Ordering::Relaxed);
        before != 0
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
            // Relaxed: nobody looks any more.
            entry[LOOKS_BY].store(0, Ordering::Relaxed);
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

    /// Runs `work` while no other process has the same `turn`, and no thread of this one. `None`:
    /// another one has it.
    pub(crate) fn exclusively<T>(
        &self,
        turn: Exclusive,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let Some(host) = &self.member.host else { return work().map(Some) };
        // A child that was forked meanwhile would have the description too, and keep the lock if
        // this process is killed. Where the work is longer than a fork may wait, that is freed
        // below, whoever has it.
        let _gate = matches!(turn, Exclusive::Quotas).then(Gate::shut);
        let file = host.describe()?;
        if !lock::try_lock(file.as_fd(), turn as u64).map_err(os_error)? {
            return Ok(None);
        }
        let done = work().map(Some);
        lock::unlock(file.as_fd(), turn as u64).map_err(os_error)?;
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

/// How many recoveries are under way, in `RECOVERING`.
const RECOVERIES: u64 = u32::MAX as u64;
/// More than a process has threads.
const MOST_RECOVERIES: u64 = 1 << 22;
/// For so long a newcomer waits for whoever clears or recovers.
const PATIENCE_NS: u64 = 1_000_000_000;
/// So often at least a newcomer looks, and so often in all it finds every entry taken, before it
/// gives up: a lock may outlive its
/// process for as long as somebody looks at that in `/proc`.
const FULL_LOOKS: usize = 10;
/// For so long a process that was alive is taken to be. Asking costs two system calls.
const FRESH_NS: u64 = 20_000;

#[cfg(test)]
mod tests;
