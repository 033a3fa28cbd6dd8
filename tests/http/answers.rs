//! The form of the answers that no handler gave.

use std::time::Duration;

use oncegate::{BeginOptions, Failure};

use crate::client::Call;
use crate::site::{Site, bounded};

/// Goal: a problem has the members of RFC 9457 and a code for programs, and no cache keeps it.
/// Method: one problem under the default, and one under documented types.
#[tokio::test]
async fn problems_have_the_standard_form() {
    bounded(async {
        let site = Site::open().await;
        let reply = site.send(&Call::charge("not a key")).await;
        assert_eq!(
            reply.text(),
            "{\"code\":\"invalid-key\",\"detail\":\"an unquoted key takes visible ASCII without \
             quotes, commas\",\"status\":400,\"title\":\"Bad Request\",\"type\":\"about:blank\"}"
        );
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        let site = Site::layered(|layer| layer.problem_types("https://example.com/p/")).await;
        let reply = site.send(&Call::charge("not a key")).await;
        assert!(reply.text().contains("\"type\":\"https://example.com/p/invalid-key\""));
    })
    .await;
}

/// Goal: `Retry-After` never sends a client back too early, nor later than there is reason for.
/// Method: a long poll interval against a short lease; a scheduled attempt with a fraction of a
/// second.
#[tokio::test]
async fn retry_after_is_bounded_by_lease_and_schedule() {
    bounded(async {
        let clock = oncegate::ManualClock::new();
        let mut site = Site::with(
            |builder| builder.clock(clock),
            |layer| {
                let short = BeginOptions::new().lease_duration(Duration::from_millis(6_500));
                layer.poll_after(Duration::from_secs(60)).begin(short).expect("options")
            },
        )
        .await;
        let call = Call::charge("k-later");
        let first = site.spawn(&call);
        let run = site.run().await;
        assert_eq!(site.send(&call).await.header("retry-after"), Some("7"));
        let attempt = run.attempt_data.expect("a record");
        let later = Failure::retryable_after(Duration::from_millis(2_500));
        site.engine.fail(attempt.lease_token(), later).expect("it runs");
        let scheduled = site.send(&call).await;
        assert_eq!(scheduled.problem(), (409, "scheduled"));
        assert_eq!(scheduled.header("retry-after"), Some("3"));
        // The handler ended the attempt itself: its response is no result any more.
        run.reply(200, "too late");
        let reply = first.await.expect("no panic").expect("an answer");
        assert_eq!(reply.problem(), (409, "fenced"));
    })
    .await;
}

/// Goal: a target that no record can name is refused, and a tenant or an operation that the service
/// named wrongly is the service's mistake. Method: a target of 1,100 bytes, a scope of 300, an
/// operation of none.
#[tokio::test]
async fn names_beyond_their_limits_are_refused() {
    bounded(async {
        let mut site = Site::open().await;
        let target = format!("/{}", "x".repeat(1_100));
        let long = Call::new("POST", &target).header("idempotency-key", "k-1");
        assert_eq!(site.send(&long).await.problem(), (414, "operation-too-long"));
        let misnamed = Call::charge("k-1").header("x-tenant", "y".repeat(300));
        let reply = site.send(&misnamed).await;
        assert_eq!(reply.problem(), (500, "misconfigured"));
        assert!(!reply.text().contains("yyy"));
        assert!(!site.has_run());
        let mut named = Site::layered(|layer| layer.operation(|_parts| "charge".to_owned())).await;
        assert_eq!(named.serve(&long, 200, "done").await.status, 200);
        let other = Call::new("PATCH", "/elsewhere").header("idempotency-key", "k-1");
        assert!(named.send(&other).await.is_replay());
        let mut nameless = Site::layered(|layer| layer.operation(|_parts| String::new())).await;
        let reply = nameless.answered(&Call::charge("k-1")).await;
        assert_eq!(reply.problem(), (500, "misconfigured"));
    })
    .await;
}
