//! Holders that stall, step by step.

use std::time::Duration;

use super::{AttemptError, Buried, Later, LetterFilter, OperationSettings, RetryContext};
use crate::clock::ManualClock;
use crate::config::EngineBuilder;
use crate::engine::{Admission, BeginOptions, Engine, LeaseToken};
use crate::error::ErrorCode;
use crate::fingerprint::{Request, Scope};
use crate::retry::journal::End;
use crate::retry::{BackoffPolicy, RetryBudget, RetryPolicy};
use crate::table::Found;
use crate::table::entry::{Entry, EntryState, JournalWord};
use crate::table::slot::{Deadline, Kind};

const LEASE: Duration = Duration::from_secs(30);

fn engine() -> (Engine, ManualClock) {
    let clock = ManualClock::new();
    let backoff = BackoffPolicy::constant(Duration::from_secs(10));
    let builder: EngineBuilder = Engine::builder().capacity(64).lease_duration(LEASE);
    let builder =
        builder.clock(clock.clone()).retry_policy(RetryPolicy::new(backoff).max_attempts(9));
    (builder.build().expect("a valid configuration"), clock)
}

fn request() -> Request<'static> {
    Request::new(Scope::single_tenant(), "op", "key").expect("valid")
}

fn begun(engine: &Engine) -> LeaseToken {
    let Ok(Admission::Admitted(lease)) = engine.begin(&request()) else { panic!("not admitted") };
    lease.into_token()
}

fn next(engine: &Engine) -> Option<(LeaseToken, Vec<u8>)> {
    let attempt = engine.next_attempt(Duration::ZERO).expect("answered")?;
    let context = attempt.context().to_vec();
    Some((attempt.into_lease().into_token(), context))
}

/// The record of `token` as it is now, its entry, and the word of its journal.
fn seen(engine: &Engine, token: &LeaseToken) -> (Found, Entry, JournalWord) {
    let slot = token.slot as usize;
    let found = Found { slot, seen: engine.table.slot(slot).control().load() };
    let entry = engine.table.entry_of(slot, found.seen).expect("at rest").expect("one");
    (found, entry, engine.table.journal_of(entry))
}

/// The record of a dead letter as it was when it had just failed, and its entry.
fn buried(engine: &Engine) -> (Found, Entry) {
    let token = begun(engine);
    let context = RetryContext::new("op", b"c");
    let later = engine.retry_later(&token, &AttemptError::new("400").terminal(), &context);
    assert!(matches!(later, Ok(Later::Buried { kept: true, .. })), "{later:?}");
    let (found, entry, _) = seen(engine, &token);
    (found, entry)
}

/// Goal: whoever finished a dead letter, and is late to say until when it stays, does not stop its
/// redrive. Method: by hand, he says so before and after the record waits.
#[test]
fn late_finisher_stops_no_redrive() {
    let (engine, _clock) = engine();
    let (found, entry) = buried(&engine);
    let Found { slot, seen } = found;
    let is_due = || engine.table.slot(slot).deadline().kind == Kind::Due;
    assert!(engine.table.settle_letter(slot, seen, Kind::Due, 1));
    engine.table.open_window(slot, seen, Deadline::MAX_MS);
    assert!(is_due(), "before it waits");
    engine.carry_out_redrive(found, entry, &engine.rules());
    engine.table.open_window(slot, seen, Deadline::MAX_MS);
    assert!(is_due(), "while it waits");
    assert_eq!(next(&engine).map(|(_, context)| context), Some(b"c".to_vec()));
}

/// Goal: whoever carries out a redrive, and is late, changes nothing of the attempt after it.
/// Method: by hand, somebody else has carried it out, and a worker has taken the attempt.
#[test]
fn late_redrive_changes_no_journal() {
    let (engine, _clock) = engine();
    let (found, entry) = buried(&engine);
    assert!(engine.table.settle_letter(found.slot, found.seen, Kind::Due, 1));
    engine.carry_out_redrive(found, entry, &engine.rules());
    let (token, _) = next(&engine).expect("due");
    let (_, _, before) = seen(&engine, &token);
    engine.carry_out_redrive(found, entry, &engine.rules());
    let (_, _, after) = seen(&engine, &token);
    assert_eq!(before, after);
}

