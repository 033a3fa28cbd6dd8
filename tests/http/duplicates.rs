//! Duplicates of one request: while it runs, and after it has finished.

use axum::body::Body;
use axum::response::Response;
use oncegate::{Outcome, OutcomePolicy, Request, Resolution, Scope, Verdict};
use tokio::task::JoinSet;

use crate::client::Call;
use crate::site::{Site, bounded};

/// Goal: of many overlapping duplicates exactly one runs, and all others are told to come back.
/// Method: 64 connections with one key; the handler is held until 63 clients have their answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_duplicates_run_once() {
    bounded(async {
        let mut site = Site::open().await;
        let call = Call::charge("k-64");
        let mut clients = JoinSet::new();
        for _ in 0..64 {
            let (call, address) = (call.clone(), site.address);
            clients.spawn(async move { call.send(address).await.expect("an answer") });
        }
        let leader = site.run().await;
        assert_eq!(leader.attempt, 1);
        for _ in 0..63 {
            let reply = clients.join_next().await.expect("a client").expect("no panic");
            assert_eq!(reply.problem(), (409, "in-progress"));
            assert_eq!(reply.header("retry-after"), Some("1"));
            assert!(!reply.is_replay());
        }
        leader.reply(201, "charged");
        let first = clients.join_next().await.expect("the leader").expect("no panic");
        assert_eq!((first.status, first.text(), first.is_replay()), (201, "charged", false));
        let again = site.send(&call).await;
        assert_eq!((again.status, again.text(), again.is_replay()), (201, "charged", true));
        assert!(!site.has_run());
        assert_eq!(site.effects(), 1);
    })
    .await;
}

