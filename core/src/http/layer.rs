//! The layer, and how it is set up.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::request::Parts;
use tower_layer::Layer;

use super::ScopeSource;
use super::service::{IdempotencyService, Task};
use super::settings::{LARGEST_OUTCOME, Settings, is_never_kept};
use crate::{BeginOptions, Engine, Error, ErrorCode, OnConflict, OutcomePolicy, Payload};

/// Makes services run each request with an idempotency key once.
///
/// Place it inside the layers that authenticate and limit requests, so that nobody unknown can
/// make records, and outside of those whose effects must not be repeated.
///
/// | request | what happens |
/// |---|---|
/// | `GET` and what else is [safe](crate::MethodClass::Safe) | passed on untouched |
/// | `PUT`, `DELETE` without a key | passed on; see [`dedup_by_payload`](Self::dedup_by_payload) |
/// | any other method without a key | 400; see [`require_key`](Self::require_key) |
/// | with a key | runs once |
/// | with a [`RunningAttempt`](super::RunningAttempt), below another layer | passed on untouched |
///
/// Which responses are final is a matter of the [`policy`](Self::policy). A replay has the status,
/// the body and the [kept headers](Self::keep_header) of the first response. A response whose
/// parts cannot all be kept (too long, `text/event-stream`, trailers, a kept header that is not
/// UTF-8) goes to its client as it is; duplicates then get 409, and nothing runs again. A response
/// that is not final holds its lease until its body is done, whether or not it is held back.
///
/// Cost: the body of a request with a key is held in memory while its handler runs, and its
/// response until it is complete or over the limit. One allocation for a request that is passed
/// on, a few for one with a record.
///
/// ```
/// use std::sync::Arc;
/// use oncegate::Engine;
/// use oncegate::http::{IdempotencyLayer, ScopeSource};
///
/// let engine = Arc::new(Engine::builder().capacity(10_000).build()?);
/// let layer = IdempotencyLayer::new(engine, |_parts| ScopeSource::SingleTenant)
///     .payload_limit(256 << 10);
/// # drop(layer);
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct IdempotencyLayer {
    settings: Settings,
}

