//! Content in logs.
//!
//! Seen where keys and payloads are logged as they are: card numbers and credentials end up in
//! log files and metrics.

mod scheduled;
mod tiers;

use std::any::type_name;
use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use oncegate::{
    Admission, AttemptHeaders, Attempted, BackoffPolicy, BeginOptions, CoarseClock, Decision,
    DownstreamKey, Engine, EngineBuilder, Error, ErrorCode, Exhaustion, Failure, FencingToken,
    FileAccess, FillEvent, Fingerprint, FingerprintMode, Hint, HintLimits, Jitter, JitterSource,
    KeyCharset, KeyRules, LeaseToken, OnConflict, OnDrop, OnFull, OnLapse, Outcome, OutcomePolicy,
    Payload, PreciseClock, Quota, Ran, Reach, RegionFile, Request, Resolution, RetryPolicy,
    RunOptions, Scope, Secret, Stretch, method_class,
};

use crate::support::{Woken, build, done, poll};

/// A card number that is valid in form, in letters only where a field wants them.
const CANARY: &str = "4111111111111111";

/// Everything that is shown to anybody.
#[derive(Default)]
struct Shown {
    texts: Vec<String>,
    /// The names of the types that were shown.
    types: BTreeSet<&'static str>,
    codes: BTreeSet<u16>,
}

impl Shown {
    fn debug<T: Debug>(&mut self, value: &T) {
        let path = type_name::<T>().split('<').next().unwrap_or_default();
        self.types.extend(path.rsplit("::").next());
        self.texts.push(format!("{value:?} {value:#?}"));
    }

    fn display<T: Debug + Display>(&mut self, value: &T) {
        self.debug(value);
        self.texts.push(format!("{value} {value:#}"));
    }

    fn error(&mut self, error: &Error) {
        self.codes.insert(error.code().number());
        self.display(error);
        self.texts.push(error.field().to_owned());
        self.debug(&error.code());
        self.texts.push(format!("{} {}", error.code().name(), error.code().text()));
    }

    /// What is no text.
    fn bytes(&mut self, bytes: &[u8]) {
        self.texts.push(String::from_utf8_lossy(bytes).into_owned());
    }

    fn check(&self) {
        for text in &self.texts {
            clean(text);
        }
    }
}

/// Half of the number would be too much.
fn clean(text: &str) {
    let (half, _) = CANARY.split_at(8);
    assert!(!text.contains(half), "shown: {text}");
    let as_bytes = format!("{:?}", half.as_bytes());
    assert!(!text.contains(as_bytes.trim_matches(['[', ']'])), "shown as bytes: {text}");
    assert!(!text.replace([' ', '_'], "").contains("3431313131313131"), "shown in hex: {text}");
}

