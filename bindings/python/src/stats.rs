//! Statistics: what the engine has counted since it was opened, and what its table holds.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::engine::Engine;
use crate::error::Given;

/// Makes a frozen class of named values, which gives itself as a dict.
macro_rules! counted {
    ($(
        $(#[$doc:meta])*
        $name:ident of $of:ty {
            values { $($field:ident: $kind:ty = $read:expr;)* }
            nested { $($inner:ident: $class:ty;)* }
            perhaps { $($option:ident: $kept:ty;)* }
        }
    )*) => {
        $(
            $(#[$doc])*
            #[pyclass(frozen, get_all, module = "oncegate")]
            #[derive(Clone)]
            pub(crate) struct $name {
                $($field: $kind,)*
                $($inner: $class,)*
                $($option: Option<$kept>,)*
            }

            impl $name {
                fn of(found: &$of) -> Self {
                    Self {
                        $($field: ($read)(found),)*
                        $($inner: <$class>::of(&found.$inner),)*
                        $($option: found.$option.as_ref().map(<$kept>::of),)*
                    }
                }
            }

            #[pymethods]
            impl $name {
                /// All of it, with what is nested as dicts.
                fn as_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
                    let told = PyDict::new(py);
                    $(told.set_item(stringify!($field), self.$field.clone())?;)*
                    $(told.set_item(stringify!($inner), self.$inner.as_dict(py)?)?;)*
                    $(
                        let kept = self.$option.as_ref().map(|kept| kept.as_dict(py)).transpose()?;
                        told.set_item(stringify!($option), kept)?;
                    )*
                    Ok(told)
                }

                fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
                    Ok(format!("{}({})", stringify!($name), self.as_dict(py)?.repr()?))
                }
            }
        )*
    };
}

