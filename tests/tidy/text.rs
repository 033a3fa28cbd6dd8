//! Words that no file may hold: notes to oneself, paths of one machine, examples left uncompiled.

use crate::scan::words;
use crate::tree::Tree;
use crate::{Check, Report};

/// Marks of unfinished work. They are split so that this file keeps its own rule.
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
/// Paths that exist on somebody's machine only.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/tmp/", "target"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
];
/// Code fences that rustdoc does not compile.
const UNCOMPILED: &[&str] = &[concat!("``", "`ignore"), concat!("``", "`rust,ignore")];

pub(crate) const CHECK: Check =
    Check { rules: &["unfinished", "machine-path", "ignored-example"], run };

fn run(tree: &Tree, report: &mut Report) {
    for (path, text) in tree.texts() {
        if is_given(path) {
            continue;
        }
        let rust = tree.files.get(path).and_then(|file| file.rust.as_ref());
        for (at, line) in text.lines().enumerate() {
            // A string may hold such a word as data; a comment may not.
            let prose = rust.map_or(line, |source| source.comments[at].as_str());
            for note in NOTES {
                if words(prose, note).next().is_some() {
                    let message = format!("`{note}`: finish it, or open an issue");
                    report.add(path, at + 1, "unfinished", message);
                }
            }
            for machine in MACHINE_PATHS {
                if line.contains(machine) {
                    let message = format!("`{machine}` exists on one machine only");
                    report.add(path, at + 1, "machine-path", message);
                }
            }
            for fence in UNCOMPILED {
                if prose.contains(fence) {
                    let message = "an example that is not compiled goes stale".to_owned();
                    report.add(path, at + 1, "ignored-example", message);
                }
            }
        }
    }
}

/// Files that others wrote: locked versions, licences, and data.
fn is_given(path: &str) -> bool {
    path.ends_with("Cargo.lock") || path.contains("LICENSE") || path.contains("/data/")
}
