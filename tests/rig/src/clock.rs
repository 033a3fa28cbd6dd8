//! The only file of the rig that reads a clock: a proxy that delays needs one, and so does a wait
//! that must end.

use std::thread;
use std::time::{Duration, Instant};

use crate::Error;

/// How long anything is waited for. It is reached only where something is broken, so it is long
/// enough for the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long to do something else before a question is asked again.
const PAUSE: Duration = Duration::from_millis(3);

/// The time, for delays and deadlines.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Asks until there is an answer, for at most [`PATIENCE`].
///
/// For the state of another process, which nothing here can wait for: what takes long only makes
/// this ask more often.
///
/// # Errors
///
/// There was none; the error says that `what` did not happen.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T, Error> {
    let end = now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if now() >= end {
            return Err(Error::new(format!("{what}: not within {} s", PATIENCE.as_secs())));
        }
        thread::park_timeout(PAUSE);
    }
}
