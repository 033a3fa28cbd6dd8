//! `oncegate bench` measures, and says what.

use crate::common::oncegate;

/// Goal: one JSON object with a figure for every workload, on one thread and on two. Method: one
/// round; the figures themselves are the machine's matter.
#[test]
fn bench_reports_every_workload() {
    let output = oncegate(&["bench", "--rounds", "1", "--json"], b"");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    let cases = json["cases"].as_array().expect("a list of cases");
    for workload in ["hot_replay", "mostly_duplicates", "unique"] {
        for threads in [1, 2] {
            let found = cases.iter().find(|case| {
                case["workload"] == workload && case["threads"].as_u64() == Some(threads)
            });
            let ns = found.and_then(|case| case["ns_per_operation"].as_f64());
            assert!(ns.is_some_and(|ns| ns > 0.0), "{workload}, {threads} threads: {json}");
        }
    }
}
