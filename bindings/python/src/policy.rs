//! Retry policies: when the next attempt may start, and whether there is one.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use oncegate::{Attempted, Buried, Decision, Exhaustion, HintLimits, JitterSource};
use pyo3::prelude::*;

use crate::backoff::{AnyJitter, Growth};
use crate::choice::Shape;
use crate::error::{Given, seconds};
use crate::hint::{AnyAfter, Said};
use crate::time::{Seconds, given};

/// When the next attempt may start, and whether there is one.
#[pyclass(frozen, eq, module = "oncegate", from_py_object)]
#[derive(Clone, PartialEq)]
pub(crate) struct RetryPolicy(pub(crate) oncegate::RetryPolicy);

impl RetryPolicy {
    fn checked(policy: oncegate::RetryPolicy, limits: Limits) -> Given<Self> {
        let policy = limits.of(policy)?;
        policy.check()?;
        Ok(Self(policy))
    }
}

#[pymethods]
impl RetryPolicy {
    #[new]
    #[pyo3(signature = (
        *, backoff = None, initial = None, multiplier = None, increment = None, max = None,
        delays = None, jitter = None, max_attempts = 3, deadline = None, expected_duration = None,
        attempt_timeout = None, ignore_hints = false, hint_min = None, hint_max = None,
        hint_beyond_drawn = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option that Python names")]
    fn new(
        backoff: Option<Shape>,
        initial: Option<Seconds>,
        multiplier: Option<f64>,
        increment: Option<Seconds>,
        max: Option<Seconds>,
        delays: Option<Vec<Seconds>>,
        jitter: Option<AnyJitter>,
        max_attempts: u32,
        deadline: Option<Seconds>,
        expected_duration: Option<Seconds>,
        attempt_timeout: Option<Seconds>,
        ignore_hints: bool,
        hint_min: Option<Seconds>,
        hint_max: Option<Seconds>,
        hint_beyond_drawn: Option<Seconds>,
    ) -> Given<Self> {
        let growth = Growth {
            initial: given("initial", initial)?,
            multiplier,
            increment: given("increment", increment)?,
            max: given("max", max)?,
            delays,
        };
        let backoff = growth.backoff(backoff, jitter)?;
        let limits = Limits {
            max_attempts: Some(max_attempts),
            deadline,
            expected_duration,
            attempt_timeout,
            ignore_hints: Some(ignore_hints),
            hint_min,
            hint_max,
            hint_beyond_drawn,
        };
        Self::checked(oncegate::RetryPolicy::new(backoff), limits)
    }

    #[staticmethod]
    fn grpc(initial: Seconds, max: Seconds, multiplier: f64, max_attempts: u32) -> Given<Self> {
        let (initial, max) = (initial.of("initial")?, max.of("max")?);
        let policy = oncegate::RetryPolicy::grpc(initial, max, multiplier, max_attempts);
        Self::checked(policy, Limits::default())
    }

    /// The same backoff with other limits.
    #[pyo3(signature = (
        *, max_attempts = None, deadline = None, expected_duration = None, attempt_timeout = None,
        ignore_hints = None, hint_min = None, hint_max = None, hint_beyond_drawn = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option that Python names")]
    fn replace(
        &self,
        max_attempts: Option<u32>,
        deadline: Option<Seconds>,
        expected_duration: Option<Seconds>,
        attempt_timeout: Option<Seconds>,
        ignore_hints: Option<bool>,
        hint_min: Option<Seconds>,
        hint_max: Option<Seconds>,
        hint_beyond_drawn: Option<Seconds>,
    ) -> Given<Self> {
        let limits = Limits {
            max_attempts,
            deadline,
            expected_duration,
            attempt_timeout,
            ignore_hints,
            hint_min,
            hint_max,
            hint_beyond_drawn,
        };
        Self::checked(self.0.clone(), limits)
    }

