//! Adaptive backoff: delays are drawn out while a process, or what it calls, has more to do than it
//! can.

use oncegate::AdaptiveConfig;
use pyo3::prelude::*;

use crate::engine::Engine;
use crate::error::Given;
use crate::time::{Seconds, given};

/// Targets, pace and bounds of an adaptive backoff.
#[pyclass(frozen, module = "oncegate", from_py_object)]
#[derive(Clone)]
pub(crate) struct AdaptiveBackoff(pub(crate) AdaptiveConfig);

#[pymethods]
impl AdaptiveBackoff {
    #[new]
    #[pyo3(signature = (
        *, lag_target = None, ready_target = None, in_flight_target = None, load_target = None,
        interval = None, quiet = None, decrease = None, increase = None, max_factor = None,
        max_base = None, max_ceiling = None, max_width = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option that Python names")]
    fn new(
        lag_target: Option<Seconds>,
        ready_target: Option<usize>,
        in_flight_target: Option<usize>,
        load_target: Option<f64>,
        interval: Option<Seconds>,
        quiet: Option<Seconds>,
        decrease: Option<f64>,
        increase: Option<f64>,
        max_factor: Option<f64>,
        max_base: Option<f64>,
        max_ceiling: Option<f64>,
        max_width: Option<f64>,
    ) -> Given<Self> {
        let (lag, interval) = (given("lag_target", lag_target)?, given("interval", interval)?);
        let quiet = given("quiet", quiet)?;
        let mut config = oncegate::AdaptiveBackoff::builder();
        config = set(config, lag, AdaptiveConfig::lag_target);
        config = set(config, ready_target, AdaptiveConfig::ready_target);
        config = set(config, in_flight_target, AdaptiveConfig::in_flight_target);
        config = set(config, load_target, AdaptiveConfig::load_target);
        config = set(config, interval, AdaptiveConfig::interval);
        config = set(config, quiet, AdaptiveConfig::quiet);
        config = set(config, decrease, AdaptiveConfig::decrease);
        config = set(config, increase, AdaptiveConfig::increase);
        config = set(config, max_factor, AdaptiveConfig::max_factor);
        config = set(config, max_base, AdaptiveConfig::max_base);
        config = set(config, max_ceiling, AdaptiveConfig::max_ceiling);
        config = set(config, max_width, AdaptiveConfig::max_width);
        // Each engine builds one of its own; what is out of its range is told here.
        config.clone().build()?;
        Ok(Self(config))
    }

    fn __repr__(&self) -> &'static str {
        "AdaptiveBackoff()"
    }
}

#[pymethods]
impl Engine {
    /// How loaded this process is, or what it calls: from 0 to 1.
    fn set_load(&self, load: f64) -> Given<()> {
        Ok(self.open()?.set_load(load)?)
    }
}

/// Sets what was given.
fn set<T>(
    config: AdaptiveConfig,
    value: Option<T>,
    with: impl FnOnce(AdaptiveConfig, T) -> AdaptiveConfig,
) -> AdaptiveConfig {
    match value {
        Some(value) => with(config, value),
        None => config,
    }
}
