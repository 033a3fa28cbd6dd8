//! The main job: real payloads through the engine have one effect each, without it they do not.

use crate::common::{number, storm, webhooks};

/// Goal: with failures, panics and holders that outlive their lease, every request has exactly one
/// accepted side effect. Method: the webhook payloads, high rates; read the JSON object.
#[test]
fn every_request_has_one_effect_through_the_engine() {
    let file = webhooks();
    let (json, exit, stderr) = storm(
        &["--input", file.to_str().unwrap(), "--fail-rate", "0.2", "--pause-rate", "0.1"],
        b"",
    );
    assert_eq!((exit, stderr.as_str()), (0, ""), "{json}");
    assert_eq!(number(&json, "deliveries"), 255 * 4);
    assert_eq!(number(&json, "distinct"), 255);
    assert_eq!(number(&json, "accepted_effects"), 255);
    for none in ["duplicate_effects", "mismatched", "wrong_payload_effects", "skipped_lines"] {
        assert_eq!(number(&json, none), 0, "{none} in {json}");
    }
    assert!(number(&json, "executed") > 255, "planned failures must run: {json}");
    for some in ["replayed", "in_progress", "fenced", "failed", "panicked", "paused", "p50_ns"] {
        assert!(number(&json, some) > 0, "{some} in {json}");
    }
    let [p50, p99, p999] = ["p50_ns", "p99_ns", "p999_ns"].map(|field| number(&json, field));
    assert!(p50 <= p99 && p99 <= p999, "{json}");
    assert!(json["per_second"].as_f64().unwrap() > 0.0, "{json}");
    assert_eq!(json["violations"], serde_json::json!([]));
}

/// Goal: the same storm without coordination shows the damage. Method: the same input, baseline;
/// almost every copy is an effect.
#[test]
fn duplicates_abound_without_coordination() {
    let file = webhooks();
    let args = ["--input", file.to_str().unwrap(), "--baseline", "--copies", "3"];
    let (json, exit, _) = storm(&args, b"");
    assert_eq!(exit, 0);
    assert_eq!(json["mode"], "baseline");
    let duplicates = number(&json, "duplicate_effects");
    assert!(duplicates >= 2 * 255, "{json}");
    assert_eq!(number(&json, "accepted_effects"), 255 + duplicates);
    assert!(number(&json, "most_at_once") > 1, "{json}");
}

/// Goal: a seed is a storm: both modes and every repetition meet the same plan. Method: the
/// comparison twice with one seed, then another seed.
#[test]
fn the_same_seed_plans_the_same_storm() {
    let lines: String = (0..60).map(|i| format!("{{\"key\":\"k{i}\"}}\n")).collect();
    let plan = |seed: &str| {
        let args = ["--input", "-", "--compare", "--fail-rate", "0.3", "--seed", seed];
        let (json, exit, _) = storm(&args, lines.as_bytes());
        assert_eq!(exit, 0, "{json}");
        ["baseline", "engine"].map(|mode| {
            let fields = ["deliveries", "distinct", "planned_failures", "planned_pauses"];
            fields.map(|field| number(&json[mode], field))
        })
    };
    let first = plan("7");
    assert_eq!(first[0], first[1]);
    assert_eq!(first, plan("7"));
    assert_ne!(first, plan("8"));
}

/// Goal: one client meets nobody, and a holder that outlives its lease still leaves one effect.
/// Method: one thread, so that the late holder writes before its successor starts.
#[test]
fn one_client_alone_is_exact_too() {
    let lines: String = (0..12).map(|i| format!("{{\"key\":\"k{i}\"}}\n")).collect();
    let args = ["--input", "-", "--clients", "1", "--pause-rate", "0.5", "--lease-ms", "20"];
    let (json, exit, stderr) = storm(&args, lines.as_bytes());
    assert_eq!((exit, stderr.as_str()), (0, ""), "{json}");
    assert_eq!((number(&json, "accepted_effects"), number(&json, "most_at_once")), (12, 1));
    assert!(number(&json, "paused") > 0, "{json}");
}

/// Goal: a key that comes with another payload is counted and never runs; the first line of the
/// file is the original. Method: conflicting lines through the engine, and without it.
#[test]
fn another_payload_under_one_key_never_runs() {
    let lines: String = (0..20)
        .map(|i| {
            format!(
                "{{\"scope\":\"s\",\"operation\":\"pay\",\"key\":{i},\"payload\":{{\"sum\":1}}}}\n\
                 {{\"scope\":\"s\",\"operation\":\"pay\",\"key\":{i},\"payload\":{{\"sum\":2}}}}\n"
            )
        })
        .collect();
    let (json, exit, stderr) = storm(&["--input", "-", "--copies", "3"], lines.as_bytes());
    assert_eq!((exit, stderr.as_str()), (0, ""), "{json}");
    assert_eq!((number(&json, "distinct"), number(&json, "deliveries")), (20, 120));
    assert_eq!((number(&json, "mismatched"), number(&json, "accepted_effects")), (60, 20));
    assert_eq!(number(&json, "wrong_payload_effects"), 0);

    let args = ["--input", "-", "--copies", "3", "--pause-rate", "0", "--baseline"];
    let (json, _, _) = storm(&args, lines.as_bytes());
    assert_eq!(number(&json, "wrong_payload_effects"), 60, "{json}");
}

