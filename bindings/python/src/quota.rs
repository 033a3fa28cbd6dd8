//! Quotas and rules for keys.

use pyo3::prelude::*;

use crate::choice::Charset;

/// How much of a table a scope may have.
#[pyclass(frozen, module = "oncegate", from_py_object)]
#[derive(Clone)]
pub(crate) struct Quota {
    pub(crate) quota: oncegate::Quota,
    #[pyo3(get)]
    max_live: Option<u64>,
    #[pyo3(get)]
    rate: Option<f64>,
    #[pyo3(get)]
    burst: u32,
}

#[pymethods]
impl Quota {
    #[new]
    #[pyo3(signature = (*, max_live = None, rate = None, burst = 1))]
    fn new(max_live: Option<u64>, rate: Option<f64>, burst: u32) -> Self {
        let mut quota = oncegate::Quota::unlimited();
        if let Some(records) = max_live {
            quota = quota.max_live(records);
        }
        if let Some(per_second) = rate {
            quota = quota.rate(per_second, burst);
        }
        Self { quota, max_live, rate, burst }
    }
}

/// Which idempotency keys are accepted.
#[pyclass(frozen, module = "oncegate", from_py_object)]
#[derive(Clone)]
pub(crate) struct KeyRules(pub(crate) oncegate::KeyRules);

#[pymethods]
impl KeyRules {
    #[new]
    #[pyo3(signature = (
        *, min_len = 1, max_len = 255, uuid = false, charset = None, refuse_predictable = false
    ))]
    fn new(
        min_len: usize,
        max_len: usize,
        uuid: bool,
        charset: Option<Charset>,
        refuse_predictable: bool,
    ) -> Self {
        let mut rules = oncegate::KeyRules::any().min_len(min_len).max_len(max_len);
        if uuid {
            rules = rules.uuid();
        }
        if let Some(Charset(charset)) = charset {
            rules = rules.charset(charset);
        }
        Self(if refuse_predictable { rules.refuse_predictable() } else { rules })
    }

    /// Raises `InvalidInputError` where a key breaks them.
    fn check(&self, key: crate::bytes::Text) -> crate::error::Given<()> {
        Ok(self.0.check(&key.0)?)
    }
}
