//! The service that the layer makes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_channel::oneshot;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;

use super::LayerBody;
use super::answer::Problem;
use super::body::{Read, read};
use super::serve::{Identity, Job, is_endless};
use super::settings::Settings;

/// A future that needs an executor: what
/// [`IdempotencyLayer::spawn_with`](super::IdempotencyLayer::spawn_with) is given.
///
/// ```
/// let task: oncegate::http::Task = Box::pin(async {});
/// # drop(task);
/// ```
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A service whose requests with an idempotency key run once; made by
/// [`IdempotencyLayer`](super::IdempotencyLayer).
///
/// The service below must be able to take requests with a [`LayerBody`]. axum's routes can; a
/// hyper service is generic over its body, or takes this one.
///
/// ```
/// use std::sync::Arc;
/// use oncegate::Engine;
/// use oncegate::http::{IdempotencyLayer, IdempotencyService, ScopeSource};
/// use tower_layer::Layer;
///
/// fn protect<S>(inner: S, engine: Arc<Engine>) -> IdempotencyService<S> {
///     IdempotencyLayer::new(engine, |_parts| ScopeSource::SingleTenant).layer(inner)
/// }
/// ```
#[derive(Clone)]
pub struct IdempotencyService<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> IdempotencyService<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl<S, B, C> Service<Request<B>> for IdempotencyService<S>
where
    S: Service<Request<LayerBody<B>>, Response = Response<C>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Body<Data = Bytes> + Send + 'static,
    C: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<LayerBody<C>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was polled ready is the one to call; a clone may not be.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(answer(Arc::clone(&self.settings), request, inner))
    }
}

impl<S> fmt::Debug for IdempotencyService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyService")
            .field("engine", &self.settings.engine)
            .finish_non_exhaustive()
    }
}

/// Passes the request on, or makes a job of it.
async fn answer<S, B, C>(
    settings: Arc<Settings>,
    request: Request<B>,
    mut inner: S,
) -> Result<Response<LayerBody<C>>, S::Error>
where
    S: Service<Request<LayerBody<B>>, Response = Response<C>> + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Body<Data = Bytes> + Send + 'static,
    C: Body<Data = Bytes> + Send + 'static,
{
    let (parts, body) = request.into_parts();
    let identity = match Identity::of(&parts, &settings) {
        Ok(Some(identity)) => identity,
        Ok(None) => {
            let request = Request::from_parts(parts, LayerBody::untouched(body));
            return inner.call(request).await.map(|response| response.map(LayerBody::untouched));
        }
        Err(problem) => return Ok(problem.response(&settings)),
    };
    let (payload, trailers) = match read(body, settings.payload_limit).await {
        Read::Whole(bytes, trailers) => (bytes, trailers),
        Read::Over(..) => {
            let detail =
                format!("a request with a key has {} bytes at most", settings.payload_limit);
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Ok(Problem::new(status, "payload-too-large", detail).response(&settings));
        }
        Read::Broken => {
            let problem = Problem::new(
                StatusCode::BAD_REQUEST,
                "payload-incomplete",
                "the body of the request broke off; nothing was run",
            );
            return Ok(problem.response(&settings));
        }
    };
    let body = LayerBody::whole(payload.clone(), trailers);
    let job = Job { identity, payload, request: Request::from_parts(parts, body), inner };
    let answered = match settings.spawn.clone() {
        None => job.run(&settings, |_context| false).await?,
        Some(spawn) => detached(job, Arc::clone(&settings), &*spawn).await?,
    };
    Ok(answered.unwrap_or_else(|| Problem::aborted().response(&settings)))
}

/// Runs the job as a task of its own. `None`: the task ended without an answer.
fn detached<S, B, C>(
    job: Job<S, B>,
    settings: Arc<Settings>,
    spawn: &(dyn Fn(Task) + Send + Sync),
) -> impl Future<Output = Result<Option<Response<LayerBody<C>>>, S::Error>> + Send + use<S, B, C>
where
    S: Service<Request<LayerBody<B>>, Response = Response<C>> + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Body<Data = Bytes> + Send + 'static,
    C: Body<Data = Bytes> + Send + 'static,
{
    let (mut sender, receiver) = oneshot::channel();
    spawn(Box::pin(async move {
        let left = |context: &mut Context<'_>| sender.poll_canceled(context).is_ready();
        let mut answer = job.run(&settings, left).await;
        let back = match &mut answer {
            Ok(Some(response)) if !is_endless(response.headers()) => {
                response.body_mut().hand_back()
            }
            _ => None,
        };
        // If the client has left, the record holds the answer for whoever asks again.
        let _ = sender.send(answer);
        // The handler may work on until its body has ended, whether or not somebody reads it.
        if let Some(back) = back
            && let Ok(rest) = back.await
        {
            rest.drain().await;
        }
    }));
    async { receiver.await.unwrap_or(Ok(None)) }
}