/// Goal: payloads and keys stay as they are written: what the engine tells apart is never taken for
/// the same, and what it refuses never runs. Method: under one key each, numbers that a double
/// rounds to one and a member that is there twice; keys beyond 64 bits; a key that is there twice.
#[test]
fn nothing_is_rounded_or_dropped_on_the_way_to_the_engine() {
    let charge = |payload: &str| {
        format!(r#"{{"scope":"s","operation":"pay","key":"a","payload":{payload}}}"#) + "\n"
    };
    let run = |lines: &str| {
        let (json, exit, stderr) = storm(&["--input", "-", "--copies", "2"], lines.as_bytes());
        let fields = ["distinct", "mismatched", "accepted_effects", "skipped_lines"];
        (exit, fields.map(|field| number(&json, field)), stderr)
    };

    let amounts = ["9007199254740993", "9007199254740992", "9007199254740993.0"];
    let lines = amounts.map(|amount| charge(&format!("{{\"amount\":{amount}}}"))).concat();
    assert_eq!(run(&lines), (0, [1, 2, 1, 0], String::new()));

    let lines = [r#"{"amount":1,"amount":2}"#, r#"{"amount":2}"#].map(charge).concat();
    let (exit, counts, stderr) = run(&lines);
    assert_eq!((exit, counts), (3, [1, 0, 1, 1]), "{stderr}");
    assert!(stderr.contains("line 1: skipped: payload: ") && stderr.contains("duplicate"));
    assert!(!stderr.contains("amount"), "{stderr}");

    let keys = ["123456789012345678901234567890", "123456789012345678901234567891"];
    let lines = keys.map(|key| format!("{{\"key\":{key},\"payload\":1}}\n")).concat();
    assert_eq!(run(&lines), (0, [2, 0, 2, 0], String::new()));

    let (exit, counts, stderr) = run("{\"key\":\"a\",\"key\":\"b\"}\n{\"key\":\"a\"}\n");
    assert_eq!((exit, counts), (3, [1, 0, 1, 1]), "{stderr}");
    assert!(stderr.contains("line 1: skipped: key: found twice"), "{stderr}");
}

/// Goal: the report can be added up. Method: a client alone, whose handlers outlive their lease and
/// still complete, so that answers and completions are more than deliveries; the sums of
/// `storm --help`.
#[test]
fn the_report_adds_up() {
    let lines: String = (0..40).map(|i| format!("{{\"key\":\"k{i}\"}}\n")).collect();
    let args = "--input - --seed 7208847299287240112 --clients 1 --copies 2 --fail-rate 0.3 \
                --pause-rate 0.3 --lease-ms 11";
    let (json, exit, _) = storm(&args.split_whitespace().collect::<Vec<_>>(), lines.as_bytes());
    assert_eq!(exit, 0, "{json}");
    let sum = |fields: &str| fields.split(' ').map(|field| number(&json, field)).sum::<u64>();
    let answers = "completed replayed mismatched refused unexpected unanswered";
    assert_eq!(sum(answers), number(&json, "deliveries"), "{json}");
    let answers = "executed adopted_effects fenced_starts replayed in_progress scheduled \
                   mismatched refused deferred unexpected";
    assert_eq!(sum(answers), number(&json, "calls"), "{json}");
    assert_eq!(sum("completed completed_late"), number(&json, "distinct"), "{json}");
    assert!(number(&json, "completed_late") > 0, "{json}");
}

/// Goal: another spelling is no other payload, for the plan, the engine and the ledger. Method:
/// each request in two spellings, through the engine, and without it, where both of them run.
#[test]
fn another_spelling_is_the_same_payload() {
    let line = |i: usize, sum: &str| format!("{{\"key\":{i},\"payload\":{{\"sum\":{sum}}}}}\n");
    let lines: String = (0..20).flat_map(|i| [line(i, "10"), line(i, " 1.0e1 ")]).collect();
    for args in [&["--input", "-"][..], &["--input", "-", "--baseline"]] {
        let (json, exit, stderr) = storm(args, lines.as_bytes());
        assert_eq!((exit, stderr.as_str()), (0, ""), "{json}");
        for none in ["mismatched", "wrong_payload_effects"] {
            assert_eq!(number(&json, none), 0, "{none} in {json}");
        }
        assert_eq!(number(&json, "distinct"), 20);
    }
}
