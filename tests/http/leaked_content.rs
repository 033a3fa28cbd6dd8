//! What the layer and its values show of a request.

use std::convert::Infallible;
use std::future::ready;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use http::{Request, Response};
use oncegate::Engine;
use oncegate::http::{IdempotencyLayer, LayerBody, RunningAttempt, ScopeSource};
use tower::{Layer, ServiceExt, service_fn};

use crate::site::bounded;

/// A card number that is valid in form.
const CANARY: &str = "4111111111111111";

/// Goal: no value of the layer shows content of a request when it is printed, and no answer of its
/// own repeats any (I10). Method: a card number in tenant, path, key, payload and response; print
/// every public type, before and while a handler runs; then send what is refused: another payload,
/// a broken one, and a key that is too long.
#[tokio::test]
async fn card_number_is_shown_nowhere() {
    bounded(async {
        let shown = Arc::new(Mutex::new(Vec::new()));
        let engine = Engine::builder().capacity(1_000).build().expect("a small engine");
        let layer = IdempotencyLayer::new(Arc::new(engine), |_parts| ScopeSource::named(CANARY));
        let tell = Arc::clone(&shown);
        let handler = service_fn(move |request: Request<LayerBody<Body>>| {
            let attempt = request.extensions().get::<RunningAttempt>().expect("a record");
            let text = format!("{:?} {attempt:?}", request.body());
            tell.lock().expect("no panic").push(text);
            ready(Ok::<_, Infallible>(Response::new(Body::from(CANARY))))
        });
        let service = layer.layer(handler);
        let texts = [format!("{layer:?} {service:?}"), format!("{:?}", ScopeSource::named(CANARY))];
        shown.lock().expect("no panic").extend(texts);
        let charge = |key: &str, body: String| {
            let request = Request::post(format!("/{CANARY}")).header("idempotency-key", key);
            let request = request.header("content-type", "application/json");
            service.clone().oneshot(request.body(Body::from(body)).expect("legal"))
        };
        let card = format!(r#"{{"card": "{CANARY}"}}"#);
        for _ in 0..2 {
            let answer = charge(CANARY, card.clone()).await.expect("an answer");
            shown.lock().expect("no panic").push(format!("{:?}", answer.body()));
            assert_eq!(body(answer).await, (200, CANARY.to_owned()));
        }
        let long = CANARY.repeat(20);
        for (key, sent, status) in [
            (CANARY, format!(r#"{{"card": "{CANARY}0"}}"#), 422),
            (CANARY, format!(r#"{{"{CANARY}": 1, "{CANARY}": 2}}"#), 400),
            (&long, card.clone(), 400),
        ] {
            let (found, text) = body(charge(key, sent).await.expect("an answer")).await;
            assert_eq!(found, status, "{text}");
            shown.lock().expect("no panic").push(text);
        }
        let shown = shown.lock().expect("no panic");
        assert_eq!(shown.len(), 8, "{shown:?}");
        assert!(shown.iter().all(|text| !text.contains(&CANARY[..8])), "{shown:?}");
    })
    .await;
}

async fn body(answer: Response<LayerBody<Body>>) -> (u16, String) {
    let status = answer.status().as_u16();
    let bytes = to_bytes(Body::new(answer.into_body()), 10_000).await.expect("a short body");
    (status, String::from_utf8(bytes.to_vec()).expect("text"))
}
