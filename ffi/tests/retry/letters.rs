//! Dead letters: listed, shown, redriven and discarded.

use std::ptr::{null, null_mut};
use std::time::Duration;

use crate::support::{Folder, NOTHING, Opened, Refused, blank, bytes, copied};
use oncegate::{
    Admission, AttemptError, BackoffPolicy, Engine, Request, RetryContext, RetryPolicy, Scope,
};
use oncegate_ffi::*;

/// A table in which the engine's user buries, and of which the header shows.
struct Graveyard {
    header: Opened,
    engine: Engine,
    _shared: Folder,
}

impl Graveyard {
    fn new() -> Self {
        let folder = Folder::new();
        let header = folder.header(|options| {
            options.clock = ONCEGATE_CLOCK_COARSE;
            (options.max_retrying, options.max_dead_letters) = (512, 256);
        });
        // At once, and as often as it fails.
        let policy = RetryPolicy::new(BackoffPolicy::constant(Duration::ZERO)).max_attempts(100);
        let builder = folder.builder().max_retrying(512).max_dead_letters(256);
        let engine = builder.retry_policy(policy).build().expect("the same options");
        Self { header, engine, _shared: folder }
    }

    /// Has a record fail for good, after this many attempts, with steps of these names.
    fn bury(&self, key: &str, operation: &str, context: &[u8], attempts: u32, steps: &[&str]) {
        let request = Request::new(Scope::single_tenant(), "charge", key).expect("valid");
        let context = RetryContext::new(operation, context);
        for attempt in 1..=attempts {
            let token = if attempt == 1 {
                let Ok(Admission::Admitted(lease)) = self.engine.begin(&request) else { panic!() };
                lease.into_token()
            } else {
                let next = self.engine.next_attempt(Duration::ZERO).expect("answered");
                next.expect("due").into_lease().into_token()
            };
            assert_eq!(token.attempt(), attempt);
            let error = AttemptError::new(&format!("error {attempt}"));
            let last = attempt == attempts;
            if last {
                for step in steps {
                    self.engine.finish_step(&token, step, b"done").expect("room");
                }
            }
            let error = if last { error.terminal() } else { error };
            let _ = self.engine.retry_later(&token, &error, &context).expect("room");
        }
    }
}

/// What a page said.
#[derive(Debug)]
struct Page {
    letters: Vec<RawLetter>,
    bytes: Vec<u8>,
    next: RawLetterId,
    more: u32,
}

impl Page {
    fn operations(&self) -> Vec<&str> {
        let of =
            |letter: &RawLetter| part(&self.bytes, letter.operation_offset, letter.operation_len);
        self.letters.iter().map(|letter| str::from_utf8(of(letter)).expect("UTF-8")).collect()
    }
}

fn part(bytes: &[u8], offset: usize, len: usize) -> &[u8] {
    &bytes[offset..offset + len]
}

fn list(
    engine: &Opened,
    filter: Option<&RawLetterFilter>,
    after: Option<RawLetterId>,
    room: usize,
    capacity: usize,
) -> Result<Page, (Refused, usize)> {
    let mut space = vec![0xaa; room];
    let mut buffer = Buffer { data: space.as_mut_ptr(), capacity: room, needed: 99 };
    let mut letters = vec![RawLetter { attempts: 99, ..RawLetter::default() }; capacity];
    let (mut count, mut next, mut more) = (99, RawLetterId::default(), 99);
    let filter = filter.map_or(null(), |filter| &raw const *filter);
    let after = after.as_ref().map_or(null(), |id| &raw const *id);
    let (into, to, made) = (&raw mut buffer, letters.as_mut_ptr(), &raw mut count);
    let (n, m) = (&raw mut next, &raw mut more);
    let listed = call!(oncegate_letters(engine.0, filter, after, into, to, capacity, made, n, m));
    match listed {
        Ok(()) => {
            assert!(letters[count..].iter().all(|letter| letter.attempts == 99), "not one more");
            assert!(space[buffer.needed..].iter().all(|byte| *byte == 0xaa), "not a byte more");
            letters.truncate(count);
            space.truncate(buffer.needed);
            Ok(Page { letters, bytes: space, next, more })
        }
        Err(refused) => {
            assert_eq!((count, more), (99, 99), "nothing is written");
            assert!(space.iter().all(|byte| *byte == 0xaa));
            Err((refused, buffer.needed))
        }
    }
}

