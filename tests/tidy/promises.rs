//! `docs/guarantees.md`: each promise names the tests that hold it, and they exist.

use crate::scan::words;
use crate::tree::Tree;
use crate::{Check, Report};

pub(crate) const GUARANTEES: &str = "docs/guarantees.md";
/// The heading of the column that names the tests.
const COLUMN: &str = "held by";

pub(crate) const CHECK: Check = Check { rules: &["guarantee"], run };

fn run(tree: &Tree, report: &mut Report) {
    let Some(text) = tree.text(GUARANTEES) else { return };
    let mut column = None;
    for (at, line) in text.lines().enumerate() {
        if !line.trim_start().starts_with('|') {
            column = None;
            continue;
        }
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        if let Some(found) = cells.iter().position(|cell| cell.eq_ignore_ascii_case(COLUMN)) {
            column = Some(found);
            continue;
        }
        let Some(column) = column.filter(|_| !line.contains("---")) else { continue };
        let tests: Vec<&str> =
            cells.get(column).map_or("", |cell| cell).split('`').skip(1).step_by(2).collect();
        if tests.is_empty() {
            let message = "a promise without a test that holds it".to_owned();
            report.add(GUARANTEES, at + 1, "guarantee", message);
        }
        for test in tests {
            if let Some(message) = missing(tree, test) {
                report.add(GUARANTEES, at + 1, "guarantee", message);
            }
        }
    }
}

/// What is wrong with `path::name`: the file is not there, or holds no function of that name.
pub(crate) fn missing(tree: &Tree, test: &str) -> Option<String> {
    let Some((path, name)) = test.split_once("::") else {
        return Some(format!("`{test}` is no `path::test_name`"));
    };
    let Some(source) = tree.files.get(path).and_then(|file| file.rust.as_ref()) else {
        return Some(format!("`{path}` does not exist"));
    };
    let code = source.joined();
    let defined = words(&code, name).any(|at| code[..at].ends_with("fn "));
    (!defined).then(|| format!("`{path}` has no test `{name}`"))
}
