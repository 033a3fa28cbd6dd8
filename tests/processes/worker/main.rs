//! A process that shares a table with others, and does as it is told: a command a line on its
//! standard input, an answer a line on its standard output.
//!
//! ```text
//! open PATH [tiny] [capacity=N] [lease=MS] [secret=BYTE] [retiring=BYTE] [reject]
//!           [lapse=unknown|failed] [window=MS] [quota=N] [processes=N] [inline=BYTES]
//!           [retrying=N] [letters=N] [retry=MS[xATTEMPTS]] [in-flight=N]
//! begin KEY [wait=MS|run-due]  admitted ATTEMPT FENCE STATUS | replayed BODY | …; `waits` before
//! token KEY                 its lease as digits; take-token KEY DIGITS in another process
//! complete KEY BODY         stored | without-bytes | error CODE
//! fail KEY [after=MS]       ok | error CODE
//! renew KEY MS              ok | error CODE
//! later KEY [OPERATION]     scheduled ATTEMPT | buried REASON KEPT
//! next MS                   attempt NUMBER FENCE OPERATION CONTEXT | none
//! advance | letters | redrive | discard | free-entries
//! mass FROM TO BODY         admitted N: begins and completes each key of the range
//! sweep | bury | stats | rotate BYTE | retire | drop | exit
//! pass MS | list FOLDER | go FOLDER | close-all
//! herd N PATH OPTIONS       opened N: the table, in as many threads at once
//! doom N                    it is killed before its N-th write to the table from now on
//! ```
//!
//! Whatever goes wrong is an answer too. It ends with its input.
#![cfg_attr(any(oncegate_loom, oncegate_shuttle), allow(unused))]

#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
mod closing;
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
mod retries;
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
mod tasks;

#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
fn main() {
    use std::io::{BufRead as _, Write as _};

    let mut worker = tasks::Worker::default();
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let answer = worker.obey(&line).unwrap_or_else(|error| format!("error {}", error.name()));
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
