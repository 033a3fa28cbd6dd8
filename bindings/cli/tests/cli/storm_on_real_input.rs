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
