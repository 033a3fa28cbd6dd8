//! Entries of a real table, sound and spoilt word by word.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::inspect::Finding;
use crate::inspect::read::Image;
use crate::{
    Admission, AttemptError, BackoffPolicy, Engine, EngineBuilder, FileAccess, Later, LetterFilter,
    ManualClock, OperationSettings, Outcome, Reach, RegionFile, Request, RetryContext, RetryPolicy,
    Scope,
};

/// A table of its own, gone with this value.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // Relaxed: numbers only have to differ.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
        Self(base.join(format!("oncegate-entries-{}-{number}", std::process::id())))
    }

    fn image(&self) -> Image {
        Image::open(&self.0, FileAccess::owner_only()).expect("own file")
    }

    fn entries(&self) -> RetryEntries {
        self.file().inspect().expect("a region").retries
    }

    fn file(&self) -> RegionFile {
        RegionFile::open(&self.0, FileAccess::owner_only()).expect("own file")
    }

    fn errors(&self) -> Vec<Finding> {
        let found = self.file().check().expect("it can be read");
        found.into_iter().filter(Finding::is_damage).collect()
    }

    /// Writes `word` at word `at`, checks, and puts back what was there.
    fn spoil(&self, at: usize, word: u64) -> Vec<Finding> {
        let file = OpenOptions::new().read(true).write(true).open(&self.0).expect("own file");
        let mut before = [0; 8];
        file.read_exact_at(&mut before, at as u64 * 8).expect("own file");
        file.write_all_at(&word.to_ne_bytes(), at as u64 * 8).expect("own file");
        let found = self.errors();
        file.write_all_at(&before, at as u64 * 8).expect("own file");
        found
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        let _ = std::fs::remove_file(self.0.with_extension("key"));
    }
}

fn policy(delay: Duration, attempts: u32) -> RetryPolicy {
    RetryPolicy::new(BackoffPolicy::constant(delay)).max_attempts(attempts)
}

/// An engine whose operations wait for an hour, for a millisecond, or not at all.
fn engine(place: &Place, build: impl Fn(EngineBuilder) -> EngineBuilder) -> Engine {
    let builder = Engine::builder().capacity(1_000).reach(Reach::Host(place.0.clone()));
    let secret = crate::Secret::from_bytes(&[7; 32]).expect("32 bytes");
    let engine = build(builder.secret(secret)).build().expect("a table");
    for (operation, policy) in [
        ("slow", policy(Duration::from_secs(3_600), 10)),
        ("quick", policy(Duration::from_millis(1), 10)),
        ("once", policy(Duration::from_secs(1), 1)),
    ] {
        let settings = OperationSettings::new().policy(policy);
        engine.set_operation(operation, settings).expect("valid");
    }
    engine
}

fn fail(engine: &Engine, key: &str, operation: &str) -> Later {
    let request = Request::new(Scope::single_tenant(), "op", key).expect("short");
    let Admission::Admitted(lease) = engine.begin(&request).expect("room") else {
        panic!("{key} is new")
    };
    let context = RetryContext::new(operation, key.as_bytes());
    lease.retry_later(&AttemptError::new("503"), &context).expect("room")
}

fn next(engine: &Engine) -> crate::Attempt<'_> {
    engine.next_attempt(Duration::from_secs(60)).expect("answered").expect("due")
}

/// The first entry of this state, and the word at which its control word lies.
fn find(place: &Place, state: EntryState) -> (usize, usize, EntryImage) {
    let image = place.image();
    let pages = image.pages().expect("a region");
    let mut found = None;
    for index in 0..pages.geometry().retries() {
        let entry = entry(&pages, index).expect("it can be read");
        if entry.word().state() == state {
            found = Some((index, pages.geometry().retry_controls().start + index, entry));
        }
    }
    found.expect("an entry of this state")
}

/// Goal: retried records and dead letters are counted by how they stand. Method: some of each;
/// those that are redriven, and those that end.
#[test]
fn entries_are_counted_by_state() {
    let place = Place::new();
    let engine = engine(&place, |builder| builder);
    assert_eq!(place.entries(), RetryEntries { total: 16, max_dead_letters: 8, ..<_>::default() });
    for (key, operation) in [("a", "slow"), ("b", "slow"), ("c", "quick"), ("d", "once")] {
        let _ = fail(&engine, key, operation);
    }
    let _ = fail(&engine, "e", "once");
    let running = next(&engine).into_lease().into_token();
    let seen = place.entries();
    assert_eq!((seen.running, seen.waiting, seen.due), (1, 2, 0));
    assert_eq!((seen.dead_letters, seen.left_over, seen.claimed), (2, 0, 0));
    assert_eq!((seen.retried(), seen.used()), (3, 5));
    assert_eq!(engine.redrive_all(&LetterFilter::all(), 1).expect("answered"), 1);
    let seen = place.entries();
    assert_eq!((seen.waiting, seen.due, seen.dead_letters), (3, 1, 1));
    engine.complete(&running, &Outcome::new(200, b"")).expect("it holds it");
    next(&engine).into_lease().fail(crate::Failure::unknown()).expect("it holds it");
    let seen = place.entries();
    assert_eq!((seen.running, seen.waiting, seen.unknown, seen.due), (0, 2, 1, 0));
    assert!(place.errors().is_empty(), "{:?}", place.errors());
    let letters = place.file().check().expect("it can be read");
    assert!(letters.iter().any(|found| found.code == "dead-letters"), "{letters:?}");
}

