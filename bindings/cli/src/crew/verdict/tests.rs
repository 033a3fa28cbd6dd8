//! Verdicts on ledgers that were written by hand.

use super::*;
use crate::crew::orders::Orders;
use crate::input;

const ORDERS: Orders = Orders {
    processes: 2,
    threads: 1,
    copies: 2,
    fail_rate: 0.0,
    kill_rate: 0.0,
    seed: 1,
    work_ms: 0,
    run: 1,
    hosts: None,
};

fn record(kind: Kind, instance: u32, attempt: u32, token: u64) -> Record {
    Record { attempt, token, ..Record::new(kind, instance) }
}

fn answer(delivery: u32, token: u64) -> Record {
    Record { delivery, token, ..Record::new(Kind::Answered, 1) }
}

/// Judges what happened to one request, which was delivered twice; process 1 was killed.
fn judge(records: &[Record], last: Option<u64>) -> Verdict {
    judge_where(false, records, last)
}

fn judge_where(leases_lapse: bool, records: &[Record], last: Option<u64>) -> Verdict {
    let input = input::read(&b"{\"key\":1}\n"[..]).unwrap();
    let plan = Plan::new(&input.lines, ORDERS.shape()).unwrap();
    Verdict::of(&Evidence {
        plan: &plan,
        lines: &input.lines,
        records,
        killed: &HashSet::from([1]),
        finals: &Finals { tokens: vec![last], ..Finals::default() },
        leases_lapse,
    })
}

/// An attempt from its start to its completion, and both answers.
fn whole(instance: u32, attempt: u32, token: u64) -> Vec<Record> {
    let made = [Kind::Started, Kind::Effect, Kind::Completed];
    let mut records: Vec<_> =
        made.into_iter().map(|kind| record(kind, instance, attempt, token)).collect();
    records.extend([answer(0, token), answer(1, token)]);
    records
}

fn killed() -> Record {
    Record { at_us: 0, ..Record::new(Kind::Killed, 1) }
}

/// Goal: a storm in which all went well has no violations. Method: one attempt; one that failed
/// before it.
#[test]
fn a_kept_promise_has_no_violations() {
    let verdict = judge(&whole(2, 1, 5), Some(5));
    assert_eq!(verdict.violations, [""; 0]);
    assert_eq!((verdict.attempts, verdict.effects, verdict.answered), (1, 1, 2));
    let failed = [record(Kind::Started, 2, 1, 5), record(Kind::Failed, 2, 1, 5)];
    let verdict = judge(&[&failed[..], &whole(3, 2, 6)].concat(), Some(6));
    assert_eq!(verdict.violations, [""; 0]);
    assert_eq!((verdict.attempts, verdict.failed, verdict.recovered), (2, 1, 0));
}

/// Goal: an attempt that was killed after its effect is told from a duplicate, and one that was
/// killed before it from both. Method: the same story with and without the effect, and with a
/// process that nobody killed.
#[test]
fn interrupted_attempts_are_told_apart() {
    let story = |instance, effect: bool| {
        let mut records = vec![record(Kind::Started, instance, 1, 5)];
        records.extend(effect.then(|| record(Kind::Effect, instance, 1, 5)));
        records.push(killed());
        records.extend(whole(3, 2, 6));
        judge(&records, Some(6))
    };
    let verdict = story(1, true);
    assert_eq!(verdict.violations, [""; 0]);
    assert_eq!((verdict.interrupted, verdict.duplicates, verdict.effects), (1, 0, 2));
    assert_eq!((verdict.recovered, verdict.killed_before_effect), (1, 0));
    let verdict = story(1, false);
    assert_eq!((verdict.interrupted, verdict.killed_before_effect), (0, 1));
    let fenced = [
        record(Kind::Started, 1, 1, 5),
        record(Kind::Effect, 1, 1, 5),
        record(Kind::Fenced, 1, 1, 5),
        killed(),
    ];
    let verdict = judge(&[&fenced[..], &whole(3, 2, 6)].concat(), Some(6));
    assert_eq!((verdict.interrupted, verdict.duplicates), (0, 1), "it came to its completion");
    let verdict = story(2, true);
    assert_eq!((verdict.interrupted, verdict.duplicates), (0, 1));
    assert_eq!(verdict.violations.len(), 2, "{:?}", verdict.violations);
    assert!(verdict.violations[0].contains("while another one was running"));
}