fn all(engine: &Opened) -> Page {
    list(engine, None, None, 1 << 16, 256).expect("room for all")
}

fn filter(change: impl FnOnce(&mut RawLetterFilter)) -> RawLetterFilter {
    let mut filter = blank();
    change(&mut filter);
    filter
}

/// The names of a letter's steps, as metadata is read.
fn steps(letter: &RawLetter, space: &[u8]) -> Vec<String> {
    let packed = bytes(part(space, letter.steps_offset, letter.steps_len));
    let (mut cursor, mut found) = (0, Vec::new());
    for _ in 0..letter.step_count {
        let (mut name, mut value) = (NOTHING, NOTHING);
        let (n, v) = (&raw mut name, &raw mut value);
        call!(oncegate_metadata_next(packed, &raw mut cursor, n, v)).expect("a name");
        assert_eq!(value.len, 0);
        found.push(String::from_utf8(copied(name, space)).expect("UTF-8"));
    }
    let (mut name, mut value) = (NOTHING, NOTHING);
    let (n, v) = (&raw mut name, &raw mut value);
    let ended = call!(oncegate_metadata_next(packed, &raw mut cursor, n, v)).unwrap_err();
    assert_eq!(ended.status, ONCEGATE_NOT_FOUND);
    found
}

/// Goal: a letter tells what the engine knows of it.
/// Method: one with three attempts, steps and a context, against the engine's own letter; an engine
/// without any first.
#[test]
fn letters_tell_all() {
    let yard = Graveyard::new();
    let none = all(&yard.header);
    assert_eq!((none.letters.len(), none.more, none.next), (0, 0, RawLetterId::default()));
    yard.bury("key", "refund", b"\x00context\xff", 3, &["charge", "mail"]);
    let page = all(&yard.header);
    let [letter] = page.letters[..] else { panic!("one letter: {page:?}") };
    assert_eq!((page.more, page.next), (0, letter.id));
    let own = yard.engine.dead_letters(&oncegate::LetterFilter::all(), None, 9);
    let own = own.expect("answered").letters.remove(0);
    assert_eq!((letter.id.place, letter.id.generation), own.id.to_parts());
    assert_eq!(letter.reason, ONCEGATE_BURIED_FINAL_ERROR);
    assert_eq!((letter.attempts, letter.past_count, letter.left_out), (3, 3, 0));
    assert_eq!(letter.step_count, 2);
    let told = |offset, len| part(&page.bytes, offset, len);
    assert_eq!(told(letter.operation_offset, letter.operation_len), b"refund");
    assert_eq!(told(letter.context_offset, letter.context_len), b"\x00context\xff");
    assert_eq!(told(letter.class_offset, letter.class_len), b"error 3");
    assert_eq!(steps(&letter, &page.bytes), ["charge", "mail"]);
    let apart = letter.buried_unix_ms.abs_diff(own.buried.as_millis() as u64);
    assert!(apart < 60_000, "the wall clock may have been set meanwhile, but by no more: {apart}");
}

