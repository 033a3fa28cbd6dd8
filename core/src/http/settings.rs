//! What the layer decides by, and its defaults with their reasons.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderName, header};

use super::ScopeSource;
use super::service::Task;
use crate::{BeginOptions, Engine, OnConflict, OutcomePolicy};

/// Everything that the layer decides by.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) engine: Arc<Engine>,
    pub(super) scope: ScopeOf,
    pub(super) operation: Option<OperationOf>,
    pub(super) key_header: HeaderName,
    pub(super) require_key: bool,
    pub(super) dedup_by_payload: bool,
    pub(super) payload_limit: usize,
    pub(super) response_limit: usize,
    /// Never blocks: waiting is done by `wait`.
    pub(super) begin: BeginOptions,
    pub(super) wait: Option<Arc<dyn Fn() -> Task + Send + Sync>>,
    pub(super) policy: OutcomePolicy,
    pub(super) replay_header: HeaderName,
    pub(super) kept_headers: Vec<HeaderName>,
    pub(super) poll_after: Duration,
    pub(super) problem_types: Option<Arc<str>>,
    pub(super) spawn: Option<Arc<dyn Fn(Task) + Send + Sync>>,
}

/// Says whose request it is.
type ScopeOf = Arc<dyn Fn(&Parts) -> ScopeSource + Send + Sync>;

/// Says what is asked for.
type OperationOf = Arc<dyn Fn(&Parts) -> String + Send + Sync>;

impl Settings {
    pub(super) fn new(engine: Arc<Engine>, scope: ScopeOf) -> Self {
        Self {
            engine,
            scope,
            operation: None,
            key_header: HeaderName::from_static("idempotency-key"),
            // To run without protection is a decision, not a default.
            require_key: true,
            // A value that comes back (A, B, A) would be taken for a duplicate.
            dedup_by_payload: false,
            // Far above what calls that change something carry; uploads need a limit of their own.
            payload_limit: 1 << 20,
            // No engine keeps more; its own limit decides.
            response_limit: LARGEST_OUTCOME,
            begin: BeginOptions::new().on_conflict(OnConflict::Conflict),
            wait: None,
            policy: OutcomePolicy::ietf(),
            replay_header: HeaderName::from_static("idempotent-replayed"),
            kept_headers: KEPT.to_vec(),
            // The remaining lease is what a handler may take, not what it usually takes.
            poll_after: Duration::from_secs(1),
            problem_types: None,
            spawn: None,
        }
    }
}

/// Whether a header must not be replayed, whatever the caller wants.
pub(super) fn is_never_kept(name: &HeaderName) -> bool {
    NEVER_KEPT.contains(&name.as_str())
}

/// The largest limit for outcomes that an engine can be given.
pub(super) const LARGEST_OUTCOME: usize = 1_000_000;

/// Headers that describe the result, and say nothing of who asked for it.
const KEPT: [HeaderName; 11] = [
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_TYPE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LINK,
    header::LOCATION,
    header::VARY,
];

/// Credentials; headers of one connection (RFC 9110, section 7.6.1); headers of one message.
const NEVER_KEPT: [&str; 19] = [
    "set-cookie",
    "set-cookie2",
    "authorization",
    "authentication-info",
    "proxy-authentication-info",
    "www-authenticate",
    "proxy-authenticate",
    "proxy-authorization",
    "cookie",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "date",
    "age",
];
