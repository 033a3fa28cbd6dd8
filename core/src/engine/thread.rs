//! A thread of the engine's own, which whoever asked for it holds.

use std::sync::Arc;
use std::thread::JoinHandle;

use crate::error::{Error, ErrorCode};
use crate::fork;
use crate::sync::Ordering;
use crate::sync::plain::AtomicBool;

/// Dropping it ends and joins the thread, unless that is the one which drops it.
#[derive(Debug)]
pub(super) struct OwnThread {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// The generation of the process that started it.
    born: u64,
}

impl OwnThread {
    /// Starts a thread for `field` that runs `work`. That ends soon after what it is given is true
    /// and it was unparked.
    pub(super) fn start(
        field: &'static str,
        work: impl FnOnce(&AtomicBool) + Send + 'static,
    ) -> Result<Self, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name(format!("oncegate-{field}"))
            .stack_size(STACK_BYTES)
            .spawn(move || work(&stopped))
            .map_err(|_| Error::of(ErrorCode::NoMemory, field))?;
        Ok(Self { stop, thread: Some(thread), born: fork::generation() })
    }
}

impl OwnThread {
    /// Wakes it, should it be parked.
    pub(super) fn unpark(&self) {
        if self.born == fork::generation()
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
    }
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        // The thread did not come along into a forked child, which must not even give up its
        // handle: what that names may be a thread of the child's own by now.
        if self.born != fork::generation() {
            std::mem::forget(self.thread.take());
            return;
        }
        // Relaxed: unparking publishes it.
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            if thread.thread().id() == std::thread::current().id() {
                // Whom it woke has let go of the engine: it ends when it is done with that.
                return;
            }
            thread.thread().unpark();
            // Its panic, if any, was reported where it happened.
            let _ = thread.join();
        }
    }
}

const STACK_BYTES: usize = 256 << 10;
