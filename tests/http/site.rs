//! An axum server whose handlers do what the test tells them.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::any;
use axum::{Router, serve};
use oncegate::http::{IdempotencyLayer, RunningAttempt, ScopeSource};
use oncegate::{Engine, EngineBuilder, Stats};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::client::{Call, Reply};

/// A handler that has begun and waits to be told its answer.
#[derive(Debug)]
pub(crate) struct Run {
    /// Zero: it runs without a record.
    pub(crate) attempt: u32,
    pub(crate) fencing_token: u64,
    pub(crate) attempt_data: Option<RunningAttempt>,
    pub(crate) payload: Bytes,
    answer: oneshot::Sender<Response>,
}

impl Run {
    /// Lets the handler take effect and answer.
    pub(crate) fn answer(self, response: Response) {
        assert!(self.answer.send(response).is_ok(), "the handler was dropped");
    }

    /// The same with a status and a body.
    pub(crate) fn reply(self, status: u16, body: &'static str) {
        self.answer(response(status, body));
    }

    /// Makes the handler panic, before it takes effect.
    pub(crate) fn panic(self) {
        drop(self.answer);
    }

    /// Ends when the handler was dropped.
    pub(crate) async fn dropped(&mut self) {
        self.answer.closed().await;
    }
}

/// A server, its engine, and the handlers that run in it.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Arc<Engine>,
    runs: mpsc::UnboundedReceiver<Run>,
    gone: mpsc::UnboundedReceiver<()>,
    effects: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct App {
    runs: mpsc::UnboundedSender<Run>,
    effects: Arc<AtomicUsize>,
}

impl Site {
    /// A site with the default engine and layer.
    pub(crate) async fn open() -> Self {
        Self::with(|builder| builder, |layer| layer).await
    }

    /// A site whose layer is changed.
    pub(crate) async fn layered(
        configure: impl FnOnce(IdempotencyLayer) -> IdempotencyLayer,
    ) -> Self {
        Self::with(|builder| builder, configure).await
    }

    pub(crate) async fn with(
        build: impl FnOnce(EngineBuilder) -> EngineBuilder,
        configure: impl FnOnce(IdempotencyLayer) -> IdempotencyLayer,
    ) -> Self {
        let builder = build(Engine::builder().capacity(1_000));
        let engine = Arc::new(builder.build().expect("a small engine"));
        let layer = configure(IdempotencyLayer::new(Arc::clone(&engine), tenant));
        let (started, runs) = mpsc::unbounded_channel();
        let (left, gone) = mpsc::unbounded_channel();
        let effects = Arc::new(AtomicUsize::new(0));
        let app = App { runs: started, effects: Arc::clone(&effects) };
        let router = Router::new()
            .route("/{*path}", any(handle))
            .with_state(app)
            .layer(layer)
            .layer(middleware::from_fn_with_state(left, watch));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let server = tokio::spawn(async move { serve(listener, router).await.expect("serves") });
        Self { address, engine, runs, gone, effects, server }
    }

    /// The next handler to begin.
    pub(crate) async fn run(&mut self) -> Run {
        self.runs.recv().await.expect("the server runs")
    }

    /// Whether a handler has begun that the test has not seen.
    pub(crate) fn has_run(&mut self) -> bool {
        self.runs.try_recv().is_ok()
    }

    /// Ends when the server has dropped a request whose client left.
    pub(crate) async fn client_gone(&mut self) {
        self.gone.recv().await.expect("the server runs");
    }

