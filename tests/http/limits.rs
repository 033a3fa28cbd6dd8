//! Sizes, quotas, and responses that cannot be kept.

use oncegate::{OnFull, Quota, Scope};

use crate::client::Call;
use crate::site::{Site, bounded, response};

/// Goal: a request beyond the limit is refused before it makes a record, at exactly its size,
/// whether or not it says its size before. Method: a limit of 16 bytes; 16 pass, 17 do not, with
/// their length and in chunks.
#[tokio::test]
async fn long_payloads_are_refused() {
    bounded(async {
        let mut site = Site::layered(|layer| layer.payload_limit(16)).await;
        let call =
            |length| Call::charge("k-long").header("content-type", "x/y").body("x".repeat(length));
        for long in [call(17), call(17).chunked()] {
            assert_eq!(site.answered(&long).await.problem(), (413, "payload-too-large"));
        }
        assert_eq!(site.engine.stats().expect("not forked").begun, 0);
        assert_eq!(site.serve(&call(16).chunked(), 200, "done").await.status, 200);
        assert!(site.send(&call(16)).await.is_replay());
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
            let (first, again) = site.twice(&call, response(200, long)).await;
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
        let (_, again) = site.twice(&call, response(200, long)).await;
        assert!(again.is_replay() && again.text() == long);
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
