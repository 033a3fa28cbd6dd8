//! One request with a record: from its identity to its answer.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;

use super::answer::{self, Problem};
use super::body::{LayerBody, Read, read};
use super::ending::{Ending, failure};
use super::payload::PayloadKind;
use super::settings::Settings;
use super::{RunningAttempt, ScopeSource, key};
use crate::sync::planted::Bug;
use crate::{Admission, Error, Lease, MethodClass, Outcome, Scope, Verdict, method_class};

/// What a request is recognised by, without its payload.
pub(super) struct Identity {
    scope: ScopeSource,
    operation: String,
    /// Without a key, the payload takes its place.
    key: Option<Vec<u8>>,
    kind: PayloadKind,
}

impl Identity {
    /// `None`: the request needs no record.
    pub(super) fn of(parts: &Parts, settings: &Settings) -> Result<Option<Self>, Problem> {
        let class = method_class(parts.method.as_str());
        // Below another layer the request has its record: a second one would find the first.
        let has_record = parts.extensions.get::<RunningAttempt>().is_some();
        if has_record || !class.needs_record() {
            return Ok(None);
        }
        let malformed =
            |key::Malformed(what)| Problem::new(StatusCode::BAD_REQUEST, "invalid-key", what);
        let key = key::read(&parts.headers, &settings.key_header).map_err(malformed)?;
        if key.is_none() {
            match class {
                MethodClass::PayloadDedup if settings.dedup_by_payload => {}
                MethodClass::KeyRequired if settings.require_key => {
                    let name = &settings.key_header;
                    let detail = format!("this request needs a key of its own in `{name}`");
                    return Err(Problem::new(StatusCode::BAD_REQUEST, "missing-key", detail));
                }
                _ => return Ok(None),
            }
        }
        let scope = (settings.scope)(parts);
        if scope == ScopeSource::Refused {
            let detail = "only a caller who is known may send a request with a key";
            return Err(Problem::new(StatusCode::FORBIDDEN, "no-scope", detail));
        }
        let operation = match &settings.operation {
            Some(operation) => operation(parts),
            // Without scheme and authority, which HTTP/2 sends in the target and HTTP/1 does not.
            None => {
                let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
                format!("{} {target}", parts.method)
            }
        };
        if operation.is_empty() {
            return Err(Problem::misconfigured());
        }
        Ok(Some(Self { scope, operation, key, kind: PayloadKind::of(&parts.headers) }))
    }

    fn request<'a>(&'a self, payload: &'a [u8]) -> Result<crate::Request<'a>, Error> {
        // Who is refused does not come here; the shared scope would be limited by its quota.
        let scope = self.scope.scope().unwrap_or(Ok(Scope::unauthenticated()))?;
        let payload = self.kind.payload(payload);
        match &self.key {
            Some(key) => Ok(crate::Request::new(scope, &self.operation, key)?.payload(payload)),
            None => crate::Request::by_payload(scope, &self.operation, payload),
        }
    }
}

/// A request whose body has been read, and the service that runs it.
pub(super) struct Job<S, B> {
    pub(super) identity: Identity,
    pub(super) payload: Bytes,
    pub(super) request: Request<LayerBody<B>>,
    pub(super) inner: S,
}

