//! A panic for the tests, in a library that was built for them: see `tests/c/panics.c`.

/// Panics where the variable `ONCEGATE_PLANTED_PANIC` says so.
#[cfg(oncegate_planted_panic)]
pub(crate) fn panic_at(place: &str) {
    if std::env::var("ONCEGATE_PLANTED_PANIC").is_ok_and(|asked| asked == place) {
        panic!("planted: {place}");
    }
}

/// Nothing, in what ships.
#[cfg(not(oncegate_planted_panic))]
#[inline(always)]
pub(crate) fn panic_at(_place: &str) {}
