//! Responses whose bodies come in pieces: while they come, and how they end.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use oncegate::http::IdempotencyLayer;
use oncegate::{ManualClock, OutcomePolicy, Verdict};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::client::Call;
use crate::site::{Site, bounded};

/// What a body is made of; an error breaks it off.
type Piece = Result<Frame<Bytes>, std::io::Error>;

/// A body of the frames that the test sends.
pub(crate) struct Frames(mpsc::Receiver<Piece>);

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

/// A body, and the sender of its frames, of which it takes one at a time.
pub(crate) fn frames() -> (mpsc::Sender<Piece>, Frames) {
    let (sender, frames) = mpsc::channel(1);
    (sender, Frames(frames))
}

pub(crate) fn data(text: &'static str) -> Piece {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

fn broken() -> Piece {
    Err(std::io::ErrorKind::BrokenPipe.into())
}

fn streamed(status: u16, content_type: &str) -> (mpsc::Sender<Piece>, Response) {
    let (sender, frames) = frames();
    let response = Response::builder().status(status).header("content-type", content_type);
    (sender, response.body(Body::new(frames)).expect("a legal response"))
}

/// Sends more pieces than a body takes that nobody reads.
pub(crate) async fn send_on(frames: &mpsc::Sender<Piece>) {
    for _ in 0..3 {
        frames.send(data("sixteen bytes...")).await.expect("the body is read on");
    }
}

/// Reads until `end` has come.
async fn read_until(socket: &mut TcpStream, end: &[u8]) {
    let mut seen = Vec::new();
    while !seen.ends_with(end) {
        seen.push(socket.read_u8().await.expect("the rest of the answer"));
    }
}

/// Goal: a body that comes in pieces is replayed whole, and one that breaks off is no result.
/// Method: break the first attempt's body, complete the second's.
#[tokio::test]
async fn a_response_that_breaks_off_is_retried() {
    bounded(async {
        let mut site = Site::open().await;
        let call = Call::charge("k-stream");
        let sent = site.spawn(&call);
        let (frames, response) = streamed(200, "text/plain");
        site.run().await.answer(response);
        frames.send(data("half")).await.expect("the server reads");
        // The attempt goes on until its body has ended.
        assert_eq!(site.answered(&call).await.problem(), (409, "in-progress"));
        frames.send(broken()).await.expect("the server reads");
        let reply = sent.await.expect("no panic").expect("an answer");
        assert_eq!(reply.problem(), (500, "aborted"));

        let (frames, response) = streamed(200, "text/plain");
        tokio::spawn(async move {
            frames.send(data("first, ")).await.expect("the server reads");
            frames.send(data("second")).await.expect("the server reads");
        });
        let (second, again) = site.twice(&call, response).await;
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
        let (frames, response) = streamed(200, "text/event-stream; charset=utf-8");
        site.run().await.answer(response);
        frames.send(data("data: 1\n\n")).await.expect("the server reads");
        read_until(&mut socket, b"data: 1\n\n\r\n").await;
        assert_eq!(site.answered(&call).await.problem(), (409, "outcome-gone"));
    })
    .await;
}

/// Goal: trailers may hold the result, so they reach their client, and a response with them is not
/// replayed without. Method: a body with trailers, its duplicate, and for comparison a request
/// that is passed on.
///
/// A body whose length is announced is sent with its length, and then without its trailers.
#[tokio::test]
async fn trailers_reach_their_client_and_are_not_kept() {
    bounded(async {
        let mut site = Site::open().await;
        for method in ["GET", "POST"] {
            let call = Call::new(method, "/charges").header("idempotency-key", "k-trailers");
            let call = call.header("te", "trailers");
            let (frames, mut response) = streamed(200, "application/grpc");
            response.headers_mut().insert("trailer", HeaderValue::from_static("grpc-status"));
            let sent = site.spawn(&call);
            site.run().await.answer(response);
            frames.send(data("message")).await.expect("the server reads");
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("7"));
            frames.send(Ok(Frame::trailers(trailers))).await.expect("the server reads");
            drop(frames);
            let reply = sent.await.expect("no panic").expect("an answer");
            assert_eq!((reply.status, reply.text()), (200, "message"), "{method}");
            assert_eq!(reply.trailer("grpc-status"), Some("7"), "{method}");
        }
        let again = Call::new("POST", "/charges").header("idempotency-key", "k-trailers");
        assert_eq!(site.answered(&again).await.problem(), (409, "outcome-gone"));
    })
    .await;
}

/// How a body ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Whole,
    Broken,
    ClientLeft,
}

/// 503 is retried, 504 is unknown.
fn undecided(layer: IdempotencyLayer) -> IdempotencyLayer {
    layer.response_limit(10).policy(OutcomePolicy::ietf().status(504, Verdict::Unknown))
}