/// Goal: a history tells of the first attempts and the last, however many there were.
/// Method: twelve attempts; all of what is told, the first three of it, and none of it.
#[test]
fn histories_are_bounded() {
    let yard = Graveyard::new();
    yard.bury("key", "refund", b"context", 12, &["charge"]);
    let id = all(&yard.header).letters[0].id;
    for capacity in [ONCEGATE_PAST_ATTEMPTS, 3, 0] {
        let mut space = [0xaa; 512];
        let mut buffer = Buffer { data: space.as_mut_ptr(), capacity: 512, needed: 0 };
        let mut past = [RawPastAttempt { attempt: 99, ..RawPastAttempt::default() }; 9];
        let (mut letter, mut count) = (RawLetter::default(), 0);
        let to = if capacity == 0 { null_mut() } else { past.as_mut_ptr() };
        let (of, into, told) = (&raw const id, &raw mut buffer, &raw mut letter);
        let made = &raw mut count;
        call!(oncegate_letter_show(yard.header.0, of, into, told, to, capacity, made))
            .expect("a letter");
        assert_eq!((count, letter.past_count, letter.left_out), (8, 8, 4));
        assert_eq!((letter.id, letter.attempts, letter.step_count), (id, 12, 1));
        assert_eq!(steps(&letter, &space), ["charge"]);
        assert_eq!(part(&space, letter.context_offset, letter.context_len), b"context");
        assert_eq!(part(&space, letter.class_offset, letter.class_len), b"error 12");
        let (written, rest) = past.split_at(capacity);
        assert!(rest.iter().all(|one| one.attempt == 99), "not one more");
        let numbers = [1, 2, 7, 8, 9, 10, 11, 12];
        let mut fencing_token = 0;
        for (one, number) in written.iter().zip(numbers) {
            assert_eq!((one.attempt, one.end, one.reserved), (number, ONCEGATE_END_FAILED, 0));
            let class = part(&space, one.class_offset, one.class_len);
            assert_eq!(class, format!("error {number}").as_bytes());
            assert!(one.fencing_token > fencing_token && one.ended_unix_ms > 0);
            assert_eq!(one.began_unix_ms == 0, number == 1, "workers got all but the first");
            fencing_token = one.fencing_token;
        }
        assert!(space[buffer.needed..].iter().all(|byte| *byte == 0xaa));
    }
}

/// Goal: pages go through all letters, each on one page, whatever is full first.
/// Method: 150 letters, by places of one and of 64, and by a buffer that holds three; a cursor that
/// is read and written.
#[test]
fn pages_hold_each_letter_once() {
    let yard = Graveyard::new();
    for number in 0..150 {
        yard.bury(&format!("key {number}"), &format!("op {number:03}"), b"ctx", 1, &[]);
    }
    let mut expected: Vec<String> = (0..150).map(|number| format!("op {number:03}")).collect();
    let size = "op 000".len() + "ctx".len() + "error 1".len();
    for (room, capacity, pages) in [(1 << 16, 1, 150), (1 << 16, 64, 3), (3 * size, 64, 50)] {
        let (mut seen, mut after, mut count) = (Vec::new(), None, 0);
        loop {
            let page = list(&yard.header, None, after, room, capacity).expect("room for one");
            seen.extend(page.operations().into_iter().map(str::to_owned));
            (after, count) = (Some(page.next), count + 1);
            if page.more == 0 {
                break;
            }
        }
        assert_eq!(count, pages, "{room} bytes, {capacity} letters");
        seen.sort();
        expected.sort();
        assert_eq!(seen, expected, "{room} bytes, {capacity} letters");
        let over = list(&yard.header, None, after, room, capacity).expect("none are left");
        assert_eq!((over.letters.len(), over.more, Some(over.next)), (0, 0, after));
    }
    let mut cursor = all(&yard.header).letters[148].id;
    let (mut letter, mut count) = (RawLetter::default(), 0);
    let mut space = [0; 64];
    let mut buffer = Buffer { data: space.as_mut_ptr(), capacity: 64, needed: 0 };
    let (at, into, to, made) = (&raw mut cursor, &raw mut buffer, &raw mut letter, &raw mut count);
    let engine = yard.header.0;
    call!(oncegate_letters(engine, null(), at, into, to, 1, made, at, null_mut())).expect("one");
    assert_eq!((count, cursor), (1, letter.id));
}