/// Goal: what is redriven runs, whatever its deadline says. Method: by hand, another burier that
/// was too late marks the letter as none, so that its finisher takes its redrive for a lapse and
/// opens its window; then a worker, a duplicate that may run it, and one that looks.
#[test]
fn redriven_is_due_whatever_its_deadline_says() {
    for by_worker in [true, false] {
        let (engine, _clock) = engine();
        let (found, entry) = buried(&engine);
        let Found { slot, seen } = found;
        assert!(engine.table.settle_letter(slot, seen, Kind::Due, 1));
        engine.table.mark_entry(entry, EntryState::Live).expect("its own");
        engine.table.open_window(slot, seen, Deadline::MAX_MS);
        engine.carry_out_redrive(found, entry, &engine.rules());
        assert_eq!(engine.table.slot(slot).deadline().kind, Kind::Window, "so it can be");
        let looked = engine.look(engine.prepare(&request()).expect("valid").fingerprint());
        assert!(matches!(looked, Ok(Some(Admission::Scheduled { .. }))), "{looked:?}");
        if by_worker {
            assert_eq!(next(&engine).map(|(_, context)| context), Some(b"c".to_vec()));
        } else {
            let begun = engine.begin_with(&request(), &BeginOptions::new().run_due());
            assert!(matches!(begun, Ok(Admission::Admitted(_))), "{begun:?}");
        }
    }
}

/// Goal: whoever held an attempt before changes nothing once the next one may be taken. Method: by
/// hand, a holder that has looked at the journal stalls; his attempt is given back, and another
/// worker takes the next one; then the stalled holder goes on, with the word that he saw.
#[test]
fn stale_holder_changes_no_journal() {
    let (engine, clock) = engine();
    let context = RetryContext::new("op", b"what it needs");
    let first = begun(&engine);
    let _ = engine.retry_later(&first, &AttemptError::new("503"), &context).expect("room");
    clock.advance(Duration::from_secs(10));
    let (second, _) = next(&engine).expect("due");
    let (found, entry, word) = seen(&engine, &second);
    let (stalled, mut journal) = engine.own_journal(found, entry).expect("he holds it");
    assert_eq!(stalled, word);
    engine.abandon(&second).expect("he holds it");
    let (third, context) = next(&engine).expect("given back");
    assert_eq!(context, b"what it needs");
    assert!(third.fencing > second.fencing);

    journal.context = b"something else".to_vec();
    let rules = engine.rules();
    let written = engine.write_journal(found, &journal, &rules).expect("room");
    let changed =
        engine.table.change_journal(entry, stalled, JournalWord::new(written.reference, false));
    engine.store.published(written);
    assert!(!changed, "a stale holder changed the journal");
    clock.advance(LEASE);
    assert!(next(&engine).is_none(), "it lapses, and backs off");
    clock.advance(Duration::from_secs(10));
    assert_eq!(next(&engine).expect("due").1, b"what it needs");
}

/// Goal: an entry whose record has gone on belongs to it all the same while whoever took the
/// attempt has not come further. Method: by hand, the journal is sealed and the attempt taken, and
/// nothing after that; others look.
#[test]
fn sealed_entry_may_be_behind() {
    let (engine, clock) = engine();
    let token = begun(&engine);
    let context = RetryContext::new("op", b"what it needs");
    let _ = engine.retry_later(&token, &AttemptError::new("503"), &context).expect("room");
    clock.advance(Duration::from_secs(10));
    let (found, entry, _) = seen(&engine, &token);
    let rules = engine.rules();
    assert!(engine.seal(found, entry, End::Unnoted, &rules));
    let home = engine.table.home_of(found.slot);
    let until_ms = rules.now_ms + 1_000;
    let lapse = crate::table::slot::Lapse::Reclaim;
    let draft = crate::table::LeaseDraft { until_ms, lapse };
    engine.table.take(found.slot, found.seen, home, draft).expect("due");
    assert!(next(&engine).is_none(), "it runs");
    assert_eq!(seen(&engine, &token).1.index, entry.index, "the entry is still its own");
    clock.advance(Duration::from_secs(1));
    assert!(next(&engine).is_none(), "it lapses, and backs off");
    clock.advance(Duration::from_secs(10));
    assert_eq!(next(&engine).expect("due").1, b"what it needs");
}

/// Goal: an attempt that is lost while it is left to the engine leaves no entry behind. Method: by
/// hand, the lease lapses and another caller takes the record between the look at the attempt and
/// the decision.
#[test]
fn lost_lease_leaves_no_entry() {
    let (engine, clock) = engine();
    let token = begun(&engine);
    let (slot, seen) = engine.held(&token).expect("held");
    let error = AttemptError::new("503");
    let failing = engine.failing(Found { slot, seen }, &token, &error).expect("held");
    clock.advance(LEASE);
    let other = begun(&engine);
    assert!(other.fencing > token.fencing);
    let decided = engine.decide_failing(failing, &token);
    assert!(decided.is_err_and(|error| error.is_fenced()));
    assert!(!engine.table.retries_any(), "an entry of nobody's stays");
}

