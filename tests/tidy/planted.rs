//! `docs/planted-bugs.md`: each planted bug has its test, and each invariant its bug.

use crate::catalogue::{Kind, PAGE, Row, rows};
use crate::promises::missing;
use crate::scan::{close, words};
use crate::tree::Tree;
use crate::{Check, Report};

/// The file that holds the bugs, and how its list begins.
const BUGS: &str = "core/src/sync/planted.rs";
const LIST: &str = "bugs! {";
/// The invariants of the design.
const INVARIANTS: std::ops::RangeInclusive<u32> = 1..=10;

pub(crate) const CHECK: Check = Check { rules: &["planted-bug"], run };

fn run(tree: &Tree, report: &mut Report) {
    let Some(page) = tree.text(PAGE) else { return };
    let rows = rows(page);
    let bugs = bugs(tree);
    for (line, bug) in &bugs {
        let of_bug = rows.iter().filter(|row| row.bug == *bug).count();
        if of_bug != 1 {
            let message = format!("`{bug}` has {of_bug} rows in `{PAGE}`; one each");
            report.add(BUGS, *line, "planted-bug", message);
        }
        if !is_planted(tree, bug) {
            report.add(BUGS, *line, "planted-bug", format!("nothing asks for `{bug}`"));
        }
    }
    for row in &rows {
        let unknown = || Some(format!("there is no bug `{}`", row.bug));
        let known = bugs.iter().any(|(_, bug)| *bug == row.bug);
        let wrong = if known { wrong_test(tree, row) } else { unknown() };
        if let Some(message) = wrong {
            report.add(PAGE, row.line, "planted-bug", message);
        }
    }
    for number in INVARIANTS {
        let invariant = format!("I{number}");
        if !rows.iter().any(|row| row.promise.split(", ").any(|named| named == invariant)) {
            report.add(PAGE, 0, "planted-bug", format!("no bug breaks {invariant}"));
        }
    }
}

/// The variants of the list, with their lines.
fn bugs(tree: &Tree) -> Vec<(usize, String)> {
    let Some(source) = tree.files.get(BUGS).and_then(|file| file.rust.as_ref()) else {
        return Vec::new();
    };
    let lines = source.all().skip_while(|(_, code)| code.trim() != LIST).skip(1);
    let names = lines.take_while(|(_, code)| code.trim() != "}");
    names
        .filter_map(|(line, code)| Some((line, code.trim().strip_suffix(',')?.to_owned())))
        .collect()
}

/// Whether the engine has the defect: a bug that nothing asks for is caught by accident.
fn is_planted(tree: &Tree, bug: &str) -> bool {
    let asked = format!("Bug::{bug}");
    let mut engine = tree.rust().filter(|(path, _)| path.starts_with("core/src/"));
    engine.any(|(_, source)| source.shipped().any(|(_, code)| words(code, &asked).next().is_some()))
}

/// What is wrong with the test of `row`.
fn wrong_test(tree: &Tree, row: &Row) -> Option<String> {
    let missing = missing(tree, &row.caught_by);
    if missing.is_some() || row.kind() == Kind::Ordinary {
        return missing;
    }
    let (path, name) = row.caught_by.split_once("::")?;
    let code = tree.files.get(path)?.rust.as_ref()?.joined();
    let at = words(&code, name).find(|at| code[..*at].ends_with("fn "))?;
    let open = at + code[at..].find('{')?;
    let body = &code[open..close(&code, open)?];
    let plants = words(body, &format!("Bug::{}", row.bug)).next().is_some();
    (!plants).then(|| format!("`{}` does not plant `{}`", row.caught_by, row.bug))
}
