//! Every preset over every status, and what may be changed.

use std::ops::RangeInclusive;

use super::*;

/// What a preset keeps, as a list of ranges; every other status is retried.
type Final = &'static [RangeInclusive<u16>];

/// Goal: each preset judges each status as its source says. Method: all statuses of HTTP, against
/// the final ones written down a second time, as ranges.
#[test]
fn presets_judge_every_status() {
    let presets: [(OutcomePolicy, Final); 6] = [
        (
            OutcomePolicy::ietf(),
            &[100..=400, 402..=402, 404..=407, 410..=424, 426..=428, 430..=499],
        ),
        (
            OutcomePolicy::default(),
            &[100..=400, 402..=402, 404..=407, 410..=424, 426..=428, 430..=499],
        ),
        (OutcomePolicy::stripe_v1(), &[100..=408, 410..=428, 430..=599]),
        (OutcomePolicy::stripe_v2(), &[100..=399]),
        (OutcomePolicy::oasis(), &[100..=499]),
        (
            OutcomePolicy::iceberg(),
            &[
                200..=201,
                204..=204,
                400..=400,
                402..=402,
                404..=407,
                409..=418,
                420..=424,
                426..=428,
                430..=499,
            ],
        ),
    ];
    for (policy, ranges) in presets {
        for status in 100..=599 {
            let is_final = ranges.iter().any(|range| range.contains(&status));
            let expected = if is_final { Verdict::Final } else { Verdict::Retryable };
            assert_eq!(policy.judge(status), expected, "{policy:?} {status}");
        }
        assert_eq!(policy.judge_error(), Verdict::Retryable, "{policy:?}");
    }
}

/// Goal: a change holds for its status alone, and the last one counts. Method: change one status
/// twice under every preset; its neighbours stay.
#[test]
fn one_status_is_changed() {
    for preset in [
        OutcomePolicy::ietf(),
        OutcomePolicy::stripe_v1(),
        OutcomePolicy::stripe_v2(),
        OutcomePolicy::oasis(),
        OutcomePolicy::iceberg(),
    ] {
        for last in [Verdict::Final, Verdict::Retryable, Verdict::Unknown] {
            let policy = preset.clone().status(409, Verdict::Unknown).status(409, last);
            assert_eq!(policy.judge(409), last, "{preset:?}");
            for status in (100..=599).filter(|status| *status != 409) {
                assert_eq!(policy.judge(status), preset.judge(status), "{preset:?} {status}");
            }
        }
    }
}

/// Goal: an error is never final, since it has no outcome. Method: each verdict for errors.
#[test]
fn errors_are_never_final() {
    for (given, taken) in [
        (Verdict::Final, Verdict::Unknown),
        (Verdict::Unknown, Verdict::Unknown),
        (Verdict::Retryable, Verdict::Retryable),
    ] {
        assert_eq!(OutcomePolicy::ietf().on_error(given).judge_error(), taken);
    }
}
