//! `oncegate dlq`, on real tables whose records have failed for good.
#![cfg(target_os = "linux")]

use std::time::Duration;

use oncegate::{
    Admission, AttemptError, BackoffPolicy, Engine, Later, OperationSettings, Outcome, Reach,
    Request, RetryContext, RetryPolicy, Scope,
};
use serde_json::Value;

use crate::common::{Folder, number};
use crate::shared_tables::{codes, json, run};

/// An engine that gives a record up after so many attempts.
pub(crate) fn engine(folder: &Folder, attempts: u32) -> Engine {
    let policy = RetryPolicy::new(BackoffPolicy::constant(Duration::from_millis(1)));
    let builder = Engine::builder().capacity(1_000).retry_policy(policy.max_attempts(attempts));
    builder.reach(Reach::Host(folder.table().into())).build().expect("a table")
}

fn request(key: &str) -> Request<'_> {
    Request::new(Scope::single_tenant(), "op", key).expect("a request")
}

/// Fails the attempts of `key`, each with the next of `classes`, until the record is given up. A
/// charge has done a step of two by then.
pub(crate) fn bury(engine: &Engine, key: &str, operation: &str, classes: &[&str], context: &[u8]) {
    let context = RetryContext::new(operation, context);
    let Admission::Admitted(mut lease) = engine.begin(&request(key)).expect("room") else {
        panic!("{key} is new")
    };
    for class in classes.iter().cycle() {
        if operation == "charge" {
            let reserved = lease.step("reserve", || Ok::<_, String>(b"secret-step".to_vec()));
            reserved.expect("room").result().expect("it cannot fail");
        }
        let error = AttemptError::new(class).outcome(Outcome::new(502, b"given up"));
        match lease.retry_later(&error, &context).expect("room") {
            Later::Buried { kept, .. } => return assert!(kept),
            Later::Scheduled { .. } => {
                let next = engine.next_attempt(LONG).expect("answered");
                lease = next.expect("due").into_lease();
            }
        }
    }
}

/// The objects that a command prints, one a line.
fn lines(args: &[&str]) -> Vec<Value> {
    let (text, exit, stderr) = run(args);
    assert_eq!((exit, stderr.as_str()), (0, ""), "{args:?}");
    text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

pub(crate) fn ids(args: &[&str]) -> Vec<String> {
    let args = [&["dlq", "ls"], args, &["--json"]].concat();
    let id = |letter: Value| letter["id"].as_str().expect("text").to_owned();
    lines(&args).into_iter().map(id).collect()
}

/// Three letters of two operations.
fn three(folder: &Folder) -> Engine {
    let engine = engine(folder, 2);
    bury(&engine, "a", "charge", &["timeout", "503"], b"secret-context a");
    bury(&engine, "b", "charge", &["503", "reset"], b"secret-context b");
    bury(&engine, "c", "mail", &["503"], b"secret-context c");
    engine
}

/// Goal: letters are found by what is known of them, page by page. Method: three of two operations,
/// by each filter alone and by two together, and in pages of one and of two.
#[test]
fn letters_are_listed_and_filtered() {
    let folder = Folder::new();
    let _engine = three(&folder);
    let table = folder.table();
    let count = |filter: &[&str]| ids(&[&[table.as_str()], filter].concat()).len();
    for (filter, expected) in [
        (&[][..], 3),
        (&["--operation", "charge"], 2),
        (&["--operation", "other"], 0),
        (&["--class", "503"], 2),
        (&["--class", "timeout"], 0),
        (&["--operation", "charge", "--class", "503"], 1),
        (&["--reason", "attempts"], 3),
        (&["--reason", "final_error"], 0),
        (&["--since", "1h"], 3),
        (&["--until", "1h"], 0),
        (&["--since", "2999-01-01"], 0),
        (&["--since", "2026-01-01", "--until", "2999-01-01T00:00:00Z"], 3),
    ] {
        assert_eq!(count(filter), expected, "{filter:?}");
    }
    let all = ids(&[&table]);
    for size in ["1", "2"] {
        let mut paged: Vec<String> = Vec::new();
        loop {
            let mut args = vec![table.as_str(), "--limit", size];
            if let Some(last) = paged.last() {
                args.extend(["--after", last]);
            }
            let page = ids(&args);
            if page.is_empty() {
                break;
            }
            paged.extend(page);
            assert!(paged.len() <= all.len(), "pages of {size}: {paged:?}");
        }
        assert_eq!(paged, all, "pages of {size}");
    }
}

/// Goal: people see what was given up, why and when, within 100 columns, and how to go on.
/// Method: the list, a page of it, and an empty one.
#[test]
fn people_can_read_the_list() {
    let folder = Folder::new();
    let engine = three(&folder);
    let long = "very-".repeat(51);
    bury(&engine, "d", &long, &[&"x".repeat(32)], b"");
    let (text, exit, _) = run(&["dlq", "ls", &folder.table()]);
    assert_eq!(exit, 0);
    for part in ["id  ", "buried (UTC)", "attempts", "charge", "reset", "mail", "4 dead letters"] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
    }
    assert!(!text.contains("secret-context"), "{text}");
    let (text, ..) = run(&["dlq", "ls", &folder.table(), "--limit", "2"]);
    let last = ids(&[&folder.table()])[1].clone();
    assert!(text.ends_with(&format!("… and more: --after {last}\n")), "{text}");
    let (text, exit, _) = run(&["dlq", "ls", &folder.table(), "--class", "none"]);
    assert_eq!((exit, text.as_str()), (0, "no dead letters\n"));
}

