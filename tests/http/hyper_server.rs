//! The layer below hyper alone, without axum.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use oncegate::Engine;
use oncegate::http::{IdempotencyLayer, LayerBody, RunningAttempt, ScopeSource};
use tokio::net::TcpListener;
use tower::{Layer, service_fn};

use crate::client::Call;
use crate::site::bounded;

/// A body of one piece.
struct Text(Option<Bytes>);

impl http_body::Body for Text {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

/// Goal: the layer needs nothing of axum. Method: a hyper server over one service; run and replay
/// a request, and see that the handler was called once, as attempt 1.
#[tokio::test]
async fn a_plain_hyper_service_is_protected() {
    bounded(async {
        let engine = Arc::new(Engine::builder().capacity(1_000).build().expect("a small engine"));
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        let handler = service_fn(move |request: http::Request<LayerBody<Incoming>>| {
            // Relaxed: the test reads it after the answer.
            counted.fetch_add(1, Ordering::Relaxed);
            let attempt = request.extensions().get::<RunningAttempt>().expect("a record").attempt();
            let body = Text(Some(Bytes::from(format!("attempt {attempt}"))));
            async { Ok::<_, Infallible>(http::Response::new(body)) }
        });
        let layer = IdempotencyLayer::new(engine, |_parts| ScopeSource::SingleTenant);
        let service = TowerToHyperService::new(layer.layer(handler));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let server = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.expect("a client");
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service.clone());
                tokio::spawn(connection);
            }
        });
        let call = Call::charge("k-hyper");
        for replayed in [false, true] {
            let reply = call.send(address).await.expect("an answer");
            assert_eq!((reply.text(), reply.is_replay()), ("attempt 1", replayed));
        }
        // Relaxed: as above.
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        server.abort();
    })
    .await;
}