/// Goal: an attempt that found the effect of one before it completes with that one, and breaks no
/// promise; what it answers must still be that effect's token. Method: such a story, and one whose
/// answers have the token of the attempt itself.
#[test]
fn effects_of_killed_attempts_are_adopted() {
    let story = |answered| {
        let records = [
            record(Kind::Started, 1, 1, 5),
            record(Kind::Effect, 1, 1, 5),
            killed(),
            record(Kind::Started, 3, 2, 6),
            record(Kind::Adopted, 3, 2, 6),
            record(Kind::Completed, 3, 2, 6),
            answer(0, answered),
            answer(1, answered),
        ];
        judge(&records, Some(5))
    };
    let verdict = story(5);
    assert_eq!(verdict.violations, [""; 0]);
    assert_eq!((verdict.effects, verdict.duplicates, verdict.interrupted), (1, 0, 0));
    assert!(story(6).violations.join("; ").contains("another outcome"));
}

/// Goal: where leases lapse, an attempt may start before the one whose lease it has learns of it;
/// one that never learns of it was running. Method: the same story, judged both ways, and without
/// the refusal.
#[test]
fn attempts_that_lost_their_lease_are_told_apart() {
    let story = [
        vec![record(Kind::Started, 2, 1, 5), record(Kind::Started, 3, 2, 6)],
        vec![record(Kind::Fenced, 2, 1, 5), record(Kind::Effect, 3, 2, 6)],
        vec![record(Kind::Completed, 3, 2, 6), answer(0, 6), answer(1, 6)],
    ]
    .concat();
    let told = |lapse, records: &[Record]| judge_where(lapse, records, Some(6)).violations;
    assert_eq!(told(true, &story), [""; 0]);
    assert!(told(false, &story)[0].contains("while another one was running"));
    let mut unaware = story;
    unaware.remove(2);
    assert!(told(true, &unaware)[0].contains("while another one was running"));
}

/// Goal: an attempt of which there is no record, since its process was killed before it wrote one,
/// counts as taken over. Method: the first record is that of attempt 2.
#[test]
fn attempts_without_a_record_are_counted() {
    let verdict = judge(&[vec![killed()], whole(2, 2, 6)].concat(), Some(6));
    assert_eq!((verdict.violations.len(), verdict.recovered), (0, 1));
}

/// Goal: each way to break the promise is found and names the line. Method: break each alone.
#[test]
fn each_broken_promise_is_found() {
    let broken = |records: &[Record], last| judge(records, last).violations.join("; ");
    let good = whole(2, 1, 5);
    let with = |more: &[Record]| [&good[..], more].concat();
    assert!(broken(&good, None).contains("line 1: its stored outcome is gone"));
    assert!(broken(&good, Some(6)).contains("belongs to no effect"));
    assert!(broken(&good, Some(6)).contains("another outcome"));
    assert!(broken(&good[..4], Some(5)).contains("1 deliveries did not get one final answer"));
    assert!(broken(&with(&[answer(1, 5)]), Some(5)).contains("one final answer"));
    let again = with(&[record(Kind::Started, 3, 2, 6), record(Kind::Effect, 3, 2, 6)]);
    let told = broken(&again, Some(5));
    assert!(told.contains("although one had completed"), "{told}");
    assert!(told.contains("beside that of the stored outcome"), "{told}");
    assert!(broken(&with(&[record(Kind::Effect, 2, 1, 5)]), Some(5)).contains("beside"));
    let failed = [record(Kind::Started, 2, 2, 6), record(Kind::Failed, 2, 2, 6)];
    let told = broken(&[&failed[..], &good].concat(), Some(5));
    assert!(told.contains("no higher token"), "{told}");
    // A kill that came after the successor had started excuses nothing.
    let early = [vec![record(Kind::Started, 1, 1, 4)], good.clone(), vec![killed()]].concat();
    assert!(broken(&early, Some(5)).contains("while another one was running"));
}