/// Goal: whoever looks late at an attempt that is over notes nothing about it in the journal of the
/// next one (he took the number of that for one that had not been, and noted it as given back).
/// Method: by hand, what was seen before an attempt was taken, and before one lapsed, is seen to
/// afterwards.
#[test]
fn late_look_notes_nothing() {
    let (engine, clock) = engine();
    let token = begun(&engine);
    let context = RetryContext::new("op", b"");
    let _ = engine.retry_later(&token, &AttemptError::new("503"), &context).expect("room");
    clock.advance(Duration::from_secs(10));
    let (waiting, ..) = seen(&engine, &token);
    let second = next(&engine).expect("due").0;
    let (running, entry, word) = seen(&engine, &second);
    assert!(!engine.seal(waiting, entry, End::Unnoted, &engine.rules()), "it has gone on");
    assert_eq!(engine.table.journal_of(entry), word);

    clock.advance(LEASE);
    assert!(next(&engine).is_none(), "it lapses, and backs off");
    clock.advance(Duration::from_secs(10));
    let third = next(&engine).expect("due").0;
    let (_, entry, word) = seen(&engine, &third);
    engine.lapse_retried(running, entry, crate::table::slot::Lapse::Reclaim, &engine.rules());
    assert_eq!(engine.table.journal_of(entry), word);
    let (_, journal) = engine.journal(entry).expect("whole");
    let noted: Vec<_> = journal.notes.iter().map(|note| (note.attempt, note.end)).collect();
    assert_eq!(noted, [(1, End::Failed), (2, End::Lapsed)]);
}

/// Goal: the end of an attempt gives its own place free, and not that of the next one (whoever was
/// late to say so gave that one free, and more ran at once than may). Method: by hand, an attempt
/// is given back, another worker takes the next one, and then the end of the first is noted; and
/// what was seen of the record before is looked at once more.
#[test]
fn late_end_gives_no_other_place_free() {
    let (engine, clock) = engine();
    let token = begun(&engine);
    let context = RetryContext::new("op", b"");
    let _ = engine.retry_later(&token, &AttemptError::new("503"), &context).expect("room");
    clock.advance(Duration::from_secs(10));
    let (waiting, entry, _) = seen(&engine, &token);
    let second = next(&engine).expect("due").0;
    let in_flight = || engine.scheduler().index().in_flight();
    engine.note_end(entry, waiting);
    assert_eq!(in_flight(), 1, "a late look at it");
    engine.abandon(&second).expect("held");
    assert_eq!(in_flight(), 0);
    let third = next(&engine).expect("given back").0;
    let slot = usize::try_from(second.slot).expect("small");
    let (_, fence) = engine.locate(&second).expect("its own");
    engine.token_over(slot, fence);
    assert_eq!(in_flight(), 1, "a late end of the one before");
    engine.complete(&third, &crate::outcome::Outcome::new(200, [])).expect("held");
    assert_eq!(in_flight(), 0);
}

/// Goal: of two who see to the last lapse of a record none loses what the other has kept: it
/// becomes a dead letter (the one who was late found the journal changed, and buried the record
/// without it). Method: by hand, one stalls after he has changed the journal; the other comes with
/// the journal as it was, and then looks again.
#[test]
fn late_burial_keeps_the_letter() {
    let (engine, clock) = engine();
    let token = begun(&engine);
    let context = RetryContext::new("op", b"what it needs");
    let _ = engine.retry_later(&token, &AttemptError::new("503"), &context).expect("room");
    clock.advance(Duration::from_secs(10));
    let last = next(&engine).expect("due").0;
    clock.advance(LEASE);
    let (found, entry, word) = seen(&engine, &last);
    let rules = engine.rules();
    assert!(engine.table.close_lease(found.slot, found.seen, &rules).is_ok(), "it has lapsed");
    let (_, journal) = engine.journal(entry).expect("whole");
    let written = engine.write_journal(found, &journal, &rules).expect("room");
    let sealed = JournalWord::new(written.reference, true);
    assert!(engine.table.change_journal(entry, word, sealed));
    engine.store.published(written);

    engine.bury_lapsed(found, entry, (word, journal), Buried::Attempts, &rules);
    let read = engine.journal(entry).expect("whole");
    engine.bury_lapsed(found, entry, read, Buried::Attempts, &rules);
    let page = engine.dead_letters(&LetterFilter::all(), None, 10).expect("answered");
    let contexts: Vec<_> = page.letters.iter().map(|letter| letter.context()).collect();
    assert_eq!(contexts, [b"what it needs"]);
}

