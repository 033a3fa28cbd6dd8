//! Free ports of the loopback interface.

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Error;

/// Below what the kernel hands out to outgoing connections: nobody takes by chance the port of a
/// server that is down for a while.
const FIRST: u32 = 15_000;
const COUNT: u32 = 17_000;

/// A port on which nobody listens, and that this program has not had before, unless it went
/// through all of them. Another program may still take it first, so who listens must be ready to
/// ask again.
pub(crate) fn free_port() -> Result<u16, Error> {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    // Programs that run beside each other begin at different places.
    let first = process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        // Relaxed: numbers only have to differ.
        let number = first.wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed));
        let port = (FIRST + number % COUNT) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Error::new("no port of the loopback interface is free"))
}