/// Goal: a buffer in which not even one letter finds room says how much it needs.
/// Method: nothing, `NULL`, and one byte less than the letter takes; for a page and for one letter.
#[test]
fn small_buffers_say_what_they_need() {
    let yard = Graveyard::new();
    yard.bury("key", "refund", b"context", 2, &["charge"]);
    let id = all(&yard.header).letters[0].id;
    let needed = "refund".len() + "context".len() + "error 2".len() + 4 + "charge".len();
    for room in [0, needed - 1] {
        let (refused, told) = list(&yard.header, None, None, room, 4).unwrap_err();
        assert_eq!(refused.is(), (ONCEGATE_BUFFER_TOO_SMALL, "buffer"));
        assert_eq!(told, needed);
    }
    assert_eq!(list(&yard.header, None, None, needed, 4).expect("room").letters.len(), 1);
    let needed = needed + "error 1".len() + "error 2".len();
    let mut space = [0; 128];
    let (mut letter, mut count) = (RawLetter { attempts: 99, ..RawLetter::default() }, 99);
    let (of, told, made) = (&raw const id, &raw mut letter, &raw mut count);
    let engine = yard.header.0;
    for capacity in [0, needed - 1, needed] {
        let mut buffer = Buffer { data: space.as_mut_ptr(), capacity, needed: 0 };
        let into = &raw mut buffer;
        let shown = call!(oncegate_letter_show(engine, of, into, told, null_mut(), 0, made));
        assert_eq!(buffer.needed, needed);
        if capacity == needed {
            assert_eq!(shown, Ok(()));
        } else {
            assert_eq!(shown.unwrap_err().is(), (ONCEGATE_BUFFER_TOO_SMALL, "buffer"));
            assert_eq!((letter.attempts, count), (99, 99));
        }
    }
    let shown = call!(oncegate_letter_show(engine, of, null_mut(), told, null_mut(), 0, made));
    assert_eq!(shown.unwrap_err().is(), (ONCEGATE_BUFFER_TOO_SMALL, "buffer"));
}

/// Goal: each condition of a filter lets through what it names, and all of them together.
/// Method: four letters that differ in operation and class; times around them.
#[test]
fn filters_choose() {
    let yard = Graveyard::new();
    yard.bury("1", "refund", b"", 1, &[]);
    yard.bury("2", "refund", b"", 2, &[]);
    yard.bury("3", "charge", b"", 2, &[]);
    yard.bury("4", "ship", b"", 1, &[]);
    let count = |filter: RawLetterFilter| {
        list(&yard.header, Some(&filter), None, 1 << 10, 9).expect("a filter").letters.len()
    };
    assert_eq!(count(blank()), 4);
    assert_eq!(count(filter(|filter| filter.operation = bytes("refund"))), 2);
    assert_eq!(count(filter(|filter| filter.operation = bytes("refunds"))), 0);
    assert_eq!(count(filter(|filter| filter.error_class = bytes("error 2"))), 2);
    assert_eq!(count(filter(|filter| filter.reason = ONCEGATE_BURIED_FINAL_ERROR)), 4);
    assert_eq!(count(filter(|filter| filter.reason = ONCEGATE_BURIED_ATTEMPTS)), 0);
    let both = filter(|filter| {
        (filter.operation, filter.error_class) = (bytes("refund"), bytes("error 2"));
    });
    assert_eq!(count(both), 1);
    let first = all(&yard.header).letters.iter().map(|letter| letter.buried_unix_ms).min();
    let long_ago = first.expect("four") - 3_600_000;
    assert_eq!(count(filter(|filter| filter.since_unix_ms = long_ago)), 4);
    assert_eq!(count(filter(|filter| filter.until_unix_ms = long_ago)), 0);
    assert_eq!(count(filter(|filter| filter.since_unix_ms = long_ago + 7_200_000)), 0);
    assert_eq!(count(filter(|filter| filter.until_unix_ms = long_ago + 7_200_000)), 4);
}

