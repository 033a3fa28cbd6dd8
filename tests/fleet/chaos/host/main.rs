//! A host of a fleet: an engine with a tier in Redis, which does as it is told, line by line.
//!
//! ```text
//! open url=URL [sentinels=NAME,URL,…] [cluster=URL,…] [table=PATH] lease=MS [slice=MS]
//!      [quarantine=MS] deadline=MS                     open
//! work FOLDER NAME SEED KEYS VISITS THREADS calm|rash  done, when all visits have ended
//! settle                                               settled, when it replays every key
//! ```
//!
//! Work is of the keys `0` to `KEYS`, and each of the threads visits every key `VISITS` times. It
//! is written down in `FOLDER` as `line.rs` says, in a file of the host's own; effects go to a file
//! for each key. It ends with its input.
#![cfg_attr(any(oncegate_loom, oncegate_shuttle), allow(unused))]

#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
mod futures;
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
#[path = "../line.rs"]
#[allow(dead_code, reason = "who reads what is written here is another program")]
mod line;
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
mod notes;
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
mod options;
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
mod visits;

#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
fn main() {
    use std::io::{BufRead as _, Write as _};

    let mut host = visits::Host::default();
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let answer = host.obey(&line).unwrap_or_else(|error| format!("error {error}"));
        let mut out = std::io::stdout().lock();
        // Whoever gave the command is gone: so is the reason to be here.
        if writeln!(out, "{answer}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

/// The model checkers build this too, and never run it.
#[cfg(any(oncegate_loom, oncegate_shuttle))]
fn main() {}
