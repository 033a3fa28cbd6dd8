//! Shared regions: made by the first process, opened by the others.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use super::file::{self, Draft, Place, Turn, io_error};
use super::header::{self, EPOCH, Identity};
use super::mapping::Mapping;
use super::memory::Memory;
use super::registry::Member;
use super::{Exclusive, Region, life};
use crate::error::{Error, ErrorCode};
use crate::reach::FileAccess;
use crate::sync::planted::Bug;
use crate::sync::{Ordering, step};

/// What the time of a region hangs on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// The process's clock, in milliseconds, without the shift of a time namespace.
    pub(crate) now_ms: u64,
    /// Wall time, in milliseconds since 2020.
    pub(crate) wall_ms: u64,
    /// An epoch for fencing tokens that is above all that came before it.
    pub(crate) epoch: u64,
}

impl Region {
    /// A region without a name, which forked children share. `set_up` fills its header.
    pub(crate) fn inherited(
        identity: &Identity,
        prefault: bool,
        set_up: impl FnOnce(&Self) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let file = file::nameless(identity.geometry.file_bytes())?;
        let region = Self::of_file(file, None, identity, prefault, true)?;
        set_up(&region)?;
        Ok(region)
    }

    /// The region in the file at `place`, made by `set_up` if there is none. The second says
    /// whether it was.
    pub(crate) fn at(
        place: &Place,
        identity: &Identity,
        prefault: bool,
        set_up: impl Fn(&Self) -> Result<(), Error>,
    ) -> Result<(Self, bool), Error> {
        let bytes = identity.geometry.file_bytes();
        let mut turn = Turn::beside(&place.at, bytes);
        let mut made = 0;
        while made < MOST_MADE {
            let waits = turn.is_anothers();
            if let Some(region) = Self::existing(place, Some(identity), prefault)? {
                return Ok((region, false));
            }
            if waits {
                std::thread::park_timeout(Duration::from_millis(1));
                continue;
            }
            made += 1;
            let draft = Draft::of(&place.at, &place.access)?;
            step();
            draft.file.set_len(bytes).map_err(|error| io_error("reach", &error))?;
            let own = draft.file.try_clone().map_err(|error| io_error("reach", &error))?;
            let region = Self::of_file(own, Some(&place.given), identity, prefault, true)?;
            set_up(&region)?;
            if draft.publish(&place.at)? {
                return Ok((region, true));
            }
            // Another process was faster: its region is the one.
        }
        Err(Error::new(ErrorCode::Os, "reach", "a file that comes and goes", "one that stays"))
    }

    /// The region in the file at `place`; `None`: there is no file.
    pub(crate) fn existing(
        place: &Place,
        wanted: Option<&Identity>,
        prefault: bool,
    ) -> Result<Option<Self>, Error> {
        let Some(file) = file::open(&place.at, &place.access, true)? else { return Ok(None) };
        let identity = read_identity(&file)?;
        if let Some(wanted) = wanted {
            identity.same_as(wanted)?;
        }
        Self::of_file(file, Some(&place.given), &identity, prefault, false).map(Some)
    }

    /// The region in the file at `path`, whatever its options are, and what they are.
    pub(crate) fn found(path: &Path, access: &FileAccess) -> Result<(Self, Identity), Error> {
        let none = || file::refused("reach", rustix::io::Errno::NOENT);
        let file = file::open(path, access, true)?.ok_or_else(none)?;
        let identity = read_identity(&file)?;
        let region = Self::of_file(file, None, &identity, false, false)?;
        Ok((region, identity))
    }

    fn of_file(
        file: File,
        path: Option<&Path>,
        identity: &Identity,
        prefault: bool,
        is_new: bool,
    ) -> Result<Self, Error> {
        let geometry = identity.geometry.clone();
        let words = Mapping::shared(file.as_fd(), geometry.words())?;
        let in_memory = file::is_in_memory(&file);
        // Memory is set aside through the mapping, which has asked for huge pages; a system that
        // cannot do that sets small ones aside.
        let populated = (prefault || is_new && in_memory) && words.populate(ErrorCode::Os)?;
        if !is_new {
            file::fill_holes(&file, geometry.file_bytes())?;
        } else if !(populated && in_memory) {
            file::allocate(&file, geometry.file_bytes())?;
        }
        let member = Member::of(file, path, geometry.processes());
        let member = member.map_err(|error| io_error("reach", &error))?;
        Ok(Self { memory: Memory::new(words, &geometry), geometry, member })
    }

