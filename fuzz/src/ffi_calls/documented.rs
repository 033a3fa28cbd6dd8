//! What the header says a function may return.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use oncegate_ffi::Status;

/// Whether the header says that `function` may return `status`: in its own comment, in that of a
/// function which this refers to, or for all functions.
pub(super) fn allows(function: &str, status: Status) -> bool {
    static STATUSES: OnceLock<HashMap<String, HashSet<Status>>> = OnceLock::new();
    let statuses = STATUSES.get_or_init(read);
    let found = statuses.get(function).unwrap_or_else(|| panic!("{function}: not in the header"));
    found.contains(&status)
}

fn read() -> HashMap<String, HashSet<Status>> {
    let (preamble, rest) = HEADER.split_once("#ifndef").expect("the preamble");
    let numbers = numbers(rest);
    let named = |comment: &str| -> HashSet<Status> {
        names(comment).filter_map(|name| numbers.get(name).copied()).collect()
    };
    // What every function may return, and behind that what those may which are given something.
    let (all, by_type) = preamble.split_once(" * - ").expect("what may be refused");
    let by_type: Vec<_> = by_type.split(" * - ").filter_map(|one| one.split_once(':')).collect();
    let mut common = named(all);
    common.insert(0);
    let comments = comments(rest);
    let mut statuses = HashMap::new();
    for function in comments.keys() {
        let mut found = common.clone();
        for (types, refused) in &by_type {
            let words = types.split([' ', ',', '\n']);
            let mut types = words.filter(|word| word.starts_with("oncegate_"));
            if types.any(|name| takes(rest, function, name)) {
                found.extend(named(refused));
            }
        }
        let mut todo = vec![function.as_str()];
        let mut seen = HashSet::new();
        while let Some(next) = todo.pop() {
            let Some(comment) = comments.get(next).filter(|_| seen.insert(next)) else { continue };
            found.extend(named(comment));
            todo.extend(referred(comment));
        }
        statuses.insert(function.clone(), found);
    }
    statuses
}

/// The comment of each function, as one line.
fn comments(header: &str) -> HashMap<String, String> {
    let mut comments = HashMap::new();
    let mut comment = String::new();
    for line in header.lines() {
        if let Some(text) = line.strip_prefix("//") {
            comment.push_str(text);
        } else if let Some(function) = declared(line) {
            comments.insert(function.to_owned(), std::mem::take(&mut comment));
        } else if line.is_empty() {
            comment.clear();
        }
    }
    comments
}

/// Whether a function has a parameter of this type.
fn takes(header: &str, function: &str, name: &str) -> bool {
    let start = header.find(&format!("{function}(")).expect("its declaration");
    let parameters = header[start..].split(");").next().unwrap_or_default();
    parameters.split([' ', '(', '\n']).any(|word| word == name)
}

/// The function that a line declares.
fn declared(line: &str) -> Option<&str> {
    let (before, _) = line.split_once('(')?;
    let name = before.rsplit([' ', '*']).next()?;
    (line.starts_with(|c: char| c.is_ascii_lowercase()) && name.starts_with("oncegate_"))
        .then_some(name)
}

/// The functions whose statuses a comment takes over.
fn referred(comment: &str) -> impl Iterator<Item = &str> {
    ["Returns what `", "returns what `", "As `", "as `", "what `"].into_iter().flat_map(|words| {
        let rest = comment.split(words).skip(1);
        rest.filter_map(|rest| rest.split('`').next())
    })
}

/// The numbers of all statuses.
fn numbers(header: &str) -> HashMap<&str, Status> {
    let statuses = header.split("#define ").skip(1).filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, number) = (words.next()?, words.next()?.parse().ok()?);
        Some((name, number))
    });
    let all: Vec<_> = statuses.collect();
    let from = all.iter().position(|(name, _)| *name == "ONCEGATE_OK").expect("a status");
    all[from..].iter().copied().filter(|(name, _)| *name != "ONCEGATE_ABI_VERSION").collect()
}

fn names(comment: &str) -> impl Iterator<Item = &str> {
    comment
        .split(|c: char| !c.is_ascii_uppercase() && c != '_' && !c.is_ascii_digit())
        .filter(|word| word.starts_with("ONCEGATE_"))
}

const HEADER: &str = include_str!("../../../ffi/include/oncegate.h");
