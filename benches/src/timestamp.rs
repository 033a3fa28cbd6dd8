//! Timestamp: a clock fine enough for one operation.
//!
//! On x86-64 it is the time-stamp counter between fences, which costs some nanoseconds; elsewhere
//! the operating system's precise clock.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Ticks at this moment, for the start of what is measured.
#[cfg(target_arch = "x86_64")]
#[inline]
#[must_use]
pub fn start() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: every x86-64 processor has both instructions, and they touch no memory.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

/// Ticks at this moment, for the end of what is measured.
#[cfg(target_arch = "x86_64")]
#[inline]
#[must_use]
pub fn end() -> u64 {
    use std::arch::x86_64::{__rdtscp, _mm_lfence};
    let mut processor = 0;
    // SAFETY: as above; the processor's number goes into a variable of our own.
    unsafe {
        let ticks = __rdtscp(&raw mut processor);
        _mm_lfence();
        ticks
    }
}

/// Ticks at this moment, for the start of what is measured.
#[cfg(not(target_arch = "x86_64"))]
#[must_use]
pub fn start() -> u64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    u64::try_from(ORIGIN.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Ticks at this moment, for the end of what is measured.
#[cfg(not(target_arch = "x86_64"))]
#[must_use]
pub fn end() -> u64 {
    start()
}

/// How long a tick is, and what an empty bracket reads.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Nanoseconds of one tick.
    pub ns_per_tick: f64,
    /// Ticks that a bracket around nothing reads, to be subtracted.
    pub empty: u64,
}

/// Measured once, against the precise clock.
pub fn scale() -> Scale {
    static SCALE: OnceLock<Scale> = OnceLock::new();
    *SCALE.get_or_init(|| {
        let (clock, first) = (Instant::now(), start());
        while clock.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let ticks = end() - first;
        let ns_per_tick = clock.elapsed().as_nanos() as f64 / ticks as f64;
        let mut empties: Vec<u64> = (0..1_001).map(|_| end_of_nothing()).collect();
        empties.sort_unstable();
        Scale { ns_per_tick, empty: empties[empties.len() / 2] }
    })
}

fn end_of_nothing() -> u64 {
    let first = start();
    end() - first
}
