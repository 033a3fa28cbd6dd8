//! The layer without a server: services that are called directly, and whose answers are dropped at
//! a moment that the test chooses.

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use http::{Request, Response};
use http_body::Body as _;
use oncegate::http::{IdempotencyLayer, LayerBody, RunningAttempt, ScopeSource};
use oncegate::{Engine, OutcomePolicy, Verdict};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::site::bounded;
use crate::streams::{data, frames, send_on};

fn layer() -> IdempotencyLayer {
    let engine = Engine::builder().capacity(1_000).build().expect("a small engine");
    IdempotencyLayer::new(Arc::new(engine), |_parts| ScopeSource::SingleTenant)
}

fn charge(key: &str) -> Request<Body> {
    let request = Request::post("/charges").header("idempotency-key", key);
    request.body(Body::empty()).expect("a legal request")
}

/// Status and text of an answer.
async fn text<B>(response: Response<B>) -> (u16, String)
where
    B: http_body::Body<Data = bytes::Bytes, Error: std::error::Error + Send + Sync>
        + Send
        + 'static,
{
    let status = response.status().as_u16();
    let body = to_bytes(Body::new(response.into_body()), 1_000).await.expect("a short body");
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

/// Goal: a layer below a layer does not take the request of the one above for a duplicate. Method:
/// one layer twice around one service; run, and replay.
///
/// The inner layer found the record of the outer one running and answered so, and the outer one
/// kept that answer.
#[tokio::test]
async fn a_layer_below_a_layer_passes_on() {
    bounded(async {
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        let handler = service_fn(move |request: Request<LayerBody<LayerBody<Body>>>| {
            // Relaxed: the test reads it after the answer.
            counted.fetch_add(1, Ordering::Relaxed);
            let attempt = request.extensions().get::<RunningAttempt>().expect("a record").attempt();
            ready(Ok::<_, Infallible>(Response::new(Body::from(format!("attempt {attempt}")))))
        });
        let layer = layer();
        let service = layer.layer(layer.layer(handler));
        for _ in 0..2 {
            let response = service.clone().oneshot(charge("k-nested")).await.expect("an answer");
            assert_eq!(text(response).await, (200, "attempt 1".to_owned()));
        }
        // Relaxed: as above.
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    })
    .await;
}

/// A service whose first call fails, as a broken connection to the next server does.
fn fails_once() -> impl Service<
    Request<LayerBody<Body>>,
    Response = Response<Body>,
    Error = std::io::Error,
    Future: Send,
> + Clone
+ Send {
    let calls = Arc::new(AtomicU32::new(0));
    service_fn(move |_request| {
        // Relaxed: the calls come one after the other.
        ready(match calls.fetch_add(1, Ordering::Relaxed) {
            0 => Err(std::io::ErrorKind::ConnectionReset.into()),
            _ => Ok(Response::new(Body::from("done"))),
        })
    })
}

/// Goal: the error of a service is no result; the policy says what it leaves behind. Method: a
/// service that fails once, under the default and under a policy that takes errors for unknown.
#[tokio::test]
async fn an_error_of_the_service_is_judged_by_the_policy() {
    bounded(async {
        let unknown = OutcomePolicy::ietf().on_error(Verdict::Unknown);
        for (layer, again) in [(layer(), "done"), (layer().policy(unknown), "unresolved")] {
            let service = layer.layer(fails_once());
            let failed = service.clone().oneshot(charge("k-error")).await;
            assert_eq!(failed.map(drop).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
            let (_, body) =
                text(service.oneshot(charge("k-error")).await.expect("an answer")).await;
            assert!(body.contains(again), "{body}");
        }
    })
    .await;
}

/// Goal: with a task of its own, a handler outlives a client that leaves in the middle of a long
/// body; an event stream, which may have no end, goes with its client. Method: drop a response
/// after its first piece, and send on.
#[tokio::test]
async fn a_detached_body_outlives_its_reader() {
    bounded(async {
        for content_type in ["text/plain", "text/event-stream"] {
            let (sender, body) = frames();
            let body = Arc::new(Mutex::new(Some(body)));
            let handler = service_fn(move |_request: Request<LayerBody<Body>>| {
                let body = body.lock().expect("no panic").take().expect("one call");
                let response = Response::builder().header("content-type", content_type);
                ready(Ok::<_, Infallible>(response.body(body).expect("a legal response")))
            });
            let layer = layer().response_limit(10).spawn_with(|task| drop(tokio::spawn(task)));
            let answer = tokio::spawn(layer.layer(handler).oneshot(charge("k-left")));
            sender.send(data("longer than ten")).await.expect("the layer reads");
            let mut response = answer.await.expect("no panic").expect("an answer");
            let first = poll_fn(|context| Pin::new(response.body_mut()).poll_frame(context)).await;
            assert!(first.is_some_and(|frame| frame.is_ok()), "{content_type}");
            drop(response);
            if content_type == "text/plain" {
                send_on(&sender).await;
            } else {
                sender.closed().await;
            }
        }
    })
    .await;
}
