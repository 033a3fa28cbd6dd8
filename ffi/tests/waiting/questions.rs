//! Questions: records that nobody knows the effect of, asked about by polling.

use std::ptr;

use oncegate_ffi::*;

use crate::support::{
    Engine, Refused, Room, bytes, call, first_wrong, in_child, options, refused, request, zeroed,
};

const MANY: usize = 10_000;

fn asking() -> RawOptions {
    RawOptions { reconcile: 1, clock: ONCEGATE_CLOCK_MANUAL, ..options() }
}

/// Begins a record, and leaves it in doubt. Gives its fencing token.
fn doubt(engine: &Engine, key: &str) -> u64 {
    let begun = engine.admitted(key);
    leave_in_doubt(engine, &begun.lease);
    begun.fencing_token
}

fn leave_in_doubt(engine: &Engine, lease: &Lease) {
    let (kind, outcome) = (ONCEGATE_FAILURE_UNKNOWN, ptr::null());
    // SAFETY: what is pointed to lives for the call, here and below.
    call(|error| unsafe { oncegate_lease_fail(engine.0, lease, kind, 0, outcome, error) })
        .expect("held");
}

fn poll_into(engine: &Engine, most: usize, room: &mut Room) -> Result<Vec<Question>, Refused> {
    let mut questions = vec![Question { reserved: 77, ..Question::default() }; most];
    let (at, buffer, mut count) = (questions.as_mut_ptr(), room.raw(), usize::MAX);
    // SAFETY: as above.
    call(|error| unsafe {
        oncegate_reconcile_poll(engine.0, MANY, buffer, at, most, &raw mut count, error)
    })?;
    questions.truncate(count);
    Ok(questions)
}

/// The numbers of the questions that are asked now.
fn polled(engine: &Engine) -> Vec<u64> {
    let questions = poll_into(engine, MANY, &mut Room::new(1 << 16)).expect("asks");
    questions.iter().map(|question| question.id).collect()
}

/// The number of the one question that is asked now.
#[track_caller]
fn polled_one(engine: &Engine) -> u64 {
    let [one] = polled(engine)[..] else { panic!("not one question") };
    one
}

fn answer(engine: &Engine, id: u64, answer: u32, status: u32) -> Result<(), Refused> {
    let struct_size = size_of::<RawOutcome>();
    let outcome = RawOutcome { struct_size, status, body: bytes(b"booked"), ..zeroed() };
    let outcome = &raw const outcome;
    // SAFETY: as above.
    call(|error| unsafe { oncegate_reconcile_answer(engine.0, id, answer, outcome, error) })
}

/// Goal: each answer decides its record by the time that the call returns. Method: one record for
/// each answer; what a duplicate is told then.
#[test]
fn an_answer_decides_the_record() {
    let engine = Engine::open(&asking());
    let keys = ["did", "declined", "did not", "unknown"];
    let ids = keys.map(|key| {
        doubt(&engine, key);
        polled_one(&engine)
    });
    let answers = [
        ONCEGATE_RESOLVED_SUCCEEDED,
        ONCEGATE_RESOLVED_FAILED,
        ONCEGATE_RESOLVED_RUN_AGAIN,
        ONCEGATE_RESOLVED_UNKNOWN,
    ];
    for (id, kind) in ids.into_iter().zip(answers) {
        answer(&engine, id, kind, 200 + kind).expect("in doubt");
    }
    let did = engine.begin("did");
    assert_eq!((did.verdict, did.outcome.status), (ONCEGATE_REPLAYED, 200));
    assert_eq!(did.outcome.body_len, b"booked".len());
    assert_eq!(engine.begin("declined").outcome.status, 201);
    assert_eq!(engine.admitted("did not").attempt, 2);
    assert_eq!(engine.begin("unknown").verdict, ONCEGATE_UNRESOLVED);
    for id in &ids[..3] {
        let again = answer(&engine, *id, ONCEGATE_RESOLVED_RUN_AGAIN, 0);
        refused(again, ONCEGATE_NOT_FOUND, "id");
    }
    answer(&engine, ids[3], ONCEGATE_RESOLVED_RUN_AGAIN, 0).expect("in doubt still");
    assert_eq!(engine.admitted("unknown").attempt, 2);
}

