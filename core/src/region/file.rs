//! Files of regions: made whole or not at all, and opened only when they are safe to trust.
//!
//! A region's file is written without a name, or under another name beside its own, and then
//! linked: so nobody ever opens half of one, and of several processes that make it at once one
//! wins. Its memory is set aside when it is made, so that a full disk is an error then, and not a
//! signal later.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FallocateFlags, FlockOperation, MemfdFlags, SealFlags, StatFs};
use rustix::io::Errno;

use crate::error::{Error, ErrorCode};
use crate::reach::FileAccess;
use crate::sync::planted::Bug;
use crate::sync::step;

/// A file without a name for a region of `bytes` bytes, which nobody can shorten.
pub(super) fn nameless(bytes: u64) -> Result<File, Error> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let sealed = rustix::fs::memfd_create("oncegate", flags | MemfdFlags::NOEXEC_SEAL);
    // Linux before 6.3 does not know that it can be no program.
    let file = sealed.or_else(|_| rustix::fs::memfd_create("oncegate", flags));
    let file = file.map_err(|e| refused("reach", e))?;
    let file = File::from(file);
    file.set_len(bytes).map_err(|error| io_error("reach", &error))?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals).map_err(|e| refused("reach", e))?;
    Ok(file)
}

/// Where a region's file is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The path that was given, from the root on: where the process works may change.
    pub(crate) given: PathBuf,
    /// Where links lead from there, if they are allowed.
    pub(crate) at: PathBuf,
    pub(crate) access: FileAccess,
}

impl Place {
    pub(crate) fn new(path: &Path, access: &FileAccess) -> Result<Self, Error> {
        let given = std::path::absolute(path).map_err(|_| {
            Error::new(ErrorCode::InvalidConfig, "reach", "an empty path", "a path of a file")
        })?;
        let at = led_to(&given, access);
        match rustix::fs::statfs(folder_of(&at)) {
            Ok(system) => check_system(system, access)?,
            Err(Errno::NOENT) => {
                let found = "a path in a folder that is not there";
                return Err(Error::new(
                    ErrorCode::Os,
                    "reach",
                    found,
                    "the engine makes no folder",
                ));
            }
            // Whoever opens the file is told.
            Err(_) => {}
        }
        Ok(Self { given, at, access: *access })
    }
}

/// Where the links at `path` lead, if they may be followed; what lies there is another question.
pub(crate) fn led_to(path: &Path, access: &FileAccess) -> PathBuf {
    let mut at = path.to_owned();
    for _ in 0..MOST_LINKS {
        match std::fs::read_link(&at) {
            Ok(to) if access.symlink => at = folder_of(&at).join(to),
            _ => break,
        }
    }
    at
}

/// The turn of one process to make a file in a folder: others would fill as much memory meanwhile,
/// for nothing. It saves room and is no lock: whoever can read the folder may keep it from others,
/// so they go on without it after a while.
pub(super) struct Turn {
    folder: Option<File>,
    /// How often another one's turn is respected, yet.
    patience: u64,
}

impl Turn {
    /// To be taken in the folder of `path`, for a file of `bytes` bytes.
    pub(super) fn beside(path: &Path, bytes: u64) -> Self {
        let patience = (PATIENT_LOOKS + bytes / BYTES_EACH).min(MOST_LOOKS);
        Self { folder: File::open(folder_of(path)).ok(), patience }
    }

    /// Takes the turn. True: it is another process's, as far as can be told, and that is to be
    /// waited for, a millisecond at a time.
    pub(super) fn is_anothers(&mut self) -> bool {
        let take = FlockOperation::NonBlockingLockExclusive;
        let taken = self.folder.as_ref().map(|folder| rustix::fs::flock(folder, take));
        let waits = taken == Some(Err(Errno::WOULDBLOCK)) && self.patience > 0;
        self.patience -= u64::from(waits);
        waits
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // A child that was forked meanwhile has the description, too.
            let _ = rustix::fs::flock(folder, FlockOperation::Unlock);
        }
    }
}

/// A file that is being made.
pub(super) struct Draft {
    pub(super) file: File,
    /// The name that it has meanwhile. Without one it goes with the process that makes it.
    at: Option<PathBuf>,
}