/// Goal: one letter tells all about it, and its context only to whoever asks. Method: one of ten
/// attempts, of which the first and the last are kept, with a step; every form of output.
#[test]
fn a_letter_tells_its_history() {
    let folder = Folder::new();
    let engine = engine(&folder, 12);
    bury(&engine, "a", "charge", &["timeout", "503"], b"secret {\"amount\": 1}\xff");
    let table = folder.table();
    let id = ids(&[&table]).remove(0);
    let show = |more: &[&str]| run(&[&["dlq", "show", table.as_str(), id.as_str()], more].concat());
    let (text, exit, _) = show(&[]);
    assert_eq!(exit, 0, "{text}");
    for part in
        [id.as_str(), "charge", "attempts: as many", " UTC\n", "reserve", "503", "… 4 left out"]
    {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    assert!(text.contains("21 bytes; --context shows them") && !text.contains("secret"), "{text}");
    let object = show(&["--json"]).0;
    assert!(!object.contains("secret"), "{object}");
    let object: Value = serde_json::from_str(&object).expect("an object");
    assert_eq!((number(&object, "attempts"), number(&object, "left_out")), (12, 4));
    assert_eq!((number(&object, "context_bytes"), &object["context"]), (21, &Value::Null));
    assert_eq!(object["steps"], Value::from(["reserve"]));
    let history = object["history"].as_array().expect("a list");
    let attempts: Vec<u64> = history.iter().map(|past| number(past, "attempt")).collect();
    assert_eq!(attempts, [1, 2, 7, 8, 9, 10, 11, 12]);
    let token = |past: &Value| past["fencing_token"].as_str().expect("text").parse::<u64>();
    let tokens: Vec<u64> = history.iter().map(|past| token(past).expect("a number")).collect();
    assert!(tokens.is_sorted() && tokens[0] < tokens[7], "{tokens:?}");
    assert_eq!((&history[0]["class"], &history[7]["end"]), (&"timeout".into(), &"failed".into()));
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
    }

    let (text, ..) = show(&["--context"]);
    assert!(text.ends_with("\ncontext\n  secret {\"amount\": 1}\u{fffd}\n"), "{text}");
    let (text, ..) = show(&["--context", "hex"]);
    assert!(text.contains("\n  00000000  73 65 63 72 65 74 20 7b"), "{text}");
    let context = |how: &[&str]| json(&[&["dlq", "show", &table, &id, "--json"], how].concat()).0;
    assert_eq!(context(&["--context"])["context"], "secret {\"amount\": 1}\u{fffd}");
    assert_eq!(context(&["--context", "hex"])["context"].as_str().map(str::len), Some(42));
}