/// Starts an attempt that answers `status` with a body that is not held back, and leaves the body
/// open. Its client has the first piece.
async fn open_body(
    site: &mut Site,
    call: &Call,
    status: u16,
    content_type: &str,
) -> (TcpStream, mpsc::Sender<Piece>) {
    let mut socket = call.start(site.address).await;
    let (frames, response) = streamed(status, content_type);
    site.run().await.answer(response);
    frames.send(data("longer than ten")).await.expect("the server reads");
    read_until(&mut socket, b"longer than ten\r\n").await;
    (socket, frames)
}

/// Goal: the next attempt begins when the body of this one is done, not when its status is known.
/// Method: two kinds of response that are not held back, with a status that is retried and one
/// that leaves the effect unknown; a duplicate while the body is open; then each way to end it.
///
/// A handler works while it makes its body: an end by the status alone let two attempts run.
#[tokio::test]
async fn an_attempt_lasts_as_long_as_its_body() {
    bounded(async {
        for (status, content_type) in [
            (503, "text/plain"),
            (503, "text/event-stream"),
            (504, "text/plain"),
            (504, "text/event-stream"),
        ] {
            for end in [End::Whole, End::Broken, End::ClientLeft] {
                let mut site = Site::layered(undecided).await;
                let call = Call::charge("k-body");
                let (socket, frames) = open_body(&mut site, &call, status, content_type).await;
                assert_eq!(site.answered(&call).await.problem(), (409, "in-progress"));
                match end {
                    End::Whole => drop(frames),
                    End::Broken => frames.send(broken()).await.expect("the server reads"),
                    End::ClientLeft => {
                        drop(socket);
                        frames.closed().await;
                    }
                }
                if status == 503 {
                    assert_eq!(site.retried(&call).await, 2, "{content_type} {end:?}");
                } else {
                    let reply = site.retry(&call).await.expect("no panic");
                    assert_eq!(reply.problem(), (409, "unresolved"), "{content_type} {end:?}");
                }
            }
        }
    })
    .await;
}

/// Goal: a body that breaks off is judged as an error, as it is where it is held back. Method: a
/// policy that takes errors for unknown; end one body of a retryable status, and break another.
#[tokio::test]
async fn a_long_body_that_breaks_off_is_an_error() {
    bounded(async {
        let policy = OutcomePolicy::ietf().on_error(Verdict::Unknown);
        let mut site = Site::layered(|layer| layer.response_limit(10).policy(policy)).await;
        let call = Call::charge("k-ended");
        let (_socket, frames) = open_body(&mut site, &call, 503, "text/plain").await;
        drop(frames);
        assert_eq!(site.retried(&call).await, 2);
        let call = Call::charge("k-broken");
        let (_socket, frames) = open_body(&mut site, &call, 503, "text/plain").await;
        frames.send(broken()).await.expect("the server reads");
        let reply = site.retry(&call).await.expect("no panic");
        assert_eq!(reply.problem(), (409, "unresolved"));
    })
    .await;
}

/// Goal: a body without an end holds its key no longer than its lease. Method: let the lease lapse
/// while the body is open; attempt 2 begins, and the end of the body does not disturb it.
#[tokio::test]
async fn the_lease_bounds_an_endless_body() {
    bounded(async {
        let clock = ManualClock::new();
        let given = clock.clone();
        let mut site = Site::with(|builder| builder.clock(given), undecided).await;
        let call = Call::charge("k-endless");
        let (socket, frames) = open_body(&mut site, &call, 503, "text/event-stream").await;
        clock.advance(Duration::from_secs(31));
        let sent = site.spawn(&call);
        let second = site.run().await;
        assert_eq!(second.attempt, 2);
        drop(socket);
        frames.closed().await;
        assert_eq!(site.answered(&call).await.problem(), (409, "in-progress"));
        second.reply(201, "charged");
        assert_eq!(sent.await.expect("no panic").expect("an answer").status, 201);
        assert!(site.answered(&call).await.is_replay());
    })
    .await;
}

/// Goal: with a task of its own, a handler outlives its client to the end of its body, and so does
/// its attempt. Method: the client leaves before the answer; a body over the limit, with a status
/// that is final and one that is retried; send on, and look at the record before and after its end.
#[tokio::test]
async fn a_detached_handler_makes_its_body_to_the_end() {
    bounded(async {
        let detached = |layer| undecided(layer).spawn_with(|task| drop(tokio::spawn(task)));
        for (status, meanwhile) in [(200, "outcome-gone"), (503, "in-progress")] {
            let mut site = Site::layered(detached).await;
            let call = Call::charge("k-detached");
            let socket = call.start(site.address).await;
            let run = site.run().await;
            drop(socket);
            site.client_gone().await;
            let (frames, response) = streamed(status, "text/plain");
            run.answer(response);
            send_on(&frames).await;
            assert_eq!(site.answered(&call).await.problem(), (409, meanwhile));
            drop(frames);
            if status == 503 {
                assert_eq!(site.retried(&call).await, 2);
            }
        }
    })
    .await;
}