/// Goal: no content of a request or outcome is shown by anything that can be printed (I10).
/// Method: a card number in scope, operation, key, payload, outcome, metadata and secret; print
/// every value of every public type, and every error that comes of it. The list of types is that
/// of the crate's first page.
#[test]
fn card_number_is_shown_nowhere() {
    let mut shown = Shown::default();
    let scope = Scope::new(CANARY).expect("short");
    let json = format!(r#"{{"card": "{CANARY}"}}"#);
    let payload = Payload::json(json.as_bytes());
    let request = Request::new(scope, CANARY, CANARY).expect("short").payload(payload);
    let outcome = Outcome::new(200, CANARY).with_metadata(CANARY, CANARY).expect("small");
    let (tell, told) = mpsc::channel();
    let builder = || {
        let tell = tell.clone();
        let builder = Engine::builder().capacity(16).secret(secret()).outcome_limit(100);
        builder.max_waiters(0).on_fill(&[0.01], move |event| tell.send(event).expect("received"))
    };
    let (engine, clock) = build(builder());
    shown.debug(&scope);
    shown.debug(&request);
    shown.debug(&payload);
    shown.debug(&outcome);
    shown.debug(&secret());
    shown.debug(&engine);
    shown.debug(&clock);
    shown.debug(&builder());
    settings(&mut shown);
    answers(&engine, &request, &outcome, &mut shown);
    shown.debug::<FillEvent>(&told.try_recv().expect("the first record crosses the level"));
    refused_input(scope, &mut shown);
    refusals(&engine, &request, &mut shown);
    shared(&mut shown);
    scheduled::show(&mut shown);
    clock.advance(Duration::MAX);
    shown.error(&engine.begin(&request).expect_err("no time is left"));
    tiers::show(&mut shown);
    let stats = engine.stats().expect("not forked");
    shown.debug(&stats);
    shown.debug(&stats.live);
    shown.debug(&stats.begin);
    shown.check();
    complete(&shown);
}

fn secret() -> Secret {
    Secret::from_bytes(CANARY.repeat(2).as_bytes()).expect("32 bytes")
}

/// Every public type was shown, and every error that can be provoked.
fn complete(shown: &Shown) {
    let page = include_str!("../../../core/src/lib.rs");
    let exported = page.split("pub use ").skip(1).filter_map(|rest| rest.split(';').next());
    let names = exported.flat_map(|list| list.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let is_type = |name: &&str| name.starts_with(|c: char| c.is_ascii_uppercase());
    // A trait, and what only the suites' builds have.
    let types: BTreeSet<&str> =
        names.filter(is_type).filter(|n| !["Clock", "Bug"].contains(n)).collect();
    assert!(types.len() > 35, "the list was not read: {types:?}");
    let unseen: Vec<_> = types.difference(&shown.types).collect();
    assert!(unseen.is_empty(), "not shown: {unseen:?}");
    // Of the system's own refusals, and of the fork, the texts are constants.
    let others = [
        ErrorCode::NoMemory,
        ErrorCode::NoEntropy,
        ErrorCode::Forked,
        ErrorCode::Unsupported,
        ErrorCode::TierUnsafe,
    ];
    for code in ErrorCode::ALL.iter().filter(|code| !others.contains(code)) {
        assert!(shown.codes.contains(&code.number()), "not provoked: {}", code.name());
    }
}

/// The refusals of a table in a file.
fn shared(shown: &mut Shown) {
    let folder = std::env::temp_dir().join(format!("oncegate-shown-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder of this test's own");
    let path = folder.join("table");
    let at = |path: &Path| {
        Engine::builder()
            .capacity(1_000)
            .max_processes(1)
            .secret(secret())
            .reach(Reach::Host(path.to_owned()))
    };
    let refused = |builder: EngineBuilder, shown: &mut Shown| {
        shown.error(&builder.build().expect_err("a refusal"));
    };
    let engine = at(&path).build().expect("a table");
    refused(at(&path), shown);
    refused(at(&path).capacity(2_000), shown);
    refused(at(&path).secret(Secret::from_bytes(&[1; 32]).expect("32 bytes")), shown);
    refused(at(&folder.join("missing").join("table")), shown);
    looked_at(&engine, &path, shown);
    drop(engine);
    shown.debug(&oncegate::DeadLetters::open(&path, FileAccess::owner_only()).expect("a table"));
    let collected = RegionFile::collect(&path, FileAccess::owner_only());
    shown.debug(&collected.expect("nobody uses it"));
    std::fs::write(&path, CANARY).expect("own file");
    refused(at(&path), shown);
    std::fs::remove_file(&path).expect("own file");
    std::os::unix::fs::symlink("elsewhere", &path).expect("own folder");
    refused(at(&path), shown);
    std::fs::remove_dir_all(&folder).expect("own folder");
}

/// What an inspection says of a table that holds content.
fn looked_at(engine: &Engine, path: &Path, shown: &mut Shown) {
    let scope = Scope::new(CANARY).expect("short");
    engine.set_quota(scope, Quota::unlimited().max_live(100)).expect("valid");
    let of = |key| Request::new(scope, CANARY, key).expect("short");
    let Ok(Admission::Admitted(running)) = engine.begin(&of("running")) else { panic!() };
    let ended = engine.run(&of(CANARY), || Ok::<_, ()>(Outcome::new(200, CANARY.repeat(30))));
    assert!(matches!(ended, Ok(Ran::Executed(_))));

    let file = RegionFile::open(path, FileAccess::owner_only()).expect("a table");
    shown.debug(&file);
    shown.debug(&file.insertions().expect("a table"));
    let seen = file.inspect().expect("a table");
    assert_eq!((seen.leases.held, seen.records.succeeded), (1, 1));
    shown.debug(&seen);
    shown.debug(&seen.leases);
    shown.debug(&seen.chunks);
    shown.debug(&seen.retries);
    shown.debug(&seen.keys);
    shown.debug(&seen.processes[0]);
    shown.debug(&seen.processes[0].state);
    shown.debug(seen.scopes.iter().find(|scope| scope.records > 0).expect("with a quota"));
    let letters = oncegate::DeadLetters::open(path, FileAccess::owner_only());
    shown.error(&letters.expect_err("the registry is full"));
    for finding in file.check().expect("a table") {
        shown.debug(&finding);
        shown.debug(&finding.severity);
    }
    // The registry is full, by the engine that is open.
    let access = FileAccess::owner_only;
    shown.error(&RegionFile::collect(path, access()).expect_err("no entry is free"));
    shown.error(&RegionFile::remove(path, access()).expect_err("in use"));
    let _ = running.into_token();
}

/// What holds no content by its kind.
fn settings(shown: &mut Shown) {
    shown.debug(&CoarseClock);
    shown.debug(&PreciseClock);
    shown.debug(&BeginOptions::new());
    shown.debug(&RunOptions::new());
    shown.debug(&OnConflict::Conflict);
    shown.debug(&OnDrop::Retry);
    shown.debug(&OnFull::Reject);
    shown.debug(&OnLapse::Unknown);
    shown.debug(&Quota::unlimited());
    shown.debug(&OutcomePolicy::ietf());
    shown.debug(&OutcomePolicy::ietf().judge(500));
    shown.debug(&KeyRules::any());
    shown.debug(&KeyCharset::Hex);
    shown.debug(&FingerprintMode::Keyed);
    shown.debug(&FileAccess::owner_only());
    shown.debug(&Reach::HostInherited);
    shown.debug(&method_class(CANARY));
    let engine = Arc::new(Engine::builder().capacity(16).secret(secret()).build().expect("valid"));
    shown.debug(&engine.ticker(Duration::from_secs(3_600)).expect("a thread"));
    shown.debug(&engine.sweep(16).expect("not forked"));
}

fn answers(engine: &Engine, request: &Request<'_>, outcome: &Outcome, shown: &mut Shown) {
    let prepared = engine.prepare(request).expect("valid");
    shown.debug(&prepared);
    shown.debug(&prepared.fingerprint());
    shown.bytes(&prepared.fingerprint().to_bytes());
    shown.debug(&engine.join(request, &BeginOptions::new()));
    let begun = engine.begin(request).expect("an answer");
    shown.debug(&begun);
    let Admission::Admitted(lease) = begun else { panic!("not admitted") };
    shown.debug(&lease);
    shown.debug(&lease.status());
    shown.debug(lease.token());
    shown.bytes(&lease.token().to_bytes());
    shown.display(&lease.fencing_token());
    retries(prepared.fingerprint(), lease.fencing_token(), shown);
    shown.debug(&Failure::terminal(outcome.clone()));
    shown.debug(&engine.begin(request).expect("an answer"));
    let Ok(Ran::Declined(declined)) = engine.run(request, || Ok::<_, ()>(done("x"))) else {
        panic!("it runs")
    };
    shown.debug(&declined);
    lease.fail(Failure::unknown()).expect("held");
    shown.debug(&engine.begin(request).expect("an answer"));
    shown.debug(&Resolution::Succeeded(outcome.clone()));
    engine.resolve(request, Resolution::RunAgain).expect("unknown");
    let Ok(Admission::Admitted(lease)) = engine.begin(request) else { panic!("not admitted") };
    shown.debug(&lease.complete(outcome).expect("held"));
    shown.debug(&engine.begin(request).expect("an answer"));
    let mut buffer = outcome.clone();
    shown.debug(&engine.begin_into(&prepared, &BeginOptions::new(), &mut buffer));
    shown.debug(&engine.run(request, || Ok::<_, ()>(done("x"))).expect("an answer"));
    shown.debug(&Ran::<()>::Executed(outcome.clone()));
    shown.debug(&engine.begin(&request.payload(Payload::raw(CANARY.as_bytes()))));
}

/// What says when the next attempt starts, and what an attempt tells other services.
fn retries(request: Fingerprint, token: FencingToken, shown: &mut Shown) {
    let policy = RetryPolicy::aws_standard();
    let source = JitterSource::new().expect("the system has randomness");
    let hint = Hint::retry_after(CANARY, Duration::ZERO);
    let attempted = Attempted::new(1, Duration::ZERO).hint(hint);
    shown.debug(&policy);
    shown.debug(&BackoffPolicy::constant(Duration::from_secs(1)));
    shown.debug(&Jitter::Full);
    shown.debug(&HintLimits::new());
    shown.debug(&source);
    shown.debug(&JitterSource::seeded(CANARY.parse().expect("a number")));
    shown.debug(&attempted);
    shown.debug(&Stretch::default());
    shown.debug(&hint.expect("seconds"));
    shown.debug::<Decision>(&policy.decide(&attempted, &source));
    shown.debug(&Exhaustion::Refused);

    let key = DownstreamKey::of_step(request, CANARY, CANARY).expect("short");
    shown.debug(&key);
    shown.bytes(key.as_str().as_bytes());
    shown.debug(&AttemptHeaders::new(CANARY, 1, token).expect("printable"));
    let long = CANARY.repeat(100);
    shown.error(&AttemptHeaders::new(&long, 1, token).expect_err("too long"));
    shown.error(&AttemptHeaders::new(format!("{CANARY}\n"), 1, token).expect_err("a line"));
    shown.error(&DownstreamKey::new(request, &long).expect_err("too long"));
    shown.error(&DownstreamKey::of_step(request, "x", &long).expect_err("too long"));
}

/// Errors before the engine is asked.
fn refused_input(scope: Scope<'_>, shown: &mut Shown) {
    let long = CANARY.repeat(100);
    let refuse = |rules: KeyRules, shown: &mut Shown| {
        shown.error(&rules.check(CANARY.as_bytes()).expect_err("refused"));
    };
    refuse(KeyRules::any().uuid(), shown);
    refuse(KeyRules::any().min_len(20), shown);
    refuse(KeyRules::any().refuse_predictable(), shown);
    shown.error(&Scope::new(&long).expect_err("too long"));
    shown.error(&Request::new(scope, &long, "k").expect_err("too long"));
    shown.error(&Request::new(scope, "op", &long).expect_err("too long"));
    shown.error(&Secret::from_bytes(CANARY.as_bytes()).expect_err("too short"));
    shown.error(&Outcome::new(200, "").with_metadata(&long, "v").expect_err("too long"));
    shown.error(&Outcome::new(200, "").with_metadata("n", &long.repeat(6)).expect_err("too long"));
    shown.error(&LeaseToken::from_bytes(CANARY.as_bytes()).expect_err("malformed"));
    shown.error(&LeaseToken::from_bytes(CANARY.repeat(2).as_bytes()).expect_err("malformed"));
    let twice = format!(r#"{{"{CANARY}": 1, "{CANARY}": 2}}"#);
    let cut = format!(r#"{{"{CANARY}": {CANARY}"#);
    let form = format!("{CANARY}=%zz");
    let pointers = [CANARY];
    let payloads = [
        Payload::json(twice.as_bytes()),
        Payload::json(cut.as_bytes()),
        Payload::json(CANARY.as_bytes()).excluding(&pointers),
        Payload::form(form.as_bytes()),
        Payload::multipart(CANARY.as_bytes(), CANARY),
    ];
    for payload in payloads {
        shown.error(&payload.check().expect_err("refused"));
    }
    let builder = Engine::builder().secret(secret()).capacity(0);
    shown.error(&builder.build().expect_err("too small"));
}

/// Errors of an engine that holds a finished record of `request`.
fn refusals(engine: &Engine, request: &Request<'_>, shown: &mut Shown) {
    let scope = request.scope();
    let of = |key| Request::new(scope, CANARY, key).expect("short");
    let unknown = of("never seen");
    shown.error(&engine.resolve(&unknown, Resolution::RunAgain).expect_err("never seen"));
    let zero = BeginOptions::new().lease_duration(Duration::ZERO);
    shown.error(&engine.begin_with(request, &zero).expect_err("an option"));

    let Ok(Admission::Admitted(lease)) = engine.begin(&of("running")) else { panic!() };
    let running = of("running");
    let options = BeginOptions::new();
    let mut join = Box::pin(engine.join(&running, &options));
    match poll(join.as_mut(), &Arc::new(Woken::default())) {
        std::task::Poll::Ready(Err(error)) => shown.error(&error),
        other => panic!("nobody may wait: {other:?}"),
    }
    let stale = lease.into_token();
    engine.abandon(&stale).expect("held");
    shown.error(&engine.complete(&stale, &done(CANARY)).expect_err("stale"));

    engine.rotate_secret(Secret::from_bytes(&[7; 32]).expect("32 bytes")).expect("the first");
    shown.error(&engine.rotate_secret(secret()).expect_err("under way"));
    shown.error(&engine.finish_rotation().expect_err("records are left"));

    engine.set_quota(scope, Quota::unlimited().max_live(0)).expect("valid");
    shown.error(&engine.begin(&unknown).expect_err("no quota"));
    engine.set_quota(scope, Quota::unlimited()).expect("valid");
    let full = (0..1_000_u32).find_map(|number| {
        let key = format!("{CANARY}-{number}");
        match engine.begin(&Request::new(scope, CANARY, &key).expect("short")) {
            Ok(Admission::Admitted(lease)) => {
                let _ = lease.into_token();
                None
            }
            other => other.err(),
        }
    });
    shown.error(&full.expect("running requests fill the table"));
}

/// Goal: nor does anything that is written when something panics. Method: a process of its own, in
/// which work panics inside a lease, a callback panics, and answers and errors of every kind are
/// unwrapped; all that it writes is looked through.
#[test]
fn panics_show_nothing() {
    if std::env::var(PANICS).is_ok() {
        panic_in_all_ways();
        return;
    }
    let program = std::env::current_exe().expect("this program has a path");
    let mut again = Command::new(program);
    let name = "leaked_content::panics_show_nothing";
    again.args([name, "--exact", "--nocapture"]).env(PANICS, "1");
    let ran = again.output().expect("it runs");
    let [out, err] = [&ran.stdout, &ran.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(ran.status.success(), "{out}{err}");
    assert_eq!(err.matches("panicked at").count(), 5, "{err}");
    clean(&out);
    clean(&err);
}

const PANICS: &str = "ONCEGATE_TEST_PANICS";

fn panic_in_all_ways() {
    let scope = Scope::new(CANARY).expect("short");
    let json = format!(r#"{{"card": "{CANARY}"}}"#);
    let payload = Payload::json(json.as_bytes());
    let request = Request::new(scope, CANARY, CANARY).expect("short").payload(payload);
    let warn = |_| panic!("in the callback");
    let builder = Engine::builder().capacity(16).secret(secret());
    let (engine, _clock) = build(builder.on_fill(&[0.01], warn));
    let caught = |call: &dyn Fn()| {
        let panicked = catch_unwind(AssertUnwindSafe(call)).expect_err("it panics");
        let text = panicked.downcast_ref::<String>().map(String::as_str);
        clean(text.or(panicked.downcast_ref::<&str>().copied()).expect("a text"));
    };
    caught(&|| drop(engine.begin(&request)));
    caught(&|| drop(engine.run(&request, || -> Result<Outcome, ()> { panic!("in the work") })));
    caught(&|| drop(engine.begin(&request).expect_err("admitted")));
    let done = engine.run(&request, || Ok::<_, ()>(Outcome::new(200, CANARY)));
    assert!(matches!(done, Ok(Ran::Executed(_))));
    caught(&|| drop(engine.begin(&request).expect_err("replayed")));
    let wrong = request.payload(Payload::json(CANARY.as_bytes()).excluding(&[CANARY]));
    caught(&|| drop(engine.begin(&wrong).expect("refused")));
}
