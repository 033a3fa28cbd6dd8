//! What ThreadSanitizer must be told about the standard library, which was built without it.
//!
//! The last owner of an `Arc` learns by a fence what the others did before they gave theirs up;
//! the sanitizer does not follow fences. (A library that is built for it loads the count instead,
//! to the same effect.) So the linker puts this function in the place of the sanitizer's own
//! subtraction, and a count that is lowered with Release is lowered with Acquire too. Nothing is
//! suppressed: an owner that gives up its share without Release is reported as ever.
#![allow(unsafe_code, reason = "the sanitizer's interface")]

use std::ffi::c_int;

const RELEASE: c_int = 3;
const ACQUIRE_AND_RELEASE: c_int = 4;

// SAFETY: the sanitizer's own function, which `--wrap` gives this name.
unsafe extern "C" {
    fn __real___tsan_atomic64_fetch_sub(at: *mut u64, by: u64, order: c_int) -> u64;
}

// SAFETY: the signature is the one that the compiler calls, and nothing else has this name.
#[unsafe(no_mangle)]
extern "C" fn __wrap___tsan_atomic64_fetch_sub(at: *mut u64, by: u64, order: c_int) -> u64 {
    let order = if order == RELEASE { ACQUIRE_AND_RELEASE } else { order };
    // SAFETY: the caller's pointer to its own atomic word, passed on.
    unsafe { __real___tsan_atomic64_fetch_sub(at, by, order) }
}
