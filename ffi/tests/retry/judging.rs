//! What a status means for its record, and what a method needs.

use std::ptr::null_mut;

use crate::support::{NOTHING, bytes};
use oncegate_ffi::*;

fn judged(policy: u32, http_status: u32) -> u32 {
    let mut judgement = 0;
    call!(oncegate_judge(policy, http_status, &raw mut judgement)).expect("judged");
    judgement
}

/// Goal: each number of the header is the preset of that name, over all statuses.
/// Method: every status that there can be, against the engine's own policy.
#[test]
fn presets_judge_as_the_engine_does() {
    use oncegate::{OutcomePolicy, Verdict};
    let presets = [
        (ONCEGATE_OUTCOMES_IETF, OutcomePolicy::ietf()),
        (ONCEGATE_OUTCOMES_STRIPE_V1, OutcomePolicy::stripe_v1()),
        (ONCEGATE_OUTCOMES_STRIPE_V2, OutcomePolicy::stripe_v2()),
        (ONCEGATE_OUTCOMES_OASIS, OutcomePolicy::oasis()),
        (ONCEGATE_OUTCOMES_ICEBERG, OutcomePolicy::iceberg()),
    ];
    for (number, policy) in presets {
        for status in (0..1_000).chain([u16::MAX]) {
            let expected = match policy.judge(status) {
                Verdict::Final => ONCEGATE_JUDGED_FINAL,
                Verdict::Retryable => ONCEGATE_JUDGED_RETRYABLE,
                Verdict::Unknown => ONCEGATE_JUDGED_UNKNOWN,
            };
            assert_eq!(judged(number, status.into()), expected, "{number}: {status}");
        }
    }
    // What tells the presets apart.
    let row = |status| [0, 1, 2, 3, 4].map(|policy| judged(policy, status));
    let (stays, again) = (ONCEGATE_JUDGED_FINAL, ONCEGATE_JUDGED_RETRYABLE);
    assert_eq!(row(409), [again, again, again, stays, stays]);
    assert_eq!(row(500), [again, stays, again, again, again]);
}

/// Goal: what cannot be judged is refused, and names its argument; nothing is written.
/// Method: a policy and a status beyond the last, and no place for the answer.
#[test]
fn judging_refuses() {
    let mut judgement = 77;
    let refused = call!(oncegate_judge(5, 200, &raw mut judgement)).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_BAD_VALUE, "policy"));
    let refused = call!(oncegate_judge(0, 65_536, &raw mut judgement)).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_BAD_VALUE, "http_status"));
    assert!(refused.message.contains("found 65536; limit: 0 to 65535"), "{refused:?}");
    assert_eq!(judgement, 77);
    let refused = call!(oncegate_judge(0, 200, null_mut())).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_NULL_ARGUMENT, "judgement"));
}

/// Goal: methods are told apart by their exact names.
/// Method: some of each class, in the wrong case, unknown, empty, and no text.
#[test]
fn methods_have_classes() {
    let class = |method: &[u8]| {
        let mut class = 0;
        call!(oncegate_method_class(bytes(method), &raw mut class)).map(|()| class)
    };
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "REPORT", "SEARCH"] {
        assert_eq!(class(method.as_bytes()), Ok(ONCEGATE_METHOD_SAFE), "{method}");
    }
    for method in ["PUT", "DELETE"] {
        assert_eq!(class(method.as_bytes()), Ok(ONCEGATE_METHOD_PAYLOAD_DEDUP), "{method}");
    }
    for method in ["POST", "PATCH", "MOVE", "get", "query", "BREW", ""] {
        assert_eq!(class(method.as_bytes()), Ok(ONCEGATE_METHOD_KEY_REQUIRED), "{method}");
    }
    assert_eq!(class(b"G\xffT").unwrap_err().is(), (ONCEGATE_NOT_UTF8, "method"));
    let refused = call!(oncegate_method_class(NOTHING, null_mut())).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_NULL_ARGUMENT, "method_class"));
    let nowhere = Bytes { data: std::ptr::null(), len: 3 };
    let mut class = 0;
    let refused = call!(oncegate_method_class(nowhere, &raw mut class)).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_NULL_ARGUMENT, "method"));
}
