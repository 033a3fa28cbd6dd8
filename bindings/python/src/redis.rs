//! Redis: the settings of a server that several hosts share.

use oncegate::tier::{Redis as Store, RedisBuilder};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::error::{Given, Refused};
use crate::time::{Seconds, given};

/// A Redis or Valkey server that engines share records by.
#[pyclass(frozen, module = "oncegate", from_py_object)]
#[derive(Clone)]
pub(crate) struct Redis {
    builder: RedisBuilder,
    prefix: String,
}

#[pymethods]
impl Redis {
    #[new]
    #[pyo3(signature = (
        url, *, user = None, sentinels = None, cluster = None, resp3 = false, prefix = "oncegate:",
        connections = None, pipeline = None, queue = None, connect_within = None,
        wait_replicas = None, outcome_limit = None, compress_from = None, encryption_key = None,
        retiring_key = None, allow_eviction = false, tls_root = None, tls_client = None,
        dead_letters = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option that Python names")]
    fn new(
        url: &str,
        user: Option<(String, String)>,
        sentinels: Option<(String, Vec<String>)>,
        cluster: Option<Vec<String>>,
        resp3: bool,
        prefix: &str,
        connections: Option<usize>,
        pipeline: Option<usize>,
        queue: Option<usize>,
        connect_within: Option<Seconds>,
        wait_replicas: Option<(usize, Seconds)>,
        outcome_limit: Option<usize>,
        compress_from: Option<usize>,
        encryption_key: Option<&Bound<'_, PyBytes>>,
        retiring_key: Option<&Bound<'_, PyBytes>>,
        allow_eviction: bool,
        tls_root: Option<&[u8]>,
        tls_client: Option<(Vec<u8>, Vec<u8>)>,
        dead_letters: Option<usize>,
    ) -> Given<Self> {
        let mut builder = Store::builder(url).resp3(resp3).allow_eviction(allow_eviction);
        if let Some((name, password)) = &user {
            builder = builder.user(name, password);
        }
        if let Some((name, urls)) = &sentinels {
            builder = builder.sentinels(name, &texts(urls));
        }
        if let Some(urls) = &cluster {
            builder = builder.cluster(&texts(urls));
        }
        builder = set(builder, connections, RedisBuilder::connections);
        builder = set(builder, pipeline, RedisBuilder::pipeline);
        builder = set(builder, queue, RedisBuilder::queue);
        let within = given("connect_within", connect_within)?;
        builder = set(builder, within, RedisBuilder::connect_within);
        if let Some((replicas, time)) = wait_replicas {
            builder = builder.wait_replicas(replicas, time.of("wait_replicas")?);
        }
        builder = set(builder, outcome_limit, RedisBuilder::outcome_limit);
        builder = set(builder, compress_from, RedisBuilder::compress_from);
        let key = key_of("encryption_key", encryption_key)?;
        builder = set(builder, key, RedisBuilder::encryption_key);
        let key = key_of("retiring_key", retiring_key)?;
        builder = set(builder, key, RedisBuilder::retiring_key);
        builder = set(builder, tls_root, RedisBuilder::tls_root);
        if let Some((certificate, key)) = &tls_client {
            builder = builder.tls_client(certificate, key);
        }
        builder = set(builder, dead_letters, RedisBuilder::dead_letters);
        Self::checked(builder, prefix)
    }

    /// Neither the URL, which may hold a password, nor keys.
    fn __repr__(&self) -> String {
        format!("Redis(prefix={:?})", self.prefix)
    }
}

impl Redis {
    fn checked(builder: RedisBuilder, prefix: &str) -> Given<Self> {
        let redis = Self { builder: builder.prefix(prefix), prefix: prefix.to_owned() };
        redis.store()?;
        Ok(redis)
    }

    /// The tier, which connects at its first use.
    pub(crate) fn store(&self) -> Given<Store> {
        self.builder.clone().build().map_err(|error| {
            // It names the setting, and never what a URL holds.
            Refused::Input("redis", error.what().to_owned(), "a URL, and settings in their ranges")
        })
    }
}

/// What `Engine(redis=...)` takes.
pub(crate) struct AnyRedis(pub(crate) Redis);

impl<'py> FromPyObject<'_, 'py> for AnyRedis {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match value.cast::<PyString>() {
            Ok(url) => Ok(Self(Redis::checked(Store::builder(&url.to_cow()?), PREFIX)?)),
            Err(_) => Ok(Self(value.extract()?)),
        }
    }
}

fn texts(given: &[String]) -> Vec<&str> {
    given.iter().map(String::as_str).collect()
}

fn key_of(field: &'static str, given: Option<&Bound<'_, PyBytes>>) -> Given<Option<[u8; 32]>> {
    let Some(bytes) = given.map(|bytes| bytes.as_bytes()) else { return Ok(None) };
    let key = <[u8; 32]>::try_from(bytes);
    let refused = |_| Refused::Input(field, format!("{} bytes", bytes.len()), "32 bytes");
    key.map(Some).map_err(refused)
}

/// Sets what was given.
fn set<T>(
    builder: RedisBuilder,
    value: Option<T>,
    with: impl FnOnce(RedisBuilder, T) -> RedisBuilder,
) -> RedisBuilder {
    match value {
        Some(value) => with(builder, value),
        None => builder,
    }
}

/// The engine's default.
const PREFIX: &str = "oncegate:";