/// Two names that `hash` makes the same of: of some hundred thousand there are a few.
fn meeting(hash: impl Fn(&str) -> u32) -> [String; 2] {
    let mut named = std::collections::HashMap::new();
    let names = (0..).map(|number| format!("name-{number}"));
    names
        .map(|name| (named.insert(hash(&name), name.clone()), name))
        .find_map(|(other, name)| Some([other?, name]))
        .expect("there is no end of them")
}

/// Goal: the settings of an operation are never another's. Method: two names of one hash; the
/// second is refused, and without settings of its own it gets those of the engine.
///
/// Cause: settings lay under the hash alone, so that the second replaced the first one's.
#[test]
fn operations_that_meet_share_no_settings() {
    let (engine, _clock) = engine();
    let [one, two] = meeting(super::retries::hash_of);
    let settings = |attempts| {
        let backoff = BackoffPolicy::constant(Duration::from_secs(1));
        OperationSettings::new().policy(RetryPolicy::new(backoff).max_attempts(attempts))
    };
    engine.set_operation(&one, settings(2)).expect("room");
    let refused = engine.set_operation(&two, settings(7)).expect_err("it meets another");
    assert_eq!((refused.code(), refused.field()), (ErrorCode::InvalidOption, "operation"));
    assert!(engine.retries.settings_of(&one).is_some());
    assert!(engine.retries.settings_of(&two).is_none(), "they are another's");
    engine.set_operation(&one, settings(3)).expect("it has its place");
}

/// Goal: a scope is never given another's budget without a word. Method: two scopes of one tag; the
/// second is refused until the first has none, and takes nothing away from it.
///
/// Cause: budgets lay under the tag alone, so that the second replaced the first one's.
#[test]
fn scopes_that_meet_share_no_budget() {
    fn scope(name: &str) -> Scope<'_> {
        Scope::new(name).expect("valid")
    }
    let (engine, _clock) = engine();
    let [one, two] = meeting(|name| engine.scope_tag(scope(name)));
    let budget = |name| RetryBudget::envoy().name(name).build().expect("valid");
    engine.set_scope_budget(scope(&one), budget("one")).expect("room");
    let refused =
        engine.set_scope_budget(scope(&two), budget("two")).expect_err("it meets another");
    assert_eq!((refused.code(), refused.field()), (ErrorCode::InvalidOption, "scope"));
    engine.remove_scope_budget(scope(&two)).expect("it has none");
    let levels = || engine.retries.levels(engine.scope_tag(scope(&one)), "op");
    assert!(format!("{:?}", levels()).contains("one"), "{:?}", levels());
    engine.remove_scope_budget(scope(&one)).expect("it has one");
    assert!(levels().is_empty());
    engine.set_scope_budget(scope(&two), budget("two")).expect("nobody is met any more");
}

/// Goal: gRPC charges a failure once, however often its journal changes before what follows is
/// noted there. Method: by hand, a step is noted between the look at the attempt and the decision.
///
/// Cause: whoever began anew asked the budgets anew, and gave nothing back.
#[test]
fn one_failure_is_charged_once() {
    let (engine, _clock) = engine();
    let budget = RetryBudget::grpc(10, 0.1).build().expect("valid");
    engine.set_retry_budget(budget.clone()).expect("set");
    let token = begun(&engine);
    let error = AttemptError::new("503");
    engine.finish_step(&token, "first", b"").expect("room");
    for step in ["second", "third"] {
        let (slot, seen) = engine.held(&token).expect("held");
        let failing = engine.failing(Found { slot, seen }, &token, &error).expect("held");
        engine.finish_step(&token, step, b"").expect("room");
        let decided = engine.decide_failing(failing, &token).expect("held");
        assert!(decided.is_none(), "the journal has changed");
    }
    let later = engine.retry_later(&token, &error, &RetryContext::new("op", b"")).expect("held");
    assert!(matches!(later, super::Later::Scheduled { .. }), "{later:?}");
    assert_eq!(budget.left(Duration::ZERO), 9.0);
}
