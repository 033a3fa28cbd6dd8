//! Many requests at once.
//!
//! Seen in pipelined clients: a batch looks everything up first, and what an earlier request of it
//! did since is not seen by a later one, which then runs twice or is refused.

use oncegate::{Admission, BeginOptions, Engine, ErrorCode, OnFull, Outcome, Prepared};

use crate::support::{admitted, build, done, engine, replayed, request};

/// What a batch of requests was answered, each lease completed at once.
fn completed_at_once(engine: &Engine, keys: &[&str], outcome: &Outcome) -> Vec<String> {
    let prepare = |key| engine.prepare(&request(key)).expect("valid");
    let batch: Vec<Prepared<'_>> = keys.iter().copied().map(prepare).collect();
    let mut answers = Vec::new();
    let mut buffer = Outcome::default();
    engine.begin_batch(&batch, &BeginOptions::new(), &mut buffer, |place, answer| {
        assert_eq!(place, answers.len(), "in their order");
        answers.push(match answer {
            Ok(Admission::Admitted(lease)) => {
                lease.complete(outcome).expect("held");
                "admitted".to_owned()
            }
            Ok(Admission::Replayed(outcome)) => format!("replayed {}", outcome.body().len()),
            other => format!("{other:?}"),
        });
    });
    answers
}

/// Goal: a request that comes twice in a batch runs once, and gets its outcome if it has ended
/// meanwhile. Method: more than are looked up together, each key three times over.
#[test]
fn duplicates_in_a_batch_run_once() {
    let (engine, _clock) = engine();
    let names: Vec<String> = (0..40).map(|key| format!("key-{key}")).collect();
    let keys: Vec<&str> = names.iter().chain(&names).chain(&names).map(String::as_str).collect();
    let answers = completed_at_once(&engine, &keys, &done("paid"));
    assert!(answers[..40].iter().all(|answer| answer == "admitted"), "{answers:?}");
    assert!(answers[40..].iter().all(|answer| answer == "replayed 4"), "{answers:?}");
    let doubled = completed_at_once(&engine, &["new", "new", "new"], &done("paid"));
    assert_eq!(doubled, ["admitted", "replayed 4", "replayed 4"]);
    assert_eq!(engine.stats().expect("not forked").completed, 41);
}

/// Goal: what the first of two equal requests in a batch took is no reason to refuse the second.
/// Method: under `Reject`, with room for one more outcome of the largest size.
#[test]
fn the_last_room_is_not_asked_for_twice() {
    let outcome = Outcome::new(200, vec![7; 4_000]);
    let open = || {
        let builder = Engine::builder().capacity(1_000).on_full(OnFull::Reject);
        build(builder.inline_outcome(0).outcome_limit(4_000).outcome_bytes(64 << 10)).0
    };
    let fill = |engine: &Engine, most: usize| {
        (0..most)
            .take_while(|n| match engine.begin(&request(&n.to_string())) {
                Ok(Admission::Admitted(lease)) => lease.complete(&outcome).is_ok(),
                Err(error) => {
                    assert_eq!(error.code(), ErrorCode::Full);
                    false
                }
                other => panic!("a new key was answered {other:?}"),
            })
            .count()
    };
    let most = fill(&open(), 1_000);
    assert!((2..1_000).contains(&most), "{most} have room");
    let engine = open();
    assert_eq!(fill(&engine, most - 1), most - 1);
    let answers = completed_at_once(&engine, &["k", "k"], &outcome);
    assert_eq!(answers, ["admitted", "replayed 4000"]);
    engine.begin(&request("one more")).expect_err("that was the last room");
}

/// Goal: an empty batch asks nothing, and one that holds a running, an ended and a new request
/// answers each by itself. Method: one of each.
#[test]
fn each_gets_its_own_answer() {
    let (engine, _clock) = engine();
    assert!(completed_at_once(&engine, &[], &done("")).is_empty());
    let running = admitted(&engine, &request("running"));
    admitted(&engine, &request("ended")).complete(&done("paid")).expect("held");
    let answers = completed_at_once(&engine, &["running", "ended", "new"], &done("paid"));
    assert!(answers[0].starts_with("Ok(InProgress"), "{answers:?}");
    assert_eq!(answers[1..], ["replayed 4", "admitted"]);
    running.complete(&done("late")).expect("held");
    assert_eq!(replayed(&engine, &request("running")), done("late"));
}
