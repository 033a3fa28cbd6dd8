//! A `tower` layer for HTTP servers: axum, hyper, and whatever else speaks [`tower_service`].
//!
//! Needs the feature `tower`. A request that carries an `Idempotency-Key` runs its handler once;
//! its duplicates get the stored response, or are told why not, as
//! draft-ietf-httpapi-idempotency-key-header says. With axum it is one line:
//! `router.layer(layer)`.
//!
//! ```
//! use std::sync::Arc;
//! use oncegate::Engine;
//! use oncegate::http::{IdempotencyLayer, ScopeSource};
//!
//! /// Put into the request by the layer that authenticated it.
//! #[derive(Clone)]
//! struct Account(String);
//!
//! let engine = Arc::new(Engine::builder().build()?);
//! let layer = IdempotencyLayer::new(engine, |parts| match parts.extensions.get::<Account>() {
//!     Some(Account(name)) => ScopeSource::named(name),
//!     None => ScopeSource::Refused,
//! });
//! # drop(layer);
//! # Ok::<(), oncegate::Error>(())
//! ```
//!
//! # Which record a request belongs to
//!
//! Scope, operation and key. The scope comes from the function that every layer is made with. The
//! operation is the method, path and query as the layer sees them: put the layer outside of
//! whatever rewrites paths, or see [`IdempotencyLayer::operation`]. The payload is compared on
//! every duplicate.
//!
//! # When the client leaves
//!
//! Servers drop the future of a request whose client has gone. What happens then is the caller's
//! choice:
//!
//! - By default the handler is dropped with it, wherever it stands, and the record is resolved by
//!   the engine's [`OnDrop`](crate::OnDrop): with `Retry`, a resend is attempt 2 under a higher
//!   fencing token.
//! - With [`IdempotencyLayer::spawn_with`], the handler runs to its end as a task of its own, and
//!   a resend gets its response. A response that is too long to be kept is read to its end, too;
//!   an event stream, which may have no end, is dropped. Handlers that move money want this.

mod answer;
mod attempt;
mod body;
mod ending;
mod key;
mod layer;
mod payload;
mod scope;
mod serve;
mod service;
mod settings;
#[cfg(test)]
mod tests;

pub use attempt::RunningAttempt;
pub use body::LayerBody;
pub use layer::IdempotencyLayer;
pub use scope::ScopeSource;
pub use service::{IdempotencyService, Task};

/// The examples of the guide are compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/http.md")]
mod guide {}