/// Goal: what others wrote into a table does not steer a terminal. Method: escape sequences in an
/// operation, a class and a context, in every form of output.
#[test]
fn hostile_texts_do_not_steer_the_terminal() {
    let folder = Folder::new();
    let hostile = "\x1b[2J\u{202e}x\r\n\u{9b}31m";
    bury(&engine(&folder, 1), "a", hostile, &["\x1b]0;x\x07"], hostile.as_bytes());
    let table = folder.table();
    let id = ids(&[&table]).remove(0);
    for args in [
        &["ls", table.as_str()][..],
        &["ls", &table, "--json"],
        &["show", &table, &id],
        &["show", &table, &id, "--context"],
        &["show", &table, &id, "--json", "--context"],
    ] {
        let (text, exit, _) = run(&[&["dlq"], args].concat());
        assert_eq!(exit, 0);
        let steers = |c: char| c.is_control() && c != '\n';
        let is_json = args.contains(&"--json");
        let found = text.chars().find(|c| steers(*c) && !(is_json && *c >= '\u{7f}'));
        assert_eq!(found, None, "{args:?}: {text:?}");
        assert_eq!(text.contains('\u{202e}'), is_json, "{args:?}: {text:?}");
    }
}

/// Goal: what is redriven runs again in the table's own processes, as the next attempt. Method: a
/// worker that waits while the command runs; the same letter again; one that never was.
#[test]
fn redriven_letters_run_in_their_processes() {
    let folder = Folder::new();
    let engine = three(&folder);
    let table = folder.table();
    let [first, second, ..] = &ids(&[&table])[..] else { panic!("three letters") };
    let (done, exit) = std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let attempt = engine.next_attempt(LONG).expect("answered").expect("redriven");
            assert_eq!(attempt.lease().attempt(), 3);
            assert!(attempt.context().starts_with(b"secret-context"));
            attempt.into_lease().complete(&Outcome::new(200, b"at last")).expect("it holds it");
        });
        let done = json(&["dlq", "redrive", &table, first, "--json"]);
        worker.join().expect("it got the attempt");
        done
    });
    assert_eq!((exit, number(&done, "redriven"), &done["missing"]), (0, 1, &Value::from([0; 0])));
    let (text, exit, _) = run(&["dlq", "redrive", &table, first, second, "99-1"]);
    let missing = format!("redriven: 1\nno dead letters, or none any more: {first}, 99-1\n");
    assert_eq!((exit, text), (1, missing));
    let (done, exit) = json(&["dlq", "redrive", &table, "--all", "--yes", "--json"]);
    assert_eq!((exit, number(&done, "redriven")), (0, 1));
    for _ in 0..2 {
        let attempt = engine.next_attempt(LONG).expect("answered").expect("redriven");
        attempt.into_lease().complete(&Outcome::new(200, b"at last")).expect("it holds it");
    }
    assert!(engine.next_attempt(Duration::ZERO).expect("answered").is_none());
    assert!(ids(&[&table]).is_empty());
}

/// Goal: what is discarded is over, and only that. Method: by filter, with a limit, by name, and
/// all; duplicates get the outcome that was left.
#[test]
fn discarded_letters_are_over() {
    let folder = Folder::new();
    let engine = three(&folder);
    let table = folder.table();
    let discard = |args: &[&str]| {
        let args = [&["dlq", "discard", table.as_str()], args, &["--json"]].concat();
        let (done, exit) = json(&args);
        (number(&done, "discarded"), exit)
    };
    assert_eq!(discard(&["--all", "--operation", "other"]), (0, 0));
    assert_eq!(discard(&["--all", "--operation", "charge", "--limit", "1"]), (1, 0));
    assert_eq!(ids(&[&table, "--operation", "charge"]).len(), 1);
    let mail = ids(&[&table, "--operation", "mail"]).remove(0);
    assert_eq!(discard(&[&mail]), (1, 0));
    assert_eq!(discard(&[&mail]), (0, 1));
    assert_eq!(discard(&["--all", "--yes"]), (1, 0));
    assert!(ids(&[&table]).is_empty());
    for key in ["a", "b", "c"] {
        let found = engine.begin(&request(key)).expect("answered");
        let Admission::Replayed(outcome) = found else { panic!("{found:?}") };
        assert_eq!(outcome.body(), b"given up");
    }
    assert!(engine.next_attempt(Duration::ZERO).expect("answered").is_none());
}