/// Goal: what is wrong with a filter is refused by its name, and one of an older caller or a newer
/// one is understood.
/// Method: a reason and bits that there are not, no text; sizes in both directions.
#[test]
fn filters_are_checked_and_may_grow() {
    let yard = Graveyard::new();
    yard.bury("key", "refund", b"", 1, &[]);
    let list = |filter: &RawLetterFilter| {
        list(&yard.header, Some(filter), None, 1 << 10, 9)
            .map(|page| page.letters.len())
            .map_err(|(refused, _)| (refused.status, refused.field))
    };
    let refused = |status, field: &str| Err((status, field.to_owned()));
    let wrong = filter(|filter| filter.reason = 6);
    assert_eq!(list(&wrong), refused(ONCEGATE_BAD_VALUE, "reason"));
    let wrong = filter(|filter| filter.reserved = 1);
    assert_eq!(list(&wrong), refused(ONCEGATE_BAD_VALUE, "reserved"));
    let wrong = filter(|filter| filter.operation = bytes(b"\xff"));
    assert_eq!(list(&wrong), refused(ONCEGATE_NOT_UTF8, "operation"));
    let wrong = filter(|filter| filter.error_class = Bytes { data: null(), len: 1 });
    assert_eq!(list(&wrong), refused(ONCEGATE_NULL_ARGUMENT, "error_class"));
    let older = filter(|filter| (filter.struct_size, filter.until_unix_ms) = (16, 1));
    assert_eq!(list(&older), Ok(1), "what is beyond the size does not count");
    for size in [0, 8, 17, 1 << 20] {
        let wrong = filter(|filter| filter.struct_size = size);
        assert_eq!(list(&wrong), refused(ONCEGATE_BAD_SIZE, "filter.struct_size"), "{size}");
    }
    #[repr(C)]
    struct Newer {
        known: RawLetterFilter,
        unknown: u64,
    }
    let mut newer = Newer { known: blank(), unknown: 0 };
    newer.known.struct_size = size_of::<Newer>();
    let mut count = 0;
    let mut discard = |newer: &Newer| {
        let (filter, made) = ((&raw const *newer).cast(), &raw mut count);
        call!(oncegate_letters_discard(yard.header.0, filter, usize::MAX, made)).map(|()| count)
    };
    newer.unknown = 1;
    let answer = discard(&newer).unwrap_err();
    assert_eq!(answer.is(), (ONCEGATE_BAD_SIZE, "filter.struct_size"));
    newer.unknown = 0;
    assert_eq!(discard(&newer), Ok(1));
}

/// Goal: a letter is redriven or discarded once, and is none any more then.
/// Method: one of each; what the engine hands out, and what it says of the key; the names again.
#[test]
fn letters_are_redriven_and_discarded() {
    let yard = Graveyard::new();
    yard.bury("again", "refund", b"context", 2, &["charge"]);
    yard.bury("over", "charge", b"", 1, &[]);
    let page = all(&yard.header);
    let of = |operation: &str| {
        let at = page.operations().iter().position(|one| *one == operation);
        page.letters[at.expect("a letter")].id
    };
    let (again, over) = (of("refund"), of("charge"));
    let (redrive, discard) = (&raw const again, &raw const over);
    assert_eq!(call!(oncegate_letter_redrive(yard.header.0, redrive)), Ok(()));
    assert_eq!(call!(oncegate_letter_discard(yard.header.0, discard)), Ok(()));
    let next = yard.engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    assert_eq!((next.lease().attempt(), next.context()), (3, &b"context"[..]));
    drop(next);
    assert_eq!(yard.header.begin("over").verdict, ONCEGATE_REPLAYED);
    let stats = yard.header.stats();
    assert_eq!((stats.redriven, stats.discarded, stats.dead_letters), (1, 1, 0));
    for id in [redrive, discard] {
        let refused = call!(oncegate_letter_redrive(yard.header.0, id)).unwrap_err();
        assert_eq!(refused.is(), (ONCEGATE_NOT_FOUND, "dead letter"));
        let refused = call!(oncegate_letter_discard(yard.header.0, id)).unwrap_err();
        assert_eq!(refused.is(), (ONCEGATE_NOT_FOUND, "dead letter"));
        let (mut letter, mut count) = (RawLetter::default(), 0);
        let (told, made, nowhere) = (&raw mut letter, &raw mut count, null_mut());
        let shown =
            call!(oncegate_letter_show(yard.header.0, id, null_mut(), told, nowhere, 0, made));
        assert_eq!(shown.unwrap_err().is(), (ONCEGATE_NOT_FOUND, "dead letter"));
    }
    let beyond = RawLetterId { place: u32::MAX, generation: u32::MAX };
    let refused = call!(oncegate_letter_redrive(yard.header.0, &raw const beyond)).unwrap_err();
    assert_eq!(refused.status, ONCEGATE_NOT_FOUND);
    assert_eq!(list(&yard.header, None, Some(beyond), 9, 9).expect("none").letters.len(), 0);
}

