//! The effect of a request: a record in a file, which is written under a lock.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// A ledger that other processes write to, too.
pub(crate) struct Effects(File);

impl Effects {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).open(path).map(Self)
    }

    /// Has the effect of `key` happen, unless it has. A stale token is an error.
    pub(crate) fn happen(&self, key: u64, fence: u64) -> io::Result<()> {
        let at = key * 16;
        self.lock(at, libc::F_WRLCK)?;
        let written = self.write(at, fence);
        self.lock(at, libc::F_UNLCK)?;
        written
    }

    fn write(&self, at: u64, fence: u64) -> io::Result<()> {
        let mut record = [0; 16];
        self.0.read_exact_at(&mut record, at)?;
        let (seen, happened) = record.split_at(8);
        let word = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).unwrap_or_default();
        let (seen, happened): (u64, u64) = (word(seen), word(happened));
        if fence < seen {
            return Err(io::Error::other(format!("token {fence} is below {seen}")));
        }
        let happened = if happened == 0 { 1 } else { happened };
        let record = [fence.to_le_bytes(), happened.to_le_bytes()].concat();
        self.0.write_all_at(&record, at)
    }

    fn lock(&self, at: u64, kind: libc::c_int) -> io::Result<()> {
        // SAFETY: all zeros are a value of it.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = kind as libc::c_short;
        lock.l_whence = libc::SEEK_SET as libc::c_short;
        lock.l_start = at as libc::off_t;
        lock.l_len = 16;
        // SAFETY: the descriptor is open, and the structure lives for the call.
        match unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_SETLKW, &raw const lock) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
