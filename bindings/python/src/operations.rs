//! Operations: how the attempts of one are retried, and how many run at a time.

use oncegate::OperationSettings;
use pyo3::prelude::*;

use crate::engine::Engine;
use crate::error::Given;
use crate::policy::RetryPolicy;

#[pymethods]
impl Engine {
    /// Sets how attempts of an operation are retried, in this process, and how many run at a time.
    #[pyo3(signature = (operation, *, policy = None, max_in_flight = None))]
    fn set_operation(
        &self,
        operation: &str,
        policy: Option<RetryPolicy>,
        max_in_flight: Option<usize>,
    ) -> Given<()> {
        let mut settings = OperationSettings::new();
        if let Some(policy) = policy {
            settings = settings.policy(policy.0);
        }
        if let Some(attempts) = max_in_flight {
            settings = settings.max_in_flight(attempts);
        }
        Ok(self.open()?.set_operation(operation, settings)?)
    }
}