/// Goal: whoever looks at a table sees that there are dead letters, and what is retried. Method:
/// three letters and a record that waits, then one letter redriven; each command that looks.
#[test]
fn tables_tell_of_their_letters() {
    let folder = Folder::new();
    let engine = three(&folder);
    let hour = RetryPolicy::new(BackoffPolicy::constant(Duration::from_secs(3_600)));
    let settings = OperationSettings::new().policy(hour.max_attempts(2));
    engine.set_operation("slow", settings).expect("valid");
    let Admission::Admitted(lease) = engine.begin(&request("d")).expect("room") else {
        panic!("it is new")
    };
    let context = RetryContext::new("slow", b"secret-context");
    let _ = lease.retry_later(&AttemptError::new("503"), &context).expect("room");
    let table = folder.table();
    for args in [&["inspect", table.as_str()][..], &["top", &table, "--once"]] {
        let (text, exit, _) = run(args);
        let told = "running 0, waiting 1, due 0, unknown 0, dead letters 3, left over 0; of 16";
        assert!(exit == 0 && text.contains(told), "{told} is missing in:\n{text}");
        assert!(!text.contains("secret-"), "{text}");
    }
    let id = ids(&[&table]).remove(0);
    assert_eq!(run(&["dlq", "redrive", &table, &id]).1, 0);
    let (seen, _) = json(&["inspect", &table, "--json"]);
    let retries = &seen["retries"];
    let counts = ["waiting", "due", "dead_letters", "max_dead_letters"];
    assert_eq!(counts.map(|name| number(retries, name)), [2, 1, 2, 8], "{retries}");
    let (found, exit) = json(&["doctor", &table, "--json"]);
    assert_eq!((exit, codes(&found)), (0, vec!["dead-letters"]));
    let finding = &found["findings"][0];
    assert_eq!(finding["severity"], "info");
    assert!(finding["advice"].as_str().is_some_and(|it| it.contains("`oncegate dlq ls`")));
}

/// Goal: who needs more room for retries is told before it is refused. Method: a table with as
/// many letters as it keeps, and more that wait.
#[test]
fn little_room_for_retries_is_told() {
    let folder = Folder::new();
    let policy = RetryPolicy::new(BackoffPolicy::constant(Duration::from_secs(3_600)));
    let builder = Engine::builder().capacity(1_000).retry_policy(policy).max_retrying(20);
    let builder = builder.context_limit(0);
    let engine = builder.reach(Reach::Host(folder.table().into())).build().expect("a table");
    for number in 0..19 {
        let (found, _) = json(&["doctor", &folder.table(), "--json"]);
        assert!(codes(&found).is_empty(), "{number} of 20: {found}");
        let key = number.to_string();
        let Admission::Admitted(lease) = engine.begin(&request(&key)).expect("room") else {
            panic!("it is new")
        };
        let context = RetryContext::new("op", b"");
        let _ = lease.retry_later(&AttemptError::new("503"), &context).expect("room");
    }
    let (found, exit) = json(&["doctor", &folder.table(), "--json"]);
    assert_eq!((exit, codes(&found)), (0, vec!["retries-nearly-full"]));
    assert!(found["findings"][0]["text"].as_str().is_some_and(|it| it.contains("19 taken, of 20")));
}

/// Goal: nobody changes all letters by accident, and wrong usage is told before the table is
/// touched. Method: each wrong combination, on a path where there is no table.
#[test]
fn wrong_usage_is_refused() {
    let folder = Folder::new();
    let table = folder.table();
    for (args, told) in [
        (&["redrive", table.as_str()][..], "--all"),
        (&["redrive", &table, "--all"], "--yes"),
        (&["discard", &table, "--all", "--limit", "3"], "--yes"),
        (&["redrive", &table, "1-1", "--all", "--yes"], "--all"),
        (&["redrive", &table, "1-1", "--class", "503"], "--class"),
        (&["discard", &table, "1-1", "--limit", "3"], "--limit"),
        (&["discard", &table, "--yes"], "--all"),
        (&["show", &table], "<ID>"),
        (&["show", &table, "17"], "two numbers"),
        (&["show", &table, "+1-1"], "two numbers"),
        (&["show", &table, "1-1", "--context", "raw"], "hex"),
        (&["ls", &table, "--limit", "0"], "1 to 1000000"),
        (&["ls", &table, "--reason", "bored"], "final_error"),
        (&["ls", &table, "--since", "yesterday"], "2026-11-23T14:05:00Z"),
        (&["ls", &table, "--after", "x"], "two numbers"),
        (&[], "redrive"),
    ] {
        let (_, exit, stderr) = run(&[&["dlq"], args].concat());
        assert!(exit == 2 && stderr.contains(told), "{args:?}: {told} is missing in {stderr}");
    }
}