impl IdempotencyLayer {
    /// A layer over `engine`. `scope` says whose request it is; there is no default.
    ///
    /// `scope` is called once for each request that needs a record, and must not block.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use oncegate::{Engine, http::{IdempotencyLayer, ScopeSource}};
    /// # let engine = Arc::new(Engine::builder().capacity(1_000).build()?);
    /// let layer = IdempotencyLayer::new(engine, |_parts| ScopeSource::SingleTenant);
    /// # drop(layer);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn new(
        engine: Arc<Engine>,
        scope: impl Fn(&Parts) -> ScopeSource + Send + Sync + 'static,
    ) -> Self {
        Self { settings: Settings::new(engine, Arc::new(scope)) }
    }

    /// Whether methods that change something need a key (`POST`, `PATCH` and every other but those
    /// of the table above). Default: yes, and 400 without one.
    ///
    /// With `false`, a request without a key runs **unprotected**, as often as it is sent.
    ///
    /// ```
    /// # use oncegate::http::IdempotencyLayer;
    /// fn lenient(layer: IdempotencyLayer) -> IdempotencyLayer {
    ///     layer.require_key(false)
    /// }
    /// ```
    pub fn require_key(mut self, required: bool) -> Self {
        self.settings.require_key = required;
        self
    }

    /// Whether `PUT` and `DELETE` without a key are identified by their payload. Default: no, they
    /// pass, since running them twice is what their methods allow.
    ///
    /// Mind the way back: after A and then B, A again inside the dedup window is answered from
    /// the record of the first A, and does not run.
    ///
    /// ```
    /// # use oncegate::http::IdempotencyLayer;
    /// fn strict(layer: IdempotencyLayer) -> IdempotencyLayer {
    ///     layer.dedup_by_payload(true)
    /// }
    /// ```
    pub fn dedup_by_payload(mut self, dedup: bool) -> Self {
        self.settings.dedup_by_payload = dedup;
        self
    }

    /// The header that holds the key. Default: `Idempotency-Key`.
    ///
    /// ```
    /// # use oncegate::http::IdempotencyLayer;
    /// fn like_paypal(layer: IdempotencyLayer) -> IdempotencyLayer {
    ///     layer.key_header(http::HeaderName::from_static("paypal-request-id"))
    /// }
    /// ```
    pub fn key_header(mut self, name: HeaderName) -> Self {
        self.settings.key_header = name;
        self
    }

    /// The header that marks a replay, with the value `true`. Default: `Idempotent-Replayed`.
    ///
    /// ```
    /// # use oncegate::http::IdempotencyLayer;
    /// fn renamed(layer: IdempotencyLayer) -> IdempotencyLayer {
    ///     layer.replay_header(http::HeaderName::from_static("x-replayed"))
    /// }
    /// ```
    pub fn replay_header(mut self, name: HeaderName) -> Self {
        self.settings.replay_header = name;
        self
    }

    /// What is asked for, 1 to 1,024 bytes. Default: method, space, path and query as the layer
    /// sees them. A longer one is answered with 414, an empty one with 500.
    ///
    /// Needed where they do not say it all: behind something that strips a prefix, such as
    /// axum's `nest`, and where the host decides.
    ///
    /// ```
    /// # use oncegate::http::IdempotencyLayer;
    /// fn by_version(layer: IdempotencyLayer) -> IdempotencyLayer {
    ///     layer.operation(|parts| format!("v2 {} {}", parts.method, parts.uri.path()))
    /// }
    /// ```
    pub fn operation(
        mut self,
        operation: impl Fn(&Parts) -> String + Send + Sync + 'static,
    ) -> Self {
        self.settings.operation = Some(Arc::new(operation));
        self
    }

    /// The largest request with a key, in bytes, up to [`Payload::MAX_BYTES`]. Default: 1 MiB.
    /// A larger one is answered with 413 before anything is admitted.
    ///
    /// ```
    /// # use oncegate::http::IdempotencyLayer;
    /// fn small(layer: IdempotencyLayer) -> IdempotencyLayer {
    ///     layer.payload_limit(64 << 10)
    /// }
    /// ```
    pub fn payload_limit(mut self, bytes: usize) -> Self {
        self.settings.payload_limit = bytes.min(Payload::MAX_BYTES);
        self
    }

    /// The longest response body that is held back to be kept, in bytes, at most 1,000,000, which
    /// is the default.
    ///
    /// Nothing beyond the engine's
    /// [`outcome_limit`](crate::EngineBuilder::outcome_limit) is kept: set both to the same.
    ///
    /// ```
    /// # use oncegate::http::IdempotencyLayer;
    /// fn small(layer: IdempotencyLayer) -> IdempotencyLayer {
    ///     layer.response_limit(16 << 10)
    /// }
    /// ```
    pub fn response_limit(mut self, bytes: usize) -> Self {
        self.settings.response_limit = bytes.min(LARGEST_OUTCOME);
        self
    }

    /// Adds a header of the first response that replays repeat.
    ///
    /// Kept from the start: `cache-control`, `content-disposition`, `content-encoding`,
    /// `content-language`, `content-location`, `content-type`, `etag`, `last-modified`, `link`,
    /// `location`, `vary`.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidConfig`]: a header that belongs to one client or one connection
    /// (`set-cookie`, `authorization`, `connection`, …), or to the message (`content-length`,
    /// `date`), is never replayed.
    ///
    /// ```
    /// # use oncegate::{Error, http::IdempotencyLayer};
    /// fn with_id(layer: IdempotencyLayer) -> Result<IdempotencyLayer, Error> {
    ///     layer.keep_header(http::HeaderName::from_static("x-charge-id"))
    /// }
    /// ```
    pub fn keep_header(mut self, name: HeaderName) -> Result<Self, Error> {
        if is_never_kept(&name) {
            let limit = "a header that is the same for every client and connection";
            let found = "a header of one client, connection or message";
            return Err(Error::new(ErrorCode::InvalidConfig, "keep_header", found, limit));
        }
        if !self.settings.kept_headers.contains(&name) {
            self.settings.kept_headers.push(name);
        }
        Ok(self)
    }

    /// How attempts begin: lease, dedup window, lapse. What it says of conflicts is not used; see
    /// [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidOption`], as [`Engine::begin_with`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::{BeginOptions, Error, http::IdempotencyLayer};
    /// fn patient(layer: IdempotencyLayer) -> Result<IdempotencyLayer, Error> {
    ///     layer.begin(BeginOptions::new().lease_duration(Duration::from_secs(120)))
    /// }
    /// ```
    pub fn begin(mut self, options: BeginOptions) -> Result<Self, Error> {
        options.check()?;
        self.settings.begin = options.on_conflict(OnConflict::Conflict);
        Ok(self)
    }

    /// Lets duplicates wait for the running attempt, until the future that `limit` makes is done.
    /// Default: they get 409 and `Retry-After` at once. The engine's own
    /// [`OnConflict`] is not used: it may block a thread.
    ///
    /// The future is a timer of the caller's runtime, such as `tokio::time::sleep`. A waiter
    /// costs no processor time. If the running attempt fails, exactly one waiter becomes the next
    /// attempt. When the limit is over, the answer is what it would have been without waiting.
    ///
    /// ```
    /// # use oncegate::http::IdempotencyLayer;
    /// # async fn sleep(_: std::time::Duration) {}
    /// fn patient(layer: IdempotencyLayer) -> IdempotencyLayer {
    ///     layer.wait(|| sleep(std::time::Duration::from_secs(5)))
    /// }
    /// ```
    pub fn wait<F>(mut self, limit: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.settings.wait = Some(Arc::new(move || Box::pin(limit())));
        self
    }

    /// Which responses are final. Default: [`OutcomePolicy::ietf`].
    ///
    /// A response that is not final is given to its client, and the next attempt may start when
    /// its body has ended, broke off or was dropped, or when the lease lapses.
    ///
    /// ```
    /// # use oncegate::{OutcomePolicy, http::IdempotencyLayer};
    /// fn replay_all(layer: IdempotencyLayer) -> IdempotencyLayer {
    ///     layer.policy(OutcomePolicy::stripe_v1())
    /// }
    /// ```
    pub fn policy(mut self, policy: OutcomePolicy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// The longest `Retry-After` of a conflict with a running attempt, in whole seconds, rounded
    /// up. Default: 1 s, or the rest of the lease if that is shorter. Also what clients are told
    /// when the engine is full.
    ///
    /// ```
    /// # use oncegate::http::IdempotencyLayer;
    /// fn slower(layer: IdempotencyLayer) -> IdempotencyLayer {
    ///     layer.poll_after(std::time::Duration::from_secs(5))
    /// }
    /// ```
    pub fn poll_after(mut self, delay: Duration) -> Self {
        self.settings.poll_after = delay;
        self
    }

    /// Where problems are documented: the `type` of a problem is `base` and its code. Default:
    /// `about:blank`; the code has a member of its own in any case.
    ///
    /// ```
    /// # use oncegate::http::IdempotencyLayer;
    /// fn documented(layer: IdempotencyLayer) -> IdempotencyLayer {
    ///     layer.problem_types("https://api.example.com/problems/")
    /// }
    /// ```
    pub fn problem_types(mut self, base: &str) -> Self {
        self.settings.problem_types = Some(base.into());
        self
    }

    /// Runs each request with a record as a task that `spawn` starts, so that a handler runs to
    /// its end when its client has left, and the body of its response is read to its end, unless
    /// it is an event stream. Default: the handler is dropped with its connection.
    ///
    /// `spawn` gives the task to an executor and returns; with tokio,
    /// `|task| drop(tokio::spawn(task))`. A task that the executor drops resolves its record by
    /// [`OnDrop`](crate::OnDrop), and so does a panic; its client gets 500 in both cases.
    /// Duplicates cost a task, too; those that wait leave with their client.
    ///
    /// ```
    /// # use oncegate::http::IdempotencyLayer;
    /// fn on_threads(layer: IdempotencyLayer) -> IdempotencyLayer {
    ///     layer.spawn_with(|task| {
    ///         // … hand `task` to the executor …
    ///         drop(task);
    ///     })
    /// }
    /// ```
    pub fn spawn_with(mut self, spawn: impl Fn(Task) + Send + Sync + 'static) -> Self {
        self.settings.spawn = Some(Arc::new(spawn));
        self
    }
}

impl<S> Layer<S> for IdempotencyLayer {
    type Service = IdempotencyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        IdempotencyService::new(inner, Arc::new(self.settings.clone()))
    }
}

impl fmt::Debug for IdempotencyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyLayer")
            .field("engine", &self.settings.engine)
            .field("key_header", &self.settings.key_header)
            .field("require_key", &self.settings.require_key)
            .field("payload_limit", &self.settings.payload_limit)
            .field("response_limit", &self.settings.response_limit)
            .finish_non_exhaustive()
    }
}
