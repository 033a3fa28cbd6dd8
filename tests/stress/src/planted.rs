//! Deliberate errors, one for each sanitizer.
#![allow(unsafe_code, reason = "each error breaks a rule that safe code keeps")]

use std::cell::UnsafeCell;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An error that a sanitizer must report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    /// Bytes are published by a flag that orders nothing.
    Race,
    /// Memory is read after it was given back.
    UseAfterFree,
    /// Memory is given up and not given back.
    Leak,
}

impl Plant {
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        match name {
            "race" => Ok(Self::Race),
            "use-after-free" => Ok(Self::UseAfterFree),
            "leak" => Ok(Self::Leak),
            _ => Err(format!("--plant {name} is unknown")),
        }
    }
}

pub(crate) fn run(plant: Plant) {
    println!("stress: planted {plant:?}");
    match plant {
        Plant::Race => races(),
        Plant::UseAfterFree => uses_after_free(),
        Plant::Leak => leaks(),
    }
}

/// A word that is shared without being atomic.
struct Shared(UnsafeCell<u64>);

// SAFETY: none. That is the error: nothing orders the accesses of `races`.
unsafe impl Sync for Shared {}

fn races() {
    let shared = Arc::new((Shared(UnsafeCell::new(0)), AtomicBool::new(false)));
    let writer = Arc::clone(&shared);
    let writing = std::thread::spawn(move || {
        // SAFETY: none; see `Shared`.
        unsafe { *writer.0.0.get() = 7 };
        // Relaxed where it has to be Release.
        writer.1.store(true, Ordering::Relaxed);
    });
    while !shared.1.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
    // SAFETY: none; see `Shared`.
    black_box(unsafe { *shared.0.0.get() });
    writing.join().expect("no panic");
}

fn uses_after_free() {
    let freed = Box::into_raw(Box::new(7_u64));
    // SAFETY: it is the box from above.
    drop(unsafe { Box::from_raw(black_box(freed)) });
    // SAFETY: none. That is the error: the box is gone.
    black_box(unsafe { freed.read_volatile() });
}

fn leaks() {
    // The only pointer to it is forgotten.
    std::mem::forget(black_box(vec![7_u8; 4321]));
}