impl Draft {
    /// An empty file that `path` may be linked to: without a name, where the file system can.
    pub(super) fn of(path: &Path, access: &FileAccess) -> Result<Self, Error> {
        step();
        let made = File::options()
            .read(true)
            .write(true)
            .mode(access.mode)
            .custom_flags(libc::O_TMPFILE)
            .open(folder_of(path));
        match made {
            Ok(file) => Self { file, at: None }.with_mode(access),
            // The file system says why it cannot, in one way or another; and who may make no file
            // there is told below.
            Err(_) => Self::beside(path, access),
        }
    }

    /// An empty file beside `path`, under a name of its own.
    pub(super) fn beside(path: &Path, access: &FileAccess) -> Result<Self, Error> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| Error::of(ErrorCode::NoEntropy, "reach"))?;
        let at = draft_name(path, u64::from_ne_bytes(random))
            .ok_or_else(|| io_error("reach", &ErrorKind::InvalidInput.into()))?;
        let mut options = File::options();
        step();
        let options = options.read(true).write(true).create_new(true).mode(access.mode);
        let file = options
            .custom_flags(libc::O_NOFOLLOW)
            .open(&at)
            .map_err(|error| io_error("reach", &error))?;
        Self { file, at: Some(at) }.with_mode(access)
    }

    /// The mask of the process must not take away what was asked for.
    fn with_mode(self, access: &FileAccess) -> Result<Self, Error> {
        let mode = Permissions::from_mode(access.mode);
        self.file.set_permissions(mode).map_err(|error| io_error("reach", &error))?;
        Ok(self)
    }

    /// Gives the file its name. False: another file has it.
    pub(super) fn publish(self, path: &Path) -> Result<bool, Error> {
        step();
        let linked = match &self.at {
            Some(at) => std::fs::hard_link(at, path),
            None => {
                let open = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                let how = rustix::fs::AtFlags::SYMLINK_FOLLOW;
                rustix::fs::linkat(CWD, open, CWD, path, how).map_err(io::Error::from)
            }
        };
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(io_error("reach", &error)),
        }
    }

    /// Gives the file, which has a name, another one, whoever had that.
    pub(super) fn replace(self, path: &Path) -> Result<(), Error> {
        step();
        let at = self.at.as_deref().unwrap_or(path);
        std::fs::rename(at, path).map_err(|error| io_error("reach", &error))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        step();
        if let Some(at) = &self.at {
            // It has its own name by now, or nobody needs it.
            let _ = std::fs::remove_file(at);
        }
    }
}

/// The folder in which `path` lies.
fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// The name of a draft beside `path`.
fn draft_name(path: &Path, number: u64) -> Option<PathBuf> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name()?);
    name.push(format!(".{number:016x}.draft"));
    Some(path.with_file_name(name))
}

/// Opens the file at `path`, if it is there and safe to trust.
pub(crate) fn open(path: &Path, access: &FileAccess, write: bool) -> Result<Option<File>, Error> {
    let follow = if access.symlink { 0 } else { libc::O_NOFOLLOW };
    // Whoever put a pipe there does not make us wait for its other end.
    let flags = follow | libc::O_NONBLOCK;
    let file = match File::options().read(true).write(write).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
            return Err(unsafe_file("a symbolic link", "a file"));
        }
        Err(error) => return Err(io_error("reach", &error)),
    };
    let of = file.metadata().map_err(|error| io_error("reach", &error))?;
    if !of.is_file() {
        return Err(unsafe_file("not a file", "a file"));
    }
    let own = rustix::process::geteuid().as_raw();
    if of.uid() != own && !access.foreign_owner {
        return Err(unsafe_file("a file of another user", "a file of this process's user"));
    }
    let mode = of.mode() & 0o7777;
    if mode & !access.mode != 0 && !Bug::AccessUnchecked.is_planted() {
        let found = format!("permissions {mode:04o}");
        let limit = format!("{:04o}", access.mode);
        return Err(Error::new(ErrorCode::FileRefused, "reach", found, limit));
    }
    let system = rustix::fs::fstatfs(&file).map_err(|e| refused("reach", e))?;
    check_system(system, access)?;
    Ok(Some(file))
}

