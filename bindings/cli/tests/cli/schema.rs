//! What docs/looking-after-shared-tables.md says of JSON and of codes is what there is.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;

use oncegate::{Quota, Scope};
use serde_json::Value;

use crate::common::Folder;
use crate::shared_tables::{engine, finish, json};
use crate::tier;

const PAGE: &str = include_str!("../../../../docs/looking-after-shared-tables.md");
const FINDINGS: &str = include_str!("../../../../core/src/inspect/finding.rs");

const SOURCES: [&str; 2] = [
    include_str!("../../../../core/src/inspect/health.rs"),
    include_str!("../../../../core/src/inspect/explain.rs"),
];

/// What stands between backticks at the beginning of each row of the table with this heading.
fn documented(heading: &str) -> BTreeSet<String> {
    let rows = PAGE.lines().skip_while(|line| !line.starts_with(&format!("| {heading} |")));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('`').nth(1).expect("a name").to_owned()).collect()
}

/// The fields of an object, those of objects and lists in it by their way.
fn fields(of: &Value, way: &str, into: &mut BTreeSet<String>) {
    match of {
        Value::Object(all) => all.iter().for_each(|(name, value)| {
            let dot = if way.is_empty() { "" } else { "." };
            fields(value, &format!("{way}{dot}{name}"), into);
        }),
        Value::Array(all) => {
            assert!(!all.is_empty(), "{way}: this test has to make some");
            if all.iter().all(Value::is_string) {
                into.insert(way.to_owned());
                return;
            }
            all.iter().for_each(|value| fields(value, &format!("{way}[]"), into));
        }
        _ => {
            let way = if way.starts_with("scope.") { "scope" } else { way };
            into.insert(way.to_owned());
        }
    }
}

#[track_caller]
fn compare(heading: &str, found: &[&Value]) {
    let mut there = BTreeSet::new();
    found.iter().for_each(|object| fields(object, "", &mut there));
    let told = documented(heading);
    assert_eq!(there, told, "{heading}: left what there is, right what is documented");
}

/// Goal: every field of every command's JSON is documented, and no other. Method: each object of a
/// table in which every list has a member, compared with the page's tables.
#[test]
fn fields_are_as_documented() {
    let (folder, other) = (Folder::new(), Folder::new());
    let (table, none) = (folder.table(), folder.path().join("none"));
    let none = none.to_str().expect("text");
    let engine = engine(&folder);
    engine
        .set_quota(Scope::new("acme").expect("a scope"), Quota::unlimited().max_live(5))
        .expect("ok");
    finish(&engine, "acme", 0, 1);
    std::fs::remove_file(table.clone() + ".key").expect("own file");
    let (seen, exit) = json(&["inspect", &table, "--json", "--scope", "acme"]);
    assert_eq!((exit, seen["path"].as_str()), (0, Some(table.as_str())));
    compare("`oncegate inspect --json`", &[&seen]);
    compare("`oncegate doctor --json`", &[&json(&["doctor", &table, "--json"]).0]);
    let (done, exit) = json(&["gc", &table, "--json"]);
    assert_eq!((exit, done["path"].as_str()), (0, Some(table.as_str())));
    compare("`oncegate gc --json`", &[&done]);
    let letters = crate::dead_letters::engine(&other, 1);
    crate::dead_letters::bury(&letters, "a", "charge", &["503"], b"context");
    crate::dead_letters::bury(&letters, "b", "charge", &["503"], b"context");
    let table = other.table();
    let ids = crate::dead_letters::ids(&[&table]);
    let (listed, exit) = json(&["dlq", "ls", &table, "--limit", "1", "--json"]);
    assert_eq!((exit, listed["context"].is_null()), (0, true));
    let (shown, exit) = json(&["dlq", "show", &table, &ids[0], "--context", "--json"]);
    assert_eq!(exit, 0);
    compare("`oncegate dlq ls --json` and `show --json`", &[&listed, &shown]);
    let [redriven, discarded] = ["redrive", "discard"]
        .iter()
        .zip(&ids)
        .map(|(command, id)| {
            let (done, exit) = json(&["dlq", command, &table, id, "99-1", "--json"]);
            assert_eq!(exit, 1, "one of them is none: {done}");
            done
        })
        .collect::<Vec<_>>()
        .try_into()
        .expect("two");
    compare("`oncegate dlq redrive --json` and `discard --json`", &[&redriven, &discarded]);
    let failed = ["inspect", "gc"].map(|command| json(&[command, none, "--json"]));
    assert!(failed.iter().all(|(_, exit)| *exit == 1));
    assert_eq!(failed[0].0["error"]["code"], "file-missing");
    compare("When a command fails", &[&failed[0].0, &failed[1].0]);
}

