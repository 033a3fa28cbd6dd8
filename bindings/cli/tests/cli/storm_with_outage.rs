//! A storm against a downstream that is down for a while.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::common::{Folder, number, oncegate, storm, webhooks};

const ARGS: &str = "--outage-ms 300 --copies 3 --clients 24 --work-ms 5 --fail-rate 0.02 --seed 7";

fn args() -> Vec<&'static str> {
    ARGS.split(' ').collect()
}

/// Goal: real payloads through the engine have one effect each, however the downstream fails, and
/// all of it ends; retried alone, they have several. Method: the webhooks, a short outage; the
/// JSON object, whose fields are those that the help describes, and the picture.
#[test]
fn webhooks_survive_an_outage() {
    let (file, folder) = (webhooks(), Folder::new());
    let picture = folder.path().join("outage.svg");
    let input = ["--input", file.to_str().expect("text"), "--svg", picture.to_str().expect("text")];
    let (json, exit, stderr) = storm(&[&args()[..], &input].concat(), b"");
    assert_eq!((exit, stderr.as_str()), (0, ""), "{json}");
    assert_eq!((number(&json, "deliveries"), number(&json, "distinct")), (765, 255));
    assert_eq!(
        (json["mode"].as_str(), &json["violations"]),
        (Some("outage"), &Value::from([0; 0]))
    );
    let engine = &json["engine"];
    assert_eq!(
        (number(engine, "effects"), number(engine, "duplicate_effects")),
        (255, 0),
        "{json}"
    );
    assert_eq!((number(engine, "done"), number(engine, "unanswered")), (255, 0), "{json}");
    assert!(engine["finished_ms"].as_f64().is_some_and(|ms| ms > 300.0), "{engine}");
    assert!(number(engine, "refused") > 0, "{engine}");
    for alone in ["at_once", "backoff"] {
        assert!(number(&json[alone], "duplicate_effects") > 255, "{alone}: {json}");
        assert!(number(&json[alone], "calls") > number(engine, "calls"), "{alone}: {json}");
    }
    let picture = std::fs::read_to_string(picture).expect("it was written");
    assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
}

/// The names that the help gives to fields of a storm with an outage.
fn described() -> BTreeSet<String> {
    let help = oncegate(&["storm", "--help"], b"");
    let help = String::from_utf8(help.stdout).expect("text");
    let part = help.split("With --outage-ms --json,").nth(1).expect("a part of its own");
    let part = part.split("\n\n").next().expect("a part");
    let lines = part.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = lines.map(|line| line.trim().split("  ").next().expect("names"));
    names.flat_map(|names| names.split(", ")).map(str::to_owned).collect()
}

/// Goal: each field is described in the help, and no other is. Method: a storm of two requests,
/// its object and those in it against the help.
#[test]
fn fields_are_described() {
    let lines = b"{\"key\":1}\n{\"key\":2}\n";
    let (json, exit, _) = storm(&["--input", "-", "--outage-ms", "200"], lines);
    assert_eq!(exit, 0, "{json}");
    let of = |value: &Value| value.as_object().expect("an object").keys().cloned().collect();
    let mut there: BTreeSet<String> = of(&json);
    there.extend::<BTreeSet<String>>(of(&json["engine"]));
    assert_eq!(there, described(), "left what there is, right what is described");
}

/// Goal: people get a table, a plot and sentences in a terminal's width, and are told of what is
/// wrong. Method: the text; a picture that cannot be written; options that exclude each other; a
/// broken line.
#[test]
fn people_can_read_it() {
    let run = |args: &[&str], lines: &[u8]| {
        let base = ["storm", "--input", "-", "--outage-ms", "200"];
        let output = oncegate(&[&base[..], args].concat(), lines);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        (text(&output.stdout), output.status.code(), text(&output.stderr))
    };
    let (text, exit, stderr) = run(&[], b"{\"key\":1}\nbroken\n{\"key\":2}\n");
    assert_eq!(exit, Some(3), "{stderr}");
    assert!(stderr.contains("line 2: skipped"), "{stderr}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    for part in [
        "retry at once",
        "backoff alone",
        "down",
        "oncegate: 0 requests not done, 0 side effects too many",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let (_, exit, stderr) = run(&["--svg", "/nowhere/at/all.svg"], b"{\"key\":1}\n");
    assert_eq!(exit, Some(1));
    assert!(stderr.contains("svg: /nowhere/at/all.svg: "), "{stderr}");
    for wrong in [&["--compare"][..], &["--baseline"], &["--processes", "2"], &["--capacity", "0"]]
    {
        assert_eq!(run(wrong, b"").1, Some(2), "{wrong:?}");
    }
    let alone = oncegate(&["storm", "--input", "-", "--svg", "x"], b"");
    assert_eq!(alone.status.code(), Some(2), "--svg needs --outage-ms");
}
