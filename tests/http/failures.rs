//! Attempts that fail: by their answer, by a panic, by outliving their lease.

use std::time::Duration;

use oncegate::{ManualClock, OutcomePolicy, Verdict};

use crate::client::Call;
use crate::site::{Site, bounded};

/// Goal: a server error is no result: the next request is attempt 2. Method: answer 500, and then
/// 201 under a higher token.
#[tokio::test]
async fn a_server_error_is_retried() {
    bounded(async {
        let mut site = Site::open().await;
        let call = Call::charge("k-500");
        assert_eq!(site.serve(&call, 500, "broken").await.status, 500);
        let sent = site.spawn(&call);
        let second = site.run().await;
        assert_eq!((second.attempt, &second.payload[..]), (2, &br#"{"amount": 100}"#[..]));
        second.reply(201, "charged");
        assert_eq!(sent.await.expect("no panic").expect("an answer").status, 201);
        assert!(site.send(&call).await.is_replay());
    })
    .await;
}

/// Goal: the outcome policy decides. Method: a client error is replayed under the preset `ietf`;
/// under a policy of its own, 504 is unknown.
#[tokio::test]
async fn the_policy_decides_what_is_final() {
    bounded(async {
        let policy = OutcomePolicy::ietf().status(504, Verdict::Unknown);
        let mut site = Site::layered(|layer| layer.policy(policy)).await;
        let call = Call::charge("k-402");
        assert_eq!(site.serve(&call, 402, "declined").await.status, 402);
        let again = site.send(&call).await;
        assert_eq!((again.status, again.text(), again.is_replay()), (402, "declined", true));
        let call = Call::charge("k-504");
        assert_eq!(site.serve(&call, 504, "who knows").await.status, 504);
        assert_eq!(site.send(&call).await.problem(), (409, "unresolved"));
    })
    .await;
}

/// Goal: a panic resolves the record, whether it ends the connection or a task of its own. Method:
/// panic in both settings; the next request is attempt 2.
#[tokio::test]
async fn a_panic_is_retried() {
    bounded(async {
        let call = Call::charge("k-panic");
        let mut site = Site::open().await;
        let sent = site.spawn(&call);
        site.run().await.panic();
        assert_eq!(sent.await.expect("no panic"), None);
        assert_eq!(site.retried(&call).await, 2);

        let detach = |task| drop(tokio::spawn(task));
        let mut site = Site::layered(|layer| layer.spawn_with(detach)).await;
        let sent = site.spawn(&call);
        site.run().await.panic();
        let reply = sent.await.expect("no panic").expect("an answer");
        assert_eq!(reply.problem(), (500, "aborted"));
        assert_eq!(site.retried(&call).await, 2);
    })
    .await;
}

/// Goal: the response of an attempt that lost its lease reaches nobody. Method: let the lease of
/// attempt 1 lapse while it runs; attempt 2 answers first; attempt 1's client is told to ask
/// again, and gets the response of attempt 2.
#[tokio::test]
async fn a_response_that_comes_too_late_is_discarded() {
    bounded(async {
        let clock = ManualClock::new();
        let given = clock.clone();
        let mut site = Site::with(|builder| builder.clock(given), |layer| layer).await;
        let call = Call::charge("k-late");
        let first = site.spawn(&call);
        let slow = site.run().await;
        clock.advance(Duration::from_secs(31));
        assert_eq!(site.serve(&call, 201, "from attempt 2").await.text(), "from attempt 2");
        slow.reply(201, "from attempt 1");
        let late = first.await.expect("no panic").expect("an answer");
        assert_eq!(late.problem(), (409, "fenced"));
        assert_eq!(site.send(&call).await.text(), "from attempt 2");
        assert_eq!(site.engine.stats().expect("not forked").fenced, 1);
    })
    .await;
}

/// Goal: a handler that needs longer can say so. Method: renew the lease from what the handler was
/// given, go past the first deadline, and find the attempt still running.
#[tokio::test]
async fn a_handler_can_renew_its_lease() {
    bounded(async {
        let clock = ManualClock::new();
        let given = clock.clone();
        let mut site = Site::with(|builder| builder.clock(given), |layer| layer).await;
        let call = Call::charge("k-renew");
        let first = site.spawn(&call);
        let run = site.run().await;
        let attempt = run.attempt_data.expect("a record");
        site.engine.renew(attempt.lease_token(), Duration::from_secs(120)).expect("it runs");
        clock.advance(Duration::from_secs(31));
        assert_eq!(site.send(&call).await.problem(), (409, "in-progress"));
        run.reply(200, "done");
        assert_eq!(first.await.expect("no panic").expect("an answer").status, 200);
    })
    .await;
}
