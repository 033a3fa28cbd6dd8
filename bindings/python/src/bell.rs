//! A bell: a descriptor that is readable while there may be something to do.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Rung by any thread; answered by whoever looks.
pub(crate) struct Bell {
    hears: UnixStream,
    rings: UnixStream,
    /// Whether a byte is under way: one is enough.
    rung: AtomicBool,
}

impl Bell {
    pub(crate) fn new() -> std::io::Result<Arc<Self>> {
        let (hears, rings) = UnixStream::pair()?;
        hears.set_nonblocking(true)?;
        rings.set_nonblocking(true)?;
        Ok(Arc::new(Self { hears, rings, rung: AtomicBool::new(false) }))
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.hears.as_raw_fd()
    }

    pub(crate) fn ring(&self) {
        // AcqRel: pairs with the swap in `answer`: either this call writes, or the look that
        // follows the answer finds what it is rung for.
        if !self.rung.swap(true, Ordering::AcqRel) {
            // There is room for one byte.
            let _ = (&self.rings).write(&[1]);
        }
    }

    /// Before a look: what is rung from now on is for another one.
    pub(crate) fn answer(&self) {
        let mut bytes = [0; 8];
        while matches!((&self.hears).read(&mut bytes), Ok(1..)) {}
        // AcqRel: see `ring`.
        self.rung.swap(false, Ordering::AcqRel);
    }

    /// Blocks until it is rung, for at most `left`, or until a signal comes.
    pub(crate) fn wait(&self, left: Duration) -> std::io::Result<()> {
        // Zero would be for ever.
        let left = left.clamp(Duration::from_micros(1), LONGEST);
        self.hears.set_nonblocking(false)?;
        self.hears.set_read_timeout(Some(left))?;
        let heard = (&self.hears).read(&mut [0; 8]);
        self.hears.set_nonblocking(true)?;
        match heard {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(()),
                _ => Err(error),
            },
        }
    }
}

impl Bell {
    /// The same, beside another descriptor. Whether that one is readable.
    pub(crate) fn wait_beside(
        &self,
        other: Option<BorrowedFd<'_>>,
        left: Duration,
    ) -> std::io::Result<bool> {
        let other = other.map(|other| PollFd::from_borrowed_fd(other, PollFlags::IN));
        let own = PollFd::from_borrowed_fd(self.hears.as_fd(), PollFlags::IN);
        let mut asked: Vec<PollFd<'_>> = [Some(own), other].into_iter().flatten().collect();
        let left = left.min(LONGEST);
        let left =
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut asked, Some(&left)) {
            Ok(_) => Ok(asked.get(1).is_some_and(|other| !other.revents().is_empty())),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

/// What the kernel takes on every system.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
