//! House rules that a program can check (CONTRIBUTING.md gives their reasons).
//!
//! The checks read the tree as text: no compiler, no network, no dependency. Each rule has
//! snippets that break it and snippets that keep it (`tidy/cases*.rs`), so that a rule that
//! stopped biting is itself a failure.

#[path = "tidy/atomics.rs"]
mod atomics;
#[path = "tidy/calls.rs"]
mod calls;
#[path = "tidy/cases.rs"]
mod cases;
#[path = "tidy/cases_docs.rs"]
mod cases_docs;
#[path = "tidy/cases_python.rs"]
mod cases_python;
#[path = "planted/catalogue.rs"]
mod catalogue;
#[path = "tidy/dependencies.rs"]
mod dependencies;
#[path = "tidy/docs.rs"]
mod docs;
#[path = "tidy/exports.rs"]
mod exports;
#[path = "tidy/modules.rs"]
mod modules;
#[path = "tidy/planted.rs"]
mod planted;
#[path = "tidy/promises.rs"]
mod promises;
#[path = "tidy/python.rs"]
mod python;
#[path = "tidy/scan.rs"]
mod scan;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/text.rs"]
mod text;
#[path = "tidy/tree.rs"]
mod tree;

use std::fmt;
use std::path::Path;

use tree::Tree;

/// One broken rule: where, which, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) rule: &'static str,
    pub(crate) message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: [{}] {}", self.path, self.line, self.rule, self.message)
    }
}

/// Collects what the checks find.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) violations: Vec<Violation>,
}

impl Report {
    /// Notes a violation; `line` counts from one, zero stands for the whole file.
    pub(crate) fn add(&mut self, path: &str, line: usize, rule: &'static str, message: String) {
        self.violations.push(Violation { path: path.to_owned(), line, rule, message });
    }
}

/// A check reads the whole tree and reports under the rules that it names.
pub(crate) struct Check {
    pub(crate) rules: &'static [&'static str],
    pub(crate) run: fn(&Tree, &mut Report),
}

/// Every check. A new one is added here, with its cases.
pub(crate) const CHECKS: &[Check] = &[
    shape::CHECK,
    calls::CHECK,
    atomics::CHECK,
    modules::CHECK,
    text::CHECK,
    docs::CHECK,
    dependencies::CHECK,
    promises::CHECK,
    planted::CHECK,
    exports::CHECK,
    python::CHECK,
];

/// Runs every check over `tree`.
pub(crate) fn check_all(tree: &Tree) -> Vec<Violation> {
    let mut report = Report::default();
    for check in CHECKS {
        (check.run)(tree, &mut report);
    }
    report.violations
}

/// Goal: the house rules hold in the whole tree. Method: read every file, run every check, list
/// every violation at once.
#[test]
fn the_tree_keeps_the_house_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root");
    let tree = Tree::read(root);
    let found = check_all(&tree);
    let list: String = found.iter().map(|violation| format!("\n  {violation}")).collect();
    let rules: usize = CHECKS.iter().map(|check| check.rules.len()).sum();
    println!("tidy: {rules} rules over {} ({} broken)", tree.summary(), found.len());
    assert!(found.is_empty(), "{} house rules broken:{list}", found.len());
}
