//! What the programs have in common that count instructions of hot paths.
//!
//! ```text
//! paths list                 the names of the paths
//! paths run NAME             runs one path, for callgrind
//! paths check BASELINE       counts them all, and fails where one costs more than it did
//! paths update BASELINE      counts them all, and writes the baseline anew
//! ```
//!
//! Counts do not depend on the machine's load: they are a gate where times are not. Everything
//! that could make two runs differ is given: the clock, the secret, the keys. The paths through the
//! C ABI have a program of their own, `abi-paths`: in one program with the others they would change
//! what the compiler builds into what.

mod baseline;
mod cli;
mod count;

use oncegate::Fingerprint;

pub use cli::program;

/// The only function whose instructions are counted, with all that it calls.
#[inline(never)]
pub fn measured(iterations: usize, mut path: impl FnMut(usize)) {
    for iteration in 0..iterations {
        path(iteration);
    }
}

/// Bits that are spread evenly, the same in every run.
pub fn fingerprint(number: u64) -> Fingerprint {
    let mut bytes = [0; 32];
    let (parts, _) = bytes.as_chunks_mut::<8>();
    for (at, part) in parts.iter_mut().enumerate() {
        *part = mix(number * 4 + at as u64).to_le_bytes();
    }
    Fingerprint::from_bytes(bytes)
}

/// The end of SplitMix64.
fn mix(number: u64) -> u64 {
    let mut word = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// How many a batch has.
pub const BATCH: usize = 16;
/// The records of a table that is soon full.
pub const FULL: usize = 4_096;
