//! Adaptive backoff: delays are drawn out while a process, or what it calls, has more to do than it
//! can.

use oncegate::{AdaptiveBackoff, AdaptiveConfig};

use crate::convert::{given_f64, given_ms, given_size};
use crate::engine::{RawEngine, held};
use crate::entry::{ErrorInfo, entry};
use crate::raw::{Growing, Plain, grown};
use crate::status::{Refusal, Status};

/// Targets, pace and bounds of an adaptive backoff. Zeros: the defaults. `ONCEGATE_ZERO` and
/// `ONCEGATE_ZERO_F64` stand for zero itself.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawAdaptive {
    /// `sizeof(oncegate_adaptive)`.
    pub struct_size: usize,
    /// How late ready work may be started; default 100 ms.
    pub lag_target_ms: u64,
    /// How much ready work may wait; default 1,000.
    pub ready_target: u64,
    /// How many attempts may be under way; default 1,000.
    pub in_flight_target: u64,
    /// How high the load of `oncegate_set_load` may be, 0 to 1; default 0.8.
    pub load_target: f64,
    /// How long a change is left to show before the next one, 1 ms to an hour; default 1 s.
    pub interval_ms: u64,
    /// After so long without any observation delays shrink by themselves, and a load is in force no
    /// more; at most a day; default 10 s.
    pub quiet_ms: u64,
    /// What the rate is multiplied by where something presses, 0.1 to 0.99; default 0.5.
    pub decrease: f64,
    /// What is added to the rate where nothing does, 0.0001 to 1; default 0.05.
    pub increase: f64,
    /// The inverse of the smallest rate, 1 to 1,000,000, as those below; default 16.
    pub max_factor: f64,
    /// By how much delays are stretched at most; default 16.
    pub max_base: f64,
    /// By how much ceilings are; default 4.
    pub max_ceiling: f64,
    /// By how much the width of the jitter is; default 16.
    pub max_width: f64,
}

// SAFETY: `repr(C)`, numbers.
unsafe impl Plain for RawAdaptive {}
// SAFETY: the first field is the size.
unsafe impl Growing for RawAdaptive {
    const LEAST: usize = 16;
}

/// Looks at the settings; `NULL` says nothing.
///
/// # Safety
///
/// `at` is `NULL`, or the caller's for reading during the call.
pub(crate) unsafe fn adaptive_or_none(
    field: &'static str,
    at: *const RawAdaptive,
) -> Result<Option<AdaptiveConfig>, Refusal> {
    if at.is_null() {
        return Ok(None);
    }
    // SAFETY: the same contract.
    let config = config(&unsafe { grown(field, at) }?);
    // Opening looks at it too, but after the memory was taken.
    config.clone().build()?;
    Ok(Some(config))
}

fn config(raw: &RawAdaptive) -> AdaptiveConfig {
    bounds(targets(AdaptiveBackoff::builder(), raw), raw)
}

fn targets(mut config: AdaptiveConfig, raw: &RawAdaptive) -> AdaptiveConfig {
    if let Some(lag) = given_ms(raw.lag_target_ms) {
        config = config.lag_target(lag);
    }
    if let Some(depth) = given_size(raw.ready_target) {
        config = config.ready_target(depth);
    }
    if let Some(attempts) = given_size(raw.in_flight_target) {
        config = config.in_flight_target(attempts);
    }
    if let Some(load) = given_f64(raw.load_target) {
        config = config.load_target(load);
    }
    if let Some(interval) = given_ms(raw.interval_ms) {
        config = config.interval(interval);
    }
    if let Some(quiet) = given_ms(raw.quiet_ms) {
        config = config.quiet(quiet);
    }
    config
}

fn bounds(mut config: AdaptiveConfig, raw: &RawAdaptive) -> AdaptiveConfig {
    if let Some(factor) = given_f64(raw.decrease) {
        config = config.decrease(factor);
    }
    if let Some(rate) = given_f64(raw.increase) {
        config = config.increase(rate);
    }
    if let Some(factor) = given_f64(raw.max_factor) {
        config = config.max_factor(factor);
    }
    if let Some(factor) = given_f64(raw.max_base) {
        config = config.max_base(factor);
    }
    if let Some(factor) = given_f64(raw.max_ceiling) {
        config = config.max_ceiling(factor);
    }
    if let Some(factor) = given_f64(raw.max_width) {
        config = config.max_width(factor);
    }
    config
}

/// Tells the adaptive backoff how loaded this process is, or what it calls: 0 to 1.
///
/// It is in force until another load is told, at most for `quiet_ms`: tell it at least as often.
/// Returns `ONCEGATE_INVALID_OPTION` for another number, `ONCEGATE_INVALID_CONFIG` where the engine
/// was opened without `adaptive`. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_set_load(
    engine: *const RawEngine,
    load: f64,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; => { Ok(engine.engine.set_load(load)?) })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Goal: each field is the setter of that name.
    /// Method: one field at a time, each with a number of its own, against the engine's builder, by
    /// what both show of themselves.
    #[test]
    fn fields_are_the_setters() {
        type Set = fn(&mut RawAdaptive);
        let own = AdaptiveBackoff::builder;
        let cases: [(Set, AdaptiveConfig); 13] = [
            (|_| {}, own()),
            (|raw| raw.lag_target_ms = 20, own().lag_target(Duration::from_millis(20))),
            (|raw| raw.ready_target = 21, own().ready_target(21)),
            (|raw| raw.in_flight_target = 22, own().in_flight_target(22)),
            (|raw| raw.load_target = 0.23, own().load_target(0.23)),
            (|raw| raw.interval_ms = 24, own().interval(Duration::from_millis(24))),
            (|raw| raw.quiet_ms = 25, own().quiet(Duration::from_millis(25))),
            (|raw| raw.decrease = 0.26, own().decrease(0.26)),
            (|raw| raw.increase = 0.27, own().increase(0.27)),
            (|raw| raw.max_factor = 28.0, own().max_factor(28.0)),
            (|raw| raw.max_base = 29.0, own().max_base(29.0)),
            (|raw| raw.max_ceiling = 30.0, own().max_ceiling(30.0)),
            (|raw| raw.max_width = 31.0, own().max_width(31.0)),
        ];
        for (set, own) in cases {
            let mut raw = RawAdaptive {
                struct_size: size_of::<RawAdaptive>(),
                lag_target_ms: 0,
                ready_target: 0,
                in_flight_target: 0,
                load_target: 0.0,
                interval_ms: 0,
                quiet_ms: 0,
                decrease: 0.0,
                increase: 0.0,
                max_factor: 0.0,
                max_base: 0.0,
                max_ceiling: 0.0,
                max_width: 0.0,
            };
            set(&mut raw);
            assert_eq!(format!("{:?}", config(&raw)), format!("{own:?}"));
        }
    }
}
