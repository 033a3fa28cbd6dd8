//! Ending: what ends an attempt together with the body of its response.

use std::sync::Arc;

use crate::{Engine, Failure, LeaseToken, Verdict};

/// An attempt whose response is no result, and whose handler may still be making its body.
///
/// Dropping it ends the attempt: the body has ended, broke off, or nobody reads it any more. The
/// lease goes on until then, and if it lapses before, the engine refuses this end as fenced.
pub(super) struct Ending {
    engine: Arc<Engine>,
    token: LeaseToken,
    verdict: Verdict,
    on_error: Verdict,
}

impl Ending {
    /// The end of the attempt of `token` by `verdict`, or by `on_error` if its body breaks off.
    pub(super) fn new(
        engine: Arc<Engine>,
        token: LeaseToken,
        verdict: Verdict,
        on_error: Verdict,
    ) -> Self {
        Self { engine, token, verdict, on_error }
    }

    /// The body broke off.
    pub(super) fn broke(&mut self) {
        // An effect that is unknown does not become known by that.
        if self.verdict == Verdict::Retryable {
            self.verdict = self.on_error;
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        // The client has the response, whether or not another attempt took over meanwhile.
        let _ = self.engine.fail_soon(&self.token, failure(self.verdict));
    }
}

/// How an attempt ends that left no final response.
pub(super) fn failure(verdict: Verdict) -> Failure {
    match verdict {
        Verdict::Retryable => Failure::retryable(),
        Verdict::Final | Verdict::Unknown => Failure::unknown(),
    }
}