/// Goal: a replay gives back the first response, and nothing that belongs to its client. Method:
/// a response with kept, repeated, unkept and private headers; compare all of them.
#[tokio::test]
async fn replays_keep_the_response_and_no_cookie() {
    bounded(async {
        let mut site = Site::layered(|layer| {
            layer.keep_header(http::HeaderName::from_static("x-charge-id")).expect("a header")
        })
        .await;
        let call = Call::charge("k-headers");
        let sent = site.spawn(&call);
        let response = Response::builder()
            .status(201)
            .header("content-type", "application/json")
            .header("location", "/charges/7")
            .header("link", "</a>; rel=a")
            .header("link", "</b>; rel=b")
            .header("x-charge-id", "7")
            .header("x-request-id", "first")
            .header("set-cookie", "session=secret")
            .header("authorization", "Bearer secret")
            .body(Body::from(r#"{"id": 7}"#))
            .expect("a legal response");
        site.run().await.answer(response);
        let first = sent.await.expect("no panic").expect("an answer");
        assert_eq!(first.header("set-cookie"), Some("session=secret"));
        let again = site.send(&call).await;
        assert!(again.is_replay() && !first.is_replay());
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        for kept in ["content-type", "location", "link", "x-charge-id", "content-length"] {
            assert!(first.header(kept).is_some(), "{kept}");
            assert_eq!(again.header(kept), first.header(kept), "{kept}");
        }
        for dropped in ["set-cookie", "authorization", "x-request-id"] {
            assert_eq!(again.header(dropped), None, "{dropped}");
        }
    })
    .await;
}

/// Goal: a header of the list that cannot be stored is never left out of a replay in silence.
/// Method: a file name in Latin-1, which reaches its client; its duplicate gets no replay.
#[tokio::test]
async fn a_kept_header_that_is_not_utf8_is_not_left_out() {
    bounded(async {
        let mut site = Site::open().await;
        let latin = http::HeaderValue::from_bytes(b"inline; filename=caf\xe9").expect("legal");
        let response = Response::builder().header("content-disposition", latin);
        let response = response.body(Body::from("menu")).expect("a legal response");
        let (first, again) = site.twice(&Call::charge("k-latin"), response).await;
        let first = first.expect("an answer");
        assert_eq!(first.header("content-disposition"), Some("inline; filename=caf\u{e9}"));
        assert_eq!(again.problem(), (409, "outcome-gone"));
    })
    .await;
}

/// Goal: a record that was resolved by hand is replayed by the same list as every other. Method:
/// resolve an unknown one with a header of the list, a cookie, and a header of neither list.
#[tokio::test]
async fn resolved_outcomes_are_replayed_by_the_same_list() {
    bounded(async {
        let policy = OutcomePolicy::ietf().status(504, Verdict::Unknown);
        let mut site = Site::layered(|layer| layer.policy(policy)).await;
        let call = Call::new("POST", "/charges").header("idempotency-key", "k-resolved");
        assert_eq!(site.serve(&call, 504, "who knows").await.status, 504);
        let metadata = [
            ("location", "/charges/7"),
            ("set-cookie", "session=secret"),
            ("x-request-id", "first"),
            ("not a header", "x"),
        ];
        let outcome =
            metadata.iter().fold(Outcome::new(201, b"charged"), |outcome, (name, value)| {
                outcome.with_metadata(name, value).expect("short metadata")
            });
        let scope = Scope::new("acme").expect("a name");
        let request = Request::new(scope, "POST /charges", "k-resolved").expect("a request");
        site.engine.resolve(&request, Resolution::Succeeded(outcome)).expect("it is unknown");
        let again = site.answered(&call).await;
        assert_eq!((again.status, again.text(), again.is_replay()), (201, "charged", true));
        assert_eq!(again.header("location"), Some("/charges/7"));
        for (name, _) in &metadata[1..] {
            assert_eq!(again.header(name), None, "{name}");
        }
    })
    .await;
}

/// Goal: a key never answers another payload, whether its request runs or has finished. Method:
/// another amount in both states; then the same document spelled differently, which is the same.
#[tokio::test]
async fn another_payload_is_a_mismatch_in_every_state() {
    bounded(async {
        let mut site = Site::open().await;
        let call = Call::charge("k-mismatch");
        let other = call.clone().json(r#"{"amount": 999}"#);
        let respelled = call.clone().json("{ \"amount\" :\n1e2 }");
        let sent = site.spawn(&call);
        let leader = site.run().await;
        assert_eq!(site.send(&other).await.problem(), (422, "mismatched"));
        assert_eq!(site.send(&respelled).await.problem(), (409, "in-progress"));
        leader.reply(200, "done");
        assert_eq!(sent.await.expect("no panic").expect("an answer").status, 200);
        let refused = site.send(&other).await;
        assert_eq!(refused.problem(), (422, "mismatched"));
        assert_eq!(refused.header("retry-after"), None);
        assert!(site.send(&respelled).await.is_replay());
        assert!(!site.has_run());
    })
    .await;
}

/// Goal: a form that is encoded anew for each attempt is the same request. Method: one multipart
/// body under two boundaries, and under a third with another content.
#[tokio::test]
async fn multipart_boundaries_do_not_matter() {
    bounded(async {
        let mut site = Site::open().await;
        let upload = |boundary: &str, content: &str| {
            let name = "Content-Disposition: form-data; name=\"file\"";
            let body = format!("--{boundary}\r\n{name}\r\n\r\n{content}\r\n--{boundary}--\r\n");
            let kind = format!("multipart/form-data; boundary=\"{boundary}\"");
            Call::charge("k-form").header("content-type", kind).body(body)
        };
        assert_eq!(site.serve(&upload("one", "x"), 200, "done").await.status, 200);
        assert!(site.send(&upload("two", "x")).await.is_replay());
        assert_eq!(site.send(&upload("three", "y")).await.problem(), (422, "mismatched"));
    })
    .await;
}

/// Goal: no tenant is answered with another's response; the same key is another request in another
/// scope, path, query and method. Method: one key in each of them, two of the tenants with names of
/// equal length; all run.
#[tokio::test]
async fn scopes_and_operations_are_apart() {
    bounded(async {
        let mut site = Site::open().await;
        let document = r#"{"amount": 100}"#;
        let calls = [
            Call::charge("k-1"),
            Call::charge("k-1").header("x-tenant", "globex"),
            Call::charge("k-1").header("x-tenant", "evil"),
            Call::charge("k-1").header("x-tenant", ""),
            Call::new("POST", "/charges?dry=1").header("idempotency-key", "k-1").json(document),
            Call::new("POST", "/refunds").header("idempotency-key", "k-1").json(document),
            Call::new("PATCH", "/charges").header("idempotency-key", "k-1").json(document),
        ];
        for call in &calls {
            let reply = site.serve(call, 200, "done").await;
            assert_eq!((reply.status, reply.is_replay()), (200, false));
        }
        for call in &calls {
            assert!(site.send(call).await.is_replay());
        }
        let unknown = site.send(&Call::charge("k-1").without("x-tenant")).await;
        assert_eq!(unknown.problem(), (403, "no-scope"));
        assert_eq!(site.effects(), calls.len());
    })
    .await;
}