    /// How many handlers have come to their effect.
    pub(crate) fn effects(&self) -> usize {
        // Acquire: pairs with the Release of `handle`.
        self.effects.load(Ordering::Acquire)
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn send(&self, call: &Call) -> Reply {
        call.send(self.address).await.expect("an answer")
    }

    /// Sends a request, answers for its handler, and gives what the client got.
    pub(crate) async fn serve(&mut self, call: &Call, status: u16, body: &'static str) -> Reply {
        let sent = self.spawn(call);
        self.run().await.reply(status, body);
        sent.await.expect("no panic").expect("an answer")
    }

    /// Sends a request whose handler answers `response`, and then its duplicate.
    pub(crate) async fn twice(
        &mut self,
        call: &Call,
        response: Response,
    ) -> (Option<Reply>, Reply) {
        let sent = self.spawn(call);
        self.run().await.answer(response);
        let first = sent.await.expect("no panic");
        (first, self.answered(call).await)
    }

    /// Sends a request that must be answered without a handler.
    pub(crate) async fn answered(&mut self, call: &Call) -> Reply {
        let mut sent = self.spawn(call);
        tokio::select! {
            reply = &mut sent => reply.expect("no panic").expect("an answer"),
            run = self.run() => panic!("attempt {} began", run.attempt),
        }
    }

    /// Sends a request until its next attempt begins, which answers it.
    pub(crate) async fn retried(&mut self, call: &Call) -> u32 {
        let retry = self.retry(call);
        let run = self.run().await;
        let attempt = run.attempt;
        run.reply(200, "done");
        assert_eq!(retry.await.expect("no panic").status, 200);
        attempt
    }

    /// Sends a request in the background.
    pub(crate) fn spawn(&self, call: &Call) -> JoinHandle<Option<Reply>> {
        let (call, address) = (call.clone(), self.address);
        tokio::spawn(async move { call.send(address).await })
    }

    /// Sends a request as clients do that are told to come back: until it is not "in progress".
    pub(crate) fn retry(&self, call: &Call) -> JoinHandle<Reply> {
        let (call, address) = (call.clone(), self.address);
        tokio::spawn(async move {
            loop {
                let reply = call.send(address).await.expect("an answer");
                if reply.problem() != (409, "in-progress") {
                    return reply;
                }
            }
        })
    }

    /// Ends when the engine's statistics are as `expected` says.
    pub(crate) async fn until(&self, expected: impl Fn(&Stats) -> bool) {
        while !expected(&self.engine.stats().expect("not forked")) {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Fails a test that hangs.
pub(crate) async fn bounded(test: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs");
}

pub(crate) fn response(status: u16, body: &'static str) -> Response {
    let response = Response::builder().status(status).header("content-type", "text/plain");
    response.body(Body::from(body)).expect("a legal response")
}

/// Stands for a layer that authenticates: what the header says is who the caller is.
fn tenant(parts: &http::request::Parts) -> ScopeSource {
    match parts.headers.get("x-tenant") {
        Some(name) if name.is_empty() => ScopeSource::Unauthenticated,
        Some(name) => ScopeSource::named(name),
        None => ScopeSource::Refused,
    }
}

async fn handle(
    State(app): State<App>,
    attempt: Option<Extension<RunningAttempt>>,
    payload: Bytes,
) -> Response {
    let (answer, told) = oneshot::channel();
    let attempt_data = attempt.map(|Extension(attempt)| attempt);
    let run = Run {
        attempt: attempt_data.map_or(0, |attempt| attempt.attempt()),
        fencing_token: attempt_data.map_or(0, |attempt| attempt.fencing_token().get()),
        attempt_data,
        payload,
        answer,
    };
    app.runs.send(run).expect("the test goes on");
    let response = told.await.expect("the handler was told to panic");
    // Release: pairs with the Acquire of `Site::effects`.
    app.effects.fetch_add(1, Ordering::Release);
    response
}

/// Tells when the server drops a request before it is answered.
async fn watch(
    State(left): State<mpsc::UnboundedSender<()>>,
    request: Request,
    next: Next,
) -> Response {
    struct Guard(Option<mpsc::UnboundedSender<()>>);
    impl Drop for Guard {
        fn drop(&mut self) {
            if let Some(left) = self.0.take() {
                // The test may be over.
                let _ = left.send(());
            }
        }
    }
    let mut guard = Guard(Some(left));
    let response = next.run(request).await;
    guard.0 = None;
    response
}