/// Goal: failures say what to do, as JSON where that was asked for. Method: no table, and a letter
/// that is none, with each command.
#[test]
fn failures_are_told() {
    let folder = Folder::new();
    let table = folder.table();
    for args in [
        &["ls", table.as_str()][..],
        &["show", &table, "1-1"],
        &["redrive", &table, "1-1"],
        &["discard", &table, "--all", "--yes"],
    ] {
        let args = [&["dlq"], args].concat();
        let (stdout, exit, stderr) = run(&args);
        assert_eq!((exit, stdout.as_str()), (1, ""), "{args:?}: {stderr}");
        assert!(stderr.starts_with(&format!("oncegate: {table}: there is no table")), "{stderr}");
        let (told, exit) = json(&[&args[..], &["--json"]].concat());
        assert_eq!((exit, &told["error"]["code"]), (1, &"file-missing".into()), "{args:?}");
    }
    drop(engine(&folder, 1));
    let (told, exit) = json(&["dlq", "show", &table, "1-1", "--json"]);
    assert_eq!((exit, &told["error"]["code"]), (1, &"letter-missing".into()));
    assert!(told["error"]["advice"].as_str().is_some_and(|it| it.contains("`oncegate dlq ls`")));
    let (_, exit, stderr) = run(&["dlq", "show", &table, "1-1"]);
    assert!(exit == 1 && stderr.contains("`oncegate dlq ls`"), "{stderr}");
}

/// Goal: each command teaches itself in 100 columns. Method: its help, and what it has to say.
#[test]
fn commands_for_letters_teach_themselves() {
    for (command, own) in
        [&["dlq"][..], &["dlq", "ls"], &["dlq", "show"], &["dlq", "redrive"], &["dlq", "discard"]]
            .into_iter()
            .zip([
                "needs no secret",
                "go on with --after",
                "only with --context",
                "at once",
                "duplicates",
            ])
    {
        let (help, exit, _) = run(&[command, &["--help"]].concat());
        assert_eq!(exit, 0);
        for part in ["Exit status:", "Examples:", "/dev/shm/charges", own] {
            assert!(help.contains(part), "{command:?}: {part:?} is missing in:\n{help}");
        }
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{command:?}: {line}");
        }
    }
}

/// Goal: the page's commands work as they stand there. Method: each command of its section on dead
/// letters, in their order, on a table with three letters.
#[test]
fn documented_commands_work() {
    let page = include_str!("../../../../docs/looking-after-shared-tables.md");
    let section = page.split("## Dead letters").nth(1).expect("a section");
    let section = section.split("\n## ").next().expect("a section");
    let folder = Folder::new();
    let _engine = three(&folder);
    let mut ran = 0;
    for command in section.lines().filter_map(|line| line.trim().strip_prefix("oncegate ")) {
        let left = ids(&[&folder.table()]);
        let words = command.split_whitespace().map(|word| match word {
            "PATH" => folder.table(),
            "ID" => left.last().expect("one is left").clone(),
            word => word.to_owned(),
        });
        let words: Vec<String> = words.collect();
        let args: Vec<&str> = words.iter().map(String::as_str).collect();
        let (text, exit, stderr) = run(&args);
        assert_eq!((exit, stderr.as_str()), (0, ""), "{command}: {text}");
        ran += 1;
    }
    assert!(ran >= 6, "{ran} commands in {section}");
}

/// Long enough for whatever is due in a millisecond.
const LONG: Duration = Duration::from_secs(60);
