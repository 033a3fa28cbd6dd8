//! The same key with another payload.
//!
//! Seen in caches that compare keys alone: the second charge gets the first one's receipt. And
//! in those that lose the payload's digest on completion, or refuse an honest retry.

use std::time::Duration;

use oncegate::{Admission, Engine, Failure, OnConflict, Payload, Request, Scope};

use crate::support::{admitted, done, engine, paying, replayed, request, token};

/// Goal: the same key with another amount is a mismatch in every state of the record, wins over
/// every other answer, and leaves the record as it is.
/// Method: bring a record into each state, and ask with another payload, also with a wait.
#[test]
fn is_a_mismatch() {
    // A real clock and a short wait: whoever waits all the same fails the test, and soon.
    let patient = OnConflict::Wait(Duration::from_millis(20));
    let builder = Engine::builder().capacity(1_000).on_conflict(patient).precise_clock();
    let engine = builder.build().expect("valid");
    let (right, wrong) = (paying("k", br#"{"amount": 100}"#), paying("k", br#"{"amount": 900}"#));
    let mismatched = |state: &str| {
        let met = engine.begin(&wrong).expect("an answer");
        assert!(matches!(met, Admission::Mismatched), "{state}: {met:?}");
    };
    let first = token(&engine, &right);
    mismatched("running");
    engine.fail(&first, Failure::retryable_after(crate::support::LEASE)).expect("held");
    mismatched("waiting");
    let (engine, _clock) = crate::support::engine();
    let running = token(&engine, &right);
    let met = engine.begin(&wrong).expect("an answer");
    assert!(matches!(met, Admission::Mismatched), "running, without a wait: {met:?}");
    engine.abandon(&running).expect("held");
    for (state, end) in [("failed", Failure::terminal(done("no"))), ("unknown", Failure::unknown())]
    {
        let right = paying(state, b"1");
        engine.fail(&token(&engine, &right), end).expect("held");
        let met = engine.begin(&paying(state, b"2")).expect("an answer");
        assert!(matches!(met, Admission::Mismatched), "{state}: {met:?}");
    }
    admitted(&engine, &right).complete(&done("receipt")).expect("held");
    let met = engine.begin(&wrong).expect("an answer");
    assert!(matches!(met, Admission::Mismatched), "succeeded: {met:?}");
    assert_eq!(replayed(&engine, &right), done("receipt"), "the record is as it was");
    assert_eq!(engine.stats().expect("not forked").mismatched, 4);
}

/// Goal: completion keeps the payload's digest: an identical request after it is a replay, also
/// after a retry, and with other white space. Method: two attempts, then three spellings.
#[test]
fn honest_retry_is_replayed() {
    let (engine, _clock) = engine();
    let body = br#"{"amount": 100, "currency": "EUR"}"#;
    admitted(&engine, &paying("k", body)).abandon().expect("held");
    admitted(&engine, &paying("k", body)).complete(&done("paid")).expect("held");
    for same in [
        &body[..],
        br#"{"currency":"EUR","amount":100}"#,
        br#"{ "amount": 1e2, "currency": "EUR" }"#,
    ] {
        assert_eq!(replayed(&engine, &paying("k", same)), done("paid"));
    }
}

/// Goal: a multipart body that was encoded again is the same request; another part is not.
/// Method: one form under two boundaries, and with another value.
#[test]
fn multipart_boundary_does_not_matter() {
    fn form(boundary: &str, amount: u32) -> Vec<u8> {
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"amount\"\r\n\r\n\
             {amount}\r\n--{boundary}--\r\n"
        )
        .into_bytes()
    }
    let (engine, _clock) = engine();
    let ask = |body: &[u8], boundary: &str| {
        let request = request("k").payload(Payload::multipart(body, boundary));
        engine.begin(&request).map(|met| match met {
            Admission::Admitted(lease) => {
                lease.complete(&done("uploaded")).expect("held");
                "ran"
            }
            Admission::Replayed(_) => "replayed",
            Admission::Mismatched => "mismatched",
            _ => "another answer",
        })
    };
    assert_eq!(ask(&form("first", 100), "first"), Ok("ran"));
    assert_eq!(ask(&form("second", 100), "second"), Ok("replayed"));
    assert_eq!(ask(&form("third", 900), "third"), Ok("mismatched"));
}

/// Goal: a payload that cannot be digested runs nothing and changes nothing.
/// Method: malformed JSON, on a new key and on a finished record.
#[test]
fn malformed_payload_is_refused() {
    let (engine, _clock) = engine();
    let error = engine.begin(&paying("k", b"{")).expect_err("malformed");
    assert!(error.is_invalid_input(), "{error}");
    assert_eq!(engine.stats().expect("not forked").live.total(), 0);
    admitted(&engine, &paying("k", b"{}")).complete(&done("ok")).expect("held");
    engine.begin(&paying("k", b"[")).expect_err("malformed");
    assert_eq!(replayed(&engine, &paying("k", b"{}")), done("ok"));
}

/// Goal: without a key the payload is the identity: the same state is set once.
/// Method: two equal requests by payload, and one that differs.
#[test]
fn payload_may_take_the_place_of_the_key() {
    let (engine, _clock) = engine();
    let put = |body: &'static [u8]| {
        Request::by_payload(Scope::single_tenant(), "PUT /users/7", Payload::json(body))
            .expect("valid")
    };
    admitted(&engine, &put(br#"{"a": 1}"#)).complete(&done("set")).expect("held");
    assert_eq!(replayed(&engine, &put(br#"{ "a":1 }"#)), done("set"));
    let _other = admitted(&engine, &put(br#"{"a": 2}"#));
}