/// Whether a file system is one machine's own.
fn check_system(system: StatFs, access: &FileAccess) -> Result<(), Error> {
    let kind = system.f_type as u64 & u64::from(u32::MAX);
    if access.any_file_system || LOCAL.contains(&kind) {
        return Ok(());
    }
    let found = format!("a file system that other machines may share (type {kind:#x})");
    let limit = "a local one: tmpfs, ext4, xfs, btrfs, zfs, f2fs, bcachefs, overlay";
    Err(Error::new(ErrorCode::FileRefused, "reach", found, limit))
}

/// Sets the memory of `file` aside, for all of its `bytes` bytes.
pub(super) fn allocate(file: &File, bytes: u64) -> Result<(), Error> {
    match set_aside(file, bytes) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill(file, bytes),
        Err(error) => Err(refused("reach", error)),
    }
}

/// The same for a file that holds a region: a copy may have holes. What is there stays.
pub(super) fn fill_holes(file: &File, bytes: u64) -> Result<(), Error> {
    match set_aside(file, bytes) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(refused("reach", error)),
    }
}

/// In pieces: some kernels give up at any signal, and begin anew when they are asked again.
fn set_aside(file: &File, bytes: u64) -> Result<(), Errno> {
    for at in (0..bytes).step_by(PIECE as usize) {
        let piece = PIECE.min(bytes - at);
        let set = || rustix::fs::fallocate(file.as_fd(), FallocateFlags::empty(), at, piece);
        rustix::io::retry_on_intr(set)?;
    }
    Ok(())
}

/// The same on a file system that cannot: write all of it.
fn fill(file: &File, bytes: u64) -> Result<(), Error> {
    let zeroes = vec![0; 1 << 16];
    for at in (0..bytes).step_by(zeroes.len()) {
        let part = &zeroes[..zeroes.len().min((bytes - at) as usize)];
        file.write_all_at(part, at).map_err(|error| io_error("reach", &error))?;
    }
    Ok(())
}

/// Whether the file lives in memory: on tmpfs, or without a name.
pub(super) fn is_in_memory(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|system| system.f_type as u64 == TMPFS)
}

fn unsafe_file(found: &'static str, limit: &'static str) -> Error {
    Error::new(ErrorCode::FileRefused, "reach", found, limit)
}

/// What the system said, as an error.
pub(crate) fn io_error(field: &'static str, error: &io::Error) -> Error {
    refused_as(field, reason(error))
}

/// What the system said, without the name of the file.
pub(super) fn reason(error: &io::Error) -> String {
    let errno = Errno::from_io_error(error);
    errno.map_or_else(|| error.kind().to_string(), |errno| errno.to_string())
}

pub(crate) fn refused(field: &'static str, errno: Errno) -> Error {
    refused_as(field, errno.to_string())
}

fn refused_as(field: &'static str, found: String) -> Error {
    Error::new(ErrorCode::Os, field, found, "")
}

const PIECE: u64 = 16 << 20;
/// How often a process looks for a file that another one makes, once in a millisecond; once more
/// for each of so many bytes, which a slow disk takes as long for; and at most.
const PATIENT_LOOKS: u64 = 1_000;
const BYTES_EACH: u64 = 128 << 10;
const MOST_LOOKS: u64 = 20_000;
/// As many as the kernel follows.
const MOST_LINKS: usize = 40;
const TMPFS: u64 = 0x0102_1994;
/// File systems of one machine, whose locks are the kernel's, by the numbers of `statfs(2)`: tmpfs,
/// ramfs, ext2 to ext4, xfs, btrfs, zfs, f2fs, bcachefs, jfs, nilfs2, overlay.
const LOCAL: [u64; 11] = [
    TMPFS,
    0x8584_58f6,
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0x2fc1_2fc1,
    0xf2f5_2010,
    0xca45_1a4e,
    0x3153_464a,
    0x3434,
    0x794c_7630,
];

#[cfg(test)]
mod tests;
