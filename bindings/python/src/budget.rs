//! Retry budgets: how many retries all requests together may make.

use oncegate::FailureKind;
use pyo3::prelude::*;

use crate::choice::Charge;
use crate::engine::Engine;
use crate::error::{Given, Refused};
use crate::request::AnyScope;
use crate::time::{Seconds, given};

/// How many retries all requests together may make.
#[pyclass(frozen, module = "oncegate", from_py_object)]
#[derive(Clone)]
pub(crate) struct RetryBudget(oncegate::RetryBudget);

#[pymethods]
impl RetryBudget {
    /// Tokens, which retries or failures take, and successes and time bring.
    #[staticmethod]
    #[pyo3(signature = (
        *, name = "", capacity = None, cost = None, cost_throttled = None,
        cost_timeout = None, charge = None, threshold = None, success = None, refund_cost = None,
        refill_per_second = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option that Python names")]
    fn bucket(
        name: &str,
        capacity: Option<f64>,
        cost: Option<f64>,
        cost_throttled: Option<f64>,
        cost_timeout: Option<f64>,
        charge: Option<Charge>,
        threshold: Option<f64>,
        success: Option<f64>,
        refund_cost: Option<bool>,
        refill_per_second: Option<f64>,
    ) -> Given<Self> {
        let mut bucket = oncegate::RetryBudget::bucket().name(name);
        if let Some(tokens) = capacity {
            bucket = bucket.capacity(tokens);
        }
        let costs = [
            (FailureKind::Transient, cost),
            // What is not said costs what an error costs that may pass.
            (FailureKind::Throttled, cost_throttled.or(cost)),
            (FailureKind::Timeout, cost_timeout.or(cost)),
        ];
        for (kind, tokens) in costs {
            if let Some(tokens) = tokens {
                bucket = bucket.cost(kind, tokens);
            }
        }
        if let Some(Charge(charge)) = charge {
            bucket = bucket.charge(charge);
        }
        if let Some(tokens) = threshold {
            bucket = bucket.threshold(tokens);
        }
        if let Some(tokens) = success {
            bucket = bucket.success(tokens);
        }
        if let Some(refunds) = refund_cost {
            bucket = bucket.refund_cost(refunds);
        }
        if let Some(tokens) = refill_per_second {
            bucket = bucket.refill_per_second(tokens);
        }
        Ok(Self(bucket.build()?))
    }

    /// The retry throttling of gRPC A6.
    #[staticmethod]
    #[pyo3(signature = (max_tokens = 10, token_ratio = 0.1, *, name = ""))]
    fn grpc(max_tokens: u32, token_ratio: f64, name: &str) -> Given<Self> {
        Ok(Self(oncegate::RetryBudget::grpc(max_tokens, token_ratio).name(name).build()?))
    }

    /// That of the SDKs of AWS, mode `standard`.
    #[staticmethod]
    #[pyo3(signature = (*, name = "", capacity = 500.0))]
    fn aws_standard(name: &str, capacity: f64) -> Given<Self> {
        Ok(Self(oncegate::RetryBudget::aws_standard().capacity(capacity).name(name).build()?))
    }

    /// That of the SDKs of AWS as of 2026.
    #[staticmethod]
    #[pyo3(signature = (*, name = "", capacity = 500.0))]
    fn aws_2026(name: &str, capacity: f64) -> Given<Self> {
        Ok(Self(oncegate::RetryBudget::aws_2026().capacity(capacity).name(name).build()?))
    }

    /// A share of the first attempts of the last seconds.
    #[staticmethod]
    #[pyo3(signature = (
        *, name = "", ratio = None, min_per_second = None, ttl = None, slices = None
    ))]
    fn ratio(
        name: &str,
        ratio: Option<f64>,
        min_per_second: Option<u32>,
        ttl: Option<Seconds>,
        slices: Option<u32>,
    ) -> Given<Self> {
        let mut budget = oncegate::RetryBudget::finagle().name(name);
        if let Some(ratio) = ratio {
            budget = budget.ratio(ratio);
        }
        if let Some(retries) = min_per_second {
            budget = budget.min_per_second(retries);
        }
        if let Some(ttl) = given("ttl", ttl)? {
            budget = budget.ttl(ttl);
        }
        if let Some(slices) = slices {
            budget = budget.slices(slices);
        }
        Ok(Self(budget.build()?))
    }

    /// A share of the requests under way.
    #[staticmethod]
    #[pyo3(signature = (*, name = "", share = None, min_retries = None))]
    fn concurrency(name: &str, share: Option<f64>, min_retries: Option<u32>) -> Given<Self> {
        let mut budget = oncegate::RetryBudget::envoy().name(name);
        if let Some(share) = share {
            budget = budget.share(share);
        }
        if let Some(retries) = min_retries {
            budget = budget.min_retries(retries);
        }
        Ok(Self(budget.build()?))
    }

    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    fn __repr__(&self) -> String {
        format!("RetryBudget({:?})", self.0.name())
    }
}

#[pymethods]
impl Engine {
    /// Sets the retry budget of all attempts, or of a scope, or of an operation, in this process.
    #[pyo3(signature = (budget, *, scope = None, operation = None))]
    fn set_retry_budget(
        &self,
        budget: RetryBudget,
        scope: Option<AnyScope>,
        operation: Option<&str>,
    ) -> Given<()> {
        let engine = self.open()?;
        match (scope, operation) {
            (None, None) => engine.set_retry_budget(budget.0)?,
            (Some(scope), None) => engine.set_scope_budget(scope.0.view()?, budget.0)?,
            (None, Some(operation)) => engine.set_operation_budget(operation, budget.0)?,
            (Some(_), Some(_)) => {
                let found = "a scope, and an operation".to_owned();
                return Err(Refused::Input("scope", found, "one of both"));
            }
        }
        Ok(())
    }

    /// Takes the retry budget of a scope away, if it has one.
    fn remove_retry_budget(&self, scope: AnyScope) -> Given<()> {
        Ok(self.open()?.remove_scope_budget(scope.0.view()?)?)
    }
}
