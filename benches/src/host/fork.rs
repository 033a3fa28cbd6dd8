//! Fork: processes that inherit what was opened before.
#![allow(unsafe_code)]

use std::io;

use rustix::process::{Pid, WaitOptions, waitpid};

/// What [`fork`] returns to each of the two.
pub(super) enum Forked {
    /// To the one that called it.
    Parent(Process),
    /// To the new one.
    Child,
}

/// A process that was forked from this one.
#[derive(Debug)]
pub(super) struct Process(Pid);

impl Process {
    /// Waits until it has ended. True: without a failure.
    pub(super) fn ended(&self) -> bool {
        let status = waitpid(Some(self.0), WaitOptions::empty());
        status.is_ok_and(|status| status.is_some_and(|(_, status)| status.exit_status() == Some(0)))
    }
}

/// Forks.
///
/// # Errors
///
/// The system would not.
///
/// # Panics
///
/// This process has more than one thread.
pub(super) fn fork() -> io::Result<Forked> {
    assert_eq!(threads(), 1, "a fork copies one thread alone, and the locks of all");
    // SAFETY: this process has one thread, so that nothing in the child waits for a thread that it
    // has not got.
    match unsafe { libc::fork() } {
        0 => Ok(Forked::Child),
        child => match Pid::from_raw(child) {
            Some(pid) if child > 0 => Ok(Forked::Parent(Process(pid))),
            _ => Err(io::Error::last_os_error()),
        },
    }
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
