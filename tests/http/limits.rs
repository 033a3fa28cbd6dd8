//! Sizes, quotas, and responses that cannot be kept.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use oncegate::{OnFull, Quota, Scope};
use tokio::sync::mpsc;

use crate::client::{Call, Reply};
use crate::site::{Site, bounded, response};

/// Goal: a request beyond the limit is refused before it makes a record, at exactly its size.
/// Method: a limit of 16 bytes; 16 pass, 17 do not.
#[tokio::test]
async fn long_payloads_are_refused() {
    bounded(async {
        let mut site = Site::layered(|layer| layer.payload_limit(16)).await;
        let call =
            |length| Call::charge("k-long").header("content-type", "x/y").body("x".repeat(length));
        assert_eq!(site.send(&call(17)).await.problem(), (413, "payload-too-large"));
        assert_eq!(site.engine.stats().expect("not forked").begun, 0);
        assert_eq!(site.serve(&call(16), 200, "done").await.status, 200);
        let plain = Call::new("PUT", "/file").body("x".repeat(1000));
        assert_eq!(site.serve(&plain, 200, "unlimited here").await.status, 200);
    })
    .await;
}

/// Goal: a body that is not what its type says is refused, and an empty one is not. Method: both
/// under the type JSON.
#[tokio::test]
async fn malformed_payloads_are_refused() {
    bounded(async {
        let mut site = Site::open().await;
        let broken = Call::charge("k-json").json(r#"{"card": "4111"#);
        let reply = site.send(&broken).await;
        assert_eq!(reply.problem(), (400, "invalid-payload"));
        assert!(!reply.text().contains("4111"));
        assert_eq!(site.serve(&broken.json(""), 200, "done").await.status, 200);
    })
    .await;
}

/// Sends a request whose handler answers `response`, and then its duplicate.
async fn twice(site: &mut Site, call: &Call, response: Response) -> (Option<Reply>, Reply) {
    let sent = site.spawn(call);
    site.run().await.answer(response);
    let first = sent.await.expect("no panic");
    (first, site.send(call).await)
}

/// Goal: a response beyond a limit reaches its client whole, and its duplicate learns that it was
/// not kept; nothing runs again. Method: the engine's limit, the layer's limit, and the layer's
/// limit below that of an engine that keeps the most there is.
#[tokio::test]
async fn long_responses_are_passed_on_and_not_kept() {
    bounded(async {
        let long: &str = Box::leak("x".repeat(200_000).into_boxed_str());
        for (outcome_limit, response_limit) in
            [(100, 1_000_000), (16 << 10, 1_000), (1_000_000, 199_999), (1_000_000, 0)]
        {
            let mut site = Site::with(
                |builder| builder.outcome_limit(outcome_limit),
                |layer| layer.response_limit(response_limit),
            )
            .await;
            let call = Call::charge("k-long");
            let (first, again) = twice(&mut site, &call, response(200, long)).await;
            let first = first.expect("an answer");
            assert_eq!((first.status, first.text() == long), (200, true));
            assert_eq!(again.problem(), (409, "outcome-gone"), "{outcome_limit} {response_limit}");
            assert_eq!(again.header("retry-after"), None);
            assert!(!site.has_run());
        }
        // At the limits it is kept.
        let mut site = Site::with(
            |builder| builder.outcome_limit(201_000),
            |layer| layer.response_limit(200_000),
        )
        .await;
        let call = Call::charge("k-kept");
        let (_, again) = twice(&mut site, &call, response(200, long)).await;
        assert!(again.is_replay() && again.text() == long);
    })
    .await;
}

/// A body of the frames that the test sends; an error breaks it off.
struct Frames(mpsc::UnboundedReceiver<Result<Frame<Bytes>, std::io::Error>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context)
    }
}

/// The sender of the frames, and a response of them.
fn streamed(
    content_type: &str,
) -> (mpsc::UnboundedSender<Result<Frame<Bytes>, std::io::Error>>, Response) {
    let (sender, frames) = mpsc::unbounded_channel();
    let response = Response::builder().header("content-type", content_type);
    (sender, response.body(Body::new(Frames(frames))).expect("a legal response"))
}