    /// Seconds until the next attempt; none: give up.
    #[pyo3(signature = (
        attempt, elapsed, *, previous_delay = None, retry_after = None, refused = false,
        expected_duration = None
    ))]
    fn decide(
        &self,
        attempt: u32,
        elapsed: Seconds,
        previous_delay: Option<Seconds>,
        retry_after: Option<AnyAfter>,
        refused: bool,
        expected_duration: Option<Seconds>,
    ) -> Given<Option<f64>> {
        let mut attempted = Attempted::new(attempt, elapsed.of("elapsed")?);
        if let Some(delay) = given("previous_delay", previous_delay)? {
            attempted = attempted.previous_delay(delay);
        }
        if let Some(duration) = given("expected_duration", expected_duration)? {
            attempted = attempted.expected(duration);
        }
        let attempted = attempted.hint(Said::of(retry_after, refused)?.hint(unix_time));
        Ok(match self.0.decide(&attempted, source()?) {
            Decision::RetryAfter(delay) => Some(seconds(delay)),
            Decision::Exhausted(_) => None,
        })
    }

    /// How long an attempt may run that starts then; none: there is no limit.
    #[pyo3(signature = (elapsed = None))]
    fn attempt_limit(&self, elapsed: Option<Seconds>) -> Given<Option<f64>> {
        let elapsed = given("elapsed", elapsed)?.unwrap_or_default();
        Ok(self.0.attempt_limit(elapsed).map(seconds))
    }

    /// The delays of a request all of whose attempts fail at once, at most `count`, and why there
    /// are no more; none: only `count` ended them.
    #[pyo3(signature = (count = 16, *, seed = None))]
    fn preview(&self, count: usize, seed: Option<u64>) -> Given<(Vec<f64>, Option<&'static str>)> {
        let seeded = seed.map(JitterSource::seeded);
        let source = match &seeded {
            Some(seeded) => seeded,
            None => source()?,
        };
        let mut delays = Vec::new();
        let (mut attempt, mut elapsed, mut previous) = (1_u32, Duration::ZERO, Duration::ZERO);
        let reason = loop {
            let attempted = Attempted::new(attempt, elapsed).previous_delay(previous);
            let delay = match self.0.decide(&attempted, source) {
                Decision::RetryAfter(_) if delays.len() == count => break None,
                Decision::RetryAfter(delay) => delay,
                Decision::Exhausted(Exhaustion::Attempts) => break Some(Buried::Attempts),
                Decision::Exhausted(Exhaustion::Deadline) => break Some(Buried::Deadline),
                Decision::Exhausted(Exhaustion::Refused) => break Some(Buried::FinalError),
            };
            delays.push(seconds(delay));
            attempt = attempt.saturating_add(1);
            (elapsed, previous) = (elapsed.saturating_add(delay), delay);
        };
        Ok((delays, reason.map(Buried::name)))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// Gives Python the engine's presets. What they say is in its range.
macro_rules! presets {
    ($($name:ident)*) => {
        #[pymethods]
        impl RetryPolicy {
            $(
                #[staticmethod]
                fn $name() -> Self {
                    Self(oncegate::RetryPolicy::$name())
                }
            )*
        }
    };
}

presets! {
    aws_standard
    aws_2026
    aws_2026_throttled
    grpc_example
    resilience4j
    polly_v8
    celery
    celery_backoff
}

/// What a policy says besides its backoff; nothing: as it was.
#[derive(Default)]
struct Limits {
    max_attempts: Option<u32>,
    deadline: Option<Seconds>,
    expected_duration: Option<Seconds>,
    attempt_timeout: Option<Seconds>,
    ignore_hints: Option<bool>,
    hint_min: Option<Seconds>,
    hint_max: Option<Seconds>,
    hint_beyond_drawn: Option<Seconds>,
}

impl Limits {
    fn of(self, mut policy: oncegate::RetryPolicy) -> Given<oncegate::RetryPolicy> {
        if let Some(attempts) = self.max_attempts {
            policy = policy.max_attempts(attempts);
        }
        if let Some(total) = given("deadline", self.deadline)? {
            policy = policy.deadline(total);
        }
        if let Some(duration) = given("expected_duration", self.expected_duration)? {
            policy = policy.expected_duration(duration);
        }
        if let Some(timeout) = given("attempt_timeout", self.attempt_timeout)? {
            policy = policy.attempt_timeout(timeout);
        }
        let hints = self.hints(policy.hint_limits())?;
        Ok(policy.hints(hints))
    }

    fn hints(self, mut hints: HintLimits) -> Given<HintLimits> {
        match self.ignore_hints {
            Some(true) => hints = HintLimits::ignored(),
            // Those that are followed again are followed as by default.
            Some(false) if hints == HintLimits::ignored() => hints = HintLimits::new(),
            _ => {}
        }
        if let Some(least) = given("hint_min", self.hint_min)? {
            hints = hints.min(least);
        }
        if let Some(most) = given("hint_max", self.hint_max)? {
            hints = hints.max(most);
        }
        if let Some(most) = given("hint_beyond_drawn", self.hint_beyond_drawn)? {
            hints = hints.beyond_drawn(most);
        }
        Ok(hints)
    }
}

/// A policy alone has no clock but the system's.
fn unix_time() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

/// What all delays of this process are drawn from that no engine draws.
fn source() -> Given<&'static JitterSource> {
    static SOURCE: OnceLock<JitterSource> = OnceLock::new();
    match SOURCE.get() {
        Some(source) => Ok(source),
        None => {
            let made = JitterSource::new()?;
            Ok(SOURCE.get_or_init(|| made))
        }
    }
}