/// Goal: an entry that a process died making is left over and no fault, and clearing up frees it.
/// Method: one claimed by a process that has ended, and by one that lives.
#[test]
fn claims_of_the_dead_are_left_over() {
    let place = Place::new();
    let (other, engine) = (engine(&place, |builder| builder), engine(&place, |builder| builder));
    drop(other);
    let _ = fail(&engine, "a", "slow");
    let (index, at, live) = find(&place, EntryState::Live);
    let file = OpenOptions::new().write(true).open(&place.0).expect("own file");
    let mut spare = (0..16).map(|step| (index + step) % 16).skip(1);
    let mut claim = |owner: u64| {
        let at = at - index + spare.next().expect("there are more");
        let word = 1 << 62 | owner << 54 | live.word().slot() as u64;
        file.write_all_at(&word.to_ne_bytes(), at as u64 * 8).expect("own file");
    };
    claim(1);
    claim(2);
    let seen = place.file().inspect().expect("a region");
    assert_eq!((seen.retries.left_over, seen.retries.claimed, seen.retries.waiting), (1, 1, 1));
    let held: Vec<_> = seen.processes.iter().map(|process| process.half_done).collect();
    assert_eq!(held, [1, 1]);
    assert!(place.errors().is_empty(), "{:?}", place.errors());
    engine.bury_dead().expect("answered");
    assert_eq!((place.entries().left_over, place.entries().claimed), (0, 1));
}

/// Goal: what no step leads to is told, and nothing else. Method: each word of an entry that is
/// live, spoilt in each way; every word of it that may say anything.
#[test]
fn impossible_entries_are_told() {
    let place = Place::new();
    let engine = engine(&place, |builder| builder);
    let _ = fail(&engine, "a", "slow");
    let (index, at, live) = find(&place, EntryState::Live);
    let pages = place.image();
    let geometry = pages.pages().expect("a region").geometry().clone();
    let word = 2 << 62 | u64::from(live.word().owner()) << 54 | live.word().generation() << 28;
    let slot = live.word().slot() as u64;
    let beside = geometry.retry_at(index).start;
    let [identity, whose, step, journal]: [u64; 4] =
        pages.pages().expect("a region").words(beside).expect("it can be read");
    assert!(place.spoil(at, word | slot).is_empty(), "it is as it was");
    for (at, word, told) in [
        (at, word | geometry.slots() as u64, "a slot that does not exist"),
        (at, word | slot | 255 << 54, "a process beyond the registry"),
        (at, word & !(3 << 62) | slot, "a slot or a process, and is nobody's"),
        (at, word | slot ^ 1 << 63 | 1 << 62 | 0xff << 54, "a process beyond the registry"),
        (at, 1 << 62 | slot, "a process beyond the registry"),
        (at, (word | slot) ^ 1 << 28, "words beside it that are not its own"),
        (beside + 2, step ^ 1 << 44, "words beside it that are not its own"),
        (beside + 2, step + 1, "an attempt that its record has not come to"),
    ] {
        let found = place.spoil(at, word);
        let codes: Vec<_> = found.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, ["retries-impossible"], "{told}");
        assert!(found[0].text.contains(told), "{told}: {}", found[0].text);
    }
    for (at, word) in [
        (beside, !identity),
        (beside + 1, !whose),
        (beside + 3, journal | 1 << 63),
        (beside + 3, 0),
    ] {
        assert!(place.spoil(at, word).is_empty(), "word {at} may say that");
    }
    assert!(place.errors().is_empty());
}

/// Goal: an entry at which its record does not look for it is told. Method: a table with more
/// entries than are looked at; one of them moved to where it is not looked for.
#[test]
fn misplaced_entries_are_told() {
    let place = Place::new();
    let more = |builder: EngineBuilder| builder.max_retrying(200).context_limit(64).steps_limit(0);
    let engine = engine(&place, |builder| more(builder).outcome_bytes(4 << 20));
    let _ = fail(&engine, "a", "slow");
    let (index, at, live) = find(&place, EntryState::Live);
    let word = 2 << 62 | u64::from(live.word().owner()) << 54 | live.word().slot() as u64;
    let lost = (0..200).find(|place| !live.is_found_at(*place, 200)).expect("most of them");
    let other = at - index + lost;
    let found = place.spoil(other, word);
    assert!(found.len() == 1 && found[0].text.contains("does not look for it"), "{found:?}");
}

