//! Which requests need a key, and which keys are accepted.

use oncegate::KeyRules;

use crate::client::Call;
use crate::site::{Site, bounded};

/// Goal: what changes something does not run without a key, unless that was asked for. Method:
/// each method without a key, under the default and under the lenient setting.
#[tokio::test]
async fn methods_that_need_a_key_are_refused_without() {
    bounded(async {
        let mut strict = Site::open().await;
        for method in ["POST", "PATCH", "MOVE", "BREW"] {
            let reply = strict.send(&Call::new(method, "/charges")).await;
            assert_eq!(reply.problem(), (400, "missing-key"), "{method}");
            assert!(reply.text().contains("idempotency-key"));
        }
        assert!(!strict.has_run());
        for method in ["GET", "QUERY", "PROPFIND", "PUT", "DELETE"] {
            assert_eq!(strict.serve(&Call::new(method, "/charges"), 200, "ok").await.status, 200);
            let again = strict.serve(&Call::new(method, "/charges"), 200, "ok").await;
            assert!(!again.is_replay(), "{method}");
        }
        let mut lenient = Site::layered(|layer| layer.require_key(false)).await;
        for _ in 0..2 {
            let sent = lenient.spawn(&Call::new("POST", "/charges").body("x"));
            let run = lenient.run().await;
            assert_eq!((run.attempt, &run.payload[..]), (0, &b"x"[..]));
            run.reply(200, "unprotected");
            assert!(!sent.await.expect("no panic").expect("an answer").is_replay());
        }
    })
    .await;
}

/// Goal: safe methods never make a record, even with a key. Method: a GET with a key, twice.
#[tokio::test]
async fn safe_methods_pass_untouched() {
    bounded(async {
        let mut site = Site::open().await;
        let call = Call::new("GET", "/charges/7").header("idempotency-key", "k-get");
        for _ in 0..2 {
            assert!(!site.serve(&call, 200, "fresh").await.is_replay());
        }
        assert_eq!(site.engine.stats().expect("not forked").begun, 0);
    })
    .await;
}

/// Goal: PUT and DELETE without a key are recognised by their payload where that was asked for.
/// Method: the same document twice, spelled differently, and another one.
#[tokio::test]
async fn payloads_identify_put_where_asked_for() {
    bounded(async {
        let mut site = Site::layered(|layer| layer.dedup_by_payload(true)).await;
        let put = |document| Call::new("PUT", "/users/7").json(document);
        assert_eq!(site.serve(&put(r#"{"name": "Ada"}"#), 200, "stored").await.status, 200);
        assert!(site.send(&put(r#"{ "name":"Ada" }"#)).await.is_replay());
        assert!(!site.serve(&put(r#"{"name": "Bob"}"#), 200, "stored").await.is_replay());
    })
    .await;
}

/// Goal: a bare key and its quoted form are one key; broken ones run nothing. Method: run one
/// form, replay the other; then every kind of malformed header.
#[tokio::test]
async fn bare_and_quoted_keys_are_one_key() {
    bounded(async {
        let mut site = Site::open().await;
        assert_eq!(site.serve(&Call::charge("8e03978e-40d5"), 200, "done").await.status, 200);
        assert!(site.send(&Call::charge("\"8e03978e-40d5\"")).await.is_replay());
        let long = "x".repeat(256);
        let broken = ["", "\"open", "with space", "a, b", "\"a\\n\"", "\"\"", &long];
        for key in broken {
            let reply = site.send(&Call::charge(key)).await;
            assert_eq!(reply.problem(), (400, "invalid-key"), "{key}");
        }
        let twice = Call::charge("k-1").another("idempotency-key", "k-2");
        assert_eq!(site.send(&twice).await.problem(), (400, "invalid-key"));
        assert!(!site.has_run());
    })
    .await;
}

/// Goal: the engine's key rules hold at the edge, and a refusal says nothing of the key. Method:
/// a predictable key; the client of these tests looks for every key in every problem.
#[tokio::test]
async fn predictable_keys_are_refused_by_rule() {
    bounded(async {
        let rules = KeyRules::any().refuse_predictable();
        let mut site = Site::with(|builder| builder.key_rules(rules), |layer| layer).await;
        let reply = site.send(&Call::charge("order-1042-checkout")).await;
        assert_eq!(reply.problem(), (400, "invalid-key"));
        assert!(!site.has_run());
        let random = Call::charge("V1StGXR8_Z5jdHi6B-myT");
        assert_eq!(site.serve(&random, 200, "done").await.status, 200);
    })
    .await;
}

/// Goal: the names of both headers can be chosen. Method: run and replay under other names.
#[tokio::test]
async fn header_names_are_configurable() {
    bounded(async {
        let mut site = Site::layered(|layer| {
            layer
                .key_header(http::HeaderName::from_static("x-dedup-key"))
                .replay_header(http::HeaderName::from_static("x-replayed"))
        })
        .await;
        let call = Call::new("POST", "/charges").header("x-dedup-key", "k-1");
        assert_eq!(site.serve(&call, 200, "done").await.header("x-replayed"), None);
        assert_eq!(site.send(&call).await.header("x-replayed"), Some("true"));
    })
    .await;
}
