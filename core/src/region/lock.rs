//! Byte-range locks of open file descriptions (POSIX.1-2024, `F_OFD_SETLK`): held by whoever has
//! the description, seen by everybody who opens the file, on one kernel.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// Locks `byte` for the description of `file`. False: another description has it.
pub(crate) fn try_lock(file: BorrowedFd<'_>, byte: u64) -> Result<bool, Errno> {
    let mut range = one(byte);
    match control(file, libc::F_OFD_SETLK, &mut range) {
        Ok(()) => Ok(true),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Frees `byte`, whoever else has the description of `file`: a child may have been forked.
pub(super) fn unlock(file: BorrowedFd<'_>, byte: u64) -> Result<(), Errno> {
    let mut range = one(byte);
    range.l_type = libc::F_UNLCK as libc::c_short;
    control(file, libc::F_OFD_SETLK, &mut range)
}

/// Whether a description other than that of `file` has locked `byte`.
pub(crate) fn is_locked(file: BorrowedFd<'_>, byte: u64) -> Result<bool, Errno> {
    let mut range = one(byte);
    control(file, libc::F_OFD_GETLK, &mut range)?;
    Ok(range.l_type != libc::F_UNLCK as libc::c_short)
}

fn one(byte: u64) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte as libc::off_t,
        l_len: 1,
        // The call demands it.
        l_pid: 0,
    }
}

fn control(file: BorrowedFd<'_>, command: i32, range: &mut libc::flock) -> Result<(), Errno> {
    loop {
        // SAFETY: the descriptor is open for the length of the call, and the commands read and
        // write the one structure that they are given.
        let made = unsafe { libc::fcntl(file.as_raw_fd(), command, std::ptr::from_mut(range)) };
        if made == 0 {
            return Ok(());
        }
        let error = std::io::Error::last_os_error();
        match Errno::from_io_error(&error).unwrap_or(Errno::IO) {
            Errno::INTR => {}
            other => return Err(other),
        }
    }
}