impl<S, B, C> Job<S, B>
where
    S: Service<Request<LayerBody<B>>, Response = Response<C>>,
    C: Body<Data = Bytes>,
{
    /// Runs the request, or answers for it. `None`: it waited, and its client has left, as `left`
    /// tells.
    pub(super) async fn run(
        self,
        settings: &Settings,
        left: impl FnMut(&mut Context<'_>) -> bool,
    ) -> Result<Option<Response<LayerBody<C>>>, S::Error> {
        let Self { identity, payload, request, inner } = self;
        let begun = match identity.request(&payload) {
            Ok(wanted) => begin(&wanted, settings, left).await,
            Err(error) => Some(Err(error)),
        };
        match begun {
            None => Ok(None),
            Some(Ok(Admission::Admitted(lease))) => {
                execute(lease, settings, request, inner).await.map(Some)
            }
            Some(Ok(other)) => Ok(Some(answer::duplicate(other, settings))),
            Some(Err(error)) => Ok(Some(answer::refusal(&error, settings).response(settings))),
        }
    }
}

/// Asks for admission, waiting where the settings say so. `None`: the client left meanwhile.
async fn begin<'s>(
    wanted: &crate::Request<'_>,
    settings: &'s Settings,
    mut left: impl FnMut(&mut Context<'_>) -> bool,
) -> Option<Result<Admission<'s>, Error>> {
    let at_once = async || settings.engine.begin_async(wanted, &settings.begin).await;
    let Some(limit) = &settings.wait else {
        return Some(at_once().await);
    };
    let mut limit = limit();
    let joined = {
        let mut join = pin!(settings.engine.join(wanted, &settings.begin));
        std::future::poll_fn(|context| {
            if left(context) {
                return Poll::Ready(None);
            }
            if let Poll::Ready(admission) = join.as_mut().poll(context) {
                return Poll::Ready(Some(Some(admission)));
            }
            limit.as_mut().poll(context).map(|()| Some(None))
        })
        .await?
    };
    match joined {
        Some(admission) => Some(admission),
        None => Some(at_once().await),
    }
}

/// Runs the handler, and ends the attempt by what came of it.
async fn execute<S, B, C>(
    lease: Lease<'_>,
    settings: &Settings,
    mut request: Request<LayerBody<B>>,
    mut inner: S,
) -> Result<Response<LayerBody<C>>, S::Error>
where
    S: Service<Request<LayerBody<B>>, Response = Response<C>>,
    C: Body<Data = Bytes>,
{
    request.extensions_mut().insert(RunningAttempt::new(*lease.token()));
    let (parts, body) = match inner.call(request).await {
        Ok(response) => response.into_parts(),
        Err(error) => {
            // The client gets the error, whether or not another attempt took over meanwhile.
            let _ = lease.fail_async(failure(settings.policy.judge_error())).await;
            return Err(error);
        }
    };
    // The handler may work on until its body has ended; only then may the next attempt start.
    let limit = if is_endless(&parts.headers) { None } else { Some(settings.response_limit) };
    let read = match limit {
        Some(limit) => read(body, limit).await,
        None => Read::Over(Bytes::new(), Box::pin(body)),
    };
    let (kept, mut body) = match read {
        Read::Whole(bytes, None) => {
            (answer::keep(&parts, &bytes, settings), LayerBody::whole(bytes, None))
        }
        // Trailers may hold the result itself, and cannot be kept.
        Read::Whole(bytes, trailers) => (None, LayerBody::whole(bytes, trailers)),
        Read::Over(front, rest) => (None, LayerBody::partial(front, rest)),
        Read::Broken => {
            let _ = lease.fail_async(failure(settings.policy.judge_error())).await;
            return Ok(Problem::aborted().response(settings));
        }
    };
    let verdict = settings.policy.judge(parts.status.as_u16());
    let ended = match verdict {
        // Nothing runs again: the record may be finished before the body is.
        Verdict::Final => {
            let outcome = kept.unwrap_or_else(|| Outcome::withheld(parts.status.as_u16()));
            lease.complete_async(&outcome).await.map(drop)
        }
        _ if body.is_whole() || Bug::EndsBeforeItsBody.is_planted() => {
            lease.fail_async(failure(verdict)).await
        }
        _ => {
            let (engine, on_error) = (Arc::clone(&settings.engine), settings.policy.judge_error());
            body.attach(Ending::new(engine, lease.into_token(), verdict, on_error));
            Ok(())
        }
    };
    match ended {
        Ok(()) => Ok(Response::from_parts(parts, body)),
        Err(_) if Bug::LateResponseSent.is_planted() => Ok(Response::from_parts(parts, body)),
        // Another attempt took over: two clients must not hold two results of one request.
        Err(error) => Ok(answer::refusal(&error, settings).response(settings)),
    }
}

/// Whether the response is a stream of events, which nobody can wait for the end of.
pub(super) fn is_endless(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| {
        let essence = kind.split(';').next().unwrap_or(kind).trim();
        essence.eq_ignore_ascii_case("text/event-stream")
    })
}