/// Goal: an answer decides the record that was asked about, and no other, although two records may
/// have the same fencing token. Method: as many records as make some of them alike; every second
/// one succeeded; each duplicate is told what its own record came to.
#[test]
fn questions_of_one_token_are_told_apart() {
    let engine = Engine::open(&asking());
    let mut tokens = Vec::new();
    for number in 0..24 {
        let key = format!("key-{number}");
        tokens.push(doubt(&engine, &key));
        let id = polled_one(&engine);
        if number % 2 == 0 {
            answer(&engine, id, ONCEGATE_RESOLVED_SUCCEEDED, 200 + number).expect("in doubt");
        }
    }
    tokens.sort_unstable();
    tokens.dedup();
    assert!(tokens.len() < 24, "none of them are alike: nothing is shown");
    for number in 0..24 {
        let told = engine.begin(&format!("key-{number}"));
        let expected = match number % 2 {
            0 => (ONCEGATE_REPLAYED, 200 + number),
            _ => (ONCEGATE_UNRESOLVED, 0),
        };
        assert_eq!((told.verdict, told.outcome.status), expected, "{number}");
    }
}

/// Goal: a question tells what the attempt was: its operation, context, attempt and token. Method:
/// a record that a worker got and left in doubt, and one that was never retried.
#[test]
fn a_question_tells_the_attempt() {
    let engine = Engine::open(&asking());
    engine.advance_clock(engine.put_off("k", b"charge", b"context"));
    let (attempt, ..) = engine.next(0).expect("open").expect("due");
    leave_in_doubt(&engine, &attempt.lease);
    let first = doubt(&engine, "first");
    let mut room = Room::new(64);
    let mut questions = poll_into(&engine, 8, &mut room).expect("asks");
    questions.sort_by_key(|question| question.operation_len);
    assert_eq!(room.needed(), b"chargecontext".len(), "what was written");
    let [never, retried] = questions[..] else { panic!("{} questions", questions.len()) };
    assert_eq!((never.fencing_token, never.attempt, never.reserved), (first, 1, 0));
    assert_eq!((never.operation_len, never.context_len), (0, 0));
    assert_eq!((retried.fencing_token, retried.attempt), (attempt.fencing_token, 2));
    assert_eq!(room.part(retried.operation_offset, retried.operation_len), b"charge");
    assert_eq!(room.part(retried.context_offset, retried.context_len), b"context");
}

/// Goal: a question that nobody answers comes again, by its number, ever more rarely, and not
/// before. Method: a clock that stops a millisecond before one second, and two.
#[test]
fn a_question_comes_again() {
    let engine = Engine::open(&asking());
    doubt(&engine, "k");
    let id = polled_one(&engine);
    for pause_ms in [1_000, 2_000, 4_000] {
        assert!(polled(&engine).is_empty(), "once");
        engine.advance_clock(pause_ms - 1);
        assert!(polled(&engine).is_empty(), "not before its time");
        engine.advance_clock(1);
        assert_eq!(polled_one(&engine), id);
    }
    answer(&engine, id, ONCEGATE_RESOLVED_SUCCEEDED, 200).expect("in doubt");
    engine.advance_clock(300_000);
    assert!(polled(&engine).is_empty(), "it is decided");
}

/// Goal: whoever looks after attempts asks as well, and the question is kept for whoever polls.
/// Method: a look of an event loop, and one of a worker; then a poll that asks nobody itself.
#[test]
fn others_ask_too() {
    let engine = Engine::open(&asking());
    let first = doubt(&engine, "first");
    engine.advance(1_000);
    let kept = |expected| {
        let (mut one, mut count) = (Question::default(), 77);
        // SAFETY: what is pointed to lives for the call.
        let made = call(|error| unsafe {
            let (at, buffer) = (&raw mut one, ptr::null_mut());
            oncegate_reconcile_poll(engine.0, 0, buffer, at, 1, &raw mut count, error)
        });
        made.expect("asks");
        assert_eq!((count, one.fencing_token), (1, expected));
    };
    kept(first);
    let second = doubt(&engine, "second");
    assert!(engine.next(0).expect("open").is_none());
    kept(second);
    assert!(polled(&engine).is_empty());
}

