//! Numbers of the header, and what they mean to the engine.

use std::time::Duration;

use crate::status::{ONCEGATE_BAD_VALUE, Refusal};

/// In a field where zero means "as by default": zero itself.
pub const ONCEGATE_ZERO: u64 = u64::MAX;

/// The same in a field of the type `double`: zero itself, where zero means "as by default".
pub const ONCEGATE_ZERO_F64: f64 = -1.0;

/// Whole milliseconds, rounded up: nobody who waits that long comes too early.
pub(crate) fn millis_up(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// What a field with a default says: nothing, or a number.
pub(crate) fn given(value: u64) -> Option<u64> {
    match value {
        0 => None,
        ONCEGATE_ZERO => Some(0),
        other => Some(other),
    }
}

/// The same as a duration.
pub(crate) fn given_ms(value: u64) -> Option<Duration> {
    given(value).map(Duration::from_millis)
}

/// The same as a size.
pub(crate) fn given_size(value: u64) -> Option<usize> {
    given(value).map(|value| usize::try_from(value).unwrap_or(usize::MAX))
}

/// The same for a field that is a `double`.
pub(crate) fn given_f64(value: f64) -> Option<f64> {
    if value == 0.0 {
        return None;
    }
    Some(if value == ONCEGATE_ZERO_F64 { 0.0 } else { value })
}

/// Refuses the first field that is set and means nothing beside a choice that was made.
pub(crate) fn check_unset(fields: &[(&'static str, bool)], why: &str) -> Result<(), Refusal> {
    let set = fields.iter().find(|(_, is_set)| *is_set);
    set.map_or(Ok(()), |(field, _)| {
        let detail = format!("found a value; limit: zero {why}");
        Err(Refusal::new(ONCEGATE_BAD_VALUE, *field, detail))
    })
}

/// A number that names none of the choices.
pub(crate) fn no_choice(field: &'static str, found: u32, most: u32) -> Refusal {
    Refusal::new(ONCEGATE_BAD_VALUE, field, format!("found {found}; limit: 0 to {most}"))
}

/// A flag that may be 0 or 1.
pub(crate) fn flag(field: &'static str, found: u32) -> Result<bool, Refusal> {
    match found {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(no_choice(field, other, 1)),
    }
}

/// Flags, of which only `known` mean anything.
pub(crate) fn check_flags(field: &'static str, found: u32, known: u32) -> Result<(), Refusal> {
    if found & !known == 0 {
        return Ok(());
    }
    let detail = format!("found {found:#x}; limit: {known:#x}");
    Err(Refusal::new(ONCEGATE_BAD_VALUE, field, detail))
}
