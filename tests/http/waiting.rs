//! Duplicates that wait for the running attempt.

use std::future::pending;
use std::sync::Arc;

use oncegate::OnConflict;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::client::Call;
use crate::site::{Site, bounded};

/// Goal: waiters get the leader's response. Method: three of them queue; then the leader answers.
#[tokio::test]
async fn waiters_get_the_response() {
    bounded(async {
        let mut site = Site::layered(|layer| layer.wait(pending)).await;
        let call = Call::charge("k-wait");
        let first = site.spawn(&call);
        let leader = site.run().await;
        let waiters: Vec<_> = (0..3).map(|_| site.spawn(&call)).collect();
        site.until(|stats| stats.waiters == 3).await;
        leader.reply(201, "charged");
        assert!(!first.await.expect("no panic").expect("an answer").is_replay());
        for waiter in waiters {
            let reply = waiter.await.expect("no panic").expect("an answer");
            assert_eq!((reply.status, reply.text(), reply.is_replay()), (201, "charged", true));
        }
        assert_eq!(site.effects(), 1);
    })
    .await;
}

/// Goal: when the leader fails, exactly one waiter becomes the next attempt and the others go on
/// waiting. Method: the leader answers 500 with three waiters; one more handler begins, and its
/// response is everybody's.
#[tokio::test]
async fn one_waiter_takes_over_a_failed_leader() {
    bounded(async {
        let mut site = Site::layered(|layer| layer.wait(pending)).await;
        let call = Call::charge("k-hand-over");
        let first = site.spawn(&call);
        let leader = site.run().await;
        let mut waiters = JoinSet::new();
        for _ in 0..3 {
            let (call, address) = (call.clone(), site.address);
            waiters.spawn(async move { call.send(address).await.expect("an answer") });
        }
        site.until(|stats| stats.waiters == 3).await;
        let fence = leader.fencing_token;
        leader.reply(500, "broken");
        assert_eq!(first.await.expect("no panic").expect("an answer").status, 500);
        let second = site.run().await;
        assert_eq!(second.attempt, 2);
        assert!(second.fencing_token > fence);
        site.until(|stats| stats.waiters == 2).await;
        assert!(!site.has_run());
        second.reply(201, "charged");
        let replies = waiters.join_all().await;
        assert!(replies.iter().all(|reply| (reply.status, reply.text()) == (201, "charged")));
        assert_eq!(replies.iter().filter(|reply| reply.is_replay()).count(), 2);
    })
    .await;
}

/// Goal: waiting ends when the caller's limit does. Method: a limit that the test ends; the answer
/// is then a conflict, and the waiter has left the queue.
#[tokio::test]
async fn the_limit_ends_the_waiting() {
    bounded(async {
        let over = Arc::new(Notify::new());
        let limit = Arc::clone(&over);
        let mut site = Site::layered(|layer| {
            layer.wait(move || {
                let limit = Arc::clone(&limit);
                async move { limit.notified().await }
            })
        })
        .await;
        let call = Call::charge("k-limit");
        let first = site.spawn(&call);
        let leader = site.run().await;
        let waiter = site.spawn(&call);
        site.until(|stats| stats.waiters == 1).await;
        over.notify_one();
        let reply = waiter.await.expect("no panic").expect("an answer");
        assert_eq!(reply.problem(), (409, "in-progress"));
        assert_eq!(site.engine.stats().expect("not forked").waiters, 0);
        leader.reply(200, "done");
        assert_eq!(first.await.expect("no panic").expect("an answer").status, 200);
    })
    .await;
}

/// Goal: an engine that lets threads wait does not block the server's. Method: such an engine and
/// a server of one thread, which could not answer the leader any more.
#[tokio::test]
async fn the_engines_blocking_wait_is_not_used() {
    bounded(async {
        let wait = OnConflict::Wait(std::time::Duration::from_secs(3600));
        let mut site = Site::with(|builder| builder.on_conflict(wait), |layer| layer).await;
        let call = Call::charge("k-block");
        let first = site.spawn(&call);
        let leader = site.run().await;
        assert_eq!(site.send(&call).await.problem(), (409, "in-progress"));
        leader.reply(200, "done");
        assert_eq!(first.await.expect("no panic").expect("an answer").status, 200);
    })
    .await;
}
