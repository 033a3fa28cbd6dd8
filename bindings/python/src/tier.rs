//! Tier: how an engine uses the store that it shares with other hosts, and what came of that.

use oncegate::EngineBuilder;
use oncegate::tier::TierOptions as Options;
use pyo3::prelude::*;

use crate::choice::OnOutage;
use crate::engine::Engine;
use crate::error::{Given, Refused, seconds};
use crate::redis::AnyRedis;
use crate::time::{Seconds, given};

/// How an engine uses its tier.
#[pyclass(frozen, module = "oncegate", from_py_object)]
#[derive(Clone)]
pub(crate) struct TierOptions(Options);

#[pymethods]
impl TierOptions {
    #[new]
    #[pyo3(signature = (
        *, deadline = None, on_outage = None, latency_objective = None, lease_slice = None,
        margin = None, poll_every = None, quarantine = None, undelivered = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option that Python names")]
    fn new(
        deadline: Option<Seconds>,
        on_outage: Option<OnOutage>,
        latency_objective: Option<Seconds>,
        lease_slice: Option<Seconds>,
        margin: Option<Seconds>,
        poll_every: Option<Seconds>,
        quarantine: Option<Seconds>,
        undelivered: Option<usize>,
    ) -> Given<Self> {
        let mut options = set(Options::new(), given("deadline", deadline)?, Options::deadline);
        options = set(options, on_outage.map(|it| it.0), Options::on_outage);
        let objective = given("latency_objective", latency_objective)?;
        options = set(options, objective, Options::latency_objective);
        options = set(options, given("lease_slice", lease_slice)?, Options::lease_slice);
        options = set(options, given("margin", margin)?, Options::margin);
        options = set(options, given("poll_every", poll_every)?, Options::poll_every);
        options = set(options, given("quarantine", quarantine)?, Options::quarantine);
        Ok(Self(set(options, undelivered, Options::undelivered)))
    }
}

/// Says by what an engine shares its records with other hosts.
pub(crate) fn shared_by(
    builder: EngineBuilder,
    redis: Option<AnyRedis>,
    options: Option<TierOptions>,
) -> Given<EngineBuilder> {
    let Some(AnyRedis(redis)) = redis else {
        if options.is_some() {
            let found = "options, and no tier".to_owned();
            return Err(Refused::Input("tier_options", found, "together with redis"));
        }
        return Ok(builder);
    };
    let builder = builder.tier(redis.store()?);
    Ok(match options {
        Some(options) => builder.tier_options(options.0),
        None => builder,
    })
}

/// What about a tier endangers what is promised.
#[pyclass(frozen, get_all, module = "oncegate")]
pub(crate) struct Hazard {
    /// Which, in a word.
    kind: &'static str,
    /// What an operator needs to know of it.
    detail: String,
}

#[pymethods]
impl Hazard {
    #[classattr]
    #[pyo3(name = "__match_args__")]
    fn match_args() -> (&'static str, &'static str) {
        ("kind", "detail")
    }

    fn __repr__(&self) -> String {
        format!("Hazard({:?}, {:?})", self.kind, self.detail)
    }
}

impl Hazard {
    fn of(hazard: &oncegate::tier::Hazard) -> Self {
        use oncegate::tier::Hazard as H;
        let (kind, detail) = match hazard {
            H::Evicts { policy } => ("evicts", policy.clone()),
            H::AlmostFull { percent } => ("almost_full", format!("{percent}%")),
            H::NotPersistent => ("not_persistent", String::new()),
            H::ClockBehind { by } => ("clock_behind", format!("{:.3} s", seconds(*by))),
            _ => ("other", String::new()),
        };
        Self { kind, detail }
    }
}

#[pymethods]
impl Engine {
    /// What about the tier was found that endangers what is promised.
    fn tier_hazards(&self) -> Given<Vec<Hazard>> {
        Ok(self.open()?.tier_hazards()?.iter().map(Hazard::of).collect())
    }

    /// Waits until the tier knows of every attempt that ended here.
    fn flush_tier(&self, py: Python<'_>, limit: Seconds) -> Given<()> {
        let limit = limit.of("limit")?;
        // Not `open`: what an engine that was closed has left to tell is told, too.
        let handle = self.shared();
        Ok(handle.ask(py, |engine| engine.flush_tier(limit))?)
    }
}

/// Sets what was given.
fn set<T>(options: Options, value: Option<T>, with: impl FnOnce(Options, T) -> Options) -> Options {
    match value {
        Some(value) => with(options, value),
        None => options,
    }
}
