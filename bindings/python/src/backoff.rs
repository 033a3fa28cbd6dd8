//! Backoff: how delays grow, and how they are drawn.

use std::time::Duration;

use oncegate::{BackoffPolicy, Jitter};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::choice::{JitterWord, Shape};
use crate::error::{Given, Refused};
use crate::time::Seconds;

/// How delays grow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Growing {
    Exponential,
    Linear,
    Constant,
    List,
}

/// What a backoff is made from.
pub(crate) struct Growth {
    pub(crate) initial: Option<Duration>,
    pub(crate) multiplier: Option<f64>,
    pub(crate) increment: Option<Duration>,
    pub(crate) max: Option<Duration>,
    pub(crate) delays: Option<Vec<Seconds>>,
}

impl Growth {
    pub(crate) fn backoff(
        self,
        shape: Option<Shape>,
        jitter: Option<AnyJitter>,
    ) -> Given<BackoffPolicy> {
        let unsaid = if self.delays.is_some() { Growing::List } else { Growing::Exponential };
        let growing = shape.map_or(unsaid, |shape| shape.0);
        self.check(growing)?;
        let first = self.initial.unwrap_or(FIRST);
        let ceiling = self.max.unwrap_or(CEILING);
        let backoff = match growing {
            Growing::Exponential => {
                BackoffPolicy::exponential(first, self.multiplier.unwrap_or(2.0), ceiling)
            }
            Growing::Linear => {
                BackoffPolicy::linear(first, self.increment.unwrap_or(FIRST), ceiling)
            }
            Growing::Constant => BackoffPolicy::constant(first).max(self.max_or_none()),
            Growing::List => {
                let max = self.max_or_none();
                let delays = self.delays.unwrap_or_default();
                let delays = delays.into_iter().map(|delay| delay.of("delays"));
                BackoffPolicy::list(delays.collect::<Given<Vec<_>>>()?).max(max)
            }
        };
        Ok(match jitter {
            Some(AnyJitter(jitter)) => backoff.jitter(jitter),
            None => backoff,
        })
    }

    fn max_or_none(&self) -> Duration {
        self.max.unwrap_or(BackoffPolicy::LONGEST)
    }

    /// Refuses what another backoff has.
    fn check(&self, growing: Growing) -> Given<()> {
        let is_list = growing == Growing::List;
        let strange = [
            ("multiplier", self.multiplier.is_some() && growing != Growing::Exponential),
            ("increment", self.increment.is_some() && growing != Growing::Linear),
            ("initial", self.initial.is_some() && is_list),
            ("delays", self.delays.is_some() && !is_list),
        ];
        match strange.into_iter().find(|(_, found)| *found) {
            Some((field, _)) => {
                Err(Refused::Input(field, "a value".to_owned(), "none with this backoff"))
            }
            None => Ok(()),
        }
    }
}

/// A jitter by its word, or the share of the delay to either side.
pub(crate) struct AnyJitter(Jitter);

impl<'py> FromPyObject<'_, 'py> for AnyJitter {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if value.is_instance_of::<PyString>() {
            return Ok(Self(value.extract::<JitterWord>()?.0));
        }
        Ok(Self(Jitter::Proportional(value.extract()?)))
    }
}

/// The first delay of the engine's own policy, and its ceiling.
const FIRST: Duration = Duration::from_secs(1);
const CEILING: Duration = Duration::from_secs(120);