    /// Where the machine was started anew since the region was used last: moves its time on by
    /// what has passed on the wall, and its tokens above all that were given out.
    pub(crate) fn wake(&self, clocks: Clocks) -> Result<(), Error> {
        let boot = life::boot_id();
        for _ in 0..TRIES {
            if self.slept(boot, clocks) == Slept::No {
                return Ok(());
            }
            if self.exclusively(Exclusive::Upkeep, || self.move_on(boot, clocks))?.is_some() {
                return Ok(());
            }
            // Another process does it, in a few microseconds.
            std::thread::park_timeout(Duration::from_millis(1));
        }
        Err(Error::new(ErrorCode::Os, "region", "another process is opening it", "a second"))
    }

    fn slept(&self, boot: [u64; 2], clocks: Clocks) -> Slept {
        // Acquire: pairs with the Release of `move_on`.
        let known = [0, 1].map(|i| self.header(header::BOOT + i).load(Ordering::Acquire));
        // Relaxed, all: they come with the boot.
        let load = |word| self.header(word).load(Ordering::Relaxed);
        let (origin, last) = (load(header::ORIGIN_MS), load(header::LAST_MS));
        let now = load(header::FIRST_MS).saturating_add(clocks.now_ms.saturating_sub(origin));
        if Bug::RebootUnnoticed.is_planted() {
            Slept::No
        } else if clocks.now_ms < origin || now < last {
            Slept::ClockWentBack
        } else if known != boot && known != UNTOLD && boot != UNTOLD {
            Slept::OtherBoot
        } else {
            Slept::No
        }
    }

    fn move_on(&self, boot: [u64; 2], clocks: Clocks) -> Result<(), Error> {
        let slept = self.slept(boot, clocks);
        if slept == Slept::No {
            return Ok(());
        }
        if (1..=self.processes_used()).any(|index| self.is_alive_now(index as u8)) {
            // A lock that is seen is one of this kernel, whose clock goes on; a container may be
            // shown a boot of its own.
            return if slept == Slept::OtherBoot {
                Ok(())
            } else {
                Err(header::invalid(
                    "a region that processes with another clock use",
                    "one that is used on one machine",
                ))
            };
        }
        // Relaxed, throughout: the boot that is stored last publishes them.
        let load = |word| self.header(word).load(Ordering::Relaxed);
        let passed = clocks.wall_ms.saturating_sub(load(header::WALL_MS));
        let last = load(header::LAST_MS);
        let by_wall = load(header::FIRST_MS).saturating_add(passed);
        let first = by_wall.clamp(last, last.saturating_add(LONGEST_SLEEP_MS)).max(1);
        let old = load(header::EPOCH);
        let above = old.saturating_add(crate::table::control::Fence::MAX + 1);
        let epoch = if clocks.epoch > old { clocks.epoch } else { above };
        // In this order: whoever does it again after a death in between comes to the same time.
        for (word, value) in [
            (header::LAST_MS, first),
            (header::WALL_MS, clocks.wall_ms),
            (header::FIRST_MS, first),
            (header::ORIGIN_MS, clocks.now_ms),
            (header::EPOCH, epoch.min(header::MAX_EPOCH)),
        ] {
            // Relaxed: as above.
            self.header(word).store(value, Ordering::Relaxed);
        }
        for (i, half) in boot.into_iter().enumerate() {
            // Release: pairs with the Acquire of `slept`.
            self.header(header::BOOT + i).store(half, Ordering::Release);
        }
        Ok(())
    }
}

/// Whether the machine was started anew since a region was used last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slept {
    No,
    OtherBoot,
    ClockWentBack,
}

/// What the file says that it holds.
pub(crate) fn read_identity(file: &File) -> Result<Identity, Error> {
    let of = file.metadata().map_err(|error| io_error("reach", &error))?;
    let mut bytes = [0; EPOCH * size_of::<u64>()];
    let words: [u64; EPOCH] = match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => {
            let mut words = [0; EPOCH];
            for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
                *word = u64::from_ne_bytes(*bytes);
            }
            words
        }
        // Shorter than a header.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => [0; EPOCH],
        Err(error) => return Err(io_error("reach", &error)),
    };
    Identity::read(&words, of.len())
}

/// How often a process makes a table, and finds another one's that is gone again, before it gives
/// up.
const MOST_MADE: usize = 100;
/// The boot where the system does not say which one it is.
const UNTOLD: [u64; 2] = [0; 2];
/// For so many milliseconds another process may take to wake a region.
const TRIES: usize = 1_000;
/// No more than a year passes while a machine is off: a clock that says otherwise is wrong.
const LONGEST_SLEEP_MS: u64 = 366 * 24 * 3600 * 1000;