/// Goal: no number of a sound table is beyond what a double holds. Method: every number.
#[test]
fn numbers_fit_a_double() {
    fn check(value: &Value) {
        match value {
            Value::Object(all) => all.values().for_each(check),
            Value::Array(all) => all.iter().for_each(check),
            Value::Number(number) => {
                assert!(number.as_f64().is_some_and(|n| n < 9_007_199_254_740_992.0), "{number}");
            }
            _ => {}
        }
    }
    let folder = Folder::new();
    let _engine = engine(&folder);
    let (seen, _) = json(&["inspect", &folder.table(), "--json"]);
    check(&seen);
    let epoch = seen["epoch"].as_str().expect("a string");
    assert!(epoch.parse::<u64>().is_ok_and(|epoch| epoch > 1 << 53), "{epoch}");
}

/// Goal: --top limits processes as it limits scopes, and says how many there are. Method: two
/// entries, of which one is listed: the live one.
#[test]
fn top_limits_every_list() {
    let folder = Folder::new();
    let (first, second) = (engine(&folder), engine(&folder));
    drop(first);
    let (seen, _) = json(&["inspect", &folder.table(), "--json", "--top", "1"]);
    let listed = seen["processes"].as_array().expect("a list");
    assert_eq!((listed.len(), &seen["processes_total"]), (1, &2.into()));
    assert_eq!(listed[0]["state"], "alive");
    let (seen, _) = json(&["inspect", &folder.table(), "--json", "--top", "0"]);
    assert_eq!((&seen["processes"], &seen["scopes"]), (&Value::from([0; 0]), &Value::from([0; 0])));
    drop(second);
}

/// Goal: the page lists every code, as the API documentation does, and both list all that there
/// are. Method: the codes of both; words with hyphens in the source.
#[test]
fn codes_are_listed_everywhere() {
    let rows = FINDINGS.lines().filter_map(|line| line.strip_prefix("/// | `"));
    let codes: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    assert!(codes.len() > 20, "{codes:?}");
    let is_code = |text: &&str| {
        text.contains('-')
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    };
    for code in SOURCES.iter().flat_map(|source| source.split('"')).filter(is_code) {
        assert!(codes.contains(&code), "{code} is not documented");
    }
    let table = PAGE.split("## Is anything wrong?").nth(1).expect("a section");
    let table = table.split("\n## ").next().expect("a section");
    for code in codes {
        assert!(table.contains(&format!("`{code}`")), "{code} is not on the page");
    }
}

/// Goal: the page tells each code and each field of what is found about a store. Method: codes in
/// the source, and an object with a finding, against the page's tables.
#[test]
fn codes_and_fields_of_a_store_are_documented() {
    let told = documented("Of a store it finds");
    let source = include_str!("../../src/table/tier.rs");
    let there = source.split('"').filter(|text| text.starts_with("tier-"));
    let there = there.map(str::to_owned).chain(["not-removed".to_owned()]).collect();
    assert_eq!(told, there);
    let (found, _) = tier::doctor(&["redis://127.0.0.1:1", "--recreate"]);
    compare("`oncegate doctor URL --json`", &[&found]);
}