/// Goal: what finds no room stays, and the call says how much it needs. Method: two questions with
/// contexts; a buffer that is too small for one, and one that is too small for both.
#[test]
fn what_does_not_fit_stays() {
    let engine = Engine::open(&asking());
    let due = ["a", "b"].map(|key| engine.put_off(key, b"op", &[7; 100]));
    engine.advance_clock(due.into_iter().max().expect("two"));
    while let Some((attempt, ..)) = engine.next(0).expect("open") {
        leave_in_doubt(&engine, &attempt.lease);
    }
    let mut small = Room::new(101);
    refused(poll_into(&engine, 8, &mut small), ONCEGATE_BUFFER_TOO_SMALL, "buffer");
    assert_eq!(small.needed(), 102);
    let mut ids: Vec<u64> = (0..2)
        .map(|_| {
            let some = poll_into(&engine, 8, &mut Room::new(203)).expect("asks");
            assert_eq!(some.len(), 1);
            some[0].id
        })
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 2, "each once");
    doubt(&engine, "c");
    let third = poll_into(&engine, 1, &mut Room::new(0)).expect("it needs no room");
    answer(&engine, third[0].id, ONCEGATE_RESOLVED_RUN_AGAIN, 0).expect("in doubt");
}

/// Goal: what an operator has resolved meanwhile is not asked about, and an answer to it changes
/// nothing. Method: one that was asked and not told yet, one that was told.
#[test]
fn what_is_resolved_is_forgotten() {
    let engine = Engine::open(&asking());
    let resolve = |key: &str| {
        let (raw, kind, outcome) = (request(key), ONCEGATE_RESOLVED_RUN_AGAIN, ptr::null());
        let raw = &raw const raw;
        // SAFETY: what is pointed to lives for the call.
        call(|error| unsafe { oncegate_engine_resolve(engine.0, raw, kind, outcome, error) })
            .expect("in doubt");
    };
    doubt(&engine, "untold");
    engine.advance(1_000);
    resolve("untold");
    assert!(polled(&engine).is_empty());
    doubt(&engine, "told");
    let told = polled_one(&engine);
    resolve("told");
    let late = answer(&engine, told, ONCEGATE_RESOLVED_SUCCEEDED, 200);
    refused(late, ONCEGATE_NOT_FOUND, "record");
    let later = answer(&engine, told, ONCEGATE_RESOLVED_SUCCEEDED, 200);
    refused(later, ONCEGATE_NOT_FOUND, "id");
    assert_eq!(engine.admitted("told").attempt, 2);
}

/// Goal: a bounded number of questions is kept, and the rest comes later. Method: more records in
/// doubt than that; each is asked about in the end, while the first ones are answered.
#[test]
fn questions_are_bounded() {
    const RECORDS: usize = 1_500;
    const MOST: usize = 1_024;
    let large = RawOptions { tiny: 0, capacity: 4_000, ..asking() };
    let engine = Engine::open(&large);
    (0..RECORDS).for_each(|number| _ = doubt(&engine, &format!("key-{number}")));
    let first = polled(&engine);
    assert_eq!(first.len(), MOST);
    let mut seen = first.len();
    for id in first {
        answer(&engine, id, ONCEGATE_RESOLVED_RUN_AGAIN, 0).expect("in doubt");
    }
    // What was forgotten is found by the sweep, which comes round in a minute.
    for _ in 0..120 {
        engine.advance_clock(1_000);
        while engine.advance(1_000).more != 0 {}
        for id in polled(&engine) {
            answer(&engine, id, ONCEGATE_RESOLVED_RUN_AGAIN, 0).expect("in doubt");
            seen += 1;
        }
    }
    assert_eq!(seen, RECORDS, "each once");
}

