//! Answers that no handler gave: replays, and problems as RFC 9457 describes them.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE};
use http::response::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;

use super::body::LayerBody;
use super::settings::Settings;
use crate::sync::planted::Bug;
use crate::{Admission, Error, ErrorCode, Outcome};

/// Why the layer answers in the handler's place.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    /// Stable, for programs.
    code: &'static str,
    /// For people; never a value that the client sent.
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, code, detail: detail.into(), retry_after: None }
    }

    fn after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// The attempt ended without a response: it panicked, or its body broke off.
    pub(super) fn aborted() -> Self {
        let detail = "the attempt ended without a response; ask again with the same key";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "aborted", detail)
    }

    /// The service gave a scope, an operation or a setting that no record can have.
    pub(super) fn misconfigured() -> Self {
        let detail = "the service's own settings were refused, so nothing was run";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "misconfigured", detail)
    }

    pub(super) fn response<B>(self, settings: &Settings) -> Response<LayerBody<B>> {
        let kind = match &settings.problem_types {
            None => "about:blank".to_owned(),
            Some(base) => format!("{base}{}", self.code),
        };
        let body = json!({
            "type": kind,
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        let mut response = Response::new(LayerBody::whole(body.to_string().into(), None));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // It holds for this moment only.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(delay) = self.retry_after {
            headers.insert(RETRY_AFTER, whole_seconds(delay).into());
        }
        response
    }
}

/// What the client hears of an error of the engine.
pub(super) fn refusal(error: &Error, settings: &Settings) -> Problem {
    use ErrorCode as C;
    let later = error.retry_after().unwrap_or(settings.poll_after);
    let explained = |status, code| Problem::new(status, code, error.to_string());
    match error.code() {
        C::InvalidKey => explained(StatusCode::BAD_REQUEST, "invalid-key"),
        C::InvalidPayload => explained(StatusCode::BAD_REQUEST, "invalid-payload"),
        C::InvalidOperation => explained(StatusCode::URI_TOO_LONG, "operation-too-long"),
        C::QuotaExceeded => explained(StatusCode::TOO_MANY_REQUESTS, "quota-exceeded").after(later),
        C::Fenced => {
            let detail = "the attempt outlived its lease and another one took over; ask again \
                          with the same key for its result";
            Problem::new(StatusCode::CONFLICT, "fenced", detail).after(later)
        }
        C::Full | C::TooManyWaiters | C::RotationPending => {
            let detail = "no room for a new record; ask again later with the same key";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "full", detail).after(later)
        }
        C::BudgetExhausted => {
            let detail = "too many requests are being retried; ask again later with the same key";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Problem::new(status, "retry-budget-exhausted", detail).after(later)
        }
        C::TierUnavailable => {
            let detail = "requests cannot be deduplicated at the moment; ask again later with the \
                          same key";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "tier-unavailable", detail).after(later)
        }
        C::Forked
        | C::Exhausted
        | C::NoMemory
        | C::NoEntropy
        | C::RegionMismatch
        | C::WrongSecret
        | C::FileRefused
        | C::RegionInvalid
        | C::RegistryFull
        | C::RegionInUse
        | C::Os
        | C::Unsupported
        | C::TierUnsafe => {
            let detail = "requests cannot be deduplicated here, so none is run";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
        }
        C::InvalidScope
        | C::InvalidConfig
        | C::InvalidOption
        | C::InvalidOutcome
        | C::InvalidToken
        | C::NotFound => Problem::misconfigured(),
    }
}

/// The answer to a duplicate, which runs nothing.
pub(super) fn duplicate<B>(
    admission: Admission<'_>,
    settings: &Settings,
) -> Response<LayerBody<B>> {
    let conflict = |code, detail| Problem::new(StatusCode::CONFLICT, code, detail);
    let problem = match admission {
        Admission::Replayed(outcome) => return replay(&outcome, settings),
        Admission::InProgress { remaining, .. } => {
            let detail = "a request with this key is still running";
            conflict("in-progress", detail).after(remaining.min(settings.poll_after))
        }
        Admission::Scheduled { due_in, .. } => {
            conflict("scheduled", "a request with this key waits for its next attempt")
                .after(due_in)
        }
        Admission::Mismatched => {
            let detail = "this key was used with another payload";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "mismatched", detail)
        }
        Admission::Unresolved => {
            let detail = "nobody knows whether the request with this key took effect; it does \
                          not run again until that is resolved";
            conflict("unresolved", detail)
        }
        // A lease never comes here; dropping it gives it back.
        Admission::OutcomeGone | Admission::Admitted(_) => {
            let detail = "the request with this key has finished, but its response was not kept";
            conflict("outcome-gone", detail)
        }
    };
    problem.response(settings)
}

/// What is kept of a response. `None`: it cannot be kept whole.
pub(super) fn keep(parts: &Parts, body: &Bytes, settings: &Settings) -> Option<Outcome> {
    let mut outcome = Outcome::new(parts.status.as_u16(), body);
    let cookie = Bug::CookieReplayed.is_planted().then_some(&SET_COOKIE);
    for name in settings.kept_headers.iter().chain(cookie) {
        for value in parts.headers.get_all(name) {
            let value = std::str::from_utf8(value.as_bytes()).ok()?;
            outcome = outcome.with_metadata(name.as_str(), value).ok()?;
        }
    }
    Some(outcome)
}

fn replay<B>(outcome: &Outcome, settings: &Settings) -> Response<LayerBody<B>> {
    let body = Bytes::copy_from_slice(outcome.body());
    let mut response = Response::new(LayerBody::whole(body, None));
    // A record that was resolved by hand may hold any number.
    *response.status_mut() =
        StatusCode::from_u16(outcome.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in outcome.metadata() {
        let entry = (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes()));
        // Metadata of other origin is replayed by the same list.
        if let (Ok(name), Ok(value)) = entry
            && (settings.kept_headers.contains(&name) || Bug::CookieReplayed.is_planted())
        {
            response.headers_mut().append(name, value);
        }
    }
    let marker = settings.replay_header.clone();
    response.headers_mut().insert(marker, HeaderValue::from_static("true"));
    response
}

/// Rounded up, and never zero: a client must not come back at once.
fn whole_seconds(delay: Duration) -> u64 {
    let started = u64::from(delay.subsec_nanos() > 0);
    delay.as_secs().saturating_add(started).max(1)
}