fn data(text: &'static str) -> Result<Frame<Bytes>, std::io::Error> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// Goal: a body that comes in pieces is replayed whole, and one that breaks off is no result.
/// Method: break the first attempt's body, complete the second's.
#[tokio::test]
async fn a_response_that_breaks_off_is_retried() {
    bounded(async {
        let mut site = Site::open().await;
        let call = Call::charge("k-stream");
        let sent = site.spawn(&call);
        let (frames, response) = streamed("text/plain");
        site.run().await.answer(response);
        frames.send(data("half")).expect("the server reads");
        // The attempt goes on until its body has ended.
        assert_eq!(site.send(&call).await.problem(), (409, "in-progress"));
        frames.send(Err(std::io::ErrorKind::BrokenPipe.into())).expect("the server reads");
        let broken = sent.await.expect("no panic").expect("an answer");
        assert_eq!(broken.problem(), (500, "aborted"));

        let (frames, response) = streamed("text/plain");
        frames.send(data("first, ")).expect("open");
        frames.send(data("second")).expect("open");
        drop(frames);
        let (second, again) = twice(&mut site, &call, response).await;
        assert_eq!(second.expect("an answer").text(), "first, second");
        assert!(again.is_replay() && again.text() == "first, second");
    })
    .await;
}

/// Goal: events reach the client as they come. Method: read the first one while the stream is
/// open; its duplicate learns that it was not kept.
#[tokio::test]
async fn event_streams_are_not_held_back() {
    bounded(async {
        let mut site = Site::open().await;
        let call = Call::charge("k-events");
        let mut socket = call.start(site.address).await;
        let (frames, response) = streamed("text/event-stream; charset=utf-8");
        site.run().await.answer(response);
        frames.send(data("data: 1\n\n")).expect("the server reads");
        let mut seen = Vec::new();
        while !seen.ends_with(b"data: 1\n\n\r\n") {
            seen.push(tokio::io::AsyncReadExt::read_u8(&mut socket).await.expect("an event"));
        }
        assert_eq!(site.send(&call).await.problem(), (409, "outcome-gone"));
        drop(frames);
    })
    .await;
}

/// Goal: trailers may hold the result, so a response with them is not replayed without. Method:
/// a body with trailers, and its duplicate.
#[tokio::test]
async fn responses_with_trailers_are_not_kept() {
    bounded(async {
        let mut site = Site::open().await;
        let (frames, response) = streamed("application/grpc");
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        frames.send(data("message")).expect("open");
        frames.send(Ok(Frame::trailers(trailers))).expect("open");
        drop(frames);
        let (first, again) = twice(&mut site, &Call::charge("k-grpc"), response).await;
        assert_eq!(first.expect("an answer").status, 200);
        assert_eq!(again.problem(), (409, "outcome-gone"));
    })
    .await;
}

/// Goal: one tenant cannot use up another's room, and both refusals say when to come back.
/// Method: a rate for one scope; a table that is full of running requests.
#[tokio::test]
async fn quotas_and_a_full_table_say_when_to_come_back() {
    bounded(async {
        let mut site = Site::open().await;
        let scope = Scope::new("acme").expect("a name");
        site.engine.set_quota(scope, Quota::unlimited().rate(0.1, 1)).expect("a rate");
        assert_eq!(site.serve(&Call::charge("k-1"), 200, "done").await.status, 200);
        let refused = site.send(&Call::charge("k-2")).await;
        assert_eq!(refused.problem(), (429, "quota-exceeded"));
        let after: u64 = refused.header("retry-after").expect("when").parse().expect("seconds");
        assert!((5..=10).contains(&after), "{after}");
        let other = Call::charge("k-2").header("x-tenant", "globex");
        assert_eq!(site.serve(&other, 200, "done").await.status, 200);

        let small = |builder: oncegate::EngineBuilder| builder.capacity(16).on_full(OnFull::Reject);
        let mut site = Site::with(small, |layer| layer).await;
        let mut held = Vec::new();
        let refused = loop {
            let call = Call::charge(&format!("k-{}", held.len()));
            let mut sent = site.spawn(&call);
            tokio::select! {
                run = site.run() => held.push((run, sent)),
                reply = &mut sent => break reply.expect("no panic").expect("an answer"),
            }
        };
        assert_eq!(refused.problem(), (503, "full"));
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert!(held.len() >= 16);
    })
    .await;
}