/// Goal: a journal that cannot be read is told. Method: the reference to it, its header, and its
/// own bytes, spoilt one after the other.
#[test]
fn lost_journals_are_told() {
    let place = Place::new();
    let engine = engine(&place, |builder| builder);
    let _ = fail(&engine, "a", "once");
    let (index, _, dead) = find(&place, EntryState::Dead);
    let image = place.image();
    let pages = image.pages().expect("a region");
    let beside = pages.geometry().retry_at(index).start;
    let journal = JournalImage::at(dead.journal()).expect("a place");
    let block = pages.geometry().chunk_at(journal.chunk()) + journal.offset();
    let [first, second, third]: [u64; 3] = pages.words(block).expect("it can be read");
    let reference = dead.journal();
    for (at, word) in [
        (beside + 3, 1),
        (beside + 3, reference + 1),
        (beside + 3, reference ^ 1 << 62),
        (beside + 3, reference | 0xffff << 28),
        (block, first | u64::MAX << 60),
        (block + 1, second & !2),
        (block + 1, second ^ 1 << 36),
        (block + 1, second | 0xff_ffff << 12),
        (block + 1, second - (1 << 12)),
        (block + 2, third ^ 0xff),
    ] {
        let found = place.spoil(at, word);
        let codes: Vec<_> = found.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, ["journals-lost"], "{word:x} at {at}");
    }
    assert!(place.errors().is_empty());
}

/// Goal: a due record whose journal is lost keeps no worker busy. Method: it is due, and the word
/// that leads to its journal leads nowhere; a worker looks, and then whether anything is left to
/// look at.
#[test]
fn lost_journals_keep_nobody_busy() {
    let (place, clock) = (Place::new(), ManualClock::new());
    let engine = engine(&place, |builder| builder.clock(clock.clone()));
    let _ = fail(&engine, "a", "quick");
    clock.advance(Duration::from_secs(1));
    let (index, ..) = find(&place, EntryState::Live);
    let image = place.image();
    let at = image.pages().expect("a region").geometry().retry_at(index).start + 3;
    let file = OpenOptions::new().write(true).open(&place.0).expect("own file");
    file.write_all_at(&1_u64.to_ne_bytes(), at as u64 * 8).expect("own file");
    for _ in 0..3 {
        assert!(engine.next_attempt(Duration::ZERO).expect("answered").is_none());
    }
    let driven = engine.advance(10).expect("answered");
    assert_eq!((driven.looked_at, driven.ready), (0, 0), "{driven:?}");
}

/// Goal: a table at work is never taken for a broken one. Method: two threads that fail, redrive,
/// discard and complete, and outcomes that have their chunks recycled, while it is looked at.
#[test]
fn retries_at_work_look_sound() {
    let place = Place::new();
    let small = |builder: EngineBuilder| {
        let builder = builder.capacity(200).context_limit(64).steps_limit(0);
        builder.outcome_bytes(128 << 10).outcome_limit(2_000).max_retrying(16)
    };
    let (one, two) = (engine(&place, small), engine(&place, small));
    let over = AtomicBool::new(false);
    let work = |engine: &Engine, name: &str| {
        let mut number = 0_u64;
        // Relaxed: the threads are joined.
        while !over.load(Ordering::Relaxed) {
            number += 1;
            let key = format!("{name}-{number}");
            let request = Request::new(Scope::single_tenant(), "op", key.as_str()).expect("short");
            if let Ok(Admission::Admitted(lease)) = engine.begin(&request) {
                let operation = ["quick", "once"][number as usize / 2 % 2];
                let context = RetryContext::new(operation, b"context");
                let done = Outcome::new(200, vec![7; 1_500]);
                let _ = match number % 2 {
                    0 => lease.complete(&done).map(|_| ()),
                    _ => lease.retry_later(&AttemptError::new("503"), &context).map(|_| ()),
                };
            }
            if let Ok(Some(attempt)) = engine.next_attempt(Duration::ZERO) {
                let _ = attempt.into_lease().complete(&Outcome::new(200, vec![8; 1_500]));
            }
            let all = LetterFilter::all();
            let _ = match number % 5 {
                0 => engine.redrive_all(&all, 1),
                1 => engine.discard_all(&all, 2),
                _ => Ok(0),
            };
        }
        number
    };
    let rounds = std::thread::scope(|scope| {
        let workers = [(&one, "one"), (&two, "two")]
            .map(|(engine, name)| scope.spawn(move || work(engine, name)));
        // Judged when the workers have ended: they would go on for ever otherwise.
        let looks: Vec<_> = (0..100).map(|_| (place.errors(), place.entries())).collect();
        // Relaxed: see above.
        over.store(true, Ordering::Relaxed);
        let rounds = workers.map(|worker| worker.join().expect("it worked"));
        for (errors, seen) in looks {
            assert_eq!(errors, []);
            assert!(seen.used() <= seen.total, "{seen:?}");
        }
        rounds
    });
    println!("rounds while a hundred looks were taken: {rounds:?}");
}