/// Goal: a child that has a part in the table asks for itself. Method: an inherited table; the
/// child leaves a record in doubt and polls it; the parent was not told of it.
#[test]
fn a_child_asks_for_itself() {
    let engine = Engine::open(&RawOptions { reach: ONCEGATE_REACH_INHERITED, ..asking() });
    doubt(&engine, "mine");
    let mine = polled_one(&engine);
    in_child(|| {
        doubt(&engine, "child");
        let unknown = answer(&engine, mine, ONCEGATE_RESOLVED_UNKNOWN, 0);
        let asked = polled(&engine);
        let answered = asked
            .iter()
            .map(|id| answer(&engine, *id, ONCEGATE_RESOLVED_SUCCEEDED, 200))
            .filter(Result::is_ok);
        first_wrong(&[
            unknown.is_err_and(|found| found.status == ONCEGATE_NOT_FOUND),
            !asked.is_empty() && answered.count() == asked.len(),
        ])
    });
    assert_eq!(engine.begin("child").verdict, ONCEGATE_REPLAYED);
    let mine = answer(&engine, mine, ONCEGATE_RESOLVED_SUCCEEDED, 200);
    let told = engine.begin("mine").verdict == ONCEGATE_REPLAYED;
    assert!(told, "by the child, which may have asked too, or by this one: {mine:?}");
}

/// Goal: an engine that was opened without is refused, as are arguments that cannot be. Method: one
/// call for each; the question is still there.
#[test]
fn bad_arguments_are_refused() {
    let without = Engine::manual();
    let room = &mut Room::new(64);
    refused(poll_into(&without, 1, room), ONCEGATE_BAD_VALUE, "reconcile");
    let kind = ONCEGATE_RESOLVED_UNKNOWN;
    refused(answer(&without, 1, kind, 0), ONCEGATE_BAD_VALUE, "reconcile");
    for (reconcile, reserved, field) in [(2, 0, "reconcile"), (0, 1, "reserved")] {
        let options = RawOptions { reconcile, reserved, ..options() };
        let mut engine = ptr::null_mut();
        let options = &raw const options;
        // SAFETY: what is pointed to lives for the call, here and below.
        let made = call(|error| unsafe { oncegate_engine_open(options, &raw mut engine, error) });
        refused(made, ONCEGATE_BAD_VALUE, field);
    }
    let engine = Engine::open(&asking());
    doubt(&engine, "k");
    refused(poll_into(&engine, 0, room), ONCEGATE_BAD_SIZE, "capacity");
    let (mut one, mut count) = (Question::default(), 77);
    let (buffer, at, count_at) = (room.raw(), &raw mut one, &raw mut count);
    let (e0, null) = (ptr::null(), ONCEGATE_NULL_ARGUMENT);
    let none: *mut Question = ptr::null_mut();
    // SAFETY: as above.
    let cases: Vec<(Result<(), Refused>, &str)> = unsafe {
        vec![
            (call(|e| oncegate_reconcile_poll(e0, 1, buffer, at, 1, count_at, e)), "engine"),
            (
                call(|e| oncegate_reconcile_poll(engine.0, 1, buffer, none, 1, count_at, e)),
                "questions",
            ),
            (
                call(|e| oncegate_reconcile_poll(engine.0, 1, buffer, at, 1, none.cast(), e)),
                "count",
            ),
            (call(|e| oncegate_reconcile_answer(e0, 1, kind, ptr::null(), e)), "engine"),
        ]
    };
    for (made, field) in cases {
        refused(made, null, field);
    }
    assert_eq!((count, one.fencing_token), (77, 0), "outputs are as they were");
    refused(answer(&engine, 1, 4, 0), ONCEGATE_BAD_VALUE, "answer");
    let succeeded = ONCEGATE_RESOLVED_SUCCEEDED;
    refused(answer(&engine, 1, succeeded, 70_000), ONCEGATE_BAD_VALUE, "outcome.status");
    refused(answer(&engine, 1, succeeded, 200), ONCEGATE_NOT_FOUND, "id");
    assert_eq!(polled_one(&engine), 1, "it was not told yet");
    in_child(|| {
        let forked =
            |made: Result<(), Refused>| made.is_err_and(|found| found.status == ONCEGATE_FORKED);
        first_wrong(&[forked(poll_into(&engine, 1, &mut Room::new(64)).map(drop))])
    });
}
