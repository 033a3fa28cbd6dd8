//! What a handler learns about its attempt.

use crate::{FencingToken, LeaseToken};

/// The attempt that a handler runs in: an extension of the request that it gets.
///
/// In axum it is extracted as `Extension<RunningAttempt>`. A request that the layer passes on
/// without a record has none.
///
/// **A lease is not a lock.** A handler that outlives its lease goes on running while the next
/// attempt runs. Write the fencing token beside whatever the handler changes, and let the store
/// refuse lower ones; or renew the lease in time.
///
/// ```
/// use oncegate::http::RunningAttempt;
///
/// fn handle(request: &http::Request<()>) -> u64 {
///     let attempt = request.extensions().get::<RunningAttempt>();
///     attempt.map_or(0, |attempt| attempt.fencing_token().get())
/// }
/// assert_eq!(handle(&http::Request::new(())), 0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RunningAttempt {
    token: LeaseToken,
}

impl RunningAttempt {
    pub(super) fn new(token: LeaseToken) -> Self {
        Self { token }
    }

    /// The token that downstream stores check.
    ///
    /// ```
    /// # use oncegate::http::RunningAttempt;
    /// fn sql(attempt: &RunningAttempt) -> String {
    ///     let fence = attempt.fencing_token().get();
    ///     format!("UPDATE account SET fence = {fence} WHERE fence < {fence}")
    /// }
    /// ```
    #[must_use]
    pub fn fencing_token(&self) -> FencingToken {
        self.token.fencing_token()
    }

    /// The attempt, from 1 on.
    ///
    /// ```
    /// # use oncegate::http::RunningAttempt;
    /// fn is_retry(attempt: &RunningAttempt) -> bool {
    ///     attempt.attempt() > 1
    /// }
    /// ```
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.token.attempt()
    }

    /// The lease as plain data, for [`Engine::renew`](crate::Engine::renew) in a long handler.
    /// The layer ends the attempt; a handler that does so itself has its response refused as
    /// fenced.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::{Engine, Error, http::RunningAttempt};
    /// fn go_on(engine: &Engine, attempt: &RunningAttempt) -> Result<(), Error> {
    ///     engine.renew(attempt.lease_token(), Duration::from_secs(60)).map(drop)
    /// }
    /// ```
    #[must_use]
    pub fn lease_token(&self) -> &LeaseToken {
        &self.token
    }
}