/// Goal: many are redriven or discarded at a time, at most as many as are wanted, and only those
/// that are meant.
/// Method: six letters of two operations, with limits and filters.
#[test]
fn many_at_a_time() {
    let yard = Graveyard::new();
    for number in 0..6 {
        let operation = if number < 4 { "refund" } else { "charge" };
        yard.bury(&number.to_string(), operation, b"", 1, &[]);
    }
    let refunds = filter(|filter| filter.operation = bytes("refund"));
    let (refunds, mut count) = (&raw const refunds, 99);
    let engine = yard.header.0;
    let made = &raw mut count;
    assert_eq!(call!(oncegate_letters_redrive(engine, refunds, 0, made)), Ok(()));
    assert_eq!((count, all(&yard.header).letters.len()), (0, 6));
    let made = &raw mut count;
    assert_eq!(call!(oncegate_letters_redrive(engine, refunds, 3, made)), Ok(()));
    assert_eq!((count, all(&yard.header).letters.len()), (3, 3));
    let made = &raw mut count;
    assert_eq!(call!(oncegate_letters_discard(engine, refunds, usize::MAX, made)), Ok(()));
    assert_eq!((count, all(&yard.header).operations()), (1, vec!["charge"; 2]));
    let made = &raw mut count;
    assert_eq!(call!(oncegate_letters_discard(engine, null(), 1, made)), Ok(()));
    assert_eq!((count, all(&yard.header).letters.len()), (1, 1));
    let made = &raw mut count;
    assert_eq!(call!(oncegate_letters_redrive(engine, null(), usize::MAX, made)), Ok(()));
    assert_eq!((count, all(&yard.header).letters.len()), (1, 0));
    let stats = yard.header.stats();
    assert_eq!((stats.redriven, stats.discarded), (4, 2));
}

/// Goal: `NULL` in each position is refused by its name, where it may not be; so is a page without
/// places.
/// Method: one at a time.
#[test]
fn letters_need_their_arguments() {
    let engine = Opened::new();
    let (mut letter, mut count, mut more) = (RawLetter::default(), 0, 0);
    let (mut id, mut past) = (RawLetterId::default(), RawPastAttempt::default());
    let (to, made, m) = (&raw mut letter, &raw mut count, &raw mut more);
    let (at, of, b, p) = (&raw mut id, &raw const id, null_mut(), &raw mut past);
    let e: *const RawEngine = engine.0;
    let is = |refused: Result<(), Refused>, field: &str| {
        assert_eq!(refused.unwrap_err().is(), (ONCEGATE_NULL_ARGUMENT, field));
    };
    is(call!(oncegate_letters(null(), null(), null(), b, to, 1, made, at, m)), "engine");
    is(call!(oncegate_letters(e, null(), null(), b, null_mut(), 1, made, at, m)), "letters");
    is(call!(oncegate_letters(e, null(), null(), b, to, 1, null_mut(), at, m)), "count");
    let none = null_mut();
    let listed = call!(oncegate_letters(e, null(), null(), b, to, 1, made, none, null_mut()));
    assert_eq!(listed, Ok(()), "nobody has to know where to go on");
    let refused = call!(oncegate_letters(e, null(), null(), b, to, 0, made, at, m)).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_BAD_SIZE, "capacity"));
    is(call!(oncegate_letter_show(null(), of, b, to, p, 1, made)), "engine");
    is(call!(oncegate_letter_show(e, null(), b, to, p, 1, made)), "id");
    is(call!(oncegate_letter_show(e, of, b, null_mut(), p, 1, made)), "letter");
    is(call!(oncegate_letter_show(e, of, b, to, null_mut(), 1, made)), "past");
    is(call!(oncegate_letter_show(e, of, b, to, p, 1, null_mut())), "past_count");
    is(call!(oncegate_letter_redrive(null(), of)), "engine");
    is(call!(oncegate_letter_redrive(e, null())), "id");
    is(call!(oncegate_letter_discard(null(), of)), "engine");
    is(call!(oncegate_letter_discard(e, null())), "id");
    is(call!(oncegate_letters_redrive(null(), null(), 1, made)), "engine");
    is(call!(oncegate_letters_redrive(e, null(), 1, null_mut())), "count");
    is(call!(oncegate_letters_discard(null(), null(), 1, made)), "engine");
    is(call!(oncegate_letters_discard(e, null(), 1, null_mut())), "count");
}