counted! {
    /// Counts of this process since the engine was opened, and levels of the table.
    Stats of oncegate::Stats {
        values {
            begun: u64 = |found: &oncegate::Stats| found.begun;
            created: u64 = |found: &oncegate::Stats| found.created;
            reused: u64 = |found: &oncegate::Stats| found.reused;
            expired: u64 = |found: &oncegate::Stats| found.expired;
            retried: u64 = |found: &oncegate::Stats| found.retried;
            replayed: u64 = |found: &oncegate::Stats| found.replayed;
            in_progress: u64 = |found: &oncegate::Stats| found.in_progress;
            scheduled: u64 = |found: &oncegate::Stats| found.scheduled;
            mismatched: u64 = |found: &oncegate::Stats| found.mismatched;
            unresolved: u64 = |found: &oncegate::Stats| found.unresolved;
            outcome_gone: u64 = |found: &oncegate::Stats| found.outcome_gone;
            fenced: u64 = |found: &oncegate::Stats| found.fenced;
            lapsed: u64 = |found: &oncegate::Stats| found.lapsed;
            completed: u64 = |found: &oncegate::Stats| found.completed;
            evicted_expired: u64 = |found: &oncegate::Stats| found.evicted_expired;
            evicted_early: u64 = |found: &oncegate::Stats| found.evicted_early;
            outcomes_evicted: u64 = |found: &oncegate::Stats| found.outcomes_evicted;
            outcomes_carried: u64 = |found: &oncegate::Stats| found.outcomes_carried;
            recovered: u64 = |found: &oncegate::Stats| found.recovered;
            full: u64 = |found: &oncegate::Stats| found.full;
            quota: u64 = |found: &oncegate::Stats| found.quota;
            waiters: u64 = |found: &oncegate::Stats| found.waiters;
            hand_offs: u64 = |found: &oncegate::Stats| found.hand_offs;
            bytes: u64 = |found: &oncegate::Stats| found.bytes;
            fill: f64 = |found: &oncegate::Stats| found.fill;
            outcome_fill: f64 = |found: &oncegate::Stats| found.outcome_fill;
        }
        nested {
            live: Live;
            retries: RetryStats;
            begin: Latency;
            complete: Latency;
        }
        perhaps {}
    }
    /// Records by state.
    Live of oncegate::Live {
        values {
            running: u64 = |found: &oncegate::Live| found.running;
            waiting: u64 = |found: &oncegate::Live| found.waiting;
            succeeded: u64 = |found: &oncegate::Live| found.succeeded;
            failed: u64 = |found: &oncegate::Live| found.failed;
            unknown: u64 = |found: &oncegate::Live| found.unknown;
        }
        nested {}
        perhaps {}
    }
    /// What the scheduler has done and holds.
    RetryStats of oncegate::RetryStats {
        values {
            scheduled: u64 = |found: &oncegate::RetryStats| found.scheduled;
            retrying: u64 = |found: &oncegate::RetryStats| found.retrying;
            ready: u64 = |found: &oncegate::RetryStats| found.ready;
            in_flight: u64 = |found: &oncegate::RetryStats| found.in_flight;
            dead_letters: u64 = |found: &oncegate::RetryStats| found.dead_letters;
            buried: u64 = |found: &oncegate::RetryStats| found.buried;
            redriven: u64 = |found: &oncegate::RetryStats| found.redriven;
            discarded: u64 = |found: &oncegate::RetryStats| found.discarded;
            letters_lost: u64 = |found: &oncegate::RetryStats| found.letters_lost;
            asked: u64 = |found: &oncegate::RetryStats| found.asked;
            compensated: u64 = |found: &oncegate::RetryStats| found.compensated;
            stuck: u64 = |found: &oncegate::RetryStats| found.stuck;
        }
        nested {
            dispatch_lag: Latency;
        }
        perhaps {
            adaptive: AdaptiveStats;
        }
    }
    /// What the adaptive backoff saw, and what it made of it, as of its last step.
    AdaptiveStats of oncegate::AdaptiveStats {
        values {
            factor: f64 = |found: &oncegate::AdaptiveStats| found.factor;
            decreases: u64 = |found: &oncegate::AdaptiveStats| found.decreases;
            increases: u64 = |found: &oncegate::AdaptiveStats| found.increases;
        }
        nested {
            stretch: Stretch;
            lag_seconds: InputStats;
            ready: InputStats;
            in_flight: InputStats;
            load: InputStats;
        }
        perhaps {}
    }
    /// One input of a step.
    InputStats of oncegate::InputStats {
        values {
            value: Option<f64> = |found: &oncegate::InputStats| found.value;
            target: f64 = |found: &oncegate::InputStats| found.target;
            pressed: bool = |found: &oncegate::InputStats| found.pressed;
        }
        nested {}
        perhaps {}
    }
    /// By how much delays, their ceilings and their widths are drawn out.
    Stretch of oncegate::Stretch {
        values {
            base: f64 = |found: &oncegate::Stretch| found.base;
            ceiling: f64 = |found: &oncegate::Stretch| found.ceiling;
            width: f64 = |found: &oncegate::Stretch| found.width;
        }
        nested {}
        perhaps {}
    }
    /// What this process and its tier have done.
    TierStats of oncegate::TierStats {
        values {
            granted: u64 = |found: &oncegate::TierStats| found.granted;
            imported: u64 = |found: &oncegate::TierStats| found.imported;
            elsewhere: u64 = |found: &oncegate::TierStats| found.elsewhere;
            refused: u64 = |found: &oncegate::TierStats| found.refused;
            local_only: u64 = |found: &oncegate::TierStats| found.local_only;
            unknown: u64 = |found: &oncegate::TierStats| found.unknown;
            undelivered: u64 = |found: &oncegate::TierStats| found.undelivered;
            delivered_late: u64 = |found: &oncegate::TierStats| found.delivered_late;
            undelivered_lost: u64 = |found: &oncegate::TierStats| found.undelivered_lost;
            conflicts: u64 = |found: &oncegate::TierStats| found.conflicts;
            sessions_lost: u64 = |found: &oncegate::TierStats| found.sessions_lost;
            letters_logged: u64 = |found: &oncegate::TierStats| found.letters_logged;
            letters_waiting: u64 = |found: &oncegate::TierStats| found.letters_waiting;
            letters_lost: u64 = |found: &oncegate::TierStats| found.letters_lost;
            breaker_open: bool = |found: &oncegate::TierStats| found.breaker_open;
        }
        nested {}
        perhaps {}
    }
    /// Quantiles of one call in 1,024, in seconds; zero: no sample yet.
    Latency of oncegate::Latency {
        values {
            p50: f64 = |found: &oncegate::Latency| found.p50_ns as f64 / 1e9;
            p99: f64 = |found: &oncegate::Latency| found.p99_ns as f64 / 1e9;
            p999: f64 = |found: &oncegate::Latency| found.p999_ns as f64 / 1e9;
        }
        nested {}
        perhaps {}
    }
}

#[pymethods]
impl Engine {
    /// What was counted, as plain numbers of the moment.
    fn stats(&self, py: Python<'_>) -> Given<Stats> {
        let engine = self.open()?;
        Ok(Stats::of(&py.detach(|| engine.stats())?))
    }

    /// What was counted of the tier; `None`: there is none.
    fn tier_stats(&self, py: Python<'_>) -> Given<Option<TierStats>> {
        let engine = self.open()?;
        // Its locks are held by threads that talk to the tier.
        let stats = py.detach(|| engine.tier_stats())?;
        Ok(stats.as_ref().map(TierStats::of))
    }
}
