//! Files of regions: made whole or not at all, and opened only when they are safe to trust.
//!
//! A region's file is written under another name beside its own and then linked: so nobody ever
//! opens half of one, and of several processes that make it at once one wins. Its memory is set
//! aside when it is made, so that a full disk is an error then, and not a signal later.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
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

/// A file that is being made, under another name than it will have.
pub(super) struct Draft {
    pub(super) file: File,
    at: PathBuf,
}

impl Draft {
    /// An empty file beside `path`.
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
        let draft = Self { file, at };
        // The mask of the process must not take away what was asked for.
        let mode = Permissions::from_mode(access.mode);
        draft.file.set_permissions(mode).map_err(|error| io_error("reach", &error))?;
        Ok(draft)
    }

    /// Gives the file its name. False: another file has it.
    pub(super) fn publish(self, path: &Path) -> Result<bool, Error> {
        step();
        match std::fs::hard_link(&self.at, path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(io_error("reach", &error)),
        }
    }

    /// Gives the file its name, whoever had it.
    pub(super) fn replace(self, path: &Path) -> Result<(), Error> {
        step();
        std::fs::rename(&self.at, path).map_err(|error| io_error("reach", &error))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        step();
        // It has its own name by now, or nobody needs it.
        let _ = std::fs::remove_file(&self.at);
    }
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
    if REMOTE.contains(&(system.f_type as u64 & u64::from(u32::MAX))) {
        let found = "a file system that other machines share, or whose locks are not the kernel's";
        return Err(unsafe_file(found, "a local file system: tmpfs, ext4, xfs, btrfs, overlay"));
    }
    Ok(Some(file))
}

/// Sets the memory of `file` aside, for all of its `bytes` bytes.
pub(super) fn allocate(file: &File, bytes: u64) -> Result<(), Error> {
    match rustix::fs::fallocate(file.as_fd(), FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill(file, bytes),
        Err(error) => Err(refused("reach", error)),
    }
}

/// The same for a file that holds a region: a copy may have holes. What is there stays.
pub(super) fn fill_holes(file: &File, bytes: u64) -> Result<(), Error> {
    match rustix::fs::fallocate(file.as_fd(), FallocateFlags::empty(), 0, bytes) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(refused("reach", error)),
    }
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

const TMPFS: u64 = 0x0102_1994;
/// By the numbers of `statfs(2)`: nfs, smb, cifs, smb2, afs, ceph, coda, ncp, 9p, fuse, lustre,
/// gfs2, ocfs2, vboxsf.
const REMOTE: [u64; 14] = [
    0x6969,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x5346_414f,
    0x00c3_6400,
    0x7375_7245,
    0x564c,
    0x0102_1997,
    0x6573_5546,
    0x0bd0_0bd0,
    0x0116_1970,
    0x7461_636f,
    0x786f_4256,
];
