//! The client leaves half way: the record is always resolved, and how is the service's choice.

use std::future::pending;

use oncegate::OnDrop;
use oncegate::http::IdempotencyLayer;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::{Call, read};
use crate::site::{Site, bounded};

/// Goal: by default a handler goes with its client, and the resend is the next attempt. Method:
/// drop the socket while the handler runs; wait until the server has dropped it; send again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_handler_is_retried_under_a_higher_token() {
    bounded(async {
        let mut site = Site::open().await;
        let call = Call::charge("k-leave");
        let socket = call.start(site.address).await;
        let mut first = site.run().await;
        assert_eq!(first.attempt, 1);
        drop(socket);
        first.dropped().await;
        let retry = site.retry(&call);
        let second = site.run().await;
        assert_eq!(second.attempt, 2);
        assert!(second.fencing_token > first.fencing_token);
        second.reply(201, "charged");
        let reply = retry.await.expect("no panic");
        assert_eq!((reply.status, reply.is_replay()), (201, false));
        assert!(site.send(&call).await.is_replay());
        assert_eq!(site.effects(), 1);
    })
    .await;
}

/// Goal: the engine's policy for dropped leases holds here too. Method: an engine that wants such
/// records reconciled; the resend is told so and runs nothing.
#[tokio::test]
async fn a_dropped_handler_may_leave_the_outcome_unknown() {
    bounded(async {
        let mut site = Site::with(|builder| builder.on_drop(OnDrop::Unknown), |layer| layer).await;
        let call = Call::charge("k-unknown");
        let socket = call.start(site.address).await;
        let mut first = site.run().await;
        drop(socket);
        first.dropped().await;
        let reply = site.retry(&call).await.expect("no panic");
        assert_eq!(reply.problem(), (409, "unresolved"));
        assert_eq!(reply.header("retry-after"), None);
        assert!(!site.has_run());
    })
    .await;
}

fn detached(layer: IdempotencyLayer) -> IdempotencyLayer {
    layer.spawn_with(|task| drop(tokio::spawn(task)))
}

/// Goal: with a task of its own, a handler outlives its client: one effect, and the resend gets
/// its response. Method: drop the socket, wait until the server has dropped the request, and only
/// then let the handler go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_detached_handler_runs_to_its_end() {
    bounded(async {
        let mut site = Site::layered(detached).await;
        let call = Call::charge("k-detached");
        let socket = call.start(site.address).await;
        let run = site.run().await;
        drop(socket);
        site.client_gone().await;
        assert_eq!(site.send(&call).await.problem(), (409, "in-progress"));
        run.reply(201, "charged");
        let reply = site.retry(&call).await.expect("no panic");
        assert_eq!((reply.status, reply.text(), reply.is_replay()), (201, "charged", true));
        assert!(!site.has_run());
        assert_eq!(site.effects(), 1);
    })
    .await;
}

/// Goal: a waiter leaves with its client and takes nothing over, even where handlers outlive
/// theirs. Method: drop a waiting client, fail the leader; only the resend runs.
#[tokio::test]
async fn a_waiter_that_left_never_runs() {
    bounded(async {
        let mut site = Site::layered(|layer| detached(layer).wait(pending)).await;
        let call = Call::charge("k-waiter");
        let first = site.spawn(&call);
        let leader = site.run().await;
        let socket = call.start(site.address).await;
        site.until(|stats| stats.waiters == 1).await;
        drop(socket);
        site.until(|stats| stats.waiters == 0).await;
        leader.reply(500, "broken");
        assert_eq!(first.await.expect("no panic").expect("an answer").status, 500);
        assert!(!site.has_run());
        assert_eq!(site.serve(&call, 200, "done").await.status, 200);
        assert_eq!(site.effects(), 2);
    })
    .await;
}

/// Goal: a request that was not sent to its end makes no record. Method: announce more bytes than
/// are sent, and close the sending side; then send all of it under the same key.
#[tokio::test]
async fn a_request_that_breaks_off_makes_no_record() {
    bounded(async {
        let mut site = Site::open().await;
        let mut socket = TcpStream::connect(site.address).await.expect("the server listens");
        let half = b"POST /charges HTTP/1.1\r\nhost: test\r\nx-tenant: acme\r\n\
                     idempotency-key: k-half\r\ncontent-length: 1000\r\n\r\nhalf";
        socket.write_all(half).await.expect("sends");
        socket.shutdown().await.expect("closes");
        let reply = read(socket).await.expect("an answer");
        assert_eq!(reply.problem(), (400, "payload-incomplete"));
        assert_eq!(site.engine.stats().expect("not forked").begun, 0);
        assert_eq!(site.serve(&Call::charge("k-half"), 200, "done").await.status, 200);
    })
    .await;
}
